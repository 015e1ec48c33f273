//! `eval`: the held-out score.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{bail, ensure};
use micro_diffusion::bound;
use serde::Serialize;

use crate::cli::{EvalOptions, Outcome};
use crate::engine::counting;
use crate::engine::description::counted;
use crate::engine::draw::{Drawn, Request, order_name};
use crate::engine::score::{EXACT_POSITIONS, Score, error_over, spread};
use crate::files::corpus::Corpus;
use crate::files::model::{Model, ModelBytes, Wanted};
use crate::files::preparation::Preparation;
use crate::show::columns::with_error;
use crate::show::messages::{announced, calibrated, scoring_list};
use crate::show::statistics::Statistics;
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Names drawn between two moves of the bar.
const CHUNK: u32 = 512;

/// The object of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    parameters: usize,
    retrieval: bool,
    input: &'a str,
    held_out_names: usize,
    orders: u32,
    seed: u64,
    nelbo_nats_per_name: f64,
    nelbo_stderr_nats: Option<f64>,
    nelbo_order_stderr_nats: Option<f64>,
    nll_nats_per_name: f64,
    nll_stderr_nats: Option<f64>,
    nll_order_stderr_nats: Option<f64>,
    nll_nats_per_character: f64,
    #[serde(flatten)]
    exact: Option<Exact>,
    counting_nats_per_name: f64,
    counting_order: usize,
    sampler: &'a str,
    temperature: f64,
    redraws: u16,
    calibrated: bool,
    #[serde(flatten)]
    statistics: Option<Statistics>,
}

/// The score by every subset of positions.
#[derive(Serialize)]
struct Exact {
    exact_nats_per_name: f64,
    exact_stderr_nats: Option<f64>,
}

