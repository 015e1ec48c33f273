//! Products of a matrix with the columns of all positions: the linear maps of networks that share weights over positions.
//!
//! Activations lie with the positions innermost, `x[i][l]`. One vector register then holds one feature of many positions,
//! its lanes share each weight, and no sum runs across lanes.
//!
//! | letter | meaning |
//! |---|---|
//! | `width` | positions, or columns with padding |
//! | `I` `O` | inputs and outputs of the matrix |
//! | `W` | type of a stored weight: a float, or four bytes of a file |
//!
//! **Product**: y_ol = Σ_i w_oi·x_il, or Y = W·X. By the chain rule ∂loss/∂X = Wᵀ·∂loss/∂Y, the **transposed product**
//! d_x_il = Σ_o w_oi·d_y_ol; and ∂loss/∂W = ∂loss/∂Y·Xᵀ, d_w_oi = Σ_l d_y_ol·x_il.
//!
//! The last sum runs over positions. To keep positions out of the lanes, it reads X in transposed blocks: blocks of [`TILE`]
//! features with the positions outermost, then blocks of [`FEW`] ([`transpose_blocks`]).
//!
//! **Order of sums**: each sum has one accumulator, which starts at 0 and adds its terms in ascending order of their index:
//! i, o, or for ∂loss/∂W the position l. The sums of a tile stay in registers.
//!
//! Source: the tile is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.

use crate::linear::{LANES, for_each_row, for_each_tile, lanes, lanes_mut, plus_scaled, row_by_row, tiles};
use crate::math::{Real, Stored};
use crate::tensor::first_rows;

/// Most positions of a network that shares weights over positions. A network with more does not compile.
pub(crate) const MOST_POSITIONS: usize = 64;
/// Number of positions that a product computes side by side: 16 `f32` fill two registers of AVX2.
///
/// [`transpose_blocks`] transposes as many features at a time.
pub const TILE: usize = 16;
/// Number of features that [`transpose_blocks`] transposes at a time where fewer than 16 are left.
///
/// 4 `f32` fill a register of SSE2.
pub const FEW: usize = 4;
/// Positions computed without a bounds check between them.
const RUN: usize = 8;
/// Rows of a tile. With [`TILE`] lanes, a tile has twelve accumulators, of the sixteen registers of AVX2.
const ROWS: usize = 6;
/// A second tile height: every row count from 20 on is a sum of sixes and fives. A tile of two rows takes as long as one of
/// four, since each sum waits for its last addition. In tiles of four rows, compilers put the rows in the lanes.
const FEW_ROWS: usize = 5;
/// Rows of a tile of [`LANES`] lanes: enough accumulators to hide the latency of an addition.
const NARROW_ROWS: usize = 9;
/// A second height of such tiles: every row count from 56 on is a sum of nines and eights.
const FEW_NARROW_ROWS: usize = 8;

/// Operation by which a matrix product stores a finished sum in the element y of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// y = sum.
    Set,
    /// y += sum.
    Add,
    /// y = y·sum.
    Multiply,
}

/// Evaluates `$kernel` with `$width` as a constant if it is [`TILE`] or [`LANES`], so that its loops need no bounds checks.
macro_rules! for_width {
    ($width:ident: $kernel:expr) => {
        if $width == TILE {
            let $width = TILE;
            $kernel
        } else if $width == LANES {
            let $width = LANES;
            $kernel
        } else {
            $kernel
        }
    };
}

/// [`for_each_tile`] of `$rows` rows in as few tiles as registers allow at `$width`. In the block, a `$width` of [`LANES`]
/// is a constant.
macro_rules! for_each_tile_of_rows {
    ($row:ident, $N:ident in $rows:expr, $width:ident => $body:block) => {
        if $width == LANES {
            let $width = LANES;
            let [many, few, single] = tiles::<NARROW_ROWS>($rows);
            for_each_tile!($row, $N in [many; NARROW_ROWS], [few; FEW_NARROW_ROWS], [single; 1] => $body);
        } else {
            let [many, few, single] = tiles::<ROWS>($rows);
            for_each_tile!($row, $N in [many; ROWS], [few; FEW_ROWS], [single; 1] => $body);
        }
    };
}

/// The number of columns to compute for `length` positions, a column for each, of one text or of several side by side.
///
/// The width is `length` rounded up to a multiple of 8 ([`LANES`]), but at most `most`, the number of columns there
/// are. Columns past `length` are padding: layers keep their values and gradients 0 wherever a sum reads them.
pub const fn width_of(length: usize, most: usize) -> usize {
    let width = length.next_multiple_of(LANES);
    if width < most { width } else { most }
}

