//! The configurations by name, each with the recipe that trains it well.

use micro_diffusion::config::{
    Convolution, ConvolutionChip, ConvolutionSmall, Perceptron, PerceptronSmall, Residual, Transformer,
    TransformerWide,
};
use micro_diffusion::denoiser::Shape;

use crate::engine::compiled::Compiled;
use crate::engine::network::Network;
use crate::engine::settings::{Recipe, Settings};

/// A compiled network and how to train it.
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) network: &'static dyn Network,
    pub(crate) recipe: Recipe,
    /// Held-out lines at most, and random orders of each, that score it at the end of training: up to three seconds on two cores.
    pub(crate) ending: (usize, u32),
}

impl Config {
    /// The settings that train it on a list of `lines` training lines.
    pub(crate) fn settings(&self, lines: usize) -> Settings {
        Settings::new(self.name, self.recipe, self.network.parameters(), lines)
    }
}

/// The one that is used when none is named.
pub(crate) const DEFAULT: &str = "perceptron";

/// All of them.
pub(crate) static CONFIGS: [Config; 8] = [
    Config {
        name: "perceptron",
        network: &Compiled::<Perceptron, 12, 26>::ALL,
        recipe: Recipe { weight_decay: 0.02, averaging: 0.9995, ..Recipe::new(40_000, 64, 8e-3) },
        ending: (3200, 64),
    },
    Config {
        name: "perceptron-small",
        network: &Compiled::<PerceptronSmall, 12, 26>::ALL,
        recipe: Recipe { weight_decay: 0.0, averaging: 0.9995, ..Recipe::new(40_000, 256, 8e-3) },
        ending: (3200, 64),
    },
    Config {
        name: "convolution-small",
        network: &Compiled::<ConvolutionSmall, 16, 26>::ALL,
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 256, 6e-3) },
        ending: (3200, 8),
    },
    Config {
        name: "convolution-chip",
        network: &Compiled::<ConvolutionChip, 16, 26>::ALL,
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 128, 6e-3) },
        ending: (3200, 8),
    },
    Config {
        name: "residual",
        network: &Compiled::<Residual, 12, 26>::ALL,
        recipe: Recipe::new(5000, 64, 3e-3),
        ending: (3200, 16),
    },
    Config {
        name: "transformer",
        network: &Compiled::<Transformer, 16, 26>::FLOATS,
        recipe: Recipe { weight_decay: 0.05, averaging: 0.999, ..Recipe::new(24_000, 256, 2e-3) },
        ending: (1000, 8),
    },
    Config {
        name: "convolution",
        network: &Compiled::<Convolution, 16, 26>::FLOATS,
        recipe: Recipe {
            weight_decay: 0.05,
            averaging: 0.999,
            dropout: 0.1,
            ..Recipe::new(48_000, 128, 3e-3)
        },
        ending: (800, 8),
    },
    Config {
        name: "transformer-wide",
        network: &Compiled::<TransformerWide, 32, 128>::FLOATS,
        recipe: Recipe::new(4000, 64, 3e-3),
        ending: (400, 4),
    },
];

/// Names that configurations had until version 0.1, each with the name that took its place.
pub(crate) const RENAMED: [(&str, &str); 6] = [
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
