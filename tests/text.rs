//! Texts, alphabets and encoding.
use micro_diffusion::text::{Alphabet, AlphabetError, EncodeError, Text};

fn text<const L: usize>(symbols: &[u8]) -> Text<L> {
    Text::new(symbols).unwrap()
}

#[test]
fn a_text_has_one_symbol_to_as_many_as_positions() {
    assert_eq!(Text::<3>::new(&[]), None);
    assert_eq!(Text::<3>::new(&[0; 4]), None);
    for length in 1..=3 {
        let symbols = &[0, 255, 7][..length];
        assert_eq!(text::<3>(symbols).symbols(), symbols);
    }
    assert_eq!(Text::<3>::EMPTY.symbols(), []);
    assert_eq!(Text::<0>::new(&[0]), None);
    // Symbol 0 is a symbol: a text that ends in it is another than one that ends before.
    assert_ne!(text::<3>(&[1, 0]), text::<3>(&[1]));
    assert_ne!(text::<3>(&[0]), Text::EMPTY);
}

#[test]
fn alphabets() {
    assert_eq!(Alphabet::new(""), Err(AlphabetError::Empty));
    assert_eq!(Alphabet::new("añb日ñ"), Err(AlphabetError::Repeated('ñ')));
    let many: String = (0..256).map(|i| char::from_u32(0x4E00 + i).unwrap()).collect();
    assert_eq!(Alphabet::new(&many), Err(AlphabetError::TooMany));
    let most: String = many.chars().take(255).collect();
    let alphabet = Alphabet::new(&most).unwrap();
    assert_eq!(alphabet.symbols(), 255);
    for (symbol, character) in (0..255).zip(most.chars()) {
        assert_eq!(alphabet.symbol(character), Some(symbol));
        assert_eq!(alphabet.character(symbol), Some(character));
    }
    assert_eq!((alphabet.character(255), alphabet.symbol('x')), (None, None));
    assert_eq!((alphabet.characters(), Alphabet::new("a").unwrap().character(1)), (&most[..], None));
}

#[test]
fn encoding_and_decoding() {
    let alphabet = Alphabet::new("aé日").unwrap();
    assert_eq!(alphabet.encode::<4>("日é"), Ok(text(&[2, 1])));
    assert_eq!(alphabet.encode::<2>("日é"), Ok(text(&[2, 1])));
    assert_eq!(alphabet.encode::<4>("aa"), Ok(text(&[0, 0])), "the first symbol is 0");
    assert_eq!(alphabet.encode::<2>(""), Err(EncodeError::Empty));
    assert_eq!(alphabet.encode::<1>("日é"), Err(EncodeError::TooLong(1)));
    assert_eq!(alphabet.encode::<4>("ax"), Err(EncodeError::UnknownCharacter('x')));
    assert_eq!(alphabet.encode::<1>("ax"), Err(EncodeError::UnknownCharacter('x')), "whatever its place");
    assert_eq!(alphabet.encode::<1>("aax"), Err(EncodeError::TooLong(1)), "what is wrong first");
    let shown = |symbols: &[Option<u8>]| alphabet.decode::<8>(symbols, '_').to_string();
    assert_eq!(shown(&[Some(0), None, Some(2)]), "a_日");
    assert_eq!(shown(&[Some(0), Some(0), None, None]), "aa__", "all that it is given");
    assert_eq!(shown(&[Some(3), Some(255), Some(0)]), "__a", "symbols outside the alphabet");
    assert_eq!(shown(&[]), "");
    assert_eq!(alphabet.decode::<5>(&[Some(2), Some(2)], '_'), "日", "cut between characters");
}
