//! Every op and every model against an independent implementation in PyTorch, in double precision.
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

use common::loss_and_gradient;
use common::oracle::Oracle;
use common::tolerance::{
    ORACLE_ATTENTION, ORACLE_F64, ORACLE_F64_ADAM, ORACLE_GELU, ORACLE_LINEAR, ORACLE_NORM, ORACLE_PRODUCT,
    ORACLE_SCORES, ORACLE_SOFTMAX, assert_close,
};
use micro_diffusion::activation::{gelu_backward, gelu_forward_slope, relu_backward, relu_forward};
use micro_diffusion::adam::{Adam, learning_rate};
use micro_diffusion::attention::{attention_backward, attention_forward};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Denoiser, Model, NAT};
use micro_diffusion::linear::{
    linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::normalisation::{rms_norm_backward, rms_norm_forward};
use micro_diffusion::product::{product, product_backward_weight, product_transposed, transpose_blocks};
use micro_diffusion::residual::Residual;
use micro_diffusion::softmax::cross_entropy;
use micro_diffusion::transformer::Transformer;

#[track_caller]
fn assert_all_close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert_close(*a, *b, tolerance, &format!("{what}[{i}]"));
    }
}

fn check_linear<const I: usize, const V: usize, const E: usize>(oracle: &Oracle) {
    let get = |name: &str| oracle.get(&format!("linear{I}x{V}/{name}"));
    let weight: &[[f64; I]; V] = get("w").as_chunks().0.try_into().unwrap();
    let bias: &[f64; V] = get("b").try_into().unwrap();
    let x: &[[f64; I]; E] = get("x").as_chunks().0.try_into().unwrap();
    let d_y: &[[f64; V]; E] = get("d_y").as_chunks().0.try_into().unwrap();

    let mut y = [[0.0; V]; E];
    for (x, y) in x.iter().zip(&mut y) {
        linear_forward(weight, bias, x, y);
    }
    assert_all_close(y.as_flattened(), get("y"), ORACLE_F64, "linear y");
    let mut d_x = [[0.0; I]; E];
    for (d_x, d_y) in d_x.iter_mut().zip(d_y) {
        linear_backward_input(weight, d_y, d_x);
    }
    assert_all_close(d_x.as_flattened(), get("d_x"), ORACLE_F64, "linear d_x");
    let mut d_weight = [[0.0; I]; V];
    linear_backward_weight(&x.iter().zip(d_y).collect::<Vec<_>>(), &mut d_weight);
    assert_all_close(d_weight.as_flattened(), get("d_w"), ORACLE_F64, "linear d_w");
    let mut d_bias = [0.0; V];
    linear_backward_bias(d_y.iter(), &mut d_bias);
    assert_all_close(&d_bias, get("d_b"), ORACLE_F64, "linear d_b");

    let single = |row: &[f64; I]| row.map(|x| x as f32);
    let (weight, bias) = (weight.each_ref().map(single), bias.map(|b| b as f32));
    let mut y = [0.0; V];
    linear_forward(&weight, &bias, &single(&x[0]), &mut y);
    assert_all_close(&y.map(f64::from), &get("y")[..V], ORACLE_LINEAR, "linear y in f32");
}

#[test]
fn linear() {
    let oracle = Oracle::load();
    check_linear::<37, 11, 3>(&oracle);
    check_linear::<66, 4, 2>(&oracle);
}

fn check_softmax<const V: usize>(oracle: &Oracle, kept: usize) {
    let get = |name: &str| oracle.get(&format!("softmax{V}k{kept}/{name}"));
    let mut z: [f64; V] = get("z").try_into().unwrap();
    let mut single = z.map(|z| z as f32);
    let clean = (2 % kept) as u8;
    assert_close(cross_entropy(&mut z, kept, clean, 1.25), get("loss")[0], ORACLE_F64, "loss");
    assert_all_close(&z, get("d_z"), ORACLE_F64, "d_z");
    let loss = cross_entropy(&mut single, kept, clean, 1.25);
    assert_close(f64::from(loss), get("loss")[0], ORACLE_SOFTMAX, "loss in f32");
    assert_all_close(&single.map(f64::from), get("d_z"), ORACLE_SOFTMAX, "d_z in f32");
}

#[test]
fn softmax_with_cross_entropy() {
    let oracle = Oracle::load();
    check_softmax::<19>(&oracle, 19);
    check_softmax::<27>(&oracle, 20);
}

#[test]
fn relu() {
    let oracle = Oracle::load();
    let mut y: [f64; 20] = oracle.array("relu/x");
    let mut d: [f64; 20] = oracle.array("relu/d_y");
    relu_forward(&mut y);
    relu_backward(&y, &mut d);
    assert_all_close(&y, oracle.get("relu/y"), ORACLE_F64, "relu y");
    assert_all_close(&d, oracle.get("relu/d_x"), ORACLE_F64, "relu d_x");
}

