//! What depends on the board: where the program starts, what it prints to, and how it ends.
//!
//! Everything goes through the debugger (semihosting), which QEMU and probe-rs both serve. On a board of its own, replace
//! [`print`] by the display or the serial port, and [`exit`] by whatever comes after the names.

use semihosting::process;
use semihosting::sys::arm_compat::sys_writec;

#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;

/// Shows `text`.
pub fn print(text: &str) {
    text.bytes().for_each(sys_writec);
}

/// Ends the program; 0 is success.
pub fn exit(code: i32) -> ! {
    process::exit(code)
}

/// No panic can be reached in what samples. If you add code that can, this says so.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    print("panic\n");
    exit(1)
}

/// A bus error, an undefined instruction, a stack that ran out of memory.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    print("fault\n");
    exit(1)
}

/// The same on RISC-V.
#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    print("fault\n");
    exit(1)
}
