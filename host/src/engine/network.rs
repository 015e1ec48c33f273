//! One compiled configuration behind an interface without const generics, so that the rest of the program is written
//! once for all of them.

use std::marker::PhantomData;
use std::ops::Range;

use anyhow::{Context, bail};
use micro_diffusion::bound;
use micro_diffusion::categorical::SymbolSet;
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser::{Architecture, Denoiser, Example, Model, Score, Shape};
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::integer::{Int4, Int8, Quantisable};
use micro_diffusion::pattern::{self, PatternError};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Sampler, Settings};
use micro_diffusion::schedule::{cosine_remaining, linear_remaining};
use micro_diffusion::tensor::{Dtype, Tensor};
use micro_diffusion::text::{Alphabet, PAD};
use rayon::prelude::*;

use crate::cli::ScheduleName;
use crate::glimpse::{self, Look, Seen};
use crate::integers::{Forms, Integers, form};
use crate::memory;
use crate::phases::Step;
use crate::trainer::{Plan, Trainer, Training};
use crate::vector::Vectorised;

/// What a compiled configuration can do.
pub(crate) trait Network: Sync {
    /// Kind and sizes.
    fn shape(&self) -> Shape;
    /// The parameter tensors, in flat order.
    fn tensors(&self) -> &'static [Tensor];
    /// Looks at a model in training.
    fn look(&self, weights: &[f32], look: &Look) -> anyhow::Result<Seen>;
    /// How many parameters there are.
    fn parameters(&self) -> usize;
    /// Bytes a denoiser works in, besides the parameters.
    fn memory_bytes(&self) -> usize;
    /// Bytes that training keeps of each example of a batch.
    fn record_bytes(&self) -> usize;
    /// A fresh training run.
    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>>;
    /// The parameters in `file`, flat.
    fn weights(&self, file: &ModelFile) -> anyhow::Result<Vec<f32>>;
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
    /// The scores of the masked positions of each text, text n with n mod L + 1 masks.
    fn scores(&self, file: &ModelFile, texts: &[String], seed: u64) -> anyhow::Result<Vec<Score>>;
    /// The same network with integer weights of `dtype`, where there is one.
    fn integers(&self, dtype: Dtype) -> anyhow::Result<&'static dyn Integers>;
}

/// How texts are to be drawn.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) settings: Settings,
    /// How many positions each step reveals.
    pub(crate) schedule: ScheduleName,
    /// Unmasking steps; `None` is one for each position.
    pub(crate) steps: Option<u16>,
    pub(crate) seed: u64,
    /// What the texts must look like; see [`micro_diffusion::pattern`].
    pub(crate) pattern: String,
    /// How many characters they must have.
    pub(crate) length: Option<usize>,
    /// Whether the intermediate states are wanted.
    pub(crate) trace: bool,
}

/// A drawn text.
pub(crate) struct Drawn {
    pub(crate) text: String,
    /// Whether a symbol other than PAD was drawn after the first PAD, where the text ends.
    pub(crate) letters_after_pad: bool,
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
pub(crate) struct Compiled<M, const L: usize, const V: usize> {
    integers: &'static [&'static dyn Integers],
    model: PhantomData<fn() -> M>,
}

impl<M, const L: usize, const V: usize> Compiled<M, L, V> {
    /// A network that exists in floats only.
    pub(crate) const NEW: Self = Self { integers: &[], model: PhantomData };
}

impl<M: Quantisable<L, V> + 'static, const L: usize, const V: usize> Compiled<M, L, V>
where
    M::Trained<Int8>: Step<L, V>,
    M::Trained<Int4>: Step<L, V>,
{
    /// A network that exists in integers too.
    pub(crate) const WITH_INTEGERS: Self = Self { integers: &Forms::<M, L, V>::ALL, model: PhantomData };
}

/// Refuses a batch that there is no memory for.
pub(crate) fn refuse_too_large(network: &dyn Network, batch: u32) -> anyhow::Result<()> {
    let bytes = network.record_bytes().saturating_mul(batch as usize);
    if !memory::has(bytes) {
        bail!("a batch of {batch} needs {:.1} GB, more than there is; lower --batch", bytes as f64 / 1e9);
    }
    Ok(())
}

/// The pattern of any text.
pub(crate) const ANYTHING: &str = "*";
/// Texts drawn or scored by one worker before it takes the next share.
const SHARE: usize = 8;

