//! The bound on −ln p(text) by independent sets of masks, as training lowers it, for any denoiser.
//!
//! NELBO = Σ_k (1/k)·E\[Σ_masked −ln p(x_l | shown)\], k = 1 … n, where E averages over all sets of k masked positions
//! ([`schedule`](crate::schedule)). NELBO − ln p(n) bounds −ln p of the text with its end, the measure of autoregressive
//! models. One [`term`] estimates one summand of the sum over k without bias, by one evaluation. Scores of record are the
//! same sum along whole orders: see [`likelihood`](crate::likelihood).

use crate::bound::negative_log_probability;
use crate::corruption::mask_count;
use crate::denoiser::Denoiser;
use crate::math::Real;
use crate::rng::Stream;
use crate::schedule::MaskCounts;
use crate::text::Text;

/// Estimates one term of the bound on −ln p(clean | its length), in nats, without bias: for k = `count`, 1/k times the
/// mean, over all sets of k masked positions, of the sum of −ln p over these positions.
///
/// Masks k positions of `clean`, drawn by `stream`, evaluates once, and returns (1/k)·Σ −ln p of their symbols. p is
/// the softmax of the first `symbols` scores, with `symbols` ≤ V the size of the alphabet. A masked symbol outside it
/// gives ∞. `count` is 1 … the text's length.
#[inline(always)]
pub fn term<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &mut D,
    symbols: usize,
    clean: &Text<L>,
    count: u32,
    stream: Stream,
) -> f32 {
    let noisy = mask_count(clean, count, stream);
    denoiser.start(clean.symbols().len());
    for (position, (symbol, _)) in noisy.iter().zip(clean.symbols()).enumerate() {
        denoiser.set(position, *symbol);
    }
    denoiser.evaluate();
    let (mut sum, mut scores) = (0.0, [0; V]);
    for (position, (shown, symbol)) in noisy.iter().zip(clean.symbols()).enumerate() {
        if shown.is_none() {
            denoiser.scores(position, &mut scores);
            sum += negative_log_probability(&scores, symbols, *symbol);
        }
    }
    sum / f32::of(f64::from(count.max(1)))
}

/// Estimates the whole bound on −ln p(clean | its length), in nats, without bias. The bound is the sum of a [`term`]
/// for each number k = 1 … n of masked positions: draws one k, with probability p_k, and divides its term by p_k.
///
/// [`MaskCounts::count`] of `counts` gives k for row `row`, from 0, of a batch of texts. Draw the two random `words`
/// once for all rows of a batch, so that their k are spread evenly. `stream` draws which k positions are masked, and
/// must differ by row.
///
/// `symbols` ≤ V is the size of the alphabet; other scores are ignored. A symbol of the text outside it gives ∞ if
/// masked, and an empty text gives 0.
pub fn sampled<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &mut D,
    symbols: usize,
    clean: &Text<L>,
    counts: &MaskCounts<L>,
    words: [u32; 2],
    row: u32,
    stream: Stream,
) -> f32 {
    let count = counts.count(words, row, clean.symbols().len());
    term(denoiser, symbols, clean, count, stream) * count as f32 * counts.weight(count, clean.symbols().len())
}
