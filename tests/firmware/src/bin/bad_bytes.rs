//! What a chip may find in its flash instead of a model: each case must give an error, and none a fault.

#![cfg_attr(target_os = "none", no_std, no_main)]

use firmware_checks::board::print;
use firmware_checks::{L, V, number};
use micro_diffusion::config::{Micro, Tiny};
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::mlp::Mlp;

const GOOD: [u8; include_bytes!("../../../../data/tiny.mdm").len()] =
    *include_bytes!("../../../../data/tiny.mdm");
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
    for length in (0..200).chain((200..MODEL.len()).step_by(4999)).chain([MODEL.len() - 1]) {
        print(&number(length as u32));
        say(" bytes of it", ModelFile::parse(&MODEL[..length]).map(|_| ()));
    }
    let file = ModelFile::parse(&MODEL).ok()?;
    say("one unit more", file.parameters::<Mlp<L, V, 19>, L, V>().map(|_| ()));
    say("another network", file.parameters::<Micro, L, V>().map(|_| ()));
    say("as it is", file.parameters::<Tiny, L, V>().map(|_| ()));
    Some(())
}

/// One line: the case, and what became of it.
fn say(case: &str, result: Result<(), FileError>) {
    let outcome = match result {
        Ok(()) => "taken",
        Err(FileError::NotAModel) => "not a model",
        Err(FileError::Version(_)) => "another version",
        Err(FileError::Length { .. }) => "wrong length",
        Err(FileError::Checksum) => "wrong checksum",
        Err(FileError::Header(_)) => "undefined header",
        Err(FileError::NotFinite(_)) => "not finite",
        Err(FileError::Shape(_)) => "another shape",
        Err(FileError::Dtype(_)) => "another kind of number",
        Err(FileError::Scale) => "a sum could overflow",
    };
    for piece in [case, ": ", outcome, "\n"] {
        print(piece);
    }
}
