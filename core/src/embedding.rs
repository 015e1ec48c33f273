//! Embedding: the initial features of symbols and positions, for networks that share weights over positions.
//!
//! x\[l\] = P\[l\] + Q\[n − 1 − l\] + E\[x_l\] for the positions l = 0 … n − 1 of a text of n symbols. P counts positions
//! from the start, Q from the end. A masked position has no row of E, as in the [lookup](crate::linear) layer.
//!
//! Backward: the gradient of a row of E is the sum of ∂loss/∂x\[l\] over the positions that hold its symbol. P\[l\] and Q\[n
//! − 1 − l\] have the gradient ∂loss/∂x\[l\]. [`lookup_backward`](crate::linear::lookup_backward) adds these up.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.4 and 3.5.

use crate::math::{Real, Stored};
use crate::tensor::block;

/// Embedding tables, as flat slices: for V symbols and L positions, D numbers each.
///
/// `W` is the type of a stored number: a float, or its four bytes in a file.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a, W> {
    /// The D features that each of V symbols adds to its position: `[V][D]`.
    pub token: &'a [W],
    /// The D features of each of L positions, counted from the start of the text: `[L][D]`.
    pub position: &'a [W],
    /// The D features of each of L positions, counted from the end of the text: `[L][D]`. Row 0 is that of the last
    /// position.
    pub from_end: &'a [W],
}

impl<'a, W> Embedding<'a, W> {
    /// Flattens the tables E, P and Q.
    pub(crate) fn of<const V: usize, const L: usize, const D: usize>(
        token: &'a [[W; D]; V],
        position: &'a [[W; D]; L],
        from_end: &'a [[W; D]; L],
    ) -> Self {
        let (token, position) = (token.as_flattened(), position.as_flattened());
        Self { token, position, from_end: from_end.as_flattened() }
    }
}

/// Writes the features of a text to the columns of `x` from `first` on: P_l + Q_(n−1−l) + E_s for position l, which
/// shows s.
///
/// P, Q and E are the `tables` by position, by position from the end, and by symbol. A masked position (`None`) has no
/// row of E, nor has a symbol outside E. The text has n `symbols`.
///
/// `x` is `[D][width]`: D features of `width` ≥ `first` + n columns; position l is column `first` + l. Other columns
/// keep their values. Each table is `[rows][D]`, P and Q with at least n rows. Other lengths give wrong or missing
/// results, but no panic. `W` is the type of a stored number: a float, or its four bytes in a file.
#[inline(always)]
pub fn embed<R: Real, W: Stored<R>>(
    tables: Embedding<W>,
    symbols: &[Option<u8>],
    x: &mut [R],
    width: usize,
    first: usize,
) {
    let features = x.len().checked_div(width).unwrap_or(0);
    for (l, symbol) in symbols.iter().enumerate() {
        let from_end = symbols.len().wrapping_sub(l).wrapping_sub(1);
        let rows = block(tables.position, l, features).zip(block(tables.from_end, from_end, features));
        let Some((position, from_end)) = rows else { return };
        let token = symbol.and_then(|symbol| block(tables.token, usize::from(symbol), features));
        let mut place = first.wrapping_add(l);
        for d in 0..features {
            if let (Some(x), Some(position), Some(from_end)) =
                (x.get_mut(place), position.get(d), from_end.get(d))
            {
                *x = position.real() + from_end.real();
                if let Some(token) = token.and_then(|token| token.get(d)) {
                    *x += token.real();
                }
            }
            place = place.wrapping_add(width);
        }
    }
}
