//! Output: results go to stdout, all else to stderr.

use std::io::{self, StdoutLock, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use console::Term;

use crate::files::characters::{code_point, is_directive, is_invisible};
use crate::show::columns::fitted;

/// The style of `error:`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The style of a name that is a line of the list.
pub(crate) const LISTED: Style = Style::new().dimmed();

/// Prints `line` on stderr, broken between words on a narrow terminal. Work goes on if nobody can read it.
pub(crate) fn say(line: &str) {
    let lines = line.split('\n').map(|line| within(line, columns(&Term::stderr())));
    let _ = writeln!(anstream::stderr().lock(), "{}", lines.collect::<Vec<_>>().join("\n"));
}

/// Columns of stderr's terminal, if it is one.
pub(crate) fn width_of_words() -> Option<usize> {
    columns(&Term::stderr())
}

/// Columns of stdout's terminal, if it is one.
pub(crate) fn width_of_results() -> Option<usize> {
    columns(&Term::stdout())
}

fn columns(term: &Term) -> Option<usize> {
    if !term.is_term() {
        return None;
    }
    term.size_checked().map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// Breaks `line` between words if `columns` are too few.
fn within(line: &str, columns: Option<usize>) -> String {
    columns.map_or_else(|| line.to_owned(), |columns| fitted(line, columns))
}

/// A line with the note `text` on what follows.
pub(crate) fn note(text: &str) -> String {
    format!("note        {}", shown(text))
}

/// Makes `text` from any file safe to show: control characters are escaped as in Rust, and invisible ones shown as code
/// points.
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

/// Stdout, whose errors name it.
pub(crate) struct Stdout<W>(W);

impl<W: Write> Stdout<W> {
    /// Writes the lines of `text`, broken between words on a narrow terminal.
    pub(crate) fn lines(&mut self, text: &str) -> io::Result<()> {
        let columns = width_of_results();
        text.lines().try_for_each(|line| writeln!(self, "{}", within(line, columns)))
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(named)
    }
}

/// Names stdout in `error` and keeps its kind: a closed pipe stays one.
pub(crate) fn named(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write to stdout: {error}; send the output to another file, disk or program"),
    )
}
