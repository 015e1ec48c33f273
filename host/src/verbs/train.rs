//! `train`: trains on a text file, writes a run folder, and shows everything on the way.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anstyle::Style;
use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use micro_diffusion::dtype::Dtype;

use crate::cli::{Outcome, TrainOptions};
use crate::engine::choice::Chooser;
use crate::engine::configurations::Config;
use crate::engine::counting;
use crate::engine::description::counted;
use crate::engine::draw::{Drawn, Request};
use crate::engine::preview::{Observer, Preview, Seen, Wanted};
use crate::engine::retrieval::{Retrieval, Texts, WEIGHTS};
use crate::engine::score::{Score, spread};
use crate::engine::settings::{LEAST_STEPS, Settings};
use crate::engine::teaching::{self, Teacher, Teaching};
use crate::engine::trainer::{Plan, State, Training};
use crate::files::checkpoint::{self, Checkpoint, DIVERGED};
use crate::files::corpus::{Corpus, DEFAULT_INPUT, Lines, Split};
use crate::files::memory::refuse_too_large;
use crate::files::model::{Model, ModelBytes, hash};
use crate::files::novelty::{Known, Novelty};
use crate::files::origin::{Origin, STDIN};
use crate::files::preparation::Preparation;
use crate::files::quoting::quoted;
use crate::files::room::Room;
use crate::files::run::{self as folder, RunFolder, RunSettings};
use crate::files::run_list::LeftRun;
use crate::files::teachers;
use crate::show::columns::{fit_cells, with_error};
use crate::show::marks::{LEGEND, Tally, marked};
use crate::show::messages::{report_chip, report_integers};
use crate::show::picture::Painter;
use crate::show::progress::Progress;
use crate::show::report::{self, Report, Scores};
use crate::show::story::{hero, middling_length};
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Names shown at the end.
const NAMES: u32 = 20;
/// Names shown while training, as many as a line holds.
const LIVE_NAMES: u32 = 8;

/// Training lines from which on retrieval is tried. Models of shorter lists copy enough without.
const RETRIEVAL_LINES: usize = 5000;
/// Training lines that decide on retrieval, and random orders of each.
const RETRIEVAL_SCORED: usize = 400;
const RETRIEVAL_ORDERS: u32 = 4;
/// Most random orders of each line that score a model with retrieval, which takes its time.
const RETRIEVED_ORDERS: u32 = 8;
/// Most of counting's −ln p on these lines that a model may have to be ahead of counting on other lines too. The network has
/// seen these lines, and is the better on them for it.
const RETRIEVAL_AHEAD: f64 = 0.95;
/// The weight of retrieval that is asked for on a list that is too short to choose one.
const RETRIEVAL_WEIGHT: u32 = 16;

/// Set by Ctrl-C and read after each step.
static STOP: AtomicBool = AtomicBool::new(false);
/// Whether the run is training or saving, and reads [`STOP`] afterwards.
static TRAINING: AtomicBool = AtomicBool::new(false);
/// The message for an interrupt after the model is saved.
static SAVED: OnceLock<String> = OnceLock::new();

