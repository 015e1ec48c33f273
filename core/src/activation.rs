//! The rectified linear unit (ReLU), element by element: y = max(x, 0).
//!
//! ∂y/∂x is 1 where x > 0 and 0 elsewhere. The derivative at x = 0 is defined as 0. −0 and NaN give 0. Networks trained for
//! integers use [steps](crate::steps) instead.
//!
//! Source: V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010.

use crate::linear::LANES;
use crate::math::Real;
use crate::steps::{Steps, stepped_backward, stepped_forward};

/// Activation of a hidden layer: the function applied to its sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// y = max(0, x).
    Relu,
    /// y = max(0, x), rounded to multiples of a step 2⁻ᵃ and limited to a largest value, as in an integer hidden layer;
    /// for training.
    Stepped(Steps),
}

impl Activation {
    /// Applies the activation to each element of `x`, in place.
    #[inline(always)]
    pub fn forward<R: Real>(self, x: &mut [R]) {
        match self {
            Self::Relu => {
                for x in x {
                    *x = if *x > R::ZERO { *x } else { R::ZERO };
                }
            }
            Self::Stepped(steps) => stepped_forward(steps, x),
        }
    }

    /// Turns the gradient of the activation's output y into that of its input, in place. `y` is the output of
    /// [`forward`](Self::forward), and as long as `d_y`.
    ///
    /// [`Relu`](Self::Relu) keeps `d_y` where y > 0, writes 0 elsewhere, and does not read `weights`.
    /// [`Stepped`](Self::Stepped) writes 0 where y is 0 or the activation's largest value. Elsewhere it adds a weight
    /// times [`price`](Steps::price), the gradient of a penalty in the loss.
    ///
    /// `weights` are those of the penalty ([`Example::hidden_weight`](crate::denoiser::Example::hidden_weight)): one number
    /// for all of y. Or y is a map with the columns innermost, and `weights` has a number for each column, which repeat
    /// along y. [`Stepped`](Self::Stepped) panics without weights.
    #[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
    #[inline(always)]
    pub fn backward<R: Real>(self, y: &[R], d_y: &mut [R], weights: &[R]) {
        match (self, weights) {
            (Self::Relu, _) => {
                let count = y.len().min(d_y.len());
                let (y, d_y) = (&y[..count], &mut d_y[..count]);
                for i in 0..count {
                    d_y[i] = if y[i] > R::ZERO { d_y[i] } else { R::ZERO };
                }
            }
            (Self::Stepped(steps), [weight]) => stepped_backward(steps, y, d_y, &[*weight; LANES]),
            (Self::Stepped(steps), _) => stepped_backward(steps, y, d_y, weights),
        }
    }
}
