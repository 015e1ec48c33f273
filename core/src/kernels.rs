//! The seam between the networks and what computes: every loop that takes time, as a function of slices and sizes.
//!
//! A network calls its loops through [`Kernels`] and knows no instruction set. [`Plain`] is the loops as they stand in the
//! files above, for every kind of number; whoever knows the machine may compile them for its instruction sets and choose one
//! at run time. The bits are the same, since each file documents the order of its sums and nothing is fused.
//!
//! Most kernels do the work of a batch at one position, or of all positions of one example; the least is a row of the hidden
//! layer. Choosing the instruction set costs a nanosecond or two beside it. Sizes are arguments and not types, so a kernel is compiled once, however many shapes of networks there are.

use crate::activation::{self, Activation};
use crate::adam::{AdamStep, average_update};
use crate::attention::{self, Heads};
use crate::dropout::Dropout;
use crate::embedding::{self, Embedding};
use crate::linear;
use crate::math::{Real, Stored};
use crate::normalisation;
use crate::product::{self, Store};
use crate::rounding::{self, Grid};
use crate::softmax::{self, Answer, Target};

/// What computes: each function is the one of its name in the file that documents it.
pub trait Kernels<R: Real>: Copy + Send + Sync {
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

    /// [`linear_backward_bias`](crate::linear::linear_backward_bias).
    fn linear_backward_bias(self, rows: &[usize], d_y: &[R], d_bias: &mut [R]) {
        linear::linear_backward_bias(rows, d_y, d_bias);
    }

    /// [`add_scaled`](crate::linear::add_scaled).
    fn add_scaled(self, y: &mut [R], a: R, x: &[R]) {
        linear::add_scaled(y, a, x);
    }

    /// [`product`](crate::product::product).
    fn product<W: Stored<R>>(self, w: &[W], x: &[R], y: &mut [R], width: usize, store: Store) {
        product::product(w, x, y, width, store);
    }

    /// [`product_transposed`](crate::product::product_transposed).
    fn product_transposed<W: Stored<R>>(self, w: &[W], x: &[R], y: &mut [R], width: usize, store: Store) {
        product::product_transposed(w, x, y, width, store);
    }

    /// [`product_backward_weight`](crate::product::product_backward_weight).
    fn product_backward_weight(self, positions: &[usize], d_y: &[R], x: &[R], d_w: &mut [R], width: usize) {
        product::product_backward_weight(positions, d_y, x, d_w, width);
    }

    /// [`transpose_blocks`](crate::product::transpose_blocks).
    fn transpose_blocks(self, x: &[R], y: &mut [R], width: usize) {
        product::transpose_blocks(x, y, width);
    }

    /// [`transpose`](crate::product::transpose).
    fn transpose(self, x: &[R], y: &mut [R], width: usize) {
        product::transpose(x, y, width);
    }

    /// [`shift`](crate::product::shift).
    fn shift(self, x: &[R], tap: (usize, usize), y: &mut [R], width: usize, texts: &[u8]) {
        product::shift(x, tap, y, width, texts);
    }

    /// [`add_bias`](crate::product::add_bias).
    fn add_bias<W: Stored<R>>(self, bias: &[W], x: &mut [R], width: usize) {
        product::add_bias(bias, x, width);
    }

    /// [`add_bias_backward`](crate::product::add_bias_backward).
    fn add_bias_backward(self, d_x: &[R], d_bias: &mut [R], width: usize) {
        product::add_bias_backward(d_x, d_bias, width);
    }

    /// [`Activation::forward`].
    fn activation_forward(self, activation: Activation, x: &mut [R]) {
        Activation::forward(activation, x);
    }

    /// [`Activation::backward`].
    fn activation_backward(self, activation: Activation, y: &[R], d_y: &mut [R], weights: &[R]) {
        Activation::backward(activation, y, d_y, weights);
    }

    /// [`Activation::hold`].
    fn hold(self, activation: Activation, x: &mut [R]) {
        Activation::hold(activation, x);
    }

