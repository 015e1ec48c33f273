//! The two interfaces of a model: [`Denoiser`] for sampling and scoring, and [`Model`], which adds training.
//!
//! A denoiser reads the length of a text, and the text, in which some positions are masked. For each masked position it
//! returns the logarithm of the probability of every symbol. It does not read the time, which the number of masked positions
//! tells already (J. Ou et al., "Your Absorbing Discrete Diffusion Secretly Models the Conditional Distributions of Clean
//! Data", 2024).

use crate::activation::Activation;
use crate::dropout::Dropout;
use crate::kernels::Kernels;
use crate::linear::GROUP;
use crate::math::{Real, Stored, round_to_i32};
use crate::rng::{Stream, symmetric};
use crate::softmax::Target;
use crate::tensor::{Flat, Start, Tensor, block};
use crate::text::Text;

/// Score of a symbol: the logarithm of its probability plus any constant, in units of 1/65536 nat.
///
/// Fixed point, so that one integer implementation of softmax, temperature and draw serves every kind of denoiser.
pub type Score = i32;

/// One nat as a [`Score`].
pub const NAT: Score = 1 << 16;

/// Denoiser: predicts the symbols of masked positions. The sampler and the scorers use nothing else of a model.
///
/// A text has at most `L` positions, each with one of `V` symbols or MASK, written `None`. MASK is never predicted.
///
/// # A denoiser of your own
///
/// Anything that scores symbols can be sampled. This table scores each pair of letters by 65536·ln(its frequency), as a
/// [`Score`] counts in 1/65536 nat. It needs only the neighbours of a position:
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
///         // A neighbour that is masked, or outside the text, adds nothing.
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
    /// Starts a text of `length` positions, 1 … `L`, all masked. Networks of this crate take a larger length as `L`,
    /// and 0 as a text without positions.
    fn start(&mut self, length: usize);

    /// Sets `position` of the text to `symbol`, which is below `V`, or masks it with `None`.
    ///
    /// A position at or past the length of the text is ignored. Networks of this crate read a symbol of `V` or more as
    /// masked.
    fn set(&mut self, position: usize, symbol: Option<u8>);

    /// Evaluates the network once for the text that [`start`](Self::start) and [`set`](Self::set) made. Call before
    /// [`scores`](Self::scores).
    fn evaluate(&mut self);

    /// Writes to `out` the [`Score`] of each of the `V` symbols at `position`: ln p plus a constant, equal for all
    /// symbols, in units of 1/65536 nat.
    ///
    /// The scores belong to the text at the last [`evaluate`](Self::evaluate). There `position` must have been masked;
    /// scores of other positions mean nothing.
    fn scores(&self, position: usize, out: &mut [Score; V]);
}

/// Training example: a text, its masked version, and the weight of each position's loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Example<const L: usize> {
    /// The clean text, x₀.
    pub clean: Text<L>,
    /// The noisy text, x_t: the symbol shown at each position, `None` for MASK. Entries past the end of the text are
    /// ignored.
    pub noisy: [Option<u8>; L],
    /// Weight of each position's cross-entropy. A position of weight 0 is not computed. Entries past the end of the text are
    /// ignored.
    pub weights: [f32; L],
    /// Dropout of hidden values, if any. In a [pack](crate::pack), texts computed side by side, that of the first
    /// example serves for all.
    pub dropout: Option<Dropout>,
}

impl<const L: usize> Example<L> {
    /// An empty text, which adds nothing to a loss.
    pub const EMPTY: Self = Self { clean: Text::EMPTY, noisy: [None; L], weights: [0.0; L], dropout: None };

    /// The number n of symbols of the text.
    #[inline(always)]
    pub fn length(&self) -> usize {
        self.clean.symbols().len()
    }

    /// The noisy text without the entries past its end.
    #[inline(always)]
    pub fn shown(&self) -> &[Option<u8>] {
        self.noisy.get(..self.length()).unwrap_or(&self.noisy)
    }

    /// The weight of `position`; 0 past the end of the text.
    #[inline(always)]
    pub(crate) fn weight(&self, position: usize) -> f32 {
        let weights = self.weights.get(..self.length()).unwrap_or(&self.weights);
        weights.get(position).copied().unwrap_or(0.0)
    }

    /// Whether the loss reads the prediction at `position`: the position is in the text, and its weight is not 0.
    pub fn is_scored(&self, position: usize) -> bool {
        self.weight(position) != 0.0
    }
}

