//! The bidirectional transformer.
//!
//! With x\[l\] the D features of position l of a text of n symbols: at first x\[l\] = P\[l\] + Q\[n − 1 − l\] + E\[x_l\]. A
//! masked position has no E\[x_l\] ([`embedding`](crate::embedding)). Then N blocks, each
//!
//! - x += W_oᵀ·attention(W_q·n, W_k·n, W_v·n), n = RMSNorm(x), with A heads of K features, A·K = D;
//! - x += W_downᵀ·GELU(Σ_j W_up,j·n\[l + j − r\]), n = RMSNorm(x), over the T = 2·r + 1 taps j = 0 … 2·r, where n is 0
//!   outside the text;
//!
//! and at last the logits z\[l\] = U·RMSNorm(x\[l\]). There are no biases. Attention reads all positions of the text,
//! without a causal mask. With one tap there are 4·D hidden units. With three taps there are 2·D, and each reads a letter
//! and its two neighbours; the number of weights is equal.
//!
//! Backward takes these formulas from the last to the first, each by the rules of its file: [`product`](crate::product),
//! [`normalisation`](crate::normalisation), [`gelu`](crate::gelu), [`attention`](crate::attention). Where x is added to, its
//! gradient is the sum over both ways. Taps are those of a [convolution](crate::convolution). With d the gradient of GELU's
//! input, 0 outside the text: ∂loss/∂W_up,j = Σ_l d\[l − j + r\]·n\[l\]ᵀ and ∂loss/∂n\[l\] = Σ_j W_up,jᵀ·d\[l − j + r\].
//!
//! In training, [dropout](crate::dropout) sets some of the inputs of W_o and W_down to 0.
//!
//! Activations lie with the positions innermost, `x[d][l]`, in *maps* of D features by W columns ([`width_of`]). The hidden
//! units are G = 8/(T + 1) groups of D, so a block has twelve matrices of D × D for every T. Taps are added to a group in
//! their order, and groups to x in theirs. W_o and W_down have a row for each input. Their gradients then transpose
//! ∂loss/∂x, which is smaller than their inputs.
//!
//! The transformer has (2·V + 2·L + 1)·D + N·(12·D² + 2·D) parameters: 202,560 for L 16, V 26, D 64, N 4.
//!
//! Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017; R. Xiong et al., "On Layer Normalization in the
//! Transformer Architecture", ICML 2020, for the place of the normalisation; Y. Ren et al., "FastSpeech: Fast, Robust and
//! Controllable Text to Speech", NeurIPS 2019, section 3.1, for the convolution in place of the MLP.

use crate::attention::Heads;
use crate::denoiser::{Architecture, AtWork, Example, Model, Part, Shape, Shard};
use crate::embedding::Embedding;
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::pack::{Pack, boundary, logits_at, with_records, with_records_mut};
use crate::product::{MOST_POSITIONS, Store, width_of};
use crate::softmax_of_maps::MOST_SYMBOLS;
use crate::tensor::Start::{Ones, Uniform};
use crate::tensor::{Flat, Tensor, block, cube, matrix, vector};
use crate::views::{hypercube, matrices};

/// Transformer over `L` positions and `V` symbols, with `N` blocks of `D` features and `A` heads. The heads share the
/// features: each has K = D/A. A block has, for each position, 4·D hidden units that read it (`T` = 1), or 2·D that
/// read it and its two neighbours (`T` = 3).
///
/// Does not compile with `L` above 64, `V` above 256, a `D` that `A` does not divide, or another `T`.
#[derive(Clone, Copy, Debug)]
pub struct Transformer<
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const A: usize,
    const T: usize = 1,
>;

