//! Models as source code in C and Rust. Every float is written so that it reads back to equal bits.

use std::fmt::Write as _;

use anyhow::Context;
use micro_diffusion::crc::crc32;
use micro_diffusion::denoiser::Shape;
use micro_diffusion::tensor::Tensor;

use crate::engine::description::{REPORT_IT, shape_name};
use crate::engine::language::Language;
use crate::files::prefix::Prefix;

/// A model to be written as source code.
pub(crate) struct SourceCode<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: Shape,
    pub(crate) tensors: &'a [Tensor],
    pub(crate) language: Language<'a>,
    pub(crate) weights: &'a [f32],
}

/// Numbers on one line of source code.
const NUMBERS_PER_LINE: usize = 10;

impl SourceCode<'_> {
    /// Each tensor with its numbers.
    fn values(&self) -> impl Iterator<Item = (&Tensor, &[f32])> {
        let mut rest = self.weights;
        self.tensors.iter().map(move |tensor| (tensor, rest.split_off(..tensor.len()).unwrap_or_default()))
    }

    fn alphabet(&self) -> &str {
        self.language.alphabet.characters()
    }

    /// Training texts of each length.
    fn lengths(&self) -> impl Iterator<Item = String> {
        self.language.lengths.counts().iter().map(|count| u32::from_le_bytes(*count).to_string())
    }

    /// The sizes by name.
    fn sizes(&self) -> [(&'static str, usize); 6] {
        let Shape { positions, symbols, width, blocks, heads, .. } = self.shape;
        let used = self.language.alphabet.symbols();
        [
            ("POSITIONS", positions),
            ("SYMBOLS", symbols),
            ("SYMBOLS_USED", used),
            ("UNITS", width),
            ("BLOCKS", blocks),
            ("HEADS", heads),
        ]
    }

    /// The first comment, in both languages.
    fn about(&self) -> String {
        format!(
            "A masked text diffusion model, {}: {}.\n\
             Symbol s is character s of the alphabet, from 0. Symbols from SYMBOLS_USED on are never drawn. The length of a\n\
             text is drawn first, by how many training texts had each. Written by micro-diffusion {}; the formulas are in its core/src/{}.rs.",
            self.name,
            shape_name(self.shape),
            env!("CARGO_PKG_VERSION"),
            self.shape.architecture.name()
        )
    }

    /// A C header whose names begin with `prefix`.
    pub(crate) fn c(&self, prefix: &Prefix) -> anyhow::Result<String> {
        let mut text = String::new();
        for line in self.about().lines() {
            writeln!(text, "// {line}")?;
        }
        let weights: Vec<u8> = self.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        writeln!(text, "@GUARD@\n#include <stdint.h>\n")?;
        for (name, size) in self.sizes() {
            writeln!(text, "#define MODEL_{name} {size}")?;
        }
        writeln!(text, "\n// The code point of each symbol.")?;
        let points = self.alphabet().chars().map(|character| u32::from(character).to_string());
        write!(text, "static const uint32_t model_alphabet[MODEL_SYMBOLS_USED] =")?;
        nested(&mut text, &[self.language.alphabet.symbols()], &mut points.into_iter(), ["{", "}"])?;
        text.push_str(";\n");
        writeln!(text, "\n// How many training texts have 1, 2, ... characters.")?;
        write!(text, "static const uint32_t model_lengths[MODEL_POSITIONS] =")?;
        nested(&mut text, &[self.shape.positions], &mut self.lengths(), ["{", "}"])?;
        text.push_str(";\n");
        for (tensor, values) in self.values() {
            let dimensions: String = tensor.dimensions.iter().map(|size| format!("[{size}]")).collect();
            write!(text, "\nstatic const float model_{}{dimensions} =", tensor.name.replace('.', "_"))?;
            let mut numbers = values.iter().map(|value| format!("{value:e}f"));
            nested(&mut text, tensor.dimensions, &mut numbers, ["{", "}"])?;
            text.push_str(";\n");
        }
        text.push_str("\n#endif\n");
        Ok(prefix.apply(&text).replacen("@GUARD@", &prefix.guard(crc32(&weights)), 1))
    }

    /// A Rust module.
    pub(crate) fn rust(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for line in self.about().lines() {
            writeln!(text, "//! {line}")?;
        }
        text.push_str("#![allow(clippy::all, clippy::pedantic, clippy::restriction)]\n\n");
        for (name, size) in self.sizes() {
            writeln!(text, "pub const {name}: usize = {size};")?;
        }
        writeln!(text, "/// The characters of the symbols, in their order.")?;
        writeln!(text, "pub const ALPHABET: &str = {:?};", self.alphabet())?;
        writeln!(text, "/// How many training texts have 1, 2, … characters.")?;
        write!(text, "pub static LENGTHS: [u32; {}] =", self.shape.positions)?;
        nested(&mut text, &[self.shape.positions], &mut self.lengths(), ["[", "]"])?;
        text.push_str(";\n");
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
    let (size, inner) = dimensions.split_first().with_context(|| {
        format!("nothing was written, since a tensor of the model has no dimensions: {REPORT_IT}")
    })?;
    write!(text, "\n{}", brackets[0])?;
    for index in 0..*size {
        if inner.is_empty() {
            let number = numbers.next().with_context(|| {
                format!(
                    "nothing was written, since a tensor of the model has fewer numbers than its dimensions \
                     say: {REPORT_IT}"
                )
            })?;
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
