//! Teaching: a run that learns from its texts and from trained models.
//!
//! At a masked position whose symbol is c, the student is to predict the distribution
//!
//! ```text
//! t_v = (1 − λ)·[v = c] + λ·p̄_v,   p̄_v = (1/M)·Σ_m p_m(v | noisy)
//! ```
//!
//! over the symbols v. The probabilities p_m are those of M teachers, which see the student's noisy text; λ is the teachers' share.
//!
//! The [cross-entropy](micro_diffusion::softmax) with t has two parts. The bound on −ln p of the text counts 1 − λ. The
//! cross-entropy with the teachers at the same masked positions counts λ. Teachers have no dropout and are the same in every step.
//!
//! Source: G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531); for an
//! ensemble as the teacher where there is little text, K. Kim et al., "Pre-training under infinite compute", 2025 (2509.14786).

use micro_diffusion::denoiser::Example;

/// A trained model that a student learns from.
pub(crate) trait Teacher: Sync {
    /// The probabilities of all symbols of the alphabet at each masked position of each of the `noisy` texts, in ascending order.
    /// The model has room for the texts.
    fn predictions(&self, noisy: &[&[Option<u8>]]) -> Vec<Vec<f32>>;
}

/// λ by default.
pub(crate) const SHARE: f64 = 0.9;

/// Teachers and their share.
#[derive(Clone, Copy)]
pub(crate) struct Teaching<'a> {
    /// Models of the student's alphabet with room for its texts, at least one.
    pub(crate) teachers: &'a [&'a dyn Teacher],
    /// λ.
    pub(crate) share: f64,
}

impl Teaching<'_> {
    /// Writes t of each masked position of the `batch` to `soft`, `[E][L][V]`, and 0 at all others. The alphabet has `symbols` symbols.
    ///
    /// The sum over the teachers is in their order, on any number of threads.
    pub(crate) fn answer<const L: usize>(&self, symbols: usize, batch: &[Example<L>], soft: &mut [f32]) {
        soft.fill(0.0);
        let noisy: Vec<&[Option<u8>]> = batch.iter().map(Example::shown).collect();
        let width = soft.len() / (batch.len() * L);
        let of_each = self.share / self.teachers.len() as f64;
        for teacher in self.teachers {
            let predictions = teacher.predictions(&noisy);
            for ((example, rows), predicted) in batch.iter().zip(soft.chunks_mut(L * width)).zip(predictions)
            {
                let masked = masked(example, rows, width);
                for ((_, row), p) in masked.zip(predicted.chunks(symbols)) {
                    row.iter_mut().zip(p).for_each(|(sum, p)| *sum += p * of_each as f32);
                }
            }
        }
        for (example, rows) in batch.iter().zip(soft.chunks_mut(L * width)) {
            for (clean, row) in masked(example, rows, width) {
                row[usize::from(clean)] += (1.0 - self.share) as f32;
            }
        }
    }
}

/// The clean symbol of every masked position of `example`, each with its row of `rows`, which are V = `width` numbers long.
fn masked<'a, const L: usize>(
    example: &'a Example<L>,
    rows: &'a mut [f32],
    width: usize,
) -> impl Iterator<Item = (u8, &'a mut [f32])> {
    let positions = example.shown().iter().zip(example.clean.symbols()).zip(rows.chunks_mut(width));
    positions.filter(|((shown, _), _)| shown.is_none()).map(|((_, clean), row)| (*clean, row))
}
