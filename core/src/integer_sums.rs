//! Sums of rows of integer weights, each times a value: Σ value·row.
//!
//! **Without a multiplier** ([`MULTIPLIER`]) value·row is added bit by bit, from the highest: sum = 2·sum + Σ row over the
//! units whose bit is set (Horner's rule).

use crate::precision::Precision;

/// Whether the processor multiplies; RISC-V cores of the smallest class do not.
pub const MULTIPLIER: bool =
    cfg!(not(any(target_arch = "riscv32", target_arch = "riscv64"))) || cfg!(target_feature = "m");

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
