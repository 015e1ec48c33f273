//! Residual streams in steps: training with the features that networks in integers store.

use crate::activation::Activation;
use crate::math::Real;

/// Exponent of a residual stream in integers: 16-bit numbers with sign in units of 2⁻¹⁰, so −32 … 32.
///
/// A residual stream is the features of a position, to which every layer adds.
pub const STREAM: u8 = 10;

impl Activation {
    /// Rounds a residual stream, the features to which layers add, to what the network can store, in place.
    ///
    /// [`Relu`](Self::Relu) keeps `x` as it is. [`Stepped`](Self::Stepped) rounds to multiples of 2⁻¹⁰, halves up, and
    /// clamps to 16 bits: −32 … 32 − 2⁻¹⁰. Backward treats the rounding as the identity.
    #[inline(always)]
    pub fn hold<R: Real>(self, x: &mut [R]) {
        match self {
            Self::Relu => {}
            Self::Stepped(_) => hold(x),
        }
    }
}

/// Rounds each x_i to the nearest step of a residual stream in integers, halves up, and clamps it to the stream's ends.
#[inline(always)]
pub(crate) fn hold<R: Real>(x: &mut [R]) {
    let steps = R::of(f64::from(1_u32 << STREAM));
    let (least, most) = (R::of(f64::from(i16::MIN)) / steps, R::of(f64::from(i16::MAX)) / steps);
    for x in x {
        let held = if *x > least { *x } else { least };
        let held = if held < most { held } else { most };
        // Relative to the least, no number is below 0, so that truncation rounds down.
        *x = ((held - least) * steps + R::of(0.5)).truncate() / steps + least;
    }
}
