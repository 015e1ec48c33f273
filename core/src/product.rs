//! Products of a matrix with the columns of all positions: the linear maps of the transformer.
//!
//! Activations lie with the positions innermost, `x[i][l]`, so that one vector register holds one feature of many
//! positions. A weight is then the same for the whole register, and no sum runs across its lanes.
//!
//! | letter | meaning |
//! |---|---|
//! | `L` | positions |
//! | `I` `O` | inputs and outputs of the matrix |
//! | `W` | how a weight is stored: a float, or four bytes of a file |
//!
//! **Product**: y_ol = Σ_i w_oi·x_il, or Y = W·X. By the chain rule ∂loss/∂X = Wᵀ·∂loss/∂Y, the **transposed product**
//! d_x_il = Σ_o w_oi·d_y_ol; and ∂loss/∂W = ∂loss/∂Y·Xᵀ, d_w_oi = Σ_l d_y_ol·x_il.
//!
//! The last sum runs over positions. To keep it out of the lanes too, it reads X in blocks of [`TILE`] features with the
//! positions outermost, and what fills none in blocks of [`FEW`], which [`transpose_blocks`] makes.
//!
//! **Order of sums**: each sum has one accumulator, which starts at 0 and adds its terms in ascending order of the index
//! it runs over: i, o, or for ∂loss/∂W the position l. The sums of a tile stay in registers.
//!
//! Source: the tile is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.

use crate::linear::plus_scaled;
use crate::math::{Real, Stored};

/// Lanes of a tile, and features of a transposed block: two registers of AVX2.
pub const TILE: usize = 16;
/// Features of a transposed block where fewer are left: one register of SSE2.
pub const FEW: usize = 4;
/// Rows of a tile. With [`TILE`] that is twelve accumulators of the sixteen registers of AVX2.
const ROWS: usize = 6;
/// Rows of other tiles, so that all are used up: twenty and more are so many sixes and fives. A tile of two rows takes as
/// long as one of four, since each sum waits for its last addition; and of four, compilers put the rows in the lanes.
const FEW_ROWS: usize = 5;

/// Some of `L` positions, in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Positions<const L: usize> {
    /// The first `count` are those.
    list: [usize; L],
    count: usize,
}

impl<const L: usize> Positions<L> {
    /// Those that `chosen` says yes to.
    #[inline(always)]
    pub fn new(chosen: impl Fn(usize) -> bool) -> Self {
        let mut positions = Self { list: [0; L], count: 0 };
        let chosen = (0..L).filter(|position| chosen(*position));
        for (count, (slot, position)) in (1..).zip(positions.list.iter_mut().zip(chosen)) {
            *slot = position;
            positions.count = count;
        }
        positions
    }

    /// Each of them, for [`product_backward_weight`].
    #[inline(always)]
    pub fn iter(&self) -> impl Iterator<Item = usize> + Clone {
        // The compiler then sees that they are below L.
        self.list.iter().take(self.count).map(|position| (*position).min(L.saturating_sub(1)))
    }
}

/// y_ol = finish(y_ol, Σ_i w_oi·x_il), i ascending.
///
/// `finish` says what becomes of a sum: `|_, sum| sum` overwrites y, `|y, sum| y + sum` adds to it.
#[inline(always)]
pub fn product<R: Real, W: Stored<R>, const I: usize, const O: usize, const L: usize>(
    w: &[[W; I]; O],
    x: &[[R; L]; I],
    y: &mut [[R; L]; O],
    finish: impl Fn(R, R) -> R + Copy,
) {
    let [many, few, single] = tiles(O);
    let (w, y) = product_rows::<R, W, I, L, ROWS>(many, w, x, y, finish);
    let (w, y) = product_rows::<R, W, I, L, FEW_ROWS>(few, w, x, y, finish);
    product_rows::<R, W, I, L, 1>(single, w, x, y, finish);
}

