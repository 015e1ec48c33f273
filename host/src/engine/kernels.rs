//! Core's kernels compiled for each instruction set, chosen at run time.
//!
//! Each kernel is the plain loop of core, inlined here. AVX2 computes the bits of SSE2, only faster: every sum has a
//! fixed order in the source, and nothing is fused. AVX-512 is there for the few kernels that gain by it.

use multiversion::multiversion;

/// Implements the kernels of the list of [`each_kernel`](crate::each_kernel).
#[doc(hidden)]
#[macro_export]
macro_rules! implement_kernels {
    (
        ($kernels:ident)
        $($module:ident::$trait:ident {
            $($targets:tt {
                $(fn $name:ident $([$stored:ident])? ($($argument:ident: $type:ty),*) $(-> $result:ty)? = $loop:expr;)*
            })*
        })*
    ) => {
        const _: () = {
            use ::micro_diffusion::activation::Activation;
            use ::micro_diffusion::adam::{self, AdamStep};
            use ::micro_diffusion::attention::{self, Heads};
            use ::micro_diffusion::dropout::Dropout;
            use ::micro_diffusion::embedding::{self, Embedding};
            use ::micro_diffusion::math::Stored;
            use ::micro_diffusion::product::{self, Store};
            use ::micro_diffusion::rounding::{self, Grid};
            use ::micro_diffusion::softmax::{self, Answer, Target};
            use ::micro_diffusion::{further_kernels, gelu, kernels, linear, normalisation, softmax_of_maps};

            $($($(
                #[::multiversion::multiversion(targets $targets)]
                fn $name$(<$stored: Stored<f32>>)?($($argument: $type),*) $(-> $result)? {
                    $loop
                }
            )*)*)*

            $(impl $module::$trait<f32> for $kernels {
                $($(
                    fn $name$(<$stored: Stored<f32>>)?(self, $($argument: $type),*) $(-> $result)? {
                        $name($($argument),*)
                    }
                )*)*
            })*
        };
    };
}

/// Implements [`Kernels`](micro_diffusion::kernels::Kernels) for the type `$kernels` by core's loops, chosen at run time.
/// Loops that gain from wide registers are compiled for each of the targets `$wide`, the others for `$narrow`.
///
/// The program uses [`Vectorised`] alone; tests and benches have one type for each instruction set.
#[macro_export(local_inner_macros)]
macro_rules! kernels_compiled_for {
    ($kernels:ident, $narrow:tt, $wide:tt) => {
        each_kernel! { implement_kernels, ($kernels), $narrow, $wide }
    };
}

