//! The blocked kernels against naive twins that follow the documented order of each sum: the same bits.
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

use common::tolerance::{AT_WORK, assert_close};
use common::{batch, numbers};
use micro_diffusion::activation::relu_forward;
use micro_diffusion::attention::attention_forward;
use micro_diffusion::bound::negative_log_probability;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Denoiser, Example, Model};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::linear::{
    LANES, linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward,
    lookup_backward, lookup_forward, sum_lanes,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::normalisation::{rms_norm_backward, rms_norm_forward};
use micro_diffusion::product::{
    Positions, product, product_backward_weight, product_transposed, transpose_blocks,
};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream, threefry2x32};
use micro_diffusion::softmax::softmax_forward;
use micro_diffusion::transformer::Transformer;

fn floats(seed: u64, count: usize) -> Vec<f32> {
    numbers(seed, count).into_iter().map(|x| x as f32).collect()
}

fn array<const M: usize>(seed: u64) -> [f32; M] {
    floats(seed, M).try_into().unwrap()
}

/// Lanes added by halves, in so many words.
fn halves(mut lanes: Vec<f32>) -> f32 {
    while lanes.len() > 1 {
        let half = lanes.len() / 2;
        lanes = (0..half).map(|i| lanes[i] + lanes[i + half]).collect();
    }
    lanes[0]
}

/// The documented dot product: element i to lane i mod 8.
fn naive_dot(w: &[f32], x: &[f32]) -> f32 {
    let mut lanes = vec![0.0; LANES];
    for i in 0..w.len() {
        lanes[i % LANES] += w[i] * x[i];
    }
    halves(lanes)
}

fn check_sizes<const I: usize, const V: usize>() {
    let weight: [[f32; I]; V] = std::array::from_fn(|v| array(v as u64));
    let (bias, xs): ([f32; V], [[f32; I]; 5]) = (array(90), std::array::from_fn(|e| array(100 + e as u64)));
    let d_ys: [[f32; V]; 5] = std::array::from_fn(|e| array(200 + e as u64));

    for x in &xs {
        let mut y = [0.0; V];
        linear_forward(&weight, &bias, x, &mut y);
        for v in 0..V {
            assert_eq!(y[v].to_bits(), (bias[v] + naive_dot(&weight[v], x)).to_bits(), "forward {I}×{V}");
        }
    }

    let mut d_x: [f32; I] = array(300);
    let mut naive = d_x;
    linear_backward_input(&weight, &d_ys[0], &mut d_x);
    for v in 0..V {
        for i in 0..I {
            naive[i] += d_ys[0][v] * weight[v][i];
        }
    }
    assert_eq!(d_x.map(f32::to_bits), naive.map(f32::to_bits), "backward to the input {I}×{V}");

    let mut d_weight: [[f32; I]; V] = std::array::from_fn(|v| array(400 + v as u64));
    let mut naive = d_weight;
    let pairs: Vec<(&[f32; I], &[f32; V])> = xs.iter().zip(&d_ys).collect();
    linear_backward_weight(&pairs, &mut d_weight);
    let mut d_bias: [f32; V] = array(500);
    let mut naive_bias = d_bias;
    linear_backward_bias(d_ys.iter(), &mut d_bias);
    for e in 0..5 {
        for v in 0..V {
            naive_bias[v] += d_ys[e][v];
            for i in 0..I {
                naive[v][i] += d_ys[e][v] * xs[e][i];
            }
        }
    }
    let bits = |m: [[f32; I]; V]| m.map(|row| row.map(f32::to_bits));
    assert_eq!(bits(d_weight), bits(naive), "backward to the weight {I}×{V}");
    assert_eq!(d_bias.map(f32::to_bits), naive_bias.map(f32::to_bits), "backward to the bias {V}");
}

