//! Teaching: a run that learns from trained models besides its texts.
//!
//! Of a masked position whose symbol is c, the student is to predict the distribution
//!
//! ```text
//! t_v = (1 − λ)·[v = c] + λ·p̄_v,   p̄_v = (1/M)·Σ_m p_m(v | noisy)
//! ```
//!
//! over the symbols v, with the probabilities p_m of M teachers, which see the noisy text that the student sees, and the teachers'
//! share λ. What the [cross-entropy](micro_diffusion::softmax) makes of it is (1 − λ) times the bound on −ln p of the text and λ
//! times that of texts whose masked symbols the teachers draw. Teachers leave out no hidden value, and are the same in every step.
//!
//! Source: G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531); for an
//! ensemble as the teacher where there is little text, K. Kim et al., "Pre-training under infinite compute", 2025 (2509.14786).

use micro_diffusion::denoiser::Example;

/// A trained model, as a student sees it.
pub(crate) trait Teacher: Sync {
    /// Of each of the `noisy` texts, which it has room for, the probabilities of all symbols of the alphabet at each masked
    /// position, in ascending order.
    fn predictions(&self, noisy: &[&[Option<u8>]]) -> Vec<Vec<f32>>;
}

/// λ where nobody says otherwise.
pub(crate) const SHARE: f64 = 0.9;

/// Teachers, and how much they say.
#[derive(Clone, Copy)]
pub(crate) struct Teaching<'a> {
    /// One at least, all of the student's alphabet and for texts as long as the student's.
    pub(crate) teachers: &'a [&'a dyn Teacher],
    /// λ.
    pub(crate) share: f64,
}

impl Teaching<'_> {
    /// Writes t of each masked position of the `batch`, and 0 for all others; `soft` is `[E][L][V]`, and the alphabet has so many
    /// `symbols`.
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

/// The clean symbol and the row of `rows`, V = `width` numbers each, of every masked position of `example`.
fn masked<'a, const L: usize>(
    example: &'a Example<L>,
    rows: &'a mut [f32],
    width: usize,
) -> impl Iterator<Item = (u8, &'a mut [f32])> {
    let positions = example.shown().iter().zip(example.clean.symbols()).zip(rows.chunks_mut(width));
    positions.filter(|((shown, _), _)| shown.is_none()).map(|((_, clean), row)| (*clean, row))
}
