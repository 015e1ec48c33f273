//! Tensors of integers as a model file stores them: codes without sign, in rows of whole or half bytes.

use crate::dtype::Dtype;
use crate::tensor::product;

impl Dtype {
    /// The code of 0.
    pub const fn zero(self) -> u8 {
        match self {
            Self::Int8 => 128,
            Self::Int4 => 8,
            Self::F32 | Self::Int16 => 0,
        }
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
    /// Its dtype and dimensions.
    pub(crate) const fn stored(&self) -> (Dtype, &'static [usize]) {
        (self.dtype, self.dimensions)
    }

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
