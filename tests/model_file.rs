//! The model file: what is written is read, and nothing else is.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

mod common;

use micro_diffusion::activation::Activation;
use micro_diffusion::denoiser::{Architecture, Model};
use micro_diffusion::file::{FileError, MAGIC, ModelFile, VERSION, crc32, write};
use micro_diffusion::kernels::Plain;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::tensor::Tensor;
use micro_diffusion::text::Alphabet;

type Small = Mlp<3, 4, 2>;
const HEADER: usize = 24;

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
    write(&Small::SHAPE, Small::TENSORS, Alphabet::new("xyé").unwrap(), parameters, sink).unwrap();
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
        assert_eq!(
            (file.parameter_count(), file.parameter_bytes()),
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
    let result = write(&Small::SHAPE, Small::TENSORS, Alphabet::new("xyé").unwrap(), &parameters, |piece| {
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

/// The error of the tiny file with `bytes` at `place` and a matching checksum.
fn forged(place: usize, bytes: &[u8]) -> Result<(), FileError> {
    let (mut file, _) = tiny();
    file[place..place + bytes.len()].copy_from_slice(bytes);
    ModelFile::parse(&resealed(file)).map(|_| ())
}

#[test]
fn forged_headers_are_refused_each_for_its_reason() {
    let table = HEADER + "xyé".len();
    let payload = table + 28 * Small::TENSORS.len();
    assert_eq!(forged(0, b"MDM"), Err(FileError::NotAModel));
    assert_eq!(forged(4, &[2, 0]), Err(FileError::Version(2)));
    assert_eq!(forged(6, &[0, 0]), Err(FileError::Header("header length")));
    assert_eq!(forged(8, &[0]), Err(FileError::Header("architecture")));
    assert_eq!(forged(8, &[9]), Err(FileError::Header("architecture")));
    assert_eq!(forged(9, &[3]), Err(FileError::Header("layout")));
    assert_eq!(forged(9, &[2]), Err(FileError::Header("tensor table")), "floats among integers");
    assert_eq!(forged(21, &[1]), Err(FileError::Header("layout")));
    assert_eq!(forged(12, &[2, 0]), Err(FileError::Header("alphabet")), "four symbols do not fit into two");
    assert_eq!(forged(HEADER, b"yy"), Err(FileError::Header("alphabet")), "a repeated character");
    assert_eq!(forged(HEADER + 2, &[0xFF]), Err(FileError::Header("alphabet")), "no UTF-8");
    for (place, value) in [(0, 1), (1, 7), (2, 9), (3, 1), (20, 4), (24, 1)] {
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
    // The same sizes under another architecture.
    bytes[8] = 2;
    let bytes = resealed(bytes);
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!(file.shape().architecture, Architecture::Residual);
    assert!(matches!(file.parameters::<Small, 3, 4>(), Err(FileError::Shape(_))));
    // The same shape with tensors cut otherwise.
    let (mut bytes, _) = tiny();
    let dimensions = HEADER + "xyé".len() + 4;
    bytes[dimensions] = 4;
    bytes[dimensions + 4] = 3;
    let bytes = resealed(bytes);
    assert!(ModelFile::parse(&bytes).unwrap().parameters::<Small, 3, 4>().is_err());
}

#[test]
fn tensors_know_their_sizes() {
    let tensor = |dimensions, parts| Tensor { name: "one", dimensions, parts };
    assert_eq!(
        (tensor(&[2, 6], 3).len(), tensor(&[2, 6], 3).part_len(), tensor(&[2, 6], 0).part_len()),
        (12, 4, 0)
    );
    assert!(tensor(&[2, 0], 1).is_empty() && !tensor(&[2, 6], 3).is_empty());
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
