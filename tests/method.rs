//! What a run and its scores are made of, besides the network: the order of the texts, the rows of a batch, means, standard errors
//! and divergences.
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

use common::Table;
use common::tolerance::{BOUND, F64, SIGMAS, assert_close};
use micro_diffusion::adam::{Adam, average_update};
use micro_diffusion::bound::{divergence, mean, sampled, share, standard_error};
use micro_diffusion::denoiser::Example;
use micro_diffusion::dropout::Dropout;
use micro_diffusion::kernels::{Kernels, Plain};
use micro_diffusion::likelihood::nats_in_order;
use micro_diffusion::math::log2;
use micro_diffusion::rng::{Purpose, Stream, below, shuffle};
use micro_diffusion::rounding::{Grid, straight_through};
use micro_diffusion::schedule::{MaskCounts, cosine_mask_rate, uniform_time};

fn stream(index: u32) -> Stream {
    Stream::new(12, Purpose::Order).child(index, 0)
}

#[test]
fn every_order_is_drawn_equally_often() {
    const TRIALS: u32 = 24_000;
    let mut orders = HashMap::new();
    for trial in 0..TRIALS {
        let mut order = [0, 1, 2, 3];
        shuffle(&mut order, stream(trial));
        *orders.entry(order).or_insert(0_u32) += 1;
    }
    assert_eq!(orders.len(), 24, "every order of four occurs");
    let expected = f64::from(TRIALS) / 24.0;
    let chi_square: f64 = orders.values().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
    assert!(chi_square <= 23.0 + SIGMAS * (2.0 * 23.0_f64).sqrt(), "{chi_square}");
}

/// Fisher and Yates from the last place down, each place by the draw of its number.
#[test]
fn an_order_follows_its_documented_draws() {
    let (mut order, mut expected): (Vec<u32>, Vec<u32>) = ((0..100).collect(), (0..100).collect());
    shuffle(&mut order, stream(7));
    for last in (1..100).rev() {
        let place = below(stream(7).draw(last, 0)[0], last + 1);
        expected.swap(last as usize, place as usize);
    }
    assert_eq!(order, expected);
    shuffle::<u8>(&mut [], stream(0));
    let mut one = [5];
    shuffle(&mut one, stream(0));
    assert_eq!(one, [5]);
}

#[test]
fn rows_of_a_batch_are_examples_of_their_count_and_weight() {
    const ROWS: u32 = 7;
    let clean = [1, 2, 3, 4, 5];
    let counts = MaskCounts::<5>::new(ROWS);
    assert_eq!(counts.rows(), ROWS);
    for row in 0..ROWS {
        let word = 0x1234_5678;
        let found = Example::bound_row(&clean, &counts, word, row, stream(row));
        let count = counts.count(word, row);
        let weight = counts.weight(count) / 7.0;
        assert_eq!(found, Example::bound(&clean, count, weight, stream(row)));
        assert_eq!(found.dropout, Dropout::NONE);
        let found = Example::reference_row(&clean, 40, word, ROWS, stream(row));
        let rate = cosine_mask_rate(uniform_time(word, 40), 40);
        assert_eq!(found, Example::reference(&clean, rate, 1.0 / 35.0, stream(row)));
    }
}

#[test]
fn one_number_of_masks_a_row_estimates_the_whole_bound() {
    const ROWS: u32 = 12_000;
    let clean = [2, 0, 1];
    let counts = MaskCounts::<3>::new(ROWS);
    let mut table = Table::<3, 3>::new(2);
    let rows: Vec<f64> = (0..ROWS)
        .map(|row| f64::from(sampled(&mut table, 3, &clean, &counts, (77, row), stream(row))))
        .collect();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let exact = orders.map(|order| nats_in_order(&mut table, 3, &clean, &order));
    assert_close(mean(&rows), mean(&exact), BOUND, "NELBO");
}

#[test]
fn means_and_standard_errors_are_their_definitions() {
    let values = [1.0, 2.0, 4.0, 9.0];
    assert_close(mean(&values), 4.0, F64, "mean");
    // Σ (x − 4)² = 9 + 4 + 0 + 25.
    assert_close(standard_error(&values), (38.0_f64 / 3.0 / 4.0).sqrt(), F64, "standard error");
    assert_close(standard_error(&[1.0, 3.0]), 1.0, F64, "of two");
    assert_eq!(standard_error(&[5.0]), 0.0);
    assert!(mean(&[]).is_nan());
    assert_eq!((share(3, 4), share(0, 0)), (0.75, 0.0));
}

#[test]
fn divergences_are_their_definition() {
    assert_eq!(divergence([(3, 6), (1, 2)].into_iter()), 0.0, "the same shares");
    assert_close(divergence([(5, 0), (0, 7)].into_iter()), 1.0, F64, "nothing in common");
    // p = (1/2, 1/2), q = (1, 0), m = (3/4, 1/4).
    let p = 0.5 * (0.5_f64 / 0.75).log2() + 0.5 * (0.5_f64 / 0.25).log2();
    let q = (1.0_f64 / 0.75).log2();
    assert_close(divergence([(2, 9), (2, 0)].into_iter()), (p + q) / 2.0, F64, "a half in common");
    assert_eq!(divergence(std::iter::empty()), 0.0);
    assert_eq!([log2(8.0), log2(0.25), log2(1.0)], [3.0, -2.0, 0.0]);
}

/// Networks call the other methods of the seam; these are for whoever moves the weights.
#[test]
fn the_seam_moves_weights_by_the_functions_it_names() {
    let (weights, gradient) = ([0.5_f32, -0.25, 1.5], [0.1, -0.2, 0.3]);
    let step = Adam::default().step::<f32>(0, 0.01);
    let (mut found, mut expected) = ([weights, [0.0; 3], [0.0; 3]], [weights, [0.0; 3], [0.0; 3]]);
    let [w, m, v] = &mut found;
    Plain.adam(&step, w, &gradient, m, v);
    let [w, m, v] = &mut expected;
    step.update(w, &gradient, m, v, f32::sqrt);
    assert_eq!(found, expected);
    assert_ne!(found[0], weights);

    let (mut found, mut expected) = ([0.0; 3], [0.0; 3]);
    Plain.average_update(&mut found, &weights, 0.25);
    average_update(&mut expected, &weights, 0.25);
    assert_eq!(found, expected);
    assert_ne!(found, [0.0; 3]);

    let grid = Grid { least: -8, largest: 7, exponent: 3 };
    let before = [weights, [0.3, -0.4, 0.7]];
    let (mut found, mut expected) = (before, before);
    let [rounded, floats] = &mut found;
    Kernels::<f32>::straight_through(Plain, grid, rounded, floats);
    let [rounded, floats] = &mut expected;
    straight_through(grid, rounded, floats);
    assert_eq!(found, expected);
    assert_ne!(found, before);
}
