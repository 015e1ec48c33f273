//! Shapes, number formats, counts and file errors in words.

use anyhow::anyhow;
use micro_diffusion::denoiser::{Architecture, Shape};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{FileError, VERSION};

/// A count with its noun: “1 line”, “2 lines”.
pub(crate) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// The end of a message about a fault of the program.
pub(crate) const REPORT_IT: &str = concat!(
    "this is a fault of the program, not of your files; please report it, with the command that you typed, at ",
    env!("CARGO_PKG_REPOSITORY"),
    "/issues"
);

/// This program, with its version.
pub(crate) const THIS: &str = concat!("micro-diffusion ", env!("CARGO_PKG_VERSION"));
/// The advice for a file that a newer version of the program wrote.
pub(crate) const NEWER: &str = concat!("take the newest micro-diffusion from ", env!("CARGO_PKG_REPOSITORY"));

/// A file error, for people. The message goes on behind the file's name and a colon.
pub(crate) fn file_error(error: &FileError) -> anyhow::Error {
    match error {
        FileError::NotAModel => anyhow!(
            "this file is neither a .mdm file, which begins with “mdm”, nor a .safetensors file; give one \
             of these, or a run folder"
        ),
        FileError::Version(version) if *version < VERSION => anyhow!(
            "the model file has the older version {version}, and {THIS} reads version {VERSION} only; train \
             the model anew on its list, here list.txt, with: micro-diffusion train --input list.txt"
        ),
        FileError::Version(version) => {
            anyhow!(
                "the model file has the newer version {version}, and {THIS} reads version {VERSION} only; \
                 {NEWER}"
            )
        }
        FileError::Length { expected: Some(expected), found } if found < expected => {
            anyhow!(
                "the model file is cut: {found} of {expected} bytes are there; copy it again from where it was made"
            )
        }
        FileError::Length { expected: Some(expected), found } => anyhow!(
            "the model file has {found} bytes, {more} more than its header says; copy it again from where it was made",
            more = found - expected
        ),
        FileError::Length { expected: None, found } => {
            anyhow!(
                "the model file is cut after {found} bytes, inside its header; copy it again from where it was made"
            )
        }
        FileError::Checksum => {
            anyhow!(
                "the model file is damaged or was changed: its checksum does not match; copy it again from \
                 where it was made"
            )
        }
        FileError::Header(field) => anyhow!(
            "the header of the model file has a value for “{field}” that {THIS} does not know; if a newer \
             micro-diffusion made the file, {NEWER}; otherwise export the model again"
        ),
        FileError::NotFinite(index) => anyhow!(
            "weight {index} (counted from 0) of the model file is infinite or not a number: its training \
             diverged; train again on its list, here list.txt, with a lower learning rate than before, such \
             as: micro-diffusion train --input list.txt --lr 0.001"
        ),
        FileError::Dtype(dtype) => {
            let found = dtype_name(*dtype);
            anyhow!(
                "the program opened the model file for other weights than those in it, {found}: {REPORT_IT}"
            )
        }
        FileError::Scale => anyhow!(
            "the integer model file is not safe to run: its scales could let sums overflow; export it again \
             from its run, here runs/names, with: micro-diffusion export --model runs/names --format int8"
        ),
        FileError::Shape(shape) => {
            let found = shape_name(*shape);
            anyhow!(
                "the program opened the model file as another network than the one in it, {found}: \
                 {REPORT_IT}"
            )
        }
    }
}

/// The number format of weights, in words.
pub(crate) fn dtype_name(dtype: Dtype) -> &'static str {
    dtype.name()
}

/// A shape in one line.
pub(crate) fn shape_name(shape: Shape) -> String {
    let Shape { architecture, positions, symbols, .. } = shape;
    let kind = architecture.name();
    format!("{kind}, {positions} positions, {symbols} symbols, {}", sizes(shape))
}

/// The network of a shape in one line, whatever its room.
pub(crate) fn network_name(shape: Shape) -> String {
    format!("{}, {}", shape.architecture.name(), sizes(shape))
}

/// The dimensions of a tensor in one line: “12 × 26 × 18”.
pub(crate) fn dimensions_name(dimensions: &[usize]) -> String {
    let sizes: Vec<String> = dimensions.iter().map(usize::to_string).collect();
    sizes.join(" × ")
}

/// The sizes of a network that are not its room's.
fn sizes(shape: Shape) -> String {
    let Shape { architecture, width, blocks, heads, .. } = shape;
    let blocks = match architecture {
        Architecture::Mlp | Architecture::Residual => String::new(),
        Architecture::Transformer => format!(", {blocks} blocks, {heads} heads"),
        Architecture::LocalTransformer => format!(", {blocks} blocks, {heads} heads, 3 taps"),
        Architecture::Convolution => format!(", {blocks} layers, {heads} taps"),
    };
    format!("width {width}{blocks}")
}
