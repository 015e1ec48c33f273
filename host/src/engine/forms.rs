//! The forms of a pattern, and which of them a text gets.
//!
//! A pattern with stars leaves open the length of a text and the places of its given letters. The pair of both, a
//! [`Form`], is drawn in proportion to p(n)·Π p(given letter | given letters left of it, n), at temperature 1. Then the
//! other letters are drawn. No draw is rejected. Forms that give equal letters at equal places count once.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};
use micro_diffusion::categorical::SymbolSet;
use micro_diffusion::form::{Form, leaves_all_open};
use micro_diffusion::pattern::{
    MOST_PLACEMENTS, PatternError, cumulate, drawn_form, each_form, nats_of_given, placements, shortest,
};
use micro_diffusion::rng::Stream;
use micro_diffusion::text::Alphabet;

use crate::engine::description::counted;
use crate::engine::language::Language;
use crate::engine::source::{Source, on_shares};

/// The pattern of any text.
pub(crate) const ANYTHING: &str = "*";

/// The forms that texts can have.
pub(crate) enum Forms<const L: usize> {
    /// Any text: its length comes from the table.
    Any,
    /// One of several forms.
    These {
        forms: Vec<Form<L>>,
        /// The cumulated shares of the texts that have each form.
        shares: Vec<f64>,
    },
}

impl<const L: usize> Forms<L> {
    /// The forms of `pattern` for the model `source`, of `length` characters if given.
    ///
    /// # Errors
    /// No text can have a form, or there are too many forms.
    pub(crate) fn of<const V: usize>(
        source: &dyn Source<L, V>,
        language: Language,
        pattern: &str,
        length: Option<usize>,
    ) -> anyhow::Result<Self> {
        if leaves_all_open(pattern) && length.is_none() {
            return Ok(Self::Any);
        }
        let forms: Vec<Form<L>> = forms(language, pattern, length)?;
        let symbols = language.alphabet.symbols();
        // A single form needs no probability.
        let mut shares = if forms.len() == 1 {
            vec![0.0]
        } else {
            on_shares(source, &forms, |denoiser, form| {
                language.lengths.negative_log_probability(form.length)
                    + nats_of_given(denoiser, symbols, form.length, &form.given)
            })
        };
        cumulate(&mut shares);
        Ok(Self::These { forms, shares })
    }

    /// The length and the allowed symbols of the text with the stream `stream`.
    ///
    /// [`drawn_form`] chooses among several forms.
    pub(crate) fn draw(&self, language: Language, stream: Stream) -> (usize, [SymbolSet; L]) {
        let form = match self {
            Self::Any => Form::any(language.lengths.draw(stream)),
            Self::These { forms, shares } => {
                forms.get(drawn_form(shares, stream)).copied().unwrap_or(Form::any(1))
            }
        };
        (form.length, form.allowed(language.alphabet.symbols()))
    }
}

/// Every form of `pattern`, each once.
fn forms<const L: usize>(
    language: Language,
    pattern: &str,
    length: Option<usize>,
) -> anyhow::Result<Vec<Form<L>>> {
    let unmet = |error: PatternError| unmet(&error, pattern, language.alphabet, L);
    let (letters, stars) = shortest(pattern, language.alphabet).map_err(unmet)?;
    let least = letters.max(1);
    let lengths = match length {
        _ if letters > L => return Err(unmet(PatternError::TooLong { needed: letters })),
        Some(length) if length > L => {
            bail!(
                "no text can have {length} letters: the model writes at most {L}; give --length {L} or less"
            )
        }
        Some(length) if stars == 0 && length != letters => bail!(
            "the pattern “{pattern}” matches only texts of {}, and --length asks for {length}; leave out \
             --length",
            counted(letters, "letter")
        ),
        Some(length) if length < least => bail!(
            "the pattern “{pattern}” matches only texts of {} or more, and --length asks for {length}; give \
             --length {least} or more",
            counted(least, "letter")
        ),
        Some(length) => length..=length,
        None if stars == 0 => letters..=letters,
        None => least..=L,
    };
    let count = lengths.clone().map(|length| placements(length - letters, stars));
    let count = count.fold(0, usize::saturating_add);
    if count > MOST_PLACEMENTS {
        bail!(
            "the stars of the pattern “{pattern}” allow {count} combinations of lengths, and at most \
             {MOST_PLACEMENTS} are tried; give the number of letters with --length, or use fewer stars"
        );
    }
    let mut forms = BTreeSet::new();
    each_form(pattern, language.alphabet, lengths, |form| _ = forms.insert(form)).map_err(unmet)?;
    Ok(forms.into_iter().collect())
}

/// The error for a pattern that no text of `alphabet` and at most `positions` letters can meet.
fn unmet(error: &PatternError, pattern: &str, alphabet: Alphabet, positions: usize) -> anyhow::Error {
    match error {
        PatternError::UnknownCharacter(character) => anyhow!(
            "no text can meet the pattern “{pattern}”: the model does not know the character “{character}”; write ? \
             for any letter, or one of those that the model knows: {}",
            alphabet.characters()
        ),
        PatternError::NothingEscaped => anyhow!(
            "no text can meet the pattern “{pattern}”: it ends in a single backslash, which escapes \
             nothing; remove it, or write two for a backslash itself"
        ),
        PatternError::TooLong { needed } => anyhow!(
            "no text can meet the pattern “{pattern}”: it needs {needed} letters, and the model writes at most \
             {positions}; shorten the pattern"
        ),
        PatternError::Length { shortest } => anyhow!(
            "the pattern “{pattern}” allows only the empty text, and the shortest text of a model has \
             {shortest}; give --length {shortest} or more, or add ? to the pattern"
        ),
    }
}
