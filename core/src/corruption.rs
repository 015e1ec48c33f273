//! The forward process: a clean text loses symbols to MASK.
//!
//! Masked diffusion keeps each symbol with probability α_t or replaces it by MASK, independently:
//! q(x_t | x_0) = Π_l (α_t if shown, 1 − α_t if masked). Given how many are masked, every set of that size is equally
//! likely, so drawing the number k first and then k positions uniformly is the same process with its time integrated out.
//!
//! Source: J. Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces", NeurIPS 2021, section 3.1.

use crate::denoiser::Example;
use crate::dropout::Dropout;
use crate::rng::{Stream, below};
use crate::schedule::MaskCounts;

/// `clean` with exactly `count` positions masked, every set of positions being equally likely to within the accuracy of
/// [`below`].
///
/// Walks the positions and masks each with probability (still to mask)/(still to come), by draw (position, 0) of
/// `stream`; a `count` above `L` masks everything. Along the way to any one set of k the numerators are k … 1 for the masked
/// and L − k … 1 for the shown, the denominators L … 1: each set has the probability k!·(L − k)!/L!.
///
/// Source: D. Knuth, *The Art of Computer Programming*, volume 2, section 3.4.2, algorithm S.
pub fn mask_count<const L: usize>(clean: &[u8; L], count: u32, stream: Stream) -> [Option<u8>; L] {
    let mut noisy = clean.map(Some);
    let mut left = count;
    let mut to_come = u32::try_from(L).unwrap_or(u32::MAX);
    for (position, symbol) in (0..).zip(&mut noisy) {
        let [word, _] = stream.draw(position, 0);
        if below(word, to_come) < left {
            *symbol = None;
            left = left.saturating_sub(1);
        }
        to_come = to_come.saturating_sub(1);
    }
    noisy
}

impl<const L: usize> Example<L> {
    /// The example of the likelihood bound: `count` positions masked, each of weight `weight`.
    ///
    /// With both from [`MaskCounts`] its expected loss is the bound on −ln p(clean), in nats.
    pub fn bound(clean: &[u8; L], count: u32, weight: f32, stream: Stream) -> Self {
        let noisy = mask_count(clean, count, stream);
        let weights = noisy.map(|symbol| if symbol.is_none() { weight } else { 0.0 });
        Self { clean: *clean, noisy, weights, dropout: Dropout::NONE }
    }

    /// Row `row` of a batch of the likelihood bound: the number k of masks is that of the row, and each masked position
    /// weighs 1/(k·p_k) over the rows of the batch, so that the batch's losses add up to a mean over its texts.
    ///
    /// `words` are the random words that all rows share.
    pub fn bound_row(
        clean: &[u8; L],
        counts: &MaskCounts<L>,
        words: [u32; 2],
        row: u32,
        stream: Stream,
    ) -> Self {
        let count = counts.count(words, row);
        Self::bound(clean, count, counts.weight(count) / counts.rows() as f32, stream)
    }
}
