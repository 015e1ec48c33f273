//! Drawing texts: requests, and how a denoiser answers them.

use std::ops::Range;

use anyhow::anyhow;
use micro_diffusion::categorical::{SymbolSet, Temperature, Weights};
use micro_diffusion::cosine::cosine_remaining;
use micro_diffusion::denoiser::Denoiser;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::linear_remaining;
use micro_diffusion::text::Alphabet;

use crate::engine::calibration::{self, Calibration, ROUNDS, Recorder};
use crate::engine::description::REPORT_IT;
use crate::engine::forms::{ANYTHING, Forms};
use crate::engine::language::Language;
use crate::engine::source::{Adjusting, Noted, Source, on_noted_shares, on_shares};

/// The default temperature.
pub(crate) const TEMPERATURE: f64 = 0.68;
/// The default order.
pub(crate) const ORDER: Order = Order::Random;
/// The default schedule.
pub(crate) const SCHEDULE: Schedule = Schedule::Linear;

/// Every order.
pub(crate) const ORDERS: [Order; 2] = [Order::Random, Order::Confidence];

/// The name of `order` on the command line and in reports.
pub(crate) fn order_name(order: Order) -> &'static str {
    match order {
        Order::Random => "random",
        Order::Confidence => "confidence",
    }
}

/// The number of positions that each step reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// An equal number in each step.
    Linear,
    /// Few at first, many at the end; the Python reference does so in 40 steps.
    Cosine,
}

impl Schedule {
    /// Its name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
        }
    }
}

/// A request for texts.
pub(crate) struct Request {
    pub(crate) settings: Settings,
    /// The number of positions that each step reveals.
    pub(crate) schedule: Schedule,
    /// Unmasking steps; `None` means one for each letter.
    pub(crate) steps: Option<u16>,
    /// The number of times that each letter is drawn anew after the last step.
    pub(crate) redraws: u16,
    pub(crate) seed: u64,
    /// The pattern that the texts must meet; see [`micro_diffusion::pattern`].
    pub(crate) pattern: String,
    /// The number of characters that they must have, if given.
    pub(crate) length: Option<usize>,
    /// Whether to keep the intermediate states.
    pub(crate) trace: bool,
    /// Corrections of the scores, fitted at the temperature of the `settings`.
    pub(crate) calibration: Option<Calibration>,
}

/// A drawn text.
pub(crate) struct Drawn {
    pub(crate) text: String,
    /// Every state from all masks on, if the request asks for a trace.
    pub(crate) frames: Vec<Frame>,
}

/// One state of a text being unmasked.
#[derive(Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) symbols: Vec<Option<u8>>,
    /// Confidence of each shown position, in units of 1/65536.
    pub(crate) confidence: Vec<u16>,
}

impl Request {
    /// Requests free texts with the default settings.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(ORDER, TEMPERATURE, seed)
    }

    /// Requests free texts in `order` at `temperature`, which is 0 or more.
    pub(crate) fn of(order: Order, temperature: f64, seed: u64) -> Self {
        Self {
            settings: Settings::new(order, Temperature::new(temperature).unwrap_or(Temperature::ONE)),
            schedule: SCHEDULE,
            steps: None,
            redraws: 0,
            seed,
            pattern: ANYTHING.to_owned(),
            length: None,
            trace: false,
            calibration: None,
        }
    }
}

/// Draws the texts of a request.
pub(crate) trait Draw {
    /// The texts `indices`.
    fn draw(&self, indices: Range<u32>) -> anyhow::Result<Vec<Drawn>>;
}

/// Draws texts from `source` as `request` asks.
///
/// # Errors
/// No text can meet the request.
pub(crate) fn drawer<'a, const L: usize, const V: usize>(
    source: &'a dyn Source<L, V>,
    language: Language<'a>,
    request: &'a Request,
) -> anyhow::Result<Box<dyn Draw + 'a>> {
    let forms = Forms::of(source, language, &request.pattern, request.length)?;
    Ok(Box::new(Drawer { source, language, request, forms }))
}

/// Fits corrections of the scores of `source` to the training `lines`, at the request's temperature, `temperature`. Draws free texts in
/// the steps, with the limits and the redraws of `request`, and reports them to `noted`.
///
/// # Errors
/// A text cannot be drawn, which would be a fault of this program.
pub(crate) fn calibration<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
    request: &Request,
    (lines, temperature): (&[String], f64),
    noted: Noted,
) -> anyhow::Result<Calibration> {
    let Request { settings, schedule, steps, redraws, .. } = *request;
    let redraws = calibration::redraws(redraws);
    let request = Request { settings, schedule, steps, redraws, ..Request::new(0) };
    let drawer = Drawer { source, language, request: &request, forms: Forms::Any };
    let mut calibration = Calibration::new(
        lines,
        language.alphabet,
        temperature,
        calibration::sharpening(redraws, temperature),
    );
    let mut before = Vec::new();
    for round in 1..=ROUNDS {
        let indices: Vec<u32> =
            (0..calibration::texts(L, language.alphabet.symbols(), redraws, round)).collect();
        let drawn = on_noted_shares(source, &indices, noted, |denoiser, index| {
            let recorder = Recorder::new(&calibration);
            // Child (index, 0) draws a text for the user.
            let stream = Stream::new(request.seed, Purpose::Sample).child(*index, round);
            drawer.one(&mut Adjusting::new(denoiser, &recorder), stream)?;
            anyhow::Ok(recorder.predictions())
        });
        let drawn: Vec<_> = drawn.into_iter().collect::<anyhow::Result<_>>()?;
        calibration.refit(before.iter().chain(&drawn).flatten());
        before = drawn;
    }
    Ok(calibration)
}

