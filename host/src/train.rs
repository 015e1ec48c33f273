//! `train`: from a text file to a run folder, with everything shown on the way.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use micro_diffusion::adam::learning_rate;
use micro_diffusion::file;
use micro_diffusion::text::Alphabet;

use crate::Outcome;
use crate::checkpoint::{self, Checkpoint};
use crate::cli::{DrawOptions, TrainOptions};
use crate::config::{self, Config};
use crate::corpus::{Corpus, DEFAULT_INPUT};
use crate::eval;
use crate::model::Model;
use crate::network::{Request, shape_name};
use crate::noise;
use crate::picture::{self, HEADING};
use crate::run::{self as folder, RunFolder};
use crate::sample::request;
use crate::settings::Settings;
use crate::trainer::{Plan, State, Training};

/// Names shown at the end.
const NAMES: u32 = 20;
/// Steps that the shown loss is averaged over.
const WINDOW: usize = 100;

/// Set by Ctrl-C; the training loop looks at it after each step.
static STOP: AtomicBool = AtomicBool::new(false);
/// Whether there is a loop to look at it.
static TRAINING: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(options: &TrainOptions) -> anyhow::Result<Outcome> {
    let (out, resumed) = open_run(options)?;
    let base = match &resumed {
        Some(checkpoint) => checkpoint.metadata.settings.clone(),
        None => Settings::of(
            config::by_name(options.config.as_deref().unwrap_or(config::DEFAULT)).context("config")?,
        ),
    };
    let mut settings = base.with(options);
    let config = config::by_name(&settings.config).context("config")?;
    let corpus = Corpus::load(settings.input.as_deref(), config.network.shape().positions, settings.split())?;
    let alphabet = corpus.alphabet(config)?;
    settings.data_sha256 = corpus.digest();
    if let Some(checkpoint) = &resumed {
        refuse_differences(&settings, &checkpoint.metadata.settings, &out)?;
    }
    let folder = RunFolder::open(&out)?;
    let mut say = Narrator { quiet: options.quiet };
    if resumed.is_none()
        && let Some(aside) = folder.keep_earlier()?
    {
        say.line(&format!("kept the earlier run as {}", aside.display()));
    }
    say.found(&corpus, config, &settings);
    if !options.no_pictures && !options.quiet {
        say.forward(&corpus, settings.seed);
    }
    let mut trainer =
        config.network.trainer(Plan { texts: &corpus.training, alphabet, settings: &settings })?;
    if let Some(checkpoint) = resumed {
        trainer.restore(checkpoint.state);
        say.line(&format!("going on from step {}", trainer.state().losses.len()));
    }
    let saver = Saver { folder: &folder, config, corpus: &corpus, settings: &settings };
    saver.start(trainer.state())?;
    if !train(trainer.as_mut(), &saver, options, &mut say)? {
        return Ok(Outcome::Interrupted);
    }
    saver.finish(trainer.state())?;
    say.line(&format!("wrote {}", folder.file(folder::MODEL).display()));
    if !options.no_eval {
        finale(&folder, &corpus, &settings, options, &mut say)?;
    }
    Ok(Outcome::Done)
}

/// The run folder's path, and its checkpoint if the run is to go on.
fn open_run(options: &TrainOptions) -> anyhow::Result<(PathBuf, Option<Checkpoint>)> {
    let input = options.input.as_deref().unwrap_or(Path::new(DEFAULT_INPUT));
    let name = input.file_stem().context("the input has no name; give a run folder with --out")?;
    let out = options.out.clone().unwrap_or_else(|| Path::new(folder::RUNS).join(name));
    if !options.resume {
        return Ok((out, None));
    }
    let path = out.join(folder::CHECKPOINT);
    if !path.exists() {
        bail!("{} has no checkpoint to go on from; start it without --resume", out.display());
    }
    let checkpoint = checkpoint::load(&path)?;
    Ok((out, Some(checkpoint)))
}

