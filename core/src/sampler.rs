//! The reverse process: a text emerges from masks.
//!
//! A text of a given length starts as all MASK. Each [`step`](Sampler::step) asks the denoiser for the masked positions' distributions and
//! reveals some of them. How many is the schedule's business, which is the caller's; which ones is the [`Order`]:
//!
//! - [`Order::Random`] reveals positions in uniformly random order and draws a symbol only there. One position at a time
//!   and at temperature 1, this draws from the any-order autoregressive distribution that training bounds, to the accuracy
//!   of [`categorical`](crate::categorical). A symbol of less than 2⁻²³ of the likeliest one's probability is never drawn:
//!   in a random order for each, 2 of 3,197 held-out names cannot be drawn from `data/names.mdm`.
//! - [`Order::Confidence`] draws a symbol at every masked position and reveals those whose distribution is the most
//!   certain (the largest probability of any symbol), as the reference does. It is sharper than the learned distribution.
//!
//! Several positions revealed in one step are drawn independently of each other: that is the price of fewer steps.
//!
//! Randomness is addressed, not consumed: evaluation e and position l use draw (e, l) of the text's stream, word 0 for
//! the symbol and word 1 for the order. A step that reveals nothing evaluates nothing and uses up no evaluation, so the
//! text does not depend on how many empty steps a schedule has.
//!
//! Source: the reference's loop; E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, algorithm 1.

use crate::categorical::{SymbolSet, Temperature, Weights, confidence};
use crate::denoiser::Denoiser;
use crate::rng::Stream;
use crate::schedule::linear_remaining;

/// Which masked positions a step reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Uniformly random ones.
    Random,
    /// Those with the largest probability of any symbol, the first of equals.
    ///
    /// It is the probability at the settings' temperature, before any symbol is left out by [`Settings::top_k`] or
    /// [`Settings::top_p`]. Near temperature 0, but not at it, the model is sure everywhere to the last of its 23 bits, and
    /// all are equals.
    Confidence,
}

/// How texts are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which positions a step reveals.
    pub order: Order,
    /// How sharp each draw is.
    pub temperature: Temperature,
    /// How many of the likeliest symbols can be drawn; 256 for all.
    pub top_k: u16,
    /// How much of the probability, in 1/65536, the symbols that can be drawn hold; 65536 for all.
    pub top_p: u32,
}

impl Settings {
    /// These settings with every symbol open to be drawn.
    pub const fn new(order: Order, temperature: Temperature) -> Self {
        Self { order, temperature, top_k: ALL_SYMBOLS, top_p: ALL_PROBABILITY }
    }
}

const ALL_SYMBOLS: u16 = 256;
const ALL_PROBABILITY: u32 = 1 << 16;

/// Why no text can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplerError {
    /// A length of 0, or more than the positions.
    Length,
    /// No allowed symbol at a position of the text.
    NothingAllowed {
        /// The first such position, from 0.
        position: usize,
    },
}

/// One text being unmasked.
#[derive(Clone, Debug)]
pub struct Sampler<'a, const L: usize, const V: usize> {
    /// Of the first `length` positions; the others stay masked.
    symbols: [Option<u8>; L],
    confidence: [u16; L],
    length: usize,
    allowed: &'a [SymbolSet],
    settings: Settings,
    stream: Stream,
    evaluations: u32,
}

impl<'a, const L: usize, const V: usize> Sampler<'a, L, V> {
    /// A text of `length` masks, at each of which only `allowed` symbols can be drawn: a set for each position, the last
    /// of which stands for all that follow. Where a set is a single symbol, it is shown from the start.
    ///
    /// `stream` is the text's own: `Stream::new(seed, Purpose::Sample).child(index, 0)`, from which
    /// [`Lengths::draw`](crate::length::Lengths::draw) draws the length.
    ///
    /// # Errors
    /// [`SamplerError`] where the length is not one of 1 … `L`, or a position allows none of the `V` symbols.
    pub fn new(
        length: usize,
        allowed: &'a [SymbolSet],
        settings: Settings,
        stream: Stream,
    ) -> Result<Self, SamplerError> {
        if length == 0 || length > L {
            return Err(SamplerError::Length);
        }
        let (mut symbols, mut confidence) = ([None; L], [0; L]);
        for (position, (symbol, confidence)) in
            symbols.iter_mut().zip(&mut confidence).enumerate().take(length)
        {
            let mut members = set_of(allowed, position).iter_below(V);
            match (members.next(), members.next()) {
                (None, _) => return Err(SamplerError::NothingAllowed { position }),
                (given, None) => (*symbol, *confidence) = (given, u16::MAX),
                _ => {}
            }
        }
        Ok(Self { symbols, confidence, length, allowed, settings, stream, evaluations: 0 })
    }

    /// The text so far; `None` is MASK.
    pub fn symbols(&self) -> &[Option<u8>] {
        self.symbols.get(..self.length).unwrap_or(&self.symbols)
    }

