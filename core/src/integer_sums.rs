//! Weighted sums of rows of integer weights: Σ value·row.
//!
//! **Without a multiplier** ([`MULTIPLIER`]) the sum is taken bit by bit, the highest first (Horner's rule): sum = 2·sum + Σ
//! row over the units whose value has the bit.

use crate::precision::Precision;

/// Whether the target's processor can multiply; the smallest RISC-V cores cannot.
pub const MULTIPLIER: bool =
    cfg!(not(any(target_arch = "riscv32", target_arch = "riscv64"))) || cfg!(target_feature = "m");

/// Computes Σ value·code in each column, over the (row, value) pairs of `active` and the rows in `blocks`.
///
/// Returns Σ value·zero, to be subtracted from each sum to turn codes into weights.
#[inline(always)]
pub(crate) fn sum_rows<P: Precision, const N: usize>(
    blocks: &[[u8; N]],
    active: impl Iterator<Item = (usize, u32)> + Clone,
    sums: &mut [i32; N],
) -> i32 {
    let rows = active.filter_map(|(row, value)| Some((blocks.get(row >> P::ROW_SHIFT)?, row, value)));
    *sums = [0; N];
    let values =
        if MULTIPLIER { add_products::<P, N>(rows, sums) } else { add_bit_by_bit::<P, N>(rows, sums) };
    P::arrange(sums);
    values.wrapping_mul(u32::from(P::DTYPE.zero())).cast_signed()
}

/// Adds value·code_j to sum j of `sums` for each (block, row, value) in `rows`: the `N` codes of a row times a hidden
/// value.
///
/// `sums` are 0 before the first call. After the last, [`Precision::arrange`] must put them in order, one for each code
/// of a row; no row can be added then.
///
/// A code is a stored weight, without sign: code = weight + zero point ([`Dtype::zero`](crate::dtype::Dtype::zero)),
/// which is 128 in 8 bits and 8 in 4 bits.
///
/// `row` is the row's number in its table. With 8-bit weights, a block of `N` bytes is one row. With 4-bit weights, it
/// is that of rows 2k and 2k + 1: ⌊N/2⌋ bytes of row 2k, then ⌊N/2⌋ of row 2k + 1. The low half of a byte is the
/// earlier code. If N is odd, a byte between the two rows has both last codes, that of row 2k in its low half.
///
/// With 8-bit weights, sums wrap in 32 bits. With 4-bit weights, sums of 16 bits share entries until `arrange`. So the
/// sum of value over all calls must be at most 4369 = 65535/15, which is not checked: a larger sum spills into its
/// neighbour.
///
/// Returns Σ value of this call, modulo 2³². This times the zero point, subtracted from a sum of codes, leaves the sum
/// of weights.
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

/// Computes sum j as Σ value·code_j over the (block, row, value) in `rows`, without a multiplication: the `N` codes of
/// a row times a hidden value.
///
/// `sums` must be 0 at first, so call once. Afterwards, [`Precision::arrange`] must put them in order, one for each
/// code of a row. For each bit of the values, the highest first, runs through a copy of `rows`: doubles `sums` and adds
/// the codes of the rows whose value has the bit.
///
/// A code is a stored weight, without sign: code = weight + zero point ([`Dtype::zero`](crate::dtype::Dtype::zero)),
/// which is 128 in 8 bits and 8 in 4 bits.
///
/// `row` is the row's number in its table. With 8-bit weights, a block of `N` bytes is one row. With 4-bit weights, it
/// is that of rows 2k and 2k + 1: ⌊N/2⌋ bytes of row 2k, then ⌊N/2⌋ of row 2k + 1. The low half of a byte is the
/// earlier code. If N is odd, a byte between the two rows has both last codes, that of row 2k in its low half.
///
/// With 8-bit weights, sums wrap in 32 bits. With 4-bit weights, sums of 16 bits share entries until `arrange`. So the
/// sum of value must be at most 4369 = 65535/15, which is not checked: a larger sum spills into its neighbour.
///
/// Returns Σ value of this call, modulo 2³². This times the zero point, subtracted from a sum of codes, leaves the sum
/// of weights.
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
