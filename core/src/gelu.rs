//! The Gaussian error linear unit (GELU), element by element.
//!
//! The tanh form: y = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³) and σ(z) = 1/(1 + e^−z). This equals x·(1 + tanh u)/2.
//!
//! The exact form x·Φ(x) needs the error function, a second transcendental to keep equal to the bit on every target. The
//! tanh form needs only the exponential. The two forms differ by less than 5·10⁻⁴. A model samples with the form that
//! trained it, so the difference is no error.
//!
//! With s = σ(2u), ∂s/∂u = 2·s·(1 − s), so ∂y/∂x = s + x·s·(1 − s)·2·√(2/π)·(1 + 3·0.044715·x²). One exponential gives both
//! y and this slope, so forward keeps the slope. Backward multiplies by it, inside the [product](crate::product) of the
//! layer that follows ([`Store::Multiply`](crate::product::Store::Multiply)). |x| must be below 10¹², so that x³ does not
//! overflow.
//!
//! Source: D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016, section 2.

use crate::math::Real;

/// 2·√(2/π).
const TWICE_ROOT_2_PI: f64 = 1.595_769_121_605_730_7;

/// The coefficient of x³ in u.
const CUBIC: f64 = 0.044_715;

/// GELU of x, and its derivative at x.
#[inline(always)]
fn gelu<R: Real>(x: R) -> (R, R) {
    let cubic = R::of(CUBIC) * x * x;
    // −2u. After the division, s = σ(2u).
    let exponent = -(R::of(TWICE_ROOT_2_PI) * x * (R::ONE + cubic));
    let s = R::ONE / (R::ONE + exponent.exp());
    let y = x * s;
    let rest = R::of(TWICE_ROOT_2_PI) * (R::ONE + R::of(3.0) * cubic);
    (y, s + y * (R::ONE - s) * rest)
}

/// Replaces each x by its GELU, in place: y = x·σ(2u) with u = √(2/π)·(x + 0.044715·x³) and σ(z) = 1/(1 + e^−z). |x|
/// must be below 10¹².
#[inline(always)]
pub fn gelu_forward<R: Real>(x: &mut [R]) {
    for x in x {
        *x = gelu(*x).0;
    }
}

/// Replaces each x_i by its GELU y_i ([`gelu_forward`]), in place, and writes ∂y_i/∂x_i to `slope`, as long as `x`.
///
/// Backward is then d_x_i = d_y_i·slope_i. The content of `slope` on entry does not matter. |x| must be below 10¹².
#[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
#[inline(always)]
pub fn gelu_forward_slope<R: Real>(x: &mut [R], slope: &mut [R]) {
    let count = x.len().min(slope.len());
    let (x, slope) = (&mut x[..count], &mut slope[..count]);
    for i in 0..count {
        (x[i], slope[i]) = gelu(x[i]);
    }
}
