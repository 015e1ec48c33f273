//! Attention in heads: every position reads from all positions.
//!
//! With queries q, keys k and values v of one head, K features each: the score s_ij = Σ_f k_fi·q_fj/√K says how much
//! position j asks for position i. The share p_ij = e^s_ij / Σ_i' e^s_i'j is the part of j's attention that i gets. The
//! result is y_fj = Σ_i v_fi·p_ij.
//!
//! There is no causal mask: a masked position is predicted from both sides. Positions of several texts may lie side by side
//! ([`pack`](crate::pack)). Then i runs over the keys of j's own text, and all other shares are 0.
//!
//! Backward, from the last formula to the first:
//! - y = v·p: ∂loss/∂p_ij = Σ_f v_fi·∂loss/∂y_fj and ∂loss/∂v_fi = Σ_j ∂loss/∂y_fj·p_ij;
//! - the softmax of each query j: ∂p_ij/∂s_i'j = p_ij·(\[i = i'\] − p_i'j), so ∂loss/∂s_ij = p_ij·(∂loss/∂p_ij − m_j) with
//!   m_j = Σ_i p_ij·∂loss/∂p_ij;
//! - s = kᵀ·q/√K: ∂loss/∂q_fj = Σ_i k_fi·∂loss/∂s_ij/√K and ∂loss/∂k_fi = Σ_j q_fj·∂loss/∂s_ij/√K.
//!
//! Positions are the lanes. In s and p these are the queries j: `share[i][j]`. A sum is one of [`product`](crate::product),
//! or runs over the keys i in ascending order, with one accumulator for each query. The largest score of each query is
//! subtracted before its exponentials. This changes nothing in exact arithmetic and keeps them in 0 … 1.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, equation 1.

use core::ops::Range;

use crate::linear::{LANES, for_each_tile, lanes, lanes_mut, row_by_row};
use crate::math::Real;
use crate::product::{Store, TILE, product, product_transposed, transpose_square};
use crate::tensor::{block, block_mut};

/// Sizes of multi-head attention, for [`attention_forward`] and [`attention_backward`]: K = `features` and W =
/// `positions`.
///
/// The number A of heads follows from the slice `y` of results, `[A][K][W]`: its length divided by K·W. In
/// `attention_backward`, their gradient gives it. Numbers left over belong to no head and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Number K of features of each head.
    pub features: usize,
    /// Number W of positions computed, each a column of the maps `[K][W]` of queries, keys, values and results.
    pub positions: usize,
}

impl Heads {
    /// The number of elements of one head's queries, keys, values or results: K·W.
    const fn map(self) -> usize {
        self.features.saturating_mul(self.positions)
    }

    /// The number of elements of one head's shares: W·W.
    const fn share(self) -> usize {
        self.positions.saturating_mul(self.positions)
    }

    /// 1/√K.
    #[inline(always)]
    fn scale<R: Real>(self) -> R {
        R::ONE / R::of(self.features as f64).sqrt()
    }
}

/// Computes attention of every head from `inputs`: its queries q, keys k and values v, in this order.
///
/// Writes y_fj = Σ_i v_fi·p_ij to `y`, and the shares p_ij = e^s_ij / Σ_i' e^s_i'j to `share`, with s_ij = Σ_f
/// k_fi·q_fj/√K. p_ij is the share of the attention of query j that key i gets.
///
/// `heads` gives K, the features of a head, and W, the columns, one for each position computed. With A heads, each
/// input and `y` are `[A][K][W]`; A follows from the length of `y`. `share` is `[A][W][W]`: `[head][key i][query j]`.
///
/// `texts` has the number of the text for each column, at most W numbers; the columns of one text are adjacent. Sums
/// over i run over the text of j, and all other shares are 0. Columns past the end of `texts` belong to none; their
/// shares and results are 0.
///
/// Other lengths give wrong or missing results, but no panic.
#[inline(always)]
pub fn attention_forward<R: Real>(
    heads: Heads,
    texts: &[u8],
    inputs: [&[R]; 3],
    share: &mut [R],
    y: &mut [R],
) {
    let width = heads.positions;
    let scale = heads.scale();
    for head in 0..y.len().checked_div(heads.map()).unwrap_or(0) {
        let [query, key, value] = inputs.map(|map| block(map, head, heads.map()).unwrap_or(&[]));
        let outputs = (block_mut(share, head, heads.share()), block_mut(y, head, heads.map()));
        let (Some(share), Some(y)) = outputs else { return };
        product_transposed(key, query, share, width, Store::Set);
        multiply(share, scale);
        let (mut rest, mut first) = (&mut *share, 0_usize);
        while let Some(text) = texts.get(first) {
            let length = texts.iter().skip(first).take_while(|other| *other == text).count();
            let Some((keys, tail)) = rest.split_at_mut_checked(length.saturating_mul(width)) else { return };
            let end = first.saturating_add(length);
            softmax_of_lanes(keys, width, first..end);
            (rest, first) = (tail, end);
        }
        rest.fill(R::ZERO);
        product(value, share, y, width, Store::Set);
    }
}

/// Multiplies x by a. Call once for each slice: compilers multiply one number at a time in a loop over a chain of two
/// slices.
#[inline(always)]
fn multiply<R: Real>(x: &mut [R], a: R) {
    for x in x {
        *x = *x * a;
    }
}

