//! The bidirectional transformer.
//!
//! With x\[l\] the D features of position l: first x\[l\] = E\[x_l\] + P\[l\], where a masked position has a row of its own
//! for E\[x_l\]. Then N blocks, each
//!
//! - x += W_oᵀ·attention(W_q·n, W_k·n, W_v·n), n = RMSNorm(x), with A heads of K features, A·K = D;
//! - x += W_downᵀ·GELU(W_up·n), n = RMSNorm(x), with 4·D hidden units;
//!
//! and last the logits z\[l\] = U·RMSNorm(x\[l\]). There are no biases. Attention reads all positions, PAD too, and
//! no causal mask hides any.
//!
//! Backward is the same list from the end, each line by the rules of its file: [`product`](crate::product),
//! [`normalisation`](crate::normalisation), [`activation`](crate::activation), [`attention`](crate::attention). Where x is
//! added to, its gradient is the sum of what comes back on both ways.
//!
//! While it trains, [dropout](crate::dropout) leaves out some of what W_o and W_down read.
//!
//! Activations lie with the positions innermost, `x[d][l]`. The 4·D hidden units are four groups of D, so that every
//! matrix of a block is D × D; what the groups add to x is added in their order. W_o and W_down are stored with a row for
//! each input, what that input adds to x, so that for their gradients ∂loss/∂x is transposed and not their inputs, of
//! which there are four times as many.
//!
//! It has (2·V + L + 2)·D + N·(12·D² + 2·D) parameters: 201,728 for L 16, V 27, D 64, N 4.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017; R. Xiong et al., "On Layer Normalization in the
//! Transformer Architecture", ICML 2020, for the place of the normalisation.

use core::ops::Range;

use crate::activation::{gelu_backward, gelu_forward, gelu_forward_slope};
use crate::attention::{attention_backward, attention_forward};
use crate::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores_at};
use crate::embedding::{Map, embed, embed_backward};
use crate::linear::add_scaled;
use crate::math::{Real, Stored};
use crate::normalisation::{rms_norm_backward, rms_norm_forward};
use crate::product::{
    Positions, product, product_backward_weight, product_transposed, transpose, transpose_blocks,
};
use crate::rng::Stream;
use crate::softmax::cross_entropies;
use crate::tensor::{
    Tensor, cube, cube_mut, hypercube, hypercube_mut, matrix, matrix_mut, vector, vector_mut,
};

/// A transformer over `L` positions and `V` symbols, with `N` blocks of width `D` and `A` heads of `K` features.
#[derive(Clone, Copy, Debug)]
pub struct Transformer<
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const A: usize,
    const K: usize,
>;

/// The parameters of a [`Transformer`], wherever they lie.
#[derive(Clone, Copy, Debug)]
pub struct TransformerView<'a, T, const L: usize, const V: usize, const D: usize, const N: usize> {
    /// E: the features of each symbol.
    pub token: &'a [[T; D]; V],
    /// E of a masked position.
    pub mask: &'a [T; D],
    /// P: the features of each position.
    pub position: &'a [[T; D]; L],
    /// The gain of each block's first normalisation.
    pub attention_gain: &'a [[T; D]; N],
    /// W_q, W_k and W_v of each block.
    pub query_key_value: &'a [[[[T; D]; D]; 3]; N],
    /// W_o of each block: what each feature of the heads adds to x.
    pub attention_output: &'a [[[T; D]; D]; N],
    /// The gain of each block's second normalisation.
    pub mlp_gain: &'a [[T; D]; N],
    /// W_up of each block: how each hidden unit, in groups of D, reads the normalised x.
    pub up: &'a [[[[T; D]; D]; 4]; N],
    /// W_down of each block: what each hidden unit adds to x.
    pub down: &'a [[[[T; D]; D]; 4]; N],
    /// The gain of the last normalisation.
    pub final_gain: &'a [T; D],
    /// U: how the features of a position score each symbol.
    pub output: &'a [[T; D]; V],
}

/// Four of them: queries, keys, values and what comes of them, or the hidden units.
type Group<R, const L: usize, const D: usize> = [Map<R, L, D>; 4];

