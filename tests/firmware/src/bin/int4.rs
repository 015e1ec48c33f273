//! The model for names with 4-bit weights, with every sampler.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::{L, SEEDS, V, tell_integers};
use micro_diffusion::precision::Int4;
use micro_diffusion::integer_mlp::IntegerMlp;

firmware_checks::program!(run);

fn run() -> Option<()> {
    static MODEL: &[u8] = include_bytes!("../../../../data/names-int4.mdm");
    tell_integers::<IntegerMlp<Int4, L, V, 256>, L>(MODEL, SEEDS)
}
