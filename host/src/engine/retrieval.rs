//! Retrieval: a model's predictions, mixed with counts of its training texts.
//!
//! A small network forgets most of a long list of words, and then counting letters predicts new ones better. Retrieval looks
//! a masked position up in the list. Its *neighbours* are the visible symbols on both sides, from the nearest on, the left one
//! first of two that are equally near. The edges of the text are neighbours too, and nothing beyond them is. At most [`MOST`] are
//! taken, at most [`REACH`] positions away.
//!
//! N_j(v) positions of the training texts hold the symbol v and agree with the nearest j neighbours. N_j is the sum over v,
//! and D_j the number of different v. From the network's prediction p_2 on,
//!
//! ```text
//! p_j(v) = (N_j(v) + w_j·p_(j−1)(v)) / (N_j + w_j),   w_j = a·D_j,   j = 3 … 7
//! ```
//!
//! as far as there are neighbours and N_j > 0. The last p_j is the prediction. It is a distribution: Σ_v N_j(v) = N_j, so
//! Σ_v p_j(v) = (N_j + w_j·Σ_v p_(j−1)(v)) / (N_j + w_j) = 1. Within the range of f32, no symbol that the network finds possible becomes impossible.
//!
//! This is the interpolation of [`counting`](crate::engine::counting) with two changes. The context is on both sides, wherever symbols
//! are visible. The weight is a·D_j in place of D_j, with an a of [`WEIGHTS`]: the
//! greater it is, the fewer training texts are drawn. `core/notes/experiments.md` has the measurements, under “Retrieval”.
//!
//! Sources: I. Witten and T. Bell, "The Zero-Frequency Problem", IEEE Transactions on Information Theory, 1991, method C; for a
//! network mixed with what it finds in its training texts, U. Khandelwal et al., "Generalization through Memorization: Nearest
//! Neighbor Language Models", ICLR 2020.

use micro_diffusion::denoiser::{Denoiser, NAT, Score};
use micro_diffusion::math::{Real, round_to_i32};
use micro_diffusion::softmax::softmax_forward;
use micro_diffusion::text::Alphabet;
use serde::{Deserialize, Serialize};

use crate::engine::source::{Adjust, Adjusting, Source};

/// The mark at both edges of a text in [`Texts`]. No symbol has this number.
const EDGE: u8 = u8::MAX;
/// Most positions from a masked position to a neighbour.
pub const REACH: usize = 7;
/// Most neighbours of a masked position.
pub const MOST: usize = 7;
/// Fewest neighbours that a position of the training texts must agree with to be counted.
const LEAST: usize = 3;
/// Numbers of neighbours that are counted: 3 … 7.
const DEPTHS: usize = MOST - LEAST + 1;
/// Weights a of the prediction by fewer neighbours, for each different symbol seen: w_j = a·D_j.
pub const WEIGHTS: [u32; 3] = [40, 16, 6];
/// Positions in a word of a bitmap.
const WORD: usize = u64::BITS as usize;

/// Whether a model looks training lines up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Retrieval {
    /// If counting predicts some training lines better than the network or nearly as well, which the end of a run decides.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Retrieval {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Whether it is the default.
    pub(crate) fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// A visible symbol and its place, as an offset from a masked position.
type Neighbour = (isize, u8);

/// A row of bits, and a number of bits below [`WORD`] to shift it down by.
type Bitmap<'a> = (&'a [u64], usize);

/// Training texts to look positions up in: their symbols in a row, a mark between two texts.
pub struct Texts {
    symbols: Vec<u8>,
    /// Row s has bit p where position p holds the symbol s; the last row is that of the edges. An eighth of a byte for each
    /// position and row.
    places: Vec<Vec<u64>>,
}