pub(crate) fn run(options: &TrainOptions) -> anyhow::Result<Outcome> {
    let (out, resumed) = open_run(options)?;
    let mut say = Progress::new(options.quiet);
    let mut material = Material::gather(options, &out, resumed.as_ref(), &mut say)?;
    let Material { config, corpus, list, settings, start, teachers } = &mut material;
    let (config, corpus, list, start) = (&*config, &*corpus, &*list, &*start);
    let training = &settings.training;
    refuse_too_large(config.network, training.batch, !teachers.is_empty())?;
    refuse_unroundable(config, training)?;
    let models = teachers::open(teachers, corpus, settings.from.as_deref())?;
    let teachers: Vec<&dyn Teacher> = models.iter().map(|model| &*model.network as &dyn Teacher).collect();
    let folder = RunFolder::open(&out)?;
    if resumed.is_none()
        && let Some(aside) = folder.keep_earlier()?
    {
        say.line(&format!("kept the earlier run as {}", aside.display()));
        settings.from = settings.from.take().map(|from| folder.moved(from, &aside));
    }
    let (settings, training) = (&*settings, &settings.training);
    let (shown, choosing) = training.keep.split(&corpus.training);
    let chosen = resumed.is_none() && options.config.is_none() && start.is_none();
    say.found(corpus, config, chosen, training, choosing.len());
    say_sources(start.as_ref(), &models, settings, &mut say);
    if !options.no_pictures && !options.quiet {
        say.forward(corpus, training.seed);
        say.line(&format!("marks       {LEGEND}"));
    }
    let start = start.as_ref().map(|start| &*start.weights);
    let teaching = settings.teacher_weight.map(|share| Teaching { teachers: &teachers, share });
    let plan = Plan { texts: &shown, language: corpus.language()?, settings: training, start, teaching };
    let mut trainer = config.network.trainer(plan)?;
    if let Some(checkpoint) = resumed {
        trainer.restore(checkpoint.state);
        say.line(&format!("going on from step {}", trainer.state().losses.len()));
    }
    let known = Known::new(shown.iter().map(String::as_str), list.lines());
    let run = Run { folder: &folder, config, corpus, list, known, settings, options };
    let mut observer = run.observer(trainer.state())?;
    let format = config.network.format(training.dtype())?;
    let done = trainer.state().losses.len() as u32;
    let mut chooser = Chooser::new(format, corpus.language()?, &choosing, training, done);
    run.start(trainer.state())?;
    if !train(trainer.as_mut(), &run, &mut chooser, &mut observer, &mut say)? {
        return Ok(Outcome::Interrupted);
    }
    if let Some(best) = &trainer.state().best {
        say.kept(best, training.steps, choosing.len());
    }
    run.finish(trainer.state(), &observer, &mut say)?;
    let saved = SAVED.get_or_init(|| {
        format!(
            "stopped; the model is saved; for its scores, names and pictures, go on with: micro-diffusion train --out {} --resume",
            quoted(folder.path())
        )
    });
    TRAINING.store(false, Ordering::SeqCst);
    if STOP.load(Ordering::SeqCst) {
        terminal::say(saved);
        return Ok(Outcome::Interrupted);
    }
    say.line(&format!("wrote {}", folder.file(folder::MODEL).display()));
    run.say_loss(trainer.state())?;
    if !options.quiet {
        report_chip(config, corpus.language()?);
    }
    finale(&run, &observer.seen, trainer.state(), &mut say)?;
    Ok(Outcome::Done)
}

/// Prints what a run learns from besides the lines: the model that it starts from, its teachers, and retrieval if asked for.
fn say_sources(start: Option<&Start>, teachers: &[Model], settings: &RunSettings, say: &mut Progress) {
    if let Some(Start { source, config, .. }) = start {
        say.line(&format!("start from  {source}: {}", config.title()));
    }
    say.teachers(teachers, settings);
    if settings.retrieval == Retrieval::On {
        say.line("retrieval   on: letters will be looked up in the training lines too");
    }
}

/// The material of a run.
struct Material {
    config: Config,
    corpus: Corpus,
    /// The prepared lines, for the run folder.
    list: String,
    settings: RunSettings,
    /// The trained model that the run starts from; `None` for random weights.
    start: Option<Start>,
    /// The models that it learns from besides the lines.
    teachers: Vec<ModelBytes>,
}

