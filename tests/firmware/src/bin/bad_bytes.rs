//! Bytes that a chip may find in its flash instead of a model: each case must be an error, and none a fault.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::board::print;
use firmware_checks::{Hash, L, V, number};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::config::{Perceptron, PerceptronSmall};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::crc::crc32;
use micro_diffusion::integer_file::write_integers;
use micro_diffusion::precision::{Int4, Int8, Precision};
use micro_diffusion::integer::{IntegerModel, Quantisable};
use micro_diffusion::length::Lengths;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::quantise::{quantise, scales};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::Alphabet;

const GOOD: [u8; include_bytes!("../../../../data/perceptron-small.mdm").len()] =
    *include_bytes!("../../../../data/perceptron-small.mdm");
static MODEL: [u8; GOOD.len()] = GOOD;
static FLIPPED_IN_HEADER: [u8; GOOD.len()] = flipped(17, 3);
static FLIPPED_IN_WEIGHTS: [u8; GOOD.len()] = flipped(GOOD.len() / 2, 6);
static FLIPPED_IN_CHECKSUM: [u8; GOOD.len()] = flipped(GOOD.len() - 1, 0);
/// Flash as it leaves the factory, and as a failed transfer leaves it.
static ERASED: [u8; 4096] = [0xFF; 4096];
static ZEROS: [u8; 4096] = [0; 4096];

const fn flipped(byte: usize, bit: u32) -> [u8; GOOD.len()] {
    let mut bytes = GOOD;
    bytes[byte] ^= 1 << bit;
    bytes
}

firmware_checks::program!(run);

fn run() -> Option<()> {
    for (case, bytes) in [
        ("erased", &ERASED[..]),
        ("zeros", &ZEROS),
        ("bit flipped in the header", &FLIPPED_IN_HEADER),
        ("bit flipped in the weights", &FLIPPED_IN_WEIGHTS),
        ("bit flipped in the checksum", &FLIPPED_IN_CHECKSUM),
        ("off by one", &MODEL[1..]),
    ] {
        say(case, ModelFile::parse(bytes).map(|_| ()));
    }
    // Every length up to past the header, and some after it.
    for length in (0..256).chain((256..MODEL.len()).step_by(4999)).chain([MODEL.len() - 1]) {
        print(&number(length as u32));
        say(" bytes of it", ModelFile::parse(&MODEL[..length]).map(|_| ()));
    }
    let file = ModelFile::parse(&MODEL).ok()?;
    say("one unit more", file.parameters::<Mlp<L, V, 19>, L, V>().map(|_| ()));
    say("another network", file.parameters::<Perceptron, L, V>().map(|_| ()));
    say("as it is", file.parameters::<PerceptronSmall, L, V>().map(|_| ()));
    every_bit::<Mlp<4, 6, 8>, Int4, 4>("int4")?;
    every_bit::<Mlp<4, 6, 8>, Int8, 4>("int8")?;
    every_bit::<Residual<4, 6, 16>, Int4, 4>("residual int4")?;
    every_bit::<Residual<4, 6, 16>, Int8, 4>("residual int8")?;
    every_bit::<Convolution<5, 6, 4, 2, 3>, Int4, 5>("convolution int4")?;
    every_bit::<Convolution<5, 6, 4, 2, 3>, Int8, 5>("convolution int8")
}

/// One line: the case, and what became of it.
fn say(case: &str, result: Result<(), FileError>) {
    for piece in [case, ": ", OUTCOMES[outcome(result)], "\n"] {
        print(piece);
    }
}

/// The results of reading bytes.
const OUTCOMES: [&str; 10] = [
    "taken",
    "not a model",
    "another version",
    "wrong length",
    "wrong checksum",
    "undefined header",
    "not finite",
    "another shape",
    "another kind of number",
    "a sum could overflow",
];

fn outcome(result: Result<(), FileError>) -> usize {
    match result {
        Ok(()) => 0,
        Err(FileError::NotAModel) => 1,
        Err(FileError::Version(_)) => 2,
        Err(FileError::Length { .. }) => 3,
        Err(FileError::Checksum) => 4,
        Err(FileError::Header(_)) => 5,
        Err(FileError::NotFinite(_)) => 6,
        Err(FileError::Shape(_)) => 7,
        Err(FileError::Dtype(_)) => 8,
        Err(FileError::Scale) => 9,
    }
}

