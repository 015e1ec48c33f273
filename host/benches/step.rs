//! How the cost of a training step grows: `cargo bench --bench step`.
//!
//! Steps of the two-layer perceptron as `train` runs them, at batches from 16 to 512, hidden widths from 64 to 512, and one
//! and two threads. The last column counts the floating-point operations of the dense layer, at the masks that are drawn;
//! `peak` is what one thread reaches with multiplications and additions that depend on nothing.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, average_rate};
use micro_diffusion::denoiser::Example;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::text::Text;
use micro_diffusion_cli::engine::aligned::Aligned;
use micro_diffusion_cli::engine::kernels::{PEAK_SUMS, multiply_and_add};
use micro_diffusion_cli::engine::step::{Batch, Parameters, Rates, Setup, Step, longer};

/// Positions and symbols.
const L: usize = 12;
const V: usize = 26;

/// Steps of `batch` random texts, of all lengths, on `threads` threads.
fn steps<M: Step<L, V>>(bencher: Bencher, batch: u32, threads: usize) {
    let mut weights = vec![0.0; M::PARAMETERS];
    M::initialise(&mut weights, Stream::new(1, Purpose::Weights));
    let zeros = vec![0.0; M::PARAMETERS];
    let mut weights = Aligned::copy_of(&weights, 0);
    let (mut m, mut v) = (Aligned::copy_of(&zeros, 1), Aligned::copy_of(&zeros, 2));
    let stream = Stream::new(1, Purpose::Noise);
    let text = |row: u32| {
        let letters: [u8; L] = std::array::from_fn(|l| (stream.draw(row, l as u32)[0] % V as u32) as u8);
        Text::new(&letters[..L - row as usize % L]).expect("a letter at least")
    };
    let mut examples: Vec<_> = (0..batch).map(|row| Example { clean: text(row), ..Example::EMPTY }).collect();
    let mut records = Aligned::copy_of(&vec![0.0; batch as usize * M::RECORD], 0);
    let mut losses = vec![0.0; batch as usize];
    let counts = MaskCounts::<L>::new(batch);
    let lengths = examples.iter().map(Example::length);
    let masked: u32 = (0..).zip(lengths).map(|(row, length)| counts.count([0, 0], row, length)).sum();
    let flops = 6 * masked as usize * V * M::SHAPE.width;
    let texts: Vec<_> = examples.iter().map(|example| example.clean).collect();
    let longer = longer(texts.iter());
    let shared = |step| stream.child(step, u32::MAX).draw(0, 0);
    let draw = |(step, shared), row: usize, example: &mut Example<L>| {
        *example =
            Example::bound_row(&texts[row], &counts, shared, row as u32, stream.child(step, row as u32));
    };
    examples.iter_mut().enumerate().for_each(|(row, example)| draw((0, shared(0)), row, example));
    let (mut next, mut step) = (examples.clone(), 0);
    bencher.counter(ItemsCount::new(flops)).bench_local(|| {
        let noise = (step + 1, shared(step + 1));
        let (records, losses) = (&mut records, &mut losses);
        let batch = Batch { examples: &examples, soft: &[], next: &mut next, records, losses };
        let rates = Rates { adam: Adam::default().step(step, 1e-3), average: average_rate(step, 0.0) };
        let (weights, m, v) = (&mut weights, &mut m, &mut v);
        let parameters = Parameters { weights, m, v, average: &mut [] };
        let setup = Setup { threads, symbols: V, activation: Activation::Relu, longer: &longer };
        M::step(setup, &rates, batch, parameters, &|row, example| draw(noise, row, example));
        std::mem::swap(&mut examples, &mut next);
        step += 1;
    });
}

#[divan::bench(args = [16, 32, 64, 128, 256, 512], consts = [1, 2])]
fn batch<const THREADS: usize>(bencher: Bencher, batch: u32) {
    steps::<Mlp<L, V, 256>>(bencher, batch, THREADS);
}

#[divan::bench(types = [Mlp<L, V, 64>, Mlp<L, V, 128>, Mlp<L, V, 256>, Mlp<L, V, 512>], args = [1, 2])]
fn width<M: Step<L, V>>(bencher: Bencher, threads: usize) {
    steps::<M>(bencher, 64, threads);
}

#[divan::bench]
fn peak(bencher: Bencher) {
    const TURNS: usize = 10_000;
    bencher
        .counter(ItemsCount::new(2 * PEAK_SUMS * TURNS))
        .bench_local(|| multiply_and_add(black_box(0.5), TURNS));
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a second thread can be had");
    pool.install(divan::main);
}
