//! The forward process, the schedules, the learning rate and the bound, against what they promise.
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

use common::tolerance::{BOUND, COSINE, F32, F64, LOG_PROBABILITY, SIGMAS, UNIFORM, assert_close};
use common::{Table, probabilities};
use micro_diffusion::adam::{Adam, SMALLEST, average_rate, average_update, learning_rate};
use micro_diffusion::bound::{negative_log_probability, term};
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser::Example;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::schedule::{MaskCounts, cosine_mask_rate, cosine_remaining, linear_remaining};

fn stream(index: u32) -> Stream {
    Stream::new(11, Purpose::Noise).child(index, 0)
}

#[test]
fn mask_count_masks_exactly_so_many_and_every_set_alike() {
    const TRIALS: u32 = 30_000;
    let clean = [1, 2, 3, 4, 5];
    for count in 0..=5_u32 {
        let mut sets = std::collections::HashMap::new();
        for trial in 0..TRIALS {
            let noisy = mask_count(&clean, count, stream(trial));
            assert_eq!(noisy.iter().filter(|symbol| symbol.is_none()).count() as u32, count);
            assert!(
                noisy.iter().zip(clean).all(|(symbol, clean)| symbol.is_none_or(|symbol| symbol == clean))
            );
            *sets.entry(noisy.map(|symbol| symbol.is_none())).or_insert(0_u32) += 1;
        }
        let choices = [1, 5, 10, 10, 5, 1][count as usize];
        assert_eq!(sets.len(), choices, "every set of {count} occurs");
        let expected = f64::from(TRIALS) / choices as f64;
        let chi_square: f64 = sets.values().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        let freedom = choices as f64 - 1.0;
        assert!(chi_square <= freedom + SIGMAS * (2.0 * freedom).sqrt(), "{count}: {chi_square}");
    }
    assert_eq!(mask_count(&clean, 99, stream(0)), [None; 5]);
}

