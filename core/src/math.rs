//! The numeric source: the only file that imports `libm` or defines a transcendental function.
//!
//! Every target must produce equal bits. IEEE 754 fixes `+ − × ÷ √` on `f32` and `f64`, but not `exp`, `ln` or `cos`, and
//! standard libraries differ in them. So every transcendental of the project comes from here, on the desktop too. No
//! operations are fused or reassociated.

use core::fmt::Debug;
use core::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A number type of the mathematics: [`f32`] runs models, [`f64`] checks their gradients.
///
/// Each layer is written once over `Real`, and each network once over the [`Kernels`](crate::kernels::Kernels) that call the
/// layers. Tests compile this code for `f64` and check its derivatives; training compiles it for `f32`. Only the number type
/// differs, and the instruction set for `f32`. `AUDIT.md` lists what training executes, and `.ci/method` checks the list by
/// coverage.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Into<f64>
    + Stored<Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// −∞, the logit of an excluded symbol.
    const NEG_INFINITY: Self;

    /// Rounds `value` to the nearest number of this type; too large a value becomes ±∞.
    fn of(value: f64) -> Self;
    /// e^`self`. The `f32` result is that of [`exp`]: 0 below −86, ∞ above 88.72283.
    fn exp(self) -> Self;
    /// The natural logarithm of `self`, by `libm`: −∞ for 0, NaN below 0 and for NaN, ∞ for ∞.
    fn ln(self) -> Self;
    /// The square root of `self`, correctly rounded; NaN below 0.
    fn sqrt(self) -> Self;
    /// Rounds `self` towards 0 to a whole number, limited to −2³¹ … 2³¹ − 1, which an `f32` holds as 2³¹. NaN gives 0.
    fn truncate(self) -> Self;
}

/// A stored number: a float in memory, or its four little-endian bytes in a file or in flash. `R` is the float, `f32`
/// or `f64`.
///
/// Kernels read weights through this trait, so that a model file is used in place, at any alignment.
pub trait Stored<R>: Copy {
    /// Reads the stored number.
    fn real(self) -> R;
}

impl<R: Real> Stored<R> for R {
    #[inline(always)]
    fn real(self) -> R {
        self
    }
}

impl Stored<f32> for [u8; 4] {
    #[inline(always)]
    fn real(self) -> f32 {
        f32::from_le_bytes(self)
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is the contract")]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        libm::logf(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        libm::sqrtf(self)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "`as` drops the fraction, which is the contract")]
    fn truncate(self) -> Self {
        self as i32 as f32
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    fn of(value: f64) -> Self {
        value
    }

    fn exp(self) -> Self {
        libm::exp(self)
    }

    fn ln(self) -> Self {
        libm::log(self)
    }

    fn sqrt(self) -> Self {
        libm::sqrt(self)
    }

    #[expect(clippy::cast_possible_truncation, reason = "`as` drops the fraction, which is the contract")]
    fn truncate(self) -> Self {
        f64::from(self as i32)
    }
}

/// [`exp`] returns 0 for x below −86. There e^x is less than 2^−124, and computing it could give a subnormal number
/// (below 2⁻¹²⁶). Some processors flush such numbers to 0, others do not.
pub const EXP_UNDERFLOW: f32 = -86.0;
/// [`exp`] returns ∞ for x above this number: ln of the largest finite `f32`, rounded down.
pub const EXP_OVERFLOW: f32 = 88.722_83;

/// e^x in `f32`, without branches or tables, so that loops over it vectorise.
///
/// With n the integer nearest to x / ln 2 and r = x − n·ln 2, e^x = 2ⁿ·e^r and |r| ≤ ½ ln 2 = 0.3466. e^r is its Taylor
/// polynomial of degree 7. The remainder is below r⁸/8!·e^r < 8·10⁻⁹, an eighth of half a unit in the last place.
///
/// ln 2 is subtracted in two parts (Cody and Waite). The high part has 9 significant bits, so that n·high is exact for every
/// |n| < 2¹⁵. Adding 1.5·2²³, whose unit in the last place is 1, rounds to n.
///
/// Accuracy: within 1.22 units in the last place on the whole domain, measured on every `f32`. Special cases: x < −86 gives 0
/// without subnormals, so that hardware that flushes them agrees. x > 88.72283 gives ∞, NaN gives NaN.
///
/// Source: W. J. Cody and W. Waite, *Software Manual for the Elementary Functions*, 1980, chapter 6.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let shifted = x * core::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut polynomial = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        polynomial = polynomial * r + coefficient;
    }
    // Multiplies by 2ⁿ⁻¹ and by 2, since 2¹²⁸, needed just below the overflow, is not a float.
    let half_power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(126 << 23));
    let value = polynomial * half_power * 2.0;
    let value = if x < EXP_UNDERFLOW { 0.0 } else { value };
    if x > EXP_OVERFLOW { f32::INFINITY } else { value }
}

/// cos x in `f32`, for x in radians; NaN for ±∞.
///
/// Only the [`cosine`](crate::cosine) schedule calls `cos`, so firmware without that schedule does not link libm's
/// cosine.
pub fn cos(x: f32) -> f32 {
    libm::cosf(x)
}

/// log₂ x in `f64`: −∞ for 0, NaN below 0.
///
/// Its only use is to compare drawn texts with held-out ones: [`divergence`](crate::bound::divergence).
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// The integer nearest to `x`, saturating at the ends of `i32`; halves round away from 0, NaN gives 0.
///
/// Adds the largest `f32` below ½ before truncation. The rounded sum takes a half to the next integer, but not the largest
/// number below a half. From 2²³ on, where every `f32` is an integer, the addend is rounded off.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is the contract")]
pub fn round_to_i32(x: f32) -> i32 {
    const BELOW_HALF: f32 = 0.499_999_97;
    (x + if x < 0.0 { -BELOW_HALF } else { BELOW_HALF }) as i32
}

/// base^exponent by repeated squaring: IEEE products alone, each rounded once, so that all targets agree to the bit. An
/// `exponent` of 0 gives 1.
pub fn power(base: f64, exponent: u32) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}
