//! The two faces of a model: [`Denoiser`], all that sampling and scoring know of it, and [`Model`], what training
//! needs besides.
//!
//! A denoiser is given the length of a text and the text, in which some positions are masked, and returns, for each masked
//! position, the logarithm of the probability of every symbol there. It is not told the time: how many positions are masked already says it
//! (J. Ou et al., "Your Absorbing Discrete Diffusion Secretly Models the Conditional Distributions of Clean Data", 2024).

use crate::activation::Activation;
use crate::dropout::Dropout;
use crate::kernels::Kernels;
use crate::linear::GROUP;
use crate::math::{Real, Stored, round_to_i32};
use crate::rng::{Stream, symmetric};
use crate::softmax::Answer;
use crate::tensor::{Start, Tensor, block};
use crate::text::Text;

/// A logarithm of a probability plus any constant, in 1/65536 nat.
///
/// Fixed point, so that softmax, temperature and the draw are computed once, in integers, for every kind of denoiser.
pub type Score = i32;

/// One nat as a [`Score`].
pub const NAT: Score = 1 << 16;

/// Predicts the symbols of masked positions: all that the sampler and the scorer know of a model.
///
/// A text has at most `L` positions, all of which hold symbols; `None` is MASK, which is never an output.
///
/// # One of your own
///
/// Whatever can score symbols can be sampled from. A table of letter pairs, each scored by the logarithm of how often it
/// occurs, needs nothing but its neighbours:
///
/// ```
/// use micro_diffusion::denoiser::{Denoiser, Score};
///
/// struct Pairs {
///     table: [[Score; 26]; 26],
///     text: [Option<u8>; 12],
/// }
///
/// impl Denoiser<12, 26> for Pairs {
///     fn start(&mut self, _length: usize) {
///         self.text = [None; 12];
///     }
///     fn set(&mut self, position: usize, symbol: Option<u8>) {
///         self.text[position] = symbol;
///     }
///     fn evaluate(&mut self) {}
///     fn scores(&self, position: usize, out: &mut [Score; 26]) {
///         // A neighbour that is masked, or outside the text, says nothing.
///         let before = position.checked_sub(1).and_then(|before| self.text[before]);
///         let after = self.text.get(position + 1).copied().flatten();
///         for (symbol, score) in out.iter_mut().enumerate() {
///             let from_left = before.map_or(0, |before| self.table[usize::from(before)][symbol]);
///             *score = from_left + after.map_or(0, |after| self.table[symbol][usize::from(after)]);
///         }
///     }
/// }
/// ```
pub trait Denoiser<const L: usize, const V: usize> {
    /// Begins a text of `length` symbols, 1 … `L`, with everything masked.
    fn start(&mut self, length: usize);

    /// Puts `symbol` at `position`; `None` masks it. A position outside the text is ignored.
    fn set(&mut self, position: usize, symbol: Option<u8>);

    /// Computes what all positions share, once the symbols are set.
    fn evaluate(&mut self);

    /// Writes the score of each symbol at `position` as of the last [`evaluate`](Self::evaluate).
    fn scores(&self, position: usize, out: &mut [Score; V]);
}

/// One training example: a text, what the denoiser sees of it, and what each position's loss counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Example<const L: usize> {
    /// The text, x₀.
    pub clean: Text<L>,
    /// What the denoiser sees, x_t: `None` is MASK. Nothing reads what lies past the text's end.
    pub noisy: [Option<u8>; L],
    /// The weight of each position's cross-entropy; a position of weight 0 is not computed. Nothing reads those past the end.
    pub weights: [f32; L],
    /// The hidden values that the network goes without, if it goes without some. In a [pack](crate::pack) those of its first example count.
    pub dropout: Option<Dropout>,
}

impl<const L: usize> Example<L> {
    /// An example that counts nothing.
    pub const EMPTY: Self = Self { clean: Text::EMPTY, noisy: [None; L], weights: [0.0; L], dropout: None };

