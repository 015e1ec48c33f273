//! The likelihood of a text in a world small enough to try everything: 3 positions, 3 symbols, 6 orders.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

mod common;

use std::collections::HashMap;

use common::tolerance::{BOUND, F64, JACKKNIFE, LIKELIHOOD, SHARES, SIGMAS, assert_close};
use common::{Table, probabilities};
use micro_diffusion::bound::{mean, standard_error};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::likelihood::{
    error_of_mean, exact_nats, jackknife_error, nats_in_order, negative_log_mean, random_order,
};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};

/// The seed of the denoiser's table.
const TABLE: u64 = 6;

fn table() -> Table<3, 3> {
    Table::new(TABLE)
}

fn stream(text: u32, order: u32) -> Stream {
    Stream::new(9, Purpose::Score).child(text, order)
}

/// Every text.
fn texts() -> impl Iterator<Item = [u8; 3]> {
    (0..27).map(|code| [code / 9, code / 3 % 3, code % 3])
}

/// Every order of the first `unknown` positions.
fn orders(unknown: usize) -> Vec<Vec<usize>> {
    if unknown == 0 {
        return vec![vec![]];
    }
    let shorter = orders(unknown - 1);
    let insert = |order: &Vec<usize>, place| {
        let mut order = order.clone();
        order.insert(place, unknown - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..unknown).map(move |place| insert(order, place))).collect()
}

/// p(clean | order) by its definition, in f64.
fn probability_in_order(clean: [u8; 3], order: &[usize]) -> f64 {
    let mut shown: [Option<u8>; 3] = std::array::from_fn(|l| (!order.contains(&l)).then_some(clean[l]));
    let mut product = 1.0;
    for position in order {
        let scores = Table::<3, 3>::scores_of(TABLE, &shown, *position);
        product *= probabilities(&scores, 1.0)[usize::from(clean[*position])];
        shown[*position] = Some(clean[*position]);
    }
    product
}

/// p(clean) as the mean over every order.
fn probability(clean: [u8; 3], unknown: usize) -> f64 {
    let orders = orders(unknown);
    orders.iter().map(|order| probability_in_order(clean, order)).sum::<f64>() / orders.len() as f64
}

/// −ln p(clean | order) for every order, as the crate has it.
fn nats_of_orders(clean: &[u8; 3]) -> Vec<f64> {
    orders(3).iter().map(|order| nats_in_order(&mut table(), 3, clean, order)).collect()
}

fn exact(clean: &[u8; 3], unknown: usize) -> f64 {
    exact_nats(&mut table(), 3, clean, unknown, &mut [f64::NAN; 8]).unwrap()
}

#[test]
fn an_order_is_scored_by_its_definition() {
    for clean in texts() {
        for order in (0..=3).flat_map(orders).chain([vec![1], vec![2], vec![2, 0]]) {
            let mut denoiser = table();
            let found = nats_in_order(&mut denoiser, 3, &clean, &order);
            assert_close(found, -probability_in_order(clean, &order).ln(), LIKELIHOOD, "−ln p(x | σ)");
            assert_eq!(denoiser.evaluations, order.len(), "an evaluation for each position");
            assert_eq!(denoiser.symbols, clean.map(Some), "all is shown in the end");
        }
    }
    assert_eq!(nats_in_order(&mut table(), 3, &[0, 1, 2], &[3]), f64::INFINITY, "no such position");
    // In an alphabet of two symbols the third is impossible.
    assert_eq!(nats_in_order(&mut table(), 2, &[0, 1, 2], &[2]), f64::INFINITY);
}

