//! Rounded weights in training: the straight-through estimator.
//!
//! A weight w is used as the nearest multiple of 2⁻ᵉ between two ends: r(w) = 2⁻ᵉ·clamp(round(w·2ᵉ), least, largest), halves
//! rounded away from 0. Rounding has no slope, so the gradient at r(w) stands for the gradient at w. A step that takes r(w)
//! to r(w) + δ takes w to w + δ, and rounds w anew.
//!
//! Source: Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
//! Conditional Computation", 2013; B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference", CVPR 2018, section 3.

use crate::math::{Real, round_to_i32};

/// The values of a rounded weight: `least`·2⁻ᵉ … `largest`·2⁻ᵉ in steps of 2⁻ᵉ, e = `exponent`, at most 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The least integer, of at most 16 bits.
    pub least: i32,
    /// The largest integer, of at most 16 bits.
    pub largest: i32,
    /// The exponent e.
    pub exponent: u8,
}

impl Grid {
    /// 2ᵉ.
    #[inline(always)]
    fn scale(self) -> f32 {
        f32::of(f64::from(1_u32.wrapping_shl(u32::from(self.exponent))))
    }

    /// The integer nearest to `weight`·2ᵉ within the ends; halves round away from 0.
    #[inline(always)]
    pub fn integer(self, weight: f32) -> i32 {
        round_to_i32(weight * self.scale()).clamp(self.least, self.largest)
    }

    /// Rounds `weight` to the nearest value of the grid.
    #[inline(always)]
    pub fn round(self, weight: f32) -> f32 {
        // At most 16 bits and a division by a power of two: exact in f32.
        self.integer(weight) as f32 / self.scale()
    }
}

/// Takes a step of rounded weights over to the floats behind them, and rounds the floats anew.
///
/// For each rounded weight r and its float w: w += r − r(w), then r = r(w), where r(w) is w rounded to `grid`.
#[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
#[inline(always)]
pub fn straight_through(grid: Grid, rounded: &mut [f32], floats: &mut [f32]) {
    let count = rounded.len().min(floats.len());
    let (rounded, floats) = (&mut rounded[..count], &mut floats[..count]);
    for i in 0..count {
        floats[i] += rounded[i] - grid.round(floats[i]);
        rounded[i] = grid.round(floats[i]);
    }
}
