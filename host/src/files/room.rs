//! Chooses the network and the room for a text, and finds the lines that have no room.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, bail};

use crate::engine::configurations::{self, Config, Family};
use crate::engine::description::{REPORT_IT, counted};

/// Characters of the largest alphabet.
const MOST_CHARACTERS: usize = 255;
/// A room fits a text that loses at most one line in this many.
const SPARED: usize = 50;

/// The room of a network: positions and symbols.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) positions: usize,
    pub(crate) characters: usize,
}

impl Room {
    /// The room of `config`.
    pub(crate) fn of(config: &Config) -> Self {
        let shape = config.network.shape();
        Self { positions: shape.positions, characters: shape.symbols.min(MOST_CHARACTERS) }
    }

    /// A room for lines of `positions` characters of any kind; the caller deals with unknown characters.
    pub(crate) fn any_character(positions: usize) -> Self {
        Self { positions, characters: usize::MAX }
    }
}

/// The lines of a text that a room cannot take.
#[derive(Default)]
pub(crate) struct Loss {
    /// Lines that are too long.
    pub(crate) too_long: usize,
    /// Other lines, with a rare character.
    pub(crate) too_rare: usize,
    /// The characters without a symbol: all but the most frequent of the lines that are not too long.
    pub(crate) rare: HashSet<char>,
}

impl Loss {
    /// The loss of `lines` in `room`.
    pub(crate) fn of(lines: &[String], room: Room) -> Self {
        losses(lines, &[room]).pop().unwrap_or_default()
    }

    /// Number of lost lines.
    fn lines(&self) -> usize {
        self.too_long + self.too_rare
    }

    /// Whether the loss can be spared: at most one line in [`SPARED`] of `lines`.
    pub(crate) fn is_spared(&self, lines: &[String]) -> bool {
        self.lines() <= lines.len() / SPARED
    }
}

/// The loss of `lines` in each of `rooms`, at most 32. Lengths and characters are counted once for all rooms.
fn losses(lines: &[String], rooms: &[Room]) -> Vec<Loss> {
    // Lines with each character, by the first of the lengths that they are within.
    let mut lengths: Vec<usize> = rooms.iter().map(|room| room.positions).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let mut counts = HashMap::<char, (usize, Vec<usize>)>::new();
    let mut within = vec![0; lengths.len()];
    for (number, line) in (1..).zip(lines) {
        let class = lengths.partition_point(|length| *length < length_of(line));
        let Some(count) = within.get_mut(class) else { continue };
        *count += 1;
        for character in line.chars() {
            let (last, count) = counts.entry(character).or_insert_with(|| (0, vec![0; lengths.len()]));
            // A line counts once for each of its characters.
            if std::mem::replace(last, number) != number {
                count[class] += 1;
            }
        }
    }
    let mut characters: Vec<(char, Vec<usize>)> =
        counts.into_iter().map(|(character, (_, count))| (character, count)).collect();
    characters.sort_unstable();
    let loss = |room: &Room| {
        let classes = lengths.partition_point(|length| *length <= room.positions);
        let sum = |counts: &[usize]| counts[..classes].iter().sum::<usize>();
        let mut found: Vec<(char, usize)> = Vec::new();
        found.extend(characters.iter().map(|(character, counts)| (*character, sum(counts))));
        found.retain(|(_, count)| *count > 0);
        // The sort is stable: of characters equally frequent, those first in code point order get symbols.
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rare = found.into_iter().skip(room.characters).map(|(character, _)| character).collect();
        Loss { too_long: lines.len() - sum(&within), too_rare: 0, rare }
    };
    let mut losses: Vec<Loss> = rooms.iter().map(loss).collect();
    // A bit for each room that has no symbol for the character.
    let mut rare = HashMap::<char, u32>::new();
    for (number, loss) in losses.iter().enumerate() {
        for character in &loss.rare {
            *rare.entry(*character).or_default() |= 1 << number;
        }
    }
    for line in lines.iter().filter(|_| !rare.is_empty()) {
        let without =
            line.chars().filter_map(|character| rare.get(&character)).fold(0, |all, bits| all | bits);
        let length = if without == 0 { 0 } else { length_of(line) };
        for (number, (loss, room)) in losses.iter_mut().zip(rooms).enumerate() {
            loss.too_rare += usize::from(without >> number & 1 == 1 && length <= room.positions);
        }
    }
    losses
}

/// Characters of a line.
pub(crate) fn length_of(line: &str) -> usize {
    line.chars().count()
}

