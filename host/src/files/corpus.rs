//! A list, prepared for training: one order for everyone's text.
//!
//! [Prepare](crate::files::preparation) each line, drop blank ones, drop repeated ones (the first stays), number the rest from 1,
//! hold out every tenth, and drop from both sides what is longer than the network's positions or has a character too rare for
//! its symbols.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail};
use micro_diffusion::length::Lengths;
use micro_diffusion::text::Alphabet;
use sha2::{Digest, Sha256};

use crate::engine::configurations::{self, Config};
use crate::engine::language::Language;
use crate::files::characters::Invisible;
use crate::files::decoding::decode;
use crate::files::origin::Origin;
use crate::files::preparation::{self, Preparation};
use crate::files::table;

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

/// The lines of a list, each once.
pub(crate) struct Lines {
    /// Where they came from, for messages.
    pub(crate) source: String,
    lines: Vec<String>,
    /// Every character of them.
    characters: BTreeSet<char>,
    /// What was dropped on the way.
    dropped: Dropped,
    /// That they look like a table, and what to do then.
    table: Option<String>,
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
    /// That they look like a table, and what to do then.
    pub(crate) table: Option<String>,
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

/// How many lines were dropped, and why; and the characters in lines that cannot be seen.
#[derive(Default)]
pub(crate) struct Dropped {
    pub(crate) invisible: Invisible,
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
    /// Reads the list at `path`, which may be stdin; without one, the names, which come with the program.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        Self::read_as(path, &Preparation::default())
    }

    /// [Reads](Self::read) a list as `preparation` says.
    pub(crate) fn read_as(path: Option<&Path>, preparation: &Preparation) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_INPUT);
        let path = path.or_else(|| default.exists().then_some(default));
        let origin = path.map_or(Origin::BuiltIn, Origin::of);
        Self::of(&origin, read_bytes(&origin)?, preparation)
    }

    /// The lines of the list `bytes`, which came from `origin`.
    pub(crate) fn of(origin: &Origin, bytes: Vec<u8>, preparation: &Preparation) -> anyhow::Result<Self> {
        let text = decode(origin, bytes)?;
        let lowercase = preparation.lowercase;
        let mut table = None;
        let (mut lines, invisible) = if let Some(column) = &preparation.column {
            let cells = table::column(origin, &text, column)?;
            preparation::lines(origin, cells.iter().map(String::as_str), lowercase)
        } else {
            table = table::notice(&text);
            let prepared = preparation::lines(origin, text.lines(), lowercase);
            prepared.map_err(|error| match &table {
                // The separators are what was refused.
                Some(table) if text.contains('\t') => anyhow::anyhow!("{}: {table}", origin.name()),
                _ => error,
            })
        }?;
        let all = lines.len();
        lines.retain(|line| !line.is_empty());
        let blank = all - lines.len();
        let mut seen = HashSet::with_capacity(lines.len());
        let mut first = lines.iter().map(|line| seen.insert(line.as_str())).collect::<Vec<_>>().into_iter();
        lines.retain(|_| first.next().unwrap_or(false));
        let dropped = Dropped { invisible, blank, repeated: all - blank - lines.len(), ..Dropped::default() };
        let characters = characters_of(&lines);
        Ok(Self { source: origin.name(), lines, characters, dropped, table })
    }

    /// The lines as a list: read again, they are the same.
    pub(crate) fn to_text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
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
        let longest = self.longest();
        let (too_long, too_rare) = self.lost(room);
        let fits = self.spares(too_long + too_rare);
        let [training, held_out] = self.sides(room, split).map(owned);
        let Self { source, dropped, table, .. } = self;
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
        let alphabet = alphabet(training.iter().chain(&held_out));
        let dropped = Dropped { too_long, too_rare, ..dropped };
        let mut lengths = vec![0_u32; room.positions];
        for line in &training {
            if let Some(count) = lengths.get_mut(length(line) - 1) {
                *count += 1;
            }
        }
        let lengths = lengths.into_iter().map(u32::to_le_bytes).collect();
        Ok(Corpus { source, training, held_out, alphabet, lengths, longest, dropped, fits, table })
    }

    /// The lines that there is `room` for: those to train on, and those held out.
    fn sides(&self, room: Room, split: Split) -> [Vec<&String>; 2] {
        let (mut training, mut held_out) = hold_out(self.lines.iter().collect());
        if split == Split::Development {
            (training, held_out) = hold_out(training);
        }
        let rare = self.rare(room);
        let fits = |line: &&String| {
            length(line) <= room.positions && (rare.is_empty() || !line.chars().any(|c| rare.contains(&c)))
        };
        [training, held_out].map(|side| side.into_iter().filter(fits).collect())
    }

    /// What [`Corpus::digest`] is of the lines that there is `room` for.
    pub(crate) fn digest(&self, room: Room, split: Split) -> String {
        let [training, held_out] = self.sides(room, split);
        digest(training.iter().copied(), &alphabet(training.iter().chain(&held_out).copied()))
    }

    /// The lines to train on that there is `room` for.
    pub(crate) fn trained_on(&self, room: Room, split: Split) -> HashSet<&str> {
        let [training, _] = self.sides(room, split);
        training.into_iter().map(String::as_str).collect()
    }

    /// The held-out lines that there is `room` for.
    pub(crate) fn held_out(&self, room: Room, split: Split) -> Vec<&String> {
        let [_, held_out] = self.sides(room, split);
        held_out
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
        digest(self.training.iter(), &self.alphabet)
    }
}

