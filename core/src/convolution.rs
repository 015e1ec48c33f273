//! The residual convolution: few weights, used at every position.
//!
//! With x\[l\] the D features of position l: first x\[l\] = E\[x_l\] + P\[l\], where a masked position has a row of its own
//! for E\[x_l\]. Then N layers, each
//!
//! - x\[l\] += b + Σ_j W_j·a\[l + j − r\], a = max(0, x), over the T = 2·r + 1 taps j = 0 … 2·r, where a is 0 outside the text;
//!
//! and last the logits z\[l\] = c + U·max(0, x\[l\]), with E `token` and `mask`, P `position`, W `weight`, b `bias`, U
//! `output` and c `output_bias`. A position reads N·r positions to either side.
//!
//! Backward, from the end: ∂loss/∂a = Uᵀ·d_z, kept where x > 0. For a layer, with d the gradient of what it puts out:
//! d_b = Σ_l d\[l\]; d_W_j = Σ_l d\[l\]·a\[l + j − r\]ᵀ = Σ_l d\[l − j + r\]·a\[l\]ᵀ, where d too is 0 outside the text; and
//! ∂loss/∂a\[l\] = Σ_j W_jᵀ·d\[l − j + r\], which, kept where x > 0, is added to d: x goes on past the layer as it is.
//!
//! While it trains, [dropout](crate::dropout) leaves out some of a, and of what U reads.
//!
//! Activations lie with the positions innermost, `x[d][l]`. Sums are those of [`product`](crate::product), those of a
//! layer added to x + b in the order of j; a sum over positions that is none of them is in ascending order.
//!
//! It has (2·V + L + 1)·D + N·(T·D² + D) + V parameters: 12,091 for L 16, V 27, D 26, N 3, T 5.
//!
//! Source: K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, figure 4 (e), for the order of the parts.

use core::marker::PhantomData;

use crate::activation::{Activation, Relu};
use crate::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores_at};
use crate::embedding::{Map, embed, embed_backward};
use crate::linear::add_scaled;
use crate::math::{Real, Stored};
use crate::product::{
    Positions, product, product_backward_weight, product_transposed, transpose, transpose_blocks,
};
use crate::rng::Stream;
use crate::softmax::cross_entropies;
use crate::tensor::{Tensor, cube, cube_mut, hypercube, matrix, matrix_mut, vector};

/// A residual convolution over `L` positions and `V` symbols, with `N` layers of width `D` and `T` taps, an odd number.
///
/// `A` is what trains in the place of max(0, ·); see [`Stepped`](crate::integer::Stepped).
#[derive(Clone, Copy, Debug)]
pub struct Convolution<
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
    A = Relu,
>(PhantomData<A>);

/// The parameters of a [`Convolution`], wherever they lie.
#[derive(Clone, Copy, Debug)]
pub struct ConvolutionView<
    'a,
    W,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
> {
    /// E: the features of each symbol.
    pub token: &'a [[W; D]; V],
    /// E of a masked position.
    pub mask: &'a [W; D],
    /// P: the features of each position.
    pub position: &'a [[W; D]; L],
    /// W of each layer and tap.
    pub weight: &'a [[[[W; D]; D]; T]; N],
    /// b of each layer.
    pub bias: &'a [[W; D]; N],
    /// U: how the features of a position score each symbol.
    pub output: &'a [[W; D]; V],
    /// c: the score of each symbol for features of zeros.
    pub output_bias: &'a [W; V],
}

/// What one example leaves of one layer.
struct LayerRecord<'a, R, const L: usize, const D: usize, const T: usize> {
    /// a, in transposed blocks.
    a: &'a Map<R, L, D>,
    /// For each tap j the gradient d\[l − j + r\] of what the layer puts out.
    d_shifted: &'a [Map<R, L, D>; T],
}

/// The same, to be written.
struct LayerRecordMut<'a, R, const L: usize, const D: usize, const T: usize> {
    /// Forward: a as it is.
    a: &'a mut Map<R, L, D>,
    d_shifted: &'a mut [Map<R, L, D>; T],
}

/// What one example leaves besides its layers.
struct Record<'a, R, const L: usize, const V: usize, const D: usize> {
    /// ∂loss/∂x of what the symbols and positions gave.
    d_embedding: &'a [[R; D]; L],
    /// max(0, x) of the last x, in transposed blocks.
    last: &'a Map<R, L, D>,
    d_logits: &'a [[R; L]; V],
}

