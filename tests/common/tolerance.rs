//! Every tolerance of the tests, with its reason. A change here is a change of what is promised.

/// Gradient check: |analytic − numeric| against 1 + |analytic|. Central differences with step h have an error of
/// about h²·f‴/6 + ε·f/h; with h = 10⁻⁵ and f of order 10 that is some 10⁻¹⁰.
pub(crate) const GRADIENT_CHECK: f64 = 1e-8;
/// The step of the gradient check.
pub(crate) const GRADIENT_STEP: f64 = 1e-5;
/// Our f64 against the oracle's f64: sums of a few hundred terms in another order.
pub(crate) const ORACLE_F64: f64 = 1e-12;
/// After three optimiser steps the differences have passed a division by √v̂, which is as small as the gradient.
pub(crate) const ORACLE_F64_ADAM: f64 = 1e-9;
/// Our f32 against the oracle's f64: 2⁻²⁴ a term, a few hundred terms, values of order 10.
pub(crate) const ORACLE_F32: f64 = 2e-5;
/// A probability from integer weights against f64: the chord of the 65-entry table and the rounding to 2⁻²³.
pub(crate) const CATEGORICAL: f64 = 2e-5;
/// χ² of a fixed seed must stay below this quantile of its distribution (the seed is fixed, so it cannot flake).
pub(crate) const CHI_SQUARE_SIGMAS: f64 = 4.0;

/// Panics unless `a` and `b` agree within `tolerance`·(1 + |b|), with sign.
#[track_caller]
pub(crate) fn assert_close(a: f64, b: f64, tolerance: f64, what: &str) {
    assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: {a} against {b}");
}
/// The largest error of our f32 `exp` in units in the last place; measured over every f32 of the domain: 1.2183.
pub(crate) const EXP_ULPS: f64 = 1.22;
