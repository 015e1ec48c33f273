//! The page of a model with 32 positions and 128 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(32, 128: ConvolutionSmall<32, 128>, ConvolutionMedium<32, 128>, Convolution<32, 128>);
