//! Readers of files from anyone, each as one call on bytes, for fuzzing.
//!
//! Model files have their reader in the core: [`micro_diffusion::file::ModelFile`].

use std::path::Path;

use crate::files::checkpoint;
use crate::files::corpus::{Lines, Split};
use crate::files::origin::Origin;
use crate::files::preparation::Preparation;
use crate::files::room;
use crate::files::safetensors::to_model;

/// A text file as training reads it.
pub struct Text {
    /// The prepared lines, as the run folder keeps them.
    pub list: String,
    /// The training lines.
    pub training: Vec<String>,
    /// The held-out lines.
    pub held_out: Vec<String>,
    /// Every character of the training and held-out lines.
    pub alphabet: String,
    /// Most characters of a line.
    pub positions: usize,
}

/// Prepares the text file `bytes` for the network and room that `train` chooses by default, with or without
/// `--development`.
///
/// # Errors
/// The file is unusable, for the reason given in words.
pub fn text(bytes: &[u8], development: bool) -> anyhow::Result<Text> {
    let lines = Lines::of(&Origin::Stdin, bytes.to_owned(), &Preparation::default())?;
    let list = lines.to_text();
    let config = room::choose(&lines.lines, &lines.source, None)?;
    let corpus = lines.corpus(&config, Split::of(development))?;
    let positions = config.network.shape().positions;
    Ok(Text {
        list,
        training: corpus.training,
        held_out: corpus.held_out,
        alphabet: corpus.alphabet,
        positions,
    })
}

/// Converts a safetensors file to a model file.
///
/// # Errors
/// The file is unusable, for the reason given in words.
pub fn safetensors(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    to_model(Path::new("model.safetensors"), bytes)
}

/// Reads the losses of the steps behind a checkpoint.
///
/// # Errors
/// The file is unusable, for the reason given in words.
pub fn checkpoint(bytes: &[u8]) -> anyhow::Result<Vec<f32>> {
    Ok(checkpoint::from_bytes(bytes)?.state.losses)
}
