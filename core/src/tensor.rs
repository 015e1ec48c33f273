//! Fixed-size tensors: nested arrays, and typed views of a flat slice.
//!
//! A model's parameters are one flat slice. A view splits it into references to arrays whose types carry the shapes,
//! without copying, so that the same view serves weights in memory, gradients and a file in flash, and no large array
//! is ever a value on the stack.

/// One parameter tensor: its name, its dimensions, and how training may split it. A model lists its tensors in flat
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in checkpoints and reports.
    pub name: &'static str,
    /// Dimensions, outermost first, row-major.
    pub dimensions: &'static [usize],
    /// Into how many equal, contiguous parts its gradient can be split; each is computed alone.
    pub parts: usize,
}

impl Tensor {
    /// How many numbers the tensor holds: the product of its dimensions.
    pub const fn len(&self) -> usize {
        product(self.dimensions)
    }

    /// Whether the tensor holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many numbers one part holds.
    pub const fn part_len(&self) -> usize {
        match self.len().checked_div(self.parts) {
            Some(len) => len,
            None => 0,
        }
    }
}

/// The product of `dimensions`.
pub(crate) const fn product(dimensions: &[usize]) -> usize {
    let (mut product, mut rest) = (1usize, dimensions);
    while let [first, tail @ ..] = rest {
        product = product.saturating_mul(*first);
        rest = tail;
    }
    product
}

/// How the numbers of a tensor are stored.
///
/// An integer weight is stored as a code without sign, weight = (code − [`zero`](Self::zero))·scale, so that one
/// instruction loads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Four bytes, IEEE 754.
    F32,
    /// A byte for each weight: code − 128, −128 … 127.
    Int8,
    /// Two weights in a byte, the first in its low half: code − 8, −8 … 7. Where rows, the last dimension, are odd, the last
    /// weights of rows 2i and 2i + 1 share a byte between the rows; see [`row`](Self::row).
    Int4,
    /// Two bytes with sign: biases beside [`Int8`](Self::Int8) and [`Int4`](Self::Int4) weights.
    Int16,
}

impl Dtype {
    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Int16 => "int16",
        }
    }

    /// The bits of one number.
    pub const fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::Int8 => 8,
            Self::Int4 => 4,
            Self::Int16 => 16,
        }
    }

    /// The code of 0.
    pub const fn zero(self) -> u8 {
        match self {
            Self::Int8 => 128,
            Self::Int4 => 8,
            Self::F32 | Self::Int16 => 0,
        }
    }

    /// The bytes of a tensor of `numbers`.
    pub const fn bytes(self, numbers: usize) -> usize {
        numbers.saturating_mul(self.bits()).div_ceil(8)
    }

    /// Row `number` of a tensor with rows of `length` weights: where its whole bytes begin, how many they are, and where its
    /// last weight lies if that is half a byte.
    ///
    /// An odd row of nibbles has ⌊length/2⌋ whole bytes. Rows 2i and 2i + 1 lie as: the bytes of row 2i; a byte with the last
    /// weight of row 2i in its low half and that of row 2i + 1 in its high half; the bytes of row 2i + 1.
    #[inline(always)]
    pub const fn row(self, number: usize, length: usize) -> (usize, usize, Option<Nibble>) {
        let bytes = length.wrapping_mul(self.bits()) >> 3;
        let start = number.wrapping_mul(bytes);
        if length.wrapping_mul(self.bits()) & 7 == 0 {
            return (start, bytes, None);
        }
        let (pair, odd) = (number >> 1, number & 1);
        let start = start.wrapping_add(pair).wrapping_add(odd);
        let byte = if odd == 1 { start.wrapping_sub(1) } else { start.wrapping_add(bytes) };
        (start, bytes, Some(Nibble { byte, high: odd == 1 }))
    }
}

/// The place of half a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nibble {
    /// The byte.
    pub byte: usize,
    /// Whether it is the high half.
    pub high: bool,
}

/// What an integer tensor does in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A table of rows that symbols add to a hidden layer.
    Lookup,
    /// A table of rows that a residual stream begins with.
    Embedding,
    /// The bias of a hidden layer.
    HiddenBias,
    /// A bias that is added to a residual stream.
    StreamBias,
    /// A matrix that multiplies hidden values, stored with the hidden units outermost: the last two dimensions change places
    /// with respect to training.
    Product,
    /// The bias of the scores.
    ScoreBias,
}

/// A tensor of integers in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Name in reports.
    pub name: &'static str,
    /// Dimensions, outermost first, row-major.
    pub dimensions: &'static [usize],
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// What it does.
    pub role: Role,
}

impl StoredTensor {
    /// How many bytes it takes.
    pub const fn bytes(&self) -> usize {
        self.dtype.bytes(self.numbers())
    }

