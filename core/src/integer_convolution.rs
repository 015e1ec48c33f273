//! The residual convolution in integers: 8-bit or 4-bit weights, and no float.
//!
//! The arithmetic is that of [`integer_mlp`](crate::integer_mlp). A position's features, the residual stream x, are 16-bit
//! numbers in units of 2⁻ˢ, S = 10. Exponents are e of the embedding, a of the activations, u of the weights, o of the output
//! table and c of the output bias. E, P, Q, W, b, U and c_v are the integers of the tensors, r = (T − 1)/2, and ⌊·⌋ a shift
//! right:
//!
//! ```text
//! x_d[l]  = (E[x_l]_d + P[l]_d + Q[n − 1 − l]_d)·2^(S − e)             in units of 2⁻ˢ, a mask without E
//! a_i[l]  = min(max(⌊x_i[l]·2^(a − S) + ½⌋, 0), A), 0 outside the text   in units of 2⁻ᵃ
//! x_d[l] += b_d + ⌊2^(S − u − a)·Σ_j Σ_i W_j[i]_d·a_i[l + j − r] + ½⌋    for each layer, within −2¹⁵ … 2¹⁵ − 1
//! score_v = 2^(16 − a − o)·Σ_d U[d]_v·a_d + 2^(16 − c)·c_v          in units of 2⁻¹⁶, a [`Score`]
//! ```
//!
//! Training computes exactly these numbers in floats: with weights rounded to these integers, and activations and stream
//! rounded as [`Stepped`](crate::activation::Activation::Stepped) rounds them.
//!
//! **Memory.** A layer writes x in place. A sliding window keeps the activations of 2·r + 1 positions from before the layer.
//! Row j·D + i of the weights belongs to row j·D + i of the window.
//!
//! **Computed positions.** A layer reads r positions to either side. With m layers to come, only positions at most m·r from a
//! masked one are computed, and none past the text's end. Activations of 0 cost nothing.
//!
//! **Bounds.** |E + P + Q|·2^(S − e) ≤ 3·2¹³ < 2¹⁵ and |Σ|·2^max(S − u − a, 0) ≤ 2³⁰, or the file is refused when it is
//! opened. A layer adds at most 2³⁰ and a bias of 2¹⁵ to x. The sum stays within 2³⁰ + 2¹⁶, and is then clamped to 16 bits,
//! ±32. The choice of A keeps |Σ| ≤ 128·A·T·D < 2²⁴ in 8 bits, exact in floats too, and the sum of codes, at most
//! 255·A·T·D, below 2²⁵. Each lane of an [`Int4`](crate::precision::Int4) word ends below T·D·A·15 < 2¹⁶.
//!
//! Source: see [`integer`](crate::integer) and [`convolution`](crate::convolution).

use core::marker::PhantomData;

use crate::convolution::Convolution;
use crate::denoiser::{Model, Score, Shape};
use crate::dtype::Dtype;
use crate::integer::{IntegerModel, Quantisable, Scales};
use crate::integer_layers::{OutputLayer, split_table};
use crate::integer_sums::sum_rows;
use crate::precision::{Precision, steps};
use crate::steps::Steps;
use crate::stored::{Role, StoredTensor, bytes_of};
use crate::stream::STREAM;
use crate::tensor::matrix;

/// Bound on what products contribute to the stream, before the sum is clamped to 16 bits.
const SHARE: u32 = 1 << 30;

/// Residual convolution in integers: [`Convolution`] over `L` positions and `V` symbols, its weights and hidden values
/// rounded. Each of its `N` layers of `D` features reads `T` neighbouring positions (taps).
///
/// `P` is the precision of the weights, [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
#[derive(Clone, Copy, Debug)]
pub struct IntegerConvolution<
    P,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
>(PhantomData<P>);

