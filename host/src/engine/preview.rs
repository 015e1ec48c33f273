//! Previews of a model while it trains: an estimate of its held-out score, and the names it would draw.
//!
//! A preview reads the weights and changes nothing, and nothing that training does depends on it.

use crate::engine::draw::Request;
use crate::engine::language::Language;
use crate::engine::network::Network;
use crate::engine::settings::Settings;
use crate::engine::trainer::State;

/// Previews in each part of a run's schedule, besides the one before its first step.
const PREVIEWS: u32 = 16;
/// Masked held-out lines in one estimate.
pub(crate) const ROWS: u32 = 1024;

/// What a preview is to show.
pub(crate) struct Wanted<'a> {
    pub(crate) language: Language<'a>,
    /// Held-out lines; none where no score is wanted.
    pub(crate) texts: &'a [String],
    pub(crate) request: Request,
    /// How many names to draw.
    pub(crate) names: u32,
}

/// What a preview shows.
pub(crate) struct Preview {
    /// An estimate of the held-out NELBO, in nats.
    pub(crate) nelbo: Option<f64>,
    pub(crate) names: Vec<String>,
}

/// Previews the model of `network` that has `weights`.
fn preview(network: &dyn Network, weights: &[f32], wanted: &Wanted) -> anyhow::Result<Preview> {
    let model = network.model(weights, wanted.language)?;
    let drawn = model.draw(&wanted.request, 0..wanted.names)?;
    let nelbo = match wanted.texts {
        [] => None,
        texts => Some(model.estimate(texts, ROWS, wanted.request.seed)?),
    };
    Ok(Preview { nelbo, names: drawn.into_iter().map(|drawn| drawn.text).collect() })
}

/// Previews a run after fixed steps and keeps the held-out scores.
pub(crate) struct Observer<'a> {
    network: &'static dyn Network,
    wanted: Wanted<'a>,
    /// The steps after which a preview is due, in descending order.
    ahead: Vec<u32>,
    /// Pairs of (steps done, estimated NELBO in nats).
    pub(crate) curve: Vec<(u32, f64)>,
}

impl<'a> Observer<'a> {
    /// Observes a run by `settings` after the first `done` steps, whose `curve` is known.
    ///
    /// Preview i of n is due after steps·(i/n)² steps of a part: dense at first, where most happens.
    pub(crate) fn new(
        network: &'static dyn Network,
        wanted: Wanted<'a>,
        settings: &Settings,
        done: u32,
        curve: Vec<(u32, f64)>,
    ) -> Self {
        let any = !wanted.texts.is_empty() || wanted.names > 0;
        let mut ahead = settings.points(PREVIEWS, |share| share * share);
        ahead.reverse();
        let known = curve.last().map(|(step, _)| *step);
        ahead.retain(|step| any && *step >= done && known.is_none_or(|known| *step > known));
        Self { network, wanted, ahead, curve }
    }

    /// Previews the model, if it is time to.
    pub(crate) fn after(&mut self, state: &State) -> anyhow::Result<Option<Preview>> {
        let step = state.losses.len() as u32;
        if self.ahead.pop_if(|next| *next == step).is_none() {
            return Ok(None);
        }
        let preview = preview(self.network, state.current(), &self.wanted)?;
        self.curve.extend(preview.nelbo.map(|nelbo| (step, nelbo)));
        Ok(Some(preview))
    }
}
