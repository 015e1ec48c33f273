//! Views of tensors of more dimensions, split off a flat slice; see [`tensor`](crate::tensor).

/// Splits `count` matrices of `M` rows of `N` numbers of any type `T` off the front of `flat`, which keeps the rest. If
/// `flat` is too short, it stays as it is, and the result is `None`.
pub fn matrices<'a, T, const N: usize, const M: usize>(
    flat: &mut &'a [T],
    count: usize,
) -> Option<&'a [[[T; N]; M]]> {
    Some(flat.split_off(..count.checked_mul(M)?.checked_mul(N)?)?.as_chunks().0.as_chunks().0)
}

/// Splits an array of `J` × `K` × `M` rows of `N` numbers of any type `T` off the front of `flat`, which keeps the
/// rest. If `flat` is too short, it stays as it is, and the result is `None`.
pub fn hypercube<'a, T, const N: usize, const M: usize, const K: usize, const J: usize>(
    flat: &mut &'a [T],
) -> Option<&'a [[[[T; N]; M]; K]; J]> {
    matrices(flat, J.checked_mul(K)?)?.as_chunks().0.try_into().ok()
}
