//! Gives the linker the memory of the chip, and the program its model.
//!
//! The model file is checked here, when the program is built. Only its tensors, characters and table of lengths go to the
//! chip. Code to check it there would take a third of the model's flash.

use std::path::Path;

use micro_diffusion::file::ModelFile;

/// The model file; any of the type that `main.rs` names.
const MODEL: &str = "../../../data/convolution-chip-int4.mdm";

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-changed={MODEL}");
    println!("cargo::rustc-link-arg-bins=-T{}/memory.x", env!("CARGO_MANIFEST_DIR"));

    let bytes = std::fs::read(MODEL).expect("the model file can be read");
    let file = ModelFile::parse(&bytes).expect("the model file is sound");
    let folder = std::env::var("OUT_DIR").expect("cargo sets it");
    let write = |name, content: &[u8]| {
        std::fs::write(Path::new(&folder).join(name), content).expect("cargo's own folder can be written");
    };
    write("tensors.bin", file.payload());
    write("lengths.bin", file.lengths().counts().as_flattened());
    // Each character in UTF-8, padded with zeros.
    let characters = file.alphabet().characters().chars().map(|character| {
        let mut bytes = [0; 4];
        character.encode_utf8(&mut bytes);
        bytes
    });
    write("characters.rs", format!("{:?}", characters.collect::<Vec<_>>()).as_bytes());
    write("scales.rs", format!("micro_diffusion::integer::{:?}", file.scales()).as_bytes());
}