    /// n: how long the text is.
    #[inline(always)]
    pub fn length(&self) -> usize {
        self.clean.symbols().len()
    }

    /// What the denoiser sees of the n positions.
    #[inline(always)]
    pub fn shown(&self) -> &[Option<u8>] {
        self.noisy.get(..self.length()).unwrap_or(&self.noisy)
    }

    /// The weight of `position`, 0 past the end.
    #[inline(always)]
    pub(crate) fn weight(&self, position: usize) -> f32 {
        self.read_weights().get(position).copied().unwrap_or(0.0)
    }

    /// The weights of the n positions.
    fn read_weights(&self) -> &[f32] {
        self.weights.get(..self.length()).unwrap_or(&self.weights)
    }

    /// Whether the loss reads what is predicted there.
    pub fn is_scored(&self, position: usize) -> bool {
        self.weight(position) != 0.0
    }

    /// What a hidden value counts, which each of the k positions of weight above 0 reads: the mean weight of the n positions
    /// times 2·k/(n + 1), which is 1 on the average over k.
    pub fn hidden_weight<R: Real>(&self) -> R {
        let real = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let sum = self.read_weights().iter().fold(R::ZERO, |sum, weight| sum + R::of(f64::from(*weight)));
        let readers = self.read_weights().iter().filter(|weight| **weight != 0.0).count();
        let length = real(self.length());
        sum / R::of(length.max(1.0)) * R::of(2.0 * real(readers) / (length + 1.0))
    }

    /// [`hidden_weight`](Self::hidden_weight) where `activation` prices hidden values, else 0.
    pub(crate) fn price_weight<R: Real>(&self, activation: Activation) -> R {
        match activation {
            Activation::Relu => R::ZERO,
            Activation::Stepped(_) => self.hidden_weight(),
        }
    }
}

/// The answers that the predictions of a shard are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// How many symbols the alphabet has; later ones are outside and get probability 0.
    pub symbols: usize,
    /// A distribution t for each position of each example, `[E][L][V]`, read where an example is scored; see
    /// [`softmax`](crate::softmax). Empty where the clean symbols are the answers.
    pub soft: &'a [f32],
}

impl<'a> Answers<'a> {
    /// The clean symbols of the examples, of an alphabet of `symbols`.
    pub const fn hard(symbols: usize) -> Self {
        Self { symbols, soft: &[] }
    }

    /// The answer at position number `number` of the shard, which has L positions for each example. `clean` is the symbol there, and
    /// a row of logits is `outputs` = V numbers.
    #[inline(always)]
    pub(crate) fn at(self, number: usize, clean: u8, outputs: usize) -> Answer<'a> {
        block(self.soft, number, outputs).map_or(Answer::Hard(clean), Answer::Soft)
    }
}

/// Which kind of network a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// One hidden layer.
    Mlp,
    /// Two hidden layers with a skip connection.
    Residual,
    /// A bidirectional transformer.
    Transformer,
    /// A residual convolution.
    Convolution,
    /// A bidirectional transformer whose hidden units read a letter and its two neighbours.
    LocalTransformer,
}

impl Architecture {
    /// Its name in messages, which is that of its file here.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Residual => "residual",
            Self::Transformer | Self::LocalTransformer => "transformer",
            Self::Convolution => "convolution",
        }
    }
}

/// What fixes a model's tensors: the kind of network and its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The kind of network.
    pub architecture: Architecture,
    /// L: the most positions of a text.
    pub positions: usize,
    /// V: symbols a position can hold; an alphabet may use fewer.
    pub symbols: usize,
    /// H, or D of a transformer or convolution: width.
    pub width: usize,
    /// N: blocks of a transformer, layers of a convolution, else 0.
    pub blocks: usize,
    /// A: attention heads of a transformer; taps of a convolution; else 0.
    pub heads: usize,
}

