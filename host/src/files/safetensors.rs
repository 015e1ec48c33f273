//! Models as safetensors: written by `export` for PyTorch, NumPy and candle, and read from training elsewhere.
//!
//! A file holds the parameter tensors under their own names and shapes, in f32, f16 or bf16. Names and shapes tell the
//! network and the room. The metadata has `alphabet`, the characters of the symbols in order, and `lengths`, the training
//! texts of each length from 1 on, with blanks between. `heads`, which no shape shows, must be the network's where given.
//! `config` is for readers of the file. Further metadata is allowed, further tensors are refused.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use micro_diffusion::file;
use micro_diffusion::length::Lengths;
use micro_diffusion::tensor::Tensor;
use micro_diffusion::text::{Alphabet, AlphabetError};
use safetensors::SafeTensors;

use crate::engine::configurations::{self, Config};
use crate::engine::description::{REPORT_IT, dimensions_name};
use crate::engine::language::Language;
use crate::files::checkpoint::{self, damaged, floats, views};
use crate::files::quoting::quoted;
use crate::files::run::MODEL;

/// The metadata entry that holds the alphabet.
const ALPHABET: &str = "alphabet";
/// The metadata entry that holds the table of lengths.
const LENGTHS: &str = "lengths";
/// The metadata entry that names the network.
const CONFIG: &str = "config";
/// The metadata entry with the number of attention heads, which no shape shows.
const HEADS: &str = "heads";

/// Writes a safetensors file of `weights`.
pub(crate) fn to_bytes(config: &Config, weights: &[f32], language: Language) -> anyhow::Result<Vec<u8>> {
    let (network, heads) = (config.network, config.network.shape().heads.to_string());
    let counts = language.lengths.counts().iter().map(|count| u32::from_le_bytes(*count).to_string());
    let lengths = counts.collect::<Vec<_>>().join(" ");
    let alphabet = language.alphabet.characters();
    let metadata = [(ALPHABET, alphabet), (LENGTHS, &lengths), (CONFIG, config.name), (HEADS, &heads)];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes =
        safetensors::serialize(views("", network.tensors(), weights), Some(metadata.into_iter().collect()))?;
    with_sorted_metadata(bytes)
}

/// Sorts the metadata of `file` alphabetically; the crate writes it in another order each time.
///
/// A file begins with the length of its header in eight bytes, then the header in JSON, padded with spaces.
fn with_sorted_metadata(mut file: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    const METADATA: &str = "__metadata__";
    let without_header = || format!("the safetensors file just made has no header: {REPORT_IT}");
    let (length, rest) = file.split_first_chunk_mut::<8>().with_context(without_header)?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let header = rest.get_mut(..length).with_context(without_header)?;
    let mut json: serde_json::Value = serde_json::from_slice(header)?;
    if let Some(metadata) = json.get_mut(METADATA).and_then(|metadata| metadata.as_object_mut()) {
        metadata.sort_keys();
    }
    let text = json.to_string();
    if text.len() > header.len() {
        bail!(
            "the header of the safetensors file grew when its metadata was sorted, so nothing was written: \
             {REPORT_IT}"
        );
    }
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(file)
}

/// Converts the safetensors file `bytes`, read from `path`, to a model file.
///
/// # Errors
/// The file is unusable. The message goes on behind “‹path› cannot be used as a model: ”.
pub(crate) fn to_model(path: &Path, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    if metadata.contains_key(checkpoint::METADATA) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        bail!(
            "it is the checkpoint of a run, not its model; give --model {folder}, or if {MODEL} is not there yet, first finish the \
             run with: micro-diffusion train --out {folder} --resume",
            folder = quoted(folder)
        );
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let config = config_of(&tensors)?;
    let alphabet = metadata.get(ALPHABET).with_context(|| {
        format!(
            "its metadata has no “{ALPHABET}”, a text of all characters of the model, that of symbol 0 \
             first; save the file with it, in Python for example: save_file(tensors, path, \
             metadata={{\"{ALPHABET}\": \"abcdefghijklmnopqrstuvwxyz\"}})"
        )
    })?;
    let shape = config.network.shape();
    let alphabet = alphabet_of(alphabet)?;
    if alphabet.symbols() > shape.symbols {
        bail!(
            "the “{ALPHABET}” in its metadata has {} characters, and its tensors have room for {symbols}; \
             save the file with an alphabet of at most {symbols} characters",
            alphabet.symbols(),
            symbols = shape.symbols
        );
    }
    if let Some(found) = metadata.get(HEADS).filter(|found| **found != shape.heads.to_string()) {
        bail!(
            "its metadata says “{HEADS}” = {found}, and its tensors fit {}, which has {heads}; save the \
             file without “{HEADS}” if it was trained with {heads}, or else train it anew with {heads}",
            config.name,
            heads = shape.heads
        );
    }
    let lengths = lengths_of(metadata.get(LENGTHS).map(String::as_str), shape.positions)?;
    let lengths = Lengths::new(&lengths).with_context(|| {
        format!(
            "the counts in the “{LENGTHS}” of its metadata add up to more than {most}; only their \
             proportions matter: divide each by 10000, round it (to 0 too), and save the file again",
            most = u32::MAX as usize / shape.positions - 1
        )
    })?;
    let mut weights = Vec::with_capacity(config.network.parameters());
    for tensor in config.network.tensors() {
        weights.extend(floats(
            &tensors,
            tensor.name,
            Some(tensor.dimensions),
            &", or save it anew with all tensors",
        )?);
    }
    let mut model = Vec::new();
    let Ok(()) = file::write(&shape, config.network.tensors(), alphabet, lengths, &weights, |piece| {
        model.extend_from_slice(piece);
        Ok::<(), std::convert::Infallible>(())
    });
    Ok(model)
}

