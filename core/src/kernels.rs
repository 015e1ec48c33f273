//! The seam between the networks and what computes: every loop that takes time, as a function of slices and sizes.
//!
//! A network calls its loops through [`Kernels`] and knows no instruction set. [`Plain`] is the loops as they stand in the
//! files above, for every kind of number; whoever knows the machine may compile them for its instruction sets and choose one
//! at run time. The bits are the same, since each file documents the order of its sums and nothing is fused.
//!
//! Most kernels do the work of a batch at one position, or of all positions of one example; the least is a row of the hidden
//! layer. Choosing the instruction set costs a nanosecond or two beside it. Sizes are arguments and not types, so a kernel is compiled once, however many shapes of networks there are.

use crate::activation::Activation;
use crate::adam::{self, AdamStep};
use crate::further_kernels::{FurtherKernels, kernel_trait};
use crate::linear;
use crate::math::{Real, Stored};
use crate::softmax::{self, Target};

/// Calls the macro `$with` with `$arguments` and the list of these kernels for the numbers `R`: for `$narrow` those that are as
/// fast in registers of AVX2 as in those of AVX-512, then for `$wide` the others.
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
                fn cross_entropy_of_rows (
                    targets: &[Target], z: &mut [R], outputs: usize, symbols: usize, losses: &mut [R]
                ) = softmax::cross_entropy_of_rows;
            }
            $wide {
                fn linear_backward_input (
                    weight: &[R], rows: &[usize], d_y: &[R], d_x: &mut [R], inputs: usize
                ) = linear::linear_backward_input;
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
        /// What computes. What only further networks, dropout and integers need is in [`FurtherKernels`].
        Kernels: FurtherKernels<R>
    ), (), ()
}

/// The loops as they stand, compiled for whatever the program is compiled for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<R: Real> Kernels<R> for Plain {}
impl<R: Real> FurtherKernels<R> for Plain {}
