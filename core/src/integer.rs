//! Networks in integers: 8-bit or 4-bit weights, and no float.
//!
//! All scales are powers of two, so that a shift changes the scale. The integers equal the numbers that a float network with
//! these rounded weights computes. [`integer_mlp`](crate::integer_mlp) has the arithmetic of the perceptron,
//! [`integer_layers`](crate::integer_layers) its layers, and [`precision`](crate::precision) the storage and multiplication
//! of weights.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
//! CVPR 2018.

use crate::denoiser::{Denoiser, Model, Score, Shape};
use crate::dtype::Dtype;
use crate::file_table::LARGEST_EXPONENT;
use crate::precision::Precision;
use crate::steps::Steps;
use crate::stored::{StoredTensor, total_bytes};

/// A network in integers, stored in a file.
pub trait IntegerModel<const L: usize, const V: usize>: Sized {
    /// The architecture and the sizes.
    const SHAPE: Shape;
    /// Storage format of the weights.
    const DTYPE: Dtype;
    /// Tensors in the order of the file.
    const TENSORS: &'static [StoredTensor];
    /// Length of all tensors in bytes.
    const BYTES: usize = total_bytes(Self::TENSORS);

    /// The steps of the hidden values in training.
    fn steps() -> Steps;

    /// Tensors in place, with their scales.
    type View<'a>: Copy + Send + Sync;
    /// Working memory of a denoiser.
    type Memory;
    /// Initial working memory.
    const MEMORY: Self::Memory;

    /// Views the tensors of `payload` in place, at their `scales`.
    ///
    /// `None` if the length is wrong, or if a bias or a scale could make a sum overflow.
    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>>;

    /// Starts a text of `length` masks in `memory`; see [`Denoiser::start`].
    fn start(view: &Self::View<'_>, memory: &mut Self::Memory, length: usize);

    /// Sets `position` of the text in `memory` to `symbol`, and masks it if that is `None`; see [`Denoiser::set`].
    fn set(memory: &mut Self::Memory, position: usize, symbol: Option<u8>);

    /// Evaluates the text in `memory`; see [`Denoiser::evaluate`].
    fn evaluate(view: &Self::View<'_>, memory: &mut Self::Memory);

    /// Writes the scores of `position` after an evaluation; see [`Denoiser::scores`].
    fn scores(view: &Self::View<'_>, memory: &Self::Memory, position: usize, out: &mut [Score; V]);

    /// Creates a denoiser, which has not [started](Denoiser::start) a text; `memory` may have any content.
    fn denoiser<'a, 'm>(
        view: Self::View<'a>,
        memory: &'m mut Self::Memory,
    ) -> IntegerDenoiser<'a, 'm, Self, L, V> {
        Self::start(&view, memory, L);
        IntegerDenoiser { view, memory }
    }
}

/// A denoiser that evaluates a network `M` in integers.
#[derive(Debug)]
pub struct IntegerDenoiser<'a, 'm, M: IntegerModel<L, V> + 'a, const L: usize, const V: usize> {
    view: M::View<'a>,
    memory: &'m mut M::Memory,
}

impl<M: IntegerModel<L, V>, const L: usize, const V: usize> Denoiser<L, V>
    for IntegerDenoiser<'_, '_, M, L, V>
{
    #[inline(always)]
    fn start(&mut self, length: usize) {
        M::start(&self.view, self.memory, length);
    }

    #[inline(always)]
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        M::set(self.memory, position, symbol);
    }

    #[inline(always)]
    fn evaluate(&mut self) {
        M::evaluate(&self.view, self.memory);
    }

    #[inline(always)]
    fn scores(&self, position: usize, out: &mut [Score; V]) {
        M::scores(&self.view, self.memory, position, out);
    }
}

/// A network of floats with a counterpart in [`Integers`].
pub trait Quantisable<const L: usize, const V: usize>: Model<L, V> {
    /// The network with weights of precision `P`.
    type Integers<P: Precision + 'static>: IntegerModel<L, V>;
}

/// The network `M` of `L` positions and `V` symbols with weights of precision `P`.
///
/// Examples: `Integers<Perceptron, Int4, 12, 26>`, `Integers<ConvolutionMedium<16, 64>, Int8, 16, 64>`.
pub type Integers<M, P, const L: usize, const V: usize> = <M as Quantisable<L, V>>::Integers<P>;

/// The scales of a network in integers, as exponents: e stands for 2⁻ᵉ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scales {
    /// Exponent of hidden values.
    pub activation: u8,
    /// Exponents of tensors, in the order of the file; 0 past the last.
    pub tensors: [u8; MOST_TENSORS],
}

impl Scales {
    /// The exponents of activations and tensors; `None` if one exceeds 16, the finest scale of a file.
    ///
    /// Up to 16, no shift exceeds the width of its word.
    pub fn checked(&self) -> Option<(u8, [u8; MOST_TENSORS])> {
        let sound =
            self.activation <= LARGEST_EXPONENT && self.tensors.iter().all(|e| *e <= LARGEST_EXPONENT);
        sound.then_some((self.activation, self.tensors))
    }
}

/// The number of tensors of the largest network in integers.
pub const MOST_TENSORS: usize = 6;
/// The exponent of a score: a [`Score`] s is s·2⁻¹⁶ nats. No scale of a tensor has a larger exponent, so what becomes a score is
/// shifted up only.
pub const SCORE: u8 = LARGEST_EXPONENT;
/// Bound on what the bias, and what the table, contributes to a hidden sum.
pub(crate) const SUM_SHARE: i16 = 1 << 14;
