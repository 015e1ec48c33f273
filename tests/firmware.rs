//! Firmware on emulated chips: the same names and the same bits as on the desktop, nothing that can panic, and what it
//! costs.
//!
//! Without QEMU or the chips' targets these tests say so and pass. `.ci/emulators` installs both. If the variable `CI` is
//! set, a missing tool is a failure, and so is another compiler than that of the table of costs.
//!
//! `cargo test` tries the micro:bit; the other chips and the table take minutes, and `.ci/slow` runs them.

// The core's lints are for firmware.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "firmware/tools.rs"]
mod tools;
#[allow(dead_code, reason = "the other targets are for the tests of exported C")]
#[path = "firmware/c.rs"]
mod c;
#[path = "firmware/cost.rs"]
mod cost;

use std::process::Command;

use cost::{TEN_CENT_EXAMPLE, Table, compilers, rows};
use tools::{
    CORTEX_M3, CORTEX_M4F, Chip, Image, MICROBIT, Program, RISC_V, TEN_CENT, Tools, build_for_desktop,
    limited, project, skip, tools,
};

/// The chips whose bits are compared with the desktop's.
const COMPARED: [Chip; 3] = [MICROBIT, CORTEX_M4F, RISC_V];

/// The firmware example with 4-bit weights.
const EXAMPLE: Program =
    Program { package: "core/examples/firmware", binary: "micro-diffusion-firmware", features: "" };

/// The output of the example, and of `sample --trace` for its model and seed.
const NAMES: &str = include_str!("golden/firmware.txt");
/// The output of the ten-cent program, and of `sample` for its model and seed.
const TEN_CENT_NAMES: &str = include_str!("golden/ten-cent.txt");

/// Runs a program of the checks on the desktop and on the chips, and compares every line.
fn compare(tools: Tools, program: &'static str, chips: &[Chip], expected_lines: usize) {
    let desktop = |profile| {
        let folder = build_for_desktop(profile);
        let (code, printed) = limited(Command::new(folder.join(program)));
        assert_eq!(code, Some(0), "{program} {profile}: {printed}");
        printed
    };
    let release = desktop("release");
    assert_eq!(release.lines().count(), expected_lines, "{program}");
    assert_eq!(desktop("dev"), release, "{program}: debug and release");
    for chip in chips {
        let elf = tools.build(Program::check(program), chip.target).unwrap();
        let (code, printed) = tools.run(*chip, &elf, &[]);
        assert_eq!(code, Some(0), "{program} on {}: {printed}", chip.name);
        assert_eq!(printed, release, "{program} on {}", chip.name);
    }
}

