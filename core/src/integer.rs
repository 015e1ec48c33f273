//! Perceptrons in integers: 8-bit or 4-bit weights, and no float anywhere.
//!
//! All scales are powers of two, so that a change of scale is a shift, and the integers are exactly the numbers that a
//! float network with the same rounded weights computes. With the exponents e of the input table, a of the activations
//! and u of the output table, codes E, b, U, and ⌊·⌋ a shift right:
//!
//! ```text
//! sum_h   = b_nh + Σ_l E[l][x_l]_h               over the shown positions l of n, in units of 2⁻ᵉ
//! value_h = min(max(⌊sum_h / 2^(e − a)⌋, 0), A)  in units of 2⁻ᵃ
//! z_v     = Σ_h value_h·U[l][h]_v                in units of 2^−(a + u)
//! score_v = z_v·2^(16 − a − u) + c_v·2^(16 − c)  in units of 2⁻¹⁶, a [`Score`]
//! ```
//!
//! **The first layer is incremental.** Integers can be subtracted again without a trace, so a changed symbol costs a row
//! taken away and a row added; the result equals the sum from scratch to the bit.
//!
//! **Zeros are skipped.** The output table is stored hidden-major, `[L][H][V]`. A unit of value 0, nine in ten after training
//! for it ([`Stepped`](crate::activation::Activation::Stepped)), costs nothing. Every other unit adds value·row to the scores
//! of one position.
//!
//! **Two lanes in a word** ([`Int4`]). Two bytes b₀, b₁ hold the codes of four symbols, 0 … 15. The word
//! x = b₀ + 2¹⁶·b₁ carries symbols 0 and 2 in its low nibbles and 1 and 3 in the high ones. Summed over the units,
//! all = Σ value·x and odd = Σ value·((x ≫ 4) & 000F000F) modulo 2³²; then even = all − 16·odd = Σ value·(x & 000F000F).
//! Each lane of `even` and `odd` ends below H·A·15 < 2¹⁶ by the choice of A, so that no lane spills over, and two
//! multiplications do the work of four. In between `all` may spill; modulo 2³² that is undone by the subtraction.
//!
//! **Without a multiplier** ([`MULTIPLIER`]) value·row is added bit by bit, from the highest: sum = 2·sum + Σ row over the
//! units whose bit is set (Horner's rule).
//!
//! **Bounds.** |sum_h| ≤ 2¹⁴ + L·128 ≤ 2¹⁵ − 1, |z_v| ≤ 255·128·256 < 2²³, and the shifts of a file are refused where z_v
//! or c_v could exceed 2³⁰: asserted at compile time, or when a file is opened.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
//! Inference", CVPR 2018, for the scheme; L. Lamport, "Multiple Byte Processing with Full-Word Instructions", 1975, for the
//! lanes.

use core::marker::PhantomData;
use core::num::NonZeroU32;

use crate::activation::Steps;
use crate::denoiser::{Architecture, Denoiser, Model, Score, Shape};
use crate::mlp::Mlp;
use crate::tensor::{Dtype, Role, StoredTensor, matrix, total_bytes};

/// Whether the processor multiplies; RISC-V cores of the smallest class do not.
pub const MULTIPLIER: bool =
    cfg!(not(any(target_arch = "riscv32", target_arch = "riscv64"))) || cfg!(target_feature = "m");

/// A network in integers, stored in a file.
pub trait IntegerModel<const L: usize, const V: usize> {
    /// Kind and sizes.
    const SHAPE: Shape;
    /// How the weights are stored.
    const DTYPE: Dtype;
    /// Its tensors, in the order of the file.
    const TENSORS: &'static [StoredTensor];
    /// Length of the tensors together.
    const BYTES: usize = total_bytes(Self::TENSORS);

    /// The steps of the hidden values that it is trained for.
    fn steps() -> Steps;

    /// The tensors in place, with their scales.
    type View<'a>: Copy + Send + Sync;
    /// What it works in.
    type Memory;
    /// Memory to begin with.
    const MEMORY: Self::Memory;
    /// The model at work.
    type Denoiser<'a>: Denoiser<L, V>;

    /// Views `payload`, the tensors one after the other, at their `scales`.
    ///
    /// `None` where the length is wrong, or where a bias or a scale could make a sum overflow.
    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>>;

