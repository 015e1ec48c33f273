//! The residual convolution: few weights, used at every position.
//!
//! With x\[l\] the D features of position l of a text of n symbols: first x\[l\] = P\[l\] + Q\[n − 1 − l\] + E\[x_l\], a masked
//! position without E\[x_l\] ([`embedding`](crate::embedding)). Then N layers, each
//!
//! - x\[l\] += b + Σ_j W_j·a\[l + j − r\], a = max(0, x), over the T = 2·r + 1 taps j = 0 … 2·r, where a is 0 outside the text;
//!
//! and last the logits z\[l\] = c + U·max(0, x\[l\]), with E `token`, P `position`, Q `from_end`, W `weight`, b `bias`, U
//! `output` and c `output_bias`. A position reads N·r positions to either side.
//!
//! Backward, from the end: ∂loss/∂a = Uᵀ·d_z, kept where x > 0. For a layer, with d the gradient of what it puts out:
//! d_b = Σ_l d\[l\]; d_W_j = Σ_l d\[l\]·a\[l + j − r\]ᵀ = Σ_l d\[l − j + r\]·a\[l\]ᵀ, where d too is 0 outside the text; and
//! ∂loss/∂a\[l\] = Σ_j W_jᵀ·d\[l − j + r\], which, kept where x > 0, is added to d: x goes on past the layer as it is.
//!
//! While it trains, [dropout](crate::dropout) leaves out some of a, and of what U reads.
//!
//! Activations lie with the positions innermost, `x[d][l]`, of a *map* of D features; W positions are computed ([`width_of`]).
//! Sums are those of [`product`](crate::product), those of a
//! layer added to x + b in the order of j; a sum over positions that is none of them is in ascending order.
//!
//! It has 2·(V + L)·D + N·(T·D² + D) + V parameters: 12,428 for L 16, V 26, D 26, N 3, T 5.
//!
//! Source: K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, figure 4 (e), for the order of the parts.

use crate::activation::Activation;
use crate::denoiser::{
    Answers, Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores_at,
};
use crate::embedding::Embedding;
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::pack::{Pack, alone, boundary, with_records, with_records_mut};
use crate::product::{Positions, Store, width_of};
use crate::rng::Stream;
use crate::softmax::MOST_SYMBOLS;
use crate::tensor::{Tensor, block, hypercube, matrix, vector};

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
    /// P: the features of each position.
    pub position: &'a [[W; D]; L],
    /// Q: the features of each position, counted from the end.
    pub from_end: &'a [[W; D]; L],
    /// W of each layer and tap.
    pub weight: &'a [[[[W; D]; D]; T]; N],
    /// b of each layer.
    pub bias: &'a [[W; D]; N],
    /// U: how the features of a position score each symbol.
    pub output: &'a [[W; D]; V],
    /// c: the score of each symbol for features of zeros.
    pub output_bias: &'a [W; V],
}

/// What one pack leaves of one layer.
struct LayerRecord<'a, R> {
    /// The map a, in transposed blocks.
    a: &'a [R],
    /// For each tap j the map of the gradient d\[l − j + r\] of what the layer puts out.
    d_shifted: &'a [R],
}

/// The same, to be written.
struct LayerRecordMut<'a, R> {
    /// Forward: a as it is.
    a: &'a mut [R],
    d_shifted: &'a mut [R],
}

/// What one pack leaves besides its layers.
struct Record<'a, R> {
    /// ∂loss/∂x of what the symbols and positions gave, `[W][D]`.
    d_embedding: &'a [R],
    /// max(0, x) of the last x, in transposed blocks.
    last: &'a [R],
    /// `[V][W]`.
    d_logits: &'a [R],
}

/// The same, to be written, and what only the passes read.
struct RecordMut<'a, R> {
    /// Forward: x shifted. Backward: ∂loss/∂a; at last `d_embedding`.
    other: &'a mut [R],
    last: &'a mut [R],
    d_logits: &'a mut [R],
    /// Forward: x. Backward: its gradient.
    x: &'a mut [R],
}

