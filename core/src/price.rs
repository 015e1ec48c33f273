//! The weight of the [price](crate::steps::Steps::price) of hidden values in the loss of an example.

use crate::denoiser::Example;
use crate::math::Real;

impl<const L: usize> Example<L> {
    /// Weight in the loss of the [price](crate::steps::Steps::price) of hidden values, a penalty that makes most of
    /// them 0 in training for networks in integers: m·2·k/(n + 1).
    ///
    /// The text has n positions. m is the mean of their loss weights, and k the number of those that are not 0. Each of
    /// these k positions reads the hidden values, so the price is in proportion to k. 2·k/(n + 1) averages 1 over k = 1
    /// … n. An empty text has the weight 0.
    pub fn hidden_weight<R: Real>(&self) -> R {
        let real = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let weights = (0..self.length()).map(|position| self.weight(position));
        let sum = weights.clone().fold(R::ZERO, |sum, weight| sum + R::of(f64::from(weight)));
        let readers = weights.filter(|weight| *weight != 0.0).count();
        let length = real(self.length());
        sum / R::of(length.max(1.0)) * R::of(2.0 * real(readers) / (length + 1.0))
    }
}
