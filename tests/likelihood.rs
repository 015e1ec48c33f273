//! The likelihood of a text in a world small enough to try everything: up to 3 positions, 3 symbols, 6 orders.
use std::collections::HashMap;

use common::tolerance::{
    BOUND, F64, JACKKNIFE, LEARNED, LIKELIHOOD, PROPERTY_F64, SHARES, SIGMAS, assert_close,
};
use common::{Table, distributions, loss_and_gradient, numbers, probabilities, shard};
use micro_diffusion::adam::Adam;
use micro_diffusion::bound::{mean, standard_error};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::{Denoiser, Example, Model, Score, Shard};
use micro_diffusion::exact::exact_nats;
use micro_diffusion::length::Lengths;
use micro_diffusion::likelihood::{
    Likelihood, error_of_mean, jackknife_error, negative_log_mean, random_order,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::pattern::{cumulate, nats_of_given};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::Text;

/// The seed of the denoiser's table.
const TABLE: u64 = 6;

fn table() -> Table<3, 3> {
    Table::new(TABLE)
}

fn stream(text: u32, order: u32) -> Stream {
    Stream::new(9, Purpose::Score).child(text, order)
}

fn text(symbols: &[u8]) -> Text<3> {
    Text::new(symbols).unwrap()
}

/// Every text of `length` symbols.
fn texts_of(length: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..3_u32.pow(length)).map(move |code| (0..length).map(|l| (code / 3_u32.pow(l) % 3) as u8).collect())
}

/// Every text of every length.
fn texts() -> impl Iterator<Item = Vec<u8>> {
    (1..=3).flat_map(texts_of)
}

/// Every order of `length` positions.
fn orders(length: usize) -> Vec<Vec<usize>> {
    if length == 0 {
        return vec![vec![]];
    }
    let shorter = orders(length - 1);
    let insert = |order: &Vec<usize>, place| {
        let mut order = order.clone();
        order.insert(place, length - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..length).map(move |place| insert(order, place))).collect()
}

/// p(clean | order) by its definition, in f64.
fn probability_in_order(clean: &[u8], order: &[usize]) -> f64 {
    let mut shown: Vec<Option<u8>> =
        (0..clean.len()).map(|l| (!order.contains(&l)).then_some(clean[l])).collect();
    let mut product = 1.0;
    for position in order {
        let scores = Table::<3, 3>::scores_of(TABLE, &shown, *position);
        product *= probabilities(&scores, 1.0)[usize::from(clean[*position])];
        shown[*position] = Some(clean[*position]);
    }
    product
}

/// p(clean) as the mean over every order.
fn probability(clean: &[u8]) -> f64 {
    let orders = orders(clean.len());
    orders.iter().map(|order| probability_in_order(clean, order)).sum::<f64>() / orders.len() as f64
}

/// −ln p(clean | order) for every order, as the crate has it.
fn nats_of_orders(clean: &[u8]) -> Vec<f64> {
    let nats = |order: &Vec<usize>| table().nats_in_order(3, &text(clean), order);
    orders(clean.len()).iter().map(nats).collect()
}

fn exact(clean: &[u8]) -> f64 {
    exact_nats(&mut table(), 3, &text(clean), &mut [f64::NAN; 8]).unwrap()
}

#[test]
fn an_order_is_scored_by_its_definition() {
    for clean in texts() {
        let length = clean.len();
        let some = [vec![1], vec![2], vec![2, 0]].into_iter();
        let some = some.filter(|order| order.iter().all(|position| *position < length));
        for order in (0..=length).flat_map(orders).chain(some) {
            let mut denoiser = table();
            let found = denoiser.nats_in_order(3, &text(&clean), &order);
            assert_close(found, -probability_in_order(&clean, &order).ln(), LIKELIHOOD, "−ln p(x | σ)");
            assert_eq!(denoiser.evaluations, order.len(), "an evaluation for each position");
            let all: Vec<_> = clean.iter().copied().map(Some).collect();
            assert_eq!(denoiser.symbols, all, "all is shown in the end");
        }
    }
    // In an alphabet of two symbols the third is impossible.
    assert_eq!(table().nats_in_order(2, &text(&[0, 1, 2]), &[2]), f64::INFINITY);
}

