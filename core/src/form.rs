//! Forms: demands on a text, its length and the letters given in it.

use crate::categorical::SymbolSet;

/// Demands on a text to be drawn: its length, and the letters given at some of its positions. The model fills in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form<const L: usize> {
    /// The number n of letters of the text, given and open ones.
    pub length: usize,
    /// The symbol given at each position, from 0, or `None` where the model chooses one. Entries from number `length`
    /// on are ignored in drawing. [`Sampler::new`](crate::sampler::Sampler::new) refuses a symbol that the network
    /// lacks.
    pub given: [Option<u8>; L],
}

impl<const L: usize> Form<L> {
    /// The form of `length` letters, none of them given.
    ///
    /// `length` is not checked here: [`Sampler::new`](crate::sampler::Sampler::new) refuses 0 and more than L.
    pub const fn any(length: usize) -> Self {
        Self { length, given: [None; L] }
    }

    /// The set of symbols that each position may hold: the given symbol alone, or all of an alphabet of `symbols`
    /// symbols.
    ///
    /// [`Sampler::new`](crate::sampler::Sampler::new) takes these sets. Positions past the end of the form have the
    /// whole alphabet, which nothing reads. Given symbols are not checked.
    pub fn allowed(&self, symbols: usize) -> [SymbolSet; L] {
        self.given
            .map(|given| given.map_or(SymbolSet::first(symbols), |symbol| SymbolSet::EMPTY.with(symbol)))
    }
}

/// Whether `pattern` is one star or more, and nothing else.
///
/// Every text matches such a pattern, so texts are drawn as without one.
pub fn leaves_all_open(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*')
}
