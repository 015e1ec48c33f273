//! Names on a microcontroller, unmasked before your eyes.
//!
//! The model lies in flash and is read where it lies; nothing is allocated. The same seed prints the same names as
//! `micro-diffusion sample --model data/tiny.mdm --seed 1 --num 5` on a desktop.

#![no_std]
#![no_main]

mod board;

use board::{exit, print};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::config::Tiny as Network;
use micro_diffusion::denoiser::Model;
use micro_diffusion::file::ModelFile;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::linear_remaining;
use micro_diffusion::text::{Alphabet, PAD};

static MODEL: &[u8] = include_bytes!("../../../../data/tiny.mdm");
/// Positions and symbols of the model.
const L: usize = 12;
const V: usize = 27;

/// Any number, for names of your own: a clock, a counter kept in flash, or what the chip's random number generator says.
const SEED: u64 = 1;
const NAMES: u32 = 5;

#[board::entry]
fn main() -> ! {
    if names().is_some() {
        exit(0)
    }
    print("the model in flash is damaged, or of another shape\n");
    exit(1)
}

fn names() -> Option<()> {
    // Checked once, from end to end; after this nothing can fail.
    let file = ModelFile::parse(MODEL).ok()?;
    let parameters = Network::view(file.parameters::<Network, L, V>().ok()?)?;
    let mut memory = [0.0; <Network as Model<L, V>>::MEMORY];
    let mut denoiser = Network::denoiser(parameters, &mut memory)?;

    let allowed = [SymbolSet::first(file.alphabet().symbols()); L];
    let settings = Settings::new(Order::Random, Temperature::from_milli(700));
    for index in 0..NAMES {
        let stream = Stream::new(SEED, Purpose::Sample).child(index, 0);
        let mut sampler = Sampler::new(&allowed, settings, stream).ok()?;
        for step in 1..=L {
            show(sampler.symbols(), file.alphabet());
            sampler.step(&mut denoiser, linear_remaining(L, step, L));
        }
        show(sampler.symbols(), file.alphabet());
        print(&file.alphabet().decode::<{ 4 * L }>(sampler.symbols(), '_'));
        print("\n");
    }
    Some(())
}

/// One state of a name: `_` is a mask, `·` the end.
fn show(symbols: &[Option<u8>; L], alphabet: Alphabet) {
    for symbol in symbols {
        let character = match *symbol {
            None => '_',
            Some(PAD) => '·',
            Some(symbol) => alphabet.character(symbol).unwrap_or('?'),
        };
        print(character.encode_utf8(&mut [0; 4]));
    }
    print("\n");
}
