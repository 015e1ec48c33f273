//! Making a model file of integers from a trained one, and measuring the loss.
//!
//! The scales of the weights follow from the weights. The scale of the activations depends on the texts: a coarse one
//! loses precision, a fine one cuts large values off. The one with the least NELBO over some training lines is taken.

use micro_diffusion::denoiser::NAT;
use micro_diffusion::file::ModelFile;

use crate::engine::description::file_error;
use crate::engine::language::Language;
use crate::engine::network::{NumberFormat, OpenModel};
use crate::engine::score::Score;

/// The largest exponent of the activations' scale that is tried.
pub(crate) const FINEST: u8 = 8;
/// Held-out lines over which logits are compared.
const COMPARED: usize = 1200;
/// The seed of the masks.
pub(crate) const SEED: u64 = 1;

/// The trained floats `weights` as a model file of integers, scaled by the lines `training`; `None` if the
/// weights are too large at every scale.
pub(crate) fn quantised(
    format: &dyn NumberFormat,
    weights: &[f32],
    language: Language,
    training: &[String],
) -> anyhow::Result<Option<Vec<u8>>> {
    let mut best: Option<(f64, Vec<u8>)> = None;
    for activation in 0..=FINEST {
        let scales = format.scales(weights, activation);
        let Some(bytes) = format.write(weights, language, &scales)? else { continue };
        let file = ModelFile::parse(&bytes).map_err(|error| file_error(&error))?;
        let scores = format.open(&file, &[])?.score(training, (1, SEED), &|_| ())?;
        let nelbo = Score::of(&scores).nelbo.nats;
        if best.as_ref().is_none_or(|(least, _)| nelbo < *least) {
            best = Some((nelbo, bytes));
        }
    }
    Ok(best.map(|(_, bytes)| bytes))
}

/// The difference of the logits of two models over the first of `texts`, in nats: root mean square, and largest.
pub(crate) fn difference(
    one: &dyn OpenModel,
    other: &dyn OpenModel,
    texts: &[String],
) -> anyhow::Result<[f64; 2]> {
    let texts = &texts[..texts.len().min(COMPARED)];
    let (one, other) = (one.scores(texts, SEED)?, other.scores(texts, SEED)?);
    let apart = one.iter().zip(&other).map(|(one, other)| f64::from(one.abs_diff(*other)) / f64::from(NAT));
    let squares: f64 = apart.clone().map(|apart| apart.powi(2)).sum();
    Ok([(squares / one.len() as f64).sqrt(), apart.fold(0.0, f64::max)])
}
