//! One compiled configuration behind an interface without const generics, so that the rest of the program is written
//! once for all of them.

use std::marker::PhantomData;
use std::ops::Range;

use anyhow::{Context, bail};
use micro_diffusion::bound;
use micro_diffusion::categorical::SymbolSet;
use micro_diffusion::denoiser::{Model, Shape};
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Sampler, Settings};
use micro_diffusion::schedule::linear_remaining;
use micro_diffusion::tensor::Tensor;
use micro_diffusion::text::Alphabet;
use rayon::prelude::*;

use crate::trainer::{Plan, Trainer, Training};
use crate::vector::Vectorised;

/// What a compiled configuration can do.
pub(crate) trait Network: Sync {
    /// Kind and sizes.
    fn shape(&self) -> Shape;
    /// The parameter tensors, in flat order.
    fn tensors(&self) -> &'static [Tensor];
    /// How many parameters there are.
    fn parameters(&self) -> usize;
    /// Bytes a denoiser works in, besides the parameters.
    fn memory_bytes(&self) -> usize;
    /// A fresh training run.
    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>>;
    /// Draws the texts `indices`.
    fn generate(
        &self,
        file: &ModelFile,
        request: &Request,
        indices: Range<u32>,
    ) -> anyhow::Result<Vec<Drawn>>;
    /// The bound of each text, in nats: for each number of masks k, the mean of `draws` terms.
    fn bounds(
        &self,
        file: &ModelFile,
        texts: &[String],
        draws: u32,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<f64>>>;
}

/// How texts are to be drawn.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) settings: Settings,
    /// Unmasking steps; `None` is one for each position.
    pub(crate) steps: Option<u16>,
    pub(crate) seed: u64,
    /// Whether the intermediate states are wanted.
    pub(crate) trace: bool,
}

/// A drawn text.
pub(crate) struct Drawn {
    pub(crate) text: String,
    /// Every state from all masks on, if asked for.
    pub(crate) frames: Vec<Frame>,
}

/// One state of a text being unmasked.
#[derive(Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) symbols: Vec<Option<u8>>,
    /// In 1/65536, for each shown position.
    pub(crate) confidence: Vec<u16>,
}

/// A compiled configuration.
pub(crate) struct Compiled<M, const L: usize, const V: usize>(PhantomData<fn() -> M>);

impl<M, const L: usize, const V: usize> Compiled<M, L, V> {
    pub(crate) const NEW: Self = Self(PhantomData);
}

/// Texts drawn or scored by one worker before it takes the next share.
const SHARE: usize = 8;

