//! Finds and opens the model of a verb.
//!
//! A verb reads, parses, checks and decodes its model once: [`ModelBytes::load`] reads, [`ModelBytes::open`] does the
//! rest. An open model cannot fail.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{self, FileError, ModelFile};
use micro_diffusion::text::Alphabet;
use sha2::{Digest, Sha256};

use crate::engine::configurations::{self, Config};
use crate::engine::description::{NEWER, THIS, counted, dtype_name, file_error, network_name, shape_name};
use crate::engine::language::Language;
use crate::engine::network::OpenModel;
use crate::engine::retrieval::Texts;
use crate::engine::settings::{Keep, LEAST_STEPS};
use crate::files::characters::{code_point, is_directive};
use crate::files::checkpoint;
use crate::files::corpus::{Corpus, Lines, Split, hexadecimal};
use crate::files::format::FileFormat;
use crate::files::novelty::{Known, Novelty};
use crate::files::preparation::Preparation;
use crate::files::quoting::quoted;
use crate::files::room::Room;
use crate::files::run::{self, Newest, RunSettings};
use crate::files::run_list::{LeftRun, seen};
use crate::files::safetensors;

/// A model that comes with the program.
struct BuiltIn {
    /// The name for `--model`.
    name: &'static str,
    /// The name in messages.
    source: &'static str,
    bytes: &'static [u8],
}

/// The models that come with the program. The first is the default without a run.
static BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: BUILT_IN_FLOATS,
        source: "the built-in model",
        bytes: include_bytes!("../../../data/transformer.mdm"),
    },
    BuiltIn {
        name: BUILT_IN_INT4,
        source: "the built-in perceptron in 4-bit integers",
        bytes: include_bytes!("../../../data/names-int4.mdm"),
    },
];

/// The name of the built-in model of floats for `--model`.
const BUILT_IN_FLOATS: &str = "built-in";
/// The name of the built-in model of integers for `--model`.
pub(crate) const BUILT_IN_INT4: &str = "built-in-int4";

/// The bytes of a model file, with their source.
pub(crate) struct ModelBytes {
    /// Source, for messages.
    pub(crate) source: String,
    /// The reason for the choice, where the user named no model.
    pub(crate) chosen: Option<String>,
    /// A note on a newer run that was not taken.
    pub(crate) passed: Option<String>,
    /// Settings of the run that left the model.
    settings: Option<RunSettings>,
    /// Path of the model file, if any.
    path: Option<PathBuf>,
    bytes: Cow<'static, [u8]>,
    /// The weights as floats, once decoded.
    weights: Vec<f32>,
    /// The weight of retrieval, if its run decided that this model looks training lines up.
    pub(crate) retrieval: Option<u32>,
    /// The training texts, once read for a model that looks them up.
    texts: Option<Texts>,
    /// The run's copy of its list, once read.
    kept: OnceCell<Option<Lines>>,
}

