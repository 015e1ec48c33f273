//! Training: the examples of each step, and the number of threads.
//!
//! Example n of a run is row n mod B of step n / B. Each epoch has a fresh permutation of the texts. Seed and step
//! determine everything, so a run can stop after any step and go on.

use std::mem;
use std::time::{Duration, Instant};

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, average_rate};
use micro_diffusion::bound;
use micro_diffusion::denoiser::Example;
use micro_diffusion::dropout::Dropout;
use micro_diffusion::integer::Scales;
use micro_diffusion::rng::{Purpose, Stream, shuffle};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::text::Text;

use crate::engine::aligned::Aligned;
use crate::engine::language::Language;
use crate::engine::settings::Settings;
use crate::engine::step::{Batch, Parameters, Rates, Setup, Trained, longer};
use crate::engine::teaching::Teaching;

/// The plan of a run.
pub(crate) struct Plan<'a> {
    pub(crate) texts: &'a [String],
    pub(crate) language: Language<'a>,
    pub(crate) settings: &'a Settings,
    /// The weights to start from; `None` for random ones.
    pub(crate) start: Option<&'a [f32]>,
    /// Models that it learns from besides the texts, if there are any.
    pub(crate) teaching: Option<Teaching<'a>>,
}

/// A run in progress, whatever its network.
pub(crate) trait Training {
    /// Takes one step; returns its loss, in nats for each text.
    fn step(&mut self) -> f32;
    /// The state for a checkpoint.
    fn state(&self) -> &State;
    /// The state, to be changed between steps.
    fn state_mut(&mut self) -> &mut State;
    /// Goes on from a checkpoint.
    fn restore(&mut self, state: State);
}

/// All that changes during a run.
#[derive(Clone, PartialEq)]
pub(crate) struct State {
    /// Parameters, flat.
    pub(crate) weights: Aligned,
    /// Adam's mean of the gradient.
    pub(crate) m: Aligned,
    /// Adam's mean of the squared gradient.
    pub(crate) v: Aligned,
    /// The average of the weights; empty without averaging.
    pub(crate) average: Aligned,
    /// The weights before rounding; empty without rounding; see
    /// [`quantised_training`](crate::engine::quantised_training).
    pub(crate) unrounded: Vec<f32>,
    /// The scales of the integers, if the weights are rounded.
    pub(crate) scales: Option<Scales>,
    /// The best state so far, if it is kept.
    pub(crate) best: Option<Best>,
    /// The loss of each step so far, in nats for each text; its length is the number of steps done.
    pub(crate) losses: Vec<f32>,
}

/// The state that scored best on the lines kept for choosing.
#[derive(Clone, PartialEq)]
pub(crate) struct Best {
    pub(crate) weights: Vec<f32>,
    /// Steps done.
    pub(crate) step: u32,
    /// The score: an estimate of the NELBO.
    pub(crate) nats: f32,
}

impl State {
    /// The state before the first step. Arrays are copied to where they are walked fastest.
    pub(crate) fn new(weights: &[f32], m: &[f32], v: &[f32], average: &[f32]) -> Self {
        Self {
            weights: Aligned::copy_of(weights, 0),
            m: Aligned::copy_of(m, 1),
            v: Aligned::copy_of(v, 2),
            average: Aligned::copy_of(average, 3),
            unrounded: Vec::new(),
            scales: None,
            best: None,
            losses: Vec::new(),
        }
    }

    /// The parameters of the run's model: the best state, if it is kept.
    pub(crate) fn model(&self) -> &[f32] {
        self.best.as_ref().map_or(self.current(), |best| &best.weights)
    }

    /// The current parameters: the average, if there is one.
    pub(crate) fn current(&self) -> &[f32] {
        if self.average.is_empty() { &self.weights } else { &self.average }
    }
}

