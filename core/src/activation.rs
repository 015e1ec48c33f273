//! The rectified linear unit, element by element: y = max(x, 0).
//!
//! ∂y/∂x is 1 where x > 0 and 0 elsewhere; at x = 0 the derivative is taken as 0, and −0 and NaN give 0. Networks that are trained
//! for integers have [steps](crate::steps) in its place.
//!
//! Source: V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010.

use crate::linear::LANES;
use crate::math::Real;
use crate::steps::{Steps, hold, stepped_backward, stepped_forward};

/// What follows the sums of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// max(0, x) as hidden values in integers hold it, for training.
    Stepped(Steps),
}

impl Activation {
    /// y of each x, in place.
    #[inline(always)]
    pub fn forward<R: Real>(self, x: &mut [R]) {
        match self {
            Self::Relu => relu_forward(x),
            Self::Stepped(steps) => stepped_forward(steps, x),
        }
    }

    /// d_x of each d_y, in place, from the y that [`forward`](Self::forward) left; `weights` is what hidden values count, of
    /// each column of a map `[D][W]`, or one for all.
    #[inline(always)]
    pub fn backward<R: Real>(self, y: &[R], d_y: &mut [R], weights: &[R]) {
        match (self, weights) {
            (Self::Relu, _) => relu_backward(y, d_y),
            (Self::Stepped(steps), [weight]) => stepped_backward(steps, y, d_y, &[*weight; LANES]),
            (Self::Stepped(steps), _) => stepped_backward(steps, y, d_y, weights),
        }
    }

    /// What a residual stream holds of x, in place: all of it with [`Relu`](Self::Relu), and with
    /// [`Stepped`](Self::Stepped) the nearest step of a stream in integers. Backward, it counts as the identity.
    #[inline(always)]
    pub fn hold<R: Real>(self, x: &mut [R]) {
        match self {
            Self::Relu => {}
            Self::Stepped(_) => hold(x),
        }
    }
}

/// x_i = max(x_i, 0), in place.
#[inline(always)]
pub fn relu_forward<R: Real>(x: &mut [R]) {
    for x in x {
        *x = if *x > R::ZERO { *x } else { R::ZERO };
    }
}

/// d_x_i = d_y_i where y_i > 0, else 0, in place. Forward was `y_i = max(x_i, 0)`: y_i > 0 exactly where x_i > 0.
#[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
#[inline(always)]
pub fn relu_backward<R: Real>(y: &[R], d_y: &mut [R]) {
    let count = y.len().min(d_y.len());
    let (y, d_y) = (&y[..count], &mut d_y[..count]);
    for i in 0..count {
        d_y[i] = if y[i] > R::ZERO { d_y[i] } else { R::ZERO };
    }
}
