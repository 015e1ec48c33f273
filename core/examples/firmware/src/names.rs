//! Drawing names, one letter after the other, with every state shown.

use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::Denoiser;
use micro_diffusion::length::Lengths;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::linear_remaining;
use micro_diffusion::text::Alphabet;

use crate::board::print;

/// Any number, for names of your own: a clock, a counter kept in flash, or what the chip's random number generator says.
const SEED: u64 = 1;
const NAMES: u32 = 5;

/// How names are drawn; see `Order` for the others.
const SETTINGS: Settings = Settings::new(Order::Random, Temperature::from_milli(680));

/// Draws and shows names of the characters of `alphabet`, each as long as `lengths` says; `None` would mean that a position
/// allows no symbol.
pub fn unmask<const L: usize, const V: usize>(
    denoiser: &mut impl Denoiser<L, V>,
    alphabet: Alphabet,
    lengths: Lengths,
) -> Option<()> {
    // Any symbol of the file at any position: what is allowed at the last one given is allowed at all that follow.
    let allowed = [SymbolSet::first(alphabet.symbols())];
    for index in 0..NAMES {
        let stream = Stream::new(SEED, Purpose::Sample).child(index, 0);
        let length = lengths.draw(stream);
        let mut sampler = Sampler::<L, V>::new(length, &allowed, SETTINGS, stream).ok()?;
        for step in 1..=length {
            show(sampler.symbols(), alphabet);
            sampler.step(denoiser, linear_remaining(length, step, length));
        }
        show(sampler.symbols(), alphabet);
    }
    Some(())
}

/// One state of a name: `_` is a mask.
fn show(symbols: &[Option<u8>], alphabet: Alphabet) {
    for symbol in symbols {
        let character = symbol.map_or('_', |symbol| alphabet.character(symbol).unwrap_or('?'));
        print(character.encode_utf8(&mut [0; 4]));
    }
    print("\n");
}
