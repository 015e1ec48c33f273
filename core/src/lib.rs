#![doc = include_str!("../README.md")]
#![no_std]

// Each file uses only files above it. A heading names the part of the core that its files belong to; `AUDIT.md` takes its
// reading list and its sizes from here.

// The method: numbers, randomness, shapes, texts.
pub mod math;
pub mod rng;
pub mod dtype;
pub mod tensor;
pub mod text;

// Integers: hidden values in steps.
pub mod steps;

// The method: layers, each forward with its backward.
pub mod linear;
pub mod activation;
pub mod softmax;

// Integers: residual streams in steps.
pub mod stream;

// Options: dropout.
pub mod dropout;

// Further networks: their layers.
pub mod views;
pub mod product;
pub mod gelu;
pub mod softmax_of_maps;
pub mod normalisation;
pub mod attention;
pub mod embedding;

// The method: the optimiser.
pub mod adam;

// Integers: weights on a grid.
pub mod rounding;

// Further networks: the seam between them and what computes.
pub mod further_kernels;

// The method: the seam between networks and what computes.
pub mod kernels;
pub mod denoiser;

// Integers: the price of hidden values.
pub mod price;

// The method: the perceptron.
pub mod mlp;

// Further networks: the networks.
pub mod pack;
pub mod residual;
pub mod transformer;
pub mod convolution;

// Options: processors without products of 64 bits.
pub mod halves;

// The method: how long a text is, how much is masked, the forward process, the draw of a symbol.
pub mod length;
pub mod schedule;
pub mod corruption;
pub mod categorical;

// Options: the likeliest symbols only.
pub mod truncation;

// The method: the reverse process, and scores.
pub mod sampler;
pub mod bound;
pub mod likelihood;

// The method: forms of texts, and files.
pub mod form;
pub mod crc;
pub mod file_table;
pub mod file;

// Options: other scores, other steps, patterns.
pub mod estimate;
pub mod exact;
pub mod cosine;
pub mod pattern;

// Integers: networks without floats.
pub mod stored;
pub mod precision;
pub mod integer;
pub mod integer_sums;
pub mod integer_layers;
pub mod integer_mlp;
pub mod integer_residual;
pub mod integer_convolution;
pub mod integer_file;
pub mod quantise;

// Lists: for programs that draw.
pub mod config;
pub mod shortcuts;
pub mod error;
pub mod prelude;

#[cfg(doc)]
#[doc = include_str!("../AUDIT.md")]
pub mod audit {}
