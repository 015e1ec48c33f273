//! Networks in integers: 8-bit or 4-bit weights, and no float anywhere.
//!
//! All scales are powers of two, so that a change of scale is a shift. The integers are exactly the numbers that a float network
//! with the same rounded weights computes. [`integer_mlp`](crate::integer_mlp) has the arithmetic of the perceptron,
//! [`integer_layers`](crate::integer_layers) its layers, and [`precision`](crate::precision) how weights are stored and multiplied.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
//! Inference", CVPR 2018.

use crate::denoiser::{Denoiser, Model, Shape};
use crate::dtype::Dtype;
use crate::file_table::LARGEST_EXPONENT;
use crate::precision::Precision;
use crate::steps::Steps;
use crate::stored::{StoredTensor, total_bytes};

/// A network in integers, stored in a file.
pub trait IntegerModel<const L: usize, const V: usize> {
    /// Kind and sizes.
    const SHAPE: Shape;
    /// How the weights are stored.
    const DTYPE: Dtype;
    /// Its tensors, in the order of the file.
    const TENSORS: &'static [StoredTensor];
    /// Length of the tensors together.
    const BYTES: usize = total_bytes(Self::TENSORS);

    /// The steps of the hidden values that it is trained for.
    fn steps() -> Steps;

    /// The tensors in place, with their scales.
    type View<'a>: Copy + Send + Sync;
    /// What it works in.
    type Memory;
    /// Memory to begin with.
    const MEMORY: Self::Memory;
    /// The model at work.
    type Denoiser<'a>: Denoiser<L, V>;

    /// Views `payload`, the tensors one after the other, at their `scales`.
    ///
    /// `None` where the length is wrong, or where a bias or a scale could make a sum overflow.
    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>>;

    /// The model as a [`Denoiser`] that has not [started](Denoiser::start) a text; `memory` may be in any state.
    fn denoiser<'a: 'm, 'm>(view: Self::View<'a>, memory: &'m mut Self::Memory) -> Self::Denoiser<'m>;
}

/// A network of floats that also exists in integers: [`Integers`].
pub trait Quantisable<const L: usize, const V: usize>: Model<L, V> {
    /// The same network with weights of precision `P`.
    type Integers<P: Precision + 'static>: IntegerModel<L, V>;
}

/// The network `M` of `L` positions and `V` symbols, with weights of precision `P`: `Integers<Perceptron, Int4, 12, 26>`,
/// `Integers<ConvolutionMedium<16, 64>, Int8, 16, 64>`.
pub type Integers<M, P, const L: usize, const V: usize> = <M as Quantisable<L, V>>::Integers<P>;

/// The scales of a network, as exponents: e stands for 2⁻ᵉ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scales {
    /// Of the hidden layers' values.
    pub activation: u8,
    /// Of each tensor, in the order of the file; tensors past the last have exponent 0.
    pub tensors: [u8; MOST_TENSORS],
}

impl Scales {
    /// The exponents of the activations and of the tensors; `None` where one is above 16, the finest that a file can have,
    /// up to which no shift leaves its word.
    pub fn checked(&self) -> Option<(u8, [u8; MOST_TENSORS])> {
        let sound =
            self.activation <= LARGEST_EXPONENT && self.tensors.iter().all(|e| *e <= LARGEST_EXPONENT);
        sound.then_some((self.activation, self.tensors))
    }
}

/// Tensors of the largest integer network.
pub const MOST_TENSORS: usize = 6;
/// The exponent of a [`Score`](crate::denoiser::Score), and the largest of a scale.
pub const SCORE: u8 = LARGEST_EXPONENT;
/// What biases and tables may each contribute to a hidden sum.
pub(crate) const SUM_SHARE: i16 = 1 << 14;
