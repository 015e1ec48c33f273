//! Items that a program needs to open a model and draw texts: `use micro_diffusion::prelude::*;`

pub use crate::activation::Activation;
pub use crate::categorical::{SymbolSet, Temperature};
pub use crate::config::{
    Convolution, ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual,
    Transformer, TransformerLarge, TransformerLocal, TransformerLocalLarge,
};
pub use crate::denoiser::{Denoiser, Model};
pub use crate::error::Error;
pub use crate::file::ModelFile;
pub use crate::form::Form;
pub use crate::integer::{IntegerModel, Integers};
pub use crate::kernels::Plain;
pub use crate::length::Lengths;
pub use crate::precision::{Int4, Int8};
pub use crate::rng::Stream;
pub use crate::sampler::{Order, Sampler, Settings};
pub use crate::text::Alphabet;
