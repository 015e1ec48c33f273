//! The formats in which a model can be exported.

use std::path::{Path, PathBuf};

/// The ending of an Arduino library's folder.
const LIBRARY: &str = "_arduino";

/// A format of an exported model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// This program's model file, which firmware reads in place.
    Mdm,
    /// Tensors by name, for PyTorch, NumPy and candle.
    Safetensors,
    /// A C header: a sampler for a model of integers, `const` arrays for floats.
    C,
    /// A folder with an Arduino library around the C sampler.
    Arduino,
    /// A Rust module of `static` arrays.
    Rust,
    /// A model file of 8-bit integers.
    Int8,
    /// A model file of 4-bit integers.
    Int4,
    /// A page that draws in a browser.
    Html,
}

impl FileFormat {
    /// Every format.
    pub(crate) const ALL: [Self; 8] = [
        Self::Mdm,
        Self::Safetensors,
        Self::C,
        Self::Arduino,
        Self::Rust,
        Self::Int8,
        Self::Int4,
        Self::Html,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mdm => "mdm",
            Self::Safetensors => "safetensors",
            Self::C => "c",
            Self::Arduino => "arduino",
            Self::Rust => "rust",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Html => "html",
        }
    }

    /// The file of this format, or the folder, that belongs beside `model`.
    pub(crate) fn beside(self, model: &Path) -> PathBuf {
        let mut beside = model.with_extension(self.extension());
        if self == Self::Arduino {
            let stem = model.file_stem().unwrap_or_default().to_string_lossy();
            beside.set_file_name(format!("{stem}{LIBRARY}"));
        }
        beside
    }

    /// The extension of files of this format.
    fn extension(self) -> &'static str {
        match self {
            Self::Mdm => "mdm",
            Self::Int8 => "int8.mdm",
            Self::Int4 => "int4.mdm",
            Self::Safetensors => "safetensors",
            Self::C => "h",
            Self::Arduino => "",
            Self::Rust => "rs",
            Self::Html => "html",
        }
    }
}
