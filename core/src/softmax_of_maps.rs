//! Cross-entropy of the logits of all positions in one map, with the positions innermost; see [`softmax`](crate::softmax).

use crate::math::Real;
use crate::softmax::{Target, cross_entropy};

/// Symbols of the largest alphabet. A network with more does not compile.
pub(crate) const MOST_SYMBOLS: usize = 256;

/// Replaces the logits `z` by their gradients, and writes the loss of each position to `losses`, in nats.
///
/// `z` is `[O][W]`: a column of O logits for each of W positions. The length of `losses` gives W, and that of `z`,
/// divided by W, gives O; numbers past O·W stay as they are. `targets` has W entries: the clean symbol, a distribution of
/// `symbols` probabilities in its place, if any, and the weight.
///
/// A position's loss is the [`cross_entropy`] of its logits with its target. At weight 0, loss and gradients are 0, and the
/// rest of the target is not read.
///
/// Only the first `symbols` logits of a position are of symbols in the alphabet; the others count as −∞. A clean symbol
/// outside the alphabet has the loss ∞; its gradients are weight·(softmax − target), as always.
///
/// Panics with fewer targets than W, with `symbols` above O, O above 256, or a clean symbol of O or more.
#[expect(clippy::indexing_slicing, reason = "training; position < L, symbols ≤ V ≤ 256")]
#[inline(always)]
pub fn cross_entropy_of_positions<R: Real>(
    targets: &[Target<R>],
    symbols: usize,
    z: &mut [R],
    losses: &mut [R],
) {
    let positions = losses.len();
    let outputs = z.len().checked_div(positions).unwrap_or(0);
    let mut column = [R::ZERO; MOST_SYMBOLS];
    let column = &mut column[..outputs];
    for position in 0..positions {
        let target = targets[position];
        if target.2 == R::ZERO {
            column.fill(R::ZERO);
            losses[position] = R::ZERO;
        } else {
            let mut place = position;
            for v in 0..outputs {
                column[v] = z[place];
                place = place.saturating_add(positions);
            }
            losses[position] = cross_entropy(column, symbols, target);
        }
        let mut place = position;
        for v in 0..outputs {
            z[place] = column[v];
            place = place.saturating_add(positions);
        }
    }
}
