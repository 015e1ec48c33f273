//! Every op and every model against an independent implementation in PyTorch, in double precision.
use common::oracle::Oracle;
use common::tolerance::{
    ORACLE_ATTENTION, ORACLE_F64, ORACLE_F64_ADAM, ORACLE_GELU, ORACLE_LINEAR, ORACLE_NORM, ORACLE_PRODUCT,
    ORACLE_SCORES, ORACLE_SOFTMAX, assert_close,
};
use common::{loss_and_gradient, shard};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, learning_rate};
use micro_diffusion::attention::{Heads, attention_backward, attention_forward};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Denoiser, Model, NAT};
use micro_diffusion::gelu::gelu_forward_slope;
use micro_diffusion::kernels::Plain;
use micro_diffusion::linear::{
    linear_backward_input, linear_backward_weight, linear_forward, lookup_backward,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::normalisation::{rms_norm_backward, rms_norm_forward};
use micro_diffusion::product::{
    Store, product, product_backward_weight, product_transposed, transpose_blocks,
};
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

fn check_linear(oracle: &Oracle, inputs: usize, outputs: usize, batch: usize) {
    let get = |name: &str| oracle.get(&format!("linear{inputs}x{outputs}/{name}"));
    let (weight, bias, x, d_y) = (get("w"), get("b"), get("x"), get("d_y"));
    let rows: Vec<usize> = (0..batch).collect();

    let mut y = vec![f64::NAN; batch * outputs];
    linear_forward(weight, bias, &rows, x, &mut y);
    assert_all_close(&y, get("y"), ORACLE_F64, "linear y");
    let mut d_x = vec![0.0; x.len()];
    linear_backward_input(weight, &rows, d_y, &mut d_x, inputs);
    assert_all_close(&d_x, get("d_x"), ORACLE_F64, "linear d_x");
    let mut d_weight = vec![0.0; weight.len()];
    linear_backward_weight(&rows, x, d_y, outputs, &mut d_weight, inputs);
    assert_all_close(&d_weight, get("d_w"), ORACLE_F64, "linear d_w");
    let mut d_bias = vec![0.0; outputs];
    let reads: Vec<(usize, u8)> = rows.iter().map(|row| (*row, 0)).collect();
    lookup_backward(&reads, d_y, &mut d_bias, outputs);
    assert_all_close(&d_bias, get("d_b"), ORACLE_F64, "linear d_b");

    let mut y = vec![f32::NAN; batch * outputs];
    linear_forward(&single(weight), &single(bias), &rows, &single(x), &mut y);
    assert_all_close(&double(&y), get("y"), ORACLE_LINEAR, "linear y in f32");
}

#[test]
fn linear() {
    let oracle = Oracle::load();
    check_linear(&oracle, 37, 11, 3);
    check_linear(&oracle, 66, 4, 2);
}

fn check_softmax<const V: usize>(oracle: &Oracle, kept: usize) {
    let get = |name: &str| oracle.get(&format!("softmax{V}k{kept}/{name}"));
    let mut z: [f64; V] = get("z").try_into().unwrap();
    let mut single = z.map(|z| z as f32);
    let clean = (2 % kept) as u8;
    assert_close(cross_entropy(&mut z, kept, (clean, None, 1.25)), get("loss")[0], ORACLE_F64, "loss");
    assert_all_close(&z, get("d_z"), ORACLE_F64, "d_z");
    let loss = cross_entropy(&mut single, kept, (clean, None, 1.25));
    assert_close(f64::from(loss), get("loss")[0], ORACLE_SOFTMAX, "loss in f32");
    assert_all_close(&single.map(f64::from), get("d_z"), ORACLE_SOFTMAX, "d_z in f32");
}

#[test]
fn softmax_with_cross_entropy() {
    let oracle = Oracle::load();
    check_softmax::<19>(&oracle, 19);
    check_softmax::<27>(&oracle, 20);
}

fn check_soft_answer<const V: usize>(oracle: &Oracle, kept: usize) {
    let get = |name: &str| oracle.get(&format!("soft{V}k{kept}/{name}"));
    let mut z: [f64; V] = get("z").try_into().unwrap();
    let mut single_z = z.map(|z| z as f32);
    let t = single(get("t"));
    assert_close(cross_entropy(&mut z, kept, (0, Some(get("t")), 1.25)), get("loss")[0], ORACLE_F64, "loss");
    assert_all_close(&z, get("d_z"), ORACLE_F64, "d_z");
    let loss = cross_entropy(&mut single_z, kept, (0, Some(&t), 1.25));
    assert_close(f64::from(loss), get("loss")[0], ORACLE_SOFTMAX, "loss in f32");
    assert_all_close(&single_z.map(f64::from), get("d_z"), ORACLE_SOFTMAX, "d_z in f32");
}

/// A mixture of the clean symbol and a teacher's probabilities as the answer.
#[test]
fn softmax_with_cross_entropy_of_a_soft_answer() {
    let oracle = Oracle::load();
    check_soft_answer::<19>(&oracle, 19);
    check_soft_answer::<27>(&oracle, 20);
}

#[test]
fn relu() {
    let oracle = Oracle::load();
    let mut y: [f64; 20] = oracle.array("relu/x");
    let mut d: [f64; 20] = oracle.array("relu/d_y");
    Activation::Relu.forward(&mut y);
    Activation::Relu.backward(&y, &mut d, &[]);
    assert_all_close(&y, oracle.get("relu/y"), ORACLE_F64, "relu y");
    assert_all_close(&d, oracle.get("relu/d_x"), ORACLE_F64, "relu d_x");
}

#[test]
fn gelu() {
    let oracle = Oracle::load();
    let (mut y, mut slope): ([f64; 24], _) = (oracle.array("gelu/x"), [0.0; 24]);
    let mut single = (y.map(|x| x as f32), [0.0; 24]);
    gelu_forward_slope(&mut y, &mut slope);
    // d_y times the slopes, as a product of one term stores it: with the matrix 1 and the 24 values as positions.
    let mut d = slope;
    product(&[1.0], oracle.get("gelu/d_y"), &mut d, 24, Store::Multiply);
    assert_all_close(&y, oracle.get("gelu/y"), ORACLE_F64, "gelu y");
    assert_all_close(&d, oracle.get("gelu/d_x"), ORACLE_F64, "gelu d_x");
    gelu_forward_slope(&mut single.0, &mut single.1);
    assert_all_close(&single.0.map(f64::from), oracle.get("gelu/y"), ORACLE_GELU, "gelu y in f32");
    assert_all_close(&single.1.map(f64::from), &slope, ORACLE_GELU, "gelu slope in f32");
}

fn single(x: &[f64]) -> Vec<f32> {
    x.iter().map(|x| *x as f32).collect()
}

fn double(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

fn check_product(oracle: &Oracle, inputs: usize, outputs: usize, width: usize) {
    let get = |name: &str| oracle.get(&format!("product{inputs}x{outputs}x{width}/{name}"));
    let (w, x, d_y) = (get("w"), get("x"), get("d_y"));
    let mut y = vec![f64::NAN; outputs * width];
    product(w, x, &mut y, width, Store::Set);
    assert_all_close(&y, get("y"), ORACLE_F64, "product y");
    let mut y = vec![f32::NAN; outputs * width];
    product(&single(w), &single(x), &mut y, width, Store::Set);
    assert_all_close(&double(&y), get("y"), ORACLE_PRODUCT, "product y in f32");
    let mut d_x = vec![f64::NAN; inputs * width];
    product_transposed(w, d_y, &mut d_x, width, Store::Set);
    assert_all_close(&d_x, get("d_x"), ORACLE_F64, "product d_x");
    let (mut blocks, mut d_w) = (vec![f64::NAN; inputs * width], vec![0.0; outputs * inputs]);
    transpose_blocks(x, &mut blocks, width);
    let positions: Vec<usize> = (0..width).collect();
    product_backward_weight(&positions, d_y, &blocks, &mut d_w, width);
    assert_all_close(&d_w, get("d_w"), ORACLE_F64, "product d_w");
}

#[test]
fn products() {
    let oracle = Oracle::load();
    check_product(&oracle, 19, 9, 18);
    check_product(&oracle, 3, 7, 5);
}

#[test]
fn rms_norm() {
    const D: usize = 6;
    const L: usize = 18;
    let oracle = Oracle::load();
    let get = |name: &str| oracle.get(&format!("rms_norm{D}x{L}/{name}"));
    let (gain, x) = (get("gain"), get("x"));
    let (mut y, mut d, mut d_gain) = ([f64::NAN; D * L], get("d_y").to_vec(), [f64::NAN; D]);
    rms_norm_forward(gain, x, &mut y, L, f64::sqrt);
    assert_all_close(&y, get("y"), ORACLE_F64, "rms_norm y");
    rms_norm_backward(gain, x, &mut d, &mut d_gain, L, f64::sqrt);
    assert_all_close(&d, get("d_x"), ORACLE_F64, "rms_norm d_x");
    assert_all_close(&d_gain, get("d_gain"), ORACLE_F64, "rms_norm d_gain");
    let mut y = [f32::NAN; D * L];
    rms_norm_forward(&single(gain), &single(x), &mut y, L, f32::sqrt);
    assert_all_close(&double(&y), get("y"), ORACLE_NORM, "rms_norm y in f32");
}

fn check_attention(oracle: &Oracle, features: usize, width: usize, length: usize) {
    let get = |name: &str| oracle.get(&format!("attention{features}x{width}n{length}/{name}"));
    let (heads, inputs) = (Heads { features, positions: width }, ["q", "k", "v"].map(get));
    let [q, k, v] = inputs.map(single);
    let (mut share, mut y) = (vec![f32::NAN; width * width], vec![f32::NAN; features * width]);
    attention_forward(heads, &vec![0; length], [&q, &k, &v], &mut share, &mut y);
    assert_all_close(&double(&y), get("y"), ORACLE_ATTENTION, "attention y in f32");
    let (mut share, mut y) = (vec![f64::NAN; width * width], vec![f64::NAN; features * width]);
    attention_forward(heads, &vec![0; length], inputs, &mut share, &mut y);
    assert_all_close(&y, get("y"), ORACLE_F64, "attention y");
    let [mut q, mut k, mut v] = inputs.map(<[f64]>::to_vec);
    let (mut d_y, mut d_share) = (get("d_y").to_vec(), vec![f64::NAN; width * width]);
    attention_backward(heads, [&mut q, &mut k, &mut v], &mut share, &mut d_y, &mut d_share);
    for (field, d) in [("d_q", q), ("d_k", k), ("d_v", v)] {
        assert_all_close(&d, get(field), ORACLE_F64, field);
    }
}

#[test]
fn attention() {
    let oracle = Oracle::load();
    check_attention(&oracle, 3, 5, 5);
    check_attention(&oracle, 8, 17, 17);
    check_attention(&oracle, 8, 16, 11);
    check_attention(&oracle, 3, 8, 1);
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
        let (losses, gradient) = loss_and_gradient::<M, L, V>(&parameters, shard(&batch, symbols));
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
    let view = M::view(&single).unwrap();
    let mut denoiser = M::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
    for (example, logits) in batch.iter().zip(oracle.get(&format!("{case}/logits")).chunks(L * V)) {
        denoiser.start(example.length());
        for (position, symbol) in example.shown().iter().enumerate() {
            denoiser.set(position, *symbol);
        }
        denoiser.evaluate();
        for (position, logits) in logits.as_chunks::<V>().0.iter().enumerate().take(example.length()) {
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
    check_model::<Transformer<3, 5, 4, 2, 2>, 3, 5>(&oracle, "transformer3x5x4x2x2", 5);
    check_model::<Transformer<17, 4, 6, 1, 3>, 17, 4>(&oracle, "transformer17x4x6x1x3", 3);
    check_model::<Transformer<5, 4, 4, 2, 2, 3>, 5, 4>(&oracle, "transformer5x4x4x2x2x3", 4);
    check_model::<Transformer<17, 4, 6, 1, 3, 3>, 17, 4>(&oracle, "transformer17x4x6x1x3x3", 3);
}
