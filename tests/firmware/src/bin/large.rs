//! The largest perceptron in floating point, for chips with 700 KB of flash.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::{L, V, mark, tell};
use micro_diffusion::activation::Activation;
use micro_diffusion::config::Perceptron;
use micro_diffusion::denoiser::Model;
use micro_diffusion::file::ModelFile;
use micro_diffusion::kernels::Plain;

static MODEL: &[u8] = include_bytes!("../../../../data/names.mdm");

firmware_checks::program!(run);

fn run() -> Option<()> {
    mark();
    let file = ModelFile::parse(MODEL).ok()?;
    let parameters = Perceptron::view(file.parameters::<Perceptron, L, V>().ok()?)?;
    mark();
    let mut memory = [0.0; <Perceptron as Model<L, V>>::MEMORY];
    let mut denoiser = Perceptron::denoiser(Plain, Activation::Relu, parameters, &mut memory)?;
    tell(&mut denoiser, &file, 10)
}
