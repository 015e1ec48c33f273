//! The model file: written once, read in place from memory or flash.
//!
//! A file of version 2 is little-endian throughout:
//!
//! | bytes | what |
//! |---|---|
//! | 0 … 3 | magic: `mdm` and 26 |
//! | 4, 5 | version: 2 |
//! | 6, 7 | header length in bytes, up to the payload |
//! | 8 | architecture: 1 [`Mlp`](Architecture::Mlp), 2 [`Residual`](Architecture::Residual), 3 [`Transformer`](Architecture::Transformer), 4 [`Convolution`](Architecture::Convolution), 5 [`LocalTransformer`](Architecture::LocalTransformer) |
//! | 9 | layout: 1, floats as trained; 2, integers, where each table multiplied by a hidden layer has that layer's units outermost |
//! | 10 … 19 | L, V, H, N, A, two bytes each: positions, symbols, width, blocks, heads |
//! | 20 | number of tensors |
//! | 21 | exponent of the activations' scale; 0 in layout 1 |
//! | 22, 23 | alphabet: length in bytes |
//! | 24 … | alphabet: UTF-8, each character once |
//! | then, for each length 1 … L | number of training texts of this length, four bytes ([`Lengths`]) |
//! | then, for each tensor | number, dtype, number of dimensions, 0; four dimensions of four bytes, 1 if unused; offset in the payload; scale (f32) |
//! | header length … | payload |
//! | last 4 | CRC-32 (the polynomial of PNG and zip) of everything before |
//!
//! | dtype | numbers | in layout |
//! |---|---|---|
//! | 1 | f32, four bytes each; scale 1; every one finite | 1 |
//! | 2 | int8, one byte each: the weight is (byte − 128)·scale | 2, weights |
//! | 3 | int4, the first of two in the low half of a byte: the weight is (nibble − 8)·scale; in the order of [`Dtype::row`] if the last dimension is odd | 2, weights |
//! | 4 | int16, two bytes each, with sign: number·scale | 2, biases |
//!
//! Scales of integers are powers of two 2⁻ᵉ, e = 0 … 16; activations have the scale 2⁻ᵃ. [`integer_mlp`](crate::integer_mlp)
//! has the arithmetic. Tensors follow each other without gaps, in flat order. The checksum ends the file.
//!
//! [`ModelFile::parse`] checks all of this once; afterwards nothing can fail. The checksum finds accidents, not malice. A
//! forged file can hold any finite weights, but no content can make the reader or the sampler fault.

use crate::crc::{self, crc32};
use crate::denoiser::{Architecture, Model, Shape};
use crate::dtype::Dtype;
use crate::file_table::{self, Entry, LARGEST_EXPONENT, TENSOR, check_table, entry_of, is_finite};
use crate::length::Lengths;
use crate::tensor::{Flat, Tensor, matrix, product, total_len, vector};
use crate::text::Alphabet;

/// The first four bytes of a model file.
pub const MAGIC: [u8; 4] = *b"mdm\x1a";
/// Version of model files that this crate writes, and the only one that it reads.
pub const VERSION: u16 = 2;

const FIXED: usize = 24;
/// Length in bytes of an entry in the table of lengths.
const LENGTH: usize = 4;
const CHECKSUM: usize = 4;
const LAYOUT_TRAINED: u8 = 1;
pub(crate) const LAYOUT_INTEGERS: u8 = 2;

/// Reason why bytes are not a model that this program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// The first four bytes are not [`MAGIC`].
    NotAModel,
    /// A version other than [`VERSION`].
    Version(u16),
    /// The file is shorter or longer than its header says.
    Length {
        /// Length in bytes by the header; `None` if the header itself is cut or absurd.
        expected: Option<usize>,
        /// Length in bytes of the file.
        found: usize,
    },
    /// The checksum does not match, so the content was altered.
    Checksum,
    /// The named field of the header has a value that this version does not define.
    Header(&'static str),
    /// A weight is infinite or not a number; its index in flat order.
    NotFinite(usize),
    /// The file is sound, but its shape is not the expected one.
    Shape(Shape),
    /// The file is sound and has the expected shape, but another dtype of weights.
    Dtype(Dtype),
    /// A scale or a bias could make the integer arithmetic overflow.
    Scale,
}

/// A model file, checked: borrows the bytes that [`parse`](Self::parse) was given, and copies no weights.
///
/// Guaranteed are the checksum, a well-formed header and tensor table that fit the file's length, and an alphabet
/// without repeats. Floats are finite, and exponents of scales at most 16. [`parameters`](Self::parameters) and
/// [`integers`](Self::integers) check whether the network is the expected one.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile<'a> {
    shape: Shape,
    alphabet: Alphabet<'a>,
    lengths: Lengths<'a>,
    /// Dtype of the weights.
    dtype: Dtype,
    /// Exponent of the activations' scale.
    pub(crate) activation: u8,
    pub(crate) tensors: &'a [Entry],
    pub(crate) payload: &'a [u8],
}