/// References to the tensors of an [`IntegerConvolution`], where they are stored, for example in flash.
///
/// `N` layers of `D` features read `T` neighbouring positions (taps). `P` is the precision of the weights,
/// [`Int8`](crate::precision::Int8) or [`Int4`](crate::precision::Int4).
#[derive(Clone, Copy, Debug)]
pub struct IntegerConvolutionView<
    'a,
    P,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
> {
    /// E, P and Q, `[V + 2·L][D]`: rows of symbols, of positions, and of positions from the end.
    embedding: &'a [u8],
    /// W, `[N][T][D][D]`, in blocks.
    weight: &'a [[u8; D]],
    /// b.
    bias: &'a [[[u8; 2]; D]; N],
    output: OutputLayer<'a, P, 1, V, D>,
    /// S − e.
    embedding_shift: u32,
    /// S − a.
    activation_shift: u32,
    /// S − u − a, or 0 if negative.
    left: u32,
    /// u + a − S, or 0 if negative.
    right: u32,
}

/// Working memory of an [`IntegerConvolution`]: 2·`D`·`L` + `D`·`T` + `L` + 1 bytes, rounded up to an even number, for
/// `D` features, `L` positions and `T` taps.
///
/// Holds the features of each position, hidden values of the `T` positions that a layer reads at once, the text, and its length.
#[derive(Clone, Debug)]
pub struct IntegerConvolutionMemory<const L: usize, const D: usize, const T: usize> {
    /// The text to evaluate; V stands for MASK.
    symbols: [u8; L],
    /// The length n.
    length: u8,
    /// The residual stream x.
    stream: [[i16; D]; L],
    /// Activations of the positions around the present one.
    window: [[u8; D]; T],
}