/// A request with the forms that its texts can have.
struct Drawer<'a, const L: usize, const V: usize> {
    source: &'a dyn Source<L, V>,
    language: Language<'a>,
    request: &'a Request,
    forms: Forms<L>,
}

impl<const L: usize, const V: usize> Draw for Drawer<'_, L, V> {
    fn draw(&self, indices: Range<u32>) -> anyhow::Result<Vec<Drawn>> {
        let indices: Vec<u32> = indices.collect();
        let one = |denoiser: &mut dyn Denoiser<L, V>, index: &u32| {
            let stream = Stream::new(self.request.seed, Purpose::Sample).child(*index, 0);
            match &self.request.calibration {
                Some(calibration) => self.one(&mut Adjusting::new(denoiser, calibration), stream),
                None => self.one(denoiser, stream),
            }
        };
        on_shares(self.source, &indices, one).into_iter().collect()
    }
}

impl<const L: usize, const V: usize> Drawer<'_, L, V> {
    /// The text of `stream`.
    fn one(&self, denoiser: &mut dyn Denoiser<L, V>, stream: Stream) -> anyhow::Result<Drawn> {
        let (length, allowed) = self.forms.draw(self.language, stream);
        let sampler = Sampler::<L, V>::new(length, &allowed, self.request.settings, stream);
        let mut sampler =
            sampler.map_err(|error| anyhow!("a text cannot be drawn ({error}): {REPORT_IT}"))?;
        let (masked, steps) = (sampler.masked(), self.request.steps.map_or(length, usize::from));
        let state = |sampler: &Sampler<L, V>| Frame {
            symbols: sampler.symbols().to_vec(),
            confidence: sampler.confidence().to_vec(),
        };
        let mut states = Vec::new();
        for step in 0..=steps {
            // Step 0 is the state before the first draw.
            let remaining = match self.request.schedule {
                Schedule::Linear => linear_remaining(masked, step, steps),
                // The time of the cosine schedule runs down to 0.
                Schedule::Cosine => {
                    let time = |left: usize| u32::try_from(left).unwrap_or(u32::MAX);
                    cosine_remaining(sampler.masked(), time(steps + 1 - step), time(steps))
                }
            };
            let drawn = step > 0 && sampler.step(denoiser, remaining) > 0;
            if self.request.trace && (step == 0 || drawn) {
                states.push(state(&sampler));
            }
        }
        for turn in 0..masked * usize::from(self.request.redraws) {
            sampler.redraw(denoiser, turn);
            if self.request.trace {
                let now = state(&sampler);
                // An equal symbol is no new state, but has the confidence of its new draw.
                states.pop_if(|before| before.symbols == now.symbols);
                states.push(now);
            }
        }
        Ok(Drawn { text: decode(self.language.alphabet, sampler.symbols()), frames: states })
    }
}

/// A position that a step drew, and the candidates for it.
pub(crate) struct Choice {
    pub(crate) position: usize,
    pub(crate) drawn: u8,
    /// Every symbol with the probability it had, the likeliest first.
    pub(crate) candidates: Vec<(u8, f64)>,
}

/// For each step of a free text without redraws, with the states `frames`, the positions that it drew at `temperature`.
pub(crate) fn choices<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
    temperature: Temperature,
    frames: &[Frame],
) -> Vec<Vec<Choice>> {
    let mut steps = Vec::new();
    let allowed = SymbolSet::first(language.alphabet.symbols());
    source.with_denoiser(&mut |denoiser| {
        for (before, after) in frames.iter().zip(frames.iter().skip(1)) {
            denoiser.start(before.symbols.len());
            for (position, symbol) in before.symbols.iter().enumerate() {
                denoiser.set(position, *symbol);
            }
            denoiser.evaluate();
            let places = before.symbols.iter().zip(&after.symbols).enumerate();
            let drawn = places.filter_map(|(position, (before, after))| match (before, after) {
                (None, Some(drawn)) => Some((position, *drawn)),
                _ => None,
            });
            let choice = |(position, drawn)| {
                let mut scores = [0; V];
                denoiser.scores(position, &mut scores);
                let weights = Weights::new(&scores, &allowed, temperature);
                let share = |weight: u32| f64::from(weight) / f64::from(weights.total().max(1));
                let mut candidates: Vec<(u8, f64)> = (0..).zip(weights.iter().map(share)).collect();
                candidates.truncate(language.alphabet.symbols());
                candidates.sort_by(|(_, one), (_, other)| other.total_cmp(one));
                Choice { position, drawn, candidates }
            };
            steps.push(drawn.map(choice).collect());
        }
    });
    steps
}

/// The text of `symbols`.
fn decode(alphabet: Alphabet, symbols: &[Option<u8>]) -> String {
    let shown = symbols.iter().map_while(|symbol| alphabet.character((*symbol)?));
    shown.collect()
}
