//! The page of a model with 64 positions and 255 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(64, 255: ConvolutionSmall<64, 255>, ConvolutionMedium<64, 255>, Convolution<64, 255>);
