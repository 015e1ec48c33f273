//! Precisions: how integer weights are stored and multiplied, a byte or half a byte each.
//!
//! **Two lanes in a word** ([`Int4`]). Two bytes b₀, b₁ hold the codes of four symbols, each 0 … 15. The word x = b₀ + 2¹⁶·b₁
//! has symbols 0 and 2 in the low half of its bytes, symbols 1 and 3 in the high half. Sums run over the units, modulo 2³²:
//!
//! ```text
//! all = Σ value·x,   odd = Σ value·((x ≫ 4) & 000F000F),   even = all − 16·odd = Σ value·(x & 000F000F)
//! ```
//!
//! Two multiplications do the work of four. The choice of the largest value A keeps each lane of `even` and `odd` below
//! H·A·15 < 2¹⁶, so that no lane overflows. `all` may overflow; the subtraction undoes this modulo 2³².
//!
//! Source: L. Lamport, "Multiple Byte Processing with Full-Word Instructions", 1975, for the lanes.

use crate::dtype::Dtype;
use crate::steps::Steps;
use crate::stored::Nibble;

/// A precision of integer weights, [`Int8`] or [`Int4`]: storage and multiplication, for networks in integers.
///
/// Weights are stored as codes, unsigned numbers of a byte or half a byte: code = weight + zero point
/// ([`Dtype::zero`]).
pub trait Precision: Copy {
    /// Storage format of the weights.
    const DTYPE: Dtype;

    /// Largest exponent e of hidden values, whose unit is 2⁻ᵉ: 3 with 4-bit weights, 7 with 8-bit weights.
    ///
    /// Weights that just fill the range −1 … 1 have this unit too. Sums of them are no finer, and hidden values need
    /// not be.
    const FINEST: u8;

    /// The largest value that a hidden unit may have if sums run over `units` units: it fits a byte, and no sum
    /// overflows. With 0 units, or too many for a value of 1, it is 0.
    ///
    /// 8-bit weights have sums of 24 bits, the bits that a float holds exactly. 4-bit weights have sums of 16 bits, one
    /// of two lanes of a word.
    fn largest_value(units: usize) -> u8;

    /// Shift from the number of a row to that of its block: row r of a table is in block r ≫ `ROW_SHIFT`.
    ///
    /// A block is `N` bytes: one row of `N` 8-bit weights, a shift of 0, or two rows of `N` 4-bit weights, a shift of
    /// 1.
    const ROW_SHIFT: u32;

    /// Adds the `N` weights of a row, without a scale, to `sums`, or subtracts them if `take_away`. `block` has their
    /// codes: weight = code − zero point ([`Dtype::zero`]), −128 … 127 in 8 bits, −8 … 7 in 4 bits.
    ///
    /// `row` is the row's number in its table. With 8-bit weights, `block` is one row, and `row` is not read.
    ///
    /// With 4-bit weights, `block` is that of rows 2k and 2k + 1: ⌊N/2⌋ bytes of row 2k, then ⌊N/2⌋ of row 2k + 1. The
    /// low half of a byte is the earlier code. If N is odd, a byte between the two rows has both last codes, that of
    /// row 2k in its low half.
    ///
    /// The caller sees to it that no sum overflows; it would wrap.
    fn add_row<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i16; N], take_away: bool);

    /// Adds `factor` times the `N` codes of a row to `sums`, which are 0 before the first row. A code is a stored
    /// weight, without sign: code = weight + zero point ([`Dtype::zero`]), which is 128 in 8 bits and 8 in 4 bits.
    ///
    /// `row` is the row's number in its table. With 8-bit weights, `block` is one row, and `row` is not read. Then
    /// `sums[i]` grows by `factor` times code i, and wraps from 2³¹ on.
    ///
    /// With 4-bit weights, `block` is that of rows 2k and 2k + 1: ⌊N/2⌋ bytes of row 2k, then ⌊N/2⌋ of row 2k + 1. The
    /// low half of a byte is the earlier code. If N is odd, a byte between the two rows has both last codes, that of
    /// row 2k in its low half.
    ///
    /// Until [`arrange`](Self::arrange), `sums` for 4-bit weights have a private order, in which sums of 16 bits share
    /// entries. So the sum of `factor` over all calls must be at most 4369 = 65535/15, which is not checked: a larger
    /// sum spills into its neighbour.
    fn add_products<const N: usize>(block: &[u8; N], row: usize, factor: u32, sums: &mut [i32; N]);

    /// Adds the `N` codes of a row to `sums`, which are 0 before the first row: [`add_products`](Self::add_products)
    /// with a factor of 1. A code is a stored weight, without sign: code = weight + zero point ([`Dtype::zero`]), which
    /// is 128 in 8 bits and 8 in 4 bits.
    ///
    /// `row` is the row's number in its table. With 8-bit weights, `block` is one row, and `row` is not read. Then
    /// `sums[i]` grows by code i.
    ///
    /// With 4-bit weights, `block` is that of rows 2k and 2k + 1: ⌊N/2⌋ bytes of row 2k, then ⌊N/2⌋ of row 2k + 1. The
    /// low half of a byte is the earlier code. If N is odd, a byte between the two rows has both last codes, that of
    /// row 2k in its low half.
    ///
    /// Until [`arrange`](Self::arrange), `sums` for 4-bit weights have a private order, in which sums of 16 bits share
    /// entries. So at most 4369 = 65535/15 rows may be added, which is not checked: a larger sum spills into its
    /// neighbour.
    fn add_codes<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i32; N]);

    /// Turns what [`add_products`](Self::add_products) and [`add_codes`](Self::add_codes) left in `sums` into `N` sums,
    /// one for each code of a row, in the row's order.
    ///
    /// Call once, after the last row: no row can be added afterwards. With 8-bit weights, `sums` stay as they are.
    fn arrange<const N: usize>(sums: &mut [i32; N]);
}