    /// The model as a [`Denoiser`] that has not [started](Denoiser::start) a text; `memory` may be in any state.
    fn denoiser<'a: 'm, 'm>(view: Self::View<'a>, memory: &'m mut Self::Memory) -> Self::Denoiser<'m>;
}

/// A network of floats that also exists in integers: [`Integers`].
pub trait Quantisable<const L: usize, const V: usize>: Model<L, V> {
    /// The same network with weights of precision `P`.
    type Integers<P: Precision + 'static>: IntegerModel<L, V>;
}

/// The network `M` of `L` positions and `V` symbols, with weights of precision `P`: `Integers<Perceptron, Int4, 12, 26>`,
/// `Integers<ConvolutionMedium<16, 64>, Int8, 16, 64>`.
pub type Integers<M, P, const L: usize, const V: usize> = <M as Quantisable<L, V>>::Integers<P>;

/// The scales of a network, as exponents: e stands for 2⁻ᵉ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scales {
    /// Of the hidden layers' values.
    pub activation: u8,
    /// Of each tensor, in the order of the file; tensors past the last have exponent 0.
    pub tensors: [u8; MOST_TENSORS],
}

impl Scales {
    /// The exponents of the activations and of the tensors; `None` where one is above 16, the finest that a file can have,
    /// up to which no shift leaves its word.
    pub fn checked(&self) -> Option<(u8, [u8; MOST_TENSORS])> {
        let sound =
            self.activation <= LARGEST_EXPONENT && self.tensors.iter().all(|e| *e <= LARGEST_EXPONENT);
        sound.then_some((self.activation, self.tensors))
    }
}

/// Tensors of the largest integer network.
pub const MOST_TENSORS: usize = 6;
/// The largest exponent of a scale, that of a score.
pub(crate) const LARGEST_EXPONENT: u8 = SCORE;

/// The exponent of a [`Score`].
pub const SCORE: u8 = 16;
/// What biases and tables may each contribute to a hidden sum.
pub(crate) const SUM_SHARE: i16 = 1 << 14;
/// What the output table and the output bias may each contribute to a score.
const SCORE_SHARE: u32 = 1 << 30;

/// How weights are stored and multiplied.
pub trait Precision: Copy {
    /// How a weight is stored.
    const DTYPE: Dtype;

    /// The exponent of the finest activations that its sums can tell apart.
    const FINEST: u8;

    /// A, the largest value of a unit: what a byte holds and every sum over `units` units has room for.
    ///
    /// In 8 bits a sum has 24 bits, as many as a float holds exactly. In 4 bits it has one lane of two in a word, 16 bits.
    fn largest_value(units: usize) -> u8;

    /// How many rows of `N` codes lie in a block of `N` bytes, as a power of two.
    const ROWS: u32;

    /// Adds the weights of row `row` of the rows in `block` to `sums`, or takes them away.
    fn add_row<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i16; N], take_away: bool);

    /// Adds `factor` times the codes of row `row` of the rows in `block` to `sums`, in this precision's own arrangement.
    fn add_products<const N: usize>(block: &[u8; N], row: usize, factor: u32, sums: &mut [i32; N]);

    /// Adds the codes of row `row` of the rows in `block` to `sums`, in the arrangement of
    /// [`add_products`](Self::add_products).
    fn add_codes<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i32; N]);

    /// Puts `sums` in the order of the symbols.
    fn arrange<const N: usize>(sums: &mut [i32; N]);
}

/// Units from which a network can spare some.
const SPARSE: usize = 64;
/// What a hidden value of 1 of such a network costs a text in training, in nats.
pub const PRICE: f64 = 0.009;

/// The steps of hidden values, `units` of which are multiplied and summed `taps` times over: A reaches 2 … 4, unless `P` is not
/// that fine. From [`SPARSE`] units on, each has its [`PRICE`].
#[inline(always)]
pub(crate) fn steps<P: Precision>(units: usize, taps: usize) -> Steps {
    let largest = P::largest_value(units.saturating_mul(taps));
    let places = u8::BITS.saturating_sub(largest.leading_zeros());
    let exponent = P::FINEST.min(u8::try_from(places.saturating_sub(2)).unwrap_or(0));
    Steps { exponent, largest, price: if units < SPARSE { 0.0 } else { PRICE } }
}

