//! Trains each kind of network for a few steps and draws texts from models in every number format. Prints hashes of all
//! bits, to compare targets line by line.

#![cfg_attr(any(target_os = "none", target_family = "wasm"), no_std, no_main)]

extern crate alloc;

mod network;
mod place;

use alloc::format;
use core::cell::Cell;

use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::config::{ConvolutionChip, Perceptron, PerceptronSmall};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::file::ModelFile;
use micro_diffusion::precision::{Int4, Int8, Precision};
use micro_diffusion::integer::{IntegerModel, Quantisable};
use micro_diffusion::length::Lengths;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::quantise::{quantise, scales};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::Alphabet;
use micro_diffusion::transformer::Transformer;

use place::print;

place::program!(checks);

/// Every check; `None` where a model file in data/ is not what its check expects.
fn checks() -> Option<()> {
    trained::<Mlp<12, 26, 256>, 12, 26>("perceptron 12 26 256")?;
    trained::<Mlp<12, 26, 18>, 12, 26>("perceptron 12 26 18")?;
    trained::<Mlp<5, 30, 77>, 5, 30>("perceptron 5 30 77")?;
    trained::<Residual<5, 30, 48>, 5, 30>("residual 5 30 48")?;
    trained::<Convolution<16, 26, 26, 3, 5>, 16, 26>("convolution 16 26 26 3 5")?;
    trained::<Convolution<7, 9, 12, 2, 3>, 7, 9>("convolution 7 9 12 2 3")?;
    trained::<Transformer<16, 26, 64, 1, 4>, 16, 26>("transformer 16 26 64 1 4 16")?;
    trained::<Transformer<7, 9, 12, 2, 2>, 7, 9>("transformer 7 9 12 2 2 6")?;

    rounded::<Mlp<12, 26, 18>, 12, 26>("perceptron 12 26 18")?;
    rounded::<Residual<5, 30, 48>, 5, 30>("residual 5 30 48")?;
    rounded::<Convolution<16, 26, 26, 3, 5>, 16, 26>("convolution 16 26 26 3 5")?;

    float_file::<Perceptron, 12>("names.mdm", include_bytes!("../../../data/names.mdm"))?;
    float_file::<PerceptronSmall, 12>("perceptron-small.mdm", include_bytes!("../../../data/perceptron-small.mdm"))?;
    integer_file::<Perceptron, Int8, 12>("names-int8.mdm", include_bytes!("../../../data/names-int8.mdm"))?;
    integer_file::<Perceptron, Int4, 12>("names-int4.mdm", include_bytes!("../../../data/names-int4.mdm"))?;
    integer_file::<ConvolutionChip, Int4, 16>("convolution-chip-int4.mdm", include_bytes!("../../../data/convolution-chip-int4.mdm"))
}

/// A line of the hashes of an `M`'s losses, weights and averages after a few steps, and lines of what it draws.
fn trained<M: Model<L, V>, const L: usize, const V: usize>(name: &str) -> Option<()> {
    let trained = network::train::<M, L, V>()?;
    let [losses, weights, averages] = [trained.losses, trained.weights.clone(), trained.averages]
        .map(|numbers| numbers.iter().fold(Hash::new(), |hash, number| hash.with(number.to_bits())).digits());
    print(&format!("{name}: losses {losses} weights {weights} averages {averages}\n"));
    network::with_denoiser::<M, _, L, V>(&trained.weights, |denoiser| draw(name, denoiser, &Texts::of_any_length(V)))
}

/// Lines of what a trained `M` draws with its weights rounded to 8 and to 4 bits.
fn rounded<M: Quantisable<L, V>, const L: usize, const V: usize>(name: &str) -> Option<()> {
    let weights = network::train::<M, L, V>()?.weights;
    rounded_to::<M, Int8, L, V>(&format!("{name} int8"), &weights)?;
    rounded_to::<M, Int4, L, V>(&format!("{name} int4"), &weights)
}

fn rounded_to<M: Quantisable<L, V>, P: Precision + 'static, const L: usize, const V: usize>(
    name: &str,
    weights: &[f32],
) -> Option<()> {
    let tensors = M::Integers::<P>::TENSORS;
    let scales = scales(tensors, weights, M::Integers::<P>::steps().exponent);
    let mut payload = alloc::vec![0; M::Integers::<P>::BYTES];
    quantise(tensors, weights, &scales, &mut payload);
    let mut memory = M::Integers::<P>::MEMORY;
    let view = M::Integers::<P>::view(&payload, &scales)?;
    draw(name, &mut M::Integers::<P>::denoiser(view, &mut memory), &Texts::of_any_length(V))
}

