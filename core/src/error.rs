//! One type for all errors of this crate: a program opens a model and draws texts with `?` alone.

use core::error;
use core::fmt::{self, Display, Formatter};

use crate::denoiser::Shape;
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
                match self {
                    $(Self::$variant(error) => error.fmt(out),)*
                }
            }
        }

        impl error::Error for Error {}

        $(impl Display for $error {
            fn fmt(&self, out: &mut Formatter) -> fmt::Result {
                match self {
                    $($case => write!(out, $message, $($argument),*),)*
                }
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
        Self::NotAModel => "not a model file: the bytes do not begin with “mdm”; give the bytes of a .mdm file";
        Self::Version(version) =>
            "the model file has format version {version}, and this code reads version {VERSION} only; \
             write the file anew with the version of micro-diffusion that this code is of";
        Self::Length { expected: Some(expected), found } =>
            "the model file has {found} bytes, and its header says {expected}; copy it again";
        Self::Length { expected: None, found } =>
            "the model file ends after {found} bytes, inside its header; copy it again";
        Self::Checksum => "the model file was altered: its checksum does not match; copy it again";
        Self::Header(field) =>
            "the header of the model file has a value for “{field}” that this code does not know; \
             copy the file again, or read it with the version that wrote it";
        Self::NotFinite(index) =>
            "weight {index} of the model file, counted from 0, is infinite or not a number; write the file anew \
             from finite weights";
        Self::Shape(Shape { architecture, positions, symbols, width, blocks, heads }) =>
            "the model file is not of the type that the code opens it as: it holds a {} of {positions} positions, \
             {symbols} symbols, width {width}, {blocks} blocks, and {heads} heads or taps; open it as that type"
            architecture.name();
        Self::Dtype(dtype) =>
            "the model file has {0} weights, and the code opens it as a type with other weights; open it as a type \
             with {0} weights" dtype.name();
        Self::Scale => "the scales in the model file could make integer sums overflow; export the model again";
    }
    SamplerError as Sampler {
        Self::Length => "no text has that length; give a length from 1 to the number of the model's positions";
        Self::NothingAllowed { position } =>
            "no symbol is allowed at position {position}, counted from 0; allow one there at least";
    }
    PatternError as Pattern {
        Self::UnknownCharacter(character) =>
            "the pattern has the character “{character}”, which the model does not know; use characters of the \
             model's alphabet, or ? for any of them";
        Self::NothingEscaped =>
            "the pattern ends in a backslash; leave it out, or write the character that it escapes after it";
        Self::TooLong { needed } =>
            "the pattern needs {needed} letters, and the model has fewer positions; shorten the pattern";
        Self::Length { shortest } =>
            "the pattern has no text of that length, and its shortest has {shortest} letters; give another length";
    }
    EncodeError as Encode {
        Self::Empty => "the text is empty; give one character at least";
        Self::UnknownCharacter(character) =>
            "the text has the character “{character}”, which the model does not know; use characters of the \
             model's alphabet";
        Self::TooLong => "the text has more characters than the model has positions; shorten it";
    }
    AlphabetError as Alphabet {
        Self::Empty => "the alphabet is empty; give one character at least";
        Self::TooMany => "the alphabet has more than 255 characters; give 255 at most";
        Self::Repeated(character) =>
            "the alphabet has the character “{character}” twice; give each character once";
    }
}
