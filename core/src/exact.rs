//! The exact likelihood of a text under the sampler: −ln p(x) over all orders at once.
//!
//! Let f(S) be the probability that the rest of a text x is drawn once its positions S are shown. Each position of the rest
//! is equally likely to be next, whatever the order so far. So
//!
//! ```text
//! f(all) = 1,   f(S) = (1/|rest|)·Σ_{l in rest} p(x_l | x_S)·f(S ∪ {l}),   p(x) = f(∅)                 (b)
//! ```
//!
//! [`exact_nats`] visits the 2ⁿ sets instead of the n! orders.
//!
//! Source: the recursion over subsets of M. Held and R. Karp, "A Dynamic Programming Approach to Sequencing Problems", 1962.

use crate::denoiser::Denoiser;
use crate::likelihood::{Likelihood, negative_log_mean};
use crate::text::Text;

/// The exact −ln p(x | n) of the text x = `clean` of n symbols, in nats.
///
/// The text is drawn one position at a time in random order: p is the mean over all n! orders of the probability to
/// draw x. Takes 2ⁿ − 1 evaluations, one for each set of shown positions but the whole.
///
/// `symbols` ≤ V is the size of the alphabet; a symbol of x outside it gives ∞. `memory` is scratch of any content, a
/// number for each set of shown positions; `None` if it has fewer than 2ⁿ.
pub fn exact_nats<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize>(
    denoiser: &mut D,
    symbols: usize,
    clean: &Text<L>,
    memory: &mut [f64],
) -> Option<f64> {
    let (clean, length) = (clean.symbols(), clean.symbols().len());
    let table = memory.get_mut(..set_of(length)?)?;
    *table.last_mut()? = 0.0;
    denoiser.start(length);
    // Bit l of a set's number says that position l is shown, so every superset has a larger number.
    for shown in (0..table.len().saturating_sub(1)).rev() {
        for (position, symbol) in clean.iter().enumerate() {
            let bit = set_of(position)?;
            denoiser.set(position, Some(*symbol).filter(|_| shown & bit != 0));
        }
        denoiser.evaluate();
        let mut ways: heapless::Vec<f64, L> = heapless::Vec::new();
        for (position, symbol) in clean.iter().enumerate() {
            let bit = set_of(position)?;
            if shown & bit == 0 {
                let rest = table.get(shown | bit)?;
                ways.push(denoiser.nats_at(symbols, position, *symbol) + rest).ok()?;
            }
        }
        *table.get_mut(shown)? = negative_log_mean(ways.iter().copied());
    }
    table.first().copied()
}

/// The set of `position` alone, 2^`position`; `None` if a usize cannot hold it.
fn set_of(position: usize) -> Option<usize> {
    1_usize.checked_shl(u32::try_from(position).ok()?)
}
