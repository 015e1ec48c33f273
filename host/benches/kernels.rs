//! Every kernel at every vector width: `cargo bench --bench kernels`.
//!
//! What a kernel is timed on is what one step of the default run, or of the transformer, gives it. The last column counts
//! floating-point operations where the kernel multiplies and adds, and numbers that it writes where it does not. A width
//! that does not run here is left out: one that the machine lacks, or AVX-512 without the ten features that `multiversion`
//! asks for with it.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use micro_diffusion::adam::{Adam, AdamStep};
use micro_diffusion::attention::{Heads, attention_backward, attention_forward};
use micro_diffusion::gelu::gelu_forward_slope;
use micro_diffusion::linear::{
    linear_backward_input, linear_backward_weight, linear_forward, lookup_backward, lookup_forward,
};
use micro_diffusion::normalisation::rms_norm_forward;
use micro_diffusion::product::{Store, product, product_backward_weight, product_transposed};
use micro_diffusion::rng::{Purpose, Stream, symmetric};
use micro_diffusion::softmax::cross_entropy;
use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Positions, symbols, hidden width and examples of the default run.
const L: usize = 12;
const V: usize = 26;
const H: usize = 256;
const B: usize = 64;
/// Positions, width, width of a head and of the inner layer of the transformer.
const P: usize = 16;
const D: usize = 64;
const K: usize = 16;
const W: usize = 4 * D;
const HEADS: Heads = Heads { features: K, positions: P };

/// What the kernels read and write.
struct Data {
    table: Vec<f32>,
    symbols: [[u8; L]; B],
    shown: Vec<(usize, u8)>,
    rows: Vec<usize>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    hidden: Vec<f32>,
    logits: Vec<f32>,
    loss: f32,
    gradient: Vec<f32>,
    adam: AdamStep<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
    positions: Vec<usize>,
    matrix: Vec<f32>,
    narrow: Vec<f32>,
    wide: Vec<f32>,
    heads: [Vec<f32>; 4],
    shares: [Vec<f32>; 2],
    gain: Vec<f32>,
}

/// `count` numbers in −1 … 1.
fn numbers(count: usize) -> Vec<f32> {
    let stream = Stream::new(1, Purpose::Weights);
    (0..count as u32).map(|index| symmetric(stream.draw(index, 0)[0])).collect()
}

impl Data {
    fn new() -> Self {
        let stream = Stream::new(1, Purpose::Noise);
        let symbol = |e: usize, l: usize| (stream.draw(e as u32, l as u32)[0] % V as u32) as u8;
        Self {
            table: numbers(L * V * H),
            symbols: std::array::from_fn(|e| std::array::from_fn(|l| symbol(e, l))),
            shown: (0..B).map(|e| (e, symbol(e, 0))).collect(),
            rows: (0..B).collect(),
            weight: numbers(V * H),
            bias: vec![0.0; V],
            hidden: numbers(B * H),
            logits: numbers(B * V),
            loss: 0.0,
            gradient: numbers(V * H),
            adam: Adam::default().step(9, 1e-3),
            m: vec![0.0; V * H],
            v: vec![0.0; V * H],
            positions: (0..P).collect(),
            matrix: numbers(W * D),
            narrow: numbers(D * P),
            wide: numbers(W * P),
            heads: std::array::from_fn(|_| numbers(K * P)),
            shares: std::array::from_fn(|_| numbers(P * P)),
            gain: vec![1.0; D],
        }
    }
}

/// One kernel on its data.
trait Kernel {
    /// What the last column counts.
    const WORK: usize;
    fn run(data: &mut Data);
}

struct LookupForward;
impl Kernel for LookupForward {
    const WORK: usize = B * L * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        for (symbols, y) in data.symbols.iter().zip(data.hidden.chunks_exact_mut(H)) {
            let row = |l: usize| &data.table[(l * V + usize::from(symbols[l])) * H..][..H];
            lookup_forward(&std::array::from_fn::<_, L, _>(row), y);
        }
    }
}

struct LookupBackward;
impl Kernel for LookupBackward {
    const WORK: usize = B * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        lookup_backward(&data.shown, &data.hidden, &mut data.gradient, H);
    }
}

struct LinearForward;
impl Kernel for LinearForward {
    const WORK: usize = 2 * B * V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        linear_forward(&data.weight, &data.bias, &data.rows, &data.hidden, &mut data.logits);
    }
}

