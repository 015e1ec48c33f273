//! The model file: written once, read in place from memory or flash.
//!
//! Little-endian throughout; a version 1 file is
//!
//! | bytes | what |
//! |---|---|
//! | 0 … 3 | magic: `mdm` and 26 |
//! | 4, 5 | version: 1 |
//! | 6, 7 | header length in bytes, up to the payload |
//! | 8 | architecture: 1 [`Mlp`](Architecture::Mlp), 2 [`Residual`](Architecture::Residual), 3 [`Transformer`](Architecture::Transformer) |
//! | 9 | layout: 1, as trained |
//! | 10 … 19 | L, V, H, N, A, two bytes each: positions, symbols, width, blocks, heads |
//! | 20 | number of tensors |
//! | 21 | 0 |
//! | 22, 23 | alphabet: length in bytes |
//! | 24 … | alphabet: UTF-8, each character once |
//! | then, for each tensor | number, dtype, number of dimensions, 0; four dimensions of four bytes, 1 where unused; offset in the payload; scale (f32) |
//! | header length … | payload |
//! | last 4 | CRC-32 (the polynomial of PNG and zip) of everything before |
//!
//! Dtype 1 is f32 with scale 1. The tensors lie one after the other in flat order. Nothing may follow the checksum, and
//! every weight must be finite.
//!
//! [`ModelFile::parse`] checks all of this once; past it nothing can fail. The checksum finds accidents, not malice: a
//! forged file can hold any finite weights, but no content can make the reader or the sampler fault.

use crate::denoiser::{Architecture, Model, Shape};
use crate::tensor::{Tensor, total_len};
use crate::text::Alphabet;

/// The first four bytes of a model file.
pub const MAGIC: [u8; 4] = *b"mdm\x1a";
/// The version this code writes, and the only one it reads.
pub const VERSION: u16 = 1;

const FIXED: usize = 24;
const TENSOR: usize = 28;
const CHECKSUM: usize = 4;
const LAYOUT_TRAINED: u8 = 1;
const DTYPE_F32: u8 = 1;
/// A scale of 1.0 as the bytes of an f32.
const SCALE_ONE: u32 = 0x3F80_0000;

/// Why bytes are not a model this program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// The first four bytes are not [`MAGIC`].
    NotAModel,
    /// Another version than [`VERSION`].
    Version(u16),
    /// Shorter or longer than its header says.
    Length {
        /// Length the header asks for; `None` where the header itself is cut or absurd.
        expected: Option<usize>,
        /// Length there is.
        found: usize,
    },
    /// The checksum does not match: the content was altered.
    Checksum,
    /// A field of the header holds a value this version does not define.
    Header(&'static str),
    /// A weight is infinite or not a number; its index in flat order.
    NotFinite(usize),
    /// The file is sound, but its shape is not the one asked for.
    Shape(Shape),
}

/// A sound model file, in place.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile<'a> {
    shape: Shape,
    alphabet: Alphabet<'a>,
    tensors: &'a [[u8; TENSOR]],
    parameters: &'a [[u8; 4]],
}

