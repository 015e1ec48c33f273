//! The configurations by name, each with the recipe that trains it well.

use micro_diffusion::config::{Boulder, Cobble, Micro, Pebble, Residual, Tiny, Transformer, Wide};
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
pub(crate) const DEFAULT: &str = "micro";

/// All of them.
pub(crate) static CONFIGS: [Config; 8] = [
    Config {
        name: "micro",
        network: &Compiled::<Micro, 12, 27>::WITH_INTEGERS,
        recipe: Recipe::new(5000, 64, 6e-3),
    },
    Config {
        name: "tiny",
        network: &Compiled::<Tiny, 12, 27>::WITH_INTEGERS,
        recipe: Recipe { weight_decay: 0.0, averaging: 0.9995, ..Recipe::new(40_000, 256, 8e-3) },
    },
    Config {
        name: "pebble",
        network: &Compiled::<Pebble, 16, 27>::WITH_INTEGERS,
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 256, 6e-3) },
    },
    Config {
        name: "cobble",
        network: &Compiled::<Cobble, 16, 27>::WITH_INTEGERS,
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
        name: "boulder",
        network: &Compiled::<Boulder, 16, 27>::NEW,
        recipe: Recipe {
            weight_decay: 0.05,
            averaging: 0.999,
            dropout: 0.1,
            ..Recipe::new(48_000, 128, 3e-3)
        },
    },
    Config { name: "wide", network: &Compiled::<Wide, 32, 128>::NEW, recipe: Recipe::new(4000, 64, 3e-3) },
];

/// Their names, for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    CONFIGS.iter().map(|config| config.name).collect()
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
