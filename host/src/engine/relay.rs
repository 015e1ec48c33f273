//! A step of the perceptron, in which each thread has tables and outputs of its own.
//!
//! A weight that one thread writes and another reads moves between two processors' caches in every step. That takes about
//! as long as to compute with it. So each thread owns the tables of some positions, and the output weights and biases of
//! some, in every step. Only hidden values and their gradients move, a fifth as much.
//!
//! Hidden values and their gradients are sums over all positions in order, so they go from thread to thread ([`Relay`]).
//! A waiting thread does other work. Then all threads read the sums. No sum changes its order, so the number of threads
//! changes no bit.

use std::iter::Enumerate;
use std::slice::ChunksMut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock, RwLockReadGuard};
use std::thread;

use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::mlp::{self, Mlp};

use crate::engine::kernels::Vectorised;
use crate::engine::step::{
    self, Batch, Draw, Parameters, PartParameters, Rates, Setup, Shard, Step, on_each_thread, parts, update,
    with_gradient,
};

impl<const L: usize, const V: usize, const H: usize> Step<L, V> for Mlp<L, V, H> {
    fn step(setup: Setup, rates: &Rates, batch: Batch<L>, parameters: Parameters, draw: &Draw<L>) {
        if setup.threads < 2 {
            return step::step::<Self, L, V>(setup, rates, batch, parameters, draw);
        }
        const { assert!(Self::RECORD >= 2 * H + L * V, "a record has room for h, d_h and the logits") };
        let Batch { examples, soft, next, records, losses } = batch;
        let (rows, threads) = (examples.len(), setup.threads);
        let (hidden, rest) = records.split_at_mut(rows * H);
        let (d_hidden, d_logits) = rest.split_at_mut(rows * H);
        let d_logits = d_logits.chunks_mut(rows * V);
        let mut losses_there = vec![0.0; L * rows];

        let mut tables = parts(Self::TENSORS, parameters);
        let mut weights = tables.split_off(L + 1);
        let biases = weights.split_off(L);
        let mut lengths = tables.pop();
        let mut tables = (0..).zip(tables);
        let layers = (0..).zip(weights.into_iter().zip(biases));
        let mut outputs = layers.zip(d_logits.zip(losses_there.chunks_mut(rows))).map(
            |((position, (weight, bias)), (d_logits, losses))| Output {
                position,
                weight,
                bias,
                d_logits,
                losses,
            },
        );
        let counts = shares(setup.longer, threads);
        let shares: Vec<(usize, Share)> = (0..)
            .zip(counts)
            .map(|(thread, counts)| {
                let tables = tables.by_ref().take(counts.tables).collect();
                let outputs = outputs.by_ref().take(counts.outputs).collect();
                (thread, Share { tables, outputs, lengths: lengths.take() })
            })
            .collect();
        let common = Common {
            rates,
            shard: setup.shard(examples, soft),
            next: Mutex::new(next.chunks_mut(DRAWN).enumerate()),
            draw,
            last: shares.len() - 1,
            hidden: Relay::new(hidden),
            d_hidden: Relay::new(d_hidden),
            end: Relay::new(()),
        };
        on_each_thread(shares, |(thread, share)| share.run(thread, &common));
        for (row, loss) in losses.iter_mut().enumerate() {
            *loss = losses_there.chunks(rows).map(|there| there[row]).sum();
        }
    }
}

/// Cost of an output for all texts of a batch, measured in units of the cost of moving its weights.
const OUTPUT: f32 = 11.0;
/// Cost of a table, in that unit.
const TABLE: f32 = 0.7;

/// Number of tables and outputs of a thread.
#[derive(Clone, Copy, Default)]
struct Counts {
    tables: usize,
    outputs: usize,
}

/// The tables and outputs of each of `threads` threads, in the order of the positions. Work is shared as evenly as whole
/// outputs allow: one output at least for each thread, and fewer threads if there are fewer positions. Outputs are few
/// and large, so they are dealt out first, and tables even out the rest.
///
/// The shares stay in every step of a run: weights that change owners would move between caches.
fn shares(longer: &[f32], threads: usize) -> Vec<Counts> {
    let outputs: Vec<f32> = longer.iter().map(|share| 1.0 + OUTPUT * share).collect();
    let tables: Vec<f32> = longer.iter().map(|share| 1.0 + TABLE * share).collect();
    let of_outputs = outputs.iter().sum::<f32>() / threads as f32;

    let (mut counts, mut loads, mut done) = (vec![Counts::default()], vec![0.0], 0.0);
    for output in outputs {
        // The middle of an output's work decides its thread.
        let full = done + output / 2.0 >= of_outputs * counts.len() as f32;
        if full && counts[counts.len() - 1].outputs > 0 && counts.len() < threads {
            counts.push(Counts::default());
            loads.push(0.0);
        }
        let last = counts.len() - 1;
        counts[last].outputs += 1;
        loads[last] += output;
        done += output;
    }

    let share = (done + tables.iter().sum::<f32>()) / counts.len() as f32;
    let (mut thread, mut done) = (0, loads[0]);
    for table in tables {
        while done + table / 2.0 >= share * (thread + 1) as f32 && thread + 1 < counts.len() {
            thread += 1;
            done += loads[thread];
        }
        done += table;
        counts[thread].tables += 1;
    }
    counts
}

