//! Tensors: nested arrays of fixed size, viewed in a flat slice.
//!
//! A model's parameters are one flat slice. A view splits it without copying into references to arrays, whose types carry the
//! shapes. One kind of view thus serves weights in memory, gradients, and a file in flash. No large array is ever a value on
//! the stack.

/// Initial value of a tensor in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// All 0, for biases.
    Zeros,
    /// All 1, for gains.
    Ones,
    /// Uniform in ±√(3/fan-in), where fan-in is the number of terms in the sums that the tensor weighs.
    Uniform(usize),
}

/// Description of a parameter tensor: its name, sizes and initial values. The numbers themselves are elsewhere.
///
/// A model's parameters are one flat slice. Its tensors lie there one after the other, in the order of the model's
/// list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in checkpoints and reports.
    pub name: &'static str,
    /// Sizes of the dimensions, outermost first. The numbers lie row by row: the last dimension varies fastest.
    pub dimensions: &'static [usize],
    /// Number of equal, contiguous parts of the tensor, whose gradients can be computed separately, for example by
    /// threads.
    pub parts: usize,
    /// Initial values of the numbers, before training.
    pub start: Start,
}

impl Tensor {
    /// The number of elements: the product of the dimensions.
    pub const fn numbers(&self) -> usize {
        product(self.dimensions)
    }

    /// The number of elements in a part: [`numbers`](Self::numbers) divided by [`parts`](Self::parts), the number of
    /// pieces whose gradients threads compute apart. Parts divide every tensor of this crate without a rest. 0 without
    /// parts.
    pub fn part_len(&self) -> usize {
        self.numbers().checked_div(self.parts).unwrap_or(0)
    }
}

/// The product of `dimensions`.
pub(crate) const fn product(dimensions: &[usize]) -> usize {
    match dimensions {
        [first, rest @ ..] => product(rest).saturating_mul(*first),
        [] => 1,
    }
}

/// The number of elements of all `tensors`.
pub const fn total_len(tensors: &[Tensor]) -> usize {
    match tensors {
        [first, rest @ ..] => total_len(rest).saturating_add(first.numbers()),
        [] => 0,
    }
}

/// A flat slice, shared or mutable, from which parts are split off.
pub(crate) trait Flat: Sized {
    /// Splits `length` elements off the front; `None` if there are fewer.
    fn take(&mut self, length: usize) -> Option<Self>;
}

impl<T> Flat for &[T] {
    fn take(&mut self, length: usize) -> Option<Self> {
        self.split_off(..length)
    }
}

impl<T> Flat for &mut [T] {
    fn take(&mut self, length: usize) -> Option<Self> {
        self.split_off_mut(..length)
    }
}

/// Block `number` of `flat`, of `length` elements each; `None` if it is not complete.
#[inline(always)]
pub(crate) fn block<T>(flat: &[T], number: usize, length: usize) -> Option<&[T]> {
    flat.get(number.checked_mul(length)?..)?.get(..length)
}

/// Block `number` of the mutable `flat`, of `length` elements each; `None` if it is not complete.
#[inline(always)]
pub(crate) fn block_mut<T>(flat: &mut [T], number: usize, length: usize) -> Option<&mut [T]> {
    flat.get_mut(number.checked_mul(length)?..)?.get_mut(..length)
}

/// The first `N` rows of `flat`, of `width` elements each; `None` if there are fewer.
#[inline(always)]
pub(crate) fn first_rows<T, const N: usize>(mut flat: &[T], width: usize) -> Option<[&[T]; N]> {
    let mut rows: [&[T]; N] = [&[]; N];
    for row in &mut rows {
        (*row, flat) = flat.split_at_checked(width)?;
    }
    Some(rows)
}

/// Splits an array of `N` numbers of any type `T` off the front of `flat`, which keeps the rest. If `flat` is too
/// short, it stays as it is, and the result is `None`.
pub fn vector<'a, T, const N: usize>(flat: &mut &'a [T]) -> Option<&'a [T; N]> {
    flat.split_off(..N)?.try_into().ok()
}

/// Splits an array of `M` rows of `N` numbers of any type `T` off the front of `flat`, which keeps the rest. If `flat`
/// is too short, it stays as it is, and the result is `None`.
pub fn matrix<'a, T, const N: usize, const M: usize>(flat: &mut &'a [T]) -> Option<&'a [[T; N]; M]> {
    flat.split_off(..M.checked_mul(N)?)?.as_chunks().0.try_into().ok()
}

/// Splits an array of `K` × `M` rows of `N` numbers of any type `T` off the front of `flat`, which keeps the rest. If
/// `flat` is too short, it stays as it is, and the result is `None`.
pub fn cube<'a, T, const N: usize, const M: usize, const K: usize>(
    flat: &mut &'a [T],
) -> Option<&'a [[[T; N]; M]; K]> {
    flat.split_off(..K.checked_mul(M)?.checked_mul(N)?)?.as_chunks().0.as_chunks().0.try_into().ok()
}
