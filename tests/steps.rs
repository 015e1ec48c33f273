//! Training steps on several threads, against their definition on one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::training::{Run, STEPS, State, adam};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::average_rate;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::kernels::Plain;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::residual::Residual;
use micro_diffusion::steps::Steps;
use micro_diffusion::transformer::Transformer;
use micro_diffusion_cli::engine::step::{Batch, Parameters, Rates, Setup, Step, longer};
use rayon::ThreadPoolBuilder;

fn rates(step: u32) -> Rates {
    Rates { adam: adam(step), average: average_rate(step, 0.99) }
}

/// The steps of `run` on `threads` threads; they end, as in training, with a batch drawn and not used.
fn on_threads<M: Step<L, V>, const L: usize, const V: usize>(run: Run, threads: usize) -> State {
    let mut state = State::new::<M, L, V>(run.rows);
    let mut records = vec![f32::NAN; run.rows * M::RECORD];
    let mut batch = run.batch::<L>(0);
    let mut next = vec![Example::EMPTY; run.rows];
    let longer = longer(batch.clone().iter().map(|example| &example.clean));
    for step in 0..STEPS {
        let State { weights, m, v, average, losses } = &mut state;
        let drawn: Vec<AtomicUsize> = (0..run.rows).map(|_| AtomicUsize::new(0)).collect();
        M::step(
            Setup { threads, symbols: run.symbols, activation: run.activation, longer: &longer },
            &rates(step),
            Batch {
                examples: &batch,
                soft: &run.soft::<L, V>(step),
                next: &mut next,
                records: &mut records,
                losses,
            },
            Parameters { weights, m, v, average },
            &|row, out| {
                drawn[row].fetch_add(1, Ordering::Relaxed);
                *out = run.example(step + 1, row);
            },
        );
        assert!(drawn.iter().all(|count| count.load(Ordering::Relaxed) == 1), "each row is drawn once");
        std::mem::swap(&mut batch, &mut next);
    }
    state
}

/// Compares the steps on `threads` threads with their definition by core's own loops. Batches have `rows` rows and the
/// alphabet `symbols` symbols, for both activations, with dropout and without, and for hard targets and soft ones.
fn check<M: Step<L, V>, const L: usize, const V: usize>(symbols: usize, rows: &[usize], threads: &[usize]) {
    let steps = Activation::Stepped(Steps { exponent: 3, largest: 17, price: 0.01 });
    let pools = threads.iter().map(|threads| ThreadPoolBuilder::new().num_threads(*threads).build().unwrap());
    let pools: Vec<_> = pools.collect();
    for rows in rows.iter().copied() {
        let relu = Activation::Relu;
        for (activation, dropout, taught) in [
            (relu, 0.2, false),
            (relu, 0.0, false),
            (relu, 0.2, true),
            (relu, 0.0, true),
            (steps, 0.0, false),
            (steps, 0.2, true),
        ] {
            let run = Run { rows, symbols, activation, dropout, grid: None, taught };
            let expected = run.definition::<M, _, L, V>(Plain);
            for (pool, threads) in pools.iter().zip(threads) {
                let found = pool.install(|| on_threads::<M, L, V>(run, *threads));
                assert!(found == expected, "{:?} on {threads} threads: {run:?}", M::SHAPE);
            }
        }
    }
}

/// Five positions: as many as threads, fewer, and shares of unequal size.
#[test]
fn steps_are_their_definition_on_any_number_of_threads() {
    let (rows, threads) = ([1, 2, 5, 11], [1, 2, 3, 4, 5, 6, 7]);
    let lengths = |rows| {
        let run =
            Run { rows, symbols: 4, activation: Activation::Relu, dropout: 0.0, grid: None, taught: false };
        run.batch::<5>(0).iter().map(Example::length).collect::<Vec<_>>()
    };
    assert_eq!((lengths(1), lengths(5)), (vec![5], vec![5, 4, 3, 2, 1]), "texts of all lengths");
    check::<Mlp<5, 4, 8>, 5, 4>(4, &rows, &threads);
    check::<Residual<5, 4, 16>, 5, 4>(4, &rows, &threads);
    check::<Transformer<5, 4, 8, 2, 2>, 5, 4>(4, &rows, &threads);
    check::<Transformer<5, 4, 8, 2, 2, 3>, 5, 4>(4, &rows, &threads);
    check::<Convolution<5, 4, 8, 2, 3>, 5, 4>(4, &rows, &threads);
    // Shares of positions follow the lengths of the texts.
    check::<Mlp<12, 4, 8>, 12, 4>(4, &[1, 3, 12, 25], &(1..=13).collect::<Vec<_>>());
}

/// Widths that fill blocks of every size and leave some over, fewer rows than threads, and more than are computed together.
#[test]
fn steps_of_wide_networks_and_large_batches_are_their_definition() {
    let rows = [2, 64, 65, 100];
    check::<Mlp<12, 26, { 64 + 16 + 3 }>, 12, 26>(25, &rows, &[1, 2, 3, 12, 13]);
    check::<Mlp<7, 30, 130>, 7, 30>(30, &rows, &[1, 2, 3, 7, 8]);
    check::<Residual<5, 30, 80>, 5, 30>(29, &[2, 100], &[1, 2, 3, 5]);
    check::<Convolution<17, 11, 21, 2, 5>, 17, 11>(10, &[2, 100], &[1, 2, 3]);
    check::<Transformer<18, 11, 20, 1, 2>, 18, 11>(10, &[2, 100], &[1, 2, 3]);
}

/// A thread that panics must not leave the others waiting for what it was to hand on.
#[test]
fn a_panic_on_one_thread_ends_the_step() {
    type Network = Mlp<5, 4, 8>;
    let rows = 5;
    for threads in [1, 2, 3, 5] {
        for unlucky in 0..rows {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut state = State::new::<Network, 5, 4>(rows);
            let mut records = vec![0.0; rows * <Network as Model<5, 4>>::RECORD];
            let run = Run {
                rows,
                symbols: 4,
                activation: Activation::Relu,
                dropout: 0.2,
                grid: None,
                taught: false,
            };
            let batch = run.batch::<5>(0);
            let mut next = vec![Example::EMPTY; rows];
            let State { weights, m, v, average, losses } = &mut state;
            let batch = Batch { examples: &batch, soft: &[], next: &mut next, records: &mut records, losses };
            let parameters = Parameters { weights, m, v, average };
            let setup = Setup { threads, symbols: 4, activation: Activation::Relu, longer: &[1.0; 5] };
            let step = || {
                Network::step(setup, &rates(0), batch, parameters, &|row, _| assert_ne!(row, unlucky));
            };
            let ended = pool.install(|| catch_unwind(AssertUnwindSafe(step)));
            assert!(ended.is_err(), "row {unlucky} on {threads} threads");
        }
    }
}
