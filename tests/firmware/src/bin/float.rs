//! The smallest model in floating point, with every sampler.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::{L, V, mark, tell};
use micro_diffusion::activation::Activation;
use micro_diffusion::config::PerceptronSmall;
use micro_diffusion::denoiser::Model;
use micro_diffusion::file::ModelFile;
use micro_diffusion::kernels::Plain;

static MODEL: &[u8] = include_bytes!("../../../../data/perceptron-small.mdm");

firmware_checks::program!(run);

fn run() -> Option<()> {
    mark();
    let file = ModelFile::parse(MODEL).ok()?;
    let parameters = PerceptronSmall::view(file.parameters::<PerceptronSmall, L, V>().ok()?)?;
    mark();
    let mut memory = [0.0; <PerceptronSmall as Model<L, V>>::MEMORY];
    let mut denoiser = PerceptronSmall::denoiser(Plain, Activation::Relu, parameters, &mut memory)?;
    tell(&mut denoiser, &file, 10)
}
