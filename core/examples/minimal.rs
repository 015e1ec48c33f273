//! Masked text diffusion from end to end: `cargo run --release --example minimal`.
//!
//! A diffusion model learns to undo noise. Here a text is a name, and noise replaces letters by MASK. Learning to fill in
//! masks is enough to invent names: draw the number of letters, start from as many masks, and fill in one position after the
//! other.
//!
//! `micro.rs` beside this file writes out what this file calls: the network, its gradient, Adam and the sampler.

// The core's lints are for firmware; an essay may index.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::error::Error;

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, learning_rate};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::{Example, Model, Part, Shard};
use micro_diffusion::kernels::Plain;
use micro_diffusion::length::Lengths;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::rng::{Purpose, Stream, below};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::{MaskCounts, linear_remaining};
use micro_diffusion::text::{Alphabet, Text};

// Shapes: names of up to 12 letters, 26 symbols (a–z), 128 hidden units.
const L: usize = 12;
const V: usize = 26;
type Net = Mlp<L, V, 128>;

const STEPS: u32 = 3000;
const BATCH: u32 = 64;
/// Number of steps whose mean loss is shown.
const SHOWN: u32 = 500;
const SEED: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let alphabet = Alphabet::new("abcdefghijklmnopqrstuvwxyz")?;
    let text = std::fs::read_to_string("data/names.txt")?;
    // Every tenth name is held out, as everywhere in this project, so that scores mean something.
    let training = (1..).zip(text.lines()).filter(|(number, _)| number % 10 != 0);
    let names: Vec<Text<L>> = training.filter_map(|(_, name)| alphabet.encode(name).ok()).collect();
    println!("{} names, {} parameters", names.len(), Net::PARAMETERS);
    let counts = count_lengths(&names);
    let lengths = Lengths::new(&counts).ok_or("a u32 holds twelve times the names")?;

    // The caller owns all memory: the flat parameters, Adam's two moments, the gradient, and a record for each example of a
    // batch. The forward pass leaves in a record what the backward pass needs.
    let mut weights = vec![0.0; Net::PARAMETERS];
    Net::initialise(&mut weights, Stream::new(SEED, Purpose::Weights));
    let (mut m, mut v) = (vec![0.0; Net::PARAMETERS], vec![0.0; Net::PARAMETERS]);
    let mut gradient = vec![0.0; Net::PARAMETERS];
    let mut records = vec![0.0; BATCH as usize * Net::RECORD];
    let mut losses = vec![0.0; BATCH as usize];

    let mut sum = 0.0;
    for step in 0..STEPS {
        // 1. Corrupt: each name of the batch loses k of its n letters, k from 1 to n, most often few.
        let batch: Vec<Example<L>> = (0..BATCH).map(|row| corrupt(&names, step, row)).collect();

        // 2. Denoise: predict the masked symbols, and send the error of the prediction back through the network. The loss is
        // a bound on −ln p(name | n) in nats: the expected cost of writing the name in a random order.
        let view = Net::view(&weights).ok_or("the parameters are as long as the view asks")?;
        let (activation, symbols) = (Activation::Relu, alphabet.symbols());
        let shard = Shard { kernels: Plain, activation, examples: &batch, symbols, soft: &[] };
        Net::forward_backward(shard, view, &mut records, &mut losses);
        backward(shard, &records, &mut gradient);

        // 3. Learn: take one step of Adam against the gradient.
        let rate = learning_rate(step, STEPS, 6e-3, 100, 0.01);
        Adam::default().step(step, rate).update(&mut weights, &gradient, &mut m, &mut v, f32::sqrt);

        // The loss of one batch is too noisy to show progress; the mean over some hundred batches falls.
        sum += losses.iter().sum::<f32>();
        if (step + 1) % SHOWN == 0 {
            println!(
                "step {:>5}  loss {:.2} nats a name, the mean of {SHOWN} steps",
                step + 1,
                sum / SHOWN as f32
            );
            sum = 0.0;
        }
    }

    // 4. Unmask: new names emerge from masks.
    for index in 0..10 {
        println!("{}", unmask(&weights, alphabet, lengths, index)?);
    }
    Ok(())
}

/// Counts the names of each length 1 … L; a count has the four bytes of a model file.
fn count_lengths(names: &[Text<L>]) -> [[u8; 4]; L] {
    let mut counts = [0_u32; L];
    for name in names {
        counts[name.symbols().len() - 1] += 1;
    }
    counts.map(u32::to_le_bytes)
}

/// The forward process: masks k random positions of a random name, weighted so that the batch's losses add up to the bound.
fn corrupt(names: &[Text<L>], step: u32, row: u32) -> Example<L> {
    // Randomness is addressed, not consumed: every draw has its own stream, named by its purpose.
    let [word, _] = Stream::new(SEED, Purpose::Order).draw(step, row);
    let name = &names[below(word, names.len() as u32) as usize];
    let noise = Stream::new(SEED, Purpose::Noise);
    let shared = noise.child(step, u32::MAX).draw(0, 0);
    let counts = MaskCounts::<L>::new(BATCH);
    Example::bound_row(name, &counts, shared, row, noise.child(step, row))
}

/// Computes the gradient of the summed losses, tensor by tensor and part by part; threads could share the parts.
fn backward(shard: Shard<f32, Plain, L>, records: &[f32], gradient: &mut [f32]) {
    gradient.fill(0.0);
    let mut rest = gradient;
    for (number, tensor) in Net::TENSORS.iter().enumerate() {
        for index in 0..tensor.parts {
            let (out, tail) = rest.split_at_mut(tensor.part_len());
            Net::gradient(shard, Part { tensor: number, index }, records, out);
            rest = tail;
        }
    }
}

/// The reverse process: draws a length, then one more letter at each step from the prediction for its position.
///
/// Returns a line that shows the name at every other step.
fn unmask(
    weights: &[f32],
    alphabet: Alphabet,
    lengths: Lengths,
    index: u32,
) -> Result<String, Box<dyn Error>> {
    let mut memory = vec![0.0; Net::MEMORY];
    let view = Net::view(weights).ok_or("the parameters are as long as the view asks")?;
    let mut denoiser = Net::denoiser(Plain, Activation::Relu, view, &mut memory)
        .ok_or("the memory is as long as the model asks")?;
    let allowed = [SymbolSet::first(alphabet.symbols()); L];
    let settings = Settings::new(Order::Random, Temperature::from_milli(680));
    let stream = Stream::new(SEED, Purpose::Sample).child(index, 0);
    let length = lengths.draw(stream);
    let mut sampler = Sampler::<L, V>::new(length, &allowed, settings, stream)?;
    let mut line = String::new();
    for step in 1..=length {
        if step % 2 == 1 {
            line.push_str(&format!("{}  ", alphabet.decode::<{ 4 * L }>(sampler.symbols(), '_')));
        }
        sampler.step(&mut denoiser, linear_remaining(length, step, length));
    }
    Ok(line + &alphabet.decode::<{ 4 * L }>(sampler.symbols(), '_'))
}
