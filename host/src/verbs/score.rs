//! `score`: −ln p of texts, and of each of their letters.

use std::io::Write;

use anyhow::ensure;
use serde::Serialize;

use crate::cli::{Outcome, ScoreOptions};
use crate::engine::description::counted;
use crate::files::corpus::read_bytes;
use crate::files::decoding::decode;
use crate::files::model::{Model, ModelBytes};
use crate::files::origin::{Origin, STDIN};
use crate::files::preparation;
use crate::show::columns::{flowed, named};
use crate::show::messages::announced;
use crate::show::terminal::{self, shown};
use crate::show::waiting::Waiting;

/// The object of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    retrieval: bool,
    orders: u32,
    seed: u64,
    texts: Vec<Scored>,
}

/// One text.
#[derive(Serialize)]
struct Scored {
    text: String,
    /// −ln p of the text.
    nll_nats: f64,
    /// Standard error over the random orders, if there are several.
    nll_order_stderr_nats: Option<f64>,
    /// −ln p of the length.
    length_nats: f64,
    /// −ln p of the letters given the length.
    letters_nats: f64,
    /// −ln p of each letter, given all others.
    surprise_nats: Vec<f64>,
}

pub(crate) fn run(options: &ScoreOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    let model = announced(&mut bytes)?;
    let (texts, skipped) = texts(&options.texts, &model)?;
    let waiting = Waiting::new("scoring letters", texts.len(), false);
    let surprises = model.network.surprises(&texts, &|count| waiting.note(count))?;
    drop(waiting);
    let waiting = Waiting::new("scoring", texts.len(), false);
    let scores = model.network.score(&texts, (options.orders, options.seed), &|count| waiting.note(count))?;
    drop(waiting);
    let lengths = model.language().lengths;
    let scored = texts.into_iter().zip(scores).zip(surprises).map(|((text, score), surprise_nats)| {
        let length_nats = lengths.negative_log_probability(text.chars().count());
        Scored {
            text,
            nll_nats: score.nll,
            nll_order_stderr_nats: score.nll_stderr,
            length_nats,
            letters_nats: score.nll - length_nats,
            surprise_nats,
        }
    });
    let mut out = terminal::results();
    if options.json {
        let report = Report {
            model: model.source,
            retrieval: model.retrieval.is_some(),
            orders: options.orders,
            seed: options.seed,
            texts: scored.collect(),
        };
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let from = match options.orders {
            1 => "from one random order".to_owned(),
            orders => format!("± its standard error over {orders} random orders"),
        };
        terminal::say(&format!(
            "nats        −ln p of each text {from}, of its length and of its letters; then how surprising each letter is, given \
             all others"
        ));
        for scored in scored {
            let letters = scored.text.chars().zip(&scored.surprise_nats);
            let letters: Vec<String> =
                letters.map(|(letter, nats)| format!("{} {nats:.2}", named(letter))).collect();
            let Scored { text, nll_nats, nll_order_stderr_nats, length_nats, letters_nats, .. } = scored;
            let error = nll_order_stderr_nats.map_or(String::new(), |error| format!(" ± {error:.3}"));
            let sum = format!("{nll_nats:>7.3}{error} = {length_nats:>6.3} + {letters_nats:>6.3}");
            let text = text + " ";
            let parts = [&sum, &text].into_iter().chain(&letters).map(String::as_str);
            let lines = flowed(parts, "  ", "    ", terminal::width_of_results().unwrap_or(usize::MAX));
            writeln!(out, "{}", lines.join("\n"))?;
        }
    }
    out.flush()?;
    ensure!(
        skipped == 0,
        "{} of stdin could not be scored, as said above; correct the lines, or name another model with \
         --model",
        counted(skipped, "line")
    );
    Ok(Outcome::Done)
}

/// The reason why `model` cannot score `line`, if it cannot.
fn refusal(model: &Model, line: &String) -> Option<anyhow::Error> {
    let fits = model.reads(line) && line.chars().count() <= model.file.shape().positions;
    if fits { None } else { model.network.surprises(std::slice::from_ref(line), &|_| ()).err() }
}

/// Prepares the texts of `arguments` like lines of a list. Lines of stdin that `model` cannot read are named and counted,
/// and the others scored.
fn texts(arguments: &[String], model: &Model) -> anyhow::Result<(Vec<String>, usize)> {
    let (mut texts, mut skipped) = (Vec::new(), 0);
    let lowercase = model.is_lowercase();
    for (number, argument) in (1..).zip(arguments) {
        if argument == STDIN {
            let text = decode(&Origin::Stdin, read_bytes(&Origin::Stdin)?)?;
            let (lines, _) = preparation::lines(&Origin::Stdin, (1..).zip(text.lines()), lowercase, false)?;
            ensure!(
                lines.iter().any(|line| !line.is_empty()),
                "stdin has no line to score; put one text on each line"
            );
            for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
                match refusal(model, &line) {
                    None => texts.push(line),
                    Some(error) => {
                        skipped += 1;
                        terminal::say(&format!(
                            "skipped     line {number} of stdin: {}",
                            shown(&format!("{error}"))
                        ));
                    }
                }
            }
        } else {
            let what = format!("text {number} of the command line");
            texts.push(preparation::text(&what, argument, lowercase, "micro-diffusion score emma")?);
        }
    }
    Ok((texts, skipped))
}
