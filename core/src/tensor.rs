//! Fixed-size tensors: nested arrays, and typed views of a flat slice.
//!
//! A model's parameters are one flat slice. A view splits it into references to arrays whose types carry the shapes,
//! without copying, so that the same view serves weights in memory, gradients and a file in flash, and no large array
//! is ever a value on the stack.

use crate::dtype::Dtype;

/// How a tensor begins training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// All 0, as biases.
    Zeros,
    /// All 1, as gains.
    Ones,
    /// Uniform in ±√(3/fan-in), fan-in being how many terms the sums have that it weighs.
    Uniform(usize),
}

/// One parameter tensor: its name, its dimensions, how it begins, and how training may split it. A model lists its tensors in flat
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in checkpoints and reports.
    pub name: &'static str,
    /// Dimensions, outermost first, row-major.
    pub dimensions: &'static [usize],
    /// Into how many equal, contiguous parts its gradient can be split; each is computed alone.
    pub parts: usize,
    /// How it begins.
    pub start: Start,
}

impl Tensor {
    /// Its dtype and dimensions in a model file.
    pub(crate) const fn stored(&self) -> (Dtype, &'static [usize]) {
        (Dtype::F32, self.dimensions)
    }

    /// How many numbers the tensor holds: the product of its dimensions.
    pub const fn len(&self) -> usize {
        product(self.dimensions)
    }

    /// Whether the tensor holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many numbers one part holds.
    pub const fn part_len(&self) -> usize {
        match self.len().checked_div(self.parts) {
            Some(len) => len,
            None => 0,
        }
    }
}

/// The product of `dimensions`.
pub(crate) const fn product(dimensions: &[usize]) -> usize {
    let (mut product, mut rest) = (1usize, dimensions);
    while let [first, tail @ ..] = rest {
        product = product.saturating_mul(*first);
        rest = tail;
    }
    product
}

/// How many numbers `tensors` hold together.
pub const fn total_len(tensors: &[Tensor]) -> usize {
    let (mut sum, mut rest) = (0usize, tensors);
    while let [first, tail @ ..] = rest {
        sum = sum.saturating_add(first.len());
        rest = tail;
    }
    sum
}

/// A flat slice, to be read or written, of which parts are split off.
pub(crate) trait Flat: Sized {
    /// Splits `length` numbers off the front; `None` where there are fewer.
    fn take(&mut self, length: usize) -> Option<Self>;
}

impl<T> Flat for &[T] {
    #[inline(always)]
    fn take(&mut self, length: usize) -> Option<Self> {
        self.split_off(..length)
    }
}

impl<T> Flat for &mut [T] {
    #[inline(always)]
    fn take(&mut self, length: usize) -> Option<Self> {
        self.split_off_mut(..length)
    }
}

/// Block number `number` of `flat`, `length` numbers each; `None` where there are fewer.
#[inline(always)]
pub(crate) fn block<T>(flat: &[T], number: usize, length: usize) -> Option<&[T]> {
    flat.get(number.checked_mul(length)?..)?.get(..length)
}

/// Block number `number` of `flat`, to be written.
#[inline(always)]
pub(crate) fn block_mut<T>(flat: &mut [T], number: usize, length: usize) -> Option<&mut [T]> {
    flat.get_mut(number.checked_mul(length)?..)?.get_mut(..length)
}

/// The first `N` rows of `flat`, `width` numbers each; `None` where there are fewer.
#[inline(always)]
pub(crate) fn first_rows<T, const N: usize>(mut flat: &[T], width: usize) -> Option<[&[T]; N]> {
    let none: &[T] = &[];
    let mut rows = [none; N];
    for row in &mut rows {
        (*row, flat) = flat.split_at_checked(width)?;
    }
    Some(rows)
}

/// Splits `[T; N]` off the front of `flat`; `None` where it is too short.
pub fn vector<'a, T, const N: usize>(flat: &mut &'a [T]) -> Option<&'a [T; N]> {
    let (head, tail) = flat.split_first_chunk()?;
    *flat = tail;
    Some(head)
}

/// Splits `[[T; N]; M]` off the front of `flat`; `None` where it is too short.
pub fn matrix<'a, T, const N: usize, const M: usize>(flat: &mut &'a [T]) -> Option<&'a [[T; N]; M]> {
    let (head, tail) = flat.split_at_checked(M.checked_mul(N)?)?;
    *flat = tail;
    head.as_chunks().0.try_into().ok()
}

/// Splits `[[[T; N]; M]; K]` off the front of `flat`; `None` where it is too short.
pub fn cube<'a, T, const N: usize, const M: usize, const K: usize>(
    flat: &mut &'a [T],
) -> Option<&'a [[[T; N]; M]; K]> {
    let (head, tail) = flat.split_at_checked(K.checked_mul(M)?.checked_mul(N)?)?;
    *flat = tail;
    head.as_chunks().0.as_chunks().0.try_into().ok()
}

/// Splits `count` matrices `[[T; N]; M]` off the front of `flat`; `None` where it is too short.
pub fn matrices<'a, T, const N: usize, const M: usize>(
    flat: &mut &'a [T],
    count: usize,
) -> Option<&'a [[[T; N]; M]]> {
    let (head, tail) = flat.split_at_checked(count.checked_mul(M)?.checked_mul(N)?)?;
    *flat = tail;
    Some(head.as_chunks().0.as_chunks().0)
}

/// Splits `[[[[T; N]; M]; K]; J]` off the front of `flat`; `None` where it is too short.
pub fn hypercube<'a, T, const N: usize, const M: usize, const K: usize, const J: usize>(
    flat: &mut &'a [T],
) -> Option<&'a [[[[T; N]; M]; K]; J]> {
    let (head, tail) = flat.split_at_checked(J.checked_mul(K)?.checked_mul(M)?.checked_mul(N)?)?;
    *flat = tail;
    head.as_chunks().0.as_chunks().0.as_chunks().0.try_into().ok()
}
