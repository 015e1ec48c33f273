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

use crate::activation::Activation;
use crate::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores_at};
use crate::embedding::{Embedding, Map};
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::product::{Positions, Store};
use crate::rng::Stream;
use crate::softmax::MOST_SYMBOLS;
use crate::tensor::{Tensor, cube, cube_mut, hypercube, matrix, matrix_mut, vector};

/// A residual convolution over `L` positions and `V` symbols, with `N` layers of width `D` and `T` taps, an odd number.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>;

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

/// x += b + Σ_j W_j·shift_j(a), of which x holds what `activation` lets it; `shifted` is used up.
fn layer_forward<R: Real, W: Stored<R>, K: Kernels<R>, const L: usize, const D: usize, const T: usize>(
    (kernels, activation): (K, Activation),
    weight: &[[[W; D]; D]; T],
    bias: &[W; D],
    a: &Map<R, L, D>,
    shifted: &mut Map<R, L, D>,
    x: &mut Map<R, L, D>,
) {
    let (x, shifted) = (x.as_flattened_mut(), shifted.as_flattened_mut());
    kernels.add_bias(bias, x, L);
    for (tap, w) in weight.iter().enumerate() {
        kernels.shift(a.as_flattened(), (tap, T >> 1), shifted, L);
        kernels.product(w.as_flattened(), shifted, x, L, Store::Add);
    }
    kernels.hold(activation, x);
}

/// z\[l\] = c + U·a\[l\].
fn output_forward<R: Real, W: Stored<R>, K: Kernels<R>, const L: usize, const V: usize, const D: usize>(
    kernels: K,
    (output, bias): (&[[W; D]; V], &[W; V]),
    a: &Map<R, L, D>,
    logits: &mut [[R; L]; V],
) {
    let logits = logits.as_flattened_mut();
    logits.fill(R::ZERO);
    kernels.add_bias(bias, logits, L);
    kernels.product(output.as_flattened(), a.as_flattened(), logits, L, Store::Add);
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>
    Convolution<L, V, D, N, T>
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
    fn head<R: Real, K: Kernels<R>>(
        (kernels, activation): (K, Activation),
        parameters: &ConvolutionView<'_, R, L, V, D, N, T>,
        example: &Example<L>,
        symbols: usize,
        RecordMut { other, last, d_logits, x }: &mut RecordMut<R, L, V, D>,
    ) -> R {
        **other = **x;
        kernels.activation_forward(activation, other.as_flattened_mut());
        kernels.dropout_forward(example.dropout, N, other.as_flattened_mut());
        kernels.transpose_blocks(other.as_flattened(), last.as_flattened_mut(), L);
        output_forward(kernels, (parameters.output, parameters.output_bias), other, d_logits);
        let (logits, x) = (d_logits.as_flattened_mut(), x.as_flattened_mut());
        let loss = kernels.cross_entropy_of_positions(&example.clean, &example.weights, symbols, logits);
        kernels.product_transposed(parameters.output.as_flattened(), logits, x, L, Store::Set);
        activation_backward(kernels, activation, example, other.as_flattened(), x);
        loss
    }

    /// `d`, ∂loss/∂x after the layer, becomes that before it; `d_a` is used up.
    /// Forward was `x += b + Σ_j W_j·shift_j(a)`, a = max(0, x) without what `example` drops.
    fn layer_backward<R: Real, K: Kernels<R>>(
        (kernels, activation): (K, Activation),
        weight: &[[[R; D]; D]; T],
        example: &Example<L>,
        LayerRecordMut { a, d_shifted }: LayerRecordMut<R, L, D, T>,
        d: &mut Map<R, L, D>,
        d_a: &mut Map<R, L, D>,
    ) {
        let (a, d, d_a) = (a.as_flattened_mut(), d.as_flattened_mut(), d_a.as_flattened_mut());
        d_a.fill(R::ZERO);
        for ((tap, w), shifted) in weight.iter().enumerate().zip(d_shifted) {
            let shifted = shifted.as_flattened_mut();
            // What a shift by j − r brings in, the shift by r − j takes back.
            kernels.shift(d, (T.saturating_sub(1).saturating_sub(tap), T >> 1), shifted, L);
            kernels.product_transposed(w.as_flattened(), shifted, d_a, L, Store::Add);
        }
        activation_backward(kernels, activation, example, a, d_a);
        kernels.add_scaled(d, R::ONE, d_a);
        d_a.copy_from_slice(a);
        kernels.transpose_blocks(d_a, a, L);
    }
}

