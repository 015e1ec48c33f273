//! The settings of a training run: everything besides the data that decides its result.

use std::borrow::Cow;

use micro_diffusion::adam::learning_rate;
use micro_diffusion::dtype::Dtype;
use serde::{Deserialize, Serialize};

use crate::engine::split::hold_out;

/// Number formats of integers that a model can be trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IntegerFormat {
    /// A byte for each weight.
    Int8,
    /// Half a byte for each weight.
    Int4,
}

impl IntegerFormat {
    /// The number format in a model file.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::Int8 => Dtype::Int8,
            Self::Int4 => Dtype::Int4,
        }
    }
}

/// The state of a run that becomes its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keep {
    /// The state that scores every tenth training line best. These lines are kept from training.
    Best,
    /// The state after the last step.
    #[default]
    Last,
}

impl Keep {
    /// Splits training lines into those to train on and those that choose the state.
    pub(crate) fn split<T: Clone>(self, lines: &[T]) -> (Cow<'_, [T]>, Vec<T>) {
        match self {
            Self::Best => {
                let (shown, choosing) = hold_out(lines.iter().cloned());
                (Cow::Owned(shown), choosing)
            }
            Self::Last => (Cow::Borrowed(lines), Vec::new()),
        }
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Last => "last",
        }
    }
}

/// The default settings of a network for a list of as many lines as the names, chosen on the development split.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) steps: u32,
    pub(crate) batch: u32,
    pub(crate) learning_rate: f64,
    /// For each unit of learning rate.
    pub(crate) weight_decay: f64,
    /// Share of the average of the weights that a step keeps; 0 means no average.
    pub(crate) averaging: f64,
    /// The probability with which training leaves out a hidden value.
    pub(crate) dropout: f64,
    /// Dropout on a short list, for each doubling of the parameters for each line.
    pub(crate) dropout_a_doubling: f64,
    /// Dropout on a short list, for each doubling of the times that a masked form of a line is seen.
    pub(crate) dropout_of_seen: f64,
}

/// The size of a list of training lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListSize {
    pub(crate) lines: usize,
    /// Positions that the network computes for a line, in the mean.
    pub(crate) width: f64,
    /// The mean of 1/(2ⁿ − 1) over the lines, n letters each: such a line has 2ⁿ − 1 masked forms.
    pub(crate) a_form: f64,
}

impl Recipe {
    /// A recipe with the default weight decay, without averaging and dropout.
    pub(crate) const fn new(steps: u32, batch: u32, learning_rate: f64) -> Self {
        Self {
            steps,
            batch,
            learning_rate,
            weight_decay: 0.01,
            averaging: 0.0,
            dropout: 0.0,
            dropout_a_doubling: 0.08,
            dropout_of_seen: 0.0,
        }
    }

    /// Fits this recipe to a network of `parameters` parameters and a list of this `size`.
    ///
    /// More positions than [`WIDTH`] divide the steps, so that a run takes no longer. A list shorter than
    /// [`LINES`] lines is passed over at most [`PASSES`] times, in at least [`LEAST_STEPS`] steps.
    ///
    /// The fewer lines, the more has to keep the network from learning them by heart. Weight decay grows as 1/lines, up
    /// to [`MOST_DECAY`]. Each doubling of the parameters a line above [`PARAMETERS_A_LINE`] adds the recipe's share
    /// of dropout, up to [`MOST_DROPOUT`]. Lines of few letters are learned by heart soonest, for they have few masked
    /// forms: each doubling of the times that a form is seen, above [`SEEN`], makes the recipe's share of dropout, up
    /// to [`MOST_OF_SEEN`]. The larger dropout is taken. Where steps are fewer than the recipe's, the average spans at
    /// most a twentieth of them.
    fn for_list(self, parameters: usize, size: ListSize) -> Self {
        let lines = size.lines.max(1) as f64;
        let most = (f64::from(self.steps) * (WIDTH / size.width).min(1.0)) as u32;
        let is_short = lines < LINES;
        let passes = (PASSES * lines / f64::from(self.batch)).min(f64::from(u32::MAX)) as u32;
        let steps = if is_short { passes.max(LEAST_STEPS).min(most) } else { most };
        let span = if steps < self.steps { 1.0 - 20.0 / f64::from(steps.max(20)) } else { 1.0 };
        let by_parameters = self.dropout_a_doubling * (parameters as f64 / lines / PARAMETERS_A_LINE).log2();
        let seen = f64::from(steps) * f64::from(self.batch) / lines * size.a_form;
        let by_seen = self.dropout_of_seen * (seen / SEEN).log2();
        let dropout = by_parameters.min(MOST_DROPOUT).max(by_seen.min(MOST_OF_SEEN));
        let dropout = if is_short { (100.0 * dropout).round() / 100.0 } else { 0.0 };
        Self {
            steps,
            weight_decay: (self.weight_decay * (LINES / lines).max(1.0)).min(MOST_DECAY),
            averaging: self.averaging.min(span),
            dropout: self.dropout.max(dropout),
            ..self
        }
    }
}

