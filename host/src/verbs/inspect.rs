//! `inspect`: the contents of a file.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::{InspectOptions, Outcome};
use crate::engine::configurations::Config;
use crate::engine::description::{dtype_name, shape_name};
use crate::engine::language::Language;
use crate::engine::network::ChipBytes;
use crate::files::checkpoint;
use crate::files::model::{Model, ModelBytes};
use crate::files::run::{CHECKPOINT, MODEL};
use crate::show::columns::listed;
use crate::show::terminal;

/// The key of the table of lengths.
const LENGTHS: &str = "lengths";
/// The key of the network, and its label for people, who name it by `--config`.
const CONFIG: &str = "config";
const CONFIG_NAME: &str = "network (--config)";
/// The key that tells whether the model looks training lines up.
const RETRIEVAL: &str = "retrieval";
/// The key of the characters of a model.
const ALPHABET: &str = "alphabet";

pub(crate) fn run(options: &InspectOptions) -> anyhow::Result<Outcome> {
    let named = options.file.as_deref().or(options.model.as_deref());
    let report = match named.map(resolve).filter(|path| checkpoint::is_one(path)) {
        Some(path) => describe_checkpoint(&path)?,
        None => {
            let mut bytes = ModelBytes::load(named)?;
            let retrieval = bytes.retrieval.is_some();
            let mut report = describe_model(&bytes.open()?);
            report[RETRIEVAL] = retrieval.into();
            report
        }
    };
    let mut out = terminal::results();
    if options.json {
        writeln!(out, "{report}")?;
        return Ok(Outcome::Done);
    }
    for (key, value) in report.as_object().into_iter().flatten() {
        if let Some(counts) = value.as_array().filter(|values| values.iter().all(Value::is_number)) {
            let counts: Vec<String> = counts.iter().map(Value::to_string).collect();
            out.lines(&format!("{key:<27} {}", counts.join(" ")))?;
        } else if let Value::Array(rows) = value {
            writeln!(out, "{key}")?;
            for row in rows {
                // A tensor with its dimensions, or a teacher with its hash.
                let text = |key: &str| row[key].as_str();
                let name = text("name").or(text("path")).unwrap_or_default();
                let of_it = text("sha256").map_or_else(|| row["dimensions"].to_string(), str::to_owned);
                out.lines(&format!("  {:<24} {of_it}", terminal::shown(name)))?;
            }
        } else if let Value::Object(formats) = value {
            writeln!(out, "{key}")?;
            for (format, bytes) in formats {
                let (flash, memory) = (&bytes["flash_bytes"], &bytes["memory_bytes"]);
                out.lines(&format!("  {format:<24}  {flash} bytes of flash, {memory} of RAM to work in"))?;
            }
        } else {
            let text = match value.as_str() {
                Some(alphabet) if key == ALPHABET => listed(alphabet),
                Some(text) => text.to_owned(),
                None => value.to_string(),
            };
            let key = if key == CONFIG { CONFIG_NAME } else { key };
            out.lines(&format!("{key:<27} {}", terminal::shown(&text)))?;
        }
    }
    Ok(Outcome::Done)
}

/// Replaces a run folder without a model by its checkpoint.
fn resolve(path: &Path) -> PathBuf {
    let checkpoint = path.join(CHECKPOINT);
    if path.is_dir() && !path.join(MODEL).exists() && checkpoint.exists() {
        checkpoint
    } else {
        path.to_owned()
    }
}

fn tensors(config: &Config) -> Vec<Value> {
    let tensors = config.network.tensors().iter();
    tensors.map(|tensor| json!({"name": tensor.name, "dimensions": tensor.dimensions})).collect()
}

/// Bytes of flash and of RAM on a chip, by number format.
fn chip(config: &Config, language: Language) -> Value {
    let bytes = config.network.formats().iter().map(|format| {
        let ChipBytes { file, memory } = format.chip_bytes(language);
        (dtype_name(format.dtype()).to_owned(), json!({"flash_bytes": file, "memory_bytes": memory}))
    });
    Value::Object(bytes.collect())
}

fn describe_model(model: &Model) -> Value {
    let Model { file, config, .. } = model;
    let lengths = file.lengths().counts().iter().map(|count| u32::from_le_bytes(*count));
    json!({
        "file": model.source,
        "kind": "model",
        CONFIG: config.name,
        "shape": shape_name(file.shape()),
        "parameters": file.parameter_count(),
        "weights": dtype_name(file.dtype()),
        "weight_bytes": file.parameter_bytes(),
        "memory_bytes": model.network.memory_bytes(),
        "chip": chip(config, model.language()),
        "training_bytes_per_example": config.network.record_bytes(),
        ALPHABET: file.alphabet().characters(),
        "symbols": file.alphabet().symbols(),
        LENGTHS: lengths.collect::<Vec<u32>>(),
        "tensors": tensors(config),
    })
}

fn describe_checkpoint(path: &Path) -> anyhow::Result<Value> {
    let checkpoint::Checkpoint { metadata, config, state } = checkpoint::load(path)?;
    let mut report = json!({
        "file": path.display().to_string(),
        "kind": "checkpoint",
        "steps_done": state.losses.len(),
        "parameters": state.weights.len(),
        ALPHABET: metadata.alphabet,
    });
    let settings = serde_json::to_value(&metadata.settings)?;
    if let (Some(report), Value::Object(settings)) = (report.as_object_mut(), settings) {
        report.extend(settings);
        report.insert("shape".to_owned(), shape_name(config.network.shape()).into());
        report.insert("tensors".to_owned(), tensors(&config).into());
    }
    Ok(report)
}
