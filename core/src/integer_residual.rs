//! The residual perceptron in integers.
//!
//! Adds to the arithmetic of [`integer_mlp`](crate::integer_mlp) a second hidden layer g after the first, f. Its matrix W has
//! the hidden units outermost and codes in units of 2⁻ʷ; its bias d is in units of 2^−(a + w):
//!
//! ```text
//! f_h     = min(max(⌊(b_nh + Σ_l E[l][x_l]_h) / 2^(e − a)⌋, 0), A)
//! g_i     = min(max(⌊(d_i + Σ_h f_h·W[h]_i) / 2ʷ⌋, 0), A)         sum in units of 2^−(a + w)
//! value_h = f_h + g_h
//! ```
//!
//! The output layer takes `value`. A is chosen for 2·H units of one layer, so that H values of up to 2·A stay within its
//! bounds. W and the output table are read only in rows of values above 0.
//!
//! **Bounds.** |d_i + Σ f·W| ≤ 2¹⁴ + 255·128·256 < 2²⁴.

use core::marker::PhantomData;

use crate::denoiser::{Model, Score, Shape};
use crate::dtype::Dtype;
use crate::integer::{IntegerModel, Quantisable, Scales};
use crate::integer_layers::{InputLayer, InputSums, OutputLayer, split_hidden_bias, split_table, value_of};
use crate::integer_sums::sum_rows;
use crate::precision::{Precision, steps};
use crate::residual::Residual;
use crate::steps::Steps;
use crate::stored::{Role, StoredTensor};

/// Residual perceptron in integers: [`Residual`] over `L` positions and `V` symbols, with two hidden layers of `H`
/// units, its weights and hidden values rounded.
///
/// `P` is the precision of the weights, [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
#[derive(Clone, Copy, Debug)]
pub struct IntegerResidual<P, const L: usize, const V: usize, const H: usize>(PhantomData<P>);

/// References to the tensors of an [`IntegerResidual`] with two hidden layers of `H` units, where they are stored, for
/// example in flash.
///
/// `P` is the precision of the weights, [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
#[derive(Clone, Copy, Debug)]
pub struct IntegerResidualView<'a, P, const L: usize, const V: usize, const H: usize> {
    input: InputLayer<'a, P, L, V, H>,
    /// W, `[H][H]`, in blocks.
    residual: &'a [[u8; H]],
    /// d.
    residual_bias: &'a [[u8; 2]; H],
    /// The exponent w of W.
    shift: u32,
    output: OutputLayer<'a, P, L, V, H>,
}

/// Working memory of an [`IntegerResidual`]: a text of `L` positions, and the sums and values of `H` units in each of
/// two hidden layers.
///
/// Takes 6·`H` + 4·`L` + 33 bytes, rounded up to a multiple of 4.
#[derive(Clone, Debug)]
pub struct IntegerResidualMemory<const L: usize, const H: usize> {
    input: InputSums<L, H>,
    /// Sums of the second layer, then f + g.
    hidden: [i32; H],
}

/// The largest value A of each layer; the output layer adds two.
#[inline(always)]
fn largest_value<P: Precision, const H: usize>() -> u8 {
    P::largest_value(H.saturating_mul(2))
}

impl<P: Precision + 'static, const L: usize, const V: usize, const H: usize> IntegerModel<L, V>
    for IntegerResidual<P, L, V, H>
{
    const SHAPE: Shape = Residual::<L, V, H>::SHAPE;
    const DTYPE: Dtype = P::DTYPE;
    const TENSORS: &'static [StoredTensor] = &[
        StoredTensor { name: "input", dimensions: &[L, V, H], dtype: P::DTYPE, role: Role::Lookup },
        StoredTensor { name: "length", dimensions: &[L, H], dtype: Dtype::Int16, role: Role::HiddenBias },
        StoredTensor { name: "residual", dimensions: &[H, H], dtype: P::DTYPE, role: Role::Product },
        StoredTensor { name: "residual_bias", dimensions: &[H], dtype: Dtype::Int16, role: Role::HiddenBias },
        StoredTensor { name: "output", dimensions: &[L, H, V], dtype: P::DTYPE, role: Role::Product },
        StoredTensor { name: "output_bias", dimensions: &[L, V], dtype: Dtype::Int16, role: Role::ScoreBias },
    ];

    fn steps() -> Steps {
        steps::<P>(H, 2)
    }

    const MEMORY: Self::Memory = IntegerResidualMemory { input: InputSums::EMPTY, hidden: [0; H] };

    type View<'a> = IntegerResidualView<'a, P, L, V, H>;
    type Memory = IntegerResidualMemory<L, H>;

    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>> {
        let (a, [e, b, w, d, u, c]) = scales.checked()?;
        let mut rest = payload;
        let input = InputLayer::split(&mut rest, [a, e, b])?;
        let residual = split_table(&mut rest, const { P::DTYPE.bytes(H * H) })?;
        let [residual_bias] = split_hidden_bias(&mut rest)?;
        let largest = u32::from(largest_value::<P, H>()).wrapping_mul(2);
        let output = OutputLayer::split(&mut rest, [a, u, c], largest)?;
        let sound = rest.is_empty() && a.checked_add(w) == Some(d);
        sound.then_some(IntegerResidualView { input, residual, residual_bias, shift: u32::from(w), output })
    }

    fn start(view: &Self::View<'_>, memory: &mut Self::Memory, length: usize) {
        memory.input.start(&view.input, length);
    }

    fn set(memory: &mut Self::Memory, position: usize, symbol: Option<u8>) {
        memory.input.set(position, symbol);
    }

    fn evaluate(view: &Self::View<'_>, memory: &mut Self::Memory) {
        let IntegerResidualMemory { input, hidden } = memory;
        let (first_shift, shift) = (view.input.shift & 31, view.shift & 31);
        let largest = largest_value::<P, H>();
        input.update(&view.input);
        let zero = sum_rows::<P, H>(view.residual, input.values(first_shift, largest), hidden);
        for ((hidden, bias), sum) in hidden.iter_mut().zip(view.residual_bias).zip(&input.sums) {
            let second = hidden.wrapping_sub(zero).wrapping_add(i16::from_le_bytes(*bias).into());
            let value = |sum: i32, shift| value_of(sum.max(0), shift, largest).cast_signed();
            *hidden = value(second, shift).wrapping_add(value((*sum).into(), first_shift));
        }
    }

    fn scores(view: &Self::View<'_>, memory: &Self::Memory, position: usize, out: &mut [Score; V]) {
        let values = memory.hidden.iter().map(|value| value.cast_unsigned()).enumerate();
        view.output.scores(position, values.filter(|(_, value)| *value > 0), out);
    }
}

impl<const L: usize, const V: usize, const H: usize> Quantisable<L, V> for Residual<L, V, H> {
    type Integers<P: Precision + 'static> = IntegerResidual<P, L, V, H>;
}
