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
use common::tolerance::{ORACLE_F32, ORACLE_F64, ORACLE_F64_ADAM, assert_close};
use micro_diffusion::activation::{relu_backward, relu_forward};
use micro_diffusion::adam::{Adam, learning_rate};
use micro_diffusion::denoiser::{Denoiser, Model, NAT};
use micro_diffusion::linear::{
    linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::softmax::cross_entropy;

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
    linear_forward(weight, bias, x.each_ref(), &mut y);
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
    let mut y = [[0.0; V]; 1];
    linear_forward(&weight, &bias, [&single(&x[0])], &mut y);
    assert_all_close(&y[0].map(f64::from), &get("y")[..V], ORACLE_F32, "linear y in f32");
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
    assert_close(f64::from(loss), get("loss")[0], ORACLE_F32, "loss in f32");
    assert_all_close(&single.map(f64::from), get("d_z"), ORACLE_F32, "d_z in f32");
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
            assert_all_close(&ours, logits, ORACLE_F32 + 1.0 / 65_536.0, "logits of the model at work");
        }
    }
}

#[test]
fn mlp() {
    let oracle = Oracle::load();
    check_model::<Mlp<3, 5, 7>, 3, 5>(&oracle, "mlp3x5x7", 5);
    check_model::<Mlp<2, 4, 70>, 2, 4>(&oracle, "mlp2x4x70", 3);
}
