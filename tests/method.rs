//! The parts of a run and its scores besides the network: the order of the texts, the rows of a batch, means, standard
//! errors and divergences.
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

use std::collections::HashMap;

use common::Table;
use common::tolerance::{BATCH_VARIANCE, BOUND, F64, SHOWN, SIGMAS, assert_close};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, average_update};
use micro_diffusion::bound::{divergence, mean, share, standard_error};
use micro_diffusion::config::Perceptron;
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::estimate::{sampled, term};
use micro_diffusion::file::ModelFile;
use micro_diffusion::further_kernels::FurtherKernels;
use micro_diffusion::kernels::{Kernels, Plain};
use micro_diffusion::likelihood::Likelihood;
use micro_diffusion::math::log2;
use micro_diffusion::rng::{Purpose, Stream, below, shuffle};
use micro_diffusion::rounding::{Grid, straight_through};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::text::Text;

fn stream(index: u32) -> Stream {
    Stream::new(12, Purpose::Order).child(index, 0)
}

fn text<const L: usize>(symbols: &[u8]) -> Text<L> {
    Text::new(symbols).unwrap()
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
    let counts = MaskCounts::<5>::new(ROWS);
    assert_eq!(counts.rows(), ROWS);
    for (row, length) in (0..ROWS).flat_map(|row| (1..=5).map(move |length| (row, length))) {
        let clean = text(&[1, 2, 3, 4, 0][..length]);
        let words = [0x1234_5678, 0x9ABC_DEF0];
        let found = Example::bound_row(&clean, &counts, words, row, stream(row));
        let count = counts.count(words, row, length);
        let weight = counts.weight(count, length) / 7.0;
        assert_eq!((found.clean, found.noisy), (clean, mask_count(&clean, count, stream(row))));
        for position in 0..length {
            let expected = if found.noisy[position].is_none() { weight } else { 0.0 };
            assert_eq!(found.weights[position], expected, "position {position} of {length}");
        }
        assert!((length..7).all(|position| !found.is_scored(position)), "nothing past the end is scored");
        assert_eq!(found.dropout, None);
    }
}

#[test]
fn one_number_of_masks_a_row_estimates_the_whole_bound() {
    const ROWS: u32 = 12_000;
    let counts = MaskCounts::<3>::new(ROWS);
    let mut table = Table::<3, 3>::new(2);
    let three = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map(Vec::from).to_vec();
    let two = vec![vec![0, 1], vec![1, 0]];
    for (clean, orders) in [(&[2, 0, 1][..], three), (&[1, 2], two), (&[0], vec![vec![0]])] {
        let clean = text(clean);
        let rows: Vec<f64> = (0..ROWS)
            .map(|row| f64::from(sampled(&mut table, 3, &clean, &counts, [77, 78], row, stream(row))))
            .collect();
        let exact = orders.iter().map(|order| table.nats_in_order(3, &clean, order));
        assert_close(mean(&rows), mean(&exact.collect::<Vec<_>>()), BOUND, "NELBO");
    }
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
    FurtherKernels::<f32>::straight_through(Plain, grid, rounded, floats);
    let [rounded, floats] = &mut expected;
    straight_through(grid, rounded, floats);
    assert_eq!(found, expected);
    assert_ne!(found, before);
}

// Figures of `schedule.rs` for the shipped model, to one more digit.
const BOUND_OF_LETTERS: f64 = 12.7225;
const STRATA_ROOT: f64 = 34.643;
const STRATA_DEVIATIONS: f64 = 39.462;
const STRATA_UNIFORM: f64 = 36.294;
const ALONE_ROOT: f64 = 74.179;
const ALONE_UNIFORM: f64 = 42.037;

/// T_k of each held-out name for the shipped model, k = 1 … n: the mean −ln p of k masked positions, over four draws of
/// masks.
fn terms_of_the_shipped_model() -> Vec<Vec<f64>> {
    let file = ModelFile::parse(include_bytes!("../data/names.mdm")).unwrap();
    let view = Perceptron::view(file.parameters::<Perceptron, 12, 26>().unwrap()).unwrap();
    let mut memory = [0.0; Perceptron::MEMORY];
    let mut denoiser = Perceptron::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
    let held_out = include_str!("../data/names.txt").lines().skip(9).step_by(10);
    let texts = held_out.filter_map(|name| file.alphabet().encode::<12>(name).ok());
    let draws = (0..).zip(texts).flat_map(|(index, clean)| {
        (0..4).map(move |draw| (clean, Stream::new(1, Purpose::Score).child(index, draw)))
    });
    let mut of = |clean: &Text<12>, count, stream: Stream| {
        f64::from(term(&mut denoiser, 26, clean, count, stream.child(count, 0)))
    };
    draws
        .map(|(clean, stream)| {
            (1..=clean.symbols().len() as u32).map(|count| of(&clean, count, stream)).collect()
        })
        .collect()
}

/// The mean of each T_k over the texts of one length.
fn means_of(texts: &[&Vec<f64>], length: usize) -> Vec<f64> {
    (0..length).map(|k| mean(&texts.iter().map(|terms| terms[k]).collect::<Vec<_>>())).collect()
}

/// The texts of each length, with the length.
fn by_length(all: &[Vec<f64>]) -> Vec<(usize, Vec<&Vec<f64>>)> {
    let of = |length| (length, all.iter().filter(|terms| terms.len() == length).collect::<Vec<_>>());
    (1..=12).map(of).filter(|(_, texts)| !texts.is_empty()).collect()
}

