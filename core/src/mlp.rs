//! The two-layer perceptron.
//!
//! h = max(0, b_n + Σ_l E\[l\]\[x_l\]) over the shown positions l of a text of n symbols. Each masked position l has the
//! logits z_l = c_l + U_l·h. E is `input`, b `length`, U `output` and c `output_bias`.
//!
//! Backward, with d_z the gradient from the cross-entropy: d_h = Σ_l U_lᵀ·d_z_l, set to 0 where h = 0; d_U_l = Σ d_z_l·hᵀ,
//! d_c_l = Σ d_z_l, d_b_n = Σ d_h and d_E\[l\]\[x_l\] = Σ d_h. Sums run over the batch in its order.
//!
//! In training, [dropout](crate::dropout) sets some of h to 0.
//!
//! The perceptron has (2·L·V + L)·H + L·V parameters: 163,128 for L 12, V 26, H 256.
//!
//! Source: D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors", Nature, 1986.

use crate::activation::Activation;
use crate::denoiser::{Architecture, AtWork, Example, Model, Part, Shape, Shard};
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::tensor::{Start, Tensor, block, block_mut, cube, matrix};

/// Two-layer perceptron over `L` positions and `V` symbols, with `H` hidden units. `H` may be any number; an `L` above
/// 256 does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Mlp<const L: usize, const V: usize, const H: usize>;

/// References to the parameters of an [`Mlp`] with `H` hidden units, in memory or in a model file.
///
/// `T` is the type of a stored number: a float, or its four bytes in a file.
#[derive(Clone, Copy, Debug)]
pub struct MlpView<'a, T, const L: usize, const V: usize, const H: usize> {
    /// A row for each symbol at each position, added to the sums of the hidden layer,
    /// `[position][symbol][hidden unit]`: E in [the formulas](self).
    pub input: &'a [[[T; H]; V]; L],
    /// Bias of each hidden unit for each length of a text, `[length − 1][hidden unit]`: b in [the formulas](self).
    pub length: &'a [[T; H]; L],
    /// Weights from the hidden layer to the logit of each symbol at each position, `[position][symbol][hidden unit]`: U
    /// in [the formulas](self).
    pub output: &'a [[[T; H]; V]; L],
    /// Bias of the logit of each symbol at each position, `[position][symbol]`: c in [the formulas](self).
    pub output_bias: &'a [[T; V]; L],
}

impl<W: Stored<f32>, const L: usize, const V: usize, const H: usize> MlpView<'_, W, L, V, H> {
    /// The logits of one position, from the hidden layer at the start of `memory`.
    pub(crate) fn logits<K: Kernels<f32>>(self, kernels: K, memory: &[f32], position: usize) -> [f32; V] {
        let mut logits = [0.0; V];
        let layer = self.output.get(position).zip(self.output_bias.get(position));
        if let (Some((weight, bias)), Some(hidden)) = (layer, memory.first_chunk::<H>()) {
            kernels.linear_forward(weight.as_flattened(), bias, &[0], hidden, &mut logits);
        }
        logits
    }
}

/// Computes the sums of the first hidden layer for a text: `hidden` = b_n + Σ_l E_l\[x_l\] over the shown symbols x_l, in
/// the order of their positions l. n is the length of `shown`.
///
/// `shown` has the symbols of the text, `None` for MASK, and `tables` a table for each position, in the order of the
/// positions. Row s is added if symbol s is shown. A masked position adds nothing, nor does a symbol past the table's end.
/// Positions without a table add nothing. `L` is the model's number of positions: rows past the first `L` are not added.
///
/// `lengths` holds the values from which sums start: row n − 1 for a text of n symbols, row 0 for an empty text. If the
/// row is missing, as in an empty `lengths`, sums start from the content of `hidden`.
///
/// So the positions can be divided among several calls, lowest positions first. The first call has `lengths` and the whole
/// text. The others have an empty `lengths`, and the text from the position of their first table on.
///
/// With V symbols and H hidden units, `hidden` is `[H]`, `lengths` `[L][H]`, and a table `[V][H]`. `W` is the type of a
/// stored number: a float, or its four bytes in a file.
#[inline(always)]
pub fn look_up<'a, R: Real, W: Stored<R> + 'a, K: Kernels<R>, const L: usize>(
    kernels: K,
    lengths: &[W],
    tables: impl Iterator<Item = &'a [W]>,
    shown: &[Option<u8>],
    hidden: &mut [R],
) {
    if let Some(row) = block(lengths, shown.len().saturating_sub(1), hidden.len()) {
        hidden.fill(R::ZERO);
        kernels.lookup_forward(&[row], hidden);
    }
    let mut rows = heapless::Vec::<&[W], L>::new();
    for (symbol, table) in shown.iter().zip(tables) {
        if let Some(row) = symbol.and_then(|symbol| block(table, usize::from(symbol), hidden.len())) {
            // One row for each position fits.
            let _ = rows.push(row);
        }
    }
    kernels.lookup_forward(&rows, hidden);
}

