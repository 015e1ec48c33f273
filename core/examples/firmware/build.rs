//! Gives the linker the memory of the chip: of the emulated one, or the file that the variable `MEMORY` names.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=MEMORY");
    let memory = match (std::env::var("MEMORY"), std::env::var("TARGET").as_deref()) {
        (Ok(path), _) => {
            println!("cargo::rerun-if-changed={path}");
            std::fs::read_to_string(&path).expect("the file that MEMORY names can be read")
        }
        (_, Ok("thumbv6m-none-eabi")) => include_str!("memory/microbit.x").to_owned(),
        (_, Ok("thumbv7m-none-eabi" | "thumbv7em-none-eabihf")) => include_str!("memory/mps2.x").to_owned(),
        (_, Ok("riscv32imac-unknown-none-elf")) => include_str!("memory/fe310.x").to_owned(),
        // Put the memory of another chip into memory/, and its target here.
        _ => return,
    };
    let folder = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&folder).join("memory.x"), memory).expect("cargo's own folder can be written");
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
