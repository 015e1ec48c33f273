//! Finding and opening the model that a verb uses.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use micro_diffusion::file::ModelFile;

use crate::checkpoint;
use crate::config::{self, Config};
use crate::corpus::{Corpus, Lines, Room, Split};
use crate::interchange;
use crate::network::{describe, shape_name};
use crate::run;
use crate::settings::Settings;
use crate::terminal::{is_directive, say, shown};

/// The model that comes with the program.
static BUILT_IN: &[u8] = include_bytes!("../../data/names.mdm");

/// A model file in memory.
pub(crate) struct Model {
    /// Where it came from.
    pub(crate) source: String,
    /// Why it was taken, where the user named none.
    chosen: Option<&'static str>,
    /// Of the run that left it.
    settings: Option<Settings>,
    bytes: Cow<'static, [u8]>,
}

impl Model {
    /// Reads the model at `path`, a file (of this program or safetensors) or a run folder; without one, the newest run's, else the built-in one.
    pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let newest = if path.is_none() { run::newest_model() } else { None };
        let Some(path) = path.or(newest.as_deref()) else {
            return Ok(Self {
                source: "the built-in model".to_owned(),
                chosen: Some("there is no run yet"),
                settings: None,
                bytes: Cow::Borrowed(BUILT_IN),
            });
        };
        let file = if path.is_dir() { path.join(run::MODEL) } else { path.to_owned() };
        refuse_unfinished(path, &file)?;
        let bytes = fs::read(&file).with_context(|| format!("cannot read the model {}", file.display()))?;
        let bytes = if file.extension().is_some_and(|name| name == "safetensors") {
            interchange::to_model(&bytes)
                .with_context(|| format!("{} is not a usable model", file.display()))?
        } else {
            bytes
        };
        Ok(Self {
            source: file.display().to_string(),
            chosen: newest.is_some().then_some("newest run"),
            settings: run::settings_of(&file)?,
            bytes: Cow::Owned(bytes),
        })
    }

    /// Says which model it is, where the user named none.
    pub(crate) fn announce(&self) {
        if let Some(why) = self.chosen {
            say(&format!("model       {} ({why})", self.source));
        }
    }

    /// The text whose held-out lines score the model: `input`, else that of its run, else the names; held out as
    /// `development` says, else as its run did.
    pub(crate) fn corpus(&self, input: Option<&Path>, development: Option<bool>) -> anyhow::Result<Corpus> {
        let run = self.settings.as_ref();
        let own = run.and_then(|run| run.input.as_deref()).filter(|_| input.is_none());
        let own_split = development.is_none() && run.is_some_and(|run| run.development);
        let split = if development.unwrap_or(own_split) { Split::Development } else { Split::Record };
        let lines = Lines::read(input.or(own));
        let lines = match own {
            Some(own) => lines.with_context(|| {
                format!("its run was trained on {}; if that has moved, name it with --input", own.display())
            })?,
            None => lines?,
        };
        let corpus = lines.within(Room::any_character(self.file()?.shape().positions), split)?;
        if own.is_some() || own_split {
            let split = if own_split { ", the development split" } else { "" };
            say(&format!("scored on   {}{split}, as its run was", shown(&corpus.source)));
        }
        Ok(corpus)
    }

    /// The model file `bytes`, made from `source`.
    pub(crate) fn of_bytes(source: String, bytes: Vec<u8>) -> Self {
        Self { source, chosen: None, settings: None, bytes: Cow::Owned(bytes) }
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
        let file = ModelFile::parse(&self.bytes).map_err(|error| describe(&error));
        let file = file.with_context(|| self.source.clone())?;
        // A model may come from anywhere, and its characters go to the terminal.
        match file.alphabet().characters().chars().find(|character| is_directive(*character)) {
            Some(directive) => bail!(
                "{}: its alphabet holds {directive:?}, which directs a terminal instead of being shown; train it on text \
                 without",
                self.source
            ),
            None => Ok(file),
        }
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

/// Says how a run without a model comes to one: `folder` has a checkpoint, but no `model` yet.
fn refuse_unfinished(folder: &Path, model: &Path) -> anyhow::Result<()> {
    let path = folder.join(run::CHECKPOINT);
    if model.exists() || !path.exists() {
        return Ok(());
    }
    let checkpoint::Checkpoint { metadata, state } = checkpoint::load(&path)?;
    bail!(
        "the run in {} is unfinished, at step {} of {}, and has no model yet; go on with: micro-diffusion train --out {} --resume",
        folder.display(),
        state.losses.len(),
        metadata.settings.steps,
        folder.display()
    )
}
