//! `eval`: the held-out score.

use std::io::Write;

use anyhow::bail;
use serde::Serialize;

use crate::Outcome;
use crate::cli::EvalOptions;
use crate::corpus::Corpus;
use crate::model::Model;

/// Mask draws for each number of masks: the score of record.
pub(crate) const DRAWS: u32 = 4;

/// The bound over a set of texts.
pub(crate) struct Score {
    /// Mean over the texts, in nats.
    pub(crate) nelbo: f64,
    /// Standard error of that mean.
    pub(crate) stderr: f64,
}

/// The mean bound of `texts` and its standard error.
pub(crate) fn score(model: &Model, texts: &[String], draws: u32, seed: u64) -> anyhow::Result<Score> {
    let terms = model.config()?.network.bounds(&model.file()?, texts, draws, seed)?;
    let bounds: Vec<f64> = terms.iter().map(|terms| terms.iter().sum()).collect();
    let count = bounds.len() as f64;
    let nelbo = bounds.iter().sum::<f64>() / count;
    let variance = bounds.iter().map(|bound| (bound - nelbo).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    Ok(Score { nelbo, stderr: (variance / count).sqrt() })
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
}

pub(crate) fn run(options: &EvalOptions) -> anyhow::Result<Outcome> {
    let model = Model::load(options.model.model.as_deref())?;
    let file = model.file()?;
    let corpus = Corpus::load(options.input.as_deref(), file.shape().positions, options.split())?;
    let readable = |line: &&String| line.chars().all(|letter| file.alphabet().symbol(letter).is_some());
    let texts: Vec<String> = corpus.held_out.iter().filter(readable).cloned().collect();
    let unreadable = corpus.held_out.len() - texts.len();
    if unreadable > 0 {
        anstream::eprintln!("left out {unreadable} lines with characters that the model does not know");
    }
    if texts.is_empty() {
        bail!("{}: no held-out line that the model can read; it holds out every tenth line", corpus.source);
    }
    let score = score(&model, &texts, options.draws, options.seed)?;
    let letters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let per_letter = score.nelbo * texts.len() as f64 / letters as f64;
    let mut out = std::io::stdout().lock();
    if options.json {
        let report = Report {
            model: &model.source,
            parameters: file.parameter_count(),
            input: &corpus.source,
            held_out_names: texts.len(),
            draws: options.draws,
            seed: options.seed,
            nelbo_nats_per_name: score.nelbo,
            nelbo_stderr_nats: score.stderr,
            nelbo_nats_per_letter: per_letter,
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        writeln!(out, "model       {}, {} parameters", model.source, file.parameter_count())?;
        writeln!(out, "held out    {} lines of {}", texts.len(), corpus.source)?;
        writeln!(
            out,
            "NELBO       {:.3} ± {:.3} nats a name, {per_letter:.3} a letter",
            score.nelbo, score.stderr
        )?;
        writeln!(
            out,
            "            ({} mask draws for each number of masks, seed {})",
            options.draws, options.seed
        )?;
    }
    Ok(Outcome::Done)
}
