//! The networks of core, in each of their number formats, as [`Network`] and [`NumberFormat`].

use std::convert::Infallible;
use std::marker::PhantomData;

use anyhow::{Context, bail};
use micro_diffusion::activation::Activation;
use micro_diffusion::denoiser::{Example, Model, Shape};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{self, ModelFile, file_len};
use micro_diffusion::integer::{IntegerModel, Quantisable, Scales};
use micro_diffusion::integer_file::write_integers;
use micro_diffusion::precision::{Int4, Int8};
use micro_diffusion::quantise;
use micro_diffusion::stored::StoredTensor;
use micro_diffusion::tensor::Tensor;

use crate::engine::description::{REPORT_IT, file_error};
use crate::engine::language::Language;
use crate::engine::network::{ChipBytes, Network, NumberFormat, OpenModel, Opened};
use crate::engine::quantised_training::Rounding;
use crate::engine::score::encode;
use crate::engine::source::{Floats, Integers};
use crate::engine::step::{Of, Step};
use crate::engine::trainer::{Plan, Trainer, Training};

/// Types that a value stands for without holding any.
type Types<T> = PhantomData<fn() -> T>;

/// The network `M` of `L` positions and `V` symbols.
pub(crate) struct Compiled<M, const L: usize, const V: usize> {
    formats: &'static [&'static dyn NumberFormat],
    model: Types<M>,
}

impl<M, const L: usize, const V: usize> Compiled<M, L, V>
where
    M: Step<L, V> + 'static,
{
    /// A network that exists in floats only.
    pub(crate) const FLOATS: Self =
        Self { formats: &[&InFloats::<M, L, V>(PhantomData)], model: PhantomData };
}

impl<M, const L: usize, const V: usize> Compiled<M, L, V>
where
    M: Step<L, V> + Quantisable<L, V> + 'static,
{
    /// A network that exists in floats and in integers.
    pub(crate) const ALL: Self = Self {
        formats: &[
            &InFloats::<M, L, V>(PhantomData),
            &InIntegers::<M, M::Integers<Int8>, L, V>(PhantomData),
            &InIntegers::<M, M::Integers<Int4>, L, V>(PhantomData),
        ],
        model: PhantomData,
    };
}

impl<M, const L: usize, const V: usize> Network for Compiled<M, L, V>
where
    M: Step<L, V> + 'static,
{
    fn shape(&self) -> Shape {
        M::SHAPE
    }

    fn tensors(&self) -> &'static [Tensor] {
        M::TENSORS
    }

    fn parameters(&self) -> usize {
        M::PARAMETERS
    }

    fn record_bytes(&self) -> usize {
        // The example, its record and its loss.
        size_of::<Example<L>>() + (M::RECORD + 1) * size_of::<f32>()
    }

    fn model<'a>(
        &self,
        weights: &'a [f32],
        language: Language<'a>,
    ) -> anyhow::Result<Box<dyn OpenModel + 'a>> {
        floats::<M, L, V>(weights, language)
    }

    fn formats(&self) -> &'static [&'static dyn NumberFormat] {
        self.formats
    }

    fn format(&self, dtype: Dtype) -> anyhow::Result<&'static dyn NumberFormat> {
        match self.formats.iter().find(|format| format.dtype() == dtype) {
            Some(format) => Ok(*format),
            None => bail!(
                "the {} exists in floats only; where integers are needed, train a network that has them on \
                 the same list, here list.txt, with: micro-diffusion train --input list.txt --config \
                 convolution-medium",
                M::SHAPE.architecture.name()
            ),
        }
    }
}

/// The model `M` that has `weights`.
fn floats<'a, M, const L: usize, const V: usize>(
    weights: &'a [f32],
    language: Language<'a>,
) -> anyhow::Result<Box<dyn OpenModel + 'a>>
where
    M: Model<L, V> + 'a,
{
    let source = Floats::<M>::new(weights).with_context(|| {
        let found = weights.len();
        format!("there are {found} weights, and the network has {}: {REPORT_IT}", M::PARAMETERS)
    })?;
    Ok(Box::new(Opened { source: Box::new(source), language }))
}

/// The network `M` in floats.
struct InFloats<M, const L: usize, const V: usize>(Types<M>);

