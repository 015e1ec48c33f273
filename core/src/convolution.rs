//! The residual convolution: few weights, used at every position.
//!
//! With x\[l\] the D features of position l of a text of n symbols: at first x\[l\] = P\[l\] + Q\[n − 1 − l\] + E\[x_l\]. A
//! masked position has no E\[x_l\] ([`embedding`](crate::embedding)). Then N layers, each
//!
//! - x\[l\] += b + Σ_j W_j·a\[l + j − r\], a = max(0, x), over the T = 2·r + 1 taps j = 0 … 2·r, where a is 0 outside the
//!   text;
//!
//! and at last the logits z\[l\] = c + U·max(0, x\[l\]). E is `token`, P `position`, Q `from_end`, W `weight`, b `bias`, U
//! `output` and c `output_bias`. A position reads N·r positions to either side.
//!
//! Backward, from the end: ∂loss/∂a = Uᵀ·d_z, set to 0 where x ≤ 0. For a layer, let d be the gradient of its output, 0
//! outside the text. Then d_b = Σ_l d\[l\] and d_W_j = Σ_l d\[l\]·a\[l + j − r\]ᵀ = Σ_l d\[l − j + r\]·a\[l\]ᵀ.
//! ∂loss/∂a\[l\] = Σ_j W_jᵀ·d\[l − j + r\]; set to 0 where x ≤ 0, it is added to d, since the layer also passes x on.
//!
//! In training, [dropout](crate::dropout) sets some of a, and of the input of U, to 0.
//!
//! Activations lie with the positions innermost, `x[d][l]`, in *maps* of D features by W columns ([`width_of`]). Products
//! have the sums of [`product`](crate::product). A layer adds them to x + b in the order of j. Other sums over positions run
//! in ascending order.
//!
//! The convolution has 2·(V + L)·D + N·(T·D² + D) + V parameters: 12,428 for L 16, V 26, D 26, N 3, T 5.
//!
//! Source: K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, figure 4 (e), for the order of the parts.

use crate::activation::Activation;
use crate::denoiser::{Architecture, AtWork, Example, Model, Part, Shape, Shard};
use crate::embedding::Embedding;
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::pack::{Pack, boundary, logits_at, with_records, with_records_mut};
use crate::product::{MOST_POSITIONS, Store, width_of};
use crate::softmax_of_maps::MOST_SYMBOLS;
use crate::tensor::{Flat, Start, Tensor, block, matrix, vector};
use crate::views::hypercube;

/// Residual convolution over `L` positions and `V` symbols: `N` layers of `D` features. Each layer reads `T`
/// neighbouring positions (taps), the position itself in the middle; a tap outside the text reads 0.
///
/// Does not compile with an even `T`, with `L` above 64, or with `V` above 256.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>;

/// References to the parameters of a [`Convolution`] in memory or in a model file. Each of its `N` layers of `D`
/// features reads `T` neighbouring positions (taps).
///
/// `W` is the type of a stored number: a float, or its four bytes in a file.
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
    /// Features that each of the V symbols adds to its position, `[symbol][feature]`, D each: E in [the
    /// formulas](self).
    pub token: &'a [[W; D]; V],
    /// Features of each position, counted from the start of the text, `[position][feature]`, D each: P in [the
    /// formulas](self).
    pub position: &'a [[W; D]; L],
    /// Features of each position, counted back from the text's last letter, number 0, `[position][feature]`, D each: Q in [the
    /// formulas](self).
    pub from_end: &'a [[W; D]; L],
    /// Weights of the layers, `[layer][tap][output feature][input feature]`. For position l, tap j of the T taps reads
    /// the neighbour l + j − (T − 1)/2: tap 0 the leftmost, the middle tap the position itself. Spacing is 1 in all
    /// layers.
    pub weight: &'a [[[[W; D]; D]; T]; N],
    /// Bias of each of the D features, for each of the N layers, `[layer][feature]`: b in [the formulas](self).
    pub bias: &'a [[W; D]; N],
    /// Weights from the D features of a position to the logit of each symbol, `[symbol][feature]`: U in [the
    /// formulas](self).
    pub output: &'a [[W; D]; V],
    /// Bias of the logit of each symbol: c in [the formulas](self).
    pub output_bias: &'a [W; V],
}

/// Record of a pack, without its layers.
struct Record<S> {
    /// Forward: a shifted. Backward: ∂loss/∂a. After backward: ∂loss/∂x of the embedding, `[W][D]`.
    other: S,
    /// max(0, x) of the last x, in transposed blocks.
    last: S,
    /// ∂loss/∂z, `[V][W]`.
    d_logits: S,
    /// Forward: x. Backward: ∂loss/∂x.
    x: S,
}

/// Adds a layer to `x`: x += b + Σ_j W_j·shift_j(a), shifted within each of `texts`, then [`Activation::hold`].
///
/// `shifted` is scratch.
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

