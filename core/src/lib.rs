#![doc = include_str!("../README.md")]
#![no_std]

// Each file uses only those above it. A heading names the part of the core that its files belong to; `AUDIT.md` has its reading
// list and its sizes from here.

// The method: numbers, randomness, shapes, texts.
pub mod math;
pub mod rng;
pub mod tensor;
pub mod text;

// The method: layers, each forward with its backward.
pub mod linear;
pub mod activation;
pub mod softmax;
pub mod dropout;

// Further networks: their layers.
pub mod product;
pub mod normalisation;
pub mod attention;
pub mod embedding;

// The method: the optimiser.
pub mod adam;

// Integers: weights on a grid.
pub mod rounding;

// The method: the perceptron, and the seam between networks and what computes.
pub mod kernels;
pub mod denoiser;
pub mod mlp;

// Further networks: the networks.
pub mod pack;
pub mod residual;
pub mod transformer;
pub mod convolution;

// The method: how long a text is, how much is masked, the forward process, the reverse process, and its scores.
pub mod length;
pub mod schedule;
pub mod corruption;
pub mod categorical;
pub mod sampler;
pub mod bound;
pub mod likelihood;

// Integers: networks without floats.
pub mod integer;
pub mod integer_residual;
pub mod integer_convolution;
pub mod quantise;

// The method: patterns and files.
pub mod pattern;
pub mod file;

// Lists: for programs that draw.
pub mod config;
pub mod error;
pub mod prelude;

#[cfg(doc)]
#[doc = include_str!("../AUDIT.md")]
pub mod audit {}
