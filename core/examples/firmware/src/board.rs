//! Parts that depend on the board: the program's start, its output and its end.
//!
//! All output goes through the debugger (semihosting), which QEMU and probe-rs both serve. On your own board, replace
//! [`print`] by the display or the serial port, and [`exit`] by the code that follows the names.

use semihosting::process;
use semihosting::sys::arm_compat::sys_writec;

#[cfg(target_arch = "arm")]
pub use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
pub use riscv_rt::entry;

/// Prints `text`.
pub fn print(text: &str) {
    text.bytes().for_each(sys_writec);
}

/// Ends the program; 0 is success.
pub fn exit(code: i32) -> ! {
    process::exit(code)
}

/// Reports a panic; sampling reaches none, but code that you add may.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    print("panic\n");
    exit(1)
}

/// Reports a bus error, an undefined instruction, or a stack that ran out of memory.
#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    print("fault\n");
    exit(1)
}

/// Reports an exception on RISC-V.
#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    print("fault\n");
    exit(1)
}
