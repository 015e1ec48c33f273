//! Names on a ten-cent chip, the CH32V003 class: RV32EC, 16 KB of flash, 2 KB of memory, no multiplier.
//!
//! Sampler and network are those of every other chip, only smaller. The core needs no multiplication: sums of shifted rows
//! replace products. The model file is checked when the program is built.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

use micro_diffusion::integer::Scales;
use micro_diffusion::prelude::*;

/// The type of the model: 4-bit weights, and 4 residual convolutions of width 30 and 5 taps.
static TENSORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tensors.bin"));
/// The number of training texts of each length.
static LENGTHS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lengths.bin"));
const SCALES: Scales = include!(concat!(env!("OUT_DIR"), "/scales.rs"));
/// The characters of the training texts, each in UTF-8, padded with zeros.
static CHARACTERS: &[[u8; 4]] = &include!(concat!(env!("OUT_DIR"), "/characters.rs"));
type Network = Integers<ConvolutionChip, Int4, L, V>;
const L: usize = 16;
const V: usize = 26;

/// Any number gives names of your own.
const SEED: u64 = 1;
const NAMES: u32 = 20;
const SETTINGS: Settings = Settings::new(Order::Random, Temperature::from_milli(680));
/// Any symbol of the training texts may be at any position.
static ALLOWED: [SymbolSet; 1] = [SymbolSet::first(CHARACTERS.len())];

// No memory needs copying or clearing: set the stack and jump to the program. The stack is all of the memory and grows down,
// with none beyond its end. A stack too deep is a fault and overwrites nothing.
global_asm!(
    ".section .text.start, \"ax\"",
    ".option arch, +zicsr",
    ".global start",
    "start:",
    "la t0, fault",
    "csrw mtvec, t0",
    "la sp, stack_top",
    "j main",
    ".balign 4",
    "fault:",
    "la sp, stack_top",
    "j failed",
);

// The compiler calls these functions to copy and to fill memory. Its own are made for speed, and take 450 bytes more.
global_asm!(
    ".section .text.memory, \"ax\"",
    ".global memcpy",
    "memcpy:",
    "mv a3, a0",
    "add a2, a2, a0",
    "1: beq a3, a2, 2f",
    "lbu a4, 0(a1)",
    "sb a4, 0(a3)",
    "addi a1, a1, 1",
    "addi a3, a3, 1",
    "j 1b",
    ".global memset",
    "memset:",
    "mv a3, a0",
    "add a2, a2, a0",
    "1: beq a3, a2, 2f",
    "sb a1, 0(a3)",
    "addi a3, a3, 1",
    "j 1b",
    "2: ret",
);

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    exit(names().is_some())
}

#[unsafe(no_mangle)]
extern "C" fn failed() -> ! {
    exit(false)
}

fn names() -> Option<()> {
    let lengths = Lengths::new(LENGTHS.as_chunks().0)?;
    let mut memory = Network::MEMORY;
    let mut denoiser = Network::denoiser(Network::view(TENSORS, &SCALES)?, &mut memory);
    for index in 0..NAMES {
        let stream = Stream::of_text(SEED, index);
        let length = lengths.draw(stream);
        let mut sampler = Sampler::<L, V>::new(length, &ALLOWED, SETTINGS, stream).ok()?;
        sampler.run(&mut denoiser, length);
        show(sampler.symbols());
    }
    Some(())
}

/// Prints a name.
#[inline(never)]
fn show(symbols: &[Option<u8>]) {
    let characters = symbols.iter().flatten().filter_map(|symbol| CHARACTERS.get(usize::from(*symbol)));
    for byte in characters.flatten().chain(b"\n").filter(|byte| **byte != 0) {
        print(byte);
    }
}

/// Prints one byte through the debugger. On your own board, send it to the serial port or the display.
fn print(byte: &u8) {
    const WRITE_CHARACTER: u32 = 3;
    semihosting(WRITE_CHARACTER, core::ptr::from_ref(byte).addr() as u32);
}

fn exit(success: bool) -> ! {
    const EXIT: u32 = 0x18;
    const FINISHED: u32 = 0x20026;
    const FAILED: u32 = 0x20023;
    semihosting(EXIT, if success { FINISHED } else { FAILED });
    loop {}
}

/// Calls the debugger: three instructions that in this order do nothing else.
fn semihosting(operation: u32, argument: u32) {
    // SAFETY: the debugger reads at most one byte, which is alive, and changes a0 alone.
    unsafe {
        asm!(
            ".balign 16",
            ".option push",
            ".option norvc",
            "slli zero, zero, 0x1f",
            "ebreak",
            "srai zero, zero, 7",
            ".option pop",
            inout("a0") operation => _,
            in("a1") argument,
        );
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(false)
}
