//! Patterns against a matcher too plain to be wrong, over every pattern and every text of a tiny world.
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::form::{Form, leaves_all_open};
use micro_diffusion::pattern::{
    PatternError, cumulate, drawn_form, each_form, next_placement, placements, shortest,
};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::Alphabet;

fn letters() -> Alphabet<'static> {
    Alphabet::new("abc").unwrap()
}

/// Every way to write `letters` as an ordered sum of `stars` numbers, in the order of a dictionary.
fn sums(letters: usize, stars: usize) -> Vec<Vec<usize>> {
    if stars == 0 {
        return if letters == 0 { vec![vec![]] } else { vec![] };
    }
    let with_first = |first: usize| {
        sums(letters - first, stars - 1).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    (0..=letters).flat_map(with_first).collect()
}

#[test]
fn placements_are_as_many_as_there_are() {
    for (letters, stars) in (0..9).flat_map(|letters| (0..6).map(move |stars| (letters, stars))) {
        assert_eq!(placements(letters, stars), sums(letters, stars).len(), "{letters} in {stars}");
    }
    assert_eq!(placements(31, 5), 52_360, "C(35, 4)");
    assert_eq!(placements(usize::MAX, 1), 1);
    assert_eq!(placements(usize::MAX, 2), usize::MAX, "saturates");
    assert_eq!(placements(usize::MAX, 3), usize::MAX, "saturates");
    assert_eq!(placements(1000, 1000), usize::MAX, "saturates");
}

#[test]
fn the_next_placement_visits_each_once_in_order() {
    for (letters, stars) in (0..8).flat_map(|letters| (1..6).map(move |stars| (letters, stars))) {
        let mut placement = vec![0; stars];
        placement[stars - 1] = letters;
        let mut visited = vec![placement.clone()];
        while next_placement(&mut placement) {
            visited.push(placement.clone());
        }
        assert_eq!(visited, sums(letters, stars), "{letters} in {stars}");
        assert_eq!(visited.last(), Some(&placement), "the last stays");
        assert!(!next_placement(&mut placement), "and is the last");
    }
    assert!(!next_placement(&mut []));
}

/// A form as a string, with `?` where nothing is given.
fn shown<const L: usize>(form: Form<L>, alphabet: Alphabet) -> String {
    assert!(form.given[form.length..].iter().all(Option::is_none), "nothing is given past the end");
    let character = |given: &Option<u8>| given.map_or('?', |symbol| alphabet.character(symbol).unwrap());
    form.given[..form.length].iter().map(character).collect()
}

#[test]
fn forms_are_what_patterns_say() {
    let cases: [(&str, &[usize], &str); 16] = [
        ("ab", &[], "ab"),
        ("a?c", &[], "a?c"),
        ("a*", &[0], "a"),
        ("a*", &[3], "a???"),
        ("*", &[5], "?????"),
        ("*b", &[2], "??b"),
        ("a*b", &[0], "ab"),
        ("a*b*c", &[1, 2], "a?b??c"),
        ("*a*b*", &[1, 0, 2], "?ab??"),
        ("*a*b*", &[0, 0, 0], "ab"),
        ("a**b", &[2], "a??b"),
        ("***a***", &[1, 3], "?a???"),
        ("?*?", &[1], "???"),
        // Stars that the placement does not name stand for nothing; what it says besides is ignored.
        ("*a*b*", &[1], "?ab"),
        ("a*", &[2, 99], "a??"),
        ("ab", &[usize::MAX, usize::MAX], "ab"),
    ];
    for (pattern, placement, expected) in cases {
        let form = Form::<6>::of(pattern, placement, letters()).map(|form| shown(form, letters()));
        assert_eq!(form.as_deref(), Ok(expected), "{pattern} {placement:?}");
    }
    let odd = Alphabet::new("?*\\a").unwrap();
    let form = Form::<5>::of("\\?\\*\\\\a?", &[], odd).unwrap();
    assert_eq!(form, Form { length: 5, given: [Some(0), Some(1), Some(2), Some(3), None] });
    assert_eq!(Form::<5>::of("\\a*\\*", &[1], odd).unwrap().given, [Some(3), None, Some(1), None, None]);
}

/// The forms of a pattern in texts of a few lengths, as [`each_form`] finds them.
fn forms(pattern: &str, lengths: std::ops::RangeInclusive<usize>) -> Vec<String> {
    let mut found = Vec::new();
    each_form::<3>(pattern, letters(), lengths, |form| found.push(shown(form, letters()))).unwrap();
    found
}

#[test]
fn each_form_is_found_by_length_and_placement() {
    assert_eq!(forms("a?c", 3..=3), ["a?c"]);
    assert_eq!(forms("*a*", 1..=3), ["a", "a?", "?a", "a??", "?a?", "??a"]);
    assert_eq!(forms("a*", 2..=3), ["a?", "a??"]);
    // A star more than there are positions, which all stand for nothing.
    assert_eq!(forms("*a*b*c*", 3..=3), ["abc"]);
    assert_eq!(forms("*a*b*", 2..=3), ["ab", "ab?", "a?b", "?ab"]);
    let refused = |pattern, lengths| each_form::<3>(pattern, letters(), lengths, |_| ());
    assert_eq!(refused("*x", 1..=3), Err(PatternError::UnknownCharacter('x')));
    assert_eq!(refused("a*", 1..=4), Err(PatternError::TooLong { needed: 4 }));
}

#[test]
fn forms_are_drawn_as_often_as_their_shares_say() {
    // 1/2, 1/8, 3/8 of the texts, in any unit.
    let mut shares = [0.5_f64, 0.125, 0.375].map(|share| -(4.0 * share).ln());
    cumulate(&mut shares);
    for (share, expected) in shares.iter().zip([0.5, 0.625, 1.0]) {
        assert!((share - expected).abs() < 1e-12, "{shares:?}");
    }
    let mut drawn = [0_u32; 3];
    for index in 0..8000 {
        let stream = Stream::of_text(1, index);
        let [word, _] = stream.draw(u32::MAX, 1);
        let form = drawn_form(&shares, stream);
        let share = f64::from(word) / 2_f64.powi(32);
        assert_eq!(form, usize::from(share >= shares[0]) + usize::from(share >= shares[1]));
        drawn[form] += 1;
    }
    assert!((3900..4100).contains(&drawn[0]) && (900..1100).contains(&drawn[1]), "{drawn:?}");
    // A draw above the last share, which rounding allows, takes the last form. Without forms no form is drawn.
    assert_eq!(drawn_form(&[0.0, 0.0], Stream::of_text(1, 0)), 1);
    assert_eq!(drawn_form(&[], Stream::of_text(1, 0)), 0);
    cumulate(&mut []);
}

#[test]
fn a_form_allows_what_it_gives_and_else_the_alphabet() {
    let form = Form::<4>::of("?b", &[], letters()).unwrap();
    let any = SymbolSet::first(3);
    assert_eq!(form.allowed(3), [any, SymbolSet::EMPTY.with(1), any, any]);
    assert_eq!(Form::<4>::any(2), Form { length: 2, given: [None; 4] });
    assert_eq!(Form::<2>::any(2).allowed(2), [SymbolSet::first(2); 2]);
}

#[test]
fn patterns_that_cannot_be_met_are_refused() {
    let cases: [(&str, &[usize], PatternError); 11] = [
        ("ax", &[], PatternError::UnknownCharacter('x')),
        ("x\\", &[], PatternError::UnknownCharacter('x')),
        ("a\\", &[], PatternError::NothingEscaped),
        ("a\\x", &[], PatternError::UnknownCharacter('x')),
        ("\\?", &[], PatternError::UnknownCharacter('?')),
        ("aaaaaa", &[], PatternError::TooLong { needed: 6 }),
        ("a*", &[5], PatternError::TooLong { needed: 6 }),
        ("*a*", &[3, 2], PatternError::TooLong { needed: 6 }),
        ("*a*", &[usize::MAX, 2], PatternError::TooLong { needed: usize::MAX }),
        ("", &[], PatternError::Length { shortest: 1 }),
        ("**", &[0], PatternError::Length { shortest: 1 }),
    ];
    for (pattern, placement, error) in cases {
        assert_eq!(Form::<5>::of(pattern, placement, letters()), Err(error), "{pattern} {placement:?}");
    }
    // A wrong pattern is wrong however long.
    assert_eq!(Form::<1>::of("aaax", &[], letters()), Err(PatternError::UnknownCharacter('x')));
    assert_eq!(shortest("a?*b", letters()), Ok((3, 1)));
    assert_eq!(shortest("*a***b*", letters()), Ok((2, 3)), "stars in a row are one");
    assert_eq!(shortest("", letters()), Ok((0, 0)));
    for (pattern, open) in
        [("*", true), ("****", true), ("", false), ("*?", false), ("\\*", false), ("a*", false)]
    {
        assert_eq!(leaves_all_open(pattern), open, "{pattern}");
    }
    assert_eq!(shortest("*x", letters()), Err(PatternError::UnknownCharacter('x')));
}

/// A place of a pattern, read as its documentation says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Letter(char),
    Any,
    Star,
}

