//! The program in the page that `micro-diffusion export --format html` writes.
//!
//! A page has one model, and the module of its room: [`room`] makes a program that draws from every network with that room,
//! with 8-bit or 4-bit weights. A page and its module exchange integers, never an address, and nothing is allocated:
//!
//! 1. [`give`](Arriving::give) takes the model file, four bytes at a time, and [`open`](Page::open) checks it, once.
//! 2. [`settings`](Page::settings), [`letter`](Page::letter) and [`place`](Page::place) set the settings of the draw and its
//!    pattern.
//! 3. [`draw`](Page::draw) draws a text and keeps each of its states, which the page then reads, symbol by symbol.
//!
//! Text number n of a seed is line n + 1 of `micro-diffusion sample --seed`, byte for byte.

#![no_std]
#![forbid(unsafe_code)]

mod forms;
mod trace;

use micro_diffusion::categorical::Temperature;
use micro_diffusion::denoiser::Denoiser;
use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::IntegerModel;
use micro_diffusion::pattern::PatternError;
use micro_diffusion::rng::Stream;
use micro_diffusion::sampler::{Order, Sampler, Settings};

pub use crate::forms::Forms;
pub use crate::trace::Trace;
pub use spin::{Mutex, MutexGuard};

/// The longest pattern, in bytes.
const PATTERN: usize = 1024;

/// A model file while it arrives.
pub struct Arriving<const BYTES: usize> {
    bytes: [u8; BYTES],
    length: usize,
}

impl<const BYTES: usize> Arriving<BYTES> {
    /// No byte yet.
    pub const NOTHING: Self = Self { bytes: [0; BYTES], length: 0 };

    /// Takes the first `count` bytes of `word`. Bytes beyond the room's longest model are dropped, and opening then fails.
    pub fn give(&mut self, word: u32, count: u32) {
        for byte in word.to_le_bytes().into_iter().take(count as usize) {
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = byte;
            }
            self.length = self.length.saturating_add(1);
        }
    }

    /// The bytes that have arrived.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// Calls a function with the denoiser of a model file; false if the file holds another network.
