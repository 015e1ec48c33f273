//! Messages of `train` on stderr while it works, unless quiet.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::engine::configurations::{self, Config};
use crate::engine::description::{counted, shape_name};
use crate::engine::preview::Preview;
use crate::engine::settings::{LEAST_STEPS, Settings};
use crate::engine::trainer::{Best, State};
use crate::files::characters::code_point;
use crate::files::corpus::Corpus;
use crate::files::model::Model;
use crate::files::novelty::Known;
use crate::files::room::Room;
use crate::files::run::RunSettings;
use crate::show::columns::{clipped, fit_levels, listed, width};
use crate::show::marks::marked;
use crate::show::picture::{HEADING, noise_levels};
use crate::show::terminal;

/// Steps in the mean of the shown loss.
const WINDOW: usize = 100;
/// Fewest lines of progress in a run without a bar.
const REPORTS: usize = 10;
/// Longest time between two of these lines, unless a step takes longer.
const SILENCE: Duration = Duration::from_secs(10);

/// Fewest columns of a terminal for a bar with everything behind it.
const BAR_COLUMNS: usize = 60;
/// The sign between two names.
const DOT: &str = " · ";
/// Columns without a terminal.
const USUAL: usize = 100;

/// Tells the user about a training run.
pub(crate) struct Progress {
    quiet: bool,
    /// Whether the run has teachers, which its loss is against too.
    taught: bool,
    /// The held-out score of the last preview with a score.
    nelbo: Option<f64>,
    /// The names of the last preview with names, marked.
    names: Vec<String>,
    /// Time of the last line of progress.
    said: Instant,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, taught: false, nelbo: None, names: Vec::new(), said: Instant::now() }
    }

    pub(crate) fn line(&mut self, text: &str) {
        if !self.quiet {
            terminal::say(text);
        }
    }

    pub(crate) fn heading(&mut self, text: &str) {
        self.line(&format!("\n{}{text}{}", HEADING.render(), HEADING.render_reset()));
    }

    /// Prints the `teachers` of a run by `settings`, if it has any.
    pub(crate) fn teachers(&mut self, teachers: &[Model], settings: &RunSettings) {
        let Some(weight) = settings.teacher_weight else { return };
        self.taught = true;
        for Model { source, config, .. } in teachers {
            self.line(&format!("teacher     {source}: {}", config.title()));
        }
        self.line(&format!("            weight {weight}; the rest is the letter that was masked"));
    }

    /// Prints the data, network and settings of a run. The program chose the network if `chosen`; `choosing` lines are
    /// kept for choosing.
    pub(crate) fn found(
        &mut self,
        corpus: &Corpus,
        config: &Config,
        chosen: bool,
        settings: &Settings,
        choosing: usize,
    ) {
        let dropped = &corpus.dropped;
        let (training, held_out) = (corpus.training.len(), corpus.held_out.len());
        self.line(&format!(
            "data        {}: {} to train on, {held_out} held out",
            corpus.source,
            counted(training, "line")
        ));
        let Room { positions, characters } = dropped.room;
        let reasons = [
            (dropped.blank, "blank line", String::new()),
            (dropped.repeated, "repeated line", String::new()),
            (dropped.too_long, "line", format!(" of more than {}", counted(positions, "character"))),
            (
                dropped.too_rare,
                "line",
                format!(" with characters that are not among the {characters} most frequent"),
            ),
        ];
        for (count, line, which) in reasons.into_iter().filter(|(count, ..)| *count > 0) {
            self.line(&format!("            {}{which} dropped", counted(count, line)));
        }
        let invisible = &dropped.invisible;
        if !invisible.is_empty() {
            let points: Vec<String> = invisible.keys().map(|character| code_point(*character)).collect();
            let count: usize = invisible.values().sum();
            self.line(&format!(
                "            {} dropped that cannot be seen: {}",
                counted(count, "character"),
                points.join(" ")
            ));
        }
        if let Some(table) = &corpus.table {
            self.line(&format!("            {}", terminal::shown(table)));
        }
        let characters = corpus.alphabet.chars().count();
        self.line(&format!("longest     {}", counted(corpus.longest, "character")));
        self.line(&format!("alphabet    {}: {}", counted(characters, "character"), listed(&corpus.alphabet)));
        let network = config.network;
        let shape = shape_name(network.shape());
        self.line(&format!("network     {}: {shape}, {} parameters", config.title(), network.parameters()));
        if chosen && config.name != configurations::DEFAULT {
            let reason = if corpus.fits { "the smallest room" } else { "there is no more room" };
            self.line(&format!("            {reason} for this text; --config names another network"));
        }
        let dropout = settings.dropout;
        let dropout = if dropout > 0.0 { format!("dropout {dropout:.2}, ") } else { String::new() };
        self.line(&format!(
            "training    {} of {}, {dropout}seed {}, {}",
            counted(settings.steps as usize, "step"),
            settings.batch,
            settings.seed,
            counted(rayon::current_num_threads(), "thread")
        ));
        if settings.steps < LEAST_STEPS {
            self.line(&format!(
                "            a trial, with fewer than {LEAST_STEPS} steps: other verbs take its model only by --model"
            ));
        }
        if choosing > 0 {
            self.line(&format!(
                "            {choosing} of the lines to train on {} kept to choose the best state of the run",
                if choosing == 1 { "is" } else { "are" }
            ));
        }
    }

    /// Shows the forward process on one line of the data.
    pub(crate) fn forward(&mut self, corpus: &Corpus, seed: u64) {
        let first_long = corpus.training.iter().find(|line| line.chars().count() >= 7);
        let Some(text) = first_long.or(corpus.training.first()) else { return };
        self.heading("Noise hides letters; the network learns to bring them back");
        for level in fit_levels(&noise_levels(text, seed), text, terminal::width_of_words()) {
            self.line(&level);
        }
        self.line("");
    }

    /// Starts the bar of a run with `done` of `steps` steps done.
    pub(crate) fn bar(&mut self, done: usize, steps: usize) -> ProgressBar {
        let target =
            if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        // A line that wraps would not be painted over, so it is cut.
        let narrow = terminal::width_of_words().is_some_and(|columns| columns < BAR_COLUMNS);
        let speed = if narrow { "" } else { " {speed} {eta} left" };
        let template = format!("{{wide_bar:.green/dim}} {{pos}}/{{len}}{speed}\n{{prefix}}\n{{wide_msg}}");
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Errors of the terminal are reported elsewhere.
            let _ = write!(out, "{:.0} steps/s", state.per_sec());
        };
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("speed", speed).progress_chars("━╸━"));
        bar.set_position(done as u64);
        bar.reset_eta();
        bar
    }

    /// Shows a preview, if there is one, with the marks of `known`.
    pub(crate) fn preview(&mut self, bar: &ProgressBar, preview: Option<Preview>, known: &Known) {
        let Some(preview) = preview else { return };
        self.nelbo = preview.nelbo.or(self.nelbo);
        if !preview.names.is_empty() {
            self.names = preview.names.iter().map(|name| marked(name, Some(known))).collect();
            let room = terminal::width_of_words().unwrap_or(USUAL);
            bar.set_message(self.names_within(room));
        }
    }

    /// As many names as `columns` have room for, or part of the first.
    fn names_within(&self, columns: usize) -> String {
        let names = (1..=self.names.len()).rev().map(|count| self.names[..count].join(DOT));
        let fits = names.into_iter().find(|names| width(names) <= columns);
        fits.unwrap_or_else(|| clipped(self.names.first().map_or("", String::as_str), columns))
    }

    /// Moves the bar on a terminal; elsewhere prints some plain lines in a run.
    pub(crate) fn step(&mut self, bar: &ProgressBar, losses: &[f32], steps: usize) {
        bar.inc(1);
        let done = losses.len();
        if bar.is_hidden() {
            let due = done.is_multiple_of(steps.div_ceil(REPORTS)) || self.said.elapsed() > SILENCE;
            if !self.quiet && due {
                self.said = Instant::now();
                let names = self.names.join(DOT);
                let names = if names.is_empty() { names } else { format!("  {names}") };
                self.line(&format!("step {done:>6} of {steps}  {}{names}", self.score(losses)));
            }
        } else if done.is_multiple_of(WINDOW / 4) {
            let room = terminal::width_of_words().unwrap_or(USUAL);
            bar.set_prefix(clipped(&self.score(losses), room));
        }
    }

    /// The recent loss, and the held-out score if known.
    fn score(&self, losses: &[f32]) -> String {
        let held_out = self.nelbo.map_or(String::new(), |nelbo| format!(", held-out {nelbo:.2}"));
        format!("{} {:.2}{held_out} nats a name", self.loss(), recent(losses))
    }

    /// The name of the loss, which is no NELBO where teachers have a share in it.
    fn loss(&self) -> &'static str {
        if self.taught { "loss (with teachers)" } else { "loss" }
    }

    /// Names the state that becomes the model, chosen by `choosing` lines.
    pub(crate) fn kept(&mut self, best: &Best, steps: u32, choosing: usize) {
        let Best { step, nats, .. } = best;
        let state = match step {
            0 => "the state before the first step".to_owned(),
            _ => format!("the state after {step} of {}", counted(steps as usize, "step")),
        };
        self.line(&format!(
            "kept        {state}, the best by the {} kept for choosing: {nats:.2} nats a name",
            counted(choosing, "line")
        ));
    }

    /// Reports the end of a run, with `now` steps in `time`.
    pub(crate) fn trained(&mut self, state: &State, now: usize, time: Duration) {
        let steps = state.losses.len();
        let all = if now < steps { format!(", {steps} in all") } else { String::new() };
        self.line(&format!(
            "trained     {} in {:.1} s{all}; {} {:.3} nats a name over the last {}",
            counted(now, "step"),
            time.as_secs_f64(),
            self.loss(),
            recent(&state.losses),
            WINDOW.min(steps)
        ));
    }
}

/// The mean of the recent losses.
fn recent(losses: &[f32]) -> f32 {
    let window = &losses[losses.len().saturating_sub(WINDOW)..];
    window.iter().sum::<f32>() / window.len().max(1) as f32
}
