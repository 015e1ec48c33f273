//! A text file, prepared for training: one order for everyone's text.
//!
//! Compose each line (NFC), trim it, drop blank ones, drop duplicates (the first stays), number the rest from 1, hold out
//! every tenth, and drop from both sides what is longer than the network's positions or has a character too rare for its
//! symbols.
//!
//! A symbol is a Unicode code point of the composed text, so that é, ゾ or 한 is one symbol however the file spells it. A
//! mark that Unicode has no composed form for, such as most vowel signs of Devanagari or Thai, is a symbol of its own
//! beside its letter. Whole grapheme clusters as symbols would need an alphabet of strings, in firmware too, and would
//! hide from the model that the same sign recurs on many letters.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use micro_diffusion::length::Lengths;
use micro_diffusion::text::Alphabet;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::engine::configurations::Config;
use crate::engine::language::Language;
use crate::files::room::{Loss, Room, length_of};

/// The names that come with the program, for when no file is given and none is found.
const NAMES: &str = include_str!("../../../data/names.txt");
/// Where they lie in the repository.
pub(crate) const DEFAULT_INPUT: &str = "data/names.txt";
/// One line in this many is held out.
const HOLD_OUT_EVERY: usize = 10;
/// The lines of a text file, each once.
pub(crate) struct Lines {
    /// Where they came from, for messages.
    pub(crate) source: String,
    pub(crate) lines: Vec<String>,
    blank: usize,
    repeated: usize,
}

/// Lines for one room.
pub(crate) struct Corpus {
    /// Where they came from, for messages.
    pub(crate) source: String,
    /// What is trained on.
    pub(crate) training: Vec<String>,
    /// What is never trained on.
    pub(crate) held_out: Vec<String>,
    /// Every character that occurs, in code point order.
    pub(crate) alphabet: String,
    /// How many training lines have each length, as [`Lengths`] takes them.
    lengths: Vec<[u8; 4]>,
    /// Characters in the longest line, dropped ones too.
    pub(crate) longest: usize,
    /// Lines dropped, and why.
    pub(crate) dropped: Dropped,
    /// Whether there was room for all but a few of them.
    pub(crate) fits: bool,
}

/// Which lines are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// Every tenth line: the score of record.
    Record,
    /// Every tenth of the lines that are left without those, which stay unseen: for choosing settings.
    Development,
}

impl Split {
    /// The development split if `development`, else that of record.
    pub(crate) fn of(development: bool) -> Self {
        if development { Self::Development } else { Self::Record }
    }
}

/// How many lines were dropped, and why.
pub(crate) struct Dropped {
    pub(crate) blank: usize,
    pub(crate) repeated: usize,
    pub(crate) too_long: usize,
    pub(crate) too_rare: usize,
    /// What there was room for.
    pub(crate) room: Room,
}

impl Lines {
    /// Reads `path`, or the names that come with the program.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_INPUT);
        match path.or_else(|| default.exists().then_some(default)) {
            Some(path) => Self::of(path.display().to_string(), read_bytes(path)?),
            None => Self::of("the built-in names".to_owned(), NAMES.into()),
        }
    }

    /// The lines of the text file `bytes`, which came from `source`.
    pub(crate) fn of(source: String, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let prepared = prepared(&source, bytes)?;
        let (mut seen, mut lines) = (HashSet::new(), Vec::new());
        let (mut blank, mut repeated) = (0, 0);
        for line in prepared {
            if line.is_empty() {
                blank += 1;
            } else if seen.insert(line.clone()) {
                lines.push(line);
            } else {
                repeated += 1;
            }
        }
        Ok(Self { source, lines, blank, repeated })
    }

    /// The lines that `config` has room for.
    pub(crate) fn corpus(self, config: &Config, split: Split) -> anyhow::Result<Corpus> {
        self.within(Room::of(config), split)
    }

    /// The lines that there is `room` for.
    pub(crate) fn within(self, room: Room, split: Split) -> anyhow::Result<Corpus> {
        let loss = Loss::of(&self.lines, room);
        let fits = loss.is_spared(&self.lines);
        let Loss { too_long, too_rare, rare } = loss;
        let Self { source, lines, blank, repeated } = self;
        let longest = lines.iter().map(|line| length_of(line)).max().unwrap_or(0);
        let (mut training, mut held_out) = hold_out(lines);
        if split == Split::Development {
            (training, held_out) = hold_out(training);
        }
        for side in [&mut training, &mut held_out] {
            side.retain(|line| length_of(line) <= room.positions && !line.chars().any(|c| rare.contains(&c)));
        }
        let Room { positions, characters } = room;
        if training.is_empty() && too_long > 0 {
            bail!(
                "{source}: no line to train on is left: {too_long} have more than {positions} characters, the longest has \
                 {longest}; shorten the lines"
            );
        }
        if training.is_empty() && too_rare > 0 {
            bail!(
                "{source}: no line to train on is left: each has a character that is not among the {characters} most \
                 frequent; put an example of a few characters on each line"
            );
        }
        if training.is_empty() {
            bail!("{source}: no line to train on; put one example on each line");
        }
        let alphabet: BTreeSet<char> =
            training.iter().chain(&held_out).flat_map(|line| line.chars()).collect();
        let alphabet = alphabet.into_iter().collect();
        let dropped = Dropped { blank, repeated, too_long, too_rare, room };
        let mut lengths = vec![0_u32; positions];
        for line in &training {
            lengths[length_of(line) - 1] += 1;
        }
        let lengths = lengths.into_iter().map(u32::to_le_bytes).collect();
        Ok(Corpus { source, training, held_out, alphabet, lengths, longest, dropped, fits })
    }
}

