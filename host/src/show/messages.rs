//! Messages of several verbs on stderr: the model and list taken, and the loss by integers.

use anyhow::{Context, ensure};
use micro_diffusion::dtype::Dtype;

use crate::engine::calibration::{ROUNDS, texts};
use crate::engine::configurations::Config;
use crate::engine::description::{counted, dtype_name};
use crate::engine::draw::Request;
use crate::engine::language::Language;
use crate::engine::network::ChipBytes;
use crate::engine::quantise::{SEED, difference};
use crate::engine::score::Score;
use crate::files::corpus::Corpus;
use crate::files::model::{Model, ModelBytes, Scored, Wanted};
use crate::show::terminal::{note, say, shown};
use crate::show::waiting::Waiting;

/// Random orders of each line in the comparison of integers with floats.
const ORDERS: u32 = 4;

/// Opens `model` as its run left it. Names it, where the user named none, and says if it looks training lines up.
pub(crate) fn announced(model: &mut ModelBytes) -> anyhow::Result<Model<'_>> {
    if let Some(why) = &model.chosen {
        say(&format!("model       {} ({why})", model.source));
    }
    if let Some(passed) = &model.passed {
        say(&note(passed));
    }
    if model.retrieval.is_some() {
        say("retrieval   letters are looked up in the training lines too");
    }
    let _waiting = Waiting::new("reading the list", 0, false);
    model.open_as_run()
}

/// Fits corrections to the draws of `model` as `request` asks, at `temperature`, and to its training lines: those of its own list where
/// that is known, or else of the `wanted` one.
///
/// # Errors
/// No text can meet the request, the lines are unknown, or there are none.
pub(crate) fn calibrated(
    model: &Model,
    request: Request,
    temperature: f64,
    wanted: Wanted,
) -> anyhow::Result<Request> {
    // A pattern that no text can meet is refused before the long fit.
    let waiting = Waiting::new("placing the pattern", 0, false);
    model.network.drawer(&request)?;
    drop(waiting);
    let waiting = Waiting::new("reading the list", 0, false);
    let list = model.training_list(model.own_or(wanted))?;
    drop(waiting);
    let list = list.with_context(|| {
        format!(
            "--calibrate counts the letters of the training lines, and {} does not say which list it was trained on; give \
             that list with --input, or the run folder with --model",
            model.source
        )
    })?;
    let lines = list.corpus.training;
    ensure!(
        !lines.is_empty(),
        "--calibrate counts the letters of the training lines, and {} has none that {} can draw; give the list that it was trained \
         on with --input",
        list.corpus.source,
        model.source
    );
    let (positions, symbols) = (model.file.shape().positions, model.alphabet().symbols());
    let texts: u32 = (1..=ROUNDS).map(|round| texts(positions, symbols, request.redraws, round)).sum();
    let waiting = Waiting::new("calibrating", texts as usize, false);
    let calibration =
        model.network.calibration(&request, (&lines, temperature), &|count| waiting.note(count))?;
    Ok(Request { calibration: Some(calibration), ..request })
}

/// Reads the list that scores `model`; names it where the model's run chose it, and prints the notes on it.
pub(crate) fn scoring_list(model: &Model, wanted: Wanted) -> anyhow::Result<Corpus> {
    let waiting = Waiting::new("reading the list", 0, false);
    let Scored { corpus, notes, own_text, own_split } = model.corpus(wanted)?;
    drop(waiting);
    for text in &notes {
        say(&note(text));
    }
    if notes.is_empty() && (own_text || own_split) {
        let split = if own_split { ", the development split" } else { "" };
        say(&format!("scored on   {}{split}, as its run was", shown(&corpus.source)));
    }
    Ok(corpus)
}

/// Prints the bytes of a model of `config` for texts of `language` on a chip, in each of its number formats.
pub(crate) fn report_chip(config: &Config, language: Language) {
    for format in config.network.formats() {
        let ChipBytes { file, memory } = format.chip_bytes(language);
        let what = match format.dtype() {
            Dtype::F32 => "on a chip  ",
            _ => "           ",
        };
        say(&format!(
            "{what} {:<5} {file} bytes of flash, {memory} of RAM to work in",
            dtype_name(format.dtype())
        ));
    }
    say("            and some 10 KB of flash and 2 KB of RAM for the program that draws");
}

/// Prints the bytes of `quantised`, made from `floats`, and its loss over the lines `held_out`.
pub(crate) fn report_integers(floats: &Model, quantised: &Model, held_out: &[String]) -> anyhow::Result<()> {
    say(&format!(
        "{:<11} {} bytes of weights, and {} of memory to work in",
        dtype_name(quantised.file.dtype()),
        quantised.file.payload().len(),
        quantised.network.memory_bytes()
    ));
    if held_out.is_empty() {
        say("no held-out lines to score what the rounding costs: every tenth line of a list is held out");
        return Ok(());
    }
    let waiting = Waiting::new("comparing", 0, false);
    let [mean, most] = difference(&*floats.network, &*quantised.network, held_out)?;
    drop(waiting);
    say(&format!(
        "logits      differ from the floats' by {mean:.3} nats in the mean (root mean square), by {most:.3} at most"
    ));
    let nelbo = |model: &Model| {
        let waiting = Waiting::new("scoring", held_out.len(), false);
        let scores = model.network.score(held_out, (ORDERS, SEED), &|count| waiting.note(count))?;
        anyhow::Ok(Score::of(&scores).nelbo.nats)
    };
    let (before, after) = (nelbo(floats)?, nelbo(quantised)?);
    say(&format!(
        "NELBO       {before:.3} → {after:.3} nats a name: {:+.3} ({}, {ORDERS} random orders of each)",
        after - before,
        counted(held_out.len(), "held-out line")
    ));
    Ok(())
}
