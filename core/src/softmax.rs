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
use crate::tensor::block_mut;

/// x becomes its softmax; returns ln Σ e^(x_v) of what it was.
///
/// An x_v of −∞ gets probability 0. At least one must be finite and none NaN or +∞. The sum runs in lanes: element v goes
/// to lane v mod 8, in ascending order, and the lanes are added by halves.
#[expect(clippy::indexing_slicing, reason = "lane < LANES")]
#[inline(always)]
pub fn softmax_forward<R: Real>(x: &mut [R]) -> R {
    // A short last chunk is filled with −∞, whose exponential adds 0.
    let mut last = [R::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    let count = rest.len().min(LANES);
    last[..count].copy_from_slice(&rest[..count]);
    let mut lanes = last;
    for chunk in chunks.iter() {
        for lane in 0..LANES {
            lanes[lane] = maximum(lanes[lane], chunk[lane]);
        }
    }
    let mut largest = R::NEG_INFINITY;
    for lane in lanes {
        largest = maximum(largest, lane);
    }
    let mut total = [R::ZERO; LANES];
    for chunk in chunks.iter_mut() {
        for lane in 0..LANES {
            chunk[lane] = (chunk[lane] - largest).exp();
            total[lane] += chunk[lane];
        }
    }
    for lane in 0..LANES {
        last[lane] = (last[lane] - largest).exp();
        total[lane] += last[lane];
    }
    let total = sum_lanes(total);
    let scale = R::ONE / total;
    for chunk in chunks {
        for x in chunk {
            *x = *x * scale;
        }
    }
    for lane in 0..count {
        rest[lane] = last[lane] * scale;
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
/// Only the first `symbols` of the logits take part: the others are set to −∞ first and get gradient 0. `clean` is c and
/// must be below `symbols`.
#[expect(clippy::indexing_slicing, reason = "a training kernel; clean < symbols ≤ V is the contract")]
#[inline(always)]
pub fn cross_entropy<R: Real>(z: &mut [R], symbols: usize, clean: u8, weight: R) -> R {
    for z in &mut z[symbols..] {
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

/// A row of logits whose cross-entropy counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Its number in the batch.
    pub row: usize,
    /// c: the symbol that was there.
    pub clean: u8,
    /// w: what its loss counts.
    pub weight: f32,
}

/// losses_e += w·−ln p(clean) for the row e of each target, in nats; turns those rows of the logits into their gradients.
///
/// `z` is `[E][V]` and `losses` `[E]`, with `outputs` = V.
#[inline(always)]
pub fn cross_entropy_of_rows<R: Real>(
    targets: &[Target],
    z: &mut [R],
    outputs: usize,
    symbols: usize,
    losses: &mut [R],
) {
    for Target { row, clean, weight } in targets {
        if let (Some(z), Some(loss)) = (block_mut(z, *row, outputs), losses.get_mut(*row)) {
            *loss += cross_entropy(z, symbols, *clean, R::of(f64::from(*weight)));
        }
    }
}