/// The same, to be written, and what only the passes read.
struct RecordMut<'a, R, const L: usize, const V: usize, const D: usize> {
    /// Forward: x shifted. Backward: ∂loss/∂a; at last `d_embedding`.
    other: &'a mut Map<R, L, D>,
    last: &'a mut Map<R, L, D>,
    d_logits: &'a mut [[R; L]; V],
    /// Forward: x. Backward: its gradient.
    x: &'a mut Map<R, L, D>,
}

/// y\[l\] = x\[l + j − r\] for tap j of 2·r + 1, 0 outside the text.
#[inline(always)]
fn shift<R: Real, const L: usize, const D: usize>(
    x: &Map<R, L, D>,
    (tap, radius): (usize, usize),
    y: &mut Map<R, L, D>,
) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = [R::ZERO; L];
        let y = y.iter_mut().skip(radius.saturating_sub(tap));
        for (y, x) in y.zip(x.iter().skip(tap.saturating_sub(radius))) {
            *y = *x;
        }
    }
}

/// x += b + Σ_j W_j·shift_j(a), of which x holds what `A` lets it; `shifted` is used up.
#[inline(always)]
fn layer_forward<A: Activation, R: Real, W: Stored<R>, const L: usize, const D: usize, const T: usize>(
    weight: &[[[W; D]; D]; T],
    bias: &[W; D],
    a: &Map<R, L, D>,
    shifted: &mut Map<R, L, D>,
    x: &mut Map<R, L, D>,
) {
    for (x, b) in x.iter_mut().zip(bias) {
        for x in x {
            *x += b.real();
        }
    }
    for (tap, w) in weight.iter().enumerate() {
        shift(a, (tap, T >> 1), shifted);
        product(w, shifted, x, |x, sum| x + sum);
    }
    A::hold(x.as_flattened_mut());
}

/// a = max(0, x), or what `A` puts in its place.
#[inline(always)]
fn positive<A: Activation, R: Real, const L: usize, const D: usize>(x: &Map<R, L, D>, a: &mut Map<R, L, D>) {
    *a = *x;
    A::forward(a.as_flattened_mut());
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize, A: Activation>
    Convolution<L, V, D, N, T, A>
{
    const LAYER: usize = (1 + T) * D * L;
    const LAYERS: usize = N * Self::LAYER;
    const REST: usize = 3 * D * L + V * L;

    /// What `record` holds of layer number `layer`.
    fn layer_record<R>(record: &[R], layer: usize) -> Option<LayerRecord<'_, R, L, D, T>> {
        let mut flat = record.chunks_exact(Self::LAYER).nth(layer)?;
        Some(LayerRecord { a: matrix(&mut flat)?, d_shifted: cube(&mut flat)? })
    }

    fn layer_record_mut<R>(mut flat: &mut [R]) -> Option<LayerRecordMut<'_, R, L, D, T>> {
        Some(LayerRecordMut { a: matrix_mut(&mut flat)?, d_shifted: cube_mut(&mut flat)? })
    }

    /// What `record` holds besides its layers.
    fn record<R>(record: &[R]) -> Option<Record<'_, R, L, V, D>> {
        let mut flat = record.get(Self::LAYERS..)?;
        Some(Record {
            d_embedding: matrix(&mut flat)?,
            last: matrix(&mut flat)?,
            d_logits: matrix(&mut flat)?,
        })
    }

    fn record_mut<R>(mut flat: &mut [R]) -> Option<RecordMut<'_, R, L, V, D>> {
        Some(RecordMut {
            other: matrix_mut(&mut flat)?,
            last: matrix_mut(&mut flat)?,
            d_logits: matrix_mut(&mut flat)?,
            x: matrix_mut(&mut flat)?,
        })
    }

    /// Logits, loss and their gradient: `x` becomes ∂loss/∂x.
    #[inline(always)]
    fn head<R: Real>(
        parameters: &ConvolutionView<'_, R, L, V, D, N, T>,
        example: &Example<L>,
        symbols: usize,
        record: &mut RecordMut<R, L, V, D>,
    ) -> R {
        let logits = &mut *record.d_logits;
        positive::<A, _, _, _>(record.x, record.other);
        example.dropout.forward(N, record.other.as_flattened_mut());
        transpose_blocks(record.other, record.last);
        for (logits, bias) in logits.iter_mut().zip(parameters.output_bias) {
            *logits = [*bias; L];
        }
        product(parameters.output, record.other, logits, |z, sum| z + sum);
        let loss = cross_entropies(&example.clean, &example.weights, symbols, logits);
        product_transposed(parameters.output, logits, record.x, |_, sum| sum);
        A::backward(record.other.as_flattened(), record.x.as_flattened_mut(), example.hidden_weight());
        example.dropout.backward(record.x.as_flattened_mut());
        loss
    }

    /// `d`, ∂loss/∂x after the layer, becomes that before it; `d_a` is used up.
    /// Forward was `x += b + Σ_j W_j·shift_j(a)`, a = max(0, x) without what `example` drops.
    #[inline(always)]
    fn layer_backward<R: Real>(
        weight: &[[[R; D]; D]; T],
        example: &Example<L>,
        LayerRecordMut { a, d_shifted }: LayerRecordMut<R, L, D, T>,
        d: &mut Map<R, L, D>,
        d_a: &mut Map<R, L, D>,
    ) {
        d_a.as_flattened_mut().fill(R::ZERO);
        for ((tap, w), shifted) in weight.iter().enumerate().zip(d_shifted) {
            // What a shift by j − r brings in, the shift by r − j takes back.
            shift(d, (T.saturating_sub(1).saturating_sub(tap), T >> 1), shifted);
            product_transposed(w, shifted, d_a, |d_a, sum| d_a + sum);
        }
        A::backward(a.as_flattened(), d_a.as_flattened_mut(), example.hidden_weight());
        example.dropout.backward(d_a.as_flattened_mut());
        add_scaled(d.as_flattened_mut(), R::ONE, d_a.as_flattened());
        *d_a = *a;
        transpose_blocks(d_a, a);
    }
}

