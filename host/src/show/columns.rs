//! Columns of a terminal: how wide texts are there, and how single characters are shown.

use console::AnsiCodeIterator;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::files::characters::{code_point, is_invisible};

/// The carrier of a combining mark without a letter of its own.
const CARRIER: char = '◌';

/// `value` with `digits` digits after the point, and its standard error, if known.
pub(crate) fn with_error(value: f64, error: Option<f64>, digits: usize) -> String {
    let error = error.map_or(String::new(), |error| format!(" ± {error:.digits$}"));
    format!("{value:.digits$}{error}")
}

/// Display columns of `text`; colours take none.
pub(crate) fn width(text: &str) -> usize {
    AnsiCodeIterator::new(text).filter(|(_, is_code)| !is_code).map(|(part, _)| part.width()).sum()
}

/// Joins `parts` with `gap` into lines of `columns` columns; lines after the first begin with `lead`. A part longer than
/// a line stays whole.
pub(crate) fn flowed<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    gap: &str,
    lead: &str,
    columns: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), None);
    for part in parts {
        let taken = width(part);
        used = match used {
            Some(used) if used + width(gap) + taken <= columns => {
                line.push_str(gap);
                Some(used + width(gap) + taken)
            }
            // Blanks that end a line are dropped at the start of the next.
            Some(_) if part.is_empty() => continue,
            Some(_) => {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                line.push_str(lead);
                Some(width(lead) + taken)
            }
            None => Some(taken),
        };
        line.push_str(part);
    }
    lines.push(line);
    lines
}

/// Programs that messages tell the user to run.
const PROGRAMS: [&str; 15] = [
    "micro-diffusion",
    "cargo",
    "rustup",
    "mv",
    "sed",
    "tr",
    "expand",
    "iconv",
    "LC_ALL=C.UTF-8",
    "gzip",
    "bzip2",
    "xz",
    "zstd",
    "lz4",
    "unzip",
];

/// Splits `text` into words. A shell-quoted text, such as a path with blanks, is one word, so that it can be pasted.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), Some(text));
    while let Some(text) = rest {
        let end = text.find(' ').unwrap_or(text.len());
        let end = if begins_quoted(text) { quoted_end(text).unwrap_or(end) } else { end };
        words.push(&text[..end]);
        rest = text.get(end + 1..);
    }
    words
}

/// Whether `text` begins with a quoted path.
fn begins_quoted(text: &str) -> bool {
    let text = text.strip_prefix("./").unwrap_or(text);
    text.starts_with('\'') || text.starts_with("$'")
}

/// The first blank of `text` outside quotes, or its end; `None` where a quote is not closed.
fn quoted_end(text: &str) -> Option<usize> {
    let escapes_inside = text.trim_start_matches("./").starts_with('$');
    let (mut inside, mut escaped) = (false, false);
    for (place, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = !inside || escapes_inside,
            '\'' => inside = !inside,
            ' ' if !inside => return Some(place),
            _ => {}
        }
    }
    (!inside).then_some(text.len())
}

/// Breaks `line` between words into lines of `columns` columns. Text after a label stays to the right of the label. A
/// command at the end stays whole, so that it can be pasted.
pub(crate) fn fitted(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    // A label ends with two blanks or more, or the line has none.
    let label = line.find("  ").map(|end| line.len() - line[end..].trim_start_matches(' ').len());
    let lead = " ".repeat(label.filter(|label| *label <= columns / 2).unwrap_or(2).min(columns / 2));
    let command = line
        .match_indices(": ")
        .map(|(place, colon)| place + colon.len())
        .find(|start| line[*start..].split(' ').next().is_some_and(|first| PROGRAMS.contains(&first)));
    let (text, command) = line.split_at(command.unwrap_or(line.len()));
    let room = columns.saturating_sub(lead.len()).max(2);
    // An alphabet is cut between characters. A path stays whole; only a quoted one holds blanks.
    let words = words(text.trim_end()).into_iter().flat_map(|word| {
        let is_cut = width(word) > room && !word.contains(['/', ' ']);
        let cells = word.chars().map(|character| character.width().unwrap_or(0));
        if is_cut { folded(word, 0, cells, room) } else { vec![word.to_owned()] }
    });
    let words: Vec<String> = words.chain((!command.is_empty()).then(|| command.to_owned())).collect();
    flowed(words.iter().map(String::as_str), " ", &lead, columns).join("\n")
}

