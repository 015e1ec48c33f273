//! How integer weights are stored and multiplied: a byte or half a byte each.
//!
//! **Two lanes in a word** ([`Int4`]). Two bytes b₀, b₁ hold the codes of four symbols, 0 … 15. The word
//! x = b₀ + 2¹⁶·b₁ carries symbols 0 and 2 in its low nibbles and 1 and 3 in the high ones. Summed over the units,
//! all = Σ value·x and odd = Σ value·((x ≫ 4) & 000F000F) modulo 2³²; then even = all − 16·odd = Σ value·(x & 000F000F).
//! Each lane of `even` and `odd` ends below H·A·15 < 2¹⁶ by the choice of A, so that no lane spills over, and two
//! multiplications do the work of four. In between `all` may spill; modulo 2³² that is undone by the subtraction.
//!
//! Source: L. Lamport, "Multiple Byte Processing with Full-Word Instructions", 1975, for the lanes.

use crate::dtype::Dtype;
use crate::steps::Steps;

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