/// The largest byte whose product with `factor`, added up `units` times, stays below 2^`bits`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
fn largest_of(units: usize, factor: usize, bits: u32) -> u8 {
    let limit = 1_usize.wrapping_shl(bits).wrapping_sub(1);
    let most = limit.checked_div(factor.saturating_mul(units)).unwrap_or(0);
    if most < u8::MAX as usize { most as u8 } else { u8::MAX }
}

/// A byte for each weight.
#[derive(Clone, Copy, Debug)]
pub struct Int8;

impl Precision for Int8 {
    const DTYPE: Dtype = Dtype::Int8;
    const FINEST: u8 = 7;
    const ROWS: u32 = 0;

    fn largest_value(units: usize) -> u8 {
        largest_of(units, 128, 24)
    }

    #[inline(never)]
    fn add_row<const N: usize>(block: &[u8; N], _row: usize, sums: &mut [i16; N], take_away: bool) {
        let weight = |code: &u8| i16::from(*code).wrapping_sub(128);
        let pairs = sums.iter_mut().zip(block);
        // The question is asked once and not at every weight.
        if take_away {
            pairs.for_each(|(sum, code)| *sum = sum.wrapping_sub(weight(code)));
        } else {
            pairs.for_each(|(sum, code)| *sum = sum.wrapping_add(weight(code)));
        }
    }

    // Not inlined, so that the loop has all registers to itself, and written out, because compilers that are told to save
    // space repeat nothing by themselves.
    #[inline(never)]
    fn add_products<const N: usize>(block: &[u8; N], _row: usize, factor: u32, sums: &mut [i32; N]) {
        let add = |sum: &mut i32, code: u8| {
            *sum = sum.wrapping_add(u32::from(code).wrapping_mul(factor).cast_signed());
        };
        let (groups, last) = block.as_chunks::<9>();
        let sums = sums.as_chunks_mut::<9>();
        for (bytes, sums) in groups.iter().zip(sums.0) {
            let [s0, s1, s2, s3, s4, s5, s6, s7, s8] = sums;
            let [b0, b1, b2, b3, b4, b5, b6, b7, b8] = *bytes;
            add(s0, b0);
            add(s1, b1);
            add(s2, b2);
            add(s3, b3);
            add(s4, b4);
            add(s5, b5);
            add(s6, b6);
            add(s7, b7);
            add(s8, b8);
        }
        for (sum, byte) in sums.1.iter_mut().zip(last) {
            add(sum, *byte);
        }
    }

    #[inline(always)]
    fn add_codes<const N: usize>(block: &[u8; N], _row: usize, sums: &mut [i32; N]) {
        for (sum, code) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(i32::from(*code));
        }
    }

    #[inline(always)]
    fn arrange<const N: usize>(_sums: &mut [i32; N]) {}
}

/// Two weights in a byte.
#[derive(Clone, Copy, Debug)]
pub struct Int4;

/// The low nibble of each lane.
const NIBBLES: u32 = 0x000F_000F;

impl Int4 {
    /// Row `row` of the two in `block`: its whole bytes, and the last of an odd number of nibbles, else 0.
    #[inline(always)]
    fn row<const N: usize>(block: &[u8; N], row: usize) -> Option<(&[u8], u8)> {
        // Half of N, rounded down for the length and up for where the second row begins; see `Dtype::row`.
        let (length, second) = (N >> 1, N.wrapping_add(1) >> 1);
        let odd = row & 1;
        let start = odd.wrapping_mul(second);
        let bytes = block.get(start..start.wrapping_add(length))?;
        let shared = if length == second { 0 } else { *block.get(length)? };
        Some((bytes, shared >> odd.wrapping_mul(4) & 15))
    }

    /// Changes `sums` by the weights of a row, with `by` sum and weight.
    #[inline(always)]
    fn change(bytes: &[u8], nibble: u8, sums: &mut [i16], by: impl Fn(i16, i16) -> i16) {
        let change = |sum: &mut i16, code: u8| *sum = by(*sum, i16::from(code).wrapping_sub(8));
        let (pairs, last) = sums.as_chunks_mut::<2>();
        for ([even, odd], byte) in pairs.iter_mut().zip(bytes) {
            change(even, byte & 15);
            change(odd, byte >> 4);
        }
        if let [last] = last {
            change(last, nibble);
        }
    }

