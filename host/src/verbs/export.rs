//! `export`: a model in the form that other programs take.
//!
//! | format | what it is |
//! |---|---|
//! | `mdm` | this program's model file, which firmware reads in place |
//! | `safetensors` | the tensors by name, with shape and alphabet in the metadata: PyTorch, NumPy, candle |
//! | `c` | a C header of `const` arrays |
//! | `rust` | a Rust module of `static` arrays |
//! | `int8`, `int4` | a model file of integers; scaled by texts |
//!
//! Integers lose something; the loss is measured and reported.

use std::io::Write as _;
use std::path::Path;

use anyhow::bail;
use micro_diffusion::tensor::Dtype;

use crate::cli::{ExportOptions, Outcome};
use crate::engine::description::dtype_name;
use crate::engine::quantise;
use crate::files::format::FileFormat;
use crate::files::model::{Model, ModelBytes, Wanted};
use crate::files::preparation::Preparation;
use crate::files::run::replace;
use crate::files::safetensors;
use crate::files::source_code::SourceCode;
use crate::show::messages::{report_integers, scoring_list};
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Training lines by which the activations' scale is chosen.
const LINES: usize = 500;

pub(crate) fn run(options: &ExportOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    let model = bytes.open()?;
    let bytes = match options.format {
        FileFormat::Int8 => integers(&model, Dtype::Int8, options)?,
        FileFormat::Int4 => integers(&model, Dtype::Int4, options)?,
        format => render(&model, format)?,
    };
    let default = || options.format.beside(Path::new(model.name()));
    let out = options.out.clone().unwrap_or_else(default);
    if out == Path::new("-") {
        let mut out = terminal::bytes();
        out.write_all(&bytes)?;
        out.flush()?;
        return Ok(Outcome::Done);
    }
    if options.out.is_none() && out == Path::new(model.name()) {
        bail!("{} would be replaced by its own export; say where to write with --out", out.display());
    }
    replace(&out, &bytes)?;
    terminal::say(&format!("wrote {}: {} bytes, from {}", out.display(), bytes.len(), model.source));
    Ok(Outcome::Done)
}

/// The bytes of `model` in `format`, which is none of integers.
fn render(model: &Model, format: FileFormat) -> anyhow::Result<Vec<u8>> {
    let Model { config, .. } = model;
    let source = SourceCode {
        name: config.name,
        shape: config.network.shape(),
        tensors: config.network.tensors(),
        language: model.language(),
        weights: model.weights()?,
    };
    Ok(match format {
        FileFormat::Mdm | FileFormat::Int8 | FileFormat::Int4 => model.bytes().to_vec(),
        FileFormat::Safetensors => safetensors::to_bytes(config, source.weights, source.language)?,
        FileFormat::C => source.c()?.into_bytes(),
        FileFormat::Rust => source.rust()?.into_bytes(),
    })
}

/// `model` with weights of `dtype`; the report goes to stderr.
fn integers(model: &Model, dtype: Dtype, options: &ExportOptions) -> anyhow::Result<Vec<u8>> {
    let format = model.config.network.format(dtype)?;
    if model.file.dtype() == dtype {
        terminal::say(&format!("{} is {} already", model.source, dtype_name(dtype)));
        return Ok(model.bytes().to_vec());
    }
    let preparation = options.list.over(&Preparation::default());
    let (input, development) = (options.input.as_deref(), options.development);
    let corpus = scoring_list(model, Wanted { input, preparation: &preparation, development })?;
    let training = &corpus.training[..LINES.min(corpus.training.len())];
    if training.is_empty() {
        bail!(
            "{}: no training line that the model can read, to scale its integers by; give its own text with --input",
            corpus.source
        );
    }
    terminal::say(&format!(
        "scaling     hidden values, by {} training lines at each of {} scales",
        training.len(),
        quantise::FINEST + 1
    ));
    let waiting = Waiting::new("scaling", 0, false);
    let bytes = quantise::quantised(format, model.weights()?, model.language(), training)?;
    drop(waiting);
    let mut quantised = ModelBytes::of_bytes(format!("{} in {}", model.source, dtype_name(dtype)), bytes);
    let quantised = quantised.open()?;
    report_integers(model, &quantised, &corpus.held_out)?;
    Ok(quantised.bytes().to_vec())
}
