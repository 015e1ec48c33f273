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

use common::tolerance::{GRADIENT_CHECK, GRADIENT_STEP, assert_close};
use common::{batch, loss_and_gradient, matrix, numbers, vector};
use micro_diffusion::activation::{relu_backward, relu_forward};
use micro_diffusion::denoiser::Model;
use micro_diffusion::linear::{
    linear_backward_bias, linear_backward_input, linear_backward_weight, linear_forward, lookup_backward,
    lookup_forward,
};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::softmax::cross_entropy;

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
        numeric.iter().any(|slope| slope.abs() > 0.001),
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
        let mut y = [[0.0; V]];
        linear_forward(weight, bias, [x], &mut y);
        dot(&y[0], &c)
    };
    let mut d_x = [0.0; I];
    linear_backward_input(&weight, &c, &mut d_x);
    let slopes = numeric(&x, |x| loss(&weight, &bias, x.try_into().unwrap()));
    assert_gradient(&d_x, &slopes, "linear_backward_input");

    let mut d_weight = [[0.0; I]; V];
    linear_backward_weight(&[(&x, &c)], &mut d_weight);
    let slopes = numeric(weight.as_flattened(), |w| loss(w.as_chunks().0.try_into().unwrap(), &bias, &x));
    assert_gradient(d_weight.as_flattened(), &slopes, "linear_backward_weight");

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
    let mut edges = [0.0, -0.0, f64::NAN, f64::NEG_INFINITY];
    relu_forward(&mut edges);
    assert_eq!(edges.map(f64::to_bits), [0; 4], "the derivative at 0 is 0, and nothing else survives");
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
            assert!(loss(&z).abs() < 1e-15, "one symbol is certain");
        }
    }
}

/// Checks every parameter of model `M`, from parameters large enough that no gradient is negligible.
fn check_model<M: Model<L, V>, const L: usize, const V: usize>(symbols: u8, name: &str) {
    let parameters = numbers(5, M::PARAMETERS);
    let examples = batch::<L>(5, symbols);
    let symbols = usize::from(symbols);
    let loss = |parameters: &[f64]| -> f64 {
        loss_and_gradient::<M, L, V>(parameters, &examples, symbols).0.iter().sum()
    };
    let (_, gradient) = loss_and_gradient::<M, L, V>(&parameters, &examples, symbols);
    assert_gradient(&gradient, &numeric(&parameters, loss), name);
}

#[test]
fn mlp() {
    check_model::<Mlp<3, 4, 5>, 3, 4>(4, "Mlp<3, 4, 5>");
    check_model::<Mlp<4, 7, 17>, 4, 7>(5, "Mlp<4, 7, 17> with 5 symbols");
}

/// Every `*_backward` of the core is named in this file.
#[test]
fn every_backward_is_checked() {
    let tests = include_str!("gradients.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for part in source.split("pub fn ").skip(1) {
            let name = part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            if name.contains("_backward") {
                found += 1;
                assert!(
                    tests.contains(&format!("{name}(")),
                    "{name} has no gradient check in tests/gradients.rs"
                );
            }
        }
    }
    assert!(found >= 5, "the search finds the backward passes");
}