/// The settings that decide a run's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) config: String,
    pub(crate) steps: u32,
    /// Former ends of the schedule, in steps, of a finished run that went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ends: Vec<u32>,
    pub(crate) batch: u32,
    /// Peak learning rate.
    pub(crate) learning_rate: f64,
    /// Steps over which the learning rate rises.
    pub(crate) warm_up: u32,
    /// Learning rate of the last step, as a share of the peak.
    pub(crate) final_rate: f64,
    pub(crate) weight_decay: f64,
    /// Share of the average of the weights that a step keeps; 0 means no average.
    #[serde(default)]
    pub(crate) averaging: f64,
    /// The probability with which training leaves out a hidden value.
    #[serde(default)]
    pub(crate) dropout: f64,
    /// The integers that the model is trained for, if any.
    #[serde(default)]
    pub(crate) quantize: Option<IntegerFormat>,
    #[serde(default)]
    pub(crate) keep: Keep,
    pub(crate) seed: u64,
}

/// Most passes over a short list.
const PASSES: f64 = 200.0;
/// Fewest steps that a short list leads to. A run of fewer is a trial: verbs take its model only by name.
pub(crate) const LEAST_STEPS: u32 = 1000;
/// Training lines from which on the recipe holds unchanged: somewhat fewer than the names have.
const LINES: f64 = 25_000.0;
/// Mean length of a line, in whole groups of eight, up to which steps are the recipe's: that of the names, and 1 % more.
pub(crate) const WIDTH: f64 = 8.53;
/// Most weight decay of a short list, for each unit of learning rate.
const MOST_DECAY: f64 = 5.0;
/// Parameters for each line that need no dropout.
const PARAMETERS_A_LINE: f64 = 6.5;
/// Most dropout by the parameters for each line.
const MOST_DROPOUT: f64 = 0.3;
/// Times that a masked form of a line is seen without dropout.
const SEEN: f64 = 3.2;
/// Most dropout by the times that a masked form is seen.
const MOST_OF_SEEN: f64 = 0.6;
/// Training lines from which on no lines are kept to choose the best state.
const CHOOSING: usize = 5000;
/// The default seed.
const SEED: u64 = 1;
/// Steps over which the learning rate rises.
const WARM_UP: u32 = 200;
/// Learning rate of the last step, as a share of the peak.
const FINAL_RATE: f64 = 0.01;

impl Settings {
    /// The setting that made this run diverge, most likely, with a value for a new run.
    pub(crate) fn calmer(&self) -> String {
        if self.weight_decay > MOST_DECAY && self.learning_rate * self.weight_decay > 1.0 {
            format!("less weight decay, such as --weight-decay {MOST_DECAY}")
        } else {
            format!("a lower learning rate, such as --lr {}", self.learning_rate / 2.0)
        }
    }

    /// The default settings of the network `config` of `parameters` parameters with the recipe `recipe`, for a list of
    /// this `size`.
    pub(crate) fn new(config: &str, recipe: Recipe, parameters: usize, size: ListSize) -> Self {
        let Recipe { steps, batch, learning_rate, weight_decay, averaging, dropout, .. } =
            recipe.for_list(parameters, size);
        Self {
            config: config.to_owned(),
            steps,
            ends: Vec::new(),
            batch,
            learning_rate,
            warm_up: WARM_UP,
            final_rate: FINAL_RATE,
            weight_decay,
            averaging,
            dropout,
            quantize: None,
            keep: if size.lines < CHOOSING { Keep::Best } else { Keep::Last },
            seed: SEED,
        }
    }

    /// Raises the steps to `steps`, if those are more, so that the run goes on past its end.
    pub(crate) fn extended(mut self, steps: Option<u32>) -> Self {
        if let Some(steps) = steps.filter(|steps| *steps > self.steps) {
            self.ends.push(self.steps);
            self.steps = steps;
        }
        self
    }

    /// The parts of the schedule, as (steps before it, steps until its end). The learning rate rises and falls in each
    /// part. A run that went on past its end has more than one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (u32, u32)> {
        let ends = self.ends.iter().chain([&self.steps]).copied();
        [0].into_iter().chain(self.ends.iter().copied()).zip(ends)
    }

    /// The learning rate of step `step`, counted from 0. At least half of each part of the schedule is decay.
    pub(crate) fn rate(&self, step: u32) -> f64 {
        let within = |(start, end): &(u32, u32)| (*start..*end).contains(&step);
        let (start, end) = self.parts().find(within).unwrap_or((0, self.steps));
        let steps = end - start;
        learning_rate(step - start, steps, self.learning_rate, self.warm_up.min(steps / 2), self.final_rate)
    }

    /// About `count` steps of each part of the schedule with its start and end, in ascending order. `place` maps the
    /// share i/count to a share of the part.
    pub(crate) fn points(&self, count: u32, place: impl Fn(f64) -> f64) -> Vec<u32> {
        let at = |(start, end): (u32, u32), number| {
            start + (f64::from(end - start) * place(f64::from(number) / f64::from(count))) as u32
        };
        let mut points: Vec<u32> = self
            .parts()
            .flat_map(|part| (0..=count).map(move |number| at(part, number)).collect::<Vec<_>>())
            .collect();
        points.dedup();
        points
    }

    /// The number format of the trained model.
    pub(crate) fn dtype(&self) -> Dtype {
        self.quantize.map_or(Dtype::F32, IntegerFormat::dtype)
    }
}
