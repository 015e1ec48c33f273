//! Adam with decoupled weight decay, its learning rate, and an average of the weights.
//!
//! For the gradient g at step t = 1, 2, …:
//!
//! ```text
//! m = β₁·m + (1 − β₁)·g     v = β₂·v + (1 − β₂)·g²     w = w − η·(m̂ / (√v̂ + ε) + λ·w)
//! m̂ = m / (1 − β₁ᵗ)         v̂ = v / (1 − β₂ᵗ)
//! ```
//!
//! The divisions undo the bias of starting at 0: m = (1 − β₁)·Σ_i β₁^(t−i)·g_i, i = 1 … t, is a mean of gradients whose
//! weights add up to 1 − β₁ᵗ.
//!
//! **Average.** a = a + (1 − κ_t)·(w − a) with κ_t = min(κ, t/(t + 9)). At first the average spans about a tenth of the steps
//! so far, later 1/(1 − κ) steps. It smooths the noise of single batches, which the weights themselves lose only as the
//! learning rate falls.
//!
//! **Small moments.** Moments below [`SMALLEST`] in magnitude are set to 0. Without a gradient they would shrink until they
//! are subnormal (below 2⁻¹²⁶), and some processors take a hundred times as long to compute with subnormals. Gradients end
//! where no name has a letter, or where a hidden unit stays at 0. So small a moment no longer moves a weight: √v̂ is lost in
//! the sum with ε, and η·m/ε in any weight except one next to 0.
//!
//! Each element is updated on its own, so any split of the parameters gives equal bits.
//!
//! Source: D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1; I. Loshchilov and F. Hutter,
//! "Decoupled Weight Decay Regularization", 2019, algorithm 2; for the average, B. Polyak and A. Juditsky, "Acceleration of
//! Stochastic Approximation by Averaging", 1992.

use crate::math::{Real, power};

/// Adam's moments below 2⁻¹¹⁰ in magnitude are flushed to 0, so that their products with β₁, β₂ or a learning rate stay
/// normal.
pub const SMALLEST: f64 = 7.703_719_777_548_943e-34;

/// Adam's settings, constant during a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// β₁, the share of the mean gradient that a step keeps.
    pub beta_1: f64,
    /// β₂, the share of the mean squared gradient that a step keeps.
    pub beta_2: f64,
    /// ε, which keeps the division finite.
    pub epsilon: f64,
    /// λ, the weight decay per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for Adam {
    /// The paper's β₁ 0.9, β₂ 0.999, ε 10⁻⁸, and no weight decay.
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// Coefficients of one step of Adam: [`Adam::step`] computes them, and [`update`](Self::update) applies them.
///
/// `R` is the type of a weight, `f32` or `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep<R> {
    beta_1: R,
    beta_2: R,
    rest_1: R,
    rest_2: R,
    epsilon: R,
    /// η / (1 − β₁ᵗ).
    rate: R,
    /// 1 / (1 − β₂ᵗ).
    correction: R,
    /// 1 − η·λ.
    keep: R,
}

impl Adam {
    /// Computes the coefficients of step `step`, counted from 0, at `learning_rate`.
    pub fn step<R: Real>(&self, step: u32, learning_rate: f64) -> AdamStep<R> {
        let t = step.saturating_add(1);
        AdamStep {
            beta_1: R::of(self.beta_1),
            beta_2: R::of(self.beta_2),
            rest_1: R::of(1.0 - self.beta_1),
            rest_2: R::of(1.0 - self.beta_2),
            epsilon: R::of(self.epsilon),
            rate: R::of(learning_rate / (1.0 - power(self.beta_1, t))),
            correction: R::of(1.0 / (1.0 - power(self.beta_2, t))),
            keep: R::of(1.0 - learning_rate * self.weight_decay),
        }
    }
}

impl<R: Real> AdamStep<R> {
    /// Takes a step of Adam, in place: updates `weights`, the mean gradient `m` and the mean squared gradient `v` by
    /// `gradient`.
    ///
    /// The step includes weight decay, and undoes the bias of `m` and `v` at the start. All four slices have the length
    /// of `weights`; a shorter one panics.
    ///
    /// `sqrt` is the correctly rounded square root, whose bits IEEE 754 fixes. The caller may pass one that the
    /// compiler can vectorise.
    #[expect(clippy::indexing_slicing, reason = "a training kernel; all four have one length")]
    #[inline(always)]
    pub fn update(&self, weights: &mut [R], gradient: &[R], m: &mut [R], v: &mut [R], sqrt: impl Fn(R) -> R) {
        let count = weights.len();
        let (g, m, v) = (&gradient[..count], &mut m[..count], &mut v[..count]);
        for i in 0..count {
            m[i] = flushed(self.beta_1 * m[i] + self.rest_1 * g[i]);
            v[i] = flushed(self.beta_2 * v[i] + self.rest_2 * (g[i] * g[i]));
            weights[i] =
                weights[i] * self.keep - self.rate * m[i] / (sqrt(v[i] * self.correction) + self.epsilon);
        }
    }
}

/// Flushes `moment` to 0 if its magnitude is below [`SMALLEST`].
#[inline(always)]
fn flushed<R: Real>(moment: R) -> R {
    let smallest = R::of(SMALLEST);
    if moment < smallest && -moment < smallest { R::ZERO } else { moment }
}

/// The `rate` of [`average_update`], the share of the new weights in the average, after step `step`, counted from 0: 1
/// − min(κ, t/(t + 9)) with t = `step` + 1.
///
/// κ = `decay` is the share of the average that a late step keeps; early steps keep less.
pub fn average_rate<R: Real>(step: u32, decay: f64) -> R {
    let t = f64::from(step) + 1.0;
    let kept = t / (t + 9.0);
    R::of(1.0 - if kept < decay { kept } else { decay })
}

/// Moves the running average a of the weights towards the `weights` w: a += `rate`·(w − a) for each element. Both
/// slices have one length; numbers past the shorter one stay as they are.
#[expect(clippy::indexing_slicing, reason = "i is below both lengths")]
#[inline(always)]
pub fn average_update<R: Real>(average: &mut [R], weights: &[R], rate: R) {
    let count = average.len().min(weights.len());
    let (average, weights) = (&mut average[..count], &weights[..count]);
    for i in 0..count {
        average[i] += rate * (weights[i] - average[i]);
    }
}

/// The learning rate of step `step` of `steps`, counted from 0.
///
/// Step s of the first `warm_up` has the rate `peak`·(s + 1)/`warm_up`. From `peak` at step `warm_up`, the rate then
/// falls linearly to `floor`·`peak` at the last step, and stays there. A run of at most `warm_up` + 1 steps ends before
/// it falls.
pub fn learning_rate(step: u32, steps: u32, peak: f64, warm_up: u32, floor: f64) -> f64 {
    if step < warm_up {
        return peak * (f64::from(step) + 1.0) / f64::from(warm_up);
    }
    let length = steps.saturating_sub(warm_up).saturating_sub(1).max(1);
    let done = f64::from(step.saturating_sub(warm_up)) / f64::from(length);
    peak * (1.0 + (floor - 1.0) * done.min(1.0))
}