/// The parameters of one block.
struct Block<'a, T, const D: usize> {
    attention_gain: &'a [T; D],
    query_key_value: &'a [[[T; D]; D]; 3],
    attention_output: &'a [[T; D]; D],
    mlp_gain: &'a [T; D],
    up: &'a [[[T; D]; D]; 4],
    down: &'a [[[T; D]; D]; 4],
}

impl<'a, T, const L: usize, const V: usize, const D: usize, const N: usize>
    TransformerView<'a, T, L, V, D, N>
{
    /// The blocks in the order of the network.
    #[inline(always)]
    fn blocks(
        &self,
    ) -> impl DoubleEndedIterator<Item = Block<'a, T, D>> + ExactSizeIterator + use<'a, T, L, V, D, N> {
        let attention = self.attention_gain.iter().zip(self.query_key_value).zip(self.attention_output);
        let mlp = self.mlp_gain.iter().zip(self.up).zip(self.down);
        attention.zip(mlp).map(
            |(((attention_gain, query_key_value), attention_output), ((mlp_gain, up), down))| Block {
                attention_gain,
                query_key_value,
                attention_output,
                mlp_gain,
                up,
                down,
            },
        )
    }
}

impl<W, const D: usize> Block<'_, W, D> {
    /// x += W_oᵀ·attention(W_q·n, W_k·n, W_v·n), n = RMSNorm(x).
    ///
    /// Leaves n in `normed`, the queries, keys, values and what the heads make of them in `heads`, and the shares of each
    /// head in `shares`. `drop` may leave out some of what the heads give.
    #[inline(always)]
    fn attend<R: Real, const K: usize, const L: usize>(
        &self,
        x: &mut Map<R, L, D>,
        normed: &mut Map<R, L, D>,
        heads: &mut Group<R, L, D>,
        shares: &mut [[[R; L]; L]],
        drop: impl FnOnce(&mut [R]),
    ) where
        W: Stored<R>,
    {
        rms_norm_forward(self.attention_gain, x, normed);
        for (w, y) in self.query_key_value.iter().zip(heads.iter_mut()) {
            product(w, normed, y, |_, sum| sum);
        }
        let [query, key, value, mixed] = heads;
        let inputs = query.as_chunks::<K>().0.iter().zip(key.as_chunks().0).zip(value.as_chunks().0);
        for (((query, key), value), (share, mixed)) in
            inputs.zip(shares.iter_mut().zip(mixed.as_chunks_mut().0))
        {
            attention_forward::<R, K, L>(query, key, value, share, mixed);
        }
        drop(mixed.as_flattened_mut());
        product_transposed(self.attention_output, mixed, x, |x, sum| x + sum);
    }

    /// `hidden` = W_up·n, n = RMSNorm(x), and leaves n in `normed`.
    #[inline(always)]
    fn expand<R: Real, const L: usize>(
        &self,
        x: &Map<R, L, D>,
        normed: &mut Map<R, L, D>,
        hidden: &mut Group<R, L, D>,
    ) where
        W: Stored<R>,
    {
        rms_norm_forward(self.mlp_gain, x, normed);
        for (w, y) in self.up.iter().zip(hidden) {
            product(w, normed, y, |_, sum| sum);
        }
    }

    /// x += W_downᵀ·`hidden`.
    #[inline(always)]
    fn contract<R: Real, const L: usize>(&self, hidden: &Group<R, L, D>, x: &mut Map<R, L, D>)
    where
        W: Stored<R>,
    {
        for (w, hidden) in self.down.iter().zip(hidden) {
            product_transposed(w, hidden, x, |x, sum| x + sum);
        }
    }
}

/// What one example leaves of one block. Backward overwrites what it no longer needs with what the gradient will:
///
/// | group | its maps after forward | after backward |
/// |---|---|---|
/// | 0 | x before the block | ∂loss/∂x between its halves, in transposed blocks |
/// | | the first normalisation, in transposed blocks | the same |
/// | | x between the halves | ∂loss/∂x after the block, in transposed blocks |
/// | | the second normalisation, in transposed blocks | the same |
/// | 1 | queries, keys, values | their gradients |
/// | | what the heads make of them | the same |
/// | 2 | the slopes of the hidden units | the gradients of what went into them |
/// | 3 | the hidden units | the same |
struct BlockRecord<'a, R, const L: usize, const D: usize> {
    groups: &'a [Group<R, L, D>; 4],
    /// Of both gains.
    d_gains: &'a [[R; D]; 2],
}