/// How many tiles of [`ROWS`], of [`FEW_ROWS`] and of one row make up `rows` rows; of one only where there is no other way.
#[inline(always)]
const fn tiles(rows: usize) -> [usize; 3] {
    // Each tile of one row less than ROWS leaves one row more for the others.
    let few = ROWS.saturating_sub(rows % ROWS) % ROWS;
    match rows.checked_sub(few.saturating_mul(FEW_ROWS)) {
        Some(rest) => [rest / ROWS, few, 0],
        None => [rows / ROWS, 0, rows % ROWS],
    }
}

/// The first `tiles` tiles of `N` rows, and the rows that are left.
#[inline(always)]
fn split<T, const N: usize>(rows: &[T], tiles: usize) -> (&[[T; N]], &[T]) {
    let (head, rest) = rows.split_at(rows.len().min(tiles.saturating_mul(N)));
    (head.as_chunks().0, rest)
}

/// The same, to be written.
#[inline(always)]
fn split_mut<T, const N: usize>(rows: &mut [T], tiles: usize) -> (&mut [[T; N]], &mut [T]) {
    let (head, rest) = rows.split_at_mut(rows.len().min(tiles.saturating_mul(N)));
    (head.as_chunks_mut().0, rest)
}

/// [`product`], `N` rows at once for so many tiles; returns the rows that are left.
#[inline(always)]
fn product_rows<'a, R: Real, W: Stored<R>, const I: usize, const L: usize, const N: usize>(
    tiles: usize,
    w: &'a [[W; I]],
    x: &[[R; L]; I],
    y: &'a mut [[R; L]],
    finish: impl Fn(R, R) -> R + Copy,
) -> (&'a [[W; I]], &'a mut [[R; L]]) {
    let ((blocks, w_rest), (y_blocks, y_rest)) = (split::<_, N>(w, tiles), split_mut::<_, N>(y, tiles));
    for (w, y) in blocks.iter().zip(y_blocks) {
        columns(|i| w.each_ref().map(|row| element(row, i)), x, y, finish);
    }
    (w_rest, y_rest)
}

/// y_il = finish(y_il, Σ_o w_oi·x_ol), o ascending: the [`product`] with the transposed matrix.
#[inline(always)]
pub fn product_transposed<R: Real, W: Stored<R>, const I: usize, const O: usize, const L: usize>(
    w: &[[W; I]; O],
    x: &[[R; L]; O],
    y: &mut [[R; L]; I],
    finish: impl Fn(R, R) -> R + Copy,
) {
    let [many, few, single] = tiles(I);
    let y = transposed_rows::<R, W, I, O, L, ROWS>(many, w, x, y, finish);
    let y = transposed_rows::<R, W, I, O, L, FEW_ROWS>(few, w, x, y, finish);
    transposed_rows::<R, W, I, O, L, 1>(single, w, x, y, finish);
}

/// [`product_transposed`] for the last rows of y, `N` at once for so many tiles; returns those that are left.
#[inline(always)]
fn transposed_rows<
    'a,
    R: Real,
    W: Stored<R>,
    const I: usize,
    const O: usize,
    const L: usize,
    const N: usize,
>(
    tiles: usize,
    w: &[[W; I]; O],
    x: &[[R; L]; O],
    y: &'a mut [[R; L]],
    finish: impl Fn(R, R) -> R + Copy,
) -> &'a mut [[R; L]] {
    let first = I.saturating_sub(y.len());
    let (blocks, rest) = split_mut::<_, N>(y, tiles);
    for (i, y) in (first..I).step_by(N).zip(blocks) {
        let weights =
            |o: usize| w.get(o).and_then(|row| lanes(row, i)).map_or([R::ZERO; N], |row| row.map(W::real));
        columns(weights, x, y, finish);
    }
    rest
}

