//! The kernels that only further networks, dropout and training for integers need; see [`kernels`](crate::kernels).

use crate::activation::Activation;
use crate::attention::{self, Heads};
use crate::dropout::Dropout;
use crate::embedding::{self, Embedding};
use crate::gelu;
use crate::math::{Real, Stored};
use crate::normalisation;
use crate::product::{self, Store};
use crate::rounding::{self, Grid};
use crate::softmax::Answer;
use crate::softmax_of_maps;

/// What computes: each function is the one of its name in the file that documents it.
pub trait FurtherKernels<R: Real>: Copy + Send + Sync {
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

    /// [`gelu_forward`](crate::gelu::gelu_forward).
    fn gelu_forward(self, x: &mut [R]) {
        gelu::gelu_forward(x);
    }

    /// [`gelu_forward_slope`](crate::gelu::gelu_forward_slope).
    fn gelu_forward_slope(self, x: &mut [R], slope: &mut [R]) {
        gelu::gelu_forward_slope(x, slope);
    }

    /// [`Activation::hold`].
    fn hold(self, activation: Activation, x: &mut [R]) {
        Activation::hold(activation, x);
    }

    /// [`cross_entropy_of_positions`](crate::softmax_of_maps::cross_entropy_of_positions).
    fn cross_entropy_of_positions(
        self,
        answers: &[Answer],
        weights: &[f32],
        symbols: usize,
        z: &mut [R],
        losses: &mut [R],
    ) {
        softmax_of_maps::cross_entropy_of_positions(answers, weights, symbols, z, losses);
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

    /// [`straight_through`](crate::rounding::straight_through).
    fn straight_through(self, grid: Grid, rounded: &mut [f32], floats: &mut [f32]) {
        rounding::straight_through(grid, rounded, floats);
    }

    /// [`Dropout::forward`].
    fn dropout_forward(self, dropout: Dropout, layer: usize, x: &mut [R]) {
        Dropout::forward(dropout, layer, x);
    }

    /// [`Dropout::backward`].
    fn dropout_backward(self, dropout: Dropout, d_y: &mut [R]) {
        Dropout::backward(dropout, d_y);
    }
}