impl<M: Step<L, V> + 'static, const L: usize, const V: usize> Network for Compiled<M, L, V> {
    fn shape(&self) -> Shape {
        M::SHAPE
    }

    fn tensors(&self) -> &'static [Tensor] {
        M::TENSORS
    }

    fn look(&self, weights: &[f32], look: &Look) -> anyhow::Result<Seen> {
        glimpse::look::<M, L, V>(weights, look)
    }

    fn parameters(&self) -> usize {
        M::PARAMETERS
    }

    fn memory_bytes(&self) -> usize {
        M::MEMORY * size_of::<f32>()
    }

    fn record_bytes(&self) -> usize {
        // The example, its record and its loss.
        size_of::<Example<L>>() + (M::RECORD + 1) * size_of::<f32>()
    }

    fn trainer<'a>(&self, plan: Plan<'a>) -> anyhow::Result<Box<dyn Training + 'a>> {
        if let Some(quantize) = plan.settings.quantize {
            return self.integers(quantize.dtype())?.trainer(plan);
        }
        let texts = encode(plan.texts, plan.alphabet)?;
        Ok(Box::new(Trainer::<M, L, V>::new(texts, plan)))
    }

    fn weights(&self, file: &ModelFile) -> anyhow::Result<Vec<f32>> {
        let parameters = file.parameters::<M, L, V>().map_err(|error| describe(&error))?;
        Ok(parameters.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn generate(
        &self,
        file: &ModelFile,
        request: &Request,
        indices: Range<u32>,
    ) -> anyhow::Result<Vec<Drawn>> {
        if file.dtype() != Dtype::F32 {
            return self.integers(file.dtype())?.generate(file, request, indices);
        }
        generate(&Floats::<M, L, V>::open(file)?, file, request, indices)
    }

    fn bounds(
        &self,
        file: &ModelFile,
        texts: &[String],
        draws: u32,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<f64>>> {
        if file.dtype() != Dtype::F32 {
            return self.integers(file.dtype())?.bounds(file, texts, draws, seed);
        }
        bounds(&Floats::<M, L, V>::open(file)?, file, texts, draws, seed)
    }

    fn scores(&self, file: &ModelFile, texts: &[String], seed: u64) -> anyhow::Result<Vec<Score>> {
        if file.dtype() != Dtype::F32 {
            return self.integers(file.dtype())?.scores(file, texts, seed);
        }
        scores(&Floats::<M, L, V>::open(file)?, file, texts, seed)
    }

    fn integers(&self, dtype: Dtype) -> anyhow::Result<&'static dyn Integers> {
        form(self.integers, dtype)
    }
}

/// Where denoisers come from: a checked model file, from which each worker opens one in memory of its own.
pub(crate) trait Source<const L: usize, const V: usize>: Sync {
    /// What a denoiser works in.
    type Memory;

    fn memory(&self) -> Self::Memory;

    fn denoiser<'a>(&'a self, memory: &'a mut Self::Memory) -> anyhow::Result<impl Denoiser<L, V> + 'a>;
}

/// The float model `M` of a file.
struct Floats<'a, M, const L: usize, const V: usize> {
    parameters: &'a [[u8; 4]],
    model: PhantomData<fn() -> M>,
}

impl<'a, M: Model<L, V>, const L: usize, const V: usize> Floats<'a, M, L, V> {
    fn open(file: &ModelFile<'a>) -> anyhow::Result<Self> {
        let parameters = file.parameters::<M, L, V>().map_err(|error| describe(&error))?;
        Ok(Self { parameters, model: PhantomData })
    }
}

impl<M: Model<L, V>, const L: usize, const V: usize> Source<L, V> for Floats<'_, M, L, V> {
    type Memory = Vec<f32>;

    fn memory(&self) -> Vec<f32> {
        vec![0.0; M::MEMORY]
    }

    fn denoiser<'a>(&'a self, memory: &'a mut Vec<f32>) -> anyhow::Result<impl Denoiser<L, V> + 'a> {
        open::<M, L, V>(self.parameters, memory)
    }
}

/// Draws the texts `indices` from `source`.
pub(crate) fn generate<S: Source<L, V>, const L: usize, const V: usize>(
    source: &S,
    file: &ModelFile,
    request: &Request,
    indices: Range<u32>,
) -> anyhow::Result<Vec<Drawn>> {
    let artist = Artist::<L> { alphabet: file.alphabet(), request, free: free(file.alphabet()) };
    let draw = |memory: &mut S::Memory, index: u32| -> anyhow::Result<Drawn> {
        artist.draw::<_, V>(&mut source.denoiser(memory)?, index)
    };
    indices.into_par_iter().with_min_len(SHARE).map_init(|| source.memory(), draw).collect()
}