/// Shard: some consecutive examples of a batch, what they are trained to predict, and what computes them.
///
/// `R` is the type of the numbers of training, `f32` or, to check derivatives, `f64`. `K` is the type of the kernels.
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a, R, K, const L: usize> {
    /// The [`Kernels`] that run the inner loops, such as [`Plain`](crate::kernels::Plain).
    pub kernels: K,
    /// Activation of the hidden layers, unless the network has one of its own.
    pub activation: Activation,
    /// The examples, in the order of the batch; E is their number.
    pub examples: &'a [Example<L>],
    /// Size of the alphabet, at most V. Symbols from this number on are outside and get probability 0.
    pub symbols: usize,
    /// The distribution t over the V symbols to predict at each position of each example, `[E][L][V]`: a mixture of the
    /// clean symbol and a teacher's prediction. Empty: the clean symbols.
    ///
    /// Other lengths give wrong results. Positions of weight 0 are not read. [`softmax`](crate::softmax) has the loss.
    pub soft: &'a [R],
}

impl<'a, R: Real, K: Kernels<R>, const L: usize> Shard<'a, R, K, L> {
    /// The target of example number `row` at `position`. A row of logits has `outputs` = V elements.
    #[inline(always)]
    pub(crate) fn target(self, row: usize, position: usize, outputs: usize) -> Target<'a, R> {
        let example = self.examples.get(row).unwrap_or(&Example::EMPTY);
        let soft = block(self.soft, row.wrapping_mul(L).wrapping_add(position), outputs);
        (example.clean.symbol(position), soft, R::of(f64::from(example.weight(position))))
    }

    /// Numbers of `flat` for each example: its length divided by E, rounded down.
    pub(crate) fn width(self, flat: &[R]) -> usize {
        flat.len().checked_div(self.examples.len()).unwrap_or(0)
    }

    /// Each example with its row of `flat`, which is `[E][H]` for E examples. H is the length of `flat` divided by E,
    /// rounded down; numbers left over are in no row. `flat` must have a number for each example.
    pub fn rows_mut<'m>(self, flat: &'m mut [R]) -> impl Iterator<Item = (&'a Example<L>, &'m mut [R])> {
        let width = self.width(flat).max(1);
        self.examples.iter().zip(flat.chunks_exact_mut(width))
    }

    /// Splits `flat` into `N` parts and the rest. Part i has `each[i]` numbers for each example. `None` if `flat` is too
    /// short.
    pub(crate) fn split<S: Flat, const N: usize>(self, mut flat: S, each: [usize; N]) -> Option<([S; N], S)> {
        let mut parts = heapless::Vec::<S, N>::new();
        for width in each {
            parts.push(flat.take(width.checked_mul(self.examples.len())?)?).ok()?;
        }
        Some((parts.into_array().ok()?, flat))
    }

    /// Calls `each` with the results of `item` that are not `None`, gathered from [`GROUP`] examples at a time.
    ///
    /// `item` reads an example and its number. The code has no branch on `None`, which no processor could predict.
    #[inline(always)]
    pub(crate) fn in_groups<T: Copy + Default>(
        self,
        item: impl Fn(usize, &Example<L>) -> Option<T>,
        mut each: impl FnMut(&[T]),
    ) {
        let mut examples = self.examples.iter().enumerate();
        while examples.len() > 0 {
            let (mut group, mut count) = ([T::default(); GROUP], 0_usize);
            for (row, example) in examples.by_ref().take(GROUP) {
                let item = item(row, example);
                if let Some(slot) = group.get_mut(count) {
                    *slot = item.unwrap_or_default();
                }
                count = count.wrapping_add(usize::from(item.is_some()));
            }
            each(group.get(..count).unwrap_or(&[]));
        }
    }
}

/// Part of a parameter tensor, whose gradient is computed apart.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Number of the tensor in [`TENSORS`](Model::TENSORS), from 0.
    pub tensor: usize,
    /// Number of the part among the tensor's equal [`parts`](Tensor::parts), from 0.
    pub index: usize,
}

/// Kind of network. Each variant has its number in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// A perceptron with one hidden layer.
    Mlp = 1,
    /// A perceptron with two hidden layers and a skip connection.
    Residual = 2,
    /// A bidirectional transformer.
    Transformer = 3,
    /// A residual convolution.
    Convolution = 4,
    /// A bidirectional transformer whose hidden units read three positions: one letter and its two neighbours.
    LocalTransformer = 5,
}

