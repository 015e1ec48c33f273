//! Patterns: which symbols each position may hold.
//!
//! In a pattern a letter stands for itself, `?` for any one letter, and `*` for any number of letters, none included. A
//! backslash takes the next character as it is.
//!
//! A text of n letters meets a pattern of s letters and `?` if its stars stand for n − s letters together: for one star there
//! is one way, for more there are several *placements*, each of which says how many letters each star stands for. A placement
//! makes a [`Form`] of the pattern: how long the text is, and which letters are given where.

use core::ops::RangeInclusive;

use crate::denoiser::Denoiser;
use crate::form::Form;
use crate::likelihood::{nats_of_steps, negative_log_mean};
use crate::math::Real;
use crate::rng::Stream;
use crate::text::Alphabet;

/// The most placements of a pattern that are looked at.
pub const MOST_PLACEMENTS: usize = 4096;

/// Why no text can meet a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// A character that the alphabet lacks.
    UnknownCharacter(char),
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
    let mut characters = pattern.chars().peekable();
    core::iter::from_fn(move || {
        let letter = match characters.next()? {
            '?' => return Some(Ok(Place::AnyLetter)),
            '*' => {
                // Stars in a row are one.
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

/// The length of the shortest text of `pattern`, and how many stars it has.
///
/// # Errors
/// [`PatternError`] where the pattern itself is wrong.
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

/// How many placements `stars` stars have that stand for `letters` letters together, C(letters + stars − 1, stars − 1): the
/// ways to write a number as an ordered sum; saturates.
pub fn placements(letters: usize, stars: usize) -> usize {
    let Some(bars) = stars.checked_sub(1) else { return usize::from(letters == 0) };
    let mut ways = 1_usize;
    for bar in 1..=bars {
        // C(letters + bar, bar) of C(letters + bar − 1, bar − 1), a whole number.
        let Some(product) = ways.checked_mul(letters.saturating_add(bar)) else { return usize::MAX };
        ways = product.checked_div(bar).unwrap_or(usize::MAX);
    }
    ways
}

/// Turns `placement`, how many letters each star stands for, into the next one of the same sum; false after the last.
///
/// The first is all letters in the last star, the last all in the first.
pub fn next_placement(placement: &mut [usize]) -> bool {
    // The last star but one that can take a letter from those behind it takes it, and they start anew.
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
    /// The texts of `pattern` whose stars stand for `placement` letters. Stars past its end stand for none, and what is past the
    /// last star says nothing.
    ///
    /// # Errors
    /// [`PatternError`] where the pattern is wrong, or where no text has so many letters.
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

/// Calls `each` with the form of every placement of `pattern` in a text of every length in `lengths`, at least its
/// [`shortest`]; two placements may make the same form.
///
/// # Errors
/// [`PatternError`] where the pattern is wrong, or a length exceeds `L`.
pub fn each_form<const L: usize>(
    pattern: &str,
    alphabet: Alphabet,
    lengths: RangeInclusive<usize>,
    mut each: impl FnMut(Form<L>),
) -> Result<(), PatternError> {
    let (letters, stars) = shortest(pattern, alphabet)?;
    for length in lengths {
        // More stars than positions are one more at most, where each stands for none.
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

/// Turns `nats`, −ln p of each form that a text can have, into the share of the texts that have it or one before it.
pub fn cumulate(nats: &mut [f64]) {
    let (mean, count) = (negative_log_mean(nats.iter().copied()), nats.len());
    let mut sum = 0.0;
    for nats in nats {
        sum += share_of_mean(*nats, mean, count);
        *nats = sum;
    }
}

/// The number of the form that the text has whose own stream is `stream`, by draw (2³² − 1, 1) of it and the
/// [cumulated](cumulate) `shares`.
pub fn drawn_form(shares: &[f64], stream: Stream) -> usize {
    let [word, _] = stream.draw(u32::MAX, 1);
    let share = f64::from(word) / 4_294_967_296.0;
    let last = shares.len().saturating_sub(1);
    shares.iter().position(|sum| *sum > share).unwrap_or(last)
}

/// Σ −ln p(x_l | those left of it, n) over the positions l of `given` that hold a symbol, in nats: the letters that are given in
/// a text of `length`, from left to right, with everything else masked.
pub fn nats_of_given<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &mut D,
    symbols: usize,
    length: usize,
    given: &[Option<u8>; L],
) -> f64 {
    denoiser.start(length);
    let steps = given.iter().enumerate().filter_map(|(position, symbol)| Some((position, (*symbol)?)));
    nats_of_steps(denoiser, symbols, steps)
}

/// The share e^(mean − x)/K that a term of −ln p = x = `nats` has of the sum of K = `count` of them whose
/// [`negative_log_mean`] is `mean`.
pub fn share_of_mean(nats: f64, mean: f64, count: usize) -> f64 {
    Real::exp(mean - nats) / count as f64
}