/// SHA-256 of `lines` and `alphabet`, each with its end.
fn digest<'a>(lines: impl Iterator<Item = &'a String>, alphabet: &'a String) -> String {
    let mut hash = Sha256::new();
    for line in lines.chain([alphabet]) {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every character of `lines`.
fn characters_of<'a>(lines: impl IntoIterator<Item = &'a String>) -> BTreeSet<char> {
    let (mut ascii, mut others) = ([false; 128], HashSet::new());
    for character in lines.into_iter().flat_map(|line| line.chars()) {
        match ascii.get_mut(character as usize) {
            Some(seen) => *seen = true,
            None => _ = others.insert(character),
        }
    }
    let ascii = (0_u8..).zip(ascii).filter(|(_, seen)| *seen).map(|(byte, _)| char::from(byte));
    ascii.chain(others).collect()
}

/// Every character of `lines`, in code point order.
fn alphabet<'a>(lines: impl IntoIterator<Item = &'a String>) -> String {
    characters_of(lines).into_iter().collect()
}

/// `lines` of their own.
fn owned(lines: Vec<&String>) -> Vec<String> {
    lines.into_iter().cloned().collect()
}

/// Characters of a line.
fn length(line: &str) -> usize {
    line.chars().count()
}

/// Numbers `lines` from 1 and takes every tenth out: (the others, those).
fn hold_out<'a>(lines: Vec<&'a String>) -> (Vec<&'a String>, Vec<&'a String>) {
    let numbered = (1_usize..).zip(lines);
    let (held_out, training): (Vec<_>, Vec<_>) =
        numbered.partition(|(number, _)| number.is_multiple_of(HOLD_OUT_EVERY));
    let text = |side: Vec<(usize, &'a String)>| side.into_iter().map(|(_, line)| line).collect();
    (text(training), text(held_out))
}

/// All that `origin` holds.
fn read_bytes(origin: &Origin) -> anyhow::Result<Vec<u8>> {
    match origin {
        Origin::BuiltIn => Ok(NAMES.into()),
        Origin::Stdin => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
            Ok(bytes)
        }
        Origin::File(path) if path.is_dir() => {
            bail!("{} is a folder; give a text file with one example a line", path.display())
        }
        Origin::File(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    }
}
