//! Calibration: a temperature that leaves pairs and triples of letters nearly as frequent as in the training lines.
//!
//! A temperature T below 1 prefers likely names, and with them letters that are frequent anyway. So its names repeat the commonest pairs
//! and triples of letters too often. Calibration adds corrections to the scores s_v of a masked position, one for each of
//! three *contexts*. These are the two letters beside the position (h_1), the two before it (h_2), and the two after it (h_3).
//!
//! ```text
//! q(v) = e^(s_v/T + Σ_j c_j(h_j, v)) / Σ_u e^(s_u/T + Σ_j c_j(h_j, u)),   j = 1 … 3
//! ```
//!
//! A place of a context holds a letter, MASK, the edge of the text, or nothing beyond the edge. Corrections are fitted, so that wherever
//! drawn texts pass a context h, their mean prediction comes near to what the training lines have there:
//!
//! ```text
//! E[q(v) | h_j = h] ≈ f_j(v | h)
//! ```
//!
//! **Target.** N_j(h, v) letters v of the training lines stand in the context h. A letter of the context counts as itself and as MASK,
//! since any may be masked.
//!
//! ```text
//! f_j(v | h) ∝ (N_j(h, v) + ½·b_j(v | h))^(T^−κ)
//! ```
//!
//! Here b_j is the model's mean prediction at T = 1, so that a symbol that was never seen there stays possible. Target
//! frequencies have a temperature of their own, T^κ. κ is 0.1, so that T = ½ gives 0.93: this lowers triples that stand in one or two
//! lines by chance. [Redraws](micro_diffusion::sampler::Sampler::redraw) keep triples nearer by themselves, so that targets can be
//! sharper the lower T is: κ is then (1 − T)/2, or 0 for T above 1. T = ½ gives 0.84.
//!
//! **Fit.** Each of six rounds draws texts with the corrections so far, by the steps and limits (top-k, top-p) of the request. It redraws
//! letters as the request does, but at most four times. A round draws twice as many texts as the one before, since less is left to
//! correct. It takes the predictions of both rounds: n of them have the context h, with the mean m_j(v | h). Here q is whole, without
//! the limits. Then it moves the corrections three times, each time with new means:
//!
//! ```text
//! c_j(h, v) += ½·n/(n + 20)·ln((f_j(v | h) + 10⁻⁶) / (m_j(v | h) + 10⁻⁶))
//! ```
//!
//! The logarithm is limited to ±2. The factor n/(n + 20) leaves contexts alone that are hardly met. Each such step scales every mean
//! towards its target, as iterative scaling does. The means are those of drawn texts, since the corrections change what is
//! drawn. The fit draws from a seed of its own, so the user's does not change the corrections.
//!
//! Sources: J. Darroch and D. Ratcliff, "Generalized Iterative Scaling for Log-Linear Models", Annals of Mathematical Statistics,
//! 1972; M. Khalifa, H. Elsahar, M. Dymetman, "A Distributional Approach to Controlled Text Generation", ICLR 2021, for a language model
//! whose samples meet given means.

use std::cell::RefCell;
use std::collections::HashMap;

use micro_diffusion::denoiser::{NAT, Score};
use micro_diffusion::math::{Real, round_to_i32};
use micro_diffusion::softmax::softmax_forward;
use micro_diffusion::text::Alphabet;

use crate::engine::source::Adjust;

/// Rounds of the fit.
pub const ROUNDS: u32 = 6;
/// Texts drawn in the last round, where there is room for their scores.
const TEXTS: usize = 80_000;
/// Most scores of the steps of the texts of a round, which bounds its time.
const SCORES: usize = 1 << 25;
/// Most bytes of the predictions of a round, 512 MiB; half as many of the round before are kept beside them.
const BYTES: usize = 1 << 29;
/// Bytes of a prediction without its scores.
const OF_PREDICTION: usize = 104;
/// Most times that the fit draws a letter anew: predictions of one text say little more with each.
const REDRAWS: u16 = 4;
/// Steps of each round.
const STEPS: u32 = 3;
/// Share of a full step.
const PACE: f32 = 0.5;
/// Number n of predictions in a context at which a step is half of [`PACE`].
const FEW: f32 = 20.0;
/// Weight of the model's prediction at T = 1 in a target, in letters.
const PRIOR: f32 = 0.5;
/// κ, the power of T that is the temperature of the targets, for texts whose letters are drawn once.
const SHARPENING: f64 = 0.1;
/// Added to both frequencies of a ratio, so that neither is 0.
const LEAST: f32 = 1e-6;
/// Largest absolute logarithm of a ratio in one step.
const MOST: f32 = 2.0;

