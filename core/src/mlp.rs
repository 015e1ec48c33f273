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
use crate::denoiser::{
    Answers, Architecture, AtWork, Example, Model, Score, Shape, in_groups, in_rows, to_scores,
};
use crate::kernels::Kernels;
use crate::linear::GROUP;
use crate::math::{Real, Stored};
use crate::softmax::{Answer, Target};
use crate::tensor::{Flat, Start, Tensor, block, cube, matrix};

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
    /// Writes the scores of one position, from the hidden layer at the start of `memory`.
    pub(crate) fn scores<K: Kernels<f32>>(
        self,
        kernels: K,
        memory: &[f32],
        position: usize,
        out: &mut [Score; V],
    ) {
        let layer = self.output.get(position).zip(self.output_bias.get(position));
        let (Some((weight, bias)), Some(hidden)) = (layer, memory.first_chunk::<H>()) else { return };
        let mut logits = [0.0; V];
        kernels.linear_forward(weight.as_flattened(), bias, &[0], hidden, &mut logits);
        to_scores(&logits, out);
    }
}

/// Computes the sums of the first hidden layer, `hidden`, for each example of `batch`: adds a table row for each shown
/// symbol.
///
/// `tables` has pairs of a position and its table, whose row number s is added if symbol s is shown there. A masked
/// position, one past the text's end, and a symbol past the table's end add nothing. Positions must ascend: the first
/// one past a text's end leaves out all that follow. They can be divided among several calls: the first has the lowest
/// positions, the next those that follow, and so on.
///
/// `lengths` is for the first call only, and is `None` in later ones. It holds the values from which sums start: row n −
/// 1 for a text of n symbols, row 0 for an empty text. Without `lengths`, or if the row is missing, sums start from the
/// content of `hidden`.
///
/// With E examples, V symbols and H hidden units, `hidden` is `[E][H]`, `lengths` `[L][H]`, and a table `[V][H]`. H is
/// the length of `hidden` divided by E, rounded down; numbers left over stay as they are.
pub fn look_up<'a, R: Real + 'a, K: Kernels<R>, const L: usize>(
    kernels: K,
    lengths: Option<&[R]>,
    tables: impl Iterator<Item = (usize, &'a [R])> + Clone,
    batch: &[Example<L>],
    hidden: &mut [R],
) {
    let width = hidden.len().checked_div(batch.len()).unwrap_or(0).max(1);
    for (example, hidden) in batch.iter().zip(hidden.chunks_exact_mut(width)) {
        look_up_text::<R, R, K, L>(kernels, lengths, tables.clone(), example.shown(), hidden);
    }
}

/// [`look_up`] for one text, `shown`.
#[inline(always)]
pub(crate) fn look_up_text<'a, R: Real, W: Stored<R> + 'a, K: Kernels<R>, const L: usize>(
    kernels: K,
    lengths: Option<&[W]>,
    tables: impl Iterator<Item = (usize, &'a [W])>,
    shown: &[Option<u8>],
    hidden: &mut [R],
) {
    let row = lengths.and_then(|lengths| block(lengths, shown.len().saturating_sub(1), hidden.len()));
    if let Some(row) = row {
        hidden.fill(R::ZERO);
        kernels.lookup_forward(&[row], hidden);
    }
    let mut rows = heapless::Vec::<&[W], L>::new();
    for (position, table) in tables {
        // Positions ascend, so the first one outside the text ends the sum.
        let Some(symbol) = shown.get(position) else { break };
        if let Some(row) = symbol.and_then(|symbol| block(table, usize::from(symbol), hidden.len())) {
            // One row for each position fits.
            let _ = rows.push(row);
        }
    }
    kernels.lookup_forward(&rows, hidden);
}

/// Turns the sums of a hidden layer into its hidden values, in place: the activation, then each example's dropout, if
/// it has one.
///
/// `hidden` is `[E][H]`: E examples of `batch`, and H hidden units, the length of `hidden` divided by E. `layer` is the
/// layer's number from 0, which dropout's random draws depend on.
pub fn activate<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    activation: Activation,
    layer: usize,
    batch: &[Example<L>],
    hidden: &mut [R],
) {
    kernels.activation_forward(activation, hidden);
    let width = hidden.len().checked_div(batch.len()).unwrap_or(0).max(1);
    for (example, hidden) in batch.iter().zip(hidden.chunks_exact_mut(width)) {
        if let Some(dropout) = example.dropout {
            kernels.dropout_forward(dropout, layer, hidden);
        }
    }
}

impl<const L: usize> Example<L> {
    /// [`hidden_weight`](Self::hidden_weight) if `activation` prices hidden values, else 0.
    pub(crate) fn price_weight<R: Real>(&self, activation: Activation) -> R {
        match activation {
            Activation::Relu => R::ZERO,
            Activation::Stepped(_) => self.hidden_weight(),
        }
    }
}

/// Turns the gradient of hidden values into the gradient of the layer's sums, in place: back through `activation`, and
/// through the [`dropout`](Example::dropout) of each example of `batch`.
///
/// `hidden` is the output of [`activate`], and `d_hidden` its gradient; both are `[E][H]`: E examples, and H hidden
/// units, the length of `hidden` divided by E.
///
/// [`Activation::Stepped`] adds the gradient of its [price](crate::steps::Steps::price), times the
/// [`hidden_weight`](Example::hidden_weight) of the example.
pub fn activate_backward<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    activation: Activation,
    batch: &[Example<L>],
    hidden: &[R],
    d_hidden: &mut [R],
) {
    let width = hidden.len().checked_div(batch.len()).unwrap_or(0).max(1);
    let rows = hidden.chunks_exact(width).zip(d_hidden.chunks_exact_mut(width));
    for (example, (hidden, d_hidden)) in batch.iter().zip(rows) {
        kernels.activation_backward(activation, hidden, d_hidden, &[example.price_weight(activation)]);
        if let Some(dropout) = example.dropout {
            kernels.dropout_backward(dropout, d_hidden);
        }
    }
}

