//! The model file: what is written is read, and nothing else is.
use micro_diffusion::activation::Activation;
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::crc::crc32;
use micro_diffusion::denoiser::{Architecture, Model};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::error::Error;
use micro_diffusion::file::{FileError, MAGIC, ModelFile, VERSION, write};
use micro_diffusion::form::Form;
use micro_diffusion::kernels::Plain;
use micro_diffusion::length::Lengths;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::pattern::PatternError;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, SamplerError, Settings};
use micro_diffusion::tensor::{Start, Tensor};
use micro_diffusion::text::{Alphabet, AlphabetError, EncodeError};

type Small = Mlp<3, 4, 2>;
const HEADER: usize = 24;
/// Texts of each length, little-endian.
const LENGTHS: [[u8; 4]; 3] = [[7, 0, 0, 0], [0; 4], [2, 1, 0, 0]];
/// The places of the tables in the tiny file.
const LENGTHS_PLACE: usize = HEADER + "xyé".len();
const TENSORS_PLACE: usize = LENGTHS_PLACE + 4 * LENGTHS.len();

/// A tiny model as a file, and its parameters.
fn tiny() -> (Vec<u8>, Vec<f32>) {
    let mut parameters = vec![0.0; Small::PARAMETERS];
    Small::initialise(&mut parameters, Stream::new(1, Purpose::Weights));
    (bytes_of(&parameters), parameters)
}

fn bytes_of(parameters: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sink = |piece: &[u8]| -> Result<(), ()> {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let (alphabet, lengths) = (Alphabet::new("xyé").unwrap(), Lengths::new(&LENGTHS).unwrap());
    write(&Small::SHAPE, Small::TENSORS, alphabet, lengths, parameters, sink).unwrap();
    bytes
}

/// `bytes` with a checksum that matches again.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 4;
    let checksum = crc32(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&checksum);
    bytes
}

#[test]
fn the_checksum_is_that_of_png_and_zip() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn what_is_written_is_read_at_any_alignment() {
    let (bytes, parameters) = tiny();
    assert_eq!((&bytes[..4], &bytes[4..6]), (&MAGIC[..], &VERSION.to_le_bytes()[..]));
    for shift in 0..8 {
        let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
        let file = ModelFile::parse(&shifted[shift..]).unwrap();
        assert_eq!((file.shape(), file.alphabet().characters()), (Small::SHAPE, "xyé"));
        assert_eq!(file.lengths().counts(), LENGTHS);
        assert_eq!(&bytes[LENGTHS_PLACE..TENSORS_PLACE], LENGTHS.as_flattened(), "after the alphabet");
        assert_eq!(
            (file.parameter_count(), file.payload().len()),
            (Small::PARAMETERS, 4 * Small::PARAMETERS)
        );
        let stored = file.parameters::<Small, 3, 4>().unwrap();
        let read: Vec<u32> = stored.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        assert_eq!(read, parameters.iter().map(|p| p.to_bits()).collect::<Vec<_>>());
    }
}

#[test]
fn a_failing_sink_stops_the_writer() {
    let (bytes, parameters) = tiny();
    let mut room = 50_i32;
    let mut written = 0;
    let (alphabet, lengths) = (Alphabet::new("xyé").unwrap(), Lengths::new(&LENGTHS).unwrap());
    let result = write(&Small::SHAPE, Small::TENSORS, alphabet, lengths, &parameters, |piece| {
        room -= piece.len() as i32;
        if room < 0 {
            return Err("full");
        }
        written += piece.len();
        Ok(())
    });
    assert_eq!(result, Err("full"));
    assert!(written <= 50 && bytes.len() > 50);
}

#[test]
fn every_truncation_and_every_addition_is_refused() {
    let (bytes, _) = tiny();
    for length in 0..bytes.len() {
        assert!(ModelFile::parse(&bytes[..length]).is_err(), "cut to {length}");
    }
    for extra in [0, 1, 255] {
        let mut longer = bytes.clone();
        longer.push(extra);
        let error = ModelFile::parse(&longer).unwrap_err();
        assert!(matches!(error, FileError::Length { .. }), "{error:?}");
    }
}