/// References to the parameters of a [`Transformer`] with `N` blocks of `D` features, in memory or in a model file.
///
/// `W` is the type of a stored number: a float, or its four bytes in a file. The number of heads changes no size; that
/// of positions that a hidden unit reads changes the lengths of `up` and `down`.
#[derive(Clone, Copy, Debug)]
pub struct TransformerView<'a, W, const L: usize, const V: usize, const D: usize, const N: usize> {
    /// Features that each of the V symbols adds to its position, `[symbol][feature]`, D each: E in [the
    /// formulas](self).
    pub token: &'a [[W; D]; V],
    /// Features of each position, counted from the start of the text, `[position][feature]`, D each: P in [the
    /// formulas](self).
    pub position: &'a [[W; D]; L],
    /// Features of each position, counted back from the text's last letter, number 0, `[position][feature]`, D each: Q in [the
    /// formulas](self).
    pub from_end: &'a [[W; D]; L],
    /// Gain of each of the D features in the normalisation before a block's attention, for each of the N blocks.
    pub attention_gain: &'a [[W; D]; N],
    /// Matrices of queries, keys and values, `[block][matrix][output feature][input feature]`: W_q, W_k and W_v in [the
    /// formulas](self).
    ///
    /// Inputs are the D normalised features of a position. Outputs are the features of all heads, D together.
    pub query_key_value: &'a [[[[W; D]; D]; 3]; N],
    /// Weights from the output of all heads, D features, to the D features of a position,
    /// `[block][input feature][output feature]`: W_o in [the formulas](self).
    pub attention_output: &'a [[[W; D]; D]; N],
    /// Gain of each of the D features in the normalisation before a block's hidden units, for each of the N blocks.
    pub mlp_gain: &'a [[W; D]; N],
    /// Weights from the D normalised features to the hidden units of each block, as matrices `[hidden unit][feature]`
    /// of D × D: W_up in [the formulas](self).
    ///
    /// Each of the N blocks has an equal part of the matrices. Four are for 4·D hidden units that read one position. Six are
    /// for 2·D units that read three neighbours ([`Transformer`] has T for that). D units share a matrix for each position
    /// read. Their matrices follow each other from the left position to the right.
    pub up: &'a [[[W; D]; D]],
    /// Weights from the hidden units of each block to the D features, as matrices `[hidden unit][feature]` of D × D:
    /// W_down in [the formulas](self).
    ///
    /// A block has 4·D hidden units if each reads one position, or 2·D if each reads three: four matrices, or two. They
    /// are sorted by block, then by units.
    pub down: &'a [[[W; D]; D]],
    /// Gain of each of the D features in the normalisation before the logits.
    pub final_gain: &'a [W; D],
    /// Weights from the D features of a position to the logit of each symbol, `[symbol][feature]`: U in [the
    /// formulas](self).
    pub output: &'a [[W; D]; V],
}

/// Parameters of one block.
struct Block<'a, W, const D: usize> {
    /// Dropout's layer number of the heads' output. The hidden units have the next number.
    layer: usize,
    attention_gain: &'a [W; D],
    query_key_value: &'a [[[W; D]; D]; 3],
    attention_output: &'a [[W; D]; D],
    mlp_gain: &'a [W; D],
    up: &'a [[[W; D]; D]],
    down: &'a [[[W; D]; D]],
}

impl<'a, W: Copy, const L: usize, const V: usize, const D: usize, const N: usize>
    TransformerView<'a, W, L, V, D, N>
{
    /// The blocks in the order of the network.
    fn blocks(self) -> impl DoubleEndedIterator<Item = Block<'a, W, D>> + use<'a, W, L, V, D, N> {
        (0..N).filter_map(move |number| {
            let of_block = |all: &'a [_]| block(all, number, all.len().checked_div(N)?);
            Some(Block {
                layer: number.wrapping_mul(2),
                attention_gain: self.attention_gain.get(number)?,
                query_key_value: self.query_key_value.get(number)?,
                attention_output: self.attention_output.get(number)?,
                mlp_gain: self.mlp_gain.get(number)?,
                up: of_block(self.up)?,
                down: of_block(self.down)?,
            })
        })
    }
}

