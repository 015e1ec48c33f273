//! The length of a text, drawn before its letters.
//!
//! p(text) = p(n)·p(letters | n). A table gives the probability of each length n = 1 … L. Only n letters are then masked,
//! predicted, drawn and scored; nothing is computed beyond the n-th.
//!
//! If c_n of C training texts have n letters, p(n) = (L·c_n + 1)/(L·C + L). The prior is one observation, spread evenly over
//! all lengths, so that no length is impossible.
//!
//! Source: W. Perks, "Some Observations on Inverse Probability Including a New Indifference Rule", Journal of the Institute
//! of Actuaries, 1947.

use crate::math::Real;
use crate::rng::{Stream, weighted};

/// Table of lengths: how many training texts have each length n = 1 … L, as a model file holds it.
///
/// If c_n of C texts have length n, a text to draw has it with probability p(n) = (L·c_n + 1)/(L·C + L).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths<'a> {
    /// c_1 … c_L, each a little-endian u32.
    counts: &'a [[u8; 4]],
}

impl<'a> Lengths<'a> {
    /// Creates the distribution of text lengths from L `counts`, the numbers of training texts of lengths 1 … L, each a
    /// little-endian u32.
    ///
    /// `None` if `counts` is empty, or if L·C + L, the denominator of the probabilities, exceeds a u32. C is the sum of
    /// the counts.
    pub fn new(counts: &'a [[u8; 4]]) -> Option<Self> {
        let lengths = Self { counts };
        let mut weights = counts.iter().map(|count| lengths.checked_weight(*count));
        weights.try_fold(0_u32, |sum, weight| sum.checked_add(weight?))?;
        (!counts.is_empty()).then_some(lengths)
    }

    /// The numbers of training texts of lengths 1 … L, each a little-endian u32.
    pub fn counts(&self) -> &'a [[u8; 4]] {
        self.counts
    }

    /// L·`count` + 1, or `None` if it exceeds a u32.
    fn checked_weight(&self, count: [u8; 4]) -> Option<u32> {
        let most = u32::try_from(self.counts.len()).ok()?;
        u32::from_le_bytes(count).checked_mul(most)?.checked_add(1)
    }

    /// L·c_n + 1 for n = 1 … L.
    fn weights(&self) -> impl Iterator<Item = u32> {
        // `new` has checked that every weight fits.
        self.counts.iter().map(|count| self.checked_weight(*count).unwrap_or(1))
    }

    /// L·C + L, the sum of the weights.
    fn total(&self) -> u32 {
        self.weights().fold(0, u32::wrapping_add)
    }

    /// Draws a length n = 1 … L in proportion to L·c_n + 1, where c_n training texts have it, and L is the number of
    /// counts.
    ///
    /// Takes the first word of `stream.draw(u32::MAX, 0)`; `stream` is the text's own. Symbols are drawn at
    /// (evaluation, position), so no word is used twice below 2³² − 1 evaluations.
    pub fn draw(&self, stream: Stream) -> usize {
        let [word, _] = stream.draw(u32::MAX, 0);
        weighted(word, self.total(), (1..).zip(self.weights())).unwrap_or(self.counts.len())
    }

    /// −ln p(n) of the length n = `length` in nats; ∞ outside 1 … L, where L is the number of counts.
    ///
    /// p(n) = (L·c_n + 1)/(L·C + L), where c_n of the C training texts have n symbols.
    pub fn negative_log_probability(&self, length: usize) -> f64 {
        let weight = length.checked_sub(1).and_then(|index| self.weights().nth(index));
        weight.map_or(f64::INFINITY, |weight| Real::ln(f64::from(self.total())) - Real::ln(f64::from(weight)))
    }
}
