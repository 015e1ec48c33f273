//! The parallel phases of a training step.
//!
//! First each thread takes some of the examples, forward and backward; then each takes some of the parameters: their
//! gradient, summed over the batch in its order, and at once their update. No sum is split, so the number of threads
//! changes no bit. The perceptron has a way of its own; see `engine::relay`.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Mutex;

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::AdamStep;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Answers, Example, Model};
use micro_diffusion::kernels::Kernels;
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::Stream;
use micro_diffusion::tensor::Tensor;
use micro_diffusion::text::Text;
use micro_diffusion::transformer::Transformer;

use crate::engine::aligned::Aligned;
use crate::engine::kernels::Vectorised;

/// The examples of a step and of the next, and what is computed of each.
pub struct Batch<'a, const L: usize> {
    /// Those of this step.
    pub examples: &'a [Example<L>],
    /// What they are to predict, where that is not their clean symbols; see [`Answers::soft`].
    pub soft: &'a [f32],
    /// Those of the next step, whose noise is drawn by the thread that has time.
    pub next: &'a mut [Example<L>],
    /// The model's record of each.
    pub records: &'a mut [f32],
    /// The loss of each, in nats.
    pub losses: &'a mut [f32],
}

/// The parameters, and all that is kept of each.
pub struct Parameters<'a> {
    /// The numbers that are trained, flat.
    pub weights: &'a mut [f32],
    /// Adam's mean of the gradient.
    pub m: &'a mut [f32],
    /// Adam's mean of the squared gradient.
    pub v: &'a mut [f32],
    /// The average of the weights; empty where none is kept.
    pub average: &'a mut [f32],
}

/// How far a step moves the weights, and their average.
pub struct Rates {
    /// Adam's rates.
    pub adam: AdamStep<f32>,
    /// Share of the difference that the average makes up for.
    pub average: f32,
}

/// What a network computes with, besides its parameters.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Threads that share a step, at most as many as rayon's pool has.
    pub threads: usize,
    /// Symbols of the alphabet.
    pub symbols: usize,
    /// What follows the sums of the hidden layers.
    pub activation: Activation,
    /// The share of the texts that are longer than each position. Work is dealt out by it, and no bit hangs on it.
    pub longer: &'a [f32],
}

/// The share of `texts` that are longer than each position.
pub fn longer<'t, const L: usize>(texts: impl Iterator<Item = &'t Text<L>> + Clone) -> Vec<f32> {
    let count = |position| texts.clone().filter(|text| text.symbols().len() > position).count();
    let all = texts.clone().count();
    (0..L).map(|position| count(position) as f32 / all as f32).collect()
}

/// A model that takes training steps on several threads.
pub trait Step<const L: usize, const V: usize>: Model<L, V> + Sized {
    /// One step: fills the batch's losses, moves the parameters, and lets `draw` make each row of the next batch. What is left in
    /// its records is the network's own affair.
    ///
    /// By examples, then by parameters, unless the network has a way of its own.
    fn step(setup: Setup, rates: &Rates, batch: Batch<L>, parameters: Parameters, draw: &Draw<L>) {
        step::<Self, L, V>(setup, rates, batch, parameters, draw);
    }
}

/// A network of `L` positions as training sees it, so that training is compiled once for all of these.
pub(crate) trait Trained<const L: usize>: Sync {
    /// [`Model::PARAMETERS`].
    fn parameters(&self) -> usize;
    /// [`Model::RECORD`].
    fn record(&self) -> usize;
    /// V: symbols that a position can hold.
    fn outputs(&self) -> usize;
    /// [`Model::initialise`].
    fn initialise(&self, weights: &mut [f32], stream: Stream);
    /// [`Step::step`].
    fn step(&self, setup: Setup, rates: &Rates, batch: Batch<L>, parameters: Parameters, draw: &Draw<L>);
}

/// The network `M` of `V` symbols, of which there is no value.
pub(crate) struct Of<M, const V: usize>(pub(crate) PhantomData<fn() -> M>);

impl<M: Step<L, V>, const L: usize, const V: usize> Trained<L> for Of<M, V> {
    fn parameters(&self) -> usize {
        M::PARAMETERS
    }

