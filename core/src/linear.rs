//! Affine maps: the lookup layer reads symbols, and the dense layer writes scores.
//!
//! | letter | meaning |
//! |---|---|
//! | `I` `O` | inputs and outputs of one dense map |
//! | `E` | rows of a batch |
//! | `W` | type of a stored weight: a float, or four bytes of a file |
//!
//! **Dense**: y_v = b_v + Σ_i w_vi·x_i. By the chain rule ∂loss/∂x_i = Σ_v ∂loss/∂y_v·w_vi, ∂loss/∂w_vi = ∂loss/∂y_v·x_i,
//! ∂loss/∂b_v = ∂loss/∂y_v.
//!
//! **Lookup** is the dense map of a one-hot input: y = b + Σ_l table\[l\]\[symbol_l\]. A masked position is all zeros and
//! adds nothing: its row is part of the bias. The bias b is a table of one row, which every example reads, so its gradient
//! is that of a lookup.
//!
//! **Order of sums**, equal for every vector width and thread count:
//! - a dot product keeps [`LANES`] partial sums. Element i goes to lane i mod 8, in ascending order. The lanes are added by
//!   halves: i with i + 4, then + 2, + 1 ([`sum_lanes`]);
//! - a sum over symbols, positions or examples runs in ascending order, one term at a time. Each output element has one
//!   accumulator, so vectors run across outputs.
//!
//! Source: I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, algorithm 6.4, for the gradients.

use crate::math::{Real, Stored};
use crate::tensor::{block, block_mut, first_rows};

/// Number of lanes, the partial sums of a dot product: 8 numbers fill one AVX register, or two of SSE2 or NEON.
pub const LANES: usize = 8;

/// The sum of eight numbers, called lanes, added by halves: lanes i and i + 4 for i = 0 … 3, then i and i + 2 of these
/// four, then the last two.
pub fn sum_lanes<R: Real>([l0, l1, l2, l3, l4, l5, l6, l7]: [R; LANES]) -> R {
    let [l0, l1, l2, l3] = [l0 + l4, l1 + l5, l2 + l6, l3 + l7];
    (l0 + l2) + (l1 + l3)
}

/// The [`sum_lanes`] of each of `N` sums.
///
/// Not inlined, so that this sum does not change how the compiler arranges the loops around it.
#[expect(clippy::indexing_slicing, reason = "sum < N")]
#[inline(never)]
fn sums_of_lanes<R: Real, const N: usize>(lanes: [[R; LANES]; N]) -> [R; N] {
    let mut sums = [R::ZERO; N];
    for sum in 0..N {
        sums[sum] = sum_lanes(lanes[sum]);
    }
    sums
}

/// Repeats the block for each `row` below `N`, at most nine, without a loop.
///
/// Arrays indexed only by constants stay in registers, whether or not the compiler unrolls loops.
macro_rules! for_each_row {
    ($row:ident < $count:ident $body:block) => {
        const { assert!($count <= 9, "no row is left out") };
        for_each_row!(0 1 2 3 4 5 6 7 8: $row < $count $body)
    };
    ($($number:literal)*: $row:ident < $count:ident $body:block) => {
        $(if $number < $count {
            let $row: usize = $number;
            $body
        })*
    };
}
pub(crate) use for_each_row;

/// Runs the block for each tile of some rows or lanes: `$count` tiles of the first `$size`, then those of the next.
///
/// In the block, `$first` is the first row or lane of the tile, and the constant `$N` its length.
macro_rules! for_each_tile {
    ($first:ident, $N:ident in $([$count:expr; $size:expr]),* => $body:block) => {
        let mut $first = 0_usize;
        $(for _ in 0..$count {
            const $N: usize = $size;
            $body
            $first = $first.saturating_add($N);
        })*
    };
}
pub(crate) use for_each_tile;

/// Returns y + a·x. Passed by value, so that the compiler keeps y in vector registers.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
pub(crate) fn plus_scaled<R: Real, const N: usize>(mut y: [R; N], a: R, x: &[impl Stored<R>; N]) -> [R; N] {
    for lane in 0..N {
        y[lane] += a * x[lane].real();
    }
    y
}