impl<'a> ModelFile<'a> {
    /// Checks `bytes` from end to end.
    ///
    /// # Errors
    /// [`FileError`], the first that holds in the order of its variants.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FileError> {
        let found = bytes.len();
        let cut = FileError::Length { expected: None, found };
        let mut rest = bytes;
        if take::<4>(&mut rest).ok_or(FileError::NotAModel)? != MAGIC {
            return Err(FileError::NotAModel);
        }
        let version = take_u16(&mut rest).ok_or(cut)?;
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let header_len = usize::from(take_u16(&mut rest).ok_or(cut)?);
        let [architecture, layout] = take(&mut rest).ok_or(cut)?;
        let mut sizes = [0; 5];
        for size in &mut sizes {
            *size = usize::from(take_u16(&mut rest).ok_or(cut)?);
        }
        let [positions, symbols, width, blocks, heads] = sizes;
        let [tensor_count, reserved] = take(&mut rest).ok_or(cut)?;
        let alphabet_len = usize::from(take_u16(&mut rest).ok_or(cut)?);
        let (alphabet, after) = rest.split_at_checked(alphabet_len).ok_or(cut)?;
        let table_len = usize::from(tensor_count).saturating_mul(TENSOR);
        let (table, after) = after.split_at_checked(table_len).ok_or(cut)?;
        let tensors = table.as_chunks().0;
        if header_len != FIXED.saturating_add(alphabet_len).saturating_add(table_len) {
            return Err(FileError::Header("header length"));
        }
        let parameters = tensors.iter().fold(0, |sum: usize, t| sum.saturating_add(stored_len(t)));
        let expected = parameters.saturating_mul(4).saturating_add(header_len).saturating_add(CHECKSUM);
        let length = FileError::Length { expected: Some(expected), found };
        let (payload, checksum) = after.split_last_chunk::<CHECKSUM>().ok_or(length)?;
        let body = bytes.get(..found.saturating_sub(CHECKSUM)).ok_or(cut)?;
        let intact = crc32(body) == u32::from_le_bytes(*checksum);
        if found != expected {
            return Err(length);
        }
        if !intact {
            return Err(FileError::Checksum);
        }
        let architecture = architecture_of(architecture).ok_or(FileError::Header("architecture"))?;
        if layout != LAYOUT_TRAINED || reserved != 0 {
            return Err(FileError::Header("layout"));
        }
        let alphabet = core::str::from_utf8(alphabet).map_err(|_| FileError::Header("alphabet"))?;
        let alphabet = Alphabet::new(alphabet).map_err(|_| FileError::Header("alphabet"))?;
        if alphabet.symbols() > symbols {
            return Err(FileError::Header("alphabet"));
        }
        check_table(tensors)?;
        let parameters = payload.as_chunks().0;
        match parameters.iter().position(|bytes| !f32::from_le_bytes(*bytes).is_finite()) {
            Some(index) => Err(FileError::NotFinite(index)),
            None => {
                let shape = Shape { architecture, positions, symbols, width, blocks, heads };
                Ok(Self { shape, alphabet, tensors, parameters })
            }
        }
    }

    /// Kind and sizes of the model.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The characters it was trained on.
    pub fn alphabet(&self) -> Alphabet<'a> {
        self.alphabet
    }

    /// How many parameters it has.
    pub fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// The parameters of an `M`, in place and in flat order; view them with [`Model::view`].
    ///
    /// # Errors
    /// [`FileError::Shape`] where the file holds a model of another shape.
    pub fn parameters<M: Model<L, V>, const L: usize, const V: usize>(
        &self,
    ) -> Result<&'a [[u8; 4]], FileError> {
        let same_tensors = self.tensors.len() == M::TENSORS.len()
            && self
                .tensors
                .iter()
                .zip(M::TENSORS)
                .all(|(bytes, t)| entry(bytes).dimensions == dimensions_of(t));
        if self.shape == M::SHAPE && same_tensors {
            Ok(self.parameters)
        } else {
            Err(FileError::Shape(self.shape))
        }
    }
}

/// Writes the model file of `parameters`, piece by piece, to `sink`.
///
/// # Errors
/// The first error of `sink`; nothing is written after it.
pub fn write<E>(
    shape: &Shape,
    tensors: &[Tensor],
    alphabet: Alphabet,
    parameters: &[f32],
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut crc = Crc32::new();
    let mut put = |bytes: &[u8]| {
        crc.update(bytes);
        sink(bytes)
    };
    let alphabet = alphabet.characters();
    let table_len = tensors.len().saturating_mul(TENSOR);
    put(&MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&u16_bytes(FIXED.saturating_add(alphabet.len()).saturating_add(table_len)))?;
    put(&[architecture_code(shape.architecture), LAYOUT_TRAINED])?;
    for size in [shape.positions, shape.symbols, shape.width, shape.blocks, shape.heads] {
        put(&u16_bytes(size))?;
    }
    put(&[u8::try_from(tensors.len()).unwrap_or(u8::MAX), 0])?;
    put(&u16_bytes(alphabet.len()))?;
    put(alphabet.as_bytes())?;
    let mut offset: usize = 0;
    for (number, tensor) in (0..=u8::MAX).zip(tensors) {
        put(&[number, DTYPE_F32, u8::try_from(tensor.dimensions.len()).unwrap_or(u8::MAX), 0])?;
        for dimension in dimensions_of(tensor) {
            put(&dimension.to_le_bytes())?;
        }
        put(&u32_of(offset.saturating_mul(4)).to_le_bytes())?;
        put(&SCALE_ONE.to_le_bytes())?;
        offset = offset.saturating_add(tensor.len());
    }
    for parameter in parameters.iter().take(total_len(tensors)) {
        put(&parameter.to_le_bytes())?;
    }
    sink(&crc.value().to_le_bytes())
}

