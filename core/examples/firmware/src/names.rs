//! Draws names, one letter after the other, and shows every state.

use micro_diffusion::prelude::*;

use crate::board::print;

/// Any number gives names of your own: a clock, a counter in flash, or the chip's random number generator.
const SEED: u64 = 1;
const NAMES: u32 = 5;

/// Settings of the draw; see `Order` for other orders.
const SETTINGS: Settings = Settings::new(Order::Random, Temperature::from_milli(680));

/// Draws and shows names, by the `denoiser` of the model in `file`.
pub fn unmask<const L: usize, const V: usize>(
    denoiser: &mut impl Denoiser<L, V>,
    file: &ModelFile,
) -> Result<(), Error> {
    let allowed = file.allowed();
    for number in 0..NAMES {
        let stream = Stream::of_text(SEED, number);
        let length = file.lengths().draw(stream);
        let mut sampler = Sampler::<L, V>::new(length, &allowed, SETTINGS, stream)?;
        for masked in (0..length).rev() {
            show(sampler.symbols(), file.alphabet());
            sampler.step(denoiser, masked);
        }
        show(sampler.symbols(), file.alphabet());
    }
    Ok(())
}

/// Prints one state of a name; `_` is a mask.
fn show(symbols: &[Option<u8>], alphabet: Alphabet) {
    for symbol in symbols {
        let character = symbol.map_or('_', |symbol| alphabet.character(symbol).unwrap_or('?'));
        print(character.encode_utf8(&mut [0; 4]));
    }
    print("\n");
}
