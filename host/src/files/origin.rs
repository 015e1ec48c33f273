//! Where a list comes from, in words and in commands.

use std::path::{Path, PathBuf};

use crate::files::quoting::quoted;

/// What stands for the standard input on a command line, and in the settings of a run.
pub(crate) const STDIN: &str = "-";

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file.
    File(PathBuf),
    /// The standard input.
    Stdin,
    /// The program, which brings names along.
    BuiltIn,
}

impl Origin {
    /// What `path` names on a command line: a file, or the standard input.
    pub(crate) fn of(path: &Path) -> Self {
        let stdin = [STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
        if stdin.iter().any(|name| path == Path::new(name)) {
            Self::Stdin
        } else {
            Self::File(path.to_owned())
        }
    }

    /// How messages call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "stdin".to_owned(),
            Self::BuiltIn => "the built-in names".to_owned(),
        }
    }

    /// The end of an advice: that `filter`, a command that reads its input, does it.
    pub(crate) fn by(&self, filter: &str) -> String {
        match self {
            Self::File(path) => {
                // The first command of a pipe takes the file.
                let (first, rest) = filter
                    .split_once(" | ")
                    .map_or((filter, String::new()), |(first, rest)| (first, format!(" | {rest}")));
                format!(" with: {first} < {}{rest} > {}", quoted(path), quoted(&beside(path)))
            }
            Self::Stdin | Self::BuiltIn => format!(" by piping it through: {filter}"),
        }
    }

    /// The end of an advice: that `program`, which takes the name of a file, does it.
    pub(crate) fn by_name(&self, program: &str) -> String {
        match self {
            Self::File(path) => format!(" with: {program} {} > {}", quoted(path), quoted(&beside(path))),
            Self::Stdin | Self::BuiltIn => " into a file, and give that".to_owned(),
        }
    }
}

/// Where the text that is made of the file at `path` belongs.
fn beside(path: &Path) -> PathBuf {
    let mut text = path.to_owned().into_os_string();
    text.push(".txt");
    text.into()
}