#[test]
fn dense_kernels_follow_their_documented_order() {
    check_sizes::<1, 1>();
    check_sizes::<7, 2>();
    check_sizes::<8, 9>();
    check_sizes::<17, 10>();
    check_sizes::<18, 27>();
    check_sizes::<64, 3>();
    check_sizes::<65, 28>();
    check_sizes::<100, 12>();
    check_sizes::<256, 27>();
}

#[test]
fn lookups_follow_their_documented_order() {
    const H: usize = 19;
    let table: [[[f32; H]; 4]; 5] =
        std::array::from_fn(|l| std::array::from_fn(|v| array((10 * l + v) as u64)));
    let (bias, mut y): ([f32; H], _) = (array(90), [f32::NAN; H]);
    // A masked position adds nothing, and neither does a symbol that is not in the table.
    let symbols = [Some(3), None, Some(0), Some(4), Some(1)];
    lookup_forward(&table, &bias, &symbols, &mut y);
    for i in 0..H {
        let sum = bias[i] + table[0][3][i] + table[2][0][i] + table[4][1][i];
        assert_eq!(y[i].to_bits(), sum.to_bits());
    }
    let before: [[f32; H]; 4] = std::array::from_fn(|v| array(50 + v as u64));
    for symbol in [None, Some(4), Some(2)] {
        let mut d_rows = before;
        lookup_backward(symbol, &y, &mut d_rows);
        for (v, i) in pairs(4, H) {
            let added = if symbol == Some(v as u8) { before[v][i] + y[i] } else { before[v][i] };
            assert_eq!(d_rows[v][i].to_bits(), added.to_bits(), "row {v} for {symbol:?}");
        }
    }
}

#[test]
fn a_rectified_zero_has_no_sign() {
    let mut x = [-0.0, f32::NAN, -1.0, 2.0];
    relu_forward(&mut x);
    assert_eq!(x.map(f32::to_bits), [0.0, 0.0, 0.0, 2.0].map(f32::to_bits));
}

#[test]
fn lanes_are_added_by_halves() {
    let lanes: [f32; 16] = array(1);
    assert_eq!(sum_lanes(lanes).to_bits(), halves(lanes.to_vec()).to_bits());
    // An order that matters: 1 + 2⁻²⁴ is 1, but two halves of it add first.
    let tiny = 2.0_f32.powi(-24);
    assert_eq!(sum_lanes([1.0, tiny, 0.0, tiny]), 1.0 + 2.0 * tiny);
}

#[test]
fn softmax_follows_its_documented_order() {
    for length in [1, 2, 7, 8, 9, 27, 96] {
        let x = floats(length as u64, length);
        let mut softmax = x.clone();
        softmax_forward(&mut softmax);
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut lanes = vec![0.0; LANES];
        let powers: Vec<f32> = x.iter().map(|x| micro_diffusion::math::exp(x - largest)).collect();
        for (i, power) in powers.iter().enumerate() {
            lanes[i % LANES] += power;
        }
        let scale = 1.0 / halves(lanes);
        for (p, power) in softmax.iter().zip(powers) {
            assert_eq!(p.to_bits(), (power * scale).to_bits(), "length {length}");
        }
    }
}

fn map<const N: usize, const M: usize>(seed: u64) -> [[f32; M]; N] {
    std::array::from_fn(|row| array(seed * 1000 + row as u64))
}

fn bits<const N: usize, const M: usize>(x: &[[f32; M]; N]) -> Vec<u32> {
    x.as_flattened().iter().map(|x| x.to_bits()).collect()
}

/// Σ a·b from 0, one term after the other.
fn ascending(terms: impl Iterator<Item = (f32, f32)>) -> f32 {
    terms.fold(0.0, |sum, (a, b)| sum + a * b)
}

