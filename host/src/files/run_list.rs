//! Finds the list of a run: at its path, or else the copy in the run folder.
//!
//! Its training lines and alphabet must still be those of the run, whose settings hold their digest. In a changed list
//! other lines are held out, some of them trained on.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::engine::description::counted;
use crate::engine::settings::Keep;
use crate::files::corpus::{DEFAULT_INPUT, Lines, Split};
use crate::files::novelty::Novelty;
use crate::files::origin::Origin;
use crate::files::quoting::quoted;
use crate::files::room::Room;
use crate::files::run::{LIST, RETRIEVAL, RunSettings};

/// Warns if lines that `split` of `lines` holds out are lines that a model of `room` was `trained` on. Then `score` says
/// nothing of new lines.
pub(crate) fn seen(
    (trained, own_split): (&Lines, Split),
    (lines, split): (&Lines, Split),
    room: Room,
    score: &str,
) -> Option<String> {
    // Lines that chose a state have been seen too.
    let trained = trained.known(trained, room, own_split, Keep::Last);
    let held_out = lines.held_out(room, split);
    let seen = held_out.iter().filter(|line| trained.novelty(line) == Novelty::Training).count();
    (seen > 0).then(|| {
        format!(
            "the model was trained on {seen} of the {}, so {score} is not that of new lines; for such a score, name \
             a list of other lines with --input",
            counted(held_out.len(), "held-out line")
        )
    })
}

/// A run that left its settings.
#[derive(Clone, Copy)]
pub(crate) struct LeftRun<'a> {
    /// The run folder.
    pub(crate) folder: &'a Path,
    pub(crate) settings: &'a RunSettings,
    /// Room of the trained network.
    pub(crate) room: Room,
    /// The copy that [`kept`](Self::kept) returns, once read.
    pub(crate) kept: &'a OnceCell<Option<Lines>>,
}

/// The list of a run, found.
pub(crate) struct Found {
    pub(crate) lines: Lines,
    /// A note that the list has moved or changed, and that the run's copy is taken.
    pub(crate) note: Option<String>,
    /// Whether another list is at its path.
    pub(crate) changed: bool,
}

impl<'a> LeftRun<'a> {
    /// The path of the run's copy of its list.
    pub(crate) fn copy(&self) -> PathBuf {
        self.folder.join(LIST)
    }

    /// Whether `path` is that of the copy, whose lines are prepared already.
    pub(crate) fn is_copy(&self, path: &Path) -> bool {
        self.copy().canonicalize().is_ok_and(|copy| path.canonicalize().is_ok_and(|path| path == copy))
    }

    /// Whether the run was trained on `lines`.
    pub(crate) fn was_trained_on(&self, lines: &Lines) -> bool {
        lines.digest(self.room, Split::of(self.settings.development)) == self.settings.data_sha256
    }

