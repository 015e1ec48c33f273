//! The residual perceptron: two hidden layers with a skip connection.
//!
//! f = max(0, b + Σ_l E\[l\]\[x_l\]) over the shown positions l, g = max(0, d + W·f), h = g + f, and for each masked
//! position l the logits are z_l = c_l + U_l·h, with E `input`, b `hidden_bias`, W `residual`, d `residual_bias`,
//! U `output` and c `output_bias`.
//!
//! Backward, with d_z the gradient from the cross-entropy: d_h = Σ_l U_lᵀ·d_z_l, d_g = d_h where g > 0, and
//! d_f = d_h + Wᵀ·d_g where f > 0, the sum being of the two ways from f to h; then d_U_l = Σ d_z_l·hᵀ, d_c_l = Σ d_z_l,
//! d_W = Σ d_g·fᵀ, d_d = Σ d_g, d_b = Σ d_f and d_E\[l\]\[x_l\] = Σ d_f, the sums over the batch in its order.
//!
//! While it trains, [dropout](crate::dropout) leaves out some of f and of g.
//!
//! It has (2·L·V + 2 + H)·H + L·V parameters: 232,260 for L 12, V 27, H 256.
//!
//! Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, for the skip connection.

use core::marker::PhantomData;

use crate::activation::{Activation, Relu};
use crate::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores};
use crate::dropout::Dropout;
use crate::linear::{
    add_scaled, linear_backward_bias, linear_backward_input, linear_backward_weights, linear_forward,
    lookup_backward, lookup_forward,
};
use crate::math::{Real, Stored};
use crate::rng::Stream;
use crate::softmax::cross_entropy;
use crate::tensor::{Tensor, cube, matrix, matrix_mut, vector, vector_mut};

/// A residual perceptron over `L` positions and `V` symbols, with twice `H` hidden units; `H` is a multiple of 16.
///
/// `A` is what trains in the place of max(0, ·) in both layers; see [`Stepped`](crate::integer::Stepped).
#[derive(Clone, Copy, Debug)]
pub struct Residual<const L: usize, const V: usize, const H: usize, A = Relu>(PhantomData<A>);

/// The parameters of a [`Residual`], wherever they lie.
#[derive(Clone, Copy, Debug)]
pub struct ResidualView<'a, T, const L: usize, const V: usize, const H: usize> {
    /// E: what each symbol at each position adds to the first hidden layer.
    pub input: &'a [[[T; H]; V]; L],
    /// b: the first hidden layer of a text with everything masked.
    pub hidden_bias: &'a [T; H],
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

/// What the passes leave of one example for the gradient.
struct Record<'a, R, const L: usize, const V: usize, const H: usize> {
    /// f.
    first: &'a [R; H],
    d_first: &'a [R; H],
    d_second: &'a [R; H],
    /// h.
    hidden: &'a [R; H],
    /// Defined where the example's weight is not 0.
    d_logits: &'a [[R; V]; L],
}

/// The same, to be written, and what only backward reads.
struct RecordMut<'a, R, const L: usize, const V: usize, const H: usize> {
    first: &'a mut [R; H],
    d_first: &'a mut [R; H],
    /// First ∂loss/∂h.
    d_second: &'a mut [R; H],
    hidden: &'a mut [R; H],
    d_logits: &'a mut [[R; V]; L],
    /// g.
    second: &'a mut [R; H],
}