/// y_nl = finish(y_nl, Σ_s weights(s)_n·x_sl) for every lane l.
#[inline(always)]
fn columns<R: Real, const S: usize, const N: usize, const L: usize>(
    weights: impl Fn(usize) -> [R; N] + Copy,
    x: &[[R; L]; S],
    y: &mut [[R; L]; N],
    finish: impl Fn(R, R) -> R + Copy,
) {
    let whole = L.saturating_sub(L % TILE);
    for first in (0..whole).step_by(TILE) {
        store(tile::<R, N, TILE>(0..S, weights, |s| lanes(x.get(s)?, first)), y, first, finish);
    }
    // Where no lane is left, this is not even compiled.
    if const { L.is_multiple_of(TILE) } {
        return;
    }
    for lane in whole..L {
        store(tile::<R, N, 1>(0..S, weights, |s| lanes(x.get(s)?, lane)), y, lane, finish);
    }
}

/// Σ_s weights(s)_n·x(s)_l over the `terms` s.
#[inline(always)]
fn tile<'a, R: Real + 'a, const N: usize, const WIDTH: usize>(
    terms: impl Iterator<Item = usize>,
    weights: impl Fn(usize) -> [R; N],
    x: impl Fn(usize) -> Option<&'a [R; WIDTH]>,
) -> [[R; WIDTH]; N] {
    let mut sums = [[R::ZERO; WIDTH]; N];
    for s in terms {
        if let Some(x) = x(s) {
            let mut weights = weights(s).into_iter();
            sums = sums.map(|sums| plus_scaled(sums, weights.next().unwrap_or(R::ZERO), x));
        }
    }
    sums
}

/// y_nl = finish(y_nl, sum_nl) for the lanes l from `first` on.
#[inline(always)]
fn store<R: Real, const N: usize, const L: usize, const WIDTH: usize>(
    sums: [[R; WIDTH]; N],
    y: &mut [[R; L]; N],
    first: usize,
    finish: impl Fn(R, R) -> R,
) {
    for (y, sums) in y.iter_mut().zip(sums) {
        if let Some(y) = y.get_mut(first..).and_then(|y| y.first_chunk_mut::<WIDTH>()) {
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = finish(*y, sum);
            }
        }
    }
}

/// x_i, and 0 past the end, which no caller asks for.
#[inline(always)]
fn element<R: Real, W: Stored<R>>(x: &[W], i: usize) -> R {
    x.get(i).map_or(R::ZERO, |x| x.real())
}

/// The `N` elements from `first` on.
#[inline(always)]
fn lanes<T, const N: usize>(x: &[T], first: usize) -> Option<&[T; N]> {
    x.get(first..)?.first_chunk()
}

/// d_w_oi += Σ_l d_y_ol·x_il over the `positions` l, which ascend, with x as [`transpose_blocks`] gives it.
///
/// One where all of d_y or all of x is 0 may be left out of 0 … L − 1: its terms are ±0, which no sum that starts at 0 sees.
///
/// Forward was `y_ol = Σ_i w_oi·x_il`. For the transposed product, `y_il = Σ_o w_oi·x_ol`, x takes the place of d_y here
/// and d_y that of x.
#[inline(always)]
pub fn product_backward_weight<R: Real, const I: usize, const O: usize, const L: usize>(
    positions: impl Iterator<Item = usize> + Clone,
    d_y: &[[R; L]; O],
    x: &[[R; L]; I],
    d_w: &mut [[R; I]; O],
) {
    let x = weight_blocks::<R, I, L, TILE>(positions.clone(), d_y, x, d_w);
    // Where no feature is left, this is not even compiled.
    if const { I.is_multiple_of(TILE) } {
        return;
    }
    let x = weight_blocks::<R, I, L, FEW>(positions.clone(), d_y, x, d_w);
    weight_blocks::<R, I, L, 1>(positions, d_y, x, d_w);
}

/// [`product_backward_weight`] for the last inputs, `x`, in blocks of `WIDTH`; returns those that are left.
#[inline(always)]
fn weight_blocks<'a, R: Real, const I: usize, const L: usize, const WIDTH: usize>(
    positions: impl Iterator<Item = usize> + Clone,
    d_y: &[[R; L]],
    x: &'a [[R; L]],
    d_w: &mut [[R; I]],
) -> &'a [[R; L]] {
    let first = I.saturating_sub(x.len());
    let (blocks, rest) = x.as_chunks::<WIDTH>();
    for (first, block) in (first..I).step_by(WIDTH).zip(blocks) {
        weight_columns::<R, I, L, WIDTH>(
            positions.clone(),
            d_y,
            block.as_flattened().as_chunks().0,
            d_w,
            first,
        );
    }
    rest
}

