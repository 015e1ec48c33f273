//! A model of integers as one C header that draws texts.
//!
//! The templates beside this file are the method, in C. This file adds the numbers: sizes, shifts and tables. The tables
//! hold only the letters of the alphabet. Each row begins at a whole byte, also where two codes share a byte.

use std::fmt::Write as _;

use micro_diffusion::categorical::power_of_two;
use micro_diffusion::denoiser::{Architecture, Shape};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::{SCORE, Scales};
use micro_diffusion::precision::{Int4, Int8, Precision};
use micro_diffusion::sampler::Order;
use micro_diffusion::stored::StoredTensor;
use micro_diffusion::stream::STREAM;

use crate::engine::description::{dtype_name, shape_name};
use crate::engine::draw::{ORDER, TEMPERATURE};
use crate::files::prefix::Prefix;

const HEAD: &str = include_str!("c_sampler/head.h");
const RANDOM: &str = include_str!("c_sampler/random.h");
const INT8: &str = include_str!("c_sampler/int8.h");
const INT4: &str = include_str!("c_sampler/int4.h");
const SUMS: &str = include_str!("c_sampler/sums.h");
const PERCEPTRON: &str = include_str!("c_sampler/perceptron.h");
const RESIDUAL: &str = include_str!("c_sampler/residual.h");
const CONVOLUTION: &str = include_str!("c_sampler/convolution.h");
const SAMPLER: &str = include_str!("c_sampler/sampler.h");

/// Padding bytes after a table's last row: rows are read in fours.
const BEYOND: usize = 3;
/// Most bytes of a line of numbers.
const LINE: usize = 128;
/// Most bytes of constant data that an AVR can address: in one array, and in all without a segment register.
const AVR_BYTES: [usize; 2] = [32_767, 60_000];

/// A model of integers to be written as C.
pub(crate) struct CSampler<'a> {
    pub(crate) file: ModelFile<'a>,
    pub(crate) tensors: &'static [StoredTensor],
    /// The bytes of the model file.
    pub(crate) bytes: &'a [u8],
    /// The name of the network.
    pub(crate) network: &'static str,
    pub(crate) prefix: &'a Prefix,
}

