//! Schedules: how many positions are masked, in training and in sampling.
//!
//! The number of masked positions is the clock of masked diffusion. The training objective draws that number itself,
//! uniformly from 1 … L, and weights a text with k masks by L/k, in expectation over which k positions:
//! Σ_k (1/L)·(L/k)·Σ_masked −ln p. That is the bound on −ln p(text) of any order of unmasking, and of continuous-time
//! masked diffusion under every schedule.
//!
//! The reference's schedule is kept beside it: a time t in 1 … T for the whole batch, and every position masked with
//! probability 1 − cos²(((t/T) + s)/(1 + s)·π/2), s = 0.008.
//!
//! Source: E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, equation 3; S. Sahoo et al., "Simple and
//! Effective Masked Diffusion Language Models", NeurIPS 2024, equation 10; for the cosine, A. Nichol and P. Dhariwal,
//! "Improved Denoising Diffusion Probabilistic Models", 2021, equation 17.

use crate::math::cos;
use crate::rng::below;

/// How many positions to mask in row `row` of a batch of `rows`: 1 … `positions`.
///
/// Stratified: the unit interval has one stratum a row, and each row's count is 1 + ⌊positions·(stratum + u)/rows⌋ with
/// one u in \[0, 1), the random word `word`, shared by the batch. So every count's share of a batch is as even as it can
/// be, while each row's count, over the draws of u and the rows, stays uniform.
///
/// Strata go to rows from both ends inwards, so that the halves of a batch carry equal work.
pub fn stratified_count(word: u32, row: u32, rows: u32, positions: u32) -> u32 {
    let rows = rows.max(1);
    let half = row >> 1;
    let stratum = if row & 1 == 0 { half } else { rows.saturating_sub(1).saturating_sub(half) };
    // (stratum + u)·positions/rows with u = word/2³², in integers: below positions, since stratum + u < rows.
    let scaled = (u64::from(stratum) << 32 | u64::from(word)).saturating_mul(u64::from(positions));
    let count = scaled.checked_div(u64::from(rows)).unwrap_or(0) >> 32;
    u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1).min(positions)
}

/// How many of `masked` positions are still masked after `step` of `steps` steps, spread evenly: ⌊masked·(1 − step/steps)⌋.
///
/// 0 from the last step on; `steps` of 0 means one step.
pub fn linear_remaining(masked: usize, step: usize, steps: usize) -> usize {
    masked.saturating_mul(steps.saturating_sub(step)).checked_div(steps).unwrap_or(0)
}

/// The reference's share of masked positions at `time` of `times`: 1 − cos²(((time/times) + s)/(1 + s)·π/2).
///
/// 0.000155 at time 0 and 1 at `times`.
pub fn cosine_mask_rate(time: u32, times: u32) -> f32 {
    const OFFSET: f32 = 0.008;
    let fraction = time as f32 / times.max(1) as f32;
    let cosine = cos((fraction + OFFSET) / (1.0 + OFFSET) * core::f32::consts::FRAC_PI_2);
    1.0 - cosine * cosine
}

/// How many of `masked` positions the reference leaves masked in the step from `time` to `time` − 1:
/// ⌊masked·rate(time − 1)/rate(time)⌋, and none at time 1.
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

/// A time in 1 … `times`, uniformly, from one random word.
pub fn uniform_time(word: u32, times: u32) -> u32 {
    below(word, times).saturating_add(1)
}