fn check_products<const I: usize, const O: usize, const L: usize>() {
    let (w, x, d_y) = (map::<O, I>(1), map::<I, L>(2), map::<O, L>(3));
    let (y, d_x, d_w) = (map::<O, L>(4), map::<I, L>(5), map::<O, I>(6));

    let mut ours = y;
    product(&w, &x, &mut ours, |y, sum| y + sum);
    let mut naive = y;
    for (o, l) in pairs(O, L) {
        naive[o][l] += ascending((0..I).map(|i| (w[o][i], x[i][l])));
    }
    assert_eq!(bits(&ours), bits(&naive), "product {O}×{I}×{L}");

    let mut ours = d_x;
    product_transposed(&w, &d_y, &mut ours, |d_x, sum| d_x * sum);
    let mut naive = d_x;
    for (i, l) in pairs(I, L) {
        naive[i][l] *= ascending((0..O).map(|o| (w[o][i], d_y[o][l])));
    }
    assert_eq!(bits(&ours), bits(&naive), "product with the transposed {O}×{I}×{L}");

    let (mut ours, mut blocks) = (d_w, x);
    transpose_blocks(&x, &mut blocks);
    product_backward_weight(0..L, &d_y, &blocks, &mut ours);
    let mut naive = d_w;
    for (o, i) in pairs(O, I) {
        naive[o][i] += ascending((0..L).map(|l| (d_y[o][l], x[i][l])));
    }
    assert_eq!(bits(&ours), bits(&naive), "backward to the weight {O}×{I}×{L}");
}

