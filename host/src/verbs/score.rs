//! `score`: how likely a model finds texts, and each of their letters.

use std::io::{self, Read, Write};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::cli::{Outcome, ScoreOptions};
use crate::files::decoding::decode;
use crate::files::model::ModelBytes;
use crate::files::origin::{Origin, STDIN};
use crate::files::preparation;
use crate::show::columns::named;
use crate::show::messages::announce;
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
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
    /// Its standard error as an estimate from random orders, if there are several.
    nll_order_stderr_nats: Option<f64>,
    /// The part of it that its length has.
    length_nats: f64,
    /// The rest, −ln p of its letters, given the length.
    letters_nats: f64,
    /// −ln p of each letter, given all others.
    surprise_nats: Vec<f64>,
}

pub(crate) fn run(options: &ScoreOptions) -> anyhow::Result<Outcome> {
    let mut bytes = ModelBytes::load(options.model.model.as_deref())?;
    announce(&bytes);
    let model = bytes.open()?;
    let texts = texts(&options.texts, model.is_lowercase())?;
    let waiting = Waiting::new("scoring", texts.len(), false);
    let surprises = model.network.surprises(&texts)?;
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
            writeln!(
                out,
                "{nll_nats:>7.3}{error} = {length_nats:>6.3} + {letters_nats:>6.3}  {text}   {}",
                letters.join("  ")
            )?;
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// The texts that `arguments` give, prepared as the lines of a list are.
fn texts(arguments: &[String], lowercase: bool) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for argument in arguments {
        if argument == STDIN {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
            let text = decode(&Origin::Stdin, bytes)?;
            let (lines, _) = preparation::lines(&Origin::Stdin, text.lines(), lowercase)?;
            let before = texts.len();
            texts.extend(lines.into_iter().filter(|line| !line.is_empty()));
            ensure!(texts.len() > before, "stdin has no line to score; put one text on each line");
        } else {
            texts.push(preparation::text("a text", argument, lowercase, "micro-diffusion score emma")?);
        }
    }
    Ok(texts)
}
