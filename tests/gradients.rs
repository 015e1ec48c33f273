//! Every backward pass against central differences of its forward pass, in f64, with sign.
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

use common::tolerance::{F64, GRADIENT_CHECK, GRADIENT_SEEN, GRADIENT_STEP, SHARES, assert_close};
use common::{batch, loss_and_gradient, matrix, numbers, vector};
use micro_diffusion::activation::{
    Activation, Relu, gelu_backward, gelu_forward, gelu_forward_slope, relu_backward, relu_forward,
};
use micro_diffusion::attention::{attention_backward, attention_forward};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::integer::{Int4, Precision, Stepped};
use micro_diffusion::linear::{
    linear_backward_bias, linear_backward_input, linear_backward_weight, linear_backward_weights,
    linear_forward, lookup_backward, lookup_forward,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::normalisation::{rms_norm_backward, rms_norm_forward};
use micro_diffusion::product::{product, product_backward_weight, product_transposed, transpose_blocks};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::softmax::cross_entropy;
use micro_diffusion::transformer::Transformer;

/// ∂f/∂x_i by central differences, for every i.
fn numeric(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|i| {
            let mut at = |value: f64| {
                moved[i] = value;
                f(&moved)
            };
            let slope = (at(x[i] + GRADIENT_STEP) - at(x[i] - GRADIENT_STEP)) / (2.0 * GRADIENT_STEP);
            at(x[i]);
            slope
        })
        .collect()
}

