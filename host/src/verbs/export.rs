//! `export`: a model in the form that other programs take.
//!
//! | format | what it is |
//! |---|---|
//! | `mdm` | this program's model file, which firmware reads in place |
//! | `safetensors` | the tensors by name, with shape and alphabet in the metadata: PyTorch, NumPy, candle |
//! | `c` | a C header of `const` arrays |
//! | `rust` | a Rust module of `static` arrays |
//! | `int8`, `int4` | a model file of integers; see [`quantise`] |
//!
//! Every float is written so that it reads back to the same bits.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use micro_diffusion::denoiser::Shape;
use micro_diffusion::tensor::{Dtype, Tensor};

use crate::Outcome;
use crate::cli::{ExportOptions, Format};
use crate::interchange;
use crate::model::Model;
use crate::network::{architecture_name, shape_name};
use crate::quantise::quantise;
use crate::run::replace;
use crate::terminal;

impl Format {
    /// The file of this format that belongs beside `model`.
    pub(crate) fn beside(self, model: &Path) -> PathBuf {
        model.with_extension(self.extension())
    }

    /// How files of this format end.
    fn extension(self) -> &'static str {
        match self {
            Self::Mdm => "mdm",
            Self::Int8 => "int8.mdm",
            Self::Int4 => "int4.mdm",
            Self::Safetensors => "safetensors",
            Self::C => "h",
            Self::Rust => "rs",
        }
    }
}

pub(crate) fn run(options: &ExportOptions) -> anyhow::Result<Outcome> {
    let model = Model::load(options.model.model.as_deref())?;
    let bytes = match options.format {
        Format::Int8 => quantise(&model, Dtype::Int8, options)?,
        Format::Int4 => quantise(&model, Dtype::Int4, options)?,
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

/// The bytes of `model` in `format`.
fn render(model: &Model, format: Format) -> anyhow::Result<Vec<u8>> {
    let config = model.config()?;
    let source = Source {
        name: config.name,
        shape: config.network.shape(),
        tensors: config.network.tensors(),
        alphabet: model.file()?.alphabet().characters(),
        weights: &config.network.weights(&model.file()?)?,
    };
    Ok(match format {
        Format::Mdm | Format::Int8 | Format::Int4 => model.bytes().to_vec(),
        Format::Safetensors => interchange::to_bytes(config, source.weights, source.alphabet)?,
        Format::C => source.c()?.into_bytes(),
        Format::Rust => source.rust()?.into_bytes(),
    })
}

/// A model to be written as source code.
struct Source<'a> {
    name: &'a str,
    shape: Shape,
    tensors: &'a [Tensor],
    alphabet: &'a str,
    weights: &'a [f32],
}

/// Numbers on one line of source code.
const NUMBERS_PER_LINE: usize = 10;

impl Source<'_> {
    /// Each tensor with its numbers.
    fn values(&self) -> impl Iterator<Item = (&Tensor, &[f32])> {
        let mut rest = self.weights;
        self.tensors.iter().map(move |tensor| (tensor, rest.split_off(..tensor.len()).unwrap_or_default()))
    }

    /// The sizes by name.
    fn sizes(&self) -> [(&'static str, usize); 6] {
        let Shape { positions, symbols, width, blocks, heads, .. } = self.shape;
        let used = self.alphabet.chars().count() + 1;
        [
            ("POSITIONS", positions),
            ("SYMBOLS", symbols),
            ("SYMBOLS_USED", used),
            ("WIDTH", width),
            ("BLOCKS", blocks),
            ("HEADS", heads),
        ]
    }

    /// What both languages say first.
    fn about(&self) -> String {
        format!(
            "A masked text diffusion model, {}: {}.\n\
             Symbol 0 is PAD and ends a text; symbol s is character s - 1 of the alphabet. Symbols from SYMBOLS_USED on\n\
             are never drawn. Written by micro-diffusion {}; the formulas are in its core/src/{}.rs.",
            self.name,
            shape_name(self.shape),
            env!("CARGO_PKG_VERSION"),
            architecture_name(self.shape.architecture)
        )
    }

    /// A C header.
    fn c(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for line in self.about().lines() {
            writeln!(text, "// {line}")?;
        }
        writeln!(
            text,
            "#ifndef MICRO_DIFFUSION_MODEL_H\n#define MICRO_DIFFUSION_MODEL_H\n\n#include <stdint.h>\n"
        )?;
        for (name, size) in self.sizes() {
            writeln!(text, "#define MODEL_{name} {size}")?;
        }
        writeln!(text, "\n// The code point of each symbol; 0 for PAD.")?;
        let points =
            std::iter::once(0).chain(self.alphabet.chars().map(u32::from)).map(|point| format!("{point}"));
        write!(text, "static const uint32_t model_alphabet[MODEL_SYMBOLS_USED] =")?;
        nested(&mut text, &[self.alphabet.chars().count() + 1], &mut points.into_iter(), ["{", "}"])?;
        text.push_str(";\n");
        for (tensor, values) in self.values() {
            let dimensions: String = tensor.dimensions.iter().map(|size| format!("[{size}]")).collect();
            write!(text, "\nstatic const float model_{}{dimensions} =", tensor.name.replace('.', "_"))?;
            let mut numbers = values.iter().map(|value| format!("{value:e}f"));
            nested(&mut text, tensor.dimensions, &mut numbers, ["{", "}"])?;
            text.push_str(";\n");
        }
        text.push_str("\n#endif\n");
        Ok(text)
    }

    /// A Rust module.
    fn rust(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for line in self.about().lines() {
            writeln!(text, "//! {line}")?;
        }
        text.push_str("#![allow(clippy::all, clippy::pedantic, clippy::restriction)]\n\n");
        for (name, size) in self.sizes() {
            writeln!(text, "pub const {name}: usize = {size};")?;
        }
        writeln!(text, "/// The characters of the symbols from 1 on.")?;
        writeln!(text, "pub const ALPHABET: &str = {:?};", self.alphabet)?;
        for (tensor, values) in self.values() {
            let dimensions = tensor.dimensions.iter().rev();
            let kind = dimensions.fold("f32".to_owned(), |inner, size| format!("[{inner}; {size}]"));
            write!(text, "\npub static {}: {kind} =", tensor.name.replace('.', "_").to_uppercase())?;
            let mut numbers = values.iter().map(|value| format!("{value:e}"));
            nested(&mut text, tensor.dimensions, &mut numbers, ["[", "]"])?;
            text.push_str(";\n");
        }
        Ok(text)
    }
}

/// `numbers` as nested arrays of `dimensions` between `brackets`.
fn nested(
    text: &mut String,
    dimensions: &[usize],
    numbers: &mut impl Iterator<Item = String>,
    brackets: [&str; 2],
) -> anyhow::Result<()> {
    let (size, inner) = dimensions.split_first().context("a tensor without dimensions")?;
    write!(text, "\n{}", brackets[0])?;
    for index in 0..*size {
        if inner.is_empty() {
            let number = numbers.next().context("a tensor without numbers")?;
            let before = if index % NUMBERS_PER_LINE == 0 { "\n" } else { " " };
            write!(text, "{before}{number},")?;
        } else {
            nested(text, inner, numbers, brackets)?;
            text.push(',');
        }
    }
    write!(text, "\n{}", brackets[1])?;
    Ok(())
}
