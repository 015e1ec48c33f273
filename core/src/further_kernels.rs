//! Kernels that only further networks, dropout and networks in integers need; see [`kernels`](mod@crate::kernels).

use crate::activation::Activation;
use crate::attention::{self, Heads};
use crate::dropout::Dropout;
use crate::embedding::{self, Embedding};
use crate::gelu;
use crate::math::{Real, Stored};
use crate::normalisation;
use crate::product::{self, Store};
use crate::rounding::{self, Grid};
use crate::softmax::Target;
use crate::softmax_of_maps;

/// Makes a trait of a list of kernels. Each method calls its function with the arguments, and with `$last` if given.
macro_rules! kernel_trait {
    (
        ($(#[$documentation:meta])* $trait:ident: $($bounds:tt)+)
        $($targets:tt {
            $(
                fn $name:ident $([$stored:ident])? ($($argument:ident: $type:ty),*) $(-> $result:ty)? =
                    $function:path $(, $last:path)?;
            )*
        })*
    ) => {
        $(#[$documentation])*
        pub trait $trait<R: Real>: $($bounds)+ {
            $($(
                #[doc = concat!("Calls [`", stringify!($function), "`].")]
                fn $name$(<$stored: Stored<R>>)?(self, $($argument: $type),*) $(-> $result)? {
                    $function($($argument,)* $($last)?)
                }
            )*)*
        }
    };
}
pub(crate) use kernel_trait;

/// Calls the macro `$with` with `$arguments` and the list of the kernels of
/// [`FurtherKernels`](crate::further_kernels::FurtherKernels), for numbers `R`.
///
/// The list has two parts. The kernels for `$narrow` are as fast in AVX2 registers as in AVX-512 registers; those for
/// `$wide` are faster in AVX-512 registers.
#[macro_export]
macro_rules! further_kernels {
    ($with:ident, $arguments:tt, $narrow:tt, $wide:tt) => {
        $with! { $arguments
            $narrow {
                fn dropout_backward (dropout: Dropout, d_y: &mut [R]) = Dropout::backward;
                fn transpose_blocks (x: &[R], y: &mut [R], width: usize) = product::transpose_blocks;
                fn transpose (x: &[R], y: &mut [R], width: usize) = product::transpose;
                fn shift (x: &[R], tap: (usize, usize), y: &mut [R], width: usize, texts: &[u8]) = product::shift;
                fn add_bias [W] (bias: &[W], x: &mut [R], width: usize) = product::add_bias;
                fn add_bias_backward (d_x: &[R], d_bias: &mut [R], width: usize) = product::add_bias_backward;
                fn hold (activation: Activation, x: &mut [R]) = Activation::hold;
                fn cross_entropy_of_positions (
                    targets: &[Target<R>], symbols: usize, z: &mut [R], losses: &mut [R]
                ) = softmax_of_maps::cross_entropy_of_positions;
                fn rms_norm_forward [W] (gain: &[W], x: &[R], y: &mut [R], width: usize) =
                    normalisation::rms_norm_forward, R::sqrt;
                fn rms_norm_backward (gain: &[R], x: &[R], d: &mut [R], d_gain: &mut [R], width: usize) =
                    normalisation::rms_norm_backward, R::sqrt;
                fn embed [W] (tables: Embedding<W>, symbols: &[Option<u8>], x: &mut [R], width: usize, first: usize) =
                    embedding::embed;
                fn straight_through (grid: Grid, rounded: &mut [f32], floats: &mut [f32]) = rounding::straight_through;
            }
            $wide {
                fn dropout_forward (dropout: Dropout, layer: usize, x: &mut [R]) = Dropout::forward;
                fn product [W] (w: &[W], x: &[R], y: &mut [R], width: usize, store: Store) = product::product;
                fn product_transposed [W] (w: &[W], x: &[R], y: &mut [R], width: usize, store: Store) =
                    product::product_transposed;
                fn product_backward_weight (
                    positions: &[usize], d_y: &[R], x: &[R], d_w: &mut [R], width: usize
                ) = product::product_backward_weight;
                fn gelu_forward (x: &mut [R]) = gelu::gelu_forward;
                fn gelu_forward_slope (x: &mut [R], slope: &mut [R]) = gelu::gelu_forward_slope;
                fn attention_forward (
                    heads: Heads, texts: &[u8], inputs: [&[R]; 3], share: &mut [R], y: &mut [R]
                ) = attention::attention_forward;
                fn attention_backward (
                    heads: Heads, inputs: [&mut [R]; 3], share: &mut [R], d_y: &mut [R], d_share: &mut [R]
                ) = attention::attention_backward;
            }
        }
    };
}

further_kernels! {
    kernel_trait,
    (
        /// Compute kernels of further networks, of dropout and of networks in integers.
        FurtherKernels: Copy + Send + Sync
    ), (), ()
}
