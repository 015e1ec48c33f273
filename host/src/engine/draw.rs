//! Drawing texts: what can be asked for, and how a denoiser answers.

use std::ops::Range;

use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::Denoiser;
use micro_diffusion::pattern::{self, PatternError};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::{cosine_remaining, linear_remaining};
use micro_diffusion::text::Alphabet;

use crate::engine::source::{Source, on_shares};

/// The default temperature.
pub(crate) const TEMPERATURE: f64 = 0.73;
/// The default order.
pub(crate) const ORDER: Order = Order::Random;
/// The default schedule.
pub(crate) const SCHEDULE: Schedule = Schedule::Linear;
/// The pattern of any text.
pub(crate) const ANYTHING: &str = "*";

/// Every order.
pub(crate) const ORDERS: [Order; 3] = [Order::Random, Order::Confidence, Order::Remask];

/// The name of `order` on the command line and in reports.
pub(crate) fn order_name(order: Order) -> &'static str {
    match order {
        Order::Random => "random",
        Order::Confidence => "confidence",
        Order::Remask => "remask",
    }
}

/// How many positions each step reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// As many in each step.
    Linear,
    /// Few at first, many at the end, as the Python reference does in 40 steps.
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

/// How texts are to be drawn.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) settings: Settings,
    /// How many positions each step reveals.
    pub(crate) schedule: Schedule,
    /// Unmasking steps; `None` is one for each position.
    pub(crate) steps: Option<u16>,
    pub(crate) seed: u64,
    /// What the texts must look like; see [`micro_diffusion::pattern`].
    pub(crate) pattern: String,
    /// How many characters they must have.
    pub(crate) length: Option<usize>,
    /// Whether the intermediate states are wanted.
    pub(crate) trace: bool,
}

/// A drawn text.
pub(crate) struct Drawn {
    pub(crate) text: String,
    /// Every state from all masks on, if asked for.
    pub(crate) frames: Vec<Frame>,
}

/// One state of a text being unmasked.
#[derive(Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) symbols: Vec<Option<u8>>,
    /// In 1/65536, for each shown position.
    pub(crate) confidence: Vec<u16>,
}

impl Request {
    /// Asks for free texts by the defaults.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(ORDER, TEMPERATURE, seed)
    }

    /// Asks for free texts in `order` at `temperature`, which is 0 or more.
    pub(crate) fn of(order: Order, temperature: f64, seed: u64) -> Self {
        Self {
            settings: Settings::new(order, Temperature::new(temperature).unwrap_or(Temperature::ONE)),
            schedule: SCHEDULE,
            steps: None,
            seed,
            pattern: ANYTHING.to_owned(),
            length: None,
            trace: false,
        }
    }
}

/// Draws the texts `indices` from `source`.
pub(crate) fn draw<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    alphabet: Alphabet,
    request: &Request,
    indices: Range<u32>,
) -> anyhow::Result<Vec<Drawn>> {
    let drawer = Drawer { alphabet, request, free: [SymbolSet::first(alphabet.symbols()); L] };
    let indices: Vec<u32> = indices.collect();
    on_shares(source, &indices, |denoiser, index| drawer.draw(denoiser, *index)).into_iter().collect()
}

/// Draws texts as a request asks.
struct Drawer<'a, const L: usize, const V: usize> {
    alphabet: Alphabet<'a>,
    request: &'a Request,
    /// Every symbol of the alphabet at every position.
    free: [SymbolSet; L],
}

/// Free texts looked at for the length of one whose pattern leaves it open.
const LENGTH_TRIES: u32 = 32;

impl<const L: usize, const V: usize> Drawer<'_, L, V> {
    /// Text number `index`.
    fn draw(&self, denoiser: &mut dyn Denoiser<L, V>, index: u32) -> anyhow::Result<Drawn> {
        let Request { pattern, length, .. } = self.request;
        let stream = Stream::new(self.request.seed, Purpose::Sample);
        let mut allowed = pattern::allowed(pattern, *length, self.alphabet);
        if allowed == Err(PatternError::LengthNeeded) {
            // The length is that of a free text of the model, the first that is long enough.
            let (shortest, _) =
                pattern::shortest(pattern, self.alphabet).map_err(|error| unmet(&error, pattern, L))?;
            let free = (1..=LENGTH_TRIES).map(|attempt| {
                let drawn = self.unmask(denoiser, &self.free, stream.child(index, attempt))?;
                anyhow::Ok(drawn.text.chars().count())
            });
            let mut lengths =
                free.filter(|length| length.as_ref().map_or(true, |length| *length >= shortest));
            let length = lengths.next().transpose()?.unwrap_or(shortest);
            allowed = pattern::allowed(pattern, Some(length), self.alphabet);
        }
        let allowed = allowed.map_err(|error| unmet(&error, pattern, L))?;
        self.unmask(denoiser, &allowed, stream.child(index, 0))
    }

    /// Unmasks one text under `allowed`.
    fn unmask(
        &self,
        denoiser: &mut dyn Denoiser<L, V>,
        allowed: &[SymbolSet; L],
        stream: Stream,
    ) -> anyhow::Result<Drawn> {
        let sampler = Sampler::<L, V>::new(allowed, self.request.settings, stream);
        let mut sampler =
            sampler.map_err(|error| anyhow::anyhow!("nothing fits at position {}", error.position))?;
        let (masked, steps) = (sampler.masked(), self.request.steps.map_or(L, usize::from));
        let mut frames = Vec::new();
        for step in 0..=steps {
            // Step 0 is the state before the first.
            let remaining = match self.request.schedule {
                Schedule::Linear => linear_remaining(masked, step, steps),
                // Its time runs down to 0.
                Schedule::Cosine => {
                    let time = |left: usize| u32::try_from(left).unwrap_or(u32::MAX);
                    cosine_remaining(sampler.masked(), time(steps + 1 - step), time(steps))
                }
            };
            let drawn = step > 0 && sampler.step(denoiser, remaining) > 0;
            if self.request.trace && (step == 0 || drawn) {
                let confidence = sampler.confidence().to_vec();
                frames.push(Frame { symbols: sampler.symbols().to_vec(), confidence });
            }
        }
        Ok(Drawn { text: decode(self.alphabet, sampler.symbols()), frames })
    }
}

/// Why no text can meet a pattern, for people.
fn unmet(error: &PatternError, pattern: &str, positions: usize) -> anyhow::Error {
    let reason = match error {
        PatternError::TooLong { needed } if pattern == ANYTHING => {
            return anyhow::anyhow!(
                "no text can have {needed} letters: the model writes at most {positions}; give a smaller --length"
            );
        }
        PatternError::UnknownCharacter(character) => {
            format!("the model does not know the character “{character}”")
        }
        PatternError::TwoStars => "there can be one * only".to_owned(),
        PatternError::NothingEscaped => "a backslash needs a character after it".to_owned(),
        PatternError::TooLong { needed } => {
            format!("it needs {needed} letters, and the model writes at most {positions}")
        }
        PatternError::Length { shortest } => {
            let (least, exact) = (if pattern.contains('*') { "at least " } else { "" }, shortest);
            format!("its texts have {least}{exact} letters; give another --length")
        }
        PatternError::LengthNeeded => "it leaves the length open; give --length".to_owned(),
    };
    anyhow::anyhow!("no text can meet the pattern “{pattern}”: {reason}")
}

/// The text up to its first PAD.
fn decode(alphabet: Alphabet, symbols: &[Option<u8>]) -> String {
    let shown = symbols.iter().map_while(|symbol| alphabet.character((*symbol)?));
    shown.collect()
}
