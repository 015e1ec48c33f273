//! `sample`: names from a model.

use std::io::Write;

use serde::Serialize;

use crate::cli::{Outcome, SampleOptions};
use crate::engine::draw::{Request, order_name};
use crate::engine::forms::ANYTHING;
use crate::files::model::ModelBytes;
use crate::files::preparation;
use crate::show::messages::announce;
use crate::show::picture::Painter;
use crate::show::terminal;
use crate::show::watch;

/// Names drawn at once, so that the first appear while the rest are drawn, and memory grows with their number for JSON only.
const CHUNK: u32 = 4096;

/// How a pattern is given.
const PATTERN: &str = "micro-diffusion sample --pattern 'm?r?a'";

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
    let chunks = (0..options.num)
        .step_by(CHUNK as usize)
        .map(|first| model.network.draw(&request, first..options.num.min(first.saturating_add(CHUNK))));
    if let Some(screen) = &screen {
        for chunk in chunks {
            watch::show(screen, model.alphabet(), &chunk?)?;
            if watch::stopped() {
                return Ok(Outcome::Interrupted);
            }
        }
        return Ok(Outcome::Done);
    }
    let mut out = terminal::results();
    let (mut names, painter) = (Vec::new(), Painter::new(model.alphabet()));
    for chunk in chunks {
        for drawn in chunk? {
            if options.json {
                names.push(drawn.text);
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
            names,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