fn places(pattern: &[char], alphabet: &[char]) -> Result<Vec<Place>, PatternError> {
    let known = |letter: &char| {
        if alphabet.contains(letter) {
            Ok(Place::Letter(*letter))
        } else {
            Err(PatternError::UnknownCharacter(*letter))
        }
    };
    let (first, rest) = match pattern {
        [] => return Ok(vec![]),
        ['*', rest @ ..] => (Place::Star, rest),
        ['?', rest @ ..] => (Place::Any, rest),
        ['\\'] => return Err(PatternError::NothingEscaped),
        ['\\', letter, rest @ ..] | [letter, rest @ ..] => (known(letter)?, rest),
    };
    Ok([vec![first], places(rest, alphabet)?].concat())
}

/// Whether `text` is of the pattern of `places`.
fn meets(text: &[char], places: &[Place]) -> bool {
    match (places, text) {
        ([], []) => true,
        ([Place::Star, rest @ ..], _) => (0..=text.len()).any(|skip| meets(&text[skip..], rest)),
        ([Place::Any, places @ ..], [_, text @ ..]) => meets(text, places),
        ([Place::Letter(p), places @ ..], [t, text @ ..]) => p == t && meets(text, places),
        _ => false,
    }
}

/// Every sequence of 0 … `most` of `characters`.
fn sequences(characters: &[char], most: usize) -> Vec<Vec<char>> {
    let mut all = vec![vec![]];
    let mut longest = all.clone();
    for _ in 0..most {
        let longer = |text: &Vec<char>| {
            let text = text.clone();
            characters.iter().map(move |c| [text.clone(), vec![*c]].concat())
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend(longest.iter().cloned());
    }
    all
}

/// All patterns of up to five characters, over all texts of up to four. A text meets a pattern if and only if it has one
/// of the pattern's forms. An error names the first wrong place.
#[test]
fn the_forms_of_a_pattern_are_the_texts_that_meet_it() {
    const L: usize = 4;
    // The alphabet has an escaped ? and backslash, and neither b nor a star.
    let characters = ['a', '?', '\\'];
    let alphabet = Alphabet::new("a?\\").unwrap();
    let texts: Vec<Vec<char>> =
        sequences(&characters, L).into_iter().filter(|text| !text.is_empty()).collect();
    let (mut met, mut refused) = (0, 0);
    for pattern in sequences(&['a', 'b', '?', '*', '\\'], 5) {
        let written: String = pattern.iter().collect();
        let places = match places(&pattern, &characters) {
            Ok(places) => places,
            Err(error) => {
                assert_eq!(shortest(&written, alphabet), Err(error), "{written}");
                assert_eq!(Form::<L>::of(&written, &[1], alphabet), Err(error), "{written}");
                refused += 1;
                continue;
            }
        };
        let fewest = places.iter().filter(|place| **place != Place::Star).count();
        let runs = places.chunk_by(|a, b| *a == Place::Star && *b == Place::Star);
        let stars = runs.filter(|run| run[0] == Place::Star).count();
        assert_eq!(shortest(&written, alphabet), Ok((fewest, stars)), "{written}");

        let mut forms = vec![];
        for letters in 0..=L.saturating_sub(fewest) {
            let mut placement = vec![0; stars];
            match placement.last_mut() {
                Some(last) => *last = letters,
                None if letters > 0 => continue,
                None => {}
            }
            let before = forms.len();
            loop {
                match Form::<L>::of(&written, &placement, alphabet) {
                    Ok(form) => forms.push(form),
                    Err(PatternError::Length { shortest: 1 }) => assert_eq!(fewest + letters, 0, "{written}"),
                    Err(error) => {
                        assert_eq!(error, PatternError::TooLong { needed: fewest + letters }, "{written}");
                        assert!(fewest + letters > L, "{written}");
                    }
                }
                if !next_placement(&mut placement) {
                    break;
                }
            }
            let expected = if (1..=L).contains(&(fewest + letters)) { placements(letters, stars) } else { 0 };
            assert_eq!(forms.len() - before, expected, "{written} of {letters} more");
        }
        for text in &texts {
            let symbols = text.iter().map(|c| alphabet.symbol(*c));
            let has = |form: &Form<L>| {
                form.length == text.len()
                    && symbols
                        .clone()
                        .zip(form.given)
                        .all(|(symbol, given)| given.is_none() || given == symbol)
            };
            let meets = meets(text, &places);
            assert_eq!(forms.iter().any(has), meets, "{text:?} of {written}");
            met += usize::from(meets);
        }
    }
    assert!(met > 10_000 && refused > 1000, "{met} met, {refused} refused");
}

#[test]
fn texts_drawn_under_random_patterns_meet_them() {
    let mut drawn = 0;
    for index in 0..3000_u32 {
        let word = |b: u32| Stream::new(2, Purpose::Order).draw(index, b)[0];
        let pattern: String =
            (0..word(0) % 6).map(|i| ['a', 'b', '?', '?', '*'][word(i + 1) as usize % 5]).collect();
        let placement = [word(20) as usize % 3, word(21) as usize % 3, word(22) as usize % 3];
        let Ok(form) = Form::<5>::of(&pattern, &placement, letters()) else { continue };
        let orders = [Order::Random, Order::Confidence];
        let settings = Settings::new(orders[index as usize % 2], Temperature::ONE);
        let stream = Stream::new(3, Purpose::Sample).child(index, 0);
        let sets = form.allowed(3);
        let mut sampler = Sampler::<5, 3>::new(form.length, &sets, settings, stream).unwrap();
        sampler.run(&mut common::Table::new(u64::from(index)), 7);
        let text: Vec<char> = letters().decode::<5>(sampler.symbols(), '_').chars().collect();
        assert_eq!(text.len(), form.length, "{text:?}");
        let pattern: Vec<char> = pattern.chars().collect();
        assert!(meets(&text, &places(&pattern, &['a', 'b', 'c']).unwrap()), "{text:?} of {pattern:?}");
        drawn += 1;
    }
    assert!(drawn > 1500, "{drawn} texts");
}