/// Computes the product of a matrix w with columns x: for each output o and position l the sum Σ_i w_oi·x_il, i
/// ascending.
///
/// `store` says whether the sum replaces y_ol, is added to it, or multiplies it. With O outputs, I inputs and `width`
/// positions, `w` is `[O][I]`, `x` `[I][width]` and `y` `[O][width]`; the lengths give O and I. Other lengths give
/// wrong or missing results, but no panic. `W` is the type of a stored weight: a float, or its four bytes in a file.
#[inline(always)]
pub fn product<R: Real, W: Stored<R>>(w: &[W], x: &[R], y: &mut [R], width: usize, store: Store) {
    let outputs = y.len().checked_div(width).unwrap_or(0);
    for_each_tile_of_rows!(row, N in outputs, width => {
        let inputs = x.len().checked_div(width).unwrap_or(0);
        let Some(w) = w.get(row.wrapping_mul(inputs)..) else { return };
        let Some(rows) = first_rows::<W, N>(w, inputs) else { return };
        let Some(y) = y.get_mut(row.wrapping_mul(width)..) else { return };
        columns(Rows(rows), x, y, width, store);
    });
}

/// Computes the product of a transposed matrix wᵀ with columns x: for each input i and position l the sum Σ_o
/// w_oi·x_ol, o ascending.
///
/// `store` says whether the sum replaces y_il, is added to it, or multiplies it. With O outputs, I inputs and `width`
/// positions, `w` is `[O][I]`, `x` `[O][width]` and `y` `[I][width]`; the lengths give O and I. Other lengths give
/// wrong or missing results, but no panic. `W` is the type of a stored weight: a float, or its four bytes in a file.
#[inline(always)]
pub fn product_transposed<R: Real, W: Stored<R>>(w: &[W], x: &[R], y: &mut [R], width: usize, store: Store) {
    let inputs = y.len().checked_div(width).unwrap_or(0);
    for_each_tile_of_rows!(row, N in inputs, width => {
        let inputs = y.len().checked_div(width).unwrap_or(0);
        let Some(y) = y.get_mut(row.wrapping_mul(width)..) else { return };
        columns::<_, _, _, N>(Columns { w, first: row, stride: inputs }, x, y, width, store);
    });
}

/// Weights of a tile of `N` rows: one weight a row for each term of the sums.
trait Weights<'a, W, const N: usize>: Copy {
    /// References to the weights of summand number `term` in `N` sums, one for each sum; `None` past the last summand.
    ///
    /// References, so that each weight is loaded where it is used. Loaded together, they would take registers from the
    /// sums.
    fn of(self, term: usize) -> Option<[&'a W; N]>;
}

/// Weights of a matrix as stored: a tile's row reads a row of the matrix.
#[derive(Clone, Copy)]
struct Rows<'a, W, const N: usize>([&'a [W]; N]);

impl<'a, W: Copy, const N: usize> Weights<'a, W, N> for Rows<'a, W, N> {
    #[expect(clippy::indexing_slicing, reason = "row < N")]
    #[inline(always)]
    fn of(self, term: usize) -> Option<[&'a W; N]> {
        let mut weights = [self.0.first()?.get(term)?; N];
        for_each_row!(row < N {
            weights[row] = self.0[row].get(term)?;
        });
        Some(weights)
    }
}

impl<'a, W: Copy, const N: usize> Rows<'a, W, N> {
    /// [`RUN`] terms of each row, from term number `first` on; `None` if there are fewer.
    #[expect(clippy::indexing_slicing, reason = "row < N")]
    #[inline(always)]
    fn run(self, first: usize) -> Option<[&'a [W; RUN]; N]> {
        let mut runs = [lanes(self.0.first()?, first)?; N];
        for_each_row!(row < N {
            runs[row] = lanes(self.0[row], first)?;
        });
        Some(runs)
    }
}

/// Weights of a transposed matrix: a tile's row reads a column of the matrix, from column `first` on.
#[derive(Clone, Copy)]
struct Columns<'a, W> {
    w: &'a [W],
    first: usize,
    /// Length of a row of the matrix.
    stride: usize,
}

impl<'a, W: Copy, const N: usize> Weights<'a, W, N> for Columns<'a, W> {
    #[inline(always)]
    fn of(self, term: usize) -> Option<[&'a W; N]> {
        let w = lanes::<W, N>(self.w, term.wrapping_mul(self.stride).wrapping_add(self.first))?;
        Some(w.each_ref())
    }
}