impl Architecture {
    /// The name of the kind in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Residual => "residual",
            Self::Transformer => "transformer",
            Self::LocalTransformer => "local transformer",
            Self::Convolution => "convolution",
        }
    }
}

/// Kind of network and its sizes, which together fix a model's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Kind of network.
    pub architecture: Architecture,
    /// The largest number L of positions of a text.
    pub positions: usize,
    /// Number V of symbols that a position can hold. An alphabet may use fewer.
    pub symbols: usize,
    /// Number of hidden units of a perceptron, H, or of features of a transformer or convolution, D.
    pub width: usize,
    /// Number N of blocks of a transformer, or of layers of a convolution. Else 0.
    pub blocks: usize,
    /// Attention heads of a transformer, A; taps of a convolution, T, the positions that a layer reads. Else 0.
    pub heads: usize,
}

/// Model: a network that can be trained, and sampled as a [`Denoiser`].
///
/// A training step has two phases. Both can be split among threads without a change of any bit.
/// - [`forward_backward`](Self::forward_backward) runs the examples of a [`Shard`], some consecutive ones of the batch. It
///   leaves the activations and their gradients in a *record* for each example. A shard's examples begin at a
///   [`boundary`](Self::boundary).
/// - [`gradient`](Self::gradient) turns records into the gradient of one part of a parameter tensor, a shard at a time.
///   Shards are added in order, so that a sum runs over the whole batch in its order.
///
/// Both phases are generic over [`Real`], so that derivatives are checked in `f64`, and over the compute [`Kernels`].
pub trait Model<const L: usize, const V: usize>: Sized {
    /// Kind of network and its sizes.
    const SHAPE: Shape;
    /// Parameter tensors in flat order, the order in which they follow each other in one slice of all parameters.
    const TENSORS: &'static [Tensor];
    /// Number of parameters.
    const PARAMETERS: usize = crate::tensor::total_len(Self::TENSORS);
    /// Length in numbers of an example's record: activations and gradients that
    /// [`forward_backward`](Self::forward_backward) leaves for [`gradient`](Self::gradient).
    const RECORD: usize;
    /// Length in `f32` numbers of the working memory of a [`denoiser`](Self::denoiser).
    const MEMORY: usize;

    /// Typed view of the flat parameters: references to nested arrays of numbers of type `T`, a float or its four bytes
    /// in a file.
    type View<'a, T: Copy + 'a>: Copy;

    /// Views `flat`, the parameters in flat order; `None` if its length is not [`PARAMETERS`](Self::PARAMETERS). `T` is
    /// a float, or its four bytes in a file.
    fn view<T: Copy>(flat: &[T]) -> Option<Self::View<'_, T>>;

    /// Writes the initial parameters, each tensor as its [`Start`] says: ±0, 1, or uniform in ±a with a² = 3/fan-in.
    ///
    /// Uniform numbers in ±a have variance a²/3, so a sum of fan-in terms has the variance of its inputs. Source: Y.
    /// LeCun et al., "Efficient BackProp", 1998, section 4.6.
    ///
    /// In a uniform tensor, number t from 0, element i is a times [`symmetric`] of the first word of
    /// `stream.child(t, 0).draw(i, 0)`, a number in −1 … 1. `parameters` has [`PARAMETERS`](Self::PARAMETERS) numbers.
    fn initialise(mut parameters: &mut [f32], stream: Stream) {
        for (number, tensor) in (0..).zip(Self::TENSORS) {
            let Some(numbers) = parameters.split_off_mut(..tensor.numbers()) else { return };
            let stream = stream.child(number, 0);
            let limit = match tensor.start {
                // Ones are written below. A zero keeps the sign of its random number, as model files have it.
                Start::Zeros | Start::Ones => 0.0,
                Start::Uniform(fan_in) => Real::sqrt(3.0 / fan_in as f32),
            };
            for (index, parameter) in (0..).zip(numbers) {
                let [word, _] = stream.draw(index, 0);
                *parameter = if tensor.start == Start::Ones { 1.0 } else { limit * symmetric(word) };
            }
        }
    }

    /// The first index from `row` on, `row` included, at which a shard's examples may begin in `batch`. A shard has a run of
    /// consecutive examples that one thread computes.
    ///
    /// Most networks return `row`. Some compute short texts in [packs](crate::pack), side by side. They return the first
    /// index from `row` on whose example begins a pack, or the length of `batch` if there is none.
    fn boundary(_batch: &[Example<L>], row: usize) -> usize {
        row
    }