/// The networks in their rooms, with the lines that each loses.
struct Choice {
    /// Networks from the smallest room up, each with its lost lines, and those of them lost for their characters.
    lost: Vec<(Config, usize, usize)>,
    /// Most lines that a room may lose: one in fifty, or as many more than the roomiest where that loses more.
    limit: usize,
}

impl Choice {
    fn of(lines: &[String]) -> Self {
        let mut configs: Vec<Config> = configurations::all().collect();
        configs.sort_by_key(|config| config.network.parameters());
        let mut rooms: Vec<Room> = Vec::new();
        for room in configs.iter().map(Room::of) {
            if !rooms.contains(&room) {
                rooms.push(room);
            }
        }
        let losses = losses(lines, &rooms);
        let lost = |config: Config| {
            let room = rooms.iter().position(|room| *room == Room::of(&config))?;
            let loss = losses.get(room)?;
            Some((config, loss.lines(), loss.too_rare))
        };
        let lost: Vec<(Config, usize, usize)> = configs.into_iter().filter_map(lost).collect();
        let (spared, fewest) = (lines.len() / SPARED, lost.iter().map(|(_, lost, _)| *lost).min());
        let limit = fewest.filter(|fewest| *fewest > spared).unwrap_or(0) + spared;
        Self { lost, limit }
    }

    /// The smallest room of `family` that fits.
    fn room_in(&self, family: &Family) -> Option<Config> {
        let fits =
            |(config, lost, _): &&(Config, usize, usize)| config.name == family.name && *lost <= self.limit;
        self.lost.iter().find(fits).map(|(config, ..)| *config)
    }

    /// Whether each room loses all of `lines`.
    fn lost_all(&self, lines: &[String]) -> bool {
        self.lost.iter().all(|(_, lost, _)| *lost == lines.len())
    }

    /// The largest room of the network `name`.
    fn largest(&self, name: &str) -> Option<Config> {
        let own = self.lost.iter().map(|(config, ..)| *config).filter(|config| config.name == name);
        own.max_by_key(|config| (Room::of(config).positions, Room::of(config).characters))
    }

    /// The room of the network `name` that loses the fewest lines, with its lost lines, and those of them lost for their
    /// characters.
    fn roomiest(&self, name: &str) -> Option<&(Config, usize, usize)> {
        self.lost.iter().filter(|(config, ..)| config.name == name).min_by_key(|(_, lost, _)| *lost)
    }
}

/// Chooses the network `name`, or else a default, and the smallest of its rooms that loses at most one line of `lines` in
/// fifty. Where none does, a room fits that loses not many more lines than the roomiest. Whoever names a network without
/// room for some long lines means the other lines.
///
/// # Errors
/// The network `name` has no symbols for more than one line in fifty, and other networks have.
pub(crate) fn choose(lines: &[String], source: &str, name: Option<&str>) -> anyhow::Result<Config> {
    let choice = Choice::of(lines);
    let defaults = [configurations::DEFAULT, configurations::DEFAULT_ELSEWHERE];
    let names = name.as_ref().map_or(&defaults[..], std::slice::from_ref);
    // If every room loses every line, the error names the largest.
    let largest =
        if choice.lost_all(lines) { names.last().and_then(|name| choice.largest(name)) } else { None };
    let found = names.iter().filter_map(|name| choice.room_in(configurations::by_name(name)?)).next();
    let long = || {
        let (config, lost, rare) = choice.roomiest(names[0])?;
        (*lost < lines.len() && *rare <= lines.len() / SPARED).then_some(*config)
    };
    match largest.or(found).or_else(long) {
        Some(config) => Ok(config),
        None => bail!("{}", without_room(lines, source, &choice, names[0])?),
    }
}

/// Says that the network `name` has no room for `lines`, and names the networks that have.
fn without_room(lines: &[String], source: &str, choice: &Choice, name: &str) -> anyhow::Result<String> {
    let (config, lost, _) = choice.roomiest(name).with_context(|| {
        format!("the program knows the name {name}, and has no network for it: {REPORT_IT}")
    })?;
    let Room { positions, characters } = Room::of(config);
    let others: Vec<&str> = configurations::FAMILIES
        .iter()
        .filter(|family| choice.room_in(family).is_some())
        .map(|family| family.name)
        .collect();
    let different: HashSet<char> = lines.iter().flat_map(|line| line.chars()).collect();
    Ok(format!(
        "{source}: the network {name} has room for lines of {positions} characters, of {characters} different ones in all; the \
         longest line has {}, the list has {} different characters, and {lost} of {} would be lost; choose --config {}",
        lines.iter().map(|line| length_of(line)).max().unwrap_or(0),
        different.len(),
        counted(lines.len(), "line"),
        others.join(" or ")
    ))
}
