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
use crate::denoiser::{Answers, Architecture, Denoiser, Example, Model, Score, Shape, all_rows, initialise};
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::mlp::{
    activate, activate_backward, hidden_bias_gradient, length_gradient, look_up, look_up_text,
    output_backward, output_bias_gradient, output_forward, output_scores, output_weight_gradient,
    table_gradient,
};
use crate::rng::Stream;
use crate::tensor::{Tensor, block, block_mut, cube, matrix, vector, vector_mut};

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

/// What the passes leave of a shard, each `[E][H]` but the last.
struct Records<'a, R> {
    /// f.
    first: &'a [R],
    d_first: &'a [R],
    d_second: &'a [R],
    /// h.
    hidden: &'a [R],
    /// ∂loss/∂z, `[L][E][V]`, defined where an example is scored.
    d_logits: &'a [R],
}

/// The records of a shard, to be written, and what only backward reads.
struct RecordsMut<'a, R> {
    first: &'a mut [R],
    d_first: &'a mut [R],
    /// First ∂loss/∂h.
    d_second: &'a mut [R],
    hidden: &'a mut [R],
    d_logits: &'a mut [R],
    /// g.
    second: &'a mut [R],
}

impl<const L: usize, const V: usize, const H: usize> Residual<L, V, H> {
    fn records<R>(flat: &[R], rows: usize) -> Option<Records<'_, R>> {
        let layer = rows.checked_mul(H)?;
        let (first, rest) = flat.split_at_checked(layer)?;
        let (d_first, rest) = rest.split_at_checked(layer)?;
        let (d_second, rest) = rest.split_at_checked(layer)?;
        let (hidden, rest) = rest.split_at_checked(layer)?;
        let (d_logits, _) = rest.split_at_checked(rows.checked_mul(V)?.checked_mul(L)?)?;
        Some(Records { first, d_first, d_second, hidden, d_logits })
    }

    fn records_mut<R>(flat: &mut [R], rows: usize) -> Option<RecordsMut<'_, R>> {
        let layer = rows.checked_mul(H)?;
        let (first, rest) = flat.split_at_mut_checked(layer)?;
        let (d_first, rest) = rest.split_at_mut_checked(layer)?;
        let (d_second, rest) = rest.split_at_mut_checked(layer)?;
        let (hidden, rest) = rest.split_at_mut_checked(layer)?;
        let (d_logits, rest) = rest.split_at_mut_checked(rows.checked_mul(V)?.checked_mul(L)?)?;
        let (second, _) = rest.split_at_mut_checked(layer)?;
        Some(RecordsMut { first, d_first, d_second, hidden, d_logits, second })
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
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "input", dimensions: &[L, V, H], parts: L },
        Tensor { name: "length", dimensions: &[L, H], parts: 1 },
        Tensor { name: "residual", dimensions: &[H, H], parts: H / ROWS },
        Tensor { name: "residual_bias", dimensions: &[H], parts: 1 },
        Tensor { name: "output", dimensions: &[L, V, H], parts: L },
        Tensor { name: "output_bias", dimensions: &[L, V], parts: L },
    ];
    const RECORD: usize = 5 * H + L * V;
    const MEMORY: usize = 2 * H;

    type View<'a, T: Copy + 'a> = ResidualView<'a, T, L, V, H>;
    type Denoiser<'a, W: Stored<f32> + 'a, K: Kernels<f32> + 'a> = ResidualDenoiser<'a, W, K, L, V, H>;

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

    /// The tables are uniform in ±√(3/fan-in), a table's fan-in being that of the dense map of a one-hot input, L·V;
    /// biases are 0.
    fn initialise(parameters: &mut [f32], stream: Stream) {
        initialise(Self::TENSORS, &[L.saturating_mul(V), 0, H, 0, H, 0], parameters, stream);
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
        let Some(RecordsMut { first, d_first, d_second, hidden, d_logits, second }) =
            Self::records_mut(records, rows)
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
        let Some(Records { first, d_first, d_second, hidden, d_logits }) = Self::records(records, rows)
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

    fn denoiser<'a: 'm, 'm, W: Stored<f32> + 'a, K: Kernels<f32> + 'm>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'a, W>,
        mut memory: &'m mut [f32],
    ) -> Option<Self::Denoiser<'m, W, K>> {
        Some(ResidualDenoiser {
            kernels,
            activation,
            parameters,
            symbols: [None; L],
            length: L,
            first: vector_mut(&mut memory)?,
            second: vector_mut(&mut memory)?,
        })
    }
}

/// A [`Residual`] at work: parameters, the text so far, and the hidden layers of the last evaluation.
#[derive(Debug)]
pub struct ResidualDenoiser<'a, W, K, const L: usize, const V: usize, const H: usize> {
    kernels: K,
    activation: Activation,
    parameters: ResidualView<'a, W, L, V, H>,
    symbols: [Option<u8>; L],
    length: usize,
    /// f.
    first: &'a mut [f32; H],
    /// g, and at last h.
    second: &'a mut [f32; H],
}

impl<W: Stored<f32>, K: Kernels<f32>, const L: usize, const V: usize, const H: usize> Denoiser<L, V>
    for ResidualDenoiser<'_, W, K, L, V, H>
{
    fn start(&mut self, length: usize) {
        (self.symbols, self.length) = ([None; L], length.min(L));
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    fn evaluate(&mut self) {
        let Self { kernels, activation, parameters, symbols, length, first, second } = self;
        look_up_text(*kernels, (parameters.input, parameters.length), symbols, *length, first);
        kernels.activation_forward(*activation, *first);
        let residual = parameters.residual.as_flattened();
        kernels.linear_forward(residual, parameters.residual_bias, &[0], *first, *second);
        kernels.activation_forward(*activation, *second);
        kernels.add_scaled(*second, 1.0, *first);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        let layer = self.parameters.output.get(position).zip(self.parameters.output_bias.get(position));
        let Some(layer) = layer else { return };
        output_scores(self.kernels, layer, self.second, out);
    }
}
