//! The kernels compiled for SSE2, AVX2 and AVX-512 give the same bits, and so do those that the program chooses.
//!
//! Each type of kernels is compiled for one instruction set, beside a function that tells whether this machine runs it.
//! For AVX-512 `multiversion` asks for ten features more than the target names, those of Ice Lake. A server with AVX-512
//! but without them runs the baseline instead. Instruction sets that do not run are skipped, and the test says so.

use common::training::{Run, State};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::AdamStep;
use micro_diffusion::attention::Heads;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::Model;
use micro_diffusion::dropout::Dropout;
use micro_diffusion::embedding::Embedding;
use micro_diffusion::further_kernels::FurtherKernels;
use micro_diffusion::kernels::{Kernels, Plain};
use micro_diffusion::math::Stored;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::product::Store;
use micro_diffusion::residual::Residual;
use micro_diffusion::rounding::Grid;
use micro_diffusion::softmax::Target;
use micro_diffusion::steps::Steps;
use micro_diffusion::transformer::Transformer;
use micro_diffusion::{further_kernels, kernels};
use micro_diffusion_cli::engine::kernels::Vectorised;
use micro_diffusion_cli::{implement_kernels, kernels_compiled_for};
use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// A type of kernels compiled for `$target`, and a function that says whether what runs was compiled with `$feature`.
macro_rules! width {
    ($kernels:ident, $runs:ident, $target:literal, $feature:literal) => {
        #[derive(Clone, Copy)]
        struct $kernels;

        kernels_compiled_for!($kernels, ($target), ($target));

        #[multiversion(targets($target))]
        fn $runs() -> bool {
            target_cfg_f!(target_feature = $feature)
        }
    };
}

width!(Avx2, avx2_runs, "x86_64+avx2", "avx2");
width!(Avx512, avx512_runs, "x86_64+avx512f+avx512vl+avx512dq+avx512bw", "avx512f");
// Compiled for another machine: the baseline runs.
width!(Foreign, foreign_runs, "loongarch64+lasx", "avx2");

/// Kernels chosen at run time, so that a network is compiled once for all of them.
#[derive(Clone, Copy)]
enum Chosen {
    Plain,
    Vectorised,
    Foreign,
    Avx2,
    Avx512,
}

/// `$call` with what `$chosen` stands for as `$kernels`.
macro_rules! with_chosen {
    ($chosen:expr, $kernels:ident => $call:expr) => {
        match $chosen {
            Chosen::Plain => {
                let $kernels = Plain;
                $call
            }
            Chosen::Vectorised => {
                let $kernels = Vectorised;
                $call
            }
            Chosen::Foreign => {
                let $kernels = Foreign;
                $call
            }
            Chosen::Avx2 => {
                let $kernels = Avx2;
                $call
            }
            Chosen::Avx512 => {
                let $kernels = Avx512;
                $call
            }
        }
    };
}

/// Implements each kernel by that of what was chosen.
macro_rules! delegate {
    (
        ($trait:ident for $kernels:ident)
        $($targets:tt {
            $(
                fn $name:ident $([$stored:ident])? ($($argument:ident: $type:ty),*) $(-> $result:ty)? =
                    $function:path $(, $last:path)?;
            )*
        })*
    ) => {
        impl $trait<f32> for $kernels {
            $($(
                fn $name$(<$stored: Stored<f32>>)?(self, $($argument: $type),*) $(-> $result)? {
                    with_chosen!(self, kernels => $trait::<f32>::$name(kernels, $($argument),*))
                }
            )*)*
        }
    };
}

/// The numbers of the lists.
type R = f32;

kernels!(delegate, (Kernels for Chosen), (), ());
further_kernels!(delegate, (FurtherKernels for Chosen), (), ());

/// The widths that run here, by name.
fn widths() -> Vec<&'static str> {
    let runs = [("AVX2", avx2_runs()), ("AVX-512", avx512_runs())];
    for (name, _) in runs.iter().filter(|(_, runs)| !runs) {
        println!("skipped {name}: this machine lacks it, or a feature that multiversion asks for with it");
    }
    runs.iter().filter(|(_, runs)| *runs).map(|(name, _)| *name).collect()
}

/// The name of a width tells the instruction set that runs.
#[test]
fn a_width_that_does_not_run_is_not_taken_for_one_that_does() {
    let baseline = cfg!(target_feature = "avx2");
    assert_eq!(foreign_runs(), baseline, "compiled for another machine, the baseline runs");
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(avx2_runs(), is_x86_feature_detected!("avx2"));
        assert!(!avx512_runs() || is_x86_feature_detected!("avx512vbmi2"), "slow AVX-512 is not chosen");
    }
    println!("baseline with AVX2: {baseline}; run here beside it: {:?}", widths());
}

fn check<M: Model<L, V>, const L: usize, const V: usize>() {
    let on = |run: Run, kernels: Chosen| run.definition::<M, _, L, V>(kernels);
    let widths = widths();
    // Texts of all lengths.
    let plain = Run {
        rows: L.max(11),
        symbols: V - 1,
        activation: Activation::Relu,
        dropout: 0.0,
        grid: None,
        taught: false,
    };
    let dropout = Run { dropout: 0.2, ..plain };
    let steps = Activation::Stepped(Steps { exponent: 3, largest: 17, price: 0.01 });
    let grid = Some(Grid { least: -8, largest: 7, exponent: 3 });
    let taught = Run { taught: true, ..plain };
    for run in
        [plain, dropout, taught, Run { activation: steps, ..plain }, Run { activation: steps, grid, ..plain }]
    {
        let expected = on(run, Chosen::Plain);
        let same = |state: State, name: &str| {
            assert!(state == expected, "{name} differs from the baseline: {:?}, {run:?}", M::SHAPE);
        };
        same(on(run, Chosen::Vectorised), "what the program chooses");
        same(on(run, Chosen::Foreign), "the baseline by way of multiversion");
        if widths.contains(&"AVX2") {
            same(on(run, Chosen::Avx2), "AVX2");
        }
        if widths.contains(&"AVX-512") {
            same(on(run, Chosen::Avx512), "AVX-512");
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    check::<Mlp<12, 26, 256>, 12, 26>();
    check::<Mlp<12, 26, 18>, 12, 26>();
    check::<Mlp<5, 30, 77>, 5, 30>();
    check::<Residual<5, 30, 48>, 5, 30>();
    check::<Convolution<16, 26, 26, 3, 5>, 16, 26>();
    check::<Convolution<7, 9, 12, 2, 3>, 7, 9>();
    check::<Transformer<16, 26, 64, 1, 4>, 16, 26>();
    check::<Transformer<7, 9, 12, 2, 2>, 7, 9>();
    // Widths of 8, 16 and 20.
    check::<Convolution<20, 9, 21, 2, 5>, 20, 9>();
    check::<Transformer<20, 9, 24, 1, 2>, 20, 9>();
}