/// Names and a checksum over all scores, from 100 seeds with each of four samplers.
fn sampling(programs: &[&'static str], chips: &[Chip]) {
    let Some(tools) = tools() else { return };
    programs.iter().for_each(|program| compare(tools, program, chips, 400));
}

#[test]
fn the_microbit_samples_the_desktops_bits() {
    sampling(&["int4"], &[MICROBIT]);
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_chip_samples_the_desktops_bits() {
    sampling(&["int4", "int8", "float", "convolution_chip"], &COMPARED);
}

/// The checksum of all weights after each of 40 steps, and three texts.
fn training(chips: &[Chip]) {
    let Some(tools) = tools() else { return };
    compare(tools, "train", chips, 43);
}

#[test]
fn the_microbit_trains_to_the_desktops_bits() {
    training(&[MICROBIT]);
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_chip_trains_to_the_desktops_bits() {
    training(&COMPARED);
}

/// Bad bytes: some changes of a file of 32-bit floats; every cut and every flipped bit of a file of integers; every
/// flipped bit under a checksum that matches. Each is an error, or a model that draws texts.
fn bad_bytes(chips: &[Chip]) {
    let Some(tools) = tools() else { return };
    let folder = build_for_desktop("release");
    let (_, printed) = limited(Command::new(folder.join("bad_bytes")));
    let taken: Vec<&str> = printed.lines().filter(|line| line.ends_with("taken")).collect();
    let whole = [
        "as it is: taken",
        "int4: taken",
        "int8: taken",
        "residual int4: taken",
        "residual int8: taken",
        "convolution int4: taken",
        "convolution int8: taken",
    ];
    // Only a checksum made to match lets a change through: one of the weights, of the alphabet or of the lengths.
    assert!(taken.iter().all(|line| whole.contains(line) || line.contains(" forged: ")), "{taken:?}");
    assert!(whole.iter().all(|line| taken.contains(line)), "{taken:?}");
    compare(tools, "bad_bytes", chips, printed.lines().count());
}

#[test]
fn bad_bytes_in_flash_are_an_error_on_the_microbit() {
    bad_bytes(&[MICROBIT]);
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn bad_bytes_in_flash_are_an_error_on_every_chip() {
    bad_bytes(&COMPARED);
}

/// The example's names, and how programs end that panic or fault.
fn examples(chips: &[Chip]) {
    let Some(tools) = tools() else { return };
    for chip in chips {
        let elf = tools.build(EXAMPLE, chip.target).unwrap();
        assert_eq!(tools.run(*chip, &elf, &[]), (Some(0), NAMES.to_owned()), "{}", chip.name);
        for (program, said) in [("panic", "panic\n"), ("fault", "fault\n")] {
            let elf = tools.build(Program::check(program), chip.target).unwrap();
            assert_eq!(tools.run(*chip, &elf, &[]), (Some(1), said.to_owned()), "{program} on {}", chip.name);
        }
    }
}

#[test]
fn the_example_prints_its_names_and_a_panic_or_a_fault_is_an_error_on_the_microbit() {
    examples(&[MICROBIT]);
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn the_example_prints_its_names_and_a_panic_or_a_fault_is_an_error_on_every_chip() {
    examples(&[MICROBIT, CORTEX_M3, CORTEX_M4F, RISC_V]);
}

/// `cargo run` in its folder, as its README has it, does not ask which of the binaries is meant.
#[test]
fn cargo_run_runs_the_example() {
    let manifest = std::fs::read_to_string(project().join(EXAMPLE.package).join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("\ndefault-run = \"{}\"\n", EXAMPLE.binary)), "{manifest}");
}

/// The panic handler calls a function that does not exist, so the program links only if no panic can be reached.
#[test]
fn no_panic_can_be_reached() {
    let Some(tools) = tools() else { return };
    let link = |features| tools.build(Program { features, ..Program::check("no_panic") }, MICROBIT.target);
    link("link").unwrap();
    // The control: with one index that may be out of range it must not link.
    let error = link("panics").unwrap_err();
    assert!(error.contains("undefined symbol: a_panic_can_be_reached"), "{error}");
}

/// The example links no allocator, no formatting and no panic and, with integer weights, no floating point.
#[test]
fn the_example_links_only_what_it_needs() {
    let Some(tools) = tools() else { return };
    const UNWANTED: [&str; 5] = ["rust_alloc", "malloc", "flt2dec", "4core3fmt", "panic"];
    const FLOATS: [&str; 6] = ["__aeabi_f", "__aeabi_d", "sf3", "df3", "__float", "__fix"];
    let image = |program| Image::read(&tools.build(program, MICROBIT.target).unwrap());
    let example = image(EXAMPLE);
    assert_eq!(example.symbols_with(&UNWANTED), [""; 0]);
    assert_eq!(example.symbols_with(&FLOATS), [""; 0]);
    assert_eq!(example.static_memory, 0);
    // The controls: a program that prints a number with a fraction, and the example in floating point.
    let formats = image(Program { features: "formats", ..Program::check("formats") });
    assert!(formats.symbols_with(&["flt2dec"]).len() > 1 && formats.symbols_with(&["4core3fmt"]).len() > 1);
    assert!(image(Program { binary: "float", ..EXAMPLE }).symbols_with(&FLOATS).len() > 3);
}

/// Whether `code` multiplies or divides anywhere: the instructions of RISC-V's M extension, opcode 0110011 with function 1.
///
/// Instructions whose two lowest bits are set are 32 bits long, the others 16; compressed code has no product without the
/// extension Zcb. Source: The RISC-V Instruction Set Manual, volume I, chapters 1.5 and 12.
fn multiplies(code: &[u8]) -> bool {
    let mut rest = code;
    let mut found = false;
    while let [a, b, ..] = *rest {
        let long = a & 0b11 == 0b11;
        if let [_, _, c, d, ..] = *rest
            && long
        {
            let word = u32::from_le_bytes([a, b, c, d]);
            found |= word & 0x7F == 0b011_0011 && word >> 25 == 1;
        }
        rest = rest.get(if long { 4 } else { 2 }..).unwrap_or(&[]);
    }
    found
}

/// The linker had exactly the chip's 16 KB and 2 KB. The stack stays within the 2 KB, and no instruction multiplies or
/// divides, which the emulated chip could do.
#[test]
#[ignore = "takes minutes; run by the slow script"]
fn the_ten_cent_program_fits_its_chip() {
    let Some(tools) = tools().filter(Tools::has_ten_cent) else { return };
    let elf = tools.build(TEN_CENT_EXAMPLE, TEN_CENT.target).unwrap();
    assert_eq!(tools.run(TEN_CENT, &elf, &[]), (Some(0), TEN_CENT_NAMES.to_owned()));
    let image = Image::read(&elf);
    assert!(image.flash <= 16 * 1024 && image.static_memory == 0, "{} bytes of flash", image.flash);
    let stack = tools.count(TEN_CENT, &elf, None).stack;
    assert!(stack <= 2 * 1024, "{stack} bytes of stack");
    assert!(!multiplies(&image.code));
    // The control: the same check finds the products of a chip that has a multiplier.
    assert!(multiplies(&Image::read(&tools.build(EXAMPLE, RISC_V.target).unwrap()).code));
}

/// A stack that leaves the chip's memory is a fault, and the program says so.
#[test]
#[ignore = "takes minutes; run by the slow script"]
fn a_stack_too_deep_for_the_ten_cent_chip_ends_its_program() {
    let Some(tools) = tools().filter(Tools::has_ten_cent) else { return };
    // The stack begins 1 KB lower, so that it has half of the memory.
    let half = r#"target.riscv32emc-unknown-none-elf.rustflags=["-Clink-arg=--defsym=stack_top=0x80000400"]"#;
    let elf = tools.build_with(TEN_CENT_EXAMPLE, TEN_CENT.target, &["--config", half]).unwrap();
    assert_eq!(tools.run(TEN_CENT, &elf, &[]), (Some(1), String::new()));
}

/// Flash, memory and instructions against the committed table, which `.ci/firmware-table` makes.
#[test]
#[ignore = "takes minutes; run by the slow script"]
fn costs_stay_within_the_committed_table() {
    let Some(tools) = tools().filter(Tools::has_ten_cent) else { return };
    if let Some(program) = std::env::var_os("MICRO_DIFFUSION_WRITE_TABLE") {
        return Table::measured(tools, &program).write();
    }
    let table = Table::committed();
    let compiler = compilers(tools);
    if table.compiler != compiler {
        return skip(&format!(
            "tests/golden/firmware.tsv was made by {}, and this is {compiler}; `.ci/firmware-table` makes it anew",
            table.compiler
        ));
    }
    let excess: Vec<String> = rows().iter().flat_map(|row| table.excess(row, &row.measure(tools))).collect();
    assert!(excess.is_empty(), "more than 105 % of the table:\n{}", excess.join("\n"));
}

#[test]
fn the_readmes_show_the_committed_table() {
    for (place, shown) in Table::committed().places() {
        assert_eq!(place.split(&place.read()).1, shown, "run .ci/firmware-table");
    }
}
