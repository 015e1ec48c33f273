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

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use micro_diffusion::length::Lengths;
use micro_diffusion::text::Alphabet;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::engine::configurations::{self, Config};
use crate::engine::language::Language;

/// The names that come with the program, for when no file is given and none is found.
const NAMES: &str = include_str!("../../../data/names.txt");
/// Where they lie in the repository.
pub(crate) const DEFAULT_INPUT: &str = "data/names.txt";
/// One line in this many is held out.
const HOLD_OUT_EVERY: usize = 10;
/// Characters of the largest alphabet.
const MOST_CHARACTERS: usize = 255;
/// A configuration fits a file that it can take all but one in so many lines of.
const SPARED: usize = 50;

/// The lines of a text file, each once.
pub(crate) struct Lines {
    /// Where they came from, for messages.
    pub(crate) source: String,
    lines: Vec<String>,
    /// Every character of them.
    characters: BTreeSet<char>,
    blank: usize,
    repeated: usize,
}

/// Lines for one configuration.
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
#[derive(Default)]
pub(crate) struct Dropped {
    pub(crate) blank: usize,
    pub(crate) repeated: usize,
    pub(crate) too_long: usize,
    pub(crate) too_rare: usize,
}

/// What a network can hold of a text.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) positions: usize,
    pub(crate) characters: usize,
}

impl Room {
    /// That of `config`.
    pub(crate) fn of(config: &Config) -> Self {
        let shape = config.network.shape();
        Self { positions: shape.positions, characters: shape.symbols.min(MOST_CHARACTERS) }
    }

    /// For lines of `positions` characters whatever they are: what the alphabet lacks is another's to sort out.
    pub(crate) fn any_character(positions: usize) -> Self {
        Self { positions, characters: usize::MAX }
    }
}

impl Lines {
    /// Reads `path`, or the names that come with the program.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_INPUT);
        match path.or_else(|| default.exists().then_some(default)) {
            Some(path) => Self::of(path.display().to_string(), read_bytes(path)?),
            None => Self::built_in(),
        }
    }

    /// The names that come with the program.
    pub(crate) fn built_in() -> anyhow::Result<Self> {
        Self::of("the built-in names".to_owned(), NAMES.into())
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
        let characters = lines.iter().flat_map(|line: &String| line.chars()).collect();
        Ok(Self { source, lines, characters, blank, repeated })
    }

    /// Characters in the longest line.
    fn longest(&self) -> usize {
        self.lines.iter().map(|line| length(line)).max().unwrap_or(0)
    }

    /// The characters that `room` has no symbol for: all but the most frequent of the lines that are not too long.
    fn rare(&self, room: Room) -> HashSet<char> {
        if self.characters.len() <= room.characters {
            return HashSet::new();
        }
        let mut counts = BTreeMap::<char, usize>::new();
        for line in self.lines.iter().filter(|line| length(line) <= room.positions) {
            for character in line.chars().collect::<HashSet<_>>() {
                *counts.entry(character).or_default() += 1;
            }
        }
        let mut counts: Vec<(char, usize)> = counts.into_iter().collect();
        // Stable: of equals, the first in code point order stays.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().skip(room.characters).map(|(character, _)| character).collect()
    }

    /// How many lines `room` cannot take: too long, with too rare a character.
    fn lost(&self, room: Room) -> (usize, usize) {
        let long = self.lines.iter().filter(|line| length(line) > room.positions).count();
        let rare = self.rare(room);
        let unknown =
            |line: &&String| length(line) <= room.positions && line.chars().any(|c| rare.contains(&c));
        (long, self.lines.iter().filter(unknown).count())
    }

    /// Whether `lost` of the lines can be spared.
    fn spares(&self, lost: usize) -> bool {
        lost * SPARED <= self.lines.len()
    }

    /// The configuration for these lines: the default, if it can take all but one in fifty of them, else the one with
    /// the least room that can, else the one that has symbols for them and loses the fewest.
    pub(crate) fn config(&self) -> anyhow::Result<&'static Config> {
        let mut configs: Vec<&Config> = configurations::CONFIGS.iter().collect();
        let room = |config: &Config| {
            let Room { positions, characters } = Room::of(config);
            (config.name != configurations::DEFAULT, positions * characters, config.network.parameters())
        };
        configs.sort_by_key(|config| room(config));
        let lost = |config: &Config| self.lost(Room::of(config));
        let fits = |config: &&&Config| {
            let (long, rare) = lost(config);
            self.spares(long + rare)
        };
        let readable = configs.iter().filter(|config| self.spares(lost(config).1));
        let found = configs.iter().find(fits).or_else(|| readable.min_by_key(|config| lost(config).0));
        found.copied().with_context(|| {
            let most =
                configurations::CONFIGS.iter().map(|config| Room::of(config).characters).max().unwrap_or(0);
            self.too_many_characters(&format!("every configuration has room for {most} at most"), "")
        })
    }

    /// That there are too many characters for `room`, in words; and what to do about it.
    fn too_many_characters(&self, room: &str, advice: &str) -> String {
        format!(
            "{} uses {} different characters, and {room}; {advice}reduce them, for example by writing everything \
             in lower case",
            self.source,
            self.characters.len()
        )
    }

    /// The lines that `config` can take.
    pub(crate) fn corpus(self, config: &Config, split: Split) -> anyhow::Result<Corpus> {
        let room = Room::of(config);
        if !self.spares(self.lost(room).1) {
            let takes = |other: &&Config| self.spares(self.lost(Room::of(other)).1);
            let names: Vec<&str> =
                configurations::CONFIGS.iter().filter(takes).map(|other| other.name).collect();
            let advice = if names.is_empty() {
                String::new()
            } else {
                format!("choose --config {}, or ", names.join(" or "))
            };
            let room = format!("the configuration {} has room for {}", config.name, room.characters);
            bail!("{}", self.too_many_characters(&room, &advice));
        }
        self.within(room, split)
    }

    /// The lines that there is `room` for.
    pub(crate) fn within(self, room: Room, split: Split) -> anyhow::Result<Corpus> {
        let (longest, rare) = (self.longest(), self.rare(room));
        let (too_long, too_rare) = self.lost(room);
        let fits = self.spares(too_long + too_rare);
        let Self { source, lines, blank, repeated, .. } = self;
        let (mut training, mut held_out) = hold_out(lines);
        if split == Split::Development {
            (training, held_out) = hold_out(training);
        }
        for side in [&mut training, &mut held_out] {
            side.retain(|line| length(line) <= room.positions && !line.chars().any(|c| rare.contains(&c)));
        }
        if training.is_empty() && too_long > 0 {
            bail!(
                "{source}: every line is longer than {} characters, the longest has {longest}; {}",
                room.positions,
                configurations::advice_for_length(longest)
            );
        }
        if training.is_empty() {
            bail!("{source}: no line to train on; put one example on each line");
        }
        let characters: BTreeSet<char> =
            training.iter().chain(&held_out).flat_map(|line| line.chars()).collect();
        let alphabet = characters.into_iter().collect();
        let dropped = Dropped { blank, repeated, too_long, too_rare };
        let lengths = (1..=room.positions).map(|n| {
            let count = training.iter().filter(|line| length(line) == n).count();
            (count as u32).to_le_bytes()
        });
        let lengths = lengths.collect();
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

/// Characters of a line.
fn length(line: &str) -> usize {
    line.chars().count()
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