impl Texts {
    /// The texts of `lines`. Lines with other characters than the alphabet's are left out.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a String>, alphabet: Alphabet) -> Self {
        // A word of edges before the first text and after the last, so that the neighbours of all positions exist.
        const { assert!(REACH < WORD) };
        let mut symbols = vec![EDGE; WORD];
        for line in lines {
            if let Some(text) =
                line.chars().map(|character| alphabet.symbol(character)).collect::<Option<Vec<u8>>>()
            {
                symbols.extend(text);
                symbols.push(EDGE);
            }
        }
        symbols.extend([EDGE; WORD]);
        let mut places = vec![vec![0; symbols.len() / WORD + 1]; alphabet.symbols() + 1];
        let edges = alphabet.symbols();
        for (place, symbol) in symbols.iter().enumerate() {
            places[edges.min(usize::from(*symbol))][place / WORD] |= 1 << (place % WORD);
        }
        Self { symbols, places }
    }

    /// The numbers N_j(v): row j − 3 counts the symbols of all positions that agree with the first j of `neighbours`.
    fn counts<const V: usize>(&self, neighbours: &[Neighbour]) -> [[u32; V]; DEPTHS] {
        const { assert!(V <= EDGE as usize) };
        let mut counts = [[0; V]; DEPTHS];
        let Some(nearest) = neighbours.first_chunk::<LEAST>() else { return counts };
        let [Some(one), Some(two), Some(three)] = nearest.map(|neighbour| self.bitmap(neighbour)) else {
            return counts;
        };
        for place in alike([one, two, three]) {
            let agreeing = neighbours.iter().take_while(|neighbour| self.agrees(place, **neighbour)).count();
            let symbol = usize::from(self.symbols[place]);
            let rows = counts.iter_mut().take((agreeing + 1).saturating_sub(LEAST));
            // An edge has no count.
            rows.filter_map(|row| row.get_mut(symbol)).for_each(|count| *count += 1);
        }
        counts
    }

    /// The places that the `neighbour` allows, as a bitmap and the number of bits to shift it down by, so that place [`WORD`] comes
    /// first. `None` for a symbol outside the alphabet, which no text has.
    fn bitmap(&self, (offset, symbol): Neighbour) -> Option<Bitmap<'_>> {
        let edges = self.places.len() - 1;
        let row =
            if symbol == EDGE { edges } else { Some(usize::from(symbol)).filter(|row| *row < edges)? };
        let first = WORD.saturating_add_signed(offset);
        Some((&self.places[row][first / WORD..], first % WORD))
    }

    /// Whether the `neighbour` of `place` has its symbol and is in the text of `place`, or at its edge.
    fn agrees(&self, place: usize, (offset, symbol): Neighbour) -> bool {
        let other = place.saturating_add_signed(offset);
        self.symbols[other] == symbol && !self.symbols[place.min(other) + 1..place.max(other)].contains(&EDGE)
    }
}

/// The places whose bit is set in all three bitmaps, each shifted down.
fn alike(bitmaps: [Bitmap; LEAST]) -> Vec<usize> {
    let words = bitmaps.iter().map(|(words, _)| words.len()).min().unwrap_or(0);
    let [(one, _), (two, _), (three, _)] = bitmaps.map(|(bitmap, shift)| (&bitmap[..words], shift));
    let [first, second, third] = bitmaps.map(|(_, shift)| shift);
    let mut places = Vec::new();
    for word in 1..words {
        // By indices, in one expression, so that the compiler need not inline anything here.
        let mut bits = (one[word - 1] >> first | one[word] << 1 << (WORD - 1 - first))
            & (two[word - 1] >> second | two[word] << 1 << (WORD - 1 - second))
            & (three[word - 1] >> third | three[word] << 1 << (WORD - 1 - third));
        while bits != 0 {
            places.push(word * WORD + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
    places
}

/// Mixes a model's predictions with counts of its training texts.
pub struct Retrieving<'a> {
    /// The training texts.
    pub texts: &'a Texts,
    /// The weight a.
    pub weight: u32,
    /// Size of the alphabet.
    pub symbols: usize,
}

/// The neighbours of `position` of the text `shown`, from the nearest on.
fn neighbours(shown: &[Option<u8>], position: usize) -> Vec<Neighbour> {
    let at = |offset: isize| match position.checked_add_signed(offset) {
        // Position −1 is the edge, and so is the one past the last.
        None => (offset.unsigned_abs() == position + 1).then_some(EDGE),
        Some(place) if place == shown.len() => Some(EDGE),
        Some(place) => shown.get(place).copied().flatten(),
    };
    let offsets = (1..=REACH.cast_signed()).flat_map(|distance| [-distance, distance]);
    offsets.filter_map(|offset| Some((offset, at(offset)?))).take(MOST).collect()
}

impl<const V: usize> Adjust<V> for Retrieving<'_> {
    fn adjust(&self, shown: &[Option<u8>], position: usize, scores: &mut [Score; V]) {
        let scores = &mut scores[..self.symbols];
        let mut probabilities: Vec<f32> = scores.iter().map(|score| *score as f32 / NAT as f32).collect();
        softmax_forward(&mut probabilities);
        for counts in self.texts.counts::<V>(&neighbours(shown, position)) {
            let total = counts.iter().sum::<u32>() as f32;
            if total == 0.0 {
                break;
            }
            let weight = self.weight as f32 * counts.iter().filter(|count| **count > 0).count() as f32;
            for (probability, count) in probabilities.iter_mut().zip(counts) {
                *probability = (count as f32 + weight * *probability) / (total + weight);
            }
        }
        for (score, probability) in scores.iter_mut().zip(probabilities) {
            *score = round_to_i32(Real::ln(probability) * NAT as f32);
        }
    }
}

/// A model whose predictions are mixed with counts of its training texts.
pub(crate) struct Retrieved<'a, const L: usize, const V: usize> {
    pub(crate) source: Box<dyn Source<L, V> + 'a>,
    pub(crate) retrieving: Retrieving<'a>,
}

impl<const L: usize, const V: usize> Source<L, V> for Retrieved<'_, L, V> {
    fn memory_bytes(&self) -> usize {
        self.source.memory_bytes()
    }

    fn with_denoiser(&self, work: &mut dyn FnMut(&mut dyn Denoiser<L, V>)) {
        self.source.with_denoiser(&mut |denoiser| work(&mut Adjusting::new(denoiser, &self.retrieving)));
    }
}
