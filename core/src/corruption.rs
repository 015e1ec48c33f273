//! The forward process: replaces symbols of a clean text by MASK.
//!
//! Masked diffusion keeps each symbol with probability α_t and masks it otherwise, independently: q(x_t | x_0) = Π_l (α_t if
//! shown, 1 − α_t if masked). All sets of k masked positions are equally likely. So drawing k first, and then k positions
//! uniformly, is masked diffusion with its time integrated out. A text's length is not corrupted: a text of n symbols has n
//! positions.
//!
//! Source: J. Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces", NeurIPS 2021, section 3.1.

use crate::denoiser::Example;
use crate::rng::{Stream, below};
use crate::schedule::MaskCounts;
use crate::text::Text;

/// Masks exactly `count` positions of `clean`, drawn uniformly from all sets of that size, or all if `count` exceeds
/// their number. Returns the symbol of each position, `None` if masked.
///
/// Positions past the text's end are masked too. The draw is uniform up to 2⁻³² a position ([`below`]).
///
/// Walks the n positions and masks each with probability (left to mask)/(left to visit), by `stream.draw(position, 0)`.
/// On the way to one set of k, the numerators are k … 1 at masked positions and n − k … 1 at shown ones. The
/// denominators are n … 1, so each set has the probability k!·(n − k)!/n!.
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
    /// Creates the training example of row `row`, from 0, in a batch: `clean` with k positions masked. `stream` draws
    /// which ones; each row needs its own.
    ///
    /// k is [`MaskCounts::count`] of `counts` for the text's length. `words` are two random words, drawn once for a
    /// batch: they shift the k of all rows together, and `row` spreads these k evenly. Rows from `counts.rows()` on
    /// repeat the spread.
    ///
    /// Each masked position has its final weight in the loss: [`MaskCounts::weight`], already divided by
    /// `counts.rows()`. The sum of a batch's losses is then, in expectation, the mean over its texts of the bound on
    /// −ln p(clean | its length).
    pub fn bound_row(
        clean: &Text<L>,
        counts: &MaskCounts<L>,
        words: [u32; 2],
        row: u32,
        stream: Stream,
    ) -> Self {
        let length = clean.symbols().len();
        let count = counts.count(words, row, length);
        let weight = counts.weight(count, length) / counts.rows() as f32;
        let noisy = mask_count(clean, count, stream);
        let weights = noisy.map(|symbol| if symbol.is_none() { weight } else { 0.0 });
        Self { clean: *clean, noisy, weights, dropout: None }
    }
}