impl Corpus {
    /// The characters as symbols, and how long the training lines are.
    pub(crate) fn language(&self) -> anyhow::Result<Language<'_>> {
        let alphabet =
            Alphabet::new(&self.alphabet).map_err(|error| anyhow::anyhow!("{}: {error:?}", self.source))?;
        let lengths = Lengths::new(&self.lengths)
            .with_context(|| format!("{}: more lines than 32 bits count", self.source))?;
        Ok(Language { alphabet, lengths })
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

/// The lines of the text `bytes`, which came from `source`: each composed (NFC) and trimmed; blank and repeated ones too.
pub(crate) fn prepared(source: &str, bytes: Vec<u8>) -> anyhow::Result<Vec<String>> {
    let text = text_of(source, bytes)?;
    let lines = text.trim_start_matches('\u{feff}').lines();
    Ok(lines.map(|line| line.nfc().collect::<String>().trim().to_owned()).collect())
}

/// Numbers `lines` from 1 and takes every tenth out: (the others, those).
fn hold_out(lines: Vec<String>) -> (Vec<String>, Vec<String>) {
    let numbered = lines.into_iter().enumerate();
    let (held_out, training): (Vec<_>, Vec<_>) =
        numbered.partition(|(index, _)| (index + 1).is_multiple_of(HOLD_OUT_EVERY));
    let text = |side: Vec<(usize, String)>| side.into_iter().map(|(_, line)| line).collect();
    (text(training), text(held_out))
}

fn read_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.is_dir() {
        bail!("{} is a folder; give a text file with one example a line", path.display());
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The text that `bytes` are, if it is one to train on.
fn text_of(source: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
    match String::from_utf8(bytes) {
        Ok(text) => refuse_directives(source, &text).map(|()| text),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            bail!(
                "{source}: line {line} is not UTF-8; save the file as UTF-8 (for example with iconv -f latin1 -t utf-8)"
            )
        }
    }
}

/// Refuses text with characters that are not for reading: each would become a symbol of the alphabet.
fn refuse_directives(source: &str, text: &str) -> anyhow::Result<()> {
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        let Some(character) = line.chars().find(|character| is_directive(*character)) else { continue };
        let (what, way_out) = match character {
            '\r' => {
                ("a carriage return inside it", "end lines as Unix does, for example with tr '\\r' '\\n'")
            }
            '\t' => {
                ("a tab inside it", "keep one column, for example with cut -f1, or put spaces with expand")
            }
            _ if character.is_control() => {
                ("a control character inside it", "remove it, for example with sed 's/[[:cntrl:]]//g'")
            }
            _ => (
                "a character that turns the direction of the text",
                "remove it; letters have theirs without it",
            ),
        };
        bail!("{source}: line {number} has {what} (U+{:04X}); {way_out}", u32::from(character));
    }
    Ok(())
}

/// Whether `character` is a control character or a bidirectional override.
pub(crate) fn is_directive(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