/// out_d += Σ_l x_dl, l ascending.
#[inline(always)]
fn add_sums<R: Real, const L: usize>(x: &[[R; L]], out: &mut [R]) {
    for (out, x) in out.iter_mut().zip(x) {
        let mut sum = R::ZERO;
        for x in x {
            sum += *x;
        }
        *out += sum;
    }
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize, A: Activation>
    Model<L, V> for Convolution<L, V, D, N, T, A>
{
    const SHAPE: Shape = Shape {
        architecture: Architecture::Convolution,
        positions: L,
        symbols: V,
        width: D,
        blocks: N,
        heads: T,
    };
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "token", dimensions: &[V, D], parts: V },
        Tensor { name: "mask", dimensions: &[D], parts: 1 },
        Tensor { name: "position", dimensions: &[L, D], parts: 1 },
        Tensor { name: "weight", dimensions: &[N, T, D, D], parts: T * N },
        Tensor { name: "bias", dimensions: &[N, D], parts: N },
        Tensor { name: "output", dimensions: &[V, D], parts: 1 },
        Tensor { name: "output_bias", dimensions: &[V], parts: 1 },
    ];
    const RECORD: usize = (Self::LAYERS + Self::REST).next_multiple_of(16);
    const MEMORY: usize = 3 * D * L + V * L;

    type View<'a, W: Copy + 'a> = ConvolutionView<'a, W, L, V, D, N, T>;
    type Denoiser<'a, W: Stored<f32> + 'a> = ConvolutionDenoiser<'a, W, L, V, D, N, T, A>;

    fn view<W: Copy>(mut flat: &[W]) -> Option<Self::View<'_, W>> {
        const { assert!(!T.is_multiple_of(2), "as many taps before a position as after it") };
        let view = ConvolutionView {
            token: matrix(&mut flat)?,
            mask: vector(&mut flat)?,
            position: matrix(&mut flat)?,
            weight: hypercube(&mut flat)?,
            bias: matrix(&mut flat)?,
            output: matrix(&mut flat)?,
            output_bias: vector(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

    /// Uniform in ±√(3/fan-in): 4 for a row of E or P, so that x has variance ½; T·D for W and D for U. Biases are 0.
    fn initialise(parameters: &mut [f32], stream: Stream) {
        initialise(Self::TENSORS, &const { [4, 4, 4, T * D, 0, D, 0] }, parameters, stream);
    }

    #[inline(always)]
    fn forward_backward<R: Real>(
        parameters: Self::View<'_, R>,
        batch: &[Example<L>],
        symbols: usize,
        records: &mut [R],
        losses: &mut [R],
    ) {
        for ((example, record), loss) in batch.iter().zip(records.chunks_exact_mut(Self::RECORD)).zip(losses)
        {
            let Some((layers, rest)) = record.split_at_mut_checked(Self::LAYERS) else { return };
            let Some(mut rest) = Self::record_mut(rest) else { return };
            let embedding = (parameters.token, parameters.mask, parameters.position);
            embed(embedding, &example.noisy, rest.x);
            let weights = || parameters.weight.iter().zip(parameters.bias);
            let records = layers.chunks_exact_mut(Self::LAYER);
            for (number, ((weight, bias), record)) in (0..).zip(weights().zip(records)) {
                let Some(record) = Self::layer_record_mut(record) else { return };
                positive::<A, _, _, _>(rest.x, record.a);
                example.dropout.forward(number, record.a.as_flattened_mut());
                layer_forward::<A, _, _, _, _, _>(weight, bias, record.a, rest.other, rest.x);
            }
            *loss = Self::head(&parameters, example, symbols, &mut rest);
            for ((weight, _), record) in weights().zip(layers.chunks_exact_mut(Self::LAYER)).rev() {
                let Some(record) = Self::layer_record_mut(record) else { return };
                Self::layer_backward(weight, example, record, rest.x, rest.other);
            }
            transpose(rest.x, rest.other.as_flattened_mut().as_chunks_mut().0);
        }
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "training; the part of a tensor with N or T·N parts, T odd"
    )]
    #[inline(always)]
    fn gradient<R: Real>(tensor: usize, part: usize, batch: &[Example<L>], records: &[R], mut out: &mut [R]) {
        out.fill(R::ZERO);
        let records = || records.chunks_exact(Self::RECORD);
        let all = || records().filter_map(Self::record);
        let layer = |number: usize| records().filter_map(move |record| Self::layer_record(record, number));
        match tensor {
            0 | 1 => {
                let shown = if tensor == 0 { u8::try_from(part).ok() } else { None };
                let maps = all().map(|record| record.d_embedding);
                batch.iter().zip(maps).for_each(|(example, d)| embed_backward(&example.noisy, d, shown, out));
            }
            2 => all().for_each(|record| add_scaled(out, R::ONE, record.d_embedding.as_flattened())),
            3 => {
                let Some(out) = matrix_mut(&mut out) else { return };
                let (number, tap) = (part / T, part % T);
                for (example, record) in batch.iter().zip(layer(number)) {
                    let d = &record.d_shifted[tap];
                    if number < N.saturating_sub(1) {
                        product_backward_weight(0..L, d, record.a, out);
                    } else {
                        // Nothing reads what the last layer puts out where nothing is scored.
                        let read = |position: usize| (position + T / 2).checked_sub(tap);
                        let scored =
                            Positions::<L>::new(|l| read(l).is_some_and(|read| example.is_scored(read)));
                        product_backward_weight(scored.iter(), d, record.a, out);
                    }
                }
            }
            // The middle tap's gradient is not shifted.
            4 => layer(part).for_each(|record| add_sums(&record.d_shifted[T / 2], out)),
            5 => {
                let Some(out) = matrix_mut(&mut out) else { return };
                for (example, record) in batch.iter().zip(all()) {
                    let scored = Positions::<L>::new(|position| example.is_scored(position));
                    product_backward_weight(scored.iter(), record.d_logits, record.last, out);
                }
            }
            _ => all().for_each(|record| add_sums(record.d_logits, out)),
        }
    }

    fn denoiser<'a, W: Stored<f32>>(
        parameters: Self::View<'a, W>,
        mut memory: &'a mut [f32],
    ) -> Option<Self::Denoiser<'a, W>> {
        Some(ConvolutionDenoiser {
            parameters,
            symbols: [None; L],
            maps: cube_mut(&mut memory)?,
            logits: matrix_mut(&mut memory)?,
            activation: PhantomData,
        })
    }
}

