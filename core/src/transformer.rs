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

use crate::activation::Activation;
use crate::attention::Heads;
use crate::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape, initialise, to_scores_at};
use crate::embedding::{Embedding, Map};
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::normalisation::MOST_POSITIONS;
use crate::product::{Positions, Store};
use crate::rng::Stream;
use crate::softmax::MOST_SYMBOLS;
use crate::tensor::{
    Tensor, cube, cube_mut, hypercube, hypercube_mut, matrix, matrix_mut, vector, vector_mut,
};

/// A transformer over `L` positions, at most 64, and `V` symbols, with `N` blocks of width `D` and `A` heads of `K` features.
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

/// Four maps: queries, keys, values and the heads' output; or the hidden units in four groups.
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
    /// E and P.
    fn embedding(&self) -> Embedding<'a, T> {
        Embedding {
            token: self.token.as_flattened(),
            mask: self.mask,
            position: self.position.as_flattened(),
        }
    }

    /// The blocks in the order of the network.
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
    /// Σ over the heads of attention(W_q·n, W_k·n, W_v·n), n = RMSNorm(x), with heads of `features` features.
    ///
    /// Leaves n in `normed`, the queries, keys, values and what the heads make of them in `heads`, and the shares of each
    /// head in `shares`.
    fn attend<R: Real, K: Kernels<R>, const L: usize>(
        &self,
        kernels: K,
        features: usize,
        x: &Map<R, L, D>,
        normed: &mut Map<R, L, D>,
        heads: &mut Group<R, L, D>,
        shares: &mut [R],
    ) where
        W: Stored<R>,
    {
        let normed = normed.as_flattened_mut();
        kernels.rms_norm_forward(self.attention_gain, x.as_flattened(), normed, L);
        for (w, y) in self.query_key_value.iter().zip(heads.iter_mut()) {
            kernels.product(w.as_flattened(), normed, y.as_flattened_mut(), L, Store::Set);
        }
        let [query, key, value, mixed] = heads;
        let inputs = [query.as_flattened(), key.as_flattened(), value.as_flattened()];
        kernels.attention_forward(Heads { features, positions: L }, inputs, shares, mixed.as_flattened_mut());
    }

    /// x += W_oᵀ·`mixed`, what the heads gave.
    fn attended<R: Real, K: Kernels<R>, const L: usize>(
        &self,
        kernels: K,
        mixed: &Map<R, L, D>,
        x: &mut Map<R, L, D>,
    ) where
        W: Stored<R>,
    {
        let w = self.attention_output.as_flattened();
        kernels.product_transposed(w, mixed.as_flattened(), x.as_flattened_mut(), L, Store::Add);
    }

    /// `hidden` = W_up·n, n = RMSNorm(x), and leaves n in `normed`.
    fn expand<R: Real, K: Kernels<R>, const L: usize>(
        &self,
        kernels: K,
        x: &Map<R, L, D>,
        normed: &mut Map<R, L, D>,
        hidden: &mut Group<R, L, D>,
    ) where
        W: Stored<R>,
    {
        let normed = normed.as_flattened_mut();
        kernels.rms_norm_forward(self.mlp_gain, x.as_flattened(), normed, L);
        for (w, y) in self.up.iter().zip(hidden) {
            kernels.product(w.as_flattened(), normed, y.as_flattened_mut(), L, Store::Set);
        }
    }

    /// x += W_downᵀ·`hidden`.
    fn contract<R: Real, K: Kernels<R>, const L: usize>(
        &self,
        kernels: K,
        hidden: &Group<R, L, D>,
        x: &mut Map<R, L, D>,
    ) where
        W: Stored<R>,
    {
        for (w, hidden) in self.down.iter().zip(hidden) {
            let (w, x) = (w.as_flattened(), x.as_flattened_mut());
            kernels.product_transposed(w, hidden.as_flattened(), x, L, Store::Add);
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
    fn block_forward<R: Real, C: Kernels<R>>(
        kernels: C,
        block: &Block<R, D>,
        (example, layer): (&Example<L>, usize),
        record: BlockRecordMut<R, L, D, A>,
        x: &mut Map<R, L, D>,
        normed: &mut Map<R, L, D>,
    ) {
        let [[before, normed_before, between, normed_between], heads, slopes, hidden] = record.groups;
        let shares = record.shares.as_flattened_mut().as_flattened_mut();
        *before = *x;
        block.attend(kernels, K, x, normed, heads, shares);
        let [.., mixed] = heads;
        kernels.dropout_forward(example.dropout, layer, mixed.as_flattened_mut());
        block.attended(kernels, mixed, x);
        kernels.transpose_blocks(normed.as_flattened(), normed_before.as_flattened_mut(), L);
        *between = *x;
        block.expand(kernels, x, normed, hidden);
        kernels.transpose_blocks(normed.as_flattened(), normed_between.as_flattened_mut(), L);
        let flat_hidden = hidden.as_flattened_mut().as_flattened_mut();
        let flat_slopes = slopes.as_flattened_mut().as_flattened_mut();
        kernels.gelu_forward_slope(flat_hidden, flat_slopes);
        kernels.dropout_forward(example.dropout, layer | 1, flat_hidden);
        kernels.dropout_forward(example.dropout, layer | 1, flat_slopes);
        block.contract(kernels, hidden, x);
    }

    /// `d_x`, ∂loss/∂x after the block, becomes that before it; `d` is used up. Forward was
    /// `x += W_oᵀ·attention(W_q·n, W_k·n, W_v·n); x += W_downᵀ·GELU(W_up·n)`, with n = RMSNorm(x) each time, and dropout of
    /// what W_o and W_down read: that of the hidden units is in their slopes.
    fn block_backward<R: Real, C: Kernels<R>>(
        kernels: C,
        block: &Block<R, D>,
        (example, layer): (&Example<L>, usize),
        record: BlockRecordMut<R, L, D, A>,
        (d_x, d): (&mut Map<R, L, D>, &mut Map<R, L, D>),
        d_share: &mut [[R; L]; L],
    ) {
        let [[before, _, between, _], [query, key, value, _], slopes, _] = record.groups;
        let [d_attention_gain, d_mlp_gain] = record.d_gains;
        let (d_x, d) = (d_x.as_flattened_mut(), d.as_flattened_mut());

        for (w, slope) in block.down.iter().zip(slopes.iter_mut()) {
            kernels.product(w.as_flattened(), d_x, slope.as_flattened_mut(), L, Store::Multiply);
        }
        d.fill(R::ZERO);
        for (w, slope) in block.up.iter().zip(slopes.iter()) {
            kernels.product_transposed(w.as_flattened(), slope.as_flattened(), d, L, Store::Add);
        }
        kernels.rms_norm_backward(block.mlp_gain, between.as_flattened(), d, d_mlp_gain, L);
        kernels.transpose_blocks(d_x, between.as_flattened_mut(), L);
        kernels.add_scaled(d_x, R::ONE, d);

        kernels.product(block.attention_output.as_flattened(), d_x, d, L, Store::Set);
        // Linear and diagonal, it is its own transpose.
        kernels.dropout_forward(example.dropout, layer, d);
        let maps = [query.as_flattened_mut(), key.as_flattened_mut(), value.as_flattened_mut()];
        let shares = record.shares.as_flattened_mut().as_flattened_mut();
        let heads = Heads { features: K, positions: L };
        kernels.attention_backward(heads, maps, shares, d, d_share.as_flattened_mut());
        d.fill(R::ZERO);
        for (w, map) in block.query_key_value.iter().zip([&*query, &*key, &*value]) {
            kernels.product_transposed(w.as_flattened(), map.as_flattened(), d, L, Store::Add);
        }
        kernels.rms_norm_backward(block.attention_gain, before.as_flattened(), d, d_attention_gain, L);
        kernels.transpose_blocks(d_x, before.as_flattened_mut(), L);
        kernels.add_scaled(d_x, R::ONE, d);
    }

    /// Logits, loss and their gradient: `x` becomes ∂loss/∂x.
    fn head<R: Real, C: Kernels<R>>(
        kernels: C,
        parameters: &TransformerView<'_, R, L, V, D, N>,
        example: &Example<L>,
        symbols: usize,
        record: &mut RecordMut<R, L, V, D>,
    ) -> R {
        let (x, d) = (record.x.as_flattened_mut(), record.d.as_flattened_mut());
        let (output, logits) = (parameters.output.as_flattened(), record.d_logits.as_flattened_mut());
        kernels.rms_norm_forward(parameters.final_gain, x, d, L);
        kernels.product(output, d, logits, L, Store::Set);
        kernels.transpose_blocks(d, record.normed.as_flattened_mut(), L);
        let loss = kernels.cross_entropy_of_positions(&example.clean, &example.weights, symbols, logits);
        kernels.product_transposed(output, logits, d, L, Store::Set);
        kernels.rms_norm_backward(parameters.final_gain, x, d, record.d_gain, L);
        x.copy_from_slice(d);
        loss
    }
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
    type Denoiser<'a, W: Stored<f32> + 'a, C: Kernels<f32> + 'a> =
        TransformerDenoiser<'a, W, C, L, V, D, N, A, K>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(A * K == D, "the heads share the width") };
        const { assert!(L <= MOST_POSITIONS, "normalisation keeps numbers for so many positions") };
        const { assert!(V <= MOST_SYMBOLS, "cross-entropy keeps the logits of so many symbols") };
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

    /// The hidden units pass through GELU, whatever the activation.
    fn forward_backward<R: Real, C: Kernels<R>>(
        kernels: C,
        _activation: Activation,
        parameters: Self::View<'_, R>,
        shard: &[Example<L>],
        symbols: usize,
        records: &mut [R],
        losses: &mut [R],
    ) {
        for ((example, record), loss) in shard.iter().zip(records.chunks_exact_mut(Self::RECORD)).zip(losses)
        {
            let Some((blocks, rest)) = record.split_at_mut_checked(Self::BLOCKS) else { return };
            let Some(mut rest) = Self::record_mut(rest) else { return };
            kernels.embed(parameters.embedding(), &example.noisy, rest.x.as_flattened_mut());
            let layers = || Self::LAYERS.step_by(2).zip(parameters.blocks());
            for ((layer, block), record) in layers().zip(blocks.chunks_exact_mut(Self::BLOCK)) {
                let Some(record) = Self::block_record_mut(record) else { return };
                Self::block_forward(kernels, &block, (example, layer), record, rest.x, rest.d);
            }
            *loss = Self::head(kernels, &parameters, example, symbols, &mut rest);
            for ((layer, block), record) in layers().zip(blocks.chunks_exact_mut(Self::BLOCK)).rev() {
                let Some(record) = Self::block_record_mut(record) else { return };
                let d = (&mut *rest.x, &mut *rest.d);
                Self::block_backward(kernels, &block, (example, layer), record, d, rest.d_share);
            }
            kernels.transpose(rest.x.as_flattened(), rest.d.as_flattened_mut(), L);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "training; a remainder by the length")]
    fn gradient<R: Real, C: Kernels<R>>(
        kernels: C,
        tensor: usize,
        part: usize,
        shard: &[Example<L>],
        records: &[R],
        out: &mut [R],
    ) {
        let records = || records.chunks_exact(Self::RECORD);
        let all = || records().filter_map(Self::record);
        let block = |number: usize| records().filter_map(move |record| Self::block_record(record, number));
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
            3 => block(part).for_each(|record| kernels.add_scaled(out, R::ONE, &record.d_gains[0])),
            6 => block(part).for_each(|record| kernels.add_scaled(out, R::ONE, &record.d_gains[1])),
            9 => all().for_each(|record| kernels.add_scaled(out, R::ONE, record.d_gain)),
            10 => {
                for (example, record) in shard.iter().zip(all()) {
                    let scored = Positions::<L>::new(|position| example.is_scored(position));
                    let (d, normed) = (record.d_logits.as_flattened(), record.normed.as_flattened());
                    kernels.product_backward_weight(scored.as_slice(), d, normed, out, L);
                }
            }
            _ => {
                let number = match tensor {
                    4 => part / 3,
                    5 => part,
                    _ => part / 4,
                };
                // In the last block nothing reads what is not scored, but for the keys and values.
                let everywhere = number < N.saturating_sub(1) || tensor == 4 && !part.is_multiple_of(3);
                for (example, record) in shard.iter().zip(block(number)) {
                    let [[d_between, before, d_after, between], heads, d_hidden, hidden] = record.groups;
                    // The pairs of maps (y, x) whose products y·xᵀ add up to the gradient; x in transposed blocks.
                    let (y, x) = match tensor {
                        4 => (&heads[part % 3], before),
                        5 => (&heads[3], d_between),
                        7 => (&d_hidden[part % 4], between),
                        _ => (&hidden[part % 4], d_after),
                    };
                    let positions = Positions::<L>::new(|position| everywhere || example.is_scored(position));
                    let (y, x) = (y.as_flattened(), x.as_flattened());
                    kernels.product_backward_weight(positions.as_slice(), y, x, out, L);
                }
            }
        }
    }

    fn denoiser<'a: 'm, 'm, W: Stored<f32> + 'a, C: Kernels<f32> + 'm>(
        kernels: C,
        _activation: Activation,
        parameters: Self::View<'a, W>,
        mut memory: &'m mut [f32],
    ) -> Option<Self::Denoiser<'m, W, C>> {
        Some(TransformerDenoiser {
            kernels,
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
    C,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const A: usize,
    const K: usize,
> {
    kernels: C,
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
    C: Kernels<f32>,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const A: usize,
    const K: usize,
> Denoiser<L, V> for TransformerDenoiser<'_, W, C, L, V, D, N, A, K>
{
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position) {
            *slot = symbol;
        }
    }

    fn evaluate(&mut self) {
        let Self { kernels, parameters, symbols, x, normed, group, shares, logits } = self;
        let kernels = *kernels;
        kernels.embed(parameters.embedding(), symbols, x.as_flattened_mut());
        for block in parameters.blocks() {
            block.attend(kernels, K, x, normed, group, shares.as_flattened_mut().as_flattened_mut());
            let [.., mixed] = &**group;
            block.attended(kernels, mixed, x);
            block.expand(kernels, x, normed, group);
            kernels.gelu_forward(group.as_flattened_mut().as_flattened_mut());
            block.contract(kernels, group, x);
        }
        let normed = normed.as_flattened_mut();
        kernels.rms_norm_forward(parameters.final_gain, x.as_flattened(), normed, L);
        kernels.product(parameters.output.as_flattened(), normed, logits.as_flattened_mut(), L, Store::Set);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        to_scores_at(self.logits, position, out);
    }
}
