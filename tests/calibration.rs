//! Calibration against a naive twin in f64, and what it changes of the scores.
#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

use std::collections::BTreeMap;

use common::tolerance::{CALIBRATED, assert_close};
use micro_diffusion::denoiser::NAT;
use micro_diffusion::rng::{Purpose, Stream, below, symmetric};
use micro_diffusion::text::Alphabet;
use micro_diffusion_cli::engine::calibration::{
    BEYOND, Calibration, Context, EDGE, MASK, Prediction, ROUNDS, contexts, sharpening, texts,
};
use micro_diffusion_cli::engine::source::Adjust;

const ALPHABET: &str = "abc";
const SYMBOLS: usize = 3;
/// Below 1, and above it.
const TEMPERATURES: [f64; 2] = [0.5, 2.0];

/// Lines of 1 … 6 letters.
fn lines() -> Vec<String> {
    let stream = Stream::new(3, Purpose::Order);
    let line = |row: u32| {
        let word = |place: u32| stream.child(row, 0).draw(place, 0)[0];
        (0..=below(word(99), 6)).map(|place| char::from(b'a' + below(word(place), 3) as u8)).collect()
    };
    (0..40).map(line).collect()
}

/// A text of masks and letters, from a line.
fn shown(line: &str, stream: Stream) -> Vec<Option<u8>> {
    let shown =
        |(place, letter): (u32, u8)| (below(stream.draw(place, 0)[0], 3) > 0).then_some(letter - b'a');
    (0..).zip(line.bytes()).map(shown).collect()
}

/// Predictions at every place of masked lines, a few in contexts that no line has.
fn predictions() -> Vec<Prediction> {
    let mut predictions = Vec::new();
    for (row, line) in (0..).zip(lines()) {
        let stream = Stream::new(5, Purpose::Noise).child(row, 0);
        let text = shown(&line, stream);
        for place in 0..text.len() {
            let logit = |symbol: usize| 2.0 * symmetric(stream.draw(place as u32, 1 + symbol as u32)[0]);
            let logits = (0..SYMBOLS).map(logit).collect();
            predictions.push(Prediction { contexts: contexts(&text, place), logits });
        }
    }
    predictions[0].contexts[0] = (0, BEYOND, BEYOND);
    predictions
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / total).collect()
}

type Rows = BTreeMap<Context, Vec<f64>>;

/// The places −2, −1, 1 and 2 around `place` of a text, by the text with its edges written out.
fn around(text: &[Option<u8>], place: usize) -> [u16; 4] {
    let inside = text.iter().map(|symbol| symbol.map_or(MASK, u16::from));
    let written: Vec<u16> = [BEYOND, EDGE].into_iter().chain(inside).chain([EDGE, BEYOND]).collect();
    [written[place], written[place + 1], written[place + 3], written[place + 4]]
}

/// N_j(h, v): goes through every way to mask a line's other letters.
fn counted() -> Rows {
    let mut rows = Rows::new();
    for line in lines() {
        let letters: Vec<u8> = line.bytes().map(|letter| letter - b'a').collect();
        for place in 0..letters.len() {
            let mut met = std::collections::BTreeSet::new();
            for masks in 0..1_u32 << letters.len() {
                let text: Vec<Option<u8>> =
                    (0..).zip(&letters).map(|(l, letter)| (masks >> l & 1 == 0).then_some(*letter)).collect();
                let [a, b, c, d] = around(&text, place);
                met.extend([(0, b, c), (1, a, b), (2, c, d)]);
            }
            for context in met {
                rows.entry(context).or_insert_with(|| vec![0.0; SYMBOLS])[usize::from(letters[place])] += 1.0;
            }
        }
    }
    rows
}

/// The mean of the predictions in each context, and their number.
fn means(
    predictions: &[Prediction],
    logits: impl Fn(&Prediction) -> Vec<f64>,
) -> BTreeMap<Context, (f64, Vec<f64>)> {
    let mut sums: BTreeMap<Context, (f64, Vec<f64>)> = BTreeMap::new();
    for prediction in predictions {
        let probabilities = softmax(&logits(prediction));
        for context in prediction.contexts {
            let (count, sum) = sums.entry(context).or_insert_with(|| (0.0, vec![0.0; SYMBOLS]));
            *count += 1.0;
            sum.iter_mut().zip(&probabilities).for_each(|(sum, probability)| *sum += probability);
        }
    }
    sums.values_mut().for_each(|(count, sum)| sum.iter_mut().for_each(|sum| *sum /= *count));
    sums
}

fn corrected(corrections: &Rows, temperature: f64, prediction: &Prediction) -> Vec<f64> {
    let mut logits: Vec<f64> =
        prediction.logits.iter().map(|logit| f64::from(*logit) / temperature).collect();
    for row in prediction.contexts.iter().filter_map(|context| corrections.get(context)) {
        logits.iter_mut().zip(row).for_each(|(logit, correction)| *logit += correction);
    }
    logits
}

