//! Kernels: the interface between networks and the code that computes. Every slow loop is a function of slices and sizes.
//!
//! A network calls its loops through the trait [`Kernels`] and knows no instruction set. [`Plain`] runs the loops as
//! written, for every number type. A program can compile them for several instruction sets and choose one at run time. The
//! bits are equal, since each file documents the order of its sums and no multiplication is fused with an addition.
//!
//! Most kernels do the work of a batch at one position, or of all positions of one example. The smallest do one row: of a
//! hidden layer, or of logits. Choosing the instruction set adds one or two nanoseconds. Sizes are arguments, not types, so
//! each kernel is compiled once for all shapes of networks.

use crate::activation::Activation;
use crate::adam::{self, AdamStep};
use crate::further_kernels::{FurtherKernels, kernel_trait};
use crate::linear;
use crate::math::{Real, Stored};
use crate::softmax::{self, Target};

/// Calls the macro `$with` with `$arguments` and the list of the kernels of [`Kernels`](crate::kernels::Kernels), for
/// numbers `R`.
///
/// The list has two parts. The kernels for `$narrow` are as fast in AVX2 registers as in AVX-512 registers; those for
/// `$wide` are faster in AVX-512 registers.
#[macro_export]
macro_rules! kernels {
    ($with:ident, $arguments:tt, $narrow:tt, $wide:tt) => {
        $with! { $arguments
            $narrow {
                fn lookup_forward [W] (rows: &[&[W]], y: &mut [R]) = linear::lookup_forward;
                fn lookup_backward (shown: &[(usize, u8)], d_y: &[R], d_table: &mut [R], width: usize) =
                    linear::lookup_backward;
                fn linear_forward [W] (weight: &[W], bias: &[W], rows: &[usize], x: &[R], y: &mut [R]) =
                    linear::linear_forward;
                fn add_scaled (y: &mut [R], a: R, x: &[R]) = linear::add_scaled;
                fn activation_forward (activation: Activation, x: &mut [R]) = Activation::forward;
                fn activation_backward (activation: Activation, y: &[R], d_y: &mut [R], weights: &[R]) =
                    Activation::backward;
                fn cross_entropy (z: &mut [R], symbols: usize, target: Target<R>) -> R = softmax::cross_entropy;
            }
            $wide {
                fn linear_backward_input (weight: &[R], rows: &[usize], d_y: &[R], d_x: &mut [R], inputs: usize) =
                    linear::linear_backward_input;
                fn linear_backward_weight (
                    rows: &[usize], x: &[R], d_y: &[R], stride: usize, d_weight: &mut [R], inputs: usize
                ) = linear::linear_backward_weight;
                fn adam (step: &AdamStep<R>, weights: &mut [R], gradient: &[R], m: &mut [R], v: &mut [R]) =
                    AdamStep::update, R::sqrt;
                fn average_update (average: &mut [R], weights: &[R], rate: R) = adam::average_update;
            }
        }
    };
}

kernels! {
    kernel_trait,
    (
        /// Compute kernels of all networks. [`FurtherKernels`] has those of further networks, dropout and integers.
        Kernels: FurtherKernels<R>
    ), (), ()
}

/// Implementation of [`Kernels`] by the loops as written, compiled for the program's target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<R: Real> Kernels<R> for Plain {}
impl<R: Real> FurtherKernels<R> for Plain {}
