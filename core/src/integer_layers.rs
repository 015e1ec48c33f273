//! The layers of perceptrons in integers: the sums of the first hidden layer, and the scores of a position.
//!
//! **The first layer is incremental.** Integers can be subtracted again without a trace, so a changed symbol costs a row
//! taken away and a row added; the result equals the sum from scratch to the bit.
//!
//! **Zeros are skipped.** The output table is stored hidden-major, `[L][H][V]`. A unit of value 0, nine in ten after training
//! for it ([`Stepped`](crate::activation::Activation::Stepped)), costs nothing. Every other unit adds value·row to the scores
//! of one position.
//!
//! **Bounds.** |sum_h| ≤ 2¹⁴ + L·128 ≤ 2¹⁵ − 1, |z_v| ≤ 255·128·256 < 2²³, and the shifts of a file are refused where z_v
//! or c_v could exceed 2³⁰: asserted at compile time, or when a file is opened.

use core::marker::PhantomData;
use core::num::NonZeroU32;

use crate::denoiser::Score;
use crate::integer::{SCORE, SUM_SHARE};
use crate::integer_sums::sum_rows;
use crate::precision::Precision;
use crate::tensor::matrix;

/// What the output table and the output bias may each contribute to a score.
const SCORE_SHARE: u32 = 1 << 30;

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
