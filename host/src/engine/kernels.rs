//! Core's kernels compiled for each instruction set, chosen at run time.
//!
//! Each kernel is the plain loop of core, inlined here. AVX2 computes the bits of SSE2, only faster: every sum has a
//! fixed order in the source, and nothing is fused. AVX-512 is there for the few kernels that gain by it.

use multiversion::multiversion;

/// Implements a trait of the core's by the loops of its list, each compiled for its targets.
#[doc(hidden)]
#[macro_export]
macro_rules! implement_kernels {
    (
        ($trait:ident for $kernels:ident)
        $($targets:tt {
            $(
                fn $name:ident $([$stored:ident])? ($($argument:ident: $type:ty),*) $(-> $result:ty)? =
                    $function:path $(, $last:path)?;
            )*
        })*
    ) => {
        const _: () = {
            #[allow(unused_imports, reason = "what one of the lists names")]
            use ::micro_diffusion::{
                activation::Activation,
                adam::{self, AdamStep},
                attention::{self, Heads},
                dropout::Dropout,
                embedding::{self, Embedding},
                further_kernels::FurtherKernels,
                gelu,
                kernels::Kernels,
                linear,
                math::Stored,
                normalisation,
                product::{self, Store},
                rounding::{self, Grid},
                softmax::{self, Target},
                softmax_of_maps,
            };

            /// The numbers of the lists.
            type R = f32;

            $($(
                #[::multiversion::multiversion(targets $targets)]
                fn $name$(<$stored: Stored<f32>>)?($($argument: $type),*) $(-> $result)? {
                    $function($($argument,)* $($last)?)
                }
            )*)*

            impl $trait<f32> for $kernels {
                $($(
                    fn $name$(<$stored: Stored<f32>>)?(self, $($argument: $type),*) $(-> $result)? {
                        $name($($argument),*)
                    }
                )*)*
            }
        };
    };
}

/// Implements [`Kernels`](micro_diffusion::kernels::Kernels) for the type `$kernels` by core's loops, chosen at run time.
/// Loops that gain from wide registers are compiled for each of the targets `$wide`, the others for `$narrow`.
///
/// The program uses [`Vectorised`] alone; tests and benches have one type for each instruction set.
#[macro_export]
macro_rules! kernels_compiled_for {
    ($kernels:ident, $narrow:tt, $wide:tt) => {
        ::micro_diffusion::kernels! { implement_kernels, (Kernels for $kernels), $narrow, $wide }
        ::micro_diffusion::further_kernels! { implement_kernels, (FurtherKernels for $kernels), $narrow, $wide }
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