#[test]
fn every_change_of_a_byte_is_refused() {
    let (bytes, _) = tiny();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        for value in 0..=255 {
            changed[place] = value;
            assert_eq!(ModelFile::parse(&changed).is_ok(), value == bytes[place], "byte {place} as {value}");
        }
    }
}

#[test]
fn erased_flash_and_other_files_are_no_models() {
    for bytes in [&[][..], &[0xFF; 4096], &[0; 4096], b"mdm", b"\x89PNG\r\n\x1a\n and more", b"mdm\x1a"] {
        assert!(ModelFile::parse(bytes).is_err());
    }
    assert_eq!(ModelFile::parse(&[0xFF; 64]).unwrap_err(), FileError::NotAModel);
    assert_eq!(ModelFile::parse(b"mdm\x1a\x03\x00").unwrap_err(), FileError::Version(3));
    let (mut altered, _) = tiny();
    altered[6] ^= 1;
    assert_eq!(ModelFile::parse(&altered).unwrap_err(), FileError::Checksum, "before any field is judged");
}

/// A file that version 0.1 of this program wrote: 3 positions, 4 symbols of which one was PAD, 2 hidden units.
#[test]
fn a_file_of_version_1_is_refused_by_its_version() {
    let bytes = include_bytes!("golden/version-1.mdm");
    let (body, checksum) = bytes.split_last_chunk().unwrap();
    assert_eq!(crc32(body), u32::from_le_bytes(*checksum), "it is sound");
    assert_eq!(ModelFile::parse(bytes).unwrap_err(), FileError::Version(1));
    // Whatever else is said of it.
    for length in 6..bytes.len() {
        assert_eq!(ModelFile::parse(&bytes[..length]).unwrap_err(), FileError::Version(1), "cut to {length}");
    }
    let mut renamed = bytes.to_vec();
    renamed[4] = VERSION as u8;
    let error = ModelFile::parse(&resealed(renamed)).unwrap_err();
    assert!(matches!(error, FileError::Length { .. }), "it has no table of lengths: {error:?}");
}

/// The error of the tiny file with `bytes` at `place` and a matching checksum.
fn forged(place: usize, bytes: &[u8]) -> Result<(), FileError> {
    let (mut file, _) = tiny();
    file[place..place + bytes.len()].copy_from_slice(bytes);
    ModelFile::parse(&resealed(file)).map(|_| ())
}

#[test]
fn forged_headers_are_refused_each_for_its_reason() {
    let table = TENSORS_PLACE;
    let payload = table + 28 * Small::TENSORS.len();
    assert_eq!(forged(0, b"MDM"), Err(FileError::NotAModel));
    for version in [0, 1, 3, 258_u16] {
        assert_eq!(forged(4, &version.to_le_bytes()), Err(FileError::Version(version)));
    }
    assert_eq!(forged(6, &[0, 0]), Err(FileError::Header("header length")));
    assert_eq!(forged(8, &[0]), Err(FileError::Header("architecture")));
    assert_eq!(forged(8, &[9]), Err(FileError::Header("architecture")));
    assert_eq!(forged(9, &[3]), Err(FileError::Header("layout")));
    assert_eq!(forged(9, &[2]), Err(FileError::Header("tensor table")), "floats among integers");
    assert_eq!(forged(21, &[1]), Err(FileError::Header("layout")));
    assert_eq!(forged(12, &[2, 0]), Err(FileError::Header("alphabet")), "three symbols do not fit into two");
    assert!(matches!(forged(10, &[2, 0]), Err(FileError::Length { .. })), "a length without its count");
    assert!(matches!(forged(10, &[0, 0]), Err(FileError::Length { .. })), "no length");
    // L·c + 1 is at most 2³² − 1 for each count, and so is the sum.
    for (place, count) in [(0, u32::MAX / 3), (8, u32::MAX), (4, 1_431_655_500)] {
        let forged = forged(LENGTHS_PLACE + place, &count.to_le_bytes());
        assert_eq!(forged, Err(FileError::Header("lengths")), "{count} texts");
    }
    assert_eq!(forged(LENGTHS_PLACE, &[0; 12]), Ok(()), "no text is known");
    assert_eq!(forged(LENGTHS_PLACE, &1_000_000_000_u32.to_le_bytes()), Ok(()), "many texts");
    assert_eq!(forged(HEADER, b"yy"), Err(FileError::Header("alphabet")), "a repeated character");
    assert_eq!(forged(HEADER + 2, &[0xFF]), Err(FileError::Header("alphabet")), "no UTF-8");
    for (place, value) in [(0, 1), (1, 7), (2, 0), (2, 1), (2, 9), (3, 1), (20, 4), (24, 1), (26, 0)] {
        assert_eq!(
            forged(table + place, &[value]),
            Err(FileError::Header("tensor table")),
            "entry byte {place}"
        );
    }
    assert!(matches!(forged(table + 4, &[200]), Err(FileError::Length { .. })), "a larger tensor");
    assert!(matches!(forged(table + 4, &[0xFF; 16]), Err(FileError::Length { .. })), "an absurd tensor");
    assert!(matches!(forged(20, &[200]), Err(FileError::Length { .. } | FileError::Header(_))));
    for (index, value) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().enumerate() {
        assert_eq!(forged(payload + 4 * index, &value.to_le_bytes()), Err(FileError::NotFinite(index)));
    }
    assert_eq!(forged(10, &[3, 0]), Ok(()), "the forger itself changes nothing");
}

