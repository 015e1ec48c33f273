//! Alphabets and texts: encodes characters as symbols, and gives the character of a symbol.
//!
//! Symbol s is character s of the alphabet, counted from 0. A text has 1 … L symbols and nothing beyond the last. A model
//! draws its length first ([`Lengths`](crate::length::Lengths)). A masked position is `None`: MASK is not a symbol.

/// A text of at most `L` symbols, all shown. [`Alphabet`] turns characters into symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<const L: usize> {
    /// The text's symbols in the first `length` places, then zeros.
    symbols: [u8; L],
    length: usize,
}

impl<const L: usize> Text<L> {
    /// An empty text, a value to start from.
    pub const EMPTY: Self = Self { symbols: [0; L], length: 0 };

    /// Creates the text of `symbols`; `None` if there are none or more than `L`. Symbols are not compared with an
    /// alphabet.
    pub fn new(symbols: &[u8]) -> Option<Self> {
        let mut text = Self { length: symbols.len(), ..Self::EMPTY };
        text.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        (!symbols.is_empty()).then_some(text)
    }

    /// The symbols of the text, one for each of its letters; none is MASK.
    pub fn symbols(&self) -> &[u8] {
        self.symbols.get(..self.length).unwrap_or(&self.symbols)
    }

    /// The symbol at `position`, or 0 past the end.
    pub(crate) fn symbol(&self, position: usize) -> u8 {
        self.symbols.get(position).copied().unwrap_or(0)
    }
}

/// Alphabet: the characters that texts may have, each once. Symbol s is character number s, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alphabet<'a> {
    characters: &'a str,
}

/// Reason why a text cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The text is empty.
    Empty,
    /// A character that is not in the alphabet.
    UnknownCharacter(char),
    /// More characters than positions, whose number is given.
    TooLong(usize),
}

/// Reason why a string is not an alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphabetError {
    /// The string is empty.
    Empty,
    /// More than 255 characters: a symbol is a `u8`, and convolutions in integers need one value for MASK.
    TooMany,
    /// A character that occurs twice.
    Repeated(char),
}

impl<'a> Alphabet<'a> {
    /// Creates the alphabet of `characters`; character number s, from 0, is that of symbol s.
    ///
    /// # Errors
    /// [`AlphabetError`] if `characters` is empty, has more than 255 characters, or repeats one.
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

    /// The characters, in the order of their symbols.
    pub fn characters(&self) -> &'a str {
        self.characters
    }

    /// The number of symbols, one for each character.
    pub fn symbols(&self) -> usize {
        // In UTF-8 each character has exactly one byte that is not a continuation byte.
        self.characters.bytes().filter(|byte| !matches!(byte, 0x80..=0xBF)).count()
    }

    /// The symbol of `character`, or `None` if the alphabet lacks it.
    pub fn symbol(&self, character: char) -> Option<u8> {
        (0..u8::MAX).zip(self.characters.chars()).find(|(_, c)| *c == character).map(|(symbol, _)| symbol)
    }

    /// The character of `symbol`, or `None` if `symbol` is outside the alphabet.
    pub fn character(&self, symbol: u8) -> Option<char> {
        self.characters.chars().nth(usize::from(symbol))
    }

    /// Encodes `text` as symbols.
    ///
    /// # Errors
    /// [`EncodeError`] if `text` is empty, has an unknown character, or has more than `L` characters.
    pub fn encode<const L: usize>(&self, text: &str) -> Result<Text<L>, EncodeError> {
        let mut symbols = heapless::Vec::<u8, L>::new();
        for character in text.chars() {
            let symbol = self.symbol(character).ok_or(EncodeError::UnknownCharacter(character))?;
            symbols.push(symbol).map_err(|_| EncodeError::TooLong(L))?;
        }
        Text::new(&symbols).ok_or(EncodeError::Empty)
    }
}