/// Computes the logits z = c_l + U_l·h at the position l = `position`, with loss and gradient, for each example whose
/// loss reads the prediction there ([`Example::is_scored`]).
///
/// The pair of slices is U_l, `[V][H]`, and c_l, `[V]`: V symbols, H hidden units. With E examples in `batch`, h =
/// `hidden` is `[E][H]`. `answers` holds the size of the alphabet, and perhaps a teacher's distributions, `[E][L][V]`;
/// without, the clean symbols are the answers.
///
/// `d_logits`, `[E][V]`, receives ∂loss/∂z. The loss in nats is added to `losses`, `[E]`. Both are multiplied by the
/// position's weight in the example. Rows and losses of other examples stay as they are.
///
/// Logits of symbols outside the alphabet count as −∞. An alphabet of more than V symbols panics, and a clean symbol of V
/// or more.
#[expect(clippy::too_many_arguments, reason = "what computes, a layer, what it reads, what it writes")]
pub fn output_forward<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    position: usize,
    (weight, bias): (&[R], &[R]),
    answers: Answers,
    batch: &[Example<L>],
    hidden: &[R],
    d_logits: &mut [R],
    losses: &mut [R],
) {
    let none = Target { row: 0, answer: Answer::Hard(0), weight: 0.0 };
    let target = |row: usize, example: &Example<L>| {
        let number = row.wrapping_mul(L).wrapping_add(position);
        let answer = answers.at(number, example.clean.symbol(position), bias.len());
        let weight = example.weight(position);
        (Target { row, answer, weight }, weight != 0.0)
    };
    in_groups(batch, none, target, |targets| {
        let mut rows = [0; GROUP];
        rows.iter_mut().zip(targets).for_each(|(row, target)| *row = target.row);
        kernels.linear_forward(weight, bias, rows.get(..targets.len()).unwrap_or(&[]), hidden, d_logits);
        kernels.cross_entropy_of_rows(targets, d_logits, bias.len(), answers.symbols, losses);
    });
}

