//! The reverse process: unmasks a text.
//!
//! A text of known length starts as masks. Each [`step`](Sampler::step) asks the denoiser for the distributions at masked
//! positions and reveals some positions. The caller's schedule says how many, and the [`Order`] says which:
//!
//! - [`Order::Random`] reveals positions in uniformly random order and draws a symbol only there. With one position a step
//!   and temperature 1, it draws from the any-order autoregressive distribution that training bounds. It is accurate to
//!   [`categorical`](crate::categorical): a symbol of less than 2⁻²³ of the likeliest one's probability is never drawn. In
//!   one random order each, 2 of 3,197 held-out names cannot be drawn from `data/names.mdm`.
//! - [`Order::Confidence`] draws a symbol at every masked position and reveals the most certain ones, by the largest
//!   probability of any symbol. The Python reference does so. This order is sharper than the learned distribution.
//!
//! Positions revealed in one step are drawn independently of each other: the price of fewer steps.
//!
//! A letter that comes early is drawn while few others are known. [`redraw`](Sampler::redraw) draws it anew from all others:
//!
//! ```text
//! x_l ~ q(x_l | x_1 … x_(l−1), MASK, x_(l+1) … x_n)
//! ```
//!
//! This is Gibbs sampling. Suppose that the predictions at all positions were the conditionals of one distribution p of the texts of
//! this length. At a temperature T above 0 it would then leave p(x)^(1/T), normalised, as it is. More and more rounds would come near
//! to that from any text, if every letter is possible. Letters drawn one after the other have another distribution, unless T is 1.
//! Each is sharpened for itself, while those that follow are unknown.
//!
//! Randomness is addressed, not consumed. Evaluation e uses draw (e, l) of the text's stream at position l: word 0 for the
//! symbol, word 1 for the order. Each round of letters drawn anew has the order of the words 1 of its first evaluation. A step that
//! reveals nothing counts as no evaluation, so the text does not depend on a schedule's empty steps.
//!
//! Sources: the Python reference's loop; E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, algorithm 1. For letters
//! drawn anew: S. Geman and D. Geman, "Stochastic Relaxation, Gibbs Distributions, and the Bayesian Restoration of Images", IEEE PAMI 6,
//! 1984; A. Wang and K. Cho, "BERT has a Mouth, and It Must Speak", 2019 (arXiv 1902.04094), for a network that predicts masks.

use crate::categorical::{SymbolSet, Temperature, Weights, confidence};
use crate::denoiser::Denoiser;
use crate::rng::Stream;

/// The choice of the masked positions that a step reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Positions in uniformly random order.
    Random,
    /// Positions with the largest probability of any symbol, the first of equals.
    ///
    /// The probability is the one at the settings' temperature, before [`Settings::top_k`] and [`Settings::top_p`] leave
    /// symbols out. At temperature 0 it is the one at temperature 1. At temperatures just above 0, all probabilities round to
    /// 1 in their 23 bits, so that all positions are equal.
    Confidence,
}

/// Settings for drawing texts: which positions are revealed first, and how a symbol is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The choice of the positions that a step reveals.
    pub order: Order,
    /// The temperature of each draw of a symbol.
    pub temperature: Temperature,
    /// Number of symbols, the likeliest, among which a symbol is drawn: 256 or more for all; 0 counts as 1. Of equals
    /// the lower symbol counts as likelier.
    pub top_k: u16,
    /// Share of the probability in units of 1/65536: a symbol is drawn among the fewest likeliest ones that together
    /// hold at least this share. 65536 or more keep all; 0 keeps the likeliest.
    ///
    /// Probabilities are those at the settings' temperature, over all allowed symbols. Of equals the lower symbol
    /// counts as likelier.
    pub top_p: u32,
}

impl Settings {
    /// Creates settings that draw among all allowed symbols, without a limit by [`top_k`](Self::top_k) or
    /// [`top_p`](Self::top_p).
    pub const fn new(order: Order, temperature: Temperature) -> Self {
        Self { order, temperature, top_k: ALL_SYMBOLS, top_p: ALL_PROBABILITY }
    }
}

