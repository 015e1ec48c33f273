//! Whether a drawn text is new, or a line of the list that the model was trained on.

use foldhash::HashSet;

/// Where a drawn text stands to the list that a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It is a line that the model was trained on.
    Training,
    /// It is a line of the list that the model was not trained on: held out to be scored, or to choose a state of the run.
    HeldOut,
    /// It is no line of the list.
    New,
}

impl Novelty {
    /// Every case, the newest first.
    pub const ALL: [Self; 3] = [Self::New, Self::HeldOut, Self::Training];

    /// What it is called on screen and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training line",
            Self::HeldOut => "held-out line",
            Self::New => "new",
        }
    }
}

/// The lines of a list, and which of them a model was trained on.
#[derive(Clone)]
pub struct Known<'a> {
    training: HashSet<&'a str>,
    all: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    /// Takes the lines that were trained on, and all lines of the list: what only these have was held out.
    pub fn new(training: impl Iterator<Item = &'a str>, all: impl Iterator<Item = &'a str>) -> Self {
        Self { training: training.collect(), all: all.collect() }
    }

    /// Where `text` stands to them.
    pub fn novelty(&self, text: &str) -> Novelty {
        if self.training.contains(text) {
            Novelty::Training
        } else if self.all.contains(text) {
            Novelty::HeldOut
        } else {
            Novelty::New
        }
    }
}
