//! Columns of a terminal: how wide texts are there, and how single characters are shown.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::files::characters::{code_point, is_invisible};

/// What a combining mark is shown on, where it has no letter of its own.
const CARRIER: char = '◌';

/// `count` things of the name `one`: “1 line”, “2 lines”.
pub(crate) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// `value` in `digits` digits after the point, and its standard error, if it is known.
pub(crate) fn with_error(value: f64, error: Option<f64>, digits: usize) -> String {
    let error = error.map_or(String::new(), |error| format!(" ± {error:.digits$}"));
    format!("{value:.digits$}{error}")
}

/// Columns of `text`.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks after it to `columns` columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    text.to_owned() + &" ".repeat(columns.saturating_sub(width(text)))
}

/// Columns of `character` where it stands alone.
pub(crate) fn cell(character: char) -> usize {
    character.width().unwrap_or(0).max(1)
}

/// `character` where it stands alone: a combining mark on a circle, of which nothing is seen otherwise.
pub(crate) fn alone(character: char) -> String {
    let carrier = if character.width().unwrap_or(0) == 0 { Some(CARRIER) } else { None };
    carrier.into_iter().chain([character]).collect()
}

/// `character` in words of its own: alone, or by its code point where nothing is seen of it.
pub(crate) fn named(character: char) -> String {
    if is_unseen(character) { code_point(character) } else { alone(character) }
}

/// The characters `characters`, each to be seen: those that show nothing come last, by their code points.
pub(crate) fn listed(characters: &str) -> String {
    let (unseen, seen): (Vec<char>, Vec<char>) =
        characters.chars().partition(|character| is_unseen(*character));
    let seen: String = seen.into_iter().map(alone).collect();
    let unseen: Vec<String> = unseen.into_iter().map(code_point).collect();
    [seen, unseen.join(" ")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether nothing is seen of `character`: a blank of any kind, or a character that only directs or joins others.
fn is_unseen(character: char) -> bool {
    character.is_whitespace() || character.is_control() || is_invisible(character) || character == '\u{2800}'
}
