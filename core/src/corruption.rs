//! The forward process: a clean text loses symbols to MASK.
//!
//! Masked diffusion keeps each symbol with probability α_t or replaces it by MASK, independently:
//! q(x_t | x_0) = Π_l (α_t if shown, 1 − α_t if masked). Given how many are masked, every set of that size is equally
//! likely, so drawing the number k first and then k positions uniformly is the same process with its time integrated out.
//! The text's length is no part of the process: a text of n symbols has n positions.
//!
//! Source: J. Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces", NeurIPS 2021, section 3.1.

use crate::denoiser::Example;
use crate::rng::{Stream, below};
use crate::schedule::MaskCounts;
use crate::text::Text;

/// `clean` with exactly `count` positions masked, every set of positions being equally likely to within the accuracy of
/// [`below`]; past its end, masks.
///
/// Walks its n positions and masks each with probability (still to mask)/(still to come), by draw (position, 0) of
/// `stream`; a `count` above n masks everything. Along the way to any one set of k the numerators are k … 1 for the masked
/// and n − k … 1 for the shown, the denominators n … 1: each set has the probability k!·(n − k)!/n!.
///
/// Source: D. Knuth, *The Art of Computer Programming*, volume 2, section 3.4.2, algorithm S.
pub fn mask_count<const L: usize>(clean: &Text<L>, count: u32, stream: Stream) -> [Option<u8>; L] {
    let mut noisy = [None; L];
    let mut left = count;
    let mut to_come = u32::try_from(clean.symbols().len()).unwrap_or(u32::MAX);
    for ((position, symbol), slot) in (0..).zip(clean.symbols()).zip(&mut noisy) {
        let [word, _] = stream.draw(position, 0);
        if below(word, to_come) < left {
            left = left.saturating_sub(1);
        } else {
            *slot = Some(*symbol);
        }
        to_come = to_come.saturating_sub(1);
    }
    noisy
}

impl<const L: usize> Example<L> {
    /// The example of the likelihood bound: `count` positions masked, each of weight `weight`.
    ///
    /// With both from [`MaskCounts`] its expected loss is the bound on −ln p(clean | its length), in nats.
    pub fn bound(clean: &Text<L>, count: u32, weight: f32, stream: Stream) -> Self {
        let noisy = mask_count(clean, count, stream);
        let mut weights = [0.0; L];
        for ((slot, symbol), _) in weights.iter_mut().zip(noisy).zip(clean.symbols()) {
            *slot = if symbol.is_none() { weight } else { 0.0 };
        }
        Self { clean: *clean, noisy, weights, dropout: None }
    }

    /// Row `row` of a batch of the likelihood bound: the number k of masks is that of the row, and each masked position
    /// weighs 1/(k·p_k) over the rows of the batch, so that the batch's losses add up to a mean over its texts.
    ///
    /// `words` are the random words that all rows share.
    pub fn bound_row(
        clean: &Text<L>,
        counts: &MaskCounts<L>,
        words: [u32; 2],
        row: u32,
        stream: Stream,
    ) -> Self {
        let length = clean.symbols().len();
        let count = counts.count(words, row, length);
        Self::bound(clean, count, counts.weight(count, length) / counts.rows() as f32, stream)
    }
}