/// The gradient of what went into the activation and dropout of `example`, in place, from that of `y`, which came out.
fn activation_backward<R: Real, K: Kernels<R>, const L: usize>(
    kernels: K,
    activation: Activation,
    example: &Example<L>,
    y: &[R],
    d_y: &mut [R],
) {
    kernels.activation_backward(activation, y, d_y, example.price_weight(activation));
    kernels.dropout_backward(example.dropout, d_y);
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize> Model<L, V>
    for Convolution<L, V, D, N, T>
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
    type Denoiser<'a, W: Stored<f32> + 'a, K: Kernels<f32> + 'a> =
        ConvolutionDenoiser<'a, W, K, L, V, D, N, T>;

    fn view<W: Copy>(mut flat: &[W]) -> Option<Self::View<'_, W>> {
        const { assert!(!T.is_multiple_of(2), "as many taps before a position as after it") };
        const { assert!(V <= MOST_SYMBOLS, "cross-entropy keeps the logits of so many symbols") };
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

    fn forward_backward<R: Real, K: Kernels<R>>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'_, R>,
        shard: &[Example<L>],
        symbols: usize,
        records: &mut [R],
        losses: &mut [R],
    ) {
        let with = (kernels, activation);
        for ((example, record), loss) in shard.iter().zip(records.chunks_exact_mut(Self::RECORD)).zip(losses)
        {
            let Some((layers, rest)) = record.split_at_mut_checked(Self::LAYERS) else { return };
            let Some(mut rest) = Self::record_mut(rest) else { return };
            kernels.embed(parameters.embedding(), &example.noisy, rest.x.as_flattened_mut());
            let weights = || parameters.weight.iter().zip(parameters.bias);
            let records = layers.chunks_exact_mut(Self::LAYER);
            for (number, ((weight, bias), record)) in (0..).zip(weights().zip(records)) {
                let Some(record) = Self::layer_record_mut(record) else { return };
                *record.a = *rest.x;
                kernels.activation_forward(activation, record.a.as_flattened_mut());
                kernels.dropout_forward(example.dropout, number, record.a.as_flattened_mut());
                layer_forward(with, weight, bias, record.a, rest.other, rest.x);
            }
            *loss = Self::head(with, &parameters, example, symbols, &mut rest);
            for ((weight, _), record) in weights().zip(layers.chunks_exact_mut(Self::LAYER)).rev() {
                let Some(record) = Self::layer_record_mut(record) else { return };
                Self::layer_backward(with, weight, example, record, rest.x, rest.other);
            }
            kernels.transpose(rest.x.as_flattened(), rest.other.as_flattened_mut(), L);
        }
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "training; the part of a tensor with N or T·N parts, T odd"
    )]
    fn gradient<R: Real, K: Kernels<R>>(
        kernels: K,
        tensor: usize,
        part: usize,
        shard: &[Example<L>],
        records: &[R],
        out: &mut [R],
    ) {
        let records = || records.chunks_exact(Self::RECORD);
        let all = || records().filter_map(Self::record);
        let layer = |number: usize| records().filter_map(move |record| Self::layer_record(record, number));
        match tensor {
            0 | 1 => {
                let symbol = if tensor == 0 { u8::try_from(part).ok() } else { None };
                for (example, record) in shard.iter().zip(all()) {
                    if example.noisy.contains(&symbol) {
                        kernels.embed_backward(
                            &example.noisy,
                            record.d_embedding.as_flattened(),
                            symbol,
                            out,
                        );
                    }
                }
            }
            2 => all().for_each(|record| kernels.add_scaled(out, R::ONE, record.d_embedding.as_flattened())),
            3 => {
                let (number, tap) = (part / T, part % T);
                for (example, record) in shard.iter().zip(layer(number)) {
                    let (d, a) = (record.d_shifted[tap].as_flattened(), record.a.as_flattened());
                    // Nothing reads what the last layer puts out where nothing is scored.
                    let read = |position: usize| (position + T / 2).checked_sub(tap);
                    let last = number + 1 == N;
                    let positions = Positions::<L>::new(|position| {
                        !last || read(position).is_some_and(|read| example.is_scored(read))
                    });
                    kernels.product_backward_weight(positions.as_slice(), d, a, out, L);
                }
            }
            // The middle tap's gradient is not shifted.
            4 => layer(part).for_each(|record| {
                kernels.add_bias_backward(record.d_shifted[T / 2].as_flattened(), out, L);
            }),
            5 => {
                for (example, record) in shard.iter().zip(all()) {
                    let scored = Positions::<L>::new(|position| example.is_scored(position));
                    let (d, last) = (record.d_logits.as_flattened(), record.last.as_flattened());
                    kernels.product_backward_weight(scored.as_slice(), d, last, out, L);
                }
            }
            _ => all().for_each(|record| kernels.add_bias_backward(record.d_logits.as_flattened(), out, L)),
        }
    }

    fn denoiser<'a: 'm, 'm, W: Stored<f32> + 'a, K: Kernels<f32> + 'm>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'a, W>,
        mut memory: &'m mut [f32],
    ) -> Option<Self::Denoiser<'m, W, K>> {
        Some(ConvolutionDenoiser {
            kernels,
            activation,
            parameters,
            symbols: [None; L],
            maps: cube_mut(&mut memory)?,
            logits: matrix_mut(&mut memory)?,
        })
    }
}

