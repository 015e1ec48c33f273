//! The page of a model with 16 positions and 64 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(16, 64: ConvolutionSmall<16, 64>, ConvolutionMedium<16, 64>, Convolution<16, 64>);
