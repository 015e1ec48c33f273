//! Scoring texts: −ln p by random orders and exactly, the bound on it, and the raw scores of masked positions.

use anyhow::{Context, bail};
use micro_diffusion::bound;
use micro_diffusion::corruption::mask_count;
use micro_diffusion::denoiser::{self, Denoiser, NAT};
use micro_diffusion::estimate::sampled;
use micro_diffusion::exact::exact_nats;
use micro_diffusion::likelihood::{self, Likelihood};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::schedule::MaskCounts;
use micro_diffusion::softmax::softmax_forward;
use micro_diffusion::text::{Alphabet, EncodeError, Text};

use crate::engine::description::REPORT_IT;
use crate::engine::language::Language;
use crate::engine::source::{Noted, Source, on_noted_shares, on_shares};

/// Random orders of each text in the score of record.
pub(crate) const ORDERS: u32 = 64;
/// Most positions for exact scores, which go through every subset of the positions.
pub(crate) const EXACT_POSITIONS: usize = 12;

/// A mean over texts, in nats.
pub(crate) struct Figure {
    pub(crate) nats: f64,
    /// Standard error of the mean over the texts; `None` for a single text.
    pub(crate) stderr: Option<f64>,
    /// Standard error by the choice of orders; `None` for a single order.
    pub(crate) order_stderr: Option<f64>,
}

impl Figure {
    /// The mean of `nats`, one for each text, with the errors `errors` over orders.
    fn of(nats: &[f64], errors: &[Option<f64>]) -> Self {
        let order_stderr = errors.iter().copied().collect::<Option<Vec<_>>>();
        let order_stderr = order_stderr.map(|errors| likelihood::error_of_mean(&errors));
        Self { nats: bound::mean(nats), stderr: error_over(nats), order_stderr }
    }
}

/// The standard error of the mean of `nats`; `None` for a single one.
pub(crate) fn error_over(nats: &[f64]) -> Option<f64> {
    (nats.len() > 1).then(|| bound::standard_error(nats))
}

/// The scores of a set of texts.
pub(crate) struct Score {
    /// The mean bound on −ln p.
    pub(crate) nelbo: Figure,
    /// The mean −ln p.
    pub(crate) nll: Figure,
}

impl Score {
    /// Averages the scores of texts.
    pub(crate) fn of(texts: &[TextScore]) -> Self {
        let nats = |part: fn(&TextScore) -> f64| texts.iter().map(part).collect::<Vec<_>>();
        let errors = |part: fn(&TextScore) -> Option<f64>| texts.iter().map(part).collect::<Vec<_>>();
        Self {
            nelbo: Figure::of(&nats(|text| text.nelbo), &errors(|text| text.nelbo_stderr)),
            nll: Figure::of(&nats(|text| text.nll), &errors(|text| text.nll_stderr)),
        }
    }
}

/// The scores of one text from random orders, in nats, with their standard errors over the orders if there are several.
pub(crate) struct TextScore {
    /// The mean of −ln p(text | order).
    pub(crate) nelbo: f64,
    pub(crate) nelbo_stderr: Option<f64>,
    /// −ln of the mean of p(text | order).
    pub(crate) nll: f64,
    pub(crate) nll_stderr: Option<f64>,
}

impl TextScore {
    /// Computes the scores from −ln p(text | order) of each order.
    fn of(nats: &[f64]) -> Self {
        Self {
            nelbo: bound::mean(nats),
            nelbo_stderr: error_over(nats),
            nll: likelihood::negative_log_mean(nats.iter().copied()),
            nll_stderr: (nats.len() > 1).then(|| likelihood::jackknife_error(nats)),
        }
    }
}

/// −ln p(n) of the length of `clean`, in nats.
fn length_nats<const L: usize>(language: Language, clean: &Text<L>) -> f64 {
    language.lengths.negative_log_probability(clean.symbols().len())
}

/// Takes `count` of `texts`, evenly spread, or all where there are no more.
pub(crate) fn spread(texts: &[String], count: usize) -> Vec<String> {
    let count = count.min(texts.len());
    (0..count).map(|index| texts[index * texts.len() / count].clone()).collect()
}

/// Scores each text by `orders` random orders.
///
/// Order j of text i is child (i, j) of the stream of `seed`, on any number of threads.
pub(crate) fn texts<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
    texts: &[String],
    (orders, seed): (u32, u64),
    noted: Noted,
) -> anyhow::Result<Vec<TextScore>> {
    let stream = Stream::new(seed, Purpose::Score);
    let texts: Vec<(u32, Text<L>)> = (0..).zip(encode(texts, language.alphabet)?).collect();
    Ok(on_noted_shares(source, &texts, noted, |denoiser, (index, clean)| {
        let along = |number| {
            let order = likelihood::random_order::<L>(clean.symbols().len(), stream.child(*index, number));
            length_nats(language, clean) + denoiser.nats_in_order(language.alphabet.symbols(), clean, &order)
        };
        TextScore::of(&(0..orders).map(along).collect::<Vec<_>>())
    }))
}

