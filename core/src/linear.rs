//! Affine maps: the lookup layer that reads symbols, and the dense layer that writes scores.
//!
//! | letter | meaning |
//! |---|---|
//! | `L` `V` `H` | positions, symbols, hidden width |
//! | `I` | inputs of one dense map |
//! | `W` | how a weight is stored: a float, or four bytes of a file |
//!
//! **Dense**: y_v = b_v + Σ_i w_vi·x_i. By the chain rule ∂loss/∂x_i = Σ_v ∂loss/∂y_v·w_vi, ∂loss/∂w_vi = ∂loss/∂y_v·x_i,
//! ∂loss/∂b_v = ∂loss/∂y_v.
//!
//! **Lookup** is the dense map of a one-hot input: y = b + Σ_l table\[l\]\[symbol_l\]. A masked position is all zeros and
//! adds nothing: its row is part of the bias.
//!
//! **Order of sums** (the same for every vector width and thread count):
//! - a dot product keeps [`LANES`] partial sums; element i goes to lane i mod 8, in ascending order, and the lanes
//!   are added by halves: i with i + 4, then + 2, + 1 ([`sum_lanes`]);
//! - a sum over symbols, positions or examples runs in ascending order, one term at a time, into one accumulator for
//!   each output element, so that vectors run across outputs.
//!
//! Source: I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, algorithm 6.4, for the gradients.

use crate::math::{Real, Stored};

/// Partial sums of a dot product: one AVX register, two of SSE2 or NEON.
pub const LANES: usize = 8;

/// The sum of the lanes, a power of two of them, by halves: lane i and lane i + N/2, then + N/4, … + 1.
///
/// Not inlined, so that the compiler arranges the loops around it for their own sake and not for this sum's.
#[inline(never)]
pub fn sum_lanes<R: Real, const N: usize>(mut lanes: [R; N]) -> R {
    const { assert!(N.is_power_of_two(), "lanes are added by halves") };
    let mut half = N >> 1;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        half >>= 1;
    }
    lanes.first().copied().unwrap_or(R::ZERO)
}

/// sums + a·x. By value, the form in which the compiler keeps the sums in vector registers.
#[inline(always)]
pub fn plus_scaled<R: Real, const N: usize>(mut sums: [R; N], a: R, x: &[R; N]) -> [R; N] {
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum += a * *x;
    }
    sums
}

/// sums + w·x, element by element.
#[inline(always)]
fn plus_products<R: Real, W: Stored<R>>(mut sums: [R; LANES], w: &[W], x: &[R]) -> [R; LANES] {
    for ((sum, w), x) in sums.iter_mut().zip(w).zip(x) {
        *sum += w.real() * *x;
    }
    sums
}

/// The dot products of each of `weights` with `x`, every sum in the order of this file's head.
///
/// Computing several at once changes no bit of any: each chunk of `x` is loaded once for all of them.
#[inline(always)]
fn dots<R: Real, W: Stored<R>, const I: usize, const COLUMNS: usize>(
    weights: &[[W; I]; COLUMNS],
    x: &[R; I],
) -> [R; COLUMNS] {
    let mut lanes = [[R::ZERO; LANES]; COLUMNS];
    let weights = weights.each_ref().map(|row| row.as_chunks::<LANES>());
    let (chunks, rest) = x.as_chunks::<LANES>();
    for (index, chunk) in chunks.iter().enumerate() {
        for (lanes, (weight, _)) in lanes.iter_mut().zip(weights) {
            if let Some(weight) = weight.get(index) {
                *lanes = plus_products(*lanes, weight, chunk);
            }
        }
    }
    for (lanes, (_, weight)) in lanes.iter_mut().zip(weights) {
        *lanes = plus_products(*lanes, weight, rest);
    }
    lanes.map(sum_lanes)
}

