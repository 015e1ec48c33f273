//! RMSNorm: every position's features are scaled to a mean square of one, then by a learned gain each.
//!
//! With x the D features of one position and r = 1/√(Σ_d x_d²/D + ε): y_d = g_d·n_d, where n_d = r·x_d.
//!
//! Backward: ∂loss/∂g_d = Σ_l ∂loss/∂y_dl·n_dl. Let h_d = g_d·∂loss/∂y_d, the gradient of n_d. Since
//! ∂r/∂x_i = −r³·x_i/D, ∂n_d/∂x_i = r·\[d = i\] − r³·x_d·x_i/D, so that
//! ∂loss/∂x_i = r·(h_i − n_i·m) with m = Σ_d h_d·n_d / D.
//!
//! Positions are the lanes, `x[d][l]`; every sum over d is in ascending order, one accumulator for each position, and
//! ∂loss/∂g_d adds position l to lane l mod 8 and then the lanes by halves, as a dot product does.
//!
//! A position of zeros gives zeros: ε = 10⁻⁵ keeps r finite. x² must not overflow.
//!
//! Source: B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019, equation 4.

use crate::linear::{LANES, lanes, lanes_mut, row_by_row, sum_lanes};
use crate::math::{Real, Stored};

/// ε: the least mean square.
const EPSILON: f64 = 1e-5;
/// The most positions that a text of a normalised network can have: a network with more does not compile.
pub(crate) const MOST_POSITIONS: usize = 64;
/// Positions of a tile.
const TILE: usize = LANES;
/// The most tiles.
const TILES: usize = MOST_POSITIONS / TILE;

/// The features of the `TILE` positions from `first` on, of a row that ends at `end`; 0 past its end.
#[inline(always)]
fn load<R: Real>(x: &[R], first: usize, end: usize) -> [R; TILE] {
    if first.saturating_add(TILE) <= end {
        return *lanes(x, first).unwrap_or(&[R::ZERO; TILE]);
    }
    let mut tile = [R::ZERO; TILE];
    for (tile, x) in tile.iter_mut().zip(x.get(first..end).unwrap_or(&[])) {
        *tile = *x;
    }
    tile
}

/// Stores a tile where [`load`] would read it.
#[inline(always)]
fn store<R: Real>(tile: [R; TILE], x: &mut [R], first: usize, end: usize) {
    if first.saturating_add(TILE) <= end {
        if let Some(x) = lanes_mut(x, first) {
            *x = tile;
        }
        return;
    }
    for (tile, x) in tile.into_iter().zip(x.get_mut(first..end).unwrap_or(&mut [])) {
        *x = tile;
    }
}

/// y_dl = g_d·r_l·x_dl for every position l.
///
/// `gain` is `[D]`, `x` and `y` are `[D][W]`, with `width` = W ≤ 64. `sqrt` is the correctly rounded square root, whose bits
/// IEEE 754 fixes, so the caller may pass one that the compiler can vectorise.
#[inline(always)]
pub fn rms_norm_forward<R: Real, W: Stored<R>>(
    gain: &[W],
    x: &[R],
    y: &mut [R],
    width: usize,
    sqrt: impl Fn(R) -> R + Copy,
) {
    for tile in 0..tiles(width) {
        let scale = scale_of(x, gain.len(), width, tile, sqrt);
        let mut start = 0_usize;
        for g in gain {
            row_by_row();
            let (first, end) = span(start, width, tile);
            store(times([g.real(); TILE], times(scale, load(x, first, end))), y, first, end);
            start = end;
        }
    }
}

/// Tiles of `width` positions.
#[inline(always)]
fn tiles(width: usize) -> usize {
    width.div_ceil(TILE).min(TILES)
}

/// Where tile number `tile` begins in the row of `width` positions from `start` on, and where that row ends.
#[inline(always)]
fn span(start: usize, width: usize, tile: usize) -> (usize, usize) {
    (start.wrapping_add(tile.wrapping_mul(TILE)), start.wrapping_add(width))
}

/// r_l = 1/√(Σ_d x_dl²/D + ε) for the positions l of one tile, D = `features`.
#[expect(clippy::indexing_slicing, reason = "lane < TILE")]
#[inline(always)]
fn scale_of<R: Real>(
    x: &[R],
    features: usize,
    width: usize,
    tile: usize,
    sqrt: impl Fn(R) -> R + Copy,
) -> [R; TILE] {
    let share = R::of(1.0 / features as f64);
    let mut scale = [R::ZERO; TILE];
    let mut start = 0_usize;
    for _ in 0..features {
        let (first, end) = span(start, width, tile);
        let x = load(x, first, end);
        for lane in 0..TILE {
            scale[lane] += x[lane] * x[lane];
        }
        start = end;
    }
    for lane in 0..TILE {
        scale[lane] = R::ONE / sqrt(scale[lane] * share + R::of(EPSILON));
    }
    scale
}

/// Turns `d`, ∂loss/∂y, into ∂loss/∂x, and writes ∂loss/∂g to `d_gain`.
///
/// `gain` and `d_gain` are `[D]`, `x` and `d` are `[D][W]`, with `width` = W ≤ 64. Forward was `y_dl = g_d·r_l·x_dl`.
#[expect(clippy::indexing_slicing, reason = "tile < TILES, lane < TILE")]
#[inline(always)]
pub fn rms_norm_backward<R: Real>(
    gain: &[R],
    x: &[R],
    d: &mut [R],
    d_gain: &mut [R],
    width: usize,
    sqrt: impl Fn(R) -> R + Copy,
) {
    let mut scale = [[R::ZERO; TILE]; TILES];
    for tile in 0..tiles(width) {
        scale[tile] = scale_of(x, gain.len(), width, tile, sqrt);
    }
    let mut mean = [[R::ZERO; TILE]; TILES];
    let mut start = 0_usize;
    for (index, g) in gain.iter().enumerate() {
        let mut sums = [R::ZERO; LANES];
        for tile in 0..tiles(width) {
            let (first, end) = span(start, width, tile);
            let n = times(scale[tile], load(x, first, end));
            let d_y = load(d, first, end);
            // Positions past the end add 0.
            let products = times(n, d_y);
            for lane in 0..LANES {
                sums[lane] += products[lane];
            }
            let h = times([*g; TILE], d_y);
            let along = times(n, h);
            for lane in 0..TILE {
                mean[tile][lane] += along[lane];
            }
            store(h, d, first, end);
        }
        if let Some(d_gain) = d_gain.get_mut(index) {
            *d_gain = sum_lanes(sums);
        }
        start = start.wrapping_add(width);
    }
    let share = R::of(1.0 / gain.len() as f64);
    for mean in mean.as_flattened_mut() {
        *mean = *mean * share;
    }
    let mut start = 0_usize;
    for _ in gain {
        row_by_row();
        for tile in 0..tiles(width) {
            let (first, end) = span(start, width, tile);
            let along = times(times(scale[tile], load(x, first, end)), mean[tile]);
            let mut row = load(d, first, end);
            for lane in 0..TILE {
                row[lane] = row[lane] - along[lane];
            }
            store(times(scale[tile], row), d, first, end);
        }
        start = start.wrapping_add(width);
    }
}

/// x·y, position by position. By value, the form in which the compiler keeps them in vector registers.
#[expect(clippy::indexing_slicing, reason = "lane < TILE")]
#[inline(always)]
fn times<R: Real>(mut x: [R; TILE], y: [R; TILE]) -> [R; TILE] {
    for lane in 0..TILE {
        x[lane] = x[lane] * y[lane];
    }
    x
}
