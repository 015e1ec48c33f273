//! The features of symbols and positions, with which a network that is shared over the positions begins.
//!
//! x\[l\] = E\[x_l\] + P\[l\], a masked position having a row of its own for E\[x_l\]. The gradient of a row of E is the sum of
//! ∂loss/∂x\[l\] over the positions that hold its symbol; that of P\[l\] is ∂loss/∂x\[l\] itself.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.4 and 3.5.

use crate::linear::add_scaled;
use crate::math::{Real, Stored};
use crate::tensor::block;

/// The features of all positions, which lie innermost.
pub(crate) type Map<R, const L: usize, const D: usize> = [[R; L]; D];

/// The tables that features come from.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a, W> {
    /// E, `[V][D]`.
    pub token: &'a [W],
    /// E of a masked position, `[D]`.
    pub mask: &'a [W],
    /// P, `[L][D]`.
    pub position: &'a [W],
}

/// x\[l\] = E\[x_l\] + P\[l\]; `x` is `[D][L]`.
///
/// A symbol outside the table is read as MASK; the sampler and the loaders admit none.
#[inline(always)]
pub fn embed<R: Real, W: Stored<R>>(tables: Embedding<W>, symbols: &[Option<u8>], x: &mut [R]) {
    let (features, width) = (tables.mask.len(), symbols.len());
    for (l, symbol) in symbols.iter().enumerate() {
        let token = match symbol {
            Some(symbol) => block(tables.token, usize::from(*symbol), features).unwrap_or(tables.mask),
            None => tables.mask,
        };
        let Some(position) = block(tables.position, l, features) else { return };
        let mut place = l;
        for d in 0..features {
            if let (Some(x), Some(token), Some(position)) = (x.get_mut(place), token.get(d), position.get(d))
            {
                *x = token.real() + position.real();
            }
            place = place.wrapping_add(width);
        }
    }
}

/// d_row += Σ_l ∂loss/∂x\[l\] over the positions l that hold `symbol`, l ascending; d_row is the gradient of its row of E.
///
/// Forward was `x[l] = E[x_l] + P[l]`; `d` is ∂loss/∂x with the positions outermost, `[L][D]`, and `d_row` is `[D]`.
#[inline(always)]
pub fn embed_backward<R: Real>(symbols: &[Option<u8>], d: &[R], symbol: Option<u8>, d_row: &mut [R]) {
    for (l, shown) in symbols.iter().enumerate() {
        if let (true, Some(d)) = (*shown == symbol, block(d, l, d_row.len())) {
            add_scaled(d_row, R::ONE, d);
        }
    }
}