/// x += b + Σ_j W_j·shift_j(a) in each of `texts`, of which x holds what `activation` lets it; `shifted` is used up.
fn layer_forward<R: Real, W: Stored<R>, K: Kernels<R>, const D: usize, const T: usize>(
    (kernels, activation): (K, Activation),
    (weight, bias): (&[[[W; D]; D]; T], &[W; D]),
    texts: &[u8],
    a: &[R],
    shifted: &mut [R],
    x: &mut [R],
) {
    let width = x.len().checked_div(D).unwrap_or(0);
    kernels.add_bias(bias, x, width);
    for (tap, w) in weight.iter().enumerate() {
        kernels.shift(a, (tap, T >> 1), shifted, width, texts);
        kernels.product(w.as_flattened(), shifted, x, width, Store::Add);
    }
    kernels.hold(activation, x);
}

/// z\[l\] = c + U·a\[l\].
fn output_forward<R: Real, W: Stored<R>, K: Kernels<R>, const V: usize, const D: usize>(
    kernels: K,
    (output, bias): (&[[W; D]; V], &[W; V]),
    a: &[R],
    logits: &mut [R],
) {
    let width = logits.len().checked_div(V).unwrap_or(0);
    logits.fill(R::ZERO);
    kernels.add_bias(bias, logits, width);
    kernels.product(output.as_flattened(), a, logits, width, Store::Add);
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>
    Convolution<L, V, D, N, T>
{
    const LAYER: usize = (1 + T) * D * L;
    const LAYERS: usize = N * Self::LAYER;
    const REST: usize = 3 * D * L + V * L;

    /// What `record` holds of layer number `layer`, where `width` positions are computed.
    fn layer_record<R>(record: &[R], layer: usize, width: usize) -> Option<LayerRecord<'_, R>> {
        let mut flat = record.chunks_exact(Self::LAYER).nth(layer)?;
        let map = D.wrapping_mul(width);
        Some(LayerRecord { a: flat.split_off(..map)?, d_shifted: flat.split_off(..T.wrapping_mul(map))? })
    }

    fn layer_record_mut<R>(mut flat: &mut [R], width: usize) -> Option<LayerRecordMut<'_, R>> {
        let map = D.wrapping_mul(width);
        Some(LayerRecordMut {
            a: flat.split_off_mut(..map)?,
            d_shifted: flat.split_off_mut(..T.wrapping_mul(map))?,
        })
    }

    /// What `record` holds besides its layers, where `width` positions are computed.
    fn record<R>(record: &[R], width: usize) -> Option<Record<'_, R>> {
        let mut flat = record.get(Self::LAYERS..)?;
        Some(Record {
            d_embedding: flat.split_off(..D.wrapping_mul(width))?,
            last: flat.split_off(..D.wrapping_mul(width))?,
            d_logits: flat.split_off(..V.wrapping_mul(width))?,
        })
    }

    fn record_mut<R>(mut flat: &mut [R], width: usize) -> Option<RecordMut<'_, R>> {
        let map = D.wrapping_mul(width);
        Some(RecordMut {
            other: flat.split_off_mut(..map)?,
            last: flat.split_off_mut(..map)?,
            d_logits: flat.split_off_mut(..V.wrapping_mul(width))?,
            x: flat.split_off_mut(..map)?,
        })
    }

    /// Logits, losses and their gradient: `x` becomes ∂loss/∂x.
    fn head<R: Real, K: Kernels<R>>(
        (kernels, activation): (K, Activation),
        parameters: &ConvolutionView<'_, R, L, V, D, N, T>,
        (pack, answers): (Pack<L>, Answers),
        RecordMut { other, last, d_logits, x }: &mut RecordMut<R>,
        losses: &mut [R],
    ) {
        let width = pack.width();
        other.copy_from_slice(x);
        kernels.activation_forward(activation, other);
        kernels.dropout_forward(pack.dropout(), N, other);
        kernels.transpose_blocks(other, last, width);
        output_forward(kernels, (parameters.output, parameters.output_bias), other, d_logits);
        pack.cross_entropy(kernels, answers, d_logits, losses);
        kernels.product_transposed(parameters.output.as_flattened(), d_logits, x, width, Store::Set);
        activation_backward((kernels, activation), pack, false, other, x);
    }

    /// `d`, ∂loss/∂x after the layer, becomes that before it; `d_a` is used up.
    /// Forward was `x += b + Σ_j W_j·shift_j(a)`, a = max(0, x) without what dropout leaves out.
    fn layer_backward<R: Real, K: Kernels<R>>(
        with: (K, Activation),
        weight: &[[[R; D]; D]; T],
        pack: Pack<L>,
        LayerRecordMut { a, d_shifted }: LayerRecordMut<R>,
        d: &mut [R],
        d_a: &mut [R],
    ) {
        let kernels = with.0;
        let (width, texts) = (pack.width(), pack.texts());
        d_a.fill(R::ZERO);
        for ((tap, w), shifted) in weight.iter().enumerate().zip(d_shifted.chunks_exact_mut(d.len().max(1))) {
            // What a shift by j − r brings in, the shift by r − j takes back.
            let back = (T.saturating_sub(1).saturating_sub(tap), T >> 1);
            kernels.shift(d, back, shifted, width, texts.get(..width).unwrap_or(&texts));
            kernels.product_transposed(w.as_flattened(), shifted, d_a, width, Store::Add);
        }
        activation_backward(with, pack, true, a, d_a);
        kernels.add_scaled(d, R::ONE, d_a);
        d_a.copy_from_slice(a);
        kernels.transpose_blocks(d_a, a, width);
    }
}

