//! Dropout: while it trains, a network goes without hidden values drawn at random, others for each example, or for
//! each [pack](crate::pack) of them, in which the first counts.
//!
//! y = x·s/(1 − p), where s is 0 with probability p and else 1, so that the mean of y over the draws is x; a network at
//! work uses y = x. Backward, with the same draws, d_x = d_y·s/(1 − p).
//!
//! p is a whole number of 256ths, and one random byte decides about one value: it is left out where the byte is below 256·p,
//! so the probability is exact. Which values an example goes without is a function of its stream and of where they are in
//! the network, not of the order in which they are computed.
//!
//! Source: N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 2014, section 10
//! for the division by 1 − p while training.

use crate::math::{Real, round_to_i32};
use crate::rng::Stream;

/// Which hidden values one example goes without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    /// 256·p.
    rate: u8,
    stream: Stream,
}

/// Draws made together, of eight bytes each.
const DRAWS: usize = 16;

impl Dropout {
    /// Each value is left out with probability `rate`, a number in 0 … 1 that is rounded to 256ths and to 255/256 at most.
    ///
    /// Values 8·n … 8·n + 7 of a layer are decided by the eight bytes of draw (n, layer) of `stream`, lowest first.
    pub fn new(rate: f32, stream: Stream) -> Self {
        let rate = round_to_i32(rate * 256.0);
        Self { rate: u8::try_from(rate.max(0)).unwrap_or(u8::MAX), stream }
    }

    /// 1/(1 − p).
    #[inline(always)]
    fn scale<R: Real>(self) -> R {
        R::of(256.0) / R::of(f64::from(256_u16.saturating_sub(u16::from(self.rate))))
    }

    /// y = x·s/(1 − p), in place, for the values of layer number `layer`.
    #[expect(clippy::indexing_slicing, reason = "a training kernel; x is at most DRAWS·8 long")]
    #[inline(always)]
    pub fn forward<R: Real>(self, layer: usize, x: &mut [R]) {
        let (scale, layer) = (self.scale(), u32::try_from(layer).unwrap_or(u32::MAX));
        for (first, x) in (0..).step_by(DRAWS).zip(x.chunks_mut(DRAWS * 8)) {
            let mut bytes = [0; DRAWS * 8];
            for (bytes, words) in
                bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.stream.draws::<DRAWS>(first, layer))
            {
                let [low, high] = words;
                *bytes = (u64::from(high) << 32 | u64::from(low)).to_le_bytes();
            }
            for i in 0..x.len() {
                x[i] = if bytes[i] < self.rate { R::ZERO } else { x[i] * scale };
            }
        }
    }

    /// d_x = d_y·s/(1 − p), in place, where d_y is 0 already wherever s is.
    ///
    /// Forward was `y = x·s/(1 − p)` of the x that an activation gave. Its backward pass comes first, from y, so it must keep
    /// nothing where y = 0 and else not ask how large y is: [`Relu`](crate::activation::Activation::Relu) does so, and
    /// [`Stepped`](crate::activation::Activation::Stepped), which asks whether y is at its upper end, does not.
    #[inline(always)]
    pub fn backward<R: Real>(self, d_y: &mut [R]) {
        let scale = self.scale();
        for d_y in d_y {
            *d_y = *d_y * scale;
        }
    }
}