impl CSampler<'_> {
    /// The header.
    pub(crate) fn header(&self) -> String {
        let network = match self.file.shape().architecture {
            Architecture::Residual => RESIDUAL,
            Architecture::Convolution => CONVOLUTION,
            Architecture::Mlp | Architecture::Transformer | Architecture::LocalTransformer => PERCEPTRON,
        };
        let precision = if self.file.dtype() == Dtype::Int4 { INT4 } else { INT8 };
        let order = if ORDER == Order::Confidence { "MODEL_CONFIDENCE" } else { "MODEL_RANDOM" };
        let pieces = [HEAD, &self.numbers(), RANDOM, precision, SUMS, network, SAMPLER].concat();
        let values = [
            ("@NAME@", self.prefix.word().to_owned()),
            ("@TITLE@", self.title()),
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@GUARD@", self.prefix.guard(self.checksum())),
            ("@ORDER@", self.prefix.apply(order)),
            ("@MILLI@", format!("{}", (TEMPERATURE * 1000.0).round())),
        ];
        // The values hold the word already, and the word may hold `model_`: so it is applied before they go in.
        let named = self.prefix.apply(&pieces);
        values.iter().fold(named, |text, (place, value)| text.replace(place, value))
    }

    /// The checksum at the end of the file. A CRC over the whole file with its checksum would be equal for every file.
    fn checksum(&self) -> u32 {
        self.bytes.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Title: the network, its number format and its sizes.
    pub(crate) fn title(&self) -> String {
        format!("{}, {}: {}", self.network, dtype_name(self.file.dtype()), shape_name(self.file.shape()))
    }

    /// Sizes and shifts as macros, and every table.
    fn numbers(&self) -> String {
        let alphabet = self.file.alphabet();
        let letter_bytes = alphabet.characters().chars().map(char::len_utf8).max().unwrap_or(1);
        let Shape { positions, width, .. } = self.file.shape();
        let letters = alphabet.symbols();
        let weights: Vec<u32> = self.length_weights();
        let mut text = String::from("\n// Sizes, and the exponents of two by which numbers are shifted.\n");
        let mut sizes = vec![
            ("POSITIONS", positions, "L: the most letters of a text"),
            ("LETTERS", letters, "V: letters of the alphabet"),
            ("UNITS", width, "H or D: hidden units, or features of a position"),
            ("LETTER_BYTES", letter_bytes, "the most bytes of a letter in UTF-8"),
            ("TEXT", positions * letter_bytes + 1, "bytes of the longest text with the 0 at its end"),
            ("MASK", 255, "in the place of a hidden letter"),
            ("ZERO", usize::from(self.file.dtype().zero()), "the code of the weight 0"),
            ("LARGEST", usize::from(self.largest_value()), "A: the largest value of a unit"),
            ("FACTOR_BITS", self.factor_bits(), "bits of the largest factor of a row"),
        ];
        sizes.extend(self.shifts());
        for (name, size, about) in sizes {
            let _ = writeln!(text, "#define MODEL_{name} {size} // {about}");
        }
        let total = weights.iter().fold(0, |sum: u32, weight| sum.wrapping_add(*weight));
        let _ =
            writeln!(text, "#define MODEL_LENGTHS_TOTAL {total}u // the sum of the weights of all lengths");
        text.push_str(ORDERS);
        let (tables, largest, bytes) = self.tables();
        if too_large_for_avr(largest, bytes) {
            text.push_str("\n#ifdef __AVR__\n#error \"the model has more constant data than an AVR can address\"\n#endif\n");
        }
        let _ = write!(text, "\n// The letters in UTF-8, each filled up with 0: {}.", alphabet.characters());
        let bytes = alphabet.characters().chars().flat_map(|character| {
            let mut bytes = vec![0; letter_bytes];
            character.encode_utf8(&mut bytes);
            bytes
        });
        array(&mut text, "uint8_t", "alphabet", bytes.map(i64::from), letters * letter_bytes);
        text.push_str("\n// Of each length, how many training texts have it, times L, and 1 more.");
        array(&mut text, "uint32_t", "lengths", weights.into_iter().map(i64::from), positions);
        text.push_str("\n// 2^23 * 2^(-i/64), rounded, for i = 0 ... 64.");
        let powers = (0..=64_u32).map(|entry| i64::from(power_of_two(entry << 10)));
        array(&mut text, "uint32_t", "powers", powers, 65);
        text.push_str(&tables);
        text
    }

    /// Whether an AVR can address its tables.
    pub(crate) fn fits_avr(&self) -> bool {
        let (_, largest, bytes) = self.tables();
        !too_large_for_avr(largest, bytes)
    }

    /// L·c_n + 1 for each length n.
    fn length_weights(&self) -> Vec<u32> {
        let counts = self.file.lengths().counts();
        // All weights fit: the file was checked when it was opened.
        let weight =
            |count: &[u8; 4]| u32::from_le_bytes(*count).wrapping_mul(counts.len() as u32).wrapping_add(1);
        counts.iter().map(weight).collect()
    }

    /// A, the largest value of a unit.
    fn largest_value(&self) -> u8 {
        let Shape { architecture, width, heads, .. } = self.file.shape();
        let units = match architecture {
            Architecture::Residual => 2 * width,
            Architecture::Convolution => heads * width,
            Architecture::Mlp | Architecture::Transformer | Architecture::LocalTransformer => width,
        };
        if self.file.dtype() == Dtype::Int4 { Int4::largest_value(units) } else { Int8::largest_value(units) }
    }

    /// Bits of the largest factor of a row: of A, or of the sum of two values.
    fn factor_bits(&self) -> usize {
        let residual = self.file.shape().architecture == Architecture::Residual;
        let largest = u32::from(self.largest_value()) << u32::from(residual);
        (u32::BITS - largest.leading_zeros()) as usize
    }

    /// The exponents of the network's shifts, and the sizes that only this network has.
    fn shifts(&self) -> Vec<(&'static str, usize, &'static str)> {
        let Shape { architecture, width, blocks, heads, .. } = self.file.shape();
        let letters = self.file.alphabet().symbols();
        let Scales { activation: a, tensors: e } = self.file.scales();
        let less =
            |whole: u8, parts: [u8; 2]| usize::from(whole) - usize::from(parts[0]) - usize::from(parts[1]);
        let score = |output: u8, bias: u8| {
            [
                ("SCORE_SHIFT", less(SCORE, [a, output]), "from sums of products to scores"),
                ("BIAS_SHIFT", less(SCORE, [bias, 0]), "from the output bias to scores"),
            ]
        };
        let mut shifts = Vec::new();
        match architecture {
            Architecture::Convolution => {
                let products = usize::from(e[1]) + usize::from(a);
                shifts.extend([
                    ("LAYERS", blocks, "N"),
                    ("TAPS", heads, "T: positions that a layer reads"),
                    ("WIDEST", width.max(letters), "columns of the widest table"),
                    ("EMBEDDING_SHIFT", less(STREAM, [e[0], 0]), "from the embedding to the stream"),
                    ("ACTIVATION_SHIFT", less(STREAM, [a, 0]), "from the stream to activations"),
                    (
                        "LEFT",
                        usize::from(STREAM).saturating_sub(products),
                        "from sums of products to the stream, up",
                    ),
                    ("RIGHT", products.saturating_sub(usize::from(STREAM)), "or down"),
                ]);
                shifts.extend(score(e[3], e[4]));
            }
            Architecture::Residual => {
                shifts.push(("SHIFT", less(e[0], [a, 0]), "from the first hidden sums to values"));
                shifts.push(("RESIDUAL_SHIFT", usize::from(e[2]), "from the second hidden sums to values"));
                shifts.extend(score(e[4], e[5]));
            }
            Architecture::Mlp | Architecture::Transformer | Architecture::LocalTransformer => {
                shifts.push(("SHIFT", less(e[0], [a, 0]), "from hidden sums to values"));
                shifts.extend(score(e[2], e[3]));
            }
        }
        shifts
    }

    /// The tensors as arrays, with the bytes of the largest and of all.
    fn tables(&self) -> (String, usize, usize) {
        let (mut text, mut largest, mut all) = (String::new(), 0, 0);
        let mut payload = self.file.payload();
        for tensor in self.tensors {
            let bytes = payload.split_off(..tensor.bytes()).unwrap_or_default();
            let rows = self.kept(tensor, bytes);
            let (row, count) = (rows.first().map_or(0, Vec::len), rows.len());
            let dimensions: Vec<String> = tensor.dimensions.iter().map(usize::to_string).collect();
            let dimensions = dimensions.join(" x ");
            let _ = write!(
                text,
                "\n// The tensor `{}`, {dimensions}; of its rows those in use: {count} of {row} numbers.",
                tensor.name
            );
            let numbers: Vec<i64> = match tensor.dtype {
                Dtype::Int4 => rows.iter().flat_map(|row| row.chunks(2)).map(in_nibbles).collect(),
                _ => rows.into_iter().flatten().collect(),
            };
            let size = if tensor.dtype == Dtype::Int16 { 2 * numbers.len() } else { numbers.len() + BEYOND };
            (largest, all) = (largest.max(size), all + size);
            if tensor.dtype == Dtype::Int16 {
                let length = numbers.len();
                array(&mut text, "int16_t", tensor.name, numbers.into_iter(), length);
            } else {
                let length = numbers.len() + BEYOND;
                let beyond = std::iter::repeat_n(0, BEYOND);
                array(&mut text, "uint8_t", tensor.name, numbers.into_iter().chain(beyond), length);
            }
        }
        (text, largest, all)
    }

    /// The rows and columns of `tensor` that the alphabet uses.
    fn kept(&self, tensor: &StoredTensor, bytes: &[u8]) -> Vec<Vec<i64>> {
        let Shape { symbols, .. } = self.file.shape();
        let letters = self.file.alphabet().symbols();
        let row = tensor.row();
        let columns = if tensor.name.starts_with("output") { letters } else { row };
        let is_kept = |number: &usize| match tensor.name {
            // A row for each symbol at each position.
            "input" => number % symbols < letters,
            // A row for each symbol, then one for each position from either end.
            "embedding" => *number < letters || *number >= symbols,
            _ => true,
        };
        let rows = (0..tensor.numbers() / row.max(1)).filter(is_kept);
        rows.map(|number| numbers(tensor.dtype, bytes, number, row).take(columns).collect()).collect()
    }
}

