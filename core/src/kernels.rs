//! The seam between the networks and what computes: every loop that takes time, as a function of slices and sizes.
//!
//! A network calls its loops through [`Kernels`] and knows no instruction set. [`Plain`] is the loops as they stand in the
//! files above, for every kind of number; whoever knows the machine may compile them for its instruction sets and choose one
//! at run time. The bits are the same, since each file documents the order of its sums and nothing is fused.
//!
//! Most kernels do the work of a batch at one position, or of all positions of one example; the least is a row of the hidden
//! layer. Choosing the instruction set costs a nanosecond or two beside it. Sizes are arguments and not types, so a kernel is compiled once, however many shapes of networks there are.

use crate::activation::Activation;
use crate::adam::{AdamStep, average_update};
use crate::further_kernels::FurtherKernels;
use crate::linear;
use crate::math::{Real, Stored};
use crate::softmax::{self, Target};

/// What computes: each function is the one of its name in the file that documents it. What only further networks, dropout and
/// integers need is in [`FurtherKernels`].
pub trait Kernels<R: Real>: FurtherKernels<R> {
    /// [`lookup_forward`](crate::linear::lookup_forward).
    fn lookup_forward<W: Stored<R>>(self, rows: &[&[W]], y: &mut [R]) {
        linear::lookup_forward(rows, y);
    }

    /// [`lookup_backward`](crate::linear::lookup_backward).
    fn lookup_backward(self, shown: &[(usize, u8)], d_y: &[R], d_table: &mut [R], width: usize) {
        linear::lookup_backward(shown, d_y, d_table, width);
    }

    /// [`linear_forward`](crate::linear::linear_forward).
    fn linear_forward<W: Stored<R>>(self, weight: &[W], bias: &[W], rows: &[usize], x: &[R], y: &mut [R]) {
        linear::linear_forward(weight, bias, rows, x, y);
    }

    /// [`linear_backward_input`](crate::linear::linear_backward_input).
    fn linear_backward_input(self, weight: &[R], rows: &[usize], d_y: &[R], d_x: &mut [R], inputs: usize) {
        linear::linear_backward_input(weight, rows, d_y, d_x, inputs);
    }

    /// [`linear_backward_weight`](crate::linear::linear_backward_weight).
    fn linear_backward_weight(
        self,
        rows: &[usize],
        x: &[R],
        d_y: &[R],
        stride: usize,
        d_weight: &mut [R],
        inputs: usize,
    ) {
        linear::linear_backward_weight(rows, x, d_y, stride, d_weight, inputs);
    }

    /// [`add_scaled`](crate::linear::add_scaled).
    fn add_scaled(self, y: &mut [R], a: R, x: &[R]) {
        linear::add_scaled(y, a, x);
    }

    /// [`Activation::forward`].
    fn activation_forward(self, activation: Activation, x: &mut [R]) {
        Activation::forward(activation, x);
    }

    /// [`Activation::backward`].
    fn activation_backward(self, activation: Activation, y: &[R], d_y: &mut [R], weights: &[R]) {
        Activation::backward(activation, y, d_y, weights);
    }

    /// [`cross_entropy_of_rows`](crate::softmax::cross_entropy_of_rows).
    fn cross_entropy_of_rows(
        self,
        targets: &[Target],
        z: &mut [R],
        outputs: usize,
        symbols: usize,
        losses: &mut [R],
    ) {
        softmax::cross_entropy_of_rows(targets, z, outputs, symbols, losses);
    }

    /// [`AdamStep::update`] with the correctly rounded square root.
    fn adam(self, step: &AdamStep<R>, weights: &mut [R], gradient: &[R], m: &mut [R], v: &mut [R]) {
        step.update(weights, gradient, m, v, R::sqrt);
    }

    /// [`average_update`].
    fn average_update(self, average: &mut [R], weights: &[R], rate: R) {
        average_update(average, weights, rate);
    }
}

/// The loops as they stand, compiled for whatever the program is compiled for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<R: Real> Kernels<R> for Plain {}
impl<R: Real> FurtherKernels<R> for Plain {}
