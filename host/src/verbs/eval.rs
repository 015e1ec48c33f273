//! `eval`: the held-out score.

use std::io::Write;

use anyhow::bail;
use serde::Serialize;

use crate::Outcome;
use crate::cli::{EvalOptions, SamplerName};
use crate::model::Model;
use crate::sample::request;
use crate::statistics::Statistics;
use crate::terminal;

/// Mask draws for each number of masks: the score of record.
pub(crate) const DRAWS: u32 = 4;

/// The bound over a set of texts.
pub(crate) struct Score {
    /// Mean over the texts, in nats.
    pub(crate) nelbo: f64,
    /// Standard error of that mean.
    pub(crate) stderr: f64,
    /// For k = 1 … L masks, the mean −ln p of a masked symbol, in nats.
    pub(crate) per_masks: Vec<f64>,
}

/// The mean bound of `texts` and its standard error.
pub(crate) fn score(model: &Model, texts: &[String], draws: u32, seed: u64) -> anyhow::Result<Score> {
    let terms = model.config()?.network.bounds(&model.file()?, texts, draws, seed)?;
    let count = terms.len() as f64;
    let bounds: Vec<f64> = terms.iter().map(|terms| terms.iter().sum()).collect();
    let nelbo = bounds.iter().sum::<f64>() / count;
    let variance = bounds.iter().map(|bound| (bound - nelbo).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let mean = |masks: usize| terms.iter().map(|terms| terms[masks]).sum::<f64>() / count;
    let per_masks = (0..terms.first().map_or(0, Vec::len)).map(mean).collect();
    Ok(Score { nelbo, stderr: (variance / count).sqrt(), per_masks })
}

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
    sampler: SamplerName,
    temperature: f64,
    #[serde(flatten)]
    statistics: Option<Statistics>,
}

pub(crate) fn run(options: &EvalOptions) -> anyhow::Result<Outcome> {
    let model = Model::load(options.model.model.as_deref())?;
    model.announce();
    let file = model.file()?;
    let corpus = model.corpus(options.input.as_deref(), options.development)?;
    let readable = |line: &&String| line.chars().all(|letter| file.alphabet().symbol(letter).is_some());
    let texts: Vec<String> = corpus.held_out.iter().filter(readable).cloned().collect();
    let unreadable = corpus.held_out.len() - texts.len();
    if unreadable > 0 {
        terminal::say(&format!("left out {unreadable} lines with characters that the model does not know"));
    }
    if texts.is_empty() {
        bail!("{}: no held-out line that the model can read; it holds out every tenth line", corpus.source);
    }
    let score = score(&model, &texts, options.draws, options.seed)?;
    let statistics = if options.num > 0 {
        let request = request(&options.draw, options.seed);
        let drawn = model.config()?.network.generate(&file, &request, 0..options.num)?;
        Some(Statistics::new(&drawn, &corpus.training, &corpus.held_out))
    } else {
        None
    };
    let letters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let report = Report {
        model: &model.source,
        parameters: file.parameter_count(),
        input: &corpus.source,
        held_out_names: texts.len(),
        draws: options.draws,
        seed: options.seed,
        nelbo_nats_per_name: score.nelbo,
        nelbo_stderr_nats: score.stderr,
        nelbo_nats_per_letter: score.nelbo * texts.len() as f64 / letters as f64,
        nats_per_masked_symbol: &score.per_masks,
        sampler: options.draw.sampler,
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
        statistics.sampled_names, report.sampler, report.temperature
    )?;
    let Statistics { unique, novel, hit_rate, letters_after_pad, mean_length, .. } = statistics;
    writeln!(out, "unique         {unique:.3}")?;
    writeln!(out, "novel          {novel:.3}  not in the training lines")?;
    writeln!(out, "hit rate       {hit_rate:.3}  held-out lines among the novel")?;
    writeln!(out, "mean length    {mean_length:.2} letters")?;
    writeln!(out, "cut            {letters_after_pad:.3}  with letters after the end")?;
    writeln!(
        out,
        "divergence     {:.4} bits of letter pairs, {:.4} of triples, {:.4} of lengths (Jensen–Shannon, from the held-out)",
        statistics.jsd2_bits, statistics.jsd3_bits, statistics.jsd_length_bits
    )
}