fn pairs(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

#[test]
fn products_follow_their_documented_order() {
    check_products::<1, 1, 1>();
    check_products::<5, 7, 3>();
    check_products::<16, 16, 16>();
    check_products::<17, 13, 12>();
    check_products::<64, 64, 16>();
    check_products::<48, 27, 32>();
    check_products::<40, 8, 50>();
    check_products::<27, 6, 16>();
    // Rows in tiles of six, of five and of one, some of each and none.
    check_products::<16, 10, 16>();
    check_products::<20, 26, 16>();
    check_products::<22, 19, 16>();
    check_products::<29, 64, 4>();
}

fn check_positions<const I: usize, const O: usize, const L: usize>(chosen: impl Fn(usize) -> bool) {
    let (mut d_y, x, before) = (map::<O, L>(1), map::<I, L>(2), map::<O, I>(3));
    for (row, l) in pairs(O, L) {
        if !chosen(l) {
            // Of both signs: neither is seen.
            d_y[row][l] = if row % 2 == 0 { 0.0 } else { -0.0 };
        }
    }
    let mut blocks = x;
    transpose_blocks(&x, &mut blocks);
    let positions = Positions::<L>::new(&chosen);
    assert!(positions.iter().eq((0..L).filter(|l| chosen(*l))));
    let (mut all, mut some) = (before, before);
    product_backward_weight(0..L, &d_y, &blocks, &mut all);
    product_backward_weight(positions.iter(), &d_y, &blocks, &mut some);
    assert_eq!(bits(&some), bits(&all), "{O}×{I}×{L}");
}

#[test]
fn positions_of_gradient_0_may_be_left_out() {
    check_positions::<27, 20, 16>(|l| l % 3 == 1);
    check_positions::<17, 7, 12>(|l| l == 11);
    check_positions::<16, 16, 16>(|_| true);
    check_positions::<5, 3, 4>(|_| false);
}

/// Dropout as its definition says it, one value at a time, from the published generator.
fn dropped(x: &[f32], layer: usize, rate: u32, key: [u32; 2]) -> Vec<f32> {
    let byte = |i: usize| {
        let words = threefry2x32(key, [i as u32 / 8, layer as u32]);
        words[i % 8 / 4] >> (8 * (i % 4)) & 255
    };
    let scale = 256.0 / (256 - rate) as f32;
    x.iter().enumerate().map(|(i, x)| if byte(i) < rate { 0.0 } else { x * scale }).collect()
}

#[test]
fn dropout_follows_its_definition() {
    // The key of a stream is what its parent's block gives.
    let parent = Stream::new(3, Purpose::Dropout);
    let (stream, key) = (parent.child(5, 6), parent.draw(5, 6));
    for (length, layer, rate, whole) in
        [(300, 0, 0.1, 26), (129, 7, 0.5, 128), (8, 1, 1.0, 255), (5, 2, 0.003, 1), (1000, 3, 0.9, 230)]
    {
        let x = floats(length as u64, length);
        let mut y = x.clone();
        Dropout::new(rate, stream).forward(layer, &mut y);
        assert_eq!(y, dropped(&x, layer, whole, key), "{length} values of layer {layer} at {rate}");
        let (mut d, seen) = (x.clone(), y.clone());
        Dropout::new(rate, stream).backward(&mut d);
        let scale = 256.0 / (256 - whole) as f32;
        assert!(d.iter().zip(&x).all(|(d, x)| *d == x * scale) && y == seen);
    }
    for rate in [0.0, -1.0, f32::NAN, 0.001] {
        let (x, mut y) = (floats(1, 40), floats(1, 40));
        Dropout::new(rate, stream).forward(0, &mut y);
        Dropout::new(rate, stream).backward(&mut y);
        assert_eq!(y, x, "{rate} drops nothing");
    }
}

#[test]
fn dropout_keeps_the_mean_and_its_rate() {
    let (count, rate) = (200_000_usize, 26.0 / 256.0);
    let mut y = vec![1.0_f32; count];
    Dropout::new(0.1, Stream::new(1, Purpose::Dropout).child(0, 0)).forward(4, &mut y);
    let left_out = y.iter().filter(|y| **y == 0.0).count() as f64 / count as f64;
    let spread = (rate * (1.0 - rate) / count as f64).sqrt();
    assert!((left_out - rate).abs() < 4.0 * spread, "{left_out}");
    let mean = y.iter().copied().map(f64::from).sum::<f64>() / count as f64;
    assert!((mean - 1.0).abs() < 4.0 * spread / (1.0 - rate), "{mean}");
}

fn check_rms_norm<const D: usize, const L: usize>() {
    let (gain, x, d_y): ([f32; D], [[f32; L]; D], [[f32; L]; D]) = (array(1), map(2), map(3));
    let (mut y, mut d, mut d_gain) = ([[0.0; L]; D], d_y, [0.0; D]);
    rms_norm_forward(&gain, &x, &mut y);
    rms_norm_backward(&gain, &x, &mut d, &mut d_gain);
    let (mut naive_y, mut naive_d, mut products) = ([[0.0; L]; D], [[0.0; L]; D], [[0.0; L]; D]);
    let share = 1.0 / D as f32;
    for l in 0..L {
        let square = ascending(x.iter().map(|x| (x[l], x[l])));
        let r = 1.0 / (square * share + 1e-5).sqrt();
        let mean = ascending((0..D).map(|i| (gain[i] * d_y[i][l], r * x[i][l]))) * share;
        for i in 0..D {
            naive_y[i][l] = gain[i] * (r * x[i][l]);
            naive_d[i][l] = r * (gain[i] * d_y[i][l] - r * x[i][l] * mean);
            products[i][l] = d_y[i][l] * (r * x[i][l]);
        }
    }
    assert_eq!(bits(&y), bits(&naive_y), "forward {D}×{L}");
    assert_eq!(bits(&d), bits(&naive_d), "backward {D}×{L}");
    for (d_gain, products) in d_gain.iter().zip(products) {
        let mut lanes = vec![0.0; LANES];
        for (l, product) in products.iter().enumerate() {
            lanes[l % LANES] += product;
        }
        assert_eq!(d_gain.to_bits(), halves(lanes).to_bits(), "backward to the gain {D}×{L}");
    }
}

#[test]
fn normalisation_follows_its_documented_order() {
    check_rms_norm::<1, 1>();
    check_rms_norm::<7, 3>();
    check_rms_norm::<64, 16>();
    check_rms_norm::<33, 35>();
}

fn check_attention<const K: usize, const L: usize>() {
    let [query, key, value]: [[[f32; L]; K]; 3] = [map(1), map(2), map(3)];
    let (mut share, mut y) = ([[0.0; L]; L], [[0.0; L]; K]);
    attention_forward(&query, &key, &value, &mut share, &mut y);
    let scale = 1.0 / (K as f32).sqrt();
    for l in 0..L {
        let scores = (0..L).map(|i| ascending((0..K).map(|f| (key[f][i], query[f][l]))) * scale);
        let scores: Vec<f32> = scores.collect();
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = scores.iter().map(|s| micro_diffusion::math::exp(s - largest)).collect();
        let inverse = 1.0 / powers.iter().fold(0.0, |sum, power| sum + power);
        for f in 0..K {
            let naive = ascending((0..L).map(|i| (value[f][i], powers[i] * inverse)));
            assert_eq!(y[f][l].to_bits(), naive.to_bits(), "attention {K}×{L}");
        }
    }
}

#[test]
fn attention_follows_its_documented_order() {
    check_attention::<1, 1>();
    check_attention::<3, 5>();
    check_attention::<16, 16>();
    check_attention::<8, 35>();
}

/// Records, losses and gradient of a batch, by one call over all rows or by several over parts of them.
fn run<M: Model<L, V>, const L: usize, const V: usize>(
    batch: &[Example<L>],
    splits: &[usize],
    symbols: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(3, Purpose::Weights));
    let mut records = vec![f32::NAN; batch.len() * M::RECORD];
    let mut losses = vec![f32::NAN; batch.len()];
    let mut first = 0;
    for next in splits.iter().copied().chain([batch.len()]) {
        M::forward_backward(
            M::view(&parameters).unwrap(),
            &batch[first..next],
            symbols,
            &mut records[first * M::RECORD..next * M::RECORD],
            &mut losses[first..next],
        );
        first = next;
    }
    let mut gradient = Vec::new();
    for (number, tensor) in M::TENSORS.iter().enumerate() {
        for part in 0..tensor.parts {
            let mut out = vec![f32::NAN; tensor.part_len()];
            M::gradient(number, part, batch, &records, &mut out);
            gradient.extend(out.into_iter().map(f32::to_bits));
        }
    }
    assert_eq!(gradient.len(), M::PARAMETERS, "the parts are the whole");
    (losses.into_iter().map(f32::to_bits).collect(), gradient)
}

