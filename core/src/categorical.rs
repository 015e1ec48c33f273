//! A categorical distribution in integers: softmax, temperature and the draw.
//!
//! Scores s_v are logarithms of probabilities, up to a constant, in units of 1/65536 nat ([`Score`]). With the largest score
//! s_max, symbol v has at temperature T the weight w_v and the probability p_v = e^(s_v/T) / Σ_u e^(s_u/T):
//!
//! ```text
//! w_v = 2²³·e^((s_v − s_max)/T) = 2²³·2^(−x_v),   x_v = (s_max − s_v)·log₂e/T,   p_v = w_v / Σ_u w_u
//! ```
//!
//! The largest weight is exactly 2²³. The total lies in 2²³ … V·2²³, and fits 32 bits for V up to 256.
//!
//! **Accuracy.** Let D = s_max − s_v in nats, and compare w_v with 2²³·e^(−D/T).
//!
//! - w_v is too large by at most 1.06·10⁻⁵·(1 + D) + 1.6·10⁻⁵ of itself. Rounding down log₂e/T makes x_v too small by less
//!   than D·2⁻¹⁶, and rounding down x_v by less than 2⁻¹⁶. Each 2⁻¹⁶ makes w_v larger by ln 2·2⁻¹⁶ = 1.06·10⁻⁵ of itself. The
//!   rest is the error of [`power_of_two`]. At T = 1 and up to 10 nats the largest error is 7.1·10⁻⁵.
//! - w_v is too small by less than 1. From D = 15.94·T nats on, e^(−D/T) < 2⁻²³ and w_v is 0.
//!
//! **Draw.** For r uniform in 0 … total − 1, the first v whose cumulated weight exceeds r is drawn. This inverts the
//! distribution function over a half-open interval. A weight of 0 is never drawn, at either end.

use crate::denoiser::Score;
use crate::halves::scale_in_halves;
use crate::rng::weighted;

/// Weight of the likeliest symbol in [`Weights`]: 2²³.
pub const UNIT: u32 = 1 << 23;

/// log₂e in 1/65536.
const LOG2_E: f64 = core::f64::consts::LOG2_E * 65_536.0;

/// The temperature of a draw, which divides the scores.
///
/// At 1, symbols are drawn from the model's own distribution, up to the rounding of [`Weights`]. Below 1, likely
/// symbols are drawn more often; above 1, unlikely ones. At 0, the likeliest symbol is always taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Temperature {
    /// log₂e/T in units of 1/65536; `None` at T = 0.
    factor: Option<u32>,
}

impl Temperature {
    /// Temperature 0: takes the likeliest symbol, the first of equals.
    pub const GREEDY: Self = Self { factor: None };
    /// Temperature 1: draws from the model's own distribution.
    pub const ONE: Self = Self::from_milli(1000);

    /// Creates a temperature from thousandths, for constants in firmware: `from_milli(800)` is 0.8, and `from_milli(0)`
    /// is 0.
    pub const fn from_milli(milli: u32) -> Self {
        Self { factor: 94_548_462_u32.checked_div(milli) }
    }

    /// Creates a temperature; `None` if it is negative, infinite or NaN.
    ///
    /// Below 2.2·10⁻⁵ a temperature counts as 0. Just above, the least difference of two scores makes one symbol at least
    /// twice as likely as the other.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and 2³² or more is not kept"
    )]
    pub fn new(temperature: f64) -> Option<Self> {
        // `abs` turns −0 into 0.
        let factor = LOG2_E / temperature.abs();
        let factor = (factor < f64::from(u32::MAX)).then_some(factor as u32);
        (0.0..f64::INFINITY).contains(&temperature).then_some(Self { factor })
    }
}

/// A set of symbols, numbers in 0 … 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolSet {
    bits: [u32; 8],
}

impl SymbolSet {
    /// The empty set.
    pub const EMPTY: Self = Self { bits: [0; 8] };

    /// The set of the symbols 0 … `symbols` − 1: all 256 if `symbols` is 256 or more.
    pub const fn first(symbols: usize) -> Self {
        let (mut set, mut next) = (Self::EMPTY, Some(0_u8));
        while let Some(symbol) = next
            && (symbol as usize) < symbols
        {
            set = set.with(symbol);
            next = symbol.checked_add(1);
        }
        set
    }