/// Adds w·x to `sums`, element by element.
#[expect(clippy::indexing_slicing, reason = "lane < LANES")]
#[inline(always)]
fn plus_products<R: Real, W: Stored<R>>(mut sums: [R; LANES], w: &[W; LANES], x: &[R; LANES]) -> [R; LANES] {
    for lane in 0..LANES {
        sums[lane] += w[lane].real() * x[lane];
    }
    sums
}

/// Writes y_v = b_v + Σ_i w_vi·x_i for the `N` outputs v of `weight`, each sum in the order of a dot product.
///
/// Several outputs share each loaded chunk of `x`. Their number changes no bit of any.
#[expect(clippy::indexing_slicing, reason = "output < N")]
#[inline(always)]
fn dots<R: Real, W: Stored<R>, const N: usize>(weight: &[W], bias: &[W; N], x: &[R], y: &mut [R; N]) {
    let Some(lanes) = first_rows::<W, N>(weight, x.len()).and_then(|weight| lanes_of_dots(weight, x)) else {
        return;
    };
    let sums = sums_of_lanes(lanes);
    for_each_row!(output < N {
        y[output] = bias[output].real() + sums[output];
    });
}

/// The lanes of the dot product of each row of `weight` with `x`; `None` if a row is shorter than `x`.
#[expect(clippy::indexing_slicing, reason = "output < N, lane < LANES")]
#[inline(always)]
fn lanes_of_dots<R: Real, W: Stored<R>, const N: usize>(
    weight: [&[W]; N],
    x: &[R],
) -> Option<[[R; LANES]; N]> {
    let none: &[[W; LANES]] = &[];
    let (mut chunks, mut lanes) = ([none; N], [[R::ZERO; LANES]; N]);
    for_each_row!(output < N {
        chunks[output] = weight[output].as_chunks().0;
    });
    let (x_chunks, rest) = x.as_chunks::<LANES>();
    for (index, x) in x_chunks.iter().enumerate() {
        for_each_row!(output < N {
            lanes[output] = plus_products(lanes[output], chunks[output].get(index)?, x);
        });
    }
    for_each_row!(output < N {
        let tail = weight[output].as_chunks::<LANES>().1;
        for lane in 0..rest.len().min(LANES) {
            lanes[output][lane] += tail.get(lane)?.real() * *rest.get(lane)?;
        }
    });
    Some(lanes)
}

/// Computes a dense map of each row e in `rows`: y_ev = b_v + Σ_i w_vi·x_ei for every output v.
///
/// With O outputs, the length of `bias`, I inputs and a batch of E rows, `weight` is `[O][I]`, `bias` `[O]`, `x`
/// `[E][I]` and `y` `[E][O]`. `rows` has the numbers of the rows to compute, below E; others are neither read nor
/// written. Other sizes give wrong or missing results, but no panic. `W` is the type of a stored weight: a float, or
/// its four bytes in a file.
#[inline(always)]
pub fn linear_forward<R: Real, W: Stored<R>>(weight: &[W], bias: &[W], rows: &[usize], x: &[R], y: &mut [R]) {
    let (outputs, inputs) = (bias.len(), weight.len().checked_div(bias.len()).unwrap_or(0));
    let [many, few, single] = tiles::<MANY>(outputs);
    for row in rows {
        let (Some(x), Some(y)) = (block(x, *row, inputs), block_mut(y, *row, outputs)) else { return };
        for_each_tile!(output, N in [many; MANY], [few; FEW], [single; 1] => {
            let Some(weight) = weight.get(output.saturating_mul(x.len())..) else { return };
            let (Some(bias), Some(y)) = (lanes(bias, output), lanes_mut(y, output)) else { return };
            dots::<R, W, N>(weight, bias, x, y);
        });
    }
}

