//! The tensor table of a model file, whose layout is in [`file`](crate::file).

use crate::dtype::Dtype;
use crate::tensor::product;

/// The largest exponent of a scale, for the finest scale 2⁻¹⁶.
pub(crate) const LARGEST_EXPONENT: u8 = 16;

/// An entry of the table: number, dtype, number of dimensions and 0; four dimensions; offset; scale.
pub(crate) type Entry = [[u8; 4]; 7];

/// Length of an entry in bytes.
pub(crate) const TENSOR: usize = size_of::<Entry>();

fn dtype_of(code: u8) -> Option<Dtype> {
    [Dtype::F32, Dtype::Int8, Dtype::Int4, Dtype::Int16].into_iter().find(|dtype| *dtype as u8 == code)
}

/// Position of an f32's exponent, in bits.
const EXPONENT_PLACE: u32 = 23;

/// The exponent bits of 1.0.
const EXPONENT_OF_ONE: u32 = 127;

/// 2⁻ᵉ as the bytes of an f32.
fn scale_of(exponent: u8) -> [u8; 4] {
    (EXPONENT_OF_ONE.saturating_sub(u32::from(exponent)) << EXPONENT_PLACE).to_le_bytes()
}

/// The exponent e of the scale 2⁻ᵉ, e = 0 … 16; `None` for any other.
pub(crate) fn exponent_of(scale: [u8; 4]) -> Option<u8> {
    (0..=LARGEST_EXPONENT).find(|exponent| scale_of(*exponent) == scale)
}

/// Whether an f32 is finite, by its exponent, so that no float instruction is needed.
pub(crate) fn is_finite(bytes: [u8; 4]) -> bool {
    u32::from_le_bytes(bytes) >> EXPONENT_PLACE & 0xFF != 0xFF
}

/// The entry of tensor `number`, of this dtype and these sizes, with the scale 2⁻ᵉ, e = `exponent`.
pub(crate) fn entry_of(number: u8, (dtype, sizes): (Dtype, &[usize]), offset: usize, exponent: u8) -> Entry {
    let count = u8::try_from(sizes.len()).unwrap_or(u8::MAX);
    let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let size = |dimension: usize| word(sizes.get(dimension).copied().unwrap_or(1));
    let head = [number, dtype as u8, count, 0];
    [head, size(0), size(1), size(2), size(3), word(offset), scale_of(exponent)]
}

fn dimensions([_, dimensions @ .., _, _]: &Entry) -> [usize; 4] {
    dimensions.map(|size| usize::try_from(u32::from_le_bytes(size)).unwrap_or(usize::MAX))
}

/// The number of elements of a tensor: the product of its dimensions.
pub(crate) fn numbers(entry: &Entry) -> usize {
    product(&dimensions(entry))
}

/// The length of a tensor in bytes; an unknown dtype counts as f32.
pub(crate) fn bytes(entry: &Entry) -> usize {
    let [[_, dtype, ..], ..] = *entry;
    dtype_of(dtype).unwrap_or(Dtype::F32).bytes(numbers(entry))
}

/// The dtype of the weights, if the table is sound: tensors numbered from 0, without gaps, all f32 (`trained`) or all
/// integers. An entry is sound if writing its content gives its bytes.
pub(crate) fn check_table(tensors: &[Entry], trained: bool) -> Option<Dtype> {
    let mut offset: usize = 0;
    for (number, entry) in (0..=u8::MAX).zip(tensors) {
        let [[_, dtype, count, _], .., scale] = *entry;
        let (dtype, exponent, dimensions) = (dtype_of(dtype)?, exponent_of(scale)?, dimensions(entry));
        let sizes = dimensions.get(..usize::from(count)).filter(|sizes| !sizes.is_empty())?;
        let float = dtype == Dtype::F32;
        let written = entry_of(number, (dtype, sizes), offset, exponent);
        if *entry != written || float != trained || float && exponent != 0 {
            return None;
        }
        offset = offset.saturating_add(bytes(entry));
    }
    tensors.first().and_then(|[[_, dtype, ..], ..]| dtype_of(*dtype))
}