    /// The run's copy of its list, if present and unaltered; read once.
    pub(crate) fn kept(&self) -> Option<&'a Lines> {
        let read = || {
            let copy = self.copy();
            let lines = if copy.is_file() { Lines::read(Some(&copy)).ok() } else { None };
            lines.filter(|lines| self.was_trained_on(lines))
        };
        self.kept.get_or_init(read).as_ref()
    }

    /// The training lines, which a model with retrieval looks up.
    pub(crate) fn training(&self) -> anyhow::Result<Vec<String>> {
        let there;
        let lines = match self.kept() {
            Some(kept) => Some(kept),
            None => {
                there = self.there().and_then(Result::ok).filter(|lines| self.was_trained_on(lines));
                there.as_ref()
            }
        };
        let lines = lines.ok_or_else(|| {
            let (copy, path) = (self.copy(), quoted(&self.folder.join(RETRIEVAL)));
            let input = self.settings.input.as_deref().unwrap_or(Path::new(DEFAULT_INPUT));
            let (gone, way_out) = match Origin::of(input).is_stream() {
                true => (format!("their copy, {}, is", copy.display()), "it"),
                false => (
                    format!("{} and their copy, {}, are both", input.display(), copy.display()),
                    "one of the two",
                ),
            };
            anyhow!(
                "this run draws with retrieval, which needs its training lines, but {gone} gone or changed; restore \
                 {way_out}, or draw with the network alone, after: mv {path} {path}.old"
            )
        })?;
        Ok(lines.clone().within(self.room, Split::of(self.settings.development))?.training)
    }

    /// Warns if lines of `split` of `lines`, read from `input` and about to be scored, are lines that the run was trained
    /// on. Then `score` says nothing of new lines.
    pub(crate) fn warning(
        &self,
        lines: &Lines,
        split: Split,
        input: Option<&Path>,
        score: &str,
    ) -> Option<String> {
        let own_split = Split::of(self.settings.development);
        let own = self.was_trained_on(lines);
        if own && split == own_split {
            return self.settings.warning();
        }
        let kept = if own { None } else { self.kept() };
        let Some(trained) = kept.or(own.then_some(lines)) else {
            let changed = input.is_some() && input == self.settings.input.as_deref();
            return changed.then(|| {
                format!(
                    "{} has changed since the run was trained on it: lines that are held out now may have \
                     been trained on, and {score} may be too good; to score on another list, name it with \
                     --input",
                    lines.source
                )
            });
        };
        seen((trained, own_split), (lines, split), self.room, score)
    }

    /// The run's copy of its list, if it has other held-out lines than `lines`, on which the run was trained.
    fn other_held_out(&self, lines: &Lines) -> Option<&'a Lines> {
        let split = Split::of(self.settings.development);
        self.kept().filter(|kept| kept.held_out(self.room, split) != lines.held_out(self.room, split))
    }

    /// Reads the list at its path, if it can be read again: a stream cannot.
    fn there(&self) -> Option<anyhow::Result<Lines>> {
        let path = self.settings.input.as_deref();
        let is_stream = path.is_some_and(|path| Origin::of(path).is_stream());
        (!is_stream).then(|| Lines::read_as(path, &self.settings.preparation))
    }

    /// Reads the list from its path, or the run's copy where the list is gone or changed. Without either, the error
    /// offers `or`, besides bringing the list back.
    pub(crate) fn list(&self, or: &str) -> anyhow::Result<Found> {
        let origin = self.settings.input.as_deref().map(Origin::of);
        let name = origin.as_ref().map_or_else(|| "the list of names".to_owned(), Origin::name);
        let there = self.there();
        let taken = |reason: &str, lines: &Lines| {
            Some(format!(
                "the list that the run was trained on is gone or has changed: {reason}; its copy in the run \
                 folder, {}, is taken; to take another list, name it with --input",
                lines.source
            ))
        };
        let changed = matches!(&there, Some(Ok(_)));
        let (reason, error) = match there {
            Some(Ok(lines)) if self.was_trained_on(&lines) => {
                let Some(kept) = self.other_held_out(&lines) else {
                    return Ok(Found { lines, note: None, changed: false });
                };
                let note = taken(&format!("{name} has other held-out lines than when the run began"), kept);
                return Ok(Found { lines: kept.clone(), note, changed: false });
            }
            Some(Ok(_)) => (format!("{name} has changed since the run was trained on it"), None),
            Some(Err(error)) => {
                (format!("the run was trained on {name}, which cannot be read now"), Some(error))
            }
            None if origin == Some(Origin::Stdin) => ("the run was trained on stdin".to_owned(), None),
            None => (format!("the run was trained on {name}, which is no longer a file"), None),
        };
        if let Some(kept) = self.kept() {
            let note = taken(&reason, kept);
            return Ok(Found { lines: kept.clone(), note, changed });
        }
        let way_out = if changed { or } else { "if the list has moved, name it with --input" };
        let message = format!(
            "the list that the run was trained on is gone or has changed: {reason}; its copy in the run \
             folder, {}, is missing or changed too; {way_out}",
            self.copy().display()
        );
        Err(match error {
            Some(error) => anyhow!("{message} ({error:#})"),
            None => anyhow!(message),
        })
    }
}
