//! Retrieval against a naive twin that goes through every position of every text in f64, and what it leaves alone.
#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

use common::tolerance::{RETRIEVED, assert_close};
use micro_diffusion::denoiser::{Denoiser, NAT, Score};
use micro_diffusion::rng::{Purpose, Stream, below};
use micro_diffusion::text::Alphabet;
use micro_diffusion_cli::engine::retrieval::{MOST, REACH, Retrieving, Texts};
use micro_diffusion_cli::engine::source::Adjusting;

const L: usize = 12;
/// Room for one more symbol than the alphabet has.
const V: usize = 5;
const SYMBOLS: usize = 4;

/// Scores by position and symbol alone; the symbol outside the alphabet scores best.
struct Fixed;

fn fixed(position: usize, symbol: usize) -> Score {
    if symbol == SYMBOLS { 9 * NAT } else { -(((position * 7 + symbol * 5) % 11) as Score) * NAT / 4 }
}

impl Denoiser<L, V> for Fixed {
    fn start(&mut self, _length: usize) {}
    fn set(&mut self, _position: usize, _symbol: Option<u8>) {}
    fn evaluate(&mut self) {}
    fn scores(&self, position: usize, out: &mut [Score; V]) {
        *out = std::array::from_fn(|symbol| fixed(position, symbol));
    }
}

/// The weight a of the tests.
const WEIGHT: u32 = 16;
/// The characters of the symbols.
const ALPHABET: &str = "abcd";

/// Texts as they are looked up in.
fn listed(texts: &[Vec<u8>]) -> Texts {
    let character = |symbol: &u8| char::from(b'a' + symbol);
    let lines: Vec<String> = texts.iter().map(|text| text.iter().map(character).collect()).collect();
    Texts::of(&lines, Alphabet::new(ALPHABET).unwrap())
}

/// `count` texts of 1 … L symbols, in which some contexts come back often.
fn texts(seed: u64, count: u32) -> Vec<Vec<u8>> {
    let stream = Stream::new(seed, Purpose::Order);
    (0..count)
        .map(|row| {
            let word = |l: u32| stream.child(row, 0).draw(l, 0)[0];
            let length = 1 + below(word(99), L as u32);
            (0..length).map(|l| (below(word(l), 8).saturating_sub(5) + l % 2) as u8).collect()
        })
        .collect()
}

/// What stands just outside a text.
const EDGE: u8 = 255;

/// What stands at signed place `place` of a text: EDGE just outside, nothing beyond.
fn at(text: &[Option<u8>], place: i32) -> Option<u8> {
    match place {
        -1 => Some(EDGE),
        _ if place == text.len() as i32 => Some(EDGE),
        _ if (0..text.len() as i32).contains(&place) => text[place as usize],
        _ => None,
    }
}

/// The prediction at `position` of `shown`, from the formula.
fn naive(texts: &[Vec<u8>], shown: &[Option<u8>], position: usize) -> Vec<f64> {
    let mut p: Vec<f64> =
        (0..SYMBOLS).map(|v| (f64::from(fixed(position, v)) / f64::from(NAT)).exp()).collect();
    let total: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= total);
    let mut neighbours = Vec::new();
    for distance in 1..=REACH as i32 {
        for offset in [-distance, distance] {
            if let Some(symbol) = at(shown, position as i32 + offset) {
                neighbours.push((offset, symbol));
            }
        }
    }
    for j in 3..=MOST.min(neighbours.len()) {
        let mut counts = [0.0; SYMBOLS];
        for text in texts {
            let text: Vec<Option<u8>> = text.iter().copied().map(Some).collect();
            for place in 0..text.len() {
                let agrees = |(offset, symbol): &(i32, u8)| at(&text, place as i32 + offset) == Some(*symbol);
                if neighbours[..j].iter().all(agrees) {
                    counts[usize::from(text[place].unwrap())] += 1.0;
                }
            }
        }
        let seen: f64 = counts.iter().sum();
        let weight = f64::from(WEIGHT) * counts.iter().filter(|count| **count > 0.0).count() as f64;
        if seen == 0.0 {
            break;
        }
        p = p.iter().zip(counts).map(|(p, count)| (count + weight * p) / (seen + weight)).collect();
    }
    p
}

