//! The parallel phases of a training step.
//!
//! First each thread takes some examples, forward and backward. Then each takes some parameters: their gradient, summed
//! over the batch in order, and at once their update. No sum is split, so the number of threads changes no bit. The
//! perceptron has another way; see `engine::relay`.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Mutex;

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::AdamStep;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{self, Example, Model, Part};
use micro_diffusion::kernels::Kernels;
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::Stream;
use micro_diffusion::tensor::Tensor;
use micro_diffusion::text::Text;
use micro_diffusion::transformer::Transformer;

use crate::engine::aligned::Aligned;
use crate::engine::kernels::Vectorised;

/// The examples of this step and the next, with buffers for this step.
pub struct Batch<'a, const L: usize> {
    /// The examples of this step.
    pub examples: &'a [Example<L>],
    /// The distributions to predict, where they are not the clean symbols; see [`Shard::soft`](denoiser::Shard::soft).
    pub soft: &'a [f32],
    /// The examples of the next step; their noise is drawn by a thread that has time.
    pub next: &'a mut [Example<L>],
    /// The model's record of each example.
    pub records: &'a mut [f32],
    /// The loss of each example, in nats.
    pub losses: &'a mut [f32],
}

/// The parameters, with Adam's moments and their average.
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

/// The rates of a step for the weights and their average.
pub struct Rates {
    /// Adam's rates.
    pub adam: AdamStep<f32>,
    /// Share of the difference to the weights by which the average moves.
    pub average: f32,
}

/// The surroundings of a network in a step.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// Threads that share a step, at most as many as rayon's pool has.
    pub threads: usize,
    /// Symbols of the alphabet.
    pub symbols: usize,
    /// The activation of the hidden layers.
    pub activation: Activation,
    /// Share of the texts longer than each position. It balances work, and no bit depends on it.
    pub longer: &'a [f32],
}

/// Some examples of a batch, computed at the machine's vector width.
pub(crate) type Shard<'a, const L: usize> = denoiser::Shard<'a, f32, Vectorised, L>;

impl Setup<'_> {
    /// The shard of `examples`, with their part of [`Batch::soft`].
    pub(crate) fn shard<'a, const L: usize>(
        &self,
        examples: &'a [Example<L>],
        soft: &'a [f32],
    ) -> Shard<'a, L> {
        let Self { activation, symbols, .. } = *self;
        Shard { kernels: Vectorised, activation, examples, symbols, soft }
    }
}

/// Share of `texts` longer than each position.
pub fn longer<'t, const L: usize>(texts: impl Iterator<Item = &'t Text<L>> + Clone) -> Vec<f32> {
    let count = |position| texts.clone().filter(|text| text.symbols().len() > position).count();
    let all = texts.clone().count();
    (0..L).map(|position| count(position) as f32 / all as f32).collect()
}

/// A model that takes training steps on several threads.
pub trait Step<const L: usize, const V: usize>: Model<L, V> + Sized {
    /// Takes one step: fills the batch's losses, moves the parameters, and calls `draw` for each row of the next batch.
    /// The records are left in any state.
    ///
    /// The default goes by examples, then by parameters.
    fn step(setup: Setup, rates: &Rates, batch: Batch<L>, parameters: Parameters, draw: &Draw<L>) {
        step::<Self, L, V>(setup, rates, batch, parameters, draw);
    }
}

/// A network of `L` positions behind an interface, so that training is compiled once for all of them.
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

/// The type `M` of a network of `V` symbols, without a value.
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

/// Makes row n of a batch from its text.
pub type Draw<'a, const L: usize> = dyn Fn(usize, &mut Example<L>) + Sync + 'a;

/// Takes one step of the network `M`: first by examples, then by parameters.
pub(crate) fn step<M: Model<L, V>, const L: usize, const V: usize>(
    setup: Setup,
    rates: &Rates,
    batch: Batch<L>,
    parameters: Parameters,
    draw: &Draw<L>,
) {
    let passes = PassesOf::<M, V>(PhantomData);
    by_examples_and_parameters(&passes as &dyn Passes<L>, setup, rates, batch, parameters, draw);
}

/// The passes of a network in a step behind an interface, so that a step is compiled once for all networks of `L`
/// positions.
trait Passes<const L: usize>: Sync {
    /// [`Model::TENSORS`].
    fn tensors(&self) -> &'static [Tensor];
    /// [`Model::RECORD`].
    fn record(&self) -> usize;
    /// [`Model::boundary`].
    fn boundary(&self, batch: &[Example<L>], row: usize) -> usize;
    /// [`Model::forward_backward`].
    fn forward_backward(&self, shard: Shard<L>, weights: &[f32], records: &mut [f32], losses: &mut [f32]);
    /// [`Model::gradient`].
    fn gradient(&self, shard: Shard<L>, part: Part, records: &[f32], out: &mut [f32]);
}

