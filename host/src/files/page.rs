//! A page that draws from a model of integers in a browser by itself: the files of `files/page/`, filled in for the
//! model.
//!
//! The model runs in WebAssembly, in its room's module from `core/examples/page`. Module and model are deflated and
//! written in base 85. The training list is a filter: sorted hashes, as differences in Rice's code. One number in 2^bits
//! below `modulus` is a hash of a line, and so large a share of new texts is taken for training lines.
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

/// Most bytes of a page.
const MOST_BYTES: usize = 250_000;
/// Most bits of a hash for each line: one new text in 1,024 is then taken for a line.
const MOST_BITS: u32 = 10;
/// Fewest bits of a hash for each line: one new text in 16 is then taken for a line.
const FEWEST_BITS: u32 = 4;
/// Compression level, from 0 to 10.
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

/// The facts of the model that the page's script reads.
#[derive(Serialize)]
struct Facts<'a> {
    network: &'a str,
    parameters: usize,
    weights: &'a str,
    positions: usize,
    /// Whether patterns are written in lower case.
    lowercase: bool,
    /// The model file's name, for a model of integers. Its folder is left out: readers of the page need not know it.
    source: Option<&'a str>,
    /// Whether the model comes with the program, without a file.
    comes_along: bool,
    /// Bytes of the module, and of module and model file together.
    module: usize,
    program: usize,
    /// Training lines.
    lines: usize,
    /// Hashes of the filter; 0 without a filter.
    hashes: usize,
    bits: u32,
    modulus: u32,
}

/// Makes the page of `model`, or of its `rounded` form. Returns the filter's bits for each line of `training` too: 0
/// where the lines are unknown or too many.
///
/// # Errors
/// The page would be too large.
pub(crate) fn page(
    model: &Model,
    rounded: Option<&Model>,
    training: &[String],
) -> anyhow::Result<(String, u32)> {
    let written = rounded.unwrap_or(model);
    let shape = model.file.shape();
    let module = MODULES.iter().find(|(l, v, _)| (*l, *v) == (shape.positions, shape.symbols));
    let (.., module) = module.with_context(|| {
        let rooms: Vec<String> = MODULES.iter().map(|(l, v, _)| format!("{l} × {v}")).collect();
        format!(
            "{} has {} positions × symbols, and a web page can be made only for models of {}; name one of those with --model",
            model.source,
            model.config.room(),
            rooms.join(", ")
        )
    })?;
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
        // No path can end the script element.
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
            None => "train the model with --quantize int4, or train a smaller network, such as --config convolution-medium"
                .to_owned(),
        };
        bail!(
            "{}: the web page with this model would have {size} bytes, more than the {MOST_BYTES} that a \
             page may have; 4-bit weights take half the bytes of 8-bit ones: {way_out}",
            model.source,
            size = page.len()
        );
    }
    Ok((page, 0))
}

/// The last part of `path`.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// Replaces each `{{name}}` of the page by its value. Values are not searched.
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

/// A set of texts that also contains a small share of all others.
#[derive(Default)]
struct Filter {
    /// Number of different hashes.
    hashes: usize,
    bits: u32,
    /// The modulus of the hashes.
    modulus: u32,
    code: Vec<u8>,
}

impl Filter {
    /// Makes the filter of `texts`, which contains one other text in 2^`bits`; `None` where 32-bit hashes are too short
    /// for it.
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

/// FNV-1a of 32 bits over UTF-8, with MurmurHash3's final mix, so that every bit depends on every letter.
fn hash(text: &str) -> u32 {
    let fnv = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let mut hash = text.bytes().fold(0x811C_9DC5, fnv);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ hash >> 13).wrapping_mul(0xC2B2_AE35);
    hash ^ hash >> 16
}

/// Encodes `bytes` in base 85. Four bytes, the first the most significant, become five digits. A rest of n bytes, padded
/// with zeros, becomes the first n + 1 digits. A digit is the character that many places after `#`. `!` replaces `<`,
/// which a page's script may not hold.
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