impl ModelBytes {
    /// Reads the model at `path`: a file of this program, a safetensors file, a run folder, or a built-in model's name.
    /// Without a path, takes the [newest] run that is finished and no trial, or else the first built-in model.
    ///
    /// [newest]: run::newest
    pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let Newest { model: newest, passed, unreadable } =
            if path.is_none() { run::newest() } else { Newest::default() };
        let Some(path) = path.or(newest.as_deref()) else {
            let why = match (unreadable, &passed) {
                (Some(error), _) => format!("{}/ cannot be read: {error}", run::RUNS),
                (None, None) => format!("there is no model in {}/", run::RUNS),
                (None, Some(_)) => {
                    format!("{}/ has no finished run of {LEAST_STEPS} steps or more", run::RUNS)
                }
            };
            return Ok(Self { chosen: Some(why), passed, ..Self::built_in(&BUILT_IN[0]) });
        };
        if let Some(model) = BUILT_IN.iter().find(|model| path == Path::new(model.name) && !path.exists()) {
            return Ok(Self::built_in(model));
        }
        let file = if path.is_dir() { path.join(run::MODEL) } else { path.to_owned() };
        refuse_unfinished(path, &file)?;
        let bytes = fs::read(&file).map_err(|error| {
            anyhow!(
                "cannot read the model {}: {error}; give a .mdm or .safetensors file, a run folder, {BUILT_IN_FLOATS} or \
                 {BUILT_IN_INT4}",
                file.display()
            )
        })?;
        // By the file as it lies there: an export converts to the bytes of the model that it was made from.
        let retrieval = match run::stored_settings(&file) {
            Some(_) => run::retrieval(&file, || hash(&bytes))?,
            None => None,
        };
        let bytes = if FileFormat::of_ending(&file) == Some(FileFormat::Safetensors) {
            safetensors::to_model(&file, &bytes)
                .map_err(|error| anyhow!("{} cannot be used as a model: {error:#}", file.display()))?
        } else {
            bytes
        };
        let settings = run::settings_of(&file).map_err(|error| match ModelFile::parse(&bytes) {
            // Settings that this program cannot read do not matter for a model that must be trained anew.
            Err(old @ FileError::Version(_)) => {
                unread(&old, run::stored_settings(&file).as_ref(), file.parent())
                    .context(file.display().to_string())
            }
            _ => error,
        })?;
        Ok(Self {
            retrieval: retrieval.filter(|_| settings.is_some()),
            chosen: newest.is_some().then(|| about_newest(settings.as_ref())),
            passed,
            settings,
            path: Some(file.clone()),
            ..Self::of_bytes(file.display().to_string(), bytes)
        })
    }

    fn built_in(model: &BuiltIn) -> Self {
        Self {
            source: model.source.to_owned(),
            chosen: None,
            passed: None,
            settings: None,
            path: None,
            bytes: Cow::Borrowed(model.bytes),
            weights: Vec::new(),
            retrieval: None,
            texts: None,
            kept: OnceCell::new(),
        }
    }

    /// Takes the model file `bytes`, made from `source`.
    pub(crate) fn of_bytes(source: String, bytes: Vec<u8>) -> Self {
        Self {
            source,
            chosen: None,
            passed: None,
            settings: None,
            path: None,
            bytes: Cow::Owned(bytes),
            weights: Vec::new(),
            retrieval: None,
            texts: None,
            kept: OnceCell::new(),
        }
    }

    /// The SHA-256 of the model file.
    pub(crate) fn sha256(&self) -> String {
        hash(&self.bytes)
    }

    /// Parses, checks and decodes the model: the network alone, without retrieval.
    pub(crate) fn open(&mut self) -> anyhow::Result<Model<'_>> {
        self.open_with(|_| Ok(None))
    }

    /// [`open`](Self::open), with retrieval from the training lines if the model's run decided for it.
    ///
    /// # Errors
    /// The run's list and its copy of it are both gone or altered.
    pub(crate) fn open_as_run(&mut self) -> anyhow::Result<Model<'_>> {
        let retrieval = self.retrieval;
        self.open_with(|model| {
            let Some((run, weight)) = model.left_run().zip(retrieval) else { return Ok(None) };
            Ok(Some((run.training()?, weight)))
        })
    }

    /// [`open`](Self::open), with retrieval from the lines that `lines` gives for the model, with their weight, if any.
    fn open_with(
        &mut self,
        lines: impl FnOnce(&Model) -> anyhow::Result<Option<(Vec<String>, u32)>>,
    ) -> anyhow::Result<Model<'_>> {
        let Self { source, settings, path, bytes, weights, texts, kept, .. } = self;
        let (source, bytes, kept) = (&**source, &*bytes, &*kept);
        let (settings, path) = (settings.as_ref(), path.as_deref());
        let folder = path.and_then(Path::parent);
        let file = ModelFile::parse(bytes).map_err(|error| unread(&error, settings, folder));
        let file = file.with_context(|| source.to_owned())?;
        // A model may come from anyone, and its characters go to the terminal.
        if let Some(directive) = file.alphabet().characters().chars().find(|c| is_directive(*c)) {
            bail!(
                "{source}: the alphabet of the model holds the control character {}, which could make your terminal carry out commands; \
                 train the model on text without it",
                code_point(directive)
            );
        }
        let config = config_of(source, &file)?;
        // Messages of these name no file.
        let named = || source.to_owned();
        let format = config.network.format(file.dtype()).with_context(named)?;
        *weights = format.decode(&file).with_context(named)?;
        let network = format.open(&file, weights).with_context(named)?;
        let mut model =
            Model { source, file, config, network, retrieval: None, bytes, weights, settings, path, kept };
        if let Some((lines, weight)) = lines(&model)? {
            model.retrieval = Some(weight);
            let texts = texts.insert(Texts::of(&lines, model.alphabet()));
            model.network = model.network.retrieving(texts, weight);
        }
        Ok(model)
    }
}