#[test]
fn another_shape_is_refused_by_name() {
    let (mut bytes, _) = tiny();
    let refused =
        |bytes: &[u8]| ModelFile::parse(bytes).unwrap().parameters::<Mlp<3, 4, 3>, 3, 4>().unwrap_err();
    assert_eq!(refused(&bytes), FileError::Shape(Small::SHAPE));
    // Equal sizes under another architecture.
    bytes[8] = 2;
    let bytes = resealed(bytes);
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!(file.shape().architecture, Architecture::Residual);
    assert!(matches!(file.parameters::<Small, 3, 4>(), Err(FileError::Shape(_))));
    // An equal shape with tensors cut otherwise.
    let (mut bytes, _) = tiny();
    let dimensions = TENSORS_PLACE + 4;
    bytes[dimensions] = 4;
    bytes[dimensions + 4] = 3;
    let bytes = resealed(bytes);
    assert!(ModelFile::parse(&bytes).unwrap().parameters::<Small, 3, 4>().is_err());
}

#[test]
fn tensors_know_their_sizes() {
    let tensor = |dimensions, parts| Tensor { name: "one", dimensions, parts, start: Start::Zeros };
    assert_eq!(
        (tensor(&[2, 6], 3).numbers(), tensor(&[2, 6], 3).part_len(), tensor(&[2, 6], 0).part_len()),
        (12, 4, 0)
    );
    assert_eq!(tensor(&[2, 0], 1).numbers(), 0);
}

#[test]
fn a_view_asks_for_the_exact_length() {
    let (_, mut parameters) = tiny();
    assert!(Small::view(&parameters).is_some());
    parameters.push(0.0);
    assert!(Small::view(&parameters).is_none());
    assert!(Small::view(&parameters[..Small::PARAMETERS - 1]).is_none());
    let mut short = [0.0; Small::MEMORY - 1];
    let view = Small::view(&parameters[..Small::PARAMETERS]).unwrap();
    assert!(Small::denoiser(Plain, Activation::Relu, view, &mut short).is_none());
}

/// The file decides which symbols may be drawn, not the network's room.
#[test]
fn a_file_allows_the_symbols_of_its_alphabet() {
    let (bytes, _) = tiny();
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!(file.shape().symbols, 4);
    assert_eq!(file.allowed(), [SymbolSet::first(3)]);
}

/// Parts of messages, by the place of the error in the list of all errors.
const SAID: [(usize, &str); 14] = [
    (1, "newer version 7"),
    (2, "9"),
    (3, "8"),
    (5, "layout"),
    (6, "3"),
    (7, "micro_diffusion::mlp::Mlp<3, 4, "),
    (8, "Int4"),
    (10, "1 to 3"),
    (11, "5"),
    (12, "x"),
    (14, "6 letters"),
    (17, "3 characters"),
    (20, "q"),
    (21, "older version 1"),
];