const ALL_SYMBOLS: u16 = 256;
const ALL_PROBABILITY: u32 = 1 << 16;

/// Reason why no text can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplerError {
    /// A length of 0, or above the number of positions, which is given.
    Length(usize),
    /// No allowed symbol at a position of the text.
    NothingAllowed {
        /// The first such position, counted from 0.
        position: usize,
    },
}

/// State of one text while it is unmasked, which begins as masks and given symbols. Borrows the sets of allowed symbols
/// for `'a`.
#[derive(Clone, Debug)]
pub struct Sampler<'a, const L: usize, const V: usize> {
    /// Symbols of the first `length` positions; the others stay masked.
    symbols: [Option<u8>; L],
    confidence: [u16; L],
    length: usize,
    allowed: &'a [SymbolSet],
    settings: Settings,
    stream: Stream,
    evaluations: u32,
}

impl<'a, const L: usize, const V: usize> Sampler<'a, L, V> {
    /// Starts a text of `length` masks, where each position can hold only its `allowed` symbols.
    ///
    /// `allowed` has a set for each position; the last set holds for all positions that follow, and further sets are
    /// ignored. A position with a single allowed symbol shows that symbol from the start. An empty `allowed` allows no
    /// symbol anywhere, which is an error.
    ///
    /// `settings` say which positions are revealed first, and how a symbol is drawn. `stream` is the text's own:
    /// `Stream::of_text(seed, index)`. [`Lengths::draw`](crate::length::Lengths::draw) draws the length from it too.
    ///
    /// # Errors
    /// [`SamplerError`] if the length is outside 1 … `L`, or if a position allows none of the `V` symbols.
    pub fn new(
        length: usize,
        allowed: &'a [SymbolSet],
        settings: Settings,
        stream: Stream,
    ) -> Result<Self, SamplerError> {
        if length == 0 || length > L {
            return Err(SamplerError::Length(L));
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

    /// The symbols of the text so far, one for each position; `None` is MASK.
    pub fn symbols(&self) -> &[Option<u8>] {
        self.symbols.get(..self.length).unwrap_or(&self.symbols)
    }

    /// For each position, the probability of the likeliest symbol when its symbol was drawn, in units of 1/65536.
    ///
    /// Only symbols that could be drawn count: allowed ones, left by [`Settings::top_k`] and [`Settings::top_p`], at
    /// the settings' temperature. Given positions have 65535, masked ones 0.
    pub fn confidence(&self) -> &[u16] {
        self.confidence.get(..self.length).unwrap_or(&self.confidence)
    }

    /// The number of positions still masked.
    pub fn masked(&self) -> usize {
        self.symbols().iter().filter(|symbol| symbol.is_none()).count()
    }

    /// Takes one step: evaluates `denoiser` once, and reveals positions until only `remaining` are masked. Returns the
    /// number revealed.
    ///
    /// Does nothing, and returns 0, if no more than `remaining` positions are masked. The first step starts the
    /// denoiser with the text, and later ones only set the revealed symbols. So give one denoiser to all steps, and use
    /// it for nothing else between them.
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
        for (position, (slot, symbol)) in candidates.iter_mut().zip(self.symbols()).enumerate() {
            *slot = symbol.is_none().then(|| match self.settings.order {
                Order::Random => Candidate { rank: self.words(position)[1], drawn: None },
                Order::Confidence => self.draw(denoiser, position),
            });
        }
        for _ in 0..reveal {
            let ranks = candidates.iter().enumerate().filter_map(|(l, slot)| Some((slot.as_ref()?.rank, l)));
            let Some((_, position)) = ranks.min() else { break };
            let Some(candidate) = candidates.get_mut(position).and_then(Option::take) else { break };
            let drawn = candidate.drawn.or_else(|| self.draw(denoiser, position).drawn);
            let Some((symbol, total)) = drawn else { break };
            denoiser.set(position, Some(symbol));
            let places = (self.symbols.get_mut(position), self.confidence.get_mut(position));
            let (Some(place), Some(share)) = places else { break };
            (*place, *share) = (Some(symbol), confidence(total));
        }
        self.evaluations = self.evaluations.saturating_add(1);
        reveal
    }

    /// Draws one letter anew: hides a drawn position, evaluates `denoiser` once, and draws its symbol from all others. Returns the
    /// position; `None`, and does nothing, if no position is drawn.
    ///
    /// `turn` counts the letters drawn anew before, from 0. Of n drawn positions the turns 0 … n − 1 take each one once, in
    /// random order, whatever the [`Order`] of the steps; so do each n turns that follow. This holds for turns in ascending order
    /// without a step between them. Given symbols stay, and masked positions stay masked. Give it the denoiser of the steps.
    pub fn redraw<D: Denoiser<L, V> + ?Sized>(&mut self, denoiser: &mut D, turn: usize) -> Option<usize> {
        let drawn = (0..self.length).filter(|position| self.is_drawn(*position)).count();
        let number = turn.checked_rem(drawn)?;
        let first = self.evaluations.wrapping_sub(u32::try_from(number).unwrap_or_default());
        let mut ranks: [Option<(u32, usize)>; L] = core::array::from_fn(|position| {
            self.is_drawn(position).then(|| (self.words_of(first, position)[1], position))
        });
        for _ in 0..number {
            if let Some(least) = ranks.iter_mut().filter(|rank| rank.is_some()).min() {
                *least = None;
            }
        }
        let (_, position) = ranks.into_iter().flatten().min()?;
        denoiser.set(position, None);
        denoiser.evaluate();
        let (symbol, total) = self.draw(denoiser, position).drawn?;
        denoiser.set(position, Some(symbol));
        let (place, share) = (self.symbols.get_mut(position)?, self.confidence.get_mut(position)?);
        (*place, *share) = (Some(symbol), confidence(total));
        self.evaluations = self.evaluations.saturating_add(1);
        Some(position)
    }

    /// Whether `position` shows a symbol that was drawn, not given.
    fn is_drawn(&self, position: usize) -> bool {
        let shown = self.symbols.get(position).is_some_and(Option::is_some);
        shown && set_of(self.allowed, position).iter_below(V).nth(1).is_some()
    }

    /// The two random words of `position` in this evaluation.
    fn words(&self, position: usize) -> [u32; 2] {
        self.words_of(self.evaluations, position)
    }

    /// The two random words of `position` in evaluation number `evaluation`.
    fn words_of(&self, evaluation: u32, position: usize) -> [u32; 2] {
        self.stream.draw(evaluation, u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// Draws a symbol at `position`. Its rank is the total of the weights before truncation: the lowest is the most certain.
    #[inline(always)]
    fn draw<D: Denoiser<L, V> + ?Sized>(&self, denoiser: &D, position: usize) -> Candidate {
        let [word, _] = self.words(position);
        let Settings { temperature, top_k, top_p, .. } = self.settings;
        draw(denoiser, position, set_of(self.allowed, position), temperature, top_k, top_p, word)
    }
}

/// A masked position that a step may reveal; the lowest ranks are revealed first.
#[derive(Clone, Copy)]
struct Candidate {
    rank: u32,
    /// The drawn symbol and the total of its weights, if the order needs the distribution.
    drawn: Option<(u8, u32)>,
}

/// The symbols allowed at `position`.
fn set_of(allowed: &[SymbolSet], position: usize) -> &SymbolSet {
    allowed.get(position).or(allowed.last()).unwrap_or(&SymbolSet::EMPTY)
}

/// Draws a symbol at `position`.
///
/// Not inlined, so that its memory leaves the stack. Takes the settings one by one, so that the compiler drops code for those
/// that are constants.
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
