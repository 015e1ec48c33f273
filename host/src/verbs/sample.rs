//! `sample`: names from a model.

use std::collections::HashSet;
use std::io::Write;

use anyhow::ensure;
use serde::Serialize;

use crate::cli::{Outcome, SampleOptions};
use crate::engine::draw::{Draw, Drawn, Request, order_name};
use crate::engine::forms::ANYTHING;
use crate::files::model::ModelBytes;
use crate::files::preparation;
use crate::show::messages::announce;
use crate::show::picture::Painter;
use crate::show::terminal;
use crate::show::waiting::Waiting;
use crate::show::watch;

/// Names drawn at once, so that the first appear while the rest are drawn, and memory grows with their number for JSON only.
const CHUNK: u32 = 4096;

/// How a pattern is given.
const PATTERN: &str = "micro-diffusion sample --pattern 'm?r?a'";
/// Names drawn at once at least, where some are left out.
const LEAST: u32 = 64;
/// Names left out in a row after which no more are to be hoped for.
const PATIENCE: u32 = 5000;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    seed: u64,
    temperature: f64,
    sampler: &'a str,
    schedule: &'a str,
    /// `None` is one for each letter.
    steps: Option<u16>,
    names: Vec<String>,
}

pub(crate) fn run(options: &SampleOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    announce(&bytes);
    let model = bytes.open()?;
    let screen = if options.watch { watch::terminal()? } else { None };
    let pattern = match &options.pattern {
        Some(pattern) => preparation::text("the pattern", pattern, model.is_lowercase(), PATTERN)?,
        None => ANYTHING.to_owned(),
    };
    let request = Request {
        pattern,
        length: options.length,
        trace: options.trace || screen.is_some(),
        ..options.draw.request(options.seed)
    };
    let mut listed = HashSet::new();
    if options.novel {
        let note;
        (listed, note) = model.list(options.input.as_deref())?;
        note.iter().for_each(|text| terminal::say(&terminal::note(text)));
    }
    let waiting = Waiting::new("placing the pattern", 0, false);
    let drawer = model.network.drawer(&request)?;
    drop(waiting);
    let mut names = Names {
        drawer: &*drawer,
        next: 0,
        left: options.num,
        listed,
        unique: options.unique,
        seen: HashSet::new(),
        missed: 0,
    };
    if let Some(screen) = &screen {
        while let Some(chunk) = names.chunk()? {
            watch::show(screen, model.alphabet(), &chunk)?;
            if watch::stopped() {
                return Ok(Outcome::Interrupted);
            }
        }
        return names.outcome(options);
    }
    let mut out = terminal::results();
    let (mut texts, painter) = (Vec::new(), Painter::new(model.alphabet()));
    while let Some(chunk) = names.chunk()? {
        for drawn in chunk {
            if options.json {
                texts.push(drawn.text);
            } else if options.trace {
                writeln!(out, "{}", painter.trace(&drawn.frames).join(" → "))?;
            } else {
                writeln!(out, "{}", drawn.text)?;
            }
        }
    }
    if options.json {
        let report = Report {
            model: model.source,
            seed: options.seed,
            temperature: options.draw.temperature,
            sampler: order_name(options.draw.sampler),
            schedule: options.draw.schedule.name(),
            steps: options.draw.steps,
            names: texts,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    out.flush()?;
    names.outcome(options)
}

/// The names that were asked for, in the order of their numbers.
struct Names<'a> {
    drawer: &'a dyn Draw,
    /// The number of the next name to draw.
    next: u32,
    /// How many are still wanted.
    left: u32,
    /// Lines to leave out.
    listed: HashSet<String>,
    /// Whether repeats are left out.
    unique: bool,
    /// Names so far, where repeats are left out.
    seen: HashSet<String>,
    /// How many in a row were left out.
    missed: u32,
}

impl Names<'_> {
    /// Some more names; `None` where there are all, or no more to be hoped for.
    ///
    /// Whether a name is left out follows from the names with lower numbers alone, so it does not matter how many are drawn at
    /// once.
    fn chunk(&mut self) -> anyhow::Result<Option<Vec<Drawn>>> {
        let picky = self.unique || !self.listed.is_empty();
        if self.left == 0 || self.missed >= PATIENCE || self.next == u32::MAX {
            return Ok(None);
        }
        let least = if picky { LEAST } else { 1 };
        let end = self.next.saturating_add(self.left.clamp(least, CHUNK));
        let drawn = self.drawer.draw(self.next..end)?;
        self.next = end;
        let mut kept = Vec::new();
        for drawn in drawn {
            if self.left == 0 || self.missed >= PATIENCE {
                break;
            }
            if self.listed.contains(&drawn.text) || (self.unique && !self.seen.insert(drawn.text.clone())) {
                self.missed += 1;
                continue;
            }
            self.missed = 0;
            self.left -= 1;
            kept.push(drawn);
        }
        Ok(Some(kept))
    }

    /// Done, or an error that says how many names are missing, and why.
    fn outcome(&self, options: &SampleOptions) -> anyhow::Result<Outcome> {
        let why = match (options.novel, options.unique) {
            (true, true) => "lines of the list or repeats",
            (true, false) => "lines of the list",
            _ => "repeats",
        };
        ensure!(
            self.left == 0,
            "found {} of {} names: the next {PATIENCE} were all {why}; ask for fewer, or raise --temperature",
            options.num - self.left,
            options.num
        );
        Ok(Outcome::Done)
    }
}
