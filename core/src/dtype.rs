//! Dtypes: how numbers of a tensor are stored in a model file.

/// Storage format of a tensor's numbers. Each variant has its number in a model file.
///
/// Integer weights are stored as codes from 0 up, which a processor loads without extending a sign: weight = (code −
/// zero point)·scale. [`zero`](Self::zero) is the zero point. Each tensor has one scale, a power of two, beside its
/// dtype in the file's table of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Four bytes, IEEE 754.
    F32 = 1,
    /// A byte for each weight: code − 128, from −128 to 127.
    Int8 = 2,
    /// Two weights in a byte, the first in its low half: code − 8, from −8 to 7. If rows (the last dimension) are odd, the
    /// last weights of rows 2i and 2i + 1 share a byte between the rows; see [`row`](Self::row).
    Int4 = 3,
    /// Two bytes, signed: biases beside [`Int8`](Self::Int8) and [`Int4`](Self::Int4) weights.
    Int16 = 4,
}

impl Dtype {
    /// The name of the dtype in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Int16 => "int16",
        }
    }

    /// The number of bits of one stored number.
    pub const fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::Int8 => 8,
            Self::Int4 => 4,
            Self::Int16 => 16,
        }
    }

    /// The length in bytes of a tensor of `numbers` numbers, rounded up to whole bytes.
    pub const fn bytes(self, numbers: usize) -> usize {
        numbers.saturating_mul(self.bits()).div_ceil(8)
    }
}
