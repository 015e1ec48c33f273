//! Packs: short texts side by side in one map of positions.
//!
//! A network that shares weights over positions computes whole registers of columns ([`width_of`]), and most texts fill at
//! most half of one. So consecutive texts of a batch are trained together, as many as fit [`TILE`] columns. The columns of
//! the second text follow those of the first. A position's own computation is equal alone and in a pack. Where positions
//! read each other, in a convolution or in attention, a text reads no column of another.
//!
//! A sum over the positions of a batch runs over its packs in order, and within a pack over its columns in order. A
//! [shard](crate::denoiser::Model::boundary) begins with a pack, so the packs depend on the batch alone.
//!
//! Source: M. Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021, section 3.2, for the two
//! conditions: attention within a text only, and a loss for each text. The packing algorithm is "next fit", which keeps the
//! order.

use crate::activation::Activation;
use crate::denoiser::{Example, Part, Shard};
use crate::dropout::Dropout;
use crate::embedding::Embedding;
use crate::kernels::Kernels;
use crate::math::Real;
use crate::product::{TILE, width_of};

/// Pack: consecutive examples of a batch, at least one, whose texts a network computes side by side.
///
/// Their positions are the columns of one map `[features][columns]`: those of the first text, then those of the second,
/// and so on. [`packs`] says how many examples share a pack.
///
/// `R` and `K` are the types of numbers and kernels of its [`Shard`].
#[derive(Clone, Copy, Debug)]
pub struct Pack<'a, R, K, const L: usize> {
    shard: Shard<'a, R, K, L>,
}

/// Splits `shard`, some consecutive examples of a batch, into packs, in order: texts that a network computes side by
/// side.
///
/// Each pack takes the next example, and further ones as long as all positions together are at most min(16, L), up to
/// 255 examples. An empty text has no position. Each pack gets its examples' part of [`Shard::soft`], which is divided
/// equally among the examples.
pub fn packs<R: Real, K: Kernels<R>, const L: usize>(
    mut shard: Shard<'_, R, K, L>,
) -> impl Iterator<Item = Pack<'_, R, K, L>> {
    let distributions = shard.width(shard.soft);
    core::iter::from_fn(move || {
        let count = fitting(shard.examples);
        let soft = shard.soft.split_off(..distributions.saturating_mul(count))?;
        let examples = shard.examples.split_off(..count)?;
        (count > 0).then_some(Pack { shard: Shard { examples, soft, ..shard } })
    })
}

/// Splits `shard`, some consecutive examples of a batch, into [`packs`]: a few neighbours, whose texts are computed
/// side by side. Each pack comes with its part of `records`.
///
/// `records` holds what forward and backward have stored for each example in order, which takes `record` numbers. Ends
/// before the first pack for which `records` is too short.
pub fn with_records<'a, R: Real, K: Kernels<R>, const L: usize>(
    shard: Shard<'a, R, K, L>,
    mut records: &'a [R],
    record: usize,
) -> impl Iterator<Item = (Pack<'a, R, K, L>, &'a [R])> {
    packs(shard).map_while(move |pack| {
        let here = records.split_off(..record.saturating_mul(pack.examples().len()))?;
        Some((pack, here))
    })
}

/// Splits `shard`, some consecutive examples of a batch, into [`packs`]: a few neighbours, whose texts are computed
/// side by side. Each pack comes with its part of `records` and `losses`, in this order.
///
/// `records` has room for what the network keeps of each example for its backward pass, which takes `record` numbers.
/// `losses` has one number for each example.
///
/// Ends before the first pack for which `records` or `losses` is too short.
pub fn with_records_mut<'a, R: Real, K: Kernels<R>, const L: usize>(
    shard: Shard<'a, R, K, L>,
    mut records: &'a mut [R],
    record: usize,
    mut losses: &'a mut [R],
) -> impl Iterator<Item = (Pack<'a, R, K, L>, &'a mut [R], &'a mut [R])> {
    packs(shard).map_while(move |pack| {
        let count = pack.examples().len();
        let here = records.split_off_mut(..record.saturating_mul(count))?;
        Some((pack, here, losses.split_off_mut(..count)?))
    })
}

/// The number of first `examples` that fit min([`TILE`], L) columns; at least one, unless there is none.
fn fitting<const L: usize>(examples: &[Example<L>]) -> usize {
    let mut columns = 0_usize;
    let fits = |example: &&Example<L>| {
        let alone = columns == 0;
        columns = columns.saturating_add(example.length());
        alone || columns <= TILE.min(L)
    };
    // A byte numbers the texts of a pack.
    examples.iter().take(usize::from(u8::MAX)).take_while(fits).count()
}