impl<const L: usize, const V: usize, const H: usize, A: Activation> Residual<L, V, H, A> {
    fn record<R>(mut flat: &[R]) -> Option<Record<'_, R, L, V, H>> {
        Some(Record {
            first: vector(&mut flat)?,
            d_first: vector(&mut flat)?,
            d_second: vector(&mut flat)?,
            hidden: vector(&mut flat)?,
            d_logits: matrix(&mut flat)?,
        })
    }

    fn record_mut<R>(mut flat: &mut [R]) -> Option<RecordMut<'_, R, L, V, H>> {
        Some(RecordMut {
            first: vector_mut(&mut flat)?,
            d_first: vector_mut(&mut flat)?,
            d_second: vector_mut(&mut flat)?,
            hidden: vector_mut(&mut flat)?,
            d_logits: matrix_mut(&mut flat)?,
            second: vector_mut(&mut flat)?,
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

/// f, g and h, where `dropout` leaves out some of f and of g.
#[inline(always)]
fn hidden_layers<A: Activation, R: Real, W: Stored<R>, const L: usize, const V: usize, const H: usize>(
    parameters: &ResidualView<'_, W, L, V, H>,
    symbols: &[Option<u8>; L],
    dropout: Dropout,
    first: &mut [R; H],
    second: &mut [R; H],
    hidden: &mut [R; H],
) {
    lookup_forward(parameters.input, parameters.hidden_bias, symbols, first);
    A::forward(first);
    dropout.forward(0, first);
    linear_forward(parameters.residual, parameters.residual_bias, first, second);
    A::forward(second);
    dropout.forward(1, second);
    for ((hidden, second), first) in hidden.iter_mut().zip(second).zip(first) {
        *hidden = *second + *first;
    }
}

impl<const L: usize, const V: usize, const H: usize, A: Activation> Model<L, V> for Residual<L, V, H, A> {
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
        Tensor { name: "hidden_bias", dimensions: &[H], parts: 1 },
        Tensor { name: "residual", dimensions: &[H, H], parts: H / ROWS },
        Tensor { name: "residual_bias", dimensions: &[H], parts: 1 },
        Tensor { name: "output", dimensions: &[L, V, H], parts: L },
        Tensor { name: "output_bias", dimensions: &[L, V], parts: 1 },
    ];
    const RECORD: usize = (5 * H + L * V).next_multiple_of(16);
    const MEMORY: usize = 3 * H;

    type View<'a, T: Copy + 'a> = ResidualView<'a, T, L, V, H>;
    type Denoiser<'a, W: Stored<f32> + 'a> = ResidualDenoiser<'a, W, L, V, H, A>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(H.is_multiple_of(ROWS), "the parts of W are whole") };
        let view = ResidualView {
            input: cube(&mut flat)?,
            hidden_bias: vector(&mut flat)?,
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
        for (example, record) in batch.iter().zip(records.chunks_exact_mut(Self::RECORD)) {
            let Some(record) = Self::record_mut(record) else { continue };
            hidden_layers::<A, _, _, L, V, H>(
                &parameters,
                &example.noisy,
                example.dropout,
                record.first,
                record.second,
                record.hidden,
            );
            record.d_second.fill(R::ZERO);
        }
        // Position by position, so that its weights stay in the innermost cache for the whole batch.
        for position in 0..L {
            let (weight, bias) = (&parameters.output[position], &parameters.output_bias[position]);
            let rows = batch.iter().zip(records.chunks_exact_mut(Self::RECORD)).zip(losses.iter_mut());
            for ((example, record), loss) in rows {
                let counts = example.weights[position];
                let Some(record) = Self::record_mut(record).filter(|_| counts != 0.0) else { continue };
                let d_logits = &mut record.d_logits[position];
                linear_forward(weight, bias, record.hidden, d_logits);
                let counts = R::of(f64::from(counts));
                *loss += cross_entropy(d_logits, symbols, example.clean[position], counts);
                linear_backward_input(weight, d_logits, record.d_second);
            }
        }
        for (example, record) in batch.iter().zip(records.chunks_exact_mut(Self::RECORD)) {
            let Some(record) = Self::record_mut(record) else { continue };
            let weight = example.hidden_weight();
            *record.d_first = *record.d_second;
            A::backward(record.second, record.d_second, weight);
            example.dropout.backward(record.d_second);
            linear_backward_input(parameters.residual, record.d_second, record.d_first);
            A::backward(record.first, record.d_first, weight);
            example.dropout.backward(record.d_first);
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
                    lookup_backward::<R, V, H>(example.noisy[part], record.d_first, d_rows);
                }
            }
            1 => all().for_each(|record| add_scaled(out, R::ONE, record.d_first)),
            2 => {
                let Some(d_weight) = matrix_mut(&mut out) else { return };
                let pairs = all().map(|record| (record.first, &record.d_second.as_chunks().0[part]));
                linear_backward_weights::<R, H, ROWS>(pairs, d_weight);
            }
            3 => all().for_each(|record| add_scaled(out, R::ONE, record.d_second)),
            4 => {
                let Some(d_weight) = matrix_mut(&mut out) else { return };
                let counted = Self::counted(batch, records, part);
                let pairs = counted.map(|record| (record.hidden, &record.d_logits[part]));
                linear_backward_weights::<R, H, V>(pairs, d_weight);
            }
            _ => {
                let Some(d_bias) = matrix_mut::<R, V, L>(&mut out) else { return };
                for (position, d_bias) in d_bias.iter_mut().enumerate() {
                    let counted = Self::counted(batch, records, position);
                    linear_backward_bias(counted.map(|record| &record.d_logits[position]), d_bias);
                }
            }
        }
    }

    fn denoiser<'a, W: Stored<f32>>(
        parameters: Self::View<'a, W>,
        mut memory: &'a mut [f32],
    ) -> Option<Self::Denoiser<'a, W>> {
        Some(ResidualDenoiser {
            parameters,
            symbols: [None; L],
            first: vector_mut(&mut memory)?,
            second: vector_mut(&mut memory)?,
            hidden: vector_mut(&mut memory)?,
            activation: PhantomData,
        })
    }
}

/// A [`Residual`] at work: parameters, the text so far, and the hidden layers of the last evaluation.
#[derive(Debug)]
pub struct ResidualDenoiser<'a, W, const L: usize, const V: usize, const H: usize, A = Relu> {
    parameters: ResidualView<'a, W, L, V, H>,
    symbols: [Option<u8>; L],
    first: &'a mut [f32; H],
    second: &'a mut [f32; H],
    hidden: &'a mut [f32; H],
    activation: PhantomData<A>,
}

impl<W: Stored<f32>, const L: usize, const V: usize, const H: usize, A: Activation> Denoiser<L, V>
    for ResidualDenoiser<'_, W, L, V, H, A>
{
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    #[inline(always)]
    fn evaluate(&mut self) {
        hidden_layers::<A, _, _, L, V, H>(
            &self.parameters,
            &self.symbols,
            Dropout::NONE,
            self.first,
            self.second,
            self.hidden,
        );
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