#[test]
fn random_orders_are_those_of_the_unknown_positions_each_equally_often() {
    const TRIALS: u32 = 24_000;
    let mut counts = HashMap::new();
    for trial in 0..TRIALS {
        *counts.entry(random_order::<5>(3, stream(7, trial)).to_vec()).or_insert(0_u32) += 1;
    }
    let mut found: Vec<_> = counts.keys().cloned().collect();
    let mut expected = orders(3);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let share = f64::from(TRIALS) / 6.0;
    let chi_square: f64 = counts.values().map(|n| (f64::from(*n) - share).powi(2) / share).sum();
    assert!(chi_square < 5.0 + SIGMAS * 10.0_f64.sqrt(), "{chi_square}");
    assert_eq!(random_order::<3>(0, stream(0, 0)).len(), 0);
    assert_eq!(random_order::<3>(4, stream(0, 0)), random_order::<3>(3, stream(0, 0)), "there are three");
}

#[test]
fn the_exact_likelihood_is_the_mean_over_every_order() {
    for clean in texts() {
        for unknown in 0..=3 {
            let mut denoiser = table();
            let found = exact_nats(&mut denoiser, 3, &clean, unknown, &mut [f64::NAN; 9]).unwrap();
            assert_close(found, -probability(clean, unknown).ln(), LIKELIHOOD, "−ln p(x)");
            assert_eq!(denoiser.evaluations, (1 << unknown) - 1, "each set once");
        }
        assert_eq!(exact(&clean, 9), exact(&clean, 3), "there are three positions");
        assert_eq!(exact_nats(&mut table(), 3, &clean, 3, &mut [0.0; 7]), None, "too little memory");
    }
    assert_eq!(exact(&[0, 1, 2], 0), 0.0, "what is known is certain");
    assert_eq!(exact_nats(&mut table(), 2, &[0, 1, 2], 3, &mut [0.0; 8]), Some(f64::INFINITY));
}

/// A probability distribution over the texts, and the one that the sampler draws from.
#[test]
fn the_exact_likelihood_is_what_random_order_draws() {
    const TEXTS: u32 = 100_000;
    let exact: HashMap<[u8; 3], f64> = texts().map(|text| (text, (-exact(&text, 3)).exp())).collect();
    assert_close(exact.values().sum(), 1.0, LIKELIHOOD, "the sum over all texts");
    let mut counts: HashMap<[u8; 3], u32> = HashMap::new();
    let allowed = [SymbolSet::first(3)];
    let settings = Settings::new(Order::Random, Temperature::ONE);
    for index in 0..TEXTS {
        let stream = Stream::new(3, Purpose::Sample).child(index, 0);
        let mut sampler = Sampler::<3, 3>::new(&allowed, settings, stream).unwrap();
        sampler.run(&mut table(), 3);
        *counts.entry(sampler.symbols().map(Option::unwrap)).or_default() += 1;
    }
    let chi_square: f64 = exact
        .iter()
        .map(|(text, p)| {
            let expected = p * f64::from(TEXTS);
            (f64::from(counts.get(text).copied().unwrap_or(0)) - expected).powi(2) / expected
        })
        .sum();
    // 26 degrees of freedom: mean 26, variance 52.
    assert!(chi_square < 26.0 + SIGMAS * 52.0_f64.sqrt(), "chi-square {chi_square}");
}

/// E[−ln((1/K)·Σ p(x | σ_j))] over every sequence of K orders: the NELBO at K = 1, less with each order more, above −ln p.
#[test]
fn the_mean_over_more_orders_falls_from_the_bound_to_the_exact_likelihood() {
    for clean in texts() {
        let nats = nats_of_orders(&clean);
        let expected = |count: u32| {
            let sequences = 0..6_usize.pow(count);
            let of =
                |code: usize| negative_log_mean((0..count).map(|place| nats[code / 6_usize.pow(place) % 6]));
            mean(&sequences.map(of).collect::<Vec<_>>())
        };
        let means = [1, 2, 3, 4].map(expected);
        assert_close(means[0], mean(&nats), SHARES, "the NELBO");
        assert!(means.is_sorted_by(|more, less| more > less), "{means:?}");
        let exact = exact(&clean, 3);
        assert!(means[3] > exact, "{means:?} against {exact}");
        assert_close(negative_log_mean(nats.iter().copied()), exact, LIKELIHOOD, "each order once");
    }
}

