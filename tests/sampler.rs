//! The sampler in a world small enough to try everything: up to 3 positions, 3 symbols.
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

use std::collections::{BTreeSet, HashMap};

use common::tolerance::{CATEGORICAL, CONFIDENCE, POWER_ENTRY, POWER_OF_TWO, SIGMAS, assert_close};
use common::{Table, probabilities};
use micro_diffusion::activation::Activation;
use micro_diffusion::categorical::{SymbolSet, Temperature, UNIT, Weights, confidence, power_of_two};
use micro_diffusion::config::Perceptron;
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::file::ModelFile;
use micro_diffusion::halves::scale_in_halves;
use micro_diffusion::kernels::Plain;
use micro_diffusion::rng::{Purpose, Stream, shuffle};
use micro_diffusion::sampler::{Order, Sampler, SamplerError, Settings};
use micro_diffusion::schedule::linear_remaining;

const ORDERS: [Order; 2] = [Order::Random, Order::Confidence];

/// Every set of symbols a position of the tiny world can allow.
fn sets() -> Vec<SymbolSet> {
    (1..8_u8)
        .map(|bits| (0..3).filter(|s| bits >> s & 1 == 1).fold(SymbolSet::EMPTY, SymbolSet::with))
        .collect()
}

#[test]
fn every_pattern_and_step_count_of_the_tiny_world() {
    let mut tried = 0;
    let sets = sets();
    for (index, a) in sets.iter().enumerate() {
        for (b, c) in sets.iter().flat_map(|b| sets.iter().map(move |c| (b, c))) {
            for (order, steps) in
                ORDERS.into_iter().flat_map(|order| (1..=5).map(move |steps| (order, steps)))
            {
                for temperature in [Temperature::GREEDY, Temperature::from_milli(300), Temperature::ONE] {
                    let allowed = [*a, *b, *c];
                    for length in 1..=3 {
                        check_run(length, &allowed, Settings::new(order, temperature), steps, index as u32);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 7 * 7 * 7 * 2 * 5 * 3 * 3);
}

fn check_run(length: usize, allowed: &[SymbolSet; 3], settings: Settings, steps: usize, seed: u32) {
    let stream = Stream::new(4, Purpose::Sample).child(seed, 0);
    // A table has no place for what lies past the end, and panics where it is asked for that.
    let mut denoiser = Table::<3, 3>::new(1);
    let mut sampler = Sampler::<3, 3>::new(length, allowed, settings, stream).unwrap();
    let given = sampler.symbols().to_vec();
    assert_eq!((given.len(), sampler.confidence().len()), (length, length));
    for (set, symbol) in allowed.iter().zip(&given) {
        assert_eq!(
            symbol.is_some(),
            set.iter_below(3).count() == 1,
            "single symbols are given, others masked"
        );
    }
    let masked = sampler.masked();
    assert_eq!(masked, given.iter().filter(|symbol| symbol.is_none()).count());
    for step in 1..=steps {
        let before = sampler.symbols().to_vec();
        let remaining = linear_remaining(masked, step, steps);
        let (evaluations, masked_before) = (denoiser.evaluations, sampler.masked());
        let drawn = sampler.step(&mut denoiser, remaining);
        assert_eq!(sampler.masked(), remaining.min(masked_before), "as many are revealed as asked");
        assert_eq!(
            denoiser.evaluations,
            evaluations + usize::from(drawn > 0),
            "an empty step evaluates nothing"
        );
        let now = sampler.symbols();
        assert!((0..length).all(|l| before[l].is_none() || before[l] == now[l]), "shown symbols stay");
        // Until it is needed, a denoiser has not started: a new table has three positions.
        let expected = if denoiser.evaluations > 0 { sampler.symbols() } else { &[None; 3] };
        assert_eq!(denoiser.symbols, expected);
    }
    assert_eq!(sampler.masked(), 0, "every mask vanishes");
    for (position, symbol) in sampler.symbols().iter().enumerate() {
        assert!(allowed[position].contains(symbol.unwrap()), "only allowed symbols");
        assert!(given[position].is_none() || given[position] == *symbol, "given symbols stay");
        assert!(sampler.confidence()[position] > 0);
    }
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let settings = Settings::new(Order::Random, Temperature::ONE);
    let refused = |length, allowed: &[SymbolSet]| {
        Sampler::<3, 3>::new(length, allowed, settings, Stream::new(1, Purpose::Sample)).map(|_| ()).err()
    };
    let allowed = [SymbolSet::first(3), SymbolSet::EMPTY.with(7), SymbolSet::EMPTY];
    assert_eq!(refused(3, &allowed), Some(SamplerError::NothingAllowed { position: 1 }));
    assert_eq!(refused(1, &allowed), None, "nothing is drawn past the end");
    assert_eq!(refused(3, &[SymbolSet::first(3)]), None, "the last set is that of all that follow");
    assert_eq!(refused(2, &[]), Some(SamplerError::NothingAllowed { position: 0 }));
    for length in [0, 4, usize::MAX] {
        assert_eq!(refused(length, &allowed), Some(SamplerError::Length(3)), "length {length}");
    }
}

/// One text after the other through one denoiser, longer and shorter: each is what it is by itself.
#[test]
fn a_text_does_not_know_the_one_before() {
    let allowed = [SymbolSet::first(5), SymbolSet::EMPTY.with(2), SymbolSet::first(5)];
    let draw = |denoiser: &mut Table<6, 5>, length, index| {
        let settings = Settings::new(ORDERS[index as usize % 2], Temperature::ONE);
        let stream = Stream::new(5, Purpose::Sample).child(index, 0);
        let mut sampler = Sampler::<6, 5>::new(length, &allowed, settings, stream).unwrap();
        sampler.run(denoiser, 4);
        (sampler.symbols().to_vec(), sampler.confidence().to_vec())
    };
    let mut used = Table::new(2);
    for (index, length) in (0..).zip([6, 1, 4, 2, 5, 3, 6, 2, 1]) {
        let alone = draw(&mut Table::new(2), length, index);
        assert_eq!(alone.0.len(), length);
        assert_eq!(draw(&mut used, length, index), alone, "text {index} of {length}");
    }
}

/// Scores that are the same everywhere, so that only ties decide.
struct Flat;

impl Denoiser<4, 3> for Flat {
    fn start(&mut self, _: usize) {}
    fn set(&mut self, _: usize, _: Option<u8>) {}
    fn evaluate(&mut self) {}
    fn scores(&self, _: usize, out: &mut [Score; 3]) {
        *out = [5, 5, 5];
    }
}

#[test]
fn ties_break_by_index() {
    let allowed = [SymbolSet::first(3); 4];
    let settings = Settings::new(Order::Confidence, Temperature::GREEDY);
    for length in 1..=4 {
        let stream = Stream::new(1, Purpose::Sample);
        let mut sampler = Sampler::<4, 3>::new(length, &allowed, settings, stream).unwrap();
        for shown in 1..=length {
            sampler.step(&mut Flat, length - shown);
            let expected: Vec<Option<u8>> = (0..length).map(|l| (l < shown).then_some(0)).collect();
            assert_eq!(sampler.symbols(), expected);
        }
    }
}

/// The order in which positions are revealed at temperature 0, one at a time.
fn revealed(order: Order, top_k: u16, top_p: u32) -> Vec<usize> {
    let allowed = [SymbolSet::first(5); 6];
    let settings = Settings { top_k, top_p, ..Settings::new(order, Temperature::GREEDY) };
    let mut sampler = Sampler::<6, 5>::new(6, &allowed, settings, Stream::new(1, Purpose::Sample)).unwrap();
    let mut denoiser = Table::new(3);
    let step = |remaining| {
        let before = sampler.symbols().to_vec();
        sampler.step(&mut denoiser, remaining);
        (0..6).find(|l| before[*l] != sampler.symbols()[*l]).unwrap()
    };
    (0..6).rev().map(step).collect()
}

#[test]
fn what_can_be_drawn_does_not_change_the_order() {
    let all = revealed(Order::Confidence, 256, 65_536);
    assert_ne!(all, [0, 1, 2, 3, 4, 5], "an order of its own");
    assert_eq!(revealed(Order::Confidence, 1, 65_536), all, "the likeliest only");
    assert_eq!(revealed(Order::Confidence, 256, 1), all, "the least share");
}

#[test]
fn empty_steps_change_nothing() {
    let allowed = [SymbolSet::first(5); 6];
    for order in [Order::Random, Order::Confidence] {
        let text = |steps| {
            let stream = Stream::new(8, Purpose::Sample);
            let settings = Settings::new(order, Temperature::ONE);
            let mut sampler = Sampler::<6, 5>::new(5, &allowed, settings, stream).unwrap();
            let mut denoiser = Table::new(2);
            sampler.run(&mut denoiser, steps);
            assert_eq!(denoiser.evaluations, 5);
            sampler.symbols().to_vec()
        };
        assert_eq!(text(5), text(40));
        assert_eq!(text(5), text(1000));
    }
}

/// The probability of each text.
type Distribution = HashMap<Vec<u8>, f64>;

/// The probability of each symbol at `position` of the tiny world's text `symbols`, at `temperature`.
fn exact_conditional(symbols: &[Option<u8>], position: usize, temperature: f64) -> Vec<f64> {
    probabilities(&Table::<3, 3>::scores_of(6, symbols, position), temperature)
}

/// The probability of each text under "one position at a time, in uniformly random order", by enumeration.
fn exact_distribution(symbols: &[Option<u8>], probability: f64, temperature: f64, out: &mut Distribution) {
    let masked: Vec<usize> = (0..symbols.len()).filter(|l| symbols[*l].is_none()).collect();
    if masked.is_empty() {
        *out.entry(symbols.iter().copied().map(Option::unwrap).collect()).or_default() += probability;
    }
    for position in &masked {
        for (symbol, p) in (0..).zip(exact_conditional(symbols, *position, temperature)) {
            let mut next = symbols.to_vec();
            next[*position] = Some(symbol);
            exact_distribution(&next, probability * p / masked.len() as f64, temperature, out);
        }
    }
}

/// The `texts` after each of the positions `left` was drawn anew, in uniformly random order, by enumeration.
fn exact_redrawn(texts: &Distribution, left: &[usize], temperature: f64) -> Distribution {
    if left.is_empty() {
        return texts.clone();
    }
    let mut redrawn = Distribution::new();
    for position in left {
        let mut after = Distribution::new();
        for (text, probability) in texts {
            let mut shown: Vec<Option<u8>> = text.iter().copied().map(Some).collect();
            shown[*position] = None;
            for (symbol, p) in (0..).zip(exact_conditional(&shown, *position, temperature)) {
                let mut text = text.clone();
                text[*position] = symbol;
                *after.entry(text).or_default() += probability * p;
            }
        }
        let others: Vec<usize> = left.iter().copied().filter(|other| other != position).collect();
        for (text, probability) in exact_redrawn(&after, &others, temperature) {
            *redrawn.entry(text).or_default() += probability / left.len() as f64;
        }
    }
    redrawn
}

#[test]
fn random_order_draws_from_the_exact_distribution() {
    const TEXTS: u32 = 100_000;
    let allowed = [SymbolSet::first(3); 3];
    let cases = (0..=2).flat_map(|redraws| [1.0, 0.5].map(|temperature| (redraws, temperature)));
    for (length, (redraws, temperature)) in
        (1..=3).flat_map(|length| cases.clone().map(move |case| (length, case)))
    {
        let settings = Settings::new(Order::Random, Temperature::new(temperature).unwrap());
        let mut exact = HashMap::new();
        exact_distribution(&vec![None; length], 1.0, temperature, &mut exact);
        let all: Vec<usize> = (0..length).collect();
        for _ in 0..redraws {
            exact = exact_redrawn(&exact, &all, temperature);
        }
        assert_eq!(exact.len(), 3_usize.pow(length as u32));
        let mut counts: HashMap<Vec<u8>, u32> = HashMap::new();
        for index in 0..TEXTS {
            let stream = Stream::new(7, Purpose::Sample).child(index, 0);
            let mut sampler = Sampler::<3, 3>::new(length, &allowed, settings, stream).unwrap();
            let mut denoiser = Table::new(6);
            sampler.run(&mut denoiser, length);
            for turn in 0..redraws * length {
                sampler.redraw(&mut denoiser, turn).unwrap();
            }
            let text = sampler.symbols().iter().map(|symbol| symbol.unwrap()).collect();
            *counts.entry(text).or_default() += 1;
        }
        let chi_square: f64 = exact
            .iter()
            .map(|(text, p)| {
                let expected = p * f64::from(TEXTS);
                (f64::from(counts.get(text).copied().unwrap_or(0)) - expected).powi(2) / expected
            })
            .sum();
        let freedom = exact.len() as f64 - 1.0;
        let limit = freedom + SIGMAS * (2.0 * freedom).sqrt();
        let case = format!("length {length}, {redraws} redraws at {temperature}");
        assert!(chi_square < limit, "{case}: chi-square {chi_square}");
    }
}

/// The positions that the turns 0, 1, 2 … draw anew.
#[test]
fn each_drawn_letter_has_its_turn() {
    let any = SymbolSet::first(5);
    let allowed = [any, SymbolSet::EMPTY.with(2), any, any, SymbolSet::EMPTY.with(4), any];
    let drawn = [0, 2, 3, 5];
    let (mut rounds, mut changes) = (BTreeSet::new(), 0);
    for index in 0..200 {
        let stream = Stream::new(5, Purpose::Sample).child(index, 0);
        let settings = Settings::new(ORDERS[index as usize % 2], Temperature::ONE);
        let mut sampler = Sampler::<6, 5>::new(6, &allowed, settings, stream).unwrap();
        let mut denoiser = Table::new(2);
        assert_eq!(sampler.redraw(&mut denoiser, 0), None, "given letters stay");
        assert_eq!(denoiser.evaluations, 0);
        sampler.run(&mut denoiser, 3);
        let mut places = Vec::new();
        for turn in 0..8 {
            let (before, evaluations) = (sampler.symbols().to_vec(), denoiser.evaluations);
            let position = sampler.redraw(&mut denoiser, turn).unwrap();
            assert_eq!(denoiser.evaluations, evaluations + 1);
            assert!((0..6).all(|l| l == position || sampler.symbols()[l] == before[l]), "one letter");
            assert_eq!(denoiser.symbols, sampler.symbols(), "the denoiser has the text");
            let [expected, found] = {
                let mut shown = sampler.symbols().to_vec();
                shown[position] = None;
                let scores = Table::<6, 5>::scores_of(2, &shown, position);
                let weights = Weights::new(&scores, &any, Temperature::ONE);
                [confidence(weights.total()), sampler.confidence()[position]]
            };
            assert_eq!(found, expected, "the confidence is that of the new draw");
            places.push(position);
        }
        for round in places.chunks(4) {
            let sorted: BTreeSet<usize> = round.iter().copied().collect();
            assert!(sorted.into_iter().eq(drawn), "{round:?}");
            rounds.insert(round.to_vec());
        }
        changes += usize::from(places[..4] != places[4..]);
    }
    assert_eq!(rounds.len(), 24, "every order of four letters");
    assert!(changes > 180, "of 200 texts {changes} have another order in the second round, not 23 of 24");
}

/// While letters are masked, one that is shown can be drawn anew from the others that are.
#[test]
fn a_letter_is_drawn_anew_among_masks() {
    let allowed = [SymbolSet::first(5); 6];
    let settings = Settings::new(Order::Random, Temperature::ONE);
    let mut sampler = Sampler::<6, 5>::new(6, &allowed, settings, Stream::new(1, Purpose::Sample)).unwrap();
    let mut denoiser = Table::new(3);
    sampler.step(&mut denoiser, 4);
    let shown: Vec<usize> = (0..6).filter(|l| sampler.symbols()[*l].is_some()).collect();
    let turns: BTreeSet<usize> = (0..2).map(|turn| sampler.redraw(&mut denoiser, turn).unwrap()).collect();
    assert!(turns.into_iter().eq(shown.iter().copied()), "{shown:?}");
    assert_eq!(sampler.masked(), 4);
    sampler.run(&mut denoiser, 4);
    assert_eq!(sampler.masked(), 0);
}

#[test]
fn the_table_of_powers_is_exact_to_its_bound_everywhere() {
    let mut largest: f64 = 0.0;
    for x in 0..1 << 16 {
        let exact = f64::from(UNIT) * (-f64::from(x) / 65_536.0).exp2();
        largest = largest.max((f64::from(power_of_two(x)) - exact).abs() / exact);
        for shift in [1, 7, 22, 23, 24, 31] {
            assert_eq!(power_of_two(x + (shift << 16)), power_of_two(x) >> shift);
        }
    }
    assert!(largest < POWER_OF_TWO && largest > POWER_OF_TWO / 2.0, "{largest}");
    assert_eq!(power_of_two(0), UNIT);
    assert_eq!(power_of_two(u32::MAX), 0);
    assert_eq!(power_of_two(32 << 16), 0);
}

#[test]
fn weights_are_the_softmax_at_a_temperature() {
    for seed in 0..200 {
        let scores = Table::<3, 20>::scores_of(seed, &[None; 3], 0);
        for milli in [100, 650, 1000, 3000] {
            let weights = Weights::new(&scores, &SymbolSet::first(20), Temperature::from_milli(milli));
            let exact = probabilities(&scores, f64::from(milli) / 1000.0);
            let largest = exact.iter().copied().fold(0.0, f64::max);
            assert_close(f64::from(UNIT) / f64::from(weights.total()), largest, CATEGORICAL, "confidence");
            assert_close(
                f64::from(confidence(weights.total())) / 65_536.0,
                largest,
                CONFIDENCE,
                "confidence in 16 bits",
            );
        }
    }
}

/// The whole way from scores to a weight, at scores up to a weight of 0. A weight is too large by at most the share that
/// `categorical.rs` derives, and too small by less than 1.
#[test]
fn weights_are_within_their_bound_of_the_exact_ones() {
    let (both, mut largest) = (SymbolSet::first(2), 0.0_f64);
    for temperature in [0.05, 0.3, 0.73, 1.0, 1.7, 20.0] {
        let fixed = Temperature::new(temperature).unwrap();
        let weight = |distance: u32| Weights::new(&[0, -(distance as Score)], &both, fixed).total() - UNIT;
        let cut = 23.0 * std::f64::consts::LN_2 * temperature;
        for distance in (0..(1.01 * cut * 65_536.0) as u32).step_by(1 + temperature as usize / 2) {
            let nats = f64::from(distance) / 65_536.0;
            let (exact, found) = (f64::from(UNIT) * (-nats / temperature).exp(), f64::from(weight(distance)));
            let share = (found - exact) / exact;
            assert!(share <= 1.06e-5 * (1.0 + nats) + POWER_OF_TWO, "{temperature}: {share} at {nats} nats");
            assert!(
                found > exact * (1.0 - POWER_ENTRY) - 1.0,
                "{temperature}: {found}, not {exact}, at {nats} nats"
            );
            if temperature == 1.0 && nats <= 10.0 {
                largest = largest.max(share);
            }
        }
        let far = |nats: f64| weight((nats * 65_536.0) as u32);
        assert_eq!((far(0.9999 * cut), far(1.0001 * cut)), (1, 0), "what is cut off at {temperature}");
    }
    assert!((7.0e-5..7.1e-5).contains(&largest), "{largest}");
}

/// Number of the 2³² words that draw each symbol, by bisection of the ends.
fn first_word_of<const V: usize>(weights: &Weights<V>, symbol: u8) -> u64 {
    let (mut low, mut high) = (0_u64, 1 << 32);
    while low < high {
        let middle = (low + high) / 2;
        if weights.draw(middle as u32) < symbol { low = middle + 1 } else { high = middle }
    }
    low
}

#[test]
fn draws_have_their_probabilities_to_the_last_word() {
    let scores = Table::<3, 5>::scores_of(3, &[None; 3], 1);
    let allowed = SymbolSet::EMPTY.with(1).with(2).with(3);
    let weights = Weights::new(&scores, &allowed, Temperature::ONE);
    let exact = probabilities(&scores[1..4], 1.0);
    assert_eq!(weights.draw(0), 1, "the lowest word draws the first that has weight");
    assert_eq!(weights.draw(u32::MAX), 3, "the highest word draws the last that has weight");
    for (symbol, p) in (1..).zip(exact) {
        let words = first_word_of(&weights, symbol + 1) - first_word_of(&weights, symbol);
        assert_close(words as f64 / 2.0_f64.powi(32), p, CATEGORICAL, "probability");
    }
}

#[test]
fn the_largest_alphabet_and_scores_do_not_overflow() {
    let mut scores = [Score::MIN; 256];
    let all = SymbolSet::first(256);
    assert_eq!(Weights::new(&scores, &all, Temperature::ONE).total(), 256 * UNIT);
    assert_eq!(confidence(Weights::new(&scores, &all, Temperature::ONE).total()), 256);
    scores[200] = Score::MAX;
    let sure = Weights::new(&scores, &all, Temperature::ONE);
    assert_eq!((sure.draw(0), sure.draw(u32::MAX), confidence(sure.total())), (200, 200, u16::MAX));
}

#[test]
fn temperatures() {
    for refused in [-1.0, -0.001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Temperature::new(refused), None, "{refused}");
    }
    assert_eq!(Temperature::new(0.0), Some(Temperature::GREEDY));
    assert_eq!(Temperature::new(-0.0), Some(Temperature::GREEDY));
    assert_eq!(Temperature::new(1.0), Some(Temperature::ONE));
    assert_eq!(Temperature::new(1e-300), Some(Temperature::GREEDY));
    assert_eq!(Temperature::from_milli(0), Temperature::GREEDY);
    let scores = [3, 9, 9, 1];
    let all = SymbolSet::first(4);
    for word in [0, 1 << 31, u32::MAX] {
        assert_eq!(Weights::new(&scores, &all, Temperature::GREEDY).draw(word), 1, "the first of equals");
    }
    // The two temperatures between which log₂e/T exceeds what 32 bits hold; at none of them is it 2³² − 1 exactly.
    let last = std::f64::consts::LOG2_E * 65_536.0 / f64::from(u32::MAX);
    assert_eq!(Temperature::new(last), Some(Temperature::GREEDY));
    assert_ne!(Temperature::new(last.next_up()), Some(Temperature::GREEDY));
    let hot = Weights::new(&[0, 65_536 * 8], &SymbolSet::first(2), Temperature::new(1e300).unwrap());
    assert_eq!(hot.draw(0), 0, "an endless temperature draws evenly");
    let cold = Weights::new(&[65_536, 65_535], &SymbolSet::first(2), Temperature::new(1e-300).unwrap());
    assert_eq!(cold.draw(u32::MAX), 0, "a temperature next to 0 is greedy");
}

#[test]
fn truncation_keeps_the_likeliest() {
    let scores = [0, 65_536, 65_536, -65_536, 3 * 65_536];
    let weights = Weights::new(&scores, &SymbolSet::first(5), Temperature::ONE);
    let drawn = |weights: Weights<5>| -> Vec<u8> {
        let mut drawn: Vec<u8> = (0..=255_u32).map(|i| weights.draw(i << 24 | 0xFF_FFFF)).collect();
        drawn.dedup();
        drawn
    };
    fn truncated<const V: usize>(mut weights: Weights<V>, top_k: u16, top_p: u32) -> Weights<V> {
        weights.truncate(top_k, top_p);
        weights
    }
    assert_eq!(drawn(truncated(weights, 256, 65_536)), [0, 1, 2, 3, 4]);
    assert_eq!(drawn(truncated(weights, 3, 65_536)), [1, 2, 4]);
    assert_eq!(drawn(truncated(weights, 2, 65_536)), [1, 4], "equals are taken in order");
    assert_eq!(drawn(truncated(weights, 1, 65_536)), [4]);
    assert_eq!(drawn(truncated(weights, 0, 1)), [4], "one always stays");
    assert_eq!(truncated(weights, 0, 1).total(), UNIT, "with its weight");
    let even = Weights::new(&[5, 5], &SymbolSet::first(2), Temperature::ONE);
    assert_eq!(truncated(even, 256, 32_768).total(), UNIT, "a half is enough of a half");
    assert_eq!(truncated(even, 256, 32_769).total(), 2 * UNIT);
    // p of symbol 4 is 0.74; with symbol 1 it is 0.84, with symbol 2 0.94.
    assert_eq!(drawn(truncated(weights, 256, 45_000)), [4]);
    assert_eq!(drawn(truncated(weights, 256, 50_000)), [1, 4]);
    assert_eq!(drawn(truncated(weights, 256, 60_000)), [1, 2, 4]);
}

/// The edge before and after a text, in counts of pairs.
const EDGE: usize = 26;

/// A denoiser that knows letter pairs alone: whatever scores symbols can be sampled from.
struct Pairs {
    /// ln of how often `[a][b]` occurs, and of one more.
    table: [[Score; 27]; 27],
    text: Vec<Option<u8>>,
}

impl Pairs {
    /// The pairs of the shipped names, each name between edges.
    fn of_names() -> Self {
        let mut counts = [[1_u32; 27]; 27];
        for name in include_str!("../data/names.txt").lines() {
            let mut before = EDGE;
            for symbol in name.bytes().map(|letter| usize::from(letter - b'a')).chain([EDGE]) {
                counts[before][symbol] += 1;
                before = symbol;
            }
        }
        let score = |count: u32| (f64::from(count).ln() * 65_536.0) as Score;
        Self { table: counts.map(|row| row.map(score)), text: vec![] }
    }

    /// The sum of the scores of all pairs of a text and its edges.
    fn likelihood(&self, text: impl Iterator<Item = u8>) -> f64 {
        let (mut before, mut sum) = (EDGE, 0);
        for symbol in text.map(usize::from).chain([EDGE]) {
            sum += i64::from(self.table[before][symbol]);
            before = symbol;
        }
        sum as f64 / 65_536.0
    }
}

impl Denoiser<12, 26> for Pairs {
    fn start(&mut self, length: usize) {
        self.text = vec![None; length];
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.text[position] = symbol;
    }

    fn evaluate(&mut self) {}

    fn scores(&self, position: usize, out: &mut [Score; 26]) {
        let at = |place: Option<&Option<u8>>| place.map_or(Some(EDGE), |symbol| symbol.map(usize::from));
        let before = at(position.checked_sub(1).and_then(|before| self.text.get(before)));
        let after = at(self.text.get(position + 1));
        for (symbol, score) in out.iter_mut().enumerate() {
            let from_left = before.map_or(0, |before| self.table[before][symbol]);
            *score = from_left + after.map_or(0, |after| self.table[symbol][after]);
        }
    }
}

#[test]
fn a_denoiser_of_ones_own_is_sampled_in_every_order() {
    let alphabet = micro_diffusion::text::Alphabet::new("abcdefghijklmnopqrstuvwxyz").unwrap();
    let form = micro_diffusion::form::Form::<12>::of("m????a", &[], alphabet).unwrap();
    let allowed = form.allowed(26);
    for order in ORDERS {
        let (mut drawn, mut backwards) = (0.0, 0.0);
        let mut denoiser = Pairs::of_names();
        for index in 0..200 {
            let stream = Stream::new(1, Purpose::Sample).child(index, 0);
            let settings = Settings::new(order, Temperature::from_milli(500));
            let mut sampler = Sampler::<12, 26>::new(form.length, &allowed, settings, stream).unwrap();
            sampler.run(&mut denoiser, 12);
            let text: Vec<u8> = sampler.symbols().iter().map(|symbol| symbol.unwrap()).collect();
            let fixed = (text.len(), text[0], text[5]);
            assert_eq!(fixed, (6, 12, 0), "{order:?} changed what the pattern fixes");
            drawn += denoiser.likelihood(text.iter().copied());
            let middle = text[1..5].iter().rev().copied();
            backwards += denoiser.likelihood([12].into_iter().chain(middle).chain([0]));
        }
        // Frequent pairs were drawn: the same letters in reverse are far less likely, by a nat for each of the texts.
        assert!(drawn > backwards + 200.0, "{order:?}: {drawn} forwards, {backwards} backwards");
    }
}

/// A denoiser that knows one name and is surest of its middle.
struct Noria;

impl Denoiser<12, 26> for Noria {
    fn start(&mut self, _: usize) {}
    fn set(&mut self, _: usize, _: Option<u8>) {}
    fn evaluate(&mut self) {}
    fn scores(&self, position: usize, out: &mut [Score; 26]) {
        *out = [0; 26];
        let sureness = [2, 5, 3, 1, 4][position];
        out[usize::from(b"noria"[position] - b'a')] = sureness * 2 * 65_536;
    }
}

#[test]
fn a_trace_reads_like_a_story() {
    let alphabet = micro_diffusion::text::Alphabet::new("abcdefghijklmnopqrstuvwxyz").unwrap();
    let allowed = [SymbolSet::first(26)];
    let settings = Settings::new(Order::Confidence, Temperature::GREEDY);
    let stream = Stream::new(1, Purpose::Sample);
    let mut sampler = Sampler::<12, 26>::new(5, &allowed, settings, stream).unwrap();
    let mut trace = vec![alphabet.decode::<20>(sampler.symbols(), '_')];
    for step in 1..=3 {
        sampler.step(&mut Noria, linear_remaining(5, step, 3));
        trace.push(alphabet.decode::<20>(sampler.symbols(), '_'));
    }
    assert_eq!(trace.join(" → "), "_____ → _o__a → nor_a → noria");
}

/// The product by halves, which 32-bit targets use, against the product in 64 bits.
#[test]
fn scaling_in_halves_is_exact() {
    let edges = [
        0,
        1,
        2,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x1_0000,
        0x1_0001,
        0x7FFF_FFFF,
        0x8000_0000,
        u32::MAX - 1,
        u32::MAX,
    ];
    let stream = Stream::new(5, Purpose::Sample);
    let random = (0..100_000).map(|index| stream.draw(index, 0)).map(|[a, b]| (a >> (b & 31), b >> (a & 31)));
    let pairs = edges.into_iter().flat_map(|a| edges.map(|b| (a, b))).chain(random);
    for (distance, factor) in pairs {
        let exact = (u64::from(distance) * u64::from(factor)) >> 16;
        let (found, far) = (u64::from(scale_in_halves(distance, factor)), 24 << 16);
        assert!(
            found == exact || (found >= far && exact >= far),
            "{distance} · {factor}: {found}, not {exact}"
        );
    }
}

/// Counts held-out names that the shipped model could not draw at temperature 1, in one random order for each. Such a
/// name has a letter less likely than 2⁻²³ of the likeliest.
#[test]
fn few_held_out_names_are_cut_off() {
    let file = ModelFile::parse(include_bytes!("../data/names.mdm")).unwrap();
    let view = Perceptron::view(file.parameters::<Perceptron, 12, 26>().unwrap()).unwrap();
    let mut memory = [0.0; Perceptron::MEMORY];
    let mut denoiser = Perceptron::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
    let held_out = include_str!("../data/names.txt").lines().skip(9).step_by(10);
    let names = held_out.filter_map(|name| file.alphabet().encode::<12>(name).ok());
    let (mut tried, mut cut) = (0, 0);
    for (index, name) in (0..).zip(names) {
        let name = name.symbols();
        let mut order: Vec<usize> = (0..name.len()).collect();
        shuffle(&mut order, Stream::new(13, Purpose::Order).child(index, 0));
        denoiser.start(name.len());
        let mut missing = 0;
        for position in order {
            let mut scores = [0; 26];
            denoiser.evaluate();
            denoiser.scores(position, &mut scores);
            // Beside the likeliest alone, the total is its weight and that of the letter.
            let likeliest = (0..26).max_by_key(|symbol| scores[usize::from(*symbol)]).unwrap();
            let pair = SymbolSet::EMPTY.with(likeliest).with(name[position]);
            let total = Weights::new(&scores, &pair, Temperature::ONE).total();
            missing += usize::from(likeliest != name[position] && total == UNIT);
            denoiser.set(position, Some(name[position]));
        }
        tried += 1;
        cut += usize::from(missing > 0);
    }
    assert_eq!((tried, cut), (3197, 2));
}