#[test]
fn cosine_schedule_is_its_formula_and_rises() {
    for times in [1, 40, 50] {
        for time in 0..=times {
            let angle = (f64::from(time) / f64::from(times) + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
            assert_close(f64::from(cosine_mask_rate(time, times)), 1.0 - angle.cos().powi(2), COSINE, "rate");
            assert!(time == 0 || cosine_mask_rate(time, times) > cosine_mask_rate(time - 1, times));
        }
    }
    assert!(cosine_mask_rate(0, 0).is_finite());
    for masked in (0..=12).chain([1000]) {
        assert_eq!(cosine_remaining(masked, 1, 40), 0, "the last step reveals all");
    }
    for masked in 0..=12 {
        for time in 2..=40 {
            let exact = f64::from(cosine_mask_rate(time - 1, 40)) / f64::from(cosine_mask_rate(time, 40));
            assert_eq!(cosine_remaining(masked, time, 40), (masked as f64 * exact).floor() as usize);
        }
    }
}

#[test]
fn linear_schedule_reveals_evenly_and_ends_at_nothing() {
    for (masked, steps) in (0..=32).flat_map(|masked| (1..=70).map(move |steps| (masked, steps))) {
        let mut before = masked;
        for step in 1..=steps {
            let remaining = linear_remaining(masked, step, steps);
            assert!(
                remaining <= before && before - remaining <= masked.div_ceil(steps),
                "never more than its share"
            );
            before = remaining;
        }
        assert_eq!(before, 0);
    }
    assert_eq!(linear_remaining(12, 0, 4), 12);
    assert_eq!(linear_remaining(12, 9, 4), 0);
    assert_eq!(linear_remaining(12, 1, 0), 0);
}

/// p_k = (1/√k) / Σ_j 1/√j.
fn shares<const L: usize>() -> [f64; L] {
    let total: f64 = (1..=L).map(|k| 1.0 / (k as f64).sqrt()).sum();
    std::array::from_fn(|index| 1.0 / (index as f64 + 1.0).sqrt() / total)
}

fn check_counts<const L: usize>(rows: u32) {
    const DRAWS: u32 = 2000;
    let (counts, shares) = (MaskCounts::<L>::new(rows), shares::<L>());
    let mut totals = [0_u32; L];
    for draw in 0..DRAWS {
        let mut found = [0_u32; L];
        for row in 0..rows {
            found[counts.count([draw * 2_147_483 + 999, draw << 20], row) as usize - 1] += 1;
        }
        for ((found, share), total) in found.iter().zip(shares).zip(&mut totals) {
            let expected = share * f64::from(rows);
            assert!((f64::from(*found) - expected).abs() < 1.0, "{found} rows of {expected}");
            *total += found;
        }
    }
    for (total, share) in totals.iter().zip(shares) {
        let expected = share * f64::from(rows * DRAWS);
        assert!((f64::from(*total) / expected - 1.0).abs() < UNIFORM, "{total} of {expected}");
    }
    assert_eq!(counts.count([0, 0], 0), 1);
    assert_eq!((0..rows).map(|row| counts.count([u32::MAX, 0], row)).max(), Some(L as u32));
}

#[test]
fn counts_of_masks_are_even_over_a_batch_and_have_their_probabilities() {
    check_counts::<12>(64);
    check_counts::<12>(1);
    check_counts::<3>(7);
    check_counts::<12>(12);
    // The first strides tried have a divisor in common with these.
    check_counts::<12>(6);
    check_counts::<12>(10);
    check_counts::<16>(100);
    check_counts::<1>(5);
    assert_eq!(MaskCounts::<5>::new(0).count([u32::MAX, 0], 0), 5);
}

/// Over many batches each row masks k positions with probability p_k, whichever row it is.
#[test]
fn each_row_s_counts_have_their_probabilities() {
    const BATCHES: u32 = 20_000;
    for rows in [1, 6, 64] {
        let (counts, shares) = (MaskCounts::<12>::new(rows), shares::<12>());
        for row in 0..rows {
            let mut found = [0_u32; 12];
            for batch in 0..BATCHES {
                found[counts.count(stream(batch).draw(rows, 0), row) as usize - 1] += 1;
            }
            let chi_square: f64 = found
                .iter()
                .zip(shares.map(|share| share * f64::from(BATCHES)))
                .map(|(found, expected)| (f64::from(*found) - expected).powi(2) / expected)
                .sum();
            assert!(chi_square <= 11.0 + SIGMAS * 22.0_f64.sqrt(), "row {row} of {rows}: {chi_square}");
        }
    }
}

/// In a batch of one row the count is the quantile of the word itself: the words of each count begin where those of the one
/// before end.
#[test]
fn the_words_of_a_count_are_its_share() {
    let counts = MaskCounts::<3>::new(1);
    let mut upper = 0.0;
    for (k, share) in (1..).zip(&shares::<3>()[..2]) {
        upper += share * 2.0_f64.powi(32);
        let (mut low, mut high) = (0_u64, 1 << 32);
        while low < high {
            let middle = (low + high) / 2;
            if counts.count([middle as u32, u32::MAX], 0) <= k { low = middle + 1 } else { high = middle }
        }
        assert_eq!(low, upper as u64, "the first word of {}", k + 1);
    }
}

#[test]
fn weights_undo_the_probabilities_of_counts() {
    let counts = MaskCounts::<12>::new(64);
    for (k, share) in (1..).zip(shares::<12>()) {
        assert_close(f64::from(counts.weight(k)) * f64::from(k) * share, 1.0, F32, "weight");
    }
}

#[test]
fn parts_of_a_batch_carry_about_equal_work() {
    let counts = MaskCounts::<12>::new(64);
    for (parts, rotation) in
        [2, 4].into_iter().flat_map(|parts| [0, 1 << 28, 1 << 31].map(|rotation| (parts, rotation)))
    {
        let part = |part: u32| part * 64 / parts..(part + 1) * 64 / parts;
        let work =
            |rows: std::ops::Range<u32>| rows.map(|row| counts.count([1 << 31, rotation], row)).sum::<u32>();
        let all = work(0..64);
        for number in 0..parts {
            assert!(work(part(number)).abs_diff(all / parts) * 20 <= all, "part {number} of {parts}");
        }
    }
}

#[test]
fn learning_rate_rises_then_falls_to_its_floor() {
    let rate = |step| learning_rate(step, 1000, 4e-3, 100, 0.1);
    assert_close(rate(0), 4e-5, F64, "first");
    assert_close(rate(99), 4e-3, F64, "end of the warm-up");
    assert_close(rate(100), 4e-3, F64, "peak");
    assert_close(rate(999), 4e-4, F64, "last");
    assert_close(rate(5000), 4e-4, F64, "past the end");
    assert!((100..999).all(|step| rate(step + 1) < rate(step)));
    assert_eq!(learning_rate(0, 1, 1.0, 0, 0.5), 1.0, "one step, no warm-up");
    assert!(learning_rate(0, 0, 1.0, 0, 0.5).is_finite());
}

#[test]
fn moments_that_no_gradient_feeds_end_at_0_and_are_never_subnormal() {
    let adam = Adam { beta_2: 0.99, ..Adam::default() };
    let (mut weights, mut m, mut v) = ([0.5_f32, -0.5], [0.0; 2], [0.0; 2]);
    for step in 0..9000 {
        let gradient = if step == 0 { [1e-3, -1e-3] } else { [0.0; 2] };
        adam.step(step, 6e-3).update(&mut weights, &gradient, &mut m, &mut v, f32::sqrt);
        assert!(m.iter().chain(&v).all(|moment| *moment == 0.0 || moment.is_normal()), "{step}: {m:?} {v:?}");
    }
    assert_eq!((m, v), ([0.0; 2], [0.0; 2]));

    // One step from moments of 0 leaves half the gradient and a quarter of its square.
    let adam = Adam { beta_1: 0.5, beta_2: 0.75, ..Adam::default() };
    let moments = |gradient: [f64; 2]| {
        let (mut m, mut v) = ([0.0; 2], [0.0; 2]);
        adam.step(0, 6e-3).update(&mut [0.0; 2], &gradient, &mut m, &mut v, f64::sqrt);
        (m, v)
    };
    let power_of_two = |exponent| f64::powi(2.0, exponent);
    assert_eq!(SMALLEST, power_of_two(-110));
    assert_eq!(moments([2.0 * SMALLEST, -2.0 * SMALLEST]).0, [SMALLEST, -SMALLEST], "the smallest stays");
    assert_eq!(moments([1.99 * SMALLEST, -1.99 * SMALLEST]).0, [0.0; 2]);
    assert_eq!(moments([power_of_two(-54), -power_of_two(-54)]).1, [SMALLEST; 2]);
    assert_eq!(moments([0.99 * power_of_two(-54), 0.0]).1, [0.0; 2]);
}

#[test]
fn the_average_looks_back_over_a_tenth_and_then_over_its_length() {
    assert_close(average_rate::<f64>(0, 0.99), 0.9, F64, "first");
    assert_close(average_rate::<f64>(90, 0.99), 0.09, F64, "a hundredth more than a tenth");
    assert_close(average_rate::<f64>(5000, 0.99), 0.01, F64, "settled");
    // Weights that are 0 but for one step: the average is that step's share, which fades by κ a step.
    let (mut average, decay) = ([0.0_f64; 2], 0.75);
    for step in 0..40 {
        let weight = if step == 30 { [1.0, -2.0] } else { [0.0; 2] };
        average_update(&mut average, &weight, average_rate(step, decay));
    }
    let share = 0.25 * decay.powi(9);
    assert_close(average[0], share, F64, "share");
    assert_close(average[1], -2.0 * share, F64, "share of the second");
}

#[test]
fn negative_log_probability_is_that_of_the_softmax() {
    let scores = Table::<3, 9>::scores_of(5, &[None; 3], 2);
    for symbols in [9, 6, 1] {
        let exact = probabilities(&scores[..symbols], 1.0);
        for (symbol, p) in (0..).zip(exact) {
            let found = negative_log_probability(&scores, symbols, symbol);
            assert_close(f64::from(found), -p.ln(), LOG_PROBABILITY, "−ln p");
        }
        assert_eq!(negative_log_probability(&scores, symbols, symbols as u8), f32::INFINITY);
    }
}

/// −ln p of the masked positions of one text under one mask.
fn exact_loss(clean: [u8; 3], masked: [bool; 3]) -> f64 {
    let symbols = std::array::from_fn(|l| (!masked[l]).then_some(clean[l]));
    let loss =
        |l: usize| -probabilities(&Table::<3, 3>::scores_of(2, &symbols, l), 1.0)[usize::from(clean[l])].ln();
    (0..3).filter(|l| masked[*l]).map(loss).sum()
}

#[test]
fn the_estimate_of_the_bound_has_the_exact_mean() {
    let clean = [2, 0, 1];
    let masks: Vec<[bool; 3]> = (1..8).map(|bits| std::array::from_fn(|l| bits >> l & 1 == 1)).collect();
    let mut exact = 0.0;
    for count in 1..=3 {
        let sets: Vec<_> = masks.iter().filter(|m| m.iter().filter(|b| **b).count() == count).collect();
        let sum: f64 = sets.iter().map(|mask| exact_loss(clean, **mask)).sum();
        exact += sum / sets.len() as f64 / count as f64;
    }
    let draws = 4000;
    let estimate: f64 = (1..=3)
        .flat_map(|count| (0..draws).map(move |draw| (count, draw)))
        .map(|(count, draw)| {
            let stream = stream(draw).child(count, 0);
            f64::from(term(&mut Table::<3, 3>::new(2), 3, &clean, count, stream))
        })
        .sum();
    assert_close(estimate / f64::from(draws), exact, BOUND, "NELBO");
}

#[test]
fn examples_weigh_the_bound_as_documented() {
    let example = Example::bound(&[1, 2, 3, 4], 2, 0.5, stream(3));
    let masked = example.noisy.map(|symbol| symbol.is_none());
    assert_eq!(example.weights, masked.map(|masked| if masked { 0.5 } else { 0.0 }));
    assert_eq!(example.clean, [1, 2, 3, 4]);
}