/// y_v = b_v + Σ_i w_vi·x_i for every v.
#[inline(always)]
pub fn linear_forward<R: Real, W: Stored<R>, const I: usize, const V: usize>(
    weight: &[[W; I]; V],
    bias: &[W; V],
    x: &[R; I],
    y: &mut [R; V],
) {
    /// As many sums as registers hold.
    const COLUMNS: usize = 9;
    let (blocks, tail) = weight.as_chunks::<COLUMNS>();
    let (bias, bias_tail) = bias.as_chunks();
    let (y, y_tail) = y.as_chunks_mut();
    for ((block, bias), y) in blocks.iter().zip(bias).zip(y) {
        add_bias(bias, dots(block, x), y);
    }
    for ((row, bias), y) in tail.iter().zip(bias_tail).zip(y_tail) {
        add_bias(core::array::from_ref(bias), dots(core::array::from_ref(row), x), core::array::from_mut(y));
    }
}

/// y_v = b_v + sum_v.
#[inline(always)]
fn add_bias<R: Real, W: Stored<R>, const N: usize>(bias: &[W; N], sums: [R; N], y: &mut [R; N]) {
    for ((y, b), sum) in y.iter_mut().zip(bias).zip(sums) {
        *y = b.real() + sum;
    }
}

/// d_x_i += Σ_v d_y_v·w_vi, v ascending. Forward was `y_v = b_v + Σ_i w_vi·x_i`.
#[expect(clippy::indexing_slicing, reason = "a training kernel; index < I / CHUNK")]
#[inline(always)]
pub fn linear_backward_input<R: Real, const I: usize, const V: usize>(
    weight: &[[R; I]; V],
    d_y: &[R; V],
    d_x: &mut [R; I],
) {
    // The sums of one chunk stay in registers while v runs.
    const CHUNK: usize = 64;
    let (chunks, tail) = d_x.as_chunks_mut::<CHUNK>();
    for (index, chunk) in chunks.iter_mut().enumerate() {
        let mut sums = *chunk;
        for (w, d_y) in weight.iter().zip(d_y) {
            sums = plus_scaled(sums, *d_y, &w.as_chunks::<CHUNK>().0[index]);
        }
        *chunk = sums;
    }
    for (w, d_y) in weight.iter().zip(d_y) {
        add_scaled(tail, *d_y, w.as_chunks::<CHUNK>().1);
    }
}

/// d_w_vi += Σ_e d_y_ev·x_ei over the examples e of `pairs`, (x, d_y) of each, in its order.
///
/// Forward was `y_v = b_v + Σ_i w_vi·x_i`.
#[expect(clippy::arithmetic_side_effects, reason = "a training kernel; products of block numbers below V")]
#[inline(always)]
pub fn linear_backward_weight<R: Real, const I: usize, const V: usize>(
    pairs: &[(&[R; I], &[R; V])],
    d_weight: &mut [[R; I]; V],
) {
    // ROWS × CHUNK sums stay in registers while the examples run.
    const ROWS: usize = 9;
    const CHUNK: usize = 16;
    for chunk in 0..I / CHUNK {
        let (blocks, tail) = d_weight.as_chunks_mut::<ROWS>();
        let rest = blocks.len() * ROWS;
        for (index, block) in blocks.iter_mut().enumerate() {
            outer_products::<R, I, V, ROWS, CHUNK>(pairs, index * ROWS, chunk, block);
        }
        for (index, row) in tail.iter_mut().enumerate() {
            outer_products::<R, I, V, 1, CHUNK>(pairs, rest + index, chunk, core::array::from_mut(row));
        }
    }
    for (x, d_y) in pairs {
        for (d_weight, d_y) in d_weight.iter_mut().zip(*d_y) {
            add_scaled(d_weight.as_chunks_mut::<CHUNK>().1, *d_y, x.as_chunks::<CHUNK>().1);
        }
    }
}

