//! A product of two words of 32 bits, shifted down by 16 bits, on processors without products of 64 bits.

/// ⌊`distance`·`factor` / 65536⌋, without a 64-bit product, for which a small processor calls a function. `distance` is
/// that of a score from the largest, and `factor` log₂e/T at temperature T, both in units of 1/65536; the result is x
/// in [`power_of_two`](crate::categorical::power_of_two), in these units.
///
/// The result is exact if the true value is below 24·65536. Else it may be any number of at least 24·65536, for which
/// [`power_of_two`](crate::categorical::power_of_two) gives 0.
///
/// Let h₁ and l₁ be the upper and lower halves of `distance`, h₂ and l₂ those of `factor`. Then (2¹⁶·h₁ + l₁)·(2¹⁶·h₂ +
/// l₂) / 2¹⁶ = 2¹⁶·h₁·h₂ + h₁·l₂ + l₁·h₂ + l₁·l₂ / 2¹⁶, and only the last term has a fraction.
#[inline(always)]
pub fn scale_in_halves(distance: u32, factor: u32) -> u32 {
    let ([h1, l1], [h2, l2]) = (halves(distance), halves(factor));
    // A product of two numbers below 2¹⁶ fits 32 bits.
    let high = h1.wrapping_mul(h2);
    if high >= 24 {
        return u32::MAX;
    }
    // If h₁ and h₂ are both above 0, both are below 24, and the sum is below 24·2¹⁶ + 2·23·2¹⁶ + 2¹⁶. If one is 0, one
    // product of halves and a number below 2¹⁶ are left, at most (2¹⁶ − 1)² + 2¹⁶ − 1 < 2³².
    let middle = h1.wrapping_mul(l2).wrapping_add(l1.wrapping_mul(h2));
    (high << 16).wrapping_add(middle).wrapping_add(l1.wrapping_mul(l2) >> 16)
}

/// The upper and the lower half of a word.
fn halves(word: u32) -> [u32; 2] {
    [word >> 16, word & 0xFFFF]
}
