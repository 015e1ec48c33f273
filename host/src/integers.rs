//! Networks in integers: drawing and scoring from their files, and making those from trained floats.

use std::marker::PhantomData;
use std::ops::Range;

use anyhow::bail;
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::file::{ModelFile, write_integers};
use micro_diffusion::integer::{Int4, Int8, IntegerModel, Quantisable, Scales};
use micro_diffusion::quantise;
use micro_diffusion::tensor::Dtype;
use micro_diffusion::text::Alphabet;

use crate::network::{Drawn, Request, Source, bounds, describe, encode, generate, scores};
use crate::phases::Step;
use crate::rounding::Rounding;
use crate::trainer::{Plan, Trainer, Training};

/// A network with integer weights of one dtype.
pub(crate) trait Integers: Sync {
    /// How its weights are stored.
    fn dtype(&self) -> Dtype;
    /// Bytes a denoiser works in, besides the parameters.
    fn memory_bytes(&self) -> usize;
    /// As [`Network::generate`](crate::network::Network::generate), from a file of these integers.
    fn generate(
        &self,
        file: &ModelFile,
        request: &Request,
        indices: Range<u32>,
    ) -> anyhow::Result<Vec<Drawn>>;
    /// As [`Network::bounds`](crate::network::Network::bounds), from a file of these integers.
    fn bounds(
        &self,
        file: &ModelFile,
        texts: &[String],
        draws: u32,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<f64>>>;
    /// As [`Network::scores`](crate::network::Network::scores), from a file of these integers.
    fn scores(&self, file: &ModelFile, texts: &[String], seed: u64) -> anyhow::Result<Vec<Score>>;
    /// The scales of the trained floats `parameters` for activations in units of 2^−`activation`.
    fn scales(&self, parameters: &[f32], activation: u8) -> Scales;
    /// The trained floats `parameters` as a model file of these integers; `None` where a sum could overflow.
    fn quantised(
        &self,
        parameters: &[f32],
        alphabet: Alphabet,
        scales: &Scales,
    ) -> anyhow::Result<Option<Vec<u8>>>;
    /// A fresh training run for these integers.
    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>>;
}

/// The network that exists in floats as `M`, in training for integers as `T`, and in integers as `I`.
struct Quantised<M, T, I, const L: usize, const V: usize>(Types<(M, T, I)>);

/// Types that a value stands for without holding any.
type Types<T> = PhantomData<fn() -> T>;

/// Both integer forms of a network `M`.
pub(crate) struct Forms<M, const L: usize, const V: usize>(PhantomData<fn() -> M>);

impl<M: Quantisable<L, V> + 'static, const L: usize, const V: usize> Forms<M, L, V>
where
    M::Trained<Int8>: Step<L, V>,
    M::Trained<Int4>: Step<L, V>,
{
    pub(crate) const ALL: [&'static dyn Integers; 2] = [
        &Quantised::<M, M::Trained<Int8>, M::Integers<Int8>, L, V>(PhantomData),
        &Quantised::<M, M::Trained<Int4>, M::Integers<Int4>, L, V>(PhantomData),
    ];
}

impl<M, T, I, const L: usize, const V: usize> Integers for Quantised<M, T, I, L, V>
where
    M: Model<L, V>,
    T: Step<L, V> + 'static,
    I: IntegerModel<L, V>,
{
    fn dtype(&self) -> Dtype {
        I::DTYPE
    }

    fn memory_bytes(&self) -> usize {
        size_of::<I::Memory>()
    }

    fn generate(
        &self,
        file: &ModelFile,
        request: &Request,
        indices: Range<u32>,
    ) -> anyhow::Result<Vec<Drawn>> {
        generate(&Opened::<I>::new(file), file, request, indices)
    }

    fn bounds(
        &self,
        file: &ModelFile,
        texts: &[String],
        draws: u32,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        bounds(&Opened::<I>::new(file), file, texts, draws, seed)
    }

    fn scores(&self, file: &ModelFile, texts: &[String], seed: u64) -> anyhow::Result<Vec<Score>> {
        scores(&Opened::<I>::new(file), file, texts, seed)
    }

    fn scales(&self, parameters: &[f32], activation: u8) -> Scales {
        quantise::scales(I::TENSORS, parameters, activation)
    }

    fn quantised(
        &self,
        parameters: &[f32],
        alphabet: Alphabet,
        scales: &Scales,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let mut payload = vec![0; I::BYTES];
        quantise::quantise(I::TENSORS, parameters, scales, &mut payload);
        if I::view(&payload, scales).is_none() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        write_integers::<I, L, V, anyhow::Error>(alphabet, scales, &payload, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>> {
        let steps = plan.settings.steps;
        let texts = encode(plan.texts, plan.alphabet)?;
        let inner = Box::new(Trainer::<T, L, V>::new(texts, plan));
        Ok(Box::new(Rounding::new(inner, I::TENSORS, I::trained_exponent(), steps)))
    }
}

/// The integers of a file.
struct Opened<'a, I> {
    file: ModelFile<'a>,
    model: PhantomData<fn() -> I>,
}

impl<'a, I> Opened<'a, I> {
    fn new(file: &ModelFile<'a>) -> Self {
        Self { file: *file, model: PhantomData }
    }
}

impl<I: IntegerModel<L, V>, const L: usize, const V: usize> Source<L, V> for Opened<'_, I> {
    type Memory = I::Memory;

    fn memory(&self) -> I::Memory {
        I::MEMORY
    }

    fn denoiser<'a>(&'a self, memory: &'a mut I::Memory) -> anyhow::Result<impl Denoiser<L, V> + 'a> {
        let view = self.file.integers::<I, L, V>().map_err(|error| describe(&error))?;
        Ok(I::denoiser(view, memory))
    }
}

/// The form of `forms` that stores its weights as `dtype`.
pub(crate) fn form(forms: &[&'static dyn Integers], dtype: Dtype) -> anyhow::Result<&'static dyn Integers> {
    match forms.iter().find(|form| form.dtype() == dtype) {
        Some(form) => Ok(*form),
        None => bail!(
            "this network exists in floats only: a transformer's softmax, its normalisation and its sums of products of \
             activations have no integer form here, and the sums of the network convolution, the widest, are too long to be exact; \
             the perceptrons, convolution-small and convolution-chip have"
        ),
    }
}