/// The passes of the network `M`.
struct PassesOf<M, const V: usize>(PhantomData<fn() -> M>);

impl<M: Model<L, V>, const L: usize, const V: usize> Passes<L> for PassesOf<M, V> {
    fn tensors(&self) -> &'static [Tensor] {
        M::TENSORS
    }

    fn record(&self) -> usize {
        M::RECORD
    }

    fn boundary(&self, batch: &[Example<L>], row: usize) -> usize {
        M::boundary(batch, row)
    }

    fn forward_backward(&self, shard: Shard<L>, weights: &[f32], records: &mut [f32], losses: &mut [f32]) {
        if let Some(view) = M::view(weights) {
            M::forward_backward(shard, view, records, losses);
        }
    }

    fn gradient(&self, shard: Shard<L>, part: Part, records: &[f32], out: &mut [f32]) {
        M::gradient(shard, part, records, out);
    }
}

fn by_examples_and_parameters<const L: usize>(
    network: &dyn Passes<L>,
    setup: Setup,
    rates: &Rates,
    batch: Batch<L>,
    parameters: Parameters,
    draw: &Draw<L>,
) {
    let (tensors, record, threads) = (network.tensors(), network.record(), setup.threads);
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
        let shard = setup.shard(&examples[rows], soft);
        network.forward_backward(shard, parameters.weights, records, losses);
    });
    let records = &*records;
    let mut shares: Vec<Vec<PartParameters>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, part) in parts(tensors, parameters).into_iter().enumerate() {
        shares[index % threads].push(part);
    }
    on_each_thread(shares, |share| {
        for PartParameters { part, parameters } in share {
            with_gradient(parameters.weights.len(), |gradient| {
                gradient.fill(0.0);
                for rows in &shards {
                    let records = &records[rows.start * record..rows.end * record];
                    let shard = setup.shard(&examples[rows.clone()], &[]);
                    network.gradient(shard, part, records, gradient);
                }
                update(rates, parameters, gradient);
            });
        }
    });
}

impl<const L: usize, const V: usize, const H: usize> Step<L, V> for Residual<L, V, H> {}
impl<const L: usize, const V: usize, const D: usize, const N: usize, const A: usize, const T: usize>
    Step<L, V> for Transformer<L, V, D, N, A, T>
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

/// Runs `work` on each share, each on the thread of its number. So a thread gets an equal part of the parameters in each
/// step, and finds it in its cache. A single share is the caller's own.
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
    /// The gradient of one part, on the worker that computes it.
    static GRADIENT: RefCell<Aligned> = RefCell::new(Aligned::copy_of(&[], 3));
}

/// Runs `work` with a buffer for the `length` numbers of a gradient, in any state.
pub(crate) fn with_gradient(length: usize, work: impl FnOnce(&mut [f32])) {
    GRADIENT.with_borrow_mut(|gradient| {
        if gradient.len() < length {
            *gradient = Aligned::copy_of(&vec![0.0; length], 3);
        }
        work(&mut gradient[..length]);
    });
}

/// The parameters of one part of one tensor.
pub(crate) struct PartParameters<'a> {
    pub(crate) part: Part,
    pub(crate) parameters: Parameters<'a>,
}

impl Parameters<'_> {
    /// Borrows the part for a while.
    pub(crate) fn reborrow(&mut self) -> Parameters<'_> {
        let Self { weights, m, v, average } = self;
        Parameters { weights, m, v, average }
    }
}

/// Takes `length` numbers off the front of `flat`; nothing if it has fewer.
fn split_off<'a, T>(flat: &mut &'a mut [T], length: usize) -> &'a mut [T] {
    flat.split_off_mut(..length).unwrap_or_default()
}

/// All parts of all tensors.
pub(crate) fn parts<'a>(tensors: &[Tensor], mut rest: Parameters<'a>) -> Vec<PartParameters<'a>> {
    let mut parts = Vec::new();
    for (tensor, shape) in tensors.iter().enumerate() {
        for index in 0..shape.parts {
            let length = shape.part_len();
            let parameters = Parameters {
                weights: split_off(&mut rest.weights, length),
                m: split_off(&mut rest.m, length),
                v: split_off(&mut rest.v, length),
                average: split_off(&mut rest.average, length),
            };
            parts.push(PartParameters { part: Part { tensor, index }, parameters });
        }
    }
    parts
}
