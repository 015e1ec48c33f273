//! Retrieval: mixes a denoiser's predictions with counts of the training texts.
//!
//! A small network forgets most of a long list of words, and then counting letters predicts new ones better. Retrieval looks a
//! masked position up in the list. Its *neighbours* are the visible symbols nearest to it, from the nearest on, the left one first
//! of two that are equally near. The edges of the text are neighbours too, and what lies beyond them is none. At most
//! [`MOST`] neighbours are taken, at most [`REACH`] positions away.
//!
//! N_j(v) positions of the training texts hold the symbol v and agree with the nearest j neighbours. N_j is the sum over v,
//! and D_j the number of different v. From the network's prediction p_2 on,
//!
//! ```text
//! p_j(v) = (N_j(v) + w_j·p_(j−1)(v)) / (N_j + w_j),   w_j = 6·D_j,   j = 3 … 7
//! ```
//!
//! as far as there are neighbours and N_j > 0. The last p_j is the prediction. It is a distribution: Σ_v N_j(v) = N_j, so
//! Σ_v p_j(v) = (N_j + w_j·Σ_v p_(j−1)(v)) / (N_j + w_j) = 1. No probability of the network's becomes 0.
//!
//! This is interpolation by Witten and Bell with two changes. The context is on both sides, wherever symbols are visible. The weight
//! w_j is 6·D_j in place of D_j: the best of 2, 4, 8 and 16 lie around it, and more copies fewer texts. `core/notes/experiments.md`
//! has the measurements.
//!
//! Sources: I. Witten and T. Bell, "The Zero-Frequency Problem", IEEE Transactions on Information Theory, 1991, method C; for
//! a network mixed with what it looks up in its training texts, U. Khandelwal et al., "Generalization through Memorization:
//! Nearest Neighbor Language Models", ICLR 2020.

use crate::denoiser::{Denoiser, NAT, Score};
use crate::math::{Real, round_to_i32};
use crate::softmax::softmax_forward;

/// Mark between two texts in [`Texts`], and before the first and after the last. No symbol has this number.
pub const EDGE: u8 = u8::MAX;
/// Largest distance, in positions, from a masked position to a neighbour: a shown symbol, or an edge of the text, that
/// [`Retrieving`] looks up.
pub const REACH: usize = 7;
/// Most neighbours of a masked position that [`Retrieving`] looks up: the nearest shown symbols, and the edges of the
/// text.
pub const MOST: usize = 7;
/// Fewest neighbours that a position of the training texts must agree with to be counted.
const LEAST: usize = 3;
/// Numbers of neighbours that are counted: 3 … 7.
const DEPTHS: usize = MOST - LEAST + 1;
/// w_j / D_j: the weight of the shorter context's prediction for each different symbol seen.
const BACKOFF: f32 = 6.0;
/// Positions that are compared at once.
const BLOCK: usize = 64;
/// Least number of marks ([`EDGE`]) before the first and after the last text of [`Texts`].
pub const PADDING: usize = BLOCK + REACH;

/// Training texts in which [`Retrieving`] looks up the neighbours of a masked position: their symbols, in place.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    symbols: &'a [u8],
}

impl<'a> Texts<'a> {
    /// Takes texts from `symbols`: an [`EDGE`] between two texts, and [`PADDING`] of them before the first and after the last.
    ///
    /// `None` where an end lacks its marks.
    pub fn new(symbols: &'a [u8]) -> Option<Self> {
        let (before, after) = (symbols.first_chunk::<PADDING>()?, symbols.last_chunk::<PADDING>()?);
        before.iter().chain(after).all(|mark| *mark == EDGE).then_some(Self { symbols })
    }

