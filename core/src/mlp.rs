//! The two-layer perceptron.
//!
//! h = max(0, b + Σ_l E\[l\]\[x_l\]) over the shown positions l, and for each masked position l the logits are
//! z_l = c_l + U_l·h, with E `input`, b `hidden_bias`, U `output` and c `output_bias`.
//!
//! Backward, with d_z the gradient from the cross-entropy: d_h = Σ_l U_lᵀ·d_z_l, kept where h > 0; d_U_l = Σ d_z_l·hᵀ,
//! d_c_l = Σ d_z_l, d_b = Σ d_h and d_E\[l\]\[x_l\] = Σ d_h, the sums over the batch in its order.
//!
//! While it trains, [dropout](crate::dropout) leaves out some of h.
//!
//! It has (2·L·V + 1)·H + L·V parameters: 166,468 for L 12, V 27, H 256.
//!
//! Source: D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors", Nature, 1986.

use core::marker::PhantomData;

use crate::activation::{Activation, Relu};
use crate::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores};
use crate::linear::{
    linear_backward_bias, linear_backward_input, linear_backward_weights, linear_forward, lookup_backward,
    lookup_forward,
};
use crate::math::{Real, Stored};
use crate::rng::Stream;
use crate::softmax::cross_entropy;
use crate::tensor::{Tensor, cube, matrix, matrix_mut, vector, vector_mut};

/// A two-layer perceptron over `L` positions and `V` symbols, with `H` hidden units.
///
/// `A` is what trains in the place of max(0, ·); see [`Stepped`](crate::integer::Stepped).
#[derive(Clone, Copy, Debug)]
pub struct Mlp<const L: usize, const V: usize, const H: usize, A = Relu>(PhantomData<A>);

/// The parameters of an [`Mlp`], wherever they lie.
#[derive(Clone, Copy, Debug)]
pub struct MlpView<'a, T, const L: usize, const V: usize, const H: usize> {
    /// E: what each symbol at each position adds to the hidden layer.
    pub input: &'a [[[T; H]; V]; L],
    /// b: the hidden layer of a text with everything masked.
    pub hidden_bias: &'a [T; H],
    /// U: how the hidden layer scores each symbol at each position.
    pub output: &'a [[[T; H]; V]; L],
    /// c: the score of each symbol at each position for a hidden layer of zeros.
    pub output_bias: &'a [[T; V]; L],
}

/// What the forward pass leaves of one example for the backward pass, and that for the gradient.
struct Record<'a, R, const L: usize, const V: usize, const H: usize> {
    hidden: &'a [R; H],
    d_hidden: &'a [R; H],
    /// Defined where the example's weight is not 0.
    d_logits: &'a [[R; V]; L],
}

/// The same, to be written.
struct RecordMut<'a, R, const L: usize, const V: usize, const H: usize> {
    hidden: &'a mut [R; H],
    d_hidden: &'a mut [R; H],
    d_logits: &'a mut [[R; V]; L],
}

/// An example at a position in which it counts, as the output layer sees it.
#[derive(Debug)]
pub struct Counted<'a, R, const V: usize, const H: usize> {
    /// The symbol that was there.
    pub clean: u8,
    /// What its cross-entropy counts.
    pub weight: f32,
    /// h.
    pub hidden: &'a [R; H],
    /// ∂loss/∂z, to be written.
    pub d_logits: &'a mut [R; V],
    /// To which the loss is added, in nats.
    pub loss: &'a mut R,
}

/// z = c_l + U_l·h at one position l, for each of `rows`; of z, the loss and ∂loss/∂z.
///
/// `weight` is U_l and `bias` c_l; symbols from `symbols` on get probability 0.
#[inline(always)]
pub fn output_forward<'a, R: Real + 'a, const V: usize, const H: usize>(
    weight: &[[R; H]; V],
    bias: &[R; V],
    symbols: usize,
    rows: impl Iterator<Item = Counted<'a, R, V, H>>,
) {
    for Counted { clean, weight: counts, hidden, d_logits, loss } in rows {
        linear_forward(weight, bias, hidden, d_logits);
        *loss += cross_entropy(d_logits, symbols, clean, R::of(f64::from(counts)));
    }
}