    fn record(&self) -> usize {
        M::RECORD
    }

    fn outputs(&self) -> usize {
        V
    }

    fn initialise(&self, weights: &mut [f32], stream: Stream) {
        M::initialise(weights, stream);
    }

    fn step(&self, setup: Setup, rates: &Rates, batch: Batch<L>, parameters: Parameters, draw: &Draw<L>) {
        M::step(setup, rates, batch, parameters, draw);
    }
}

/// Makes row number n of a batch from the text that it holds.
pub type Draw<'a, const L: usize> = dyn Fn(usize, &mut Example<L>) + Sync + 'a;

/// One step of the network `M`: first by examples, then by parameters.
pub(crate) fn step<M: Model<L, V>, const L: usize, const V: usize>(
    setup: Setup,
    rates: &Rates,
    batch: Batch<L>,
    parameters: Parameters,
    draw: &Draw<L>,
) {
    let passes = PassesOf::<M, V> { setup, model: PhantomData };
    by_examples_and_parameters(&passes as &dyn Passes<L>, setup.threads, rates, batch, parameters, draw);
}

/// What a step asks of a network, so that the step is compiled once for all networks of `L` positions.
trait Passes<const L: usize>: Sync {
    /// [`Model::TENSORS`].
    fn tensors(&self) -> &'static [Tensor];
    /// [`Model::RECORD`].
    fn record(&self) -> usize;
    /// [`Model::boundary`].
    fn boundary(&self, batch: &[Example<L>], row: usize) -> usize;
    /// [`Model::forward_backward`] of a shard, of which `soft` is what it is to predict.
    fn forward_backward(
        &self,
        weights: &[f32],
        shard: &[Example<L>],
        soft: &[f32],
        records: &mut [f32],
        losses: &mut [f32],
    );
    /// [`Model::gradient`] of a shard.
    fn gradient(&self, tensor: usize, part: usize, shard: &[Example<L>], records: &[f32], out: &mut [f32]);
}

/// The passes of the network `M`.
struct PassesOf<'a, M, const V: usize> {
    setup: Setup<'a>,
    model: PhantomData<fn() -> M>,
}

impl<M: Model<L, V>, const L: usize, const V: usize> Passes<L> for PassesOf<'_, M, V> {
    fn tensors(&self) -> &'static [Tensor] {
        M::TENSORS
    }

    fn record(&self) -> usize {
        M::RECORD
    }

    fn boundary(&self, batch: &[Example<L>], row: usize) -> usize {
        M::boundary(batch, row)
    }

    fn forward_backward(
        &self,
        weights: &[f32],
        shard: &[Example<L>],
        soft: &[f32],
        records: &mut [f32],
        losses: &mut [f32],
    ) {
        let Setup { activation, symbols, .. } = self.setup;
        let answers = Answers { symbols, soft };
        if let Some(view) = M::view(weights) {
            M::forward_backward(Vectorised, activation, view, shard, answers, records, losses);
        }
    }

    fn gradient(&self, tensor: usize, part: usize, shard: &[Example<L>], records: &[f32], out: &mut [f32]) {
        M::gradient(Vectorised, tensor, part, shard, records, out);
    }
}

fn by_examples_and_parameters<const L: usize>(
    network: &dyn Passes<L>,
    threads: usize,
    rates: &Rates,
    batch: Batch<L>,
    parameters: Parameters,
    draw: &Draw<L>,
) {
    let (tensors, record) = (network.tensors(), network.record());
    let Batch { examples, soft, next, records, losses } = batch;
    let distributions = soft.len() / examples.len().max(1);
    let start = |shard: usize| network.boundary(examples, shard * examples.len() / threads);
    let shards: Vec<Range<usize>> = (0..threads).map(|shard| start(shard)..start(shard + 1)).collect();
    let (mut rest, mut shares) = ((&mut *records, losses, next), Vec::new());
    for rows in &shards {
        let records = split_off(&mut rest.0, rows.len() * record);
        let losses = split_off(&mut rest.1, rows.len());
        shares.push((rows.clone(), records, losses, split_off(&mut rest.2, rows.len())));
    }
    on_each_thread(shares, |(rows, records, losses, next)| {
        for (row, example) in rows.clone().zip(next) {
            draw(row, example);
        }
        let soft = &soft[rows.start * distributions..rows.end * distributions];
        network.forward_backward(parameters.weights, &examples[rows], soft, records, losses);
    });
    let records = &*records;
    let mut shares: Vec<Vec<Part>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, part) in parts(tensors, parameters).into_iter().enumerate() {
        shares[index % threads].push(part);
    }
    on_each_thread(shares, |share| {
        for Part { tensor, part, parameters } in share {
            with_gradient(parameters.weights.len(), |gradient| {
                gradient.fill(0.0);
                for rows in &shards {
                    let records = &records[rows.start * record..rows.end * record];
                    network.gradient(tensor, part, &examples[rows.clone()], records, gradient);
                }
                update(rates, parameters, gradient);
            });
        }
    });
}

