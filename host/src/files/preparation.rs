//! One way in for every text: the lines of a list, the cells of a column, patterns, and texts on the command line.
//!
//! Drops invisible characters, writes in lower case if asked, composes (NFC), trims. A list then loses blank and repeated
//! lines. Preparing a prepared text changes nothing.
//!
//! A symbol is a Unicode code point of the composed text: é, ゾ or 한 is one symbol however the file spells it. A mark
//! without a composed form, such as most vowel signs of Devanagari or Thai, is a symbol beside its letter. Grapheme
//! clusters as symbols would need an alphabet of strings, in firmware too. They would also hide from the model that one
//! sign recurs on many letters.

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::files::characters::{ANY_LETTER, Invisible, code_point, visible};
use crate::files::origin::Origin;
use crate::files::quoting::quoted_word;

/// The options by which a list is read, besides the preparation of every text. Part of a run's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preparation {
    /// The column of a table that holds the texts, by name or number.
    #[serde(default)]
    pub(crate) column: Option<String>,
    /// Whether texts are written in lower case.
    #[serde(default)]
    pub(crate) lowercase: bool,
}

impl Preparation {
    /// Takes these options, and else the `stored` ones of a run.
    pub(crate) fn over(&self, stored: &Self) -> Self {
        Self {
            column: self.column.clone().or_else(|| stored.column.clone()),
            lowercase: self.lowercase || stored.lowercase,
        }
    }

    /// The options of a command that reads a list so, each after a blank.
    pub(crate) fn options(&self) -> String {
        let column = self.column.as_ref().map(|column| {
            let equals = if column.starts_with('-') { "=" } else { " " };
            format!(" --column{equals}{}", quoted_word(column.as_ref()))
        });
        let lowercase = if self.lowercase { " --lowercase" } else { "" };
        format!("{}{lowercase}", column.unwrap_or_default())
    }
}

/// Prepares one text, which may become blank, and counts invisible characters in `dropped`.
///
/// # Errors
/// Returns a control character that the text holds, which would become a symbol of the alphabet.
pub(crate) fn prepare(text: &str, lowercase: bool, dropped: &mut Invisible) -> Result<String, char> {
    let mut text = if text.is_ascii() { text.to_owned() } else { visible(text, dropped) };
    if lowercase {
        text = text.to_lowercase();
    }
    if is_nfc_quick(text.chars()) != IsNormalized::Yes {
        text = text.nfc().collect();
    }
    let trimmed = text.trim();
    match trimmed.chars().find(|character| character.is_control()) {
        Some(control) => Err(control),
        None if trimmed.len() == text.len() => Ok(text),
        None => Ok(trimmed.to_owned()),
    }
}

/// Prepares the `lines` from `origin`, given with their numbers; blank and repeated ones stay. Advice for a list
/// (`is_list`) may name `--column`.
pub(crate) fn lines<'a>(
    origin: &Origin,
    lines: impl Iterator<Item = (usize, &'a str)>,
    lowercase: bool,
    is_list: bool,
) -> anyhow::Result<(Vec<String>, Invisible)> {
    let (mut prepared, mut dropped) = (Vec::new(), Invisible::new());
    for (number, line) in lines {
        match prepare(line, lowercase, &mut dropped) {
            Ok(line) => prepared.push(line),
            Err(control) => bail!(
                "{}: line {number} contains {} ({}); {}",
                origin.name(),
                name_of(control),
                code_point(control),
                way_out(origin, line, control, is_list)
            ),
        }
    }
    Ok((prepared, dropped))
}

/// Prepares one text from elsewhere than a list. Messages call it `what` and show `example`.
pub(crate) fn text(what: &str, text: &str, lowercase: bool, example: &str) -> anyhow::Result<String> {
    given(what, prepare(text, lowercase, &mut Invisible::new()), example)
}

/// Prepares a pattern like the texts that it is for: beside `?` and `*` as beside a letter. Messages show `example`.
pub(crate) fn pattern(pattern: &str, lowercase: bool, example: &str) -> anyhow::Result<String> {
    given("the pattern", prepare_pattern(pattern, lowercase), example)
}

/// [Prepares](prepare) the parts of a pattern between its open letters, which stay.
fn prepare_pattern(pattern: &str, lowercase: bool) -> Result<String, char> {
    let (mut open, mut escaped) = (Vec::new(), false);
    let is_open = |character| {
        let is_open = !escaped && matches!(character, '?' | '*');
        escaped = !escaped && character == '\\';
        open.extend(is_open.then_some(character));
        is_open
    };
    let parts: Vec<&str> = pattern.split(is_open).collect();
    let mut prepared = String::new();
    for (number, part) in parts.into_iter().enumerate() {
        let before = if number > 0 { ANY_LETTER } else { "" };
        let after = if number < open.len() { ANY_LETTER } else { "" };
        let part = prepare(&format!("{before}{part}{after}"), lowercase, &mut Invisible::new())?;
        prepared.push_str(&part[before.len()..part.len() - after.len()]);
        prepared.extend(open.get(number));
    }
    Ok(prepared)
}

/// The text that was `prepared` from `what`, unless it is blank or has a control character.
fn given(what: &str, prepared: Result<String, char>, example: &str) -> anyhow::Result<String> {
    let text = prepared.or_else(|control| {
        let (name, point) = (name_of(control), code_point(control));
        bail!("{what} must not contain {name} ({point}); write it without, for example: {example}")
    })?;
    ensure!(!text.is_empty(), "{what} is empty; give some letters, for example: {example}");
    Ok(text)
}

/// The advice to remove `control` from `line`, of a list or not, from `origin`.
fn way_out(origin: &Origin, line: &str, control: char, is_list: bool) -> String {
    let latin = line.chars().all(|character| u32::from(character) <= 0xFF);
    match control {
        '\r' => format!("end the lines as Unix does{}", origin.by(r"tr '\r' '\n'")),
        '\t' => {
            let column = if is_list { "take one column with --column 1, or " } else { "" };
            format!("{column}put spaces in its place{}", origin.by("expand -t 1"))
        }
        '\u{80}'..='\u{9F}' if latin => format!(
            "the list was Windows-1252 and was converted as if it were Latin-1; undo that{}",
            origin.by("iconv -f UTF-8 -t LATIN1 | iconv -f WINDOWS-1252 -t UTF-8")
        ),
        '\u{80}'..='\u{9F}' => format!("remove it{}", origin.by("LC_ALL=C.UTF-8 sed 's/[[:cntrl:]]//g'")),
        _ => format!("remove it{}", origin.by(r"tr -d '\000-\010\013\014\016-\037\177'")),
    }
}

/// A control character in words.
fn name_of(control: char) -> &'static str {
    match control {
        '\r' => "a carriage return",
        '\n' => "a line feed",
        '\t' => "a tab",
        _ => "a control character",
    }
}