impl Material {
    /// Gathers the material of the run in `out`, which goes on from `resumed` if given.
    fn gather(
        options: &TrainOptions,
        out: &Path,
        resumed: Option<&Checkpoint>,
        say: &mut Progress,
    ) -> anyhow::Result<Self> {
        let stored = resumed.map(|checkpoint| checkpoint.metadata.settings.clone());
        let preparation =
            options.list.over(&stored.as_ref().map(|run| run.preparation.clone()).unwrap_or_default());
        let waiting = Waiting::new("reading the list", 0, options.quiet);
        let (lines, input) = match resumed {
            Some(checkpoint) => resumed_list(options, checkpoint, out, say)?,
            None => (Lines::read_as(options.input.as_deref(), &preparation)?, named_input(options)),
        };
        let list = lines.to_text();
        let development = options.development || stored.as_ref().is_some_and(|settings| settings.development);
        let list_read = (&lines, Split::of(development), input.as_deref());
        let start = options.from.as_deref().map(|from| Start::load(from, list_read)).transpose()?;
        let config = match (resumed, &start) {
            (Some(checkpoint), _) => checkpoint.config,
            (None, Some(start)) => start.config,
            (None, None) => lines.choose(options.config.as_deref())?,
        };
        let known = stored.as_ref().map_or(&[][..], |stored| &stored.teachers);
        let (teacher_files, mut teachers): (Vec<_>, Vec<_>) =
            teachers::read(&options.teacher, known)?.into_iter().unzip();
        if resumed.is_none() {
            teachers::refuse_inside(&options.teacher, out)?;
        }
        let teacher_weight = teacher_weight(options, stored.as_ref(), !teachers.is_empty())?;
        let warnings = match &stored {
            Some(stored) if !stored.warnings.is_empty() => stored.warnings.clone(),
            // A run of an earlier version left none.
            _ => {
                let of_start = start.as_ref().and_then(|start| start.warning.clone());
                teachers::warnings(&mut teachers, list_read)?.into_iter().chain(of_start).collect()
            }
        };
        for warning in &warnings {
            say.line(&terminal::note(warning));
        }
        let mut corpus = lines.corpus(&config, Split::of(development))?;
        let stored =
            stored.map(|stored| RunSettings { training: stored.training.extended(options.steps), ..stored });
        let settings = RunSettings {
            input,
            preparation,
            teachers: teacher_files,
            teacher_weight,
            warnings,
            ..settings_of(options, stored.as_ref(), &config, &corpus)
        };
        // The weights know the alphabet of the model that they came from, which may have more characters than the lines.
        if let Some(start) = &start {
            start.refuse_others(options.config.as_deref(), &corpus)?;
            corpus.alphabet.clone_from(&start.alphabet);
        } else if let Some(checkpoint) = resumed.filter(|_| settings.from.is_some()) {
            corpus.alphabet.clone_from(&checkpoint.metadata.alphabet);
        }
        drop(waiting);
        settings.refuse_other_than_utf_8()?;
        if let Some(stored) = &stored {
            refuse_differences(&settings, stored, out)?;
        }
        Ok(Self { config, corpus, list, settings, start, teachers })
    }
}

/// The settings of a run of `config` on `corpus`, without the list's source. Options come first, then the stored settings
/// of a run that goes on, then defaults.
fn settings_of(
    options: &TrainOptions,
    stored: Option<&RunSettings>,
    config: &Config,
    corpus: &Corpus,
) -> RunSettings {
    RunSettings {
        training: options.over(match stored {
            Some(settings) => settings.training.clone(),
            None => config.settings(corpus.size(config.network.shape().positions)),
        }),
        development: options.development || stored.is_some_and(|settings| settings.development),
        data_sha256: corpus.digest(),
        input: None,
        preparation: Preparation::default(),
        from: options.from.clone().or(stored.and_then(|settings| settings.from.clone())),
        teachers: Vec::new(),
        teacher_weight: None,
        warnings: Vec::new(),
        retrieval: options.retrieval.or(stored.map(|settings| settings.retrieval)).unwrap_or_default(),
    }
}

/// The share of the teachers of a run, if there are `any`: that of the options, else what is stored, else the default.
fn teacher_weight(
    options: &TrainOptions,
    stored: Option<&RunSettings>,
    any: bool,
) -> anyhow::Result<Option<f64>> {
    if !any && options.teacher_weight.is_some() {
        match stored {
            Some(_) => bail!("--teacher-weight needs teachers, and the run began without one; leave it out"),
            None => bail!(
                "--teacher-weight needs teachers, and the command names none; name them with --teacher, or \
                 leave it out"
            ),
        }
    }
    let stored = stored.and_then(|stored| stored.teacher_weight);
    Ok(options.teacher_weight.or(stored).or(any.then_some(teaching::SHARE)))
}

/// Refuses to train for integers with dropout, or a network that has no integers.
fn refuse_unroundable(config: &Config, training: &Settings) -> anyhow::Result<()> {
    if training.quantize.is_some() {
        config.network.format(training.dtype())?;
        // The slope of the integers' activation is 0 at its upper end too, which a value scaled by dropout would hide.
        ensure!(
            training.dropout == 0.0,
            "--quantize trains without dropout, and --dropout is {}; leave out one of them",
            training.dropout
        );
    }
    Ok(())
}

