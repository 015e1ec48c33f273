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
        Self::Version(version @ ..VERSION) => "the model file given to ModelFile::parse has the older version {version}, and micro-diffusion {} reads version {VERSION} only; train the model anew on its list, say list.txt, with: micro-diffusion train --input list.txt" env!("CARGO_PKG_VERSION");
        Self::Version(version) => "the model file given to ModelFile::parse has the newer version {version}, and micro-diffusion {} reads version {VERSION} only; build with the newest micro-diffusion" env!("CARGO_PKG_VERSION");
        Self::Length { expected: Some(expected), found } => "the model file given to ModelFile::parse has {found} bytes, and its header says {expected}; copy the file again from where it was made";
        Self::Length { expected: None, found } => "the model file given to ModelFile::parse ends after {found} bytes, inside its header; copy the file again from where it was made";
        Self::Checksum => "the model file given to ModelFile::parse is damaged or was changed: its checksum does not match; copy the file again from where it was made";
        Self::Header(field) => "the model file given to ModelFile::parse has a value for “{field}” in its header that micro-diffusion {} does not know; if a newer micro-diffusion made the file, build with that one; otherwise export the model again" env!("CARGO_PKG_VERSION");
        Self::NotFinite(index) => "weight {index} (counted from 0) of the model file given to ModelFile::parse is infinite or not a number: its training diverged; train again on its list, say list.txt, with a lower learning rate than before, such as: micro-diffusion train --input list.txt --lr 0.001";
        Self::Shape(Shape { architecture: Architecture::Mlp, positions, symbols, width, .. }) => "the code opens the model file as another network than the one in it; open it as micro_diffusion::mlp::Mlp<{positions}, {symbols}, {width}>";
        Self::Shape(Shape { architecture: Architecture::Residual, positions, symbols, width, .. }) => "the code opens the model file as another network than the one in it; open it as micro_diffusion::residual::Residual<{positions}, {symbols}, {width}>";
        Self::Shape(Shape { architecture: Architecture::Transformer, positions, symbols, width, blocks, heads }) => "the code opens the model file as another network than the one in it; open it as micro_diffusion::transformer::Transformer<{positions}, {symbols}, {width}, {blocks}, {heads}>";
        Self::Shape(Shape { architecture: Architecture::LocalTransformer, positions, symbols, width, blocks, heads }) => "the code opens the model file as another network than the one in it; open it as micro_diffusion::transformer::Transformer<{positions}, {symbols}, {width}, {blocks}, {heads}, 3>";
        Self::Shape(Shape { architecture: Architecture::Convolution, positions, symbols, width, blocks, heads }) => "the code opens the model file as another network than the one in it; open it as micro_diffusion::convolution::Convolution<{positions}, {symbols}, {width}, {blocks}, {heads}>";
        Self::Dtype(Dtype::F32) => "the model file has f32 weights, and the code asks for integers; read it with file.parameters::<Network, L, V>(), where Network is the type of the network, L its positions and V its symbols";
        Self::Dtype(dtype) => "the model file has int{0} weights, and the code asks for other ones; read it with file.integers::<Integers<Network, Int{0}, L, V>, L, V>(), where Network is the type of the network, L its positions and V its symbols" dtype.bits();
        Self::Scale => "the integer model file is not safe to run: its scales could let sums overflow; export it again from its run, say runs/names, with: micro-diffusion export --model runs/names --format int8";
    }
    SamplerError as Sampler {
        Self::Length(most) => "the length given to Sampler::new is out of range; give a length from 1 to {most}, the positions of the model";
        Self::NothingAllowed { position } => "no symbol is allowed at position {position}, counted from 0, in the sets given to Sampler::new; allow one there at least";
    }
    PatternError as Pattern {
        Self::UnknownCharacter(character) => "the pattern has the character “{character}”, which is not in the alphabet; use only characters of the alphabet, or ? for any one of them";
        Self::NothingEscaped => "the pattern ends in a single backslash, which escapes nothing; remove it, or write two for a backslash itself";
        Self::TooLong { needed } => "the pattern needs texts of {needed} letters, more than the model has positions; shorten the pattern, or let its stars stand for fewer letters";
        Self::Length { shortest } => "the pattern leaves a text of 0 letters, and the shortest text of a model has {shortest}; add a ? to the pattern for each letter that the model is to choose, or let a star stand for {shortest} or more";
    }
    EncodeError as Encode {
        Self::Empty => "the text given to Alphabet::encode is empty; give one character at least";
        Self::UnknownCharacter(character) => "the text given to Alphabet::encode has the character “{character}”, which the alphabet lacks; use those of Alphabet::characters";
        Self::TooLong(most) => "the text given to Alphabet::encode has more than {most} characters, the positions of the model; shorten it to {most}";
    }
    AlphabetError as Alphabet {
        Self::Empty => "the alphabet given to Alphabet::new is empty; give one character at least";
        Self::TooMany => "the alphabet given to Alphabet::new has more than 255 different characters; give 255 at most";
        Self::Repeated(character) => "the alphabet given to Alphabet::new has the character “{character}” twice; give each character once";
    }
}