/// Adds the gradient of a dense map's inputs, for each row e in `rows`: d_x_ei += Σ_v d_y_ev·w_vi, v ascending.
///
/// With O outputs, I = `inputs` inputs and a batch of E rows, `weight` is `[O][I]`, `d_y` `[E][O]` and `d_x` `[E][I]`.
/// The length of `weight` gives O, and `rows` has numbers below E; other sizes give wrong or missing results, but no
/// panic. Forward was `y_ev = b_v + Σ_i w_vi·x_ei`.
#[inline(always)]
pub fn linear_backward_input<R: Real>(weight: &[R], rows: &[usize], d_y: &[R], d_x: &mut [R], inputs: usize) {
    // Inputs whose sums stay in registers while v runs.
    const CHUNK: usize = 64;
    let outputs = weight.len().checked_div(inputs).unwrap_or(0);
    for row in rows {
        let rows = (block(d_y, *row, outputs), block_mut(d_x, *row, inputs));
        let (Some(d_y), Some(d_x)) = rows else { return };
        for_each_tile!(first, N in [inputs / CHUNK; CHUNK], [inputs % CHUNK / LANES; LANES], [inputs % LANES; 1] => {
            let Some(d_x) = lanes_mut::<R, N>(d_x, first) else { return };
            let mut sums = *d_x;
            for (v, w) in weight.chunks_exact(inputs.max(1)).enumerate() {
                let (Some(d_y), Some(w)) = (d_y.get(v), lanes(w, first)) else { return };
                sums = plus_scaled(sums, *d_y, w);
            }
            *d_x = sums;
        });
    }
}

/// Adds the gradient of a dense map's weights: d_w_vi += Σ_e d_y_ev·x_ei over the rows e in `rows`, in their order.
///
/// With O outputs, I = `inputs` inputs and a batch of E rows, `x` is `[E][I]` and `d_weight` `[O][I]`. Rows of `d_y`
/// begin `stride` ≥ O numbers apart. The length of `d_weight` gives O, and `rows` has numbers below E; other sizes give
/// wrong or missing results, but no panic. Forward was `y_ev = b_v + Σ_i w_vi·x_ei`.
#[expect(clippy::indexing_slicing, reason = "output < N")]
#[inline(always)]
pub fn linear_backward_weight<R: Real>(
    rows: &[usize],
    x: &[R],
    d_y: &[R],
    stride: usize,
    d_weight: &mut [R],
    inputs: usize,
) {
    let outputs = d_weight.len().checked_div(inputs).unwrap_or(0);
    let [many, few, single] = tiles::<MANY>(outputs);
    for rows in rows.chunks(GROUP) {
        // One chunk of all rows stays in the innermost cache while the outputs run.
        for_each_tile!(column, S in [inputs / CHUNK; CHUNK], [inputs % CHUNK; 1] => {
            let none = [R::ZERO; S];
            let mut chunks = [&none; GROUP];
            for (chunk, row) in chunks.iter_mut().zip(rows) {
                let Some(x) = lanes(x, row.wrapping_mul(inputs).wrapping_add(column)) else { return };
                *chunk = x;
            }
            for_each_tile!(first, N in [many; MANY], [few; FEW], [single; 1] => {
                let place = |output: usize| first.wrapping_add(output).wrapping_mul(inputs).wrapping_add(column);
                let mut sums = [[R::ZERO; S]; N];
                for_each_row!(output < N {
                    let Some(d_weight) = lanes(d_weight, place(output)) else { return };
                    sums[output] = *d_weight;
                });
                for (x, row) in chunks.iter().zip(rows) {
                    let Some(d_y) = lanes::<R, N>(d_y, row.wrapping_mul(stride).wrapping_add(first)) else { return };
                    // Loads the chunk once for all outputs.
                    let x = **x;
                    for_each_row!(output < N {
                        row_by_row();
                        sums[output] = plus_scaled(sums[output], d_y[output], &x);
                    });
                }
                for_each_row!(output < N {
                    let Some(d_weight) = lanes_mut(d_weight, place(output)) else { return };
                    *d_weight = sums[output];
                });
            });
        });
    }
}