fn check_splits<M: Model<L, V>, const L: usize, const V: usize>(symbols: u8) {
    for rows in [0, 1, 3, 64, 65, 150] {
        let mut batch = batch::<L>(rows, symbols);
        // Every other one goes without some hidden values.
        for (row, example) in (0..).zip(&mut batch).step_by(2) {
            example.dropout = Dropout::new(0.2, Stream::new(8, Purpose::Dropout).child(0, row));
        }
        let symbols = usize::from(symbols);
        let whole = run::<M, L, V>(&batch, &[], symbols);
        assert!(rows == 0 || whole.1.iter().any(|bits| *bits != 0));
        for splits in [vec![rows / 2], vec![rows / 3, rows / 2, rows / 2], (0..rows).collect()] {
            assert_eq!(run::<M, L, V>(&batch, &splits, symbols), whole, "{rows} rows split at {splits:?}");
        }
    }
}

#[test]
fn a_split_batch_gives_the_same_bits() {
    check_splits::<Mlp<5, 6, 33>, 5, 6>(6);
    check_splits::<Mlp<3, 9, 16>, 3, 9>(7);
    check_splits::<Residual<5, 6, 32>, 5, 6>(6);
    check_splits::<Convolution<5, 6, 6, 2, 3>, 5, 6>(6);
    check_splits::<Transformer<5, 6, 6, 2, 3, 2>, 5, 6>(6);
    check_splits::<Transformer<16, 9, 16, 1, 1, 16>, 16, 9>(7);
}

