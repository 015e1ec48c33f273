//! A text file, prepared for training: one order for everyone's text.
//!
//! Trim each line, drop blank ones, drop duplicates (the first stays), number the rest from 1, hold out every tenth,
//! and drop from both sides what is longer than the network's positions.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use micro_diffusion::text::Alphabet;
use sha2::{Digest, Sha256};

use crate::config::{self, Config};

/// The names that come with the program, for when no file is given and none is found.
const NAMES: &str = include_str!("../../data/names.txt");
/// Where they lie in the repository.
pub(crate) const DEFAULT_INPUT: &str = "data/names.txt";
/// Every which line is held out.
const HOLD_OUT_EVERY: usize = 10;

/// A prepared text file.
pub(crate) struct Corpus {
    /// Where it came from, for messages.
    pub(crate) source: String,
    /// What is trained on.
    pub(crate) training: Vec<String>,
    /// What is never trained on.
    pub(crate) held_out: Vec<String>,
    /// Every character that occurs, in code point order.
    pub(crate) alphabet: String,
    /// Characters in the longest line, dropped ones too.
    pub(crate) longest: usize,
    /// Lines dropped: blank, repeated, longer than the positions.
    pub(crate) dropped: Dropped,
}

/// Which lines are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// Every tenth line: the score of record.
    Record,
    /// Every tenth of the lines that are left without those, which stay unseen: for choosing settings.
    Development,
}

/// How many lines were dropped, and why.
#[derive(Default)]
pub(crate) struct Dropped {
    pub(crate) blank: usize,
    pub(crate) repeated: usize,
    pub(crate) too_long: usize,
}

impl Corpus {
    /// Reads and prepares `path`, or the names that come with the program, for `positions` positions.
    pub(crate) fn load(path: Option<&Path>, positions: usize, split: Split) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_INPUT);
        let (source, text) = match path.or_else(|| default.exists().then_some(default)) {
            Some(path) => (path.display().to_string(), read_text(path)?),
            None => ("the built-in names".to_owned(), NAMES.to_owned()),
        };
        let corpus = Self::prepare(source, &text, positions, split);
        let source = &corpus.source;
        if corpus.training.is_empty() && corpus.dropped.too_long > 0 {
            bail!(
                "{source}: every line is longer than {positions} characters, the longest has {}; \
                 shorten the lines or choose a configuration with more positions",
                corpus.longest
            );
        }
        if corpus.training.is_empty() {
            bail!("{source}: no line to train on; put one example on each line");
        }
        Ok(corpus)
    }

    fn prepare(source: String, text: &str, positions: usize, split: Split) -> Self {
        let mut dropped = Dropped::default();
        let (mut seen, mut kept) = (HashSet::new(), Vec::new());
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            if line.is_empty() {
                dropped.blank += 1;
            } else if seen.insert(line) {
                kept.push(line.to_owned());
            } else {
                dropped.repeated += 1;
            }
        }
        let longest = kept.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let (mut training, mut held_out) = hold_out(kept);
        if split == Split::Development {
            (training, held_out) = hold_out(training);
        }
        for side in [&mut training, &mut held_out] {
            let before = side.len();
            side.retain(|line| line.chars().count() <= positions);
            dropped.too_long += before - side.len();
        }
        let characters: BTreeSet<char> =
            training.iter().chain(&held_out).flat_map(|line| line.chars()).collect();
        Self { source, training, held_out, alphabet: characters.into_iter().collect(), longest, dropped }
    }

    /// The alphabet, if `config` has a symbol for each character.
    pub(crate) fn alphabet(&self, config: &Config) -> anyhow::Result<Alphabet<'_>> {
        let characters = self.alphabet.chars().count();
        let room = config.network.shape().symbols - 1;
        if characters > room {
            let fitting: Vec<&str> = config::CONFIGS
                .iter()
                .filter(|other| other.network.shape().symbols > characters)
                .map(|other| other.name)
                .collect();
            let advice = if fitting.is_empty() {
                "reduce them, for example by writing everything in lower case".to_owned()
            } else {
                format!("choose --config {}", fitting.join(" or "))
            };
            bail!(
                "{} uses {characters} different characters, and the configuration {} has room for {room}; {advice}",
                self.source,
                config.name
            );
        }
        Alphabet::new(&self.alphabet).map_err(|error| anyhow::anyhow!("{}: {error:?}", self.source))
    }

    /// SHA-256 of what training depends on: the training lines in their order, and the alphabet.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for line in self.training.iter().chain([&self.alphabet]) {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Numbers `lines` from 1 and takes every tenth out: (the others, those).
fn hold_out(lines: Vec<String>) -> (Vec<String>, Vec<String>) {
    let numbered = lines.into_iter().enumerate();
    let (held_out, training): (Vec<_>, Vec<_>) =
        numbered.partition(|(index, _)| (index + 1).is_multiple_of(HOLD_OUT_EVERY));
    let text = |side: Vec<(usize, String)>| side.into_iter().map(|(_, line)| line).collect();
    (text(training), text(held_out))
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    if path.is_dir() {
        bail!("{} is a folder; give a text file with one example a line", path.display());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            bail!(
                "{}: line {line} is not UTF-8; save the file as UTF-8 (for example with iconv -f latin1 -t utf-8)",
                path.display()
            )
        }
    }
}