pub(crate) fn run(options: &EvalOptions) -> anyhow::Result<Outcome> {
    options.draw.check()?;
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    let model = announced(&mut bytes)?;
    let positions = model.file.shape().positions;
    ensure!(
        !options.exact || positions <= EXACT_POSITIONS,
        "--exact goes through every subset of the positions, so it is for models of up to {EXACT_POSITIONS} \
         positions, and {} has {positions}; leave out --exact for an estimate over random orders, which \
         more --orders make closer",
        model.source
    );
    let preparation = options.list.over(&Preparation::default());
    let (input, development) = (options.input.as_deref(), options.development);
    let wanted = Wanted { input, preparation: &preparation, development };
    let corpus = held_out(&model, wanted)?;
    let mut request = options.draw.request(options.seed);
    if options.draw.calibrates(options.num) {
        request = calibrated(&model, request, options.draw.temperature, wanted)?;
    }
    let some = options.lines.map(|count| spread(&corpus.held_out, count));
    let texts = some.as_ref().unwrap_or(&corpus.held_out);
    let waiting = Waiting::new("scoring", texts.len(), false);
    let orders = (options.orders, options.seed);
    let score = Score::of(&model.network.score(texts, orders, &|count| waiting.note(count))?);
    drop(waiting);
    let exact = if options.exact { Some(exact(&model, texts)?) } else { None };
    // The end of a line is a symbol too.
    let symbols = model.alphabet().symbols() + 1;
    let waiting = Waiting::new("counting letters", 0, false);
    let (counting_nats_per_name, counting_order) = counting::score(&corpus.training, symbols, texts);
    drop(waiting);
    let statistics = match options.num {
        0 => None,
        _ => Some(Statistics::new(&draw(&model, options, &request)?, &corpus.training, &corpus.held_out)),
    };
    // The end of a name is a character too.
    let characters: usize = texts.iter().map(|text| text.chars().count() + 1).sum();
    let report = Report {
        model: model.source,
        parameters: model.file.parameter_count(),
        retrieval: model.retrieval.is_some(),
        input: &corpus.source,
        held_out_names: texts.len(),
        orders: options.orders,
        seed: options.seed,
        nelbo_nats_per_name: score.nelbo.nats,
        nelbo_stderr_nats: score.nelbo.stderr,
        nelbo_order_stderr_nats: score.nelbo.order_stderr,
        nll_nats_per_name: score.nll.nats,
        nll_stderr_nats: score.nll.stderr,
        nll_order_stderr_nats: score.nll.order_stderr,
        nll_nats_per_character: score.nll.nats * texts.len() as f64 / characters as f64,
        exact,
        counting_nats_per_name,
        counting_order,
        sampler: order_name(options.draw.sampler),
        temperature: options.draw.temperature,
        redraws: options.draw.redraws,
        calibrated: options.draw.calibrates(options.num),
        statistics,
    };
    let mut out = terminal::results();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let mut text = String::new();
        print(&mut text, &report)?;
        out.lines(&text)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// The list that scores `model`.
///
/// # Errors
/// The list has no held-out line.
fn held_out(model: &Model, wanted: Wanted) -> anyhow::Result<Corpus> {
    let corpus = scoring_list(model, wanted)?;
    if corpus.held_out.is_empty() {
        bail!(
            "{} has no line to score: every tenth line is held out and scored, if the model knows its \
             characters; name a list of ten lines or more, in the model's characters, with --input",
            corpus.source
        );
    }
    Ok(corpus)
}

/// The exact score of `texts`.
fn exact(model: &Model, texts: &[String]) -> anyhow::Result<Exact> {
    let waiting = Waiting::new("scoring exactly", texts.len(), false);
    let nats = model.network.exact(texts, &|count| waiting.note(count))?;
    Ok(Exact { exact_nats_per_name: bound::mean(&nats), exact_stderr_nats: error_over(&nats) })
}

/// Draws the names of the statistics.
fn draw(model: &Model, options: &EvalOptions, request: &Request) -> anyhow::Result<Vec<Drawn>> {
    let waiting = Waiting::new("drawing", options.num as usize, false);
    let mut drawn = Vec::new();
    let drawer = model.network.drawer(request)?;
    for first in (0..options.num).step_by(CHUNK as usize) {
        let chunk = first..options.num.min(first.saturating_add(CHUNK));
        drawn.extend(drawer.draw(chunk.clone())?);
        waiting.note(chunk.len());
    }
    Ok(drawn)
}

/// The standard error over the orders in brackets, where there are several.
fn over_orders(stderr: Option<f64>) -> String {
    stderr.map_or(String::new(), |stderr| format!(" (over the orders ± {stderr:.3})"))
}

/// Writes the report in words.
fn print(out: &mut String, report: &Report) -> std::fmt::Result {
    let Report { orders, seed, .. } = report;
    writeln!(out, "model          {}, {} parameters", report.model, report.parameters)?;
    writeln!(out, "held out       {} of {}", counted(report.held_out_names, "line"), report.input)?;
    writeln!(
        out,
        "NELBO          {} nats a name{}",
        with_error(report.nelbo_nats_per_name, report.nelbo_stderr_nats, 3),
        over_orders(report.nelbo_order_stderr_nats)
    )?;
    writeln!(
        out,
        "−ln p          {} nats a name{}, {:.3} a character",
        with_error(report.nll_nats_per_name, report.nll_stderr_nats, 3),
        over_orders(report.nll_order_stderr_nats),
        report.nll_nats_per_character
    )?;
    match orders {
        1 => writeln!(
            out,
            "               both from one random order of each line, seed {seed}, so −ln p is the NELBO"
        )?,
        _ => writeln!(out, "               both from {orders} random orders of each line, seed {seed}")?,
    }
    if let Some(exact) = &report.exact {
        let Exact { exact_nats_per_name, exact_stderr_nats } = exact;
        let figure = with_error(*exact_nats_per_name, *exact_stderr_nats, 3);
        writeln!(out, "exact −ln p    {figure} nats a name")?;
    }
    writeln!(
        out,
        "counting       {:.3} nats a name, by n-grams of {}",
        report.counting_nats_per_name,
        counted(report.counting_order, "character")
    )?;
    let Some(statistics) = &report.statistics else { return Ok(()) };
    writeln!(
        out,
        "\nsamples        {}, {} order, temperature {}{}{}",
        counted(statistics.sampled_names, "name"),
        report.sampler,
        report.temperature,
        match report.redraws {
            0 => String::new(),
            redraws => format!(", {}", counted(redraws.into(), "redraw")),
        },
        if report.calibrated { ", calibrated" } else { "" }
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
