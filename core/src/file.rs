//! The model file: written once, read in place from memory or flash.
//!
//! Little-endian throughout; a version 2 file is
//!
//! | bytes | what |
//! |---|---|
//! | 0 … 3 | magic: `mdm` and 26 |
//! | 4, 5 | version: 2 |
//! | 6, 7 | header length in bytes, up to the payload |
//! | 8 | architecture: 1 [`Mlp`](Architecture::Mlp), 2 [`Residual`](Architecture::Residual), 3 [`Transformer`](Architecture::Transformer), 4 [`Convolution`](Architecture::Convolution) |
//! | 9 | layout: 1, floats as trained; 2, integers, each table that a hidden layer multiplies with that layer's units outermost |
//! | 10 … 19 | L, V, H, N, A, two bytes each: positions, symbols, width, blocks, heads |
//! | 20 | number of tensors |
//! | 21 | exponent of the activations' scale; 0 in layout 1 |
//! | 22, 23 | alphabet: length in bytes |
//! | 24 … | alphabet: UTF-8, each character once |
//! | then, for each length 1 … L | how many training texts have it, four bytes ([`Lengths`]) |
//! | then, for each tensor | number, dtype, number of dimensions, 0; four dimensions of four bytes, 1 where unused; offset in the payload; scale (f32) |
//! | header length … | payload |
//! | last 4 | CRC-32 (the polynomial of PNG and zip) of everything before |
//!
//! | dtype | numbers | in layout |
//! |---|---|---|
//! | 1 | f32, four bytes each; scale 1; every one finite | 1 |
//! | 2 | int8, one byte each: the weight is (byte − 128)·scale | 2, weights |
//! | 3 | int4, the first of two in the low half of a byte: (nibble − 8)·scale; where the last dimension is odd, in the order of [`Dtype::row`] | 2, weights |
//! | 4 | int16, two bytes each, with sign: number·scale | 2, biases |
//!
//! The scale of integers is a power of two 2⁻ᵉ, e = 0 … 16, and activations have the scale 2⁻ᵃ; see
//! [`integer`](crate::integer) for the arithmetic. The tensors lie one after the other in flat order, and nothing may follow
//! the checksum.
//!
//! [`ModelFile::parse`] checks all of this once; past it nothing can fail. The checksum finds accidents, not malice: a
//! forged file can hold any finite weights, but no content can make the reader or the sampler fault.

use crate::categorical::SymbolSet;
use crate::denoiser::{Architecture, Model, Shape};
use crate::integer::{IntegerModel, LARGEST_EXPONENT, MOST_TENSORS, Scales};
use crate::length::Lengths;
use crate::tensor::{Dtype, StoredTensor, Tensor, product, total_len};
use crate::text::Alphabet;

/// The first four bytes of a model file.
pub const MAGIC: [u8; 4] = *b"mdm\x1a";
/// The version this code writes, and the only one it reads.
pub const VERSION: u16 = 2;

const FIXED: usize = 24;
/// Of an entry of the table of lengths.
const LENGTH: usize = 4;
/// Of an entry of the table of tensors.
const TENSOR: usize = 28;
const CHECKSUM: usize = 4;
const LAYOUT_TRAINED: u8 = 1;
const LAYOUT_INTEGERS: u8 = 2;

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
    /// The file is sound and of the right shape, but its weights are stored otherwise than asked for.
    Dtype(Dtype),
    /// A scale or a bias with which the integer arithmetic could overflow.
    Scale,
}

/// A sound model file, in place.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile<'a> {
    shape: Shape,
    alphabet: Alphabet<'a>,
    lengths: Lengths<'a>,
    /// Of the weights.
    dtype: Dtype,
    /// Exponent of the activations.
    activation: u8,
    tensors: &'a [[u8; TENSOR]],
    payload: &'a [u8],
}

