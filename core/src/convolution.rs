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
use crate::denoiser::{Answers, Architecture, AtWork, Example, Model, Score, Shape};
use crate::embedding::Embedding;
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::pack::{Pack, boundary, to_scores_at, with_records, with_records_mut};
use crate::product::{MOST_POSITIONS, Store, width_of};
use crate::softmax_of_maps::MOST_SYMBOLS;
use crate::tensor::{Flat, Start, Tensor, block, hypercube, matrix, vector};

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

/// What one pack leaves besides its layers.
struct Record<S> {
    /// Forward: a shifted. Backward: ∂loss/∂a; at last ∂loss/∂x of what the symbols and positions gave, `[W][D]`.
    other: S,
    /// max(0, x) of the last x, in transposed blocks.
    last: S,
    /// `[V][W]`.
    d_logits: S,
    /// Forward: x. Backward: its gradient.
    x: S,
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
    /// What one pack leaves of one layer: the map a, after backward in transposed blocks, and for each tap j the map of the
    /// gradient d\[l − j + r\] of what the layer puts out.
    const LAYER: usize = (1 + T) * D * L;
    const LAYERS: usize = N * Self::LAYER;
    const REST: usize = 3 * D * L + V * L;

    /// What `flat`, a record behind its layers, holds where `width` positions are computed.
    fn record<S: Flat>(mut flat: S, width: usize) -> Option<Record<S>> {
        let map = D.wrapping_mul(width);
        Some(Record {
            other: flat.take(map)?,
            last: flat.take(map)?,
            d_logits: flat.take(V.wrapping_mul(width))?,
            x: flat.take(map)?,
        })
    }

    /// Logits, losses and their gradient: `x` becomes ∂loss/∂x.
    fn head<R: Real, K: Kernels<R>>(
        (kernels, activation): (K, Activation),
        parameters: &ConvolutionView<'_, R, L, V, D, N, T>,
        (pack, answers): (Pack<L>, Answers),
        Record { other, last, d_logits, x }: &mut Record<&mut [R]>,
        losses: &mut [R],
    ) {
        let width = pack.width();
        other.copy_from_slice(x);
        kernels.activation_forward(activation, other);
        pack.dropout_forward(kernels, N, other);
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
        record: &mut [R],
        d: &mut [R],
        d_a: &mut [R],
    ) {
        let Some((a, d_shifted)) = record.split_at_mut_checked(d.len()) else { return };
        let kernels = with.0;
        let (width, texts) = (pack.width(), pack.texts());
        d_a.fill(R::ZERO);
        for ((tap, w), shifted) in weight.iter().enumerate().zip(d_shifted.chunks_exact_mut(d.len().max(1))) {
            // What a shift by j − r brings in, the shift by r − j takes back.
            let back = (T.saturating_sub(1).saturating_sub(tap), T >> 1);
            kernels.shift(d, back, shifted, width, &texts);
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
    pack.dropout_backward(kernels, d_y);
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
    /// A fan-in of 4·D for U makes the first logits small; 4 for a row of E and 50 for one of P or Q make symbols count first.
    /// Chosen by the score after 2,500 steps.
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "token", dimensions: &[V, D], parts: V, start: Start::Uniform(4) },
        Tensor { name: "position", dimensions: &[L, D], parts: 1, start: Start::Uniform(50) },
        Tensor { name: "from_end", dimensions: &[L, D], parts: 1, start: Start::Uniform(50) },
        Tensor { name: "weight", dimensions: &[N, T, D, D], parts: T * N, start: Start::Uniform(T * D) },
        Tensor { name: "bias", dimensions: &[N, D], parts: N, start: Start::Zeros },
        Tensor { name: "output", dimensions: &[V, D], parts: 1, start: Start::Uniform(4 * D) },
        Tensor { name: "output_bias", dimensions: &[V], parts: 1, start: Start::Zeros },
    ];
    const RECORD: usize = (Self::LAYERS + Self::REST).next_multiple_of(16);
    /// The logits, x, a, and a shifted.
    const MEMORY: usize = 3 * D * L + V * L;