/// The file of an untrained `M` in integers, a network so small that every change of a bit can be tried.
#[inline(never)]
fn small<M: Quantisable<L, 6>, P: Precision + 'static, const L: usize>() -> Option<heapless::Vec<u8, 2048>> {
    let mut parameters = [0.0; 1200];
    let parameters = parameters.get_mut(..M::PARAMETERS)?;
    M::initialise(parameters, Stream::new(1, Purpose::Weights));
    let tensors = M::Integers::<P>::TENSORS;
    let scales = scales(tensors, parameters, M::Integers::<P>::steps().exponent);
    let mut payload = [0; 1536];
    let payload = payload.get_mut(..M::Integers::<P>::BYTES)?;
    quantise(tensors, parameters, &scales, payload);
    let mut bytes = heapless::Vec::new();
    let sink = |piece: &[u8]| bytes.extend_from_slice(piece);
    let alphabet = Alphabet::new("abcde").ok()?;
    let counts: [[u8; 4]; L] = core::array::from_fn(|index| [index as u8, 0, 0, 0]);
    let lengths = Lengths::new(&counts)?;
    write_integers(&M::Integers::<P>::SHAPE, tensors, alphabet, lengths, &scales, payload, sink).ok()?;
    Some(bytes)
}

/// Cuts a file of integers to every length, and flips each of its bits, under the old checksum and under one that
/// matches. Counts the results.
///
/// Not inlined, so that the files of several networks do not lie on the stack at once.
#[inline(never)]
fn every_bit<M: Quantisable<L, 6>, P: Precision + 'static, const L: usize>(kind: &str) -> Option<()> {
    let mut bytes = small::<M, P, L>()?;
    let body = bytes.len() - 4;
    let [mut cut, mut flipped, mut forged] = [[0; OUTCOMES.len()]; 3];
    let mut texts = Hash::new();
    let mut open = |bytes: &[u8]| outcome(open::<M::Integers<P>, L>(bytes, &mut texts));
    for length in 0..bytes.len() {
        cut[open(&bytes[..length])] += 1;
    }
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        flipped[open(&bytes)] += 1;
        if bit < 8 * body {
            let checksum = [bytes[body], bytes[body + 1], bytes[body + 2], bytes[body + 3]];
            let matching = crc32(&bytes[..body]).to_le_bytes();
            bytes[body..].copy_from_slice(&matching);
            forged[open(&bytes)] += 1;
            bytes[body..].copy_from_slice(&checksum);
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for (change, counts) in [(" cut: ", cut), (" flipped: ", flipped), (" forged: ", forged)] {
        for (outcome, count) in OUTCOMES.iter().zip(counts).filter(|(_, count)| *count > 0) {
            for piece in [kind, change, &number(count), " ", outcome, "\n"] {
                print(piece);
            }
        }
    }
    for piece in [kind, " texts: ", &texts.digits(), "\n"] {
        print(piece);
    }
    say(kind, self::open::<M::Integers<P>, L>(&bytes, &mut texts));
    Some(())
}

/// Opens `bytes` and, where they are taken, draws a text from them, of which `texts` takes note.
fn open<I: IntegerModel<L, 6>, const L: usize>(bytes: &[u8], texts: &mut Hash) -> Result<(), FileError> {
    let file = ModelFile::parse(bytes)?;
    let mut memory = I::MEMORY;
    let mut denoiser = I::denoiser(file.integers::<I, L, 6>()?, &mut memory);
    let allowed = [SymbolSet::first(file.alphabet().symbols())];
    let settings = Settings::new(Order::Confidence, Temperature::ONE);
    let stream = Stream::new(1, Purpose::Sample);
    let mut sampler = Sampler::<L, 6>::new(file.lengths().draw(stream), &allowed, settings, stream)
        .map_err(|_| FileError::Header("alphabet"))?;
    sampler.run(&mut denoiser, 2);
    let symbols = sampler.symbols().iter().flatten();
    *texts = symbols.fold(*texts, |texts, symbol| texts.with(u32::from(*symbol)));
    Ok(())
}
