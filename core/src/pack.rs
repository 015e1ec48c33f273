//! Packs: short texts side by side in one map of positions.
//!
//! A network that is shared over the positions computes whole registers of them ([`width_of`]), and most texts fill no more
//! than half of one. So texts that follow each other in a batch are trained on together, as many as fit [`TILE`] positions: the
//! columns of the first text of a pack are followed by those of the second. What a position computes for itself is the same alone
//! and in a pack; where positions look at each other, in a convolution or in attention, a text sees no column of another.
//!
//! A sum over the positions of a batch runs over its packs in order, and in a pack over its columns in order. A
//! [shard](crate::denoiser::Model::boundary) begins with a pack, so which texts share one is a function of the batch alone.
//!
//! Source: M. Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021, section 3.2, for the two conditions:
//! attention within a text only, and a loss for each text. The packs are those of "next fit", which keeps the order.

use crate::activation::Activation;
use crate::denoiser::{Answers, Example, Score, to_scores};
use crate::dropout::Dropout;
use crate::embedding::Embedding;
use crate::kernels::Kernels;
use crate::math::Real;
use crate::product::{TILE, width_of};
use crate::softmax::Answer;

/// Examples that are computed side by side, at least one.
#[derive(Clone, Copy, Debug)]
pub struct Pack<'a, const L: usize> {
    examples: &'a [Example<L>],
}

/// The packs of `shard`, in order.
pub fn packs<const L: usize>(mut shard: &[Example<L>]) -> impl Iterator<Item = Pack<'_, L>> {
    core::iter::from_fn(move || {
        let (examples, rest) = shard.split_at_checked(fitting(shard))?;
        shard = rest;
        (!examples.is_empty()).then_some(Pack { examples })
    })
}

/// The packs of `shard`, each with what it left in `records`, of `record` numbers an example.
pub fn with_records<'a, R, const L: usize>(
    shard: &'a [Example<L>],
    records: &'a [R],
    record: usize,
) -> impl Iterator<Item = (Pack<'a, L>, &'a [R])> {
    packs(shard).scan(records, move |rest, pack| {
        let here = rest.split_off(..record.saturating_mul(pack.examples.len()))?;
        Some((pack, here))
    })
}

/// The packs of `shard`, each with its part of `answers`, of `records`, of `record` numbers an example, and of `losses`.
pub fn with_records_mut<'a, R, const L: usize>(
    shard: &'a [Example<L>],
    answers: Answers<'a>,
    records: &'a mut [R],
    record: usize,
    losses: &'a mut [R],
) -> impl Iterator<Item = (Pack<'a, L>, Answers<'a>, &'a mut [R], &'a mut [R])> {
    // None where the answers are hard.
    let each = answers.soft.len().checked_div(shard.len()).unwrap_or(0);
    packs(shard).scan((answers.soft, records, losses), move |(soft, records, losses), pack| {
        let count = pack.examples.len();
        let soft = soft.split_off(..each.saturating_mul(count))?;
        let here = records.split_off_mut(..record.saturating_mul(count))?;
        Some((pack, Answers { soft, ..answers }, here, losses.split_off_mut(..count)?))
    })
}

/// How many of the first of `examples` fit [`TILE`] positions, at most L; one at least, if there is one.
fn fitting<const L: usize>(examples: &[Example<L>]) -> usize {
    let mut columns = 0_usize;
    let fits = |example: &&Example<L>| {
        let alone = columns == 0;
        columns = columns.saturating_add(example.length());
        alone || columns <= TILE.min(L)
    };
    examples.iter().take_while(fits).count()
}

/// The first example from number `row` on at which a pack of `batch` begins.
pub fn boundary<const L: usize>(batch: &[Example<L>], row: usize) -> usize {
    let mut start = 0_usize;
    for pack in packs(batch) {
        if start >= row {
            break;
        }
        start = start.saturating_add(pack.examples.len());
    }
    start
}

