//! The residual perceptron: two hidden layers with a skip connection.
//!
//! f = max(0, b_n + Σ_l E\[l\]\[x_l\]) over the shown positions l of a text of n symbols, g = max(0, d + W·f), h = g + f, and for
//! each masked position l the logits are z_l = c_l + U_l·h, with E `input`, b `length`, W `residual`, d `residual_bias`,
//! U `output` and c `output_bias`.
//!
//! Backward, with d_z the gradient from the cross-entropy: d_h = Σ_l U_lᵀ·d_z_l, d_g = d_h where g > 0, and
//! d_f = d_h + Wᵀ·d_g where f > 0, the sum being of the two ways from f to h; then d_U_l = Σ d_z_l·hᵀ, d_c_l = Σ d_z_l,
//! d_W = Σ d_g·fᵀ, d_d = Σ d_g, d_b_n = Σ d_f and d_E\[l\]\[x_l\] = Σ d_f, the sums over the batch in its order.
//!
//! While it trains, [dropout](crate::dropout) leaves out some of f and of g.
//!
//! It has (2·L·V + L + 1 + H)·H + L·V parameters: 228,920 for L 12, V 26, H 256.
//!
//! Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, for the skip connection.

use crate::activation::Activation;
use crate::denoiser::{Answers, Architecture, Example, Model, Score, Shape};
use crate::kernels::Kernels;
use crate::linear::GROUP;
use crate::math::{Real, Stored};
use crate::mlp::{
    activate, activate_backward, length_gradient, look_up, look_up_text, output_backward,
    output_bias_gradient, output_forward, output_scores, output_weight_gradient, table_gradient,
};
use crate::tensor::{Flat, Start, Tensor, block, block_mut, cube, matrix, vector};

/// A residual perceptron over `L` positions and `V` symbols, with twice `H` hidden units; `H` is a multiple of 16.
#[derive(Clone, Copy, Debug)]
pub struct Residual<const L: usize, const V: usize, const H: usize>;

/// The parameters of a [`Residual`], wherever they lie.
#[derive(Clone, Copy, Debug)]
pub struct ResidualView<'a, T, const L: usize, const V: usize, const H: usize> {
    /// E: what each symbol at each position adds to the first hidden layer.
    pub input: &'a [[[T; H]; V]; L],
    /// b: the first hidden layer of a text of each length with everything masked.
    pub length: &'a [[T; H]; L],
    /// W: how the second hidden layer reads the first.
    pub residual: &'a [[T; H]; H],
    /// d: the second hidden layer for a first one of zeros.
    pub residual_bias: &'a [T; H],
    /// U: how the sum of the hidden layers scores each symbol at each position.
    pub output: &'a [[[T; H]; V]; L],
    /// c: the score of each symbol at each position for a sum of zeros.
    pub output_bias: &'a [[T; V]; L],
}

/// Rows of W in one part of its gradient.
const ROWS: usize = 16;

/// What the passes leave of a shard, each `[E][H]` but the logits' gradient.
struct Records<S> {
    /// f.
    first: S,
    d_first: S,
    /// First ∂loss/∂h.
    d_second: S,
    /// h.
    hidden: S,
    /// ∂loss/∂z, `[L][E][V]`, defined where an example is scored.
    d_logits: S,
    /// g, which only backward reads.
    second: S,
}

impl<const L: usize, const V: usize, const H: usize> Residual<L, V, H> {
    fn records<S: Flat>(mut flat: S, rows: usize) -> Option<Records<S>> {
        let layer = rows.checked_mul(H)?;
        Some(Records {
            first: flat.take(layer)?,
            d_first: flat.take(layer)?,
            d_second: flat.take(layer)?,
            hidden: flat.take(layer)?,
            d_logits: flat.take(rows.checked_mul(V)?.checked_mul(L)?)?,
            second: flat.take(layer)?,
        })
    }
}