#[test]
fn random_orders_estimate_the_bound_and_the_likelihood() {
    let clean = [2, 0, 1];
    let along = |number| nats_in_order(&mut table(), 3, &clean, &random_order::<3>(3, stream(4, number)));
    let nats: Vec<f64> = (0..4000).map(along).collect();
    assert_close(mean(&nats), mean(&nats_of_orders(&clean)), BOUND, "NELBO");
    assert_close(negative_log_mean(nats.iter().copied()), exact(&clean, 3), BOUND, "−ln p");
}

#[test]
fn the_log_of_a_mean_is_its_definition() {
    let of = |nats: &[f64]| negative_log_mean(nats.iter().copied());
    assert_close(of(&[2.0_f64.ln(), 4.0_f64.ln()]), -(0.375_f64.ln()), F64, "of a half and a quarter");
    assert_eq!(of(&[7.5]), 7.5);
    // e^−1000 is no f64.
    assert_close(of(&[1000.0, 1000.0 + 3.0_f64.ln()]), 1000.0 - (2.0_f64 / 3.0).ln(), F64, "far out");
    assert_close(of(&[0.0, f64::INFINITY]), 2.0_f64.ln(), F64, "half impossible");
    assert_eq!((of(&[f64::INFINITY; 2]), of(&[])), (f64::INFINITY, f64::INFINITY));
}

/// θ without each number in turn, by the definition.
fn jackknife_by_definition(nats: &[f64]) -> f64 {
    let count = nats.len() as f64;
    let without = |left_out: usize| {
        let others = nats.iter().enumerate().filter(|(number, _)| *number != left_out);
        -(others.map(|(_, nats)| (-nats).exp()).sum::<f64>() / (count - 1.0)).ln()
    };
    let thetas: Vec<f64> = (0..nats.len()).map(without).collect();
    let mean = thetas.iter().sum::<f64>() / count;
    (thetas.iter().map(|theta| (theta - mean).powi(2)).sum::<f64>() * (count - 1.0) / count).sqrt()
}

#[test]
fn the_jackknife_is_its_definition() {
    for nats in [&[1.0, 2.0, 4.0][..], &[3.0, 3.0, 3.5, 2.0, 9.0], &[60.0, 0.0, 50.0], &[1.0, 1.0]] {
        assert_close(jackknife_error(nats), jackknife_by_definition(nats), SHARES, "error");
    }
    // θ without one of two is the other.
    assert_close(jackknife_error(&[1.0, 4.0]), 1.5, F64, "of two");
    assert_eq!((jackknife_error(&[5.0]), jackknife_error(&[])), (0.0, 0.0));
}

/// Estimates from 32 orders scatter as their errors say.
#[test]
fn errors_are_what_estimates_scatter_by() {
    let clean = [2, 0, 1];
    let nats = nats_of_orders(&clean);
    let sample = |text| -> Vec<f64> {
        let number = |order| orders(3).iter().position(|o| **o == *random_order::<3>(3, stream(text, order)));
        (0..32).map(|order| nats[number(order).unwrap()]).collect()
    };
    let samples: Vec<Vec<f64>> = (0..400).map(sample).collect();
    let root = |squares: Vec<f64>| mean(&squares).sqrt();
    for (estimate, error) in [
        (mean as fn(&[f64]) -> f64, standard_error as fn(&[f64]) -> f64),
        (|nats| negative_log_mean(nats.iter().copied()), jackknife_error),
    ] {
        let estimates: Vec<f64> = samples.iter().map(|sample| estimate(sample)).collect();
        let centre = mean(&estimates);
        let scatter = root(estimates.iter().map(|x| (x - centre).powi(2)).collect());
        let said = root(samples.iter().map(|sample| error(sample).powi(2)).collect());
        assert_close(said / scatter, 1.0, JACKKNIFE, "said over found");
        let errors: Vec<f64> = samples.iter().map(|sample| error(sample)).collect();
        assert_close(error_of_mean(&errors), said / 20.0, SHARES, "of the mean of 400");
    }
    assert_eq!(error_of_mean(&[3.0, 4.0]), 2.5);
}