/// Every number of a record and of the memory is written where every position counts, but for those that fill a record up to
/// 16: there is room for what is needed, and for nothing else.
fn check_room<M: Model<L, V>, const L: usize, const V: usize>() {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(5, Purpose::Weights));
    let example = Example { weights: [1.0; L], ..Example::EMPTY };
    let (mut record, mut loss) = (vec![f32::NAN; M::RECORD], [f32::NAN]);
    M::forward_backward(M::view(&parameters).unwrap(), &[example], V, &mut record, &mut loss);
    assert!(loss[0].is_finite());
    let unwritten = record.iter().rev().take_while(|x| x.is_nan()).count();
    assert!(record.len().is_multiple_of(16) && unwritten < 16, "{unwritten} of {}", record.len());
    assert!(record[..record.len() - unwritten].iter().all(|x| x.is_finite()));

    let (mut memory, mut scores) = (vec![f32::NAN; M::MEMORY], [0; V]);
    {
        let mut denoiser = M::denoiser(M::view(&parameters).unwrap(), &mut memory).unwrap();
        denoiser.evaluate();
        (0..L).for_each(|position| denoiser.scores(position, &mut scores));
    }
    assert!(memory.iter().all(|x| x.is_finite()), "{} numbers of memory", memory.len());
    assert!(M::denoiser(M::view(&parameters).unwrap(), &mut memory[1..]).is_none());
}

#[test]
fn there_is_room_for_what_is_needed_and_for_nothing_else() {
    check_room::<Mlp<5, 6, 33>, 5, 6>();
    check_room::<Residual<5, 6, 32>, 5, 6>();
    check_room::<Convolution<16, 9, 16, 2, 3>, 16, 9>();
    check_room::<Convolution<5, 7, 12, 3, 5>, 5, 7>();
    check_room::<Transformer<5, 6, 6, 2, 3, 2>, 5, 6>();
    check_room::<Transformer<16, 9, 16, 3, 2, 8>, 16, 9>();
}

/// What training says of a text, the model at work says too, from floats and from the bytes of a file alike.
fn check_inference<M: Model<L, V>, const L: usize, const V: usize>(symbols: usize) {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(4, Purpose::Weights));
    let bytes: Vec<[u8; 4]> = parameters.iter().map(|p| p.to_le_bytes()).collect();
    let (mut memory, mut other) = (vec![f32::NAN; M::MEMORY], vec![f32::NAN; M::MEMORY]);
    let mut floats = M::denoiser(M::view(&parameters).unwrap(), &mut memory).unwrap();
    let mut stored = M::denoiser(M::view(&bytes).unwrap(), &mut other).unwrap();
    let batch = batch::<L>(7, symbols as u8);
    let (mut records, mut losses) = (vec![f32::NAN; 7 * M::RECORD], [f32::NAN; 7]);
    M::forward_backward(M::view(&parameters).unwrap(), &batch, symbols, &mut records, &mut losses);
    for (example, loss) in batch.iter().zip(losses) {
        for (position, symbol) in example.noisy.iter().enumerate() {
            floats.set(position, *symbol);
            stored.set(position, *symbol);
        }
        floats.evaluate();
        stored.evaluate();
        let mut sum = 0.0;
        for position in 0..L {
            let (mut scores, mut same) = ([0; V], [1; V]);
            floats.scores(position, &mut scores);
            stored.scores(position, &mut same);
            assert_eq!(scores, same, "floats and bytes");
            let weight = example.weights[position];
            sum += weight * negative_log_probability(&scores, symbols, example.clean[position]);
        }
        assert_close(f64::from(sum), f64::from(loss), AT_WORK, "the loss at work against that of training");
    }
}

#[test]
fn training_and_inference_agree() {
    check_inference::<Mlp<5, 6, 33>, 5, 6>(6);
    check_inference::<Residual<5, 6, 32>, 5, 6>(5);
    check_inference::<Convolution<5, 6, 6, 2, 3>, 5, 6>(6);
    check_inference::<Transformer<5, 6, 6, 2, 3, 2>, 5, 6>(6);
    check_inference::<Transformer<32, 9, 16, 2, 2, 8>, 32, 9>(7);
}
