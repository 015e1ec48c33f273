//! `bench`: the speed of training and sampling on this machine, beside its limit.

use std::io::Write;
use std::time::Instant;

use serde::Serialize;

use crate::cli::{BenchOptions, Outcome};
use crate::engine::configurations::Config;
use crate::engine::cost::training_flops;
use crate::engine::description::counted;
use crate::engine::draw::{ORDER, Request, TEMPERATURE, order_name};
use crate::engine::kernels::{PEAK_SUMS, multiply_and_add};
use crate::engine::settings::{ListSize, Settings};
use crate::engine::trainer::Plan;
use crate::files::corpus::{Corpus, Lines, Split};
use crate::files::memory::refuse_too_large;
use crate::files::room;
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Rounds of each measurement. The fastest counts: other work on the machine only slows a round down.
const ROUNDS: usize = 20;
/// Warm-up steps, until caches and clocks have settled.
const WARM_UP_STEPS: u32 = 50;
/// Names in each round.
const NAMES: u32 = 4096;

/// The object of `--json`.
#[derive(Serialize)]
struct Report {
    config: String,
    parameters: usize,
    threads: usize,
    batch: u32,
    step_ms: f64,
    step_median_ms: f64,
    step_gflops: f64,
    peak_gflops: f64,
    share_of_peak: f64,
    names_per_second: f64,
    sampler: &'static str,
    temperature: f64,
}

pub(crate) fn run(options: &BenchOptions) -> anyhow::Result<Outcome> {
    let lines = Lines::built_in()?;
    let config = &room::choose(&lines.lines, &lines.source, Some(&options.config))?;
    let batch = options.batch.unwrap_or(config.recipe.batch);
    refuse_too_large(config.network, batch, false)?;
    let settings = Settings {
        steps: u32::MAX,
        batch,
        ..config.settings(ListSize { lines: usize::MAX, width: 1.0, a_form: 0.0 })
    };
    // A large network takes a while.
    let waiting = Waiting::new("measuring", 0, false);
    let (mut steps, weights, corpus) = time_steps(lines.corpus(config, Split::Record)?, config, &settings)?;
    steps.sort_by(f64::total_cmp);
    let (step, median) = (steps[0], steps[ROUNDS / 2]);
    let threads = rayon::current_num_threads();
    let step_flops = training_flops(config.network.shape()) * f64::from(batch);
    let peak = peak_flops() * threads as f64;
    let report = Report {
        config: config.name.to_owned(),
        parameters: config.network.parameters(),
        threads,
        batch,
        step_ms: step * 1e3,
        step_median_ms: median * 1e3,
        step_gflops: step_flops / step / 1e9,
        peak_gflops: peak / 1e9,
        share_of_peak: step_flops / step / peak,
        names_per_second: names_per_second(config, &weights, &corpus, &Request::of(ORDER, TEMPERATURE, 1))?,
        sampler: order_name(ORDER),
        temperature: TEMPERATURE,
    };
    drop(waiting);
    let mut out = terminal::results();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(Outcome::Done);
    }
    let Report { step_ms, step_median_ms, step_gflops, peak_gflops, share_of_peak, names_per_second, .. } =
        report;
    let threads = counted(threads, "thread");
    let Report { sampler, temperature, .. } = report;
    out.lines(&format!(
        "network     {}, {} parameters, {threads}\n\
         training    {step_ms:.3} ms a step of {batch} (best of {ROUNDS}; median {step_median_ms:.3})\n            \
         {step_gflops:.1} GFLOP/s, {:.0} % of the {peak_gflops:.0} that multiplying and adding reach here\n\
         sampling    {names_per_second:.0} names a second ({sampler} order, temperature {temperature})",
        report.config,
        report.parameters,
        share_of_peak * 100.0
    ))?;
    Ok(Outcome::Done)
}

/// Times steps: mean seconds a step in each round. Also returns the last weights, and the training text.
fn time_steps(
    corpus: Corpus,
    config: &Config,
    settings: &Settings,
) -> anyhow::Result<(Vec<f64>, Vec<f32>, Corpus)> {
    let language = corpus.language()?;
    let mut trainer = config.network.trainer(Plan {
        texts: &corpus.training,
        language,
        settings,
        start: None,
        teaching: None,
    })?;
    let mut round = |steps: u32| {
        let start = Instant::now();
        for _ in 0..steps {
            trainer.step();
        }
        start.elapsed().as_secs_f64() / f64::from(steps)
    };
    // A round takes about a twentieth of a second.
    let steps = (0.05 / round(WARM_UP_STEPS)).clamp(1.0, 1e4) as u32;
    let times = (0..ROUNDS).map(|_| round(steps)).collect();
    let weights = trainer.state().weights.to_vec();
    drop(trainer);
    Ok((times, weights, corpus))
}

/// Names a second, of the fastest round.
fn names_per_second(
    config: &Config,
    weights: &[f32],
    corpus: &Corpus,
    request: &Request,
) -> anyhow::Result<f64> {
    let model = config.network.model(weights, corpus.language()?)?;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS / 4 {
        let start = Instant::now();
        model.draw(request, 0..NAMES)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(f64::from(NAMES) / best)
}

/// The peak of one thread in operations a second: independent multiplications and additions, not fused.
fn peak_flops() -> f64 {
    const TURNS: usize = 200_000;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        std::hint::black_box(multiply_and_add(std::hint::black_box(0.5), TURNS));
        best = best.min(start.elapsed().as_secs_f64());
    }
    (2 * PEAK_SUMS * TURNS) as f64 / best
}