    /// Returns the set with `symbol`, any of 0 … 255, added.
    #[expect(clippy::indexing_slicing, reason = "symbol >> 5 is below 8 for every u8")]
    pub const fn with(mut self, symbol: u8) -> Self {
        self.bits[(symbol >> 5) as usize] |= 1 << (symbol & 31);
        self
    }

    /// Whether `symbol` is in the set.
    #[expect(clippy::indexing_slicing, reason = "symbol >> 5 is below 8 for every u8")]
    pub const fn contains(&self, symbol: u8) -> bool {
        self.bits[(symbol >> 5) as usize] >> (symbol & 31) & 1 == 1
    }

    /// The symbols of the set below `limit`, in ascending order. A `limit` of 256 or more leaves none out.
    pub fn iter_below(&self, limit: usize) -> impl Iterator<Item = u8> {
        numbered(core::iter::repeat_n((), limit.min(256)))
            .map(|(symbol, ())| symbol)
            .filter(|s| self.contains(*s))
    }
}

/// Weights of the symbols at one position, in proportion to their probabilities: whole numbers of at most 2²³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights<const V: usize> {
    /// Weights of at most 2²³, in the type of a score.
    pub(crate) weights: [Score; V],
    pub(crate) total: u32,
    greedy: bool,
}

impl<const V: usize> Weights<V> {
    /// Computes a weight for each `allowed` symbol v: 2²³·e^((s_v − s_max)/T), as a whole number.
    ///
    /// s_v is the score of v in nats, s_max the largest of an allowed symbol, and T the `temperature`. So the likeliest
    /// symbol weighs 2²³. Symbols not allowed weigh 0, and allowed ones of V or more are ignored. Temperature 0 has the
    /// weights of temperature 1, but [`draw`](Self::draw) then takes the likeliest symbol.
    ///
    /// At T = 1 and up to 10 nats from s_max, a weight is too large by at most 7.1·10⁻⁵ of itself, or too small by less
    /// than 1. [`categorical`](self) has the bound for other T.
    pub fn new(scores: &[Score; V], allowed: &SymbolSet, temperature: Temperature) -> Self {
        let mut weights = Self::EMPTY;
        weights.fill(allowed, temperature, |out| *out = *scores);
        weights
    }

    /// Weights of 0 for every symbol.
    pub(crate) const EMPTY: Self = Self { weights: [0; V], total: 0, greedy: false };

    /// Computes the weights of the `allowed` symbols at `temperature`, from the scores that `put` writes, all V of them.
    ///
    /// The weights replace the scores in place, which halves the stack that a draw takes on a small chip.
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        allowed: &SymbolSet,
        temperature: Temperature,
        put: impl FnOnce(&mut [Score; V]),
    ) {
        const { assert!(V <= 256, "a symbol is a u8, and V weights of 2²³ must fit 32 bits") };
        put(&mut self.weights);
        let mut largest = Score::MIN;
        // Each 32 symbols share a word of the set, whose lowest bit is the next symbol's.
        for (scores, bits) in self.weights.chunks(32).zip(&allowed.bits) {
            let mut bits = *bits;
            for score in scores {
                if bits & 1 == 1 && *score > largest {
                    largest = *score;
                }
                bits >>= 1;
            }
        }
        let factor = temperature.factor.or(Temperature::ONE.factor).unwrap_or(0);
        let mut total = 0_u32;
        for (places, bits) in self.weights.chunks_mut(32).zip(&allowed.bits) {
            let mut bits = *bits;
            for place in places {
                // No allowed score is above the largest, so the difference fits.
                let distance = largest.wrapping_sub(*place).cast_unsigned();
                let weight = if bits & 1 == 1 { weight(distance, factor) } else { 0 };
                bits >>= 1;
                // The total is at most 256·2²³.
                total = total.wrapping_add(weight);
                *place = weight.cast_signed();
            }
        }
        self.total = total;
        self.greedy = temperature.factor.is_none();
    }

    /// The weights, in the order of the symbols, each at most 2²³.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.weights.iter().map(|weight| weight.cast_unsigned())
    }

    /// The sum of the weights: 2²³ if one symbol is certain, V·2²³ if all are equally likely, 0 if none is allowed.
    ///
    /// The likeliest symbol weighs 2²³, so its probability is 2²³/total. A smaller total is a greater confidence,
    /// without a division.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Draws a symbol in proportion to the weights, by `word`, a uniform random number of 32 bits; returns symbol 0 if
    /// all weights are 0, as without an allowed symbol.
    ///
    /// Weights made at temperature 0 give the likeliest symbol, the first of equals, whatever `word` is.
    pub fn draw(&self, word: u32) -> u8 {
        if self.greedy {
            // Weights are those of temperature 1, where any smaller score gives a smaller weight.
            return numbered(self.iter()).find(|(_, weight)| *weight == UNIT).map_or(0, |(symbol, _)| symbol);
        }
        // `None` only if no symbol is allowed.
        weighted(word, self.total, numbered(self.iter())).unwrap_or(0)
    }
}

