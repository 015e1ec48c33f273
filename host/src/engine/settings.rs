//! The settings of a training run: all that decides its result, besides the data.

use micro_diffusion::tensor::Dtype;
use serde::{Deserialize, Serialize};

/// Integers that a model can be trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IntegerFormat {
    /// A byte for each weight.
    Int8,
    /// Half a byte for each weight.
    Int4,
}

impl IntegerFormat {
    /// How a model file stores them.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::Int8 => Dtype::Int8,
            Self::Int4 => Dtype::Int4,
        }
    }
}

/// The default settings of a network, chosen on the development split.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) steps: u32,
    pub(crate) batch: u32,
    pub(crate) learning_rate: f64,
    /// For each unit of learning rate.
    pub(crate) weight_decay: f64,
    /// Share of the average of the weights that a step keeps; 0 where there is none.
    pub(crate) averaging: f64,
    /// The probability with which training leaves out a hidden value.
    pub(crate) dropout: f64,
}

impl Recipe {
    /// A recipe with the usual weight decay, without averaging and dropout.
    pub(crate) const fn new(steps: u32, batch: u32, learning_rate: f64) -> Self {
        Self { steps, batch, learning_rate, weight_decay: 0.01, averaging: 0.0, dropout: 0.0 }
    }
}

/// What decides a run's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) config: String,
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
    pub(crate) quantize: Option<IntegerFormat>,
    pub(crate) seed: u64,
}

/// The seed of a run that names none.
const SEED: u64 = 1;
/// Steps over which the learning rate rises.
const WARM_UP: u32 = 200;
/// Share of the peak learning rate that the last step has.
const FINAL_RATE: f64 = 0.01;

impl Settings {
    /// The settings of the network `config`, which is trained by `recipe`.
    pub(crate) fn new(config: &str, recipe: Recipe) -> Self {
        let Recipe { steps, batch, learning_rate, weight_decay, averaging, dropout } = recipe;
        Self {
            config: config.to_owned(),
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
        }
    }

    /// How the model that is trained will store its weights.
    pub(crate) fn dtype(&self) -> Dtype {
        self.quantize.map_or(Dtype::F32, IntegerFormat::dtype)
    }
}
