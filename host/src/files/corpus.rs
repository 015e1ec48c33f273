//! A list, prepared for training: one order for everyone's text.
//!
//! Each line is [prepared](crate::files::preparation). Blank lines are dropped, then repeated ones (the first stays). The
//! rest is numbered from 1, and every tenth is held out. Both sides then lose lines that are longer than the network's
//! positions, or have a character too rare for its symbols.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use micro_diffusion::length::Lengths;
use micro_diffusion::linear::LANES;
use micro_diffusion::text::Alphabet;
use sha2::{Digest, Sha256};

use crate::engine::configurations::Config;
use crate::engine::description::{REPORT_IT, counted};
use crate::engine::language::Language;
use crate::engine::settings::{Keep, ListSize};
use crate::engine::split::hold_out;
use crate::files::characters::Invisible;
use crate::files::decoding::decode;
use crate::files::novelty::Known;
use crate::files::origin::Origin;
use crate::files::preparation::{self, Preparation};
use crate::files::room::{self, Loss, Room, length_of};
use crate::files::table;

/// The names that come with the program, for a run without a list.
const NAMES: &str = include_str!("../../../data/names.txt");
/// The path of these names in the repository.
pub(crate) const DEFAULT_INPUT: &str = "data/names.txt";

/// The lines of a list, each once.
#[derive(Clone)]
pub(crate) struct Lines {
    /// The source of the lines, for messages.
    pub(crate) source: String,
    pub(crate) lines: Vec<String>,
    /// Dropped lines and characters.
    dropped: Dropped,
    /// A hint that the lines look like a table, if they do.
    pub(crate) table: Option<String>,
}

/// Lines for one room.
pub(crate) struct Corpus {
    /// The source of the lines, for messages.
    pub(crate) source: String,
    /// The training lines.
    pub(crate) training: Vec<String>,
    /// The held-out lines.
    pub(crate) held_out: Vec<String>,
    /// Every character that occurs, in code point order.
    pub(crate) alphabet: String,
    /// Training lines of each length, as [`Lengths`] takes them.
    lengths: Vec<[u8; 4]>,
    /// Characters in the longest line, dropped lines among them.
    pub(crate) longest: usize,
    /// Lines dropped, and why.
    pub(crate) dropped: Dropped,
    /// Whether the room has space for all but a few lines.
    pub(crate) fits: bool,
    /// A hint that the lines look like a table, if they do.
    pub(crate) table: Option<String>,
}

/// The lines that are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// Every tenth line: the score of record.
    Record,
    /// Every tenth of the training lines, for choosing settings; the held-out lines of record stay unseen.
    Development,
}

impl Split {
    /// The development split if `development`, else the split of record.
    pub(crate) fn of(development: bool) -> Self {
        if development { Self::Development } else { Self::Record }
    }
}

/// Dropped lines by reason, and dropped invisible characters.
#[derive(Clone, Default)]
pub(crate) struct Dropped {
    pub(crate) invisible: Invisible,
    pub(crate) blank: usize,
    pub(crate) repeated: usize,
    pub(crate) too_long: usize,
    pub(crate) too_rare: usize,
    /// The room by which lines were dropped.
    pub(crate) room: Room,
}