/// A trained model that a run starts from.
struct Start {
    source: String,
    config: Config,
    alphabet: String,
    weights: Vec<f32>,
    /// A warning if it was trained on held-out lines of the run, as far as known.
    warning: Option<String>,
}

impl Start {
    /// Loads the model at `path` for a run on a split of lines read from `input`.
    fn load(path: &Path, (lines, split, input): (&Lines, Split, Option<&Path>)) -> anyhow::Result<Self> {
        let mut bytes = ModelBytes::load(Some(path))?;
        let model = bytes.open()?;
        let alphabet = model.alphabet().characters().to_owned();
        Ok(Self {
            source: model.source.to_owned(),
            config: model.config,
            alphabet,
            weights: model.weights()?.to_vec(),
            warning: model.warning(lines, split, input, teachers::RUN_SCORE),
        })
    }

    /// Refuses another network than the weights', called `asked`, and lines with characters that the weights do not know.
    fn refuse_others(&self, asked: Option<&str>, corpus: &Corpus) -> anyhow::Result<()> {
        let own = self.config.name;
        if let Some(asked) = asked.filter(|asked| *asked != own) {
            bail!(
                "{} is a {own}, and --config asks for a {asked}; leave out --config, or start without --from",
                self.source
            );
        }
        let unknown: String = corpus.alphabet.chars().filter(|c| !self.alphabet.contains(*c)).collect();
        ensure!(
            unknown.is_empty(),
            "{} does not know “{unknown}” in {}; it knows “{}”: drop the lines with other characters, or start without \
             --from",
            self.source,
            corpus.source,
            self.alphabet
        );
        Ok(())
    }
}

/// The list of the options, as the settings keep it.
fn named_input(options: &TrainOptions) -> Option<PathBuf> {
    let path = options.input.as_deref()?;
    // A later process cannot read a pipe again: it would wait, or get other lines.
    Some(if Origin::of(path).is_stream() { STDIN.into() } else { path.to_owned() })
}

/// The list of the run in `out`, which goes on from `checkpoint`, with its path: that of the options, or else the former
/// one.
fn resumed_list(
    options: &TrainOptions,
    checkpoint: &Checkpoint,
    out: &Path,
    say: &mut Progress,
) -> anyhow::Result<(Lines, Option<PathBuf>)> {
    let settings = &checkpoint.metadata.settings;
    let kept = OnceCell::new();
    let run = LeftRun { folder: out, settings, room: Room::of(&checkpoint.config), kept: &kept };
    let copy = run.copy();
    match &options.input {
        // The copy is prepared already.
        Some(input) if run.is_copy(input) => Ok((Lines::read(Some(input))?, settings.input.clone())),
        Some(input) => Ok((
            Lines::read_as(Some(input), &options.list.over(&settings.preparation))?,
            named_input(options),
        )),
        None => {
            let found = run.list("start a new run with another --out")?;
            if found.changed {
                bail!(
                    "cannot go on with the run in {}: {list} has changed, and with it the training lines or \
                     the alphabet; give the old lines with --input {}, or start a new run with another \
                     --out",
                    out.display(),
                    quoted(&copy),
                    list = settings.input.as_deref().unwrap_or(Path::new(DEFAULT_INPUT)).display()
                );
            }
            if let Some(note) = found.note {
                say.line(&terminal::note(&note));
            }
            Ok((found.lines, settings.input.clone()))
        }
    }
}

/// The run folder's path, and its checkpoint if the run is to go on.
fn open_run(options: &TrainOptions) -> anyhow::Result<(PathBuf, Option<Checkpoint>)> {
    let origin = Origin::of(options.input.as_deref().unwrap_or(Path::new(DEFAULT_INPUT)));
    let name = match &origin {
        Origin::File(path) if !origin.is_stream() => path.file_stem().with_context(|| {
            format!("the input {} is a folder; give a text file with --input", path.display())
        })?,
        // The name of a pipe does not tell its content.
        _ => OsStr::new("stdin"),
    };
    let out = options.out.clone().unwrap_or_else(|| Path::new(folder::RUNS).join(name));
    if !options.resume {
        return Ok((out, None));
    }
    let path = out.join(folder::CHECKPOINT);
    if !path.exists() {
        bail!(
            "the run in {} has no {} to go on from; start it without --resume, or name another run with \
             --out",
            out.display(),
            folder::CHECKPOINT
        );
    }
    let checkpoint = checkpoint::load(&path)?;
    Ok((out, Some(checkpoint)))
}

