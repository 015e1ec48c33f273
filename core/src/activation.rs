//! Activations: the rectified linear unit and the Gaussian error linear unit, element by element.
//!
//! **ReLU**: y = max(x, 0), so ∂y/∂x is 1 where x > 0 and 0 elsewhere; at x = 0 the derivative is taken as 0, and −0 and
//! NaN give 0.
//!
//! **GELU**, in its tanh form: y = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³) and σ(z) = 1/(1 + e^−z), which is
//! x·(1 + tanh u)/2. The exact form x·Φ(x) would need the error function, a second transcendental to keep equal to the
//! bit on every target; this form needs only the exponential there is. The two differ by less than 5·10⁻⁴, and since a
//! model samples with the form it was trained with, the difference is no error.
//!
//! With s = σ(2u), ∂s/∂u = 2·s·(1 − s), so that ∂y/∂x = s + x·s·(1 − s)·2·√(2/π)·(1 + 3·0.044715·x²). Both come from one
//! exponential, so forward keeps the slope for backward. |x| must be below 10¹²: x³ is not to overflow.
//!
//! Source: V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010;
//! D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016, section 2.

use crate::math::Real;

/// What follows the sums of a hidden layer.
pub trait Activation: 'static {
    /// y of each x, in place.
    fn forward<R: Real>(x: &mut [R]);
    /// d_x of each d_y, in place, from the y that [`forward`](Self::forward) left in an example whose hidden
    /// values count `weight`.
    fn backward<R: Real>(y: &[R], d_y: &mut [R], weight: R);
    /// What a residual stream holds of x, in place: all of it, unless it stands for a stream of integers. Backward, it counts
    /// as the identity.
    #[inline(always)]
    fn hold<R: Real>(_x: &mut [R]) {}
}

/// max(x, 0).
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl Activation for Relu {
    #[inline(always)]
    fn forward<R: Real>(x: &mut [R]) {
        relu_forward(x);
    }

    #[inline(always)]
    fn backward<R: Real>(y: &[R], d_y: &mut [R], _weight: R) {
        relu_backward(y, d_y);
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
#[inline(always)]
pub fn relu_backward<R: Real>(y: &[R], d_y: &mut [R]) {
    for (d_y, y) in d_y.iter_mut().zip(y) {
        *d_y = if *y > R::ZERO { *d_y } else { R::ZERO };
    }
}

/// 2·√(2/π).
const TWICE_ROOT_2_PI: f64 = 1.595_769_121_605_730_7;
/// The coefficient of x³ in u.
const CUBIC: f64 = 0.044_715;

/// GELU of x and its slope there.
#[inline(always)]
fn gelu<R: Real>(x: R) -> (R, R) {
    let cubic = R::of(CUBIC) * x * x;
    // −2u; then s.
    let exponent = -(R::of(TWICE_ROOT_2_PI) * x * (R::ONE + cubic));
    let s = R::ONE / (R::ONE + exponent.exp());
    let y = x * s;
    let rest = R::of(TWICE_ROOT_2_PI) * (R::ONE + R::of(3.0) * cubic);
    (y, s + y * (R::ONE - s) * rest)
}

/// x_i becomes its GELU.
#[inline(always)]
pub fn gelu_forward<R: Real>(x: &mut [R]) {
    for x in x {
        *x = gelu(*x).0;
    }
}

/// x_i becomes its GELU, and slope_i the derivative there, for [`gelu_backward`].
#[inline(always)]
pub fn gelu_forward_slope<R: Real>(x: &mut [R], slope: &mut [R]) {
    for (x, slope) in x.iter_mut().zip(slope) {
        (*x, *slope) = gelu(*x);
    }
}

/// d_x = d_y·slope for one element. Forward was `y = x·σ(2u)`, and slope is ∂y/∂x.
#[inline(always)]
pub fn gelu_backward<R: Real>(slope: R, d_y: R) -> R {
    slope * d_y
}
