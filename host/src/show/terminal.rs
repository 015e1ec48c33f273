//! Where words go: results to stdout, all else to stderr.

use std::io::{self, StdoutLock, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use crate::files::characters::{code_point, is_directive, is_invisible};

/// How `error:` is shown.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How a name is shown that is a copy of a training line.
pub(crate) const COPY: Style = Style::new().dimmed();

/// Says `line` on stderr. Where nobody can hear it, the work goes on all the same.
pub(crate) fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// A line that says `text`, which must be known of what follows.
pub(crate) fn note(text: &str) -> String {
    format!("note        {}", shown(text))
}

/// `text` from a file that may come from anywhere, to be shown: what would direct a terminal is written as Rust writes it,
/// and what is not seen as its code point.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            '\n' => shown.push(character),
            _ if is_directive(character) => shown.extend(character.escape_default()),
            ' ' => shown.push(character),
            _ if character.is_whitespace() || is_invisible(character) => {
                shown.push_str(&code_point(character))
            }
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
