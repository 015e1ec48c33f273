//! Training for integers: a run whose network computes with rounded weights.
//!
//! In the first half of the schedule's first part weights are floats; from then on the network computes with rounded
//! weights. Rounding has no slope, so the gradient at the rounded weights is taken for the gradient of the floats behind
//! them (the straight-through estimator). Each step moves both by an equal amount and rounds anew. Hidden values are
//! those of the integers from the first step on.
//!
//! The [scales](quantise::trained_scales) follow from the weights when rounding begins, and stay.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
//! Inference", CVPR 2018, section 3.

use micro_diffusion::further_kernels::FurtherKernels;
use micro_diffusion::integer::Scales;
use micro_diffusion::quantise;
use micro_diffusion::stored::StoredTensor;
use rayon::prelude::*;

use crate::engine::kernels::Vectorised;
use crate::engine::trainer::{State, Training};

/// A run with rounded weights around `inner`, a run that knows nothing of rounding.
pub(crate) struct Rounding<'a> {
    inner: Box<dyn Training + 'a>,
    tensors: &'static [StoredTensor],
    activation: u8,
    /// The step at which rounding begins.
    from: usize,
}

/// Weights rounded by one thread at a time.
const SHARE: usize = 1 << 13;

impl<'a> Rounding<'a> {
    /// Rounds from step `from` on.
    pub(crate) fn new(
        inner: Box<dyn Training + 'a>,
        tensors: &'static [StoredTensor],
        activation: u8,
        from: u32,
    ) -> Self {
        Self { inner, tensors, activation, from: from as usize }
    }

    fn begin(&mut self) {
        let (tensors, state) = (self.tensors, self.inner.state_mut());
        let scales = quantise::trained_scales(tensors, &state.weights, self.activation);
        state.scales = Some(scales);
        state.unrounded = state.weights.to_vec();
        // The best state so far has no scales, so it is no model of integers.
        state.best = None;
        for (tensor, exponent, weights, _) in tensors_of(tensors, &scales, state) {
            let grid = quantise::grid(tensor, exponent);
            weights.par_chunks_mut(SHARE).for_each(|weights| {
                for weight in weights {
                    *weight = grid.round(*weight);
                }
            });
        }
    }
}

impl Training for Rounding<'_> {
    fn step(&mut self) -> f32 {
        let state = self.inner.state();
        if state.scales.is_none() && state.losses.len() >= self.from {
            self.begin();
        }
        let loss = self.inner.step();
        let state = self.inner.state_mut();
        if let Some(scales) = state.scales {
            for (tensor, exponent, weights, unrounded) in tensors_of(self.tensors, &scales, state) {
                let shares = weights.par_chunks_mut(SHARE).zip(unrounded.par_chunks_mut(SHARE));
                let grid = quantise::grid(tensor, exponent);
                shares.for_each(|(weights, unrounded)| Vectorised.straight_through(grid, weights, unrounded));
            }
        }
        loss
    }

    fn state(&self) -> &State {
        self.inner.state()
    }

    fn state_mut(&mut self) -> &mut State {
        self.inner.state_mut()
    }

    fn restore(&mut self, state: State) {
        self.inner.restore(state);
    }
}

/// Each tensor with its exponent, its weights and the floats behind them.
fn tensors_of<'a>(
    tensors: &'static [StoredTensor],
    scales: &Scales,
    state: &'a mut State,
) -> impl Iterator<Item = (&'static StoredTensor, u8, &'a mut [f32], &'a mut [f32])> {
    let (mut weights, mut unrounded) = (&mut state.weights[..], &mut state.unrounded[..]);
    tensors.iter().zip(scales.tensors).map(move |(tensor, exponent)| {
        let length = tensor.numbers();
        let weights = weights.split_off_mut(..length).unwrap_or_default();
        (tensor, exponent, weights, unrounded.split_off_mut(..length).unwrap_or_default())
    })
}
