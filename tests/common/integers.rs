//! Networks in integers, as their tests make, read and ask them.

use micro_diffusion::activation::Activation;
use micro_diffusion::categorical::Temperature;
use micro_diffusion::crc::crc32;
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::ModelFile;
use micro_diffusion::form::Form;
use micro_diffusion::integer::{IntegerModel, Quantisable, Scales};
use micro_diffusion::integer_file::write_integers;
use micro_diffusion::kernels::Plain;
use micro_diffusion::length::Lengths;
use micro_diffusion::precision::Precision;
use micro_diffusion::quantise::{grid, quantise, scales};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::stored::StoredTensor;
use micro_diffusion::text::Alphabet;

use super::numbers;

/// Trained parameters, as if: numbers of the sizes that training gives.
pub fn parameters<M: Model<L, V>, const L: usize, const V: usize>(seed: u64) -> Vec<f32> {
    let mut parameters = numbers(seed, M::PARAMETERS);
    let mut rest = &mut parameters[..];
    for (tensor, size) in M::TENSORS.iter().zip([0.7, 0.4, 1.1, 0.5, 1.1, 0.5]) {
        let (head, tail) = rest.split_at_mut(tensor.numbers());
        head.iter_mut().for_each(|number| *number *= size);
        rest = tail;
    }
    parameters.iter().map(|number| *number as f32).collect()
}

/// A network in integers: the parameters it comes from, its scales and its tensors.
pub struct Case {
    pub parameters: Vec<f32>,
    pub scales: Scales,
    pub payload: Vec<u8>,
}

impl Case {
    pub fn new<M: Model<L, V>, I: IntegerModel<L, V>, const L: usize, const V: usize>(
        seed: u64,
        activation: u8,
    ) -> Self {
        let parameters = parameters::<M, L, V>(seed);
        let scales = scales(I::TENSORS, &parameters, activation);
        let mut payload = vec![0; I::BYTES];
        quantise(I::TENSORS, &parameters, &scales, &mut payload);
        Self { parameters, scales, payload }
    }

    /// Whether its tensors are taken as an `I` at its scales after `change`.
    pub fn taken_with<I: IntegerModel<L, V>, const L: usize, const V: usize>(
        &self,
        change: impl Fn(&mut Scales),
    ) -> bool {
        let mut scales = self.scales;
        change(&mut scales);
        I::view(&self.payload, &scales).is_some()
    }

    /// The parameters as the tensors of an `I` hold them.
    pub fn rounded<I: IntegerModel<L, V>, const L: usize, const V: usize>(&self) -> Vec<f32> {
        let mut weights = self.parameters.clone();
        let mut rest = &mut weights[..];
        for (tensor, exponent) in I::TENSORS.iter().zip(self.scales.tensors) {
            let (head, tail) = rest.split_at_mut(tensor.numbers());
            let grid = grid(tensor, exponent);
            head.iter_mut().for_each(|weight| *weight = grid.round(*weight));
            rest = tail;
        }
        weights
    }

