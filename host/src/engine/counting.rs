//! The score of counting: what a second of counting letters is worth, to set a model beside.
//!
//! An n-gram predicts a character c from the history h of the n − 1 characters before it, interpolated with the shorter ones:
//!
//! ```text
//! p_n(c | h) = (count(hc) + T(h)·p_(n−1)(c | h'))/(count(h) + T(h))
//! ```
//!
//! T(h) is the number of different characters seen after h, and h' is h without its first. Below a 1-gram every symbol has the
//! probability 1/symbols, the end of a text being one. A history never seen has the prediction of the longest part of it that was
//! seen. A text is preceded by start marks, and its end is predicted too.
//!
//! Source: I. Witten and T. Bell, "The Zero-Frequency Problem", IEEE Transactions on Information Theory, 1991, method C,
//! interpolated as in S. Chen and J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", 1998, 2.6.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use micro_diffusion::bound::mean;
use micro_diffusion::math::Real;

/// Marks before and after a text. Neither occurs in a line.
pub(crate) const START: char = '\u{2}';
pub(crate) const END: char = '\u{3}';
/// Orders that are tried.
const ORDERS: RangeInclusive<usize> = 1..=8;
/// One training line in this many chooses the order.
const CHOOSE_EVERY: usize = 10;

/// What was seen after one history.
#[derive(Default)]
struct Followers {
    total: usize,
    counts: HashMap<char, usize>,
}

/// How often each character followed each history, for n-grams of every order that is tried.
pub struct Counting {
    /// Different symbols, the end of a text among them.
    symbols: usize,
    followers: HashMap<Vec<char>, Followers>,
}

impl Counting {
    /// Counts `lines`, which are written in an alphabet of `symbols` symbols with the end among them.
    pub fn of<'a>(lines: impl Iterator<Item = &'a String>, symbols: usize) -> Self {
        let mut followers = HashMap::<Vec<char>, Followers>::new();
        for line in lines {
            let text = marked(line);
            for place in *ORDERS.end()..text.len() {
                for order in ORDERS {
                    let history = &text[place + 1 - order..place];
                    if !followers.contains_key(history) {
                        followers.insert(history.to_vec(), Followers::default());
                    }
                    if let Some(seen) = followers.get_mut(history) {
                        seen.total += 1;
                        *seen.counts.entry(text[place]).or_default() += 1;
                    }
                }
            }
        }
        Self { symbols, followers }
    }

    /// −ln p of `text` and its end, by the n-gram of order `order`, in nats.
    pub fn nats(&self, text: &str, order: usize) -> f64 {
        let text = marked(text);
        let of_place = |place| -Real::ln(self.probability(&text[place + 1 - order..place], text[place]));
        (*ORDERS.end()..text.len()).map(of_place).sum()
    }

    /// The probability of `character` after `history`.
    fn probability(&self, history: &[char], character: char) -> f64 {
        let mut probability = 1.0 / self.symbols as f64;
        for first in (0..=history.len()).rev() {
            let Some(seen) = self.followers.get(&history[first..]) else { break };
            let count = seen.counts.get(&character).copied().unwrap_or(0) as f64;
            let different = seen.counts.len() as f64;
            probability = (count + different * probability) / (seen.total as f64 + different);
        }
        probability
    }
}

/// `text` between its marks, with as many start marks as the longest history needs and one more.
fn marked(text: &str) -> Vec<char> {
    let start = std::iter::repeat_n(START, *ORDERS.end());
    start.chain(text.chars()).chain([END]).collect()
}

/// The order that scores every tenth of `lines` best, counted on the others; 1 where there are fewer than ten.
fn best_order(lines: &[String], symbols: usize) -> usize {
    let side = |chosen: bool| {
        let numbered = (1_usize..).zip(lines);
        numbered
            .filter(move |(number, _)| number.is_multiple_of(CHOOSE_EVERY) == chosen)
            .map(|(_, line)| line)
    };
    let counting = Counting::of(side(false), symbols);
    let score = |order| mean(&side(true).map(|line| counting.nats(line, order)).collect::<Vec<_>>());
    let scores = ORDERS.map(|order| (order, score(order)));
    scores.min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(1, |(order, _)| order)
}

/// The mean −ln p of `texts` by counting the lines `training`, in nats, and the order of the n-gram, which these lines choose.
pub fn score(training: &[String], symbols: usize, texts: &[String]) -> (f64, usize) {
    let order = best_order(training, symbols);
    let counting = Counting::of(training.iter(), symbols);
    (mean(&texts.iter().map(|text| counting.nats(text, order)).collect::<Vec<_>>()), order)
}