impl<P: Precision + 'static, const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>
    IntegerModel<L, V> for IntegerConvolution<P, L, V, D, N, T>
{
    const SHAPE: Shape = Convolution::<L, V, D, N, T>::SHAPE;
    const DTYPE: Dtype = P::DTYPE;
    const TENSORS: &'static [StoredTensor] = &[
        // The float network has three tensors here, one after the other.
        StoredTensor {
            name: "embedding",
            dimensions: &[V + 2 * L, D],
            dtype: P::DTYPE,
            role: Role::Embedding,
        },
        StoredTensor { name: "weight", dimensions: &[N, T, D, D], dtype: P::DTYPE, role: Role::Product },
        StoredTensor { name: "bias", dimensions: &[N, D], dtype: Dtype::Int16, role: Role::StreamBias },
        StoredTensor { name: "output", dimensions: &[D, V], dtype: P::DTYPE, role: Role::Product },
        StoredTensor { name: "output_bias", dimensions: &[V], dtype: Dtype::Int16, role: Role::ScoreBias },
    ];

    fn steps() -> Steps {
        steps::<P>(D, T)
    }

    const MEMORY: Self::Memory =
        IntegerConvolutionMemory { symbols: [0; L], length: 0, stream: [[0; D]; L], window: [[0; D]; T] };

    type View<'a> = IntegerConvolutionView<'a, P, L, V, D, N, T>;
    type Memory = IntegerConvolutionMemory<L, D, T>;

    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>> {
        const { assert!(D.is_multiple_of(2), "a row fills whole bytes") };
        const { assert!(L < 256, "a byte holds a length") };
        const { assert!(!T.is_multiple_of(2), "as many taps before a position as after it") };
        const { assert!(T * D <= 1 << 12, "A is at least 1 in 4 bits, and at least 31 in 8") };
        let (a, [e, u, b, o, c, ..]) = scales.checked()?;
        // Lengths are constants, so that a program of one network does not link the list of tensors.
        let mut rest = payload;
        let embedding = rest.split_off(..const { bytes_of(Self::TENSORS, 0) })?;
        let weight = split_table(&mut rest, const { bytes_of(Self::TENSORS, 1) })?;
        let bias = matrix(&mut split_table(&mut rest, const { bytes_of(Self::TENSORS, 2) })?)?;
        let (embedding_shift, activation_shift) =
            (u32::from(STREAM.checked_sub(e)?), u32::from(STREAM.checked_sub(a)?));
        let products = u32::from(u.saturating_add(a));
        let (left, right) =
            (u32::from(STREAM).saturating_sub(products), products.saturating_sub(u32::from(STREAM)));
        // |W| ≤ 2^(bits − 1).
        let zero = u32::from(P::DTYPE.zero());
        let terms = u32::try_from(const { T * D }).ok()?;
        let largest = u32::from(P::largest_value(const { T * D }));
        let largest_sum = zero.saturating_mul(largest).saturating_mul(terms);
        let fits = largest_sum <= SHARE >> left && zero <= (1 << 13) >> embedding_shift;
        let output = OutputLayer::split(&mut rest, [a, o, c], largest)?;
        let sound = rest.is_empty() && b == STREAM && fits;
        sound.then_some(IntegerConvolutionView {
            embedding,
            weight,
            bias,
            output,
            embedding_shift,
            activation_shift,
            left,
            right,
        })
    }

    fn start(_view: &Self::View<'_>, memory: &mut Self::Memory, length: usize) {
        memory.length = u8::try_from(length.min(L)).unwrap_or(u8::MAX);
        for position in 0..L {
            Self::set(memory, position, None);
        }
    }

    fn set(memory: &mut Self::Memory, position: usize, symbol: Option<u8>) {
        const { assert!(V < 256, "a byte holds a symbol or a mask") };
        let mask = u8::try_from(V).unwrap_or(u8::MAX);
        if let Some(slot) = memory.symbols.get_mut(position) {
            *slot = symbol.filter(|symbol| *symbol < mask).unwrap_or(mask);
        }
    }

    fn evaluate(view: &Self::View<'_>, memory: &mut Self::Memory) {
        view.embed(memory);
        for layer in 0..N {
            let layers_to_come = N.wrapping_sub(layer).wrapping_sub(1);
            view.layer(memory, layer, layers_to_come.wrapping_mul(T >> 1));
        }
    }

    /// Scores of a masked position; shown positions are not computed to the last layer.
    fn scores(view: &Self::View<'_>, memory: &Self::Memory, position: usize, out: &mut [Score; V]) {
        let Some(x) = memory.stream.get(position) else { return };
        let (shift, largest) = (view.activation_shift, P::largest_value(const { T * D }));
        let values = x.iter().map(|x| u32::from(activation_of(*x, shift, largest))).enumerate();
        view.output.scores(0, values.filter(|(_, value)| *value > 0), out);
    }
}

impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize> Quantisable<L, V>
    for Convolution<L, V, D, N, T>
{
    type Integers<P: Precision + 'static> = IntegerConvolution<P, L, V, D, N, T>;
}

/// The activation of a feature `x` in steps of 2^`shift`: min(max(⌊x / 2^shift + ½⌋, 0), `largest`).
#[inline(always)]
fn activation_of(x: i16, shift: u32, largest: u8) -> u8 {
    let half = 1_i32 << (shift & 31) >> 1;
    let steps = i32::from(x).wrapping_add(half) >> (shift & 31);
    u8::try_from(steps.max(0)).unwrap_or(u8::MAX).min(largest)
}

/// The block with row `number` of the `rows` rows of `table`, and the row's number in terms of that block.
///
/// An odd number of rows leaves the last one without a partner. Its block is the end of the table, where it is the second
/// row.
#[inline(always)]
fn block_of<P: Precision, const D: usize>(
    table: &[u8],
    number: usize,
    rows: usize,
) -> (Option<&[u8; D]>, usize) {
    match table.as_chunks().0.get(number >> P::ROW_SHIFT) {
        None if number < rows => (table.last_chunk(), 1),
        block => (block, number),
    }
}