/// Adds the gradient of the hidden layer from the logits at the position l = `position`: d_h += U_lᵀ·d_z, for each
/// example whose loss reads the prediction there ([`Example::is_scored`]).
///
/// With V symbols, H hidden units and E examples in `batch`, `weight` is U_l, `[V][H]`, `d_logits` `[E][V]`, and
/// `d_hidden`, d_h, `[E][H]`. `d_logits` holds the gradients d_z that [`output_forward`] leaves in place of the logits.
/// Rows of other examples are not read.
pub fn output_backward<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    position: usize,
    weight: &[R],
    batch: &[Example<L>],
    d_logits: &[R],
    d_hidden: &mut [R],
) {
    let width = d_hidden.len().checked_div(batch.len()).unwrap_or(0);
    in_rows(batch, Some(position), |rows| {
        kernels.linear_backward_input(weight, rows, d_logits, d_hidden, width);
    });
}

/// Adds the gradient of the output weights at the position l = `position`: d_U_l += Σ d_z·hᵀ over the examples whose
/// loss reads the prediction there ([`Example::is_scored`]), in their order.
///
/// With V symbols, H hidden units and E examples in `batch`, `hidden`, h, is `[E][H]`, `d_logits` `[E][V]`, and
/// `d_weight`, d_U_l, `[V][H]`. `d_logits` holds the gradients d_z that [`output_forward`] leaves in place of the
/// logits. Rows of other examples are not read.
pub fn output_weight_gradient<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    position: usize,
    batch: &[Example<L>],
    hidden: &[R],
    d_logits: &[R],
    d_weight: &mut [R],
) {
    let width = |flat: &[R]| flat.len().checked_div(batch.len()).unwrap_or(0);
    let (inputs, outputs) = (width(hidden), width(d_logits));
    in_rows(batch, Some(position), |rows| {
        kernels.linear_backward_weight(rows, hidden, d_logits, outputs, d_weight, inputs);
    });
}

/// Adds the gradient of a table's rows: row r of `d_table` += row e of `d_hidden`, for each example e whose `row` is
/// `Some(r)`. `None` leaves the example out.
///
/// `d_hidden` has a row of gradients for each example of `batch`, in their order. Both slices have rows of
/// `d_hidden.len() / batch.len()` numbers. An r past the end of `d_table` is left out.
///
/// For the tables of [`look_up`], `row` is [`symbol_at`] or [`row_of_length`], and a row has a number for each hidden
/// unit. For the bias of [`output_forward`], `row` is [`scored_at`], and `d_hidden` holds the gradients of the logits.
pub fn rows_gradient<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    batch: &[Example<L>],
    row: impl Fn(&Example<L>) -> Option<u8>,
    d_hidden: &[R],
    d_table: &mut [R],
) {
    let width = d_hidden.len().checked_div(batch.len()).unwrap_or(0);
    in_groups(
        batch,
        (0, 0),
        |number, example| row(example).map_or(((0, 0), false), |row| ((number, row), true)),
        |read| kernels.lookup_backward(read, d_hidden, d_table, width),
    );
}

/// Creates a function that maps an example to the symbol shown at `position`: `None` for MASK and past the end of the
/// text.
///
/// [`rows_gradient`] takes the function for a table with a row for each symbol.
pub fn symbol_at<const L: usize>(position: usize) -> impl Fn(&Example<L>) -> Option<u8> {
    move |example| example.shown().get(position).copied().flatten()
}

/// Maps an example to the row that it reads in the table of text lengths: its length minus 1. `None` for an empty text,
/// and for one of more than 256 symbols.
///
/// [`rows_gradient`] takes this function for the table of text lengths.
pub fn row_of_length<const L: usize>(example: &Example<L>) -> Option<u8> {
    u8::try_from(example.length().checked_sub(1)?).ok()
}

/// Creates a function that maps an example to `Some(0)` if the loss reads the prediction at `position`
/// ([`Example::is_scored`]), else to `None`.
///
/// [`rows_gradient`] takes the function for the output bias at `position`, a table of one row, number 0.
pub fn scored_at<const L: usize>(position: usize) -> impl Fn(&Example<L>) -> Option<u8> {
    move |example| example.is_scored(position).then_some(0)
}

