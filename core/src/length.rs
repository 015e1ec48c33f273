//! The length of a text, which comes first.
//!
//! p(text) = p(n)·p(letters | n): how many letters there are, n = 1 … L, is drawn from a table, and only then are n letters
//! masked, predicted, drawn and scored. What lies beyond the n-th is no part of the text, and nothing is computed there.
//!
//! With c_n of C training texts n letters long, p(n) = (L·c_n + 1)/(L·C + L): each length has 1/L of a text besides its own,
//! so that none is impossible.
//!
//! Source: W. Perks, "Some Observations on Inverse Probability Including a New Indifference Rule", Journal of the Institute of
//! Actuaries, 1947: a prior of one observation, spread over all lengths.

use crate::math::Real;
use crate::rng::{Stream, below};

/// How many training texts have each length, 1 … L, as a model file holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths<'a> {
    /// c_1 … c_L, each a little-endian u32.
    counts: &'a [[u8; 4]],
}

impl<'a> Lengths<'a> {
    /// The table of `counts`, c_1 … c_L, each a little-endian u32.
    ///
    /// `None` where there are none, or where L·C + L exceeds a u32.
    pub fn new(counts: &'a [[u8; 4]]) -> Option<Self> {
        let lengths = Self { counts };
        let mut weights = counts.iter().map(|count| lengths.checked_weight(*count));
        weights.try_fold(0_u32, |sum, weight| sum.checked_add(weight?))?;
        (!counts.is_empty()).then_some(lengths)
    }

    /// c_1 … c_L, each a little-endian u32.
    pub fn counts(&self) -> &'a [[u8; 4]] {
        self.counts
    }

    /// L·c + 1, if a u32 holds it.
    fn checked_weight(&self, count: [u8; 4]) -> Option<u32> {
        let most = u32::try_from(self.counts.len()).ok()?;
        u32::from_le_bytes(count).checked_mul(most)?.checked_add(1)
    }

    /// L·c_n + 1 for n = 1 … L.
    fn weights(&self) -> impl Iterator<Item = u32> {
        // Whoever made the table has seen that all fit.
        self.counts.iter().map(|count| self.checked_weight(*count).unwrap_or(1))
    }

    /// L·C + L.
    fn total(&self) -> u32 {
        self.weights().fold(0, u32::wrapping_add)
    }

    /// Draws the length of the text whose own stream is `stream`.
    ///
    /// By draw (2³² − 1, 0) of it, an address that no symbol's draw has below 2³² − 1 evaluations.
    pub fn draw(&self, stream: Stream) -> usize {
        let [word, _] = stream.draw(u32::MAX, 0);
        let mut left = below(word, self.total());
        let mut length = 1_usize;
        for weight in self.weights() {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => break,
            }
            length = length.saturating_add(1);
        }
        length.min(self.counts.len())
    }

    /// −ln p(n) of the length n = `length`, in nats; ∞ outside 1 … L.
    pub fn negative_log_probability(&self, length: usize) -> f64 {
        let weight = length.checked_sub(1).and_then(|index| self.weights().nth(index));
        weight.map_or(f64::INFINITY, |weight| Real::ln(f64::from(self.total())) - Real::ln(f64::from(weight)))
    }
}
