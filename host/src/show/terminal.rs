//! Where words go: results to stdout, all else to stderr.

use std::io::{self, StdoutLock, Write};

use anstream::AutoStream;

/// Says `line` on stderr. Where nobody can hear it, the work goes on all the same.
pub(crate) fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Whether a character is none to be seen but a command to a terminal, or turns the direction of all that follows.
pub(crate) fn is_directive(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// `text` from a file that may come from anywhere, to be shown: what would direct a terminal is written as Rust writes it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            '\n' => shown.push(character),
            _ if is_directive(character) => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

/// Stdout for text, coloured where a terminal wants it.
pub(crate) fn results() -> Stdout<AutoStream<StdoutLock<'static>>> {
    Stdout(AutoStream::auto(io::stdout().lock()))
}

/// Stdout for bytes.
pub(crate) fn bytes() -> Stdout<StdoutLock<'static>> {
    Stdout(io::stdout().lock())
}

/// Stdout, which says that it is the one where writing to it fails.
pub(crate) struct Stdout<W>(W);

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

/// The same error, of the same kind: a closed pipe stays one.
fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write to stdout: {error}"))
}
