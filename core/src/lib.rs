#![doc = include_str!("../README.md")]
#![no_std]

// Each file uses only those above it.

// 1. Numbers, randomness, shapes, texts.
pub mod math;
pub mod rng;
pub mod tensor;
pub mod text;

// 2. Layers: each forward with its backward.
pub mod linear;
pub mod product;
pub mod activation;
pub mod softmax;
pub mod normalisation;
pub mod attention;
pub mod dropout;
pub mod embedding;

// 3. The optimiser, and weights on a grid.
pub mod adam;
pub mod rounding;

// 4. Networks, and the seam between them and what computes.
pub mod kernels;
pub mod denoiser;
pub mod pack;
pub mod mlp;
pub mod residual;
pub mod transformer;
pub mod convolution;

// 5. Diffusion: how long a text is, how much is masked, the forward process, the reverse process, and its scores.
pub mod length;
pub mod schedule;
pub mod corruption;
pub mod categorical;
pub mod sampler;
pub mod bound;
pub mod likelihood;

// 6. Networks in integers.
pub mod integer;
pub mod integer_residual;
pub mod integer_convolution;
pub mod quantise;

// 7. Patterns and files.
pub mod pattern;
pub mod file;
pub mod config;

// 8. For programs that draw.
pub mod error;
pub mod prelude;

#[cfg(doc)]
#[doc = include_str!("../AUDIT.md")]
pub mod audit {}