    type View<'a, W: Copy + 'a> = ConvolutionView<'a, W, L, V, D, N, T>;

    fn view<W: Copy>(mut flat: &[W]) -> Option<Self::View<'_, W>> {
        const { assert!(!T.is_multiple_of(2), "as many taps before a position as after it") };
        const { assert!(L <= MOST_POSITIONS, "a byte numbers the rows of P and of Q") };
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
        let embedding = Embedding::of(parameters.token, parameters.position, parameters.from_end);
        for (pack, answers, record, losses) in with_records_mut(shard, answers, records, Self::RECORD, losses)
        {
            let (width, texts) = (pack.width(), pack.texts());
            let Some((layers, rest)) = record.split_at_mut_checked(Self::LAYERS) else { return };
            let Some(mut rest) = Self::record(rest, width) else { return };
            pack.embed(kernels, embedding, rest.x);
            let weights = || parameters.weight.iter().zip(parameters.bias);
            let records = layers.chunks_exact_mut(Self::LAYER);
            for (number, (layer, record)) in (0..).zip(weights().zip(records)) {
                let Some(a) = record.get_mut(..rest.x.len()) else { return };
                a.copy_from_slice(rest.x);
                kernels.activation_forward(activation, a);
                pack.dropout_forward(kernels, number, a);
                layer_forward(with, layer, &texts, a, rest.other, rest.x);
            }
            Self::head(with, &parameters, (pack, answers), &mut rest, losses);
            for ((weight, _), record) in weights().zip(layers.chunks_exact_mut(Self::LAYER)).rev() {
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
            let Some((layers, rest)) = record.split_at_checked(Self::LAYERS) else { return };
            let Some(rest) = Self::record(rest, width) else { return };
            let map = |layer, number| {
                let record = block(layers, layer, Self::LAYER)?;
                block(record, number, D.saturating_mul(width))
            };
            match tensor {
                0..3 => pack.embed_backward(kernels, (tensor, part), rest.other, out, D),
                3 => {
                    let (number, tap) = (part / T, part % T);
                    let (Some(a), Some(d)) = (map(number, 0), map(number, 1 + tap)) else { return };
                    // Nothing reads what the last layer puts out where nothing is scored.
                    let read = pack.positions(number + 1 < N);
                    let reads = |position: &usize| {
                        (position + T / 2).checked_sub(tap).is_some_and(|from| read.contains(&from))
                    };
                    let positions: heapless::Vec<_, L> = (0..width).filter(reads).collect();
                    kernels.product_backward_weight(&positions, d, a, out, width);
                }
                // The middle tap's gradient is not shifted.
                4 => kernels.add_bias_backward(map(part, 1 + T / 2).unwrap_or(&[]), out, width),
                5 => {
                    let scored = pack.positions(false);
                    let (d, last) = (rest.d_logits, rest.last);
                    kernels.product_backward_weight(&scored, d, last, out, width);
                }
                _ => kernels.add_bias_backward(rest.d_logits, out, width),
            }
        }
    }

    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(work: &mut AtWork<Self, W, K, L, V>) {
        let &mut AtWork { kernels, activation, parameters, ref shown, ref mut memory } = work;
        let (width, mut memory) = (width_of(shown.len(), L), &mut **memory);
        let mut part =
            |features: usize| memory.split_off_mut(..features.wrapping_mul(width)).unwrap_or_default();
        let (logits, x, a, shifted) = (part(V), part(D), part(D), part(D));
        x.fill(0.0);
        let embedding = Embedding::of(parameters.token, parameters.position, parameters.from_end);
        kernels.embed(embedding, shown, x, width, 0);
        let texts = [0; L];
        let texts = texts.get(..shown.len()).unwrap_or(&texts);
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

    fn scores<W: Stored<f32>, K: Kernels<f32>>(
        work: &AtWork<Self, W, K, L, V>,
        position: usize,
        out: &mut [Score; V],
    ) {
        to_scores_at(work.memory, width_of(work.shown.len(), L), position, out);
    }
}
