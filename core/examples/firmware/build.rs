//! Gives the linker the memory of the chip.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let memory = match std::env::var("TARGET").as_deref() {
        Ok("thumbv6m-none-eabi") => include_str!("memory/microbit.x"),
        Ok("thumbv7m-none-eabi" | "thumbv7em-none-eabihf") => include_str!("memory/mps2.x"),
        Ok("riscv32imac-unknown-none-elf") => include_str!("memory/fe310.x"),
        // Another chip: its memory goes into memory/ and its target here.
        _ => return,
    };
    let folder = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&folder).join("memory.x"), memory).expect("cargo's own folder can be written");
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
