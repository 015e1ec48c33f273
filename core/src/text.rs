//! Text and symbols: the alphabet, encoding and decoding.
//!
//! Symbol s is character s of the alphabet, from 0. A text has 1 … L symbols, and nothing beyond its last: how long it is comes
//! first ([`Lengths`](crate::length::Lengths)). MASK is no symbol: it is `None`.

/// A text of at most `L` symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<const L: usize> {
    /// The first `length` are the text's; the others are 0.
    symbols: [u8; L],
    length: usize,
}

impl<const L: usize> Text<L> {
    /// No text yet.
    pub const EMPTY: Self = Self { symbols: [0; L], length: 0 };

    /// The text of `symbols`; `None` where there are none or more than `L`.
    pub fn new(symbols: &[u8]) -> Option<Self> {
        let mut text = Self { length: symbols.len(), ..Self::EMPTY };
        text.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        (!symbols.is_empty()).then_some(text)
    }

    /// Its symbols, as many as it is long.
    #[inline(always)]
    pub fn symbols(&self) -> &[u8] {
        self.symbols.get(..self.length).unwrap_or(&self.symbols)
    }

    /// Its symbol at `position`, 0 past the end.
    #[inline(always)]
    pub(crate) fn symbol(&self, position: usize) -> u8 {
        self.symbols.get(position).copied().unwrap_or(0)
    }
}

/// The characters that texts are made of, each once, in the order of their symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alphabet<'a> {
    characters: &'a str,
}

/// Why a text could not be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// No character at all.
    Empty,
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
    /// More than 255 characters: a symbol is a `u8`, and networks in integers keep 255 for MASK.
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

    /// How many symbols there are, one for each character.
    pub fn symbols(&self) -> usize {
        // A character of UTF-8 has one byte that does not continue another.
        let first = |byte: &u8| *byte & 0b1100_0000 != 0b1000_0000;
        self.characters.bytes().filter(first).count()
    }

    /// The symbol of `character`, if the alphabet has it.
    pub fn symbol(&self, character: char) -> Option<u8> {
        (0..u8::MAX).zip(self.characters.chars()).find(|(_, c)| *c == character).map(|(symbol, _)| symbol)
    }

    /// The character of `symbol`; `None` for what is outside the alphabet.
    pub fn character(&self, symbol: u8) -> Option<char> {
        self.characters.chars().nth(usize::from(symbol))
    }

    /// `text` as symbols.
    ///
    /// # Errors
    /// [`EncodeError`] where `text` is empty, has another character or more than `L` of them.
    pub fn encode<const L: usize>(&self, text: &str) -> Result<Text<L>, EncodeError> {
        let mut encoded = Text::EMPTY;
        for character in text.chars() {
            let symbol = self.symbol(character).ok_or(EncodeError::UnknownCharacter(character))?;
            *encoded.symbols.get_mut(encoded.length).ok_or(EncodeError::TooLong)? = symbol;
            encoded.length = encoded.length.saturating_add(1);
        }
        if encoded.length == 0 { Err(EncodeError::Empty) } else { Ok(encoded) }
    }

    /// The text of `symbols`, cut where it exceeds `BYTES` bytes of UTF-8; a mask, or a symbol outside the alphabet, is
    /// written as `mask`.
    pub fn decode<const BYTES: usize>(&self, symbols: &[Option<u8>], mask: char) -> heapless::String<BYTES> {
        let mut text = heapless::String::new();
        for symbol in symbols {
            let character = symbol.and_then(|symbol| self.character(symbol)).unwrap_or(mask);
            if text.push(character).is_err() {
                break;
            }
        }
        text
    }
}