/// Replaces x_ij by e^x_ij / Σ_i' e^x_i'j for the queries j of `text`, and by 0 for other queries. `x` is `[I][width]`.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
fn softmax_of_lanes<R: Real>(x: &mut [R], width: usize, text: Range<usize>) {
    for_each_tile!(first, N in [width / TILE; TILE], [width % TILE / LANES; LANES], [width % LANES; 1] => {
        let mut largest = [R::NEG_INFINITY; N];
        for x in x.chunks_exact(width.max(1)) {
            let Some(x) = lanes::<R, N>(x, first) else { return };
            for lane in 0..N {
                largest[lane] = if x[lane] > largest[lane] { x[lane] } else { largest[lane] };
            }
        }
        let mut total = [R::ZERO; N];
        for x in x.chunks_exact_mut(width.max(1)) {
            let Some(x) = lanes_mut::<R, N>(x, first) else { return };
            row_by_row();
            for lane in 0..N {
                x[lane] = (x[lane] - largest[lane]).exp();
                total[lane] += x[lane];
            }
        }
        for total in &mut total {
            *total = R::ONE / *total;
        }
        // A loop of its own, so that the division above is one of whole registers.
        for lane in 0..N {
            if !text.contains(&first.wrapping_add(lane)) {
                total[lane] = R::ZERO;
            }
        }
        for x in x.chunks_exact_mut(width.max(1)) {
            let Some(x) = lanes_mut::<R, N>(x, first) else { return };
            row_by_row();
            for lane in 0..N {
                x[lane] = x[lane] * total[lane];
            }
        }
    });
}

/// Turns `inputs`, the queries q, keys k and values v of every head, in this order, into their gradients, in place.
///
/// `heads` gives K, the features of a head, and W, the columns, one for each position computed. With A heads, each
/// input and `d_y`, ∂loss/∂y, are `[A][K][W]`; A follows from the length of `d_y`. `share`, `[A][W][W]`, is the output
/// of [`attention_forward`]: `[head][key i][query j]`. `d_y` and `share` are scratch afterwards, and `d_share`,
/// `[W][W]`, is scratch of any content.
///
/// Forward was `s_ij = Σ_f k_fi·q_fj/√K`, `p_ij = e^s_ij / Σ_i' e^s_i'j`, `y_fj = Σ_i v_fi·p_ij`. Shares are 0 between
/// texts that lie side by side, which keeps their gradients apart.
#[inline(always)]
pub fn attention_backward<R: Real>(
    heads: Heads,
    mut inputs: [&mut [R]; 3],
    share: &mut [R],
    d_y: &mut [R],
    d_share: &mut [R],
) {
    let width = heads.positions;
    let scale = heads.scale::<R>();
    for head in 0..d_y.len().checked_div(heads.map()).unwrap_or(0) {
        let inputs = inputs.each_mut().map(|map| block_mut(map, head, heads.map()).unwrap_or(&mut []));
        let [query, key, value] = inputs;
        let rest = (block_mut(share, head, heads.share()), block_mut(d_y, head, heads.map()));
        let (Some(share), Some(d_y)) = rest else { return };
        product_transposed(value, d_y, d_share, width, Store::Set);
        softmax_of_lanes_backward(share, d_share, width);
        transpose_square(share, width);
        product(d_y, share, value, width, Store::Set);
        // From here on `d_share` is ∂loss/∂s, and `d_y` receives ∂loss/∂q.
        product(key, d_share, d_y, width, Store::Set);
        transpose_square(d_share, width);
        product(query, d_share, key, width, Store::Set);
        multiply(d_y, scale);
        multiply(key, scale);
        query.copy_from_slice(d_y);
    }
}

/// Turns `d`, ∂loss/∂p, into ∂loss/∂s, in place. `share`, p, and `d` are `[width][width]`.
///
/// Forward was `p_ij = e^s_ij / Σ_i' e^s_i'j`.
#[expect(clippy::indexing_slicing, reason = "lane < N")]
#[inline(always)]
fn softmax_of_lanes_backward<R: Real>(share: &[R], d: &mut [R], width: usize) {
    for_each_tile!(first, N in [width / TILE; TILE], [width % TILE / LANES; LANES], [width % LANES; 1] => {
        let mut mean = [R::ZERO; N];
        for (p, d) in share.chunks_exact(width.max(1)).zip(d.chunks_exact(width.max(1))) {
            let (Some(p), Some(d)) = (lanes::<R, N>(p, first), lanes::<R, N>(d, first)) else { return };
            for lane in 0..N {
                mean[lane] += p[lane] * d[lane];
            }
        }
        for (p, d) in share.chunks_exact(width.max(1)).zip(d.chunks_exact_mut(width.max(1))) {
            let (Some(p), Some(d)) = (lanes::<R, N>(p, first), lanes_mut::<R, N>(d, first)) else { return };
            row_by_row();
            // A copy by value, so that the compiler keeps the row in vector registers.
            let mut row = *d;
            for lane in 0..N {
                row[lane] = p[lane] * (row[lane] - mean[lane]);
            }
            *d = row;
        }
    });
}
