//! One way in for every text: the lines of a list, the cells of a column, patterns, and texts on the command line.
//!
//! Drop what cannot be seen, write in lower case if asked, compose (NFC), trim. A list then loses blank and repeated lines. Each
//! step leaves nothing for an earlier one to do, so that preparing a prepared text changes nothing.
//!
//! A symbol is a Unicode code point of the composed text, so that é, ゾ or 한 is one symbol however the file spells it. A
//! mark that Unicode has no composed form for, such as most vowel signs of Devanagari or Thai, is a symbol of its own
//! beside its letter. Whole grapheme clusters as symbols would need an alphabet of strings, in firmware too, and would
//! hide from the model that the same sign recurs on many letters.

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::files::characters::{Invisible, code_point, visible};
use crate::files::origin::Origin;

/// How the texts of a list are taken, besides what is done with every text. Part of a run's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preparation {
    /// The column of a table that holds the texts, by its name or its number.
    #[serde(default)]
    pub(crate) column: Option<String>,
    /// Whether all is written in lower case.
    #[serde(default)]
    pub(crate) lowercase: bool,
}

/// Prepares one text, which may turn out blank; adds to `dropped` what could not be seen.
///
/// # Errors
/// The control character that the text holds, which would become a symbol of the alphabet.
fn prepare(text: &str, lowercase: bool, dropped: &mut Invisible) -> Result<String, char> {
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

/// Prepares the `lines` of a list from `origin`, numbered from 1; blank and repeated ones stay.
pub(crate) fn lines<'a>(
    origin: &Origin,
    lines: impl Iterator<Item = &'a str>,
    lowercase: bool,
) -> anyhow::Result<(Vec<String>, Invisible)> {
    let (mut prepared, mut dropped) = (Vec::new(), Invisible::new());
    for (number, line) in (1..).zip(lines) {
        match prepare(line, lowercase, &mut dropped) {
            Ok(line) => prepared.push(line),
            Err(control) => bail!(
                "{}: line {number} has {} inside it ({}); {}",
                origin.name(),
                name_of(control),
                code_point(control),
                way_out(origin, line, control)
            ),
        }
    }
    Ok((prepared, dropped))
}

/// Prepares one text that is no line of a list, called `what` in messages, such as “the pattern”; `example` shows how it is
/// given.
pub(crate) fn text(what: &str, text: &str, lowercase: bool, example: &str) -> anyhow::Result<String> {
    let text = prepare(text, lowercase, &mut Invisible::new()).or_else(|control| {
        let (name, point) = (name_of(control), code_point(control));
        bail!("{what} has {name} inside it ({point}); leave it out, for example: {example}")
    })?;
    ensure!(!text.is_empty(), "{what} is empty; give some letters, for example: {example}");
    Ok(text)
}

/// How `control` in `line` of a list from `origin` is removed.
fn way_out(origin: &Origin, line: &str, control: char) -> String {
    let latin = line.chars().all(|character| u32::from(character) <= 0xFF);
    match control {
        '\r' => format!("end lines as Unix does{}", origin.by(r"tr '\r' '\n'")),
        '\t' => {
            format!("take one column with --column 1, or put spaces in its place{}", origin.by("expand -t 1"))
        }
        '\u{80}'..='\u{9F}' if latin => format!(
            "Windows-1252 was taken for Latin-1; undo it{}",
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