/// Ignores what lies outside its text, as a denoiser must.
struct Ignoring(Table<3, 3>);

impl Denoiser<3, 3> for Ignoring {
    fn start(&mut self, length: usize) {
        self.0.start(length);
    }
    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if position < self.0.symbols.len() {
            self.0.set(position, symbol);
        }
    }
    fn evaluate(&mut self) {
        self.0.evaluate();
    }
    fn scores(&self, position: usize, out: &mut [Score; 3]) {
        self.0.scores(position, out);
    }
}

#[test]
fn no_text_has_a_symbol_outside_it() {
    let nats = |clean: &[u8], order: &[usize]| Ignoring(table()).nats_in_order(3, &text(clean), order);
    assert_eq!(nats(&[0, 1, 2], &[3]), f64::INFINITY);
    assert_eq!(nats(&[0, 1], &[0, 2]), f64::INFINITY, "a position of the model, not of the text");
    assert!(nats(&[0, 1], &[0, 1]).is_finite());
}

/// The letters that are given, from left to right, with all else masked.
#[test]
fn given_letters_are_scored_from_left_to_right() {
    for length in 1..=3_usize {
        for code in 0..4_u8.pow(length as u32) {
            let mut given = [None; 3];
            for (l, slot) in given.iter_mut().enumerate().take(length) {
                *slot = (code >> (2 * l) & 3).checked_sub(1);
            }
            let (mut shown, mut product) = (vec![None; length], 1.0);
            for (position, symbol) in given.iter().enumerate().filter_map(|(l, s)| Some((l, (*s)?))) {
                let scores = Table::<3, 3>::scores_of(TABLE, &shown, position);
                product *= probabilities(&scores, 1.0)[usize::from(symbol)];
                shown[position] = Some(symbol);
            }
            let mut denoiser = table();
            // The state after an earlier text must not matter.
            denoiser.nats_in_order(3, &text(&[2, 1, 0]), &[1]);
            denoiser.evaluations = 0;
            let found = nats_of_given(&mut denoiser, 3, length, &given);
            assert_close(found, -product.ln(), LIKELIHOOD, &format!("{given:?} of {length}"));
            assert_eq!(denoiser.symbols, shown, "the rest stays masked");
            assert_eq!(denoiser.evaluations, given.iter().flatten().count(), "an evaluation for each letter");
            if given[..length].iter().all(Option::is_some) {
                let clean: Vec<u8> = given.iter().copied().flatten().collect();
                let order: Vec<usize> = (0..length).collect();
                assert_eq!(found, table().nats_in_order(3, &text(&clean), &order), "a whole text");
            }
        }
    }
    assert_eq!(nats_of_given(&mut table(), 3, 2, &[None; 3]), 0.0, "nothing is given");
    assert_eq!(nats_of_given(&mut table(), 2, 2, &[None, Some(2), None]), f64::INFINITY);
}

#[test]
fn cumulated_shares_are_those_of_the_terms() {
    for nats in [&[1.0, 2.0, 4.0][..], &[3.0], &[0.5; 4], &[1000.0, 1001.5], &[0.0, f64::INFINITY, 1.0]] {
        let mut sums = nats.to_vec();
        cumulate(&mut sums);
        assert_close(*sums.last().unwrap(), 1.0, PROPERTY_F64, "the sum");
        // Subtracting the least keeps the terms within f64, and changes no share.
        let least = nats.iter().copied().fold(f64::INFINITY, f64::min);
        let terms: Vec<f64> = nats.iter().map(|x| (least - x).exp()).collect();
        let mut before = 0.0;
        for (sum, term) in sums.iter().zip(&terms) {
            assert_close(sum - before, term / terms.iter().sum::<f64>(), PROPERTY_F64, "share");
            before = *sum;
        }
    }
}