/// A run of a network of `L` positions.
pub(crate) struct Trainer<'a, const L: usize> {
    network: &'static dyn Trained<L>,
    texts: Vec<Text<L>>,
    /// −Σ p(n)·ln p(n) in nats, p(n) being the table of the training texts: the mean cost of a length.
    length_nats: f32,
    /// Share of the texts that are longer than each position.
    longer: Vec<f32>,
    symbols: usize,
    activation: Activation,
    settings: &'a Settings,
    state: State,
    /// The order of the texts in epoch `epoch`.
    order: Vec<u32>,
    epoch: Option<u32>,
    counts: MaskCounts<L>,
    batch: Vec<Example<L>>,
    teaching: Option<Teaching<'a>>,
    /// The distributions that the batch is to predict, where there is a teacher.
    soft: Vec<f32>,
    /// The batch of step `next_step`, once it is drawn.
    next: Vec<Example<L>>,
    next_step: Option<u32>,
    records: Aligned,
    losses: Vec<f32>,
    pace: Pace,
}

impl<'a, const L: usize> Trainer<'a, L> {
    pub(crate) fn new(
        network: &'static dyn Trained<L>,
        texts: Vec<Text<L>>,
        plan: Plan<'a>,
        activation: Activation,
    ) -> Self {
        let settings = plan.settings;
        let rows = settings.batch as usize;
        let zeros = vec![0.0; network.parameters()];
        let mut weights = zeros.clone();
        match plan.start {
            Some(start) => weights.copy_from_slice(start),
            None => network.initialise(&mut weights, Stream::new(settings.seed, Purpose::Weights)),
        }
        let average = if settings.averaging > 0.0 { &weights[..] } else { &[] };
        let nats = |text: &Text<L>| plan.language.lengths.negative_log_probability(text.symbols().len());
        // A teacher without a share would only take time.
        let teaching = plan.teaching.filter(|teaching| teaching.share > 0.0);
        let length_nats = bound::mean(&texts.iter().map(nats).collect::<Vec<_>>()) as f32;
        Self {
            network,
            longer: longer(texts.iter()),
            texts,
            length_nats,
            symbols: plan.language.alphabet.symbols(),
            activation,
            settings,
            state: State::new(&weights, &zeros, &zeros, average),
            order: Vec::new(),
            epoch: None,
            counts: MaskCounts::new(settings.batch),
            batch: vec![Example::EMPTY; rows],
            soft: vec![0.0; if teaching.is_some() { rows * L * network.outputs() } else { 0 }],
            teaching,
            next: vec![Example::EMPTY; rows],
            next_step: None,
            records: Aligned::copy_of(&vec![0.0; rows * network.record()], 0),
            losses: vec![0.0; rows],
            pace: Pace::new(rayon::current_num_threads()),
        }
    }

    /// The text of example `number` of the run.
    fn text(&mut self, number: u64) -> Text<L> {
        let length = self.texts.len() as u64;
        let epoch = (number / length) as u32;
        if self.epoch != Some(epoch) {
            let stream = Stream::new(self.settings.seed, Purpose::Order).child(epoch, 0);
            self.order = (0..self.texts.len() as u32).collect();
            shuffle(&mut self.order, stream);
            self.epoch = Some(epoch);
        }
        self.texts[self.order[(number % length) as usize] as usize]
    }

    /// Looks up the texts of step `step`, the next one.
    fn look_up(&mut self, step: u32) {
        let rows = self.settings.batch;
        for row in 0..rows {
            let clean = self.text(u64::from(step) * u64::from(rows) + u64::from(row));
            self.next[row as usize].clean = clean;
        }
    }
}

/// The noise of one step.
struct Noise<'a> {
    settings: &'a Settings,
    stream: Stream,
    dropout: Stream,
    step: u32,
    /// The words that all rows share.
    shared: [u32; 2],
}