/// A [`Convolution`] at work: parameters, the text so far, and the logits of the last evaluation.
#[derive(Debug)]
pub struct ConvolutionDenoiser<
    'a,
    W,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
    A,
> {
    parameters: ConvolutionView<'a, W, L, V, D, N, T>,
    symbols: [Option<u8>; L],
    /// x, a, and a shifted.
    maps: &'a mut [Map<f32, L, D>; 3],
    logits: &'a mut [[f32; L]; V],
    activation: PhantomData<A>,
}

impl<
    W: Stored<f32>,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
    A: Activation,
> Denoiser<L, V> for ConvolutionDenoiser<'_, W, L, V, D, N, T, A>
{
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    #[inline(always)]
    fn evaluate(&mut self) {
        let Self { parameters, symbols, maps: [x, a, shifted], logits, .. } = self;
        embed((parameters.token, parameters.mask, parameters.position), symbols, x);
        for (weight, bias) in parameters.weight.iter().zip(parameters.bias) {
            positive::<A, _, _, _>(x, a);
            layer_forward::<A, _, _, _, _, _>(weight, bias, a, shifted, x);
        }
        positive::<A, _, _, _>(x, a);
        for (logits, bias) in logits.iter_mut().zip(parameters.output_bias) {
            *logits = [bias.real(); L];
        }
        product(parameters.output, a, logits, |z, sum| z + sum);
    }

    #[inline(always)]
    fn scores(&self, position: usize, out: &mut [Score; V]) {
        to_scores_at(self.logits, position, out);
    }
}