fn refuse_differences(settings: &RunSettings, stored: &RunSettings, out: &Path) -> anyhow::Result<()> {
    let differences = settings.differences(stored);
    if differences.is_empty() {
        return Ok(());
    }
    bail!(
        "cannot go on with the run in {}: {}; give the same settings and data, or start a new run with another --out",
        out.display(),
        differences.join("; ")
    )
}

/// Trains to the end (true), or until Ctrl-C (false), saving on the way.
fn train(
    trainer: &mut dyn Training,
    run: &Run,
    chooser: &mut Chooser,
    observer: &mut Observer,
    say: &mut Progress,
) -> anyhow::Result<bool> {
    // A handler can be set once in a process, and a process trains once.
    ctrlc::set_handler(|| {
        let again = STOP.swap(true, Ordering::SeqCst);
        if again || !TRAINING.load(Ordering::SeqCst) {
            if let Some(saved) = SAVED.get() {
                terminal::say(saved);
            }
            std::process::exit(130);
        }
    })?;
    TRAINING.store(true, Ordering::SeqCst);
    let steps = run.settings.training.steps as usize;
    let bar = say.bar(trainer.state().losses.len(), steps);
    let start = Instant::now();
    let begun = trainer.state().losses.len();
    let mut done = begun;
    chooser.after(trainer.state_mut())?;
    say.preview(&bar, preview(observer, trainer.state(), &bar, run.options.quiet)?, &run.known);
    while done < steps && !STOP.load(Ordering::SeqCst) {
        let loss = trainer.step();
        done += 1;
        if !loss.is_finite() {
            let calmer = run.settings.training.calmer();
            bail!("training diverged: the loss of step {done} is {loss}; {DIVERGED} {calmer}");
        }
        chooser.after(trainer.state_mut())?;
        if done.is_multiple_of(run.options.save_every as usize) && done < steps {
            run.checkpoint(trainer.state(), observer)?;
        }
        say.preview(&bar, preview(observer, trainer.state(), &bar, run.options.quiet)?, &run.known);
        say.step(&bar, &trainer.state().losses, steps);
    }
    bar.finish_and_clear();
    if done < steps {
        run.checkpoint(trainer.state(), observer)?;
        terminal::say(&format!(
            "stopped after step {done} of {steps} and saved; go on with: micro-diffusion train --out {} --resume",
            quoted(run.folder.path())
        ));
        return Ok(false);
    }
    say.trained(trainer.state(), done - begun, start.elapsed());
    Ok(true)
}

/// Previews `state`, if a preview is due. With long lines it takes a while, in which the bar makes way for another.
fn preview(
    observer: &mut Observer,
    state: &State,
    bar: &ProgressBar,
    quiet: bool,
) -> anyhow::Result<Option<Preview>> {
    let Some(lines) = observer.due(state) else { return Ok(None) };
    bar.suspend(|| {
        let waiting = Waiting::new("scoring", lines, quiet);
        observer.after(state, &|count| waiting.note(count))
    })
}

/// The parts of a run in progress.
struct Run<'a> {
    folder: &'a RunFolder,
    config: &'a Config,
    corpus: &'a Corpus,
    /// The lines of the run, as a list.
    list: &'a str,
    /// The lines as known texts: trained on, or not.
    known: Known<'a>,
    settings: &'a RunSettings,
    options: &'a TrainOptions,
}

