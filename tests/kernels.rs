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

use common::{batch, numbers};
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::linear::{
    LANES, linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward, sum_lanes,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::softmax::softmax_forward;

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

    let mut one = [[0.0; V]];
    linear_forward(&weight, &bias, [&xs[0]], &mut one);
    let mut three = [[0.0; V]; 3];
    linear_forward(&weight, &bias, [&xs[0], &xs[1], &xs[2]], &mut three);
    for v in 0..V {
        let naive = |e: usize| (bias[v] + naive_dot(&weight[v], &xs[e])).to_bits();
        assert_eq!(one[0][v].to_bits(), naive(0), "forward {I}×{V}");
        for (e, y) in three.iter().enumerate() {
            assert_eq!(y[v].to_bits(), naive(e), "forward of three, {I}×{V}");
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
        let batch = batch::<L>(rows, symbols);
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
}
