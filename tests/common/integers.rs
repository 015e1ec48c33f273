//! Networks in integers, as their tests make, read and ask them.

use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::file::write_integers;
use micro_diffusion::integer::{IntegerModel, Scales};
use micro_diffusion::quantise::{quantise, rounded, scales};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::tensor::{Dtype, StoredTensor};
use micro_diffusion::text::Alphabet;

use super::numbers;

/// Trained parameters, as if: numbers of the sizes that training gives.
pub(crate) fn parameters<M: Model<L, V>, const L: usize, const V: usize>(seed: u64) -> Vec<f32> {
    let mut parameters = numbers(seed, M::PARAMETERS);
    let mut rest = &mut parameters[..];
    for (tensor, size) in M::TENSORS.iter().zip([0.7, 0.4, 1.1, 0.5, 1.1, 0.5]) {
        let (head, tail) = rest.split_at_mut(tensor.len());
        head.iter_mut().for_each(|number| *number *= size);
        rest = tail;
    }
    parameters.iter().map(|number| *number as f32).collect()
}

/// A network in integers: the parameters it comes from, its scales and its tensors.
pub(crate) struct Case {
    pub(crate) parameters: Vec<f32>,
    pub(crate) scales: Scales,
    pub(crate) payload: Vec<u8>,
}

impl Case {
    pub(crate) fn new<M: Model<L, V>, I: IntegerModel<L, V>, const L: usize, const V: usize>(
        seed: u64,
        activation: u8,
    ) -> Self {
        let parameters = parameters::<M, L, V>(seed);
        let scales = scales(I::TENSORS, &parameters, activation);
        let mut payload = vec![0; I::BYTES];
        quantise(I::TENSORS, &parameters, &scales, &mut payload);
        Self { parameters, scales, payload }
    }

    /// The parameters as the tensors of an `I` hold them.
    pub(crate) fn rounded<I: IntegerModel<L, V>, const L: usize, const V: usize>(&self) -> Vec<f32> {
        let mut weights = self.parameters.clone();
        let mut rest = &mut weights[..];
        for (tensor, exponent) in I::TENSORS.iter().zip(self.scales.tensors) {
            let (head, tail) = rest.split_at_mut(tensor.numbers());
            head.iter_mut().for_each(|weight| *weight = rounded(tensor, *weight, exponent));
            rest = tail;
        }
        weights
    }

    pub(crate) fn file<I: IntegerModel<L, V>, const L: usize, const V: usize>(
        &self,
        alphabet: &str,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sink = |piece: &[u8]| -> Result<(), ()> {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        write_integers::<I, L, V, _>(Alphabet::new(alphabet).unwrap(), &self.scales, &self.payload, sink)
            .unwrap();
        bytes
    }
}

/// The integers of each tensor, read from the payload one number at a time.
pub(crate) fn integers(tensors: &[StoredTensor], mut payload: &[u8]) -> Vec<Vec<i64>> {
    let decode = |tensor: &StoredTensor| {
        let bytes;
        (bytes, payload) = payload.split_at(tensor.bytes());
        let row = tensor.row();
        let number = |index: usize| match tensor.dtype {
            Dtype::Int8 => i64::from(bytes[index]) - 128,
            Dtype::Int4 => {
                let (number, column) = (index / row, index % row);
                // Two rows begin on a whole byte; if odd, the last of the first goes with the last of the second.
                let (pair, odd) = (number / 2, number % 2);
                let shared = row % 2 == 1 && column == row - 1;
                let nibble = if row.is_multiple_of(2) {
                    index
                } else if shared {
                    2 * pair * row + row - 1 + odd
                } else {
                    2 * pair * row + odd * (row + 1) + column
                };
                let byte = bytes[nibble / 2];
                i64::from(if nibble % 2 == 0 { byte % 16 } else { byte / 16 }) - 8
            }
            Dtype::Int16 => i64::from(i16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]])),
            Dtype::F32 => panic!("no float among integers"),
        };
        (0..tensor.numbers()).map(number).collect()
    };
    let decoded = tensors.iter().map(decode).collect();
    assert!(payload.is_empty());
    decoded
}

/// 2ⁿ·`x`, exactly.
pub(crate) fn shifted(x: i64, n: i64) -> i64 {
    if n >= 0 { x << n } else { x >> -n }
}

/// Texts from all masks to none.
pub(crate) fn texts<const L: usize, const V: usize>(seed: u64) -> Vec<[Option<u8>; L]> {
    let stream = Stream::new(seed, Purpose::Noise);
    (0..40)
        .map(|text: u32| {
            let words: [[u32; 2]; L] = std::array::from_fn(|l| stream.child(text, 0).draw(l as u32, 0));
            words.map(|[symbol, shown]| (shown % 40 < text).then_some((symbol % V as u32) as u8))
        })
        .collect()
}

pub(crate) fn all_scores<D: Denoiser<L, V>, const L: usize, const V: usize>(
    denoiser: &mut D,
    text: &[Option<u8>; L],
) -> Vec<[Score; V]> {
    for (position, symbol) in text.iter().enumerate() {
        denoiser.set(position, *symbol);
    }
    denoiser.evaluate();
    let scores = |position| {
        let mut scores = [7; V];
        denoiser.scores(position, &mut scores);
        scores
    };
    (0..L).map(scores).collect()
}
