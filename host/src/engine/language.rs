//! The language of a model: the characters of its texts, and their lengths.

use micro_diffusion::file::ModelFile;
use micro_diffusion::length::Lengths;
use micro_diffusion::text::Alphabet;

/// The characters of a model's texts, and how many training texts have each length.
#[derive(Clone, Copy)]
pub(crate) struct Language<'a> {
    pub(crate) alphabet: Alphabet<'a>,
    pub(crate) lengths: Lengths<'a>,
}

impl<'a> Language<'a> {
    /// The language of `file`.
    pub(crate) fn of(file: &ModelFile<'a>) -> Self {
        Self { alphabet: file.alphabet(), lengths: file.lengths() }
    }
}