    /// Adds `factor`·(low, high) to `all` and `odd`.
    #[inline(always)]
    fn add_word(all: &mut i32, odd: &mut i32, low: u8, high: u8, factor: u32) {
        let word = u32::from(low) | u32::from(high) << 16;
        *all = all.wrapping_add(word.wrapping_mul(factor).cast_signed());
        *odd = odd.wrapping_add((word >> 4 & NIBBLES).wrapping_mul(factor).cast_signed());
    }

    /// Adds the words of a row to `sums`: its whole `bytes`, and the last of an odd number of nibbles.
    ///
    /// One function for rows of every width: chips without a multiplier have the least flash.
    #[inline(never)]
    fn add_words(bytes: &[u8], nibble: u8, sums: &mut [i32]) {
        let (words, rest) = bytes.as_chunks::<2>();
        let mut pairs = sums.as_chunks_mut::<2>().0.iter_mut();
        for ([low, high], [all, odd]) in words.iter().zip(pairs.by_ref()) {
            Self::add_word(all, odd, *low, *high, 1);
        }
        if let Some([all, odd]) = pairs.next() {
            let (low, high) = rest.first().map_or((nibble, 0), |byte| (*byte, nibble));
            Self::add_word(all, odd, low, high, 1);
        }
    }
}

impl Precision for Int4 {
    const DTYPE: Dtype = Dtype::Int4;
    const FINEST: u8 = 3;
    const ROWS: u32 = 1;

    fn largest_value(units: usize) -> u8 {
        largest_of(units, 15, 16)
    }

    #[inline(never)]
    fn add_row<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i16; N], take_away: bool) {
        let Some((bytes, nibble)) = Self::row(block, row) else { return };
        // The question is asked once and not at every weight.
        if take_away {
            Self::change(bytes, nibble, sums, i16::wrapping_sub);
        } else {
            Self::change(bytes, nibble, sums, i16::wrapping_add);
        }
    }

    // Not inlined, so that the loop has all registers to itself, and written out, because compilers that are told to save
    // space repeat nothing by themselves.
    #[inline(never)]
    fn add_products<const N: usize>(block: &[u8; N], row: usize, factor: u32, sums: &mut [i32; N]) {
        let Some((bytes, nibble)) = Self::row(block, row) else { return };
        let (groups, rest) = bytes.as_chunks::<12>();
        let Some((sums, last)) = sums.split_at_mut_checked(groups.len().wrapping_mul(12)) else { return };
        for (bytes, sums) in groups.iter().zip(sums.as_chunks_mut::<12>().0) {
            let [all0, odd0, all1, odd1, all2, odd2, all3, odd3, all4, odd4, all5, odd5] = sums;
            let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11] = *bytes;
            Self::add_word(all0, odd0, b0, b1, factor);
            Self::add_word(all1, odd1, b2, b3, factor);
            Self::add_word(all2, odd2, b4, b5, factor);
            Self::add_word(all3, odd3, b6, b7, factor);
            Self::add_word(all4, odd4, b8, b9, factor);
            Self::add_word(all5, odd5, b10, b11, factor);
        }
        let (words, byte) = rest.as_chunks::<2>();
        let mut sums = last.as_chunks_mut::<2>().0.iter_mut();
        for ([low, high], [all, odd]) in words.iter().zip(sums.by_ref()) {
            Self::add_word(all, odd, *low, *high, factor);
        }
        if let (Some([all, odd]), true) = (sums.next(), N & 3 != 0) {
            let (low, high) = byte.first().map_or((nibble, 0), |byte| (*byte, nibble));
            Self::add_word(all, odd, low, high, factor);
        }
    }

    #[inline(always)]
    fn add_codes<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i32; N]) {
        if let Some((bytes, nibble)) = Self::row(block, row) {
            Self::add_words(bytes, nibble, sums);
        }
    }

    /// From the last four symbols to the first: what is written lies behind what is still to be read.
    #[inline(always)]
    fn arrange<const N: usize>(sums: &mut [i32; N]) {
        for group in (0..N.div_ceil(4)).rev() {
            let place = group.wrapping_mul(2);
            let Some([all, odd, ..]) = sums.get(place..) else { return };
            let (all, odd) = (all.cast_unsigned(), odd.cast_unsigned());
            let even = all.wrapping_sub(odd << 4);
            let lanes = [even & 0xFFFF, odd & 0xFFFF, even >> 16, odd >> 16].map(u32::cast_signed);
            match sums.get_mut(place.wrapping_mul(2)..) {
                Some([s0, s1, s2, s3, ..]) => [*s0, *s1, *s2, *s3] = lanes,
                Some(last) => last.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum = lane),
                None => {}
            }
        }
    }
}

