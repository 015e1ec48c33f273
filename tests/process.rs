//! The forward process, the schedules, the learning rate and the bound, against what they promise.
use common::tolerance::{BOUND, COSINE, F32, F64, LOG_PROBABILITY, SIGMAS, UNIFORM, assert_close};
use common::{Table, masked_example, probabilities};
use micro_diffusion::adam::{Adam, SMALLEST, average_rate, average_update, learning_rate};
use micro_diffusion::bound::negative_log_probability;
use micro_diffusion::corruption::mask_count;
use micro_diffusion::cosine::{cosine_mask_rate, cosine_remaining};
use micro_diffusion::denoiser::Example;
use micro_diffusion::estimate::term;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::schedule::{MaskCounts, linear_remaining};
use micro_diffusion::text::Text;

fn stream(index: u32) -> Stream {
    Stream::new(11, Purpose::Noise).child(index, 0)
}

fn text<const L: usize>(symbols: &[u8]) -> Text<L> {
    Text::new(symbols).unwrap()
}

/// Number of sets of `chosen` of `all`.
fn choose(all: u32, chosen: u32) -> u32 {
    (0..chosen).fold(1, |ways, i| ways * (all - i) / (i + 1))
}

#[test]
fn mask_count_masks_exactly_so_many_of_the_text_and_every_set_alike() {
    const TRIALS: u32 = 30_000;
    for length in 1..=5_usize {
        let clean = text::<5>(&[1, 0, 3, 4, 2][..length]);
        for count in 0..=length as u32 {
            let mut sets = std::collections::HashMap::new();
            for trial in 0..TRIALS {
                let noisy = mask_count(&clean, count, stream(trial));
                let (inside, outside) = noisy.split_at(length);
                assert_eq!(inside.iter().filter(|symbol| symbol.is_none()).count() as u32, count);
                let shown = inside.iter().zip(clean.symbols());
                assert!(shown.clone().all(|(symbol, clean)| symbol.is_none_or(|symbol| symbol == *clean)));
                assert_eq!(outside, vec![None; 5 - length], "no symbol past the end");
                *sets.entry(noisy.map(|symbol| symbol.is_none())).or_insert(0_u32) += 1;
            }
            let choices = choose(length as u32, count);
            assert_eq!(sets.len() as u32, choices, "every set of {count} of {length} occurs");
            let expected = f64::from(TRIALS) / f64::from(choices);
            let chi_square: f64 = sets.values().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
            let freedom = f64::from(choices) - 1.0;
            let limit = freedom + SIGMAS * (2.0 * freedom).sqrt();
            assert!(chi_square <= limit, "{count} of {length}: {chi_square}");
        }
        for too_many in [length as u32 + 1, 99, u32::MAX] {
            assert_eq!(mask_count(&clean, too_many, stream(0)), [None; 5]);
        }
    }
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

/// p_k = (1/√k) / Σ_j 1/√j, j = 1 … n, for k = 1 … n.
fn shares(length: usize) -> Vec<f64> {
    let total: f64 = (1..=length).map(|k| 1.0 / (k as f64).sqrt()).sum();
    (1..=length).map(|k| 1.0 / (k as f64).sqrt() / total).collect()
}

/// The counts of batches whose texts all have `length` symbols, of at most `L`.
fn check_counts<const L: usize>(rows: u32, length: usize) {
    const DRAWS: u32 = 2000;
    let (counts, shares) = (MaskCounts::<L>::new(rows), shares(length));
    let mut totals = vec![0_u32; length];
    for draw in 0..DRAWS {
        let mut found = vec![0_u32; length];
        for row in 0..rows {
            // Outside 1 … n this is no place of the table.
            found[counts.count([draw * 2_147_483 + 999, draw << 20], row, length) as usize - 1] += 1;
        }
        for ((found, share), total) in found.iter().zip(&shares).zip(&mut totals) {
            let expected = share * f64::from(rows);
            assert!((f64::from(*found) - expected).abs() < 1.0, "{found} rows of {expected}");
            *total += found;
        }
    }
    for (total, share) in totals.iter().zip(shares) {
        let expected = share * f64::from(rows * DRAWS);
        assert!((f64::from(*total) / expected - 1.0).abs() < UNIFORM, "{total} of {expected}");
    }
    assert_eq!(counts.count([0, 0], 0, length), 1);
    assert_eq!((0..rows).map(|row| counts.count([u32::MAX, 0], row, length)).max(), Some(length as u32));
}

#[test]
fn counts_of_masks_are_even_over_a_batch_and_have_their_probabilities() {
    for length in 1..=12 {
        check_counts::<12>(64, length);
    }
    for length in [1, 2, 12] {
        check_counts::<12>(1, length);
        check_counts::<12>(12, length);
    }
    check_counts::<3>(7, 3);
    check_counts::<3>(7, 2);
    // The first strides tried have a divisor in common with these.
    check_counts::<12>(6, 12);
    check_counts::<12>(10, 5);
    check_counts::<16>(100, 16);
    check_counts::<1>(5, 1);
    assert_eq!(MaskCounts::<5>::new(0).count([u32::MAX, 0], 0, 5), 5);
}

/// A batch has one word, and its texts their own lengths: a row's count is the same quantile of the distribution of each length.
#[test]
fn rows_of_other_lengths_have_the_quantile_of_their_own() {
    // Distance of two rows' strata: ⌊0.618·64⌋, which has no divisor in common with 64.
    const STRIDE: u32 = 39;
    let counts = MaskCounts::<12>::new(64);
    for (word, row) in [(0, 0), (77, 3), (1 << 31, 63), (u32::MAX, 17)] {
        let stratum = u64::from(row * STRIDE % 64);
        let quantile = (stratum as f64 + f64::from(word) / 2.0_f64.powi(32)) / 64.0;
        for length in 1..=12 {
            let mut upper = 0.0;
            let mut below = |share: &f64| {
                upper += share;
                upper <= quantile
            };
            let expected = shares(length).iter().take_while(|share| below(share)).count() as u32 + 1;
            assert_eq!(
                counts.count([word, 0], row, length),
                expected.min(length as u32),
                "row {row} of {length}"
            );
        }
    }
    let longest = |row| (1..=12).map(|length| counts.count([u32::MAX, 0], row, length)).collect::<Vec<_>>();
    assert!((0..64).all(|row| longest(row).is_sorted()), "no fewer masks in a longer text");
}

/// Over many batches each row masks k positions with probability p_k, whichever row it is.
#[test]
fn each_row_s_counts_have_their_probabilities() {
    const BATCHES: u32 = 20_000;
    for rows in [1, 6, 64] {
        let (counts, shares) = (MaskCounts::<12>::new(rows), shares(12));
        for row in 0..rows {
            let mut found = [0_u32; 12];
            for batch in 0..BATCHES {
                found[counts.count(stream(batch).draw(rows, 0), row, 12) as usize - 1] += 1;
            }
            let chi_square: f64 = found
                .iter()
                .zip(shares.iter().map(|share| share * f64::from(BATCHES)))
                .map(|(found, expected)| (f64::from(*found) - expected).powi(2) / expected)
                .sum();
            assert!(chi_square <= 11.0 + SIGMAS * 22.0_f64.sqrt(), "row {row} of {rows}: {chi_square}");
        }
    }
}

/// In a batch of one row the count is the quantile of the word itself. The words of each count begin where those of the
/// previous count end.
#[test]
fn the_words_of_a_count_are_its_share() {
    let counts = MaskCounts::<5>::new(1);
    for length in 1..=5 {
        let mut upper = 0.0;
        for (k, share) in (1..).zip(&shares(length)[..length - 1]) {
            upper += share * 2.0_f64.powi(32);
            let (mut low, mut high) = (0_u64, 1 << 32);
            while low < high {
                let middle = (low + high) / 2;
                if counts.count([middle as u32, u32::MAX], 0, length) <= k {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            assert!(
                low.abs_diff(upper as u64) <= 1,
                "the first word of {} of {length}: {low}, {upper}",
                k + 1
            );
        }
    }
}

#[test]
fn weights_undo_the_probabilities_of_counts() {
    let counts = MaskCounts::<12>::new(64);
    for length in 1..=12 {
        for (k, share) in (1..).zip(shares(length)) {
            let product = f64::from(counts.weight(k, length)) * f64::from(k) * share;
            assert_close(product, 1.0, F32, &format!("weight of {k} of {length}"));
        }
    }
}

#[test]
fn parts_of_a_batch_carry_about_equal_work() {
    let counts = MaskCounts::<12>::new(64);
    for (parts, length) in [2, 4].into_iter().flat_map(|parts| [4, 7, 12].map(|length| (parts, length))) {
        let part = |part: u32| part * 64 / parts..(part + 1) * 64 / parts;
        let work =
            |rows: std::ops::Range<u32>| rows.map(|row| counts.count([1 << 31, 0], row, length)).sum::<u32>();
        let all = work(0..64);
        for number in 0..parts {
            let apart = work(part(number)).abs_diff(all / parts);
            assert!(apart * 20 <= all, "part {number} of {parts}, texts of {length}");
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
fn exact_loss(clean: &[u8], masked: &[bool]) -> f64 {
    let symbols: Vec<_> = clean.iter().zip(masked).map(|(s, masked)| (!masked).then_some(*s)).collect();
    let loss =
        |l: usize| -probabilities(&Table::<3, 3>::scores_of(2, &symbols, l), 1.0)[usize::from(clean[l])].ln();
    (0..clean.len()).filter(|l| masked[*l]).map(loss).sum()
}

#[test]
fn the_estimate_of_the_bound_has_the_exact_mean() {
    for clean in [&[2, 0, 1][..], &[1, 2], &[2]] {
        let length = clean.len();
        let masks: Vec<Vec<bool>> =
            (1..1 << length).map(|bits| (0..length).map(|l| bits >> l & 1 == 1).collect()).collect();
        let mut exact = 0.0;
        for count in 1..=length {
            let sets: Vec<_> = masks.iter().filter(|m| m.iter().filter(|b| **b).count() == count).collect();
            let sum: f64 = sets.iter().map(|mask| exact_loss(clean, mask)).sum();
            exact += sum / sets.len() as f64 / count as f64;
        }
        let draws = 4000;
        let estimate: f64 = (1..=length as u32)
            .flat_map(|count| (0..draws).map(move |draw| (count, draw)))
            .map(|(count, draw)| {
                let stream = stream(draw).child(count, 0);
                f64::from(term(&mut Table::<3, 3>::new(2), 3, &text(clean), count, stream))
            })
            .sum();
        assert_close(estimate / f64::from(draws), exact, BOUND, "NELBO");
    }
}

#[test]
fn an_example_knows_what_is_shown_and_scored() {
    for length in 1..=4 {
        let clean = text::<4>(&[1, 2, 0, 3][..length]);
        for count in 0..=length as u32 {
            let example = masked_example(&clean, count, 0.5, stream(3));
            assert_eq!(example.length(), length);
            assert_eq!(example.shown(), &example.noisy[..length]);
            assert_eq!((0..5).filter(|l| example.is_scored(*l)).count(), count as usize);
            // The mean weight k/2n of the n positions, times 2k/(n + 1).
            let (k, n) = (f64::from(count), length as f64);
            assert_close(example.hidden_weight(), k / n / 2.0 * 2.0 * k / (n + 1.0), F64, "hidden weight");
        }
    }
    assert_eq!(Example::<4>::EMPTY.length(), 0);
    assert_eq!(Example::<4>::EMPTY.hidden_weight::<f64>(), 0.0);
}

/// Over the rows of a batch a hidden value counts 1 on the average, whatever the length.
#[test]
fn a_hidden_value_counts_1_on_the_average() {
    const ROWS: u32 = 2000;
    let counts = MaskCounts::<9>::new(ROWS);
    for length in 1..=9_usize {
        let clean = text::<9>(&vec![0; length]);
        let row =
            |row| Example::bound_row(&clean, &counts, [1 << 31, 0], row, stream(row)).hidden_weight::<f64>();
        // Σ_k p_k·(1/(k·p_k))·(k/n)·2k/(n + 1) = 1, spread over the rows.
        assert_close((0..ROWS).map(row).sum(), 1.0, UNIFORM, &format!("texts of {length}"));
    }
}
