//! Models as safetensors: written by `export` for PyTorch, NumPy and candle, and read from training elsewhere.
//!
//! A file holds the parameter tensors under their own names and shapes, in f32, f16 or bf16. Names and shapes tell the
//! network and the room. The metadata has `alphabet`, the characters of the symbols in order, and `lengths`, the training
//! texts of each length from 1 on, with blanks between. `heads`, which no shape shows, must be the network's where given.
//! `config` is for readers of the file. Further metadata is allowed, further tensors are refused.

use anyhow::{Context, anyhow, bail};
use micro_diffusion::file;
use micro_diffusion::length::Lengths;
use micro_diffusion::tensor::Tensor;
use micro_diffusion::text::Alphabet;
use safetensors::SafeTensors;

use crate::engine::configurations::{self, Config};
use crate::engine::description::{REPORT_IT, dimensions_name};
use crate::engine::language::Language;
use crate::files::checkpoint::{self, damaged, floats, views};

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
        bail!("nothing was written, since the file's header grew when its metadata was sorted: {REPORT_IT}");
    }
    header.fill(b' ');
    header[..text.len()].copy_from_slice(text.as_bytes());
    Ok(file)
}

/// Converts the safetensors file `bytes` to a model file.
pub(crate) fn to_model(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    if metadata.contains_key(checkpoint::METADATA) {
        bail!(
            "the file is the checkpoint of a run, not its model; give the model.mdm beside it, or if there is none yet, finish \
             the run with: micro-diffusion train --out FOLDER --resume"
        );
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let config = config_of(&tensors)?;
    let alphabet = metadata.get(ALPHABET).with_context(|| {
        format!(
            "the metadata of the file has no “{ALPHABET}”, the characters of symbols 0, 1, … in a row; save the file with them, for example: \
             save_file(tensors, path, metadata={{\"{ALPHABET}\": \"abcdefghijklmnopqrstuvwxyz\"}})"
        )
    })?;
    let shape = config.network.shape();
    let alphabet = Alphabet::new(alphabet).map_err(|error| {
        anyhow!("the “{ALPHABET}” in the metadata of the file, “{alphabet}”, cannot be used: {error}")
    })?;
    if alphabet.symbols() > shape.symbols {
        bail!(
            "the “{ALPHABET}” in the metadata of the file has {} characters, and its tensors have {symbols} symbols; save an \
             alphabet of at most {symbols} characters",
            alphabet.symbols(),
            symbols = shape.symbols
        );
    }
    if let Some(found) = metadata.get(HEADS).filter(|found| **found != shape.heads.to_string()) {
        bail!(
            "the model in the file was trained with {found} attention heads, and the network with its tensors, {}, has \
             {heads}; train it with {heads} heads",
            config.name,
            heads = shape.heads
        );
    }
    let lengths = lengths_of(metadata.get(LENGTHS).map(String::as_str), shape.positions)?;
    let lengths = Lengths::new(&lengths).with_context(|| {
        format!(
            "the “{LENGTHS}” in the metadata of the file add up to more than {} texts; divide each of them by one number, and \
             round",
            u32::MAX as usize / shape.positions - 1
        )
    })?;
    let mut weights = Vec::with_capacity(config.network.parameters());
    for tensor in config.network.tensors() {
        weights.extend(floats(&tensors, tensor.name, Some(tensor.dimensions))?);
    }
    let mut model = Vec::new();
    let Ok(()) = file::write(&shape, config.network.tensors(), alphabet, lengths, &weights, |piece| {
        model.extend_from_slice(piece);
        Ok::<(), std::convert::Infallible>(())
    });
    Ok(model)
}

/// Reads the table of lengths in the metadata entry `entry`, for texts of at most `positions` symbols.
fn lengths_of(entry: Option<&str>, positions: usize) -> anyhow::Result<Vec<[u8; 4]>> {
    let needed = |found: &str| {
        format!(
            "the metadata of the file needs “{LENGTHS}”, the numbers of training texts of 1, 2, … {positions} characters with \
             blanks between, and has {found}; save the file with them, for example: metadata[\"{LENGTHS}\"] = \
             \" \".join(str(sum(len(text) == n for text in texts)) for n in range(1, {}))",
            positions + 1
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
        format!(
            "the tensors in the file are those of no network of this program: {found}; save the tensors of one of these \
             networks:{}",
            known.collect::<String>()
        )
    })
}