/// A denoiser that can be trained.
///
/// One training step has two phases, and both can be split among threads without changing a bit. Examples are split into
/// *shards*, and [`forward_backward`](Self::forward_backward) fills each shard's records. Parameters are split into the parts of
/// their tensors, and [`gradient`](Self::gradient) adds what each shard contributes to a part, in the order of the shards, so
/// that a sum runs over the whole batch in its order. A shard begins at a [`boundary`](Self::boundary).
///
/// Both are generic over [`Real`], so that derivatives are checked in `f64`, and over the [`Kernels`] that compute.
pub trait Model<const L: usize, const V: usize>: Sized {
    /// Kind and sizes.
    const SHAPE: Shape;
    /// The parameter tensors, in flat order.
    const TENSORS: &'static [Tensor];
    /// How many parameters there are.
    const PARAMETERS: usize = crate::tensor::total_len(Self::TENSORS);
    /// Numbers that a shard's records take for each of its examples.
    const RECORD: usize;
    /// Length of the buffer that a [`denoiser`](Self::denoiser) works in, in numbers.
    const MEMORY: usize;

    /// The typed view of the flat parameters.
    type View<'a, T: Copy + 'a>: Copy;

    /// Views `flat`, the parameters in flat order; `None` where it is not [`PARAMETERS`](Self::PARAMETERS) long.
    fn view<T: Copy>(flat: &[T]) -> Option<Self::View<'_, T>>;

    /// Writes the initial parameters, each tensor as its [`Start`] says.
    ///
    /// Uniform numbers in ±a have variance a²/3, here 1/fan-in, so that a sum of fan-in terms has the variance of its inputs.
    /// Source: Y. LeCun et al., "Efficient BackProp", 1998, section 4.6.
    ///
    /// Element i of tensor t comes from draw (i, 0) of child (t, 0) of `stream`.
    fn initialise(mut parameters: &mut [f32], stream: Stream) {
        for (number, tensor) in (0..).zip(Self::TENSORS) {
            let Some(numbers) = parameters.split_off_mut(..tensor.len()) else { return };
            let limit = match tensor.start {
                Start::Zeros => 0.0,
                Start::Uniform(fan_in) => Real::sqrt(3.0 / fan_in as f32),
                Start::Ones => {
                    numbers.fill(1.0);
                    continue;
                }
            };
            let stream = stream.child(number, 0);
            for (index, parameter) in (0..).zip(numbers) {
                let [word, _] = stream.draw(index, 0);
                *parameter = limit * symmetric(word);
            }
        }
    }

    /// The first row of `batch` from number `row` on at which a shard may begin: any, unless the network computes some examples
    /// [together](crate::pack).
    fn boundary(_batch: &[Example<L>], row: usize) -> usize {
        row
    }

    /// Forward and backward through the activations, for each example of a shard.
    ///
    /// `records` holds [`RECORD`](Self::RECORD) numbers for each example, in any state; they are overwritten, and how they
    /// lie is the network's own affair. `losses` receives each example's Σ_l weight_l · −Σ_v t_lv·ln p_l(v | noisy), in nats,
    /// where t is the `answers`. For clean symbols this is Σ_l weight_l · −ln p(clean_l | noisy). Hidden values pass through
    /// `activation`, unless the network has one of its own.
    fn forward_backward<R: Real, K: Kernels<R>>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'_, R>,
        shard: &[Example<L>],
        answers: Answers,
        records: &mut [R],
        losses: &mut [R],
    );

    /// Adds to `out` a shard's share of the gradient of the summed losses in part `part` of tensor number `tensor`, from
    /// the records that [`forward_backward`](Self::forward_backward) left. `out` is [`Tensor::part_len`] numbers.
    fn gradient<R: Real, K: Kernels<R>>(
        kernels: K,
        tensor: usize,
        part: usize,
        shard: &[Example<L>],
        records: &[R],
        out: &mut [R],
    );

    /// Computes into the memory of `work` what all positions of its text share.
    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(work: &mut AtWork<Self, W, K, L, V>);

    /// Writes the score of each symbol at `position`, from what [`evaluate`](Self::evaluate) left.
    fn scores<W: Stored<f32>, K: Kernels<f32>>(
        work: &AtWork<Self, W, K, L, V>,
        position: usize,
        out: &mut [Score; V],
    );

    /// The model as a [`Denoiser`] that has not [started](Denoiser::start) a text; `memory` is [`MEMORY`](Self::MEMORY)
    /// numbers or more (`None` where it is fewer), in any state.
    fn denoiser<'a, 'm, W: Stored<f32>, K: Kernels<f32>>(
        kernels: K,
        activation: Activation,
        parameters: Self::View<'a, W>,
        memory: &'m mut [f32],
    ) -> Option<AtWork<'a, 'm, Self, W, K, L, V>> {
        let memory = memory.get_mut(..Self::MEMORY)?;
        Some(AtWork { kernels, activation, parameters, shown: heapless::Vec::from([None; L]), memory })
    }
}