/// Splits `bytes` of rows of `N` weights off the front of `rest`, in blocks.
pub(crate) fn split_table<'a, const N: usize>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [[u8; N]]> {
    let (table, tail) = rest.split_at_checked(bytes)?;
    *rest = tail;
    Some(table.as_chunks().0)
}

/// Splits `L` rows of biases of a hidden layer off the front of `rest`; `None` where one could contribute more than its share.
pub(crate) fn split_hidden_bias<'a, const L: usize, const H: usize>(
    rest: &mut &'a [u8],
) -> Option<&'a [[[u8; 2]; H]; L]> {
    let bias: &[[[u8; 2]; H]; L] = matrix(&mut split_table(rest, const { 2 * H * L })?)?;
    let small = |bias: &[u8; 2]| i16::from_le_bytes(*bias).unsigned_abs() < SUM_SHARE.unsigned_abs();
    bias.as_flattened().iter().all(small).then_some(bias)
}

/// The lookup table and its bias: the sums of the first hidden layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputLayer<'a, P, const L: usize, const V: usize, const H: usize> {
    /// E, `[L][V][H]`, in blocks.
    table: &'a [[u8; H]],
    /// b, a row for each length.
    bias: &'a [[[u8; 2]; H]; L],
    /// e − a.
    pub(crate) shift: u32,
    precision: PhantomData<fn() -> P>,
}

/// The text, and the sums of the first hidden layer: 2 bytes for each unit, 4 for each position, and a length.
#[derive(Clone, Debug)]
pub(crate) struct InputSums<const L: usize, const H: usize> {
    /// The text to evaluate.
    symbols: [Option<u8>; L],
    /// The text that `sums` belongs to.
    summed: [Option<u8>; L],
    /// n.
    length: u8,
    pub(crate) sums: [i16; H],
}

impl<'a, P: Precision, const L: usize, const V: usize, const H: usize> InputLayer<'a, P, L, V, H> {
    /// Splits table and bias off the front of `rest`, for the exponents a, e and that of the bias.
    pub(crate) fn split(rest: &mut &'a [u8], [a, e, b]: [u8; 3]) -> Option<Self> {
        const { assert!(H <= 256, "a bit for each unit") };
        const { assert!(H.is_multiple_of(2), "the rows of two units fill whole bytes") };
        const { assert!(L * 128 < SUM_SHARE as usize, "the table's share of a hidden sum") };
        let shift = u32::from(e.checked_sub(a)?);
        let table = split_table(rest, const { P::DTYPE.bytes(L * V * H) })?;
        let bias = split_hidden_bias(rest)?;
        (b == e).then_some(Self { table, bias, shift, precision: PhantomData })
    }
}

impl<const L: usize, const H: usize> InputSums<L, H> {
    pub(crate) const EMPTY: Self = Self { symbols: [None; L], summed: [None; L], length: 0, sums: [0; H] };

    /// A text of `length` masks, whose sums are its length's bias.
    pub(crate) fn start<P, const V: usize>(&mut self, layer: &InputLayer<'_, P, L, V, H>, length: usize) {
        self.symbols = [None; L];
        self.length = u8::try_from(length).unwrap_or(u8::MAX);
        self.start_from_masks(layer);
    }

    fn start_from_masks<P, const V: usize>(&mut self, layer: &InputLayer<'_, P, L, V, H>) {
        self.summed = [None; L];
        let bias = layer.bias.get(usize::from(self.length).wrapping_sub(1)).or(layer.bias.last());
        for (sum, bias) in self.sums.iter_mut().zip(bias.into_iter().flatten()) {
            *sum = i16::from_le_bytes(*bias);
        }
    }

