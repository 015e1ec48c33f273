//! CRC-32, the checksum of a model file, as in PNG and zip.

/// A CRC-32: reflected polynomial 0xEDB88320, initial value and final exclusive-or 0xFFFFFFFF.
///
/// Takes four bits at a time, by a table of 64 bytes. Source: ISO 3309; PNG specification, annex D.
pub(crate) struct Crc32 {
    state: u32,
}

impl Crc32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut nibble = 0;
        while nibble < 16 {
            #[expect(clippy::cast_possible_truncation, reason = "nibble < 16")]
            let mut value = nibble as u32;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            #[expect(clippy::indexing_slicing, reason = "nibble < 16, and evaluated at compile time")]
            {
                table[nibble] = value;
            }
            nibble += 1;
        }
        table
    };

    pub(crate) fn new() -> Self {
        Self { state: u32::MAX }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for nibble in [*byte, byte >> 4] {
                let entry = (self.state ^ u32::from(nibble)) & 15;
                let word = Self::TABLE.get(entry as usize).copied().unwrap_or(0);
                self.state = self.state >> 4 ^ word;
            }
        }
    }

    pub(crate) fn value(&self) -> u32 {
        !self.state
    }
}

/// The CRC-32 of `bytes`, a checksum: the one of PNG and zip.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.value()
}