/// Rows of the next batch that are drawn at a time.
const DRAWN: usize = 4;

/// The state that all threads see.
struct Common<'a, const L: usize> {
    rates: &'a Rates,
    shard: Shard<'a, L>,
    /// Chunks of [`DRAWN`] rows of the next batch not drawn yet, numbered. Waiting threads draw them.
    next: Mutex<Enumerate<ChunksMut<'a, Example<L>>>>,
    draw: &'a Draw<'a, L>,
    /// The last thread.
    last: usize,
    /// The hidden values of each example, to which each thread adds the rows of its tables.
    hidden: Relay<&'a mut [f32]>,
    /// The gradients of the hidden values. Turn 0 sets them to 0, turn 1 + t is that of thread t, and the last turn goes
    /// backward through the activation.
    d_hidden: Relay<&'a mut [f32]>,
    /// Each thread's end. No thread leaves before the last: it would fall asleep, and waking it takes up to a tenth of a
    /// step.
    end: Relay<()>,
}

impl<const L: usize> Common<'_, L> {
    /// Draws some rows of the next batch; `false` if all are drawn.
    fn draw_rows(&self) -> bool {
        let Some((chunk, rows)) = self.next.lock().ok().and_then(|mut next| next.next()) else {
            return false;
        };
        (chunk * DRAWN..).zip(rows).for_each(|(row, example)| (self.draw)(row, example));
        true
    }
}

/// The parameters of a thread.
struct Share<'a> {
    /// E_l, with l.
    tables: Vec<(usize, PartParameters<'a>)>,
    outputs: Vec<Output<'a>>,
    /// b, on the first thread.
    lengths: Option<PartParameters<'a>>,
}

/// The output at a position: its parameters, and its results for each example.
struct Output<'a> {
    position: usize,
    /// U_l.
    weight: PartParameters<'a>,
    /// c_l.
    bias: PartParameters<'a>,
    d_logits: &'a mut [f32],
    losses: &'a mut [f32],
}

impl Share<'_> {
    /// A thread's part of the step.
    fn run<const L: usize>(mut self, thread: usize, common: &Common<L>) {
        let Common { rates, shard, last, hidden, d_hidden, end, .. } = common;
        let _released = (hidden.release_on_panic(), d_hidden.release_on_panic(), end.release_on_panic());
        let draw = || common.draw_rows();
        let first = thread == 0;
        hidden.run(thread, draw, |hidden| {
            self.look_up(*shard, hidden);
            if thread == *last {
                shard.activate(0, hidden);
            }
        });
        if first {
            d_hidden.run(0, draw, |d_hidden| d_hidden.fill(0.0));
        }
        let Some(hidden) = hidden.result(*last, draw) else { return };
        let length = self.outputs.first().map_or(0, Output::gradient_len);
        with_gradient(self.outputs.len() * length, |gradients| {
            let gradient_of =
                |output: &Output, gradient: &mut [f32]| output.gradient(*shard, &hidden, gradient);
            for output in &mut self.outputs {
                output.forward(*shard, &hidden);
            }
            // The gradients of these weights do not need those of the hidden values.
            let mut left = self.outputs.iter().zip(gradients.chunks_exact_mut(length));
            let mut done = Vec::with_capacity(self.outputs.len());
            let meanwhile = || {
                let Some((output, gradient)) = left.next() else { return draw() };
                gradient_of(output, gradient);
                done.push(gradient);
                true
            };
            d_hidden.run(1 + thread, meanwhile, |d_hidden| {
                for output in &self.outputs {
                    let weight = &*output.weight.parameters.weights;
                    shard.output_backward(output.position, weight, output.d_logits, d_hidden);
                }
            });
            if thread == *last {
                d_hidden.run(2 + thread, draw, |d_hidden| {
                    shard.activate_backward(&hidden, d_hidden);
                });
            }
            let spare = left.next().map(|(_, gradient)| gradient);
            let (early, late) = self.outputs.split_at_mut(done.len());
            for (output, gradient) in early.iter_mut().zip(done) {
                output.update(rates, gradient);
            }
            // One gradient at a time stays in the innermost cache.
            if let Some(gradient) = spare {
                for output in late {
                    gradient_of(output, gradient);
                    output.update(rates, gradient);
                }
            }
        });
        let Some(d_hidden) = d_hidden.result(2 + last, draw) else { return };
        self.update_table(rates, *shard, &d_hidden);
        while draw() {}
        end.run(thread, || false, |()| ());
        end.wait_for(last + 1, || false);
    }

    /// Starts `hidden` from b on the thread that has it, and adds the rows of the tables.
    fn look_up<const L: usize>(&self, shard: Shard<L>, hidden: &mut [f32]) {
        let lengths = self.lengths.as_ref().map_or(&[][..], |lengths| &*lengths.parameters.weights);
        let tables = self.tables.iter().map(|(_, table)| &*table.parameters.weights);
        let first = self.tables.first().map_or(0, |(position, _)| *position);
        for (example, hidden) in shard.rows_mut(hidden) {
            let shown = example.shown().get(first..).unwrap_or(&[]);
            mlp::look_up::<_, _, _, L>(Vectorised, lengths, tables.clone(), shown, hidden);
        }
    }

    /// Updates the rows of the table, and b.
    fn update_table<const L: usize>(self, rates: &Rates, shard: Shard<L>, d_hidden: &[f32]) {
        for (position, table) in self.tables {
            with_gradient(table.parameters.weights.len(), |gradient| {
                gradient.fill(0.0);
                shard.rows_gradient(mlp::symbol_at(position), d_hidden, gradient);
                update(rates, table.parameters, gradient);
            });
        }
        if let Some(lengths) = self.lengths {
            with_gradient(lengths.parameters.weights.len(), |gradient| {
                gradient.fill(0.0);
                shard.rows_gradient(mlp::row_of_length, d_hidden, gradient);
                update(rates, lengths.parameters, gradient);
            });
        }
    }
}