    /// Puts `symbol` at `position` of the text to evaluate, if it has that position.
    #[inline(always)]
    pub(crate) fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position).filter(|_| position < usize::from(self.length)) {
            *slot = symbol;
        }
    }

    /// Adds the row of `symbol` at `position` to the sums, or takes it away; a mask has none.
    #[inline(always)]
    fn add<P: Precision, const V: usize>(
        &mut self,
        layer: &InputLayer<'_, P, L, V, H>,
        position: usize,
        symbol: Option<u8>,
        take_away: bool,
    ) {
        let Some(symbol) = symbol.map(usize::from).filter(|symbol| *symbol < V) else { return };
        let number = position.wrapping_mul(V).wrapping_add(symbol);
        if let Some(block) = layer.table.get(number >> P::ROWS) {
            P::add_row(block, number, &mut self.sums, take_away);
        }
    }

    /// Brings the sums to the present text, by the shorter way.
    pub(crate) fn update<P: Precision, const V: usize>(&mut self, layer: &InputLayer<'_, P, L, V, H>) {
        let changed = self.symbols.iter().zip(&self.summed).filter(|(new, old)| new != old).count();
        let shown = self.symbols.iter().flatten().count();
        if changed > shown {
            self.start_from_masks(layer);
        }
        for position in 0..L {
            let texts = self.symbols.get(position).zip(self.summed.get_mut(position));
            let Some((new, old)) = texts.filter(|(new, old)| new != old) else { continue };
            let (new, old) = (*new, core::mem::replace(old, *new));
            self.add(layer, position, old, true);
            self.add(layer, position, new, false);
        }
    }
}

/// The output table and its bias: the scores of one position from the values of the hidden units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputLayer<'a, P, const L: usize, const V: usize, const H: usize> {
    /// U, `[L][H][V]`, in blocks.
    table: &'a [[u8; V]],
    /// c.
    bias: &'a [[[u8; 2]; V]; L],
    /// 16 − a − u.
    shift: u32,
    /// 16 − c.
    bias_shift: u32,
    precision: PhantomData<fn() -> P>,
}

impl<'a, P: Precision, const L: usize, const V: usize, const H: usize> OutputLayer<'a, P, L, V, H> {
    /// Splits table and bias off the front of `rest`, for the exponents a, u and c and hidden values of at most
    /// `largest_value`.
    ///
    /// `None` where a score could overflow, or where finer steps than a [`Score`]'s would have to be dropped.
    pub(crate) fn split(rest: &mut &'a [u8], [a, u, c]: [u8; 3], largest_value: u32) -> Option<Self> {
        const { assert!(V >= 2 && V <= 256, "two words of lanes hold four symbols, and a symbol is a u8") };
        let table = split_table(rest, const { P::DTYPE.bytes(L * H * V) })?;
        let bias = matrix(&mut split_table(rest, const { 2 * L * V })?)?;
        let shift = u32::from(SCORE.checked_sub(a)?.checked_sub(u)?);
        let bias_shift = u32::from(SCORE.checked_sub(c)?);
        // |U| ≤ 2^(bits − 1), |c| ≤ 2¹⁵.
        let units = u32::try_from(H).ok()?;
        let largest = largest_value.checked_mul(u32::from(P::DTYPE.zero()))?.checked_mul(units)?;
        let fits = largest <= SCORE_SHARE >> shift && 1 << 15 <= SCORE_SHARE >> bias_shift;
        fits.then_some(Self { table, bias, shift, bias_shift, precision: PhantomData })
    }

    /// The scores of `position` for the units of `active`, each with its value.
    ///
    /// Not inlined, so that its loop has all registers to itself.
    #[inline(never)]
    pub(crate) fn scores(
        &self,
        position: usize,
        active: impl Iterator<Item = (usize, u32)> + Clone,
        scores: &mut [Score; V],
    ) {
        // The rows of a position fill whole blocks, since H is even.
        let blocks = self.table.get(position.wrapping_mul(H) >> P::ROWS..);
        let Some((bias, blocks)) = self.bias.get(position).zip(blocks) else { return };
        let zero = sum_rows::<P, V>(blocks, active, scores);
        // Below 32 as they are; said again, so that the compiler need not see to it in every turn.
        let (shift, bias_shift) = (self.shift & 31, self.bias_shift & 31);
        for (score, bias) in scores.iter_mut().zip(bias) {
            let bias = i32::from(i16::from_le_bytes(*bias)) << bias_shift;
            *score = (score.wrapping_sub(zero) << shift).wrapping_add(bias);
        }
    }
}