fn refuse_differences(settings: &Settings, stored: &Settings, out: &Path) -> anyhow::Result<()> {
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
    saver: &Saver,
    options: &TrainOptions,
    say: &mut Narrator,
) -> anyhow::Result<bool> {
    // A handler can be set once in a process, and a process trains once.
    ctrlc::set_handler(|| {
        let again = STOP.swap(true, Ordering::SeqCst);
        if again || !TRAINING.load(Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    TRAINING.store(true, Ordering::SeqCst);
    let steps = saver.settings.steps as usize;
    let progress = say.progress(trainer.state().losses.len(), steps);
    let start = Instant::now();
    let mut done = trainer.state().losses.len();
    while done < steps && !STOP.load(Ordering::SeqCst) {
        let loss = trainer.step();
        done += 1;
        if !loss.is_finite() {
            bail!("the loss of step {done} is {loss}: training diverged; lower the learning rate with --lr");
        }
        if done.is_multiple_of(options.save_every as usize) && done < steps {
            saver.checkpoint(trainer.state())?;
        }
        say.step(&progress, &trainer.state().losses, steps);
    }
    TRAINING.store(false, Ordering::SeqCst);
    progress.finish_and_clear();
    if done < steps {
        saver.checkpoint(trainer.state())?;
        anstream::eprintln!(
            "stopped after step {done} of {steps} and saved; go on with: micro-diffusion train --out {} --resume",
            saver.folder.file("").display()
        );
        return Ok(false);
    }
    say.trained(trainer.state(), start.elapsed());
    Ok(true)
}

/// Writes what a run leaves.
struct Saver<'a> {
    folder: &'a RunFolder,
    config: &'a Config,
    corpus: &'a Corpus,
    settings: &'a Settings,
}

impl Saver<'_> {
    /// The settings, and a checkpoint to go on from should the run end early.
    fn start(&self, state: &State) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self.settings)? + "\n";
        self.folder.save(folder::SETTINGS, json.as_bytes())?;
        self.checkpoint(state)
    }

    fn checkpoint(&self, state: &State) -> anyhow::Result<()> {
        let tensors = self.config.network.tensors();
        let bytes = checkpoint::to_bytes(state, tensors, &self.corpus.alphabet, self.settings)?;
        self.folder.save(folder::CHECKPOINT, &bytes)
    }

    /// The last checkpoint, the losses and the model.
    fn finish(&self, state: &State) -> anyhow::Result<()> {
        self.checkpoint(state)?;
        let Settings { steps, learning_rate: peak, warm_up, final_rate, .. } = *self.settings;
        let mut csv = "step,loss_nats_per_name,learning_rate\n".to_owned();
        for (step, loss) in (0..).zip(&state.losses) {
            let rate = learning_rate(step, steps, peak, warm_up, final_rate);
            writeln!(csv, "{},{loss},{rate}", step + 1)?;
        }
        self.folder.save(folder::LOSS, csv.as_bytes())?;
        let network = self.config.network;
        let alphabet = Alphabet::new(&self.corpus.alphabet).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let mut bytes = Vec::new();
        file::write(&network.shape(), network.tensors(), alphabet, state.model(), |piece| {
            bytes.write_all(piece)
        })?;
        self.folder.save(folder::MODEL, &bytes)
    }
}

/// The held-out score, the unmasking and the names.
fn finale(
    folder: &RunFolder,
    corpus: &Corpus,
    settings: &Settings,
    options: &TrainOptions,
    say: &mut Narrator,
) -> anyhow::Result<()> {
    let model = Model::load(Some(&folder.file(folder::MODEL)))?;
    if corpus.held_out.is_empty() {
        say.line("no held-out lines to score: the file has fewer than ten");
    } else {
        let score = eval::score(&model, &corpus.held_out, eval::DRAWS, settings.seed)?;
        say.line(&format!(
            "held-out NELBO {:.3} ± {:.3} nats a name ({} names, {} mask draws for each number of masks)",
            score.nelbo,
            score.stderr,
            corpus.held_out.len(),
            eval::DRAWS
        ));
    }
    let (file, network) = (model.file()?, model.config()?.network);
    let request = request(&DrawOptions::default(), settings.seed);
    let pictured = Request { trace: !options.no_pictures, ..request };
    let names = network.generate(&file, &pictured, 0..NAMES)?;
    if let (false, Some(first)) = (options.no_pictures, names.first()) {
        say.heading(
            "How the first name emerged: every position starts masked, and one more is drawn in each step",
        );
        for line in picture::trace(file.alphabet(), &first.frames) {
            say.line(&format!("  {line}"));
        }
    }
    say.heading("New names");
    let mut out = std::io::stdout().lock();
    for drawn in &names {
        writeln!(out, "{}", drawn.text)?;
    }
    Ok(())
}

