//! The two-layer perceptron in integers.
//!
//! Exponents are e of the input table, a of the activations, u of the output table and c of the output bias. E, b, U and c_v
//! are the integers of the tensors, A the largest value, and ⌊·⌋ a shift right:
//!
//! ```text
//! sum_h   = b_nh + Σ_l E[l][x_l]_h               over the shown positions l of n, in units of 2⁻ᵉ
//! value_h = min(max(⌊sum_h / 2^(e − a)⌋, 0), A)  in units of 2⁻ᵃ
//! z_v     = Σ_h value_h·U[l][h]_v                in units of 2^−(a + u)
//! score_v = z_v·2^(16 − a − u) + c_v·2^(16 − c)  in units of 2⁻¹⁶, a [`Score`]
//! ```

use core::marker::PhantomData;

use crate::denoiser::{Model, Score, Shape};
use crate::dtype::Dtype;
use crate::integer::{IntegerModel, Quantisable, Scales};
use crate::integer_layers::{InputLayer, InputSums, OutputLayer};
use crate::mlp::Mlp;
use crate::precision::{Precision, steps};
use crate::steps::Steps;
use crate::stored::{Role, StoredTensor};

/// Two-layer perceptron in integers: [`Mlp`] over `L` positions and `V` symbols, with `H` hidden units, its weights and
/// hidden values rounded.
///
/// `P` is the precision of the weights, [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
#[derive(Clone, Copy, Debug)]
pub struct IntegerMlp<P, const L: usize, const V: usize, const H: usize>(PhantomData<P>);

/// References to the tensors of an [`IntegerMlp`] with `H` hidden units, where they are stored, for example in flash.
///
/// `P` is the precision of the weights, [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
#[derive(Clone, Copy, Debug)]
pub struct IntegerMlpView<'a, P, const L: usize, const V: usize, const H: usize> {
    input: InputLayer<'a, P, L, V, H>,
    output: OutputLayer<'a, P, L, V, H>,
}

impl<P: Precision + 'static, const L: usize, const V: usize, const H: usize> IntegerModel<L, V>
    for IntegerMlp<P, L, V, H>
{
    const SHAPE: Shape = Mlp::<L, V, H>::SHAPE;
    const DTYPE: Dtype = P::DTYPE;
    const TENSORS: &'static [StoredTensor] = &[
        StoredTensor { name: "input", dimensions: &[L, V, H], dtype: P::DTYPE, role: Role::Lookup },
        StoredTensor { name: "length", dimensions: &[L, H], dtype: Dtype::Int16, role: Role::HiddenBias },
        StoredTensor { name: "output", dimensions: &[L, H, V], dtype: P::DTYPE, role: Role::Product },
        StoredTensor { name: "output_bias", dimensions: &[L, V], dtype: Dtype::Int16, role: Role::ScoreBias },
    ];

    fn steps() -> Steps {
        steps::<P>(H, 1)
    }

    const MEMORY: Self::Memory = InputSums::EMPTY;

    type View<'a> = IntegerMlpView<'a, P, L, V, H>;
    type Memory = InputSums<L, H>;

    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>> {
        let (a, [e, b, u, c, ..]) = scales.checked()?;
        let mut rest = payload;
        let input = InputLayer::split(&mut rest, [a, e, b])?;
        let largest = u32::from(P::largest_value(H));
        let output = OutputLayer::split(&mut rest, [a, u, c], largest)?;
        rest.is_empty().then_some(IntegerMlpView { input, output })
    }

    fn start(view: &Self::View<'_>, memory: &mut Self::Memory, length: usize) {
        memory.start(&view.input, length);
    }

    fn set(memory: &mut Self::Memory, position: usize, symbol: Option<u8>) {
        memory.set(position, symbol);
    }

    fn evaluate(view: &Self::View<'_>, memory: &mut Self::Memory) {
        memory.update(&view.input);
    }

    fn scores(view: &Self::View<'_>, memory: &Self::Memory, position: usize, out: &mut [Score; V]) {
        view.output.scores(position, memory.values(view.input.shift, P::largest_value(H)), out);
    }
}

impl<const L: usize, const V: usize, const H: usize> Quantisable<L, V> for Mlp<L, V, H> {
    type Integers<P: Precision + 'static> = IntegerMlp<P, L, V, H>;
}