pub type With<const L: usize, const V: usize> =
    fn(&ModelFile<'static>, &mut dyn FnMut(&mut dyn Denoiser<L, V>)) -> bool;

/// Calls `work` with the denoiser of `file` if the file holds an `I`.
pub fn with<I: IntegerModel<L, V>, const L: usize, const V: usize>(
    file: &ModelFile<'static>,
    work: &mut dyn FnMut(&mut dyn Denoiser<L, V>),
) -> bool {
    let Ok(view) = file.integers::<I, L, V>() else { return false };
    let mut memory = I::MEMORY;
    work(&mut I::denoiser(view, &mut memory));
    true
}

/// The settings and the pattern of a page, and its last text.
pub struct Page<const L: usize, const V: usize> {
    with: With<L, V>,
    file: Option<ModelFile<'static>>,
    settings: Settings,
    seed: u64,
    pattern: heapless::String<PATTERN>,
}

impl<const L: usize, const V: usize> Page<L, V> {
    /// A page without a model; `with` will give the model's denoiser.
    pub const fn new(with: With<L, V>) -> Self {
        Self {
            with,
            file: None,
            settings: Settings::new(Order::Random, Temperature::ONE),
            seed: 0,
            pattern: heapless::String::new(),
        }
    }

    /// Opens a model file: 0 if it is one of this room, else 1.
    pub fn open(&mut self, bytes: &'static [u8]) -> u32 {
        self.file = ModelFile::parse(bytes).ok().filter(|file| (self.with)(file, &mut |_| ()));
        u32::from(self.file.is_none())
    }

    /// The code point of the character of `symbol`; 0 past the last.
    pub fn character(&self, symbol: u32) -> u32 {
        let symbol = u8::try_from(symbol).ok();
        let character = self.file.zip(symbol).and_then(|(file, symbol)| file.alphabet().character(symbol));
        character.map_or(0, u32::from)
    }

    /// Sets the order (0 random, 1 confidence), the temperature (the bits of an f64) and the seed; 1 if one is invalid.
    ///
    /// Temperature and seed each come in two halves, the low half first.
    pub fn settings(&mut self, order: u32, temperature: [u32; 2], seed: [u32; 2]) -> u32 {
        let whole = |[low, high]: [u32; 2]| u64::from(high) << 32 | u64::from(low);
        let order = match order {
            0 => Order::Random,
            1 => Order::Confidence,
            _ => return 1,
        };
        let Some(temperature) = Temperature::new(f64::from_bits(whole(temperature))) else { return 1 };
        (self.settings, self.seed) = (Settings::new(order, temperature), whole(seed));
        0
    }

    /// Begins a new pattern.
    pub fn clear(&mut self) {
        self.pattern.clear();
    }

    /// Adds the character with the code `point` to the pattern; 1 if there is no such character, or no room for it.
    pub fn letter(&mut self, point: u32) -> u32 {
        let added = char::from_u32(point).and_then(|character| self.pattern.push(character).ok());
        u32::from(added.is_none())
    }

    /// Sets `forms` to those of the pattern and returns their number, or a fault. An empty pattern allows any text.
    ///
    /// | number | what is wrong |
    /// |---|---|
    /// | −1 | a backslash at its end |
    /// | −2 | more letters than the model has positions |
    /// | −3 | more placements than are looked at |
    /// | −4 | no model |
    /// | −5 − c | the model does not know the character with code point c |
    pub fn place(&self, forms: &mut Forms<L>) -> i32 {
        let Some(file) = self.file else { return -4 };
        let mut placed = Ok(0);
        (self.with)(&file, &mut |denoiser| placed = forms.place(&self.pattern, &file, denoiser));
        match placed {
            Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
            Err(None) => -3,
            Err(Some(PatternError::NothingEscaped)) => -1,
            Err(Some(PatternError::TooLong { .. } | PatternError::Length { .. })) => -2,
            Err(Some(PatternError::UnknownCharacter(character))) => {
                i32::try_from(u32::from(character)).map_or(-3, |point| (-5_i32).saturating_sub(point))
            }
        }
    }

    /// Draws text number `number` in one of the `forms` into `trace`. Returns the number of its states, or 0 without a model.
    ///
    /// The first state is all masks. Keeps the distributions too if `looking`.
    pub fn draw(&self, forms: &Forms<L>, trace: &mut Trace<L, V>, number: u32, looking: bool) -> u32 {
        let Some(file) = self.file else { return 0 };
        let stream = Stream::of_text(self.seed, number);
        let form = forms.draw(&file, stream);
        let allowed = form.allowed(file.alphabet().symbols());
        trace.clear(form.length);
        let Ok(mut sampler) = Sampler::new(form.length, &allowed, self.settings, stream) else { return 0 };
        let temperature = self.settings.temperature;
        (self.with)(&file, &mut |denoiser| trace.run(&mut sampler, denoiser, &allowed, temperature, looking));
        trace.states()
    }
}

/// Makes the program of a page with a model of one of these networks, in the room of `$positions` and `$symbols`.
#[macro_export]
macro_rules! room {
    ($positions:literal, $symbols:literal: $($network:ty),*) => {
        const L: usize = $positions;
        const V: usize = $symbols;

        /// The bytes of the longest model file of the room.
        const BYTES: usize = {
            let payloads = [$(<<$network as Quantisable<L, V>>::Integers<Int8> as IntegerModel<L, V>>::BYTES),*];
            let (mut longest, mut index) = (0, 0);
            while index < payloads.len() {
                longest = if payloads[index] > longest { payloads[index] } else { longest };
                index += 1;
            }
            // Includes the header: an alphabet of at most 4 bytes a character, and the tables.
            longest + 1024 + 4 * (L + V)
        };

        static ARRIVING: Mutex<Arriving<BYTES>> = Mutex::new(Arriving::NOTHING);
        static PAGE: Mutex<Page<L, V>> = Mutex::new(Page::new(with_any));
        // Apart from the page: these begin as zeros, which the module then need not store.
        static FORMS: Mutex<Forms<L>> = Mutex::new(Forms::ANY);
        static TRACE: Mutex<Trace<L, V>> = Mutex::new(Trace::EMPTY);

        fn with_any(file: &ModelFile<'static>, work: &mut dyn FnMut(&mut dyn Denoiser<L, V>)) -> bool {
            false $(
                || with::<<$network as Quantisable<L, V>>::Integers<Int4>, L, V>(file, work)
                || with::<<$network as Quantisable<L, V>>::Integers<Int8>, L, V>(file, work)
            )*
        }

        #[unsafe(no_mangle)]
        extern "C" fn give(word: u32, count: u32) {
            ARRIVING.lock().give(word, count);
        }

        #[unsafe(no_mangle)]
        extern "C" fn open() -> u32 {
            // The file is never freed; a page has one.
            let arrived: &'static Arriving<BYTES> = match ARRIVING.try_lock() {
                Some(arriving) => MutexGuard::leak(arriving),
                None => return 1,
            };
            PAGE.lock().open(arrived.bytes())
        }

        #[unsafe(no_mangle)]
        extern "C" fn character(symbol: u32) -> u32 {
            PAGE.lock().character(symbol)
        }

        #[unsafe(no_mangle)]
        extern "C" fn settings(order: u32, t_low: u32, t_high: u32, seed_low: u32, seed_high: u32) -> u32 {
            PAGE.lock().settings(order, [t_low, t_high], [seed_low, seed_high])
        }

        #[unsafe(no_mangle)]
        extern "C" fn clear() {
            PAGE.lock().clear();
        }

        #[unsafe(no_mangle)]
        extern "C" fn letter(point: u32) -> u32 {
            PAGE.lock().letter(point)
        }

        #[unsafe(no_mangle)]
        extern "C" fn place() -> i32 {
            PAGE.lock().place(&mut FORMS.lock())
        }

        #[unsafe(no_mangle)]
        extern "C" fn draw(number: u32, looking: u32) -> u32 {
            PAGE.lock().draw(&FORMS.lock(), &mut TRACE.lock(), number, looking != 0)
        }

        #[unsafe(no_mangle)]
        extern "C" fn length() -> u32 {
            TRACE.lock().length()
        }

        #[unsafe(no_mangle)]
        extern "C" fn symbol(state: u32, position: u32) -> u32 {
            TRACE.lock().symbol(state, position)
        }

        #[unsafe(no_mangle)]
        extern "C" fn share(state: u32, position: u32, symbol: u32) -> u32 {
            TRACE.lock().share(state, position, symbol)
        }
    };
}

/// Items that [`room`] names.
pub mod names {
    pub use micro_diffusion::config::{Convolution, ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual};
    pub use micro_diffusion::denoiser::Denoiser;
    pub use micro_diffusion::file::ModelFile;
    pub use micro_diffusion::precision::{Int4, Int8};
    pub use micro_diffusion::integer::{IntegerModel, Quantisable};

    pub use crate::{Arriving, Forms, Mutex, MutexGuard, Page, Trace, with};
}

/// Ends the program; no known input leads here.
#[cfg(target_family = "wasm")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
