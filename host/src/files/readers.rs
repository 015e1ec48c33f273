//! Every reader of files that anyone may have written, each as one call on bytes: what fuzzing gives them.
//!
//! The other reader, of model files, is the core's [`micro_diffusion::file::ModelFile`].

use crate::checkpoint;
use crate::corpus::{Lines, Split};
use crate::interchange;

/// A text file as training takes it.
pub(crate) struct Text {
    /// What is trained on.
    pub(crate) training: Vec<String>,
    /// What is never trained on.
    pub(crate) held_out: Vec<String>,
    /// Every character of both.
    pub(crate) alphabet: String,
    /// The most characters that a line may have.
    pub(crate) positions: usize,
}

/// The text file `bytes`, prepared for the configuration that `train` takes without `--config`, with the split that its
/// option `--development` asks for or without.
///
/// # Errors
/// Says in words what is wrong with the text.
pub(crate) fn text(bytes: &[u8], development: bool) -> anyhow::Result<Text> {
    let lines = Lines::of("the text".to_owned(), bytes.to_owned())?;
    let config = lines.config()?;
    let split = if development { Split::Development } else { Split::Record };
    let corpus = lines.corpus(config, split)?;
    let positions = config.network.shape().positions;
    Ok(Text { training: corpus.training, held_out: corpus.held_out, alphabet: corpus.alphabet, positions })
}

/// The model file that a safetensors file amounts to.
///
/// # Errors
/// Says in words what is wrong with it.
pub(crate) fn safetensors(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    interchange::to_model(bytes)
}

/// The losses of the steps that a checkpoint has behind it.
///
/// # Errors
/// Says in words what is wrong with it.
pub(crate) fn checkpoint(bytes: &[u8]) -> anyhow::Result<Vec<f32>> {
    Ok(checkpoint::from_bytes(bytes)?.state.losses)
}
