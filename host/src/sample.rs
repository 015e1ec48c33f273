//! `sample`: names from a model.

use std::io::Write;

use micro_diffusion::categorical::Temperature;
use micro_diffusion::sampler::Settings;
use serde::Serialize;

use crate::Outcome;
use crate::cli::{SampleOptions, SamplerName};
use crate::model::Model;
use crate::network::Request;
use crate::picture;

/// The temperature names are drawn at by default.
pub(crate) const TEMPERATURE: f64 = 0.7;
/// Names drawn at once, so that the first appear while the rest are drawn and memory does not grow with their number.
const CHUNK: u32 = 4096;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    seed: u64,
    temperature: f64,
    sampler: SamplerName,
    steps: usize,
    names: Vec<String>,
}

/// How the core is asked for texts.
pub(crate) fn request(sampler: SamplerName, temperature: f64, steps: Option<u16>, seed: u64) -> Request {
    // The command line admits valid temperatures only.
    let temperature = Temperature::new(temperature).unwrap_or(Temperature::ONE);
    Request { settings: Settings { order: sampler.order(), temperature }, steps, seed, trace: false }
}

pub(crate) fn run(options: &SampleOptions) -> anyhow::Result<Outcome> {
    let model = Model::load(options.model.model.as_deref())?;
    let (file, network) = (model.file()?, model.config()?.network);
    let request = Request {
        trace: options.trace,
        ..request(options.sampler, options.temperature, options.steps, options.seed)
    };
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    let mut names = Vec::new();
    for first in (0..options.num).step_by(CHUNK as usize) {
        for drawn in network.generate(&file, &request, first..options.num.min(first.saturating_add(CHUNK)))? {
            if options.json {
                names.push(drawn.text);
            } else if options.trace {
                writeln!(
                    out,
                    "{} → {}",
                    picture::trace(file.alphabet(), &drawn.frames).join(" → "),
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
            temperature: options.temperature,
            sampler: options.sampler,
            steps: options.steps.map_or(file.shape().positions, usize::from),
            names,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
