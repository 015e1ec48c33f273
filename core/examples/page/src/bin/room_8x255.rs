//! The page of a model with 8 positions and 255 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(8, 255: ConvolutionSmall<8, 255>, ConvolutionMedium<8, 255>, Convolution<8, 255>);