/// Times that the fit draws a letter anew for texts with `redraws` of each.
pub(crate) fn redraws(redraws: u16) -> u16 {
    redraws.min(REDRAWS)
}

/// Texts drawn in `round` for a model of `positions` positions and `symbols` symbols, with `redraws` of each letter.
pub fn texts(positions: usize, symbols: usize, redraws: u16, round: u32) -> u32 {
    let predictions = positions * (1 + usize::from(self::redraws(redraws)));
    let room = BYTES / (predictions * (symbols * size_of::<f32>() + OF_PREDICTION));
    TEXTS.min(SCORES / (positions * symbols)).min(room) as u32 >> (ROUNDS - round)
}

/// κ for texts with `redraws` of each letter at `temperature`.
pub fn sharpening(redraws: u16, temperature: f64) -> f64 {
    if redraws == 0 { SHARPENING } else { ((1.0 - temperature) / 2.0).max(0.0) }
}

/// Kinds of contexts.
pub const KINDS: usize = 3;
/// A context: its kind, and what its two places hold, a symbol or one of the next three.
pub type Context = (usize, u16, u16);
/// A masked letter.
pub const MASK: u16 = 256;
/// The place before the first letter, or after the last.
pub const EDGE: u16 = 257;
/// A place further outside.
pub const BEYOND: u16 = 258;

/// The contexts of `position` in the text `shown`.
pub fn contexts(shown: &[Option<u8>], position: usize) -> [Context; KINDS] {
    let at = |offset: isize| match position.checked_add_signed(offset) {
        Some(place) if place < shown.len() => shown[place].map_or(MASK, u16::from),
        Some(place) if place == shown.len() => EDGE,
        None if offset.unsigned_abs() == position + 1 => EDGE,
        _ => BEYOND,
    };
    let [before_left, left, right, after_right] = [-2, -1, 1, 2].map(at);
    [(0, left, right), (1, before_left, left), (2, right, after_right)]
}

/// Calls `each` for `context` and its variants in which letters are masked.
fn with_masks((kind, one, other): Context, mut each: impl FnMut(Context)) {
    let variants = |place: u16| [Some(place), (place < MASK).then_some(MASK)].into_iter().flatten();
    for one in variants(one) {
        variants(other).for_each(|other| each((kind, one, other)));
    }
}

/// Corrections of the scores at one temperature, for the contexts that training lines or drawn texts have.
pub struct Calibration {
    /// T, above 0.
    temperature: f32,
    /// T^−κ.
    power: f32,
    /// Size of the alphabet.
    symbols: usize,
    /// Number of each context.
    numbers: HashMap<Context, usize>,
    /// N_j(h, v): a row for each context.
    counts: Vec<f32>,
    /// c_j(h, v): a row for each context.
    corrections: Vec<f32>,
}

/// A prediction: its contexts, and the model's scores in nats.
pub struct Prediction {
    /// The contexts h_1, h_2 and h_3.
    pub contexts: [Context; KINDS],
    /// The scores s_v, one for each symbol of the alphabet.
    pub logits: Vec<f32>,
}

