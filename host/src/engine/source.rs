//! Sources of denoisers: the checked weights of one model, shared by all threads.

use std::marker::PhantomData;
use std::sync::OnceLock;

use micro_diffusion::activation::Activation;
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::integer::IntegerModel;
use rayon::prelude::*;

use crate::engine::kernels::Vectorised;

/// A model of `L` positions and `V` symbols, whatever its network and number format.
pub(crate) trait Source<const L: usize, const V: usize>: Sync {
    /// Bytes of a denoiser's memory, without the weights.
    fn memory_bytes(&self) -> usize;

    /// Calls `work` with a denoiser that has memory of its own.
    fn with_denoiser(&self, work: &mut dyn FnMut(&mut dyn Denoiser<L, V>));
}

/// A change of a model's scores that depends on the text around a masked position.
pub trait Adjust<const V: usize> {
    /// Changes the scores of `position` of the text `shown`, at which it is masked.
    fn adjust(&self, shown: &[Option<u8>], position: usize, scores: &mut [Score; V]);
}

/// A denoiser with adjusted scores.
pub struct Adjusting<'a, const L: usize, const V: usize> {
    denoiser: &'a mut dyn Denoiser<L, V>,
    adjust: &'a dyn Adjust<V>,
    /// The text so far.
    text: Vec<Option<u8>>,
    /// The text at the last evaluation.
    shown: Vec<Option<u8>>,
}

impl<'a, const L: usize, const V: usize> Adjusting<'a, L, V> {
    /// Adjusts the scores of `denoiser`.
    pub fn new(denoiser: &'a mut dyn Denoiser<L, V>, adjust: &'a dyn Adjust<V>) -> Self {
        Self { denoiser, adjust, text: Vec::new(), shown: Vec::new() }
    }
}

impl<const L: usize, const V: usize> Denoiser<L, V> for Adjusting<'_, L, V> {
    fn start(&mut self, length: usize) {
        self.denoiser.start(length);
        self.text = vec![None; length.min(L)];
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.denoiser.set(position, symbol);
        if let Some(place) = self.text.get_mut(position) {
            *place = symbol;
        }
    }

    fn evaluate(&mut self) {
        self.denoiser.evaluate();
        self.shown.clone_from(&self.text);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        self.denoiser.scores(position, out);
        if position < self.shown.len() {
            self.adjust.adjust(&self.shown, position, out);
        }
    }
}

/// Items that one denoiser works on before a thread takes the next share.
const SHARE: usize = 8;

/// Does `work` on each item, on all threads; results keep the order of the items.
pub(crate) fn on_shares<T: Sync, R: Send + Sync, const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    items: &[T],
    work: impl Fn(&mut dyn Denoiser<L, V>, &T) -> R + Sync,
) -> Vec<R> {
    on_noted_shares(source, items, &|_| (), work)
}

/// Called with the number of items just done.
pub(crate) type Noted<'a> = &'a (dyn Fn(usize) + Sync);

/// [`on_shares`] that reports its progress to `noted`.
pub(crate) fn on_noted_shares<T: Sync, R: Send + Sync, const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    items: &[T],
    noted: Noted,
    work: impl Fn(&mut dyn Denoiser<L, V>, &T) -> R + Sync,
) -> Vec<R> {
    let shares: Vec<(&[T], OnceLock<Vec<R>>)> =
        items.chunks(SHARE).map(|items| (items, OnceLock::new())).collect();
    for_each_number(shares.len(), &|number| {
        let (items, results) = &shares[number];
        results.get_or_init(|| {
            let mut results = Vec::with_capacity(items.len());
            let mut one = |denoiser: &mut dyn Denoiser<L, V>| {
                results.extend(items.iter().map(|item| work(denoiser, item)));
            };
            source.with_denoiser(&mut one);
            results
        });
        noted(items.len());
    });
    shares.into_iter().flat_map(|(_, results)| results.into_inner().unwrap_or_default()).collect()
}

/// Does `work` for each number below `count`, on all threads; compiled once for every kind of work.
fn for_each_number(count: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..count).into_par_iter().for_each(work);
}

/// A model in floats.
pub(crate) struct Floats<'a, M> {
    weights: &'a [f32],
    model: PhantomData<fn() -> M>,
}

impl<'a, M> Floats<'a, M> {
    /// The model `M` with `weights`; `None` where their number is wrong.
    pub(crate) fn new<const L: usize, const V: usize>(weights: &'a [f32]) -> Option<Self>
    where
        M: Model<L, V>,
    {
        M::view(weights).map(|_| Self { weights, model: PhantomData })
    }
}

impl<M: Model<L, V>, const L: usize, const V: usize> Source<L, V> for Floats<'_, M> {
    fn memory_bytes(&self) -> usize {
        M::MEMORY * size_of::<f32>()
    }

    fn with_denoiser(&self, work: &mut dyn FnMut(&mut dyn Denoiser<L, V>)) {
        let mut memory = vec![0.0; M::MEMORY];
        let denoiser = M::view(self.weights)
            .and_then(|view| M::denoiser(Vectorised, Activation::Relu, view, &mut memory));
        work(&mut denoiser.expect("weights were counted when the model was opened"));
    }
}

/// A model in integers.
pub(crate) struct Integers<'a, I: IntegerModel<L, V> + 'a, const L: usize, const V: usize> {
    view: I::View<'a>,
}

impl<'a, I: IntegerModel<L, V>, const L: usize, const V: usize> Integers<'a, I, L, V> {
    /// The integers of `file`.
    ///
    /// # Errors
    /// [`FileError`] where the integers are no `I`'s, or a sum could overflow.
    pub(crate) fn new(file: &ModelFile<'a>) -> Result<Self, FileError> {
        Ok(Self { view: file.integers::<I, L, V>()? })
    }
}

impl<I: IntegerModel<L, V>, const L: usize, const V: usize> Source<L, V> for Integers<'_, I, L, V> {
    fn memory_bytes(&self) -> usize {
        size_of::<I::Memory>()
    }

    fn with_denoiser(&self, work: &mut dyn FnMut(&mut dyn Denoiser<L, V>)) {
        let mut memory = I::MEMORY;
        work(&mut I::denoiser(self.view, &mut memory));
    }
}
