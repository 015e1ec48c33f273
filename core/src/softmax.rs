//! Softmax and cross-entropy, in floating point, for training.
//!
//! With logits z and the answer t, a distribution over the symbols: p_v = e^z_v / Σ_u e^z_u and loss = −w·Σ_v t_v·ln p_v, in
//! nats. Since ln p_v = z_v − ln Σ_u e^z_u, Σ_v t_v = 1 and ∂/∂z_v ln Σ_u e^z_u = p_v,
//!
//! ```text
//! loss = w·(ln Σ_u e^z_u − Σ_v t_v·z_v),   ∂loss/∂z_v = w·(p_v − t_v)
//! ```
//!
//! A hard answer is the clean symbol c: t_v = \[v = c\] and loss = −w·ln p_c. A soft answer mixes in a teacher's
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
use crate::tensor::block_mut;

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

/// Answer that a row of logits should predict: one symbol, or a distribution over the symbols.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'a> {
    /// The clean symbol c.
    Hard(u8),
    /// A distribution t: a probability for each of the V symbols, 0 outside the alphabet.
    Soft(&'a [f32]),
}

/// Returns the cross-entropy of the logits `z`, in nats, and turns `z` into its gradient.
///
/// loss = w·(ln Σ_v e^z_v − Σ_v t_v·z_v) and d_z_v = w·(p_v − t_v), with p the softmax of z, t the `answer` and w =
/// `weight`. Σ_v t_v·z_v runs in ascending order of v.
///
/// Only the first `symbols` logits are of symbols in the alphabet. The others count as −∞, so that p_v is 0 there.
/// `symbols` is at least 1; more than there are logits panic.
///
/// A hard answer c means t_v = \[v = c\]. Outside the alphabet it has the loss ∞; past the end of `z` it panics. A soft
/// answer has t_v for each symbol of the alphabet; further numbers are ignored.
#[expect(clippy::indexing_slicing, reason = "a training kernel; c < symbols ≤ V is the contract")]
#[inline(always)]
pub fn cross_entropy<R: Real>(z: &mut [R], symbols: usize, answer: Answer, weight: R) -> R {
    for z in &mut z[symbols..] {
        *z = R::NEG_INFINITY;
    }
    let expected = match answer {
        Answer::Hard(clean) => z[usize::from(clean)],
        Answer::Soft(t) => {
            let terms = z.iter().zip(t).take(symbols);
            terms.fold(R::ZERO, |sum, (z, t)| sum + R::of(f64::from(*t)) * *z)
        }
    };
    let log_sum = softmax_forward(z);
    match answer {
        Answer::Hard(clean) => z[usize::from(clean)] = z[usize::from(clean)] - R::ONE,
        Answer::Soft(t) => {
            z.iter_mut().zip(t).take(symbols).for_each(|(p, t)| *p = *p - R::of(f64::from(*t)))
        }
    }
    for p in z.iter_mut() {
        *p = *p * weight;
    }
    weight * (log_sum - expected)
}

/// A row of logits to train: its number, the answer that it should predict, a symbol or a distribution, and the weight
/// of its loss.
///
/// A batch is computed one position at a time: its rows are those of one position, one for each example. A distribution
/// is borrowed for `'a`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target<'a> {
    /// Index of the row in `z`, from 0. It is the example's index in the batch: `z` holds the logits of one position,
    /// a row for each example.
    pub row: usize,
    /// Answer that the row should predict: a symbol, or a distribution over the symbols.
    pub answer: Answer<'a>,
    /// Weight w of the row's loss: loss and gradients are multiplied by it.
    pub weight: f32,
}

/// Adds the [`cross_entropy`] of each target's row of `z` to that row's entry of `losses`, in nats, and turns these
/// rows into their gradients.
///
/// `z` has rows of `outputs` logits, and `losses` has a number for each row. A target names a row, the answer that it
/// should predict, a symbol or a distribution, and a weight that multiplies loss and gradients. Rows without a target
/// stay as they are; a target past the last row is ignored. No two targets may name one row: the second would read the
/// gradient as logits.
///
/// Only the first `symbols` logits of a row are of symbols in the alphabet; the others count as −∞, and the loss of
/// such an answer is ∞. More `symbols` than `outputs` panic, and so does a symbol of `outputs` or more as answer.
#[inline(always)]
pub fn cross_entropy_of_rows<R: Real>(
    targets: &[Target],
    z: &mut [R],
    outputs: usize,
    symbols: usize,
    losses: &mut [R],
) {
    for Target { row, answer, weight } in targets {
        if let (Some(z), Some(loss)) = (block_mut(z, *row, outputs), losses.get_mut(*row)) {
            *loss += cross_entropy(z, symbols, *answer, R::of(f64::from(*weight)));
        }
    }
}