    /// Adds to row j of `counts` the symbols of all positions that agree with the first [`LEAST`] + j of `neighbours`.
    ///
    /// Neighbours are (offset, symbol), from the nearest on; fewer than three add nothing.
    fn count<const V: usize>(self, neighbours: &[(isize, u8)], counts: &mut [[u32; V]; DEPTHS]) {
        let [first, second, third, ..] = neighbours else { return };
        // The neighbours of block after block of positions.
        let blocks = |(offset, _): &(isize, u8)| {
            let shifted = self.symbols.get(PADDING.saturating_add_signed(*offset)..);
            shifted.unwrap_or_default().as_chunks::<BLOCK>().0
        };
        let blocks = blocks(first).iter().zip(blocks(second)).zip(blocks(third));
        for (start, ((one, two), three)) in (PADDING..).step_by(BLOCK).zip(blocks) {
            let (agree, any) = agreeing([one, two, three], [first.1, second.1, third.1]);
            if any == 0 {
                continue;
            }
            for (place, _) in (start..).zip(agree).filter(|(_, agree)| *agree > 0) {
                let agreeing =
                    neighbours.iter().take_while(|neighbour| self.agrees(place, **neighbour)).count();
                let symbol = self.symbols.get(place).copied().map_or(V, usize::from);
                let rows = counts.iter_mut().take(agreeing.saturating_add(1).saturating_sub(LEAST));
                // An edge has no count.
                for count in rows.filter_map(|row| row.get_mut(symbol)) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// Whether the position at `offset` from `place` has `symbol` and is in the text of `place`, or at its edge.
    fn agrees(self, place: usize, (offset, symbol): (isize, u8)) -> bool {
        let other = place.saturating_add_signed(offset);
        let between = self.symbols.get(place.min(other).saturating_add(1)..place.max(other));
        self.symbols.get(other) == Some(&symbol) && between.is_some_and(|between| !between.contains(&EDGE))
    }
}

/// 1 at each position of a block whose three neighbours are `symbols`, else 0; and 1 if there is such a position.
///
/// Bytes in place of booleans, and a function of its own, let the compiler compare 16 positions or more at once.
#[expect(clippy::indexing_slicing, reason = "place < BLOCK")]
#[inline(never)]
fn agreeing([one, two, three]: [&[u8; BLOCK]; 3], symbols: [u8; 3]) -> ([u8; BLOCK], u8) {
    let [first, second, third] = symbols;
    let (mut agree, mut any) = ([0; BLOCK], 0);
    for place in 0..BLOCK {
        agree[place] =
            u8::from(one[place] == first) & u8::from(two[place] == second) & u8::from(three[place] == third);
        any |= agree[place];
    }
    (agree, any)
}

/// Denoiser that mixes the predictions of another, `D`, with counts of the training texts.
///
/// Counts the symbols at positions of the training texts that have the neighbours of the masked position: the 3 to 7
/// nearest shown symbols, or edges of the text. [`scores`](Denoiser::scores) takes a pass over the training texts. A
/// text has at most `L` positions.
///
/// ```
/// use micro_diffusion::denoiser::{Denoiser, Score};
/// use micro_diffusion::retrieval::{EDGE, PADDING, Retrieving, Texts};
///
/// /// Finds each of four symbols equally likely.
/// struct Unsure;
///
/// impl Denoiser<6, 4> for Unsure {
///     fn start(&mut self, _length: usize) {}
///     fn set(&mut self, _position: usize, _symbol: Option<u8>) {}
///     fn evaluate(&mut self) {}
///     fn scores(&self, _position: usize, out: &mut [Score; 4]) {
///         *out = [0; 4];
///     }
/// }
///
/// // Two texts, 0 1 2 3 and 3 1 2 0.
/// let mut symbols = vec![EDGE; PADDING];
/// symbols.extend([0, 1, 2, 3, EDGE, 3, 1, 2, 0, EDGE]);
/// symbols.extend([EDGE; PADDING]);
/// let texts = Texts::new(&symbols).ok_or("the texts lack their marks")?;
///
/// let mut network = Unsure;
/// let mut denoiser = Retrieving::<_, 6>::new(&mut network, texts, 4);
/// denoiser.start(4);
/// for (position, symbol) in [Some(0), None, Some(2), Some(3)].into_iter().enumerate() {
///     denoiser.set(position, symbol);
/// }
/// Denoiser::<6, 4>::evaluate(&mut denoiser);
/// let mut scores = [0; 4];
/// denoiser.scores(1, &mut scores);
/// assert_eq!(scores.iter().max(), Some(&scores[1]));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Retrieving<'a, 'd, D: ?Sized, const L: usize> {
    denoiser: &'d mut D,
    texts: Texts<'a>,
    /// Size of the alphabet.
    symbols: usize,
    /// The text so far.
    text: heapless::Vec<Option<u8>, L>,
    /// The text at the last evaluation.
    shown: heapless::Vec<Option<u8>, L>,
}

impl<'a, 'd, D: ?Sized, const L: usize> Retrieving<'a, 'd, D, L> {
    /// Mixes the predictions of `denoiser` with counts of `texts`, in an alphabet of `symbols` symbols.
    pub fn new(denoiser: &'d mut D, texts: Texts<'a>, symbols: usize) -> Self {
        Self { denoiser, texts, symbols, text: heapless::Vec::new(), shown: heapless::Vec::new() }
    }

    /// The neighbours of `position` as (offset, symbol), from the nearest on.
    fn neighbours(&self, position: usize) -> heapless::Vec<(isize, u8), MOST> {
        let (left, right) = self.shown.split_at_checked(position).unwrap_or_default();
        let mut left = left.iter().rev().copied().chain([Some(EDGE)]);
        let mut right = right.iter().skip(1).copied().chain([Some(EDGE)]);
        let mut found = heapless::Vec::new();
        for distance in 1..=REACH.cast_signed() {
            for (offset, symbol) in [(distance.wrapping_neg(), left.next()), (distance, right.next())] {
                if let Some(symbol) = symbol.flatten() {
                    // Further neighbours than MOST are left out.
                    let _full = found.push((offset, symbol));
                }
            }
        }
        found
    }
}

impl<D, const L: usize, const V: usize> Denoiser<L, V> for Retrieving<'_, '_, D, L>
where
    D: Denoiser<L, V> + ?Sized,
{
    fn start(&mut self, length: usize) {
        self.denoiser.start(length);
        self.text.clear();
        self.text.extend(core::iter::repeat_n(None, length.min(L)));
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.denoiser.set(position, symbol);
        if let Some(place) = self.text.get_mut(position) {
            *place = symbol;
        }
    }

    fn evaluate(&mut self) {
        self.denoiser.evaluate();
        self.shown.clone_from(&self.text);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        self.denoiser.scores(position, out);
        let mut counts = [[0; V]; DEPTHS];
        self.texts.count(&self.neighbours(position), &mut counts);
        let out = out.get_mut(..self.symbols).unwrap_or_default();
        let mut probabilities = [0.0_f32; V];
        for (probability, score) in probabilities.iter_mut().zip(out.iter()) {
            *probability = *score as f32 / NAT as f32;
        }
        let probabilities = probabilities.get_mut(..out.len()).unwrap_or_default();
        softmax_forward(probabilities);
        for counts in counts {
            let total = counts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count)) as f32;
            if total == 0.0 {
                break;
            }
            let weight = BACKOFF * counts.iter().filter(|count| **count > 0).count() as f32;
            for (probability, count) in probabilities.iter_mut().zip(counts) {
                *probability = (count as f32 + weight * *probability) / (total + weight);
            }
        }
        for (score, probability) in out.iter_mut().zip(probabilities) {
            *score = round_to_i32(Real::ln(*probability) * NAT as f32);
        }
    }
}
