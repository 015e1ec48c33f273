//! Patterns: which symbols each position may hold.
//!
//! In a pattern a letter stands for itself, `?` for any one letter, and `*`, at most once, for any number of letters,
//! none included. A backslash takes the next character as it is. PAD is no letter.
//!
//! Where the `*` comes last, or there is none, the positions are settled by the pattern alone. Elsewhere the text after
//! the `*` can stand in several places, and the length of the text must be given.

use crate::categorical::SymbolSet;
use crate::text::{Alphabet, PAD};

/// Why no text can meet a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// A character that the alphabet lacks.
    UnknownCharacter(char),
    /// More than one `*`.
    TwoStars,
    /// A backslash with nothing after it.
    NothingEscaped,
    /// The text would need more positions than there are.
    TooLong {
        /// Positions it would need.
        needed: usize,
    },
    /// The length asked for is not one that the pattern allows.
    Length {
        /// The shortest text of the pattern.
        shortest: usize,
    },
    /// A `*` before the end, and no length to say where it ends.
    LengthNeeded,
}

/// One place of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Letter(u8),
    AnyLetter,
    Star,
}

/// Reads a pattern place by place.
fn places<'a>(
    pattern: &'a str,
    alphabet: Alphabet<'a>,
) -> impl Iterator<Item = Result<Place, PatternError>> + 'a {
    let mut characters = pattern.chars();
    core::iter::from_fn(move || {
        let letter = match characters.next()? {
            '?' => return Some(Ok(Place::AnyLetter)),
            '*' => return Some(Ok(Place::Star)),
            '\\' => match characters.next() {
                Some(escaped) => escaped,
                None => return Some(Err(PatternError::NothingEscaped)),
            },
            letter => letter,
        };
        Some(alphabet.symbol(letter).map(Place::Letter).ok_or(PatternError::UnknownCharacter(letter)))
    })
}

/// The length of the shortest text of `pattern`, and whether it has a `*`.
///
/// # Errors
/// [`PatternError`] where the pattern itself is wrong.
pub fn shortest(pattern: &str, alphabet: Alphabet) -> Result<(usize, bool), PatternError> {
    let (mut letters, mut star) = (0_usize, false);
    for place in places(pattern, alphabet) {
        match place? {
            Place::Star if star => return Err(PatternError::TwoStars),
            Place::Star => star = true,
            _ => letters = letters.saturating_add(1),
        }
    }
    Ok((letters, star))
}

/// The symbols that each position may hold in a text of `pattern`, and of `length` letters if that is given.
///
/// # Errors
/// [`PatternError`] where no text of at most `L` letters can be of that pattern and length, or where a `*` before the end
/// needs a length.
pub fn allowed<const L: usize>(
    pattern: &str,
    length: Option<usize>,
    alphabet: Alphabet,
) -> Result<[SymbolSet; L], PatternError> {
    let (shortest, star) = shortest(pattern, alphabet)?;
    let needed = length.unwrap_or(shortest);
    if shortest > L || needed > L {
        return Err(PatternError::TooLong { needed: needed.max(shortest) });
    }
    if needed < shortest || (needed > shortest && !star) {
        return Err(PatternError::Length { shortest });
    }
    let symbol = SymbolSet::first(alphabet.symbols());
    let letter = symbol.without(PAD);
    // Without a length, a last `*` leaves all that follows open; a text ends where its length is known.
    let open = star && length.is_none();
    let mut sets = [if open { symbol } else { SymbolSet::only(PAD) }; L];
    let mut slots = sets.iter_mut();
    let mut starred = false;
    for place in places(pattern, alphabet) {
        if open && starred {
            return Err(PatternError::LengthNeeded);
        }
        match place? {
            Place::Star if open => starred = true,
            Place::Star => slots.by_ref().take(needed.saturating_sub(shortest)).for_each(|set| *set = letter),
            Place::AnyLetter => slots.by_ref().take(1).for_each(|set| *set = letter),
            Place::Letter(given) => slots.by_ref().take(1).for_each(|set| *set = SymbolSet::only(given)),
        }
    }
    Ok(sets)
}
