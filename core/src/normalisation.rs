//! RMSNorm: scales the features of each position to a mean square of 1, then by a learned gain for each feature.
//!
//! With the D features x of one position and r = 1/√(Σ_d x_d²/D + ε): y_d = g_d·n_d, where n_d = r·x_d.
//!
//! Backward: ∂loss/∂g_d = Σ_l ∂loss/∂y_dl·n_dl. Let h_d = g_d·∂loss/∂y_d, the gradient of n_d. Since ∂r/∂x_i = −r³·x_i/D,
//! ∂n_d/∂x_i = r·\[d = i\] − r³·x_d·x_i/D. So ∂loss/∂x_i = r·(h_i − n_i·m) with m = Σ_d h_d·n_d / D.
//!
//! Positions are the lanes, `x[d][l]`. A sum over d runs in ascending order, with one accumulator for each position.
//! ∂loss/∂g_d adds position l to lane l mod 8, then the lanes by halves, like a dot product ([`sum_lanes`]).
//!
//! A position of zeros gives zeros: ε = 10⁻⁵ keeps r finite. x² must not overflow.
//!
//! Source: B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019, equation 4.

use crate::linear::{LANES, for_each_tile, lanes, lanes_mut, row_by_row, sum_lanes};
use crate::math::{Real, Stored};
use crate::product::MOST_POSITIONS;

/// ε: added to the mean square.
const EPSILON: f64 = 1e-5;

/// Writes RMSNorm of `x` to `y`: y_dl = g_d·r_l·x_dl, with r_l = 1/√(Σ_d x_dl²/D + 10⁻⁵), for every position l.
///
/// `gain`, g, is `[D]`: D features. `x` and `y` are `[D][width]`: a column for each of `width` positions, in any
/// number. `W` is the type of a stored gain: a float, or its four bytes in a file.
///
/// `sqrt` is the correctly rounded square root. IEEE 754 fixes its bits, so the caller may pass one that the compiler
/// can vectorise.
#[inline(always)]
pub fn rms_norm_forward<R: Real, W: Stored<R>>(
    gain: &[W],
    x: &[R],
    y: &mut [R],
    width: usize,
    sqrt: impl Fn(R) -> R + Copy,
) {
    for_each_tile!(first, N in [width / LANES; LANES], [width % LANES; 1] => {
        let scale: [R; N] = scale_of(x, gain.len(), width, first, sqrt);
        for ((g, x), y) in gain.iter().zip(x.chunks_exact(width.max(1))).zip(y.chunks_exact_mut(width.max(1))) {
            row_by_row();
            let (Some(x), Some(y)) = (lanes(x, first), lanes_mut(y, first)) else { return };
            *y = times([g.real(); N], times(scale, *x));
        }
    });
}

/// r_l = 1/√(Σ_d x_dl²/D + ε) for the `N` positions l from `first` on, with D = `features`.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
fn scale_of<R: Real, const N: usize>(
    x: &[R],
    features: usize,
    width: usize,
    first: usize,
    sqrt: impl Fn(R) -> R + Copy,
) -> [R; N] {
    let share = R::of(1.0 / features as f64);
    let mut scale = [R::ZERO; N];
    for x in x.chunks_exact(width.max(1)) {
        if let Some(x) = lanes::<R, N>(x, first) {
            for lane in 0..N {
                scale[lane] += x[lane] * x[lane];
            }
        }
    }
    for lane in 0..N {
        scale[lane] = R::ONE / sqrt(scale[lane] * share + R::of(EPSILON));
    }
    scale
}

/// Turns `d`, ∂loss/∂y, into ∂loss/∂x, and writes ∂loss/∂g to `d_gain`.
///
/// `gain`, g, and `d_gain` are `[D]`: D features. `x` and `d` are `[D][width]`: a column for each of `width` positions,
/// at most 64. `sqrt` is the correctly rounded square root. Forward was `y_dl = g_d·r_l·x_dl` with
/// `r_l = 1/√(Σ_d x_dl²/D + 10⁻⁵)`.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
pub fn rms_norm_backward<R: Real>(
    gain: &[R],
    x: &[R],
    d: &mut [R],
    d_gain: &mut [R],
    width: usize,
    sqrt: impl Fn(R) -> R + Copy,
) {
    let (mut scale, mut mean) = ([R::ZERO; MOST_POSITIONS], [R::ZERO; MOST_POSITIONS]);
    for_each_tile!(first, N in [width / LANES; LANES], [width % LANES; 1] => {
        let Some(scale) = lanes_mut::<R, N>(&mut scale, first) else { return };
        *scale = scale_of(x, gain.len(), width, first, sqrt);
    });
    let rows =
        gain.iter().zip(d_gain).zip(x.chunks_exact(width.max(1)).zip(d.chunks_exact_mut(width.max(1))));
    for ((g, d_gain), (x, d)) in rows {
        let mut sums = [R::ZERO; LANES];
        for_each_tile!(first, N in [width / LANES; LANES], [width % LANES; 1] => {
            let (Some(scale), Some(mean)) = (lanes(&scale, first), lanes_mut::<R, N>(&mut mean, first)) else {
                return;
            };
            let (Some(x), Some(d)) = (lanes(x, first), lanes_mut(d, first)) else { return };
            let (n, d_y) = (times(*scale, *x), *d);
            let (h, products) = (times([*g; N], d_y), times(n, d_y));
            let along = times(n, h);
            // A full tile starts at lane 0; the constant lets the compiler drop the remainder.
            let start = if N == LANES { 0 } else { first };
            for lane in 0..N {
                sums[start.wrapping_add(lane) % LANES] += products[lane];
                mean[lane] += along[lane];
            }
            *d = h;
        });
        *d_gain = sum_lanes(sums);
    }
    let share = R::of(1.0 / gain.len() as f64);
    for mean in &mut mean {
        *mean = *mean * share;
    }
    for (x, d) in x.chunks_exact(width.max(1)).zip(d.chunks_exact_mut(width.max(1))) {
        row_by_row();
        for_each_tile!(first, N in [width / LANES; LANES], [width % LANES; 1] => {
            let (Some(scale), Some(mean)) = (lanes(&scale, first), lanes(&mean, first)) else { return };
            let (Some(x), Some(d)) = (lanes(x, first), lanes_mut::<R, N>(d, first)) else { return };
            let along = times(times(*scale, *x), *mean);
            let mut row = *d;
            for lane in 0..N {
                row[lane] = row[lane] - along[lane];
            }
            *d = times(*scale, row);
        });
    }
}

/// Multiplies x·y, position by position. Passed by value, so that the compiler keeps both in vector registers.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
fn times<R: Real, const N: usize>(mut x: [R; N], y: [R; N]) -> [R; N] {
    for lane in 0..N {
        x[lane] = x[lane] * y[lane];
    }
    x
}