/// −ln p of each text, exactly; a text has at most [`EXACT_POSITIONS`].
pub(crate) fn exact<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
    texts: &[String],
    noted: Noted,
) -> anyhow::Result<Vec<f64>> {
    let texts: Vec<Text<L>> = encode(texts, language.alphabet)?;
    let nats = on_noted_shares(source, &texts, noted, |denoiser, clean| {
        let mut memory = vec![0.0; 1 << clean.symbols().len()];
        let nats = exact_nats(denoiser, language.alphabet.symbols(), clean, &mut memory)?;
        Some(length_nats(language, clean) + nats)
    });
    nats.into_iter().collect::<Option<_>>().context(
        "not enough memory for --exact, which keeps a score for every subset of the positions; leave \
         out --exact",
    )
}

/// For each text, −ln p of each of its characters given all others, in nats.
pub(crate) fn surprises<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
    texts: &[String],
    noted: Noted,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let texts: Vec<Text<L>> = encode(texts, language.alphabet)?;
    let symbols = language.alphabet.symbols();
    Ok(on_noted_shares(source, &texts, noted, |denoiser, clean| {
        let alone = |position| denoiser.nats_in_order(symbols, clean, &[position]);
        (0..clean.symbols().len()).map(alone).collect()
    }))
}

/// Estimates Σ_k E\[(1/k)·Σ_masked −ln p\] from one k for each of `rows` rows, drawn and weighted as in training.
///
/// The rows are spread over all `texts`; a text has several rows where there are fewer texts.
pub(crate) fn estimate<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
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
    let texts: Vec<(u32, Text<L>)> = (0..).zip(encode(&texts, language.alphabet)?).collect();
    let counts = MaskCounts::<L>::new(rows);
    let terms = on_shares(source, &texts, |denoiser, (row, clean)| {
        let stream = stream.child(*row, 0);
        let symbols = language.alphabet.symbols();
        let letters = sampled(denoiser, symbols, clean, &counts, shared, *row, stream);
        length_nats(language, clean) + f64::from(letters)
    });
    Ok(bound::mean(&terms))
}

/// The raw scores of the masked positions of each text; text i of n letters has i mod n + 1 masks.
pub(crate) fn scores<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    language: Language,
    texts: &[String],
    seed: u64,
) -> anyhow::Result<Vec<denoiser::Score>> {
    let stream = Stream::new(seed, Purpose::Score);
    let texts: Vec<Text<L>> = encode(texts, language.alphabet)?;
    let mut all = Vec::new();
    source.with_denoiser(&mut |denoiser| {
        for (index, clean) in (0..).zip(&texts) {
            let length = clean.symbols().len();
            let count = index % length as u32 + 1;
            let noisy = mask_count(clean, count, stream.child(index, 0).child(count, 0));
            for_each_masked(denoiser, &noisy[..length], |scores| {
                all.extend_from_slice(&scores[..language.alphabet.symbols()]);
            });
        }
    });
    Ok(all)
}

/// The probabilities of the alphabet's `symbols` symbols at each masked position of each of the `noisy` texts, in ascending order.
pub(crate) fn predictions<const L: usize, const V: usize>(
    source: &dyn Source<L, V>,
    symbols: usize,
    noisy: &[&[Option<u8>]],
) -> Vec<Vec<f32>> {
    on_shares(source, noisy, |denoiser, noisy| {
        let mut all = Vec::new();
        for_each_masked(denoiser, noisy, |scores| {
            let first = all.len();
            all.extend(scores[..symbols].iter().map(|score| *score as f32 / NAT as f32));
            softmax_forward(&mut all[first..]);
        });
        all
    })
}

/// Calls `work` with the scores of each masked position of the text `noisy`.
fn for_each_masked<const L: usize, const V: usize>(
    denoiser: &mut dyn Denoiser<L, V>,
    noisy: &[Option<u8>],
    mut work: impl FnMut(&[denoiser::Score; V]),
) {
    denoiser.start(noisy.len());
    for (position, symbol) in noisy.iter().enumerate() {
        denoiser.set(position, *symbol);
    }
    denoiser.evaluate();
    for (position, _) in noisy.iter().enumerate().filter(|(_, symbol)| symbol.is_none()) {
        let mut scores = [0; V];
        denoiser.scores(position, &mut scores);
        work(&scores);
    }
}

/// Encodes `texts` as symbols.
pub(crate) fn encode<const L: usize>(texts: &[String], alphabet: Alphabet) -> anyhow::Result<Vec<Text<L>>> {
    let encode = |text: &String| match alphabet.encode(text) {
        Ok(symbols) => Ok(symbols),
        Err(EncodeError::UnknownCharacter(character)) => bail!(
            "“{text}” has the character “{character}”, which the model does not know; write the text with \
             {}, or train a model on a list that has “{character}”",
            alphabet.characters()
        ),
        Err(EncodeError::Empty) => bail!("one of the texts for the model is empty: {REPORT_IT}"),
        Err(EncodeError::TooLong(_)) => bail!(
            "“{text}” has {letters} characters, and the model reads at most {L}; shorten it, or name a model of longer \
             texts with --model",
            letters = text.chars().count()
        ),
    };
    texts.iter().map(encode).collect()
}
