//! The word before every name of exported C, so that several models can be in one program.

use std::path::Path;

/// The prefixes of the templates' names, in small and capital letters.
const TEMPLATE: [&str; 2] = ["model_", "MODEL_"];
/// The word for a file whose name has no letter for one.
const NAMELESS: &str = "model";
/// Endings that a word must not have: headers called `x` and `x_output` would both have an `x_output_bias`.
const ENDINGS: [&str; 11] = [
    "_activation",
    "_add",
    "_attention",
    "_bias",
    "_drawn",
    "_embedding",
    "_next",
    "_output",
    "_query_key",
    "_residual",
    "_score",
];

/// A word before every name, in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// Takes the word `text`: a letter, then letters, digits and underscores.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let word = |rest: &str| rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let sound = text.starts_with(|c: char| c.is_ascii_alphabetic()) && word(text);
        if !sound {
            return Err(
                "must be a prefix for names in C: a letter of a to z or A to Z, then such letters, digits and underscores; \
                 write for example: names"
                    .to_owned(),
            );
        }
        let lower = text.to_ascii_lowercase();
        match ENDINGS.iter().find(|ending| lower.ends_with(*ending)) {
            Some(ending) => Err(format!(
                "a word that ends in {ending} could clash with the names in C of another model in the same \
                 program; take {lower}_{NAMELESS}"
            )),
            None => Ok(Self(lower)),
        }
    }

    /// Makes a word of the name of `file`, with underscores for characters that C does not allow.
    pub(crate) fn of_file(file: &Path) -> Self {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let word: String = stem.chars().map(allowed).collect();
        let word = word.trim_matches('_');
        let word = match word.chars().next() {
            None => NAMELESS.to_owned(),
            Some(first) if first.is_ascii_digit() => format!("{NAMELESS}_{word}"),
            _ => word.to_owned(),
        };
        Self::new(&word).unwrap_or_else(|_| Self(format!("{word}_{NAMELESS}")))
    }

    /// The word.
    pub(crate) fn word(&self) -> &str {
        &self.0
    }

    /// The first lines of a header that ends with `#endif`. A second model of an equal name is an error; an equal model,
    /// with an equal `checksum`, is skipped.
    pub(crate) fn guard(&self, checksum: u32) -> String {
        let lines = format!(
            "#ifdef MODEL_H\n#if MODEL_H != {checksum:#010X}\n\
             #error \"two models are called @: export one of them with another --name\"\n\
             #endif\n#else\n#define MODEL_H {checksum:#010X}\n"
        );
        self.apply(&lines).replace('@', &self.0)
    }

    /// Puts this word into the names of `template`: `model_sample` becomes `latin_sample`, and `MODEL_RAM` `LATIN_RAM`.
    pub(crate) fn apply(&self, template: &str) -> String {
        let [small, capital] = TEMPLATE;
        let text = template.replace(small, &format!("{}_", self.0));
        text.replace(capital, &format!("{}_", self.0.to_ascii_uppercase()))
    }
}
