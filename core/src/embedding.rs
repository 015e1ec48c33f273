//! The features of symbols and positions, with which a network that is shared over the positions begins.
//!
//! x\[l\] = E\[x_l\] + P\[l\], a masked position having a row of its own for E\[x_l\]. The gradient of a row of E is the sum of
//! ∂loss/∂x\[l\] over the positions that hold its symbol; that of P\[l\] is ∂loss/∂x\[l\] itself.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.4 and 3.5.

use crate::linear::add_scaled;
use crate::math::{Real, Stored};

/// The features of all positions, which lie innermost.
pub(crate) type Map<R, const L: usize, const D: usize> = [[R; L]; D];

/// x\[l\] = E\[x_l\] + P\[l\].
///
/// A symbol outside the table is read as MASK; the sampler and the loaders admit none.
#[inline(always)]
pub(crate) fn embed<R: Real, W: Stored<R>, const L: usize, const V: usize, const D: usize>(
    (tokens, mask, positions): (&[[W; D]; V], &[W; D], &[[W; D]; L]),
    symbols: &[Option<u8>; L],
    x: &mut Map<R, L, D>,
) {
    for ((l, symbol), position) in symbols.iter().enumerate().zip(positions) {
        let token = symbol.and_then(|symbol| tokens.get(usize::from(symbol)));
        let token = token.unwrap_or(mask);
        for ((x, token), position) in x.iter_mut().zip(token).zip(position) {
            if let Some(x) = x.get_mut(l) {
                *x = token.real() + position.real();
            }
        }
    }
}

/// d_row += Σ_l ∂loss/∂x\[l\] over the positions l that hold `symbol`, l ascending; d_row is the gradient of its row of E.
///
/// Forward was `x[l] = E[x_l] + P[l]`; `d` is ∂loss/∂x with the positions outermost.
#[inline(always)]
pub(crate) fn embed_backward<R: Real, const L: usize, const D: usize>(
    symbols: &[Option<u8>; L],
    d: &[[R; D]; L],
    symbol: Option<u8>,
    d_row: &mut [R],
) {
    for (_, d) in symbols.iter().zip(d).filter(|(shown, _)| **shown == symbol) {
        add_scaled(d_row, R::ONE, d);
    }
}