/// The corrections after two rounds with the same predictions, by the formulas of the module.
fn naive(temperature: f64, sharpening: f64) -> Rows {
    let (predictions, counts, mut corrections) = (predictions(), counted(), Rows::new());
    let plain = means(&predictions, |prediction| prediction.logits.iter().copied().map(f64::from).collect());
    for _ in 0..6 {
        let means = means(&predictions, |prediction| corrected(&corrections, temperature, prediction));
        for (context, (n, mean)) in means {
            let counts = counts.get(&context).cloned().unwrap_or(vec![0.0; SYMBOLS]);
            let target = |symbol: usize| {
                (counts[symbol] + 0.5 * plain[&context].1[symbol]).powf(temperature.powf(-sharpening))
            };
            let total: f64 = (0..SYMBOLS).map(target).sum();
            let row = corrections.entry(context).or_insert_with(|| vec![0.0; SYMBOLS]);
            for symbol in 0..SYMBOLS {
                let ratio: f64 = ((target(symbol) / total + 1e-6) / (mean[symbol] + 1e-6)).ln();
                row[symbol] += 0.5 * n / (n + 20.0) * ratio.clamp(-2.0, 2.0);
            }
        }
    }
    corrections
}

fn fitted(temperature: f64, sharpening: f64) -> Calibration {
    let lines = lines();
    let mut calibration = Calibration::new(&lines, Alphabet::new(ALPHABET).unwrap(), temperature, sharpening);
    for _ in 0..2 {
        calibration.refit(predictions().iter());
    }
    calibration
}

#[test]
fn corrections_are_those_of_the_formulas() {
    for (temperature, sharpening) in TEMPERATURES.into_iter().flat_map(|each| [(each, 0.1), (each, 0.25)]) {
        let (calibration, corrections, mut largest) =
            (fitted(temperature, sharpening), naive(temperature, sharpening), 0.0_f64);
        for prediction in predictions() {
            let found = calibration.corrected(&prediction);
            let expected = corrected(&corrections, temperature, &prediction);
            for (symbol, (found, expected)) in found.iter().zip(expected).enumerate() {
                let what = format!("symbol {symbol} at temperature {temperature}");
                assert_close(f64::from(*found), expected, CALIBRATED, &what);
                largest = largest.max((expected - f64::from(prediction.logits[symbol]) / temperature).abs());
            }
        }
        assert!(largest > 0.5, "corrections of at most {largest} show nothing");
    }
}

#[test]
fn contexts_are_the_places_around_a_position() {
    for (row, line) in (0..).zip(lines()) {
        let text = shown(&line, Stream::new(7, Purpose::Noise).child(row, 0));
        for place in 0..text.len() {
            let [a, b, c, d] = around(&text, place);
            assert_eq!(contexts(&text, place), [(0, b, c), (1, a, b), (2, c, d)], "{text:?} at {place}");
        }
    }
}

#[test]
fn scores_divided_by_the_temperature_have_the_corrections() {
    let calibration = fitted(0.5, 0.1);
    let text = [Some(0), None, Some(2), None];
    let logits = [0.25_f32, -1.0, 0.5];
    // The room has one more symbol than the alphabet.
    let mut scores: [i32; SYMBOLS + 1] = [NAT / 4, -NAT, NAT / 2, 7 * NAT];
    calibration.adjust(&text, 1, &mut scores);
    let expected =
        calibration.corrected(&Prediction { contexts: contexts(&text, 1), logits: logits.to_vec() });
    for (score, expected) in scores.iter().zip(&expected) {
        let found = f64::from(*score) / f64::from(NAT) / 0.5;
        assert_close(found, f64::from(*expected), CALIBRATED, "a score");
    }
    assert_ne!(scores[0], NAT / 4, "a correction");
    assert_eq!(scores[SYMBOLS], 7 * NAT, "a symbol outside the alphabet stays as it is");
}

#[test]
fn lines_with_other_characters_are_left_out() {
    let alphabet = Alphabet::new(ALPHABET).unwrap();
    let with: Vec<String> = ["abc", "abd", "", "cab"].map(str::to_owned).into();
    let without: Vec<String> = ["abc", "cab"].map(str::to_owned).into();
    let corrected = |lines: &[String]| {
        let mut calibration = Calibration::new(lines, alphabet, 0.5, 0.1);
        calibration.refit(predictions().iter());
        predictions().iter().map(|prediction| calibration.corrected(prediction)).collect::<Vec<_>>()
    };
    assert_eq!(corrected(&with), corrected(&without));
}

#[test]
fn redraws_sharpen_targets_and_leave_texts_to_fit() {
    let of = |redraws| [0.1, 0.5, 1.0, 10.0].map(|temperature| sharpening(redraws, temperature));
    assert_eq!(of(0), [0.1; 4]);
    assert_eq!((of(1), of(100)), ([0.45, 0.25, 0.0, 0.0], of(1)));
    let last = |positions, symbols, redraws| texts(positions, symbols, redraws, ROUNDS);
    assert_eq!([0, 1].map(|redraws| last(16, 26, redraws)), [80_000; 2]);
    for (positions, symbols) in [(12, 26), (16, 2), (16, 64), (24, 100), (64, 255)] {
        let all = [0, 1, 4, 5, 100].map(|redraws| last(positions, symbols, redraws));
        assert!(all.is_sorted_by(|one, other| one >= other) && all[4] == all[2], "{all:?}");
        assert!(all[4] > 1000, "{} texts for {positions} × {symbols}", all[4]);
        assert_eq!(texts(positions, symbols, 4, 1), all[2] / 32);
    }
}
