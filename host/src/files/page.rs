//! A page that draws from a model of integers in a browser, by itself: `files/page/` with what is particular to the model.
//!
//! The model runs in WebAssembly, in the module of its room that `core/examples/page` builds. Module and model are deflated, and written
//! in base 85; the training list is a filter: sorted hashes, in the differences of Rice's code. One hash in 2^bits of the numbers
//! below `modulus` is taken, so that this share of new texts is taken for a training line.
//!
//! Source: R. Rice, "Some Practical Universal Noiseless Coding Techniques", 1979; F. Putze, P. Sanders, J. Singler, "Cache-,
//! Hash- and Space-Efficient Bloom Filters", 2007, for such a filter.

use std::path::Path;

use anyhow::{Context, bail};
use miniz_oxide::deflate::compress_to_vec;
use serde::Serialize;

use crate::engine::description::dtype_name;
use crate::files::model::Model;
use crate::files::quoting::quoted;

/// The most bytes that a page may have.
const MOST_BYTES: usize = 250_000;
/// The most bits of a hash for each line: one new text in 1,024 is then taken for a line.
const MOST_BITS: u32 = 10;
/// The fewest: one in 16.
const FEWEST_BITS: u32 = 4;
/// How hard to compress, from 0 to 10.
const LEVEL: u8 = 10;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The modules: positions, symbols, bytes.
static MODULES: [(usize, usize, &[u8]); 7] = [
    (12, 26, include_bytes!("page/room_12x26.wasm")),
    (16, 26, include_bytes!("page/room_16x26.wasm")),
    (16, 64, include_bytes!("page/room_16x64.wasm")),
    (24, 64, include_bytes!("page/room_24x64.wasm")),
    (32, 128, include_bytes!("page/room_32x128.wasm")),
    (8, 255, include_bytes!("page/room_8x255.wasm")),
    (64, 255, include_bytes!("page/room_64x255.wasm")),
];

/// What the page's script reads of the model.
#[derive(Serialize)]
struct Facts<'a> {
    network: &'a str,
    parameters: usize,
    weights: &'a str,
    positions: usize,
    /// Whether patterns are written in lower case.
    lowercase: bool,
    /// What `--model` takes in the folder of the model file, if that is of integers: whoever has the page need not know more.
    source: Option<&'a str>,
    /// Whether the model comes with the program, and lies in no folder.
    comes_along: bool,
    /// Bytes of the module, which the model file follows, and of both.
    module: usize,
    program: usize,
    /// Training lines.
    lines: usize,
    /// Hashes of the filter; 0 where there is none.
    hashes: usize,
    bits: u32,
    modulus: u32,
}

/// The page of `model`, or of what it was `rounded` to, and the bits of each line of `training` in it: 0 where these are unknown
/// or too many.
///
/// # Errors
/// Says that no page of such a model would be small enough.
pub(crate) fn page(
    model: &Model,
    rounded: Option<&Model>,
    training: &[String],
) -> anyhow::Result<(String, u32)> {
    let written = rounded.unwrap_or(model);
    let shape = model.file.shape();
    let module = MODULES.iter().find(|(l, v, _)| (*l, *v) == (shape.positions, shape.symbols));
    let (.., module) = module.with_context(|| format!("no page has a room of {}", model.config.room()))?;
    let program = [module, written.bytes()].concat();
    let code = base85(&compress_to_vec(&program, LEVEL));
    let write = |filter: &Filter| {
        let facts = Facts {
            network: model.config.name,
            parameters: model.config.network.parameters(),
            weights: dtype_name(written.file.dtype()),
            positions: shape.positions,
            lowercase: model.is_lowercase(),
            source: rounded.is_none().then(|| file_name(model.argument())),
            comes_along: model.comes_along(),
            module: module.len(),
            program: program.len(),
            lines: training.len(),
            hashes: filter.hashes,
            bits: filter.bits,
            modulus: filter.modulus,
        };
        // Whatever a path holds, it does not end the element.
        let facts = serde_json::to_string(&facts)?.replace('<', "\\u003c");
        anyhow::Ok(filled(&[
            ("style", STYLE),
            ("repository", env!("CARGO_PKG_REPOSITORY")),
            ("facts", &facts),
            ("program", &code),
            ("training", &base85(&filter.code)),
            ("script", SCRIPT),
        ]))
    };
    let bits = if training.is_empty() { 0..0 } else { FEWEST_BITS..MOST_BITS + 1 };
    for bits in bits.rev() {
        let Some(filter) = Filter::of(training, bits) else { continue };
        let page = write(&filter)?;
        if page.len() <= MOST_BYTES {
            return Ok((page, bits));
        }
    }
    let page = write(&Filter::default())?;
    if page.len() > MOST_BYTES {
        let way_out = match rounded {
            Some(_) => format!(
                "round it with: micro-diffusion export --format html --model {} --quantize int4",
                quoted(Path::new(model.argument()))
            ),
            None => "train it with --quantize int4, or take a smaller network, for example --config convolution-medium"
                .to_owned(),
        };
        bail!(
            "{}: a page of it would have {} bytes, and {MOST_BYTES} are the most; 4-bit weights take half as many: {way_out}",
            model.source,
            page.len()
        );
    }
    Ok((page, 0))
}

/// The last part of `path`.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// The page with each `{{name}}` replaced by its value, in which nothing is replaced.
fn filled(values: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = HTML;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(before);
        page.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    page + rest
}

/// A set of texts that takes few others for its own.
#[derive(Default)]
struct Filter {
    /// How many hashes there are, each once.
    hashes: usize,
    bits: u32,
    /// What hashes are taken modulo.
    modulus: u32,
    code: Vec<u8>,
}

impl Filter {
    /// That of `texts`, of which it takes one other in 2^`bits` for its own; `None` where a hash has too few bits for it.
    fn of(texts: &[String], bits: u32) -> Option<Self> {
        let modulus = u32::try_from(texts.len()).ok()?.checked_mul(1 << bits)?;
        let mut hashes: Vec<u32> = texts.iter().map(|text| hash(text) % modulus).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut code = Bits::default();
        let mut last = 0;
        for hash in &hashes {
            let difference = hash - last;
            last = *hash;
            for _ in 0..difference >> bits {
                code.push(true);
            }
            code.push(false);
            for place in 0..bits {
                code.push(difference >> place & 1 == 1);
            }
        }
        Some(Self { hashes: hashes.len(), bits, modulus, code: code.bytes })
    }
}

/// Bits in bytes, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(byte) = self.bytes.last_mut() {
            *byte |= u8::from(bit) << self.used;
        }
        self.used = (self.used + 1) % u8::BITS;
    }
}

/// FNV-1a of 32 bits over UTF-8, mixed once more as MurmurHash3 ends, so that all bits of the result depend on all letters.
fn hash(text: &str) -> u32 {
    let fnv = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let mut hash = text.bytes().fold(0x811C_9DC5, fnv);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ hash >> 13).wrapping_mul(0xC2B2_AE35);
    hash ^ hash >> 16
}

/// `bytes` in base 85: four of them, the first in the highest place, as five digits; n at the end, filled up with zeros, as the
/// first n + 1. A digit is the character that many places after `#`, and `!` in the place of `<`, which a page's script may not hold.
///
/// A fifteenth shorter than base64.
fn base85(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(4) * 5);
    for chunk in bytes.chunks(4) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for place in (0..5).rev().take(chunk.len() + 1) {
            let digit = word / 85_u32.pow(place) % 85;
            text.push(match char::from(b'#' + digit as u8) {
                '<' => '!',
                character => character,
            });
        }
    }
    text
}