/// An open model.
pub(crate) struct Model<'a> {
    /// Source, for messages.
    pub(crate) source: &'a str,
    /// The header and the tensors.
    pub(crate) file: ModelFile<'a>,
    /// Network and room.
    pub(crate) config: Config,
    /// Draws and scores.
    pub(crate) network: Box<dyn OpenModel + 'a>,
    /// The weight of retrieval, if it looks training lines up.
    pub(crate) retrieval: Option<u32>,
    bytes: &'a Cow<'static, [u8]>,
    weights: &'a [f32],
    /// Settings of the run that left the model.
    settings: Option<&'a RunSettings>,
    /// Path of the model file, if any.
    pub(crate) path: Option<&'a Path>,
    /// The run's copy of its list, once read.
    kept: &'a OnceCell<Option<Lines>>,
}

/// The list that tells which of a model's texts are new.
pub(crate) struct List<'a> {
    lines: Lines,
    /// The list that the model was trained on, if known and another.
    own: Option<Cow<'a, Lines>>,
    room: Room,
    split: Split,
    keep: Keep,
    /// Notes on the list.
    pub(crate) notes: Vec<String>,
}

impl List<'_> {
    /// The list's lines and the training lines as known texts: trained on, or not.
    pub(crate) fn known(&self) -> Known<'_> {
        let trained = self.own.as_deref().unwrap_or(&self.lines);
        trained.known(&self.lines, self.room, self.split, self.keep)
    }

    /// Source, for messages.
    pub(crate) fn source(&self) -> &str {
        &self.lines.source
    }
}

/// The list that scores a model, and how it is read.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The list, if another than that of the model's run.
    pub(crate) input: Option<&'a Path>,
    pub(crate) preparation: &'a Preparation,
    /// The split, if another than that of the model's run.
    pub(crate) development: Option<bool>,
}

/// A list whose held-out lines score a model.
pub(crate) struct Scored {
    pub(crate) corpus: Corpus,
    /// Notes on the score.
    pub(crate) notes: Vec<String>,
    /// Whether the list is that of the model's run.
    pub(crate) own_text: bool,
    /// Whether the development split is held out because the model's run did.
    pub(crate) own_split: bool,
}

