//! Attention of one head: every position reads from all positions.
//!
//! With queries q, keys k and values v of K features each: s_ij = Σ_f k_fi·q_fj/√K is how much position j asks for
//! position i, p_ij = e^s_ij / Σ_i' e^s_i'j the share of its attention that it gives it, and y_fj = Σ_i v_fi·p_ij.
//!
//! There is no causal mask: a masked position is predicted from both sides. PAD takes part like any symbol, as in the
//! reference: where a text ends is for the network to know.
//!
//! Backward, from the four lines above, last first:
//! - y = v·p: ∂loss/∂p_ij = Σ_f v_fi·∂loss/∂y_fj and ∂loss/∂v_fi = Σ_j ∂loss/∂y_fj·p_ij;
//! - the softmax of each query j: ∂p_ij/∂s_i'j = p_ij·(\[i = i'\] − p_i'j), so
//!   ∂loss/∂s_ij = p_ij·(∂loss/∂p_ij − m_j) with m_j = Σ_i p_ij·∂loss/∂p_ij;
//! - s = kᵀ·q/√K: ∂loss/∂q_fj = Σ_i k_fi·∂loss/∂s_ij/√K and ∂loss/∂k_fi = Σ_j q_fj·∂loss/∂s_ij/√K.
//!
//! Positions are the lanes: queries in s and p, `share[i][j]`. All sums are those of [`product`](crate::product) or
//! run over the keys i in ascending order, one accumulator for each query. The largest score of each query is subtracted
//! before its exponentials, which changes nothing in exact arithmetic and keeps them in 0 … 1.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, equation 1.

use crate::math::Real;
use crate::product::{product, product_transposed, row_by_row};

/// y_fj = Σ_i v_fi·p_ij, and the shares p in `share`.
#[inline(always)]
pub fn attention_forward<R: Real, const K: usize, const L: usize>(
    query: &[[R; L]; K],
    key: &[[R; L]; K],
    value: &[[R; L]; K],
    share: &mut [[R; L]; L],
    y: &mut [[R; L]; K],
) {
    let scale = root_of_width::<R, K>();
    product_transposed(key, query, share, |_, sum| sum * scale);
    softmax_of_lanes(share);
    product(value, share, y, |_, sum| sum);
}

/// 1/√K.
#[inline(always)]
fn root_of_width<R: Real, const K: usize>() -> R {
    R::ONE / R::of(K as f64).sqrt()
}

/// x_ij becomes e^x_ij / Σ_i' e^x_i'j.
#[inline(always)]
fn softmax_of_lanes<R: Real, const L: usize>(x: &mut [[R; L]; L]) {
    let mut largest = [R::NEG_INFINITY; L];
    for x in x.iter() {
        for (largest, x) in largest.iter_mut().zip(x) {
            *largest = if *x > *largest { *x } else { *largest };
        }
    }
    let mut total = [R::ZERO; L];
    for x in x.iter_mut() {
        row_by_row();
        for ((x, total), largest) in x.iter_mut().zip(&mut total).zip(&largest) {
            *x = (*x - *largest).exp();
            *total += *x;
        }
    }
    let scale = total.map(|total| R::ONE / total);
    for x in x.iter_mut() {
        row_by_row();
        for (x, scale) in x.iter_mut().zip(&scale) {
            *x = *x * *scale;
        }
    }
}

/// Turns `query`, `key` and `value` into their gradients.
///
/// `share` is what forward left, and `d_y` ∂loss/∂y; both are used up, and so is `d_share`, whatever it holds. Forward was
/// `s_ij = Σ_f k_fi·q_fj/√K`, `p = softmax s`, `y_fj = Σ_i v_fi·p_ij`.
#[inline(always)]
pub fn attention_backward<R: Real, const K: usize, const L: usize>(
    query: &mut [[R; L]; K],
    key: &mut [[R; L]; K],
    value: &mut [[R; L]; K],
    share: &mut [[R; L]; L],
    d_y: &mut [[R; L]; K],
    d_share: &mut [[R; L]; L],
) {
    product_transposed(value, d_y, d_share, |_, sum| sum);
    softmax_of_lanes_backward(share, d_share);
    transpose_square(share);
    product(d_y, share, value, |_, sum| sum);
    let scale = root_of_width::<R, K>();
    // From here on `d_y` holds ∂loss/∂q, and `d_share` is ∂loss/∂s.
    product(key, d_share, d_y, |_, sum| sum * scale);
    transpose_square(d_share);
    product(query, d_share, key, |_, sum| sum * scale);
    *query = *d_y;
}

/// Turns `d`, ∂loss/∂p, into ∂loss/∂s. Forward was `p_ij = e^s_ij / Σ_i' e^s_i'j`.
#[inline(always)]
fn softmax_of_lanes_backward<R: Real, const L: usize>(share: &[[R; L]; L], d: &mut [[R; L]; L]) {
    let mut mean = [R::ZERO; L];
    for (d, p) in d.iter().zip(share) {
        for ((mean, d), p) in mean.iter_mut().zip(d).zip(p) {
            *mean += *p * *d;
        }
    }
    for (d, p) in d.iter_mut().zip(share) {
        row_by_row();
        // By value, the form in which the compiler keeps a row in vector registers.
        let mut row = *d;
        for (d, (p, mean)) in row.iter_mut().zip(p.iter().zip(&mean)) {
            *d = *p * (*d - *mean);
        }
        *d = row;
    }
}

/// x_ij and x_ji change places.
#[expect(clippy::indexing_slicing, clippy::needless_range_loop, reason = "training; j < i < L, in place")]
#[inline(always)]
fn transpose_square<R: Real, const L: usize>(x: &mut [[R; L]; L]) {
    for i in 0..L {
        for j in 0..i {
            (x[i][j], x[j][i]) = (x[j][i], x[i][j]);
        }
    }
}
