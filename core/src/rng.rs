//! Random numbers by counters: Threefry-2×32, and the streams that address every draw.
//!
//! A counter-based generator keeps no state: draw n is a function of the key and n. Work can be skipped, reordered, split
//! over threads or resumed, and every draw stays unchanged. Threefry needs only additions, rotations and exclusive-ors of
//! 32-bit words. Without a multiplication it suits a Cortex-M0 and RISC-V cores without a multiplier.
//!
//! Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; test
//! vectors from the authors' Random123 distribution (`kat_vectors`).

/// Rotations of eight consecutive rounds, in two groups of four.
const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
/// The parity word of the key schedule, from the Skein hash function.
const PARITY: u32 = 0x1BD1_1BDA;

/// The Threefry-2×32 block function with 20 rounds: two random words for each (key, counter).
///
/// Every four rounds `x0 += x1; x1 = rotl(x1, r) ^ x0` are followed by an injection. An injection adds the next two of the
/// three key words k0, k1, k0 ^ k1 ^ parity, then its own number. So all blocks of rounds differ.
///
/// Inlined, so that loops over counters vectorise.
#[inline(always)]
pub const fn threefry2x32([k0, k1]: [u32; 2], [c0, c1]: [u32; 2]) -> [u32; 2] {
    let k2 = PARITY ^ k0 ^ k1;
    let [first, second] = ROTATIONS;
    let x = [c0.wrapping_add(k0), c1.wrapping_add(k1)];
    let x = four_rounds(x, first, [k1, k2], 1);
    let x = four_rounds(x, second, [k2, k0], 2);
    let x = four_rounds(x, first, [k0, k1], 3);
    let x = four_rounds(x, second, [k1, k2], 4);
    four_rounds(x, first, [k2, k0], 5)
}

/// Four rounds and injection `number`, which adds `keys`.
#[inline(always)]
const fn four_rounds(x: [u32; 2], [r0, r1, r2, r3]: [u32; 4], [k0, k1]: [u32; 2], number: u32) -> [u32; 2] {
    let [x0, x1] = round(round(round(round(x, r0), r1), r2), r3);
    [x0.wrapping_add(k0), x1.wrapping_add(k1).wrapping_add(number)]
}

#[inline(always)]
const fn round([x0, x1]: [u32; 2], rotation: u32) -> [u32; 2] {
    let sum = x0.wrapping_add(x1);
    [sum, x1.rotate_left(rotation) ^ sum]
}

/// The purpose of a draw. Each purpose has its own stream, so that more draws for one leave the others unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The initial weights: child (tensor, 0), draw (index, 0).
    Weights = 0,
    /// The order in which training visits its examples: child (epoch, 0), draw (position in the order, 0).
    Order = 1,
    /// The noise of training: child (step, row) for one example, draw (position, 0). A step's shared draw is in child (step,
    /// `u32::MAX`). A picture of the noise has child (`u32::MAX`, 0), which no step has.
    Noise = 2,
    /// Sampling: child (index of the text, 0), draw (evaluation, position). Draw (2³² − 1, 0) gives the text's length. Draw
    /// (2³² − 1, 1) gives its form if a pattern allows several.
    Sample = 3,
    /// The orders of the score: child (index of the text, number of the order), by [`shuffle`]. Masks of the estimate while
    /// training: child (row, 0), draw (position, 0). The word that rows share is in child (`u32::MAX`, 0).
    Score = 4,
    /// Dropout in training: child (step, row) for one example, draw (group of eight values, layer).
    Dropout = 5,
}

/// A stream of random numbers without state, addressed by counters: pairs of 32-bit numbers.
///
/// [`draw`](Self::draw) gives two random 32-bit words for each counter, and [`child`](Self::child) another stream for
/// each counter. Use a stream only for draws or only for children: the words of a draw are the key of the child at its
/// counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub(crate) key: [u32; 2],
}

impl Stream {
    /// The stream of `purpose` for a user's `seed`.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the seed are taken on purpose")]
    pub const fn new(seed: u64, purpose: Purpose) -> Self {
        let root = Self { key: [seed as u32, (seed >> 32) as u32] };
        root.child(purpose as u32, 0)
    }

    /// Derives another stream, child (`a`, `b`): its key is the pair of words that this stream has at counter (`a`,
    /// `b`).
    pub const fn child(self, a: u32, b: u32) -> Self {
        Self { key: self.draw(a, b) }
    }

    /// The two random 32-bit words of this stream at counter (`a`, `b`), equal at every call.
    pub const fn draw(self, a: u32, b: u32) -> [u32; 2] {
        threefry2x32(self.key, [a, b])
    }
}

/// Scales a random word to a uniform integer in 0 … `bound` − 1: ⌊word·bound / 2³²⌋.
///
/// Each value's probability is within 2⁻³² of 1/`bound`. A `bound` of 0 gives 0.
#[inline(always)]
pub const fn below(word: u32, bound: u32) -> u32 {
    // A product of two u32 is below 2⁶⁴, and its upper half below `bound`.
    ((word as u64).wrapping_mul(bound as u64) >> 32) as u32
}

/// Draws one of `items` in proportion to its weight: the first at which the sum of the weights so far exceeds
/// [`below`]\(`word`, `total`). `total` is the sum of all weights; `None` if it is 0.
#[inline(always)]
pub(crate) fn weighted<T>(word: u32, total: u32, items: impl Iterator<Item = (T, u32)>) -> Option<T> {
    let mut left = below(word, total);
    for (item, weight) in items {
        let Some(rest) = left.checked_sub(weight) else { return Some(item) };
        left = rest;
    }
    None
}

/// Shuffles the elements of `order`, of any type; all orders are equally likely, up to 2⁻³² a draw
/// ([`below`]).
///
/// For i from the last place down to 1, swaps element i with element j, uniform in 0 … i. The first word of
/// `stream.draw(i, 0)` gives j. For n elements, each of the n! sequences of j gives another order.
///
/// Source: R. Fisher and F. Yates, *Statistical Tables*, 1938; D. Knuth, *The Art of Computer Programming*, volume 2,
/// 3.4.2, algorithm P.
pub fn shuffle<T>(order: &mut [T], stream: Stream) {
    for last in (1..order.len()).rev() {
        let place = u32::try_from(last).unwrap_or(u32::MAX);
        let [word, _] = stream.draw(place, 0);
        order.swap(last, below(word, place.saturating_add(1)) as usize);
    }
}

/// Scales a random word to a uniform number in [−1, 1), a multiple of 2⁻²³.
pub const fn symmetric(word: u32) -> f32 {
    // The 24 bits, the power of two and the difference are exact in f32.
    (word >> 8) as f32 / 8_388_608.0 - 1.0
}
