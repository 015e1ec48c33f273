//! Masked text diffusion that runs on a desktop CPU, in microcontroller firmware, and under an auditor's eye.
//!
//! The modules in reading order; each uses only those above it.
#![no_std]

pub mod math;
pub mod rng;
pub mod tensor;

pub mod activation;
pub mod linear;
pub mod softmax;

pub mod denoiser;
pub mod mlp;

pub mod adam;
pub mod bound;
pub mod categorical;
pub mod corruption;
pub mod sampler;
pub mod schedule;

pub mod config;
pub mod file;
pub mod text;