#[test]
fn gelu() {
    let oracle = Oracle::load();
    let (mut y, mut slope): ([f64; 24], _) = (oracle.array("gelu/x"), [0.0; 24]);
    let d_y: [f64; 24] = oracle.array("gelu/d_y");
    let mut single = (y.map(|x| x as f32), [0.0; 24]);
    gelu_forward_slope(&mut y, &mut slope);
    let d: Vec<f64> = slope.iter().zip(d_y).map(|(slope, d)| gelu_backward(*slope, d)).collect();
    assert_all_close(&y, oracle.get("gelu/y"), ORACLE_F64, "gelu y");
    assert_all_close(&d, oracle.get("gelu/d_x"), ORACLE_F64, "gelu d_x");
    gelu_forward_slope(&mut single.0, &mut single.1);
    assert_all_close(&single.0.map(f64::from), oracle.get("gelu/y"), ORACLE_GELU, "gelu y in f32");
    assert_all_close(&single.1.map(f64::from), &slope, ORACLE_GELU, "gelu slope in f32");
}

/// The vector `name` as an `N` × `M` matrix.
fn map<const N: usize, const M: usize>(oracle: &Oracle, name: &str) -> [[f64; M]; N] {
    oracle.get(name).as_chunks().0.try_into().unwrap()
}

fn single<const N: usize, const M: usize>(x: &[[f64; M]; N]) -> [[f32; M]; N] {
    x.map(|row| row.map(|x| x as f32))
}

fn double<const N: usize, const M: usize>(x: &[[f32; M]; N]) -> Vec<f64> {
    x.as_flattened().iter().map(|x| f64::from(*x)).collect()
}

fn check_product<const I: usize, const O: usize, const L: usize>(oracle: &Oracle) {
    let name = |name: &str| format!("product{I}x{O}x{L}/{name}");
    let (w, x): ([[f64; I]; O], [[f64; L]; I]) = (map(oracle, &name("w")), map(oracle, &name("x")));
    let d_y: [[f64; L]; O] = map(oracle, &name("d_y"));
    let mut y = [[0.0; L]; O];
    product(&w, &x, &mut y, |_, sum| sum);
    assert_all_close(y.as_flattened(), oracle.get(&name("y")), ORACLE_F64, "product y");
    let mut y = [[0.0; L]; O];
    product(&single(&w), &single(&x), &mut y, |_, sum| sum);
    assert_all_close(&double(&y), oracle.get(&name("y")), ORACLE_PRODUCT, "product y in f32");
    let mut d_x = [[0.0; L]; I];
    product_transposed(&w, &d_y, &mut d_x, |_, sum| sum);
    assert_all_close(d_x.as_flattened(), oracle.get(&name("d_x")), ORACLE_F64, "product d_x");
    let (mut blocks, mut d_w) = ([[0.0; L]; I], [[0.0; I]; O]);
    transpose_blocks(&x, &mut blocks);
    product_backward_weight(0..L, &d_y, &blocks, &mut d_w);
    assert_all_close(d_w.as_flattened(), oracle.get(&name("d_w")), ORACLE_F64, "product d_w");
}

#[test]
fn products() {
    let oracle = Oracle::load();
    check_product::<19, 9, 18>(&oracle);
    check_product::<3, 7, 5>(&oracle);
}

#[test]
fn rms_norm() {
    const D: usize = 6;
    const L: usize = 18;
    let oracle = Oracle::load();
    let get = |name: &str| oracle.get(&format!("rms_norm{D}x{L}/{name}"));
    let gain: [f64; D] = oracle.array("rms_norm6x18/gain");
    let (x, mut d): ([[f64; L]; D], _) = (map(&oracle, "rms_norm6x18/x"), map(&oracle, "rms_norm6x18/d_y"));
    let (mut y, mut d_gain) = ([[0.0; L]; D], [0.0; D]);
    rms_norm_forward(&gain, &x, &mut y);
    assert_all_close(y.as_flattened(), get("y"), ORACLE_F64, "rms_norm y");
    rms_norm_backward(&gain, &x, &mut d, &mut d_gain);
    assert_all_close(d.as_flattened(), get("d_x"), ORACLE_F64, "rms_norm d_x");
    assert_all_close(&d_gain, get("d_gain"), ORACLE_F64, "rms_norm d_gain");
    let mut y = [[0.0; L]; D];
    rms_norm_forward(&gain.map(|g| g as f32), &single(&x), &mut y);
    assert_all_close(&double(&y), get("y"), ORACLE_NORM, "rms_norm y in f32");
}