impl Run<'_> {
    /// Observes the run from `state` on, as far as its options show anything.
    fn observer(&self, state: &State) -> anyhow::Result<Observer<'_>> {
        let TrainOptions { no_eval, no_pictures, .. } = *self.options;
        let wanted = Wanted {
            language: self.corpus.language()?,
            texts: if no_eval { Vec::new() } else { self.scored() },
            request: Request::new(self.settings.training.seed),
            names: if no_pictures { 0 } else { LIVE_NAMES },
        };
        let done = state.losses.len() as u32;
        let earlier = if done > 0 {
            Seen {
                curve: folder::read_curve(&self.folder.file(folder::HELD_OUT), done)?,
                names: folder::read_previews(&self.folder.file(folder::PREVIEWS), done)?,
            }
        } else {
            Seen::default()
        };
        Ok(Observer::new(self.config.network, wanted, &self.settings.training, done, earlier))
    }

    /// Positions that the network computes for a line in the mean.
    fn width(&self) -> f64 {
        self.corpus.size(self.config.network.shape().positions).width
    }

    /// The held-out lines that score the model, during and after training.
    fn scored(&self) -> Vec<String> {
        spread(&self.corpus.held_out, self.config.fewer_of_long(self.config.ending.0, self.width()))
    }

    /// Writes settings, list, and a checkpoint in case the run ends early.
    fn start(&self, state: &State) -> anyhow::Result<()> {
        // The settings tell a run from another folder, so they come first.
        let json = serde_json::to_string_pretty(self.settings)? + "\n";
        self.folder.save(folder::SETTINGS, json.as_bytes())?;
        self.folder.save(folder::LIST, self.list.as_bytes())?;
        self.save_state(state)
    }

    /// The model that the run has saved.
    fn model_bytes(&self) -> anyhow::Result<ModelBytes> {
        ModelBytes::load(Some(&self.folder.file(folder::MODEL)))
    }

    /// The weight with which `model`, a model file, is to look training lines up, as the settings say or as some training lines
    /// are predicted; `None` if it is not to.
    fn retrieval(&self, model: &[u8], say: &mut Progress) -> anyhow::Result<Option<u32>> {
        let (settings, training) = (self.settings, &self.corpus.training);
        let on = settings.retrieval == Retrieval::On;
        if settings.retrieval == Retrieval::Off {
            return Ok(None);
        }
        if settings.training.steps < LEAST_STEPS || training.len() < RETRIEVAL_LINES {
            return Ok(on.then_some(RETRIEVAL_WEIGHT));
        }
        let lines = spread(training, self.config.fewer_of_long(RETRIEVAL_SCORED, self.width()));
        let scored: BTreeSet<&String> = lines.iter().collect();
        let others: Vec<String> = training.iter().filter(|line| !scored.contains(line)).cloned().collect();
        let nats = |what: &'static str, model: &Model| {
            let waiting = Waiting::new(what, lines.len(), self.options.quiet);
            let orders = (RETRIEVAL_ORDERS, settings.training.seed);
            let scores = model.network.score(&lines, orders, &|count| waiting.note(count))?;
            anyhow::Ok(Score::of(&scores).nll.nats)
        };
        let alphabet = self.corpus.language()?.alphabet;
        let mut bytes = ModelBytes::of_bytes(folder::MODEL.to_owned(), model.to_vec());
        let alone = nats("scoring training lines", &bytes.open()?)?;
        let waiting = Waiting::new("counting letters", 0, self.options.quiet);
        let (counting, _) = counting::score(&others, alphabet.symbols() + 1, &lines);
        drop(waiting);
        let enough = RETRIEVAL_AHEAD * counting;
        if alone <= enough && !on {
            return Ok(None);
        }
        let texts = Texts::of(&others, alphabet);
        let (mut best, mut chosen) = (if on { f64::INFINITY } else { alone }, None);
        for weight in WEIGHTS {
            let mut model = bytes.open()?;
            model.network = model.network.retrieving(&texts, weight);
            let retrieving = nats("trying retrieval", &model)?;
            if retrieving < best {
                (best, chosen) = (retrieving, Some(weight));
            }
            if best <= enough {
                break;
            }
        }
        if let Some(weight) = chosen {
            say.line(&format!(
                "retrieval   on, with the weight {weight}: −ln p of {} is {counting:.3} nats by counting, {alone:.3} by the network \
                 alone, and {best:.3} with letters looked up in the other lines; exports and chips have the network alone",
                counted(lines.len(), "training line")
            ));
        }
        Ok(chosen)
    }

    fn checkpoint(&self, state: &State, observer: &Observer) -> anyhow::Result<()> {
        let Seen { curve, names } = &observer.seen;
        if !curve.is_empty() {
            self.folder.save(folder::HELD_OUT, folder::curve_table(curve).as_bytes())?;
        }
        if !names.is_empty() {
            self.folder.save(folder::PREVIEWS, folder::previews_table(names).as_bytes())?;
        }
        self.save_state(state)
    }

    fn save_state(&self, state: &State) -> anyhow::Result<()> {
        let tensors = self.config.network.tensors();
        let bytes = checkpoint::to_bytes(state, tensors, &self.corpus.alphabet, self.settings)?;
        self.folder.save(folder::CHECKPOINT, &bytes)
    }

    /// Writes the last checkpoint, the losses and the model.
    fn finish(&self, state: &State, observer: &Observer, say: &mut Progress) -> anyhow::Result<()> {
        self.checkpoint(state, observer)?;
        let model = self.model(state)?;
        // Decided before the files that make the run a finished one.
        let weight = self.retrieval(&model, say)?;
        self.folder.save_retrieval(weight.map(|weight| (hash(&model), weight)))?;
        let mut csv = "step,loss_nats_per_name,learning_rate\n".to_owned();
        for (step, loss) in (0..).zip(&state.losses) {
            writeln!(csv, "{},{loss},{}", step + 1, self.settings.training.rate(step))?;
        }
        self.folder.save(folder::LOSS, csv.as_bytes())?;
        self.folder.save(folder::MODEL, &model)
    }

    /// The model file of `state`: integers if the run trained for them.
    fn model(&self, state: &State) -> anyhow::Result<Vec<u8>> {
        match state.scales {
            Some(_) => self.model_in(self.settings.training.dtype(), state),
            None => self.model_in(Dtype::F32, state),
        }
    }

    /// The model file of `state` with weights of `dtype`.
    fn model_in(&self, dtype: Dtype, state: &State) -> anyhow::Result<Vec<u8>> {
        let format = self.config.network.format(dtype)?;
        let bytes =
            format.write(state.model(), self.corpus.language()?, &state.scales.unwrap_or_default())?;
        bytes.with_context(|| {
            format!(
                "the weights of the run in {} have grown too large: sums of its integers would overflow 32 \
                 bits; start a new run with {calmer}, or without --quantize",
                self.folder.path().display(),
                calmer = self.settings.training.calmer()
            )
        })
    }

    /// Prints the loss by rounding, for a run that trained for integers.
    fn say_loss(&self, state: &State) -> anyhow::Result<()> {
        let TrainOptions { no_eval, quiet, .. } = *self.options;
        if self.settings.training.quantize.is_none() || no_eval || quiet || self.corpus.held_out.is_empty() {
            return Ok(());
        }
        let of_bytes = |bytes| ModelBytes::of_bytes(folder::MODEL.to_owned(), bytes);
        let mut floats = of_bytes(self.model_in(Dtype::F32, state)?);
        let mut integers = of_bytes(self.model(state)?);
        report_integers(&floats.open()?, &integers.open()?, &self.corpus.held_out)
    }
}

