//! Networks and models behind interfaces without const generics, so that the rest of the program is written once for all.

use std::ops::Range;

use micro_diffusion::categorical::Temperature;
use micro_diffusion::denoiser::{self, Shape};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::Scales;
use micro_diffusion::stored::StoredTensor;
use micro_diffusion::tensor::Tensor;

use crate::engine::calibration::Calibration;
use crate::engine::draw::{self, Choice, Draw, Drawn, Frame, Request};
use crate::engine::language::Language;
use crate::engine::retrieval::{Retrieved, Retrieving, Texts};
use crate::engine::score::{self, TextScore};
use crate::engine::source::{Noted, Source};
use crate::engine::teaching::Teacher;
use crate::engine::trainer::{Plan, Training};

/// A compiled network, whatever its shape.
pub(crate) trait Network: Sync {
    /// Kind and sizes.
    fn shape(&self) -> Shape;
    /// The parameter tensors, in flat order.
    fn tensors(&self) -> &'static [Tensor];
    /// Number of parameters.
    fn parameters(&self) -> usize;
    /// Bytes that training keeps for each example of a batch.
    fn record_bytes(&self) -> usize;
    /// Opens the model with the float weights `weights`.
    fn model<'a>(
        &self,
        weights: &'a [f32],
        language: Language<'a>,
    ) -> anyhow::Result<Box<dyn OpenModel + 'a>>;
    /// The number formats of the network.
    fn formats(&self) -> &'static [&'static dyn NumberFormat];
    /// The number format `dtype` of the network, if it has that one.
    fn format(&self, dtype: Dtype) -> anyhow::Result<&'static dyn NumberFormat>;

    /// Starts a training run in the number format of the plan's settings.
    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>> {
        self.format(plan.settings.dtype())?.trainer(plan)
    }
}

/// A compiled network in one number format, floats or integers.
pub(crate) trait NumberFormat: Sync {
    /// The number format of the weights in a model file.
    fn dtype(&self) -> Dtype;
    /// The tensors of a model file of integers, in the file's order; empty for floats.
    fn stored(&self) -> &'static [StoredTensor];
    /// Starts a training run.
    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>>;
    /// Decodes the weights of `file` to floats; empty for integers, which are used in place.
    fn decode(&self, file: &ModelFile) -> anyhow::Result<Vec<f32>>;
    /// Opens `file` with its [decoded](Self::decode) weights. Nothing is checked again after this.
    fn open<'a>(&self, file: &ModelFile<'a>, decoded: &'a [f32]) -> anyhow::Result<Box<dyn OpenModel + 'a>>;
    /// The scales of the trained floats `weights` for activations in units of 2^−`activation`.
    fn scales(&self, weights: &[f32], activation: u8) -> Scales;
    /// Writes the model file of the trained floats `weights`; `None` where a sum of the integers could overflow.
    fn write(&self, weights: &[f32], language: Language, scales: &Scales) -> anyhow::Result<Option<Vec<u8>>>;
    /// The bytes that a model for texts of `language` takes on a chip.
    fn chip_bytes(&self, language: Language) -> ChipBytes;
}

/// Bytes of a model on a chip, without the program and its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChipBytes {
    /// Bytes of flash: the model file, read in place.
    pub(crate) file: usize,
    /// Bytes of RAM that a denoiser works in.
    pub(crate) memory: usize,
}