/// Computes y_nl = Σ_s weights(s)_n·x_sl for every lane l of `N` rows n, stored as `store` says.
#[inline(always)]
fn columns<'a, R: Real, W: Stored<R> + 'a, T: Weights<'a, W, N>, const N: usize>(
    weights: T,
    x: &[R],
    y: &mut [R],
    width: usize,
    store: Store,
) {
    for_each_tile!(first, S in [width / TILE; TILE], [width % TILE / LANES; LANES], [width % LANES; 1] => {
        store_tile(tile::<R, W, T, N, S>(weights, x, width, first), y, width, first, store);
    });
}

/// Σ_s weights(s)_n·x_sl for the `WIDTH` lanes l from `first` on.
#[expect(clippy::indexing_slicing, reason = "row < N")]
#[inline(always)]
fn tile<'a, R: Real, W: Stored<R> + 'a, T: Weights<'a, W, N>, const N: usize, const WIDTH: usize>(
    weights: T,
    x: &[R],
    width: usize,
    first: usize,
) -> [[R; WIDTH]; N] {
    let mut sums = [[R::ZERO; WIDTH]; N];
    for (term, x) in x.chunks_exact(width.max(1)).enumerate() {
        let (Some(x), Some(weights)) = (lanes::<R, WIDTH>(x, first), weights.of(term)) else { break };
        // Loads the lanes once for all rows.
        let x = *x;
        for_each_row!(row < N {
            row_by_row();
            sums[row] = plus_scaled(sums[row], weights[row].real(), &x);
        });
    }
    sums
}

/// Stores `sums` in y_nl, as `store` says, for the `N` rows n of `y` and the `WIDTH` lanes l from `first` on.
#[expect(clippy::indexing_slicing, reason = "row < N, lane < WIDTH")]
#[expect(unused_assignments, reason = "nothing is read behind the last row")]
#[inline(always)]
fn store_tile<R: Real, const N: usize, const WIDTH: usize>(
    sums: [[R; WIDTH]; N],
    y: &mut [R],
    width: usize,
    first: usize,
    store: Store,
) {
    let mut rest = y;
    for_each_row!(row < N {
        let Some((y, tail)) = rest.split_at_mut_checked(width) else { return };
        rest = tail;
        let Some(y) = lanes_mut::<R, WIDTH>(y, first) else { return };
        match store {
            Store::Set => *y = sums[row],
            Store::Add => {
                for lane in 0..WIDTH {
                    y[lane] += sums[row][lane];
                }
            }
            Store::Multiply => {
                for lane in 0..WIDTH {
                    y[lane] = y[lane] * sums[row][lane];
                }
            }
        }
    });
}

/// Adds the gradient of a product's weights: d_w_oi += Σ_l d_y_ol·x_il over the `positions` l, which ascend without
/// repeats.
///
/// With O outputs, I inputs and `width` positions, `d_y` is `[O][width]` and `d_w` `[O][I]`; the lengths of `d_y` and
/// `x` give O and I. `x` is `[I][width]`, rearranged before the call by [`transpose_blocks`]. Other lengths give wrong
/// or missing results, but no panic. Forward was `y_ol = Σ_i w_oi·x_il`.
///
/// The function serves the transposed product `y_il = Σ_o w_oi·x_ol` too. Then the argument `d_y` is this x, and the
/// argument `x` is ∂loss/∂y, rearranged.
///
/// `positions` may leave out an l where all d_y_ol or all x_il are 0. The result then keeps every bit: the sum over l
/// starts from 0, its missing terms would be ±0, and only the sum is added to d_w.
#[inline(always)]
pub fn product_backward_weight<R: Real>(
    positions: &[usize],
    d_y: &[R],
    x: &[R],
    d_w: &mut [R],
    width: usize,
) {
    for_width!(width: {
        let inputs = x.len().checked_div(width).unwrap_or(0);
        let outputs = d_y.len().checked_div(width).unwrap_or(0);
        let [many, few, single] = tiles::<ROWS>(outputs);
        for_each_tile!(row, N in [many; ROWS], [few; FEW_ROWS], [single; 1] => {
            let Some(d_y) = d_y.get(row.wrapping_mul(width)..) else { return };
            let Some(rows) = first_rows::<R, N>(d_y, width).map(Rows) else { return };
            let Some(d_w) = d_w.get_mut(row.wrapping_mul(inputs)..) else { return };
            let (tiles, fours, single) = (inputs / TILE, inputs % TILE / FEW, inputs % FEW);
            for_each_tile!(input, S in [tiles; TILE], [fours; FEW], [single; 1] => {
                let Some(x) = x.get(input.wrapping_mul(width)..) else { return };
                let Some(sums) = weight_tile::<R, N, S>(positions, rows, x, width) else { return };
                store_tile(sums, d_w, inputs, input, Store::Add);
            });
        });
    });
}

