//! Softmax and cross-entropy, in floating point, for training.
//!
//! With logits z and the target t, a distribution over the symbols: p_v = e^z_v / Σ_u e^z_u and loss = −w·Σ_v t_v·ln p_v, in
//! nats. Since ln p_v = z_v − ln Σ_u e^z_u, Σ_v t_v = 1 and ∂/∂z_v ln Σ_u e^z_u = p_v,
//!
//! ```text
//! loss = w·(ln Σ_u e^z_u − Σ_v t_v·z_v),   ∂loss/∂z_v = w·(p_v − t_v)
//! ```
//!
//! A hard target is the clean symbol c: t_v = \[v = c\] and loss = −w·ln p_c. A soft target mixes in a teacher's
//! probabilities p̄ with share λ: t_v = (1 − λ)·\[v = c\] + λ·p̄_v. The loss is linear in t: 1 − λ times the loss for the
//! clean symbol, plus λ times the cross-entropy with the teacher. The minimum is at p = t.
//!
//! The largest logit m is subtracted first. This changes nothing in exact arithmetic and keeps every exponential in 0 … 1:
//! p_v = e^(z_v − m) / Σ_u e^(z_u − m), loss = w·(m − Σ_v t_v·z_v + ln Σ_u e^(z_u − m)). The sum is at least 1, so neither
//! the division nor the logarithm can fail.
//!
//! Source: I. Goodfellow, Y. Bengio, A. Courville, *Deep Learning*, 2016, equations 4.1 and 6.29; for a teacher's
//! probabilities as the target, G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network", 2015
//! (arXiv 1503.02531), section 2, at temperature 1.

use crate::linear::{LANES, sum_lanes};
use crate::math::Real;

/// Replaces `x` by its softmax, and returns ln Σ_v e^x_v of the original `x`.
///
/// An x_v of −∞ gets probability 0. At least one x_v must be finite, and none NaN or +∞; else all results are NaN. The
/// sum runs in lanes: element v goes to lane v mod 8, in ascending order, and the lanes are added by halves
/// ([`sum_lanes`]).
#[expect(clippy::indexing_slicing, reason = "lane < LANES")]
#[inline(always)]
pub fn softmax_forward<R: Real>(x: &mut [R]) -> R {
    // Fills a short last chunk with −∞, whose exponential adds 0.
    let mut last = [R::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    let count = rest.len().min(LANES);
    last[..count].copy_from_slice(&rest[..count]);
    let mut largest = last;
    for chunk in chunks.iter() {
        for lane in 0..LANES {
            largest[lane] = maximum(largest[lane], chunk[lane]);
        }
    }
    let largest = largest.into_iter().fold(R::NEG_INFINITY, maximum);
    let mut total = [R::ZERO; LANES];
    for number in 0..=chunks.len() {
        // The whole chunks, and after them the short one.
        let chunk = chunks.get_mut(number).unwrap_or(&mut last);
        for lane in 0..LANES {
            chunk[lane] = (chunk[lane] - largest).exp();
            total[lane] += chunk[lane];
        }
    }
    rest.copy_from_slice(&last[..count]);
    let total = sum_lanes(total);
    let scale = R::ONE / total;
    for x in x {
        *x = *x * scale;
    }
    largest + total.ln()
}

/// The greater of two numbers.
#[inline(always)]
fn maximum<R: Real>(a: R, b: R) -> R {
    if b > a { b } else { a }
}

/// Target of a prediction: the clean symbol, a distribution over the symbols in its place, if any, and the weight of the
/// loss.
pub type Target<'a, R> = (u8, Option<&'a [R]>, R);

/// Returns the cross-entropy of the logits `z`, in nats, and turns `z` into its gradient.
///
/// The [`Target`] is (`clean`, `soft`, `weight`). With w = `weight` and p the softmax of z, loss = w·(ln Σ_v e^z_v −
/// Σ_v t_v·z_v) and d_z_v = w·(p_v − t_v). Σ_v t_v·z_v runs in ascending order of v.
///
/// Without `soft`, t_v = \[v = c\] with c = `clean`. With `soft`, t is `soft`, and `clean` is not read. `soft` has a
/// probability for each symbol of the alphabet; further numbers are ignored.
///
/// Only the first `symbols` logits are of symbols in the alphabet. The others count as −∞, so that p_v is 0 there.
/// `symbols` is at least 1; more than there are logits panic.
///
/// Without `soft`, a clean symbol outside the alphabet has the loss ∞; past the end of `z` it panics.
#[expect(clippy::indexing_slicing, reason = "a training kernel; c < symbols ≤ V is the contract")]
#[inline(always)]
pub fn cross_entropy<R: Real>(z: &mut [R], symbols: usize, (clean, soft, weight): Target<R>) -> R {
    z[symbols..].fill(R::NEG_INFINITY);
    let expected = match soft {
        None => z[usize::from(clean)],
        Some(t) => z.iter().zip(t).take(symbols).fold(R::ZERO, |sum, (z, t)| sum + *t * *z),
    };
    let log_sum = softmax_forward(z);
    match soft {
        None => z[usize::from(clean)] = z[usize::from(clean)] - R::ONE,
        Some(t) => z.iter_mut().zip(t).take(symbols).for_each(|(p, t)| *p = *p - *t),
    }
    for p in z {
        *p = *p * weight;
    }
    weight * (log_sum - expected)
}
