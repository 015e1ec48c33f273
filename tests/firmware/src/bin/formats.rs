//! The negative control of the check for formatting: prints a number with a fraction.

#![no_std]
#![no_main]

use core::fmt::Write;

struct Screen;

impl Write for Screen {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        firmware_checks::board::print(text);
        Ok(())
    }
}

#[firmware_checks::board::entry]
fn main() -> ! {
    let printed = writeln!(Screen, "{}", core::hint::black_box(0.1_f32));
    firmware_checks::board::exit(i32::from(printed.is_err()))
}
