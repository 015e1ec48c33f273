//! Every tolerance of the tests, with its reason. A change here is a change of what is promised.

/// Gradient check: |analytic − numeric| against 1 + |analytic|. Central differences with step h have an error of
/// about h²·f‴/6 + ε·f/h; with h = 10⁻⁵ and f of order 10 that is some 10⁻¹⁰.
pub const GRADIENT_CHECK: f64 = 1e-8;
/// The step of the gradient check.
pub const GRADIENT_STEP: f64 = 1e-5;
/// The step of the gradient check of a smooth network, by differences of the fourth order: errors of h⁴·f⁽⁵⁾/30 + ε·f/h.
pub const SMOOTH_STEP: f64 = 1e-4;
/// Our f64 against the oracle's f64: sums of up to 70 terms of order 1 in another order, 2⁻⁵³ each.
pub const ORACLE_F64: f64 = 1e-14;
/// After three optimiser steps the differences have passed a division by √v̂, which is as small as the gradient.
pub const ORACLE_F64_ADAM: f64 = 1e-13;
/// Random logits, parameters and orders in f64: differences of numbers up to some hundreds, 2⁻⁵³ of those each.
pub const PROPERTY_F64: f64 = 1e-12;
/// Dense layer, our f32 against f64: up to 9 terms in each of 8 lanes, 3 halvings and the bias, 2⁻²⁴ each.
pub const ORACLE_LINEAR: f64 = 1e-6;
/// Softmax and cross-entropy, f32 against f64: an exponential (1.22 units in the last place), a sum in lanes, a reciprocal, a
/// logarithm and two differences, of values up to 8.
pub const ORACLE_SOFTMAX: f64 = 1e-6;
/// GELU and its slope, f32 against f64: an exponential and some eight products, sums and quotients, 2⁻²⁴ each.
pub const ORACLE_GELU: f64 = 6e-7;
/// Product of matrices, f32 against f64: up to 19 terms in one accumulator, 2⁻²⁴ each.
pub const ORACLE_PRODUCT: f64 = 1.2e-6;
/// Normalisation, f32 against f64: a sum of six squares, a root, a reciprocal and three products, 2⁻²⁴ each.
pub const ORACLE_NORM: f64 = 6e-7;
/// Attention, f32 against f64: a product of up to 8 terms, a softmax and a product of up to 17 terms, 2⁻²⁴ each.
pub const ORACLE_ATTENTION: f64 = 2e-6;
/// Scores of a network at work against f64 logits: rounded by up to 2⁻¹⁷ = 7.7·10⁻⁶, and what the f32 layers add.
pub const ORACLE_SCORES: f64 = 1e-5;
/// A probability from integer weights against f64: the chord of the 65-entry table and the rounding to 2⁻²³.
pub const CATEGORICAL: f64 = 2e-5;
/// A probability from counts and a network against f64: a score rounded by 2⁻¹⁷ nat = 7.6·10⁻⁶, an f32 softmax, and five mixtures of
/// 2⁻²³ each.
pub const RETRIEVED: f64 = 1e-5;
/// A corrected score in nats against f64: an f32 softmax of six steps in a hundred predictions, or a score rounded by 2⁻¹⁷ nat and
/// divided by a temperature of ½.
pub const CALIBRATED: f64 = 1e-4;
/// A confidence in 1/65536 against f64: rounded down by less than 2⁻¹⁶, from a total less its last 8 bits of 23, 2⁻¹⁵.
pub const CONFIDENCE: f64 = 5e-5;
/// 2^(−x) against f64, of the value: the chord lies above the curve by (ln 2/64)²/8 at most, and the entries are rounded.
pub const POWER_OF_TWO: f64 = 1.6e-5;
/// An entry of the table of powers, of at least 2²², rounded by a half.
pub const POWER_ENTRY: f64 = 1.2e-7;
/// A few operations in f64, each rounded by 2⁻⁵³ of a value of order 1.
pub const F64: f64 = 1e-15;
/// A number of order 1 rounded once to f32, by 2⁻²⁴ of itself.
pub const F32: f64 = 1e-7;
/// Up to 18 shares that add up to 1, in f64.
pub const SHARES: f64 = 1e-14;
/// A loss by soft targets against the mean of losses by hard ones: shares in f32, 2⁻²⁴ of each, times logits up to 10.
pub const SOFT_LOSS: f64 = 1e-6;
/// Probabilities that a network has learned until its loss no longer fell, against those of the least loss.
pub const LEARNED: f64 = 1e-3;
/// A gradient check must see a slope of this size in each tensor: far above the error it allows.
pub const GRADIENT_SEEN: f64 = 1e-3;
/// The cosine schedule in f32 against f64: the angle, the cosine and its square, 2⁻²⁴ each.
pub const COSINE: f64 = 5e-7;
/// −ln p of f32 against f64: an exponential, a sum of nine and a logarithm, values up to 4.
pub const LOG_PROBABILITY: f64 = 1e-6;
/// −ln p of a text of three positions, and the sum of e^ of 27 of them: a few f32 numbers as in [`LOG_PROBABILITY`], added in f64.
pub const LIKELIHOOD: f64 = 2e-6;
/// The scatter of 400 estimates against what their errors say: 1/√800 = 0.035 for the scatter alone.
pub const JACKKNIFE: f64 = 0.07;
/// A loss of training against that of the model at work: scores are rounded by up to 2⁻¹⁷ nat, some dozens of them with
/// weights up to 4 make a loss of order 10.
pub const AT_WORK: f64 = 1e-4;
/// Shares of a batch over 2,000 draws, which the strata keep far closer to even than independent draws would.
pub const UNIFORM: f64 = 0.02;
/// A mean over 4,000 draws of each of three terms of the bound: its standard error is 0.013 nat, of some 3 nats.
pub const BOUND: f64 = 0.01;
/// A figure that a document shows to three digits.
pub const SHOWN: f64 = 1e-3;
/// The variance of the mean of a batch, found from 100,000 batches, whose terms have long tails, against its derivation.
pub const BATCH_VARIANCE: f64 = 0.015;
/// A statistic of a fixed seed must lie within so many of its standard deviations from its mean (√(2·freedom) for χ²). The
/// seed is fixed, so it cannot flake.
pub const SIGMAS: f64 = 4.0;
/// The largest error of our f32 `exp` in units in the last place; measured over every f32 of the domain: 1.2183.
pub const EXP_ULPS: f64 = 1.22;

/// Panics unless `a` and `b` agree within `tolerance`·(1 + |b|), with sign.
#[track_caller]
pub fn assert_close(a: f64, b: f64, tolerance: f64, what: &str) {
    assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: {a} against {b}");
}