#[test]
fn random_orders_are_those_of_the_text_each_equally_often() {
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
        let (length, sets) = (clean.len(), 1 << clean.len());
        let mut denoiser = table();
        let found = exact_nats(&mut denoiser, 3, &text(&clean), &mut [f64::NAN; 9]).unwrap();
        assert_close(found, -probability(&clean).ln(), LIKELIHOOD, "−ln p(x)");
        assert_eq!(denoiser.evaluations, sets - 1, "each set once");
        let mut memory = vec![f64::NAN; sets];
        assert_eq!(
            exact_nats(&mut table(), 3, &text(&clean), &mut memory),
            Some(found),
            "in just enough memory"
        );
        let short = &mut memory[1..];
        assert_eq!(exact_nats(&mut table(), 3, &text(&clean), short), None, "too little memory for {length}");
    }
    assert_eq!(exact_nats(&mut table(), 2, &text(&[0, 1, 2]), &mut [0.0; 8]), Some(f64::INFINITY));
}

/// A probability distribution over all texts of all lengths, and the one that the draw of a length and the sampler give.
#[test]
fn the_exact_likelihood_is_what_a_length_and_random_order_draw() {
    const TEXTS: u32 = 100_000;
    let counts = [2_u32, 5, 9].map(u32::to_le_bytes);
    let lengths = Lengths::new(&counts).unwrap();
    let probability = |text: &Vec<u8>| (-exact(text) - lengths.negative_log_probability(text.len())).exp();
    let exact: HashMap<Vec<u8>, f64> = texts().map(|text| (text.clone(), probability(&text))).collect();
    assert_eq!(exact.len(), 3 + 9 + 27);
    assert_close(exact.values().sum(), 1.0, LIKELIHOOD, "the sum over all texts");
    let mut counts: HashMap<Vec<u8>, u32> = HashMap::new();
    let allowed = [SymbolSet::first(3)];
    let settings = Settings::new(Order::Random, Temperature::ONE);
    let mut denoiser = table();
    for index in 0..TEXTS {
        let stream = Stream::new(3, Purpose::Sample).child(index, 0);
        let length = lengths.draw(stream);
        let mut sampler = Sampler::<3, 3>::new(length, &allowed, settings, stream).unwrap();
        sampler.run(&mut denoiser, length);
        *counts.entry(sampler.symbols().iter().map(|symbol| symbol.unwrap()).collect()).or_default() += 1;
    }
    let chi_square: f64 = exact
        .iter()
        .map(|(text, p)| {
            let expected = p * f64::from(TEXTS);
            (f64::from(counts.get(text).copied().unwrap_or(0)) - expected).powi(2) / expected
        })
        .sum();
    // 38 degrees of freedom: mean 38, variance 76.
    assert!(chi_square < 38.0 + SIGMAS * 76.0_f64.sqrt(), "chi-square {chi_square}");
}

/// E[−ln((1/K)·Σ p(x | σ_j))] over every sequence of K orders: the NELBO at K = 1, less with each order more, above −ln p.
#[test]
fn the_mean_over_more_orders_falls_from_the_bound_to_the_exact_likelihood() {
    for clean in texts_of(3) {
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
        let exact = exact(&clean);
        assert!(means[3] > exact, "{means:?} against {exact}");
        assert_close(negative_log_mean(nats.iter().copied()), exact, LIKELIHOOD, "each order once");
    }
    // One letter has one order, and nothing to fall from.
    for clean in texts_of(1) {
        assert_close(nats_of_orders(&clean)[0], exact(&clean), LIKELIHOOD, "one letter");
    }
}

