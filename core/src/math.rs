//! The numeric source: the only file that imports `libm`, and the only one that defines a transcendental.
//!
//! Every target must produce the same bits. IEEE 754 already fixes `+ − × ÷ √` on `f32` and `f64`; it does not fix
//! `exp`, `ln` or `cos`, and the standard library's differ from one platform to the next. So every transcendental of
//! the project comes from here, on the desktop too, and nothing is ever fused or reassociated.

use core::fmt::Debug;
use core::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// The arithmetic of the mathematics: [`f32`] wherever a model runs, [`f64`] where its gradients are checked.
///
/// Each layer is written once over `Real`, and each network once over the [`Kernels`](crate::kernels::Kernels) that call the
/// layers. Tests compile this code for `f64` and check its derivatives; training compiles it for `f32`. Only the type of the
/// numbers and, with `f32`, the instruction set differ. `AUDIT.md` lists what training executes, and `.ci/method` checks the
/// list by coverage.
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
    + Stored<Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// −∞, the logit of an excluded symbol.
    const NEG_INFINITY: Self;

    /// The nearest representable value to `value`.
    fn of(value: f64) -> Self;
    /// `self` as an `f64`, exactly.
    fn to_f64(self) -> f64;
    /// e^`self`; see [`exp`] for the domain and accuracy in `f32`.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The number without its fraction, for |`self`| < 2³¹.
    fn truncate(self) -> Self;
}

/// A number as it is stored: a float in memory, or the four little-endian bytes of one in a file or in flash.
///
/// Kernels read weights through this trait, so a model file is used where it lies, at any alignment.
pub trait Stored<R>: Copy {
    /// The stored value.
    fn real(self) -> R;
}

impl Stored<f32> for f32 {
    #[inline(always)]
    fn real(self) -> f32 {
        self
    }
}

impl Stored<f64> for f64 {
    #[inline(always)]
    fn real(self) -> f64 {
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
    fn to_f64(self) -> f64 {
        f64::from(self)
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

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn exp(self) -> Self {
        libm::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        libm::log(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        libm::sqrt(self)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "`as` drops the fraction, which is the contract")]
    fn truncate(self) -> Self {
        f64::from(self as i32)
    }
}

/// Below this [`exp`] returns 0. e^−86 is 2^−124.07: with n ≥ −125 every factor below is a normal `f32`.
pub const EXP_UNDERFLOW: f32 = -86.0;
/// Above this [`exp`] returns ∞: ln of the largest finite `f32`, rounded down.
pub const EXP_OVERFLOW: f32 = 88.722_83;

/// e^x in `f32`, without a branch or a table, so that loops over it vectorise.
///
/// With `n` the integer nearest to x / ln 2 and `r = x − n·ln 2`, e^x = 2ⁿ·e^r and |r| ≤ ½ ln 2 = 0.3466.
/// e^r is its Taylor polynomial of degree 7, whose remainder is below r⁸/8!·e^r < 8·10⁻⁹, an eighth of half a unit in the
/// last place. `ln 2` is subtracted in two parts (Cody and Waite): the high part has 9 significant bits, so that `n·high`
/// is exact for every |n| < 2¹⁵. `n` is found by adding 1.5·2²³, where the unit in the last place is 1.
///
/// Accuracy: within 1.22 units in the last place of the exact value on the whole domain, found by trying every `f32`.
/// Special cases: x < −86 gives 0 (no denormals, so flush-to-zero hardware agrees), x > 88.72283 gives ∞, NaN gives NaN.
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
    // 2ⁿ⁻¹ then twice that: 2¹²⁸ itself, needed just below the overflow, is not a float.
    let half_power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(126 << 23));
    let value = polynomial * half_power * 2.0;
    let value = if x < EXP_UNDERFLOW { 0.0 } else { value };
    if x > EXP_OVERFLOW { f32::INFINITY } else { value }
}

/// cos x in `f32`; used by the cosine schedule of sampling only, which firmware need not link.
pub fn cos(x: f32) -> f32 {
    libm::cosf(x)
}

/// log₂ x in `f64`; used by comparisons of texts only.
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// The integer nearest to `x`, saturating at the ends of `i32`; halves round away from zero, NaN gives 0.
///
/// What is added before truncation is the largest `f32` below a half. It takes a half to the next integer all the same,
/// since the sum is rounded; but not the largest number below a half, and from 2²³ on, where every `f32` is an integer, it
/// is rounded off.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is the contract")]
pub fn round_to_i32(x: f32) -> i32 {
    const BELOW_HALF: f32 = 0.499_999_97;
    (x + if x < 0.0 { -BELOW_HALF } else { BELOW_HALF }) as i32
}

/// base^exponent by repeated squaring: IEEE products only, each rounded once, so the same bits everywhere.
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
