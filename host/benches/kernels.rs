//! Every kernel at every vector width: `cargo bench --bench kernels`.
//!
//! What a kernel is timed on is what one step of the default run, or of the transformer, gives it. The last column counts
//! floating-point operations where the kernel multiplies and adds, and numbers that it writes where it does not. A width
//! that the machine lacks runs as SSE2.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use micro_diffusion::activation::gelu_forward_slope;
use micro_diffusion::adam::{Adam, AdamStep};
use micro_diffusion::attention::{attention_backward, attention_forward};
use micro_diffusion::linear::{
    linear_backward_input, linear_backward_weight, linear_forward, lookup_backward, lookup_forward,
};
use micro_diffusion::normalisation::rms_norm_forward;
use micro_diffusion::product::{product, product_backward_weight, product_transposed};
use micro_diffusion::rng::{Purpose, Stream, symmetric};
use micro_diffusion::softmax::cross_entropy;
use multiversion::multiversion;

/// Positions, symbols, hidden width and examples of the default run.
const L: usize = 12;
const V: usize = 27;
const H: usize = 256;
const B: usize = 64;
/// Positions, width, width of a head and of the inner layer of the transformer.
const P: usize = 16;
const D: usize = 64;
const K: usize = 16;
const W: usize = 4 * D;

/// What the kernels read and write.
struct Data {
    table: [[[f32; H]; V]; L],
    symbols: [[Option<u8>; L]; B],
    weight: [[f32; H]; V],
    bias: [f32; V],
    hidden: [[f32; H]; B],
    hidden_bias: [f32; H],
    logits: [[f32; V]; B],
    gradient: [[f32; H]; V],
    adam: AdamStep<f32>,
    m: [[f32; H]; V],
    v: [[f32; H]; V],
    matrix: [[f32; D]; W],
    narrow: [[f32; P]; D],
    wide: [[f32; P]; W],
    heads: [[[f32; P]; K]; 4],
    shares: [[[f32; P]; P]; 2],
    gain: [f32; D],
}

/// Rows of numbers in −1 … 1.
fn rows<const N: usize, const M: usize>() -> [[f32; N]; M] {
    let stream = Stream::new(1, Purpose::Weights);
    std::array::from_fn(|m| std::array::from_fn(|n| symmetric(stream.draw(n as u32, m as u32)[0])))
}

impl Data {
    fn new() -> Box<Self> {
        let stream = Stream::new(1, Purpose::Noise);
        let symbol = |e: usize, l: usize| (stream.draw(e as u32, l as u32)[0] % V as u32) as u8;
        Box::new(Self {
            table: std::array::from_fn(|_| rows()),
            symbols: std::array::from_fn(|e| std::array::from_fn(|l| Some(symbol(e, l)))),
            weight: rows(),
            bias: [0.0; V],
            hidden: rows(),
            hidden_bias: [0.0; H],
            logits: rows(),
            gradient: rows(),
            adam: Adam::default().step(9, 1e-3),
            m: [[0.0; H]; V],
            v: [[0.0; H]; V],
            matrix: rows(),
            narrow: rows(),
            wide: rows(),
            heads: std::array::from_fn(|_| rows()),
            shares: std::array::from_fn(|_| rows()),
            gain: [1.0; D],
        })
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
        for (symbols, y) in data.symbols.iter().zip(&mut data.hidden) {
            lookup_forward(&data.table, &data.hidden_bias, symbols, y);
        }
    }
}

struct LookupBackward;
impl Kernel for LookupBackward {
    const WORK: usize = B * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        for (symbols, d_y) in data.symbols.iter().zip(&data.hidden) {
            lookup_backward(symbols[0], d_y, &mut data.gradient);
        }
    }
}

struct LinearForward;
impl Kernel for LinearForward {
    const WORK: usize = 2 * B * V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        for (x, y) in data.hidden.iter().zip(&mut data.logits) {
            linear_forward(&data.weight, &data.bias, x, y);
        }
    }
}