/// The bound of each text by `source`.
pub(crate) fn bounds<S: Source<L, V>, const L: usize, const V: usize>(
    source: &S,
    file: &ModelFile,
    texts: &[String],
    draws: u32,
    seed: u64,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let symbols = file.alphabet().symbols();
    let texts = encode::<L>(texts, file.alphabet())?;
    let stream = Stream::new(seed, Purpose::Score);
    let score = |memory: &mut S::Memory, (index, clean): (usize, &[u8; L])| -> anyhow::Result<Vec<f64>> {
        let mut denoiser = source.denoiser(memory)?;
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
    shares.map_init(|| source.memory(), score).collect()
}

/// The scores of the masked positions of each text, by `source`: text n has n mod L + 1 masks.
pub(crate) fn scores<S: Source<L, V>, const L: usize, const V: usize>(
    source: &S,
    file: &ModelFile,
    texts: &[String],
    seed: u64,
) -> anyhow::Result<Vec<Score>> {
    let stream = Stream::new(seed, Purpose::Score);
    let mut memory = source.memory();
    let mut denoiser = source.denoiser(&mut memory)?;
    let mut all = Vec::new();
    for (index, clean) in (0..).zip(encode::<L>(texts, file.alphabet())?) {
        let count = index % u32::try_from(L)? + 1;
        let noisy = mask_count(&clean, count, stream.child(index, 0).child(count, 0));
        for (position, symbol) in noisy.iter().enumerate() {
            denoiser.set(position, *symbol);
        }
        denoiser.evaluate();
        for (position, _) in noisy.iter().enumerate().filter(|(_, symbol)| symbol.is_none()) {
            let mut scores = [0; V];
            denoiser.scores(position, &mut scores);
            all.extend_from_slice(&scores[..file.alphabet().symbols()]);
        }
    }
    Ok(all)
}

/// The model with `parameters` as a denoiser that works in `memory`.
pub(crate) fn open<'a, M: Model<L, V>, const L: usize, const V: usize>(
    parameters: &'a [[u8; 4]],
    memory: &'a mut [f32],
) -> anyhow::Result<Vectorised<M::Denoiser<'a, [u8; 4]>>> {
    let view = M::view(parameters).context("parameters do not fit")?;
    Ok(Vectorised(M::denoiser(view, memory).context("memory does not fit")?))
}

/// Draws texts as a request asks.
pub(crate) struct Artist<'a, const L: usize> {
    pub(crate) alphabet: Alphabet<'a>,
    pub(crate) request: &'a Request,
    /// Every symbol at every position.
    pub(crate) free: [SymbolSet; L],
}

/// Every symbol of the alphabet at every position.
pub(crate) fn free<const L: usize>(alphabet: Alphabet) -> [SymbolSet; L] {
    [SymbolSet::first(alphabet.symbols()); L]
}

/// Free texts looked at for the length of one whose pattern leaves it open.
const LENGTH_TRIES: u32 = 32;

