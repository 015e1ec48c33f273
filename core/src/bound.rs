//! Scores of symbols, and statistics of scores and texts.
//!
//! The mean of n scores has the standard error √(s²/n), where s² = Σ (x − mean)²/(n − 1) is the sample variance.
//! [`divergence`] and [`share`] compare drawn texts with held-out ones.

use crate::denoiser::{NAT, Score};
use crate::math::{Real, log2};
use crate::softmax::softmax_forward;

/// −ln p of `symbol` in nats; ∞ if `symbol` is not below `symbols`, the size of the alphabet, 1 … V.
///
/// p is the softmax of the first `symbols` of the V `scores`, which are in units of 1/65536 nat.
pub fn negative_log_probability<const V: usize>(scores: &[Score; V], symbols: usize, symbol: u8) -> f32 {
    let mut logits = [f32::NEG_INFINITY; V];
    for (logit, score) in logits.iter_mut().zip(scores).take(symbols) {
        *logit = *score as f32 / NAT as f32;
    }
    let logit = logits.get(usize::from(symbol)).copied().unwrap_or(f32::NEG_INFINITY);
    softmax_forward(&mut logits) - logit
}

/// The mean of `values`, added in their order; NaN if there are none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error √(Σ (x − mean)²/(n − 1)/n) of the [`mean`] of n independent `values` x of one distribution.
///
/// A single value has the standard error 0, though nothing is known of its error. No value at all gives NaN.
pub fn standard_error(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len() as f64);
    let squares = sum_of_squares(values.iter().map(|value| value - mean));
    Real::sqrt(squares / (count - 1.0).max(1.0) / count)
}

/// Σ x² of `values` x, added in their order.
pub(crate) fn sum_of_squares(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum()
}

/// The share `count`/`of`; an `of` of 0 counts as 1.
pub fn share(count: usize, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

/// The Jensen–Shannon divergence of two sets of counts, in bits: ½·Σ p·log₂(p/m) + ½·Σ q·log₂(q/m), m = (p + q)/2.
///
/// Each pair of `counts` is a feature's count in both sets; p and q are the shares of these counts in their sets. Terms
/// are added in the order of `counts`. A term with a share of 0 is 0. The divergence is 0 for equal shares, and 1 if
/// both sets have counts but no common feature. A set without counts has shares of 0, so the result is ½, or 0 if both
/// are empty.
///
/// Source: J. Lin, "Divergence Measures Based on the Shannon Entropy", 1991.
pub fn divergence(counts: impl Iterator<Item = (usize, usize)> + Clone) -> f64 {
    let add = |(p, q): (usize, usize), (x, y): (usize, usize)| (p.saturating_add(x), q.saturating_add(y));
    let (total_p, total_q) = counts.clone().fold((0, 0), add);
    let term = |x: f64, m: f64| if x > 0.0 { x * log2(x / m) } else { 0.0 };
    let terms = counts.map(|(p, q)| {
        let (x, y) = (share(p, total_p), share(q, total_q));
        (term(x, (x + y) / 2.0) + term(y, (x + y) / 2.0)) / 2.0
    });
    terms.sum()
}