/// Rows of a batch that are computed together: as many as fit the innermost cache.
pub(crate) const GROUP: usize = 64;
/// Inputs of a tile of the weight gradient.
const CHUNK: usize = 16;
/// Outputs of a tile. Their sums stay in registers while the inputs, or the rows of the batch, run.
const MANY: usize = 9;
/// A second tile height: every number of outputs from 56 on is a sum of nines and eights.
const FEW: usize = 8;

/// The numbers of tiles of `MANY` rows, of `MANY` − 1 rows and of one row that make up `rows` rows.
///
/// Tiles of one row are used only if the others cannot make up `rows`.
#[expect(clippy::arithmetic_side_effects, reason = "MANY is above 1, and rows % MANY below MANY")]
#[inline(always)]
pub(crate) const fn tiles<const MANY: usize>(rows: usize) -> [usize; 3] {
    const { assert!(MANY > 1, "a tile of one row less has rows") };
    // Each tile of `MANY` − 1 rows leaves one more row for the tiles of `MANY`.
    let few = (MANY - rows % MANY) % MANY;
    match rows.checked_sub(few.saturating_mul(MANY - 1)) {
        Some(rest) => [rest / MANY, few, 0],
        None => [rows / MANY, 0, rows % MANY],
    }
}

/// Call inside a loop over rows: it stops LLVM from vectorising across rows.
///
/// With scatter instructions (AVX-512), LLVM would put the rows in the lanes, one position after the other. That takes at
/// least four times as long.
#[inline(always)]
pub(crate) fn row_by_row() {
    core::hint::black_box(());
}

/// The `N` elements from `first` on; `None` if there are fewer.
#[inline(always)]
pub(crate) fn lanes<T, const N: usize>(x: &[T], first: usize) -> Option<&[T; N]> {
    x.get(first..)?.first_chunk()
}

/// The `N` elements of a mutable slice from `first` on; `None` if there are fewer.
#[inline(always)]
pub(crate) fn lanes_mut<T, const N: usize>(x: &mut [T], first: usize) -> Option<&mut [T; N]> {
    x.get_mut(first..)?.first_chunk_mut()
}

/// Adds a·x_i to each y_i; elements of the longer slice that have no partner are ignored.
#[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
#[inline(always)]
pub fn add_scaled<R: Real>(y: &mut [R], a: R, x: &[R]) {
    let count = y.len().min(x.len());
    let (y, x) = (&mut y[..count], &x[..count]);
    for i in 0..count {
        y[i] += a * x[i];
    }
}

/// Adds table rows to `y`, in their order: y_i += Σ_r rows_ri. Each row is as long as `y`, and `W` is the type of its
/// numbers: a float, or its four bytes in a file.
///
/// A perceptron's first layer is such a sum: each shown symbol of a text has a row, and a masked position has none.
#[inline(always)]
pub fn lookup_forward<R: Real, W: Stored<R>>(rows: &[&[W]], y: &mut [R]) {
    // Elements whose sums stay in registers while the rows run.
    const CHUNK: usize = 64;
    let width = y.len();
    for_each_tile!(first, N in [width / CHUNK; CHUNK], [width % CHUNK / LANES; LANES], [width % LANES; 1] => {
        let Some(y) = lanes_mut::<R, N>(y, first) else { return };
        let mut sums = *y;
        for row in rows {
            if let Some(row) = lanes(row, first) {
                sums = plus_scaled(sums, R::ONE, row);
            }
        }
        *y = sums;
    });
}

/// Adds the gradient of a table's rows: d_table_s += d_y_e for each pair (e, s) of `shown`, in their order.
///
/// Forward added row s of the table to y_e. A row has `width` numbers, in `d_y` as in `d_table`. Pairs outside either
/// are ignored.
#[inline(always)]
pub fn lookup_backward<R: Real>(shown: &[(usize, u8)], d_y: &[R], d_table: &mut [R], width: usize) {
    for (row, symbol) in shown {
        let rows = (block_mut(d_table, usize::from(*symbol), width), block(d_y, *row, width));
        if let (Some(d_row), Some(d_y)) = rows {
            add_scaled(d_row, R::ONE, d_y);
        }
    }
}