fn check_attention<const K: usize, const L: usize>(oracle: &Oracle) {
    let name = |name: &str| format!("attention{K}x{L}/{name}");
    let [mut q, mut k, mut v, mut d_y] =
        ["q", "k", "v", "d_y"].map(|field| map::<K, L>(oracle, &name(field)));
    let (mut share, mut y) = ([[0.0; L]; L], [[0.0; L]; K]);
    attention_forward(&single(&q), &single(&k), &single(&v), &mut share, &mut y);
    assert_all_close(&double(&y), oracle.get(&name("y")), ORACLE_ATTENTION, "attention y in f32");
    let (mut share, mut y) = ([[0.0; L]; L], [[0.0; L]; K]);
    attention_forward(&q, &k, &v, &mut share, &mut y);
    assert_all_close(y.as_flattened(), oracle.get(&name("y")), ORACLE_F64, "attention y");
    attention_backward(&mut q, &mut k, &mut v, &mut share, &mut d_y, &mut [[0.0; L]; L]);
    for (field, d) in [("d_q", q), ("d_k", k), ("d_v", v)] {
        assert_all_close(d.as_flattened(), oracle.get(&name(field)), ORACLE_F64, field);
    }
}

#[test]
fn attention() {
    let oracle = Oracle::load();
    check_attention::<3, 5>(&oracle);
    check_attention::<8, 17>(&oracle);
}

/// Logits, losses, every gradient and three steps of the optimiser; then the logits of the model at work, in f32.
fn check_model<M: Model<L, V>, const L: usize, const V: usize>(oracle: &Oracle, case: &str, symbols: usize) {
    const STEPS: u32 = 3;
    let batch = oracle.batch::<L>(case);
    let mut parameters = oracle.parameters::<M, L, V>(&format!("{case}/"));
    let single: Vec<f32> = parameters.iter().map(|p| *p as f32).collect();
    let (mut m, mut v) = (vec![0.0; M::PARAMETERS], vec![0.0; M::PARAMETERS]);
    let adam = Adam { weight_decay: 0.1, ..Adam::default() };
    for step in 0..STEPS {
        let (losses, gradient) = loss_and_gradient::<M, L, V>(&parameters, &batch, symbols);
        if step == 0 {
            assert_all_close(&losses, oracle.get(&format!("{case}/losses")), ORACLE_F64, "losses");
            let theirs = oracle.parameters::<M, L, V>(&format!("{case}/d_"));
            assert_all_close(&gradient, &theirs, ORACLE_F64, "gradient");
        }
        let rate = learning_rate(step, STEPS, 0.01, 1, 0.5);
        adam.step(step, rate).update(&mut parameters, &gradient, &mut m, &mut v, f64::sqrt);
        let theirs = oracle.parameters::<M, L, V>(&format!("{case}/step{}.", step + 1));
        assert_all_close(&parameters, &theirs, ORACLE_F64_ADAM, "parameters after a step");
    }

    let mut memory = vec![0.0; M::MEMORY];
    let mut denoiser = M::denoiser(M::view(&single).unwrap(), &mut memory).unwrap();
    for (example, logits) in batch.iter().zip(oracle.get(&format!("{case}/logits")).chunks(L * V)) {
        for (position, symbol) in example.noisy.iter().enumerate() {
            denoiser.set(position, *symbol);
        }
        denoiser.evaluate();
        for (position, logits) in logits.as_chunks::<V>().0.iter().enumerate() {
            let mut scores = [0; V];
            denoiser.scores(position, &mut scores);
            let ours = scores.map(|score| f64::from(score) / f64::from(NAT));
            assert_all_close(&ours, logits, ORACLE_SCORES, "logits of the model at work");
        }
    }
}

#[test]
fn mlp() {
    let oracle = Oracle::load();
    check_model::<Mlp<3, 5, 7>, 3, 5>(&oracle, "mlp3x5x7", 5);
    check_model::<Mlp<2, 4, 70>, 2, 4>(&oracle, "mlp2x4x70", 3);
}

#[test]
fn residual() {
    check_model::<Residual<3, 5, 16>, 3, 5>(&Oracle::load(), "residual3x5x16", 4);
}

#[test]
fn convolution() {
    let oracle = Oracle::load();
    check_model::<Convolution<5, 4, 6, 2, 3>, 5, 4>(&oracle, "convolution5x4x6x2x3", 4);
    check_model::<Convolution<17, 5, 4, 1, 5>, 17, 5>(&oracle, "convolution17x5x4x1x5", 3);
}

#[test]
fn transformer() {
    let oracle = Oracle::load();
    check_model::<Transformer<3, 5, 4, 2, 2, 2>, 3, 5>(&oracle, "transformer3x5x4x2x2", 5);
    check_model::<Transformer<17, 4, 6, 1, 3, 2>, 17, 4>(&oracle, "transformer17x4x6x1x3", 3);
}
