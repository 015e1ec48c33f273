//! Nothing large lies on the stack: every configuration trains and samples in a thread of a documented size.
use common::{add_gradient, batch, shard};
use micro_diffusion::activation::Activation;
use micro_diffusion::adam::Adam;
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::config::{Perceptron, PerceptronSmall, Residual, Transformer};
use micro_diffusion::denoiser::Model;
use micro_diffusion::kernels::Plain;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};

/// Kilobytes that are enough for a perceptron without optimisation: 64 are for two of the three.
const PERCEPTRON: usize = 128;
/// Kilobytes that are enough for a transformer without optimisation: 256 are for the smaller, 320 for the wide one.
const TRANSFORMER: usize = 512;

/// One step of training, and one text, in a thread with `kilobytes` of stack.
fn in_a_thread<M: Model<L, V> + 'static, const L: usize, const V: usize>(kilobytes: usize) {
    let thread = std::thread::Builder::new().stack_size(kilobytes << 10);
    thread.spawn(train_and_sample::<M, L, V>).unwrap().join().unwrap();
}

fn train_and_sample<M: Model<L, V>, const L: usize, const V: usize>() {
    let mut weights = vec![0.0_f32; M::PARAMETERS];
    M::initialise(&mut weights, Stream::new(1, Purpose::Weights));
    let batch = batch::<L>(1, 9);
    let (mut gradient, mut m, mut v) = (weights.clone(), weights.clone(), weights.clone());
    let (mut records, mut losses) = (vec![0.0; batch.len() * M::RECORD], vec![0.0; batch.len()]);
    let view = M::view(&weights).unwrap();
    let shard = shard(&batch, V);
    M::forward_backward(shard, view, &mut records, &mut losses);
    gradient.fill(0.0);
    add_gradient::<M, _, _, L, V>(shard, &records, &mut gradient);
    m.fill(0.0);
    v.fill(0.0);
    Adam::default().step(0, 0.01).update(&mut weights, &gradient, &mut m, &mut v, f32::sqrt);

    let mut memory = vec![0.0; M::MEMORY];
    let view = M::view(&weights).unwrap();
    let mut denoiser = M::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
    let allowed = [SymbolSet::first(V); L];
    let settings = Settings::new(Order::Confidence, Temperature::ONE);
    let stream = Stream::new(1, Purpose::Sample);
    let mut sampler = Sampler::<L, V>::new(L, &allowed, settings, stream).unwrap();
    // Every step is the same, and without optimisation a slow one.
    sampler.run(&mut denoiser, 1);
    assert_eq!(sampler.masked(), 0);
}

#[test]
fn perceptron_small() {
    in_a_thread::<PerceptronSmall, 12, 26>(PERCEPTRON);
}

#[test]
fn perceptron() {
    in_a_thread::<Perceptron, 12, 26>(PERCEPTRON);
}

#[test]
fn residual() {
    in_a_thread::<Residual, 12, 26>(PERCEPTRON);
}

#[test]
fn transformer() {
    in_a_thread::<Transformer, 16, 26>(TRANSFORMER);
}

#[test]
fn transformer_wide() {
    in_a_thread::<Transformer<64, 255>, 64, 255>(TRANSFORMER);
}
