//! A categorical distribution cut to its likeliest symbols: top-k and top-p.
//!
//! Source: A. Fan et al., "Hierarchical Neural Story Generation", 2018 (top-k); A. Holtzman et al., "The Curious Case of Neural
//! Text Degeneration", 2020 (top-p).

use crate::categorical::{SymbolSet, Weights, numbered};

impl<const V: usize> Weights<V> {
    /// Sets the weights of unlikely symbols to 0.
    ///
    /// Keeps the `top_k` likeliest symbols, and of these, the likeliest first, only until they hold `top_p`/65536 of
    /// the probability. The probability is that of all symbols before the cut, and the symbol that reaches the share is
    /// kept.
    ///
    /// Equals are taken in the order of the symbols. The likeliest symbol always stays, even with a `top_k` or `top_p`
    /// of 0. A `top_k` of 256 and a `top_p` of 65536 keep every symbol.
    #[inline(never)]
    pub fn truncate(&mut self, top_k: u16, top_p: u32) {
        let all = u64::from(self.total).saturating_mul(u64::from(top_p));
        let (mut kept, mut total) = (SymbolSet::EMPTY, 0_u32);
        for count in 0..V {
            if count > 0 && (count >= usize::from(top_k) || u64::from(total) << 16 >= all) {
                break;
            }
            let mut next = None;
            for (symbol, weight) in numbered(self.iter()) {
                if !kept.contains(symbol) && next.is_none_or(|(_, largest)| weight > largest) {
                    next = Some((symbol, weight));
                }
            }
            let Some((symbol, weight)) = next else { break };
            kept = kept.with(symbol);
            total = total.saturating_add(weight);
        }
        for (symbol, weight) in numbered(self.weights.iter_mut()) {
            if !kept.contains(symbol) {
                *weight = 0;
            }
        }
        self.total = total;
    }
}