    pub fn file<I: IntegerModel<L, V>, const L: usize, const V: usize>(&self, alphabet: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sink = |piece: &[u8]| -> Result<(), ()> {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let lengths: Vec<[u8; 4]> = (0..L as u32).map(|length| (3 * length).to_le_bytes()).collect();
        let (alphabet, lengths) = (Alphabet::new(alphabet).unwrap(), Lengths::new(&lengths).unwrap());
        write_integers(&I::SHAPE, I::TENSORS, alphabet, lengths, &self.scales, &self.payload, sink).unwrap();
        bytes
    }
}

/// The integers of each tensor, read from the payload one number at a time.
pub fn integers(tensors: &[StoredTensor], mut payload: &[u8]) -> Vec<Vec<i64>> {
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
pub fn shifted(x: i64, n: i64) -> i64 {
    if n >= 0 { x << n } else { x >> -n }
}

/// Texts of every length from all masks to none.
pub fn texts<const L: usize, const V: usize>(seed: u64) -> Vec<Vec<Option<u8>>> {
    let stream = Stream::new(seed, Purpose::Noise);
    (0..40)
        .map(|text: u32| {
            let length = 1 + (7 * text + 3) % L as u32;
            let words = (0..length).map(|l| stream.child(text, 0).draw(l, 0));
            words.map(|[symbol, shown]| (shown % 40 < text).then_some((symbol % V as u32) as u8)).collect()
        })
        .collect()
}

/// The scores of every letter of `text`, with symbols put at the positions past its end too, which are ignored.
pub fn all_scores<D: Denoiser<L, V>, const L: usize, const V: usize>(
    denoiser: &mut D,
    text: &[Option<u8>],
) -> Vec<[Score; V]> {
    denoiser.start(text.len());
    for (position, symbol) in text.iter().enumerate() {
        denoiser.set(position, *symbol);
    }
    (text.len()..L + 2).for_each(|position| denoiser.set(position, Some(1)));
    denoiser.evaluate();
    let scores = |position| {
        let mut scores = [7; V];
        denoiser.scores(position, &mut scores);
        scores
    };
    (0..text.len()).map(scores).collect()
}

/// Compares, over many texts and with one denoiser for all, the scores of an `I` with those that `plain` gives some positions.
pub fn agrees<I: IntegerModel<L, V>, const L: usize, const V: usize>(
    case: &Case,
    mut plain: impl FnMut(&[Vec<i64>], &[Option<u8>]) -> Vec<(usize, [i64; V])>,
) {
    let tensors = integers(I::TENSORS, &case.payload);
    let mut memory = I::MEMORY;
    let mut denoiser = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut memory);
    for text in texts::<L, V>(5) {
        let scores = all_scores(&mut denoiser, &text);
        for (position, expected) in plain(&tensors, &text) {
            assert_eq!(scores[position].map(i64::from), expected, "{:?} {position} {text:?}", I::SHAPE);
        }
    }
}

/// Training for the integers of `P` computes the integers' own results: equal scores of masked positions, to the bit.
pub fn training_computes_integers<
    M: Quantisable<L, V>,
    P: Precision + 'static,
    const L: usize,
    const V: usize,
>() {
    for seed in 1..4 {
        let steps = M::Integers::<P>::steps();
        let case = Case::new::<M, M::Integers<P>, L, V>(seed, steps.exponent);
        let weights = case.rounded::<M::Integers<P>, L, V>();
        let (mut floats, mut memory) = (vec![0.0; M::MEMORY], M::Integers::<P>::MEMORY);
        let view = M::view(&weights[..]).unwrap();
        let mut trained = M::denoiser(Plain, Activation::Stepped(steps), view, &mut floats).unwrap();
        let view = M::Integers::<P>::view(&case.payload, &case.scales).unwrap();
        let mut integers = M::Integers::<P>::denoiser(view, &mut memory);
        for text in texts::<L, V>(7) {
            let (floats, integers) = (all_scores(&mut trained, &text), all_scores(&mut integers, &text));
            for (position, _) in text.iter().enumerate().filter(|(_, symbol)| symbol.is_none()) {
                assert_eq!(floats[position], integers[position], "position {position} {text:?}");
            }
        }
    }
}

/// The file of a small `I` is read at any alignment, and no cut or change of a byte is.
pub fn any_alignment_and_no_change<M: Model<L, V>, I: IntegerModel<L, V>, const L: usize, const V: usize>(
    activation: u8,
    alphabet: &str,
) {
    let case = Case::new::<M, I, L, V>(1, activation);
    let bytes = case.file::<I, L, V>(alphabet);
    let mut text = vec![None; L - 1];
    text[0] = Some(1);
    for shift in 0..4 {
        let moved: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
        let file = ModelFile::parse(&moved[shift..]).unwrap();
        assert_eq!((file.shape(), file.dtype()), (I::SHAPE, I::DTYPE));
        assert_eq!((file.parameter_count(), file.payload().len()), (M::PARAMETERS, I::BYTES));
        assert_eq!((file.scales(), file.payload()), (case.scales, &case.payload[..]));
        let (mut memory, mut direct) = (I::MEMORY, I::MEMORY);
        let mut denoiser = I::denoiser(file.integers::<I, L, V>().unwrap(), &mut memory);
        let mut direct = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut direct);
        assert_eq!(all_scores(&mut denoiser, &text)[1..], all_scores(&mut direct, &text)[1..]);
    }
    for length in 0..bytes.len() {
        assert!(ModelFile::parse(&bytes[..length]).is_err(), "cut to {length}");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        for value in 0..=255 {
            changed[place] = value;
            let same = value == bytes[place];
            assert_eq!(ModelFile::parse(&changed).is_ok(), same, "byte {place} as {value}");
        }
    }
}

/// The checksum of the texts that an `I` for names draws in every order and for several patterns, which they fit, and the
/// texts.
pub fn every_order_and_pattern<M: Model<L, 26>, I: IntegerModel<L, 26>, const L: usize>(
    activation: u8,
) -> (u32, String) {
    let case = Case::new::<M, I, L, 26>(1, activation);
    let alphabet = Alphabet::new("abcdefghijklmnopqrstuvwxyz").unwrap();
    let mut memory = I::MEMORY;
    let mut denoiser = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut memory);
    let mut all = String::new();
    for order in [Order::Random, Order::Confidence] {
        for (pattern, star) in [("*", 7), ("m?r?a", 0), ("jo*", 3), ("*an*", 1)] {
            let form = Form::<L>::of(pattern, &[star, 2], alphabet).unwrap();
            let allowed = form.allowed(alphabet.symbols());
            let mut settings = Settings::new(order, Temperature::from_milli(700));
            settings.top_k = 20;
            for index in 0..3 {
                let stream = Stream::new(1, Purpose::Sample).child(index, 0);
                let mut sampler = Sampler::<L, 26>::new(form.length, &allowed, settings, stream).unwrap();
                sampler.run(&mut denoiser, L);
                let text = alphabet.decode::<64>(sampler.symbols(), '_');
                let letters = form.given.iter().zip(text.bytes());
                let fits = letters.filter_map(|(given, t)| Some(b'a' + (*given)? == t)).all(|fits| fits);
                assert!(
                    fits && text.len() == form.length && !text.contains('_'),
                    "{order:?} {pattern} {text}"
                );
                all += &text;
                all += "\n";
            }
        }
    }
    (crc32(all.as_bytes()), all)
}
