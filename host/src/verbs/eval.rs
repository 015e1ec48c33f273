//! `eval`: the held-out score.

use std::io::Write;

use anyhow::bail;
use micro_diffusion::sampler::Order;
use serde::Serialize;

use crate::cli::{EvalOptions, Outcome};
use crate::engine::draw::order_name;
use crate::engine::score::Score;
use crate::files::model::ModelBytes;
use crate::show::messages::{announce, announce_text};
use crate::show::statistics::Statistics;
use crate::show::terminal;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    parameters: usize,
    input: &'a str,
    held_out_names: usize,
    draws: u32,
    seed: u64,
    nelbo_nats_per_name: f64,
    nelbo_stderr_nats: f64,
    nelbo_nats_per_letter: f64,
    nats_per_masked_symbol: &'a [f64],
    #[serde(skip)]
    order: Order,
    sampler: &'a str,
    temperature: f64,
    #[serde(flatten)]
    statistics: Option<Statistics>,
}

pub(crate) fn run(options: &EvalOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    announce(&bytes);
    let model = bytes.open()?;
    let corpus = announce_text(model.corpus(options.input.as_deref(), options.development)?);
    let texts: Vec<String> = corpus.held_out.iter().filter(|line| model.reads(line)).cloned().collect();
    let unreadable = corpus.held_out.len() - texts.len();
    if unreadable > 0 {
        terminal::say(&format!("left out {unreadable} lines with characters that the model does not know"));
    }
    if texts.is_empty() {
        bail!("{}: no held-out line that the model can read; it holds out every tenth line", corpus.source);
    }
    let score = Score::of(&model.network.bounds(&texts, options.draws, options.seed)?);
    let statistics = if options.num > 0 {
        let drawn = model.network.draw(&options.draw.request(options.seed), 0..options.num)?;
        Some(Statistics::new(&drawn, &corpus.training, &corpus.held_out))
    } else {
        None
    };
    let letters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let report = Report {
        model: model.source,
        parameters: model.file.parameter_count(),
        input: &corpus.source,
        held_out_names: texts.len(),
        draws: options.draws,
        seed: options.seed,
        nelbo_nats_per_name: score.nelbo,
        nelbo_stderr_nats: score.stderr,
        nelbo_nats_per_letter: score.nelbo * texts.len() as f64 / letters as f64,
        nats_per_masked_symbol: &score.per_masks,
        order: options.draw.sampler,
        sampler: order_name(options.draw.sampler),
        temperature: options.draw.temperature,
        statistics,
    };
    let mut out = terminal::results();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        print(&mut out, &report)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// The report, for people.
fn print(out: &mut impl std::io::Write, report: &Report) -> std::io::Result<()> {
    let Report { draws, seed, .. } = report;
    writeln!(out, "model          {}, {} parameters", report.model, report.parameters)?;
    writeln!(out, "held out       {} lines of {}", report.held_out_names, report.input)?;
    writeln!(
        out,
        "NELBO          {:.3} ± {:.3} nats a name, {:.3} a letter ({draws} draws for each number of masks, seed {seed})",
        report.nelbo_nats_per_name, report.nelbo_stderr_nats, report.nelbo_nats_per_letter
    )?;
    writeln!(out, "\nmasks          nats for each masked symbol")?;
    for (masks, nats) in (1..).zip(report.nats_per_masked_symbol) {
        writeln!(out, "{masks:>5}          {nats:.3}  {}", "▪".repeat((nats * 10.0).round() as usize))?;
    }
    let Some(statistics) = &report.statistics else { return Ok(()) };
    writeln!(
        out,
        "\nsamples        {} names, {:?} order, temperature {}",
        statistics.sampled_names, report.order, report.temperature
    )?;
    let Statistics { unique, novel, hit_rate, mean_length, .. } = statistics;
    writeln!(out, "unique         {unique:.3}")?;
    writeln!(out, "novel          {novel:.3}  not in the training lines")?;
    writeln!(out, "hit rate       {hit_rate:.3}  held-out lines among the novel")?;
    writeln!(out, "mean length    {mean_length:.2} letters")?;
    writeln!(
        out,
        "divergence     {:.4} bits of letter pairs, {:.4} of triples, {:.4} of lengths (Jensen–Shannon, from the held-out)",
        statistics.jsd2_bits, statistics.jsd3_bits, statistics.jsd_length_bits
    )
}
