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

use crate::denoiser::{Denoiser, Model, Score, Shape};
use crate::dtype::Dtype;
use crate::integer::{IntegerModel, Quantisable, Scales};
use crate::integer_layers::{Active, InputLayer, InputSums, OutputLayer, Units, mark_active, value_of};
use crate::mlp::Mlp;
use crate::precision::{Precision, steps};
use crate::steps::Steps;
use crate::stored::{Role, StoredTensor};

/// A two-layer perceptron in integers: [`Mlp`] with weights of precision `P`.
#[derive(Clone, Copy, Debug)]
pub struct IntegerMlp<P, const L: usize, const V: usize, const H: usize>(PhantomData<P>);

/// The tensors of an [`IntegerMlp`] in place.
#[derive(Clone, Copy, Debug)]
pub struct IntegerMlpView<'a, P, const L: usize, const V: usize, const H: usize> {
    input: InputLayer<'a, P, L, V, H>,
    output: OutputLayer<'a, P, L, V, H>,
}

/// Working memory of an [`IntegerMlp`]: 2 bytes for each hidden unit, 4 for each position, a length and 32.
#[derive(Clone, Debug)]
pub struct IntegerMlpMemory<const L: usize, const H: usize> {
    input: InputSums<L, H>,
    active: Active,
}

/// A denoiser that evaluates an [`IntegerMlp`].
#[derive(Debug)]
pub struct IntegerMlpDenoiser<'a, P, const L: usize, const V: usize, const H: usize> {
    view: IntegerMlpView<'a, P, L, V, H>,
    memory: &'a mut IntegerMlpMemory<L, H>,
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

    const MEMORY: Self::Memory = IntegerMlpMemory { input: InputSums::EMPTY, active: [0; 8] };

    type View<'a> = IntegerMlpView<'a, P, L, V, H>;
    type Memory = IntegerMlpMemory<L, H>;
    type Denoiser<'a> = IntegerMlpDenoiser<'a, P, L, V, H>;

    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>> {
        let (a, [e, b, u, c, ..]) = scales.checked()?;
        let mut rest = payload;
        let input = InputLayer::split(&mut rest, [a, e, b])?;
        let largest = u32::from(P::largest_value(H));
        let output = OutputLayer::split(&mut rest, [a, u, c], largest)?;
        rest.is_empty().then_some(IntegerMlpView { input, output })
    }

    fn denoiser<'a: 'm, 'm>(view: Self::View<'a>, memory: &'m mut Self::Memory) -> Self::Denoiser<'m> {
        memory.input.start(&view.input, L);
        IntegerMlpDenoiser { view, memory }
    }
}

impl<const L: usize, const V: usize, const H: usize> Quantisable<L, V> for Mlp<L, V, H> {
    type Integers<P: Precision + 'static> = IntegerMlp<P, L, V, H>;
}

impl<P: Precision, const L: usize, const V: usize, const H: usize> Denoiser<L, V>
    for IntegerMlpDenoiser<'_, P, L, V, H>
{
    fn start(&mut self, length: usize) {
        self.memory.input.start(&self.view.input, length);
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.memory.input.set(position, symbol);
    }

    fn evaluate(&mut self) {
        let memory = &mut self.memory;
        memory.input.update(&self.view.input);
        mark_active(&memory.input.sums, self.view.input.shift, &mut memory.active);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        let (sums, shift) = (&self.memory.input.sums, self.view.input.shift & 31);
        let value = move |unit: usize| {
            (unit, sums.get(unit).map_or(0, |sum| value_of((*sum).into(), shift, P::largest_value(H))))
        };
        self.view.output.scores(position, Units::of(&self.memory.active).map(value), out);
    }
}