impl<'a, const L: usize> Pack<'a, L> {
    /// The examples of the pack.
    pub fn examples(&self) -> &'a [Example<L>] {
        self.examples
    }

    /// W: columns that are computed.
    pub fn width(&self) -> usize {
        width_of(self.length(), L)
    }

    /// Columns that hold a symbol.
    fn length(&self) -> usize {
        self.examples.iter().fold(0, |columns, example| columns.saturating_add(example.length()))
    }

    /// Each example with the number of its first column.
    fn placed(&self) -> impl Iterator<Item = (usize, &'a Example<L>)> + use<'a, L> {
        self.examples.iter().scan(0_usize, |next, example| {
            let first = *next;
            *next = next.saturating_add(example.length());
            Some((first, example))
        })
    }

    /// `of` the number in the pack, the example and the position of each column that holds a symbol; `past` for those behind them.
    fn columns<T: Copy>(&self, past: T, of: impl Fn(u8, &Example<L>, usize) -> T) -> [T; L] {
        let mut columns = [past; L];
        let mut rest = columns.iter_mut();
        for (number, example) in (0..u8::MAX).zip(self.examples) {
            for (position, column) in rest.by_ref().take(example.length()).enumerate() {
                *column = of(number, example, position);
            }
        }
        columns
    }

    /// The number of the text that each column belongs to which holds a symbol.
    pub fn texts(&self) -> heapless::Vec<u8, L> {
        let numbered = (0..).zip(self.examples);
        numbered.flat_map(|(number, example)| core::iter::repeat_n(number, example.length())).collect()
    }

    /// What each column's cross-entropy counts.
    fn weights(&self) -> [f32; L] {
        self.columns(0.0, |_, example, position| example.weight(position))
    }

    /// The columns that the loss reads; all that hold a symbol if `everywhere`.
    pub fn positions(&self, everywhere: bool) -> heapless::Vec<usize, L> {
        let columns = self.weights().into_iter().enumerate().take(self.length());
        columns.filter(|(_, weight)| everywhere || *weight != 0.0).map(|(column, _)| column).collect()
    }

    /// What a hidden value of each column counts where `activation` prices it, else 0; of those alone that the loss reads, unless
    /// `everywhere`.
    pub fn prices<R: Real>(&self, activation: Activation, everywhere: bool) -> [R; L] {
        self.columns(R::ZERO, |_, example, position| {
            let counts = everywhere || example.is_scored(position);
            if counts { example.price_weight(activation) } else { R::ZERO }
        })
    }

    /// Which hidden values the pack goes without: those that its first example names.
    fn dropout(&self) -> Option<Dropout> {
        self.examples.first()?.dropout
    }

    /// What dropout leaves of `x`, the values of layer number `layer`, in place.
    pub(crate) fn dropout_forward<R: Real, K: Kernels<R>>(&self, kernels: K, layer: usize, x: &mut [R]) {
        if let Some(dropout) = self.dropout() {
            kernels.dropout_forward(dropout, layer, x);
        }
    }

    /// The gradient of what went into dropout from that of what came out, in place.
    pub(crate) fn dropout_backward<R: Real, K: Kernels<R>>(&self, kernels: K, d_y: &mut [R]) {
        if let Some(dropout) = self.dropout() {
            kernels.dropout_backward(dropout, d_y);
        }
    }

    /// What each column's symbol and position give, [`embed`](crate::embedding::embed), in `x`, `[D][W]`.
    pub fn embed<R: Real, K: Kernels<R>>(&self, kernels: K, tables: Embedding<R>, x: &mut [R]) {
        x.fill(R::ZERO);
        for (first, example) in self.placed() {
            kernels.embed(tables, example.shown(), x, self.width(), first);
        }
    }

    /// Adds to `out` the pack's share of the gradient of row number `part` of E (`tensor` 0), of P (1) or of Q (2), from `d`,
    /// ∂loss/∂x with the columns outermost, `[W][D]`, where `features` = D.
    pub fn embed_backward<R: Real, K: Kernels<R>>(
        &self,
        kernels: K,
        (tensor, part): (usize, usize),
        d: &[R],
        out: &mut [R],
        features: usize,
    ) {
        let mut rows = heapless::Vec::<_, L>::new();
        for (first, example) in self.placed() {
            for (position, symbol) in example.shown().iter().enumerate() {
                let row = match tensor {
                    0 => (symbol.map(usize::from) == Some(part)).then_some(0),
                    1 => u8::try_from(position).ok(),
                    _ => u8::try_from(example.length().wrapping_sub(position).wrapping_sub(1)).ok(),
                };
                if let Some(row) = row {
                    // There is room for all columns.
                    let _ = rows.push((first.wrapping_add(position), row));
                }
            }
        }
        kernels.lookup_backward(&rows, d, out, features);
    }

    /// Turns the logits `z`, `[V][W]`, into their gradients, and gives each example's loss, both by the `answers` of the pack.
    pub fn cross_entropy<R: Real, K: Kernels<R>>(
        &self,
        kernels: K,
        answers: Answers,
        z: &mut [R],
        losses: &mut [R],
    ) {
        let width = self.width();
        let outputs = z.len().checked_div(width).unwrap_or(0);
        let answer = |row, example: &Example<L>, position| {
            let number = usize::from(row).wrapping_mul(L).wrapping_add(position);
            answers.at(number, example.clean.symbol(position), outputs)
        };
        let (of_answers, weights) = (self.columns(Answer::Hard(0), answer), self.weights());
        let mut of_columns = [R::ZERO; L];
        let all = (of_answers.get(..width), weights.get(..width), of_columns.get_mut(..width));
        let (Some(of_answers), Some(weights), Some(of_width)) = all else { return };
        kernels.cross_entropy_of_positions(of_answers, weights, answers.symbols, z, of_width);
        for ((first, example), loss) in self.placed().zip(losses) {
            let columns = of_columns.iter().skip(first).take(example.length());
            *loss = columns.fold(R::ZERO, |sum, loss| sum + *loss);
        }
    }
}

/// [`to_scores`] of the logits at `position`, where they lie `[V][W]` with the `width` = W positions innermost.
#[inline(always)]
pub(crate) fn to_scores_at<const V: usize>(
    logits: &[f32],
    width: usize,
    position: usize,
    scores: &mut [Score; V],
) {
    let mut column = [0.0; V];
    for (column, logits) in column.iter_mut().zip(logits.chunks_exact(width.max(1))) {
        *column = logits.get(position).copied().unwrap_or(0.0);
    }
    to_scores(&column, scores);
}
