//! Every reader of files that anyone may have written, each as one call on bytes: what fuzzing gives them.
//!
//! The other reader, of model files, is the core's [`micro_diffusion::file::ModelFile`].

use crate::files::checkpoint;
use crate::files::corpus::{Lines, Split};
use crate::files::origin::Origin;
use crate::files::preparation::Preparation;
use crate::files::room;
use crate::files::safetensors::to_model;

/// A text file as training takes it.
pub struct Text {
    /// The prepared lines, as the run folder keeps them.
    pub list: String,
    /// What is trained on.
    pub training: Vec<String>,
    /// What is never trained on.
    pub held_out: Vec<String>,
    /// Every character of both.
    pub alphabet: String,
    /// The most characters that a line may have.
    pub positions: usize,
}

/// The text file `bytes`, prepared for the network and the room that `train` takes without `--config`, with the split that its
/// option `--development` asks for or without.
///
/// # Errors
/// Says in words what is wrong with the text.
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

/// The model file that a safetensors file amounts to.
///
/// # Errors
/// Says in words what is wrong with it.
pub fn safetensors(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    to_model(bytes)
}

/// The losses of the steps that a checkpoint has behind it.
///
/// # Errors
/// Says in words what is wrong with it.
pub fn checkpoint(bytes: &[u8]) -> anyhow::Result<Vec<f32>> {
    Ok(checkpoint::from_bytes(bytes)?.state.losses)
}