/// A [`Model`] at work: its parameters, the text so far, and what the last evaluation left.
pub struct AtWork<'a, 'm, M: Model<L, V>, W: Stored<f32> + 'a, K, const L: usize, const V: usize> {
    /// What computes.
    pub kernels: K,
    /// What follows the sums of a hidden layer.
    pub activation: Activation,
    /// The parameters.
    pub parameters: M::View<'a, W>,
    /// The text: its n symbols, `None` where it is masked.
    pub shown: heapless::Vec<Option<u8>, L>,
    /// [`MEMORY`](Model::MEMORY) numbers, which [`evaluate`](Model::evaluate) writes.
    pub memory: &'m mut [f32],
}

impl<M: Model<L, V>, W: Stored<f32>, K: Kernels<f32>, const L: usize, const V: usize> Denoiser<L, V>
    for AtWork<'_, '_, M, W, K, L, V>
{
    fn start(&mut self, length: usize) {
        self.shown.clear();
        // There is room for L.
        let _ = self.shown.resize(length.min(L), None);
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        if let Some(slot) = self.shown.get_mut(position) {
            *slot = symbol;
        }
    }

    fn evaluate(&mut self) {
        M::evaluate(self);
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        M::scores(self, position, out);
    }
}

/// Gathers what `item` makes of an example and its number, where it says to keep it, and calls `each` with what [`GROUP`] examples
/// gave. Which are kept cannot be foreseen, so nothing branches on it.
#[inline(always)]
pub(crate) fn in_groups<T: Copy, const L: usize>(
    batch: &[Example<L>],
    none: T,
    item: impl Fn(usize, &Example<L>) -> (T, bool),
    mut each: impl FnMut(&[T]),
) {
    let mut examples = batch.iter().enumerate();
    while examples.len() > 0 {
        let (mut group, mut count) = ([none; GROUP], 0_usize);
        for (number, example) in examples.by_ref().take(GROUP) {
            let (item, kept) = item(number, example);
            if let Some(slot) = group.get_mut(count) {
                *slot = item;
            }
            count = count.wrapping_add(usize::from(kept));
        }
        each(group.get(..count).unwrap_or(&[]));
    }
}

/// Calls `each` with the rows of `batch` in groups: with all, or with those that are scored at `position`.
#[inline(always)]
pub(crate) fn in_rows<const L: usize>(
    batch: &[Example<L>],
    position: Option<usize>,
    each: impl FnMut(&[usize]),
) {
    let kept = |example: &Example<L>| position.is_none_or(|position| example.is_scored(position));
    in_groups(batch, 0, |row, example| (row, kept(example)), each);
}

/// Logits, in nats, as scores: the nearest 1/65536 nat, saturating at ±32768 nats.
#[inline(always)]
pub fn to_scores<const V: usize>(logits: &[f32; V], scores: &mut [Score; V]) {
    for (score, logit) in scores.iter_mut().zip(logits) {
        *score = round_to_i32(*logit * NAT_F32);
    }
}

/// [`NAT`] as a float, exactly.
const NAT_F32: f32 = 65_536.0;
