//! States of a text from masks on, and the model's predictions for masked positions.

use micro_diffusion::categorical::{SymbolSet, Temperature, Weights};
use micro_diffusion::denoiser::{Denoiser, Score};
use micro_diffusion::sampler::Sampler;
use micro_diffusion::schedule::linear_remaining;

/// A text of at most `L` symbols of `V`, state by state.
///
/// The first state is all masks; a step makes each state from the one before.
pub struct Trace<const L: usize, const V: usize> {
    length: usize,
    /// All states but the last, each with the predictions that led to the next.
    steps: [Step<L, V>; L],
    /// The number of steps.
    count: usize,
    last: [Option<u8>; L],
}

#[derive(Clone, Copy)]
struct Step<const L: usize, const V: usize> {
    symbols: [Option<u8>; L],
    /// The probability of each symbol at each masked position, in 1/65535.
    shares: [[u16; V]; L],
}

impl<const L: usize, const V: usize> Trace<L, V> {
    /// The trace of no text.
    pub const EMPTY: Self = Self {
        length: 0,
        steps: [Step { symbols: [None; L], shares: [[0; V]; L] }; L],
        count: 0,
        last: [None; L],
    };

    /// Starts the trace of a text of `length`.
    pub(crate) fn clear(&mut self, length: usize) {
        (self.length, self.count) = (length, 0);
    }

    /// Draws the text of `sampler` from `denoiser`, a letter in each step.
    pub(crate) fn run(
        &mut self,
        sampler: &mut Sampler<L, V>,
        denoiser: &mut dyn Denoiser<L, V>,
        allowed: &[SymbolSet; L],
        temperature: Temperature,
        looking: bool,
    ) {
        let masked = sampler.masked();
        let mut seen = Seen { denoiser, now: [None; L], evaluated: [None; L] };
        for step in 1..=self.length {
            let before = symbols_of(sampler);
            if sampler.step(&mut seen, linear_remaining(masked, step, self.length)) == 0 {
                continue;
            }
            let Some(slot) = self.steps.get_mut(self.count) else { break };
            slot.symbols = before;
            if looking {
                seen.look(self.length, allowed, temperature, &mut slot.shares);
            }
            self.count = self.count.saturating_add(1);
        }
        self.last = symbols_of(sampler);
    }

    /// The number of states.
    pub(crate) fn states(&self) -> u32 {
        number(self.count.saturating_add(1))
    }

    /// The number of symbols of the text.
    pub fn length(&self) -> u32 {
        number(self.length)
    }

    /// The symbol at `position` of `state`, counted from 1; 0 is a mask.
    pub fn symbol(&self, state: u32, position: u32) -> u32 {
        let step = self.steps.get(..self.count).and_then(|steps| steps.get(state as usize));
        let symbols = step.map_or(&self.last, |step| &step.symbols);
        let symbol = symbols.get(position as usize).copied().flatten();
        symbol.map_or(0, |symbol| u32::from(symbol).saturating_add(1))
    }

    /// The probability of `symbol`, from 0, at `position` in the step after `state`, in units of 1/65535; 0 if it was not
    /// computed.
    pub fn share(&self, state: u32, position: u32, symbol: u32) -> u32 {
        let step = self.steps.get(..self.count).and_then(|steps| steps.get(state as usize));
        let shares = step.and_then(|step| step.shares.get(position as usize));
        shares.and_then(|shares| shares.get(symbol as usize)).copied().map_or(0, u32::from)
    }
}

fn symbols_of<const L: usize, const V: usize>(sampler: &Sampler<L, V>) -> [Option<u8>; L] {
    let mut symbols = [None; L];
    for (slot, symbol) in symbols.iter_mut().zip(sampler.symbols()) {
        *slot = *symbol;
    }
    symbols
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A denoiser, and the text of its last evaluation: a step may hide a letter first.
struct Seen<'a, const L: usize, const V: usize> {
    denoiser: &'a mut dyn Denoiser<L, V>,
    now: [Option<u8>; L],
    evaluated: [Option<u8>; L],
}

impl<const L: usize, const V: usize> Seen<'_, L, V> {
    /// Writes the last evaluation's probabilities at masked positions among the first `length`.
    fn look(
        &self,
        length: usize,
        allowed: &[SymbolSet; L],
        temperature: Temperature,
        shares: &mut [[u16; V]; L],
    ) {
        let positions = shares.iter_mut().zip(self.evaluated.iter().zip(allowed)).enumerate().take(length);
        for (position, (shares, (symbol, allowed))) in positions {
            *shares = [0; V];
            if symbol.is_none() {
                let mut scores = [0; V];
                self.denoiser.scores(position, &mut scores);
                let weights = Weights::new(&scores, allowed, temperature);
                let total = u64::from(weights.total()).max(1);
                for (share, weight) in shares.iter_mut().zip(weights.iter()) {
                    let part = u64::from(weight).saturating_mul(65_535).checked_div(total).unwrap_or(0);
                    *share = u16::try_from(part).unwrap_or(u16::MAX);
                }
            }
        }
    }
}

impl<const L: usize, const V: usize> Denoiser<L, V> for Seen<'_, L, V> {
    fn start(&mut self, length: usize) {
        self.now = [None; L];
        self.denoiser.start(length);
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.now.get_mut(position) {
            *slot = symbol;
        }
        self.denoiser.set(position, symbol);
    }

    fn evaluate(&mut self) {
        self.evaluated = self.now;
        self.denoiser.evaluate();
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        self.denoiser.scores(position, out);
    }
}
