//! Finding and opening the model that a verb uses.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::Context;
use micro_diffusion::file::ModelFile;

use crate::config::{self, Config};
use crate::interchange;
use crate::network::{describe, shape_name};
use crate::run;

/// The model that comes with the program.
static BUILT_IN: &[u8] = include_bytes!("../../data/names.mdm");

/// A model file in memory.
pub(crate) struct Model {
    /// Where it came from.
    pub(crate) source: String,
    bytes: Cow<'static, [u8]>,
}

impl Model {
    /// Reads the model at `path`, a file (of this program or safetensors) or a run folder; without one, the newest run's, else the built-in one.
    pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let newest = if path.is_none() { run::newest_model() } else { None };
        let Some(path) = path.or(newest.as_deref()) else {
            return Ok(Self { source: "the built-in model".to_owned(), bytes: Cow::Borrowed(BUILT_IN) });
        };
        let file = if path.is_dir() { path.join(run::MODEL) } else { path.to_owned() };
        let bytes = fs::read(&file).with_context(|| format!("cannot read the model {}", file.display()))?;
        let bytes = if file.extension().is_some_and(|name| name == "safetensors") {
            interchange::to_model(&bytes)
                .with_context(|| format!("{} is not a usable model", file.display()))?
        } else {
            bytes
        };
        Ok(Self { source: file.display().to_string(), bytes: Cow::Owned(bytes) })
    }

    /// The model file `bytes`, made from `source`.
    pub(crate) fn of_bytes(source: String, bytes: Vec<u8>) -> Self {
        Self { source, bytes: Cow::Owned(bytes) }
    }

    /// The bytes of the model file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where other forms of it belong by default, less their extension.
    pub(crate) fn name(&self) -> &str {
        match self.bytes {
            Cow::Borrowed(_) => "names",
            Cow::Owned(_) => &self.source,
        }
    }

    /// The file, checked.
    pub(crate) fn file(&self) -> anyhow::Result<ModelFile<'_>> {
        ModelFile::parse(&self.bytes).map_err(|error| describe(&error)).with_context(|| self.source.clone())
    }

    /// The configuration it was made for.
    pub(crate) fn config(&self) -> anyhow::Result<&'static Config> {
        let shape = self.file()?.shape();
        config::by_shape(shape).with_context(|| {
            let known: Vec<_> = config::CONFIGS
                .iter()
                .map(|config| format!("{} ({})", config.name, shape_name(config.network.shape())))
                .collect();
            format!(
                "{}: a model of {}, which is not compiled in; this program has {}",
                self.source,
                shape_name(shape),
                known.join(", ")
            )
        })
    }
}