impl<const L: usize, const V: usize, const H: usize> Model<L, V> for Residual<L, V, H> {
    const SHAPE: Shape = Shape {
        architecture: Architecture::Residual,
        positions: L,
        symbols: V,
        width: H,
        blocks: 0,
        heads: 0,
    };
    /// A table's fan-in is that of the dense map of a one-hot input, L·V.
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "input", dimensions: &[L, V, H], parts: L, start: Start::Uniform(L * V) },
        Tensor { name: "length", dimensions: &[L, H], parts: 1, start: Start::Zeros },
        Tensor { name: "residual", dimensions: &[H, H], parts: H / ROWS, start: Start::Uniform(H) },
        Tensor { name: "residual_bias", dimensions: &[H], parts: 1, start: Start::Zeros },
        Tensor { name: "output", dimensions: &[L, V, H], parts: L, start: Start::Uniform(H) },
        Tensor { name: "output_bias", dimensions: &[L, V], parts: L, start: Start::Zeros },
    ];
    const RECORD: usize = 5 * H + L * V;
    const MEMORY: usize = 2 * H;

    type View<'a, T: Copy + 'a> = ResidualView<'a, T, L, V, H>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(L <= 256, "a byte numbers the rows of b") };
        const { assert!(H.is_multiple_of(ROWS), "the parts of W are whole") };
        let view = ResidualView {
            input: cube(&mut flat)?,
            length: matrix(&mut flat)?,
            residual: matrix(&mut flat)?,
            residual_bias: vector(&mut flat)?,
            output: cube(&mut flat)?,
            output_bias: matrix(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

    #[expect(clippy::indexing_slicing, reason = "training; position < L")]
    fn forward_backward<R: Real, K: Kernels<R>>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'_, R>,
        shard: &[Example<L>],
        answers: Answers,
        records: &mut [R],
        losses: &mut [R],
    ) {
        let rows = shard.len();
        let Some(Records { first, d_first, d_second, hidden, d_logits, second }) =
            Self::records(records, rows)
        else {
            return;
        };
        losses.fill(R::ZERO);
        let tables: [(usize, &[R]); L] =
            core::array::from_fn(|position| (position, parameters.input[position].as_flattened()));
        look_up(kernels, Some(parameters.length.as_flattened()), &tables, shard, first);
        activate(kernels, activation, 0, shard, first);
        let residual = parameters.residual.as_flattened();
        for rows in all_rows(rows) {
            kernels.linear_forward(residual, parameters.residual_bias, &rows, first, second);
        }
        activate(kernels, activation, 1, shard, second);
        hidden.copy_from_slice(second);
        kernels.add_scaled(hidden, R::ONE, first);
        d_second.fill(R::ZERO);
        // Position by position, so that its weights stay in the innermost cache for the whole batch.
        for position in 0..L {
            let weight = parameters.output[position].as_flattened();
            let layer = (weight, &parameters.output_bias[position][..]);
            let Some(d_logits) = block_mut(d_logits, position, rows.saturating_mul(V)) else { return };
            output_forward(kernels, position, layer, answers, shard, hidden, d_logits, losses);
            output_backward(kernels, position, weight, shard, d_logits, d_second);
        }
        d_first.copy_from_slice(d_second);
        activate_backward(kernels, activation, shard, second, d_second);
        for rows in all_rows(rows) {
            kernels.linear_backward_input(residual, &rows, d_second, d_first, H);
        }
        activate_backward(kernels, activation, shard, first, d_first);
    }

    fn gradient<R: Real, K: Kernels<R>>(
        kernels: K,
        tensor: usize,
        part: usize,
        shard: &[Example<L>],
        records: &[R],
        out: &mut [R],
    ) {
        let rows = shard.len();
        let Some(Records { first, d_first, d_second, hidden, d_logits, .. }) = Self::records(records, rows)
        else {
            return;
        };
        let Some(d_logits) = block(d_logits, if tensor < 4 { 0 } else { part }, rows.saturating_mul(V))
        else {
            return;
        };
        match tensor {
            0 => table_gradient(kernels, part, shard, d_first, out),
            1 => length_gradient(kernels, shard, d_first, out),
            2 => {
                let Some(d_second) = d_second.get(part.saturating_mul(ROWS)..) else { return };
                for rows in all_rows(rows) {
                    kernels.linear_backward_weight(&rows, first, d_second, H, out, H);
                }
            }
            3 => hidden_bias_gradient(kernels, d_second, out),
            4 => output_weight_gradient(kernels, part, shard, hidden, d_logits, out),
            _ => output_bias_gradient(kernels, part, shard, d_logits, out),
        }
    }

    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'_, W>,
        shown: &[Option<u8>],
        memory: &mut [f32],
    ) {
        let [second, first, ..] = memory.as_chunks_mut::<H>().0 else { return };
        look_up_text(kernels, (parameters.input, parameters.length), shown, first);
        kernels.activation_forward(activation, first);
        let residual = parameters.residual.as_flattened();
        kernels.linear_forward(residual, parameters.residual_bias, &[0], first, second);
        kernels.activation_forward(activation, second);
        kernels.add_scaled(second, 1.0, first);
    }

    fn scores<W: Stored<f32>, K: Kernels<f32>>(
        kernels: K,
        parameters: Self::View<'_, W>,
        _length: usize,
        memory: &[f32],
        position: usize,
        out: &mut [Score; V],
    ) {
        let layer = parameters.output.get(position).zip(parameters.output_bias.get(position));
        let (Some(layer), Some(hidden)) = (layer, memory.first_chunk()) else { return };
        output_scores(kernels, layer, hidden, out);
    }
}

/// The numbers of all rows of a batch, in groups.
fn all_rows(rows: usize) -> impl Iterator<Item = heapless::Vec<usize, GROUP>> {
    (0..rows).step_by(GROUP).map(move |first| (first..rows).take(GROUP).collect())
}

/// d_b += Σ d_h over the rows of a batch: the gradient of the bias of a hidden layer. `d_hidden` is `[E][H]`.
fn hidden_bias_gradient<R: Real, K: Kernels<R>>(kernels: K, d_hidden: &[R], d_bias: &mut [R]) {
    for rows in all_rows(d_hidden.len().checked_div(d_bias.len()).unwrap_or(0)) {
        kernels.linear_backward_bias(&rows, d_hidden, d_bias);
    }
}