/// The same, to be written, and what only backward reads.
struct BlockRecordMut<'a, R, const L: usize, const D: usize, const A: usize> {
    groups: &'a mut [Group<R, L, D>; 4],
    d_gains: &'a mut [[R; D]; 2],
    /// What each head's softmax gave.
    shares: &'a mut [[[R; L]; L]; A],
}

/// What one example leaves besides its blocks.
struct Record<'a, R, const L: usize, const V: usize, const D: usize> {
    /// ∂loss/∂x of what the symbols and positions gave.
    d_embedding: &'a [[R; D]; L],
    /// The last normalisation, in transposed blocks.
    normed: &'a Map<R, L, D>,
    d_gain: &'a [R; D],
    d_logits: &'a [[R; L]; V],
}

/// The same, to be written, and what only backward reads.
struct RecordMut<'a, R, const L: usize, const V: usize, const D: usize> {
    /// Forward: x, which ends as the input of the last normalisation. Backward: its gradient.
    x: &'a mut Map<R, L, D>,
    /// Forward: a normalisation. Backward: its gradient, or that of a head; at last `d_embedding`.
    d: &'a mut Map<R, L, D>,
    normed: &'a mut Map<R, L, D>,
    d_gain: &'a mut [R; D],
    d_logits: &'a mut [[R; L]; V],
    d_share: &'a mut [[R; L]; L],
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const A: usize, const K: usize>
    Transformer<L, V, D, N, A, K>
{
    const BLOCK: usize = 16 * D * L + 2 * D + A * L * L;
    const BLOCKS: usize = N * Self::BLOCK;
    /// What dropout calls the values that it may leave out: two of each block.
    const LAYERS: Range<usize> = 0..2 * N;
    const REST: usize = 3 * D * L + D + V * L + L * L;

    /// What `record` holds of block number `block`.
    fn block_record<R>(record: &[R], block: usize) -> Option<BlockRecord<'_, R, L, D>> {
        let mut flat = record.chunks_exact(Self::BLOCK).nth(block)?;
        Some(BlockRecord { groups: hypercube(&mut flat)?, d_gains: matrix(&mut flat)? })
    }

    fn block_record_mut<R>(mut flat: &mut [R]) -> Option<BlockRecordMut<'_, R, L, D, A>> {
        Some(BlockRecordMut {
            groups: hypercube_mut(&mut flat)?,
            d_gains: matrix_mut(&mut flat)?,
            shares: cube_mut(&mut flat)?,
        })
    }

    /// What `record` holds besides its blocks.
    fn record<R>(record: &[R]) -> Option<Record<'_, R, L, V, D>> {
        let mut flat = record.get(Self::BLOCKS..)?;
        Some(Record {
            d_embedding: matrix(&mut flat)?,
            normed: matrix(&mut flat)?,
            d_gain: vector(&mut flat)?,
            d_logits: matrix(&mut flat)?,
        })
    }

    fn record_mut<R>(mut flat: &mut [R]) -> Option<RecordMut<'_, R, L, V, D>> {
        Some(RecordMut {
            d: matrix_mut(&mut flat)?,
            normed: matrix_mut(&mut flat)?,
            d_gain: vector_mut(&mut flat)?,
            d_logits: matrix_mut(&mut flat)?,
            x: matrix_mut(&mut flat)?,
            d_share: matrix_mut(&mut flat)?,
        })
    }

    /// x through one block; `normed` is used up. To dropout, what the heads give is `layer`, an even number, and the hidden
    /// units are the next.
    #[inline(always)]
    fn block_forward<R: Real>(
        block: &Block<R, D>,
        (example, layer): (&Example<L>, usize),
        record: BlockRecordMut<R, L, D, A>,
        x: &mut Map<R, L, D>,
        normed: &mut Map<R, L, D>,
    ) {
        let [[before, normed_before, between, normed_between], heads, slopes, hidden] = record.groups;
        *before = *x;
        block.attend::<R, K, L>(x, normed, heads, record.shares, |mixed| {
            example.dropout.forward(layer, mixed)
        });
        transpose_blocks(normed, normed_before);
        *between = *x;
        block.expand(x, normed, hidden);
        transpose_blocks(normed, normed_between);
        let flat_hidden = hidden.as_flattened_mut().as_flattened_mut();
        let flat_slopes = slopes.as_flattened_mut().as_flattened_mut();
        gelu_forward_slope(flat_hidden, flat_slopes);
        example.dropout.forward(layer | 1, flat_hidden);
        example.dropout.forward(layer | 1, flat_slopes);
        block.contract(hidden, x);
    }

    /// `d_x`, ∂loss/∂x after the block, becomes that before it; `d` is used up. Forward was
    /// `x += W_oᵀ·attention(W_q·n, W_k·n, W_v·n); x += W_downᵀ·GELU(W_up·n)`, with n = RMSNorm(x) each time, and dropout of
    /// what W_o and W_down read: that of the hidden units is in their slopes.
    #[inline(always)]
    fn block_backward<R: Real>(
        block: &Block<R, D>,
        (example, layer): (&Example<L>, usize),
        record: BlockRecordMut<R, L, D, A>,
        d_x: &mut Map<R, L, D>,
        d: &mut Map<R, L, D>,
        d_share: &mut [[R; L]; L],
    ) {
        let [[before, _, between, _], [query, key, value, _], slopes, _] = record.groups;
        let [d_attention_gain, d_mlp_gain] = record.d_gains;

        for (w, slope) in block.down.iter().zip(slopes.iter_mut()) {
            product(w, d_x, slope, gelu_backward);
        }
        transposed_sum(block.up.iter().zip(slopes.iter()), d);
        rms_norm_backward(block.mlp_gain, between, d, d_mlp_gain);
        transpose_blocks(d_x, between);
        add(d_x, d);

        product(block.attention_output, d_x, d, |_, sum| sum);
        // Linear and diagonal, it is its own transpose.
        example.dropout.forward(layer, d.as_flattened_mut());
        let queries = query.as_chunks_mut::<K>().0.iter_mut();
        let inputs = queries.zip(key.as_chunks_mut().0).zip(value.as_chunks_mut().0);
        for (((query, key), value), (share, d)) in
            inputs.zip(record.shares.iter_mut().zip(d.as_chunks_mut().0))
        {
            attention_backward::<R, K, L>(query, key, value, share, d, d_share);
        }
        transposed_sum(block.query_key_value.iter().zip([&*query, &*key, &*value]), d);
        rms_norm_backward(block.attention_gain, before, d, d_attention_gain);
        transpose_blocks(d_x, before);
        add(d_x, d);
    }

    /// Logits, loss and their gradient: `x` becomes ∂loss/∂x.
    #[inline(always)]
    fn head<R: Real>(
        parameters: &TransformerView<'_, R, L, V, D, N>,
        example: &Example<L>,
        symbols: usize,
        record: &mut RecordMut<R, L, V, D>,
    ) -> R {
        let logits = &mut *record.d_logits;
        rms_norm_forward(parameters.final_gain, record.x, record.d);
        product(parameters.output, record.d, logits, |_, sum| sum);
        transpose_blocks(record.d, record.normed);
        let loss = cross_entropies(&example.clean, &example.weights, symbols, logits);
        product_transposed(parameters.output, logits, record.d, |_, sum| sum);
        rms_norm_backward(parameters.final_gain, record.x, record.d, record.d_gain);
        *record.x = *record.d;
        loss
    }
}

