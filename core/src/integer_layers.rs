//! The layers of perceptrons in integers: sums of the first hidden layer, and scores of a position.
//!
//! **The first layer is incremental.** Integer sums can be undone exactly. A changed symbol costs one row subtracted and one
//! row added, and the result equals the sum from scratch to the bit.
//!
//! **Zeros are skipped.** The output table has the hidden units outermost within a position, `[L][H][V]`. A unit of value 0
//! costs nothing; training for it ([`Stepped`](crate::activation::Activation::Stepped)) makes nine in ten units 0. Every
//! other unit adds value·row to the scores of a position.
//!
//! **Bounds.** |sum_h| ≤ 2¹⁴ + L·128 ≤ 2¹⁵ − 1 and |z_v| ≤ 255·128·256 < 2²³, asserted at compile time. Opening a file fails
//! if its shifts could take z_v or c_v above 2³⁰.

use core::marker::PhantomData;
use core::num::NonZeroU32;

use crate::denoiser::Score;
use crate::integer::{SCORE, SUM_SHARE};
use crate::integer_sums::sum_rows;
use crate::precision::Precision;
use crate::tensor::matrix;

/// Bound on what the output table, and what the output bias, contributes to a score.
const SCORE_SHARE: u32 = 1 << 30;

/// Splits `bytes` bytes, blocks of rows of `N` weights, off the front of `rest`.
pub(crate) fn split_table<'a, const N: usize>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [[u8; N]]> {
    Some(rest.split_off(..bytes)?.as_chunks().0)
}

/// Splits `L` rows of hidden biases off the front of `rest`; `None` if one reaches [`SUM_SHARE`].
pub(crate) fn split_hidden_bias<'a, const L: usize, const H: usize>(
    rest: &mut &'a [u8],
) -> Option<&'a [[[u8; 2]; H]; L]> {
    let bias: &[[[u8; 2]; H]; L] = matrix(&mut split_table(rest, const { 2 * H * L })?)?;
    let small = |bias: &[u8; 2]| i16::from_le_bytes(*bias).unsigned_abs() < SUM_SHARE.unsigned_abs();
    bias.as_flattened().iter().all(small).then_some(bias)
}

/// The input layer: a lookup table and a bias, which give the sums of the first hidden layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputLayer<'a, P, const L: usize, const V: usize, const H: usize> {
    /// E, `[L][V][H]`, in blocks.
    table: &'a [[u8; H]],
    /// b, one row for each length.
    bias: &'a [[[u8; 2]; H]; L],
    /// e − a.
    pub(crate) shift: u32,
    precision: PhantomData<fn() -> P>,
}

/// Working memory of an integer perceptron: a text of `L` positions, and the sums of `H` hidden units.
///
/// Takes 2·`H` + 4·`L` + 33 bytes, rounded up to a multiple of 4.
#[derive(Clone, Debug)]
pub struct InputSums<const L: usize, const H: usize> {
    /// The text to evaluate.
    symbols: [Option<u8>; L],
    /// The text of the present `sums`.
    summed: [Option<u8>; L],
    /// The length n.
    length: u8,
    pub(crate) sums: [i16; H],
    /// Units whose value is above 0.
    active: Active,
}

impl<'a, P: Precision, const L: usize, const V: usize, const H: usize> InputLayer<'a, P, L, V, H> {
    /// Splits table and bias off the front of `rest`, with the exponents a of activations, e of the table and b of the bias.
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
    pub(crate) const EMPTY: Self =
        Self { symbols: [None; L], summed: [None; L], length: 0, sums: [0; H], active: [0; 8] };

    /// Starts a text of `length` masks, whose sums are the bias of its length.
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

    /// Sets `position` of the text to `symbol`; does nothing past its end.
    #[inline(always)]
    pub(crate) fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.symbols.get_mut(position).filter(|_| position < usize::from(self.length)) {
            *slot = symbol;
        }
    }

    /// Adds the row of `symbol` at `position` to the sums, or subtracts it if `take_away`; a mask has no row.
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
        if let Some(block) = layer.table.get(number >> P::ROW_SHIFT) {
            P::add_row(block, number, &mut self.sums, take_away);
        }
    }

    /// Updates sums and active units for the present text: from the sums of the last text, or from masks if that takes fewer rows.
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
        mark_active(&self.sums, layer.shift, &mut self.active);
    }

    /// The units of value above 0, in ascending order, with their values min(⌊sum / 2^`shift`⌋, `largest`).
    #[inline(always)]
    pub(crate) fn values(&self, shift: u32, largest: u8) -> impl Iterator<Item = (usize, u32)> + Clone {
        let value = move |sum: &i16| value_of((*sum).into(), shift & 31, largest);
        units(&self.active).map(move |unit| (unit, self.sums.get(unit).map_or(0, value)))
    }
}