impl<const L: usize, const V: usize, const H: usize, A: Activation> Mlp<L, V, H, A> {
    fn record<R>(mut flat: &[R]) -> Option<Record<'_, R, L, V, H>> {
        Some(Record {
            hidden: vector(&mut flat)?,
            d_hidden: vector(&mut flat)?,
            d_logits: matrix(&mut flat)?,
        })
    }

    /// h of its sums, in place.
    #[inline(always)]
    pub fn activate<R: Real>(example: &Example<L>, hidden: &mut [R; H]) {
        A::forward(hidden);
        example.dropout.forward(0, hidden);
    }

    /// The gradient of the sums from that of h, in place.
    #[inline(always)]
    pub fn activate_backward<R: Real>(example: &Example<L>, hidden: &[R; H], d_hidden: &mut [R; H]) {
        A::backward(hidden, d_hidden, example.hidden_weight());
        example.dropout.backward(d_hidden);
    }

    /// The record of each example, from those of a batch.
    fn records_mut<R>(flat: &mut [R]) -> impl Iterator<Item = RecordMut<'_, R, L, V, H>> {
        flat.chunks_exact_mut(Self::RECORD).filter_map(|mut flat| {
            Some(RecordMut {
                hidden: vector_mut(&mut flat)?,
                d_hidden: vector_mut(&mut flat)?,
                d_logits: matrix_mut(&mut flat)?,
            })
        })
    }

    /// The records of the examples in which `position` counts, in the order of the batch.
    #[expect(clippy::indexing_slicing, reason = "training; position < L")]
    fn counted<'a, R>(
        batch: &'a [Example<L>],
        records: &'a [R],
        position: usize,
    ) -> impl Iterator<Item = Record<'a, R, L, V, H>> {
        batch
            .iter()
            .zip(records.chunks_exact(Self::RECORD))
            .filter(move |(example, _)| example.weights[position] != 0.0)
            .filter_map(|(_, record)| Self::record(record))
    }
}

