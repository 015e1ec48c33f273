//! One type for all errors of this crate, so that a program opens a model and draws texts with `?` alone.

use core::error;
use core::fmt::{self, Display, Formatter};

use crate::file::FileError;
use crate::pattern::PatternError;
use crate::sampler::SamplerError;
use crate::text::{AlphabetError, EncodeError};

/// What went wrong. The errors of all modules convert into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A model file that cannot be used.
    File(FileError),
    /// A text that cannot be drawn.
    Sampler(SamplerError),
    /// A pattern that no text can meet.
    Pattern(PatternError),
    /// A text that the model cannot read.
    Encode(EncodeError),
    /// An alphabet that cannot be used.
    Alphabet(AlphabetError),
}

impl Display for Error {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(out),
            Self::Sampler(error) => error.fmt(out),
            Self::Pattern(error) => error.fmt(out),
            Self::Encode(error) => error.fmt(out),
            Self::Alphabet(error) => error.fmt(out),
        }
    }
}

impl error::Error for Error {}

/// Makes the errors of the modules errors of Rust, which convert into [`Error`].
macro_rules! convert {
    ($($error:ident => $variant:ident,)*) => {$(
        impl error::Error for $error {}

        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

convert! {
    FileError => File,
    SamplerError => Sampler,
    PatternError => Pattern,
    EncodeError => Encode,
    AlphabetError => Alphabet,
}

impl Display for FileError {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::NotAModel => write!(out, "not a model file"),
            Self::Version(version) => {
                write!(out, "a model file of version {version}, which this code does not read")
            }
            Self::Length { expected: Some(expected), found } => {
                write!(out, "a model file of {expected} bytes, of which there are {found}")
            }
            Self::Length { expected: None, found } => write!(out, "a model file cut after {found} bytes"),
            Self::Checksum => write!(out, "an altered model file: its checksum does not match"),
            Self::Header(field) => write!(out, "a model file with an unknown {field}"),
            Self::NotFinite(index) => write!(out, "a model file whose weight {index} is not a finite number"),
            Self::Shape(shape) => write!(
                out,
                "a model of another type: {}, {} positions, {} symbols, width {}, {} blocks, {} heads or taps",
                shape.architecture.name(),
                shape.positions,
                shape.symbols,
                shape.width,
                shape.blocks,
                shape.heads
            ),
            Self::Dtype(dtype) => write!(out, "a model of another type: its weights are {}", dtype.name()),
            Self::Scale => write!(out, "a model file with scales that could make integers overflow"),
        }
    }
}

impl Display for SamplerError {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::Length => write!(out, "a text needs a length from 1 to the model's positions"),
            Self::NothingAllowed { position } => write!(out, "no symbol is allowed at position {position}"),
        }
    }
}

impl Display for PatternError {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::UnknownCharacter(character) => {
                write!(out, "the model does not know the character {character}")
            }
            Self::NothingEscaped => write!(out, "a backslash needs a character after it"),
            Self::TooLong { needed } => {
                write!(out, "the pattern needs {needed} positions, more than there are")
            }
            Self::Length { shortest } => write!(out, "the pattern needs a length of at least {shortest}"),
        }
    }
}

impl Display for EncodeError {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "an empty text"),
            Self::UnknownCharacter(character) => {
                write!(out, "the model does not know the character {character}")
            }
            Self::TooLong => write!(out, "a text of more characters than there are positions"),
        }
    }
}

impl Display for AlphabetError {
    fn fmt(&self, out: &mut Formatter) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "an alphabet without a character"),
            Self::TooMany => write!(out, "an alphabet of more than 255 characters"),
            Self::Repeated(character) => write!(out, "an alphabet with {character} twice"),
        }
    }
}