/// Σ_l d_y_ol·x_il over the `positions` l, for the `N` rows o of `d_y` and the first `S` inputs i of `x`.
#[expect(clippy::indexing_slicing, reason = "row < N")]
#[inline(always)]
fn weight_tile<R: Real, const N: usize, const S: usize>(
    positions: &[usize],
    d_y: Rows<R, N>,
    x: &[R],
    width: usize,
) -> Option<[[R; S]; N]> {
    let x = x.as_chunks::<S>().0.get(..width)?;
    let mut sums = [[R::ZERO; S]; N];
    // If all positions count, most go in runs of eight, with one bounds check a run.
    let whole = if positions.len() == width { width.saturating_sub(width % RUN) } else { 0 };
    for first in (0..whole).step_by(RUN) {
        let (x, d_y) = (lanes::<_, RUN>(x, first)?, d_y.run(first)?);
        for position in 0..RUN {
            let x = x[position];
            for_each_row!(row < N {
                row_by_row();
                sums[row] = plus_scaled(sums[row], d_y[row][position], &x);
            });
        }
    }
    for position in positions.get(whole..)? {
        let (x, weights) = (*x.get(*position)?, d_y.of(*position)?);
        for_each_row!(row < N {
            row_by_row();
            sums[row] = plus_scaled(sums[row], weights[row].real(), &x);
        });
    }
    Some(sums)
}

/// Copies `x`, `[I][width]`, to `y` in blocks of features, each transposed: in a block, the positions are outermost.
///
/// I features of `width` positions make blocks of 16 features ([`TILE`]), then of 4 ([`FEW`]). At most three features
/// are left, and are copied as they are. `y` is as long as `x`.
#[inline(always)]
pub fn transpose_blocks<R: Real>(x: &[R], y: &mut [R], width: usize) {
    let features = x.len().checked_div(width).unwrap_or(0);
    let (tiles, fours, single) = (features / TILE, features % TILE / FEW, features % FEW);
    for_width!(width: {
        for_each_tile!(first, S in [tiles; TILE], [fours; FEW], [single; 1] => {
            let (start, length) = (first.wrapping_mul(width), S.wrapping_mul(width));
            let x = x.get(start..).and_then(|x| x.get(..length));
            let y = y.get_mut(start..).and_then(|y| y.get_mut(..length));
            let (Some(x), Some(y)) = (x, y) else { return };
            transpose(x, y, width);
        });
    });
}

/// Transposes `x`, `[I][width]`, to `y`, `[width][I]`: y_li = x_il. The length of `x`, divided by `width`, gives I. A
/// shorter `y` stays as it is.
#[expect(clippy::indexing_slicing, reason = "i < I and l < L, the sizes of both")]
#[inline(always)]
pub fn transpose<R: Real>(x: &[R], y: &mut [R], width: usize) {
    let features = x.len().checked_div(width).unwrap_or(0);
    let Some(y) = y.get_mut(..features.saturating_mul(width)) else { return };
    let (whole, wide) = (features.saturating_sub(features % FEW), width.saturating_sub(width % FEW));
    for lane in (0..wide).step_by(FEW) {
        for first in (0..whole).step_by(FEW) {
            if let Some(tile) = four_columns(x, width, first, lane) {
                store_four_rows(tile, y, features, lane, first);
            }
        }
    }
    for l in 0..width {
        let start = if l < wide { whole } else { 0 };
        for i in start..features {
            y[l.wrapping_mul(features).wrapping_add(i)] = x[i.wrapping_mul(width).wrapping_add(l)];
        }
    }
}

/// Transposes four rows of `x` from `row` on, of `width` elements each, in the four columns from `column` on; `None` past
/// the end of `x`.
#[inline(always)]
fn four_columns<R: Real>(x: &[R], width: usize, row: usize, column: usize) -> Option<[[R; FEW]; FEW]> {
    let place = row.wrapping_mul(width).wrapping_add(column);
    let [a0, a1, a2, a3] = *lanes(x, place)?;
    let [b0, b1, b2, b3] = *lanes(x, place.wrapping_add(width))?;
    let [c0, c1, c2, c3] = *lanes(x, place.wrapping_add(width.wrapping_mul(2)))?;
    let [d0, d1, d2, d3] = *lanes(x, place.wrapping_add(width.wrapping_mul(3)))?;
    Some([[a0, b0, c0, d0], [a1, b1, c1, d1], [a2, b2, c2, d2], [a3, b3, c3, d3]])
}