/// CRC-32: reflected polynomial 0xEDB88320, initial value and final exclusive-or 0xFFFFFFFF.
///
/// Four bits at a time, so that its table takes 64 bytes of flash. Source: ISO 3309; PNG specification, annex D.
struct Crc32 {
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

    fn new() -> Self {
        Self { state: u32::MAX }
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for nibble in [*byte, byte >> 4] {
                let entry = (self.state ^ u32::from(nibble)) & 15;
                let word = Self::TABLE.get(entry as usize).copied().unwrap_or(0);
                self.state = self.state >> 4 ^ word;
            }
        }
    }

    fn value(&self) -> u32 {
        !self.state
    }
}

/// The CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.value()
}

/// Splits `N` bytes off the front.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    take(rest).map(u16::from_le_bytes)
}

fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Every size in the header is a compile-time constant far below the limit.
fn u16_bytes(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes()
}

fn architecture_code(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::Mlp => 1,
        Architecture::Residual => 2,
        Architecture::Transformer => 3,
    }
}

fn architecture_of(code: u8) -> Option<Architecture> {
    [Architecture::Mlp, Architecture::Residual, Architecture::Transformer]
        .into_iter()
        .find(|architecture| architecture_code(*architecture) == code)
}

/// Four dimensions, 1 where the tensor has fewer.
fn dimensions_of(tensor: &Tensor) -> [u32; 4] {
    let mut dimensions = [1; 4];
    for (slot, dimension) in dimensions.iter_mut().zip(tensor.dimensions) {
        *slot = u32_of(*dimension);
    }
    dimensions
}

/// One entry of the tensor table.
struct Entry {
    number: u8,
    dtype: u8,
    dimension_count: u8,
    reserved: u8,
    dimensions: [u32; 4],
    offset: u32,
    scale: u32,
}

fn entry(bytes: &[u8; TENSOR]) -> Entry {
    let (head, words) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let [number, dtype, dimension_count, reserved] = *head;
    let mut words = words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut next = || words.next().unwrap_or(0);
    let dimensions = [next(), next(), next(), next()];
    Entry { number, dtype, dimension_count, reserved, dimensions, offset: next(), scale: next() }
}

fn stored_len(bytes: &[u8; TENSOR]) -> usize {
    let dimensions = entry(bytes).dimensions;
    dimensions
        .iter()
        .fold(1, |product: usize, d| product.saturating_mul(usize::try_from(*d).unwrap_or(usize::MAX)))
}

/// The tensors are numbered from 0, f32, and lie one after the other.
fn check_table(tensors: &[[u8; TENSOR]]) -> Result<(), FileError> {
    let mut offset = 0;
    for (number, bytes) in (0..=u8::MAX).zip(tensors) {
        let entry = entry(bytes);
        let unused = entry.dimensions.iter().skip(usize::from(entry.dimension_count));
        let known = entry.number == number && entry.dtype == DTYPE_F32 && entry.reserved == 0;
        let placed = entry.offset == offset && entry.scale == SCALE_ONE;
        if !(known && placed && entry.dimension_count <= 4 && unused.copied().all(|dimension| dimension == 1))
        {
            return Err(FileError::Header("tensor table"));
        }
        offset = offset.saturating_add(u32_of(stored_len(bytes).saturating_mul(4)));
    }
    Ok(())
}
