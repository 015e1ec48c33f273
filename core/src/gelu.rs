//! The Gaussian error linear unit, element by element.
//!
//! In its tanh form: y = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³) and σ(z) = 1/(1 + e^−z), which is
//! x·(1 + tanh u)/2. The exact form x·Φ(x) would need the error function, a second transcendental to keep equal to the
//! bit on every target; this form needs only the exponential there is. The two differ by less than 5·10⁻⁴, and since a
//! model samples with the form it was trained with, the difference is no error.
//!
//! With s = σ(2u), ∂s/∂u = 2·s·(1 − s), so that ∂y/∂x = s + x·s·(1 − s)·2·√(2/π)·(1 + 3·0.044715·x²). Both come from one
//! exponential, so forward keeps the slope, and backward is a product with it, which the
//! [product](crate::product) of the layer behind stores ([`Store::Multiply`](crate::product::Store::Multiply)). |x| must be
//! below 10¹²: x³ is not to overflow.
//!
//! Source: D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016, section 2.

use crate::math::Real;

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

/// x_i becomes its GELU, and slope_i ∂y/∂x there, so that backward is d_x_i = d_y_i·slope_i.
#[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
#[inline(always)]
pub fn gelu_forward_slope<R: Real>(x: &mut [R], slope: &mut [R]) {
    let count = x.len().min(slope.len());
    let (x, slope) = (&mut x[..count], &mut slope[..count]);
    for i in 0..count {
        (x[i], slope[i]) = gelu(x[i]);
    }
}
