//! Ends in a fault.

#![cfg_attr(target_os = "none", no_std, no_main)]

firmware_checks::program!(run);

fn run() -> Option<()> {
    // SAFETY: an undefined instruction, on purpose.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("udf #0")
    }
    // SAFETY: the same.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        core::arch::asm!("unimp")
    }
    Some(())
}
