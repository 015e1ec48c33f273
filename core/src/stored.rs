//! Integer tensors in a model file: unsigned codes, in rows of bytes or half bytes.

use crate::dtype::Dtype;
use crate::tensor::product;

impl Dtype {
    /// The zero point: the code that stands for the weight 0, 128 in 8 bits and 8 in 4 bits. Floats and biases have no
    /// codes; for them it is 0.
    pub const fn zero(self) -> u8 {
        match self {
            Self::Int8 => 128,
            Self::Int4 => 8,
            Self::F32 | Self::Int16 => 0,
        }
    }

    /// The place of row `number` in a tensor with rows of `length` weights: index of its first whole byte, number of
    /// its whole bytes, and a half byte, if any.
    ///
    /// Bytes are counted from the start of the tensor. Only rows of half bytes and odd `length` have a half byte, their
    /// last weight. Then rows 2i and 2i + 1 are ⌊length/2⌋ bytes of row 2i, a shared byte, and ⌊length/2⌋ bytes of row
    /// 2i + 1.
    ///
    /// The shared byte has the last weight of row 2i in its low half and that of row 2i + 1 in its high half. So it
    /// follows the whole bytes of row 2i, and precedes those of row 2i + 1. A last row 2i without a partner has such a
    /// byte too.
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

/// Place of a half byte in a tensor: the index of its byte, counted from the start of the tensor, and which half of
/// that byte.
///
/// The low half, bits 0 … 3, has the earlier of two weights of a row. In a byte shared by two rows of odd length, it
/// has the last weight of the earlier row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nibble {
    /// Index of the byte that has the half, counted from the start of the tensor.
    pub byte: usize,
    /// Whether the half is bits 4 … 7 of the byte. Else it is bits 0 … 3.
    pub high: bool,
}

/// The use of an integer tensor in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rows that symbols add to a hidden layer.
    Lookup,
    /// Rows with which a residual stream begins.
    Embedding,
    /// Bias of a hidden layer.
    HiddenBias,
    /// Bias added to a residual stream.
    StreamBias,
    /// Matrix that multiplies hidden values. The hidden units are outermost: the last two dimensions of training are swapped.
    Product,
    /// Bias of the scores.
    ScoreBias,
}

/// Description of an integer tensor in a model file: its name, sizes, storage format and use. The numbers are
/// elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Name in reports.
    pub name: &'static str,
    /// Sizes of the dimensions, outermost first. The numbers lie row by row: the last dimension varies fastest.
    pub dimensions: &'static [usize],
    /// Storage format of the numbers.
    pub dtype: Dtype,
    /// Use in the network.
    pub role: Role,
}

impl StoredTensor {
    /// Dtype and dimensions.
    pub(crate) const fn stored(&self) -> (Dtype, &'static [usize]) {
        (self.dtype, self.dimensions)
    }

    /// The tensor's length in bytes.
    pub const fn bytes(&self) -> usize {
        self.dtype.bytes(self.numbers())
    }

    /// The number of elements: the product of the dimensions.
    pub const fn numbers(&self) -> usize {
        product(self.dimensions)
    }

    /// The number of elements of a row: the last dimension.
    pub const fn row(&self) -> usize {
        match self.dimensions {
            [.., row] => *row,
            [] => 0,
        }
    }
}

/// The length of all `tensors` in bytes.
pub const fn total_bytes(tensors: &[StoredTensor]) -> usize {
    match tensors {
        [first, rest @ ..] => total_bytes(rest).saturating_add(first.bytes()),
        [] => 0,
    }
}

/// The length of tensor `number` of `tensors` in bytes; 0 past the last.
pub(crate) const fn bytes_of(tensors: &[StoredTensor], number: usize) -> usize {
    match (tensors, number) {
        ([tensor, ..], 0) => tensor.bytes(),
        ([_, rest @ ..], _) => bytes_of(rest, number.saturating_sub(1)),
        ([], _) => 0,
    }
}
