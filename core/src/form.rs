//! What is asked of a text: how long it is, and which letters are given where.

use crate::categorical::SymbolSet;

/// A length, and the letters that are given in a text of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form<const L: usize> {
    /// n.
    pub length: usize,
    /// The letter that is given at each position, if one is.
    pub given: [Option<u8>; L],
}

impl<const L: usize> Form<L> {
    /// Any text of `length` letters.
    pub const fn any(length: usize) -> Self {
        Self { length, given: [None; L] }
    }

    /// The symbols that each position may hold, of `symbols`, as the [`Sampler`](crate::sampler::Sampler) takes them.
    pub fn allowed(&self, symbols: usize) -> [SymbolSet; L] {
        self.given.map(|given| given.map_or(SymbolSet::first(symbols), SymbolSet::only))
    }
}

/// Whether `pattern` is stars alone, however many: any text meets it, and texts are drawn as without a pattern, each with a length
/// from the table.
pub fn leaves_all_open(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*')
}
