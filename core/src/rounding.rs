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

/// Values that a rounded weight can have: i·2⁻ᵉ for the integers i = `least` … `largest`, with e = `exponent`.
///
/// Rounding panics if `least` exceeds `largest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Least integer of the grid, at least −2¹⁵: the least weight is `least`·2⁻ᵉ.
    pub least: i32,
    /// Largest integer of the grid, below 2¹⁵: the largest weight is `largest`·2⁻ᵉ.
    pub largest: i32,
    /// Exponent e: the values are 2⁻ᵉ apart. At most 16.
    pub exponent: u8,
}

impl Grid {
    /// 2ᵉ.
    #[inline(always)]
    fn scale(self) -> f32 {
        f32::of(f64::from(1_u32.wrapping_shl(u32::from(self.exponent))))
    }

    /// The integer i of the grid, `least` … `largest`, whose value i·2⁻ᵉ is nearest to `weight`. Halves round away from
    /// 0, a weight beyond an end gives the end, and NaN counts as 0.
    #[inline(always)]
    pub fn integer(self, weight: f32) -> i32 {
        round_to_i32(weight * self.scale()).clamp(self.least, self.largest)
    }

    /// Rounds `weight` to the nearest value i·2⁻ᵉ of the grid, i = `least` … `largest`. Halves round away from 0, a
    /// weight beyond an end becomes the end, and NaN counts as 0.
    #[inline(always)]
    pub fn round(self, weight: f32) -> f32 {
        // At most 16 bits and a division by a power of two: exact in f32.
        self.integer(weight) as f32 / self.scale()
    }
}

/// Moves floats by the step that an optimiser took with their rounded values, and rounds them anew.
///
/// Each number of `rounded` is, on entry, the rounded value of its partner w in `floats`, plus the optimiser's step. w
/// moves by this step: w += rounded − round(w), with [`Grid::round`] of `grid`. Then `rounded` becomes round(w). Both
/// slices have one length; numbers past the shorter one stay as they are.
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
