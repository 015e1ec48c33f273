//! Scoring texts: the bound on −ln p, its mean over a set of texts, and the raw scores of masked positions.

use anyhow::bail;
use micro_diffusion::bound;
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::text::Alphabet;

use crate::engine::source::{Source, on_shares};

/// Mask draws for each number of masks: the score of record.
pub(crate) const DRAWS: u32 = 4;

/// The bound over a set of texts.
pub(crate) struct Score {
    /// Mean over the texts, in nats.
    pub(crate) nelbo: f64,
    /// Standard error of that mean.
    pub(crate) stderr: f64,
    /// For k = 1 … L masks, the mean −ln p of a masked symbol, in nats.
    pub(crate) per_masks: Vec<f64>,
}

impl Score {
    /// Averages the bounds of some texts, each as its terms for k = 1 … L masks.
    pub(crate) fn of(terms: &[Vec<f64>]) -> Self {
        let bounds: Vec<f64> = terms.iter().map(|terms| terms.iter().sum()).collect();
        let mean = |masks: usize| bound::mean(&terms.iter().map(|terms| terms[masks]).collect::<Vec<_>>());
        let per_masks = (0..terms.first().map_or(0, Vec::len)).map(mean).collect();
        Self { nelbo: bound::mean(&bounds), stderr: bound::standard_error(&bounds), per_masks }
    }
}

/// The bound of each text, in nats: for each number of masks k, the mean of `draws` terms.
pub(crate) fn bounds<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    alphabet: Alphabet,
    texts: &[String],
    draws: u32,
    seed: u64,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let symbols = alphabet.symbols();
    let stream = Stream::new(seed, Purpose::Score);
    let texts: Vec<(u32, [u8; L])> = (0..).zip(encode(texts, alphabet)?).collect();
    Ok(on_shares(source, &texts, |denoiser, (index, clean)| {
        bound::terms(denoiser, symbols, clean, *index, draws, stream).to_vec()
    }))
}

/// Σ_k E\[(1/k)·Σ_masked −ln p\] from one k for each of `rows` rows, drawn and weighted as in training.
///
/// The rows are spread over all `texts`; where these are fewer, each is several rows.
pub(crate) fn estimate<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    alphabet: Alphabet,
    texts: &[String],
    rows: u32,
    seed: u64,
) -> anyhow::Result<f64> {
    let stream = Stream::new(seed, Purpose::Score);
    let shared = stream.child(u32::MAX, 0).draw(0, 0);
    let line = |row: u32| match rows as usize {
        rows if texts.len() <= rows => row as usize % texts.len(),
        rows => row as usize * texts.len() / rows,
    };
    let texts: Vec<String> = (0..rows).map(|row| texts[line(row)].clone()).collect();
    let texts: Vec<(u32, [u8; L])> = (0..).zip(encode(&texts, alphabet)?).collect();
    let counts = MaskCounts::<L>::new(rows);
    let terms = on_shares(source, &texts, |denoiser, (row, clean)| {
        let stream = stream.child(*row, 0);
        bound::sampled(denoiser, alphabet.symbols(), clean, &counts, (shared, *row), stream)
    });
    Ok(bound::mean(&terms.into_iter().map(f64::from).collect::<Vec<_>>()))
}

/// The scores of the masked positions of each text; text n has n mod L + 1 masks.
pub(crate) fn scores<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    alphabet: Alphabet,
    texts: &[String],
    seed: u64,
) -> anyhow::Result<Vec<denoiser::Score>> {
    let stream = Stream::new(seed, Purpose::Score);
    let texts: Vec<[u8; L]> = encode(texts, alphabet)?;
    let mut all = Vec::new();
    source.with_denoiser(&mut |denoiser| {
        for (index, clean) in (0..).zip(&texts) {
            let count = index % L as u32 + 1;
            let noisy = mask_count(clean, count, stream.child(index, 0).child(count, 0));
            for (position, symbol) in noisy.iter().enumerate() {
                denoiser.set(position, *symbol);
            }
            denoiser.evaluate();
            for (position, _) in noisy.iter().enumerate().filter(|(_, symbol)| symbol.is_none()) {
                let mut scores = [0; V];
                denoiser.scores(position, &mut scores);
                all.extend_from_slice(&scores[..alphabet.symbols()]);
            }
        }
    });
    Ok(all)
}

/// `texts` as symbols.
pub(crate) fn encode<const L: usize>(texts: &[String], alphabet: Alphabet) -> anyhow::Result<Vec<[u8; L]>> {
    let encode = |text: &String| match alphabet.encode(text) {
        Ok(symbols) => Ok(symbols),
        Err(error) => bail!("“{text}” cannot be read by this model: {error:?}"),
    };
    texts.iter().map(encode).collect()
}
