//! Forms: demands on a text, its length and the letters given in it.

use crate::categorical::SymbolSet;

/// Demands on a text to be drawn: its length, and the letters given at some of its positions. The model fills in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form<const L: usize> {
    /// The number n of letters of the text, given and open ones.
    pub length: usize,
    /// The letter given at each position, or `None` where the model chooses one.
    pub given: [Option<u8>; L],
}

impl<const L: usize> Form<L> {
    /// The form of `length` letters, none of them given.
    pub const fn any(length: usize) -> Self {
        Self { length, given: [None; L] }
    }

    /// The symbols that each position may hold, of an alphabet of `symbols`, as
    /// [`Sampler::new`](crate::sampler::Sampler::new) takes them.
    pub fn allowed(&self, symbols: usize) -> [SymbolSet; L] {
        self.given.map(|given| given.map_or(SymbolSet::first(symbols), SymbolSet::only))
    }
}

/// Whether `pattern` consists of stars alone.
///
/// Every text matches it. Texts are then drawn as without a pattern, with a length from the table.
pub fn leaves_all_open(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*')
}