/// Tells the user what is going on, on stderr, unless asked not to.
struct Narrator {
    quiet: bool,
}

impl Narrator {
    fn line(&mut self, text: &str) {
        if !self.quiet {
            anstream::eprintln!("{text}");
        }
    }

    fn heading(&mut self, text: &str) {
        self.line(&format!("\n{}{text}{}", HEADING.render(), HEADING.render_reset()));
    }

    /// What training starts from.
    fn found(&mut self, corpus: &Corpus, config: &Config, settings: &Settings) {
        let dropped = &corpus.dropped;
        let positions = config.network.shape().positions;
        let (training, held_out) = (corpus.training.len(), corpus.held_out.len());
        self.line(&format!(
            "data        {}: {training} lines to train on, {held_out} held out",
            corpus.source
        ));
        for (count, why) in [(dropped.blank, "blank"), (dropped.repeated, "repeated")] {
            if count > 0 {
                self.line(&format!("            {count} {why} lines dropped"));
            }
        }
        if dropped.too_long > 0 {
            self.line(&format!(
                "            {} lines of more than {positions} characters dropped; \
                 a configuration with more positions would take them",
                dropped.too_long
            ));
        }
        let characters = corpus.alphabet.chars().count();
        self.line(&format!("longest     {} characters", corpus.longest));
        self.line(&format!("alphabet    {characters} characters: {}", corpus.alphabet));
        let network = config.network;
        let shape = shape_name(network.shape());
        self.line(&format!("network     {}: {shape}, {} parameters", config.name, network.parameters()));
        self.line(&format!(
            "training    {} steps of {}, seed {}, {} threads",
            settings.steps,
            settings.batch,
            settings.seed,
            rayon::current_num_threads()
        ));
    }

    /// The forward process on one line of the data.
    fn forward(&mut self, corpus: &Corpus, seed: u64) {
        let first_long = corpus.training.iter().find(|line| line.chars().count() >= 7);
        let Some(text) = first_long.or(corpus.training.first()) else { return };
        self.heading("Noise hides letters; the network learns to bring them back");
        for level in noise::levels(text, seed) {
            self.line(&level);
        }
        self.line("");
    }

    fn progress(&mut self, done: usize, steps: usize) -> ProgressBar {
        let target =
            if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {speed}  {eta} left");
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // A terminal that cannot be written to is not this line's to report.
            let _ = write!(out, "{:.0} steps/s", state.per_sec());
        };
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("speed", speed));
        bar.set_position(done as u64);
        bar.reset_eta();
        bar
    }

    /// The bar on a terminal; elsewhere ten plain lines in a run.
    fn step(&mut self, bar: &ProgressBar, losses: &[f32], steps: usize) {
        bar.inc(1);
        if bar.is_hidden() {
            if losses.len().is_multiple_of(steps.div_ceil(10)) {
                self.line(&format!(
                    "step {:>6} of {steps}  loss {:.3} nats a name",
                    losses.len(),
                    recent(losses)
                ));
            }
        } else if losses.len().is_multiple_of(WINDOW / 4) {
            bar.set_message(format!("loss {:.3} nats a name", recent(losses)));
        }
    }

    fn trained(&mut self, state: &State, time: Duration) {
        let steps = state.losses.len();
        self.line(&format!(
            "trained {steps} steps in {:.1} s; loss {:.3} nats a name over the last {}",
            time.as_secs_f64(),
            recent(&state.losses),
            WINDOW.min(steps)
        ));
    }
}

/// The mean of the last losses.
fn recent(losses: &[f32]) -> f32 {
    let window = &losses[losses.len().saturating_sub(WINDOW)..];
    window.iter().sum::<f32>() / window.len().max(1) as f32
}
