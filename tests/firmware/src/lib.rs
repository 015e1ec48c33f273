//! Helpers of the checks on emulated chips. On the desktop the sources are ordinary programs, so that every line a chip
//! prints can be compared.

#![cfg_attr(target_os = "none", no_std)]

use core::cell::Cell;

use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::denoiser::{Denoiser, Score};
use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::IntegerModel;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};

#[cfg(target_os = "none")]
#[path = "../../../core/examples/firmware/src/board.rs"]
pub mod board;

#[cfg(not(target_os = "none"))]
pub mod board {
    //! The desktop as a board.

    /// Shows `text`.
    pub fn print(text: &str) {
        print!("{text}");
    }

    /// Ends the program; 0 is success.
    pub fn exit(code: i32) -> ! {
        std::process::exit(code)
    }
}

use board::print;

/// The program that runs the function `$run`, and fails where it returns `None`.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[$crate::board::entry]
        fn main() -> ! {
            $crate::board::exit(i32::from($run().is_none()))
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            $crate::board::exit(i32::from($run().is_none()))
        }
    };
}

/// Positions of the perceptrons for names.
pub const L: usize = 12;
/// Symbols of all models for names.
pub const V: usize = 26;

/// Names drawn with each sampler.
pub const SEEDS: u64 = 100;

/// The samplers for texts of `positions`: name, how it draws, and in how many steps.
const fn samplers(positions: usize) -> [(&'static str, Settings, usize); 4] {
    let warm = Temperature::from_milli(700);
    let truncated = Settings { top_k: 5, top_p: 58_982, ..Settings::new(Order::Random, Temperature::ONE) };
    [
        ("random", Settings::new(Order::Random, warm), positions),
        ("confidence", Settings::new(Order::Confidence, warm), positions),
        ("top-k-top-p", truncated, positions),
        ("greedy", Settings::new(Order::Confidence, Temperature::GREEDY), 7),
    ]
}

/// Where the instruction counter looks: it notes the count at each entry.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn mark() {
    core::hint::black_box(());
}

/// [`tell`] for the model file `bytes` of integers, with its validation between the first two [`mark`]s.
pub fn tell_integers<I: IntegerModel<L, V>, const L: usize>(bytes: &[u8], counted: u64) -> Option<()> {
    mark();
    let file = ModelFile::parse(bytes).ok()?;
    let view = file.integers::<I, L, V>().ok()?;
    mark();
    let mut memory = I::MEMORY;
    tell(&mut I::denoiser(view, &mut memory), &file, counted)
}

/// For each sampler and seed a line: sampler, seed, name, checksum over all scores that the denoiser gave.
///
/// The first `counted` names of each sampler are drawn before that, as firmware would draw them, between two [`mark`]s.
#[inline(never)]
pub fn tell<D: Denoiser<L, V>, const L: usize>(
    denoiser: &mut D,
    file: &ModelFile,
    counted: u64,
) -> Option<()> {
    for (sampler, settings, steps) in const { samplers(L) } {
        for seed in 0..SEEDS {
            if seed < counted {
                mark();
                draw(denoiser, file, settings, steps, seed)?;
                mark();
            }
            let mut recorded = Recorded { denoiser, hash: Cell::new(Hash::new()) };
            let text = draw(&mut recorded, file, settings, steps, seed)?;
            for piece in [sampler, " ", &number(seed as u32), " ", &text, " "] {
                print(piece);
            }
            print(&recorded.hash.get().digits());
            print("\n");
        }
    }
    Some(())
}

/// Draws a length and a text of it.
fn draw<D: Denoiser<L, V>, const L: usize>(
    denoiser: &mut D,
    file: &ModelFile,
    settings: Settings,
    steps: usize,
    seed: u64,
) -> Option<heapless::String<64>> {
    let allowed = [SymbolSet::first(file.alphabet().symbols()); L];
    let stream = Stream::new(seed, Purpose::Sample).child(0, 0);
    let length = file.lengths().draw(stream);
    let mut sampler = Sampler::<L, V>::new(length, &allowed, settings, stream).ok()?;
    sampler.run(denoiser, steps);
    Some(file.alphabet().decode(sampler.symbols(), '_'))
}

/// A denoiser that takes note of every score it gives.
struct Recorded<'a, D> {
    denoiser: &'a mut D,
    hash: Cell<Hash>,
}

impl<D: Denoiser<L, V>, const L: usize> Denoiser<L, V> for Recorded<'_, D> {
    fn start(&mut self, length: usize) {
        self.denoiser.start(length);
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.denoiser.set(position, symbol);
    }

    fn evaluate(&mut self) {
        self.denoiser.evaluate();
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        self.denoiser.scores(position, out);
        self.hash.set(out.iter().fold(self.hash.get(), |hash, score| hash.with(score.cast_unsigned())));
    }
}

/// FNV-1a over words.
#[derive(Clone, Copy)]
pub struct Hash(u32);

impl Hash {
    /// Of nothing.
    pub fn new() -> Self {
        Self(0x811C_9DC5)
    }

    /// Of what it was of and `word`.
    pub fn with(self, word: u32) -> Self {
        let add = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        Self(word.to_le_bytes().into_iter().fold(self.0, add))
    }

    /// In hexadecimal.
    pub fn digits(self) -> heapless::String<8> {
        let digit = |place: u32| char::from_digit(self.0 >> (28 - 4 * place) & 15, 16).unwrap_or('?');
        (0..8).map(digit).collect()
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

/// `value` in decimal.
pub fn number(value: u32) -> heapless::String<10> {
    let (mut digits, mut rest) = (heapless::Vec::<char, 10>::new(), value);
    loop {
        let _ = digits.push(char::from_digit(rest % 10, 10).unwrap_or('?'));
        rest /= 10;
        if rest == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