impl<'a> Model<'a> {
    /// Characters and table of lengths.
    pub(crate) fn language(&self) -> Language<'a> {
        Language::of(&self.file)
    }

    /// The characters of its alphabet.
    pub(crate) fn alphabet(&self) -> Alphabet<'a> {
        self.file.alphabet()
    }

    /// The bytes of the model file.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The default path of exports, without extension.
    pub(crate) fn name(&self) -> &'a str {
        if self.comes_along() { "names" } else { self.source }
    }

    /// Whether the model was read from the program itself.
    pub(crate) fn comes_along(&self) -> bool {
        matches!(self.bytes, Cow::Borrowed(_))
    }

    /// The argument of `--model` for this model.
    pub(crate) fn argument(&self) -> &'a str {
        BUILT_IN.iter().find(|model| model.source == self.source).map_or(self.source, |model| model.name)
    }

    /// Whether the model comes with the program, from whatever path it was read.
    fn is_built_in(&self) -> bool {
        BUILT_IN.iter().any(|model| model.bytes == &**self.bytes)
    }

    /// The list that the model was trained on, or the `wanted` one, split; `None` where unknown. Training lines of the
    /// wanted list are those that the model was trained on, where that is known.
    pub(crate) fn training_list(&self, wanted: Wanted) -> anyhow::Result<Option<Scored>> {
        if wanted.input.is_none() && self.left_run().is_none() && !self.is_built_in() {
            return Ok(None);
        }
        let mut scored = self.corpus(wanted)?;
        // Another list has line numbers of its own, which do not tell the lines that the model was trained on.
        if let (Some(_), Some(own)) = (wanted.input, self.own()) {
            let known = own.known(&own, Room::of(&self.config), self.own_split(), Keep::Last);
            let Corpus { training, held_out, .. } = &mut scored.corpus;
            training.append(held_out);
            training.retain(|line| known.novelty(line) == Novelty::Training);
        }
        Ok(Some(scored))
    }

    /// The list that a calibration counts: the model's own where that is known, or else the `wanted` one. The split is that of the
    /// model's run, if known.
    pub(crate) fn own_or<'w>(&self, wanted: Wanted<'w>) -> Wanted<'w> {
        let known = self.own().is_some();
        Wanted {
            input: wanted.input.filter(|_| !known),
            development: wanted.development.filter(|_| !known && self.settings.is_none()),
            ..wanted
        }
    }

    /// The trained floats.
    ///
    /// # Errors
    /// A model of integers has no floats.
    pub(crate) fn weights(&self) -> anyhow::Result<&'a [f32]> {
        match self.file.dtype() {
            Dtype::F32 => Ok(self.weights),
            dtype => bail!(
                "{}: the weights are integers ({}), and this command needs floats; give the model of floats that it was \
                 made from, or train one without --quantize",
                self.source,
                dtype_name(dtype)
            ),
        }
    }

    /// The list that the model was trained on, or `input`, read by `preparation`.
    ///
    /// # Errors
    /// The list is unknown, or has no line that the model could draw.
    pub(crate) fn list(&self, input: Option<&Path>, preparation: &Preparation) -> anyhow::Result<List<'a>> {
        let (mut own, mut notes) = (None, Vec::new());
        let lines = match (self.left_run(), input) {
            (run, Some(input)) => {
                let lines = self.read(input, preparation)?;
                notes.extend(lines.table.clone());
                own = self.own();
                if own.is_none() && run.is_some_and(|run| !run.was_trained_on(&lines)) {
                    notes.push(format!(
                        "{} is another list than the run was trained on, and the run's copy of that list is gone or changed, so the \
                         marks of training lines and held-out lines may be wrong; name the original list with --input",
                        lines.source
                    ));
                }
                lines
            }
            (Some(run), None) => {
                let found = run.list("name the list as it was with --input")?;
                notes.extend(found.note);
                found.lines
            }
            _ if self.is_built_in() => Lines::built_in()?,
            _ => bail!(
                "cannot tell which names are new, since {} does not say which list it was trained on; give \
                 that list with --input, or the run folder with --model",
                self.source
            ),
        };
        let split = self.own_split();
        let keep = self.settings.map_or(Keep::Last, |run| run.training.keep);
        Ok(List { lines, own, room: Room::of(&self.config), split, keep, notes })
    }

    /// Warns if lines of `split` of `lines`, read from `input`, are lines that the model was trained on, as far as known.
    ///
    /// `score` is what then says nothing of new lines.
    pub(crate) fn warning(
        &self,
        lines: &Lines,
        split: Split,
        input: Option<&Path>,
        score: &str,
    ) -> Option<String> {
        if let Some(run) = self.left_run() {
            return run.warning(lines, split, input, score);
        }
        seen((&*self.own()?, Split::Record), (lines, split), Room::of(&self.config), score)
    }

    /// The lines that the model was trained on, if its run kept them or it is built in. A list elsewhere, which the settings of
    /// anyone's run may name, is not read.
    fn own(&self) -> Option<Cow<'a, Lines>> {
        match self.left_run() {
            Some(run) => run.kept().map(Cow::Borrowed),
            None if self.is_built_in() => Lines::built_in().ok().map(Cow::Owned),
            None => None,
        }
    }

    /// The split of the lines that the model was trained on.
    fn own_split(&self) -> Split {
        Split::of(self.settings.is_some_and(|run| run.development))
    }

    /// Reads the list `input` by `preparation`, and as the model's run read its own where that says nothing.
    ///
    /// # Errors
    /// The list cannot be read, or the model can read none of its lines.
    fn read(&self, input: &Path, preparation: &Preparation) -> anyhow::Result<Lines> {
        let mut stored = self.settings.map(|run| run.preparation.clone()).unwrap_or_default();
        if let (None, Some(column)) = (&preparation.column, &stored.column) {
            // The run's column is that of a table, and this may be a plain list.
            let plain = Lines::read_as(Some(input), &Preparation { column: None, ..preparation.clone() })?;
            if plain.table.is_none() && plain.lines.first() != Some(column) {
                stored.column = None;
            }
        }
        let lines = if self.left_run().is_some_and(|run| run.is_copy(input)) {
            Lines::read(Some(input))
        } else {
            Lines::read_as(Some(input), &preparation.over(&stored))
        };
        let lines = match (&preparation.column, &stored.column) {
            (None, Some(_)) => lines.with_context(|| {
                format!("this command reads a list as the model's run did, with{}", stored.options())
            })?,
            _ => lines?,
        };
        let Lines { source, lines: texts, table, .. } = &lines;
        ensure!(!texts.is_empty(), "{source} has no line; put one example on each line");
        if !texts.iter().any(|line| self.reads(line)) {
            let lower = texts.iter().any(|line| self.reads(&line.to_lowercase()));
            let case = lower.then(|| "write them in lower case with --lowercase".to_owned());
            let hint = case.or(table.clone()).map_or(String::new(), |hint| format!("; {hint}"));
            bail!(
                "{source}: the model knows the characters of none of these lines, only “{}”; name the list that it was trained \
                 on with --input{hint}",
                self.alphabet().characters()
            );
        }
        Ok(lines)
    }

    /// The run that left the model.
    fn left_run(&self) -> Option<LeftRun<'a>> {
        let (settings, folder) = self.settings.zip(self.path?.parent())?;
        Some(LeftRun { folder, settings, room: Room::of(&self.config), kept: self.kept })
    }

    /// Whether every character of `line` is a symbol of the model.
    pub(crate) fn reads(&self, line: &str) -> bool {
        line.chars().all(|character| self.alphabet().symbol(character).is_some())
    }

    /// Whether the model's run wrote its list in lower case, as other texts must then be.
    pub(crate) fn is_lowercase(&self) -> bool {
        self.settings.is_some_and(|run| run.preparation.lowercase)
    }

    /// The list whose held-out lines score the model: the `wanted` one, or else that of its run, or else the names.
    pub(crate) fn corpus(&self, wanted: Wanted) -> anyhow::Result<Scored> {
        let Wanted { input, preparation, development } = wanted;
        let run = self.left_run();
        let own_split = development.is_none() && self.settings.is_some_and(|run| run.development);
        let split = Split::of(development.unwrap_or(own_split));
        let mut notes = Vec::new();
        let lines = match (run, input) {
            (Some(run), None) => {
                let found = run.list("to score on the list as it is, name it with --input")?;
                notes.extend(found.note);
                found.lines
            }
            (_, Some(input)) => {
                let lines = self.read(input, preparation)?;
                notes.extend(lines.table.clone());
                lines
            }
            (None, None) if self.is_built_in() => Lines::built_in()?,
            (None, None) => {
                let lines = Lines::read(None)?;
                notes.push(format!(
                    "{} does not say which list it was trained on, so this command takes {}; to take another, name it with \
                     --input",
                    self.source, lines.source
                ));
                lines
            }
        };
        // Without another list or split, these lines are those that the run held out: `list` has checked it.
        if input.is_some() || development.is_some() {
            notes.extend(self.warning(&lines, split, input, "this score"));
        } else {
            notes.extend(self.settings.and_then(RunSettings::warning));
        }
        let mut corpus = lines.within(Room::any_character(self.file.shape().positions), split)?;
        let held_out = corpus.held_out.len();
        for side in [&mut corpus.training, &mut corpus.held_out] {
            side.retain(|line| self.reads(line));
        }
        let unreadable = held_out - corpus.held_out.len();
        if unreadable > 0 && run.is_none() && input.is_none() {
            bail!(
                "{} cannot be scored on {}: {unreadable} of the {} there have characters that the model \
                 does not know; give the list that it was trained on with --input, or its run folder with \
                 --model",
                self.source,
                corpus.source,
                counted(held_out, "held-out line")
            );
        }
        if unreadable > 0 {
            notes.push(format!(
                "{} with characters that the model does not know have no part in the score; if another list was meant, name \
                 it with --input",
                counted(unreadable, "held-out line")
            ));
        }
        let own_text = input.is_none() && self.settings.is_some_and(|run| run.input.is_some());
        Ok(Scored { corpus, notes, own_text, own_split })
    }
}

