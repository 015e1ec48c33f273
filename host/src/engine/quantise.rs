//! Making a model file of integers from a trained one, and saying what it lost.
//!
//! The scales of the weights follow from the weights; that of the activations depends on the texts. It is the one with the
//! least NELBO over some training lines: a coarser one loses precision, a finer one cuts large values off.

use anyhow::{Context, bail};
use micro_diffusion::denoiser::NAT;
use micro_diffusion::tensor::Dtype;

use crate::cli::ExportOptions;
use crate::eval;
use crate::model::Model;
use crate::network::dtype_name;
use crate::terminal;

/// Training lines by which the activations' scale is chosen.
const LINES: usize = 500;
/// The largest exponent of that scale which is tried.
const FINEST: u8 = 8;
/// Held-out lines over which logits are compared.
const COMPARED: usize = 1200;
/// The seed of the masks.
const SEED: u64 = 1;

/// `model` with weights of `dtype`; the report goes to stderr.
pub(crate) fn quantise(model: &Model, dtype: Dtype, options: &ExportOptions) -> anyhow::Result<Vec<u8>> {
    let network = model.config()?.network;
    let (file, integers) = (model.file()?, network.integers(dtype)?);
    if file.dtype() == dtype {
        terminal::say(&format!("{} is {} already", model.source, dtype_name(dtype)));
        return Ok(model.bytes().to_vec());
    }
    let corpus = model.corpus(options.input.as_deref(), options.development)?;
    let known = |line: &&String| line.chars().all(|letter| file.alphabet().symbol(letter).is_some());
    let training: Vec<String> = corpus.training.iter().filter(known).take(LINES).cloned().collect();
    let held_out: Vec<String> = corpus.held_out.iter().filter(known).cloned().collect();
    if training.is_empty() || held_out.is_empty() {
        bail!(
            "{}: too few lines that the model can read to scale and score its integers; give its own text with --input",
            corpus.source
        );
    }
    terminal::say(&format!(
        "scaling     hidden values, by {} training lines at each of {} scales",
        training.len(),
        FINEST + 1
    ));
    let mut best: Option<(f64, Model)> = None;
    let weights = network.weights(&file)?;
    for activation in 0..=FINEST {
        let scales = integers.scales(&weights, activation);
        let Some(bytes) = integers.quantised(&weights, file.alphabet(), &scales)? else { continue };
        let candidate = Model::of_bytes(format!("{} in {}", model.source, dtype_name(dtype)), bytes);
        let nelbo = eval::score(&candidate, &training, 1, SEED)?.nelbo;
        if best.as_ref().is_none_or(|(least, _)| nelbo < *least) {
            best = Some((nelbo, candidate));
        }
    }
    let (_, quantised) = best.context("no scale keeps its sums within 32 bits")?;
    report(model, &quantised, &held_out)?;
    Ok(quantised.bytes().to_vec())
}

/// How far the two models' logits over `texts` are apart, in nats: the root mean square, and the most.
fn difference(one: &Model, other: &Model, texts: &[String]) -> anyhow::Result<[f64; 2]> {
    let scores = |model: &Model| model.config()?.network.scores(&model.file()?, texts, SEED);
    let (one, other) = (scores(one)?, scores(other)?);
    let apart = one.iter().zip(&other).map(|(one, other)| f64::from(one.abs_diff(*other)) / f64::from(NAT));
    let squares: f64 = apart.clone().map(|apart| apart.powi(2)).sum();
    Ok([(squares / one.len() as f64).sqrt(), apart.fold(0.0, f64::max)])
}

/// Says what `quantised`, made of `floats`, takes and what it lost, over `held_out`.
pub(crate) fn report(floats: &Model, quantised: &Model, held_out: &[String]) -> anyhow::Result<()> {
    let file = quantised.file()?;
    let memory = quantised.config()?.network.integers(file.dtype())?.memory_bytes();
    terminal::say(&format!(
        "{:<11} {} bytes of weights, and {memory} of memory to work in",
        dtype_name(file.dtype()),
        file.parameter_bytes()
    ));
    let [mean, most] = difference(floats, quantised, &held_out[..held_out.len().min(COMPARED)])?;
    terminal::say(&format!(
        "logits      differ from the floats' by {mean:.3} nats in the mean (root mean square), by {most:.3} at most"
    ));
    let [before, after] = [
        eval::score(floats, held_out, eval::DRAWS, SEED)?.nelbo,
        eval::score(quantised, held_out, eval::DRAWS, SEED)?.nelbo,
    ];
    terminal::say(&format!(
        "NELBO       {before:.3} → {after:.3} nats a name: {:+.3} ({} held-out lines, {} mask draws for each number of masks)",
        after - before,
        held_out.len(),
        eval::DRAWS
    ));
    Ok(())
}
