//! Model files of networks in integers.

use crate::denoiser::Shape;
use crate::file::{FileError, LAYOUT_INTEGERS, ModelFile, write_pieces};
use crate::file_table::exponent_of;
use crate::integer::{IntegerModel, MOST_TENSORS, Scales};
use crate::length::Lengths;
use crate::stored::StoredTensor;
use crate::text::Alphabet;

impl<'a> ModelFile<'a> {
    /// The tensors of a network `M` in integers, borrowed from the file.
    ///
    /// # Errors
    /// [`FileError::Shape`] if the file holds a model of another shape, [`FileError::Dtype`] if its weights have
    /// another dtype, [`FileError::Scale`] if a sum could overflow.
    pub fn integers<M: IntegerModel<L, V>, const L: usize, const V: usize>(
        &self,
    ) -> Result<M::View<'a>, FileError> {
        self.check(&M::SHAPE, M::DTYPE, M::TENSORS.iter().map(StoredTensor::stored))?;
        M::view(self.payload, &self.scales()).ok_or(FileError::Scale)
    }

    /// The bytes of all tensors, one after the other. Those of a network in integers are what [`IntegerModel::view`]
    /// takes; one of floats has four bytes for each number, little-endian.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The scales of a network in integers: exponents e for the hidden values and for each tensor, each at most 16; an
    /// integer i stands for i·2⁻ᵉ.
    ///
    /// All are 0 if the file holds floats. Entries past the last tensor are 0, and tensors past [`MOST_TENSORS`] are
    /// left out.
    pub fn scales(&self) -> Scales {
        let mut scales = Scales { activation: self.activation, tensors: [0; MOST_TENSORS] };
        for (slot, [.., scale]) in scales.tensors.iter_mut().zip(self.tensors) {
            *slot = exponent_of(*scale).unwrap_or(0);
        }
        scales
    }
}

/// Writes the model file of a network in integers to `sink`, piece by piece.
///
/// `payload` has the bytes of the `tensors` one after the other, and `scales` an exponent e = 0 … 16 for each, and one
/// for hidden values: an integer i stands for i·2⁻ᵉ. `lengths` holds how many training texts have each length 1 … L.
/// `E` is the error of `sink`.
///
/// Nothing is checked: with a larger exponent, a `payload` of another length, or `tensors` that do not fit `shape`, a
/// file is written that reading refuses.
///
/// # Errors
/// The first error of `sink`, after which nothing is written.
pub fn write_integers<E>(
    shape: &Shape,
    tensors: &[StoredTensor],
    alphabet: Alphabet,
    lengths: Lengths,
    scales: &Scales,
    payload: &[u8],
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let entries = tensors.iter().zip(scales.tensors).map(|(tensor, scale)| (tensor.stored(), scale));
    let layout = [LAYOUT_INTEGERS, scales.activation];
    write_pieces(shape, (alphabet, lengths), layout, entries, core::iter::once(payload), sink)
}