/// Every error becomes one, by `?` too, and says in words what is wrong.
#[test]
fn errors_are_one_type_and_say_what_is_wrong() {
    fn said(result: Result<(), Error>) -> String {
        let error: Box<dyn std::error::Error> = result.unwrap_err().into();
        error.to_string()
    }
    let file = || Ok(ModelFile::parse(b"mdm").map(|_| ())?);
    assert!(said(file()).starts_with(
        "the bytes given to ModelFile::parse are no model file: they do not begin with “mdm”; "
    ));
    let sampler = || {
        Ok(Sampler::<3, 4>::new(
            0,
            &[],
            Settings::new(Order::Random, Temperature::ONE),
            Stream::of_text(1, 0),
        )
        .map(|_| ())?)
    };
    assert!(said(sampler()).ends_with("; give a length from 1 to 3, the positions of the model"));
    let letters = || Ok(Alphabet::new("aa").map(|_| ())?);
    assert_eq!(
        said(letters()),
        "the alphabet given to Alphabet::new has the character “a” twice; give each character once"
    );
    let text = || Ok(Alphabet::new("a").unwrap().encode::<3>("b").map(|_| ())?);
    assert!(
        said(text()).starts_with(
            "the text given to Alphabet::encode has the character “b”, which the alphabet lacks; "
        )
    );
    let pattern = || Ok(Form::<3>::of("a\\", &[], Alphabet::new("a").unwrap()).map(|_| ())?);
    assert!(said(pattern()).starts_with("the pattern ends in a single backslash, which escapes nothing; "));

    let all: [Error; 22] = [
        FileError::NotAModel.into(),
        FileError::Version(7).into(),
        FileError::Length { expected: Some(9), found: 8 }.into(),
        FileError::Length { expected: None, found: 8 }.into(),
        FileError::Checksum.into(),
        FileError::Header("layout").into(),
        FileError::NotFinite(3).into(),
        FileError::Shape(Small::SHAPE).into(),
        FileError::Dtype(Dtype::Int4).into(),
        FileError::Scale.into(),
        SamplerError::Length(3).into(),
        SamplerError::NothingAllowed { position: 5 }.into(),
        PatternError::UnknownCharacter('x').into(),
        PatternError::NothingEscaped.into(),
        PatternError::TooLong { needed: 6 }.into(),
        PatternError::Length { shortest: 4 }.into(),
        EncodeError::Empty.into(),
        EncodeError::TooLong(3).into(),
        AlphabetError::Empty.into(),
        AlphabetError::TooMany.into(),
        AlphabetError::Repeated('q').into(),
        FileError::Version(1).into(),
    ];
    let texts: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len(), "each says something else: {texts:?}");
    for (index, part) in SAID {
        assert!(all[index].to_string().contains(part), "{}", all[index]);
    }
}

/// The prelude has all that draws: what the README's firmware names, by one import.
#[test]
fn the_prelude_draws_a_name() {
    use micro_diffusion::prelude::*;

    fn name(bytes: &[u8], number: u32) -> Result<String, Error> {
        type Network = Integers<Perceptron, Int4, 12, 26>;
        let file = ModelFile::parse(bytes)?;
        let mut memory = Network::MEMORY;
        let mut denoiser = Network::denoiser(file.integers::<Network, _, _>()?, &mut memory);
        let (stream, allowed) = (Stream::of_text(1, number), file.allowed());
        let settings = Settings::new(Order::Random, Temperature::from_milli(680));
        let length = file.lengths().draw(stream);
        let mut sampler = Sampler::<12, 26>::new(length, &allowed, settings, stream)?;
        sampler.run(&mut denoiser, length);
        Ok(file.alphabet().decode::<48>(sampler.symbols(), '_').as_str().to_owned())
    }

    let bytes = include_bytes!("../data/names-int4.mdm");
    assert_eq!([0, 1].map(|number| name(bytes, number).unwrap()), ["duran", "rone"]);
}
