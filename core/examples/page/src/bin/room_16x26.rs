//! The page of a model with 16 positions and 26 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(16, 26: ConvolutionSmall, ConvolutionMedium, Convolution, ConvolutionChip);