/// Stores `rows` in the four rows of `y` from `row` on, of `width` elements each, from `column` on.
#[inline(always)]
fn store_four_rows<R: Real>(rows: [[R; FEW]; FEW], y: &mut [R], width: usize, row: usize, column: usize) {
    let mut place = row.wrapping_mul(width).wrapping_add(column);
    for row in rows {
        let Some(y) = lanes_mut(y, place) else { return };
        *y = row;
        place = place.wrapping_add(width);
    }
}

/// Transposes `x`, `[width][width]`, in place: x_ij and x_ji change places.
#[inline(always)]
pub(crate) fn transpose_square<R: Real>(x: &mut [R], width: usize) {
    let whole = width.saturating_sub(width % FEW);
    for i in (0..whole).step_by(FEW) {
        for j in (0..=i).step_by(FEW) {
            let (Some(below), Some(above)) = (four_columns(x, width, i, j), four_columns(x, width, j, i))
            else {
                return;
            };
            store_four_rows(below, x, width, j, i);
            store_four_rows(above, x, width, i, j);
        }
    }
    for i in whole..width {
        for j in 0..i {
            x.swap(i.wrapping_mul(width).wrapping_add(j), j.wrapping_mul(width).wrapping_add(i));
        }
    }
}

/// Shifts every feature by `tap` − `radius` positions within each text: y_dl = x_dm with m = l + `tap` − `radius`.
///
/// y_dl is 0 if the positions l and m are not in one text. `x` and `y` are `[D][width]`: D features of `width`
/// positions.
///
/// `texts` has the number of the text for each position, at most `width` numbers. The positions of one text are
/// adjacent. Positions past the end of `texts` belong to none.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
pub fn shift<R: Real>(x: &[R], (tap, radius): (usize, usize), y: &mut [R], width: usize, texts: &[u8]) {
    let shifted = |place: usize| place.wrapping_add(tap).wrapping_sub(radius);
    for_each_tile!(first, N in [width / TILE; TILE], [width % TILE / LANES; LANES], [width % LANES; 1] => {
        let mut inside = [false; N];
        for lane in 0..N {
            let l = first.wrapping_add(lane);
            inside[lane] = texts.get(l).is_some_and(|text| texts.get(shifted(l)) == Some(text));
        }
        for (row, y) in y.chunks_exact_mut(width.max(1)).enumerate() {
            let place = shifted(row.wrapping_mul(width).wrapping_add(first));
            let mut from = [R::ZERO; N];
            match lanes::<R, N>(x, place) {
                Some(x) => from = *x,
                // At the ends of `x`, elements outside count as 0.
                None => {
                    for lane in 0..N {
                        from[lane] = x.get(place.wrapping_add(lane)).copied().unwrap_or(R::ZERO);
                    }
                }
            }
            let Some(y) = lanes_mut::<R, N>(y, first) else { return };
            for lane in 0..N {
                y[lane] = if inside[lane] { from[lane] } else { R::ZERO };
            }
        }
    });
}

/// Adds a bias to every position: x_dl += b_d. `x` is `[D][width]` and `bias`, b, `[D]`: D features of `width`
/// positions.
///
/// `W` is the type of a stored bias: a float, or its four bytes in a file.
#[inline(always)]
pub fn add_bias<R: Real, W: Stored<R>>(bias: &[W], x: &mut [R], width: usize) {
    for (d, x) in x.chunks_exact_mut(width.max(1)).enumerate() {
        if let Some(b) = bias.get(d) {
            let b = b.real();
            for x in x {
                *x += b;
            }
        }
    }
}

/// Adds the gradient of a bias: d_b_d += Σ_l d_x_dl, l ascending. `d_x` is `[D][width]`, and `d_bias`, d_b, `[D]`: D
/// features of `width` positions.
///
/// Forward was `x_dl += b_d`.
#[inline(always)]
pub fn add_bias_backward<R: Real>(d_x: &[R], d_bias: &mut [R], width: usize) {
    for (d, d_x) in d_x.chunks_exact(width.max(1)).enumerate() {
        if let Some(d_bias) = d_bias.get_mut(d) {
            let mut sum = R::ZERO;
            for d_x in d_x {
                sum += *d_x;
            }
            *d_bias += sum;
        }
    }
}