    /// [`gelu_forward`](crate::activation::gelu_forward).
    fn gelu_forward(self, x: &mut [R]) {
        activation::gelu_forward(x);
    }

    /// [`gelu_forward_slope`](crate::activation::gelu_forward_slope).
    fn gelu_forward_slope(self, x: &mut [R], slope: &mut [R]) {
        activation::gelu_forward_slope(x, slope);
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

    /// [`cross_entropy_of_positions`](crate::softmax::cross_entropy_of_positions).
    fn cross_entropy_of_positions(
        self,
        answers: &[Answer],
        weights: &[f32],
        symbols: usize,
        z: &mut [R],
        losses: &mut [R],
    ) {
        softmax::cross_entropy_of_positions(answers, weights, symbols, z, losses);
    }

    /// [`rms_norm_forward`](crate::normalisation::rms_norm_forward) with the correctly rounded square root.
    fn rms_norm_forward<W: Stored<R>>(self, gain: &[W], x: &[R], y: &mut [R], width: usize) {
        normalisation::rms_norm_forward(gain, x, y, width, R::sqrt);
    }

    /// [`rms_norm_backward`](crate::normalisation::rms_norm_backward) with the correctly rounded square root.
    fn rms_norm_backward(self, gain: &[R], x: &[R], d: &mut [R], d_gain: &mut [R], width: usize) {
        normalisation::rms_norm_backward(gain, x, d, d_gain, width, R::sqrt);
    }

    /// [`attention_forward`](crate::attention::attention_forward).
    fn attention_forward(self, heads: Heads, texts: &[u8], inputs: [&[R]; 3], share: &mut [R], y: &mut [R]) {
        attention::attention_forward(heads, texts, inputs, share, y);
    }

    /// [`attention_backward`](crate::attention::attention_backward).
    fn attention_backward(
        self,
        heads: Heads,
        inputs: [&mut [R]; 3],
        share: &mut [R],
        d_y: &mut [R],
        d_share: &mut [R],
    ) {
        attention::attention_backward(heads, inputs, share, d_y, d_share);
    }

    /// [`Dropout::forward`].
    fn dropout_forward(self, dropout: Dropout, layer: usize, x: &mut [R]) {
        Dropout::forward(dropout, layer, x);
    }

    /// [`Dropout::backward`].
    fn dropout_backward(self, dropout: Dropout, d_y: &mut [R]) {
        Dropout::backward(dropout, d_y);
    }

    /// [`embed`](crate::embedding::embed).
    fn embed<W: Stored<R>>(
        self,
        tables: Embedding<W>,
        symbols: &[Option<u8>],
        x: &mut [R],
        width: usize,
        first: usize,
    ) {
        embedding::embed(tables, symbols, x, width, first);
    }

    /// [`embed_backward`](crate::embedding::embed_backward).
    fn embed_backward(self, symbols: &[Option<u8>], d: &[R], symbol: u8, d_row: &mut [R]) {
        embedding::embed_backward(symbols, d, symbol, d_row);
    }

    /// [`embed_backward_from_end`](crate::embedding::embed_backward_from_end).
    fn embed_backward_from_end(self, length: usize, d: &[R], d_from_end: &mut [R], features: usize) {
        embedding::embed_backward_from_end(length, d, d_from_end, features);
    }

    /// [`AdamStep::update`] with the correctly rounded square root.
    fn adam(self, step: &AdamStep<R>, weights: &mut [R], gradient: &[R], m: &mut [R], v: &mut [R]) {
        step.update(weights, gradient, m, v, R::sqrt);
    }

    /// [`average_update`].
    fn average_update(self, average: &mut [R], weights: &[R], rate: R) {
        average_update(average, weights, rate);
    }

    /// [`straight_through`](crate::rounding::straight_through).
    fn straight_through(self, grid: Grid, rounded: &mut [f32], floats: &mut [f32]) {
        rounding::straight_through(grid, rounded, floats);
    }
}

/// The loops as they stand, compiled for whatever the program is compiled for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<R: Real> Kernels<R> for Plain {}
