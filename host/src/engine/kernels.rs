//! Core's kernels compiled for each instruction set, chosen at run time.
//!
//! The kernels are plain loops that are inlined here; AVX2 and AVX-512 compute the same bits as SSE2, only faster,
//! because every sum's order is fixed in the source and nothing is fused.
//!
//! Builds with debug assertions have the plain version alone, which takes a third of the time to compile; the golden
//! bytes of the tests are therefore those of SSE2, which release builds must meet at every width.

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{AdamStep, average_update};
use micro_diffusion::denoiser::{Denoiser, Example, Model, Score};
use micro_diffusion::linear::{
    linear_backward_bias, linear_backward_input, linear_backward_weights, lookup_add, lookup_backward,
};
use micro_diffusion::mlp::{self, Counted, Mlp};
use micro_diffusion::quantise::rounded;
use micro_diffusion::tensor::{StoredTensor, matrix, matrix_mut, vector, vector_mut};
#[cfg(not(debug_assertions))]
use multiversion::multiversion;

/// [`Model::forward_backward`] at the machine's vector width.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn forward_backward<M: Model<L, V>, const L: usize, const V: usize>(
    parameters: M::View<'_, f32>,
    batch: &[Example<L>],
    symbols: usize,
    records: &mut [f32],
    losses: &mut [f32],
) {
    M::forward_backward(parameters, batch, symbols, records, losses);
}

/// [`Model::gradient`] at the machine's vector width.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn gradient<M: Model<L, V>, const L: usize, const V: usize>(
    tensor: usize,
    part: usize,
    batch: &[Example<L>],
    records: &[f32],
    out: &mut [f32],
) {
    M::gradient(tensor, part, batch, records, out);
}

/// Adds to the hidden values the hidden layer's `bias`, with which they begin, and the rows of `tables`, each that of the
/// position before it; then comes the activation, if this was the `last` of them.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn look_up<const L: usize, const V: usize, const H: usize, A: Activation>(
    bias: Option<&[f32]>,
    tables: &[(usize, &[f32])],
    examples: &[Example<L>],
    hidden: &mut [[f32; H]],
    last: bool,
) {
    for (example, hidden) in examples.iter().zip(hidden) {
        if let Some(bias) = bias {
            hidden.copy_from_slice(bias);
        }
        for (position, mut table) in tables.iter().copied() {
            if let Some(rows) = matrix::<_, H, V>(&mut table) {
                lookup_add(rows, example.noisy[position], hidden);
            }
        }
        if last {
            Mlp::<L, V, H, A>::activate(example, hidden);
        }
    }
}

/// The gradient of the sums that hidden values were made of, from that of the hidden values.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn hidden_backward<const L: usize, const V: usize, const H: usize, A: Activation>(
    examples: &[Example<L>],
    hidden: &[[f32; H]],
    d_hidden: &mut [[f32; H]],
) {
    for ((example, hidden), d_hidden) in examples.iter().zip(hidden).zip(d_hidden) {
        Mlp::<L, V, H, A>::activate_backward(example, hidden, d_hidden);
    }
}

/// The gradient of the table's rows at `position`.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn table_gradient<const L: usize, const V: usize, const H: usize>(
    position: usize,
    examples: &[Example<L>],
    d_hidden: &[[f32; H]],
    mut out: &mut [f32],
) {
    out.fill(0.0);
    let Some(d_rows) = matrix_mut::<_, H, V>(&mut out) else { return };
    for (example, d_hidden) in examples.iter().zip(d_hidden) {
        lookup_backward(example.noisy[position], d_hidden, d_rows);
    }
}

/// The gradient of the hidden layer's bias.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn bias_gradient<const H: usize>(d_hidden: &[[f32; H]], mut out: &mut [f32]) {
    out.fill(0.0);
    let Some(d_bias) = vector_mut(&mut out) else { return };
    linear_backward_bias(d_hidden.iter(), d_bias);
}

/// Logits, losses and their gradient at `position`, of the examples that count there.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn output_forward<const L: usize, const V: usize, const H: usize>(
    position: usize,
    (mut weight, mut bias): (&[f32], &[f32]),
    symbols: usize,
    examples: &[Example<L>],
    hidden: &[[f32; H]],
    d_logits: &mut [[f32; V]],
    losses: &mut [f32],
) {
    let Some((weight, bias)) = matrix(&mut weight).zip(vector(&mut bias)) else { return };
    let rows = examples.iter().zip(hidden).zip(d_logits).zip(losses);
    let counted = rows.filter(|(((example, _), _), _)| example.weights[position] != 0.0);
    let counted = counted.map(|(((example, hidden), d_logits), loss)| Counted {
        clean: example.clean[position],
        weight: example.weights[position],
        hidden,
        d_logits,
        loss,
    });
    mlp::output_forward(weight, bias, symbols, counted);
}

