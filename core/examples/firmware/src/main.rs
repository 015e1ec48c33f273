//! Names on a microcontroller, unmasked before your eyes.
//!
//! The model is read in place from flash; no memory is allocated, and no float computed. A seed gives the names of
//! `micro-diffusion sample --model data/names-int4.mdm --seed 1 --num 5 --trace` on a desktop.

#![no_std]
#![no_main]

mod board;
mod names;

use micro_diffusion::prelude::*;

/// The model and its type: the perceptron of 12 positions and 26 symbols, with 4-bit weights.
#[cfg(not(any(feature = "int8", feature = "own")))]
static MODEL: &[u8] = include_bytes!("../../../../data/names-int4.mdm");
#[cfg(not(any(feature = "int8", feature = "own")))]
type Network = Integers<Perceptron, Int4, 12, 26>;

/// The model with 8-bit weights: `cargo run --release --features int8`.
#[cfg(feature = "int8")]
static MODEL: &[u8] = include_bytes!("../../../../data/names-int8.mdm");
#[cfg(feature = "int8")]
type Network = Integers<Perceptron, Int8, 12, 26>;

/// A model of your own list, by its absolute path: `MODEL=/home/ann/runs/cities/model.int8.mdm cargo run --release --features
/// own`.
///
/// The type names the network and the room that `train` reported, here convolution-medium 16 × 64, and the weights that
/// `export` made.
#[cfg(feature = "own")]
static MODEL: &[u8] = include_bytes!(env!("MODEL"));
#[cfg(feature = "own")]
type Network = Integers<ConvolutionMedium<16, 64>, Int8, 16, 64>;

#[board::entry]
fn main() -> ! {
    if run().is_err() {
        board::print("the model in flash is damaged, or of another shape\n");
        board::exit(1)
    }
    board::exit(0)
}

fn run() -> Result<(), Error> {
    // Checks the file once; afterwards nothing can fail.
    let file = ModelFile::parse(MODEL)?;
    let mut memory = Network::MEMORY;
    let mut denoiser = Network::denoiser(file.integers::<Network, _, _>()?, &mut memory);
    names::unmask(&mut denoiser, &file)
}