/// d_x = Σ Wᵀ·d_y over the pairs (W, d_y), in their order.
#[inline(always)]
fn transposed_sum<'a, R: Real + 'a, const L: usize, const D: usize>(
    pairs: impl Iterator<Item = (&'a [[R; D]; D], &'a Map<R, L, D>)>,
    d_x: &mut Map<R, L, D>,
) {
    d_x.as_flattened_mut().fill(R::ZERO);
    for (w, d_y) in pairs {
        product_transposed(w, d_y, d_x, |d_x, sum| d_x + sum);
    }
}

/// y += x.
#[inline(always)]
fn add<R: Real, const L: usize, const D: usize>(y: &mut Map<R, L, D>, x: &Map<R, L, D>) {
    add_scaled(y.as_flattened_mut(), R::ONE, x.as_flattened());
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const A: usize, const K: usize>
    Model<L, V> for Transformer<L, V, D, N, A, K>
{
    const SHAPE: Shape = Shape {
        architecture: Architecture::Transformer,
        positions: L,
        symbols: V,
        width: D,
        blocks: N,
        heads: A,
    };
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "token", dimensions: &[V, D], parts: V },
        Tensor { name: "mask", dimensions: &[D], parts: 1 },
        Tensor { name: "position", dimensions: &[L, D], parts: 1 },
        Tensor { name: "attention_gain", dimensions: &[N, D], parts: N },
        Tensor { name: "query_key_value", dimensions: &[N, 3, D, D], parts: 3 * N },
        Tensor { name: "attention_output", dimensions: &[N, D, D], parts: N },
        Tensor { name: "mlp_gain", dimensions: &[N, D], parts: N },
        Tensor { name: "up", dimensions: &[N, 4, D, D], parts: 4 * N },
        Tensor { name: "down", dimensions: &[N, 4, D, D], parts: 4 * N },
        Tensor { name: "final_gain", dimensions: &[D], parts: 1 },
        Tensor { name: "output", dimensions: &[V, D], parts: 1 },
    ];
    /// A whole number of cache lines, so that the rows of all records lie alike.
    const RECORD: usize = (Self::BLOCKS + Self::REST).next_multiple_of(16);
    const MEMORY: usize = 6 * D * L + A * L * L + V * L;

    type View<'a, T: Copy + 'a> = TransformerView<'a, T, L, V, D, N>;
    type Denoiser<'a, W: Stored<f32> + 'a> = TransformerDenoiser<'a, W, L, V, D, N, A, K>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(A * K == D, "the heads share the width") };
        let view = TransformerView {
            token: matrix(&mut flat)?,
            mask: vector(&mut flat)?,
            position: matrix(&mut flat)?,
            attention_gain: matrix(&mut flat)?,
            query_key_value: hypercube(&mut flat)?,
            attention_output: cube(&mut flat)?,
            mlp_gain: matrix(&mut flat)?,
            up: hypercube(&mut flat)?,
            down: hypercube(&mut flat)?,
            final_gain: vector(&mut flat)?,
            output: matrix(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

    /// Matrices are uniform in ±√(3/fan-in), which keeps the variance of a sum of `fan-in` terms; the 2·N that add to x
    /// as if their fan-in were 2·N times as large, so that x ends with about the variance of all of them. Gains are 1.
    fn initialise(parameters: &mut [f32], stream: Stream) {
        let fan_ins = const { [1, 1, 1, 0, D, 2 * N * D, 0, D, 8 * N * D, 0, D] };
        initialise(Self::TENSORS, &fan_ins, parameters, stream);
        let mut rest = parameters;
        for (tensor, fan_in) in Self::TENSORS.iter().zip(fan_ins) {
            let Some((head, tail)) = rest.split_at_mut_checked(tensor.len()) else { return };
            rest = tail;
            if fan_in == 0 {
                head.fill(1.0);
            }
        }
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
            let Some((blocks, rest)) = record.split_at_mut_checked(Self::BLOCKS) else { return };
            let Some(mut rest) = Self::record_mut(rest) else { return };
            embed((parameters.token, parameters.mask, parameters.position), &example.noisy, rest.x);
            let layers = || Self::LAYERS.step_by(2).zip(parameters.blocks());
            for ((layer, block), record) in layers().zip(blocks.chunks_exact_mut(Self::BLOCK)) {
                let Some(record) = Self::block_record_mut(record) else { return };
                Self::block_forward(&block, (example, layer), record, rest.x, rest.d);
            }
            *loss = Self::head(&parameters, example, symbols, &mut rest);
            for ((layer, block), record) in layers().zip(blocks.chunks_exact_mut(Self::BLOCK)).rev() {
                let Some(record) = Self::block_record_mut(record) else { return };
                Self::block_backward(&block, (example, layer), record, rest.x, rest.d, rest.d_share);
            }
            transpose(rest.x, rest.d.as_flattened_mut().as_chunks_mut().0);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "training; a remainder by the length")]
    #[inline(always)]
    fn gradient<R: Real>(tensor: usize, part: usize, batch: &[Example<L>], records: &[R], mut out: &mut [R]) {
        out.fill(R::ZERO);
        let records = || records.chunks_exact(Self::RECORD);
        let all = || records().filter_map(Self::record);
        let block = |number: usize| records().filter_map(move |record| Self::block_record(record, number));
        match tensor {
            0 | 1 => {
                let shown = if tensor == 0 { u8::try_from(part).ok() } else { None };
                let maps = all().map(|record| record.d_embedding);
                batch.iter().zip(maps).for_each(|(example, d)| embed_backward(&example.noisy, d, shown, out));
            }
            2 => all().for_each(|record| add_scaled(out, R::ONE, record.d_embedding.as_flattened())),
            3 => block(part).for_each(|record| add_scaled(out, R::ONE, &record.d_gains[0])),
            6 => block(part).for_each(|record| add_scaled(out, R::ONE, &record.d_gains[1])),
            9 => all().for_each(|record| add_scaled(out, R::ONE, record.d_gain)),
            10 => {
                let Some(out) = matrix_mut(&mut out) else { return };
                for (example, record) in batch.iter().zip(all()) {
                    let scored = Positions::<L>::new(|position| example.is_scored(position));
                    product_backward_weight(scored.iter(), record.d_logits, record.normed, out);
                }
            }
            _ => {
                let Some(out) = matrix_mut(&mut out) else { return };
                let number = match tensor {
                    4 => part / 3,
                    5 => part,
                    _ => part / 4,
                };
                // In the last block nothing reads what is not scored, but for the keys and values.
                let everywhere = number < N.saturating_sub(1) || tensor == 4 && !part.is_multiple_of(3);
                for (example, record) in batch.iter().zip(block(number)) {
                    let [[d_between, before, d_after, between], heads, d_hidden, hidden] = record.groups;
                    // The pairs of maps (y, x) whose products y·xᵀ add up to the gradient; x in transposed blocks.
                    let (y, x) = match tensor {
                        4 => (&heads[part % 3], before),
                        5 => (&heads[3], d_between),
                        7 => (&d_hidden[part % 4], between),
                        _ => (&hidden[part % 4], d_after),
                    };
                    if everywhere {
                        product_backward_weight::<R, D, D, L>(0..L, y, x, out);
                    } else {
                        let scored = Positions::<L>::new(|position| example.is_scored(position));
                        product_backward_weight::<R, D, D, L>(scored.iter(), y, x, out);
                    }
                }
            }
        }
    }

    fn denoiser<'a, W: Stored<f32>>(
        parameters: Self::View<'a, W>,
        mut memory: &'a mut [f32],
    ) -> Option<Self::Denoiser<'a, W>> {
        Some(TransformerDenoiser {
            parameters,
            symbols: [None; L],
            x: matrix_mut(&mut memory)?,
            normed: matrix_mut(&mut memory)?,
            group: cube_mut(&mut memory)?,
            shares: cube_mut(&mut memory)?,
            logits: matrix_mut(&mut memory)?,
        })
    }
}