impl<'a> Noise<'a> {
    fn new(settings: &'a Settings, step: u32) -> Self {
        let stream = Stream::new(settings.seed, Purpose::Noise);
        let shared = stream.child(step, u32::MAX).draw(0, 0);
        let dropout = Stream::new(settings.seed, Purpose::Dropout);
        Self { settings, stream, dropout, step, shared }
    }

    /// Makes row `row` of the batch from `clean`.
    fn example<const L: usize>(&self, counts: &MaskCounts<L>, clean: &Text<L>, row: usize) -> Example<L> {
        let row = row as u32;
        let stream = self.stream.child(self.step, row);
        let example = Example::bound_row(clean, counts, self.shared, row, stream);
        let rate = self.settings.dropout as f32;
        let dropout = (rate > 0.0).then(|| Dropout::new(rate, self.dropout.child(self.step, row)));
        Example { dropout, ..example }
    }
}

/// Chooses the threads of a step: all or one, whichever is faster at the moment.
///
/// Threads wait for each other a few times in each step. On a busy machine, or for a small network, one thread alone is
/// faster. So both are timed now and then. No result depends on the choice.
struct Pace {
    all: usize,
    threads: usize,
    /// Seconds of the last trial with one thread and with all.
    trial: [f64; 2],
}

impl Pace {
    /// Steps from one trial to the next.
    const PERIOD: usize = 512;
    /// Steps of each half of a trial.
    const TRIAL: usize = 5;

    fn new(all: usize) -> Self {
        Self { all, threads: all, trial: [0.0; 2] }
    }

    /// The threads for step number `step`.
    fn threads(&self, step: usize) -> usize {
        match step % Self::PERIOD / Self::TRIAL {
            0 => 1,
            1 => self.all,
            _ => self.threads,
        }
    }

    /// Notes the time of step number `step`.
    fn note(&mut self, step: usize, time: Duration) {
        let turn = step % Self::PERIOD;
        if turn == 0 {
            self.trial = [0.0; 2];
        }
        if let Some(seconds) = self.trial.get_mut(turn / Self::TRIAL) {
            *seconds += time.as_secs_f64();
            self.threads = if self.trial[0] < self.trial[1] { 1 } else { self.all };
        }
    }
}

impl<const L: usize> Training for Trainer<'_, L> {
    fn step(&mut self) -> f32 {
        let step = self.state.losses.len() as u32;
        if self.next_step != Some(step) {
            self.look_up(step);
            let noise = Noise::new(self.settings, step);
            for (row, example) in self.next.iter_mut().enumerate() {
                *example = noise.example(&self.counts, &example.clean, row);
            }
        }
        mem::swap(&mut self.batch, &mut self.next);
        self.look_up(step + 1);
        self.next_step = Some(step + 1);
        if let Some(teaching) = &self.teaching {
            teaching.answer(self.symbols, &self.batch, &mut self.soft);
        }
        let (start, threads) = (Instant::now(), self.pace.threads(step as usize));
        let (noise, counts) = (Noise::new(self.settings, step + 1), &self.counts);
        let State { weights, m, v, average, .. } = &mut self.state;
        let batch = Batch {
            examples: &self.batch,
            soft: &self.soft,
            next: &mut self.next,
            records: &mut self.records,
            losses: &mut self.losses,
        };
        let adam = Adam { weight_decay: self.settings.weight_decay, ..Adam::default() };
        let rates = Rates {
            adam: adam.step(step, self.settings.rate(step)),
            average: average_rate(step, self.settings.averaging),
        };
        let parameters = Parameters { weights, m, v, average };
        let setup =
            Setup { threads, symbols: self.symbols, activation: self.activation, longer: &self.longer };
        self.network.step(setup, &rates, batch, parameters, &|row, example| {
            *example = noise.example(counts, &example.clean, row);
        });
        let loss: f32 = self.losses.iter().sum::<f32>() + self.length_nats;
        self.state.losses.push(loss);
        self.pace.note(step as usize, start.elapsed());
        loss
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    fn restore(&mut self, state: State) {
        self.state = state;
    }
}