/// Computes `T` taps of the normalised x: each map of `y` is Σ_j W_j·shift_j(n), with n = RMSNorm(x).
///
/// `weights` has `T` matrices W_j for each map, one a tap. `normed` receives n. Taps shift within each of `texts`. With one
/// tap nothing shifts, and `shifted`, which is scratch, may be empty.
fn normed_products<R: Real, W: Stored<R>, K: Kernels<R>, const D: usize, const T: usize>(
    (kernels, texts, width): (K, &[u8], usize),
    (gain, weights): (&[W; D], &[[[W; D]; D]]),
    x: &[R],
    normed: &mut [R],
    shifted: &mut [R],
    y: &mut [R],
) {
    kernels.rms_norm_forward(gain, x, normed, width);
    let mut store = Store::Set;
    for tap in 0..T {
        let read = if T == 1 {
            &*normed
        } else {
            kernels.shift(normed, (tap, T >> 1), shifted, width, texts);
            &*shifted
        };
        for (w, y) in weights.iter().skip(tap).step_by(T).zip(y.chunks_exact_mut(normed.len().max(1))) {
            kernels.product(w.as_flattened(), read, y, width, store);
        }
        store = Store::Add;
    }
}

/// Adds to x for each matrix W of `weights`, in order: x += Wᵀ·y, with y the matrix's map of `y`.
fn add_products<R: Real, W: Stored<R>, K: Kernels<R>, const D: usize>(
    kernels: K,
    weights: &[[[W; D]; D]],
    y: &[R],
    x: &mut [R],
    width: usize,
) {
    for (w, y) in weights.iter().zip(y.chunks_exact(x.len().max(1))) {
        kernels.product_transposed(w.as_flattened(), y, x, width, Store::Add);
    }
}

/// Record of one block for a pack: maps, and groups of maps. Backward overwrites fields that it no longer needs:
///
/// | | after forward | after backward |
/// |---|---|---|
/// | `before` | x before the block | ∂loss/∂x between its halves, in transposed blocks |
/// | `normed_before` | the first normalisation, in transposed blocks | unchanged |
/// | `between` | x between the halves | ∂loss/∂x after the block, in transposed blocks |
/// | `normed_between` | the second normalisation, in transposed blocks | unchanged |
/// | `heads` | queries, keys, values and the heads' output | the first three become their gradients |
/// | `slopes` | the slopes of the hidden units | the gradients of GELU's input |
/// | `hidden` | the hidden units | unchanged |
/// | `d_shifted` | with several taps, the second normalisation shifted | for each group and tap j, d\[l − j + r\], with d the slopes' gradients |
struct BlockRecord<S> {
    before: S,
    normed_before: S,
    between: S,
    normed_between: S,
    heads: S,
    slopes: S,
    hidden: S,
    d_shifted: S,
    /// Gradients of the two gains.
    d_gains: [S; 2],
    /// Shares of each head's attention, `[A][W][W]`, which only backward reads.
    shares: S,
}