/// A model that draws and scores, whatever its network and number format.
pub(crate) trait OpenModel: Teacher {
    /// Bytes of a denoiser's memory, without the weights.
    fn memory_bytes(&self) -> usize;
    /// Mixes its predictions with counts of the training `texts`, by the weight `weight`.
    fn retrieving<'a>(self: Box<Self>, texts: &'a Texts, weight: u32) -> Box<dyn OpenModel + 'a>
    where
        Self: 'a;
    /// Fits corrections of its scores to its draws as `request` asks; see [`draw::calibration`].
    fn calibration(
        &self,
        request: &Request,
        lines: (&[String], f64),
        noted: Noted,
    ) -> anyhow::Result<Calibration>;
    /// Prepares to draw the texts of `request`: finds the forms that they can have.
    fn drawer<'a>(&'a self, request: &'a Request) -> anyhow::Result<Box<dyn Draw + 'a>>;
    /// Draws the texts `indices`.
    fn draw(&self, request: &Request, indices: Range<u32>) -> anyhow::Result<Vec<Drawn>> {
        self.drawer(request)?.draw(indices)
    }
    /// The choices of each step of a free text with the states `frames` at `temperature`; see [`draw::choices`].
    fn choices(&self, frames: &[Frame], temperature: Temperature) -> Vec<Vec<Choice>>;
    /// Scores each text from random orders, as (number of orders, seed); see [`score::texts`].
    fn score(&self, texts: &[String], orders: (u32, u64), noted: Noted) -> anyhow::Result<Vec<TextScore>>;
    /// −ln p of each text, exactly; see [`score::exact`].
    fn exact(&self, texts: &[String], noted: Noted) -> anyhow::Result<Vec<f64>>;
    /// −ln p of each character of each text given all others; see [`score::surprises`].
    fn surprises(&self, texts: &[String], noted: Noted) -> anyhow::Result<Vec<Vec<f64>>>;
    /// Estimates the mean bound of `texts`; see [`score::estimate`].
    fn estimate(&self, texts: &[String], rows: u32, seed: u64) -> anyhow::Result<f64>;
    /// The raw scores of the masked positions of each text; see [`score::scores`].
    fn scores(&self, texts: &[String], seed: u64) -> anyhow::Result<Vec<denoiser::Score>>;
}

/// An open model of `L` positions and `V` symbols.
pub(crate) struct Opened<'a, const L: usize, const V: usize> {
    pub(crate) source: Box<dyn Source<L, V> + 'a>,
    pub(crate) language: Language<'a>,
}

impl<const L: usize, const V: usize> Teacher for Opened<'_, L, V> {
    fn predictions(&self, noisy: &[&[Option<u8>]]) -> Vec<Vec<f32>> {
        score::predictions(&*self.source, self.language.alphabet.symbols(), noisy)
    }
}

impl<const L: usize, const V: usize> OpenModel for Opened<'_, L, V> {
    fn memory_bytes(&self) -> usize {
        self.source.memory_bytes()
    }

    fn retrieving<'a>(self: Box<Self>, texts: &'a Texts, weight: u32) -> Box<dyn OpenModel + 'a>
    where
        Self: 'a,
    {
        let Self { source, language } = *self;
        let symbols = language.alphabet.symbols();
        let retrieving = Retrieving { texts, weight, symbols };
        Box::new(Opened { source: Box::new(Retrieved { source, retrieving }), language })
    }

    fn calibration(
        &self,
        request: &Request,
        lines: (&[String], f64),
        noted: Noted,
    ) -> anyhow::Result<Calibration> {
        draw::calibration(&*self.source, self.language, request, lines, noted)
    }

    fn drawer<'a>(&'a self, request: &'a Request) -> anyhow::Result<Box<dyn Draw + 'a>> {
        draw::drawer(&*self.source, self.language, request)
    }

    fn choices(&self, frames: &[Frame], temperature: Temperature) -> Vec<Vec<Choice>> {
        draw::choices(&*self.source, self.language, temperature, frames)
    }

    fn score(&self, texts: &[String], orders: (u32, u64), noted: Noted) -> anyhow::Result<Vec<TextScore>> {
        score::texts(&*self.source, self.language, texts, orders, noted)
    }

    fn exact(&self, texts: &[String], noted: Noted) -> anyhow::Result<Vec<f64>> {
        score::exact(&*self.source, self.language, texts, noted)
    }

    fn surprises(&self, texts: &[String], noted: Noted) -> anyhow::Result<Vec<Vec<f64>>> {
        score::surprises(&*self.source, self.language, texts, noted)
    }

    fn estimate(&self, texts: &[String], rows: u32, seed: u64) -> anyhow::Result<f64> {
        score::estimate(&*self.source, self.language, texts, rows, seed)
    }

    fn scores(&self, texts: &[String], seed: u64) -> anyhow::Result<Vec<denoiser::Score>> {
        score::scores(&*self.source, self.language, texts, seed)
    }
}