/// Pairs `items`, at most 256, with their symbols 0, 1, …; an inclusive range of `u8` would count in ten instructions.
pub(crate) fn numbered<T>(items: impl Iterator<Item = T>) -> impl Iterator<Item = (u8, T)> {
    let mut next = 0_u8;
    items.map(move |item| {
        let symbol = next;
        next = next.wrapping_add(1);
        (symbol, item)
    })
}

/// The probability of the likeliest symbol in units of 1/65536, at most 65535, from the [`total`](Weights::total) of
/// the weights.
///
/// The likeliest symbol weighs 2²³, so the result is about 2³⁹/`total`. A `total` of 0 gives 0.
pub fn confidence(total: u32) -> u16 {
    let share = (1_u32 << 31).checked_div(total >> 8).unwrap_or(0);
    u16::try_from(share).unwrap_or(u16::MAX)
}

/// 2²³·2^(−x), by [`power_of_two`], for x = ⌊`distance`·`factor` / 65536⌋ in units of 1/65536. `distance` is that of two
/// scores, `factor` log₂e/T, both in 1/65536.
///
/// Inlined only on 64-bit processors, which have enough registers.
#[cfg_attr(target_pointer_width = "64", inline(always))]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn weight(distance: u32, factor: u32) -> u32 {
    if cfg!(target_pointer_width = "64") {
        // The product of two u32 fits 64 bits.
        let x = u64::from(distance).wrapping_mul(u64::from(factor)) >> 16;
        power_of_two(u32::try_from(x).unwrap_or(u32::MAX))
    } else {
        power_of_two(scale_in_halves(distance, factor))
    }
}

/// The least x for which [`power_of_two`] is always 0.
const FAR: u32 = 24 << 16;

/// 2²³·2^(−x) for x in units of 1/65536: interpolates a table at the fraction of x, and shifts by its integer part.
/// From x = 24 on, the result is 0.
///
/// The chord between two of the 65 entries lies above the curve by at most (ln 2/64)²/8 = 1.5·10⁻⁵ of the value. With
/// the rounding of the entries, the relative error before the shift is at most 1.6·10⁻⁵. The shift takes off less than
/// 1.
pub fn power_of_two(x: u32) -> u32 {
    // Results below 1 come first: most symbols of a certain model are this far from the likeliest.
    if x >= FAR {
        return 0;
    }
    let entry = (x >> 10 & 63) as usize;
    let (Some(high), Some(low)) = (POWERS.get(entry), POWERS.get(entry.saturating_add(1))) else { return 0 };
    // high − low < 2¹⁷ and the fraction < 2¹⁰, so the product fits 32 bits.
    let between = high.wrapping_sub(*low).wrapping_mul(x & 1023) >> 10;
    high.wrapping_sub(between).checked_shr(x >> 16).unwrap_or(0)
}

/// 2²³·2^(−i/64), rounded, for i = 0 … 64.
const POWERS: [u32; 65] = powers();

/// Computes 2²³·2^(−i/64) by multiplying with 2^(−1/64) again and again. The products are off by less than 10⁻⁷, and no exact value is nearer than
/// 0.002 to a half, so every entry is correctly rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 < power + ½ < 2²⁴")]
const fn powers() -> [u32; 65] {
    /// 2^(−1/64).
    const RATIO: f64 = 0.989_228_013_193_975_5;
    let (mut powers, mut power) = ([0; 65], 8_388_608.0);
    let mut rest: &mut [u32] = &mut powers;
    while let [first, others @ ..] = rest {
        *first = (power + 0.5) as u32;
        power *= RATIO;
        rest = others;
    }
    powers
}
