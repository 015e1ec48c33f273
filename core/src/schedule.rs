//! Schedules: how many positions are masked, in training and in sampling.
//!
//! The number k of masked positions is the clock of masked diffusion. One bound on −ln p(text) holds for every order of
//! unmasking, and for continuous-time masked diffusion under every schedule:
//!
//! ```text
//! NELBO = Σ_k (1/k)·E[Σ_masked −ln p(x_l | shown)],   k = 1 … n
//! ```
//!
//! E averages over all sets of k masked positions. `AUDIT.md` derives the bound from the forward process. Training draws k
//! with probability p_k and weights each masked position by 1/(k·p_k). The expected loss is then the bound, for every p.
//!
//! **Variance.** p_k is proportional to 1/√k, and the rows of a batch are stratified. Let T_k be the mean cross-entropy of k
//! masked positions of a text. T_k has mean m_k and variance s_k² over texts and sets of positions. A row with k masks
//! estimates the bound by T_k/p_k. For texts of one length, the mean of R rows has the variance
//!
//! - (Σ_k (m_k² + s_k²)/p_k − (Σ_k m_k)²)/R if each row draws its own k;
//! - Σ_k R·p_k·(s_k/p_k)²/R² = (Σ_k s_k²/p_k)/R if R·p_k of the rows have k masks. The distribution of k then adds nothing.
//!   The variance is least for p_k proportional to s_k (Cauchy–Schwarz). A mean of k independent terms has s_k proportional
//!   to 1/√k.
//!
//! For texts of any length, each row's k is the quantile u of p for the length of its text, and all lengths share u. Let f(u)
//! be the mean of T_k/p_k over texts. R times the variance is E\[(T_k/p_k)²\] − ∫ f(u)² du. For `data/names.mdm` on held-out
//! names it is, in nats²:
//!
//! | p_k proportional to | with strata | without |
//! |---|---|---|
//! | 1/√k | 34.6 | 74.2 |
//! | s_k of each length that has a hundred names | 39.5 | |
//! | 1 | 36.3 | 42.0 |
//!
//! So 1/√k needs the strata. What this variance of the loss does to the trained score is in `core/notes/experiments.md`.
//!
//! Sampling reveals positions evenly, or by the Python reference's schedule ([`cosine`](crate::cosine)).
//!
//! Source: E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, equation 2 and what follows it; S. Sahoo et
//! al., "Simple and Effective Masked Diffusion Language Models", NeurIPS 2024, equation 11.

use crate::math::Real;
use crate::rng::below;

/// Numbers of masked positions for the rows of a training batch, and weights of the masked positions.
///
/// In a text of n symbols, k = 1 … n positions are masked with a probability p_k proportional to 1/√k. In a row with k
/// masks, the cross-entropy of each masked position has the weight 1/(k·p_k) in the loss.
///
/// Counts are stratified: each row has one of `rows` equal parts of the unit interval, its stratum. The row's count is
/// the quantile function of p at q = (stratum + u)/rows: the smallest k with p_1 + … + p_k > q. All rows share one u in
/// \[0, 1) and one rotation in 0 … rows − 1. Row r has the stratum (r·stride + rotation) mod rows. Stride and `rows`
/// have no common divisor, so each stratum has exactly one row. Each count's share of a batch is then as even as it can
/// be. Over the draws of u and the rotation, q is uniform for each row, so the row's count has the probabilities p.
///
/// The stride is about 0.618·rows. Any run of rows then has small and large counts, and threads that share a batch have
/// equal work.
#[derive(Clone, Debug)]
pub struct MaskCounts<const L: usize> {
    rows: u32,
    /// Distance from one row's stratum to the next row's, coprime with `rows`.
    stride: u32,
    /// Σ_j 1/√j over j = 1 … k, for each k. Divided by the entry of length n, an entry is p_1 + … + p_k.
    sums: [f64; L],
}

impl<const L: usize> MaskCounts<L> {
    /// Prepares to draw how many positions to mask in each row of a batch. The numbers are spread evenly over its
    /// `rows` rows; 0 counts as 1.
    pub fn new(rows: u32) -> Self {
        let rows = rows.max(1);
        let (mut sum, mut sums) = (0.0, [0.0; L]);
        for (k, slot) in (1..=L).zip(&mut sums) {
            sum += 1.0 / Real::sqrt(k as f64);
            *slot = sum;
        }
        // ⌊0.618·rows⌋, or the next smaller number coprime with `rows`; 1 always is.
        let golden = u32::try_from(u64::from(rows).saturating_mul(618) / 1000).unwrap_or(1);
        let coprime = |stride: &u32| greatest_common_divisor(*stride, rows) == 1;
        let stride = (1..=golden).rev().find(coprime).unwrap_or(1);
        Self { rows, stride, sums }
    }

    /// The number B of rows of a batch.
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// The number k of positions to mask in row `row` of a batch, for a text of n = `length` ≤ L symbols: 1 … n, or 0
    /// for n = 0.
    ///
    /// k has the probability p_k, in proportion to 1/√k. The unit interval has [`rows`](Self::rows) equal parts, each
    /// that of one row of a batch. Rows are counted from 0; from `rows` on the parts repeat. k is the quantile of p at
    /// a point in the row's part. The two random words are drawn once for a batch: the first places the point, alike in
    /// all parts, and the second rotates the parts among the rows.
    pub fn count(&self, [word, rotation]: [u32; 2], row: u32, length: usize) -> u32 {
        let rows = u64::from(self.rows);
        let turned = u64::from(row).saturating_mul(u64::from(self.stride));
        let rotated = turned.saturating_add(u64::from(below(rotation, self.rows)));
        let stratum = rotated.checked_rem(rows).unwrap_or(0);
        let quantile = (stratum << 32 | u64::from(word)).checked_div(rows).unwrap_or(0);
        // A quantile is below 2³², so the conversion to f64 is exact.
        let threshold = quantile as f64 / 4_294_967_296.0 * self.total(length);
        let smaller = self.sums.iter().take(length).filter(|sum| **sum <= threshold).count();
        u32::try_from(smaller.saturating_add(1).min(length)).unwrap_or(u32::MAX)
    }

    /// The loss weight of each of k = `count` masked positions in a text of n = `length` symbols: (Σ_j 1/√j)/√k, j = 1
    /// … n.
    ///
    /// This is 1/(k·p_k), where p_k, in proportion to 1/√k, is the probability that [`count`](Self::count) gives k. k
    /// is 1 … n. A `length` of 0, or above L, gives 0.
    pub fn weight(&self, count: u32, length: usize) -> f32 {
        f32::of(self.total(length) / Real::sqrt(f64::from(count.max(1))))
    }

    /// Σ_j 1/√j over j = 1 … `length`.
    fn total(&self, length: usize) -> f64 {
        length.checked_sub(1).and_then(|last| self.sums.get(last)).copied().unwrap_or(0.0)
    }
}

/// The greatest common divisor, by Euclid's algorithm; `b` if `a` is 0.
const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while let Some(rest) = b.checked_rem(a) {
        (a, b) = (rest, a);
    }
    b
}

/// The number of positions left masked after `step` of `steps` even steps, if `masked` were masked before the first:
/// ⌊masked·(1 − step/steps)⌋, and 0 from the last step on.
pub fn linear_remaining(masked: usize, step: usize, steps: usize) -> usize {
    masked.saturating_mul(steps.saturating_sub(step)).checked_div(steps).unwrap_or(0)
}
