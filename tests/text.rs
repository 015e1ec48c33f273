//! Alphabets, encoding and patterns.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

mod common;

use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::pattern::{PatternError, allowed, shortest};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::{Alphabet, AlphabetError, EncodeError, PAD};

fn letters() -> Alphabet<'static> {
    Alphabet::new("abc").unwrap()
}

#[test]
fn alphabets() {
    assert_eq!(Alphabet::new(""), Err(AlphabetError::Empty));
    assert_eq!(Alphabet::new("añb日ñ"), Err(AlphabetError::Repeated('ñ')));
    let many: String = (0..256).map(|i| char::from_u32(0x4E00 + i).unwrap()).collect();
    assert_eq!(Alphabet::new(&many), Err(AlphabetError::TooMany));
    let most: String = many.chars().take(255).collect();
    let alphabet = Alphabet::new(&most).unwrap();
    assert_eq!(alphabet.symbols(), 256);
    for (symbol, character) in (1..=255).zip(most.chars()) {
        assert_eq!(alphabet.symbol(character), Some(symbol));
        assert_eq!(alphabet.character(symbol), Some(character));
    }
    assert_eq!((alphabet.character(PAD), alphabet.symbol('x')), (None, None));
}

#[test]
fn encoding_and_decoding() {
    let alphabet = Alphabet::new("aé日").unwrap();
    assert_eq!(alphabet.encode::<4>("日é"), Ok([3, 2, PAD, PAD]));
    assert_eq!(alphabet.encode::<2>("日é"), Ok([3, 2]));
    assert_eq!(alphabet.encode::<2>(""), Ok([PAD; 2]));
    assert_eq!(alphabet.encode::<1>("日é"), Err(EncodeError::TooLong));
    assert_eq!(alphabet.encode::<4>("ax"), Err(EncodeError::UnknownCharacter('x')));
    let shown = |symbols: &[Option<u8>]| alphabet.decode::<8>(symbols, '_').to_string();
    assert_eq!(shown(&[Some(1), None, Some(3)]), "a_日");
    assert_eq!(shown(&[Some(1), Some(PAD), Some(3)]), "a", "a text ends at its first PAD");
    assert_eq!(shown(&[Some(9), Some(1)]), "_a", "a symbol outside the alphabet");
    assert_eq!(alphabet.decode::<5>(&[Some(3), Some(3)], '_'), "日", "cut between characters");
}

fn describe(sets: [SymbolSet; 5]) -> String {
    let name = |set: &SymbolSet| match set.iter_below(4).collect::<Vec<_>>()[..] {
        [PAD] => '.',
        [symbol] => letters().character(symbol).unwrap(),
        [1, 2, 3] => '?',
        [0, 1, 2, 3] => '*',
        _ => '!',
    };
    sets.iter().map(name).collect()
}

#[test]
fn patterns_allow_what_they_say() {
    let cases = [
        ("ab", None, "ab..."),
        ("a?c", None, "a?c.."),
        ("a*", None, "a****"),
        ("*", None, "*****"),
        ("a*", Some(3), "a??.."),
        ("*b", Some(3), "??b.."),
        ("a*b", Some(5), "a???b"),
        ("a*b", Some(2), "ab..."),
        ("?????", None, "?????"),
        ("", None, "....."),
    ];
    for (pattern, length, sets) in cases {
        assert_eq!(allowed::<5>(pattern, length, letters()).map(describe).as_deref(), Ok(sets), "{pattern}");
    }
}

#[test]
fn patterns_that_cannot_be_met_are_refused() {
    let cases = [
        ("ax", None, PatternError::UnknownCharacter('x')),
        ("a**", None, PatternError::TwoStars),
        ("a\\", None, PatternError::NothingEscaped),
        ("\\?", None, PatternError::UnknownCharacter('?')),
        ("aaaaaa", None, PatternError::TooLong { needed: 6 }),
        ("a*", Some(6), PatternError::TooLong { needed: 6 }),
        ("aaaaaa", Some(2), PatternError::TooLong { needed: 6 }),
        ("aaaaaa", Some(7), PatternError::TooLong { needed: 7 }),
        ("ab", Some(3), PatternError::Length { shortest: 2 }),
        ("ab*", Some(1), PatternError::Length { shortest: 2 }),
        ("*a", None, PatternError::LengthNeeded),
    ];
    for (pattern, length, error) in cases {
        assert_eq!(allowed::<5>(pattern, length, letters()), Err(error), "{pattern}");
    }
    assert_eq!(shortest("a?*b", letters()), Ok((3, true)));
    let odd = Alphabet::new("?*\\a").unwrap();
    assert_eq!(allowed::<5>("\\?\\*\\\\a", None, odd).unwrap()[1], SymbolSet::only(2));
}

/// Whether `text` is of `pattern`.
fn meets(text: &[char], pattern: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|skip| meets(&text[skip..], rest)),
        (['?', pattern @ ..], [_, text @ ..]) => meets(text, pattern),
        ([p, pattern @ ..], [t, text @ ..]) => p == t && meets(text, pattern),
        _ => false,
    }
}

#[test]
fn texts_drawn_under_random_patterns_meet_them() {
    for index in 0..3000_u32 {
        let word = |b: u32| Stream::new(2, Purpose::Order).draw(index, b)[0];
        let pattern: String =
            (0..word(0) % 6).map(|i| ['a', 'b', '?', '?', '*'][word(i + 1) as usize % 5]).collect();
        let length = (word(20) % 3 == 0).then_some(word(21) as usize % 6);
        let Ok(sets) = allowed::<5>(&pattern, length, letters()) else { continue };
        let orders = [Order::Random, Order::Confidence, Order::Remask];
        let settings = Settings::new(orders[index as usize % 3], Temperature::ONE);
        let stream = Stream::new(3, Purpose::Sample).child(index, 0);
        let mut sampler = Sampler::<5, 4>::new(&sets, settings, stream).unwrap();
        sampler.run(&mut common::Table::new(u64::from(index)), 7);
        let text = letters().decode::<5>(sampler.symbols(), '_');
        let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
        assert!(meets(&text, &pattern), "{text:?} of {pattern:?}");
        assert!(length.is_none_or(|length| text.len() == length), "{text:?} of length {length:?}");
    }
}
