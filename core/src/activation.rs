//! Activations: the rectified linear unit.
//!
//! y = max(x, 0), so ∂y/∂x is 1 where x > 0 and 0 elsewhere; at x = 0 the derivative is taken as 0, and −0 and NaN
//! give 0.
//!
//! Source: V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010.

use crate::math::Real;

/// x_i = max(x_i, 0), in place.
#[inline(always)]
pub fn relu_forward<R: Real>(x: &mut [R]) {
    for x in x {
        *x = if *x > R::ZERO { *x } else { R::ZERO };
    }
}

/// d_x_i = d_y_i where y_i > 0, else 0, in place. Forward was `y_i = max(x_i, 0)`: y_i > 0 exactly where x_i > 0.
#[inline(always)]
pub fn relu_backward<R: Real>(y: &[R], d_y: &mut [R]) {
    for (d_y, y) in d_y.iter_mut().zip(y) {
        *d_y = if *y > R::ZERO { *d_y } else { R::ZERO };
    }
}
