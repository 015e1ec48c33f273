//! The score of counting: a baseline that takes a second to compute, to compare a model with.
//!
//! An n-gram predicts a character c from the history h of the n − 1 characters before it, interpolated with the shorter ones:
//!
//! ```text
//! p_n(c | h) = (count(hc) + T(h)·p_(n−1)(c | h'))/(count(h) + T(h))
//! ```
//!
//! T(h) is the number of different characters seen after h; h' is h without its first character. The recursion ends at
//! the probability 1/symbols, the end of a text being a symbol. A history never seen takes the prediction of its longest
//! seen suffix. Start marks precede a text, and its end is predicted too.
//!
//! Source: I. Witten and T. Bell, "The Zero-Frequency Problem", IEEE Transactions on Information Theory, 1991, method C,
//! interpolated as in S. Chen and J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", 1998, 2.6.
//!
//! Only histories of the texts to be scored are counted, each once. So memory depends on these texts, at most 8 histories
//! for each of their characters, and not on the lines to count.

use std::ops::RangeInclusive;

use foldhash::HashMap;
use foldhash::HashMapExt as _;
use micro_diffusion::bound::mean;
use micro_diffusion::math::Real;

use crate::engine::split::hold_out;

/// Marks before and after a text. Neither occurs in a line.
pub(crate) const START: char = '\u{2}';
pub(crate) const END: char = '\u{3}';
/// Orders that are tried.
const ORDERS: RangeInclusive<usize> = 1..=8;

/// The characters seen after one history.
#[derive(Clone, Default)]
struct Followers {
    total: u32,
    /// Number of different characters.
    different: u32,
}

/// Counts of each character after each history of some texts, for n-grams of every order tried.
pub struct Counting {
    /// Different symbols, the end of a text among them.
    symbols: usize,
    /// The number of a history by the number of the history without its first character, and that character. The empty
    /// history has number 0.
    longer: HashMap<(u32, char), u32>,
    /// Followers by the number of the history.
    followers: Vec<Followers>,
    /// Number of times that a character followed a history.
    counts: HashMap<(u32, char), u32>,
}

impl Counting {
    /// Counts `lines` as far as it takes to score `texts`; they are written in an alphabet of `symbols` symbols with the end
    /// among them.
    pub fn of<'a>(
        lines: impl Iterator<Item = &'a String>,
        texts: impl Iterator<Item = &'a String>,
        symbols: usize,
    ) -> Self {
        let mut longer = HashMap::new();
        for text in texts {
            let text = marked(text);
            for place in places(&text) {
                let mut history = 0;
                for character in back(&text, place) {
                    let next = longer.len() as u32 + 1;
                    history = *longer.entry((history, character)).or_insert(next);
                }
            }
        }
        let followers = vec![Followers::default(); longer.len() + 1];
        let mut counting = Self { symbols, longer, followers, counts: HashMap::new() };
        for line in lines {
            let line = marked(line);
            for place in places(&line) {
                counting.note(&line, place);
            }
        }
        counting
    }

    /// Counts the character at `place` of `line` for each of its histories that matter.
    fn note(&mut self, line: &[char], place: usize) {
        let mut history = Some(0);
        let mut before = back(line, place);
        while let Some(number) = history {
            let seen = &mut self.followers[number as usize];
            let count = self.counts.entry((number, line[place])).or_default();
            seen.total += 1;
            seen.different += u32::from(*count == 0);
            *count += 1;
            history = before.next().and_then(|character| self.longer.get(&(number, character)).copied());
        }
    }

    /// −ln p of `text`, one of those that were to be scored, and its end, by the n-gram of order `order`, in nats.
    pub fn nats(&self, text: &str, order: usize) -> f64 {
        let text = marked(text);
        places(&text).map(|place| -Real::ln(self.probability(&text, place, order))).sum()
    }

    /// The probability of the character at `place` of `text` after the `order` − 1 before it.
    fn probability(&self, text: &[char], place: usize, order: usize) -> f64 {
        let mut probability = 1.0 / self.symbols as f64;
        let mut history = 0;
        let mut before = back(text, place).take(order - 1);
        loop {
            let Followers { total, different } = self.followers[history as usize];
            if total == 0 {
                return probability;
            }
            let count = self.counts.get(&(history, text[place])).copied().unwrap_or(0);
            let different = f64::from(different);
            probability = (f64::from(count) + different * probability) / (f64::from(total) + different);
            let longer = before.next().and_then(|character| self.longer.get(&(history, character)));
            let Some(longer) = longer else { return probability };
            history = *longer;
        }
    }
}

/// `text` between its marks, with as many start marks as the longest history needs and one more.
fn marked(text: &str) -> Vec<char> {
    let start = std::iter::repeat_n(START, *ORDERS.end());
    start.chain(text.chars()).chain([END]).collect()
}

/// The places of the characters and the end of a text between its marks.
fn places(marked: &[char]) -> std::ops::Range<usize> {
    *ORDERS.end()..marked.len()
}

/// The characters of the longest history at `place`, from the last back.
fn back(marked: &[char], place: usize) -> impl Iterator<Item = char> + '_ {
    marked[place + 1 - ORDERS.end()..place].iter().rev().copied()
}

/// The order that scores every tenth of `lines` best, counted on the others; 1 where there are fewer than ten.
fn best_order(lines: &[String], symbols: usize) -> usize {
    let (counted, choosing) = hold_out(lines);
    let counting = Counting::of(counted.into_iter(), choosing.iter().copied(), symbols);
    let score = |order| mean(&choosing.iter().map(|line| counting.nats(line, order)).collect::<Vec<_>>());
    let scores = ORDERS.map(|order| (order, score(order)));
    scores.min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(1, |(order, _)| order)
}

/// The mean −ln p of `texts` by counting the lines `training`, in nats, and the order of the n-gram, which these lines choose.
pub fn score(training: &[String], symbols: usize, texts: &[String]) -> (f64, usize) {
    let order = best_order(training, symbols);
    let counting = Counting::of(training.iter(), texts.iter(), symbols);
    (mean(&texts.iter().map(|text| counting.nats(text, order)).collect::<Vec<_>>()), order)
}
