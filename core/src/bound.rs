//! The score of record: the bound on −ln p(text), estimated over any denoiser.
//!
//! NELBO = Σ_k (1/k)·E\[Σ_masked −ln p(x_l | shown)\], k = 1 … L, the expectation over which k positions are masked. It
//! counts PAD too, so it bounds the code length of the text with its end, and can be set beside an autoregressive
//! model's −ln p. One [`term`] is an unbiased estimate of one summand of the outer sum.
//!
//! Source: see [`schedule`](crate::schedule).

use crate::corruption::mask_count;
use crate::denoiser::{Denoiser, NAT, Score};
use crate::math::Real;
use crate::rng::Stream;
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

/// (1/`count`)·Σ −ln p over `count` masked positions of `clean`, drawn from `stream`, in nats.
#[inline(always)]
pub fn term<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &mut D,
    symbols: usize,
    clean: &[u8; L],
    count: u32,
    stream: Stream,
) -> f32 {
    let noisy = mask_count(clean, count, stream);
    for (position, symbol) in noisy.iter().enumerate() {
        denoiser.set(position, *symbol);
    }
    denoiser.evaluate();
    let mut sum = 0.0;
    let mut scores = [0; V];
    for (position, (shown, symbol)) in noisy.iter().zip(clean).enumerate() {
        if shown.is_none() {
            denoiser.scores(position, &mut scores);
            sum += negative_log_probability(&scores, symbols, *symbol);
        }
    }
    sum / f32::of(f64::from(count.max(1)))
}
