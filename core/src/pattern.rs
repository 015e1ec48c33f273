//! Patterns: which symbols each position of a text may hold.
//!
//! A letter of a pattern stands for itself, `?` for any one letter, and `*` for any number of letters, even none. A backslash
//! takes the next character literally.
//!
//! Let a pattern have s letters and `?`. A text of n letters matches if the stars stand for n − s letters together. One star
//! has one way to do so; several stars have several *placements*, each a number of letters for every star. A placement of a
//! pattern is a [`Form`]: the length of the text, and the letters given in it.

use core::ops::RangeInclusive;

use crate::denoiser::Denoiser;
use crate::form::Form;
use crate::likelihood::{Likelihood, negative_log_mean};
use crate::math::Real;
use crate::rng::Stream;
use crate::text::Alphabet;

/// The largest number of placements of a pattern that a program should try.
///
/// A placement gives each star of the pattern a number of letters; [`placements`] counts the ways.
pub const MOST_PLACEMENTS: usize = 4096;

/// Reason why no text can match a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// A character that is not in the alphabet.
    UnknownCharacter(char),
    /// A backslash at the end of the pattern.
    NothingEscaped,
    /// A text of more symbols than there are positions.
    TooLong {
        /// Positions that the text needs.
        needed: usize,
    },
    /// A length that no text of the pattern has.
    Length {
        /// Length of the pattern's shortest text.
        shortest: usize,
    },
}

/// An element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Letter(u8),
    AnyLetter,
    Star,
}

/// Parses a pattern element by element.
fn places<'a>(
    pattern: &'a str,
    alphabet: Alphabet<'a>,
) -> impl Iterator<Item = Result<Place, PatternError>> + 'a {
    let mut characters = pattern.chars().peekable();
    core::iter::from_fn(move || {
        let letter = match characters.next()? {
            '?' => return Some(Ok(Place::AnyLetter)),
            '*' => {
                // Adjacent stars count as one.
                while characters.next_if_eq(&'*').is_some() {}
                return Some(Ok(Place::Star));
            }
            '\\' => match characters.next() {
                Some(escaped) => escaped,
                None => return Some(Err(PatternError::NothingEscaped)),
            },
            letter => letter,
        };
        Some(alphabet.symbol(letter).map(Place::Letter).ok_or(PatternError::UnknownCharacter(letter)))
    })
}

/// The length of the shortest text of `pattern`, and the number of its stars; adjacent stars count as one.
///
/// A character of a pattern is a letter of the text, `?` is any one letter, and `*` any number of letters, even none. A
/// backslash takes the next character literally.
///
/// # Errors
/// [`PatternError`] if the pattern has a character that `alphabet` lacks, or ends in a lone backslash.
pub fn shortest(pattern: &str, alphabet: Alphabet) -> Result<(usize, usize), PatternError> {
    let (mut letters, mut stars) = (0_usize, 0_usize);
    for place in places(pattern, alphabet) {
        match place? {
            Place::Star => stars = stars.saturating_add(1),
            _ => letters = letters.saturating_add(1),
        }
    }
    Ok((letters, stars))
}

/// The number of ways to share out `letters` letters among `stars` stars, where a star may get none: the binomial
/// coefficient (letters + stars − 1 over stars − 1).
///
/// A star of a pattern stands for any number of letters. With `stars` = 0, the result is 1 for 0 letters, else 0. Large
/// results saturate at `usize::MAX`.
pub fn placements(letters: usize, stars: usize) -> usize {
    let Some(bars) = stars.checked_sub(1) else { return usize::from(letters == 0) };
    let mut ways = 1_usize;
    for bar in 1..=bars {
        // C(letters + bar, bar) = C(letters + bar − 1, bar − 1)·(letters + bar)/bar, a whole number.
        let Some(product) = ways.checked_mul(letters.saturating_add(bar)) else { return usize::MAX };
        ways = product.checked_div(bar).unwrap_or(usize::MAX);
    }
    ways
}

/// Advances `placement` to the next one of equal sum, in lexicographic order. Returns false at the last, which stays,
/// and for an empty one.
///
/// A placement gives each star of a pattern, from left to right, the number of letters that the star stands for. In the
/// first placement the last star has all letters, in the last placement the first star.
pub fn next_placement(placement: &mut [usize]) -> bool {
    // The last star with letters behind it takes one of them; the others go back to the last star.
    for star in (0..placement.len().saturating_sub(1)).rev() {
        let (head, tail) = placement.split_at_mut(star.saturating_add(1));
        let behind: usize = tail.iter().fold(0, |sum, letters| sum.saturating_add(*letters));
        if let (Some(letters), Some((last, others)), true) =
            (head.last_mut(), tail.split_last_mut(), behind > 0)
        {
            *letters = letters.saturating_add(1);
            others.fill(0);
            *last = behind.saturating_sub(1);
            return true;
        }
    }
    false
}