/// The output layer: a table and a bias, which give the scores of a position from the values of hidden units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputLayer<'a, P, const L: usize, const V: usize, const H: usize> {
    /// U, `[L][H][V]`, in blocks.
    table: &'a [[u8; V]],
    /// c, one row for each position.
    bias: &'a [[[u8; 2]; V]; L],
    /// 16 − a − u.
    shift: u32,
    /// 16 − c.
    bias_shift: u32,
    precision: PhantomData<fn() -> P>,
}

impl<'a, P: Precision, const L: usize, const V: usize, const H: usize> OutputLayer<'a, P, L, V, H> {
    /// Splits table and bias off the front of `rest`, with the exponents a of activations, u of the table and c of the bias.
    ///
    /// `None` if a score could overflow for hidden values up to `largest_value`, or if a table is finer than a [`Score`].
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

    /// Computes the scores of `position` from `active` units, each with its value.
    ///
    /// Not inlined, so that its loop has all registers.
    #[inline(never)]
    pub(crate) fn scores(
        &self,
        position: usize,
        active: impl Iterator<Item = (usize, u32)> + Clone,
        scores: &mut [Score; V],
    ) {
        // H is even, so the rows of a position fill whole blocks.
        let blocks = self.table.get(position.wrapping_mul(H) >> P::ROW_SHIFT..);
        let Some((bias, blocks)) = self.bias.get(position).zip(blocks) else { return };
        let zero = sum_rows::<P, V>(blocks, active, scores);
        // Shifts are below 32 already. The mask tells the compiler so, which then drops a check from the loop.
        let (shift, bias_shift) = (self.shift & 31, self.bias_shift & 31);
        for (score, bias) in scores.iter_mut().zip(bias) {
            let bias = i32::from(i16::from_le_bytes(*bias)) << bias_shift;
            *score = (score.wrapping_sub(zero) << shift).wrapping_add(bias);
        }
    }
}

/// The hidden value of a `sum` of at least 0: min(⌊sum / 2^shift⌋, `largest`).
#[inline(always)]
pub(crate) fn value_of(sum: i32, shift: u32, largest: u8) -> u32 {
    (sum >> shift).cast_unsigned().min(u32::from(largest))
}

/// The units of value above 0, one bit each; a list of units would take eight times the memory.
type Active = [u32; 8];

/// Marks the units whose sum is at least 2^`shift`, so that their value is above 0.
///
/// Not inlined, so that the loop has all registers.
#[inline(never)]
fn mark_active(sums: &[i16], shift: u32, active: &mut Active) {
    let most_inactive = (1_i32 << shift).wrapping_sub(1);
    for (word, sums) in active.iter_mut().zip(sums.chunks(32)) {
        let mut bits = 0_u32;
        // The sign of the difference is the bit, without a branch.
        let mut mark = |sum: i16| {
            bits = bits << 1 | most_inactive.wrapping_sub(i32::from(sum)).cast_unsigned() >> 31;
        };
        // From the last unit to the first, so that the first ends in the lowest bit; four units in a turn of the loop.
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

/// The units marked in `active`, in ascending order.
#[inline(always)]
fn units(active: &Active) -> impl Iterator<Item = usize> + Clone {
    // Bits of the present word that are left, and the index of the first unit after the word.
    let (mut words, mut word, mut end) = (active.iter(), 0_u32, 0_usize);
    core::iter::from_fn(move || {
        let bits = loop {
            if let Some(bits) = NonZeroU32::new(word) {
                break bits;
            }
            word = *words.next()?;
            end = end.wrapping_add(32);
        };
        word &= word.wrapping_sub(1);
        Some(end.wrapping_sub(32).wrapping_add(bits.trailing_zeros() as usize))
    })
}
