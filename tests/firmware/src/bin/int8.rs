//! The model for names with 8-bit weights, with every sampler.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::{L, SEEDS, V, mark, tell};
use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::{Int8, IntegerMlp, IntegerModel};

static MODEL: &[u8] = include_bytes!("../../../../data/names-int8.mdm");
type Network = IntegerMlp<Int8, L, V, 256>;

firmware_checks::program!(run);

fn run() -> Option<()> {
    mark();
    let file = ModelFile::parse(MODEL).ok()?;
    let view = file.integers::<Network, L, V>().ok()?;
    mark();
    let mut memory = Network::MEMORY;
    let mut denoiser = Network::denoiser(view, &mut memory);
    tell(&mut denoiser, file.alphabet(), SEEDS)
}
