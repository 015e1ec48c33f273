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

use crate::linear::{LANES, sum_lanes};
use crate::math::{Real, Stored};
use crate::product::row_by_row;

/// ε: the least mean square.
const EPSILON: f64 = 1e-5;

/// y_dl = g_d·r_l·x_dl for every position l.
#[inline(always)]
pub fn rms_norm_forward<R: Real, W: Stored<R>, const D: usize, const L: usize>(
    gain: &[W; D],
    x: &[[R; L]; D],
    y: &mut [[R; L]; D],
) {
    let scale = scales(x);
    for ((y, x), g) in y.iter_mut().zip(x).zip(gain) {
        row_by_row();
        let g = g.real();
        for ((y, x), r) in y.iter_mut().zip(x).zip(&scale) {
            *y = g * (*r * *x);
        }
    }
}

/// r_l = 1/√(Σ_d x_dl²/D + ε).
#[inline(always)]
fn scales<R: Real, const D: usize, const L: usize>(x: &[[R; L]; D]) -> [R; L] {
    let mut squares = [R::ZERO; L];
    for x in x {
        for (sum, x) in squares.iter_mut().zip(x) {
            *sum += *x * *x;
        }
    }
    let share = R::of(1.0 / D as f64);
    squares.map(|sum| R::ONE / (sum * share + R::of(EPSILON)).sqrt())
}

/// Turns `d`, ∂loss/∂y, into ∂loss/∂x, and writes ∂loss/∂g to `d_gain`.
///
/// Forward was `y_dl = g_d·r_l·x_dl`.
#[inline(always)]
pub fn rms_norm_backward<R: Real, const D: usize, const L: usize>(
    gain: &[R; D],
    x: &[[R; L]; D],
    d: &mut [[R; L]; D],
    d_gain: &mut [R; D],
) {
    let scale = scales(x);
    let mut mean = [R::ZERO; L];
    for (((d, x), g), d_gain) in d.iter_mut().zip(x).zip(gain).zip(d_gain) {
        let n = times(scale, x);
        *d_gain = sum_positions(&times(n, d));
        *d = d.map(|d| *g * d);
        for (mean, product) in mean.iter_mut().zip(times(n, d)) {
            *mean += product;
        }
    }
    let share = R::of(1.0 / D as f64);
    let mean = mean.map(|mean| mean * share);
    for (d, x) in d.iter_mut().zip(x) {
        row_by_row();
        let along = times(times(scale, x), &mean);
        for (d, along) in d.iter_mut().zip(along) {
            *d = *d - along;
        }
        *d = times(scale, d);
    }
}

/// x·y, position by position. By value, the form in which the compiler keeps them in vector registers.
#[inline(always)]
fn times<R: Real, const L: usize>(mut x: [R; L], y: &[R; L]) -> [R; L] {
    for (x, y) in x.iter_mut().zip(y) {
        *x = *x * *y;
    }
    x
}

/// Σ_l x_l, in lanes.
#[inline(always)]
fn sum_positions<R: Real, const L: usize>(x: &[R; L]) -> R {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let lanes = chunks.iter().fold([R::ZERO; LANES], |lanes, chunk| plus(lanes, chunk));
    sum_lanes(plus(lanes, rest))
}

/// x + y, for as many as y has. By value, as above.
#[inline(always)]
fn plus<R: Real>(mut x: [R; LANES], y: &[R]) -> [R; LANES] {
    for (x, y) in x.iter_mut().zip(y) {
        *x += *y;
    }
    x
}