/// Compares element by element.
#[track_caller]
fn assert_gradient(analytic: &[f64], numeric: &[f64], what: &str) {
    assert_eq!(analytic.len(), numeric.len(), "{what}");
    assert!(
        numeric.iter().any(|slope| slope.abs() > GRADIENT_SEEN),
        "{what}: a check that sees only zeros cannot fail"
    );
    for (i, (a, n)) in analytic.iter().zip(numeric).enumerate() {
        assert_close(*a, *n, GRADIENT_CHECK, &format!("{what}[{i}]"));
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Checks the dense layer with `I` inputs and `V` outputs under the loss Σ c_v·y_v.
fn check_linear<const I: usize, const V: usize>() {
    let (weight, bias): ([[f64; I]; V], [f64; V]) = (matrix(1), vector(2));
    let (x, c): ([f64; I], [f64; V]) = (vector(3), vector(4));
    let loss = |weight: &[[f64; I]; V], bias: &[f64; V], x: &[f64; I]| {
        let mut y = [0.0; V];
        linear_forward(weight, bias, x, &mut y);
        dot(&y, &c)
    };
    let mut d_x = [0.0; I];
    linear_backward_input(&weight, &c, &mut d_x);
    let slopes = numeric(&x, |x| loss(&weight, &bias, x.try_into().unwrap()));
    assert_gradient(&d_x, &slopes, "linear_backward_input");

    let mut d_weight = [[0.0; I]; V];
    linear_backward_weight(&[(&x, &c)], &mut d_weight);
    let slopes = numeric(weight.as_flattened(), |w| loss(w.as_chunks().0.try_into().unwrap(), &bias, &x));
    assert_gradient(d_weight.as_flattened(), &slopes, "linear_backward_weight");
    let mut d_weight = [[0.0; I]; V];
    linear_backward_weights([(&x, &c)].into_iter(), &mut d_weight);
    assert_gradient(d_weight.as_flattened(), &slopes, "linear_backward_weights");

    let mut d_bias = [0.0; V];
    linear_backward_bias([&c].into_iter(), &mut d_bias);
    let slopes = numeric(&bias, |b| loss(&weight, b.try_into().unwrap(), &x));
    assert_gradient(&d_bias, &slopes, "linear_backward_bias");
}

#[test]
fn linear() {
    check_linear::<1, 3>();
    check_linear::<7, 3>();
    check_linear::<16, 9>();
    check_linear::<37, 11>();
    check_linear::<130, 5>();
}

#[test]
fn lookup() {
    const H: usize = 5;
    let (table, bias): ([[[f64; H]; 3]; 2], [f64; H]) = ([matrix(1), matrix(2)], vector(3));
    let c: [f64; H] = vector(4);
    for symbols in [[Some(2), Some(0)], [None, Some(1)], [Some(0), None]] {
        let slopes = numeric(table.as_flattened().as_flattened(), |flat| {
            let rows = flat.as_chunks::<H>().0.as_chunks::<3>().0;
            let mut y = [0.0; H];
            lookup_forward(rows.try_into().unwrap(), &bias, &symbols, &mut y);
            dot(&y, &c)
        });
        let mut d_table = [[[0.0; H]; 3]; 2];
        for (symbol, d_rows) in symbols.into_iter().zip(&mut d_table) {
            lookup_backward(symbol, &c, d_rows);
        }
        assert_gradient(d_table.as_flattened().as_flattened(), &slopes, "lookup_backward");
    }
}

#[test]
fn mlp_activation() {
    const H: usize = 20;
    let (x, c): ([f64; H], [f64; H]) = (vector(1), vector(2));
    let dropout = Dropout::new(0.25, Stream::new(1, Purpose::Dropout));
    let example = Example::<2> { dropout, ..Example::EMPTY };
    let activated = |x: &[f64]| {
        let mut y: [f64; H] = x.try_into().unwrap();
        Mlp::<2, 3, H>::activate(&example, &mut y);
        y
    };
    let slopes = numeric(&x, |x| dot(&activated(x), &c));
    let mut d_x = c;
    Mlp::<2, 3, H>::activate_backward(&example, &activated(&x), &mut d_x);
    assert_gradient(&d_x, &slopes, "activate_backward");
}

#[test]
fn relu() {
    let (x, c): ([f64; 20], [f64; 20]) = (vector(1), vector(2));
    let slopes = numeric(&x, |x| {
        let mut y = x.to_vec();
        relu_forward(&mut y);
        dot(&y, &c)
    });
    let (mut y, mut d) = (x, c);
    relu_forward(&mut y);
    relu_backward(&y, &mut d);
    assert_gradient(&d, &slopes, "relu_backward");
    let (mut y, mut d) = (x, c);
    Relu::forward(&mut y);
    Relu::backward(&y, &mut d, 0.7);
    assert_gradient(&d, &slopes, "Relu::backward");
    let mut edges = [0.0, -0.0, f64::NAN, f64::NEG_INFINITY];
    relu_forward(&mut edges);
    assert_eq!(edges.map(f64::to_bits), [0; 4], "the derivative at 0 is 0, and nothing else survives");
}

/// Steps have the slope of the ramp that they stand for, and each value above 0 its price.
#[test]
fn dropout() {
    let (x, c): ([f64; 200], [f64; 200]) = (vector(1), vector(2));
    let dropout = Dropout::new(0.3, Stream::new(1, Purpose::Dropout).child(0, 0));
    let forward = |x: &[f64]| {
        let mut y = x.to_vec();
        relu_forward(&mut y);
        dropout.forward(1, &mut y);
        y
    };
    let mut d = c;
    relu_backward(&forward(&x), &mut d);
    dropout.backward(&mut d);
    assert_gradient(&d, &numeric(&x, |x| dot(&forward(x), &c)), "dropout after max(0, x)");
    // Alone it is its own transpose.
    let alone = |x: &[f64]| {
        let mut y = x.to_vec();
        dropout.forward(1, &mut y);
        y
    };
    assert_gradient(&alone(&c), &numeric(&x, |x| dot(&alone(x), &c)), "dropout alone");
}

fn check_steps<const UNITS: usize>(price: f64) {
    const WEIGHT: f64 = 0.7;
    let mut largest = [1e9];
    Stepped::<Int4, UNITS>::forward(&mut largest);
    let [largest] = largest;
    // None within half a step, 1/16, of where the ramp bends.
    let x = [-2.0, -0.3, 0.2, 0.9, 1.7, largest - 0.2, largest + 0.2, largest + 3.0];
    let c: [f64; 8] = vector(2);
    let slopes = numeric(&x, |x| {
        let ramp: Vec<f64> = x.iter().map(|x| x.clamp(0.0, largest)).collect();
        dot(&ramp, &c) + WEIGHT * price * ramp.iter().sum::<f64>()
    });
    let (mut y, mut d) = (x, c);
    Stepped::<Int4, UNITS>::forward(&mut y);
    Stepped::<Int4, UNITS>::backward(&y, &mut d, WEIGHT);
    assert_gradient(&d, &slopes, "Stepped::backward");
}

#[test]
fn steps() {
    check_steps::<2>(0.0);
    check_steps::<256>(Int4::PRICE);
}

#[test]
fn gelu() {
    let x: [f64; 20] = vector::<20>(1).map(|x| 3.0 * x);
    let c: [f64; 20] = vector(2);
    let slopes = numeric(&x, |x| {
        let mut y = x.to_vec();
        gelu_forward(&mut y);
        dot(&y, &c)
    });
    let (mut y, mut slope) = (x, [0.0; 20]);
    gelu_forward_slope(&mut y, &mut slope);
    let d: Vec<f64> = slope.iter().zip(c).map(|(slope, c)| gelu_backward(*slope, c)).collect();
    assert_gradient(&d, &slopes, "gelu_backward");
    let mut same = x;
    gelu_forward(&mut same);
    assert_eq!(y, same, "with and without the slope");
    let (mut edges, mut slope) = ([0.0, -0.0, -1e3, 1e3], [0.0; 4]);
    gelu_forward_slope(&mut edges, &mut slope);
    assert_eq!((edges, slope), ([0.0, 0.0, 0.0, 1e3], [0.5, 0.5, 0.0, 1.0]));
}

/// Checks both products with an `O` × `I` matrix at `L` positions under the loss Σ c_il·y_il.
fn check_products<const I: usize, const O: usize, const L: usize>() {
    let w: [[f64; I]; O] = matrix(1);
    let (x, c): ([[f64; L]; I], [[f64; L]; O]) = (matrix(2), matrix(3));
    let blocks = |x: &[[f64; L]]| {
        let mut blocks = x.to_vec();
        transpose_blocks(x, &mut blocks);
        blocks
    };
    let forward = |w: &[[f64; I]; O], x: &[[f64; L]; I]| {
        let mut y = [[f64::NAN; L]; O];
        product(w, x, &mut y, |_, sum| sum);
        dot(y.as_flattened(), c.as_flattened())
    };
    let mut d_x = [[0.0; L]; I];
    product_transposed(&w, &c, &mut d_x, |d_x, sum| d_x + sum);
    let slopes = numeric(x.as_flattened(), |x| forward(&w, x.as_chunks().0.try_into().unwrap()));
    assert_gradient(d_x.as_flattened(), &slopes, "product_transposed");
    let mut d_w = [[0.0; I]; O];
    product_backward_weight(0..L, &c, blocks(&x).as_slice().try_into().unwrap(), &mut d_w);
    let slopes = numeric(w.as_flattened(), |w| forward(w.as_chunks().0.try_into().unwrap(), &x));
    assert_gradient(d_w.as_flattened(), &slopes, "product_backward_weight");

    // The transposed product leads from c back to x's shape, so x now weighs its outputs.
    let forward = |w: &[[f64; I]; O]| {
        let mut y = [[f64::NAN; L]; I];
        product_transposed(w, &c, &mut y, |_, sum| sum);
        dot(y.as_flattened(), x.as_flattened())
    };
    let mut d_w = [[0.0; I]; O];
    product_backward_weight(0..L, &c, blocks(&x).as_slice().try_into().unwrap(), &mut d_w);
    let slopes = numeric(w.as_flattened(), |w| forward(w.as_chunks().0.try_into().unwrap()));
    assert_gradient(d_w.as_flattened(), &slopes, "product_backward_weight of the transposed product");
}

#[test]
fn products() {
    check_products::<1, 1, 1>();
    check_products::<3, 7, 5>();
    check_products::<16, 9, 16>();
    check_products::<21, 6, 19>();
}

fn check_rms_norm<const D: usize, const L: usize>() {
    let gain: [f64; D] = vector(1);
    let (x, c): ([[f64; L]; D], [[f64; L]; D]) = (matrix(2), matrix(3));
    let loss = |gain: &[f64; D], x: &[[f64; L]; D]| {
        let mut y = [[f64::NAN; L]; D];
        rms_norm_forward(gain, x, &mut y);
        dot(y.as_flattened(), c.as_flattened())
    };
    let (mut d, mut d_gain) = (c, [f64::NAN; D]);
    rms_norm_backward(&gain, &x, &mut d, &mut d_gain);
    let slopes = numeric(x.as_flattened(), |x| loss(&gain, x.as_chunks().0.try_into().unwrap()));
    assert_gradient(d.as_flattened(), &slopes, "rms_norm_backward");
    let slopes = numeric(&gain, |gain| loss(gain.try_into().unwrap(), &x));
    assert_gradient(&d_gain, &slopes, "rms_norm_backward, the gain");
}

#[test]
fn rms_norm() {
    check_rms_norm::<3, 2>();
    check_rms_norm::<5, 16>();
    check_rms_norm::<8, 19>();
    let mut y = [[f64::NAN; 2]; 3];
    rms_norm_forward(&[1.0; 3], &[[0.0; 2]; 3], &mut y);
    assert_eq!(y, [[0.0; 2]; 3], "zeros stay zeros");
}

fn check_attention<const K: usize, const L: usize>() {
    let inputs: [[[f64; L]; K]; 3] =
        [matrix(1), matrix(2), matrix(3)].map(|map: [[f64; L]; K]| map.map(|row| row.map(|x| 2.0 * x)));
    let c: [[f64; L]; K] = matrix(4);
    let loss = |inputs: &[f64]| {
        let maps = inputs.as_chunks::<L>().0.as_chunks::<K>().0;
        let (mut share, mut y) = ([[f64::NAN; L]; L], [[f64::NAN; L]; K]);
        attention_forward(&maps[0], &maps[1], &maps[2], &mut share, &mut y);
        dot(y.as_flattened(), c.as_flattened())
    };
    let [mut query, mut key, mut value] = inputs;
    let (mut share, mut y) = ([[f64::NAN; L]; L], [[f64::NAN; L]; K]);
    attention_forward(&query, &key, &value, &mut share, &mut y);
    for l in 0..L {
        let total: f64 = share.iter().map(|row| row[l]).sum();
        assert_close(total, 1.0, SHARES, "the shares of a position");
    }
    attention_backward(&mut query, &mut key, &mut value, &mut share, &mut c.clone(), &mut [[f64::NAN; L]; L]);
    let slopes = numeric(inputs.as_flattened().as_flattened(), loss);
    let gradient = [query, key, value];
    assert_gradient(gradient.as_flattened().as_flattened(), &slopes, "attention_backward");
}

#[test]
fn attention() {
    check_attention::<2, 3>();
    check_attention::<5, 16>();
    check_attention::<7, 18>();
}

#[test]
fn cross_entropy_with_and_without_excluded_symbols() {
    let z: [f64; 19] = vector(1);
    for symbols in [19, 16, 7, 1] {
        let loss = |z: &[f64]| cross_entropy(&mut <[f64; 19]>::try_from(z).unwrap(), symbols, 0, 1.7);
        let slopes = numeric(&z, loss);
        let mut d_z = z;
        cross_entropy(&mut d_z, symbols, 0, 1.7);
        assert!(d_z[symbols..].iter().all(|d| *d == 0.0), "symbols past the alphabet get no gradient");
        if symbols > 1 {
            assert_gradient(&d_z, &slopes, "cross_entropy");
        } else {
            assert_close(loss(&z), 0.0, F64, "one symbol is certain");
        }
    }
}

/// Checks every parameter of model `M`, from parameters large enough that no gradient is negligible, with all hidden values
/// and with dropout.
fn check_model<M: Model<L, V>, const L: usize, const V: usize>(symbols: u8, name: &str) {
    let examples = batch::<L>(5, symbols);
    check_examples::<M, L, V>(&examples, symbols, name);
    let dropout = |row| Dropout::new(0.3, Stream::new(2, Purpose::Dropout).child(0, row));
    let with = |(row, example)| Example { dropout: dropout(row), ..example };
    let examples: Vec<_> = (0..).zip(examples).map(with).collect();
    check_examples::<M, L, V>(&examples, symbols, &format!("{name} with dropout"));
}

fn check_examples<M: Model<L, V>, const L: usize, const V: usize>(
    examples: &[Example<L>],
    symbols: u8,
    name: &str,
) {
    let parameters = numbers(5, M::PARAMETERS);
    let symbols = usize::from(symbols);
    let loss = |parameters: &[f64]| -> f64 {
        loss_and_gradient::<M, L, V>(parameters, examples, symbols).0.iter().sum()
    };
    let (_, gradient) = loss_and_gradient::<M, L, V>(&parameters, examples, symbols);
    let slopes = numeric(&parameters, loss);
    let (mut gradient, mut slopes) = (&gradient[..], &slopes[..]);
    for tensor in M::TENSORS {
        let parts = [&mut gradient, &mut slopes].map(|flat| flat.split_off(..tensor.len()).unwrap());
        assert_gradient(parts[0], parts[1], &format!("{name}, {}", tensor.name));
    }
    assert!(gradient.is_empty() && slopes.is_empty(), "{name}: the tensors are the whole");
}

#[test]
fn mlp() {
    check_model::<Mlp<3, 4, 5>, 3, 4>(4, "Mlp<3, 4, 5>");
    check_model::<Mlp<4, 7, 17>, 4, 7>(5, "Mlp<4, 7, 17> with 5 symbols");
}

#[test]
fn residual() {
    check_model::<Residual<3, 4, 16>, 3, 4>(4, "Residual<3, 4, 16>");
    check_model::<Residual<2, 7, 16>, 2, 7>(5, "Residual<2, 7, 16> with 5 symbols");
}

#[test]
fn convolution() {
    check_model::<Convolution<4, 5, 6, 2, 3>, 4, 5>(5, "Convolution<4, 5, 6, 2, 3>");
    check_model::<Convolution<16, 3, 16, 1, 5>, 16, 3>(3, "Convolution<16, 3, 16, 1, 5>");
    check_model::<Convolution<2, 7, 3, 3, 7>, 2, 7>(5, "Convolution<2, 7, 3, 3, 7> with 5 symbols");
}

#[test]
fn transformer() {
    check_model::<Transformer<3, 4, 4, 2, 2, 2>, 3, 4>(4, "Transformer<3, 4, 4, 2, 2, 2>");
    check_model::<Transformer<2, 3, 2, 4, 1, 2>, 2, 3>(3, "Transformer<2, 3, 2, 4, 1, 2>");
    check_model::<Transformer<5, 7, 6, 1, 2, 3>, 5, 7>(5, "Transformer<5, 7, 6, 1, 2, 3> with 5 symbols");
    check_model::<Transformer<16, 3, 16, 1, 1, 16>, 16, 3>(3, "Transformer<16, 3, 16, 1, 1, 16>");
}