impl<R: Real, K: Kernels<R>, const L: usize> Shard<'_, R, K, L> {
    /// Turns the sums of a hidden layer into its hidden values, in place: the activation, then each example's dropout,
    /// if it has one.
    ///
    /// `hidden` is `[E][H]`: E examples, and H hidden units, the length of `hidden` divided by E. `layer` is the layer's
    /// number from 0, which dropout's random draws depend on.
    pub fn activate(self, layer: usize, hidden: &mut [R]) {
        self.kernels.activation_forward(self.activation, hidden);
        for (example, hidden) in self.rows_mut(hidden) {
            if let Some(dropout) = example.dropout {
                self.kernels.dropout_forward(dropout, layer, hidden);
            }
        }
    }

    /// [`hidden_weight`](Example::hidden_weight) of `example` if the activation prices hidden values, else 0.
    pub(crate) fn price_weight(self, example: &Example<L>) -> R {
        match self.activation {
            Activation::Relu => R::ZERO,
            Activation::Stepped(_) => example.hidden_weight(),
        }
    }

    /// Turns the gradient of hidden values into the gradient of the layer's sums, in place: back through the activation,
    /// and through the [`dropout`](Example::dropout) of each example.
    ///
    /// `hidden` is the output of [`activate`](Self::activate), and `d_hidden` its gradient; both are `[E][H]`: E
    /// examples, and H hidden units, the length of `hidden` divided by E.
    ///
    /// [`Activation::Stepped`] adds the gradient of its [price](crate::steps::Steps::price), times the
    /// [`hidden_weight`](Example::hidden_weight) of the example.
    pub fn activate_backward(self, hidden: &[R], d_hidden: &mut [R]) {
        let hidden = hidden.chunks_exact(self.width(hidden).max(1));
        for ((example, d_hidden), hidden) in self.rows_mut(d_hidden).zip(hidden) {
            let price = self.price_weight(example);
            self.kernels.activation_backward(self.activation, hidden, d_hidden, &[price]);
            if let Some(dropout) = example.dropout {
                self.kernels.dropout_backward(dropout, d_hidden);
            }
        }
    }

    /// Calls `each` with the numbers of the examples whose loss reads the prediction at `position`, in groups.
    fn scored_rows(self, position: usize, each: impl FnMut(&[usize])) {
        self.in_groups(|row, example| example.is_scored(position).then_some(row), each);
    }

    /// Computes the logits z = c_l + U_l·h at the position l = `position`, with loss and gradient, for each example whose
    /// loss reads the prediction there ([`Example::is_scored`]).
    ///
    /// `weight` is U_l, `[V][H]`, and `bias` c_l, `[V]`: V symbols, H hidden units. With E examples, h = `hidden` is
    /// `[E][H]`.
    ///
    /// `d_logits`, `[E][V]`, receives ∂loss/∂z. The loss in nats is added to `losses`, `[E]`: the
    /// [`cross_entropy`](crate::softmax::cross_entropy) with the clean symbol or, if given, with [`soft`](Self::soft),
    /// times the position's weight. Rows and losses of other examples stay as they are.
    ///
    /// Logits of symbols outside the alphabet count as −∞. An alphabet of more than V symbols panics. Without `soft`, so does
    /// a clean symbol of V or more.
    pub fn output_forward(
        self,
        position: usize,
        weight: &[R],
        bias: &[R],
        hidden: &[R],
        d_logits: &mut [R],
        losses: &mut [R],
    ) {
        self.scored_rows(position, |rows| {
            self.kernels.linear_forward(weight, bias, rows, hidden, d_logits);
            for row in rows {
                let logits = block_mut(d_logits, *row, bias.len());
                let (Some(logits), Some(loss)) = (logits, losses.get_mut(*row)) else { return };
                let target = self.target(*row, position, bias.len());
                *loss += self.kernels.cross_entropy(logits, self.symbols, target);
            }
        });
    }

    /// Adds the gradient of the hidden layer from the logits at the position l = `position`: d_h += U_lᵀ·d_z, for each
    /// example whose loss reads the prediction there ([`Example::is_scored`]).
    ///
    /// With V symbols, H hidden units and E examples, `weight` is U_l, `[V][H]`, `d_logits` `[E][V]`, and `d_hidden`, d_h,
    /// `[E][H]`. `d_logits` holds the gradients d_z that [`output_forward`](Self::output_forward) leaves in place of the
    /// logits. Rows of other examples are not read.
    pub fn output_backward(self, position: usize, weight: &[R], d_logits: &[R], d_hidden: &mut [R]) {
        let width = self.width(d_hidden);
        self.scored_rows(position, |rows| {
            self.kernels.linear_backward_input(weight, rows, d_logits, d_hidden, width);
        });
    }

    /// Computes the output layer of `parameters` at all positions, forward and backward.
    ///
    /// With L positions, V symbols, H hidden units and E examples, `hidden` is `[E][H]`. `d_hidden`, `[E][H]`, receives
    /// ∂loss/∂`hidden`, `d_logits`, `[L][E][V]`, the gradient of the logits, and `losses`, `[E]`, the losses.
    pub(crate) fn outputs<const V: usize, const H: usize>(
        self,
        parameters: MlpView<'_, R, L, V, H>,
        hidden: &[R],
        d_hidden: &mut [R],
        d_logits: &mut [R],
        losses: &mut [R],
    ) {
        d_hidden.fill(R::ZERO);
        losses.fill(R::ZERO);
        // Position by position, so that a position's weights stay in the innermost cache for the whole batch.
        let d_logits = d_logits.chunks_exact_mut(self.examples.len().saturating_mul(V).max(1));
        let layers = parameters.output.iter().zip(parameters.output_bias);
        for (position, ((weight, bias), d_logits)) in layers.zip(d_logits).enumerate() {
            let weight = weight.as_flattened();
            self.output_forward(position, weight, bias, hidden, d_logits, losses);
            self.output_backward(position, weight, d_logits, d_hidden);
        }
    }

    /// Adds the gradient of the output weights at the position l = `position`: d_U_l += Σ d_z·hᵀ over the examples whose
    /// loss reads the prediction there ([`Example::is_scored`]), in their order.
    ///
    /// With V symbols, H hidden units and E examples, `hidden`, h, is `[E][H]`, `d_logits` `[E][V]`, and `d_weight`,
    /// d_U_l, `[V][H]`. `d_logits` holds the gradients d_z that [`output_forward`](Self::output_forward) leaves in place
    /// of the logits. Rows of other examples are not read.
    pub fn output_weight_gradient(self, position: usize, hidden: &[R], d_logits: &[R], d_weight: &mut [R]) {
        let (inputs, outputs) = (self.width(hidden), self.width(d_logits));
        self.scored_rows(position, |rows| {
            self.kernels.linear_backward_weight(rows, hidden, d_logits, outputs, d_weight, inputs);
        });
    }

    /// Adds the gradient of a table's rows: row r of `d_table` += row e of `d_hidden`, for each example e whose `row` is
    /// `Some(r)`. `None` leaves the example out.
    ///
    /// `d_hidden` has a row of gradients for each of E examples. Both slices have rows of `d_hidden.len() / E` numbers. An
    /// r past the end of `d_table` is left out.
    ///
    /// For the tables of [`look_up`], `row` is [`symbol_at`] or [`row_of_length`], and a row has a number for each hidden
    /// unit. For the bias of [`output_forward`](Self::output_forward), `row` is [`scored_at`], and `d_hidden` holds the
    /// gradients of the logits.
    pub fn rows_gradient(self, row: impl Fn(&Example<L>) -> Option<u8>, d_hidden: &[R], d_table: &mut [R]) {
        let width = self.width(d_hidden);
        let read = |number, example: &Example<L>| Some((number, row(example)?));
        self.in_groups(read, |read| self.kernels.lookup_backward(read, d_hidden, d_table, width));
    }
}