/// Hidden units from which on a network can spare some, so that each has a price.
const SPARSE: usize = 64;

/// Penalty, in nats, for an output of 1 of a hidden layer, where networks in integers of width 64 or more are trained.
/// Narrower ones have no penalty.
///
/// Training adds `PRICE`·y to a text's loss for each output y ≥ 0 of a hidden layer, times
/// [`Example::hidden_weight`](crate::denoiser::Example::hidden_weight), the text's own weight ([`Steps::price`]). So most
/// outputs are 0, and cost a chip no time.
/// `core/notes/experiments.md` has the scores and instruction counts that chose it.
pub const PRICE: f64 = 0.009;

/// The steps of hidden values if sums run over `taps` times `units` values.
///
/// The largest value A·2⁻ᵃ is 2 … 4, or more if `P` has no step so fine. Values have the [`PRICE`] from [`SPARSE`] units on.
#[inline(always)]
pub(crate) fn steps<P: Precision>(units: usize, taps: usize) -> Steps {
    let largest = P::largest_value(units.saturating_mul(taps));
    let places = u8::BITS.saturating_sub(largest.leading_zeros());
    let exponent = P::FINEST.min(u8::try_from(places.saturating_sub(2)).unwrap_or(0));
    Steps { exponent, largest, price: if units < SPARSE { 0.0 } else { PRICE } }
}

/// The largest byte whose product with `factor`, added `units` times, is below 2^`bits`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
fn largest_of(units: usize, factor: usize, bits: u32) -> u8 {
    let limit = 1_usize.wrapping_shl(bits).wrapping_sub(1);
    let most = limit.checked_div(factor.saturating_mul(units)).unwrap_or(0);
    if most < u8::MAX as usize { most as u8 } else { u8::MAX }
}

/// Precision of 8-bit weights, a type parameter of networks in integers. An integer i = −128 … 127, a byte, stands for
/// the weight i·2⁻ᵉ, with one exponent e for each tensor.
#[derive(Clone, Copy, Debug)]
pub struct Int8;

impl Precision for Int8 {
    const DTYPE: Dtype = Dtype::Int8;
    const FINEST: u8 = 7;
    const ROW_SHIFT: u32 = 0;

    fn largest_value(units: usize) -> u8 {
        largest_of(units, 128, 24)
    }

    #[inline(never)]
    fn add_row<const N: usize>(block: &[u8; N], _row: usize, sums: &mut [i16; N], take_away: bool) {
        let weight = |code: &u8| i16::from(*code).wrapping_sub(128);
        let pairs = sums.iter_mut().zip(block);
        // The sign is decided once, not at every weight.
        if take_away {
            pairs.for_each(|(sum, code)| *sum = sum.wrapping_sub(weight(code)));
        } else {
            pairs.for_each(|(sum, code)| *sum = sum.wrapping_add(weight(code)));
        }
    }

