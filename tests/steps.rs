//! Training steps on several threads, against their definition on one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use micro_diffusion::adam::{Adam, average_rate, average_update};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::transformer::Transformer;
use micro_diffusion_cli::engine::step::{Batch, Parameters, Rates, Step};
use rayon::ThreadPoolBuilder;

/// Row `row` of step `step`; the steps end, as in training, with a batch drawn and not used.
fn example<const L: usize, const V: usize>(step: u32, row: usize) -> Example<L> {
    let row = row as u32;
    let stream = Stream::new(2, Purpose::Noise).child(step, row);
    let clean = std::array::from_fn(|l| (stream.draw(l as u32, 1)[0] % V as u32) as u8);
    let dropout = Dropout::new(0.2, Stream::new(2, Purpose::Dropout).child(step, row));
    Example { dropout, ..Example::bound(&clean, 1 + row % L as u32, 0.1, stream) }
}

/// What training changes.
#[derive(Clone, Debug, PartialEq)]
struct State {
    weights: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
    average: Vec<f32>,
    losses: Vec<f32>,
}

impl State {
    fn new<M: Model<L, V>, const L: usize, const V: usize>(rows: usize) -> Self {
        let mut weights = vec![0.0; M::PARAMETERS];
        M::initialise(&mut weights, Stream::new(1, Purpose::Weights));
        let zeros = vec![0.0; M::PARAMETERS];
        Self { average: weights.clone(), weights, m: zeros.clone(), v: zeros, losses: vec![0.0; rows] }
    }
}

fn rates(step: u32) -> Rates {
    Rates { adam: Adam::default().step(step, 0.01), average: average_rate(step, 0.99) }
}

const STEPS: u32 = 3;

/// The steps as core defines them: all examples, then the whole gradient, then the update.
fn definition<M: Model<L, V>, const L: usize, const V: usize>(rows: usize) -> State {
    let mut state = State::new::<M, L, V>(rows);
    for step in 0..STEPS {
        let batch: Vec<Example<L>> = (0..rows).map(|row| example::<L, V>(step, row)).collect();
        let mut records = vec![0.0; rows * M::RECORD];
        let view = M::view(&state.weights).unwrap();
        M::forward_backward(view, &batch, V, &mut records, &mut state.losses);
        let mut gradient = vec![0.0; M::PARAMETERS];
        let mut rest = &mut gradient[..];
        for (number, tensor) in M::TENSORS.iter().enumerate() {
            for part in 0..tensor.parts {
                M::gradient(number, part, &batch, &records, rest.split_off_mut(..tensor.part_len()).unwrap());
            }
        }
        let Rates { adam, average } = rates(step);
        adam.update(&mut state.weights, &gradient, &mut state.m, &mut state.v, f32::sqrt);
        average_update(&mut state.average, &state.weights, average);
    }
    state
}

/// The steps on `threads` threads.
fn on_threads<M: Step<L, V>, const L: usize, const V: usize>(threads: usize, rows: usize) -> State {
    let mut state = State::new::<M, L, V>(rows);
    let mut records = vec![0.0; rows * M::RECORD];
    let mut batch: Vec<Example<L>> = (0..rows).map(|row| example::<L, V>(0, row)).collect();
    let mut next = vec![Example::EMPTY; rows];
    for step in 0..STEPS {
        let State { weights, m, v, average, losses } = &mut state;
        let drawn: Vec<AtomicUsize> = (0..rows).map(|_| AtomicUsize::new(0)).collect();
        M::step(
            threads,
            &rates(step),
            V,
            Batch { examples: &batch, next: &mut next, records: &mut records, losses },
            Parameters { weights, m, v, average },
            |row, out| {
                drawn[row].fetch_add(1, Ordering::Relaxed);
                *out = example::<L, V>(step + 1, row);
            },
        );
        assert!(drawn.iter().all(|count| count.load(Ordering::Relaxed) == 1), "each row is drawn once");
        std::mem::swap(&mut batch, &mut next);
    }
    state
}

fn check<M: Step<L, V>, const L: usize, const V: usize>(name: &str) {
    for rows in [1, 2, 5, 11] {
        let expected = definition::<M, L, V>(rows);
        assert_ne!(expected.weights, State::new::<M, L, V>(rows).weights);
        for threads in 1..=7 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let found = pool.install(|| on_threads::<M, L, V>(threads, rows));
            assert!(found == expected, "{name}: {rows} rows on {threads} threads");
        }
    }
}

/// Five positions: as many as threads, fewer, and shares of unequal size.
#[test]
fn steps_are_their_definition_on_any_number_of_threads() {
    check::<Mlp<5, 4, 8>, 5, 4>("perceptron");
    check::<Residual<5, 4, 16>, 5, 4>("residual perceptron");
    check::<Transformer<5, 4, 8, 2, 2, 4>, 5, 4>("transformer");
    check::<Convolution<5, 4, 8, 2, 3>, 5, 4>("convolution");
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
            let batch: Vec<Example<5>> = (0..rows).map(|row| example::<5, 4>(0, row)).collect();
            let mut next = vec![Example::EMPTY; rows];
            let State { weights, m, v, average, losses } = &mut state;
            let batch = Batch { examples: &batch, next: &mut next, records: &mut records, losses };
            let parameters = Parameters { weights, m, v, average };
            let step = || {
                Network::step(threads, &rates(0), 4, batch, parameters, |row, _| assert_ne!(row, unlucky));
            };
            let ended = pool.install(|| catch_unwind(AssertUnwindSafe(step)));
            assert!(ended.is_err(), "row {unlucky} on {threads} threads");
        }
    }
}