impl<const L: usize, const V: usize, const H: usize, A: Activation> Model<L, V> for Mlp<L, V, H, A> {
    const SHAPE: Shape =
        Shape { architecture: Architecture::Mlp, positions: L, symbols: V, width: H, blocks: 0, heads: 0 };
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "input", dimensions: &[L, V, H], parts: L },
        Tensor { name: "hidden_bias", dimensions: &[H], parts: 1 },
        Tensor { name: "output", dimensions: &[L, V, H], parts: L },
        Tensor { name: "output_bias", dimensions: &[L, V], parts: L },
    ];
    const RECORD: usize = (2 * H + L * V).next_multiple_of(16);
    const MEMORY: usize = H;

    type View<'a, T: Copy + 'a> = MlpView<'a, T, L, V, H>;
    type Denoiser<'a, W: Stored<f32> + 'a> = MlpDenoiser<'a, W, L, V, H, A>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        let view = MlpView {
            input: cube(&mut flat)?,
            hidden_bias: vector(&mut flat)?,
            output: cube(&mut flat)?,
            output_bias: matrix(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

    /// The tables are uniform in ±√(3/fan-in), a table's fan-in being that of the dense map of a one-hot input, L·V;
    /// biases are 0.
    fn initialise(parameters: &mut [f32], stream: Stream) {
        initialise(Self::TENSORS, &[L.saturating_mul(V), 0, H, 0], parameters, stream);
    }

    #[expect(clippy::indexing_slicing, reason = "training; position < L, clean < symbols ≤ V")]
    #[inline(always)]
    fn forward_backward<R: Real>(
        parameters: Self::View<'_, R>,
        batch: &[Example<L>],
        symbols: usize,
        records: &mut [R],
        losses: &mut [R],
    ) {
        losses.fill(R::ZERO);
        for (example, record) in batch.iter().zip(Self::records_mut(records)) {
            lookup_forward(parameters.input, parameters.hidden_bias, &example.noisy, record.hidden);
            Self::activate(example, record.hidden);
            record.d_hidden.fill(R::ZERO);
        }
        // Position by position, so that its weights stay in the innermost cache for the whole batch.
        for position in 0..L {
            let (weight, bias) = (&parameters.output[position], &parameters.output_bias[position]);
            let counts = |example: &Example<L>| example.weights[position] != 0.0;
            let rows = batch.iter().zip(Self::records_mut(records)).zip(losses.iter_mut());
            let rows = rows.filter(|((example, _), _)| counts(example));
            output_forward(
                weight,
                bias,
                symbols,
                rows.map(|((example, record), loss)| Counted {
                    clean: example.clean[position],
                    weight: example.weights[position],
                    hidden: record.hidden,
                    d_logits: &mut record.d_logits[position],
                    loss,
                }),
            );
            for (_, record) in batch.iter().zip(Self::records_mut(records)).filter(|row| counts(row.0)) {
                linear_backward_input(weight, &record.d_logits[position], record.d_hidden);
            }
        }
        for (example, record) in batch.iter().zip(Self::records_mut(records)) {
            Self::activate_backward(example, record.hidden, record.d_hidden);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "training; the part of a tensor with L parts is below L")]
    #[inline(always)]
    fn gradient<R: Real>(tensor: usize, part: usize, batch: &[Example<L>], records: &[R], mut out: &mut [R]) {
        out.fill(R::ZERO);
        let all = || records.chunks_exact(Self::RECORD).filter_map(Self::record);
        match tensor {
            0 => {
                let Some(d_rows) = matrix_mut(&mut out) else { return };
                for (example, record) in batch.iter().zip(all()) {
                    lookup_backward::<R, V, H>(example.noisy[part], record.d_hidden, d_rows);
                }
            }
            1 => {
                let Some(d_bias) = vector_mut(&mut out) else { return };
                linear_backward_bias::<R, H>(all().map(|record| record.d_hidden), d_bias);
            }
            2 => {
                let Some(d_weight) = matrix_mut(&mut out) else { return };
                let counted = Self::counted(batch, records, part);
                linear_backward_weights::<R, H, V>(
                    counted.map(|record| (record.hidden, &record.d_logits[part])),
                    d_weight,
                );
            }
            _ => {
                let Some(d_bias) = vector_mut(&mut out) else { return };
                let counted = Self::counted(batch, records, part);
                linear_backward_bias(counted.map(|record| &record.d_logits[part]), d_bias);
            }
        }
    }

    fn denoiser<'a, W: Stored<f32>>(
        parameters: Self::View<'a, W>,
        memory: &'a mut [f32],
    ) -> Option<Self::Denoiser<'a, W>> {
        let hidden = memory.first_chunk_mut()?;
        Some(MlpDenoiser { parameters, symbols: [None; L], hidden, activation: PhantomData })
    }
}

/// An [`Mlp`] at work: parameters, the text so far, and the hidden layer of the last evaluation.
#[derive(Debug)]
pub struct MlpDenoiser<'a, W, const L: usize, const V: usize, const H: usize, A = Relu> {
    parameters: MlpView<'a, W, L, V, H>,
    symbols: [Option<u8>; L],
    hidden: &'a mut [f32; H],
    activation: PhantomData<A>,
}

impl<W: Stored<f32>, const L: usize, const V: usize, const H: usize, A: Activation> Denoiser<L, V>
    for MlpDenoiser<'_, W, L, V, H, A>
{
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    #[inline(always)]
    fn evaluate(&mut self) {
        lookup_forward(self.parameters.input, self.parameters.hidden_bias, &self.symbols, self.hidden);
        A::forward(self.hidden);
    }

    #[inline(always)]
    fn scores(&self, position: usize, out: &mut [Score; V]) {
        let layer = self.parameters.output.get(position).zip(self.parameters.output_bias.get(position));
        let Some((weight, bias)) = layer else { return };
        let mut logits = [0.0; V];
        linear_forward(weight, bias, self.hidden, &mut logits);
        to_scores(&logits, out);
    }
}