impl Lines {
    /// Reads the list at `path`, which may be stdin, or the built-in names.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        Self::read_as(path, &Preparation::default())
    }

    /// The names that come with the program.
    pub(crate) fn built_in() -> anyhow::Result<Self> {
        Self::of(&Origin::BuiltIn, NAMES.into(), &Preparation::default())
    }

    /// [Reads](Self::read) a list as `preparation` says.
    pub(crate) fn read_as(path: Option<&Path>, preparation: &Preparation) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_INPUT);
        let path = path.or_else(|| default.exists().then_some(default));
        let origin = path.map_or(Origin::BuiltIn, Origin::of);
        Self::of(&origin, read_bytes(&origin)?, preparation)
    }

    /// Prepares the list `bytes` from `origin`.
    pub(crate) fn of(origin: &Origin, bytes: Vec<u8>, preparation: &Preparation) -> anyhow::Result<Self> {
        let text = decode(origin, bytes)?;
        let lowercase = preparation.lowercase;
        let mut table = None;
        let (mut lines, invisible) = if let Some(column) = &preparation.column {
            let cells = table::column(origin, &text, column)?;
            preparation::lines(origin, cells.iter().map(|(line, cell)| (*line, &**cell)), lowercase, true)
        } else {
            table = table::notice(&text);
            let prepared = preparation::lines(origin, (1..).zip(text.lines()), lowercase, true);
            prepared.map_err(|error| match &table {
                // The refused control characters are the table's separators.
                Some(table) if text.contains('\t') => anyhow!("{}: {table}", origin.name()),
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
        Ok(Self { source: origin.name(), lines, dropped, table })
    }

    /// The network for the lines, in one of its rooms: the network `name`, or else a default; see [`room::choose`].
    pub(crate) fn choose(&self, name: Option<&str>) -> anyhow::Result<Config> {
        room::choose(&self.lines, &self.source, name).map_err(|error| match &self.table {
            Some(table) => anyhow!("{error}; {table}"),
            None => error,
        })
    }

    /// Writes the lines as a list that reads back to them.
    pub(crate) fn to_text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// Splits the lines that `config` has room for.
    pub(crate) fn corpus(self, config: &Config, split: Split) -> anyhow::Result<Corpus> {
        self.within(Room::of(config), split)
    }

    /// Splits the lines that `room` has space for.
    pub(crate) fn within(self, room: Room, split: Split) -> anyhow::Result<Corpus> {
        let loss = Loss::of(&self.lines, room);
        let fits = loss.is_spared(&self.lines);
        let Loss { too_long, too_rare, rare } = loss;
        let longest = self.lines.iter().map(|line| length_of(line)).max().unwrap_or(0);
        let [training, held_out] = self.sides(room, &rare, split).map(owned);
        let Self { source, dropped, table, .. } = self;
        let Room { positions, characters } = room;
        let hint = table.as_ref().map_or(String::new(), |table| format!("; {table}"));
        if training.is_empty() && too_long > 0 {
            bail!(
                "{source} has no line to train on: lines of more than {positions} characters, the most that \
                 the network takes, are dropped, here {}, the longest of {longest}; shorten the lines{hint}",
                counted(too_long, "line")
            );
        }
        if training.is_empty() && too_rare > 0 {
            bail!(
                "{source} has no line to train on: every line has a character that is not among the \
                 {characters} most frequent ones, which alone are kept; use a list of fewer different \
                 characters{hint}"
            );
        }
        if training.is_empty() {
            bail!("{source} has no line to train on; put one example on each line");
        }
        let alphabet = alphabet(training.iter().chain(&held_out));
        let dropped = Dropped { too_long, too_rare, room, ..dropped };
        let mut lengths = vec![0_u32; positions];
        for line in &training {
            lengths[length_of(line) - 1] += 1;
        }
        let lengths = lengths.into_iter().map(u32::to_le_bytes).collect();
        Ok(Corpus { source, training, held_out, alphabet, lengths, longest, dropped, fits, table })
    }

    /// The lines with space in `room`, less those with one of the characters `rare`: to train on, and held out.
    fn sides(&self, room: Room, rare: &HashSet<char>, split: Split) -> [Vec<&String>; 2] {
        let (mut training, mut held_out) = hold_out(&self.lines);
        if split == Split::Development {
            (training, held_out) = hold_out(training);
        }
        let fits = |line: &&String| {
            length_of(line) <= room.positions
                && (rare.is_empty() || !line.chars().any(|character| rare.contains(&character)))
        };
        [training, held_out].map(|side| side.into_iter().filter(fits).collect())
    }

    /// The [`sides`](Self::sides) in `room`, with its own rare characters.
    fn split(&self, room: Room, split: Split) -> [Vec<&String>; 2] {
        self.sides(room, &Loss::of(&self.lines, room).rare, split)
    }

    /// [`Corpus::digest`] of the lines that `room` has space for.
    pub(crate) fn digest(&self, room: Room, split: Split) -> String {
        let [training, held_out] = self.split(room, split);
        digest(training.iter().copied(), &alphabet(training.iter().chain(&held_out).copied()))
    }

    /// The lines with space in `room` that a run with `keep` trains on, beside all lines of the list `all`.
    pub(crate) fn known<'a>(&'a self, all: &'a Self, room: Room, split: Split, keep: Keep) -> Known<'a> {
        let [training, _] = self.split(room, split);
        let (shown, _) = keep.split(&training);
        Known::new(shown.iter().map(|line| line.as_str()), all.lines.iter().map(String::as_str))
    }

    /// The held-out lines with space in `room`.
    pub(crate) fn held_out(&self, room: Room, split: Split) -> Vec<&String> {
        let [_, held_out] = self.split(room, split);
        held_out
    }
}

impl Corpus {
    /// The characters as symbols, and the lengths of the training lines.
    pub(crate) fn language(&self) -> anyhow::Result<Language<'_>> {
        let alphabet = Alphabet::new(&self.alphabet).map_err(|error| {
            anyhow!("cannot make an alphabet of the characters of {} ({error}): {REPORT_IT}", self.source)
        })?;
        let lengths = Lengths::new(&self.lengths).with_context(|| {
            format!("{} has more lines than 32 bits can count; train on fewer lines", self.source)
        })?;
        Ok(Language { alphabet, lengths })
    }

    /// The size of the training lines, for a network of `positions` positions, which computes whole groups of [`LANES`].
    pub(crate) fn size(&self, positions: usize) -> ListSize {
        let lines = self.training.len();
        let mean = |of: &dyn Fn(usize) -> f64| {
            self.training.iter().map(|line| of(length_of(line))).sum::<f64>() / lines.max(1) as f64
        };
        let width = mean(&|letters| letters.next_multiple_of(LANES).min(positions) as f64);
        ListSize { lines, width, a_form: mean(&|letters| 1.0 / ((letters.max(1) as f64).exp2() - 1.0)) }
    }

    /// SHA-256 of the training lines in their order and the alphabet, on which training depends.
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
    hexadecimal(&hash.finalize())
}

/// The digits of `bytes`, two each.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// Copies `lines`.
fn owned(lines: Vec<&String>) -> Vec<String> {
    lines.into_iter().cloned().collect()
}

/// Reads all bytes of `origin`, of a stream once: it gives them to its first reader only, and a verb may read its list again.
pub(crate) fn read_bytes(origin: &Origin) -> anyhow::Result<Vec<u8>> {
    static STREAMS: Mutex<BTreeMap<Origin, Vec<u8>>> = Mutex::new(BTreeMap::new());
    match origin {
        Origin::BuiltIn => return Ok(NAMES.into()),
        Origin::File(path) if path.is_dir() => {
            bail!("{} is a folder; give a text file with one example a line", path.display())
        }
        _ => {}
    }
    let is_stream = origin.is_stream();
    let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = streams.get(origin) {
        return Ok(bytes.clone());
    }
    let mut bytes = Vec::new();
    match origin {
        Origin::File(path) => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
        _ => io::stdin().lock().read_to_end(&mut bytes),
    }
    .map_err(|error| {
        anyhow!("cannot read {}: {error}; give a text file with one example a line", origin.name())
    })?;
    if is_stream {
        streams.insert(origin.clone(), bytes.clone());
    }
    Ok(bytes)
}