    // Not inlined, so that the loop has all registers. Unrolled by hand, because compilers that optimise for size do not
    // unroll.
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

/// Precision of 4-bit weights, a type parameter of networks in integers. An integer i = −8 … 7, half a byte, stands for
/// the weight i·2⁻ᵉ, with one exponent e for each tensor.
#[derive(Clone, Copy, Debug)]
pub struct Int4;

/// Mask of the low half byte of each lane.
const NIBBLES: u32 = 0x000F_000F;

impl Int4 {
    /// Row `row` of the two in `block`: its whole bytes, and its last half byte, or 0 if N is even.
    #[inline(always)]
    fn row<const N: usize>(block: &[u8; N], row: usize) -> Option<(&[u8], u8)> {
        let (start, length, last) = Self::DTYPE.row(row & 1, N);
        let nibble = match last {
            Some(Nibble { byte, high }) => block.get(byte)? >> (u8::from(high) << 2) & 15,
            None => 0,
        };
        Some((block.get(start..start.wrapping_add(length))?, nibble))
    }

    /// Combines each of `sums` with a weight of the row, by the function `by` of sum and weight.
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

    /// Adds `factor`·x to `all` and `factor`·((x ≫ 4) & 000F000F) to `odd`, for the word x of the bytes `low` and `high`.
    #[inline(always)]
    fn add_word(all: &mut i32, odd: &mut i32, low: u8, high: u8, factor: u32) {
        let word = u32::from(low) | u32::from(high) << 16;
        *all = all.wrapping_add(word.wrapping_mul(factor).cast_signed());
        *odd = odd.wrapping_add((word >> 4 & NIBBLES).wrapping_mul(factor).cast_signed());
    }

    /// Adds the words of a row to `sums`: of its whole `bytes`, and of its last half byte `nibble`.
    ///
    /// Shared by rows of every width, since chips without a multiplier have the least flash.
    #[inline(never)]
    fn add_words(bytes: &[u8], nibble: u8, sums: &mut [i32]) {
        Self::add_tail(bytes, nibble, sums, 1, true);
    }

    /// Adds `factor` times the words of a row to `sums`: of its whole `bytes` and, if `partial`, of the last byte and `nibble`.
    #[inline(always)]
    fn add_tail(bytes: &[u8], nibble: u8, sums: &mut [i32], factor: u32, partial: bool) {
        let (words, rest) = bytes.as_chunks::<2>();
        let mut pairs = sums.as_chunks_mut::<2>().0.iter_mut();
        for ([low, high], [all, odd]) in words.iter().zip(pairs.by_ref()) {
            Self::add_word(all, odd, *low, *high, factor);
        }
        if let (Some([all, odd]), true) = (pairs.next(), partial) {
            let (low, high) = rest.first().map_or((nibble, 0), |byte| (*byte, nibble));
            Self::add_word(all, odd, low, high, factor);
        }
    }
}

impl Precision for Int4 {
    const DTYPE: Dtype = Dtype::Int4;
    const FINEST: u8 = 3;
    const ROW_SHIFT: u32 = 1;

    fn largest_value(units: usize) -> u8 {
        largest_of(units, 15, 16)
    }

    #[inline(never)]
    fn add_row<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i16; N], take_away: bool) {
        let Some((bytes, nibble)) = Self::row(block, row) else { return };
        // The sign is decided once, not at every weight.
        if take_away {
            Self::change(bytes, nibble, sums, i16::wrapping_sub);
        } else {
            Self::change(bytes, nibble, sums, i16::wrapping_add);
        }
    }

    // Not inlined, so that the loop has all registers. Unrolled by hand, because compilers that optimise for size do not
    // unroll.
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
        Self::add_tail(rest, nibble, last, factor, N & 3 != 0);
    }

    #[inline(always)]
    fn add_codes<const N: usize>(block: &[u8; N], row: usize, sums: &mut [i32; N]) {
        if let Some((bytes, nibble)) = Self::row(block, row) {
            Self::add_words(bytes, nibble, sums);
        }
    }

    /// Goes from the last four symbols to the first, so that no sum is overwritten before it is read.
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
