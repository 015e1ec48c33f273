//! `sample`: names from a model.

use std::collections::HashSet;
use std::io::Write;

use anyhow::ensure;
use serde::Serialize;

use crate::cli::{Outcome, SampleOptions};
use crate::engine::draw::{Draw, Drawn, Request, order_name};
use crate::engine::forms::ANYTHING;
use crate::files::model::{List, ModelBytes};
use crate::files::novelty::{Known, Novelty};
use crate::files::preparation;
use crate::show::columns::{fit_cells, flowed, width};
use crate::show::marks::{Tally, marked};
use crate::show::messages::announce;
use crate::show::picture::Painter;
use crate::show::terminal;
use crate::show::waiting::Waiting;
use crate::show::watch::{self, Look};

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
    /// Whether lines of the list were left out, and repeats.
    novel: bool,
    unique: bool,
    names: Vec<String>,
    /// What each name is to the list that the model was trained on; `None` where that is not known.
    novelty: Option<Vec<&'static str>>,
}

/// What stands between two states of a trace, and before those on a line of their own.
const ARROW: &str = " → ";
const ARROW_AHEAD: &str = "  → ";

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
    let list = model.list(options.input.as_deref());
    let list = if options.novel { Ok(list?) } else { list };
    let known = list.as_ref().ok().map(List::known);
    if let Some(note) = list.as_ref().ok().and_then(|list| list.note.as_ref()).filter(|_| options.novel) {
        terminal::say(&terminal::note(note));
    }
    let waiting = Waiting::new("placing the pattern", 0, false);
    let drawer = model.network.drawer(&request)?;
    drop(waiting);
    let mut names = Names {
        drawer: &*drawer,
        next: 0,
        left: options.num,
        listed: known.as_ref().filter(|_| options.novel),
        unique: options.unique,
        seen: HashSet::new(),
        missed: 0,
    };
    let mut tally = Tally::default();
    if let Some(screen) = &screen {
        while let Some(chunk) = names.chunk()? {
            let known = known.as_ref();
            watch::show(screen, &Look { alphabet: model.alphabet(), known, speed: options.speed }, &chunk)?;
            if watch::stopped() {
                return Ok(Outcome::Interrupted);
            }
            if let Some(known) = known {
                chunk.iter().for_each(|drawn| tally.note(known.novelty(&drawn.text)));
            }
        }
        say_novelty(&list, &tally, options, true);
        return names.outcome(options);
    }
    let mut out = terminal::results();
    let (mut texts, painter) = (Vec::new(), Painter::new(model.alphabet()));
    // A pipe gets the names alone.
    let columns = terminal::width_of_results();
    let shown = known.as_ref().filter(|_| columns.is_some());
    while let Some(chunk) = names.chunk()? {
        for drawn in chunk {
            if let Some(known) = &known {
                tally.note(known.novelty(&drawn.text));
            }
            if options.json {
                texts.push(drawn.text);
            } else if options.trace {
                let mark = &marked(&drawn.text, shown)[drawn.text.len()..];
                let mut states = painter.trace(&drawn.frames);
                states.last_mut().map(|state| state.push_str(mark)).unwrap_or_default();
                let lines = match columns {
                    Some(columns) => flow(&states, painter.cell, columns),
                    None => states.join(ARROW),
                };
                writeln!(out, "{lines}")?;
            } else {
                writeln!(out, "{}", marked(&drawn.text, shown))?;
            }
        }
    }
    if options.json {
        let novelty = known.as_ref().map(|known| {
            let of = |text: &String| known.novelty(text).name();
            texts.iter().map(of).collect()
        });
        let report = Report {
            model: model.source,
            seed: options.seed,
            temperature: options.draw.temperature,
            sampler: order_name(options.draw.sampler),
            schedule: options.draw.schedule.name(),
            steps: options.draw.steps,
            novel: options.novel,
            unique: options.unique,
            names: texts,
            novelty,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    out.flush()?;
    say_novelty(&list, &tally, options, shown.is_some() && !options.json);
    names.outcome(options)
}

/// The states of a text on lines of `columns` columns, cut between its letters, `cell` columns each, where one is longer.
fn flow(states: &[String], cell: usize, columns: usize) -> String {
    let room = columns.saturating_sub(width(ARROW_AHEAD)).max(cell);
    let states: Vec<String> = states.iter().flat_map(|state| fit_cells(state, 0, cell, Some(room))).collect();
    flowed(states.iter().map(String::as_str), ARROW, ARROW_AHEAD, columns).join("\n")
}

/// Says how many of the names are new, with their `marks` where those are shown, or why nobody knows.
fn say_novelty(list: &anyhow::Result<List>, tally: &Tally, options: &SampleOptions, marks: bool) {
    match list {
        Ok(list) if options.novel => {
            terminal::say(&format!("names       {}: no line of {}", tally.in_words(marks), list.source()));
        }
        Ok(_) => {
            let all_new = tally.count(Novelty::New) == tally.all();
            let way_out = if all_new { "" } else { "; --novel draws new ones only" };
            terminal::say(&format!("names       {}{way_out}", tally.in_words(marks)));
        }
        Err(error) => terminal::say(&terminal::note(&format!("{error:#}"))),
    }
}

/// The names that were asked for, in the order of their numbers.
struct Names<'a> {
    drawer: &'a dyn Draw,
    /// The number of the next name to draw.
    next: u32,
    /// How many are still wanted.
    left: u32,
    /// The list whose lines are left out.
    listed: Option<&'a Known<'a>>,
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
        let picky = self.unique || self.listed.is_some();
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
            let listed = self.listed.is_some_and(|list| list.novelty(&drawn.text) != Novelty::New);
            if listed || (self.unique && !self.seen.insert(drawn.text.clone())) {
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
