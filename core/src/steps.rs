//! Hidden values in steps: training with the values that networks in integers compute.

use crate::math::Real;

/// The steps of an [`Activation::Stepped`](crate::activation::Activation::Stepped): y = 2⁻ᵃ·min(⌊max(x, 0)·2ᵃ + ½⌋, A),
/// with a = `exponent` and A = `largest`.
///
/// Steps have no slope. Backward takes the slope of the ramp they stand for (the straight-through estimator): 1 if
/// 0 < y < A·2⁻ᵃ, else 0.
///
/// Backward also adds the gradient of a penalty, `price`·y for each hidden value y, weighted by
/// [`Example::hidden_weight`](crate::denoiser::Example::hidden_weight). Hidden units of little use then end at 0, and
/// zeros cost no time. Reported losses leave the penalty out.
///
/// Source: Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
/// Conditional Computation", 2013; for the price, X. Glorot, A. Bordes, Y. Bengio, "Deep Sparse Rectifier Neural
/// Networks", 2011.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// Exponent a of a step: hidden values are multiples of 2⁻ᵃ. At most 16.
    pub exponent: u8,
    /// Largest hidden value in steps 2⁻ᵃ, A: greater values are clamped to A·2⁻ᵃ, with a the exponent of a step.
    pub largest: u8,
    /// Penalty, in nats, for an output of 1 of a hidden layer: training adds `price`·y to a text's loss for each output y ≥
    /// 0, times the text's own weight.
    ///
    /// The text's weight is [`Example::hidden_weight`](crate::denoiser::Example::hidden_weight). The higher the price, the
    /// more outputs are 0. A price of 0 is no penalty.
    pub price: f64,
}

impl Steps {
    /// 2ᵃ and A.
    #[inline(always)]
    fn scale<R: Real>(self) -> (R, R) {
        let steps = 1_u32.wrapping_shl(u32::from(self.exponent));
        (R::of(f64::from(steps)), R::of(f64::from(self.largest)))
    }
}

/// x_i = 2⁻ᵃ·min(⌊max(x_i, 0)·2ᵃ + ½⌋, A), in place.
#[inline(always)]
pub(crate) fn stepped_forward<R: Real>(steps: Steps, x: &mut [R]) {
    let (steps, largest) = steps.scale::<R>();
    for x in x {
        let count = (if *x > R::ZERO { *x } else { R::ZERO }) * steps + R::of(0.5);
        *x = (if count < largest { count.truncate() } else { largest }) / steps;
    }
}

/// d_x_dl = d_y_dl + weight_l·price where 0 < y_dl < A·2⁻ᵃ, else 0, in place.
///
/// Forward was y_i = 2⁻ᵃ·min(⌊max(x_i, 0)·2ᵃ + ½⌋, A).
#[expect(clippy::indexing_slicing, reason = "i is below all lengths")]
#[inline(always)]
pub(crate) fn stepped_backward<R: Real>(steps: Steps, y: &[R], d_y: &mut [R], weights: &[R]) {
    let price = R::of(steps.price);
    let (steps, largest) = steps.scale::<R>();
    let end = largest / steps;
    for (y, d_y) in y.chunks(weights.len().max(1)).zip(d_y.chunks_mut(weights.len().max(1))) {
        let count = y.len().min(d_y.len());
        let (y, d_y, weights) = (&y[..count], &mut d_y[..count], &weights[..count]);
        for i in 0..count {
            d_y[i] = if y[i] > R::ZERO && y[i] < end { d_y[i] + weights[i] * price } else { R::ZERO };
        }
    }
}
