//! `sample`: names from a model.

use std::collections::HashSet;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;

use crate::cli::{Outcome, SampleOptions};
use crate::engine::draw::{Draw, Drawn, Request, order_name};
use crate::engine::forms::ANYTHING;
use crate::files::model::{List, Model, ModelBytes, Wanted};
use crate::files::novelty::{Known, Novelty};
use crate::files::preparation::{self, Preparation};
use crate::show::columns::{fit_cells, flowed, width};
use crate::show::marks::{Tally, marked};
use crate::show::messages::{announced, calibrated};
use crate::show::picture::Painter;
use crate::show::terminal;
use crate::show::waiting::Waiting;
use crate::show::watch::{self, Look};

/// Most names drawn at once. Memory grows with the number of names for JSON only.
const CHUNK: u32 = 4096;
/// Time within which some names are drawn, so that the first appear while the rest are drawn.
const PACE: Duration = Duration::from_millis(250);

/// An example of a pattern, for messages.
const PATTERN: &str = "micro-diffusion sample --pattern 'm?r?a'";
/// Names drawn at once, at first, and the fewest where some are left out.
const LEAST: u32 = 64;
/// Names left out in a row after which `sample` gives up.
const PATIENCE: u32 = 5000;

/// The object of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    retrieval: bool,
    seed: u64,
    temperature: f64,
    calibrated: bool,
    sampler: &'a str,
    schedule: &'a str,
    /// `None` means one for each letter.
    steps: Option<u16>,
    redraws: u16,
    /// Whether lines of the list were left out.
    novel: bool,
    unique: bool,
    names: Vec<String>,
    /// The novelty of each name; `None` where the list is unknown.
    novelty: Option<Vec<&'static str>>,
}

/// The arrow between two states of a trace.
const ARROW: &str = " → ";
const ARROW_AHEAD: &str = "  → ";

pub(crate) fn run(options: &SampleOptions) -> anyhow::Result<Outcome> {
    options.draw.check()?;
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    let model = announced(&mut bytes)?;
    let screen = if options.watch { watch::terminal()? } else { None };
    let pattern = match &options.pattern {
        Some(pattern) => preparation::pattern(pattern, model.is_lowercase(), PATTERN)?,
        None => ANYTHING.to_owned(),
    };
    let mut request = Request {
        pattern,
        length: options.length,
        trace: options.trace || screen.is_some(),
        ..options.draw.request(options.seed)
    };
    let waiting = Waiting::new("reading the list", 0, false);
    let (input, preparation) = (options.input.as_deref(), options.list.over(&Preparation::default()));
    let list = model.list(input, &preparation);
    let list = if options.novel || input.is_some() { Ok(list?) } else { list };
    let known = list.as_ref().ok().map(List::known);
    drop(waiting);
    let calibrate = options.draw.calibrates(options.num);
    if let (true, Ok(list)) = (options.novel || input.is_some() || calibrate, &list) {
        list.notes.iter().for_each(|text| terminal::say(&terminal::note(text)));
    }
    if calibrate {
        let wanted = Wanted { input, preparation: &preparation, development: None };
        request = calibrated(&model, request, options.draw.temperature, wanted)?;
    }
    let waiting = Waiting::new("placing the pattern", 0, false);
    let drawer = model.network.drawer(&request)?;
    drop(waiting);
    let mut names = Names {
        drawer: &*drawer,
        next: 0,
        most: if screen.is_some() { CHUNK } else { LEAST },
        left: options.num,
        known: known.as_ref(),
        novel: options.novel,
        unique: options.unique,
        seen: HashSet::new(),
        missed: 0,
        tally: Tally::default(),
    };
    let marks = match &screen {
        Some(screen) => {
            let look = Look { alphabet: model.alphabet(), known: known.as_ref(), speed: options.speed };
            loop {
                let waiting = Waiting::new("drawing", 0, false);
                let chunk = names.chunk()?;
                drop(waiting);
                let Some(chunk) = chunk else { break };
                watch::show(screen, &look, &chunk)?;
                if watch::stopped() {
                    return Ok(Outcome::Interrupted);
                }
            }
            true
        }
        None if options.json => {
            print_json(&model, options, &mut names)?;
            false
        }
        None => {
            print(&model, options, &mut names)?;
            terminal::width_of_results().is_some()
        }
    };
    say_novelty(&list, &names.tally, options, marks);
    names.outcome(options)
}

/// Prints names or their traces; on a terminal lines of the list are marked, and a pipe gets bare names.
fn print(model: &Model, options: &SampleOptions, names: &mut Names) -> anyhow::Result<()> {
    let (mut out, painter) = (terminal::results(), Painter::new(model.alphabet()));
    let columns = terminal::width_of_results();
    let shown = names.known.filter(|_| columns.is_some());
    let mut print = |Drawn { text, frames }| {
        let name = marked(&text, shown);
        if !options.trace {
            return writeln!(out, "{name}");
        }
        let mut states = painter.trace(&frames);
        if let Some(last) = states.last_mut() {
            last.push_str(&name[text.len()..]);
        }
        let lines = match columns {
            Some(columns) => flow(&states, painter.cell, columns),
            None => states.join(ARROW),
        };
        writeln!(out, "{lines}")
    };
    let waiting = Waiting::new("drawing", options.num as usize, false);
    while let Some(chunk) = names.chunk()? {
        waiting.note(chunk.len());
        waiting.suspend(|| chunk.into_iter().try_for_each(&mut print))?;
    }
    Ok(out.flush()?)
}