/// Σ value·code over `active`, the numbers of rows in `blocks` with their values, in the order of the columns; returns what
/// is to be taken away from each sum for codes being that much above weights.
#[inline(always)]
pub(crate) fn sum_rows<P: Precision, const N: usize>(
    blocks: &[[u8; N]],
    active: impl Iterator<Item = (usize, u32)> + Clone,
    sums: &mut [i32; N],
) -> i32 {
    let rows = active.filter_map(|(row, value)| Some((blocks.get(row >> P::ROWS)?, row, value)));
    *sums = [0; N];
    let values =
        if MULTIPLIER { add_products::<P, N>(rows, sums) } else { add_bit_by_bit::<P, N>(rows, sums) };
    P::arrange(sums);
    values.wrapping_mul(u32::from(P::DTYPE.zero())).cast_signed()
}

/// sums + Σ value·row over `rows`, each with its block, number and value, in the arrangement of
/// [`Precision::add_products`]; returns Σ value.
#[inline(always)]
pub fn add_products<'a, P: Precision, const N: usize>(
    rows: impl Iterator<Item = (&'a [u8; N], usize, u32)>,
    sums: &mut [i32; N],
) -> u32 {
    let mut values = 0_u32;
    for (block, row, value) in rows {
        P::add_products(block, row, value, sums);
        values = values.wrapping_add(value);
    }
    values
}

/// The same from sums of 0, without a product: for each bit, the highest first, sums = 2·sums + Σ row over the values that
/// have it.
#[inline(always)]
pub fn add_bit_by_bit<'a, P: Precision, const N: usize>(
    rows: impl Iterator<Item = (&'a [u8; N], usize, u32)> + Clone,
    sums: &mut [i32; N],
) -> u32 {
    let values = || rows.clone().map(|(_, _, value)| value);
    let all_bits = values().fold(0, |bits, value| bits | value);
    for place in (0..u32::BITS.saturating_sub(all_bits.leading_zeros())).rev() {
        for sum in sums.iter_mut() {
            *sum = sum.wrapping_add(*sum);
        }
        for (block, row, _) in rows.clone().filter(|(_, _, value)| value >> place & 1 == 1) {
            P::add_codes(block, row, sums);
        }
    }
    values().fold(0, u32::wrapping_add)
}

/// The value of a hidden sum of at least 0: min(⌊sum / 2^shift⌋, `largest`).
#[inline(always)]
pub(crate) fn value_of(sum: i32, shift: u32, largest: u8) -> u32 {
    (sum >> shift).cast_unsigned().min(u32::from(largest))
}

/// The units of value above 0, a bit for each: a list of them would take eight times the memory.
pub(crate) type Active = [u32; 8];

/// Marks the units whose sum is at least 2^`shift`, of which a value is left.
///
/// Not inlined, so that the loop has all registers to itself.
#[inline(never)]
pub(crate) fn mark_active(sums: &[i16], shift: u32, active: &mut Active) {
    let most_inactive = (1_i32 << shift).wrapping_sub(1);
    for (word, sums) in active.iter_mut().zip(sums.chunks(32)) {
        let mut bits = 0_u32;
        // The sign says it without a branch.
        let mut mark = |sum: i16| {
            bits = bits << 1 | most_inactive.wrapping_sub(i32::from(sum)).cast_unsigned() >> 31;
        };
        // From the last to the first, which ends in the lowest place; four in a turn of the loop.
        let (groups, rest) = sums.as_chunks::<4>();
        rest.iter().rev().for_each(|sum| mark(*sum));
        for [s0, s1, s2, s3] in groups.iter().rev() {
            mark(*s3);
            mark(*s2);
            mark(*s1);
            mark(*s0);
        }
        *word = bits;
    }
}

/// The units marked in an [`Active`], in ascending order.
#[derive(Clone)]
pub(crate) struct Units<'a> {
    words: core::slice::Iter<'a, u32>,
    /// What is left of the present word.
    word: u32,
    /// The unit of its lowest bit, and 32 more.
    end: usize,
}

impl<'a> Units<'a> {
    pub(crate) fn of(active: &'a Active) -> Self {
        Self { words: active.iter(), word: 0, end: 0 }
    }
}

impl Iterator for Units<'_> {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let word = loop {
            if let Some(word) = NonZeroU32::new(self.word) {
                break word;
            }
            self.word = *self.words.next()?;
            self.end = self.end.wrapping_add(32);
        };
        self.word &= self.word.wrapping_sub(1);
        Some(self.end.wrapping_sub(32).wrapping_add(word.trailing_zeros() as usize))
    }
}