impl Calibration {
    /// Counts the contexts of `lines`, without corrections yet, for targets of the temperature T^κ, where κ is `sharpening`.
    /// Lines with characters outside the `alphabet` are left out.
    pub fn new<'a>(
        lines: impl IntoIterator<Item = &'a String>,
        alphabet: Alphabet,
        temperature: f64,
        sharpening: f64,
    ) -> Self {
        let symbols = alphabet.symbols();
        let (numbers, counts, corrections) = Default::default();
        let power = f32::of(Real::exp(-sharpening * Real::ln(temperature)));
        let temperature = f32::of(temperature);
        let mut calibration = Self { temperature, power, symbols, numbers, counts, corrections };
        for line in lines {
            let text: Option<Vec<_>> =
                line.chars().map(|character| alphabet.symbol(character).map(Some)).collect();
            let text = text.unwrap_or_default();
            for (position, symbol) in text.iter().enumerate() {
                let symbol = usize::from(symbol.unwrap_or_default());
                for context in contexts(&text, position) {
                    with_masks(context, |context| {
                        let number = calibration.add(context);
                        calibration.counts[number * symbols + symbol] += 1.0;
                    });
                }
            }
        }
        calibration
    }

    /// The number of `context`, which gets a row where it is new.
    fn add(&mut self, context: Context) -> usize {
        let next = self.numbers.len();
        let number = *self.numbers.entry(context).or_insert(next);
        if number == next {
            let numbers = self.numbers.len() * self.symbols;
            self.counts.resize(numbers, 0.0);
            self.corrections.resize(numbers, 0.0);
        }
        number
    }

    /// The corrections c_j(h_j, v) of those of the `contexts` that have any.
    fn rows(&self, contexts: [Context; KINDS]) -> impl Iterator<Item = &[f32]> {
        let numbers = contexts.into_iter().filter_map(|context| self.numbers.get(&context));
        numbers.map(|number| &self.corrections[number * self.symbols..][..self.symbols])
    }

    /// Moves the corrections by `predictions`, three times.
    pub fn refit<'a>(&mut self, predictions: impl Iterator<Item = &'a Prediction> + Clone) {
        for context in predictions.clone().flat_map(|prediction| prediction.contexts) {
            self.add(context);
        }
        let symbols = self.symbols;
        // The model's mean predictions b_j become the targets f_j.
        let mut targets = self.means(predictions.clone(), |prediction| prediction.logits.clone());
        for ((_, target), counts) in targets.iter_mut().zip(self.counts.chunks_exact(symbols)) {
            for (target, count) in target.iter_mut().zip(counts) {
                *target = Real::ln(count + PRIOR * *target) * self.power;
            }
            softmax_forward(target);
        }
        for _ in 0..STEPS {
            let means = self.means(predictions.clone(), |prediction| self.corrected(prediction));
            let rows = self.corrections.chunks_exact_mut(symbols).zip(targets.iter().zip(&means));
            for (corrections, ((n, target), (_, mean))) in rows {
                let share = PACE * n / (n + FEW);
                for ((correction, target), mean) in corrections.iter_mut().zip(target).zip(mean) {
                    let ratio = Real::ln((target + LEAST) / (mean + LEAST));
                    *correction += share * ratio.clamp(-MOST, MOST);
                }
            }
        }
    }

    /// The scores of `prediction` in nats at T, corrected.
    pub fn corrected(&self, prediction: &Prediction) -> Vec<f32> {
        let mut logits: Vec<f32> = prediction.logits.iter().map(|logit| logit / self.temperature).collect();
        for corrections in self.rows(prediction.contexts) {
            logits.iter_mut().zip(corrections).for_each(|(logit, correction)| *logit += correction);
        }
        logits
    }

    /// For each context the number of `predictions` there, and their mean, from their `logits`.
    fn means<'a>(
        &self,
        predictions: impl Iterator<Item = &'a Prediction>,
        logits: impl Fn(&Prediction) -> Vec<f32>,
    ) -> Vec<(f32, Vec<f32>)> {
        // A context that no prediction has takes no room.
        let mut means = vec![(0.0_f32, Vec::new()); self.numbers.len()];
        for prediction in predictions {
            let mut probabilities = logits(prediction);
            softmax_forward(&mut probabilities);
            for number in prediction.contexts.iter().filter_map(|context| self.numbers.get(context)) {
                let (count, sums) = &mut means[*number];
                *count += 1.0;
                sums.resize(self.symbols, 0.0);
                sums.iter_mut().zip(&probabilities).for_each(|(sum, probability)| *sum += probability);
            }
        }
        for (count, sums) in &mut means {
            sums.iter_mut().for_each(|sum| *sum /= count.max(1.0));
        }
        means
    }
}

impl<const V: usize> Adjust<V> for Calibration {
    /// Adds T·Σ_j c_j(h_j, v), since the draw divides scores by T.
    fn adjust(&self, shown: &[Option<u8>], position: usize, scores: &mut [Score; V]) {
        for corrections in self.rows(contexts(shown, position)) {
            for (score, correction) in scores.iter_mut().zip(corrections) {
                *score = score.saturating_add(round_to_i32(self.temperature * correction * NAT as f32));
            }
        }
    }
}

/// Corrections that keep the predictions that they correct.
pub(crate) struct Recorder<'a> {
    calibration: &'a Calibration,
    predictions: RefCell<Vec<Prediction>>,
}

impl<'a> Recorder<'a> {
    /// Corrects by `calibration`.
    pub(crate) fn new(calibration: &'a Calibration) -> Self {
        Self { calibration, predictions: RefCell::default() }
    }

    /// The predictions, in their order.
    pub(crate) fn predictions(self) -> Vec<Prediction> {
        self.predictions.into_inner()
    }
}

impl<const V: usize> Adjust<V> for Recorder<'_> {
    fn adjust(&self, shown: &[Option<u8>], position: usize, scores: &mut [Score; V]) {
        let logits =
            scores[..self.calibration.symbols].iter().map(|score| *score as f32 / NAT as f32).collect();
        let contexts = contexts(shown, position);
        self.predictions.borrow_mut().push(Prediction { contexts, logits });
        self.calibration.adjust(shown, position, scores);
    }
}