struct LinearBackwardInput;
impl Kernel for LinearBackwardInput {
    const WORK: usize = 2 * B * V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        for (d_y, d_x) in data.logits.iter().zip(&mut data.hidden) {
            linear_backward_input(&data.weight, d_y, d_x);
        }
    }
}

struct LinearBackwardWeight;
impl Kernel for LinearBackwardWeight {
    const WORK: usize = 2 * B * V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        let pairs: [_; B] = std::array::from_fn(|e| (&data.hidden[e], &data.logits[e]));
        linear_backward_weight(&pairs, &mut data.gradient);
    }
}

struct CrossEntropy;
impl Kernel for CrossEntropy {
    const WORK: usize = B * V;
    #[inline(always)]
    fn run(data: &mut Data) {
        for z in &mut data.logits {
            black_box(cross_entropy(z, V, 3, 0.1));
        }
    }
}

struct AdamUpdate;
impl Kernel for AdamUpdate {
    const WORK: usize = V * H;
    #[inline(always)]
    fn run(data: &mut Data) {
        let (m, v) = (data.m.as_flattened_mut(), data.v.as_flattened_mut());
        data.adam.update(data.weight.as_flattened_mut(), data.gradient.as_flattened(), m, v, f32::sqrt);
    }
}

struct Product;
impl Kernel for Product {
    const WORK: usize = 2 * W * D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        product(&data.matrix, &data.narrow, &mut data.wide, |_, sum| sum);
    }
}

struct ProductTransposed;
impl Kernel for ProductTransposed {
    const WORK: usize = 2 * W * D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        product_transposed(&data.matrix, &data.wide, &mut data.narrow, |_, sum| sum);
    }
}

struct ProductBackwardWeight;
impl Kernel for ProductBackwardWeight {
    const WORK: usize = 2 * W * D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        product_backward_weight(0..P, &data.wide, &data.narrow, &mut data.matrix);
    }
}

struct RmsNorm;
impl Kernel for RmsNorm {
    const WORK: usize = D * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        let y = data.wide.first_chunk_mut().expect("the inner layer is the wider one");
        rms_norm_forward(&data.gain, &data.narrow, y);
    }
}

struct Gelu;
impl Kernel for Gelu {
    const WORK: usize = W * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        gelu_forward_slope(data.wide.as_flattened_mut(), data.matrix.as_flattened_mut());
    }
}

struct AttentionForward;
impl Kernel for AttentionForward {
    const WORK: usize = 4 * K * P * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        let [query, key, value, y] = &mut data.heads;
        attention_forward(query, key, value, &mut data.shares[0], y);
    }
}

struct AttentionBackward;
impl Kernel for AttentionBackward {
    const WORK: usize = 8 * K * P * P;
    #[inline(always)]
    fn run(data: &mut Data) {
        let [query, key, value, d_y] = &mut data.heads;
        let [share, d_share] = &mut data.shares;
        attention_backward(query, key, value, share, d_y, d_share);
        // They are used up: else they would vanish or overflow from run to run.
        data.heads.as_flattened_mut().as_flattened_mut().fill(0.5);
        data.shares.as_flattened_mut().as_flattened_mut().fill(0.5);
    }
}

#[inline(never)]
fn sse2<T: Kernel>(data: &mut Data) {
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

#[divan::bench(
    types = [
        LookupForward, LookupBackward, LinearForward, LinearBackwardInput, LinearBackwardWeight, CrossEntropy, AdamUpdate,
        Product, ProductTransposed, ProductBackwardWeight, RmsNorm, Gelu, AttentionForward, AttentionBackward,
    ],
    args = ["SSE2", "AVX2", "AVX-512"],
)]
fn kernel<T: Kernel>(bencher: Bencher, width: &str) {
    let run = match width {
        "SSE2" => sse2::<T>,
        "AVX2" => avx2::<T>,
        _ => avx512::<T>,
    };
    let mut data = Data::new();
    bencher.counter(ItemsCount::new(T::WORK)).bench_local(|| run(black_box(&mut data)));
}

fn main() {
    divan::main();
}
