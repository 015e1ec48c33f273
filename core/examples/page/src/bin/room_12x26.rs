//! The page of a model with 12 positions and 26 symbols.

#![no_std]
#![no_main]

use micro_diffusion_page::names::*;

micro_diffusion_page::room!(12, 26: Perceptron, PerceptronSmall, Residual);