impl<M: Model<L, V> + 'static, const L: usize, const V: usize> Network for Compiled<M, L, V> {
    fn shape(&self) -> Shape {
        M::SHAPE
    }

    fn tensors(&self) -> &'static [Tensor] {
        M::TENSORS
    }

    fn parameters(&self) -> usize {
        M::PARAMETERS
    }

    fn memory_bytes(&self) -> usize {
        M::MEMORY * size_of::<f32>()
    }

    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>> {
        let texts = encode(plan.texts, plan.alphabet)?;
        Ok(Box::new(Trainer::<M, L, V>::new(texts, plan)))
    }

    fn generate(
        &self,
        file: &ModelFile,
        request: &Request,
        indices: Range<u32>,
    ) -> anyhow::Result<Vec<Drawn>> {
        let parameters = file.parameters::<M, L, V>().map_err(|error| describe(&error))?;
        let allowed = [SymbolSet::first(file.alphabet().symbols()); L];
        let stream = Stream::new(request.seed, Purpose::Sample);
        let draw = |memory: &mut Vec<f32>, index: u32| -> anyhow::Result<Drawn> {
            let view = M::view(parameters).context("parameters do not fit")?;
            let mut denoiser = Vectorised(M::denoiser(view, memory).context("memory does not fit")?);
            let sampler = Sampler::<L, V>::new(&allowed, request.settings, stream.child(index, 0));
            let mut sampler = sampler.map_err(|_| anyhow::anyhow!("nothing is allowed at a position"))?;
            let mut frames = Vec::new();
            let steps = request.steps.map_or(L, usize::from);
            for step in 0..=steps {
                let revealed = sampler.step(&mut denoiser, linear_remaining(L, step, steps));
                if request.trace && (step == 0 || revealed > 0) {
                    let confidence = sampler.confidence().to_vec();
                    frames.push(Frame { symbols: sampler.symbols().to_vec(), confidence });
                }
            }
            let text = decode(file.alphabet(), sampler.symbols());
            Ok(Drawn { text, frames })
        };
        indices.into_par_iter().with_min_len(SHARE).map_init(|| vec![0.0; M::MEMORY], draw).collect()
    }

    fn bounds(
        &self,
        file: &ModelFile,
        texts: &[String],
        draws: u32,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        let parameters = file.parameters::<M, L, V>().map_err(|error| describe(&error))?;
        let symbols = file.alphabet().symbols();
        let texts = encode::<L>(texts, file.alphabet())?;
        let stream = Stream::new(seed, Purpose::Score);
        let score = |memory: &mut Vec<f32>, (index, clean): (usize, &[u8; L])| -> anyhow::Result<Vec<f64>> {
            let view = M::view(parameters).context("parameters do not fit")?;
            let mut denoiser = Vectorised(M::denoiser(view, memory).context("memory does not fit")?);
            let index = u32::try_from(index)?;
            let terms = (1..=u32::try_from(L)?).map(|count| {
                let term = |draw| {
                    let stream = stream.child(index, draw).child(count, 0);
                    f64::from(bound::term(&mut denoiser, symbols, clean, count, stream))
                };
                (0..draws).map(term).sum::<f64>() / f64::from(draws)
            });
            Ok(terms.collect())
        };
        let shares = texts.par_iter().enumerate().with_min_len(SHARE);
        shares.map_init(|| vec![0.0; M::MEMORY], score).collect()
    }
}

/// `texts` as symbols.
fn encode<const L: usize>(texts: &[String], alphabet: Alphabet) -> anyhow::Result<Vec<[u8; L]>> {
    let encode = |text: &String| match alphabet.encode(text) {
        Ok(symbols) => Ok(symbols),
        Err(error) => bail!("“{text}” cannot be read by this model: {error:?}"),
    };
    texts.iter().map(encode).collect()
}

/// The text up to its first PAD.
fn decode(alphabet: Alphabet, symbols: &[Option<u8>]) -> String {
    let shown = symbols.iter().map_while(|symbol| alphabet.character((*symbol)?));
    shown.collect()
}

/// A file error, for people.
pub(crate) fn describe(error: &FileError) -> anyhow::Error {
    match error {
        FileError::NotAModel => anyhow::anyhow!("not a model file (it does not begin with “mdm”)"),
        FileError::Version(version) => anyhow::anyhow!(
            "the file is version {version}, and this program reads version {}; use the program that wrote it",
            micro_diffusion::file::VERSION
        ),
        FileError::Length { expected: Some(expected), found } if found < expected => {
            anyhow::anyhow!("the file is cut: {found} of {expected} bytes; copy it again")
        }
        FileError::Length { expected: Some(expected), found } => {
            anyhow::anyhow!("the file has {found} bytes, {} too many; copy it again", found - expected)
        }
        FileError::Length { expected: None, found } => {
            anyhow::anyhow!("the file is cut after {found} bytes, inside its header; copy it again")
        }
        FileError::Checksum => {
            anyhow::anyhow!("the checksum does not match: the file was altered; copy it again")
        }
        FileError::Header(field) => anyhow::anyhow!("the header's {field} is not one this program knows"),
        FileError::NotFinite(index) => anyhow::anyhow!("weight {index} is not a finite number"),
        FileError::Shape(shape) => anyhow::anyhow!("the file holds another shape: {}", shape_name(*shape)),
    }
}

/// A shape in one line.
pub(crate) fn shape_name(shape: Shape) -> String {
    let Shape { architecture, positions, symbols, width, blocks, heads } = shape;
    let kind = format!("{architecture:?}").to_lowercase();
    let blocks = if blocks > 0 { format!(", {blocks} blocks, {heads} heads") } else { String::new() };
    format!("{kind}, {positions} positions, {symbols} symbols, width {width}{blocks}")
}