/// Record of a pack, without its blocks.
struct Record<S> {
    /// Forward: a normalisation. Backward: the gradient of a normalisation or of the heads. After backward: ∂loss/∂x of the
    /// embedding, `[W][D]`.
    d: S,
    /// The last normalisation, in transposed blocks.
    normed: S,
    d_gain: S,
    /// ∂loss/∂z, `[V][W]`.
    d_logits: S,
    /// Forward: x, at last the input of the last normalisation. Backward: ∂loss/∂x.
    x: S,
    /// Scratch of attention's backward pass, `[W][W]`.
    d_share: S,
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const A: usize, const T: usize>
    Transformer<L, V, D, N, A, T>
{
    /// K: features of a head.
    const FEATURES: usize = {
        assert!(D.is_multiple_of(A), "the heads share the width");
        D / A
    };
    /// G: groups of D hidden units.
    const GROUPS: usize = {
        assert!(T == 1 || T == 3, "a file knows transformers of one tap and of three");
        8 / (T + 1)
    };
    /// Matrices of W_up in a block.
    const UPS: usize = Self::GROUPS * T;
    /// Maps of shifted gradients in a block. With one tap nothing shifts.
    const SHIFTED: usize = if T == 1 { 0 } else { Self::UPS };
    const BLOCK: usize = (8 + 2 * Self::GROUPS + Self::SHIFTED) * D * L + 2 * D + A * L * L;
    const BLOCKS: usize = N * Self::BLOCK;
    const REST: usize = 3 * D * L + D + V * L + L * L;

    /// Splits `flat`, the record of one block, into its fields, for `width` columns.
    fn block_record<S: Flat>(mut flat: S, width: usize) -> Option<BlockRecord<S>> {
        let map = D.wrapping_mul(width);
        let maps = |count: usize| map.wrapping_mul(count);
        Some(BlockRecord {
            before: flat.take(map)?,
            normed_before: flat.take(map)?,
            between: flat.take(map)?,
            normed_between: flat.take(map)?,
            heads: flat.take(maps(4))?,
            slopes: flat.take(maps(Self::GROUPS))?,
            hidden: flat.take(maps(Self::GROUPS))?,
            d_shifted: flat.take(maps(Self::SHIFTED))?,
            d_gains: [flat.take(D)?, flat.take(D)?],
            shares: flat.take(A.wrapping_mul(width).wrapping_mul(width))?,
        })
    }

    /// Splits `flat`, a record without its blocks, into its fields, for `width` columns.
    fn record<S: Flat>(mut flat: S, width: usize) -> Option<Record<S>> {
        let map = D.wrapping_mul(width);
        Some(Record {
            d: flat.take(map)?,
            normed: flat.take(map)?,
            d_gain: flat.take(D)?,
            d_logits: flat.take(V.wrapping_mul(width))?,
            x: flat.take(map)?,
            d_share: flat.take(width.wrapping_mul(width))?,
        })
    }

    /// Runs x through one block. `normed` is scratch.
    fn block_forward<R: Real, C: Kernels<R>>(
        pack: Pack<R, C, L>,
        block: &Block<R, D>,
        record: BlockRecord<&mut [R]>,
        x: &mut [R],
        normed: &mut [R],
    ) {
        let BlockRecord { before, normed_before, between, normed_between, heads, .. } = record;
        let BlockRecord { slopes, hidden, d_shifted, shares, .. } = record;
        let (kernels, width, texts, layer) = (pack.kernels(), pack.width(), pack.texts(), block.layer);
        let context = (kernels, &*texts, width);
        before.copy_from_slice(x);
        let attention = (block.attention_gain, &block.query_key_value[..]);
        normed_products::<_, _, _, D, 1>(context, attention, x, normed, &mut [], heads);
        let Some([query, key, value, mixed]) = first_rows_mut(heads, x.len()) else { return };
        let sizes = Heads { features: Self::FEATURES, positions: width };
        kernels.attention_forward(sizes, &texts, [query, key, value], shares, mixed);
        pack.dropout_forward(layer, mixed);
        kernels.product_transposed(block.attention_output.as_flattened(), mixed, x, width, Store::Add);
        kernels.transpose_blocks(normed, normed_before, width);
        between.copy_from_slice(x);
        let shifted = d_shifted.get_mut(..x.len()).unwrap_or_default();
        normed_products::<_, _, _, D, T>(context, (block.mlp_gain, block.up), x, normed, shifted, hidden);
        kernels.transpose_blocks(normed, normed_between, width);
        kernels.gelu_forward_slope(hidden, slopes);
        pack.dropout_forward(layer | 1, hidden);
        pack.dropout_forward(layer | 1, slopes);
        add_products(kernels, block.down, hidden, x, width);
    }

    /// Turns `d_x`, the gradient of x after a block, into the gradient of x before the block. `d` is scratch.
    ///
    /// Forward was `x += W_oᵀ·attention(W_q·n, W_k·n, W_v·n); x += W_downᵀ·GELU(Σ_j W_up,j·shift_j(n))`, with n = RMSNorm(x)
    /// each time, and dropout of the inputs of W_o and W_down. The slopes of the hidden units include their dropout.
    fn block_backward<R: Real, C: Kernels<R>>(
        pack: Pack<R, C, L>,
        block: &Block<R, D>,
        record: BlockRecord<&mut [R]>,
        (d_x, d): (&mut [R], &mut [R]),
        d_share: &mut [R],
    ) {
        let BlockRecord { before, between, heads, slopes, d_shifted, .. } = record;
        let [d_attention_gain, d_mlp_gain] = record.d_gains;
        let (kernels, width, map) = (pack.kernels(), pack.width(), d_x.len());
        for (w, slope) in block.down.iter().zip(slopes.chunks_exact_mut(map.max(1))) {
            kernels.product(w.as_flattened(), d_x, slope, width, Store::Multiply);
        }
        let d_read = if T == 1 {
            &*slopes
        } else {
            let taps =
                slopes.chunks_exact(map.max(1)).flat_map(|slope| (0..T).rev().map(move |back| (slope, back)));
            for ((slope, back), shifted) in taps.zip(d_shifted.chunks_exact_mut(map.max(1))) {
                // The transpose of a shift by j − r is a shift by r − j.
                kernels.shift(slope, (back, T >> 1), shifted, width, &pack.texts());
            }
            &*d_shifted
        };
        d.fill(R::ZERO);
        add_products(kernels, block.up, d_read, d, width);
        kernels.rms_norm_backward(block.mlp_gain, between, d, d_mlp_gain, width);
        kernels.transpose_blocks(d_x, between, width);
        kernels.add_scaled(d_x, R::ONE, d);

        kernels.product(block.attention_output.as_flattened(), d_x, d, width, Store::Set);
        // Dropout is linear and diagonal, so forward is its own transpose.
        pack.dropout_forward(block.layer, d);
        let Some(inputs) = first_rows_mut(heads, map) else { return };
        let sizes = Heads { features: Self::FEATURES, positions: width };
        kernels.attention_backward(sizes, inputs, record.shares, d, d_share);
        d.fill(R::ZERO);
        add_products(kernels, block.query_key_value, heads, d, width);
        kernels.rms_norm_backward(block.attention_gain, before, d, d_attention_gain, width);
        kernels.transpose_blocks(d_x, before, width);
        kernels.add_scaled(d_x, R::ONE, d);
    }

    /// Computes logits, losses and gradient; turns `x` into ∂loss/∂x.
    fn head<R: Real, C: Kernels<R>>(
        pack: Pack<R, C, L>,
        parameters: &TransformerView<'_, R, L, V, D, N>,
        Record { x, d, normed, d_gain, d_logits, .. }: &mut Record<&mut [R]>,
        losses: &mut [R],
    ) {
        let (kernels, output, width) = (pack.kernels(), parameters.output.as_flattened(), pack.width());
        kernels.rms_norm_forward(parameters.final_gain, x, d, width);
        kernels.product(output, d, d_logits, width, Store::Set);
        kernels.transpose_blocks(d, normed, width);
        pack.cross_entropy(d_logits, losses);
        kernels.product_transposed(output, d_logits, d, width, Store::Set);
        kernels.rms_norm_backward(parameters.final_gain, x, d, d_gain, width);
        x.copy_from_slice(d);
    }
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const A: usize, const T: usize>
    Model<L, V> for Transformer<L, V, D, N, A, T>
{
    const SHAPE: Shape = Shape {
        architecture: if T == 1 { Architecture::Transformer } else { Architecture::LocalTransformer },
        positions: L,
        symbols: V,
        width: D,
        blocks: N,
        heads: A,
    };
    /// The 2·N matrices that add to x start with 2·N times their fan-in, so that all additions together have about the
    /// variance of one. E starts with fan-in 4, P and Q with 24, so that symbols count more than positions at first. All
    /// were chosen by the score after 2,500 steps.
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "token", dimensions: &[V, D], parts: V, start: Uniform(4) },
        Tensor { name: "position", dimensions: &[L, D], parts: 1, start: Uniform(24) },
        Tensor { name: "from_end", dimensions: &[L, D], parts: 1, start: Uniform(24) },
        Tensor { name: "attention_gain", dimensions: &[N, D], parts: N, start: Ones },
        Tensor { name: "query_key_value", dimensions: &[N, 3, D, D], parts: 3 * N, start: Uniform(D) },
        Tensor { name: "attention_output", dimensions: &[N, D, D], parts: N, start: Uniform(2 * N * D) },
        Tensor { name: "mlp_gain", dimensions: &[N, D], parts: N, start: Ones },
        Tensor { name: "up", dimensions: &[N, Self::UPS, D, D], parts: Self::UPS * N, start: Uniform(T * D) },
        Tensor {
            name: "down",
            dimensions: &[N, Self::GROUPS, D, D],
            parts: Self::GROUPS * N,
            start: Uniform(2 * Self::GROUPS * N * D),
        },
        Tensor { name: "final_gain", dimensions: &[D], parts: 1, start: Ones },
        Tensor { name: "output", dimensions: &[V, D], parts: 1, start: Uniform(D) },
    ];
    /// A whole number of cache lines, so that the rows of all records have equal alignment.
    const RECORD: usize = (Self::BLOCKS + Self::REST).next_multiple_of(16);
    /// The logits, x, a normalisation, a group of maps, and the shares.
    const MEMORY: usize = 6 * D * L + A * L * L + V * L;