impl<const L: usize> Artist<'_, L> {
    /// Text number `index`.
    pub(crate) fn draw<D: Denoiser<L, V>, const V: usize>(
        &self,
        denoiser: &mut D,
        index: u32,
    ) -> anyhow::Result<Drawn> {
        let Request { pattern, length, .. } = self.request;
        let stream = Stream::new(self.request.seed, Purpose::Sample);
        let mut allowed = pattern::allowed(pattern, *length, self.alphabet);
        if allowed == Err(PatternError::LengthNeeded) {
            // The length is that of a free text of the model, the first that is long enough.
            let (shortest, _) =
                pattern::shortest(pattern, self.alphabet).map_err(|error| unmet(&error, pattern, L))?;
            let free = (1..=LENGTH_TRIES).map(|attempt| {
                let drawn = self.unmask::<D, V>(denoiser, &self.free, stream.child(index, attempt))?;
                anyhow::Ok(drawn.text.chars().count())
            });
            let mut lengths =
                free.filter(|length| length.as_ref().map_or(true, |length| *length >= shortest));
            let length = lengths.next().transpose()?.unwrap_or(shortest);
            allowed = pattern::allowed(pattern, Some(length), self.alphabet);
        }
        let allowed = allowed.map_err(|error| unmet(&error, pattern, L))?;
        self.unmask::<D, V>(denoiser, &allowed, stream.child(index, 0))
    }

    /// Unmasks one text under `allowed`.
    fn unmask<D: Denoiser<L, V>, const V: usize>(
        &self,
        denoiser: &mut D,
        allowed: &[SymbolSet; L],
        stream: Stream,
    ) -> anyhow::Result<Drawn> {
        let sampler = Sampler::<L, V>::new(allowed, self.request.settings, stream);
        let mut sampler =
            sampler.map_err(|error| anyhow::anyhow!("nothing fits at position {}", error.position))?;
        let (masked, steps) = (sampler.masked(), self.request.steps.map_or(L, usize::from));
        let mut frames = Vec::new();
        for step in 0..=steps {
            // Step 0 is the state before the first.
            let remaining = match self.request.schedule {
                ScheduleName::Linear => linear_remaining(masked, step, steps),
                // Its time runs down to 0.
                ScheduleName::Cosine => {
                    let time = |left: usize| u32::try_from(left).unwrap_or(u32::MAX);
                    cosine_remaining(sampler.masked(), time(steps + 1 - step), time(steps))
                }
            };
            let drawn = step > 0 && sampler.step(denoiser, remaining) > 0;
            if self.request.trace && (step == 0 || drawn) {
                let confidence = sampler.confidence().to_vec();
                frames.push(Frame { symbols: sampler.symbols().to_vec(), confidence });
            }
        }
        let mut after = sampler.symbols().iter().skip_while(|symbol| **symbol != Some(PAD));
        let letters_after_pad = after.any(|symbol| *symbol != Some(PAD));
        Ok(Drawn { text: decode(self.alphabet, sampler.symbols()), letters_after_pad, frames })
    }
}

/// Why no text can meet a pattern, for people.
fn unmet(error: &PatternError, pattern: &str, positions: usize) -> anyhow::Error {
    let reason = match error {
        PatternError::TooLong { needed } if pattern == ANYTHING => {
            return anyhow::anyhow!(
                "no text can have {needed} letters: the model writes at most {positions}; give a smaller --length"
            );
        }
        PatternError::UnknownCharacter(character) => {
            format!("the model does not know the character “{character}”")
        }
        PatternError::TwoStars => "there can be one * only".to_owned(),
        PatternError::NothingEscaped => "a backslash needs a character after it".to_owned(),
        PatternError::TooLong { needed } => {
            format!("it needs {needed} letters, and the model writes at most {positions}")
        }
        PatternError::Length { shortest } => {
            let (least, exact) = (if pattern.contains('*') { "at least " } else { "" }, shortest);
            format!("its texts have {least}{exact} letters; give another --length")
        }
        PatternError::LengthNeeded => "it leaves the length open; give --length".to_owned(),
    };
    anyhow::anyhow!("no text can meet the pattern “{pattern}”: {reason}")
}

/// `texts` as symbols.
pub(crate) fn encode<const L: usize>(texts: &[String], alphabet: Alphabet) -> anyhow::Result<Vec<[u8; L]>> {
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
        FileError::Dtype(dtype) => anyhow::anyhow!(
            "its weights are {}, and this needs them otherwise: {}",
            dtype_name(*dtype),
            "give the model that was trained, or for firmware one made by export --format int8 or int4"
        ),
        FileError::Scale => {
            anyhow::anyhow!(
                "its scales could make the integers overflow; export it again from the trained model"
            )
        }
        FileError::Shape(shape) => anyhow::anyhow!("the file holds another shape: {}", shape_name(*shape)),
    }
}

/// An architecture's name, which is that of its file in the core.
pub(crate) fn architecture_name(architecture: Architecture) -> String {
    format!("{architecture:?}").to_lowercase()
}

/// How weights are stored, for people.
pub(crate) fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::Int8 => "int8",
        Dtype::Int4 => "int4",
        Dtype::Int16 => "int16",
    }
}

/// A shape in one line.
pub(crate) fn shape_name(shape: Shape) -> String {
    let Shape { architecture, positions, symbols, width, blocks, heads } = shape;
    let kind = architecture_name(architecture);
    let blocks = match architecture {
        Architecture::Mlp | Architecture::Residual => String::new(),
        Architecture::Transformer => format!(", {blocks} blocks, {heads} heads"),
        Architecture::Convolution => format!(", {blocks} layers, {heads} taps"),
    };
    format!("{kind}, {positions} positions, {symbols} symbols, width {width}{blocks}")
}
