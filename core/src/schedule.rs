//! Schedules: how many positions are masked, in training and in sampling.
//!
//! The number of masked positions is the clock of masked diffusion. The bound on −ln p(text), of any order of unmasking and
//! of continuous-time masked diffusion under every schedule, is Σ_k (1/k)·E\[Σ_masked −ln p\], k = 1 … n, in expectation over
//! which k of the n positions of the text are masked; `AUDIT.md` derives it from the forward process. Training draws k with probability p_k and
//! weights each masked position by 1/(k·p_k), which has that expectation for every choice of p.
//!
//! p_k is proportional to 1/√k, and the rows of a batch are stratified. Let T_k be the mean cross-entropy of k masked positions of
//! a text, with mean m_k and variance s_k² over texts and over which positions are masked. A row that masks k positions estimates the
//! bound by T_k/p_k. For texts of one length:
//!
//! - Where each of R rows draws its own k, the batch's mean has the variance (Σ_k (m_k² + s_k²)/p_k − (Σ_k m_k)²)/R.
//! - Where R·p_k of the R rows mask k positions, it is Σ_k R·p_k·(s_k/p_k)²/R² = (Σ_k s_k²/p_k)/R: how k is distributed adds nothing,
//!   and p_k proportional to s_k makes it least (Cauchy and Schwarz). A mean of k independent terms has s_k proportional to 1/√k.
//!
//! For texts of any length each row's k is the same quantile u of p for its own length, and with f(u) the mean of T_k/p_k over texts
//! R times the variance is E\[(T_k/p_k)²\] − ∫ f(u)² du. For `data/names.mdm` on held-out names that is 34.6 nats² for 1/√k, 39.5 for
//! p_k proportional to s_k within each length that a hundred of them have, and 36.3 for uniform k. Without strata it is 74.2 for 1/√k and 42.0 for uniform k,
//! so 1/√k needs the strata. This is the variance of the loss; what it does for the trained score is in `core/notes/experiments.md`.
//!
//! Sampling reveals positions evenly, or as the reference does ([`cosine`](crate::cosine)).
//!
//! Source: E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, equation 2 and what follows it; S. Sahoo et
//! al., "Simple and Effective Masked Diffusion Language Models", NeurIPS 2024, equation 11.

use crate::math::Real;
use crate::rng::below;

/// How many positions training masks in each row of a batch of texts of at most `L` symbols, and what they weigh.
///
/// Stratified: the unit interval has one stratum a row, and a row's count is the p-quantile of (stratum + u)/rows. One u in
/// \[0, 1) and one rotation in 0 … rows − 1 are shared by the batch: row r has the stratum (r·stride + rotation) mod rows. So
/// every count's share of a batch is as even as it can be, and each row's quantile is uniform over the draws of both, which
/// gives its count the probabilities p. The stride is about 0.618 of the batch, so that any run of rows has small counts and
/// large ones, and threads that share the batch have equal work.
#[derive(Clone, Debug)]
pub struct MaskCounts<const L: usize> {
    rows: u32,
    /// From one row's stratum to the next row's; has no divisor in common with `rows`.
    stride: u32,
    /// Σ_j 1/√j, j = 1 … k, for each k: divided by that of the length n, p_1 + … + p_k.
    sums: [f64; L],
}

impl<const L: usize> MaskCounts<L> {
    /// For batches of `rows`, at least 1.
    pub fn new(rows: u32) -> Self {
        let rows = rows.max(1);
        let (mut sum, mut sums) = (0.0, [0.0; L]);
        for (k, slot) in (1..=L).zip(&mut sums) {
            sum += 1.0 / Real::sqrt(k as f64);
            *slot = sum;
        }
        // ⌊0.618·rows⌋ or the next below that will do; 1 always does.
        let golden = u64::from(rows).saturating_mul(618) / 1000;
        let mut stride = u32::try_from(golden).unwrap_or(1).max(1);
        while greatest_common_divisor(stride, rows) != 1 {
            stride = stride.saturating_sub(1).max(1);
        }
        Self { rows, stride, sums }
    }

    /// The rows of a batch.
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// How many of its `length` positions to mask in row `row`, 1 … `length`, by two random words that all rows share: u·2³², and
    /// the rotation.
    pub fn count(&self, [word, rotation]: [u32; 2], row: u32, length: usize) -> u32 {
        let rows = u64::from(self.rows);
        let turned = u64::from(row).saturating_mul(u64::from(self.stride));
        let rotated = turned.saturating_add(u64::from(below(rotation, self.rows)));
        let stratum = rotated.checked_rem(rows).unwrap_or(0);
        let quantile = (stratum << 32 | u64::from(word)).checked_div(rows).unwrap_or(0);
        // A quantile is below 2³², so that the f64 is exact.
        let threshold = quantile as f64 / 4_294_967_296.0 * self.total(length);
        let smaller = self.sums.iter().take(length).filter(|sum| **sum <= threshold).count();
        u32::try_from(smaller.saturating_add(1).min(length)).unwrap_or(u32::MAX)
    }

    /// 1/(k·p_k) = Σ_j 1/√j / √k, j = 1 … n: what each of k = `count` masked positions of n = `length` weighs.
    pub fn weight(&self, count: u32, length: usize) -> f32 {
        f32::of(self.total(length) / Real::sqrt(f64::from(count.max(1))))
    }

    /// Σ_j 1/√j, j = 1 … `length`.
    fn total(&self, length: usize) -> f64 {
        length.checked_sub(1).and_then(|last| self.sums.get(last)).copied().unwrap_or(0.0)
    }
}

/// The greatest common divisor, by Euclid's algorithm; of 0 and b it is b.
const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while let Some(rest) = b.checked_rem(a) {
        (a, b) = (rest, a);
    }
    b
}

/// How many of `masked` positions are still masked after `step` of `steps` steps, spread evenly: ⌊masked·(1 − step/steps)⌋.
///
/// 0 from the last step on; `steps` of 0 means one step.
pub fn linear_remaining(masked: usize, step: usize, steps: usize) -> usize {
    masked.saturating_mul(steps.saturating_sub(step)).checked_div(steps).unwrap_or(0)
}
