//! Looks at a model while it trains: an estimate of its held-out score, and the names it would draw.
//!
//! A look reads the weights and changes nothing, and nothing that training does depends on it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use micro_diffusion::bound;
use micro_diffusion::denoiser::Model;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::text::Alphabet;
use rayon::prelude::*;

use crate::network::{Artist, Network, Request, encode, free, open};
use crate::trainer::State;

/// Looks in a run, besides the one before its first step.
const LOOKS: u32 = 16;
/// Masked held-out lines in one estimate.
pub(crate) const ROWS: u32 = 1024;

/// What is looked for.
pub(crate) struct Look<'a> {
    pub(crate) alphabet: Alphabet<'a>,
    /// Held-out lines; none where no score is wanted.
    pub(crate) texts: &'a [String],
    pub(crate) request: Request,
    /// How many names to draw.
    pub(crate) names: u32,
}

/// What is seen.
pub(crate) struct Seen {
    /// An estimate of the held-out NELBO, in nats.
    pub(crate) nelbo: Option<f64>,
    pub(crate) names: Vec<String>,
}

/// Looks at the model with `weights`.
pub(crate) fn look<M: Model<L, V>, const L: usize, const V: usize>(
    weights: &[f32],
    look: &Look,
) -> anyhow::Result<Seen> {
    let parameters: Vec<[u8; 4]> = weights.iter().map(|weight| weight.to_le_bytes()).collect();
    let artist = Artist::<L> { alphabet: look.alphabet, request: &look.request, free: free(look.alphabet) };
    let names = (0..look.names).into_par_iter().map_init(
        || vec![0.0; M::MEMORY],
        |memory, index| Ok(artist.draw::<_, V>(&mut open::<M, L, V>(&parameters, memory)?, index)?.text),
    );
    let names = names.collect::<anyhow::Result<_>>()?;
    let nelbo = estimate::<M, L, V>(&parameters, look)?;
    Ok(Seen { nelbo, names })
}

/// Σ_k E\[(1/k)·Σ_masked −ln p\] from one k for each of [`ROWS`] rows, drawn and weighted as in training.
fn estimate<M: Model<L, V>, const L: usize, const V: usize>(
    parameters: &[[u8; 4]],
    look: &Look,
) -> anyhow::Result<Option<f64>> {
    let Some(last) = look.texts.len().checked_sub(1) else { return Ok(None) };
    let stream = Stream::new(look.request.seed, Purpose::Score);
    let [shared, _] = stream.child(u32::MAX, 0).draw(0, 0);
    // Spread over all lines; each several times where they are few.
    let line = |row: u32| match ROWS as usize {
        rows if last < rows => row as usize % (last + 1),
        rows => row as usize * (last + 1) / rows,
    };
    let texts: Vec<String> = (0..ROWS).map(|row| look.texts[line(row)].clone()).collect();
    let texts = encode::<L>(&texts, look.alphabet)?;
    let counts = MaskCounts::<L>::new(ROWS);
    let terms = (0..ROWS).into_par_iter().zip(&texts).map_init(
        || vec![0.0; M::MEMORY],
        |memory, (row, clean)| {
            let count = counts.count(shared, row);
            let mut denoiser = open::<M, L, V>(parameters, memory)?;
            let symbols = look.alphabet.symbols();
            let term = bound::term(&mut denoiser, symbols, clean, count, stream.child(row, 0));
            Ok(term * count as f32 * counts.weight(count))
        },
    );
    let terms = terms.collect::<anyhow::Result<Vec<f32>>>()?;
    Ok(Some(terms.into_iter().map(f64::from).sum::<f64>() / f64::from(ROWS)))
}

/// Looks at a run at fixed steps and keeps what the held-out score was.
pub(crate) struct Observer<'a> {
    network: &'static dyn Network,
    look: Look<'a>,
    /// The steps that are still to be looked at, in descending order.
    ahead: Vec<u32>,
    /// After how many steps the estimate was what.
    pub(crate) curve: Vec<(u32, f64)>,
}

impl<'a> Observer<'a> {
    /// An observer of a run of `steps` steps, of which `done` are done and `curve` is known. The looks are dense at first, where most
    /// happens: look i of n is after steps·(i/n)².
    pub(crate) fn new(
        network: &'static dyn Network,
        look: Look<'a>,
        steps: u32,
        done: u32,
        curve: Vec<(u32, f64)>,
    ) -> Self {
        let at = |look: u32| u64::from(steps) * u64::from(look).pow(2) / u64::from(LOOKS).pow(2);
        let wanted = !look.texts.is_empty() || look.names > 0;
        let mut ahead: Vec<u32> = (0..=LOOKS).rev().map(|look| at(look) as u32).collect();
        ahead.dedup();
        let known = curve.last().map(|(step, _)| *step);
        ahead.retain(|step| wanted && *step >= done && known.is_none_or(|known| *step > known));
        Self { network, look, ahead, curve }
    }

    /// Looks, if it is time to.
    pub(crate) fn after(&mut self, state: &State) -> anyhow::Result<Option<Seen>> {
        let step = state.losses.len() as u32;
        if self.ahead.pop_if(|next| *next == step).is_none() {
            return Ok(None);
        }
        let seen = self.network.look(state.model(), &self.look)?;
        self.curve.extend(seen.nelbo.map(|nelbo| (step, nelbo)));
        Ok(Some(seen))
    }

    /// The curve as a table.
    pub(crate) fn csv(&self) -> String {
        let rows = self.curve.iter().map(|(step, nelbo)| format!("{step},{nelbo}\n"));
        format!("{HEADING}\n{}", rows.collect::<String>())
    }
}

/// The first line of the table.
const HEADING: &str = "step,held_out_nats_per_name";

/// The curve of an earlier part of a run, up to step `done`, from the table at `path`; empty where there is none.
pub(crate) fn read(path: &Path, done: u32) -> anyhow::Result<Vec<(u32, f64)>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |line: &str| -> Option<(u32, f64)> {
        let (step, nelbo) = line.split_once(',')?;
        Some((step.parse().ok()?, nelbo.parse().ok()?))
    };
    let rows: Option<Vec<_>> = text.lines().skip(1).map(row).collect();
    let rows = rows.with_context(|| format!("{} is not a table of steps and scores", path.display()))?;
    Ok(rows.into_iter().filter(|(step, _)| *step <= done).collect())
}