/// The alphabet in the metadata entry `alphabet`.
fn alphabet_of(alphabet: &str) -> anyhow::Result<Alphabet<'_>> {
    Alphabet::new(alphabet).map_err(|error| match error {
        AlphabetError::Empty => anyhow!(
            "the “{ALPHABET}” in its metadata is empty; save the file with all characters of the model there, \
             as one text in the order of their symbols, from symbol 0 on"
        ),
        AlphabetError::TooMany => anyhow!(
            "the “{ALPHABET}” in its metadata has {letters} characters, and a model has 255 at most; train the model on \
             texts in fewer different characters",
            letters = alphabet.chars().count()
        ),
        AlphabetError::Repeated(character) => anyhow!(
            "the “{ALPHABET}” in its metadata must have each character once: “{alphabet}” has “{character}” \
             twice; save the file with an alphabet of one character for each symbol, that of symbol 0 first"
        ),
    })
}

/// Reads the table of lengths in the metadata entry `entry`, for texts of at most `positions` symbols.
fn lengths_of(entry: Option<&str>, positions: usize) -> anyhow::Result<Vec<[u8; 4]>> {
    let needed = |found: &str| {
        format!(
            "its metadata needs “{LENGTHS}”, {positions} numbers with blanks between: how many training texts have 1 character, \
             how many 2, and so on up to {positions}; it has {found}. In Python, with the list texts of training texts: \
             metadata[\"{LENGTHS}\"] = \" \".join(str(sum(len(text) == n for text in texts)) for n in range(1, {positions} + 1))"
        )
    };
    let entry = entry.with_context(|| needed("none"))?;
    let counts: Result<Vec<u32>, _> = entry.split_whitespace().map(str::parse).collect();
    let counts = counts.ok().filter(|counts| counts.len() == positions);
    let counts = counts.with_context(|| needed(&format!("“{entry}”")))?;
    Ok(counts.into_iter().map(u32::to_le_bytes).collect())
}

/// Finds the network and the room with the tensors of `file`.
fn config_of(file: &SafeTensors) -> anyhow::Result<Config> {
    let fits = |config: &Config| {
        let tensors = config.network.tensors();
        let same =
            |tensor: &Tensor| file.tensor(tensor.name).is_ok_and(|found| found.shape() == tensor.dimensions);
        file.len() == tensors.len() && tensors.iter().all(same)
    };
    configurations::all().find(fits).with_context(|| {
        let list = |entries: Vec<(String, &[usize])>| -> String {
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(name, shape)| format!("{name} {}", dimensions_name(shape)))
                .collect();
            entries.join(", ")
        };
        let mut found: Vec<_> =
            file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_owned())).collect();
        found.sort();
        let found = list(found.iter().map(|(name, shape)| (name.clone(), shape.as_slice())).collect());
        let known = configurations::all().map(|config| {
            let tensors = config.network.tensors().iter();
            format!(
                "\n  {}: {}",
                config.title(),
                list(tensors.map(|t| (t.name.to_owned(), t.dimensions)).collect())
            )
        });
        let networks: String = known.collect();
        format!("the names and dimensions of its tensors fit no network of this program: {found}; give another file, or save this one with the \
                 tensors of one of these networks:{networks}")
    })
}