/// Cuts `line` into lines of `columns` columns, between its `cells`, given as their columns. The first line begins with
/// `lead` columns, which stay blank on the others.
pub(crate) fn folded(
    line: &str,
    lead: usize,
    cells: impl IntoIterator<Item = usize>,
    columns: usize,
) -> Vec<String> {
    let room = columns.saturating_sub(lead).max(1);
    // The end of each line, in columns of `line`.
    let (mut ends, mut end, mut begun) = (Vec::new(), lead, lead);
    for cell in cells {
        if end + cell - begun > room && end > begun {
            ends.push(end);
            begun = end;
        }
        end += cell;
    }
    let mut ends = ends.into_iter().peekable();
    let (mut lines, mut current, mut used) = (Vec::new(), String::new(), 0);
    for (part, is_code) in AnsiCodeIterator::new(line) {
        if is_code {
            current.push_str(part);
            continue;
        }
        for character in part.chars() {
            let taken = character.width().unwrap_or(0);
            if taken > 0 && ends.next_if(|end| used >= *end).is_some() {
                lines.push(std::mem::replace(&mut current, " ".repeat(lead)));
            }
            used += taken;
            current.push(character);
        }
    }
    lines.push(current);
    lines
}

/// Pads `text` with blanks to `columns` columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    text.to_owned() + &" ".repeat(columns.saturating_sub(width(text)))
}

/// Cuts `line`, a state of a text after `lead` columns, between letters of `cell` columns, to a terminal of `columns`
/// columns.
pub(crate) fn fit_cells(line: &str, lead: usize, cell: usize, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else { return vec![line.to_owned()] };
    let cells = width(line).saturating_sub(lead).div_ceil(cell);
    folded(line, lead, std::iter::repeat_n(cell, cells), columns)
}

/// Cuts `text`, without colours, to `columns` columns, with an ellipsis.
pub(crate) fn clipped(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= columns
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Columns of a noise level before its text.
const LEVEL: usize = 8;

/// Cuts the lines `levels` of `text` at equal letters, to a terminal of `columns` columns.
pub(crate) fn fit_levels(levels: &[String], text: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else { return levels.to_vec() };
    levels.iter().flat_map(|line| folded(line, LEVEL, text.chars().map(cell), columns)).collect()
}

/// Columns of `character` on its own.
pub(crate) fn cell(character: char) -> usize {
    character.width().unwrap_or(0).max(1)
}

/// `character` on its own: a combining mark on a carrier, without which nothing is seen.
pub(crate) fn alone(character: char) -> String {
    let carrier = if character.width().unwrap_or(0) == 0 { Some(CARRIER) } else { None };
    carrier.into_iter().chain([character]).collect()
}

/// `character` on its own, or its code point if it is invisible.
pub(crate) fn named(character: char) -> String {
    if is_unseen(character) { code_point(character) } else { alone(character) }
}

/// Lists `characters`; invisible ones come last, by their code points.
pub(crate) fn listed(characters: &str) -> String {
    let (unseen, seen): (Vec<char>, Vec<char>) =
        characters.chars().partition(|character| is_unseen(*character));
    let seen: String = seen.into_iter().map(alone).collect();
    let unseen: Vec<String> = unseen.into_iter().map(code_point).collect();
    [seen, unseen.join(" ")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether `character` shows nothing: a blank of any kind, or a character that only directs or joins others.
fn is_unseen(character: char) -> bool {
    character.is_whitespace() || character.is_control() || is_invisible(character) || character == '\u{2800}'
}
