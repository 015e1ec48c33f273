//! Choosing which state of a run becomes its model, by lines that are kept from training.
//!
//! A short list is learned by heart before its schedule ends. So every tenth training line is kept from training, and
//! scores the state after fixed steps. The best state is kept. Held-out lines choose nothing.

use anyhow::anyhow;
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::ModelFile;

use crate::engine::description::REPORT_IT;
use crate::engine::language::Language;
use crate::engine::network::NumberFormat;
use crate::engine::settings::Settings;
use crate::engine::trainer::{Best, State};

/// Choices in each part of a run's schedule, besides the one before its first step.
const CHOICES: u32 = 32;
/// Masked lines by which a state is scored.
const ROWS: u32 = 512;

/// Chooses the best state of a run.
pub(crate) struct Chooser<'a> {
    format: &'static dyn NumberFormat,
    language: Language<'a>,
    lines: &'a [String],
    seed: u64,
    /// The steps after which a choice is due, in descending order.
    ahead: Vec<u32>,
}

impl<'a> Chooser<'a> {
    /// Starts choosing after the first `done` steps of a run by `settings`, by `lines`; never chooses without lines.
    pub(crate) fn new(
        format: &'static dyn NumberFormat,
        language: Language<'a>,
        lines: &'a [String],
        settings: &Settings,
        done: u32,
    ) -> Self {
        let mut ahead = if lines.is_empty() { Vec::new() } else { settings.points(CHOICES, |share| share) };
        ahead.retain(|step| *step >= done);
        ahead.reverse();
        Self { format, language, lines, seed: settings.seed, ahead }
    }

    /// Keeps the weights of `state` or their average, if it is time to choose and they are the best so far.
    pub(crate) fn after(&mut self, state: &mut State) -> anyhow::Result<()> {
        let step = state.losses.len() as u32;
        // Weights that rounding has not reached yet are no model of integers.
        let unready = self.format.dtype() != Dtype::F32 && state.scales.is_none();
        if self.ahead.pop_if(|next| *next == step).is_none() || unready {
            return Ok(());
        }
        for weights in [&state.average, &state.weights].into_iter().filter(|weights| !weights.is_empty()) {
            let Some(nats) = self.nats(weights, state)? else { continue };
            if state.best.as_ref().is_none_or(|best| nats < best.nats) {
                state.best = Some(Best { weights: weights.to_vec(), step, nats });
            }
        }
        Ok(())
    }

    /// The score of `weights` as the model file will hold them; `None` where it cannot.
    fn nats(&self, weights: &[f32], state: &State) -> anyhow::Result<Option<f32>> {
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Ok(None);
        }
        let scales = state.scales.unwrap_or_default();
        let Some(bytes) = self.format.write(weights, self.language, &scales)? else { return Ok(None) };
        let file = ModelFile::parse(&bytes).map_err(|error| {
            anyhow!(
                "the model file made of the run's weights cannot be read back ({error}), and the last \
                 checkpoint of the run is kept: {REPORT_IT}"
            )
        })?;
        let decoded = self.format.decode(&file)?;
        let model = self.format.open(&file, &decoded)?;
        let nats = model.estimate(self.lines, ROWS, self.seed)?;
        Ok(nats.is_finite().then_some(nats as f32))
    }
}
