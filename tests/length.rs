//! The length of a text: its probabilities, its draw, and the tables that are refused.
use common::tolerance::{SHARES, SIGMAS, assert_close};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::{Denoiser, Score};
use micro_diffusion::length::Lengths;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};

fn table(counts: &[u32]) -> Vec<[u8; 4]> {
    counts.iter().map(|count| count.to_le_bytes()).collect()
}

fn stream(index: u32) -> Stream {
    Stream::new(21, Purpose::Sample).child(index, 0)
}

/// p(n) = (L·c_n + 1)/(L·C + L).
fn probabilities(counts: &[u32]) -> Vec<f64> {
    let (positions, all) = (counts.len() as f64, counts.iter().map(|count| f64::from(*count)).sum::<f64>());
    counts.iter().map(|count| (positions * f64::from(*count) + 1.0) / (positions * all + positions)).collect()
}

const TABLES: [&[u32]; 6] =
    [&[7], &[0], &[0, 0, 0, 0], &[3, 0, 5, 1], &[0, 9], &[2, 50, 300, 700, 900, 400, 90, 20, 3, 0, 1, 0]];

#[test]
fn probabilities_are_their_formula_and_add_up_to_1() {
    for counts in TABLES {
        let bytes = table(counts);
        let lengths = Lengths::new(&bytes).unwrap();
        assert_eq!(lengths.counts(), bytes);
        let found: Vec<f64> =
            (1..=counts.len()).map(|n| (-lengths.negative_log_probability(n)).exp()).collect();
        assert_close(found.iter().sum(), 1.0, SHARES, "the sum");
        for (found, expected) in found.iter().zip(probabilities(counts)) {
            assert_close(*found, expected, SHARES, "p(n)");
            assert!(*found > 0.0, "no length is impossible");
        }
        for outside in [0, counts.len() + 1, usize::MAX] {
            assert_eq!(lengths.negative_log_probability(outside), f64::INFINITY, "length {outside}");
        }
    }
}

#[test]
fn draws_have_the_probabilities() {
    const DRAWS: u32 = 60_000;
    for counts in TABLES {
        let bytes = table(counts);
        let lengths = Lengths::new(&bytes).unwrap();
        let mut found = vec![0_u32; counts.len()];
        for index in 0..DRAWS {
            found[lengths.draw(stream(index)) - 1] += 1;
        }
        let chi_square: f64 = found
            .iter()
            .zip(probabilities(counts))
            .map(|(found, p)| (f64::from(*found) - p * f64::from(DRAWS)).powi(2) / (p * f64::from(DRAWS)))
            .sum();
        let freedom = counts.len() as f64 - 1.0;
        assert!(chi_square <= freedom + SIGMAS * (2.0 * freedom).sqrt(), "{counts:?}: {chi_square}");
    }
}

/// The first n whose cumulated weight exceeds r, uniform in 0 … L·C + L − 1 by draw (2³² − 1, 0).
#[test]
fn a_length_follows_its_documented_draw() {
    for counts in TABLES {
        let bytes = table(counts);
        let lengths = Lengths::new(&bytes).unwrap();
        let most = counts.len() as u64;
        let ends: Vec<u64> = counts
            .iter()
            .scan(0, |sum, count| {
                *sum += most * u64::from(*count) + 1;
                Some(*sum)
            })
            .collect();
        for index in 0..2000 {
            let word = u64::from(stream(index).draw(u32::MAX, 0)[0]);
            let r = (word * ends[counts.len() - 1]) >> 32;
            let expected = ends.iter().position(|end| r < *end).unwrap() + 1;
            assert_eq!(lengths.draw(stream(index)), expected, "{counts:?}, text {index}");
        }
    }
}

#[test]
fn tables_whose_weights_exceed_32_bits_are_refused() {
    let taken = |counts: &[u32]| Lengths::new(&table(counts)).is_some();
    assert!(!taken(&[]), "no length");
    // L·C + L is at most 2³² − 1.
    assert!(taken(&[u32::MAX - 1]) && !taken(&[u32::MAX]));
    let half = (1 << 31) - 2;
    assert!(taken(&[half, 0]) && taken(&[0, half]) && taken(&[half - 5, 5]));
    assert!(!taken(&[half + 1, 0]) && !taken(&[half, 1]) && !taken(&[1, half]), "the sum");
    assert!(!taken(&[1 << 31, 0]) && !taken(&[0, u32::MAX]), "one weight");
    assert!(!taken(&[u32::MAX; 12]));

    // At the edge draws are still those of the probabilities: half of the texts each.
    let bytes = table(&[half / 2, half / 2]);
    let lengths = Lengths::new(&bytes).unwrap();
    let ones = (0..10_000).filter(|index| lengths.draw(stream(*index)) == 1).count() as f64;
    assert!((ones - 5000.0).abs() < SIGMAS * 50.0, "{ones}");
    assert_close(lengths.negative_log_probability(2), 2.0_f64.ln(), SHARES, "−ln p");
    let bytes = table(&[u32::MAX - 1]);
    assert!((0..100).all(|index| Lengths::new(&bytes).unwrap().draw(stream(index)) == 1));
}

#[test]
fn one_length_is_certain() {
    let bytes = table(&[7]);
    let lengths = Lengths::new(&bytes).unwrap();
    assert_eq!(lengths.negative_log_probability(1), 0.0);
    assert!((0..100).all(|index| lengths.draw(stream(index)) == 1));
}

/// Scores that are alike everywhere, so that a symbol is its draw alone.
struct Even;

impl Denoiser<3, 3> for Even {
    fn start(&mut self, _: usize) {}
    fn set(&mut self, _: usize, _: Option<u8>) {}
    fn evaluate(&mut self) {}
    fn scores(&self, _: usize, out: &mut [Score; 3]) {
        *out = [0; 3];
    }
}

/// Lengths and symbols come from one stream, and knowing one says nothing of the other: each pair is equally frequent.
#[test]
fn a_length_has_an_address_of_its_own() {
    const TEXTS: u32 = 36_000;
    let bytes = table(&[0; 3]);
    let lengths = Lengths::new(&bytes).unwrap();
    let allowed = [SymbolSet::first(3)];
    for order in [Order::Random, Order::Confidence] {
        let settings = Settings::new(order, Temperature::ONE);
        let mut counts = [[0_u32; 3]; 3];
        for index in 0..TEXTS {
            let length = lengths.draw(stream(index));
            let mut sampler = Sampler::<3, 3>::new(length, &allowed, settings, stream(index)).unwrap();
            sampler.run(&mut Even, 1);
            counts[length - 1][usize::from(sampler.symbols()[0].unwrap())] += 1;
        }
        let expected = f64::from(TEXTS) / 9.0;
        let found = counts.as_flattened().iter();
        let chi_square: f64 = found.map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        // 8 degrees of freedom: mean 8, variance 16.
        assert!(chi_square < 8.0 + SIGMAS * 4.0, "{order:?}: {counts:?}");
    }
}