/// The gradient of what went into the activation and dropout of `pack`, in place, from that of `y`, which came out and is read
/// where the loss is, or `everywhere`.
fn activation_backward<R: Real, K: Kernels<R>, const L: usize>(
    (kernels, activation): (K, Activation),
    pack: Pack<L>,
    everywhere: bool,
    y: &[R],
    d_y: &mut [R],
) {
    let prices = pack.prices(activation, everywhere);
    kernels.activation_backward(activation, y, d_y, prices.get(..pack.width()).unwrap_or(&prices));
    kernels.dropout_backward(pack.dropout(), d_y);
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
        Tensor { name: "position", dimensions: &[L, D], parts: 1 },
        Tensor { name: "from_end", dimensions: &[L, D], parts: 1 },
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
            position: matrix(&mut flat)?,
            from_end: matrix(&mut flat)?,
            weight: hypercube(&mut flat)?,
            bias: matrix(&mut flat)?,
            output: matrix(&mut flat)?,
            output_bias: vector(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

    /// Uniform in ±√(3/fan-in), with T·D for W, 4·D for U, which makes the first logits small, 4 for a row of E and 50 for one of
    /// P or Q, so that at first it is symbols that count. Biases are 0. Chosen by the score after 2,500 steps.
    fn initialise(parameters: &mut [f32], stream: Stream) {
        initialise(Self::TENSORS, &const { [4, 50, 50, T * D, 0, 4 * D, 0] }, parameters, stream);
    }

    fn boundary(batch: &[Example<L>], row: usize) -> usize {
        boundary(batch, row)
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
        let with = (kernels, activation);
        for (pack, answers, record, losses) in with_records_mut(shard, answers, records, Self::RECORD, losses)
        {
            let (width, texts) = (pack.width(), pack.texts());
            let texts = texts.get(..width).unwrap_or(&texts);
            let Some((layers, rest)) = record.split_at_mut_checked(Self::LAYERS) else { return };
            let Some(mut rest) = Self::record_mut(rest, width) else { return };
            pack.embed(kernels, parameters.embedding(), rest.x);
            let weights = || parameters.weight.iter().zip(parameters.bias);
            let records = layers.chunks_exact_mut(Self::LAYER);
            for (number, (layer, record)) in (0..).zip(weights().zip(records)) {
                let Some(LayerRecordMut { a, .. }) = Self::layer_record_mut(record, width) else { return };
                a.copy_from_slice(rest.x);
                kernels.activation_forward(activation, a);
                kernels.dropout_forward(pack.dropout(), number, a);
                layer_forward(with, layer, texts, a, rest.other, rest.x);
            }
            Self::head(with, &parameters, (pack, answers), &mut rest, losses);
            for ((weight, _), record) in weights().zip(layers.chunks_exact_mut(Self::LAYER)).rev() {
                let Some(record) = Self::layer_record_mut(record, width) else { return };
                Self::layer_backward(with, weight, pack, record, rest.x, rest.other);
            }
            kernels.transpose(rest.x, rest.other, width);
        }
    }

    #[expect(
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
        for (pack, record) in with_records(shard, records, Self::RECORD) {
            let width = pack.width();
            let Some(rest) = Self::record(record, width) else { return };
            match tensor {
                0..3 => pack.embed_backward(kernels, (tensor, part), rest.d_embedding, out, D),
                3 => {
                    let (number, tap) = (part / T, part % T);
                    let Some(layer) = Self::layer_record(record, number, width) else { return };
                    let Some(d) = block(layer.d_shifted, tap, D.saturating_mul(width)) else { return };
                    // Nothing reads what the last layer puts out where nothing is scored.
                    let read = pack.positions(number + 1 < N);
                    let positions = Positions::<L>::new(width, |position| {
                        (position + T / 2)
                            .checked_sub(tap)
                            .is_some_and(|from| read.as_slice().contains(&from))
                    });
                    kernels.product_backward_weight(positions.as_slice(), d, layer.a, out, width);
                }
                4 => {
                    let Some(layer) = Self::layer_record(record, part, width) else { return };
                    // The middle tap's gradient is not shifted.
                    let middle = block(layer.d_shifted, T / 2, D.saturating_mul(width));
                    kernels.add_bias_backward(middle.unwrap_or(&[]), out, width);
                }
                5 => {
                    let scored = pack.positions(false);
                    let (d, last) = (rest.d_logits, rest.last);
                    kernels.product_backward_weight(scored.as_slice(), d, last, out, width);
                }
                _ => kernels.add_bias_backward(rest.d_logits, out, width),
            }
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
            length: L,
            memory: memory.split_off_mut(..Self::MEMORY)?,
        })
    }
}

