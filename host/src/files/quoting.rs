//! Paths in the commands of messages: pasted into a shell, they must reach the program unchanged.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use crate::files::characters::is_invisible;

/// `path` as a command line takes it: in quotes if it holds more than letters, digits and a few signs.
pub(crate) fn quoted(path: &Path) -> String {
    let quoted = quoted_word(path.as_os_str());
    // A leading minus would make the path an option, or stdin.
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") { format!("./{quoted}") } else { quoted }
}

/// `word`, which is no path, as a command line takes it; behind `=` if it begins with a minus.
pub(crate) fn quoted_word(word: &OsStr) -> String {
    // Messages show blanks of other kinds by their code points.
    let is_shown = |c: char| !c.is_control() && !is_invisible(c) && (c == ' ' || !c.is_whitespace());
    let text = word.to_str().filter(|text| text.chars().all(is_shown));
    match text {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => escaped(word.as_encoded_bytes()),
    }
}

/// Whether a shell takes `character` unquoted.
fn is_plain(character: char) -> bool {
    let sign = if cfg!(windows) { "/.\\:_-+,@%" } else { "/.:_-+,@%" };
    character.is_alphanumeric() || sign.contains(character)
}

/// `bytes` in the form `$'…'`, for names that are not UTF-8 or that a terminal would not show.
fn escaped(bytes: &[u8]) -> String {
    let mut text = "$'".to_owned();
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(text, "\\{byte:03o}"),
        }
    }
    text + "'"
}
