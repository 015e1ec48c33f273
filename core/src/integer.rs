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

/// A network in integers: its tensors in a model file, and their evaluation without floats.
pub trait IntegerModel<const L: usize, const V: usize>: Sized {
    /// The kind of network and its sizes.
    const SHAPE: Shape;
    /// Storage format of the weights.
    const DTYPE: Dtype;
    /// Descriptions of the tensors, in the order of the file.
    const TENSORS: &'static [StoredTensor];
    /// Length of all tensors in bytes.
    const BYTES: usize = total_bytes(Self::TENSORS);

    /// The steps to which training rounds hidden values: their unit, the largest value, and the price of a value in the
    /// loss. With them, a network of floats computes this network's integers.
    fn steps() -> Steps;

    /// References to the tensors where they are stored, with their scales.
    type View<'a>: Copy + Send + Sync;
    /// Working memory of a denoiser: the text, and the hidden values of the last evaluation.
    type Memory;
    /// Initial content of a working memory, [`Memory`](Self::Memory).
    const MEMORY: Self::Memory;

    /// References the tensors in `payload`, the bytes of all tensors one after the other, with their `scales`: an
    /// exponent e for each, where an integer i stands for i·2⁻ᵉ.
    ///
    /// `None` if the length is wrong, if an exponent exceeds 16, or if a bias or a scale could make a sum overflow.
    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>>;

    /// Starts a text in `memory`, the working memory of a denoiser: `length` positions, 1 … `L`, all masked. A larger
    /// length counts as `L`, and 0 as a text without positions.
    fn start(view: &Self::View<'_>, memory: &mut Self::Memory, length: usize);

    /// Sets `position` of the text that [`start`](Self::start) began in `memory` to `symbol`, or masks it with `None`.
    ///
    /// A position past the end of the text is ignored. A symbol of `V` or more is read as masked.
    fn set(memory: &mut Self::Memory, position: usize, symbol: Option<u8>);

    /// Evaluates the network for the text in `memory`, which [`start`](Self::start) and [`set`](Self::set) wrote there.
    ///
    /// Leaves in `memory` the hidden values, or the sums that give them. From these, [`scores`](Self::scores) computes
    /// the scores of a position.
    fn evaluate(view: &Self::View<'_>, memory: &mut Self::Memory);

    /// Writes the [`Score`] of each of the `V` symbols at a masked `position`: ln p plus a constant, equal for all
    /// symbols, in units of 1/65536 nat.
    ///
    /// Call [`evaluate`](Self::evaluate) first, after each change of the text: `scores` reads what it left in `memory`.
    /// At a shown position, or past the text's end, `out` means nothing.
    fn scores(view: &Self::View<'_>, memory: &Self::Memory, position: usize, out: &mut [Score; V]);

    /// Creates the network's [`Denoiser`]. Call [`Denoiser::start`] before its other methods; `memory` may have any
    /// content.
    fn denoiser<'a, 'm>(
        view: Self::View<'a>,
        memory: &'m mut Self::Memory,
    ) -> IntegerDenoiser<'a, 'm, Self, L, V> {
        Self::start(&view, memory, L);
        IntegerDenoiser { view, memory }
    }
}

/// Denoiser that evaluates a network `M` in integers, made by [`IntegerModel::denoiser`]: borrows the network's tensors
/// for `'a`, and the working memory, which holds the text, mutably for `'m`.
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

/// A network of floats that has a counterpart in integers, [`Integers`].
pub trait Quantisable<const L: usize, const V: usize>: Model<L, V> {
    /// The network in integers, with weights of precision `P`, [`Int8`](crate::precision::Int8) or
    /// [`Int4`](crate::precision::Int4).
    type Integers<P: Precision + 'static>: IntegerModel<L, V>;
}

/// The counterpart in integers of the float network `M`, of `L` positions and `V` symbols, with weights of precision
/// `P`, [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
///
/// Examples: `Integers<Perceptron, Int4, 12, 26>`, `Integers<ConvolutionMedium<16, 64>, Int8, 16, 64>`.
pub type Integers<M, P, const L: usize, const V: usize> = <M as Quantisable<L, V>>::Integers<P>;

/// The scales of a network in integers, as exponents: with exponent e, an integer i stands for i·2⁻ᵉ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scales {
    /// Exponent a of all hidden values: an integer i stands for i·2⁻ᵃ.
    pub activation: u8,
    /// Exponent e of each tensor, in the order of the file: an integer i stands for i·2⁻ᵉ. Entries past the last tensor
    /// are 0.
    pub tensors: [u8; MOST_TENSORS],
}

impl Scales {
    /// The exponents [`activation`](Self::activation) and [`tensors`](Self::tensors); `None` if any of them exceeds 16,
    /// the largest that a model file can hold.
    ///
    /// Up to 16, no shift of an evaluation exceeds the width of its word.
    pub fn checked(&self) -> Option<(u8, [u8; MOST_TENSORS])> {
        let sound =
            self.activation <= LARGEST_EXPONENT && self.tensors.iter().all(|e| *e <= LARGEST_EXPONENT);
        sound.then_some((self.activation, self.tensors))
    }
}

/// The number of tensors of the integer network that has most.
pub const MOST_TENSORS: usize = 6;
/// Exponent of a score, 16: a [`Score`] s stands for s·2⁻¹⁶ nats.
///
/// A file whose sums have a larger exponent is refused, so that a left shift alone turns a sum into a score.
pub const SCORE: u8 = LARGEST_EXPONENT;
/// Bound on what the bias, and what the table, contributes to a hidden sum.
pub(crate) const SUM_SHARE: i16 = 1 << 14;
