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

/// Adds Σ value·code to `sums`, over the (block, row, value) of `rows`: each row has `N` codes, and `sums` a sum for
/// each.
///
/// A code is a stored weight: code = weight + zero point ([`Dtype::zero`](crate::dtype::Dtype::zero)). A block of `N`
/// bytes has one row of 8-bit weights, or two of 4-bit weights: that of an even row number, then that of an odd one.
/// [`Precision::arrange`] must put the sums in order after the last call.
///
/// Returns Σ value. This times the zero point, subtracted from a sum of codes, leaves the sum of weights.
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

/// Computes Σ value·code without a multiplication, over the (block, row, value) of `rows`, in `sums`, which must be 0
/// at first.
///
/// For each bit of the values, the highest first, doubles `sums` and adds the codes of the rows whose value has the
/// bit.
///
/// A code is a stored weight: code = weight + zero point ([`Dtype::zero`](crate::dtype::Dtype::zero)). A block of `N`
/// bytes has one row of 8-bit weights, or two of 4-bit weights: that of an even row number, then that of an odd one.
/// [`Precision::arrange`] must put the sums in order afterwards.
///
/// Returns Σ value. This times the zero point, subtracted from a sum of codes, leaves the sum of weights.
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
