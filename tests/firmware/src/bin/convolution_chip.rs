//! The ten-cent chip's convolution, on chips that have a multiplier, with every sampler.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::{V, tell_integers};
use micro_diffusion::config::ConvolutionChip;
use micro_diffusion::precision::Int4;
use micro_diffusion::integer::Quantisable;

firmware_checks::program!(run);

fn run() -> Option<()> {
    static MODEL: &[u8] = include_bytes!("../../../../data/convolution-chip-int4.mdm");
    tell_integers::<<ConvolutionChip as Quantisable<16, V>>::Integers<Int4>, 16>(MODEL, 0)
}
