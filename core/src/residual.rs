//! The residual perceptron: two hidden layers with a skip connection.
//!
//! f = max(0, b_n + Σ_l E\[l\]\[x_l\]) over the shown positions l of a text of n symbols, g = max(0, d + W·f) and h = g + f.
//! Each masked position l has the logits z_l = c_l + U_l·h. E is `input`, b `length`, W `residual`, d `residual_bias`, U
//! `output` and c `output_bias`.
//!
//! Backward, with d_z the gradient from the cross-entropy: d_h = Σ_l U_lᵀ·d_z_l; d_g = d_h where g > 0, else 0; d_f = d_h +
//! Wᵀ·d_g where f > 0, else 0. The sum in d_f is over the two ways from f to h. Then d_U_l = Σ d_z_l·hᵀ, d_c_l = Σ d_z_l,
//! d_W = Σ d_g·fᵀ, d_d = Σ d_g, d_b_n = Σ d_f and d_E\[l\]\[x_l\] = Σ d_f. Sums run over the batch in its order.
//!
//! In training, [dropout](crate::dropout) sets some of f and g to 0.
//!
//! The residual perceptron has (2·L·V + L + 1 + H)·H + L·V parameters: 228,920 for L 12, V 26, H 256.
//!
//! Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, for the skip connection.

use crate::denoiser::{Architecture, AtWork, Example, Model, Part, Shape, Shard};
use crate::kernels::Kernels;
use crate::math::{Real, Stored};
use crate::mlp::{Mlp, MlpView, look_up};
use crate::tensor::{Start, Tensor, cube, matrix, vector};

/// Residual perceptron over `L` positions and `V` symbols: two hidden layers of `H` units, whose sum gives the logits.
///
/// The second layer reads the first. Does not compile if `H` is no multiple of 16, or `L` is above 256.
#[derive(Clone, Copy, Debug)]
pub struct Residual<const L: usize, const V: usize, const H: usize>;

/// References to the parameters of a [`Residual`] with two hidden layers of `H` units, in memory or in a model file.
///
/// `T` is the type of a stored number: a float, or its four bytes in a file.
#[derive(Clone, Copy, Debug)]
pub struct ResidualView<'a, T, const L: usize, const V: usize, const H: usize> {
    /// Tables `input` and `length` of the first hidden layer; weights `output` and `output_bias`, which read the sum of
    /// both hidden layers. Each layer has H units.
    pub outer: MlpView<'a, T, L, V, H>,
    /// Weights from the first hidden layer to the second, `[unit of the second layer][unit of the first]`: W in [the
    /// formulas](self).
    pub residual: &'a [[T; H]; H],
    /// Bias of each of the H units of the second hidden layer: d in [the formulas](self).
    pub residual_bias: &'a [T; H],
}

/// Rows of W in one part of its gradient.
const ROWS: usize = 16;

impl<const L: usize, const V: usize, const H: usize> Residual<L, V, H> {
    /// The six parts of a shard's records: how many numbers each has for an example. More numbers are not used.
    ///
    /// - h, `[E][H]` for E examples;
    /// - ∂loss/∂h, `[E][H]`, which becomes the gradient of the sums of f;
    /// - ∂loss/∂z, `[L][E][V]`, so that the first three are the records of [`Mlp`] with these tables and outputs;
    /// - f, `[E][H]`;
    /// - ∂loss/∂g, `[E][H]`, which becomes the gradient of the sums of g;
    /// - g, `[E][H]`, which only backward reads.
    const RECORDS: [usize; 6] = [H, H, L * V, H, H, H];
}

