//! The networks by name, each with its rooms and the recipe that trains it well.

use micro_diffusion::config::{
    Convolution, ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual,
    Transformer, TransformerLarge, TransformerLocal, TransformerLocalLarge,
};
use micro_diffusion::denoiser::Shape;

use crate::engine::compiled::Compiled;
use crate::engine::network::Network;
use crate::engine::settings::{ListSize, Recipe, Settings, WIDTH};

/// Fewest lines that a score is of, however long they are.
const LEAST_SCORED: usize = 100;

/// A name that `--config` takes: one network in every room that is compiled in.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    rooms: &'static [&'static dyn Network],
    recipe: Recipe,
    ending: (usize, u32),
}

/// A network in one of its rooms, and how to train it.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) network: &'static dyn Network,
    pub(crate) recipe: Recipe,
    /// Held-out lines at most, and random orders of each, that score it at the end of training: up to three seconds on two cores.
    pub(crate) ending: (usize, u32),
}

impl Config {
    /// The settings that train it on a list of this `size`.
    pub(crate) fn settings(&self, size: ListSize) -> Settings {
        Settings::new(self.name, self.recipe, self.network.parameters(), size)
    }

    /// The number of lines of `width` positions in the mean that are scored in the time of `lines` lines of [`WIDTH`];
    /// [`LEAST_SCORED`] at least, and `lines` at most.
    ///
    /// A line has as many evaluations as letters, each of all its positions, so the time is as the square of the width.
    pub(crate) fn fewer_of_long(&self, lines: usize, width: f64) -> usize {
        let share = (WIDTH / width).powi(2).min(1.0);
        ((lines as f64 * share) as usize).max(LEAST_SCORED.min(lines))
    }

    /// Its room, positions and symbols: “16 × 64”.
    pub(crate) fn room(&self) -> String {
        let Shape { positions, symbols, .. } = self.network.shape();
        format!("{positions} × {symbols}")
    }

    /// Its network and its room: “convolution-medium 16 × 64”.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.room())
    }
}

impl Family {
    /// The network in each of its rooms.
    pub(crate) fn configs(&self) -> impl Iterator<Item = Config> {
        let Self { name, recipe, ending, rooms } = self;
        rooms.iter().map(|network| Config { name, network: *network, recipe: *recipe, ending: *ending })
    }
}

/// The network for text that it has room for, where none is named: it trains fastest.
pub(crate) const DEFAULT: &str = "perceptron";
/// The network for other text, where none is named: it learns most in the time.
pub(crate) const DEFAULT_ELSEWHERE: &str = "convolution-medium";

/// The recipe of a transformer.
const TRANSFORMER: Recipe =
    Recipe { weight_decay: 0.05, averaging: 0.999, dropout: 0.1, ..Recipe::new(36_000, 256, 4e-3) };
/// The recipe of a larger one.
const LARGE: Recipe = Recipe { steps: 48_000, learning_rate: 3e-3, dropout: 0.15, ..TRANSFORMER };

/// A network of one type in several rooms, positions and symbols, with the number formats `$formats`.
macro_rules! rooms {
    ($network:ident::$formats:ident, $([$positions:literal, $symbols:literal]),*) => {
        &[$(&Compiled::<$network<$positions, $symbols>, $positions, $symbols>::$formats),*]
    };
}

/// A network of one type in every room for text of one's own.
macro_rules! every_room {
    ($network:ident) => {
        rooms!($network::ALL, [16, 26], [16, 64], [24, 64], [32, 128], [8, 255], [64, 255])
    };
}

/// All of them.
pub(crate) static FAMILIES: [Family; 11] = [
    Family {
        name: DEFAULT,
        rooms: &[&Compiled::<Perceptron, 12, 26>::ALL],
        recipe: Recipe {
            weight_decay: 0.02,
            averaging: 0.9995,
            dropout_a_doubling: 0.2,
            ..Recipe::new(40_000, 64, 8e-3)
        },
        ending: (3200, 64),
    },
    Family {
        name: "perceptron-small",
        rooms: &[&Compiled::<PerceptronSmall, 12, 26>::ALL],
        recipe: Recipe { weight_decay: 0.0, averaging: 0.9995, ..Recipe::new(40_000, 256, 8e-3) },
        ending: (3200, 64),
    },
    Family {
        name: "convolution-small",
        rooms: every_room!(ConvolutionSmall),
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 256, 6e-3) },
        ending: (3200, 8),
    },
    Family {
        name: "convolution-chip",
        rooms: &[&Compiled::<ConvolutionChip, 16, 26>::ALL],
        recipe: Recipe { averaging: 0.999, ..Recipe::new(12_000, 128, 6e-3) },
        ending: (3200, 8),
    },
    Family {
        name: DEFAULT_ELSEWHERE,
        rooms: every_room!(ConvolutionMedium),
        recipe: Recipe { averaging: 0.999, dropout_of_seen: 0.4, ..Recipe::new(4800, 128, 4e-3) },
        ending: (1600, 8),
    },
    Family {
        name: "convolution",
        rooms: every_room!(Convolution),
        recipe: Recipe {
            weight_decay: 0.05,
            averaging: 0.999,
            dropout: 0.1,
            ..Recipe::new(48_000, 128, 3e-3)
        },
        ending: (800, 8),
    },
    Family {
        name: "residual",
        rooms: &[&Compiled::<Residual, 12, 26>::ALL],
        recipe: Recipe::new(5000, 64, 3e-3),
        ending: (3200, 16),
    },
    Family {
        name: "transformer",
        rooms: rooms!(Transformer::FLOATS, [16, 26], [64, 255]),
        recipe: TRANSFORMER,
        ending: (1000, 8),
    },
    Family {
        name: "transformer-local",
        rooms: rooms!(TransformerLocal::FLOATS, [16, 26], [64, 255]),
        recipe: TRANSFORMER,
        ending: (1000, 8),
    },
    Family {
        name: "transformer-large",
        rooms: &[&Compiled::<TransformerLarge, 16, 26>::FLOATS],
        recipe: LARGE,
        ending: (800, 8),
    },
    Family {
        name: "transformer-local-large",
        rooms: &[&Compiled::<TransformerLocalLarge, 16, 26>::FLOATS],
        recipe: LARGE,
        ending: (800, 8),
    },
];

/// Names that networks once had, each with the name that took its place.
pub(crate) const RENAMED: [(&str, &str); 7] = [
    ("micro", "perceptron"),
    ("tiny", "perceptron-small"),
    ("pebble", "convolution-small"),
    ("cobble", "convolution-chip"),
    ("boulder", "convolution"),
    ("wide", "transformer"),
    ("transformer-wide", "transformer"),
];

/// The present name of the network that was once called `name`.
pub(crate) fn renamed(name: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
}

/// The network called `name`.
pub(crate) fn by_name(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// Every network in each of its rooms.
pub(crate) fn all() -> impl Iterator<Item = Config> {
    FAMILIES.iter().flat_map(Family::configs)
}

/// The network and the room of a model of `shape`.
pub(crate) fn by_shape(shape: Shape) -> Option<Config> {
    all().find(|config| config.network.shape() == shape)
}