impl<'a> ModelFile<'a> {
    /// Checks all of the model file `bytes`, and borrows its parts.
    ///
    /// # Errors
    /// [`FileError`], the first that applies in the order of its variants.
    // Not inlined, so that its memory leaves the stack.
    #[inline(never)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FileError> {
        let found = bytes.len();
        let cut = FileError::Length { expected: None, found };
        let mut rest = bytes;
        require(vector(&mut rest) == Some(&MAGIC), FileError::NotAModel)?;
        let version = u16::from_le_bytes(*vector(&mut rest).ok_or(cut)?);
        require(version == VERSION, FileError::Version(version))?;
        let [header_len, [architecture, layout], sizes @ .., [tensor_count, activation], alphabet_len] =
            *matrix::<_, 2, 9>(&mut rest).ok_or(cut)?;
        let size = |bytes| usize::from(u16::from_le_bytes(bytes));
        let [header_len, alphabet_len] = [header_len, alphabet_len].map(size);
        let [positions, symbols, width, blocks, heads] = sizes.map(size);
        let alphabet = rest.take(alphabet_len).ok_or(cut)?;
        let lengths = rest.take(positions.saturating_mul(LENGTH)).ok_or(cut)?;
        let table = rest.take(usize::from(tensor_count).saturating_mul(TENSOR)).ok_or(cut)?;
        let tensors = table.as_chunks().0.as_chunks().0;
        let read = found.saturating_sub(rest.len());
        let stored = tensors.iter().map(file_table::bytes).fold(0, usize::saturating_add);
        let expected = read.saturating_add(stored).saturating_add(CHECKSUM);
        let length = FileError::Length { expected: Some(expected), found };
        let payload = rest.take(stored).filter(|_| found == expected).ok_or(length)?;
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(length)?;
        require(crc32(body).to_le_bytes() == *checksum, FileError::Checksum)?;
        require(header_len == read, FileError::Header("header length"))?;
        let architecture = architecture_of(architecture).ok_or(FileError::Header("architecture"))?;
        let trained = layout == LAYOUT_TRAINED && activation == 0;
        let integers = layout == LAYOUT_INTEGERS && activation <= LARGEST_EXPONENT;
        require(trained || integers, FileError::Header("layout"))?;
        let alphabet = core::str::from_utf8(alphabet).ok().and_then(|text| Alphabet::new(text).ok());
        let alphabet = alphabet.filter(|alphabet| alphabet.symbols() <= symbols);
        let alphabet = alphabet.ok_or(FileError::Header("alphabet"))?;
        let lengths = Lengths::new(lengths.as_chunks().0).ok_or(FileError::Header("lengths"))?;
        let dtype = check_table(tensors, trained).ok_or(FileError::Header("tensor table"))?;
        if let Some(index) = payload.as_chunks().0.iter().position(|bytes| trained && !is_finite(*bytes)) {
            return Err(FileError::NotFinite(index));
        }
        let shape = Shape { architecture, positions, symbols, width, blocks, heads };
        Ok(Self { shape, alphabet, lengths, dtype, activation, tensors, payload })
    }

    /// The kind of network and its sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The characters of the texts that the model was trained on.
    pub fn alphabet(&self) -> Alphabet<'a> {
        self.alphabet
    }

    /// The table of lengths: how many training texts have each length.
    pub fn lengths(&self) -> Lengths<'a> {
        self.lengths
    }

    /// Storage format of the weights.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.tensors.iter().map(file_table::numbers).fold(0, usize::saturating_add)
    }

    /// The parameters of a model `M`, in place and in flat order, four little-endian bytes each; [`Model::view`] views
    /// them.
    ///
    /// # Errors
    /// [`FileError::Shape`] if the file holds a model of another shape, [`FileError::Dtype`] if it holds integers.
    pub fn parameters<M: Model<L, V>, const L: usize, const V: usize>(
        &self,
    ) -> Result<&'a [[u8; 4]], FileError> {
        self.check(&M::SHAPE, Dtype::F32, M::TENSORS.iter().map(|tensor| (Dtype::F32, tensor.dimensions)))?;
        Ok(self.payload.as_chunks().0)
    }

    /// Checks that the file holds a network of `shape` with weights of `dtype`, and `tensors` of these dtypes and dimensions.
    pub(crate) fn check(
        &self,
        shape: &Shape,
        dtype: Dtype,
        tensors: impl Iterator<Item = (Dtype, &'static [usize])>,
    ) -> Result<(), FileError> {
        let part = |[[_, dtype, count, _], dimensions @ .., _, _]: Entry| (dtype, count, dimensions);
        let found = self.tensors.iter().map(|entry| part(*entry));
        let expected = tensors.map(|stored| part(entry_of(0, stored, 0, 0)));
        require(self.shape == *shape, FileError::Shape(self.shape))?;
        require(self.dtype == dtype, FileError::Dtype(self.dtype))?;
        require(found.eq(expected), FileError::Shape(self.shape))
    }
}