/// Prints the names and their settings as one JSON object.
fn print_json(model: &Model, options: &SampleOptions, names: &mut Names) -> anyhow::Result<()> {
    let mut texts = Vec::new();
    let waiting = Waiting::new("drawing", options.num as usize, false);
    while let Some(chunk) = names.chunk()? {
        waiting.note(chunk.len());
        texts.extend(chunk.into_iter().map(|drawn| drawn.text));
    }
    drop(waiting);
    let novelty = names.known.map(|known| texts.iter().map(|text| known.novelty(text).name()).collect());
    let report = Report {
        model: model.source,
        retrieval: model.retrieval.is_some(),
        seed: options.seed,
        temperature: options.draw.temperature,
        calibrated: options.draw.calibrates(options.num),
        sampler: order_name(options.draw.sampler),
        schedule: options.draw.schedule.name(),
        steps: options.draw.steps,
        redraws: options.draw.redraws,
        novel: options.novel,
        unique: options.unique,
        names: texts,
        novelty,
    };
    let mut out = terminal::results();
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    Ok(out.flush()?)
}

/// Lays the states of a text out on lines of `columns` columns. A longer state gets lines of its own, cut between letters
/// of `cell` columns.
fn flow(states: &[String], cell: usize, columns: usize) -> String {
    let lead = width(ARROW_AHEAD);
    if states.iter().all(|state| width(state) + lead <= columns) {
        return flowed(states.iter().map(String::as_str), ARROW, ARROW_AHEAD, columns).join("\n");
    }
    let arrow = |number| if number == 0 { " ".repeat(lead) } else { ARROW_AHEAD.to_owned() };
    let lines = states.iter().enumerate().map(|(number, state)| arrow(number) + state);
    lines.flat_map(|line| fit_cells(&line, lead, cell, Some(columns))).collect::<Vec<_>>().join("\n")
}

/// Prints the counts of new names and copies, with `marks` if shown, or why they are unknown.
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

/// The requested names, in the order of their numbers.
struct Names<'a> {
    drawer: &'a dyn Draw,
    /// The number of the next name to draw.
    next: u32,
    /// Most names to draw at once.
    most: u32,
    /// Number of names still wanted.
    left: u32,
    /// The list of the model, if known.
    known: Option<&'a Known<'a>>,
    /// Whether lines of the list are left out.
    novel: bool,
    /// Whether repeats are left out.
    unique: bool,
    /// Names so far, kept if repeats are left out.
    seen: HashSet<String>,
    /// Names left out in a row.
    missed: u32,
    /// Counts of the names so far by novelty.
    tally: Tally,
}

impl Names<'_> {
    /// Draws some more names, or none where all are left out; `None` when all are drawn or `sample` gives up.
    ///
    /// Names with lower numbers alone decide whether a name is left out, so the size of a chunk changes nothing.
    fn chunk(&mut self) -> anyhow::Result<Option<Vec<Drawn>>> {
        let picky = self.unique || self.novel;
        if self.left == 0 || self.missed >= PATIENCE || self.next == u32::MAX {
            return Ok(None);
        }
        let least = if picky { LEAST } else { 1 };
        let end = self.next.saturating_add(self.left.clamp(least, self.most));
        let start = Instant::now();
        let drawn = self.drawer.draw(self.next..end)?;
        if start.elapsed() < PACE {
            self.most = CHUNK.min(2 * self.most);
        }
        self.next = end;
        let mut kept = Vec::new();
        for drawn in drawn {
            if self.left == 0 || self.missed >= PATIENCE {
                break;
            }
            let novelty = self.known.map(|known| known.novelty(&drawn.text));
            let listed = novelty.is_some_and(|novelty| novelty != Novelty::New);
            if (self.novel && listed) || (self.unique && !self.seen.insert(drawn.text.clone())) {
                self.missed += 1;
                continue;
            }
            self.missed = 0;
            self.left -= 1;
            novelty.into_iter().for_each(|novelty| self.tally.note(novelty));
            kept.push(drawn);
        }
        Ok(Some(kept))
    }

    /// Done, or an error that tells how many names are missing, and why.
    fn outcome(&self, options: &SampleOptions) -> anyhow::Result<Outcome> {
        let why = match (options.novel, options.unique) {
            (true, true) => "lines of the list or repeats",
            (true, false) => "lines of the list",
            _ => "repeats",
        };
        let found = options.num - self.left;
        let fewer = if found > 0 { "ask for fewer with --num, or " } else { "" };
        let more = match (&options.pattern, options.length) {
            (Some(pattern), None) => format!("give a wider pattern than “{pattern}”"),
            (Some(pattern), Some(_)) => {
                format!("give a wider pattern than “{pattern}”, or leave out --length")
            }
            (None, Some(length)) => format!("leave out --length {length}"),
            (None, None) => "raise --temperature".to_owned(),
        };
        ensure!(
            self.left == 0,
            "found {found} of {} names: the last {PATIENCE} tries were all {why}; {fewer}{more}",
            options.num
        );
        Ok(Outcome::Done)
    }
}