/// The second moment of T_k/p_k, the text being any of `all` and k having the probabilities `shares` of its length.
fn second_moment(all: &[Vec<f64>], shares: &dyn Fn(usize) -> Vec<f64>) -> f64 {
    let of = |terms: &Vec<f64>| terms.iter().zip(shares(terms.len())).map(|(t, p)| t * t / p).sum::<f64>();
    mean(&all.iter().map(of).collect::<Vec<_>>())
}

/// ∫ f(u)² du, f(u) being the mean over the texts of T_k/p_k where k is the u-quantile of each text's length.
fn square_of_strata(all: &[Vec<f64>], shares: &dyn Fn(usize) -> Vec<f64>) -> f64 {
    // For each length its share of the texts, and T_k/p_k with the u where k ends.
    let lengths: Vec<(f64, Vec<(f64, f64)>)> = by_length(all)
        .into_iter()
        .map(|(length, texts)| {
            let mut end = 0.0;
            let steps = means_of(&texts, length).into_iter().zip(shares(length)).map(|(m, p)| {
                end += p;
                (end, m / p)
            });
            (texts.len() as f64 / all.len() as f64, steps.collect())
        })
        .collect();
    let mut ends: Vec<f64> =
        lengths.iter().flat_map(|(_, steps)| steps.iter().map(|(end, _)| *end)).collect();
    ends.sort_by(f64::total_cmp);
    let (mut sum, mut before) = (0.0, 0.0);
    for end in ends {
        let middle = (before + end) / 2.0;
        let value =
            |steps: &[(f64, f64)]| steps.iter().find(|(end, _)| *end > middle).map_or(0.0, |step| step.1);
        let f: f64 = lengths.iter().map(|(share, steps)| share * value(steps)).sum();
        sum += (end - before) * f * f;
        before = end;
    }
    sum
}

/// The figures at the head of `schedule.rs`, in nats², which this prints; and the counts of real batches have the variance that is
/// derived there.
#[test]
fn the_variances_that_schedule_names_are_those_of_the_shipped_model() {
    const ROWS: u32 = 64;
    const BATCHES: u32 = 100_000;
    const FEW: usize = 100;
    let all = terms_of_the_shipped_model();
    let nelbo = mean(&all.iter().map(|terms| terms.iter().sum()).collect::<Vec<_>>());

    let normal = |of: Vec<f64>| -> Vec<f64> { of.iter().map(|x| x / of.iter().sum::<f64>()).collect() };
    let root = |n: usize| normal((1..=n).map(|k| 1.0 / (k as f64).sqrt()).collect());
    // The deviation of T_k among texts of one length; where there are few, it is not known.
    let of_lengths: HashMap<usize, Vec<f64>> = by_length(&all)
        .into_iter()
        .filter(|(_, texts)| texts.len() >= FEW)
        .map(|(length, texts)| {
            let means = means_of(&texts, length);
            let squares =
                |k: usize| texts.iter().map(|terms| (terms[k] - means[k]).powi(2)).collect::<Vec<_>>();
            (length, normal((0..length).map(|k| mean(&squares(k)).sqrt()).collect()))
        })
        .collect();
    let deviation = |n: usize| of_lengths.get(&n).cloned().unwrap_or_else(|| root(n));
    let uniform = |n: usize| vec![1.0 / n as f64; n];
    let stratified = |p: &dyn Fn(usize) -> Vec<f64>| second_moment(&all, p) - square_of_strata(&all, p);
    let alone = |p: &dyn Fn(usize) -> Vec<f64>| second_moment(&all, p) - nelbo * nelbo;
    let figures = [
        ("the bound of the letters", nelbo, BOUND_OF_LETTERS),
        ("strata, 1/√k", stratified(&root), STRATA_ROOT),
        ("strata, the deviations", stratified(&deviation), STRATA_DEVIATIONS),
        ("strata, uniform", stratified(&uniform), STRATA_UNIFORM),
        ("each row on its own, 1/√k", alone(&root), ALONE_ROOT),
        ("each row on its own, uniform", alone(&uniform), ALONE_UNIFORM),
    ];
    for (name, found, _) in figures {
        println!("{name}: {found:.4}");
    }
    for (name, found, shown) in figures {
        assert_close(found, shown, SHOWN, name);
    }

    let counts = MaskCounts::<12>::new(ROWS);
    let row = |stream: Stream, word, row| {
        let terms = &all[below(stream.draw(row, 0)[0], all.len() as u32) as usize];
        let count = counts.count(word, row, terms.len());
        terms[count as usize - 1] * f64::from(count) * f64::from(counts.weight(count, terms.len()))
    };
    let batch = |stream: Stream| {
        let words = stream.draw(ROWS, 0);
        (0..ROWS).map(|number| row(stream, words, number)).sum::<f64>() / f64::from(ROWS)
    };
    let estimates: Vec<f64> = (0..BATCHES).map(|number| batch(stream(3).child(number, 0))).collect();
    let variance = standard_error(&estimates).powi(2) * f64::from(BATCHES * ROWS);
    println!("batches: {variance:.4}");
    assert_close(variance, stratified(&root), BATCH_VARIANCE, "batches");
}
