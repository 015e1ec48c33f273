//! Softmax and cross-entropy, in floating point, for training.
//!
//! With logits z and the clean symbol c: p_v = e^z_v / Σ_u e^z_u and loss = −w·ln p_c, in nats.
//! Since ln p_c = z_c − ln Σ_u e^z_u and ∂/∂z_v ln Σ_u e^z_u = p_v, the gradient is ∂loss/∂z_v = w·(p_v − \[v = c\]).
//!
//! The largest logit m is subtracted first, which changes nothing in exact arithmetic and keeps every exponential in
//! 0 … 1: p_v = e^(z_v − m) / Σ_u e^(z_u − m), loss = w·(m − z_c + ln Σ_u e^(z_u − m)). The sum is at least 1, so neither
//! the division nor the logarithm can fail.
//!
//! Source: I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, equations 4.1 and 6.29.

use crate::linear::{LANES, sum_lanes};
use crate::math::Real;

/// x becomes its softmax; returns ln Σ e^(x_v) of what it was.
///
/// An x_v of −∞ gets probability 0. At least one must be finite and none NaN or +∞. The sum runs in lanes: element v goes
/// to lane v mod 8, in ascending order, and the lanes are added by halves.
#[inline(always)]
pub fn softmax_forward<R: Real>(x: &mut [R]) -> R {
    let mut largest = [R::NEG_INFINITY; LANES];
    for chunk in x.chunks(LANES) {
        for (largest, x) in largest.iter_mut().zip(chunk) {
            *largest = maximum(*largest, *x);
        }
    }
    let largest = largest.into_iter().fold(R::NEG_INFINITY, maximum);
    let mut total = [R::ZERO; LANES];
    for chunk in x.chunks_mut(LANES) {
        // A short last chunk is filled with −∞, whose exponential adds 0.
        let mut lanes = [R::NEG_INFINITY; LANES];
        for (lane, x) in lanes.iter_mut().zip(chunk.iter()) {
            *lane = *x - largest;
        }
        let lanes = lanes.map(R::exp);
        for (total, lane) in total.iter_mut().zip(lanes) {
            *total += lane;
        }
        for (x, lane) in chunk.iter_mut().zip(lanes) {
            *x = lane;
        }
    }
    let total = sum_lanes(total);
    let scale = R::ONE / total;
    for x in x.iter_mut() {
        *x = *x * scale;
    }
    largest + total.ln()
}

/// The greater of two numbers.
#[inline(always)]
fn maximum<R: Real>(a: R, b: R) -> R {
    if b > a { b } else { a }
}

/// Returns loss = w·(ln Σ_v e^z_v − z_c), in nats, and turns the logits into its gradient, d_z_v = w·(p_v − \[v = c\]).
///
/// Only the first `symbols` of the `V` logits take part: the others are set to −∞ first and get gradient 0. `clean`
/// is c and must be below `symbols`.
#[expect(clippy::indexing_slicing, reason = "a training kernel; clean < symbols ≤ V is the contract")]
#[inline(always)]
pub fn cross_entropy<R: Real, const V: usize>(z: &mut [R; V], symbols: usize, clean: u8, weight: R) -> R {
    for z in z.iter_mut().skip(symbols) {
        *z = R::NEG_INFINITY;
    }
    let z_clean = z[usize::from(clean)];
    let log_sum = softmax_forward(z);
    z[usize::from(clean)] = z[usize::from(clean)] - R::ONE;
    for p in z.iter_mut() {
        *p = *p * weight;
    }
    weight * (log_sum - z_clean)
}

/// Σ_l weight_l·−ln p(clean_l), l ascending, in nats; turns the logits of every position into their gradients, 0 where the
/// weight is.
#[expect(clippy::indexing_slicing, reason = "training; position < L, clean < symbols ≤ V")]
#[inline(always)]
pub(crate) fn cross_entropies<R: Real, const L: usize, const V: usize>(
    clean: &[u8; L],
    weights: &[f32; L],
    symbols: usize,
    logits: &mut [[R; L]; V],
) -> R {
    let mut loss = R::ZERO;
    for position in 0..L {
        let weight = R::of(f64::from(weights[position]));
        let mut z: [R; V] = core::array::from_fn(|v| logits[v][position]);
        if weight == R::ZERO {
            z = [R::ZERO; V];
        } else {
            loss += cross_entropy(&mut z, symbols, clean[position], weight);
        }
        for (logits, z) in logits.iter_mut().zip(z) {
            logits[position] = z;
        }
    }
    loss
}
