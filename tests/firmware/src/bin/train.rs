//! A network small enough to be trained in 16 KB of memory: the checksum of its weights after each step, then three
//! texts it writes.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::board::print;
use firmware_checks::{Hash, number};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, learning_rate};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::{Example, Model, Part, Shard};
use micro_diffusion::kernels::Plain;
use micro_diffusion::length::Lengths;
use micro_diffusion::math::Real;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::rng::{Purpose, Stream, below};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::text::Alphabet;

const L: usize = 4;
const V: usize = 5;
type Network = Mlp<L, V, 8>;
const PARAMETERS: usize = <Network as Model<L, V>>::PARAMETERS;
const RECORD: usize = <Network as Model<L, V>>::RECORD;

const TEXTS: [&str; 6] = ["abba", "ada", "bead", "cab", "dada", "ebb"];
const STEPS: u32 = 40;
const BATCH: usize = 8;
const SEED: u64 = 1;

firmware_checks::program!(run);

fn run() -> Option<()> {
    let alphabet = Alphabet::new("abcde").ok()?;
    let (mut weights, mut gradient) = ([0.0_f32; PARAMETERS], [0.0_f32; PARAMETERS]);
    let (mut m, mut v) = ([0.0_f32; PARAMETERS], [0.0_f32; PARAMETERS]);
    Network::initialise(&mut weights, Stream::new(SEED, Purpose::Weights));
    for step in 0..STEPS {
        let loss = forward_and_backward(&weights, &mut gradient, alphabet, step)?;
        let rate = learning_rate(step, STEPS, 3e-2, 5, 0.01);
        Adam::default().step(step, rate).update(&mut weights, &gradient, &mut m, &mut v, Real::sqrt);
        let hash = weights.iter().fold(Hash::new(), |hash, weight| hash.with(weight.to_bits()));
        for piece in
            [&number(step), " ", &Hash::new().with(loss.to_bits()).digits(), " ", &hash.digits(), "\n"]
        {
            print(piece);
        }
    }
    let mut counts = [[0; 4]; L];
    for text in TEXTS {
        counts[text.len() - 1][0] += 1;
    }
    let lengths = Lengths::new(&counts)?;
    (0..3).try_for_each(|index| write(&weights, alphabet, lengths, index))
}

/// The loss of one batch in nats; its gradient goes into `gradient`.
#[inline(never)]
fn forward_and_backward(
    weights: &[f32; PARAMETERS],
    gradient: &mut [f32; PARAMETERS],
    alphabet: Alphabet,
    step: u32,
) -> Option<f32> {
    let mut batch = [Example::EMPTY; BATCH];
    let noise = Stream::new(SEED, Purpose::Noise);
    let shared = noise.child(step, u32::MAX).draw(0, 0);
    let counts = MaskCounts::<L>::new(BATCH as u32);
    for (row, example) in (0..).zip(&mut batch) {
        let [word, _] = Stream::new(SEED, Purpose::Order).draw(step, row);
        let clean = alphabet.encode(TEXTS[below(word, 6) as usize]).ok()?;
        *example = Example::bound_row(&clean, &counts, shared, row, noise.child(step, row));
    }
    let mut records = [0.0; BATCH * RECORD];
    let mut losses = [0.0; BATCH];
    let view = Network::view(weights)?;
    let activation = Activation::Relu;
    let shard = Shard { kernels: Plain, activation, examples: &batch, symbols: V, soft: &[] };
    Network::forward_backward(shard, view, &mut records, &mut losses);
    gradient.fill(0.0);
    let mut rest = gradient.as_mut_slice();
    for (number, tensor) in Network::TENSORS.iter().enumerate() {
        for index in 0..tensor.parts {
            let (out, tail) = rest.split_at_mut(tensor.part_len());
            Network::gradient(shard, Part { tensor: number, index }, &records, out);
            rest = tail;
        }
    }
    Some(losses.iter().sum())
}

#[inline(never)]
fn write(weights: &[f32; PARAMETERS], alphabet: Alphabet, lengths: Lengths, index: u32) -> Option<()> {
    let mut memory = [0.0; <Network as Model<L, V>>::MEMORY];
    let mut denoiser = Network::denoiser(Plain, Activation::Relu, Network::view(weights)?, &mut memory)?;
    let allowed = [SymbolSet::first(V); L];
    let settings = Settings::new(Order::Random, Temperature::ONE);
    let stream = Stream::new(SEED, Purpose::Sample).child(index, 0);
    let mut sampler = Sampler::<L, V>::new(lengths.draw(stream), &allowed, settings, stream).ok()?;
    sampler.run(&mut denoiser, L);
    print(&alphabet.decode::<{ 4 * L }>(sampler.symbols(), '_'));
    print("\n");
    Some(())
}
