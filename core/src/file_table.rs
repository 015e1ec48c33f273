//! The tensor table of a model file, whose layout is in [`file`](crate::file).

use crate::dtype::Dtype;

/// The largest exponent of a scale, for the finest scale 2⁻¹⁶.
pub(crate) const LARGEST_EXPONENT: u8 = 16;

/// Length of an entry in bytes.
pub(crate) const TENSOR: usize = 28;

pub(crate) fn u32_of(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn dtype_of(code: u8) -> Option<Dtype> {
    [Dtype::F32, Dtype::Int8, Dtype::Int4, Dtype::Int16].into_iter().find(|dtype| *dtype as u8 == code)
}

/// Position of an f32's exponent, in bits.
const EXPONENT_PLACE: u32 = 23;

/// The exponent bits of 1.0.
const EXPONENT_OF_ONE: u32 = 127;

/// 2⁻ᵉ as the bits of an f32.
pub(crate) fn scale_bits(exponent: u8) -> u32 {
    EXPONENT_OF_ONE.saturating_sub(u32::from(exponent)) << EXPONENT_PLACE
}

/// The exponent e of the scale 2⁻ᵉ, e = 0 … 16; `None` for any other.
pub(crate) fn exponent_of(scale: u32) -> Option<u8> {
    (0..=LARGEST_EXPONENT).find(|exponent| scale_bits(*exponent) == scale)
}

/// Whether an f32 is finite, by its exponent, so that no float instruction is needed.
pub(crate) fn is_finite(bytes: [u8; 4]) -> bool {
    u32::from_le_bytes(bytes) >> EXPONENT_PLACE & 0xFF != 0xFF
}

/// The sizes of a tensor, filled up with 1 to four dimensions.
pub(crate) fn dimensions_of(tensor: &[usize]) -> [u32; 4] {
    let mut dimensions = [1; 4];
    for (slot, dimension) in dimensions.iter_mut().zip(tensor) {
        *slot = u32_of(*dimension);
    }
    dimensions
}

/// An entry of the tensor table.
pub(crate) struct Entry {
    number: u8,
    pub(crate) dtype: u8,
    pub(crate) dimension_count: u8,
    reserved: u8,
    pub(crate) dimensions: [u32; 4],
    offset: u32,
    pub(crate) scale: u32,
}

impl Entry {
    /// The number of elements: the product of the dimensions.
    pub(crate) fn numbers(&self) -> usize {
        let sizes = self.dimensions.iter().map(|size| usize::try_from(*size).unwrap_or(usize::MAX));
        sizes.fold(1, usize::saturating_mul)
    }

    /// The length of the tensor in bytes; an unknown dtype counts as f32.
    pub(crate) fn bytes(&self) -> usize {
        dtype_of(self.dtype).unwrap_or(Dtype::F32).bytes(self.numbers())
    }
}

pub(crate) fn entry(bytes: &[u8; TENSOR]) -> Entry {
    let (head, words) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let [number, dtype, dimension_count, reserved] = *head;
    let mut words = words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let mut next = || words.next().unwrap_or(0);
    let dimensions = [next(), next(), next(), next()];
    Entry { number, dtype, dimension_count, reserved, dimensions, offset: next(), scale: next() }
}

/// The dtype of the weights, if the table is sound: tensors numbered from 0, without gaps, all f32 (`trained`) or all
/// integers.
pub(crate) fn check_table(tensors: &[[u8; TENSOR]], trained: bool) -> Option<Dtype> {
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