/// Computes the logits z\[l\] = c + U·a\[l\].
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
    /// Length of the record of one layer: the map a, and for each tap j a map of d\[l − j + r\], the shifted gradient of the
    /// layer's output. Backward turns a into transposed blocks.
    const LAYER: usize = (1 + T) * D * L;
    const LAYERS: usize = N * Self::LAYER;
    const REST: usize = 3 * D * L + V * L;

    /// Splits `flat`, a record without its layers, into its fields, for `width` columns.
    fn record<S: Flat>(mut flat: S, width: usize) -> Option<Record<S>> {
        let map = D.wrapping_mul(width);
        Some(Record {
            other: flat.take(map)?,
            last: flat.take(map)?,
            d_logits: flat.take(V.wrapping_mul(width))?,
            x: flat.take(map)?,
        })
    }

    /// Computes logits, losses and gradient; turns `x` into ∂loss/∂x.
    fn head<R: Real, K: Kernels<R>>(
        pack: Pack<R, K, L>,
        parameters: &ConvolutionView<'_, R, L, V, D, N, T>,
        Record { other, last, d_logits, x }: &mut Record<&mut [R]>,
        losses: &mut [R],
    ) {
        let (kernels, width) = (pack.kernels(), pack.width());
        other.copy_from_slice(x);
        pack.activate(N, other);
        kernels.transpose_blocks(other, last, width);
        output_forward(kernels, (parameters.output, parameters.output_bias), other, d_logits);
        pack.cross_entropy(d_logits, losses);
        kernels.product_transposed(parameters.output.as_flattened(), d_logits, x, width, Store::Set);
        pack.activate_backward(false, other, x);
    }

    /// Turns `d`, the gradient of x after a layer, into the gradient of x before the layer. `d_a` is scratch.
    ///
    /// Forward was `x += b + Σ_j W_j·shift_j(a)`, with a = max(0, x) after dropout.
    fn layer_backward<R: Real, K: Kernels<R>>(
        pack: Pack<R, K, L>,
        weight: &[[[R; D]; D]; T],
        record: &mut [R],
        d: &mut [R],
        d_a: &mut [R],
    ) {
        let Some((a, d_shifted)) = record.split_at_mut_checked(d.len()) else { return };
        let (kernels, width, texts) = (pack.kernels(), pack.width(), pack.texts());
        d_a.fill(R::ZERO);
        for ((tap, w), shifted) in weight.iter().enumerate().zip(d_shifted.chunks_exact_mut(d.len().max(1))) {
            // The transpose of a shift by j − r is a shift by r − j.
            let back = (T.saturating_sub(1).saturating_sub(tap), T >> 1);
            kernels.shift(d, back, shifted, width, &texts);
            kernels.product_transposed(w.as_flattened(), shifted, d_a, width, Store::Add);
        }
        pack.activate_backward(true, a, d_a);
        kernels.add_scaled(d, R::ONE, d_a);
        d_a.copy_from_slice(a);
        kernels.transpose_blocks(d_a, a, width);
    }
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
    /// A fan-in of 4·D for U makes the first logits small. A fan-in of 4 for E and 50 for P and Q makes symbols count first.
    /// Both were chosen by the score after 2,500 steps.
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
        shard: Shard<R, K, L>,
        parameters: Self::View<'_, R>,
        records: &mut [R],
        losses: &mut [R],
    ) {
        let with = (shard.kernels, shard.activation);
        let embedding = Embedding::of(parameters.token, parameters.position, parameters.from_end);
        for (pack, record, losses) in with_records_mut(shard, records, Self::RECORD, losses) {
            let (width, texts) = (pack.width(), pack.texts());
            let Some((layers, rest)) = record.split_at_mut_checked(Self::LAYERS) else { return };
            let Some(mut rest) = Self::record(rest, width) else { return };
            pack.embed(embedding, rest.x);
            let weights = || parameters.weight.iter().zip(parameters.bias);
            let records = layers.chunks_exact_mut(Self::LAYER);
            for (number, (layer, record)) in (0..).zip(weights().zip(records)) {
                let Some(a) = record.get_mut(..rest.x.len()) else { return };
                a.copy_from_slice(rest.x);
                pack.activate(number, a);
                layer_forward(with, layer, &texts, a, rest.other, rest.x);
            }
            Self::head(pack, &parameters, &mut rest, losses);
            for ((weight, _), record) in weights().zip(layers.chunks_exact_mut(Self::LAYER)).rev() {
                Self::layer_backward(pack, weight, record, rest.x, rest.other);
            }
            shard.kernels.transpose(rest.x, rest.other, width);
        }
    }

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "training; the part of a tensor with N or T·N parts, T odd"
    )]
    fn gradient<R: Real, K: Kernels<R>>(shard: Shard<R, K, L>, part: Part, records: &[R], out: &mut [R]) {
        let kernels = shard.kernels;
        for (pack, record) in with_records(shard, records, Self::RECORD) {
            let width = pack.width();
            let Some((layers, rest)) = record.split_at_checked(Self::LAYERS) else { return };
            let Some(rest) = Self::record(rest, width) else { return };
            let map = |layer, number| {
                let record = block(layers, layer, Self::LAYER)?;
                block(record, number, D.saturating_mul(width))
            };
            match part.tensor {
                0..3 => pack.embed_backward(part, rest.other, out, D),
                3 => {
                    let (number, tap) = (part.index / T, part.index % T);
                    let (Some(a), Some(d)) = (map(number, 0), map(number, 1 + tap)) else { return };
                    // The output of the last layer is read only at scored positions.
                    let read = pack.positions(number + 1 < N);
                    let reads = |position: &usize| {
                        (position + T / 2).checked_sub(tap).is_some_and(|from| read.contains(&from))
                    };
                    let positions: heapless::Vec<_, L> = (0..width).filter(reads).collect();
                    kernels.product_backward_weight(&positions, d, a, out, width);
                }
                // The middle tap's gradient is not shifted.
                4 => kernels.add_bias_backward(map(part.index, 1 + T / 2).unwrap_or(&[]), out, width),
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
        // Both are D·W long, which the compiler does not know: `copy_from_slice` would link a panic.
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

    fn logits<W: Stored<f32>, K: Kernels<f32>>(work: &AtWork<Self, W, K, L, V>, position: usize) -> [f32; V] {
        logits_at(work.memory, width_of(work.shown.len(), L), position)
    }
}
