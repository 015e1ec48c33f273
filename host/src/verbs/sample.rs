//! `sample`: names from a model.

use std::io::Write;

use micro_diffusion::categorical::Temperature;
use micro_diffusion::sampler::Settings;
use serde::Serialize;

use crate::Outcome;
use crate::cli::{DrawOptions, SampleOptions, SamplerName, ScheduleName};
use crate::model::Model;
use crate::network::{ANYTHING, Request};
use crate::picture::Painter;
use crate::terminal;
use crate::watch;

/// The temperature names are drawn at by default.
pub(crate) const TEMPERATURE: f64 = 0.73;
/// The sampler they are drawn with by default.
pub(crate) const SAMPLER: SamplerName = SamplerName::Random;
/// The schedule by default.
pub(crate) const SCHEDULE: ScheduleName = ScheduleName::Linear;
/// Names drawn at once, so that the first appear while the rest are drawn, and memory grows with their number for JSON only.
const CHUNK: u32 = 4096;

impl Default for DrawOptions {
    fn default() -> Self {
        Self {
            temperature: TEMPERATURE,
            sampler: SAMPLER,
            schedule: SCHEDULE,
            steps: None,
            top_k: None,
            top_p: None,
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    seed: u64,
    temperature: f64,
    sampler: SamplerName,
    schedule: ScheduleName,
    steps: usize,
    names: Vec<String>,
}

/// How the core is asked for free texts.
pub(crate) fn request(draw: &DrawOptions, seed: u64) -> Request {
    // The command line admits valid numbers only.
    let temperature = Temperature::new(draw.temperature).unwrap_or(Temperature::ONE);
    let mut settings = Settings::new(draw.sampler.order(), temperature);
    settings.top_k = draw.top_k.unwrap_or(settings.top_k);
    settings.top_p =
        draw.top_p.map_or(settings.top_p, |share| (share * f64::from(settings.top_p)).ceil() as u32);
    Request {
        settings,
        schedule: draw.schedule,
        steps: draw.steps,
        seed,
        pattern: ANYTHING.to_owned(),
        length: None,
        trace: false,
    }
}

pub(crate) fn run(options: &SampleOptions) -> anyhow::Result<Outcome> {
    let model = Model::load(options.model.model.as_deref())?;
    model.announce();
    let (file, network) = (model.file()?, model.config()?.network);
    let screen = if options.watch { watch::terminal()? } else { None };
    let request = Request {
        pattern: options.pattern.clone().unwrap_or_else(|| ANYTHING.to_owned()),
        length: options.length,
        trace: options.trace || screen.is_some(),
        ..request(&options.draw, options.seed)
    };
    let chunks = (0..options.num)
        .step_by(CHUNK as usize)
        .map(|first| network.generate(&file, &request, first..options.num.min(first.saturating_add(CHUNK))));
    if let Some(screen) = &screen {
        for chunk in chunks {
            watch::show(screen, file.alphabet(), &chunk?)?;
            if watch::stopped() {
                return Ok(Outcome::Interrupted);
            }
        }
        return Ok(Outcome::Done);
    }
    let mut out = terminal::results();
    let mut names = Vec::new();
    for chunk in chunks {
        for drawn in chunk? {
            if options.json {
                names.push(drawn.text);
            } else if options.trace {
                writeln!(
                    out,
                    "{} → {}",
                    Painter::new(file.alphabet()).trace(&drawn.frames).join(" → "),
                    drawn.text
                )?;
            } else {
                writeln!(out, "{}", drawn.text)?;
            }
        }
    }
    if options.json {
        let report = Report {
            model: &model.source,
            seed: options.seed,
            temperature: options.draw.temperature,
            sampler: options.draw.sampler,
            schedule: options.draw.schedule,
            steps: options.draw.steps.map_or(file.shape().positions, usize::from),
            names,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
