//! The settings of a run: all that decides its result, besides the data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::{Objective, Quantize, TrainOptions};
use crate::config::{Config, Recipe};
use crate::corpus::Split;

/// What decides a run's result. Kept in the run folder and in each checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) config: String,
    pub(crate) objective: Objective,
    pub(crate) steps: u32,
    pub(crate) batch: u32,
    /// At its peak.
    pub(crate) learning_rate: f64,
    /// Steps over which the learning rate rises.
    pub(crate) warm_up: u32,
    /// Share of the peak that the last step has.
    pub(crate) final_rate: f64,
    pub(crate) weight_decay: f64,
    /// Share of the average of the weights that a step keeps; 0 where there is none.
    #[serde(default)]
    pub(crate) averaging: f64,
    /// The probability with which training leaves out a hidden value.
    #[serde(default)]
    pub(crate) dropout: f64,
    /// The integers that the model is trained to become, if any.
    #[serde(default)]
    pub(crate) quantize: Option<Quantize>,
    pub(crate) seed: u64,
    /// Whether the development split is held out.
    pub(crate) development: bool,
    /// SHA-256 of the training lines and the alphabet.
    pub(crate) data_sha256: String,
    /// Where the lines were read, for the next time; the hash says whether they are the same.
    pub(crate) input: Option<PathBuf>,
}

/// The seed of a run that names none.
const SEED: u64 = 1;
/// Steps over which the learning rate rises.
const WARM_UP: u32 = 200;
/// Share of the peak learning rate that the last step has.
const FINAL_RATE: f64 = 0.01;

impl Settings {
    /// The configuration's own settings.
    pub(crate) fn of(config: &Config) -> Self {
        let Recipe { steps, batch, learning_rate, weight_decay, averaging, dropout } = config.recipe;
        Self {
            config: config.name.to_owned(),
            objective: Objective::Nelbo,
            steps,
            batch,
            learning_rate,
            warm_up: WARM_UP,
            final_rate: FINAL_RATE,
            weight_decay,
            averaging,
            dropout,
            quantize: None,
            seed: SEED,
            development: false,
            data_sha256: String::new(),
            input: None,
        }
    }

    /// These settings with what `options` say instead.
    pub(crate) fn with(mut self, options: &TrainOptions) -> Self {
        let replace = |setting: &mut u32, option: Option<u32>| *setting = option.unwrap_or(*setting);
        replace(&mut self.steps, options.steps);
        replace(&mut self.batch, options.batch);
        self.objective = options.objective.unwrap_or(self.objective);
        self.learning_rate = options.lr.unwrap_or(self.learning_rate);
        self.weight_decay = options.weight_decay.unwrap_or(self.weight_decay);
        self.averaging = options.averaging.unwrap_or(self.averaging);
        self.dropout = options.dropout.unwrap_or(self.dropout);
        self.quantize = options.quantize.or(self.quantize);
        self.seed = options.seed.unwrap_or(self.seed);
        self.development |= options.development;
        self.config = options.config.clone().unwrap_or(self.config);
        self.input = options.input.clone().or(self.input);
        self
    }

    /// Which lines are held out.
    pub(crate) fn split(&self) -> Split {
        if self.development { Split::Development } else { Split::Record }
    }

    /// What differs from `other` and would change the result: “steps is 100, and was 200”.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        let (new, old) = (fields(self), fields(other));
        let keys = new.as_object().into_iter().flatten();
        keys.filter(|(key, value)| *key != "input" && old.get(key) != Some(value))
            .map(|(key, value)| match key.as_str() {
                "data_sha256" => "the training lines or the alphabet differ".to_owned(),
                _ => format!("{key} is {value}, and was {}", old[key]),
            })
            .collect()
    }
}
