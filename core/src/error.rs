//! One type for all errors of this crate: a program opens a model and draws texts with `?` alone.

use core::error;
use core::fmt::{self, Display, Formatter};

use crate::denoiser::Shape;
use crate::file::FileError;
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
        Self::NotAModel => "not a model file";
        Self::Version(version) => "a model file of version {version}, which this code does not read";
        Self::Length { expected: Some(expected), found } =>
            "a model file of {expected} bytes, of which there are {found}";
        Self::Length { expected: None, found } => "a model file cut after {found} bytes";
        Self::Checksum => "an altered model file: its checksum does not match";
        Self::Header(field) => "a model file with an unknown {field}";
        Self::NotFinite(index) => "a model file whose weight {index} is not a finite number";
        Self::Shape(Shape { architecture, positions, symbols, width, blocks, heads }) =>
            "a model of another type: {}, {positions} positions, {symbols} symbols, width {width}, {blocks} blocks, \
             {heads} heads or taps" architecture.name();
        Self::Dtype(dtype) => "a model of another type: its weights are {}" dtype.name();
        Self::Scale => "a model file with scales that could make integers overflow";
    }
    SamplerError as Sampler {
        Self::Length => "a text needs a length from 1 to the model's positions";
        Self::NothingAllowed { position } => "no symbol is allowed at position {position}";
    }
    PatternError as Pattern {
        Self::UnknownCharacter(character) => "the model does not know the character {character}";
        Self::NothingEscaped => "a backslash needs a character after it";
        Self::TooLong { needed } => "the pattern needs {needed} positions, more than there are";
        Self::Length { shortest } => "the pattern needs a length of at least {shortest}";
    }
    EncodeError as Encode {
        Self::Empty => "an empty text";
        Self::UnknownCharacter(character) => "the model does not know the character {character}";
        Self::TooLong => "a text of more characters than there are positions";
    }
    AlphabetError as Alphabet {
        Self::Empty => "an alphabet without a character";
        Self::TooMany => "an alphabet of more than 255 characters";
        Self::Repeated(character) => "an alphabet with {character} twice";
    }
}
