//! Activations: the rectified linear unit, plain or in steps, and the Gaussian error linear unit, element by element.
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
//! exponential, so forward keeps the slope, and backward is a product with it, which the
//! [product](crate::product) of the layer behind stores ([`Store::Multiply`](crate::product::Store::Multiply)). |x| must be
//! below 10¹²: x³ is not to overflow.
//!
//! Source: V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", ICML 2010;
//! D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016, section 2.

use crate::linear::LANES;
use crate::math::Real;

/// The exponent of a residual stream in integers, whose numbers are 16 bits with sign: −32 … 32 in steps of 1/1024.
pub const STREAM: u8 = 10;

/// What follows the sums of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// max(0, x) as hidden values in integers hold it, for training.
    Stepped(Steps),
}

/// The steps of an [`Activation::Stepped`]: y = 2⁻ᵃ·min(⌊x·2ᵃ + ½⌋, A) where that is above 0, else 0.
///
/// Steps have no slope; backward takes that of the ramp they stand for, 1 where 0 < y < A·2⁻ᵃ and else 0 (the
/// straight-through estimator). Each value also adds `price`·y to the loss, weighted by the
/// [number of positions that read it](crate::denoiser::Example::hidden_weight): a unit that helps little ends at 0, and
/// zeros cost no time.
///
/// Source: Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
/// Conditional Computation", 2013; X. Glorot, A. Bordes, Y. Bengio, "Deep Sparse Rectifier Neural Networks", 2011, for the
/// price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// a, at most 16.
    pub exponent: u8,
    /// A.
    pub largest: u8,
    /// What a hidden value of 1 costs a text, in nats.
    pub price: f64,
}

impl Steps {
    /// 2ᵃ, and A.
    #[inline(always)]
    fn scale<R: Real>(self) -> (R, R) {
        let steps = 1_u32.wrapping_shl(u32::from(self.exponent));
        (R::of(f64::from(steps)), R::of(f64::from(self.largest)))
    }
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

/// x_i = 2⁻ᵃ·min(⌊max(x_i, 0)·2ᵃ + ½⌋, A), in place.
#[inline(always)]
fn stepped_forward<R: Real>(steps: Steps, x: &mut [R]) {
    let (steps, largest) = steps.scale::<R>();
    for x in x {
        let count = (if *x > R::ZERO { *x } else { R::ZERO }) * steps + R::of(0.5);
        *x = (if count < largest { count.truncate() } else { largest }) / steps;
    }
}

/// d_x_dl = d_y_dl + weight_l·price where 0 < y_dl < A·2⁻ᵃ, else 0, in place. Forward was
/// `y_i = 2⁻ᵃ·min(⌊max(x_i, 0)·2ᵃ + ½⌋, A)`.
#[expect(clippy::indexing_slicing, reason = "i is below all lengths")]
#[inline(always)]
fn stepped_backward<R: Real>(steps: Steps, y: &[R], d_y: &mut [R], weights: &[R]) {
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

/// x_i = the nearest step of a residual stream in integers, halves up, within its ends.
#[inline(always)]
fn hold<R: Real>(x: &mut [R]) {
    let steps = R::of(f64::from(1_u32 << STREAM));
    let (least, most) = (R::of(f64::from(i16::MIN)) / steps, R::of(f64::from(i16::MAX)) / steps);
    for x in x {
        let held = if *x > least { *x } else { least };
        let held = if held < most { held } else { most };
        // Counted from the least, none is below 0, and to drop the fraction is to round down.
        *x = ((held - least) * steps + R::of(0.5)).truncate() / steps + least;
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
