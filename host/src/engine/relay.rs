//! A step of the perceptron, in which each thread has positions of its own.
//!
//! A weight that one thread writes and another reads travels between the caches of two processors in every step, which takes
//! about as long as to compute with it. Here a thread always has the same positions: it alone reads and writes their rows of
//! the table, their output weights and their biases. What travels is hidden values and their gradients, a fifth as much.
//!
//! Both are sums over all positions, in their order, so they go from thread to thread ([`Relay`]); while a thread waits, it does
//! what does not need them. Then all threads read them. No sum changes its order, so the number of threads changes no bit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{RwLock, RwLockReadGuard};
use std::{mem, thread};

use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::mlp::{self, Mlp};

use crate::engine::kernels::Vectorised;
use crate::engine::step::{
    self, Batch, Draw, Parameters, Part, Rates, Setup, Step, on_each_thread, parts, update, with_gradient,
};

impl<const L: usize, const V: usize, const H: usize> Step<L, V> for Mlp<L, V, H> {
    fn step(setup: Setup, rates: &Rates, batch: Batch<L>, parameters: Parameters, draw: &Draw<L>) {
        if setup.threads < 2 {
            return step::step::<Self, L, V>(setup, rates, batch, parameters, draw);
        }
        const { assert!(Self::RECORD >= 2 * H + L * V, "a record has room for h, d_h and the logits") };
        let Batch { examples, next, records, losses } = batch;
        let (rows, threads) = (examples.len(), setup.threads);
        let (hidden, rest) = records.split_at_mut(rows * H);
        let (d_hidden, d_logits) = rest.split_at_mut(rows * H);
        let d_logits = d_logits.chunks_mut(rows * V);
        let mut losses_there = vec![0.0; L * rows];

        let mut tables = parts(Self::TENSORS, parameters);
        let mut weights = tables.split_off(L + 1);
        let biases = weights.split_off(L);
        let mut lengths = tables.pop();
        let layers = tables.into_iter().zip(weights).zip(biases);
        let mut positions = (0..).zip(layers).zip(d_logits.zip(losses_there.chunks_mut(rows))).map(
            |((number, ((table, weight), bias)), (d_logits, losses))| Position {
                number,
                table,
                weight,
                bias,
                d_logits,
                losses,
            },
        );
        let counts = shares(examples, threads);
        let rows_each = rows.div_ceil(counts.len());
        let mut next = (0..).step_by(rows_each).zip(next.chunks_mut(rows_each));
        let shares: Vec<(usize, Share<L>)> = (0..)
            .zip(counts)
            .map(|(thread, count)| {
                let positions = positions.by_ref().take(count).collect();
                let next = next.next().unwrap_or_default();
                (thread, Share { positions, lengths: lengths.take(), next })
            })
            .collect();
        let common = Common {
            setup,
            rates,
            examples,
            last: shares.len() - 1,
            hidden: Relay::new(hidden),
            d_hidden: Relay::new(d_hidden),
            end: Relay::new(()),
        };
        on_each_thread(shares, |(thread, share)| share.run(thread, &common, draw));
        for (row, loss) in losses.iter_mut().enumerate() {
            *loss = losses_there.chunks(rows).map(|there| there[row]).sum();
        }
    }
}

/// How many positions each of `threads` threads has, one at least, in the order of the positions, so that all have about the same
/// work; fewer threads where there are fewer positions.
///
/// The work at a position is that of the texts which are so long, and that of moving its weights, which is as much as
/// an eighth of the batch makes.
fn shares<const L: usize>(examples: &[Example<L>], threads: usize) -> Vec<usize> {
    let work = |position: usize| {
        examples.len() + 8 * examples.iter().filter(|example| example.length() > position).count()
    };
    let total: usize = (0..L).map(work).sum();
    let (mut counts, mut done) = (Vec::new(), 0);
    let mut count = 0;
    for position in 0..L {
        let half = work(position) / 2;
        // The middle of a position's work says whose it is.
        if count > 0 && (done + half) * threads >= total * (counts.len() + 1) && counts.len() + 1 < threads {
            counts.push(count);
            count = 0;
        }
        done += work(position);
        count += 1;
    }
    counts.push(count);
    counts
}