impl<P: Precision, const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>
    IntegerConvolutionView<'_, P, L, V, D, N, T>
{
    /// Computes the embedding x of the text.
    fn embed(&self, memory: &mut IntegerConvolutionMemory<L, D, T>) {
        let Self { embedding, embedding_shift, .. } = *self;
        let add = |number: usize, x: &mut [i16; D]| {
            let (block, number) = block_of::<P, D>(embedding, number, const { V + 2 * L });
            if let Some(block) = block {
                P::add_row(block, number, x, false);
            }
        };
        let length = usize::from(memory.length);
        let symbols = memory.symbols.iter().map(|symbol| usize::from(*symbol)).take(length);
        let from_end = (V.wrapping_add(L)..V.wrapping_add(L).wrapping_add(length)).rev();
        let positions = (V..).zip(from_end);
        for ((symbol, x), (position, from_end)) in symbols.zip(&mut memory.stream).zip(positions) {
            *x = [0; D];
            if symbol < V {
                add(symbol, x);
            }
            add(position, x);
            add(from_end, x);
            for x in x {
                *x <<= embedding_shift & 15;
            }
        }
    }

    /// Computes layer number `layer` at all positions at most `reach` from a masked one.
    fn layer(&self, memory: &mut IntegerConvolutionMemory<L, D, T>, layer: usize, reach: usize) {
        memory.window = [[0; D]; T];
        let length = usize::from(memory.length);
        // The window runs ahead of the position by half its length.
        for ahead in 0..length.wrapping_add(T >> 1) {
            let (shift, largest) = (self.activation_shift, P::largest_value(const { T * D }));
            let x = memory.stream.get(ahead).filter(|_| ahead < length);
            let mut next = x.map_or([0; D], |x| x.map(|x| activation_of(x, shift, largest)));
            for row in memory.window.iter_mut().rev() {
                core::mem::swap(row, &mut next);
            }
            if let Some(position) = ahead.checked_sub(T >> 1)
                && masked_near::<V>(memory.symbols.get(..length).unwrap_or(&[]), position, reach)
                && let Some(x) = memory.stream.get_mut(position)
            {
                self.add_layer(layer, &memory.window, x);
            }
        }
    }

    /// x += b + Σ_j W_j·a\[j\] for layer number `layer` and the features x of a position, with a in its `window`.
    ///
    /// Not inlined, so that its loop has all registers.
    #[inline(never)]
    fn add_layer(&self, layer: usize, window: &[[u8; D]; T], x: &mut [i16; D]) {
        let Self { weight, bias, left, right, .. } = *self;
        let Some(bias) = bias.get(layer) else { return };
        let first = layer.wrapping_mul(const { T * D });
        let values = window.as_flattened().iter().enumerate();
        let values = values.filter(|(_, value)| **value > 0);
        let active = values.map(|(index, value)| (first.wrapping_add(index), u32::from(*value)));
        let mut sums = [0; D];
        let zero = sum_rows::<P, D>(weight, active, &mut sums);
        // Shifts are below 32 already. The mask tells the compiler so, which then drops a check from the loop.
        let (left, right) = (left & 31, right & 31);
        let half = 1_i32 << right >> 1;
        for ((x, sum), bias) in x.iter_mut().zip(&sums).zip(bias) {
            let sum = (sum.wrapping_sub(zero) << left).wrapping_add(half) >> right;
            let bias = i32::from(i16::from_le_bytes(*bias));
            *x = held(i32::from(*x).wrapping_add(bias).wrapping_add(sum));
        }
    }
}

/// Clamps to 16 bits.
#[inline(always)]
fn held(x: i32) -> i16 {
    i16::try_from(x.clamp(i16::MIN.into(), i16::MAX.into())).unwrap_or(0)
}

/// Whether a position at most `reach` from `position` is masked in the text `symbols`.
///
/// Not inlined, so that the layer's loop has more registers.
#[inline(never)]
fn masked_near<const V: usize>(symbols: &[u8], position: usize, reach: usize) -> bool {
    let first = position.saturating_sub(reach);
    let count = position.wrapping_sub(first).wrapping_add(reach).wrapping_add(1);
    symbols.iter().skip(first).take(count).any(|symbol| usize::from(*symbol) >= V)
}