impl<'a, W, const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>
    ConvolutionView<'a, W, L, V, D, N, T>
{
    /// E, P and Q.
    fn embedding(&self) -> Embedding<'a, W> {
        Embedding {
            token: self.token.as_flattened(),
            position: self.position.as_flattened(),
            from_end: self.from_end.as_flattened(),
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
    length: usize,
    /// Of the text's width: the logits, x, a, and a shifted.
    memory: &'a mut [f32],
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
    fn start(&mut self, length: usize) {
        (self.symbols, self.length) = ([None; L], length.min(L));
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    fn evaluate(&mut self) {
        let Self { kernels, activation, parameters, symbols, length, memory } = self;
        let (kernels, activation, length) = (*kernels, *activation, *length);
        let (width, mut memory) = (width_of(length, L), &mut **memory);
        let mut part =
            |features: usize| memory.split_off_mut(..features.wrapping_mul(width)).unwrap_or_default();
        let (logits, x, a, shifted) = (part(V), part(D), part(D), part(D));
        x.fill(0.0);
        kernels.embed(parameters.embedding(), symbols.get(..length).unwrap_or(symbols), x, width, 0);
        let texts = alone::<L>(length);
        let texts = texts.get(..width).unwrap_or(&texts);
        // Both are D·W long, which the compiler does not see: `copy_from_slice` would link a panic.
        let copy = |from: &[f32], to: &mut [f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        for layer in parameters.weight.iter().zip(parameters.bias) {
            copy(x, a);
            kernels.activation_forward(activation, a);
            layer_forward((kernels, activation), layer, texts, a, shifted, x);
        }
        copy(x, a);
        kernels.activation_forward(activation, a);
        output_forward(kernels, (parameters.output, parameters.output_bias), a, logits);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        to_scores_at(self.memory, width_of(self.length, L), position, out);
    }
}