/// What all threads see.
struct Common<'a, const L: usize> {
    setup: Setup,
    rates: &'a Rates,
    examples: &'a [Example<L>],
    /// The last thread.
    last: usize,
    /// The hidden values of each example, to which each thread adds the rows of its positions.
    hidden: Relay<&'a mut [f32]>,
    /// Their gradients: turn 0 sets them to 0, turn 1 + t is that of thread t, and the turn after the last goes backward
    /// through the activation.
    d_hidden: Relay<&'a mut [f32]>,
    /// Each thread's end. None leaves before the last: it would fall asleep, and to wake it takes up to a tenth of a step.
    end: Relay<()>,
}

/// What a thread has.
struct Share<'a, const L: usize> {
    positions: Vec<Position<'a>>,
    /// b, on the first thread.
    lengths: Option<Part<'a>>,
    /// Rows of the next batch, and the number of the first.
    next: (usize, &'a mut [Example<L>]),
}

/// A position: its parameters, and what is computed there of each example.
struct Position<'a> {
    number: usize,
    /// E_l.
    table: Part<'a>,
    /// U_l.
    weight: Part<'a>,
    /// c_l.
    bias: Part<'a>,
    d_logits: &'a mut [f32],
    losses: &'a mut [f32],
}

impl<const L: usize> Share<'_, L> {
    /// A thread's part of the step.
    fn run(mut self, thread: usize, common: &Common<L>, draw: &Draw<L>) {
        let Common { setup, rates, examples, last, hidden, d_hidden, end } = common;
        let _released = (hidden.release_on_panic(), d_hidden.release_on_panic(), end.release_on_panic());
        let first = thread == 0;
        let mut next = (self.next.0..).zip(mem::take(&mut self.next.1));
        if !first {
            // While the hidden values are not here yet. The first thread does it last.
            next.by_ref().for_each(|(row, example)| draw(row, example));
        }
        hidden.run(thread, |hidden| {
            self.look_up(examples, hidden);
            if thread == *last {
                mlp::activate(Vectorised, setup.activation, 0, examples, hidden);
            }
        });
        if first {
            d_hidden.run(0, |d_hidden| d_hidden.fill(0.0));
        }
        let Some(hidden) = hidden.result(*last) else { return };
        let length = self.positions.first().map_or(0, Position::gradient_len);
        // The first thread needs one gradient at a time, which stays in the innermost cache.
        let kept = if first { 1 } else { self.positions.len() };
        with_gradient(kept * length, |gradients| {
            if !first {
                for (position, gradient) in self.positions.iter_mut().zip(gradients.chunks_exact_mut(length))
                {
                    position.forward(setup, examples, &hidden);
                    // While the gradient of the hidden values is not here yet, which needs the weights as they are.
                    position.gradient(examples, &hidden, gradient);
                }
            }
            d_hidden.run(1 + thread, |d_hidden| {
                for position in &mut self.positions {
                    if first {
                        position.forward(setup, examples, &hidden);
                    }
                    let weight = &*position.weight.parameters.weights;
                    mlp::output_backward(
                        Vectorised,
                        position.number,
                        weight,
                        examples,
                        position.d_logits,
                        d_hidden,
                    );
                }
            });
            if thread == *last {
                d_hidden.run(2 + thread, |d_hidden| {
                    mlp::activate_backward(Vectorised, setup.activation, examples, &hidden, d_hidden);
                });
            }
            for (index, position) in self.positions.iter_mut().enumerate() {
                let gradient = &mut gradients[index % kept * length..][..length];
                if first {
                    position.gradient(examples, &hidden, gradient);
                }
                position.update(rates, gradient);
            }
        });
        let Some(d_hidden) = d_hidden.result(2 + last) else { return };
        self.update_table(rates, examples, &d_hidden);
        next.for_each(|(row, example)| draw(row, example));
        end.run(thread, |()| ());
        end.wait_for(last + 1);
    }

    /// Adds b and the rows of the positions to `hidden`.
    fn look_up(&self, examples: &[Example<L>], hidden: &mut [f32]) {
        let lengths = self.lengths.as_ref().map(|lengths| &*lengths.parameters.weights);
        let tables: Vec<(usize, &[f32])> = self
            .positions
            .iter()
            .map(|position| (position.number, &*position.table.parameters.weights))
            .collect();
        mlp::look_up(Vectorised, lengths, &tables, examples, hidden);
    }

    /// Moves the table's rows, and b.
    fn update_table(self, rates: &Rates, examples: &[Example<L>], d_hidden: &[f32]) {
        for Position { number, table, .. } in self.positions {
            with_gradient(table.parameters.weights.len(), |gradient| {
                gradient.fill(0.0);
                mlp::table_gradient(Vectorised, number, examples, d_hidden, gradient);
                update(rates, table.parameters, gradient);
            });
        }
        if let Some(lengths) = self.lengths {
            with_gradient(lengths.parameters.weights.len(), |gradient| {
                gradient.fill(0.0);
                mlp::length_gradient(Vectorised, examples, d_hidden, gradient);
                update(rates, lengths.parameters, gradient);
            });
        }
    }
}

