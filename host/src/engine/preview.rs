//! Previews of a model while it trains: an estimate of its held-out score, and some names.
//!
//! A preview reads the weights and changes nothing. Training does not depend on it.

use crate::engine::draw::Request;
use crate::engine::language::Language;
use crate::engine::network::Network;
use crate::engine::score::Score;
use crate::engine::settings::Settings;
use crate::engine::source::Noted;
use crate::engine::trainer::State;

/// Previews in each part of a run's schedule, besides the one before its first step.
const PREVIEWS: u32 = 16;
/// Random orders of each held-out line in one estimate, equal in all previews: two, the fewest that have an error.
pub(crate) const ORDERS: u32 = 2;

/// The contents that a preview should have.
pub(crate) struct Wanted<'a> {
    pub(crate) language: Language<'a>,
    /// Held-out lines of the score of record; empty where no score is wanted.
    pub(crate) texts: Vec<String>,
    pub(crate) request: Request,
    /// Number of names to draw.
    pub(crate) names: u32,
}

/// The contents of a preview.
pub(crate) struct Preview {
    /// An estimate of the held-out NELBO, in nats.
    pub(crate) nelbo: Option<f64>,
    pub(crate) names: Vec<String>,
}

/// A point of the held-out curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Steps done.
    pub(crate) step: u32,
    /// An estimate of the NELBO, in nats.
    pub(crate) nats: f64,
    /// Its standard error over the orders, if it is known.
    pub(crate) error: Option<f64>,
}

/// All previews of a run so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// The held-out curve.
    pub(crate) curve: Vec<Point>,
    /// Names of fixed numbers, as the model drew them after so many steps.
    pub(crate) names: Vec<(u32, Vec<String>)>,
}

impl Seen {
    /// The step of the last preview.
    fn last(&self) -> Option<u32> {
        let (point, names) = (self.curve.last(), self.names.last());
        point.map(|point| point.step).max(names.map(|(step, _)| *step))
    }
}

/// Previews a run after fixed steps and keeps the results.
pub(crate) struct Observer<'a> {
    network: &'static dyn Network,
    wanted: Wanted<'a>,
    /// The steps after which a preview is due, in descending order.
    ahead: Vec<u32>,
    pub(crate) seen: Seen,
}

impl<'a> Observer<'a> {
    /// Starts observing a run by `settings` after its first `done` steps, with `seen` from before.
    ///
    /// Preview i of n is due after steps·(i/n)² steps of a part: dense at first, where most happens.
    pub(crate) fn new(
        network: &'static dyn Network,
        wanted: Wanted<'a>,
        settings: &Settings,
        done: u32,
        seen: Seen,
    ) -> Self {
        let any = !wanted.texts.is_empty() || wanted.names > 0;
        let mut ahead = settings.points(PREVIEWS, |share| share * share);
        ahead.reverse();
        let known = seen.last();
        ahead.retain(|step| any && *step >= done && known.is_none_or(|known| *step > known));
        Self { network, wanted, ahead, seen }
    }

    /// The number of lines to score, if a preview of `state` is due.
    pub(crate) fn due(&self, state: &State) -> Option<usize> {
        let is_due = self.ahead.last().is_some_and(|next| *next as usize == state.losses.len());
        is_due.then_some(self.wanted.texts.len())
    }

    /// Previews the model, if a preview is due; calls `note` with numbers of lines scored meanwhile.
    pub(crate) fn after(&mut self, state: &State, note: Noted) -> anyhow::Result<Option<Preview>> {
        let step = state.losses.len() as u32;
        if self.due(state).is_none() {
            return Ok(None);
        }
        self.ahead.pop();
        let wanted = &self.wanted;
        let model = self.network.model(state.current(), wanted.language)?;
        let drawn = model.draw(&wanted.request, 0..wanted.names)?;
        let names: Vec<String> = drawn.into_iter().map(|drawn| drawn.text).collect();
        if !names.is_empty() {
            self.seen.names.push((step, names.clone()));
        }
        let mut nelbo = None;
        if !wanted.texts.is_empty() {
            let score = Score::of(&model.score(&wanted.texts, (ORDERS, wanted.request.seed), note)?).nelbo;
            self.seen.curve.push(Point { step, nats: score.nats, error: score.order_stderr });
            nelbo = Some(score.nats);
        }
        Ok(Some(Preview { nelbo, names }))
    }
}