impl<const L: usize, const V: usize, const H: usize> Model<L, V> for Residual<L, V, H> {
    const SHAPE: Shape = Shape { architecture: Architecture::Residual, ..Mlp::<L, V, H>::SHAPE };
    /// The fan-in of a table is that of the dense map of a one-hot input, L·V.
    const TENSORS: &'static [Tensor] = &[
        Tensor { name: "input", dimensions: &[L, V, H], parts: L, start: Start::Uniform(L * V) },
        Tensor { name: "length", dimensions: &[L, H], parts: 1, start: Start::Zeros },
        Tensor { name: "residual", dimensions: &[H, H], parts: H / ROWS, start: Start::Uniform(H) },
        Tensor { name: "residual_bias", dimensions: &[H], parts: 1, start: Start::Zeros },
        Tensor { name: "output", dimensions: &[L, V, H], parts: L, start: Start::Uniform(H) },
        Tensor { name: "output_bias", dimensions: &[L, V], parts: L, start: Start::Zeros },
    ];
    const RECORD: usize = Mlp::<L, V, H>::RECORD + 3 * H;
    const MEMORY: usize = 2 * H;

    type View<'a, T: Copy + 'a> = ResidualView<'a, T, L, V, H>;

    fn view<T: Copy>(mut flat: &[T]) -> Option<Self::View<'_, T>> {
        const { assert!(L <= 256, "a byte numbers the rows of b") };
        const { assert!(H.is_multiple_of(ROWS), "the parts of W are whole") };
        let (input, length) = (cube(&mut flat)?, matrix(&mut flat)?);
        let (residual, residual_bias) = (matrix(&mut flat)?, vector(&mut flat)?);
        let outer = MlpView { input, length, output: cube(&mut flat)?, output_bias: matrix(&mut flat)? };
        flat.is_empty().then_some(ResidualView { outer, residual, residual_bias })
    }

    fn forward_backward<R: Real, K: Kernels<R>>(
        shard: Shard<R, K, L>,
        parameters: Self::View<'_, R>,
        records: &mut [R],
        losses: &mut [R],
    ) {
        let Some((records, _)) = shard.split(records, Self::RECORDS) else { return };
        let [hidden, d_hidden, d_logits, first, d_second, second] = records;
        let (kernels, all) = (shard.kernels, |row, _: &Example<L>| Some(row));
        let ResidualView { outer, residual, residual_bias } = parameters;
        let residual = residual.as_flattened();
        let tables = outer.input.iter().map(|table| table.as_flattened());
        for (example, first) in shard.rows_mut(first) {
            let (lengths, shown) = (outer.length.as_flattened(), example.shown());
            look_up::<_, _, _, L>(kernels, lengths, tables.clone(), shown, first);
        }
        shard.activate(0, first);
        shard.in_groups(all, |rows| kernels.linear_forward(residual, residual_bias, rows, first, second));
        shard.activate(1, second);
        hidden.copy_from_slice(second);
        kernels.add_scaled(hidden, R::ONE, first);
        shard.outputs(outer, hidden, d_hidden, d_logits, losses);
        d_second.copy_from_slice(d_hidden);
        shard.activate_backward(second, d_second);
        shard.in_groups(all, |rows| kernels.linear_backward_input(residual, rows, d_second, d_hidden, H));
        shard.activate_backward(first, d_hidden);
    }

    fn gradient<R: Real, K: Kernels<R>>(shard: Shard<R, K, L>, part: Part, records: &[R], out: &mut [R]) {
        let Some(([.., first, d_second, _], _)) = shard.split(records, Self::RECORDS) else { return };
        match part.tensor {
            2 => {
                let all = |row, _: &Example<L>| Some(row);
                let Some(d_second) = d_second.get(part.index.saturating_mul(ROWS)..) else { return };
                shard.in_groups(all, |rows| {
                    shard.kernels.linear_backward_weight(rows, first, d_second, H, out, H);
                });
            }
            3 => shard.rows_gradient(|_| Some(0), d_second, out),
            // [`Mlp`]'s tensors, which lack the two between tables and outputs.
            tensor => {
                let tensor = if tensor < 2 { tensor } else { tensor.saturating_sub(2) };
                Mlp::<L, V, H>::gradient(shard, Part { tensor, ..part }, records, out);
            }
        }
    }

    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(work: &mut AtWork<Self, W, K, L, V>) {
        let (kernels, activation, parameters) = (work.kernels, work.activation, work.parameters);
        let [second, first, ..] = work.memory.as_chunks_mut::<H>().0 else { return };
        let tables = parameters.outer.input.iter().map(|table| table.as_flattened());
        look_up::<_, _, _, L>(kernels, parameters.outer.length.as_flattened(), tables, &work.shown, first);
        kernels.activation_forward(activation, first);
        let residual = parameters.residual.as_flattened();
        kernels.linear_forward(residual, parameters.residual_bias, &[0], first, second);
        kernels.activation_forward(activation, second);
        kernels.add_scaled(second, 1.0, first);
    }

    fn logits<W: Stored<f32>, K: Kernels<f32>>(work: &AtWork<Self, W, K, L, V>, position: usize) -> [f32; V] {
        work.parameters.outer.logits(work.kernels, work.memory, position)
    }
}
