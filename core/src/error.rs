//! One type for all errors of this crate: a program opens a model and draws texts with `?` alone.

use core::error;
use core::fmt::{self, Display, Formatter};

use crate::denoiser::{Architecture, Shape};
use crate::dtype::Dtype;
use crate::file::{FileError, VERSION};
use crate::pattern::PatternError;
use crate::sampler::SamplerError;
use crate::text::{AlphabetError, EncodeError};

/// Error of any module of this crate. The errors of all modules convert into it with `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Bytes that are not a usable model file.
    File(FileError),
    /// A text that cannot be drawn.
    Sampler(SamplerError),
    /// A pattern that no text matches.
    Pattern(PatternError),
    /// A text that the model cannot read.
    Encode(EncodeError),
    /// Characters that do not form an alphabet.
    Alphabet(AlphabetError),
}

/// Implements `Display` and `core::error::Error` for [`Error`] and the error of each module, and converts each into [`Error`].
///
/// Each case of an error has its message.
macro_rules! messages {
    ($($error:ident as $variant:ident { $($case:pat => $message:literal $($argument:expr),*;)* })*) => {
        impl Display for Error {
            fn fmt(&self, out: &mut Formatter) -> fmt::Result {
                match self { $(Self::$variant(error) => error.fmt(out),)* }
            }
        }

        impl error::Error for Error {}

        $(impl Display for $error {
            fn fmt(&self, out: &mut Formatter) -> fmt::Result {
                match self { $($case => write!(out, $message, $($argument),*),)* }
            }
        }

        impl error::Error for $error {}

        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

messages! {
    FileError as File {
        Self::NotAModel => "the bytes given to ModelFile::parse are no model file: they do not begin with “mdm”; give the bytes of a .mdm file";
        Self::Version(version) => "the model file given to ModelFile::parse has version {version}, and micro-diffusion {} reads {VERSION} only; train with it anew: micro-diffusion train" env!("CARGO_PKG_VERSION");
        Self::Length { expected: Some(expected), found } => "the model file given to ModelFile::parse has {found} bytes, and its header says {expected}; copy the file again from where it was made";
        Self::Length { expected: None, found } => "the model file given to ModelFile::parse ends after {found} bytes, inside its header; copy the file again from where it was made";
        Self::Checksum => "the model file given to ModelFile::parse was altered: its checksum does not match; copy the file again from where it was made";
        Self::Header(field) => "the model file given to ModelFile::parse has a “{field}” in its header that micro-diffusion {} does not know; copy the file again from where it was made, or build with a newer version" env!("CARGO_PKG_VERSION");
        Self::NotFinite(index) => "the model file given to ModelFile::parse has a weight that is infinite or not a number: number {index}, counted from 0; train anew: micro-diffusion train --lr 0.001";
        Self::Shape(Shape { architecture: Architecture::Mlp, positions, symbols, width, .. }) => "the model file has another network than the code opens; open it as micro_diffusion::mlp::Mlp<{positions}, {symbols}, {width}>";
        Self::Shape(Shape { architecture: Architecture::Residual, positions, symbols, width, .. }) => "the model file has another network than the code opens; open it as micro_diffusion::residual::Residual<{positions}, {symbols}, {width}>";
        Self::Shape(Shape { architecture: Architecture::Transformer, positions, symbols, width, blocks, heads }) => "the model file has another network than the code opens; open it as micro_diffusion::transformer::Transformer<{positions}, {symbols}, {width}, {blocks}, {heads}>";
        Self::Shape(Shape { architecture: Architecture::LocalTransformer, positions, symbols, width, blocks, heads }) => "the model file has another network than the code opens; open it as micro_diffusion::transformer::Transformer<{positions}, {symbols}, {width}, {blocks}, {heads}, 3>";
        Self::Shape(Shape { architecture: Architecture::Convolution, positions, symbols, width, blocks, heads }) => "the model file has another network than the code opens; open it as micro_diffusion::convolution::Convolution<{positions}, {symbols}, {width}, {blocks}, {heads}>";
        Self::Dtype(Dtype::F32) => "the model file has f32 weights, and the code opens integers; open it with file.parameters::<Network, L, V>()";
        Self::Dtype(dtype) => "the model file has int{0} weights, and the code opens others; open it with file.integers::<Integers<Network, Int{0}, L, V>, L, V>()" dtype.bits();
        Self::Scale => "the model file has scales at which sums of integers could overflow; export it anew: micro-diffusion export --model runs/names --format int8";
    }
    SamplerError as Sampler {
        Self::Length(most) => "no text has the length given to Sampler::new; give a length from 1 to {most}, the positions of the model";
        Self::NothingAllowed { position } => "no symbol is allowed at position {position}, counted from 0, in the sets given to Sampler::new; allow one there at least";
    }
    PatternError as Pattern {
        Self::UnknownCharacter(character) => "the pattern has the character “{character}”, which the alphabet given with it lacks; use characters of that alphabet, or ? for any";
        Self::NothingEscaped => "the pattern ends in a backslash; leave it out, or write the character that it shall escape after it";
        Self::TooLong { needed } => "a text of the pattern would have {needed} letters, more than the model has positions; shorten the pattern, or ask for fewer letters";
        Self::Length { shortest } => "a text of the pattern would have 0 letters, and the shortest has {shortest}; ask for {shortest} or more, or add ? to the pattern";
    }
    EncodeError as Encode {
        Self::Empty => "the text given to Alphabet::encode is empty; give one character at least";
        Self::UnknownCharacter(character) => "the text given to Alphabet::encode has the character “{character}”, which the alphabet lacks; use those of Alphabet::characters";
        Self::TooLong(most) => "the text given to Alphabet::encode has more than {most} characters, the positions of the model; shorten it to {most}";
    }
    AlphabetError as Alphabet {
        Self::Empty => "the alphabet given to Alphabet::new is empty; give one character at least";
        Self::TooMany => "the alphabet given to Alphabet::new has more than 255 characters; give 255 at most";
        Self::Repeated(character) => "the alphabet given to Alphabet::new has the character “{character}” twice; give each character once";
    }
}
