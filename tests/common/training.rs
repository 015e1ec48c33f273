//! Steps of training as core defines them: all examples, then the whole gradient, then the update.

use micro_diffusion::activation::Activation;
use micro_diffusion::adam::{Adam, AdamStep, average_rate};
use micro_diffusion::denoiser::{Example, Model, Part, Shard};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::kernels::Kernels;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::rounding::Grid;
use micro_diffusion::text::Text;

use super::{distributions, masked_example};

/// Steps of a run.
pub const STEPS: u32 = 3;

/// Constants of all steps of a run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Examples of a batch.
    pub rows: usize,
    /// Symbols of the alphabet.
    pub symbols: usize,
    pub activation: Activation,
    /// The probability with which a hidden value is left out.
    pub dropout: f32,
    /// The grid of the rounded weights, if any.
    pub grid: Option<Grid>,
    /// Whether the answers are soft.
    pub taught: bool,
}

impl Run {
    /// Row `row` of step `step`.
    pub fn example<const L: usize>(&self, step: u32, row: usize) -> Example<L> {
        let row = row as u32;
        let stream = Stream::new(2, Purpose::Noise).child(step, row);
        let length = L - row as usize % L;
        let letter = |l: usize| (stream.draw(l as u32, 1)[0] % self.symbols as u32) as u8;
        let clean = Text::new(&(0..length).map(letter).collect::<Vec<_>>()).expect("a letter at least");
        let dropped = Stream::new(2, Purpose::Dropout).child(step, row);
        let dropout = (self.dropout > 0.0).then(|| Dropout::new(self.dropout, dropped));
        Example { dropout, ..masked_example(&clean, 1 + row % length as u32, 0.1, stream) }
    }

    /// What the batch of step `step` is to predict, `[E][L][V]`: distributions over the symbols of the alphabet, if it is taught.
    pub fn soft<const L: usize, const V: usize>(&self, step: u32) -> Vec<f32> {
        let rows = if self.taught { self.rows } else { 0 };
        distributions(u64::from(step), rows * L, V, self.symbols)
    }

    /// The batch of step `step`.
    pub fn batch<const L: usize>(&self, step: u32) -> Vec<Example<L>> {
        (0..self.rows).map(|row| self.example(step, row)).collect()
    }

    /// The state after the steps of this run for an `M`, computed by `kernels`.
    pub fn definition<M: Model<L, V>, K: Kernels<f32>, const L: usize, const V: usize>(
        &self,
        kernels: K,
    ) -> State {
        let mut state = State::new::<M, L, V>(self.rows);
        let mut floats = state.weights.clone();
        if let Some(grid) = self.grid {
            state.weights.iter_mut().for_each(|weight| *weight = grid.round(*weight));
        }
        for step in 0..STEPS {
            let batch = self.batch(step);
            let State { weights, m, v, average, losses } = &mut state;
            let mut records = vec![f32::NAN; batch.len() * M::RECORD];
            let view = M::view(&*weights).expect("as long as the view asks");
            let (activation, soft) = (self.activation, &self.soft::<L, V>(step));
            let shard = Shard { kernels, activation, examples: &batch, symbols: self.symbols, soft };
            M::forward_backward(shard, view, &mut records, losses);
            let mut gradient = vec![0.0; M::PARAMETERS];
            let mut rest = &mut gradient[..];
            for (number, tensor) in M::TENSORS.iter().enumerate() {
                for index in 0..tensor.parts {
                    let (out, tail) = rest.split_at_mut(tensor.part_len());
                    M::gradient(shard, Part { tensor: number, index }, &records, out);
                    rest = tail;
                }
            }
            kernels.adam(&adam(step), weights, &gradient, m, v);
            kernels.average_update(average, weights, average_rate(step, 0.99));
            if let Some(grid) = self.grid {
                kernels.straight_through(grid, weights, &mut floats);
            }
        }
        assert_ne!(state.weights, State::new::<M, L, V>(self.rows).weights);
        state
    }
}

/// The rates of step `step`.
pub fn adam(step: u32) -> AdamStep<f32> {
    Adam { weight_decay: 0.1, ..Adam::default() }.step(step, 0.01)
}

/// The state that training changes.
#[derive(Clone, Debug)]
pub struct State {
    pub weights: Vec<f32>,
    pub m: Vec<f32>,
    pub v: Vec<f32>,
    pub average: Vec<f32>,
    pub losses: Vec<f32>,
}

impl State {
    pub fn new<M: Model<L, V>, const L: usize, const V: usize>(rows: usize) -> Self {
        let mut weights = vec![0.0; M::PARAMETERS];
        M::initialise(&mut weights, Stream::new(1, Purpose::Weights));
        let zeros = vec![0.0; M::PARAMETERS];
        Self { average: weights.clone(), weights, m: zeros.clone(), v: zeros, losses: vec![f32::NAN; rows] }
    }
}

/// Asserts equal bits of numbers, none of them NaN.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let all = |state: &Self| {
            let State { weights, m, v, average, losses } = state.clone();
            [weights, m, v, average, losses].concat()
        };
        let (ours, theirs) = (all(self), all(other));
        assert!(ours.iter().chain(&theirs).all(|x| x.is_finite()), "training went wrong");
        ours.iter().map(|x| x.to_bits()).eq(theirs.iter().map(|x| x.to_bits()))
    }
}
