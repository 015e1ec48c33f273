//! Shortcuts for programs that draw, such as those on a chip: all steps of a text, and what they need.

use crate::categorical::SymbolSet;
use crate::denoiser::Denoiser;
use crate::file::ModelFile;
use crate::rng::{Purpose, Stream};
use crate::sampler::Sampler;
use crate::schedule::linear_remaining;
use crate::text::Alphabet;

impl Stream {
    /// The stream of text `number` of a `seed`, from which `micro-diffusion sample --seed` draws line `number` + 1.
    pub const fn of_text(seed: u64, number: u32) -> Self {
        Self::new(seed, Purpose::Sample).child(number, 0)
    }
}

impl ModelFile<'_> {
    /// The set of the alphabet's symbols, for [`Sampler::new`](crate::sampler::Sampler::new): one set, which serves
    /// every position.
    ///
    /// A network may have room for more symbols, which training never showed.
    pub fn allowed(&self) -> [SymbolSet; 1] {
        [SymbolSet::first(self.alphabet().symbols())]
    }
}

impl<const L: usize, const V: usize> Sampler<'_, L, V> {
    /// Unmasks the whole text in `steps` steps, which reveal about equally many positions. Then
    /// [`symbols`](Self::symbols) has no mask.
    ///
    /// With more steps than masked positions, some steps reveal nothing and evaluate nothing. 0 `steps` count as 1.
    pub fn run<D: Denoiser<L, V> + ?Sized>(&mut self, denoiser: &mut D, steps: usize) {
        let masked = self.masked();
        for step in 1..=steps.max(1) {
            self.step(denoiser, linear_remaining(masked, step, steps));
        }
    }
}

impl Alphabet<'_> {
    /// Decodes `symbols` into a string, and stops at the first character that does not fit `BYTES` bytes of UTF-8.
    ///
    /// Writes the character `mask` for `None`, a masked position, and for a symbol outside the alphabet.
    pub fn decode<const BYTES: usize>(&self, symbols: &[Option<u8>], mask: char) -> heapless::String<BYTES> {
        let mut text = heapless::String::new();
        for symbol in symbols {
            let character = symbol.and_then(|symbol| self.character(symbol)).unwrap_or(mask);
            if text.push(character).is_err() {
                break;
            }
        }
        text
    }
}