/// Records of a shard of E examples: hidden values and gradients that forward and backward leave for
/// [`gradient`](Model::gradient).
pub(crate) struct Records<S> {
    /// Hidden values of each of E examples that the output layer reads, after activation and dropout, `[E][H]`: H
    /// units. `S` is a slice, shared or mutable.
    pub hidden: S,
    /// ∂loss/∂`hidden`, `[E][H]`: E examples of H hidden units. `S` is a slice, shared or mutable.
    ///
    /// Backward takes it down through all hidden layers, in place. At the end it is the gradient of the first hidden
    /// layer's sums, before the activation.
    pub d_hidden: S,
    /// Gradient of the logits, `[L][E][V]`: L positions, E examples, V symbols. `S` is a slice, shared or mutable.
    ///
    /// Positions of weight 0, whose prediction no loss reads, are not written and hold any numbers.
    pub d_logits: S,
}

impl<const L: usize, const V: usize, const H: usize> Mlp<L, V, H> {
    pub(crate) fn records<S: Flat>(mut flat: S, rows: usize) -> Option<Records<S>> {
        let layer = rows.checked_mul(H)?;
        let (hidden, d_hidden) = (flat.take(layer)?, flat.take(layer)?);
        Some(Records { hidden, d_hidden, d_logits: flat })
    }
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
    const RECORD: usize = 2 * H + L * V;
    const MEMORY: usize = H;

    type View<'a, T: Copy + 'a> = MlpView<'a, T, L, V, H>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(L <= 256, "a byte numbers the rows of b") };
        let view = MlpView {
            input: cube(&mut flat)?,
            length: matrix(&mut flat)?,
            output: cube(&mut flat)?,
            output_bias: matrix(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

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
        let Some(Records { hidden, d_hidden, d_logits }) = Self::records(records, rows) else { return };
        losses.fill(R::ZERO);
        let (lengths, tables) = (parameters.length.as_flattened(), by_position(parameters.input));
        look_up(kernels, Some(lengths), tables, shard, hidden);
        activate(kernels, activation, 0, shard, hidden);
        d_hidden.fill(R::ZERO);
        // Position by position, so that a position's weights stay in the innermost cache for the whole batch.
        let d_logits = d_logits.chunks_exact_mut(rows.saturating_mul(V).max(1));
        for (((position, weight), bias), d_logits) in
            by_position(parameters.output).zip(parameters.output_bias).zip(d_logits)
        {
            output_forward(kernels, position, (weight, bias), answers, shard, hidden, d_logits, losses);
            output_backward(kernels, position, weight, shard, d_logits, d_hidden);
        }
        activate_backward(kernels, activation, shard, hidden, d_hidden);
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
        let Some(Records { hidden, d_hidden, d_logits }) = Self::records(records, rows) else { return };
        // ∂loss/∂z of the position, for tensors whose parts are positions.
        let d_logits = block(d_logits, part, rows.saturating_mul(V)).unwrap_or(&[]);
        match tensor {
            0 => rows_gradient(kernels, shard, symbol_at(part), d_hidden, out),
            1 => rows_gradient(kernels, shard, row_of_length, d_hidden, out),
            2 => output_weight_gradient(kernels, part, shard, hidden, d_logits, out),
            _ => rows_gradient(kernels, shard, scored_at(part), d_logits, out),
        }
    }

    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(work: &mut AtWork<Self, W, K, L, V>) {
        let Some(hidden) = work.memory.first_chunk_mut::<H>() else { return };
        let (lengths, tables) = (work.parameters.length.as_flattened(), by_position(work.parameters.input));
        look_up_text::<f32, W, K, L>(work.kernels, Some(lengths), tables, &work.shown, hidden);
        work.kernels.activation_forward(work.activation, hidden);
    }

    fn scores<W: Stored<f32>, K: Kernels<f32>>(
        work: &AtWork<Self, W, K, L, V>,
        position: usize,
        out: &mut [Score; V],
    ) {
        work.parameters.scores(work.kernels, work.memory, position, out);
    }
}

/// Each position with its part of `tensor`.
#[inline(always)]
pub(crate) fn by_position<T, const L: usize, const V: usize, const H: usize>(
    tensor: &[[[T; H]; V]; L],
) -> impl Iterator<Item = (usize, &[T])> + Clone {
    tensor.iter().map(|part| part.as_flattened()).enumerate()
}