    /// Runs a shard's examples forward, and backward through their activations. [`gradient`](Self::gradient) then computes
    /// the gradients of the parameters, from the `records` left here.
    ///
    /// `parameters` is a [`view`](Self::view) of the weights. `records` has [`RECORD`](Self::RECORD) numbers for each
    /// example, in a layout private to the network, and `losses` has one. Both are overwritten; other lengths give wrong
    /// results.
    ///
    /// The loss of an example, in nats, is Σ_l weight_l · −Σ_v t_lv·ln p_l(v | noisy), with p_l the softmax over the
    /// symbols of the alphabet. t is the example's part of [`Shard::soft`]. If that is empty, t is the clean symbol: t_lv =
    /// 1 for v = clean_l, else 0. The penalty of [`Activation::Stepped`] is in the gradients only.
    fn forward_backward<R: Real, K: Kernels<R>>(
        shard: Shard<R, K, L>,
        parameters: Self::View<'_, R>,
        records: &mut [R],
        losses: &mut [R],
    );

    /// Adds to `out` the contribution of a shard's examples to the gradient of the batch's summed losses. `part` is the part
    /// of a parameter tensor whose gradient is computed.
    ///
    /// `shard` and `records` are those of [`forward_backward`](Self::forward_backward), with `records` as it left them.
    /// [`Shard::soft`] is not read and may be empty. `out` has [`Tensor::part_len`] numbers.
    fn gradient<R: Real, K: Kernels<R>>(shard: Shard<R, K, L>, part: Part, records: &[R], out: &mut [R]);

    /// Evaluates the network for the text of `work`, the state of a [`denoiser`](Self::denoiser). Leaves hidden values
    /// or logits in its memory, from which [`logits`](Self::logits) computes.
    fn evaluate<W: Stored<f32>, K: Kernels<f32>>(work: &mut AtWork<Self, W, K, L, V>);

    /// The logit of each symbol at a masked `position`: ln p in nats, plus a constant that is equal for all symbols.
    ///
    /// `work` is the state of a [`denoiser`](Self::denoiser), whose memory [`evaluate`](Self::evaluate) filled. At a
    /// shown position, or past the end of the text, logits mean nothing.
    ///
    /// The denoiser rounds a logit to a [`Score`]: to the nearest 1/65536 nat, saturating at ±32768 nats. NaN gives 0.
    fn logits<W: Stored<f32>, K: Kernels<f32>>(work: &AtWork<Self, W, K, L, V>, position: usize) -> [f32; V];

    /// Creates the model's [`Denoiser`], an [`AtWork`]: parameters, text and memory. Call [`Denoiser::start`] before
    /// the denoiser's other methods.
    ///
    /// `kernels` run the inner loops, `activation` is that of the hidden layers, and `parameters` are the weights.
    ///
    /// `memory` has at least [`MEMORY`](Self::MEMORY) numbers, or the result is `None`. Its content on entry does not
    /// matter.
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

/// Denoiser of the [`Model`] `M`, made by [`Model::denoiser`]: owns the text, and borrows the parameters for `'a` and
/// the working memory, mutably, for `'m`.
///
/// `W` is the type of a stored weight ([`Stored`]), such as `f32` in memory or four bytes in flash. `K` are the [`Kernels`].
/// A text has at most `L` positions, each with one of `V` symbols.
pub struct AtWork<'a, 'm, M: Model<L, V>, W: Stored<f32> + 'a, K, const L: usize, const V: usize> {
    /// The [`Kernels`] that run the model's inner loops, such as [`Plain`](crate::kernels::Plain).
    pub kernels: K,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// Parameters of the model.
    pub parameters: M::View<'a, W>,
    /// The n symbols of the text, `None` for MASK.
    pub shown: heapless::Vec<Option<u8>, L>,
    /// Working memory of [`MEMORY`](Model::MEMORY) numbers: [`evaluate`](Model::evaluate) leaves there what
    /// [`logits`](Model::logits) reads.
    pub memory: &'m mut [f32],
}

impl<M: Model<L, V>, W: Stored<f32>, K: Kernels<f32>, const L: usize, const V: usize> Denoiser<L, V>
    for AtWork<'_, '_, M, W, K, L, V>
{
    fn start(&mut self, length: usize) {
        self.shown.clear();
        // `L` symbols fit.
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
        for (score, logit) in out.iter_mut().zip(&M::logits(self, position)) {
            *score = round_to_i32(*logit * NAT as f32);
        }
    }
}
