//! The sampling schedule of the reference: how many positions each step leaves masked.
//!
//! The reference is Micro-Diffusion, the Python original of this library.
//!
//! At time t of T a share 1 − cos²(((t/T) + s)/(1 + s)·π/2) of the positions is masked, s = 0.008.
//!
//! Source: A. Nichol and P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, equation 17.

use crate::math::cos;

/// The share of positions masked at `time` of `times` in Micro-Diffusion, the Python original: 1 − cos²(((time/times) +
/// s)/(1 + s)·π/2), s = 0.008.
///
/// The share rises from 0.000155 at `time` 0 to 1 at `time` = `times`.
pub fn cosine_mask_rate(time: u32, times: u32) -> f32 {
    const OFFSET: f32 = 0.008;
    let fraction = time as f32 / times.max(1) as f32;
    let cosine = cos((fraction + OFFSET) / (1.0 + OFFSET) * core::f32::consts::FRAC_PI_2);
    1.0 - cosine * cosine
}

/// The number of positions that the step from `time` to `time` − 1 leaves masked in the Python original, if `masked`
/// are masked before.
///
/// ⌊masked·rate(time − 1)/rate(time)⌋, where rate is the [`cosine_mask_rate`] of `times`; 0 for `time` 1 or 0. `time`
/// is at most `times`; beyond, the result may exceed `masked`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a product of a count and a share, floored"
)]
pub fn cosine_remaining(masked: usize, time: u32, times: u32) -> usize {
    if time <= 1 {
        return 0;
    }
    let share = cosine_mask_rate(time.saturating_sub(1), times) / cosine_mask_rate(time, times);
    (masked as f32 * share) as usize
}