/// Shows the held-out score, the unmasking and the names, and writes the pictures.
fn finale(run: &Run, seen: &Seen, state: &State, say: &mut Progress) -> anyhow::Result<()> {
    let TrainOptions { no_eval, no_pictures, .. } = *run.options;
    if no_eval && no_pictures {
        return Ok(());
    }
    let mut bytes = run.model_bytes()?;
    let model = bytes.open_as_run()?;
    let scores = if no_eval { None } else { held_out_scores(run, &model, say)? };
    let seed = run.settings.training.seed;
    let request = Request { trace: !no_pictures, ..Request::new(seed) };
    let drawn = model.network.draw(&request, 0..NAMES)?;
    let hero = hero(drawn.iter(), &run.known, middling_length(&run.corpus.training));
    if let (false, Some((hero, novelty))) = (no_pictures, hero) {
        let what = match novelty {
            Novelty::New => "a new name".to_owned(),
            novelty => format!("a name, a {},", novelty.name()),
        };
        say.heading(&format!(
            "How {what} emerged: its length is drawn first, then one more letter in each step"
        ));
        let (painter, columns) = (Painter::new(model.alphabet()), terminal::width_of_words());
        for state in painter.trace(&hero.frames) {
            let lines = fit_cells(&format!("  {state}"), 2, painter.cell, columns);
            lines.iter().for_each(|line| say.line(line));
        }
    }
    // If the reader of stdout leaves, the run folder still gets all its files.
    let printed = if no_eval { Ok(()) } else { print(&drawn, &run.known, run.options.quiet, say) };
    if !no_pictures {
        let waiting = Waiting::new("writing the report", 0, run.options.quiet);
        let report = Report {
            config: run.config,
            corpus: run.corpus,
            settings: run.settings,
            losses: &state.losses,
            kept: state.best.as_ref().map_or(state.losses.len(), |best| best.step as usize),
            seen,
            scores: scores.as_ref(),
            model: &model,
            drawn: &drawn,
            known: &run.known,
            samplers: if no_eval { Vec::new() } else { report::compare(&model, run.corpus, seed)? },
        };
        report.save(run.folder)?;
        drop(waiting);
        say.line(&format!("\nwrote {}", run.folder.file(folder::REPORT).display()));
    }
    printed
}