    /// For each shown position, the largest probability of any symbol there when it was drawn, in 1/65536.
    pub fn confidence(&self) -> &[u16] {
        self.confidence.get(..self.length).unwrap_or(&self.confidence)
    }

    /// How many positions are masked.
    pub fn masked(&self) -> usize {
        self.symbols().iter().filter(|symbol| symbol.is_none()).count()
    }

    /// How many times the denoiser has been evaluated.
    pub fn evaluations(&self) -> u32 {
        self.evaluations
    }

    /// Reveals positions until `remaining` are masked, all from one evaluation of `denoiser`; returns how many symbols
    /// were drawn.
    ///
    /// Where no more than `remaining` are masked already, nothing happens and the denoiser does not run.
    pub fn step<D: Denoiser<L, V> + ?Sized>(&mut self, denoiser: &mut D, remaining: usize) -> usize {
        let reveal = self.masked().saturating_sub(remaining);
        if reveal == 0 {
            return 0;
        }
        if self.evaluations == 0 {
            denoiser.start(self.length);
            for (position, symbol) in self.symbols().iter().enumerate() {
                denoiser.set(position, *symbol);
            }
        }
        denoiser.evaluate();
        let mut candidates = [None; L];
        for position in 0..self.length {
            let candidate = self.candidate(denoiser, position);
            if let Some(slot) = candidates.get_mut(position) {
                *slot = candidate;
            }
        }
        for _ in 0..reveal {
            let first = candidates.iter().enumerate().filter_map(|(position, candidate)| {
                candidate.as_ref().map(|candidate| (candidate.rank, position))
            });
            let Some((_, position)) = first.min() else { break };
            let Some(candidate) = candidates.get_mut(position).and_then(Option::take) else { break };
            let drawn = candidate.drawn.or_else(|| self.draw(denoiser, position).drawn);
            let Some((symbol, total)) = drawn else { break };
            denoiser.set(position, Some(symbol));
            if let (Some(slot), Some(share)) =
                (self.symbols.get_mut(position), self.confidence.get_mut(position))
            {
                (*slot, *share) = (Some(symbol), confidence(total));
            }
        }
        self.evaluations = self.evaluations.saturating_add(1);
        reveal
    }

    /// Unmasks the whole text in at most `steps` steps that each reveal about as many positions.
    pub fn run<D: Denoiser<L, V> + ?Sized>(&mut self, denoiser: &mut D, steps: usize) {
        let masked = self.masked();
        for step in 1..=steps.max(1) {
            self.step(denoiser, linear_remaining(masked, step, steps));
        }
    }
}

/// A masked position that a step may reveal; the lowest ranks are revealed.
#[derive(Clone, Copy)]
struct Candidate {
    rank: u32,
    /// The symbol and the total of the weights it was drawn from, where the order had to look at the distribution.
    drawn: Option<(u8, u32)>,
}

impl<const L: usize, const V: usize> Sampler<'_, L, V> {
    /// Position `position` as a candidate; `None` where it is shown.
    fn candidate<D: Denoiser<L, V> + ?Sized>(&self, denoiser: &D, position: usize) -> Option<Candidate> {
        if self.symbols.get(position)?.is_some() {
            return None;
        }
        Some(match self.settings.order {
            Order::Random => Candidate { rank: self.words(position)[1], drawn: None },
            Order::Confidence => self.draw(denoiser, position),
        })
    }

    /// The two random words of `position` in this evaluation.
    fn words(&self, position: usize) -> [u32; 2] {
        self.stream.draw(self.evaluations, counter(position))
    }

    /// Draws a symbol at `position`, ranked by how sure the distribution over all that are allowed is.
    #[inline(always)]
    fn draw<D: Denoiser<L, V> + ?Sized>(&self, denoiser: &D, position: usize) -> Candidate {
        let allowed = set_of(self.allowed, position);
        let Settings { temperature, top_k, top_p, .. } = self.settings;
        let [word, _] = self.words(position);
        draw(denoiser, position, allowed, temperature, top_k, top_p, word)
    }
}

/// The symbols allowed at `position`.
fn set_of(allowed: &[SymbolSet], position: usize) -> &SymbolSet {
    allowed.get(position).or(allowed.last()).unwrap_or(&SymbolSet::EMPTY)
}

/// `position` as part of a draw's address.
fn counter(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Draws a symbol at `position`.
///
/// A function of its own, so that what it works in leaves the stack, and with single settings, so that the compiler sees
/// which of them are constants and leaves out what they never ask for.
#[inline(never)]
fn draw<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &D,
    position: usize,
    allowed: &SymbolSet,
    temperature: Temperature,
    top_k: u16,
    top_p: u32,
    word: u32,
) -> Candidate {
    let mut weights = Weights::EMPTY;
    weights.fill(allowed, temperature, |scores| denoiser.scores(position, scores));
    let rank = weights.total();
    if top_k < ALL_SYMBOLS || top_p < ALL_PROBABILITY {
        weights.truncate(top_k, top_p);
    }
    Candidate { rank, drawn: Some((weights.draw(word), weights.total())) }
}