/// The SHA-256 of `bytes` in hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Describes the newest run's model to a user who named none.
fn about_newest(settings: Option<&RunSettings>) -> String {
    let run = settings.map_or(String::new(), |run| {
        let input =
            run.input.as_deref().map_or_else(|| "the names".to_owned(), |input| input.display().to_string());
        format!(": {} steps on {input}", run.training.steps)
    });
    format!("newest finished run{run}; --model {} is the one that comes with this program", BUILT_IN[0].name)
}

/// The error for a file that cannot be read. For a model file that is too old, it has the command that trains the run of
/// `settings` in `folder` anew.
fn unread(error: &FileError, settings: Option<&RunSettings>, folder: Option<&Path>) -> anyhow::Error {
    match (error, settings) {
        (FileError::Version(version), Some(settings)) if *version < file::VERSION => {
            anyhow!(
                "the model file has the older version {version}, and {THIS} reads version {} only; train \
                 the model anew with: {}",
                file::VERSION,
                checkpoint::train_command(settings, folder)
            )
        }
        _ => file_error(error),
    }
}

/// Finds the network and the room that `file` was made for.
fn config_of(source: &str, file: &ModelFile) -> anyhow::Result<Config> {
    configurations::by_shape(file.shape()).with_context(|| {
        let known = configurations::FAMILIES.iter().map(|family| {
            let rooms = family.configs().map(|config| config.room());
            let shape = family.configs().next().map(|config| network_name(config.network.shape()));
            format!(
                "{} ({}; {})",
                family.name,
                shape.unwrap_or_default(),
                rooms.collect::<Vec<_>>().join(", ")
            )
        });
        let networks = known.collect::<Vec<_>>().join("; ");
        format!(
            "{source}: {THIS} has no network of the model's shape, {}; {NEWER}, or train one of these \
             networks with --config (their rooms are positions × symbols): {networks}",
            shape_name(file.shape())
        )
    })
}

/// Refuses the run in `folder`, which has a checkpoint but no `model` yet, and says how to go on.
fn refuse_unfinished(folder: &Path, model: &Path) -> anyhow::Result<()> {
    let path = folder.join(run::CHECKPOINT);
    if model.exists() || !path.exists() {
        return Ok(());
    }
    let checkpoint::Checkpoint { metadata, state, .. } = checkpoint::load(&path)?;
    bail!(
        "the run in {} is unfinished, at step {done} of {}, and has no model yet; go on with: micro-diffusion train --out {} --resume",
        folder.display(),
        metadata.settings.training.steps,
        quoted(folder),
        done = state.losses.len()
    )
}