/// d_w_vi += Σ_e d_y_ev·x_ei over the examples e, (x, d_y) of each, in their order: [`linear_backward_weight`] of one group of
/// them after the other.
#[inline(always)]
pub fn linear_backward_weights<'a, R: Real + 'a, const I: usize, const V: usize>(
    mut pairs: impl Iterator<Item = (&'a [R; I], &'a [R; V])>,
    d_weight: &mut [[R; I]; V],
) {
    /// As many as fit the innermost cache.
    const GROUP: usize = 64;
    loop {
        let mut group = heapless::Vec::<_, GROUP>::new();
        for pair in pairs.by_ref().take(GROUP) {
            // There is room for as many.
            let _ = group.push(pair);
        }
        linear_backward_weight(&group, d_weight);
        if !group.is_full() {
            break;
        }
    }
}

/// d_w_vi += Σ_e d_y_ev·x_ei for the `ROWS` outputs v from `first` on, and the `CHUNK` inputs i of chunk `chunk`.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a training kernel; chunk < I / CHUNK and first + ROWS ≤ V"
)]
#[inline(always)]
fn outer_products<R: Real, const I: usize, const V: usize, const ROWS: usize, const CHUNK: usize>(
    pairs: &[(&[R; I], &[R; V])],
    first: usize,
    chunk: usize,
    d_weight: &mut [[R; I]; ROWS],
) {
    let mut sums: [[R; CHUNK]; ROWS] = core::array::from_fn(|row| d_weight[row].as_chunks().0[chunk]);
    for (x, d_y) in pairs {
        let x = &x.as_chunks::<CHUNK>().0[chunk];
        for (row, sums) in sums.iter_mut().enumerate() {
            *sums = plus_scaled(*sums, d_y[first + row], x);
        }
    }
    for (d_weight, sums) in d_weight.iter_mut().zip(sums) {
        d_weight.as_chunks_mut().0[chunk] = sums;
    }
}

/// d_b_v += Σ_e d_y_ev over the examples e, in their order. Forward was `y_v = b_v + Σ_i w_vi·x_i`.
#[inline(always)]
pub fn linear_backward_bias<'a, R: Real + 'a, const V: usize>(
    d_ys: impl Iterator<Item = &'a [R; V]>,
    d_bias: &mut [R; V],
) {
    for d_y in d_ys {
        add_scaled(d_bias, R::ONE, d_y);
    }
}

/// y_i += a·x_i.
#[inline(always)]
pub fn add_scaled<R: Real>(y: &mut [R], a: R, x: &[R]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * *x;
    }
}

/// y = b + Σ_l table\[l\]\[symbol_l\], l ascending; a masked position (`None`) adds nothing.
#[inline(always)]
pub fn lookup_forward<R: Real, W: Stored<R>, const L: usize, const V: usize, const H: usize>(
    table: &[[[W; H]; V]; L],
    bias: &[W; H],
    symbols: &[Option<u8>; L],
    y: &mut [R; H],
) {
    for (y, b) in y.iter_mut().zip(bias) {
        *y = b.real();
    }
    for (rows, symbol) in table.iter().zip(symbols) {
        lookup_add(rows, *symbol, y);
    }
}

/// y += rows\[symbol\], what the one position whose rows these are adds to y; nothing where it is masked (`None`).
///
/// A symbol outside the table adds nothing either; the sampler and the loaders admit none.
#[inline(always)]
pub fn lookup_add<R: Real, W: Stored<R>, const V: usize, const H: usize>(
    rows: &[[W; H]; V],
    symbol: Option<u8>,
    y: &mut [R; H],
) {
    if let Some(row) = symbol.and_then(|symbol| rows.get(usize::from(symbol))) {
        for (y, w) in y.iter_mut().zip(row) {
            *y += w.real();
        }
    }
}

/// d_table\[l\]\[symbol_l\] += d_y for the one position whose rows are `d_rows`.
///
/// Forward was `y = b + Σ_l table[l][symbol_l]`.
#[inline(always)]
pub fn lookup_backward<R: Real, const V: usize, const H: usize>(
    symbol: Option<u8>,
    d_y: &[R; H],
    d_rows: &mut [[R; H]; V],
) {
    if let Some(row) = symbol.and_then(|symbol| d_rows.get_mut(usize::from(symbol))) {
        add_scaled(row, R::ONE, d_y);
    }
}