impl<const L: usize> Form<L> {
    /// The form of texts of `pattern` whose star number i, from the left, stands for `placement[i]` letters.
    ///
    /// A letter of the pattern is given, `?` is one open letter, and a star is as many open letters as `placement`
    /// says. Missing numbers are 0, and further ones are ignored. Adjacent stars count as one.
    ///
    /// # Errors
    /// [`PatternError`] if the pattern has a character that `alphabet` lacks, or ends in a lone backslash. Also if the
    /// text would have 0 or more than `L` letters.
    pub fn of(pattern: &str, placement: &[usize], alphabet: Alphabet) -> Result<Self, PatternError> {
        let (shortest, stars) = shortest(pattern, alphabet)?;
        let needed = placement.iter().take(stars).fold(shortest, |sum, letters| sum.saturating_add(*letters));
        if needed > L {
            return Err(PatternError::TooLong { needed });
        }
        if needed == 0 {
            return Err(PatternError::Length { shortest: 1 });
        }
        let mut form = Self::any(needed);
        let mut slots = form.given.iter_mut();
        let mut stars = placement.iter();
        for place in places(pattern, alphabet) {
            match place? {
                Place::Star => slots.by_ref().take(stars.next().copied().unwrap_or(0)).for_each(drop),
                Place::AnyLetter => slots.by_ref().take(1).for_each(drop),
                Place::Letter(letter) => slots.by_ref().take(1).for_each(|slot| *slot = Some(letter)),
            }
        }
        Ok(form)
    }
}

/// Calls `each` with every form in which a text of one of `lengths` can match `pattern`: each star may stand for any
/// number of letters, even none. A form has a length and the letters given.
///
/// One form may come twice. Pass only lengths that a text of the pattern can have: at least the pattern's [`shortest`],
/// and equal to it without a star. Another length gives the forms of the shortest length.
///
/// # Errors
/// [`PatternError`] if the pattern has a character that `alphabet` lacks, or ends in a lone backslash. Then `each` is
/// not called. Also if a form would have 0 or more than `L` letters; forms of smaller lengths have then gone to `each`.
pub fn each_form<const L: usize>(
    pattern: &str,
    alphabet: Alphabet,
    lengths: RangeInclusive<usize>,
    mut each: impl FnMut(Form<L>),
) -> Result<(), PatternError> {
    let (letters, stars) = shortest(pattern, alphabet)?;
    for length in lengths {
        // Stars are separated by letters, so at most one star exceeds the positions. Then every star stands for 0 letters.
        let mut placement = [0; L];
        let (placement, _) = placement.split_at_mut(stars.min(L));
        if let Some(last) = placement.last_mut() {
            *last = length.saturating_sub(letters);
        }
        loop {
            each(Form::of(pattern, placement, alphabet)?);
            if !next_placement(placement) {
                break;
            }
        }
    }
    Ok(())
}

/// Turns `nats`, −ln p of several alternatives, into cumulated shares: number i becomes (p_0 + … + p_i)/Σ_j p_j, so the
/// last is about 1.
///
/// Large numbers are allowed: only their differences count. Where all are ∞, all shares are NaN.
pub fn cumulate(nats: &mut [f64]) {
    let (mean, count) = (negative_log_mean(nats.iter().copied()), nats.len());
    let mut sum = 0.0;
    for nats in nats {
        sum += Real::exp(mean - *nats) / count as f64;
        *nats = sum;
    }
}

/// Draws the index of a form, one length of a text with the letters given in it. `shares` are running sums of the
/// forms' probabilities, as [`cumulate`] makes them. The index is that of the first share above a uniform number in
/// \[0, 1), or the last of all; 0 if there are none.
///
/// The number is the first word of `stream.draw(u32::MAX, 1)` times 2⁻³²; `stream` is the text's own.
pub fn drawn_form(shares: &[f64], stream: Stream) -> usize {
    let [word, _] = stream.draw(u32::MAX, 1);
    let share = f64::from(word) / 4_294_967_296.0;
    let last = shares.len().saturating_sub(1);
    shares.iter().position(|sum| *sum > share).unwrap_or(last)
}

/// −ln p of the `given` symbols of a text of `length` symbols, in nats: Σ −ln p(x_l | given symbols to the left of l,
/// length).
///
/// `given` has each position's symbol, or `None`. The given symbols are shown one by one from left to right; all else
/// stays masked.
///
/// `length` is 1 … L, and no symbol may be given from position `length` on. `symbols` ≤ V is the size of the alphabet;
/// a given symbol outside it makes the result ∞.
pub fn nats_of_given<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &mut D,
    symbols: usize,
    length: usize,
    given: &[Option<u8>; L],
) -> f64 {
    denoiser.start(length);
    let steps = given.iter().enumerate().filter_map(|(position, symbol)| Some((position, (*symbol)?)));
    denoiser.nats_of_steps(symbols, steps)
}