/// Scores at `position` of `shown`, by retrieval from `texts`.
fn scores(texts: &Texts, shown: &[Option<u8>], position: usize) -> [Score; V] {
    let mut inner = Fixed;
    let retrieving = Retrieving { texts, weight: WEIGHT, symbols: SYMBOLS };
    let mut denoiser = Adjusting::<L, V>::new(&mut inner, &retrieving);
    // A former text leaves nothing behind.
    denoiser.start(L);
    (0..L).for_each(|position| denoiser.set(position, Some(0)));
    denoiser.evaluate();
    denoiser.start(shown.len());
    shown.iter().enumerate().for_each(|(position, symbol)| denoiser.set(position, *symbol));
    denoiser.evaluate();
    // Symbols set after the evaluation are not read.
    (0..shown.len()).for_each(|position| denoiser.set(position, Some(1)));
    let mut out = [0; V];
    denoiser.scores(position, &mut out);
    out
}

#[test]
fn predictions_are_those_of_the_formula() {
    let (mut differ, mut all) = (0, 0);
    for count in [0, 1, 3, 40, 400] {
        let list = texts(7, count);
        let listed = listed(&list);
        for (row, text) in texts(8, 60).iter().enumerate() {
            let stream = Stream::new(9, Purpose::Order).child(row as u32, count);
            let shown: Vec<Option<u8>> = text
                .iter()
                .enumerate()
                .map(|(l, symbol)| Some(*symbol).filter(|_| below(stream.draw(l as u32, 0)[0], 3) > 0))
                .collect();
            for position in (0..shown.len()).filter(|position| shown[*position].is_none()) {
                let found = scores(&listed, &shown, position);
                let expected = naive(&list, &shown, position);
                let network = naive(&[], &shown, position);
                let p = |score: &Score| (f64::from(*score) / f64::from(NAT)).exp();
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close(
                        p(found),
                        *expected,
                        RETRIEVED,
                        &format!("{shown:?} at {position} of {count} texts"),
                    );
                }
                assert_close(found[..SYMBOLS].iter().map(p).sum(), 1.0, RETRIEVED, "a distribution");
                assert_eq!(
                    found[SYMBOLS],
                    fixed(position, SYMBOLS),
                    "what is no symbol of the alphabet stays"
                );
                all += 1;
                differ += usize::from(expected.iter().zip(&network).any(|(a, b)| (a - b).abs() > 0.1));
            }
        }
    }
    assert!(differ * 4 > all, "{differ} of {all} predictions must depend on the texts");
}

#[test]
fn an_unseen_context_leaves_the_network_alone() {
    let listed = listed(&[vec![0, 0, 0, 0]]);
    let shown = [Some(1), Some(1), None, Some(1), Some(1)];
    let found = scores(&listed, &shown, 2);
    for (score, expected) in found.iter().zip(naive(&[], &shown, 2)) {
        assert_close((f64::from(*score) / f64::from(NAT)).exp(), expected, RETRIEVED, "as the network");
    }
}

#[test]
fn neighbours_do_not_reach_into_the_next_text() {
    // A position between 1 and 2 and before a 3 three places on, if the edge were overlooked.
    let listed = listed(&[vec![1, 0, 2], vec![3, 3, 3]]);
    let shown = [Some(1), None, Some(2), None, Some(3), Some(3)];
    let found = scores(&listed, &shown, 1);
    let expected = naive(&[vec![1, 0, 2], vec![3, 3, 3]], &shown, 1);
    for (score, expected) in found.iter().zip(expected) {
        assert_close((f64::from(*score) / f64::from(NAT)).exp(), expected, RETRIEVED, "within its text");
    }
}

#[test]
fn lines_with_other_characters_are_left_out() {
    let lines = ["abc", "abd", "abe", "é"].map(str::to_owned);
    let texts = Texts::of(&lines, Alphabet::new(ALPHABET).unwrap());
    let shown = [Some(0), Some(1), None];
    for (left, expected) in [(&lines[..2], true), (&lines[..1], false)] {
        let other = Texts::of(left, Alphabet::new(ALPHABET).unwrap());
        assert_eq!(scores(&texts, &shown, 2) == scores(&other, &shown, 2), expected);
    }
}

#[test]
fn a_symbol_outside_the_alphabet_is_no_neighbour_of_any_text() {
    let listed = listed(&[vec![0, 1, 2, 3]]);
    let shown = [Some(4), Some(4), Some(4), None];
    let found = scores(&listed, &shown, 3);
    for (score, expected) in found.iter().zip(naive(&[], &shown, 3)) {
        assert_close((f64::from(*score) / f64::from(NAT)).exp(), expected, RETRIEVED, "as the network");
    }
}

#[test]
fn a_position_outside_the_text_has_the_networks_scores() {
    let listed = listed(&[vec![0, 1, 2]]);
    let shown = [Some(0), None];
    for position in [2, L - 1] {
        assert_eq!(scores(&listed, &shown, position), std::array::from_fn(|symbol| fixed(position, symbol)));
    }
}
