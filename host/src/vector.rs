//! Core's kernels compiled for each instruction set, chosen at run time.
//!
//! The kernels are plain loops that are inlined here; AVX2 and AVX-512 compute the same bits as SSE2, only faster,
//! because every sum's order is fixed in the source and nothing is fused.
//!
//! Builds with debug assertions have the plain version alone, which takes a third of the time to compile; the golden
//! bytes of the tests are therefore those of SSE2, which release builds must meet at every width.

use micro_diffusion::adam::{AdamStep, average_update};
use micro_diffusion::denoiser::{Denoiser, Example, Model, Score};
use micro_diffusion::quantise::rounded;
use micro_diffusion::tensor::StoredTensor;
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
pub(crate) const PEAK_SUMS: usize = 12 * 8;

#[inline(always)]
fn scaled_plus(mut lanes: [f32; 8], x: f32) -> [f32; 8] {
    for lane in &mut lanes {
        *lane = *lane * x + x;
    }
    lanes
}

/// `turns` times sum = sum·x + x for each of [`PEAK_SUMS`] sums, for measuring the machine.
#[cfg_attr(not(debug_assertions), multiversion(targets("x86_64+avx2")))]
pub(crate) fn multiply_and_add(x: f32, turns: usize) -> f32 {
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