#[test]
fn random_orders_estimate_the_bound_and_the_likelihood() {
    for clean in [&[2, 0, 1][..], &[1, 2]] {
        let order = |number| random_order::<3>(clean.len(), stream(4, number));
        let along = |number| table().nats_in_order(3, &text(clean), &order(number));
        let nats: Vec<f64> = (0..4000).map(along).collect();
        assert_close(mean(&nats), mean(&nats_of_orders(clean)), BOUND, "NELBO");
        assert_close(negative_log_mean(nats.iter().copied()), exact(clean), BOUND, "−ln p");
    }
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

/// A student that has learned from texts and a teacher, with the share λ, predicts what makes its loss the least: the mixture
/// (1 − λ)·p(x_l | shown) + λ·p̄_l, in every state of a text of two positions.
#[test]
fn a_student_learns_the_mixture_of_its_texts_and_its_teacher() {
    const SHARE: f64 = 0.7;
    type Student = Mlp<2, 3, 16>;
    let drawn = numbers(1, 9);
    let weight = |text: &[u8]| 1.5 + drawn[usize::from(text[0] + 3 * text[1])];
    let total: f64 = texts_of(2).map(|text| weight(&text)).sum();
    let probability = |text: &[u8]| weight(text) / total;
    // A state of the text: what is shown, or 3 for a mask.
    let state =
        |noisy: &[Option<u8>; 2]| noisy.iter().fold(0, |code, s| code * 4 + usize::from(s.unwrap_or(3)));
    let teacher: Vec<f64> = distributions::<f64>(2, 32, 3, 3).into_iter().map(|t| 0.1 + 0.7 * t).collect();
    let taught =
        |noisy: &[Option<u8>; 2], position: usize| &teacher[(state(noisy) * 2 + position) * 3..][..3];

    let mut examples = Vec::new();
    let mut soft = Vec::new();
    for clean in texts_of(2) {
        for masked in [[true, true], [true, false], [false, true]] {
            let noisy = [0, 1].map(|l| Some(clean[l]).filter(|_| !masked[l]));
            let weights = masked.map(|masked| if masked { probability(&clean) as f32 } else { 0.0 });
            let text = Text::new(&clean).unwrap();
            examples.push(Example::<2> { clean: text, noisy, weights, dropout: None });
            for (position, symbol) in clean.iter().enumerate() {
                soft.extend(taught(&noisy, position).iter().enumerate().map(|(v, p)| {
                    (1.0 - SHARE) * f64::from(u8::from(v == usize::from(*symbol))) + SHARE * p
                }));
            }
        }
    }
    let batch = Shard { soft: &soft, ..shard(&examples, 3) };
    let mut parameters = numbers(5, Student::PARAMETERS);
    let (mut m, mut v) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
    const STEPS: u32 = 6000;
    for step in 0..STEPS {
        let (_, gradient) = loss_and_gradient::<Student, 2, 3>(&parameters, batch);
        let rate = 0.02 * f64::from(STEPS - step) / f64::from(STEPS);
        Adam::default().step(step, rate).update(&mut parameters, &gradient, &mut m, &mut v, f64::sqrt);
    }

    for example in &examples {
        let noisy = &example.noisy;
        for position in (0..2).filter(|position| noisy[*position].is_none()) {
            let like =
                |text: &[u8]| noisy.iter().zip(text).all(|(shown, s)| shown.is_none_or(|shown| shown == *s));
            let of = |text: Vec<u8>| if like(&text) { probability(&text) } else { 0.0 };
            let shown: f64 = texts_of(2).map(of).sum();
            for (symbol, p) in (0..).zip(taught(noisy, position)) {
                let data: f64 = texts_of(2).filter(|text| text[position] == symbol).map(of).sum();
                let mut clean = [0; 2];
                clean[position] = symbol;
                let mut weights = [0.0; 2];
                weights[position] = 1.0;
                let asked = Example { clean: Text::new(&clean).unwrap(), weights, ..*example };
                let (losses, _) = loss_and_gradient::<Student, 2, 3>(&parameters, shard(&[asked], 3));
                let mixture = (1.0 - SHARE) * data / shown + SHARE * p;
                assert_close(
                    (-losses[0]).exp(),
                    mixture,
                    LEARNED,
                    &format!("{noisy:?}, {symbol} at {position}"),
                );
            }
        }
    }
}
