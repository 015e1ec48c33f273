//! The likelihood of a text under the sampler: −ln p(x) by random orders.
//!
//! [`Order::Random`](crate::sampler::Order::Random) with one position a step draws the n positions of a text in an order σ,
//! and all orders are equally likely. At temperature 1 a text x of known length n is drawn with the probability
//!
//! ```text
//! p(x) = E_σ[p(x | σ)],   −ln p(x | σ) = Σ_i −ln p(x_σ(i) | x_σ(1) … x_σ(i−1), n)                      (a)
//! ```
//!
//! [`Lengths`](crate::length::Lengths) adds −ln p(n). [`nats_in_order`](Likelihood::nats_in_order) is −ln p(x | σ), by one
//! evaluation for each position. Two estimates use random orders:
//!
//! - The mean of −ln p(x | σ) estimates E_σ\[−ln p(x | σ)\], the NELBO, without bias. The NELBO is at least −ln p(x)
//!   (Jensen).
//! - The [`negative_log_mean`] −ln((1/K)·Σ_j p(x | σ_j)) over K orders is at least −ln p(x) in expectation. At K = 1 it is
//!   the first estimate, and with K it falls to −ln p(x) (Burda et al., theorem 1).
//!
//! [`exact_nats`](crate::exact::exact_nats) is −ln p(x) itself.
//!
//! **Errors.** Orders σ_j are independent, and so are texts. For K orders of one text, the first estimate has the
//! [`standard_error`](crate::bound::standard_error) of a mean, the second the [`jackknife_error`]. For N texts,
//! [`error_of_mean`] gives the part of the mean's error that is due to the orders. The choice of the texts adds its own.
//!
//! Source: for (a) E. Hoogeboom et al., "Autoregressive Diffusion Models", ICLR 2022, equation 2; for the mean over K, Y.
//! Burda et al., "Importance Weighted Autoencoders", ICLR 2016; B. Efron, *The Jackknife, the Bootstrap and Other Resampling
//! Plans*, 1982.

use crate::bound::{negative_log_probability, sum_of_squares};
use crate::denoiser::Denoiser;
use crate::math::Real;
use crate::rng::{Stream, shuffle};
use crate::text::Text;

/// The positions 0 … n − 1 in uniformly random order, by [`shuffle`] with `stream`; n is the smaller of `length` and L.
pub fn random_order<const L: usize>(length: usize, stream: Stream) -> heapless::Vec<usize, L> {
    let mut order: heapless::Vec<usize, L> = (0..length.min(L)).collect();
    shuffle(&mut order, stream);
    order
}

/// −ln p of texts and symbols under a [`Denoiser`], in nats. Implemented for every denoiser.
///
/// `symbols` ≤ V is the size of the alphabet. A symbol outside it has −ln p = ∞.
pub trait Likelihood<const L: usize, const V: usize>: Denoiser<L, V> {
    /// −ln p(x | σ) of the text x = `clean` in the order σ = `order`, in nats, in an alphabet of `symbols` ≤ V symbols.
    /// Masks the positions of `order`, then shows them one by one, each scored by an evaluation before it is shown.
    ///
    /// All other positions are shown from the start. For a single position, the result is the surprise of its symbol
    /// given all others.
    ///
    /// The result is ∞ if `order` has a position outside the text, or one whose symbol is outside the alphabet.
    /// `order` must name no position twice: the second score would mean nothing.
    fn nats_in_order(&mut self, symbols: usize, clean: &Text<L>, order: &[usize]) -> f64 {
        let clean = clean.symbols();
        self.start(clean.len());
        for (position, symbol) in clean.iter().enumerate() {
            self.set(position, Some(*symbol).filter(|_| !order.contains(&position)));
        }
        let steps =
            order.iter().map(|position| (*position, clean.get(*position).copied().unwrap_or(u8::MAX)));
        self.nats_of_steps(symbols, steps)
    }

    /// Σ −ln p in nats over `steps` of (position, symbol), in an alphabet of `symbols` ≤ V symbols. Each step evaluates
    /// the network, adds −ln p of its symbol, and shows it.
    ///
    /// The text is the one that [`start`](Denoiser::start) and [`set`](Denoiser::set) made. Positions of `steps` must be
    /// masked there, and occur once.
    fn nats_of_steps(&mut self, symbols: usize, steps: impl Iterator<Item = (usize, u8)>) -> f64 {
        let mut nats = 0.0;
        for (position, symbol) in steps {
            self.evaluate();
            nats += self.nats_at(symbols, position, symbol);
            self.set(position, Some(symbol));
        }
        nats
    }

    /// −ln p of `symbol` at the masked `position` in nats, in an alphabet of `symbols` ≤ V symbols. Call
    /// [`evaluate`](Denoiser::evaluate) before.
    fn nats_at(&self, symbols: usize, position: usize, symbol: u8) -> f64 {
        let mut scores = [0; V];
        self.scores(position, &mut scores);
        negative_log_probability(&scores, symbols, symbol).into()
    }
}

impl<D: Denoiser<L, V> + ?Sized, const L: usize, const V: usize> Likelihood<L, V> for D {}

/// −ln((1/n)·Σ_j e^(−x_j)) of n `nats` x_j = −ln p_j: −ln of the mean of the probabilities p_j; ∞ if there are none, or
/// if all are ∞.
///
/// Subtracts the least x first, so that the largest term of the sum is 1.
pub fn negative_log_mean(nats: impl Iterator<Item = f64> + Clone) -> f64 {
    let least = nats.clone().fold(f64::INFINITY, f64::min);
    let (mut sum, mut count) = (0.0, 0.0);
    for nats in nats {
        sum += Real::exp(least - nats);
        count += 1.0;
    }
    if least == f64::INFINITY { least } else { least - Real::ln(sum / count) }
}

/// The jackknife standard error, in nats, of the [`negative_log_mean`] θ = −ln((1/n)·Σ_j e^(−x_j)) of n independent
/// `nats` x_j: √((n − 1)/n · Σ_j (θ_j − mean)²), where θ_j leaves out number j and mean is that of all θ_j.
///
/// Fewer than two `nats` have the error 0, though nothing is known of it. An infinite x_j is a probability of 0. More
/// `nats`, if fewer than two are finite, have the error NaN, since some θ_j is infinite.
pub fn jackknife_error(nats: &[f64]) -> f64 {
    let count = nats.len() as f64;
    let least = nats.iter().copied().enumerate().min_by(|(_, x), (_, y)| x.total_cmp(y));
    let Some((first, least)) = least.filter(|_| nats.len() > 1) else { return 0.0 };
    let weight = |nats: &f64| Real::exp(least - *nats);
    let total: f64 = nats.iter().map(weight).sum();
    let without = |(number, left_out): (usize, &f64)| {
        if number == first {
            // The weight of the least is 1. Subtracting it from the total could leave rounding errors alone.
            let others = nats.iter().enumerate().filter(|(other, _)| *other != first);
            negative_log_mean(others.map(|(_, nats)| *nats))
        } else {
            least - Real::ln((total - weight(left_out)) / (count - 1.0))
        }
    };
    let values = nats.iter().enumerate().map(without);
    let mean = values.clone().sum::<f64>() / count;
    Real::sqrt(sum_of_squares(values.map(|value| value - mean)) * (count - 1.0) / count)
}

/// The standard error √(Σ e²)/n of the mean of n independent estimates with the standard errors e = `errors`; NaN for
/// none.
pub fn error_of_mean(errors: &[f64]) -> f64 {
    Real::sqrt(sum_of_squares(errors.iter().copied())) / errors.len() as f64
}
