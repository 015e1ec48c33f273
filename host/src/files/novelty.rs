//! Whether a drawn text is new, or a line of the list that the model was trained on.

use foldhash::HashMap;

/// The novelty of a drawn text, given the list of its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// A line that the model was trained on.
    Training,
    /// A line of the list that was kept from training: held out to be scored, or to choose a state of the run.
    HeldOut,
    /// No line of the list.
    New,
}

impl Novelty {
    /// Every case, the newest first.
    pub const ALL: [Self; 3] = [Self::New, Self::HeldOut, Self::Training];

    /// The name on screen and in files.
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
pub struct Known<'a>(HashMap<&'a str, Novelty>);

impl<'a> Known<'a> {
    /// From the lines that were trained on, and all lines of the list; the others were held out.
    pub fn new(training: impl Iterator<Item = &'a str>, all: impl Iterator<Item = &'a str>) -> Self {
        let all = all.map(|line| (line, Novelty::HeldOut));
        Self(all.chain(training.map(|line| (line, Novelty::Training))).collect())
    }

    /// The novelty of `text`.
    pub fn novelty(&self, text: &str) -> Novelty {
        self.0.get(text).copied().unwrap_or(Novelty::New)
    }
}
