//! The model for names with 8-bit weights, with every sampler.

#![cfg_attr(target_os = "none", no_std, no_main)]

firmware_checks::program!(run);

fn run() -> Option<()> {
    static MODEL: &[u8] = include_bytes!("../../../../data/names-int8.mdm");
    firmware_checks::tell_integers::<micro_diffusion::integer::Int8>(MODEL)
}
