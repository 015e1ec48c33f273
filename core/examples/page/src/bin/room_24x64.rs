//! The page of a model with 24 positions and 64 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(24, 64: ConvolutionSmall<24, 64>, ConvolutionMedium<24, 64>, Convolution<24, 64>);
