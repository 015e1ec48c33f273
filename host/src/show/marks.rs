//! Marks on drawn names that are lines of the list, and counts of them.

use crate::engine::description::counted;
use crate::files::novelty::{Known, Novelty};

/// The meaning of the marks.
pub(crate) const LEGEND: &str = "† a training line, ‡ a held-out line, unmarked: new";

/// Columns of a mark behind a name.
pub(crate) const MARK_COLUMNS: usize = 2;

/// The mark behind a name.
pub(crate) fn mark(novelty: Novelty) -> Option<&'static str> {
    match novelty {
        Novelty::Training => Some("†"),
        Novelty::HeldOut => Some("‡"),
        Novelty::New => None,
    }
}

/// `text` with its mark, if the list is `known`.
pub(crate) fn marked(text: &str, known: Option<&Known>) -> String {
    let mark = known.and_then(|known| mark(known.novelty(text)));
    mark.map_or_else(|| text.to_owned(), |mark| format!("{text} {mark}"))
}

/// Counts of new names, held-out lines and training lines.
#[derive(Default)]
pub(crate) struct Tally([usize; Novelty::ALL.len()]);

impl Tally {
    /// Counts a name.
    pub(crate) fn note(&mut self, novelty: Novelty) {
        for (count, _) in self.0.iter_mut().zip(Novelty::ALL).filter(|(_, one)| *one == novelty) {
            *count += 1;
        }
    }

    /// Counts names of these kinds.
    pub(crate) fn of(novelties: impl Iterator<Item = Novelty>) -> Self {
        let mut tally = Self::default();
        novelties.for_each(|novelty| tally.note(novelty));
        tally
    }

    /// The count of one kind.
    pub(crate) fn count(&self, novelty: Novelty) -> usize {
        self.0.iter().zip(Novelty::ALL).filter(|(_, one)| *one == novelty).map(|(count, _)| count).sum()
    }

    /// The count of all kinds.
    pub(crate) fn all(&self) -> usize {
        self.0.iter().sum()
    }

    /// “12 new, 1 held-out line ‡, 7 training lines †”, with or without `marks`.
    pub(crate) fn in_words(&self, marks: bool) -> String {
        let kinds = self.0.iter().zip(Novelty::ALL).filter(|(count, _)| **count > 0);
        let kinds: Vec<String> = kinds
            .map(|(count, novelty)| match mark(novelty) {
                None => format!("{count} {}", novelty.name()),
                Some(mark) if marks => format!("{} {mark}", counted(*count, novelty.name())),
                Some(_) => counted(*count, novelty.name()),
            })
            .collect();
        if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
    }
}