/// A two-layer perceptron in integers, [`Mlp`] with weights of precision `P`.
#[derive(Clone, Copy, Debug)]
pub struct IntegerMlp<P, const L: usize, const V: usize, const H: usize>(PhantomData<P>);

/// The tensors of an [`IntegerMlp`], in place.
#[derive(Clone, Copy, Debug)]
pub struct IntegerMlpView<'a, P, const L: usize, const V: usize, const H: usize> {
    input: InputLayer<'a, P, L, V, H>,
    output: OutputLayer<'a, P, L, V, H>,
}

/// What an [`IntegerMlp`] works in: 2 bytes for each hidden unit, 4 for each position, a length and 32.
#[derive(Clone, Debug)]
pub struct IntegerMlpMemory<const L: usize, const H: usize> {
    input: InputSums<L, H>,
    active: Active,
}

/// An [`IntegerMlp`] at work.
#[derive(Debug)]
pub struct IntegerMlpDenoiser<'a, P, const L: usize, const V: usize, const H: usize> {
    view: IntegerMlpView<'a, P, L, V, H>,
    memory: &'a mut IntegerMlpMemory<L, H>,
}

impl<P: Precision + 'static, const L: usize, const V: usize, const H: usize> IntegerModel<L, V>
    for IntegerMlp<P, L, V, H>
{
    const SHAPE: Shape =
        Shape { architecture: Architecture::Mlp, positions: L, symbols: V, width: H, blocks: 0, heads: 0 };
    const DTYPE: Dtype = P::DTYPE;
    const TENSORS: &'static [StoredTensor] = &[
        StoredTensor { name: "input", dimensions: &[L, V, H], dtype: P::DTYPE, role: Role::Lookup },
        StoredTensor { name: "length", dimensions: &[L, H], dtype: Dtype::Int16, role: Role::HiddenBias },
        StoredTensor { name: "output", dimensions: &[L, H, V], dtype: P::DTYPE, role: Role::Product },
        StoredTensor { name: "output_bias", dimensions: &[L, V], dtype: Dtype::Int16, role: Role::ScoreBias },
    ];
    fn steps() -> Steps {
        steps::<P>(H, 1)
    }

    const MEMORY: Self::Memory = IntegerMlpMemory { input: InputSums::EMPTY, active: [0; 8] };

    type View<'a> = IntegerMlpView<'a, P, L, V, H>;
    type Memory = IntegerMlpMemory<L, H>;
    type Denoiser<'a> = IntegerMlpDenoiser<'a, P, L, V, H>;

    fn view<'a>(payload: &'a [u8], scales: &Scales) -> Option<Self::View<'a>> {
        let (a, [e, b, u, c, ..]) = scales.checked()?;
        let mut rest = payload;
        let input = InputLayer::split(&mut rest, [a, e, b])?;
        let largest = u32::from(P::largest_value(H));
        let output = OutputLayer::split(&mut rest, [a, u, c], largest)?;
        rest.is_empty().then_some(IntegerMlpView { input, output })
    }

    fn denoiser<'a: 'm, 'm>(view: Self::View<'a>, memory: &'m mut Self::Memory) -> Self::Denoiser<'m> {
        memory.input.start(&view.input, L);
        IntegerMlpDenoiser { view, memory }
    }
}

impl<const L: usize, const V: usize, const H: usize> Quantisable<L, V> for Mlp<L, V, H> {
    type Integers<P: Precision + 'static> = IntegerMlp<P, L, V, H>;
}

impl<P: Precision, const L: usize, const V: usize, const H: usize> Denoiser<L, V>
    for IntegerMlpDenoiser<'_, P, L, V, H>
{
    fn start(&mut self, length: usize) {
        self.memory.input.start(&self.view.input, length);
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.memory.input.set(position, symbol);
    }

    fn evaluate(&mut self) {
        let memory = &mut self.memory;
        memory.input.update(&self.view.input);
        mark_active(&memory.input.sums, self.view.input.shift, &mut memory.active);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        let (sums, shift) = (&self.memory.input.sums, self.view.input.shift & 31);
        let value = move |unit: usize| {
            (unit, sums.get(unit).map_or(0, |sum| value_of((*sum).into(), shift, P::largest_value(H))))
        };
        self.view.output.scores(position, Units::of(&self.memory.active).map(value), out);
    }
}
