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

    /// The format that the ending of `path` names, if any.
    pub(crate) fn of_ending(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let ends = |format: &Self| {
            let extension = format.extension();
            !extension.is_empty() && name.ends_with(&format!(".{extension}"))
        };
        // A file of integers ends as a model file does.
        Self::ALL.into_iter().filter(ends).max_by_key(|format| format.extension().len())
    }

    /// Whether files of this format are taken for files of the format `ending`.
    pub(crate) fn is_read_as(self, ending: Self) -> bool {
        let is_model_file = |format| matches!(format, Self::Mdm | Self::Int8 | Self::Int4);
        self == ending || is_model_file(self) && ending == Self::Mdm
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
