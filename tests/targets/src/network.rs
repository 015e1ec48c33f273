//! All that these checks call of [`Model`], in one place.

use alloc::vec;
use alloc::vec::Vec;

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, average_rate, average_update};
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser::{AtWork, Example, Model, Part, Shard};
use micro_diffusion::kernels::Plain;
use micro_diffusion::math::{Real, Stored};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::text::Text;

const STEPS: u32 = 3;
const BATCH: u32 = 11;

/// The result of a few training steps.
pub(crate) struct Trained {
    /// The loss of each step and example.
    pub(crate) losses: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    pub(crate) averages: Vec<f32>,
}

/// Trains an `M` on random texts with core's own loops; `None` never happens.
pub(crate) fn train<M: Model<L, V>, const L: usize, const V: usize>() -> Option<Trained> {
    let mut weights = vec![0.0; M::PARAMETERS];
    M::initialise(&mut weights, Stream::new(1, Purpose::Weights));
    let (mut m, mut v) = (vec![0.0; M::PARAMETERS], vec![0.0; M::PARAMETERS]);
    let mut averages = weights.clone();
    let mut gradient = vec![0.0; M::PARAMETERS];
    let mut records = vec![0.0; BATCH as usize * M::RECORD];
    let mut losses = vec![0.0; (STEPS * BATCH) as usize];
    for (step, losses) in (0..STEPS).zip(losses.chunks_exact_mut(BATCH as usize)) {
        let batch: Vec<Example<L>> = (0..BATCH).map(|row| example::<L, V>(step, row)).collect();
        let activation = Activation::Relu;
        let shard = Shard { kernels: Plain, activation, examples: &batch, symbols: V, soft: &[] };
        M::forward_backward(shard, M::view(&weights[..])?, &mut records, losses);
        gradient.fill(0.0);
        let mut rest = &mut gradient[..];
        for (number, tensor) in M::TENSORS.iter().enumerate() {
            for index in 0..tensor.parts {
                let (out, tail) = rest.split_at_mut(tensor.part_len());
                M::gradient(shard, Part { tensor: number, index }, &records, out);
                rest = tail;
            }
        }
        Adam::default().step(step, 0.01).update(&mut weights, &gradient, &mut m, &mut v, Real::sqrt);
        average_update(&mut averages, &weights, average_rate(step, 0.999));
    }
    Some(Trained { losses, weights, averages })
}

/// A random text of any length, of which some positions are masked.
fn example<const L: usize, const V: usize>(step: u32, row: u32) -> Example<L> {
    let stream = Stream::new(2, Purpose::Noise).child(step, row);
    let symbols: [u8; L] =
        core::array::from_fn(|position| (stream.draw(position as u32, 1)[0] % V as u32) as u8);
    let length = L - (5 * step + row) as usize % L;
    let clean = Text::new(&symbols[..length]).unwrap_or(Text::EMPTY);
    let noisy = mask_count(&clean, 1 + row % length as u32, stream);
    let weights = noisy.map(|symbol| if symbol.is_none() { 0.1 } else { 0.0 });
    Example { clean, noisy, weights, dropout: None }
}

/// Calls `use_it` with the denoiser of an `M`; `None` where `parameters` are not an `M`'s.
pub(crate) fn with_denoiser<M: Model<L, V>, W: Stored<f32>, const L: usize, const V: usize>(
    parameters: &[W],
    use_it: impl FnOnce(&mut AtWork<'_, '_, M, W, Plain, L, V>) -> Option<()>,
) -> Option<()> {
    let mut memory = vec![0.0; M::MEMORY];
    use_it(&mut M::denoiser(Plain, Activation::Relu, M::view(parameters)?, &mut memory)?)
}
