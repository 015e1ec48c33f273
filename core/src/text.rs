//! Text and symbols: the alphabet, encoding and decoding.
//!
//! Symbol 0 is PAD, which fills a text on the right; symbol s ≥ 1 is character s − 1 of the alphabet. MASK is no symbol:
//! it is `None`.

/// The symbol that fills a text up to its last position.
pub const PAD: u8 = 0;

/// The characters that texts are made of, each once, in the order of their symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alphabet<'a> {
    characters: &'a str,
}

/// Why a text could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A character that the alphabet lacks.
    UnknownCharacter(char),
    /// More characters than positions.
    TooLong,
}

/// Why a string is no alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphabetError {
    /// No character at all.
    Empty,
    /// More than 255 characters: a symbol is a `u8` and PAD is one of its values.
    TooMany,
    /// A character that occurs twice.
    Repeated(char),
}

impl<'a> Alphabet<'a> {
    /// The alphabet of `characters`.
    ///
    /// # Errors
    /// [`AlphabetError`] where there are none, more than 255, or one twice.
    pub fn new(characters: &'a str) -> Result<Self, AlphabetError> {
        let (mut count, mut rest) = (0_u8, characters.chars());
        while let Some(character) = rest.next() {
            count = count.checked_add(1).ok_or(AlphabetError::TooMany)?;
            if rest.clone().any(|later| later == character) {
                return Err(AlphabetError::Repeated(character));
            }
        }
        if characters.is_empty() { Err(AlphabetError::Empty) } else { Ok(Self { characters }) }
    }

    /// Its characters, in the order of their symbols.
    pub fn characters(&self) -> &'a str {
        self.characters
    }

    /// How many symbols there are: the characters and PAD.
    pub fn symbols(&self) -> usize {
        // A character of UTF-8 has one byte that does not continue another.
        let first = |byte: &u8| *byte & 0b1100_0000 != 0b1000_0000;
        self.characters.bytes().filter(first).count().saturating_add(1)
    }

    /// The symbol of `character`, if the alphabet has it.
    pub fn symbol(&self, character: char) -> Option<u8> {
        (1..=u8::MAX).zip(self.characters.chars()).find(|(_, c)| *c == character).map(|(symbol, _)| symbol)
    }

    /// The character of `symbol`; `None` for PAD and for what is outside the alphabet.
    pub fn character(&self, symbol: u8) -> Option<char> {
        (1..=u8::MAX).zip(self.characters.chars()).find(|(s, _)| *s == symbol).map(|(_, character)| character)
    }

    /// `text` as symbols, filled with [`PAD`].
    ///
    /// # Errors
    /// [`EncodeError`] where `text` has another character or more than `L` of them.
    pub fn encode<const L: usize>(&self, text: &str) -> Result<[u8; L], EncodeError> {
        let mut symbols = [PAD; L];
        let mut slots = symbols.iter_mut();
        for character in text.chars() {
            let symbol = self.symbol(character).ok_or(EncodeError::UnknownCharacter(character))?;
            *slots.next().ok_or(EncodeError::TooLong)? = symbol;
        }
        Ok(symbols)
    }

    /// The text up to the first PAD, cut where it exceeds `BYTES` bytes of UTF-8; a mask, or a symbol outside the
    /// alphabet, is written as `mask`.
    pub fn decode<const BYTES: usize>(&self, symbols: &[Option<u8>], mask: char) -> heapless::String<BYTES> {
        let mut text = heapless::String::new();
        for symbol in symbols {
            let character = match symbol {
                Some(PAD) => break,
                Some(symbol) => self.character(*symbol).unwrap_or(mask),
                None => mask,
            };
            if text.push(character).is_err() {
                break;
            }
        }
        text
    }
}
