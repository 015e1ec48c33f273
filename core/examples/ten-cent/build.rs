//! Gives the linker the memory of the chip.

fn main() {
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-arg-bins=-T{}/memory.x", env!("CARGO_MANIFEST_DIR"));
}
