//! Randomness by counting: Threefry-2×32, and the streams that name every draw.
//!
//! A counter-based generator has no state to keep: draw number `n` is a function of the key and `n`. Work can
//! therefore be skipped, reordered, split over threads or resumed, and every draw stays what it was. Threefry needs
//! additions, rotations and exclusive-ors of 32-bit words only, no multiplication, which suits a Cortex-M0 and a
//! RISC-V core without a multiplier.
//!
//! Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011;
//! test vectors from the authors' Random123 distribution (`kat_vectors`).

/// Rotation of each of eight consecutive rounds.
const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
/// The parity word of the key schedule, from the Skein hash function.
const PARITY: u32 = 0x1BD1_1BDA;

/// The Threefry-2×32 block function with 20 rounds: two random words for each (key, counter).
///
/// Four rounds of `x0 += x1; x1 = rotl(x1, r) ^ x0` alternate with the addition of the next two of the three key words
/// k0, k1, k0 ^ k1 ^ parity, and of the number of the injection, so that no two blocks of rounds are alike.
pub const fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    twenty_rounds(key, counter)
}

/// [`threefry2x32`] for a loop over counters, which is vectorised where this is part of it.
#[inline(always)]
const fn twenty_rounds(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let [k0, k1] = key;
    let k2 = PARITY ^ k0 ^ k1;
    let [r0, r1, r2, r3, r4, r5, r6, r7] = ROTATIONS;
    let [c0, c1] = counter;
    let x = [c0.wrapping_add(k0), c1.wrapping_add(k1)];
    let x = inject(four_rounds(x, [r0, r1, r2, r3]), k1, k2, 1);
    let x = inject(four_rounds(x, [r4, r5, r6, r7]), k2, k0, 2);
    let x = inject(four_rounds(x, [r0, r1, r2, r3]), k0, k1, 3);
    let x = inject(four_rounds(x, [r4, r5, r6, r7]), k1, k2, 4);
    inject(four_rounds(x, [r0, r1, r2, r3]), k2, k0, 5)
}

#[inline(always)]
const fn four_rounds(x: [u32; 2], rotations: [u32; 4]) -> [u32; 2] {
    let [r0, r1, r2, r3] = rotations;
    round(round(round(round(x, r0), r1), r2), r3)
}

#[inline(always)]
const fn round(x: [u32; 2], rotation: u32) -> [u32; 2] {
    let [x0, x1] = x;
    let sum = x0.wrapping_add(x1);
    [sum, x1.rotate_left(rotation) ^ sum]
}

#[inline(always)]
const fn inject(x: [u32; 2], first: u32, second: u32, number: u32) -> [u32; 2] {
    let [x0, x1] = x;
    [x0.wrapping_add(first), x1.wrapping_add(second).wrapping_add(number)]
}

/// What a draw is for. Each purpose has its own stream, so that adding draws to one leaves the others alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The initial weights: child (tensor, 0), draw (index, 0).
    Weights = 0,
    /// The order in which training visits its examples: child (epoch, 0), draw (position in the order, 0).
    Order = 1,
    /// The noise of training: child (step, row) for one example, draw (position, 0); the step's shared draw is in
    /// child (step, `u32::MAX`). A picture of the noise has child (`u32::MAX`, 0), which is no step's.
    Noise = 2,
    /// Sampling: child (index of the text, 0), draw (evaluation, position). The text's length comes from draw (2³² − 1, 0), and
    /// its form, where a pattern allows several, from draw (2³² − 1, 1).
    Sample = 3,
    /// The orders of the score: child (index of the text, number of the order), by [`shuffle`]. The masks of its estimate while
    /// training: child (row, 0), draw (position, 0), the word that rows share being in child (`u32::MAX`, 0).
    Score = 4,
    /// What training leaves out of the network: child (step, row) for one example, draw (eight values, layer).
    Dropout = 5,
}

/// A stream of draws, addressed by counters. Copying it is free, and it has 2⁶⁴ draws.
///
/// One stream serves either for [`child`](Self::child) or for [`draw`](Self::draw), never for both: the two share
/// the same block function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

impl Stream {
    /// The stream of `purpose` for a user's `seed`.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the seed are taken on purpose")]
    pub const fn new(seed: u64, purpose: Purpose) -> Self {
        let root = Self { key: [seed as u32, (seed >> 32) as u32] };
        root.child(purpose as u32, 0)
    }

    /// The stream of text `number` of a `seed`: what line `number` + 1 of `micro-diffusion sample --seed` is drawn from.
    pub const fn of_text(seed: u64, number: u32) -> Self {
        Self::new(seed, Purpose::Sample).child(number, 0)
    }

    /// The stream named (`a`, `b`) below this one: its key is this stream's block at that counter.
    pub const fn child(self, a: u32, b: u32) -> Self {
        Self { key: threefry2x32(self.key, [a, b]) }
    }

    /// The two random words at counter (`a`, `b`).
    pub const fn draw(self, a: u32, b: u32) -> [u32; 2] {
        threefry2x32(self.key, [a, b])
    }

    /// The words at the counters (`first`, `b`), (`first` + 1, `b`), …
    #[inline(always)]
    pub fn draws<const N: usize>(self, first: u32, b: u32) -> [[u32; 2]; N] {
        let (mut words, mut counter) = ([[0; 2]; N], first);
        for words in &mut words {
            *words = twenty_rounds(self.key, [counter, b]);
            counter = counter.wrapping_add(1);
        }
        words
    }
}

/// A uniform integer in 0 … `bound` − 1 from one random word: ⌊word·bound / 2³²⌋, never `bound` itself.
///
/// Each value's probability is within 2⁻³² of 1/`bound`. A `bound` of 0 gives 0.
#[inline(always)]
pub const fn below(word: u32, bound: u32) -> u32 {
    // A product of two u32 is below 2⁶⁴, and its upper half below `bound`.
    ((word as u64).wrapping_mul(bound as u64) >> 32) as u32
}

/// Puts `order` into random order, every order being equally likely to within the accuracy of [`below`].
///
/// For i from the last place down to 1, element i changes places with element j, uniform in 0 … i, by draw (i, 0) of `stream`:
/// each of the n! sequences of j gives another order.
///
/// Source: R. Fisher and F. Yates, *Statistical Tables*, 1938; D. Knuth, *The Art of Computer Programming*, volume 2, 3.4.2,
/// algorithm P.
pub fn shuffle<T>(order: &mut [T], stream: Stream) {
    for last in (1..order.len()).rev() {
        let place = u32::try_from(last).unwrap_or(u32::MAX);
        let [word, _] = stream.draw(place, 0);
        order.swap(last, below(word, place.saturating_add(1)) as usize);
    }
}

/// A uniform number in [−1, 1) from one random word, a multiple of 2⁻²³.
pub const fn symmetric(word: u32) -> f32 {
    // 24 bits and the power of two are exact in f32, and so is the difference.
    (word >> 8) as f32 / 8_388_608.0 - 1.0
}
