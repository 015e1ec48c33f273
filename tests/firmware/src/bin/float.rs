//! The smallest model in floating point, with every sampler.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::{L, V, mark, tell};
use micro_diffusion::config::Tiny;
use micro_diffusion::denoiser::Model;
use micro_diffusion::file::ModelFile;

static MODEL: &[u8] = include_bytes!("../../../../data/tiny.mdm");

firmware_checks::program!(run);

fn run() -> Option<()> {
    mark();
    let file = ModelFile::parse(MODEL).ok()?;
    let parameters = Tiny::view(file.parameters::<Tiny, L, V>().ok()?)?;
    mark();
    let mut memory = [0.0; <Tiny as Model<L, V>>::MEMORY];
    let mut denoiser = Tiny::denoiser(parameters, &mut memory)?;
    tell(&mut denoiser, file.alphabet(), 10)
}
