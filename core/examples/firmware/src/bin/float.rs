//! Names on a microcontroller with a float unit, in floating point: `cargo run --release --bin float`.
//!
//! Draws from the smallest model, or with the feature `large`, and 700 KB of flash, from the largest perceptron.

#![no_std]
#![no_main]

#[path = "../board.rs"]
mod board;
#[path = "../names.rs"]
mod names;

use micro_diffusion::prelude::*;

#[cfg(not(feature = "large"))]
static MODEL: &[u8] = include_bytes!("../../../../../data/perceptron-small.mdm");
#[cfg(not(feature = "large"))]
type Network = PerceptronSmall;

#[cfg(feature = "large")]
static MODEL: &[u8] = include_bytes!("../../../../../data/names.mdm");
#[cfg(feature = "large")]
type Network = Perceptron;

#[board::entry]
fn main() -> ! {
    if run().is_none() {
        board::print("the model in flash is damaged, or of another shape\n");
        board::exit(1)
    }
    board::exit(0)
}

fn run() -> Option<()> {
    let file = ModelFile::parse(MODEL).ok()?;
    let parameters = Network::view(file.parameters::<Network, 12, 26>().ok()?)?;
    let mut memory = [0.0; <Network as Model<12, 26>>::MEMORY];
    let mut denoiser = Network::denoiser(Plain, Activation::Relu, parameters, &mut memory)?;
    names::unmask(&mut denoiser, &file).ok()
}