impl<M, const L: usize, const V: usize> NumberFormat for InFloats<M, L, V>
where
    M: Step<L, V> + 'static,
{
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn stored(&self) -> &'static [StoredTensor] {
        &[]
    }

    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>> {
        let texts = encode(plan.texts, plan.language.alphabet)?;
        Ok(Box::new(Trainer::<L>::new(&Of::<M, V>(PhantomData), texts, plan, Activation::Relu)))
    }

    fn decode(&self, file: &ModelFile) -> anyhow::Result<Vec<f32>> {
        let parameters = file.parameters::<M, L, V>().map_err(|error| file_error(&error))?;
        Ok(floats_of(parameters))
    }

    fn open<'a>(&self, file: &ModelFile<'a>, decoded: &'a [f32]) -> anyhow::Result<Box<dyn OpenModel + 'a>> {
        floats::<M, L, V>(decoded, Language::of(file))
    }

    fn scales(&self, _weights: &[f32], _activation: u8) -> Scales {
        Scales::default()
    }

    fn write(
        &self,
        weights: &[f32],
        language: Language,
        _scales: &Scales,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(Some(float_file(&M::SHAPE, M::TENSORS, language, weights)))
    }

    fn chip_bytes(&self, language: Language) -> ChipBytes {
        let payload = M::PARAMETERS * size_of::<f32>();
        let file = file_len(language.alphabet, language.lengths, M::TENSORS.len(), payload);
        ChipBytes { file, memory: M::MEMORY * size_of::<f32>() }
    }
}

/// The floats that a file stores in `bytes`.
fn floats_of(bytes: &[[u8; 4]]) -> Vec<f32> {
    bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The model file of `weights`.
fn float_file(shape: &Shape, tensors: &[Tensor], language: Language, weights: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Language { alphabet, lengths } = language;
    let Ok(()) = file::write(shape, tensors, alphabet, lengths, weights, appends_to(&mut bytes));
    bytes
}

/// The model file of the integers `payload` of an `I`.
fn integer_file<I: IntegerModel<L, V>, const L: usize, const V: usize>(
    language: Language,
    scales: &Scales,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Language { alphabet, lengths } = language;
    let sink = appends_to(&mut bytes);
    let Ok(()) = write_integers(&I::SHAPE, I::TENSORS, alphabet, lengths, scales, payload, sink);
    bytes
}

/// Appends what it is given to `bytes`; one type, so that writing is compiled once for all networks.
fn appends_to(bytes: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Result<(), Infallible> {
    |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// The network `M` in integers as `I`.
struct InIntegers<M, I, const L: usize, const V: usize>(Types<(M, I)>);

impl<M, I, const L: usize, const V: usize> NumberFormat for InIntegers<M, I, L, V>
where
    M: Step<L, V> + 'static,
    I: IntegerModel<L, V> + 'static,
{
    fn dtype(&self) -> Dtype {
        I::DTYPE
    }

    fn stored(&self) -> &'static [StoredTensor] {
        I::TENSORS
    }

    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>> {
        let half = plan.settings.parts().next().map_or(0, |(_, end)| end / 2);
        let texts = encode(plan.texts, plan.language.alphabet)?;
        let activation = Activation::Stepped(I::steps());
        let inner = Box::new(Trainer::<L>::new(&Of::<M, V>(PhantomData), texts, plan, activation));
        Ok(Box::new(Rounding::new(inner, I::TENSORS, I::steps().exponent, half)))
    }

    fn decode(&self, _file: &ModelFile) -> anyhow::Result<Vec<f32>> {
        Ok(Vec::new())
    }

    fn open<'a>(&self, file: &ModelFile<'a>, _decoded: &'a [f32]) -> anyhow::Result<Box<dyn OpenModel + 'a>> {
        let source = Integers::<I, L, V>::new(file).map_err(|error| file_error(&error))?;
        Ok(Box::new(Opened { source: Box::new(source), language: Language::of(file) }))
    }

    fn scales(&self, weights: &[f32], activation: u8) -> Scales {
        quantise::scales(I::TENSORS, weights, activation)
    }

    fn write(&self, weights: &[f32], language: Language, scales: &Scales) -> anyhow::Result<Option<Vec<u8>>> {
        let mut payload = vec![0; I::BYTES];
        quantise::quantise(I::TENSORS, weights, scales, &mut payload);
        if I::view(&payload, scales).is_none() {
            return Ok(None);
        }
        Ok(Some(integer_file::<I, L, V>(language, scales, &payload)))
    }

    fn chip_bytes(&self, language: Language) -> ChipBytes {
        let file = file_len(language.alphabet, language.lengths, I::TENSORS.len(), I::BYTES);
        ChipBytes { file, memory: size_of::<I::Memory>() }
    }
}