/// The least index of `batch`, `row` or more, at which a pack begins; the length of `batch` if none does.
///
/// [`packs`] splits the whole batch into packs, texts that a network computes side by side.
pub fn boundary<const L: usize>(mut batch: &[Example<L>], row: usize) -> usize {
    let mut start = 0_usize;
    while start < row && !batch.is_empty() {
        let pack = fitting(batch);
        batch = batch.get(pack..).unwrap_or(&[]);
        start = start.saturating_add(pack);
    }
    start
}

impl<'a, R: Real, K: Kernels<R>, const L: usize> Pack<'a, R, K, L> {
    /// The kernels of the pack's shard.
    pub(crate) fn kernels(&self) -> K {
        self.shard.kernels
    }

    /// The activation of the pack's shard.
    pub(crate) fn activation(&self) -> Activation {
        self.shard.activation
    }

    /// The pack's examples in order, whose texts a network computes side by side.
    pub fn examples(&self) -> &'a [Example<L>] {
        self.shard.examples
    }

    /// Number of columns to compute: one for each position of the pack's texts, rounded up to a multiple of 8, at most
    /// `L`.
    pub fn width(&self) -> usize {
        width_of(self.length(), L)
    }

    /// The number of columns that hold a symbol.
    fn length(&self) -> usize {
        self.examples().iter().fold(0, |columns, example| columns.saturating_add(example.length()))
    }

    /// Each example with the index (from 0) of its first column.
    fn placed(&self) -> impl Iterator<Item = (usize, &'a Example<L>)> + use<'a, R, K, L> {
        self.examples().iter().scan(0_usize, |next, example| {
            let first = *next;
            *next = next.saturating_add(example.length());
            Some((first, example))
        })
    }

    /// Computes a value for each column that holds a symbol, by `of`; other columns get `past`.
    ///
    /// `of` reads the index (from 0) of the column's example in the pack, the example, and the symbol's position in its text.
    fn columns<T: Copy>(&self, past: T, of: impl Fn(u8, &Example<L>, usize) -> T) -> [T; L] {
        let mut columns = [past; L];
        let mut rest = columns.iter_mut();
        for (number, example) in (0..u8::MAX).zip(self.examples()) {
            for (position, column) in rest.by_ref().take(example.length()).enumerate() {
                *column = of(number, example, position);
            }
        }
        columns
    }

    /// The index in the pack, from 0, of each column's text. The positions of the pack's texts are columns side by
    /// side, without gaps.
    pub fn texts(&self) -> heapless::Vec<u8, L> {
        let numbered = (0..u8::MAX).zip(self.examples());
        numbered.flat_map(|(number, example)| core::iter::repeat_n(number, example.length())).collect()
    }

    /// The weight of each column's cross-entropy.
    fn weights(&self) -> [f32; L] {
        self.columns(0.0, |_, example, position| example.weight(position))
    }

    /// The columns, counted from 0, of positions whose prediction the loss reads ([`Example::is_scored`]); if
    /// `everywhere`, of all positions, masked or shown.
    ///
    /// The positions of the pack's texts are columns side by side, without gaps.
    pub fn positions(&self, everywhere: bool) -> heapless::Vec<usize, L> {
        let columns = self.weights().into_iter().enumerate().take(self.length());
        columns.filter(|(_, weight)| everywhere || *weight != 0.0).map(|(column, _)| column).collect()
    }

    /// For each column, a position of one of the pack's texts, the factor by which the penalty on its hidden values
    /// enters the loss: the [`hidden_weight`](Example::hidden_weight) of its example, or 0.
    ///
    /// [`Activation::Stepped`] has such a penalty, its [price](crate::steps::Steps::price); for [`Activation::Relu`]
    /// all factors are 0.
    ///
    /// Pass `everywhere` for layers whose values other columns read. Without it, for the last layer, a column has 0 if
    /// the loss does not read its prediction. Columns past the texts have 0.
    pub fn prices(&self, everywhere: bool) -> [R; L] {
        self.columns(R::ZERO, |_, example, position| {
            let counts = everywhere || example.is_scored(position);
            if counts { self.shard.price_weight(example) } else { R::ZERO }
        })
    }

    /// Dropout of the pack's hidden values: that of its first example.
    fn dropout(&self) -> Option<Dropout> {
        self.examples().first()?.dropout
    }

    /// Applies the pack's dropout, if any, to the values `x` of layer number `layer`, in place.
    pub(crate) fn dropout_forward(&self, layer: usize, x: &mut [R]) {
        if let Some(dropout) = self.dropout() {
            self.kernels().dropout_forward(dropout, layer, x);
        }
    }

    /// Turns the sums `x` of layer number `layer` into hidden values, in place: the activation, then the pack's dropout.
    pub(crate) fn activate(&self, layer: usize, x: &mut [R]) {
        self.kernels().activation_forward(self.activation(), x);
        self.dropout_forward(layer, x);
    }

    /// Turns `d_y`, the gradient after activation and dropout, into the gradient before both, in place.
    ///
    /// `y` is their output. It is read at scored positions, or `everywhere`: the price of hidden values counts there.
    pub(crate) fn activate_backward(&self, everywhere: bool, y: &[R], d_y: &mut [R]) {
        let prices = self.prices(everywhere);
        let prices = prices.get(..self.width()).unwrap_or(&prices);
        self.kernels().activation_backward(self.activation(), y, d_y, prices);
        if let Some(dropout) = self.dropout() {
            self.kernels().dropout_backward(dropout, d_y);
        }
    }

    /// Writes the features of every position of the pack's texts to `x`, by [`embed`](crate::embedding::embed): the sum
    /// of a row for its symbol, one for its place, and one for its place from the end.
    ///
    /// `x` is `[D][width]`: D features of [`width`](Self::width) columns, one for each position of the texts side by
    /// side, then padding. A masked position has no row for its symbol. Padding becomes 0.
    pub fn embed(&self, tables: Embedding<R>, x: &mut [R]) {
        x.fill(R::ZERO);
        for (first, example) in self.placed() {
            self.kernels().embed(tables, example.shown(), x, self.width(), first);
        }
    }

    /// Adds to `out` the pack's contribution to the gradient of a part of an [`Embedding`] table.
    ///
    /// `part` names the table and its part; parts can be computed by different threads. Table 0 is that of symbols: part s
    /// is the row of symbol s, and `out` has D = `features` numbers. A masked position adds nothing.
    ///
    /// Table 1 is that of positions; any other number means that of positions from the end. Both have one part, whose
    /// number is not read, and `out` is `[L][D]`. So these tables must be the network's tensors 0, 1 and 2.
    ///
    /// `d`, `[width][D]`, is the gradient of the features that [`embed`](Self::embed) wrote, transposed: the
    /// [`width`](Self::width) columns are outermost.
    pub fn embed_backward(&self, part: Part, d: &[R], out: &mut [R], features: usize) {
        let mut rows = heapless::Vec::<_, L>::new();
        for (first, example) in self.placed() {
            for (position, symbol) in example.shown().iter().enumerate() {
                let row = match part.tensor {
                    0 => (symbol.map(usize::from) == Some(part.index)).then_some(0),
                    1 => u8::try_from(position).ok(),
                    _ => u8::try_from(example.length().wrapping_sub(position).wrapping_sub(1)).ok(),
                };
                if let Some(row) = row {
                    // One row for each column fits.
                    let _ = rows.push((first.wrapping_add(position), row));
                }
            }
        }
        self.kernels().lookup_backward(&rows, d, out, features);
    }

    /// Turns the logits `z` of all columns into their gradients, and writes the loss of each example in nats to
    /// `losses`, in their order.
    ///
    /// `z` is `[V][width]`: V symbols in [`width`](Self::width) columns, one for each position of the pack's texts side
    /// by side, then padding. Targets and alphabet are those of the shard that [`packs`] split. A position's loss and
    /// gradients are multiplied by its weight in the example. At weight 0 and in padding, gradients are 0.
    ///
    /// More than 256 symbols, an alphabet of more than V, and a scored clean symbol of V or more panic.
    pub fn cross_entropy(&self, z: &mut [R], losses: &mut [R]) {
        let (width, symbols) = (self.width(), self.shard.symbols);
        let outputs = z.len().checked_div(width).unwrap_or(0);
        let target = |row, _: &Example<L>, position| self.shard.target(usize::from(row), position, outputs);
        let targets = self.columns((0, None, R::ZERO), target);
        let mut of_columns = [R::ZERO; L];
        let all = (targets.get(..width), of_columns.get_mut(..width));
        let (Some(targets), Some(of_width)) = all else { return };
        self.kernels().cross_entropy_of_positions(targets, symbols, z, of_width);
        for ((first, example), loss) in self.placed().zip(losses) {
            let columns = of_columns.iter().skip(first).take(example.length());
            *loss = columns.fold(R::ZERO, |sum, loss| sum + *loss);
        }
    }
}

/// The logits of `position` in a map `[V][width]` of logits.
#[inline(always)]
pub(crate) fn logits_at<const V: usize>(logits: &[f32], width: usize, position: usize) -> [f32; V] {
    let mut column = [0.0; V];
    for (column, logits) in column.iter_mut().zip(logits.chunks_exact(width.max(1))) {
        *column = logits.get(position).copied().unwrap_or(0.0);
    }
    column
}
