//! The two parallel phases of a training step.
//!
//! First each thread takes some of the examples, forward and backward; then each takes some of the parameters: their
//! gradient, summed over the batch in its order, and at once their update. No sum is split, so the number of threads
//! changes no bit.

use std::cell::RefCell;
use std::sync::Mutex;

use micro_diffusion::adam::AdamStep;
use micro_diffusion::denoiser::{Example, Model};

use crate::aligned::Aligned;
use crate::vector;

/// The examples of a step, and what is computed of each.
pub(crate) struct Batch<'a, const L: usize> {
    pub(crate) examples: &'a mut [Example<L>],
    /// The model's record of each.
    pub(crate) records: &'a mut [f32],
    /// The loss of each, in nats.
    pub(crate) losses: &'a mut [f32],
}

/// The parameters, and all that is kept of each.
pub(crate) struct Parameters<'a> {
    pub(crate) weights: &'a mut [f32],
    /// Adam's mean of the gradient.
    pub(crate) m: &'a mut [f32],
    /// Adam's mean of the squared gradient.
    pub(crate) v: &'a mut [f32],
    /// The average of the weights; empty where none is kept.
    pub(crate) average: &'a mut [f32],
}

/// How far a step moves the weights, and their average.
pub(crate) struct Rates {
    pub(crate) adam: AdamStep<f32>,
    pub(crate) average: f32,
}

/// The first phase: `prepare` makes the example of each row, then records and losses are computed.
pub(crate) fn forward_backward<M: Model<L, V>, const L: usize, const V: usize>(
    threads: usize,
    weights: &[f32],
    symbols: usize,
    batch: &mut Batch<L>,
    prepare: impl Fn(u32, &mut Example<L>) + Sync,
) {
    let rows = batch.examples.len().div_ceil(threads);
    let examples = batch.examples.chunks_mut(rows);
    let computed = batch.records.chunks_mut(rows * M::RECORD).zip(batch.losses.chunks_mut(rows));
    on_each_thread(examples.zip(computed).enumerate().collect(), |(share, (examples, (records, losses)))| {
        for (row, example) in (share * rows..).zip(examples.iter_mut()) {
            prepare(row as u32, example);
        }
        if let Some(view) = M::view(weights) {
            vector::forward_backward::<M, L, V>(view, examples, symbols, records, losses);
        }
    });
}

/// The second phase: from the records of the first to new weights.
pub(crate) fn update<M: Model<L, V>, const L: usize, const V: usize>(
    threads: usize,
    rates: &Rates,
    batch: &Batch<L>,
    parameters: Parameters,
) {
    let (examples, records) = (&*batch.examples, &*batch.records);
    let mut shares: Vec<Vec<Part>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, part) in parts::<M, L, V>(parameters).into_iter().enumerate() {
        shares[index % threads].push(part);
    }
    on_each_thread(shares, |share| {
        GRADIENT.with_borrow_mut(|gradient| {
            for Part { tensor, part, parameters: Parameters { weights, m, v, average } } in share {
                if gradient.len() < weights.len() {
                    *gradient = Aligned::copy_of(&vec![0.0; weights.len()], 3);
                }
                let gradient = &mut gradient[..weights.len()];
                vector::gradient::<M, L, V>(tensor, part, examples, records, gradient);
                vector::adam(&rates.adam, weights, gradient, m, v);
                vector::average(average, weights, rates.average);
            }
        });
    });
}

/// Runs `work` on each share, the first on the first thread and so on: a thread gets the same part of the parameters in
/// each step, and finds it in its cache. A single share is the caller's own.
fn on_each_thread<T: Send>(mut shares: Vec<T>, work: impl Fn(T) + Sync) {
    if shares.len() < 2 {
        return shares.pop().into_iter().for_each(work);
    }
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

/// One part of one tensor, and all that a step changes of it.
struct Part<'a> {
    tensor: usize,
    part: usize,
    parameters: Parameters<'a>,
}

/// Takes `length` numbers off the front of `flat`; nothing where it has fewer.
fn split_off<'a>(flat: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    flat.split_off_mut(..length).unwrap_or_default()
}

/// All parts of all tensors.
fn parts<M: Model<L, V>, const L: usize, const V: usize>(mut rest: Parameters<'_>) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for (tensor, shape) in M::TENSORS.iter().enumerate() {
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
