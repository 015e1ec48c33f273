//! CRC-32, the checksum of a model file, as in PNG and zip.
//!
//! The polynomial is 0xEDB88320, reflected. A checksum starts from 0xFFFFFFFF, and its bits are inverted at the end.
//!
//! Source: ISO 3309; PNG specification, annex D.

/// State of a checksum before its first byte.
pub(crate) const START: u32 = u32::MAX;

/// Entry n divides the four bits n by the polynomial: four times n / 2, with an exclusive-or where a 1 is shifted out.
#[rustfmt::skip]
const TABLE: [u32; 16] = [
    0x0000_0000, 0x1DB7_1064, 0x3B6E_20C8, 0x26D9_30AC, 0x76DC_4190, 0x6B6B_51F4, 0x4DB2_6158, 0x5005_713C,
    0xEDB8_8320, 0xF00F_9344, 0xD6D6_A3E8, 0xCB61_B38C, 0x9B64_C2B0, 0x86D3_D2D4, 0xA00A_E278, 0xBDBD_F21C,
];

/// The state of a checksum after `bytes`, from the `state` before them. Takes four bits at a time, by a table of 64
/// bytes.
pub(crate) fn update(mut state: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..2 {
            state = state >> 4 ^ TABLE.get((state & 15) as usize).copied().unwrap_or(0);
        }
    }
    state
}

/// The CRC-32 of `bytes`, a checksum: the one of PNG and zip.
pub fn crc32(bytes: &[u8]) -> u32 {
    !update(START, bytes)
}
