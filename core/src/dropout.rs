//! Dropout: training sets hidden values to 0 at random, anew for each example, or for each [pack](crate::pack) by the
//! dropout of its first example.
//!
//! y = x·s/(1 − p), where s is 0 with probability p and else 1. The mean of y over the draws is x. Inference uses y = x.
//! Backward, with the same draws: d_x = d_y·s/(1 − p).
//!
//! p is a whole number of 256ths. One random byte decides about one value: s is 0 if the byte is below 256·p, so the
//! probability is exact. s is a function of the example's stream and of the value's place in the network, not of the order
//! of computation.
//!
//! Source: N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 2014, section 10,
//! for the division by 1 − p in training.

use crate::math::{Real, round_to_i32};
use crate::rng::{Stream, threefry2x32};

/// Dropout of one example: its rate, and the stream that draws the hidden values to set to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropout {
    /// 256·p.
    rate: u8,
    stream: Stream,
}

/// Draws of eight bytes made together.
const DRAWS: usize = 16;

impl Stream {
    /// The pairs of random words of this stream at the `N` counters (`first`, `b`), (`first` + 1, `b`), … After
    /// `u32::MAX` follows 0.
    #[inline(always)]
    pub fn draws<const N: usize>(self, first: u32, b: u32) -> [[u32; 2]; N] {
        let (mut words, mut counter) = ([[0; 2]; N], first);
        for words in &mut words {
            *words = threefry2x32(self.key, [counter, b]);
            counter = counter.wrapping_add(1);
        }
        words
    }
}

impl Dropout {
    /// Creates dropout that sets values to 0 with probability p = `rate`, rounded to 256ths in 0 … 255/256; NaN counts
    /// as 0.
    ///
    /// A value becomes 0 if its random byte is below 256·p; else it is multiplied by 1/(1 − p). The eight bytes of
    /// `stream.draw(n, layer)`, lowest first, decide about the values 8·n … 8·n + 7 of layer number `layer`.
    pub fn new(rate: f32, stream: Stream) -> Self {
        let rate = round_to_i32(rate * 256.0);
        Self { rate: u8::try_from(rate.max(0)).unwrap_or(u8::MAX), stream }
    }

    /// 1/(1 − p).
    #[inline(always)]
    fn scale<R: Real>(self) -> R {
        R::of(256.0) / R::of(f64::from(256_u16.saturating_sub(u16::from(self.rate))))
    }

    /// Applies dropout to the values `x` of layer number `layer`, in place: each becomes 0 with probability p, else
    /// x/(1 − p).
    ///
    /// p is the rate of [`new`](Self::new). `layer`, from 0, tells the layers' random draws apart; at one layer, every
    /// call sets the same values to 0.
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

    /// Turns the gradient of dropout's output into that of its input, in place: divides by 1 − p, where p is the rate,
    /// at most 255/256.
    ///
    /// `d_y` must already be 0 where dropout set a value to 0. [`Relu`](crate::activation::Activation::Relu)'s backward
    /// pass, called before with dropout's output as `y`, sees to that. After other layers, call [`forward`](Self::forward) on
    /// `d_y` instead, with the layer's number: it draws the same zeros.
    ///
    /// The caller must not combine dropout with [`Stepped`](crate::activation::Activation::Stepped), whose backward
    /// pass compares y with its largest value. The factor 1/(1 − p) would spoil this comparison, and this function does
    /// not refuse the combination.
    #[inline(always)]
    pub fn backward<R: Real>(self, d_y: &mut [R]) {
        let scale = self.scale();
        for d_y in d_y {
            *d_y = *d_y * scale;
        }
    }
}