/// What `position` adds to the gradient of the hidden values.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn output_backward<const L: usize, const V: usize, const H: usize>(
    position: usize,
    mut weight: &[f32],
    examples: &[Example<L>],
    d_logits: &[[f32; V]],
    d_hidden: &mut [[f32; H]],
) {
    let Some(weight) = matrix(&mut weight) else { return };
    for ((example, d_logits), d_hidden) in examples.iter().zip(d_logits).zip(d_hidden) {
        if example.weights[position] != 0.0 {
            linear_backward_input(weight, d_logits, d_hidden);
        }
    }
}

/// The gradient of the output weights of `position`, and behind it that of their bias.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn output_gradient<const L: usize, const V: usize, const H: usize>(
    position: usize,
    examples: &[Example<L>],
    hidden: &[[f32; H]],
    d_logits: &[[f32; V]],
    mut out: &mut [f32],
) {
    out.fill(0.0);
    let Some((d_weight, d_bias)) = matrix_mut(&mut out).zip(vector_mut(&mut out)) else { return };
    let rows = examples.iter().zip(hidden).zip(d_logits);
    let counted = rows.filter(|((example, _), _)| example.weights[position] != 0.0);
    let pairs = counted.map(|((_, hidden), d_logits)| (hidden, d_logits));
    linear_backward_weights(pairs.clone(), d_weight);
    linear_backward_bias(pairs.map(|(_, d_logits)| d_logits), d_bias);
}

/// [`AdamStep::update`] at the machine's vector width.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn adam(
    step: &AdamStep<f32>,
    weights: &mut [f32],
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    step.update(weights, gradient, m, v, f32::sqrt);
}

/// [`average_update`] at the machine's vector width.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn average(average: &mut [f32], weights: &[f32], rate: f32) {
    average_update(average, weights, rate);
}

/// Moves the floats behind rounded `weights` by as much as those were moved, and rounds them anew.
#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
pub(crate) fn round(tensor: &StoredTensor, exponent: u8, weights: &mut [f32], unrounded: &mut [f32]) {
    for (weight, float) in weights.iter_mut().zip(unrounded) {
        *float += *weight - rounded(tensor, *float, exponent);
        *weight = rounded(tensor, *float, exponent);
    }
}

/// Sums that [`multiply_and_add`] keeps: as many as registers hold, and enough to hide the latency of the units.
pub const PEAK_SUMS: usize = 12 * 8;

#[inline(always)]
fn scaled_plus(mut lanes: [f32; 8], x: f32) -> [f32; 8] {
    for lane in &mut lanes {
        *lane = *lane * x + x;
    }
    lanes
}

/// `turns` times sum = sum·x + x for each of [`PEAK_SUMS`] sums, for measuring the machine.
#[cfg_attr(not(debug_assertions), multiversion(targets("x86_64+avx2")))]
pub fn multiply_and_add(x: f32, turns: usize) -> f32 {
    let mut sums = [[0.0_f32; 8]; 12];
    for (start, sum) in (1_u8..).zip(sums.as_flattened_mut()) {
        *sum = f32::from(start);
    }
    for _ in 0..turns {
        for lanes in &mut sums {
            *lanes = scaled_plus(*lanes, x);
        }
    }
    sums.as_flattened().iter().sum()
}

#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
fn evaluate<D: Denoiser<L, V>, const L: usize, const V: usize>(denoiser: &mut D) {
    denoiser.evaluate();
}

#[cfg_attr(
    not(debug_assertions),
    multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))
)]
fn scores<D: Denoiser<L, V>, const L: usize, const V: usize>(
    denoiser: &D,
    position: usize,
    out: &mut [Score; V],
) {
    denoiser.scores(position, out);
}

/// A denoiser at the machine's vector width.
pub(crate) struct Vectorised<D>(pub(crate) D);

impl<D: Denoiser<L, V>, const L: usize, const V: usize> Denoiser<L, V> for Vectorised<D> {
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.0.set(position, symbol);
    }

    fn evaluate(&mut self) {
        evaluate(&mut self.0);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        scores(&self.0, position, out);
    }
}