/// Lines of the names that a model file of floats gives.
fn float_file<M: Model<L, 26>, const L: usize>(name: &str, bytes: &[u8]) -> Option<()> {
    let file = ModelFile::parse(bytes).ok()?;
    let parameters = file.parameters::<M, L, 26>().ok()?;
    network::with_denoiser::<M, _, L, 26>(parameters, |denoiser| draw(name, denoiser, &Texts::of_file(&file)))
}

/// Lines of the names that a model file of integers gives.
fn integer_file<M: Quantisable<L, 26>, P: Precision + 'static, const L: usize>(
    name: &str,
    bytes: &[u8],
) -> Option<()> {
    let file = ModelFile::parse(bytes).ok()?;
    let view = file.integers::<M::Integers<P>, L, 26>().ok()?;
    let mut memory = M::Integers::<P>::MEMORY;
    draw(name, &mut M::Integers::<P>::denoiser(view, &mut memory), &Texts::of_file(&file))
}

/// Texts drawn with each sampler.
const TEXTS: u32 = 5;

/// The samplers for texts of `positions`: name, how it draws, and in how many steps.
const fn samplers(positions: usize) -> [(&'static str, Settings, usize); 3] {
    let warm = Temperature::from_milli(700);
    let truncated = Settings { top_k: 5, top_p: 58_982, ..Settings::new(Order::Random, Temperature::ONE) };
    [
        ("random", Settings::new(Order::Random, warm), positions),
        ("confidence", Settings::new(Order::Confidence, warm), positions),
        ("top-k-top-p", truncated, positions),
    ]
}

/// Drawn texts as symbols and lengths.
struct Texts<'a> {
    symbols: usize,
    alphabet: Option<Alphabet<'a>>,
    /// Without a table every length is tried.
    lengths: Option<Lengths<'a>>,
}

impl<'a> Texts<'a> {
    fn of_any_length(symbols: usize) -> Self {
        Self { symbols, alphabet: None, lengths: None }
    }

    fn of_file(file: &ModelFile<'a>) -> Self {
        let alphabet = file.alphabet();
        Self { symbols: alphabet.symbols(), alphabet: Some(alphabet), lengths: Some(file.lengths()) }
    }

    /// The length of text number `index`, of at most `most`, whose own stream is `stream`.
    fn length(&self, stream: Stream, index: u32, most: usize) -> usize {
        let any = most.saturating_sub(3 * index as usize % most);
        self.lengths.map_or(any, |lengths| lengths.draw(stream))
    }
}

/// For each sampler and index a line: model, sampler, hash over all scores and symbols, and the text where there is an
/// alphabet.
///
/// The denoiser is dynamic, so that the sampler is compiled once for each L and V.
fn draw<const L: usize, const V: usize>(
    name: &str,
    denoiser: &mut dyn Denoiser<L, V>,
    texts: &Texts,
) -> Option<()> {
    let allowed = [SymbolSet::first(texts.symbols)];
    for (order, settings, steps) in samplers(L) {
        for index in 0..TEXTS {
            let stream = Stream::new(1, Purpose::Sample).child(index, 0);
            let mut sampler = Sampler::<L, V>::new(texts.length(stream, index, L), &allowed, settings, stream).ok()?;
            let mut recorded = Recorded { denoiser, hash: Cell::new(Hash::new()) };
            sampler.run(&mut recorded, steps);
            let symbols = sampler.symbols().iter().flatten();
            let hash = symbols.fold(recorded.hash.get(), |hash, symbol| hash.with(u32::from(*symbol)));
            let text = texts.alphabet.map(|alphabet| alphabet.decode::<64>(sampler.symbols(), '_'));
            let text = text.as_deref().unwrap_or("");
            print(&format!("{name}: {order} {} {text}\n", hash.digits()));
        }
    }
    Some(())
}

/// A denoiser that takes note of every score it gives.
struct Recorded<'a, const L: usize, const V: usize> {
    denoiser: &'a mut dyn Denoiser<L, V>,
    hash: Cell<Hash>,
}

impl<const L: usize, const V: usize> Denoiser<L, V> for Recorded<'_, L, V> {
    fn start(&mut self, length: usize) {
        self.denoiser.start(length);
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.denoiser.set(position, symbol);
    }

    fn evaluate(&mut self) {
        self.denoiser.evaluate();
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        self.denoiser.scores(position, out);
        self.hash.set(out.iter().fold(self.hash.get(), |hash, score| hash.with(score.cast_unsigned())));
    }
}

/// FNV-1a of 64 bits over words.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    /// Of nothing.
    fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    /// Of what it was of and `word`.
    fn with(self, word: u32) -> Self {
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        Self(word.to_le_bytes().into_iter().fold(self.0, add))
    }

    /// In hexadecimal.
    fn digits(self) -> alloc::string::String {
        format!("{:016x}", self.0)
    }
}
