//! The score of a symbol, and statistics of scores and texts.
//!
//! The mean over n texts has the standard error √(s²/n), s² = Σ (x − mean)²/(n − 1) being the sample variance.
//!
//! Drawn texts are compared with held-out ones by [`divergence`] and [`share`].

use crate::denoiser::{NAT, Score};
use crate::math::{Real, log2};
use crate::softmax::softmax_forward;

/// −ln p of `symbol` under the softmax of the first `symbols` of `scores`, in nats.
///
/// ∞ where `symbol` is not below `symbols`.
pub fn negative_log_probability<const V: usize>(scores: &[Score; V], symbols: usize, symbol: u8) -> f32 {
    let mut logits = [f32::NEG_INFINITY; V];
    for (logit, score) in logits.iter_mut().zip(scores).take(symbols) {
        *logit = *score as f32 / NAT as f32;
    }
    let logit = logits.get(usize::from(symbol)).copied().unwrap_or(f32::NEG_INFINITY);
    softmax_forward(&mut logits) - logit
}

/// The mean of `values`, added up in their order; NaN where there are none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the [`mean`] of `values`, independent draws of one distribution: √(Σ (x − mean)²/(n − 1)/n).
///
/// 0 for a single value, which says nothing of its error.
pub fn standard_error(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len() as f64);
    let squares = values.iter().map(|value| {
        let apart = value - mean;
        apart * apart
    });
    Real::sqrt(squares.sum::<f64>() / (count - 1.0).max(1.0) / count)
}

/// `count`/`of`; 0 of nothing.
pub fn share(count: usize, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

/// The Jensen–Shannon divergence ½·Σ p·log₂(p/m) + ½·Σ q·log₂(q/m), m = (p + q)/2, in bits, of the shares p and q that each
/// feature has of two sets of counts; `counts` are pairs of a feature's counts in both, added up in their order.
///
/// 0 where the shares are the same, 1 where no feature is in both. A set without counts has no shares: all its p are 0.
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