/// A [`Transformer`] at work: parameters, the text so far, and the logits of the last evaluation.
#[derive(Debug)]
pub struct TransformerDenoiser<
    'a,
    W,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const A: usize,
    const K: usize,
> {
    parameters: TransformerView<'a, W, L, V, D, N>,
    symbols: [Option<u8>; L],
    x: &'a mut Map<f32, L, D>,
    normed: &'a mut Map<f32, L, D>,
    group: &'a mut Group<f32, L, D>,
    shares: &'a mut [[[f32; L]; L]; A],
    logits: &'a mut [[f32; L]; V],
}

impl<
    W: Stored<f32>,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const A: usize,
    const K: usize,
> Denoiser<L, V> for TransformerDenoiser<'_, W, L, V, D, N, A, K>
{
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    #[inline(always)]
    fn evaluate(&mut self) {
        let Self { parameters, symbols, x, normed, group, shares, logits } = self;
        embed((parameters.token, parameters.mask, parameters.position), symbols, x);
        for block in parameters.blocks() {
            block.attend::<f32, K, L>(x, normed, group, *shares, |_| {});
            block.expand(x, normed, group);
            gelu_forward(group.as_flattened_mut().as_flattened_mut());
            block.contract(group, x);
        }
        rms_norm_forward(parameters.final_gain, x, normed);
        product(parameters.output, normed, logits, |_, sum| sum);
    }

    #[inline(always)]
    fn scores(&self, position: usize, out: &mut [Score; V]) {
        to_scores_at(self.logits, position, out);
    }
}