impl<'a, W, const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>
    ConvolutionView<'a, W, L, V, D, N, T>
{
    /// E and P.
    fn embedding(&self) -> Embedding<'a, W> {
        Embedding {
            token: self.token.as_flattened(),
            mask: self.mask,
            position: self.position.as_flattened(),
        }
    }
}

/// A [`Convolution`] at work: parameters, the text so far, and the logits of the last evaluation.
#[derive(Debug)]
pub struct ConvolutionDenoiser<
    'a,
    W,
    K,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
> {
    kernels: K,
    activation: Activation,
    parameters: ConvolutionView<'a, W, L, V, D, N, T>,
    symbols: [Option<u8>; L],
    /// x, a, and a shifted.
    maps: &'a mut [Map<f32, L, D>; 3],
    logits: &'a mut [[f32; L]; V],
}

impl<
    W: Stored<f32>,
    K: Kernels<f32>,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
> Denoiser<L, V> for ConvolutionDenoiser<'_, W, K, L, V, D, N, T>
{
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    fn evaluate(&mut self) {
        let Self { kernels, activation, parameters, symbols, maps: [x, a, shifted], logits } = self;
        let (kernels, activation) = (*kernels, *activation);
        kernels.embed(parameters.embedding(), symbols, x.as_flattened_mut());
        for (weight, bias) in parameters.weight.iter().zip(parameters.bias) {
            *a = *x;
            kernels.activation_forward(activation, a.as_flattened_mut());
            layer_forward((kernels, activation), weight, bias, a, shifted, x);
        }
        *a = *x;
        kernels.activation_forward(activation, a.as_flattened_mut());
        output_forward(kernels, (parameters.output, parameters.output_bias), a, logits);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        to_scores_at(self.logits, position, out);
    }
}