impl<'a> ModelFile<'a> {
    /// Checks `bytes` from end to end.
    ///
    /// # Errors
    /// [`FileError`], the first that holds in the order of its variants.
    // Not inlined, so that what it works in leaves the stack.
    #[inline(never)]
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
        let [tensor_count, activation] = take(&mut rest).ok_or(cut)?;
        let alphabet_len = usize::from(take_u16(&mut rest).ok_or(cut)?);
        let (alphabet, after) = rest.split_at_checked(alphabet_len).ok_or(cut)?;
        let lengths_len = positions.saturating_mul(LENGTH);
        let (lengths, after) = after.split_at_checked(lengths_len).ok_or(cut)?;
        let table_len = usize::from(tensor_count).saturating_mul(TENSOR);
        let (table, after) = after.split_at_checked(table_len).ok_or(cut)?;
        let tensors = table.as_chunks().0;
        let read = FIXED.saturating_add(alphabet_len).saturating_add(lengths_len).saturating_add(table_len);
        let stored = tensors.iter().fold(0, |sum: usize, tensor| sum.saturating_add(entry(tensor).bytes()));
        let expected = stored.saturating_add(read).saturating_add(CHECKSUM);
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
        if header_len != read {
            return Err(FileError::Header("header length"));
        }
        let architecture = architecture_of(architecture).ok_or(FileError::Header("architecture"))?;
        let trained = layout == LAYOUT_TRAINED && activation == 0;
        if !trained && (layout != LAYOUT_INTEGERS || activation > LARGEST_EXPONENT) {
            return Err(FileError::Header("layout"));
        }
        let alphabet = core::str::from_utf8(alphabet).map_err(|_| FileError::Header("alphabet"))?;
        let alphabet = Alphabet::new(alphabet).map_err(|_| FileError::Header("alphabet"))?;
        if alphabet.symbols() > symbols {
            return Err(FileError::Header("alphabet"));
        }
        let lengths = Lengths::new(lengths.as_chunks().0).ok_or(FileError::Header("lengths"))?;
        let dtype = check_table(tensors, trained).ok_or(FileError::Header("tensor table"))?;
        if let Some(index) = payload.as_chunks().0.iter().position(|bytes| trained && !is_finite(*bytes)) {
            return Err(FileError::NotFinite(index));
        }
        let shape = Shape { architecture, positions, symbols, width, blocks, heads };
        Ok(Self { shape, alphabet, lengths, dtype, activation, tensors, payload })
    }

    /// Kind and sizes of the model.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The characters it was trained on.
    pub fn alphabet(&self) -> Alphabet<'a> {
        self.alphabet
    }

    /// The symbols that a text may hold at any position, as [`Sampler::new`](crate::sampler::Sampler::new) takes them: those of the
    /// alphabet. A network may have room for more, which it has never seen.
    pub fn allowed(&self) -> [SymbolSet; 1] {
        [SymbolSet::first(self.alphabet.symbols())]
    }

    /// How long the texts were that it was trained on.
    pub fn lengths(&self) -> Lengths<'a> {
        self.lengths
    }

    /// How its weights are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How many parameters it has.
    pub fn parameter_count(&self) -> usize {
        self.tensors.iter().fold(0, |sum: usize, tensor| sum.saturating_add(entry(tensor).numbers()))
    }

    /// How many bytes they take.
    pub fn parameter_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The parameters of an `M`, in place and in flat order; view them with [`Model::view`].
    ///
    /// # Errors
    /// [`FileError::Shape`] where the file holds a model of another shape, [`FileError::Dtype`] where it holds integers.
    pub fn parameters<M: Model<L, V>, const L: usize, const V: usize>(
        &self,
    ) -> Result<&'a [[u8; 4]], FileError> {
        self.check_floats(&M::SHAPE, M::TENSORS)?;
        Ok(self.payload.as_chunks().0)
    }

    /// That the file holds the floats `tensors` of a network of `shape`.
    fn check_floats(&self, shape: &Shape, tensors: &[Tensor]) -> Result<(), FileError> {
        if self.shape != *shape {
            return Err(FileError::Shape(self.shape));
        }
        if self.dtype != Dtype::F32 {
            return Err(FileError::Dtype(self.dtype));
        }
        let dimensions = tensors.iter().map(|tensor| dimensions_of(tensor.dimensions));
        if !self.tensors.iter().map(|bytes| entry(bytes).dimensions).eq(dimensions) {
            return Err(FileError::Shape(self.shape));
        }
        Ok(())
    }

    /// The tensors of an `M`, a network in integers, in place.
    ///
    /// # Errors
    /// [`FileError::Shape`] where the file holds a model of another shape, [`FileError::Dtype`] where its weights are stored
    /// otherwise, [`FileError::Scale`] where a sum could overflow.
    pub fn integers<M: IntegerModel<L, V>, const L: usize, const V: usize>(
        &self,
    ) -> Result<M::View<'a>, FileError> {
        self.check_integers(&M::SHAPE, M::DTYPE, M::TENSORS)?;
        M::view(self.payload, &self.scales()).ok_or(FileError::Scale)
    }

    /// That the file holds the integers `tensors` of a network of `shape`.
    fn check_integers(&self, shape: &Shape, dtype: Dtype, tensors: &[StoredTensor]) -> Result<(), FileError> {
        if self.shape != *shape {
            return Err(FileError::Shape(self.shape));
        }
        if self.dtype != dtype {
            return Err(FileError::Dtype(self.dtype));
        }
        let same = |(bytes, tensor): (&[u8; TENSOR], &StoredTensor)| {
            let entry = entry(bytes);
            dtype_of(entry.dtype) == Some(tensor.dtype)
                && entry.dimensions == dimensions_of(tensor.dimensions)
                && usize::from(entry.dimension_count) == tensor.dimensions.len()
        };
        if self.tensors.len() != tensors.len() || !self.tensors.iter().zip(tensors).all(same) {
            return Err(FileError::Shape(self.shape));
        }
        Ok(())
    }

    /// The tensors one after the other, as [`IntegerModel::view`] takes them.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The scales of a network in integers.
    pub fn scales(&self) -> Scales {
        let mut scales = Scales { activation: self.activation, tensors: [0; MOST_TENSORS] };
        for (slot, bytes) in scales.tensors.iter_mut().zip(self.tensors) {
            *slot = exponent_of(entry(bytes).scale).unwrap_or(0);
        }
        scales
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
    lengths: Lengths,
    parameters: &[f32],
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let entries = tensors.iter().map(|tensor| (tensor.dimensions, Dtype::F32, 0));
    let parameters = parameters.iter().take(total_len(tensors)).map(|parameter| parameter.to_le_bytes());
    write_pieces(shape, (alphabet, lengths), [LAYOUT_TRAINED, 0], entries, parameters, sink)
}