/// Creates a function that maps an example to the symbol shown at `position`: `None` for MASK and past the end of the
/// text.
///
/// [`Shard::rows_gradient`] takes the function for a table with a row for each symbol.
pub fn symbol_at<const L: usize>(position: usize) -> impl Fn(&Example<L>) -> Option<u8> {
    move |example| *example.shown().get(position)?
}

/// Creates a function that maps an example to `Some(0)` if the loss reads the prediction at `position`
/// ([`Example::is_scored`]), else to `None`.
///
/// [`Shard::rows_gradient`] takes the function for the output bias at `position`, a table of one row, number 0.
pub fn scored_at<const L: usize>(position: usize) -> impl Fn(&Example<L>) -> Option<u8> {
    move |example| example.is_scored(position).then_some(0)
}

/// Maps an example to the row that it reads in the table of text lengths: its length minus 1. `None` for an empty text,
/// and for one of more than 256 symbols.
///
/// [`Shard::rows_gradient`] takes this function for the table of text lengths.
pub fn row_of_length<const L: usize>(example: &Example<L>) -> Option<u8> {
    u8::try_from(example.length().checked_sub(1)?).ok()
}

impl<const L: usize, const V: usize, const H: usize> Model<L, V> for Mlp<L, V, H> {
    const SHAPE: Shape =
        Shape { architecture: Architecture::Mlp, positions: L, symbols: V, width: H, blocks: 0, heads: 0 };
    /// The fan-in of a table is that of the dense map of a one-hot input, L·V.
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "input", dimensions: &[L, V, H], parts: L, start: Start::Uniform(L * V) },
        Tensor { name: "length", dimensions: &[L, H], parts: 1, start: Start::Zeros },
        Tensor { name: "output", dimensions: &[L, V, H], parts: L, start: Start::Uniform(H) },
        Tensor { name: "output_bias", dimensions: &[L, V], parts: L, start: Start::Zeros },
    ];
    /// With E examples, the records of a shard are
    ///
    /// - `[E][H]`: hidden values that the output layer reads, after activation and dropout;
    /// - `[E][H]`: their gradient. Backward takes it down through all hidden layers, in place. At the end it is that of the
    ///   first hidden layer's sums, before the activation;
    /// - `[L][E][V]`: the gradient of the logits. Positions of weight 0, whose prediction no loss reads, are not written
    ///   and hold any numbers.
    const RECORD: usize = 2 * H + L * V;
    const MEMORY: usize = H;

    type View<'a, T: Copy + 'a> = MlpView<'a, T, L, V, H>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(L <= 256, "a byte numbers the rows of b") };
        let (input, length) = (cube(&mut flat)?, matrix(&mut flat)?);
        let (output, output_bias) = (cube(&mut flat)?, matrix(&mut flat)?);
        flat.is_empty().then_some(MlpView { input, length, output, output_bias })
    }

    fn forward_backward<R: Real, K: Kernels<R>>(
        shard: Shard<R, K, L>,
        parameters: Self::View<'_, R>,
        records: &mut [R],
        losses: &mut [R],
    ) {
        let Some(([hidden, d_hidden], d_logits)) = shard.split(records, [H, H]) else { return };
        let tables = parameters.input.iter().map(|table| table.as_flattened());
        for (example, hidden) in shard.rows_mut(hidden) {
            let (lengths, shown) = (parameters.length.as_flattened(), example.shown());
            look_up::<_, _, _, L>(shard.kernels, lengths, tables.clone(), shown, hidden);
        }
        shard.activate(0, hidden);
        shard.outputs(parameters, hidden, d_hidden, d_logits, losses);
        shard.activate_backward(hidden, d_hidden);
    }

    fn gradient<R: Real, K: Kernels<R>>(shard: Shard<R, K, L>, part: Part, records: &[R], out: &mut [R]) {
        let Some(([hidden, d_hidden], d_logits)) = shard.split(records, [H, H]) else { return };
        // ∂loss/∂z of the position, for tensors whose parts are positions.
        let d_logits = block(d_logits, part.index, shard.examples.len().saturating_mul(V)).unwrap_or(&[]);
        match part.tensor {
            0 => shard.rows_gradient(symbol_at(part.index), d_hidden, out),
            1 => shard.rows_gradient(row_of_length, d_hidden, out),
            2 => shard.output_weight_gradient(part.index, hidden, d_logits, out),
            _ => shard.rows_gradient(scored_at(part.index), d_logits, out),
        }
    }

    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(work: &mut AtWork<Self, W, K, L, V>) {
        let Some(hidden) = work.memory.first_chunk_mut::<H>() else { return };
        let tables = work.parameters.input.iter().map(|table| table.as_flattened());
        let lengths = work.parameters.length.as_flattened();
        look_up::<_, _, _, L>(work.kernels, lengths, tables, &work.shown, hidden);
        work.kernels.activation_forward(work.activation, hidden);
    }

    fn logits<W: Stored<f32>, K: Kernels<f32>>(work: &AtWork<Self, W, K, L, V>, position: usize) -> [f32; V] {
        work.parameters.logits(work.kernels, work.memory, position)
    }
}