/// Returns `error` unless `condition` holds.
fn require(condition: bool, error: FileError) -> Result<(), FileError> {
    if condition { Ok(()) } else { Err(error) }
}

/// The length in bytes of the header of a file with this alphabet, these lengths and `tensors` tensors.
fn header_bytes(alphabet: Alphabet, lengths: Lengths, tensors: usize) -> usize {
    let tables = lengths.counts().len().saturating_mul(LENGTH).saturating_add(tensors.saturating_mul(TENSOR));
    FIXED.saturating_add(alphabet.characters().len()).saturating_add(tables)
}

/// The length in bytes of a model file with this alphabet and `tensors` tensors of `payload` bytes together. `lengths`
/// holds how many training texts have each length 1 … L.
pub fn file_len(alphabet: Alphabet, lengths: Lengths, tensors: usize, payload: usize) -> usize {
    header_bytes(alphabet, lengths, tensors).saturating_add(payload).saturating_add(CHECKSUM)
}

/// Writes a model file of the f32 `parameters` to `sink`, piece by piece.
///
/// `shape` is the network's, and `lengths` holds how many training texts have each length 1 … L. `parameters` has the
/// numbers of the `tensors` one after the other. `E` is the error of `sink`.
///
/// Nothing is checked: with too few numbers, one that is not finite, or `tensors` that do not fit `shape`, a file is
/// written that reading refuses.
///
/// # Errors
/// The first error of `sink`, after which nothing is written.
pub fn write<E>(
    shape: &Shape,
    tensors: &[Tensor],
    alphabet: Alphabet,
    lengths: Lengths,
    parameters: &[f32],
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let entries = tensors.iter().map(|tensor| ((Dtype::F32, tensor.dimensions), 0));
    let parameters = parameters.iter().take(total_len(tensors)).map(|parameter| parameter.to_le_bytes());
    write_pieces(shape, (alphabet, lengths), [LAYOUT_TRAINED, 0], entries, parameters, sink)
}

/// Writes a model file: header, table of `entries` (dtype, dimensions and exponent of the scale), payload and checksum.
pub(crate) fn write_pieces<E>(
    shape: &Shape,
    (alphabet, lengths): (Alphabet, Lengths),
    [layout, activation]: [u8; 2],
    entries: impl ExactSizeIterator<Item = ((Dtype, &'static [usize]), u8)>,
    payload: impl Iterator<Item = impl AsRef<[u8]>>,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut state = crc::START;
    let mut put = |bytes: &[u8]| {
        state = crc::update(state, bytes);
        sink(bytes)
    };
    // Sizes of a network are far below the limit, and an alphabet has at most 255 characters of 4 bytes.
    let u16_bytes = |value: usize| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
    put(&MAGIC)?;
    put(&VERSION.to_le_bytes())?;
    put(&u16_bytes(header_bytes(alphabet, lengths, entries.len())))?;
    put(&[shape.architecture as u8, layout])?;
    let sizes = [shape.positions, shape.symbols, shape.width, shape.blocks, shape.heads];
    put(sizes.map(u16_bytes).as_flattened())?;
    put(&[u8::try_from(entries.len()).unwrap_or(u8::MAX), activation])?;
    put(&u16_bytes(alphabet.characters().len()))?;
    put(alphabet.characters().as_bytes())?;
    put(lengths.counts().as_flattened())?;
    let mut offset: usize = 0;
    for (number, ((dtype, sizes), exponent)) in (0..=u8::MAX).zip(entries) {
        put(entry_of(number, (dtype, sizes), offset, exponent).as_flattened())?;
        offset = offset.saturating_add(dtype.bytes(product(sizes)));
    }
    for piece in payload {
        put(piece.as_ref())?;
    }
    sink(&(!state).to_le_bytes())
}

fn architecture_of(code: u8) -> Option<Architecture> {
    use Architecture::{Convolution, LocalTransformer, Mlp, Residual, Transformer};
    [Mlp, Residual, Transformer, Convolution, LocalTransformer].into_iter().find(|kind| *kind as u8 == code)
}
