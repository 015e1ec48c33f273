//! The configurations by name, each with the recipe that trains it well.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use micro_diffusion::config::{
    Convolution, ConvolutionChip, ConvolutionSmall, Perceptron, PerceptronSmall, Residual, Transformer,
    TransformerWide,
};
use micro_diffusion::denoiser::Shape;

use crate::network::{Compiled, Network};

/// A compiled network and how to train it.
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) network: &'static dyn Network,
    pub(crate) recipe: Recipe,
}

/// The default settings of a configuration, chosen on the development split.
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
    const fn new(steps: u32, batch: u32, learning_rate: f64) -> Self {
        Self { steps, batch, learning_rate, weight_decay: 0.01, averaging: 0.0, dropout: 0.0 }
    }
}

/// The one that is used when none is named.
pub(crate) const DEFAULT: &str = "perceptron";

/// All of them.
pub(crate) static CONFIGS: [Config; 8] = [
    Config {
        name: "perceptron",
        network: &Compiled::<Perceptron, 12, 27>::WITH_INTEGERS,
        recipe: Recipe::new(5000, 64, 6e-3),
    },
    Config {
        name: "perceptron-small",
        network: &Compiled::<PerceptronSmall, 12, 27>::WITH_INTEGERS,
        recipe: Recipe { weight_decay: 0.0, averaging: 0.9995, ..Recipe::new(40_000, 256, 8e-3) },
    },
    Config {
        name: "convolution-small",
        network: &Compiled::<ConvolutionSmall, 16, 27>::WITH_INTEGERS,
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 256, 6e-3) },
    },
    Config {
        name: "convolution-chip",
        network: &Compiled::<ConvolutionChip, 16, 27>::WITH_INTEGERS,
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 128, 6e-3) },
    },
    Config {
        name: "residual",
        network: &Compiled::<Residual, 12, 27>::WITH_INTEGERS,
        recipe: Recipe::new(5000, 64, 3e-3),
    },
    Config {
        name: "transformer",
        network: &Compiled::<Transformer, 16, 27>::NEW,
        recipe: Recipe { weight_decay: 0.05, averaging: 0.999, ..Recipe::new(24_000, 256, 2e-3) },
    },
    Config {
        name: "convolution",
        network: &Compiled::<Convolution, 16, 27>::NEW,
        recipe: Recipe {
            weight_decay: 0.05,
            averaging: 0.999,
            dropout: 0.1,
            ..Recipe::new(48_000, 128, 3e-3)
        },
    },
    Config {
        name: "transformer-wide",
        network: &Compiled::<TransformerWide, 32, 128>::NEW,
        recipe: Recipe::new(4000, 64, 3e-3),
    },
];

/// Names that configurations had until version 0.1, each with the name that took its place.
const RENAMED: [(&str, &str); 6] = [
    ("micro", "perceptron"),
    ("tiny", "perceptron-small"),
    ("pebble", "convolution-small"),
    ("cobble", "convolution-chip"),
    ("boulder", "convolution"),
    ("wide", "transformer-wide"),
];

/// The present name of the configuration that was once called `name`.
pub(crate) fn renamed(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

/// Reads `--config`. Help and completions list the present names; an old name is an error that gives the present one.
pub(crate) fn parser() -> impl TypedValueParser<Value = String> {
    let present = CONFIGS.iter().map(|config| PossibleValue::new(config.name));
    let old = RENAMED.iter().map(|(old, _)| PossibleValue::new(old).hide(true));
    PossibleValuesParser::new(present.chain(old)).try_map(|name| match renamed(&name) {
        Some(new) => Err(format!("its name is now {new}; write --config {new}")),
        None => Ok(name),
    })
}

/// The configuration called `name`.
pub(crate) fn by_name(name: &str) -> Option<&'static Config> {
    CONFIGS.iter().find(|config| config.name == name)
}

/// The configuration of a model of `shape`.
pub(crate) fn by_shape(shape: Shape) -> Option<&'static Config> {
    CONFIGS.iter().find(|config| config.network.shape() == shape)
}

/// What to do about lines of up to `longest` characters, which are too long for the configuration chosen.
pub(crate) fn advice_for_length(longest: usize) -> String {
    let fits = |config: &&Config| config.network.shape().positions >= longest;
    let names: Vec<&str> = CONFIGS.iter().filter(fits).map(|config| config.name).collect();
    if !names.is_empty() {
        return format!("choose --config {}, or shorten the lines", names.join(" or "));
    }
    let most = CONFIGS.iter().map(|config| config.network.shape().positions).max().unwrap_or(0);
    format!("shorten the lines: no configuration has more than {most} positions")
}