/// Calls the macro `$implement` with `$with` and the list of all kernels by their traits: first those for `$narrow`, then
/// those for `$wide`.
#[doc(hidden)]
#[macro_export(local_inner_macros)]
macro_rules! each_kernel {
    ($implement:ident, $with:tt, $narrow:tt, $wide:tt) => {
        $implement! { $with
            kernels::Kernels {
                // As fast in narrow registers as in wide ones.
                $narrow {
                    fn lookup_forward [W] (rows: &[&[W]], y: &mut [f32]) = linear::lookup_forward(rows, y);
                    fn lookup_backward (shown: &[(usize, u8)], d_y: &[f32], d_table: &mut [f32], width: usize) =
                        linear::lookup_backward(shown, d_y, d_table, width);
                    fn linear_forward [W] (weight: &[W], bias: &[W], rows: &[usize], x: &[f32], y: &mut [f32]) =
                        linear::linear_forward(weight, bias, rows, x, y);
                    fn add_scaled (y: &mut [f32], a: f32, x: &[f32]) = linear::add_scaled(y, a, x);
                    fn activation_forward (activation: Activation, x: &mut [f32]) = Activation::forward(activation, x);
                    fn activation_backward (activation: Activation, y: &[f32], d_y: &mut [f32], weights: &[f32]) =
                        Activation::backward(activation, y, d_y, weights);
                    fn cross_entropy_of_rows (
                        targets: &[Target], z: &mut [f32], outputs: usize, symbols: usize, losses: &mut [f32]
                    ) = softmax::cross_entropy_of_rows(targets, z, outputs, symbols, losses);
                }
                // Faster in wide registers.
                $wide {
                    fn linear_backward_input (
                        weight: &[f32], rows: &[usize], d_y: &[f32], d_x: &mut [f32], inputs: usize
                    ) = linear::linear_backward_input(weight, rows, d_y, d_x, inputs);
                    fn linear_backward_weight (
                        rows: &[usize], x: &[f32], d_y: &[f32], stride: usize, d_weight: &mut [f32], inputs: usize
                    ) = linear::linear_backward_weight(rows, x, d_y, stride, d_weight, inputs);
                    fn adam (step: &AdamStep<f32>, weights: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) =
                        step.update(weights, gradient, m, v, f32::sqrt);
                    fn average_update (average: &mut [f32], weights: &[f32], rate: f32) =
                        adam::average_update(average, weights, rate);
                }
            }
            further_kernels::FurtherKernels {
                // As fast in narrow registers as in wide ones.
                $narrow {
                    fn dropout_backward (dropout: Dropout, d_y: &mut [f32]) = Dropout::backward(dropout, d_y);
                    fn transpose_blocks (x: &[f32], y: &mut [f32], width: usize) = product::transpose_blocks(x, y, width);
                    fn transpose (x: &[f32], y: &mut [f32], width: usize) = product::transpose(x, y, width);
                    fn shift (x: &[f32], tap: (usize, usize), y: &mut [f32], width: usize, texts: &[u8]) =
                        product::shift(x, tap, y, width, texts);
                    fn add_bias [W] (bias: &[W], x: &mut [f32], width: usize) = product::add_bias(bias, x, width);
                    fn add_bias_backward (d_x: &[f32], d_bias: &mut [f32], width: usize) =
                        product::add_bias_backward(d_x, d_bias, width);
                    fn hold (activation: Activation, x: &mut [f32]) = Activation::hold(activation, x);
                    fn cross_entropy_of_positions (
                        answers: &[Answer], weights: &[f32], symbols: usize, z: &mut [f32], losses: &mut [f32]
                    ) = softmax_of_maps::cross_entropy_of_positions(answers, weights, symbols, z, losses);
                    fn rms_norm_forward [W] (gain: &[W], x: &[f32], y: &mut [f32], width: usize) =
                        normalisation::rms_norm_forward(gain, x, y, width, f32::sqrt);
                    fn rms_norm_backward (gain: &[f32], x: &[f32], d: &mut [f32], d_gain: &mut [f32], width: usize) =
                        normalisation::rms_norm_backward(gain, x, d, d_gain, width, f32::sqrt);
                    fn embed [W] (
                        tables: Embedding<W>, symbols: &[Option<u8>], x: &mut [f32], width: usize, first: usize
                    ) = embedding::embed(tables, symbols, x, width, first);
                    fn straight_through (grid: Grid, rounded: &mut [f32], floats: &mut [f32]) =
                        rounding::straight_through(grid, rounded, floats);
                }
                // Faster in wide registers.
                $wide {
                    fn dropout_forward (dropout: Dropout, layer: usize, x: &mut [f32]) =
                        Dropout::forward(dropout, layer, x);
                    fn product [W] (w: &[W], x: &[f32], y: &mut [f32], width: usize, store: Store) =
                        product::product(w, x, y, width, store);
                    fn product_transposed [W] (w: &[W], x: &[f32], y: &mut [f32], width: usize, store: Store) =
                        product::product_transposed(w, x, y, width, store);
                    fn product_backward_weight (
                        positions: &[usize], d_y: &[f32], x: &[f32], d_w: &mut [f32], width: usize
                    ) = product::product_backward_weight(positions, d_y, x, d_w, width);
                    fn gelu_forward (x: &mut [f32]) = gelu::gelu_forward(x);
                    fn gelu_forward_slope (x: &mut [f32], slope: &mut [f32]) = gelu::gelu_forward_slope(x, slope);
                    fn attention_forward (
                        heads: Heads, texts: &[u8], inputs: [&[f32]; 3], share: &mut [f32], y: &mut [f32]
                    ) = attention::attention_forward(heads, texts, inputs, share, y);
                    fn attention_backward (
                        heads: Heads, inputs: [&mut [f32]; 3], share: &mut [f32], d_y: &mut [f32], d_share: &mut [f32]
                    ) = attention::attention_backward(heads, inputs, share, d_y, d_share);
                }
            }
        }
    };
}

/// The kernels at the machine's vector width.
#[derive(Clone, Copy, Debug)]
pub struct Vectorised;

kernels_compiled_for!(
    Vectorised,
    ("x86_64+avx2"),
    ("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2")
);

/// Sums that [`multiply_and_add`] keeps: as many as registers hold, and enough to hide the latency of the units.
pub const PEAK_SUMS: usize = 12 * 8;

#[inline(always)]
fn scaled_plus(mut lanes: [f32; 8], x: f32) -> [f32; 8] {
    for lane in &mut lanes {
        *lane = *lane * x + x;
    }
    lanes
}

/// `turns` times sum = sum·x + x for each of [`PEAK_SUMS`] sums, for measuring the machine.
#[multiversion(targets("x86_64+avx2"))]
pub fn multiply_and_add(x: f32, turns: usize) -> f32 {
    let mut sums = [[0.0_f32; 8]; 12];
    for (start, sum) in (1_u8..).zip(sums.as_flattened_mut()) {
        *sum = f32::from(start);
    }
    for _ in 0..turns {
        for lanes in &mut sums {
            *lanes = scaled_plus(*lanes, x);
        }
    }
    sums.as_flattened().iter().sum()
}