/// Prints names and tells which are lines of the list: by marks on a terminal, elsewhere by naming them. A `quiet` run
/// prints no marks, since nobody would explain them.
fn print(drawn: &[Drawn], known: &Known, quiet: bool, say: &mut Progress) -> anyhow::Result<()> {
    let marks = !quiet && terminal::width_of_results().is_some();
    let names = drawn.iter().map(|drawn| &*drawn.text);
    let tally = Tally::of(names.clone().map(|name| known.novelty(name)));
    say.heading(&format!("Names: {}", tally.in_words(marks)));
    let mut out = terminal::results();
    for name in names.clone() {
        let listed = !quiet && known.novelty(name) != Novelty::New;
        let style = if listed { terminal::LISTED } else { Style::new() };
        let name = marked(name, Some(known).filter(|_| marks));
        writeln!(out, "{}{name}{}", style.render(), style.render_reset())?;
    }
    out.flush()?;
    if marks {
        return Ok(());
    }
    for (label, novelty) in [("training    ", Novelty::Training), ("held out    ", Novelty::HeldOut)] {
        let mut listed = BTreeSet::new();
        let once = names.clone().filter(|name| known.novelty(name) == novelty && listed.insert(*name));
        let once: Vec<&str> = once.collect();
        if !once.is_empty() {
            say.line(&format!("{label}{}", once.join(", ")));
        }
    }
    Ok(())
}

/// Scores held-out lines by the network's number of lines and orders, and by counting, if there are such lines.
fn held_out_scores(run: &Run, model: &Model, say: &mut Progress) -> anyhow::Result<Option<Scores>> {
    let held_out = &run.corpus.held_out;
    if held_out.is_empty() {
        say.line(
            "no held-out lines to score: every tenth line is held out, and there are fewer than ten, or those were dropped",
        );
        return Ok(None);
    }
    let (_, orders) = run.config.ending;
    // A lookup in a long list takes longer than the networks of many orders.
    let orders = if model.retrieval.is_some() { orders.min(RETRIEVED_ORDERS) } else { orders };
    let lines = run.scored();
    let count = lines.len();
    let seed = run.settings.training.seed;
    let waiting = Waiting::new("scoring", count, run.options.quiet);
    let score = Score::of(&model.network.score(&lines, (orders, seed), &|count| waiting.note(count))?);
    drop(waiting);
    let all = counted(held_out.len(), "held-out line");
    let of = if count < held_out.len() { format!("{count} of {all}") } else { all };
    say.line(&format!(
        "score       NELBO {}, −ln p {} nats a name ({of}, {orders} random orders of each)",
        with_error(score.nelbo.nats, score.nelbo.stderr, 3),
        with_error(score.nll.nats, score.nll.stderr, 3)
    ));
    // The end of a line is a symbol too.
    let symbols = model.alphabet().symbols() + 1;
    let waiting = Waiting::new("counting letters", 0, run.options.quiet);
    let (counting_nats, counting_order) = counting::score(&run.corpus.training, symbols, &lines);
    drop(waiting);
    let against = if score.nll.nats < counting_nats { "behind" } else { "ahead of" };
    say.line(&format!(
        "counting    −ln p {counting_nats:.3}, by n-grams of {}: {:.3} {against} the model",
        counted(counting_order, "character"),
        (counting_nats - score.nll.nats).abs()
    ));
    Ok(Some(Scores { model: score, orders, counting_nats, counting_order, lines }))
}
