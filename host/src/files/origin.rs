//! The origin of a list, in words and in commands.

use std::path::{Path, PathBuf};

use crate::files::quoting::quoted;

/// The name of standard input on a command line, and in the settings of a run.
pub(crate) const STDIN: &str = "-";

/// The origin of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A file.
    File(PathBuf),
    /// The standard input.
    Stdin,
    /// The names that come with the program.
    BuiltIn,
}

impl Origin {
    /// The origin that `path` names on a command line: a file, or standard input.
    pub(crate) fn of(path: &Path) -> Self {
        let stdin = [STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
        if stdin.iter().any(|name| path == Path::new(name)) {
            Self::Stdin
        } else {
            Self::File(path.to_owned())
        }
    }

    /// Whether the origin can be read once only: standard input, or a pipe.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            Self::File(path) => path.exists() && !path.is_file() && !path.is_dir(),
            Self::Stdin => true,
            Self::BuiltIn => false,
        }
    }

    /// The origin's name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "stdin".to_owned(),
            Self::BuiltIn => "the built-in names".to_owned(),
        }
    }

    /// Ends an advice with the command `filter`, which reads its input.
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

    /// Ends an advice with the command `program`, which takes the name of a file.
    pub(crate) fn by_name(&self, program: &str) -> String {
        match self {
            Self::File(path) => format!(" with: {program} {} > {}", quoted(path), quoted(&beside(path))),
            Self::Stdin | Self::BuiltIn => " into a file, and give that".to_owned(),
        }
    }
}

/// `path` as a command line takes it, where `-` stays stdin or stdout.
pub(crate) fn quoted_or_stream(path: &Path) -> String {
    if path == Path::new(STDIN) { STDIN.to_owned() } else { quoted(path) }
}

/// The path for the text made of the file at `path`.
fn beside(path: &Path) -> PathBuf {
    let mut text = path.to_owned().into_os_string();
    text.push(".txt");
    text.into()
}