/// [`product_backward_weight`] for the `WIDTH` inputs from `first` on.
#[inline(always)]
fn weight_columns<R: Real, const I: usize, const L: usize, const WIDTH: usize>(
    positions: impl Iterator<Item = usize> + Clone,
    d_y: &[[R; L]],
    x: &[[R; WIDTH]],
    d_w: &mut [[R; I]],
    first: usize,
) {
    let [many, few, single] = tiles(d_y.len());
    let (d_y, d_w) = weight_rows::<R, I, L, ROWS, WIDTH>(many, positions.clone(), d_y, x, d_w, first);
    let (d_y, d_w) = weight_rows::<R, I, L, FEW_ROWS, WIDTH>(few, positions.clone(), d_y, x, d_w, first);
    weight_rows::<R, I, L, 1, WIDTH>(single, positions, d_y, x, d_w, first);
}

/// [`product_backward_weight`] for the `WIDTH` inputs from `first` on, `N` rows at once for so many tiles; returns the
/// rows that are left.
#[inline(always)]
fn weight_rows<'a, R: Real, const I: usize, const L: usize, const N: usize, const WIDTH: usize>(
    tiles: usize,
    positions: impl Iterator<Item = usize> + Clone,
    d_y: &'a [[R; L]],
    x: &[[R; WIDTH]],
    d_w: &'a mut [[R; I]],
    first: usize,
) -> (&'a [[R; L]], &'a mut [[R; I]]) {
    let ((d_ys, d_y_rest), (d_ws, d_w_rest)) = (split::<_, N>(d_y, tiles), split_mut::<_, N>(d_w, tiles));
    for (d_y, d_w) in d_ys.iter().zip(d_ws) {
        let weights = |l| d_y.each_ref().map(|row| element(row, l));
        store(tile(positions.clone(), weights, |l| x.get(l)), d_w, first, |d_w, sum| d_w + sum);
    }
    (d_y_rest, d_w_rest)
}

/// y = x with each block of [`TILE`] features, `x[i][l]`, then each of [`FEW`], as the same numbers with the positions
/// outermost.
///
/// Features that fill no block are copied: with one feature a block, both orders are the same.
#[inline(always)]
pub fn transpose_blocks<R: Real, const L: usize>(x: &[[R; L]], y: &mut [[R; L]]) {
    let (x, y) = transpose_some::<R, L, TILE>(x, y);
    let (x, y) = transpose_some::<R, L, FEW>(x, y);
    transpose_some::<R, L, 1>(x, y);
}

/// [`transpose_blocks`] in blocks of `N`; returns what is left.
#[inline(always)]
fn transpose_some<'a, R: Real, const L: usize, const N: usize>(
    x: &'a [[R; L]],
    y: &'a mut [[R; L]],
) -> (&'a [[R; L]], &'a mut [[R; L]]) {
    let ((blocks, rest), (y_blocks, y_rest)) = (x.as_chunks::<N>(), y.as_chunks_mut::<N>());
    for (x, y) in blocks.iter().zip(y_blocks) {
        transpose(x, y.as_flattened_mut().as_chunks_mut().0);
    }
    (rest, y_rest)
}

/// y\[l\]\[i\] = x\[i\]\[l\].
#[inline(always)]
pub fn transpose<R: Real, const I: usize, const L: usize>(x: &[[R; L]; I], y: &mut [[R; I]]) {
    for (i, x) in x.iter().enumerate() {
        for (y, x) in y.iter_mut().zip(x) {
            if let Some(y) = y.get_mut(i) {
                *y = *x;
            }
        }
    }
}

/// Stands in a loop over rows to keep it one: else compilers that have scatter instructions (AVX-512) put the rows in the
/// lanes, one position after the other, which takes four times as long.
#[inline(always)]
pub(crate) fn row_by_row() {
    core::hint::black_box(());
}