impl Position<'_> {
    /// Numbers of the gradients of U_l and, behind it, c_l.
    fn gradient_len(&self) -> usize {
        self.weight.parameters.weights.len() + self.bias.parameters.weights.len()
    }

    fn forward<const L: usize>(&mut self, setup: &Setup, examples: &[Example<L>], hidden: &[f32]) {
        mlp::output_forward(
            Vectorised,
            self.number,
            (&*self.weight.parameters.weights, &*self.bias.parameters.weights),
            setup.symbols,
            examples,
            hidden,
            self.d_logits,
            self.losses,
        );
    }

    fn gradient<const L: usize>(&self, examples: &[Example<L>], hidden: &[f32], gradient: &mut [f32]) {
        gradient.fill(0.0);
        let (d_weight, d_bias) = gradient.split_at_mut(self.weight.parameters.weights.len());
        mlp::output_weight_gradient(Vectorised, self.number, examples, hidden, self.d_logits, d_weight);
        mlp::output_bias_gradient(Vectorised, self.number, examples, self.d_logits, d_bias);
    }

    fn update(&mut self, rates: &Rates, gradient: &[f32]) {
        let (d_weight, d_bias) = gradient.split_at(self.weight.parameters.weights.len());
        update(rates, self.weight.parameters.reborrow(), d_weight);
        update(rates, self.bias.parameters.reborrow(), d_bias);
    }
}

/// Something that is changed in turns, each taken by one thread, and then read by all.
struct Relay<T> {
    /// The turn that it is.
    turn: AtomicUsize,
    value: RwLock<T>,
}

impl<T> Relay<T> {
    /// Looks before a thread that waits lets others have its processor.
    const PATIENCE: u32 = 1 << 10;

    fn new(value: T) -> Self {
        Self { turn: AtomicUsize::new(0), value: RwLock::new(value) }
    }

    fn wait_for(&self, turn: usize) {
        let mut looks = 0;
        while self.turn.load(Ordering::Acquire) < turn {
            if looks < Self::PATIENCE {
                looks += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Takes turn number `turn`, when those before it are over.
    fn run(&self, turn: usize, work: impl FnOnce(&mut T)) {
        self.wait_for(turn);
        if let Ok(mut value) = self.value.write() {
            work(&mut value);
        }
        self.turn.fetch_max(turn + 1, Ordering::Release);
    }

    /// What turn number `last` left.
    fn result(&self, last: usize) -> Option<RwLockReadGuard<'_, T>> {
        self.wait_for(last + 1);
        self.value.read().ok()
    }

    /// Ends all turns if the thread panics, which would otherwise keep the others waiting for ever. The panic itself goes on when
    /// they have ended.
    fn release_on_panic(&self) -> Release<'_> {
        Release(&self.turn)
    }
}

struct Release<'a>(&'a AtomicUsize);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(usize::MAX, Ordering::Release);
        }
    }
}