/// Writes the model file of an `M`, a network in integers: its tensors one after the other are `payload`.
///
/// # Errors
/// The first error of `sink`; nothing is written after it.
pub fn write_integers<M: IntegerModel<L, V>, const L: usize, const V: usize, E>(
    alphabet: Alphabet,
    lengths: Lengths,
    scales: &Scales,
    payload: &[u8],
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    write_stored(&M::SHAPE, M::TENSORS, alphabet, lengths, scales, payload, sink)
}

/// [`write_integers`], compiled once for all networks.
fn write_stored<E>(
    shape: &Shape,
    tensors: &[StoredTensor],
    alphabet: Alphabet,
    lengths: Lengths,
    scales: &Scales,
    payload: &[u8],
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let entries = tensors.iter().zip(scales.tensors).map(|(t, scale)| (t.dimensions, t.dtype, scale));
    let layout = [LAYOUT_INTEGERS, scales.activation];
    write_pieces(shape, (alphabet, lengths), layout, entries, core::iter::once(payload), sink)
}

/// Writes a model file: header, table of `entries` (dimensions, dtype, exponent of the scale), payload, checksum.
fn write_pieces<E>(
    shape: &Shape,
    (alphabet, lengths): (Alphabet, Lengths),
    [layout, activation]: [u8; 2],
    entries: impl ExactSizeIterator<Item = (&'static [usize], Dtype, u8)>,
    payload: impl Iterator<Item = impl AsRef<[u8]>>,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut crc = Crc32::new();
    let mut put = |bytes: &[u8]| {
        crc.update(bytes);
        sink(bytes)
    };
    let (alphabet, lengths) = (alphabet.characters(), lengths.counts().as_flattened());
    let table_len = lengths.len().saturating_add(entries.len().saturating_mul(TENSOR));
    put(&MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&u16_bytes(FIXED.saturating_add(alphabet.len()).saturating_add(table_len)))?;
    put(&[architecture_code(shape.architecture), layout])?;
    for size in [shape.positions, shape.symbols, shape.width, shape.blocks, shape.heads] {
        put(&u16_bytes(size))?;
    }
    put(&[u8::try_from(entries.len()).unwrap_or(u8::MAX), activation])?;
    put(&u16_bytes(alphabet.len()))?;
    put(alphabet.as_bytes())?;
    put(lengths)?;
    let mut offset: usize = 0;
    for (number, (dimensions, dtype, exponent)) in (0..=u8::MAX).zip(entries) {
        put(&[number, dtype_code(dtype), u8::try_from(dimensions.len()).unwrap_or(u8::MAX), 0])?;
        for dimension in dimensions_of(dimensions) {
            put(&dimension.to_le_bytes())?;
        }
        put(&u32_of(offset).to_le_bytes())?;
        put(&scale_bits(exponent).to_le_bytes())?;
        offset = offset.saturating_add(dtype.bytes(product(dimensions)));
    }
    for piece in payload {
        put(piece.as_ref())?;
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
        Architecture::Convolution => 4,
    }
}

fn architecture_of(code: u8) -> Option<Architecture> {
    [Architecture::Mlp, Architecture::Residual, Architecture::Transformer, Architecture::Convolution]
        .into_iter()
        .find(|architecture| architecture_code(*architecture) == code)
}

fn dtype_code(dtype: Dtype) -> u8 {
    match dtype {
        Dtype::F32 => 1,
        Dtype::Int8 => 2,
        Dtype::Int4 => 3,
        Dtype::Int16 => 4,
    }
}

fn dtype_of(code: u8) -> Option<Dtype> {
    [Dtype::F32, Dtype::Int8, Dtype::Int4, Dtype::Int16].into_iter().find(|dtype| dtype_code(*dtype) == code)
}

/// Where the exponent of an f32 begins.
const EXPONENT_PLACE: u32 = 23;
/// The exponent of 1 in an f32.
const EXPONENT_OF_ONE: u32 = 127;

/// 2⁻ᵉ as the bits of an f32.
fn scale_bits(exponent: u8) -> u32 {
    EXPONENT_OF_ONE.saturating_sub(u32::from(exponent)) << EXPONENT_PLACE
}

/// The exponent e of the scale 2⁻ᵉ, e = 0 … 16; `None` for any other.
fn exponent_of(scale: u32) -> Option<u8> {
    (0..=LARGEST_EXPONENT).find(|exponent| scale_bits(*exponent) == scale)
}

/// Whether an f32 is finite, told by its exponent so that no float instruction is needed.
fn is_finite(bytes: [u8; 4]) -> bool {
    u32::from_le_bytes(bytes) >> EXPONENT_PLACE & 0xFF != 0xFF
}

/// Four dimensions, 1 where the tensor has fewer.
fn dimensions_of(tensor: &[usize]) -> [u32; 4] {
    let mut dimensions = [1; 4];
    for (slot, dimension) in dimensions.iter_mut().zip(tensor) {
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

impl Entry {
    /// The product of the dimensions.
    fn numbers(&self) -> usize {
        let sizes = self.dimensions.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX));
        sizes.fold(1, usize::saturating_mul)
    }

    /// The bytes it takes; an unknown dtype counts as f32.
    fn bytes(&self) -> usize {
        dtype_of(self.dtype).unwrap_or(Dtype::F32).bytes(self.numbers())
    }
}

fn entry(bytes: &[u8; TENSOR]) -> Entry {
    let (head, words) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let [number, dtype, dimension_count, reserved] = *head;
    let mut words = words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut next = || words.next().unwrap_or(0);
    let dimensions = [next(), next(), next(), next()];
    Entry { number, dtype, dimension_count, reserved, dimensions, offset: next(), scale: next() }
}

/// The dtype of the weights, if the tensors are numbered from 0, lie one after the other, and are all f32 (`trained`) or
/// all integers; `None` otherwise.
fn check_table(tensors: &[[u8; TENSOR]], trained: bool) -> Option<Dtype> {
    let mut offset = 0;
    for (number, bytes) in (0..=u8::MAX).zip(tensors) {
        let entry = entry(bytes);
        let float = dtype_of(entry.dtype)? == Dtype::F32;
        let exponent = exponent_of(entry.scale)?;
        let unused = entry.dimensions.iter().skip(usize::from(entry.dimension_count));
        let placed = entry.number == number && entry.offset == offset && entry.reserved == 0;
        let shaped =
            (1..=4).contains(&entry.dimension_count) && unused.copied().all(|dimension| dimension == 1);
        if !(placed && shaped && float == trained && (exponent == 0 || !float)) {
            return None;
        }
        offset = offset.saturating_add(u32_of(entry.bytes()));
    }
    tensors.first().and_then(|first| dtype_of(entry(first).dtype))
}