    type View<'a, W: Copy + 'a> = TransformerView<'a, W, L, V, D, N>;

    fn view<W: Copy>(mut flat: &[W]) -> Option<Self::View<'_, W>> {
        const { assert!(L <= MOST_POSITIONS, "normalisation keeps numbers for so many positions") };
        const { assert!(V <= MOST_SYMBOLS, "cross-entropy keeps the logits of so many symbols") };
        let view = TransformerView {
            token: matrix(&mut flat)?,
            position: matrix(&mut flat)?,
            from_end: matrix(&mut flat)?,
            attention_gain: matrix(&mut flat)?,
            query_key_value: hypercube(&mut flat)?,
            attention_output: cube(&mut flat)?,
            mlp_gain: matrix(&mut flat)?,
            up: matrices(&mut flat, N.saturating_mul(Self::UPS))?,
            down: matrices(&mut flat, N.saturating_mul(Self::GROUPS))?,
            final_gain: vector(&mut flat)?,
            output: matrix(&mut flat)?,
        };
        flat.is_empty().then_some(view)
    }

    fn boundary(batch: &[Example<L>], row: usize) -> usize {
        boundary(batch, row)
    }

    /// Hidden units use GELU and ignore the shard's activation.
    fn forward_backward<R: Real, C: Kernels<R>>(
        shard: Shard<R, C, L>,
        parameters: Self::View<'_, R>,
        records: &mut [R],
        losses: &mut [R],
    ) {
        let embedding = Embedding::of(parameters.token, parameters.position, parameters.from_end);
        for (pack, record, losses) in with_records_mut(shard, records, Self::RECORD, losses) {
            let width = pack.width();
            let Some((blocks, rest)) = record.split_at_mut_checked(Self::BLOCKS) else { return };
            let Some(mut rest) = Self::record(rest, width) else { return };
            pack.embed(embedding, rest.x);
            for (block, record) in parameters.blocks().zip(blocks.chunks_exact_mut(Self::BLOCK)) {
                let Some(record) = Self::block_record(record, width) else { return };
                Self::block_forward(pack, &block, record, rest.x, rest.d);
            }
            Self::head(pack, &parameters, &mut rest, losses);
            let records = blocks.chunks_exact_mut(Self::BLOCK).rev();
            for (block, record) in parameters.blocks().rev().zip(records) {
                let Some(record) = Self::block_record(record, width) else { return };
                let d = (&mut *rest.x, &mut *rest.d);
                Self::block_backward(pack, &block, record, d, rest.d_share);
            }
            shard.kernels.transpose(rest.x, rest.d, width);
        }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "training; UPS and GROUPS are not 0")]
    fn gradient<R: Real, C: Kernels<R>>(shard: Shard<R, C, L>, part: Part, records: &[R], out: &mut [R]) {
        let (kernels, Part { tensor, index }) = (shard.kernels, part);
        let number = match tensor {
            4 => index / 3,
            7 => index / Self::UPS,
            8 => index / Self::GROUPS,
            _ => index,
        };
        // With one tap, the last block is read only at scored positions, apart from its keys and values. With several taps,
        // hidden units read neighbours too.
        let read = number < N.saturating_sub(1) || T > 1;
        for (pack, record) in with_records(shard, records, Self::RECORD) {
            let width = pack.width();
            let Some((blocks, rest)) = record.split_at_checked(Self::BLOCKS) else { return };
            let Some(rest) = Self::record(rest, width) else { return };
            let of_block =
                block(blocks, number, Self::BLOCK).and_then(|flat| Self::block_record(flat, width));
            let map = |group, part| block(group, part, D.saturating_mul(width)).unwrap_or(&[]);
            // Adds y·xᵀ over the scored positions, or over all, with x in transposed blocks.
            let weight = |everywhere: bool, y: &[R], x: &[R], out: &mut [R]| {
                kernels.product_backward_weight(&pack.positions(everywhere), y, x, out, width);
            };
            match (tensor, of_block) {
                (0..3, _) => pack.embed_backward(part, rest.d, out, D),
                (9, _) => kernels.add_scaled(out, R::ONE, rest.d_gain),
                (10, _) => weight(false, rest.d_logits, rest.normed, out),
                (_, None) => return,
                (3, Some(record)) => kernels.add_scaled(out, R::ONE, record.d_gains[0]),
                (4, Some(record)) => {
                    let read = read || !index.is_multiple_of(3);
                    weight(read, map(record.heads, index % 3), record.normed_before, out);
                }
                (5, Some(record)) => weight(read, map(record.heads, 3), record.before, out),
                (6, Some(record)) => kernels.add_scaled(out, R::ONE, record.d_gains[1]),
                (7, Some(record)) => {
                    let d_read = if T == 1 { record.slopes } else { record.d_shifted };
                    weight(read, map(d_read, index % Self::UPS), record.normed_between, out);
                }
                (_, Some(record)) => {
                    weight(read, map(record.hidden, index % Self::GROUPS), record.between, out);
                }
            }
        }
    }

    fn evaluate<W: Stored<f32>, C: Kernels<f32>>(work: &mut AtWork<Self, W, C, L, V>) {
        let &mut AtWork { kernels, parameters, ref shown, ref mut memory, .. } = work;
        let (width, mut memory) = (width_of(shown.len(), L), &mut **memory);
        let (heads, texts) = (Heads { features: Self::FEATURES, positions: width }, [0; L]);
        let texts = texts.get(..shown.len()).unwrap_or(&texts);
        let mut part =
            |features: usize| memory.split_off_mut(..features.wrapping_mul(width)).unwrap_or_default();
        let (logits, x, normed) = (part(V), part(D), part(D));
        let (group, shares) = (part(D.wrapping_mul(4)), part(A.wrapping_mul(width)));
        x.fill(0.0);
        let embedding = Embedding::of(parameters.token, parameters.position, parameters.from_end);
        kernels.embed(embedding, shown, x, width, 0);
        let context = (kernels, texts, width);
        for block in parameters.blocks() {
            let attention = (block.attention_gain, &block.query_key_value[..]);
            normed_products::<_, _, _, D, 1>(context, attention, x, normed, &mut [], group);
            let Some([query, key, value, mixed]) = first_rows_mut(group, x.len()) else { return };
            kernels.attention_forward(heads, texts, [query, key, value], shares, mixed);
            kernels.product_transposed(block.attention_output.as_flattened(), mixed, x, width, Store::Add);
            // With several taps, the hidden units leave room for the shifted map.
            let hidden = Self::GROUPS.wrapping_mul(x.len());
            let Some((hidden, shifted)) = group.split_at_mut_checked(hidden) else { return };
            let shifted = shifted.get_mut(..x.len()).unwrap_or_default();
            normed_products::<_, _, _, D, T>(context, (block.mlp_gain, block.up), x, normed, shifted, hidden);
            kernels.gelu_forward(hidden);
            add_products(kernels, block.down, hidden, x, width);
        }
        kernels.rms_norm_forward(parameters.final_gain, x, normed, width);
        kernels.product(parameters.output.as_flattened(), normed, logits, width, Store::Set);
    }

    fn logits<W: Stored<f32>, C: Kernels<f32>>(work: &AtWork<Self, W, C, L, V>, position: usize) -> [f32; V] {
        logits_at(work.memory, width_of(work.shown.len(), L), position)
    }
}

/// The first `N` mutable rows of `flat`, of `width` elements each; `None` if there are fewer.
#[inline(always)]
fn first_rows_mut<T, const N: usize>(mut flat: &mut [T], width: usize) -> Option<[&mut [T]; N]> {
    let mut rows = core::array::from_fn(|_| &mut [][..]);
    for row in &mut rows {
        (*row, flat) = flat.split_at_mut_checked(width)?;
    }
    Some(rows)
}