struct LinearBackwardInput;
impl Kernel for LinearBackwardInput {
    const WORK: usize = 2 * B * V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        linear_backward_input(&data.weight, &data.rows, &data.logits, &mut data.hidden, H);
    }
}

struct LinearBackwardWeight;
impl Kernel for LinearBackwardWeight {
    const WORK: usize = 2 * B * V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        linear_backward_weight(&data.rows, &data.hidden, &data.logits, V, &mut data.gradient, H);
    }
}

struct CrossEntropy;
impl Kernel for CrossEntropy {
    const WORK: usize = B * V;
    #[inline(always)]
    fn run(data: &mut Data) {
        for logits in data.logits.chunks_exact_mut(V) {
            data.loss += cross_entropy(logits, V, (3, None, 0.1));
        }
    }
}

struct AdamUpdate;
impl Kernel for AdamUpdate {
    const WORK: usize = V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        data.adam.update(&mut data.weight, &data.gradient, &mut data.m, &mut data.v, f32::sqrt);
    }
}

struct Product;
impl Kernel for Product {
    const WORK: usize = 2 * W * D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        product(&data.matrix, &data.narrow, &mut data.wide, P, Store::Set);
    }
}

struct ProductTransposed;
impl Kernel for ProductTransposed {
    const WORK: usize = 2 * W * D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        product_transposed(&data.matrix, &data.wide, &mut data.narrow, P, Store::Set);
    }
}

struct ProductBackwardWeight;
impl Kernel for ProductBackwardWeight {
    const WORK: usize = 2 * W * D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        product_backward_weight(&data.positions, &data.wide, &data.narrow, &mut data.matrix, P);
    }
}

struct RmsNorm;
impl Kernel for RmsNorm {
    const WORK: usize = D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        rms_norm_forward(&data.gain, &data.narrow, &mut data.wide[..D * P], P, f32::sqrt);
    }
}

struct Gelu;
impl Kernel for Gelu {
    const WORK: usize = W * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        gelu_forward_slope(&mut data.wide, &mut data.matrix);
    }
}

struct AttentionForward;
impl Kernel for AttentionForward {
    const WORK: usize = 4 * K * P * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        let [query, key, value, y] = &mut data.heads;
        attention_forward(HEADS, &[0; P], [query, key, value], &mut data.shares[0], y);
    }
}

struct AttentionBackward;
impl Kernel for AttentionBackward {
    const WORK: usize = 8 * K * P * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        let [query, key, value, d_y] = &mut data.heads;
        let [share, d_share] = &mut data.shares;
        attention_backward(HEADS, [query, key, value], share, d_y, d_share);
        // They are used up: else they would vanish or overflow from run to run.
        data.heads.iter_mut().chain(&mut data.shares).for_each(|numbers| numbers.fill(0.5));
    }
}

#[inline(never)]
fn baseline<T: Kernel>(data: &mut Data) {
    T::run(data);
}

#[multiversion(targets("x86_64+avx2"))]
fn avx2<T: Kernel>(data: &mut Data) {
    T::run(data);
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw"))]
fn avx512<T: Kernel>(data: &mut Data) {
    T::run(data);
}

#[multiversion(targets("x86_64+avx2"))]
fn avx2_runs() -> bool {
    target_cfg_f!(target_feature = "avx2")
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw"))]
fn avx512_runs() -> bool {
    target_cfg_f!(target_feature = "avx512f")
}

/// The widths that run here; the first is what the program is compiled for, SSE2 unless it was told otherwise.
fn widths() -> Vec<&'static str> {
    let widths = [("baseline", true), ("AVX2", avx2_runs()), ("AVX-512", avx512_runs())];
    widths.into_iter().filter(|(_, runs)| *runs).map(|(name, _)| name).collect()
}

#[divan::bench(
    types = [
        LookupForward, LookupBackward, LinearForward, LinearBackwardInput, LinearBackwardWeight, CrossEntropy, AdamUpdate,
        Product, ProductTransposed, ProductBackwardWeight, RmsNorm, Gelu, AttentionForward, AttentionBackward,
    ],
    args = widths(),
)]
fn kernel<T: Kernel>(bencher: Bencher, width: &str) {
    let run = match width {
        "baseline" => baseline::<T>,
        "AVX2" => avx2::<T>,
        _ => avx512::<T>,
    };
    let mut data = Data::new();
    bencher.counter(ItemsCount::new(T::WORK)).bench_local(|| run(black_box(&mut data)));
}

fn main() {
    divan::main();
}