/// Macros for the orders and the scale of temperatures.
const ORDERS: &str = "
// The order in which letters are revealed.
#define MODEL_RANDOM 0
#define MODEL_CONFIDENCE 1

// log2(e) / T in units of 2^-16 for the temperature T in thousandths, an integer: 680 for 0.68, which itself is an error. At the
// hottest it is 0, and all letters are equally likely; for T = 0, where it would be infinite, it is MODEL_LIKELIEST.
#define MODEL_LIKELIEST 0xFFFFFFFFu
#define MODEL_MILLI(milli) ((uint32_t)((milli) | 0))
#define MODEL_TEMPERATURE(milli) (MODEL_MILLI(milli) == 0 ? MODEL_LIKELIEST : 94548462u / (MODEL_MILLI(milli) == 0 ? 1 : MODEL_MILLI(milli)))
";

/// Whether tables of `all` bytes, the largest of `largest`, are more than an AVR can address.
fn too_large_for_avr(largest: usize, all: usize) -> bool {
    largest > AVR_BYTES[0] || all > AVR_BYTES[1]
}

/// Row number `number` of a tensor stored as `bytes`, `row` numbers; weights as codes.
fn numbers(dtype: Dtype, bytes: &[u8], number: usize, row: usize) -> impl Iterator<Item = i64> {
    let (start, whole, nibble) = dtype.row(number, row);
    let row = bytes.get(start..start + whole).unwrap_or_default();
    let last =
        nibble.and_then(|nibble| Some(bytes.get(nibble.byte)? >> (if nibble.high { 4 } else { 0 }) & 15));
    let step = if dtype == Dtype::Int16 { 2 } else { 1 };
    let all = row.chunks(step).flat_map(move |bytes| match (dtype, bytes) {
        (Dtype::Int4, [byte]) => vec![i64::from(byte & 15), i64::from(byte >> 4)],
        (_, [low, high]) => vec![i64::from(i16::from_le_bytes([*low, *high]))],
        (_, bytes) => bytes.iter().copied().map(i64::from).collect(),
    });
    all.chain(last.map(i64::from))
}

/// Packs two codes of four bits into a byte, the first in the low half; a single code has 0 above it.
fn in_nibbles(codes: &[i64]) -> i64 {
    codes.iter().rev().fold(0, |byte, code| byte << 4 | code)
}

/// Writes a constant array `model_`name of `length` `numbers`, in flash.
fn array(text: &mut String, kind: &str, name: &str, numbers: impl Iterator<Item = i64>, length: usize) {
    let _ = write!(text, "\nstatic const {kind} model_{name}[{length}] MODEL_FLASH = {{");
    let mut line = LINE;
    for number in numbers {
        let number = number.to_string();
        if line + number.len() + 2 > LINE {
            text.push_str("\n   ");
            line = 3;
        }
        let _ = write!(text, " {number},");
        line += number.len() + 2;
    }
    text.push_str("\n};\n");
}