impl<const L: usize, const V: usize, const H: usize> Step<L, V> for Residual<L, V, H> {}
impl<const L: usize, const V: usize, const D: usize, const N: usize, const A: usize, const K: usize>
    Step<L, V> for Transformer<L, V, D, N, A, K>
{
}
impl<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize> Step<L, V>
    for Convolution<L, V, D, N, T>
{
}

/// Moves `parameters` by their gradient.
pub(crate) fn update(rates: &Rates, parameters: Parameters, gradient: &[f32]) {
    let Parameters { weights, m, v, average } = parameters;
    Vectorised.adam(&rates.adam, weights, gradient, m, v);
    Vectorised.average_update(average, weights, rates.average);
}

/// Runs `work` on each share, the first on the first thread and so on: a thread gets the same part of the parameters in
/// each step, and finds it in its cache. A single share is the caller's own.
pub(crate) fn on_each_thread<T: Send>(mut shares: Vec<T>, work: impl Fn(T) + Sync) {
    if shares.len() < 2 {
        return shares.pop().into_iter().for_each(work);
    }
    assert!(shares.len() <= rayon::current_num_threads(), "each share has a thread");
    let shares: Vec<Mutex<Option<T>>> = shares.into_iter().map(|share| Mutex::new(Some(share))).collect();
    rayon::broadcast(|thread| {
        let share = shares.get(thread.index()).and_then(|share| share.lock().ok()?.take());
        share.into_iter().for_each(&work);
    });
}

thread_local! {
    /// One part's gradient, on the worker that computes it.
    static GRADIENT: RefCell<Aligned> = RefCell::new(Aligned::copy_of(&[], 3));
}

/// Runs `work` with room for the `length` numbers of a gradient, in any state.
pub(crate) fn with_gradient(length: usize, work: impl FnOnce(&mut [f32])) {
    GRADIENT.with_borrow_mut(|gradient| {
        if gradient.len() < length {
            *gradient = Aligned::copy_of(&vec![0.0; length], 3);
        }
        work(&mut gradient[..length]);
    });
}

/// One part of one tensor, and all that a step changes of it.
pub(crate) struct Part<'a> {
    pub(crate) tensor: usize,
    pub(crate) part: usize,
    pub(crate) parameters: Parameters<'a>,
}

impl Parameters<'_> {
    /// The same, for a while.
    pub(crate) fn reborrow(&mut self) -> Parameters<'_> {
        let Self { weights, m, v, average } = self;
        Parameters { weights, m, v, average }
    }
}

/// Takes `length` of them off the front of `flat`; nothing where it has fewer.
fn split_off<'a, T>(flat: &mut &'a mut [T], length: usize) -> &'a mut [T] {
    flat.split_off_mut(..length).unwrap_or_default()
}

/// All parts of all tensors.
pub(crate) fn parts<'a>(tensors: &[Tensor], mut rest: Parameters<'a>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for (tensor, shape) in tensors.iter().enumerate() {
        for part in 0..shape.parts {
            let length = shape.part_len();
            let parameters = Parameters {
                weights: split_off(&mut rest.weights, length),
                m: split_off(&mut rest.m, length),
                v: split_off(&mut rest.v, length),
                average: split_off(&mut rest.average, length),
            };
            parts.push(Part { tensor, part, parameters });
        }
    }
    parts
}