    /// How many numbers it holds: the product of its dimensions.
    pub const fn numbers(&self) -> usize {
        product(self.dimensions)
    }

    /// The length of a row, the last dimension.
    pub const fn row(&self) -> usize {
        match self.dimensions {
            [.., row] => *row,
            [] => 0,
        }
    }
}

/// How many bytes `tensors` take together.
pub const fn total_bytes(tensors: &[StoredTensor]) -> usize {
    let (mut sum, mut rest) = (0usize, tensors);
    while let [first, tail @ ..] = rest {
        sum = sum.saturating_add(first.bytes());
        rest = tail;
    }
    sum
}

/// How many bytes tensor `number` of `tensors` takes; 0 past the last.
pub(crate) const fn bytes_of(tensors: &[StoredTensor], number: usize) -> usize {
    match (tensors, number) {
        ([tensor, ..], 0) => tensor.bytes(),
        ([_, rest @ ..], _) => bytes_of(rest, number.saturating_sub(1)),
        ([], _) => 0,
    }
}

/// How many numbers `tensors` hold together.
pub const fn total_len(tensors: &[Tensor]) -> usize {
    let (mut sum, mut rest) = (0usize, tensors);
    while let [first, tail @ ..] = rest {
        sum = sum.saturating_add(first.len());
        rest = tail;
    }
    sum
}

/// Block number `number` of `flat`, `length` numbers each; `None` where there are fewer.
#[inline(always)]
pub(crate) fn block<T>(flat: &[T], number: usize, length: usize) -> Option<&[T]> {
    flat.get(number.checked_mul(length)?..)?.get(..length)
}

/// Block number `number` of `flat`, to be written.
#[inline(always)]
pub(crate) fn block_mut<T>(flat: &mut [T], number: usize, length: usize) -> Option<&mut [T]> {
    flat.get_mut(number.checked_mul(length)?..)?.get_mut(..length)
}

/// The first `N` rows of `flat`, `width` numbers each; `None` where there are fewer.
#[inline(always)]
pub(crate) fn first_rows<T, const N: usize>(mut flat: &[T], width: usize) -> Option<[&[T]; N]> {
    let none: &[T] = &[];
    let mut rows = [none; N];
    for row in &mut rows {
        (*row, flat) = flat.split_at_checked(width)?;
    }
    Some(rows)
}

/// The first `N` rows of `flat`, `width` numbers each, to be written; `None` where there are fewer.
#[inline(always)]
pub(crate) fn first_rows_mut<T, const N: usize>(mut flat: &mut [T], width: usize) -> Option<[&mut [T]; N]> {
    let mut rows = core::array::from_fn(|_| &mut [][..]);
    for row in &mut rows {
        (*row, flat) = flat.split_at_mut_checked(width)?;
    }
    Some(rows)
}

/// Splits `[T; N]` off the front of `flat`; `None` where it is too short.
pub fn vector<'a, T, const N: usize>(flat: &mut &'a [T]) -> Option<&'a [T; N]> {
    let (head, tail) = flat.split_first_chunk()?;
    *flat = tail;
    Some(head)
}

/// Splits `[[T; N]; M]` off the front of `flat`; `None` where it is too short.
pub fn matrix<'a, T, const N: usize, const M: usize>(flat: &mut &'a [T]) -> Option<&'a [[T; N]; M]> {
    let (head, tail) = flat.split_at_checked(M.checked_mul(N)?)?;
    *flat = tail;
    head.as_chunks().0.try_into().ok()
}

/// Splits `[[[T; N]; M]; K]` off the front of `flat`; `None` where it is too short.
pub fn cube<'a, T, const N: usize, const M: usize, const K: usize>(
    flat: &mut &'a [T],
) -> Option<&'a [[[T; N]; M]; K]> {
    let (head, tail) = flat.split_at_checked(K.checked_mul(M)?.checked_mul(N)?)?;
    *flat = tail;
    head.as_chunks().0.as_chunks().0.try_into().ok()
}

/// Splits `[[[[T; N]; M]; K]; J]` off the front of `flat`; `None` where it is too short.
pub fn hypercube<'a, T, const N: usize, const M: usize, const K: usize, const J: usize>(
    flat: &mut &'a [T],
) -> Option<&'a [[[[T; N]; M]; K]; J]> {
    let (head, tail) = flat.split_at_checked(J.checked_mul(K)?.checked_mul(M)?.checked_mul(N)?)?;
    *flat = tail;
    head.as_chunks().0.as_chunks().0.as_chunks().0.try_into().ok()
}

/// Splits a mutable `[T; N]` off the front of `flat`; `None` where it is too short.
pub fn vector_mut<'a, T, const N: usize>(flat: &mut &'a mut [T]) -> Option<&'a mut [T; N]> {
    let (head, tail) = core::mem::take(flat).split_first_chunk_mut()?;
    *flat = tail;
    Some(head)
}
