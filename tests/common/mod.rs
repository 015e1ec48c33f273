//! Helpers that the tests share.
pub mod cross;
pub mod integers;
pub mod naive;
pub mod oracle;
pub mod tolerance;
pub mod training;

use micro_diffusion::activation::Activation;
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser::{Denoiser, Example, Model, Part, Score, Shard};
use micro_diffusion::kernels::{Kernels, Plain};
use micro_diffusion::math::Real;
use micro_diffusion::rng::{Purpose, Stream, symmetric};
use micro_diffusion::text::Text;

/// The example of `clean` with `count` masked positions, drawn by `stream`, each of the loss weight `weight`.
pub fn masked_example<const L: usize>(
    clean: &Text<L>,
    count: u32,
    weight: f32,
    stream: Stream,
) -> Example<L> {
    let noisy = mask_count(clean, count, stream);
    let weights = noisy.map(|symbol| if symbol.is_none() { weight } else { 0.0 });
    Example { clean: *clean, noisy, weights, dropout: None }
}

/// `count` numbers in ±1, fixed by `seed`.
pub fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let stream = Stream::new(seed, Purpose::Weights);
    (0..count as u32).map(|index| f64::from(symmetric(stream.draw(index, 0)[0]))).collect()
}

/// `M` numbers in ±1 as an array.
pub fn vector<const M: usize>(seed: u64) -> [f64; M] {
    numbers(seed, M).try_into().unwrap()
}

/// An `N` × `M` matrix of numbers in ±1.
pub fn matrix<const N: usize, const M: usize>(seed: u64) -> [[f64; M]; N] {
    std::array::from_fn(|row| vector(seed * 1000 + row as u64))
}

/// `count` distributions over `symbols` symbols in rows of `outputs` numbers, fixed by `seed`; some symbols have none of it.
pub fn distributions<R: Real>(seed: u64, count: usize, outputs: usize, symbols: usize) -> Vec<R> {
    let mut rows = vec![0.0; count * outputs];
    let drawn = numbers(seed, count * symbols);
    for (row, drawn) in rows.chunks_mut(outputs).zip(drawn.chunks(symbols)) {
        let weights: Vec<f64> = drawn.iter().map(|x| (x + 0.5).max(0.0)).collect();
        // Where none has any, the first has all.
        let total: f64 = weights.iter().sum();
        row[0] = if total == 0.0 { 1.0 } else { 0.0 };
        row.iter_mut().zip(weights).for_each(|(t, weight)| *t += (weight / total.max(1e-9)) as f32);
    }
    rows.into_iter().map(|t: f32| R::of(f64::from(t))).collect()
}

/// A batch with every kind of example: some masks, all masks, none that count, shown positions that count; texts of every
/// length, the longest first.
pub fn batch<const L: usize>(rows: usize, symbols: u8) -> Vec<Example<L>> {
    let stream = Stream::new(9, Purpose::Order);
    (0..rows as u32)
        .map(|row| {
            let word = |position: usize, b: u32| stream.child(row, 0).draw(position as u32, b)[0];
            let length = L - row as usize % L;
            let letters: Vec<u8> = (0..length).map(|l| (word(l, 0) % u32::from(symbols)) as u8).collect();
            let shown = |l: usize| word(l, 1) % 5 < 2 && row != 1;
            let noisy = std::array::from_fn(|l| letters.get(l).copied().filter(|_| shown(l)));
            let weights = std::array::from_fn(|l| match (row, noisy[l]) {
                _ if l >= length => 0.0,
                (2, _) => 0.5,
                (_, None) => 0.25 + l as f32 / 8.0,
                _ => 0.0,
            });
            let clean = Text::new(&letters).unwrap();
            Example { clean, noisy, weights, dropout: None }
        })
        .collect()
}

/// Some examples of a batch, whose answers are the clean symbols, computed by the plain kernels.
pub fn shard<R, const L: usize>(examples: &[Example<L>], symbols: usize) -> Shard<'_, R, Plain, L> {
    Shard { kernels: Plain, activation: Activation::Relu, examples, symbols, soft: &[] }
}

/// The losses of a batch, and with them the gradient of every parameter, tensor by tensor and part by part.
pub fn loss_and_gradient<M: Model<L, V>, const L: usize, const V: usize>(
    parameters: &[f64],
    batch: Shard<f64, Plain, L>,
) -> (Vec<f64>, Vec<f64>) {
    let mut records = vec![f64::NAN; batch.examples.len() * M::RECORD];
    let mut losses = vec![f64::NAN; batch.examples.len()];
    M::forward_backward(batch, M::view(parameters).unwrap(), &mut records, &mut losses);
    let mut gradient = vec![0.0; M::PARAMETERS];
    add_gradient::<M, _, _, L, V>(batch, &records, &mut gradient);
    (losses, gradient)
}

/// Adds to `out`, as long as the parameters, the gradient that `records` of `shard` hold.
pub fn add_gradient<M: Model<L, V>, R: Real, K: Kernels<R>, const L: usize, const V: usize>(
    shard: Shard<R, K, L>,
    records: &[R],
    out: &mut [R],
) {
    let mut rest = out;
    for (number, tensor) in M::TENSORS.iter().enumerate() {
        for index in 0..tensor.parts {
            let out = rest.split_off_mut(..tensor.part_len()).unwrap();
            M::gradient(shard, Part { tensor: number, index }, records, out);
        }
    }
    assert!(rest.is_empty(), "the parts are the whole");
}

/// A denoiser that a table defines: what it says depends on the length and on what is shown where.
/// It counts how often it is evaluated.
#[derive(Clone)]
pub struct Table<const L: usize, const V: usize> {
    /// The symbols of the n positions; `None` is a mask.
    pub symbols: Vec<Option<u8>>,
    pub evaluations: usize,
    pub seed: u64,
}

impl<const L: usize, const V: usize> Table<L, V> {
    pub fn new(seed: u64) -> Self {
        Self { symbols: vec![None; L], evaluations: 0, seed }
    }

    /// The scores at `position` of the text `symbols`.
    pub fn scores_of(seed: u64, symbols: &[Option<u8>], position: usize) -> [Score; V] {
        let add = |code: u32, s: &Option<u8>| code.wrapping_mul(7) + s.map_or(0, |s| u32::from(s) + 1);
        let code = symbols.iter().fold(1, add);
        let stream = Stream::new(seed, Purpose::Weights).child(code, position as u32);
        std::array::from_fn(|v| (f64::from(symmetric(stream.draw(v as u32, 0)[0])) * 2.0 * 65_536.0) as Score)
    }
}

impl<const L: usize, const V: usize> Denoiser<L, V> for Table<L, V> {
    fn start(&mut self, length: usize) {
        self.symbols = vec![None; length];
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.symbols[position] = symbol;
    }

    fn evaluate(&mut self) {
        self.evaluations += 1;
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        *out = Self::scores_of(self.seed, &self.symbols, position);
    }
}

/// e^(s/65536) normalised, in f64: what the integers should compute.
pub fn probabilities(scores: &[Score], temperature: f64) -> Vec<f64> {
    let weights: Vec<f64> = scores.iter().map(|s| (f64::from(*s) / 65_536.0 / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}
