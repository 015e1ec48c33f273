//! Names on a microcontroller, unmasked before your eyes.
//!
//! The model lies in flash and is read where it lies; nothing is allocated, no float is computed. The same seed gives the
//! same names as `micro-diffusion sample --model data/names-int4.mdm --seed 1 --num 5 --trace` on a desktop.

#![no_std]
#![no_main]

mod board;
mod names;

use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::{IntegerMlp, IntegerModel};
use names::{L, V};

/// The model, and its type: 4-bit weights, and 256 hidden units.
#[cfg(not(feature = "int8"))]
static MODEL: &[u8] = include_bytes!("../../../../data/names-int4.mdm");
#[cfg(not(feature = "int8"))]
type Network = IntegerMlp<micro_diffusion::integer::Int4, L, V, 256>;

/// The same with 8-bit weights: `cargo run --release --features int8`.
#[cfg(feature = "int8")]
static MODEL: &[u8] = include_bytes!("../../../../data/names-int8.mdm");
#[cfg(feature = "int8")]
type Network = IntegerMlp<micro_diffusion::integer::Int8, L, V, 256>;

#[board::entry]
fn main() -> ! {
    if run().is_none() {
        board::print("the model in flash is damaged, or of another shape\n");
        board::exit(1)
    }
    board::exit(0)
}

fn run() -> Option<()> {
    // Checked once, from end to end; after this nothing can fail.
    let file = ModelFile::parse(MODEL).ok()?;
    let view = file.integers::<Network, L, V>().ok()?;
    let mut memory = Network::MEMORY;
    let mut denoiser = Network::denoiser(view, &mut memory);
    names::unmask(&mut denoiser, file.alphabet(), file.lengths())
}