impl Output<'_> {
    /// Length of the gradients of U_l and, behind it, c_l.
    fn gradient_len(&self) -> usize {
        self.weight.parameters.weights.len() + self.bias.parameters.weights.len()
    }

    fn forward<const L: usize>(&mut self, shard: Shard<L>, hidden: &[f32]) {
        let (weight, bias) = (&*self.weight.parameters.weights, &*self.bias.parameters.weights);
        shard.output_forward(self.position, weight, bias, hidden, self.d_logits, self.losses);
    }

    fn gradient<const L: usize>(&self, shard: Shard<L>, hidden: &[f32], gradient: &mut [f32]) {
        gradient.fill(0.0);
        let (d_weight, d_bias) = gradient.split_at_mut(self.weight.parameters.weights.len());
        shard.output_weight_gradient(self.position, hidden, self.d_logits, d_weight);
        shard.rows_gradient(mlp::scored_at(self.position), self.d_logits, d_bias);
    }

    fn update(&mut self, rates: &Rates, gradient: &[f32]) {
        let (d_weight, d_bias) = gradient.split_at(self.weight.parameters.weights.len());
        update(rates, self.weight.parameters.reborrow(), d_weight);
        update(rates, self.bias.parameters.reborrow(), d_bias);
    }
}

/// A value that threads change in turns and then all read.
struct Relay<T> {
    /// The current turn.
    turn: AtomicUsize,
    value: RwLock<T>,
}

impl<T> Relay<T> {
    /// Checks before a waiting thread yields its processor.
    const PATIENCE: u32 = 1 << 10;

    fn new(value: T) -> Self {
        Self { turn: AtomicUsize::new(0), value: RwLock::new(value) }
    }

    /// Waits for turn number `turn`, and does other work `meanwhile` as long as there is some.
    fn wait_for(&self, turn: usize, mut meanwhile: impl FnMut() -> bool) {
        let mut looks = 0;
        while self.turn.load(Ordering::Acquire) < turn {
            if meanwhile() {
                continue;
            }
            if looks < Self::PATIENCE {
                looks += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Takes turn number `turn` after all turns before it.
    fn run(&self, turn: usize, meanwhile: impl FnMut() -> bool, work: impl FnOnce(&mut T)) {
        self.wait_for(turn, meanwhile);
        if let Ok(mut value) = self.value.write() {
            work(&mut value);
        }
        self.turn.fetch_max(turn + 1, Ordering::Release);
    }

    /// The value after turn number `last`.
    fn result(&self, last: usize, meanwhile: impl FnMut() -> bool) -> Option<RwLockReadGuard<'_, T>> {
        self.wait_for(last + 1, meanwhile);
        self.value.read().ok()
    }

    /// Ends all turns if the thread panics, which would otherwise keep the others waiting for ever. The panic goes on
    /// after that.
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
