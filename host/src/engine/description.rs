//! Shapes, number formats, counts and file errors in words.

use micro_diffusion::denoiser::{Architecture, Shape};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{FileError, VERSION};

/// A count with its noun: “1 line”, “2 lines”.
pub(crate) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// A file error, for people.
pub(crate) fn file_error(error: &FileError) -> anyhow::Error {
    match error {
        FileError::NotAModel => anyhow::anyhow!(
            "not a model file: it does not begin with “mdm”; give a .mdm or .safetensors file"
        ),
        FileError::Version(version) => {
            let way_out =
                if *version < VERSION { "train the model anew" } else { "use the program that wrote it" };
            anyhow::anyhow!(
                "the file is version {version}, and this program reads version {VERSION}; {way_out}"
            )
        }
        FileError::Length { expected: Some(expected), found } if found < expected => {
            anyhow::anyhow!("the file is cut: {found} of {expected} bytes; copy it again")
        }
        FileError::Length { expected: Some(expected), found } => {
            anyhow::anyhow!("the file has {found} bytes, {} too many; copy it again", found - expected)
        }
        FileError::Length { expected: None, found } => {
            anyhow::anyhow!("the file is cut after {found} bytes, inside its header; copy it again")
        }
        FileError::Checksum => {
            anyhow::anyhow!("the checksum does not match: the file was altered; copy it again")
        }
        FileError::Header(field) => {
            anyhow::anyhow!(
                "the header has an unknown {field}; copy the file again, or use the program that wrote it"
            )
        }
        FileError::NotFinite(index) => {
            anyhow::anyhow!("weight {index} is not a finite number; export the model again")
        }
        FileError::Dtype(dtype) => anyhow::anyhow!(
            "its weights are {}, and this needs them otherwise: {}",
            dtype_name(*dtype),
            "give the model that was trained, or for firmware one made by export --format int8 or int4"
        ),
        FileError::Scale => {
            anyhow::anyhow!(
                "its scales could make the integers overflow; export it again from the trained model"
            )
        }
        FileError::Shape(shape) => anyhow::anyhow!("the file holds another shape: {}", shape_name(*shape)),
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
