//! Exported C, compiled for this machine and for emulated chips, and run there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::cross::project;

/// Warnings that a C compiler must give, as errors.
pub(crate) const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"];

/// A target of C, with its compiler and emulator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) compiler: &'static str,
    flags: &'static [&'static str],
    /// The emulator, with what chooses the chip; empty on this machine.
    emulator: &'static [&'static str],
    /// Address and length of flash and of RAM, of the chips that our own linker script serves.
    memory: Option<[(u64, u64); 2]>,
}

pub(crate) const GCC: Target = Target {
    name: "gcc",
    compiler: "gcc",
    flags: &["-std=c99", "-O2", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    emulator: &[],
    memory: None,
};
pub(crate) const CLANG: Target =
    Target { name: "clang", compiler: "clang", flags: &["-std=c99", "-O2"], ..GCC };
pub(crate) const CXX: Target =
    Target { name: "g++", compiler: "g++", flags: &["-std=c++11", "-O1", "-x", "c++"], ..GCC };
/// The BBC micro:bit.
pub(crate) const CORTEX_M0: Target = Target {
    name: "Cortex-M0",
    compiler: "arm-none-eabi-gcc",
    flags: &["-mcpu=cortex-m0", "-mthumb", "-std=c99", "-O2", "-nostdlib", "-ffreestanding"],
    emulator: &["qemu-system-arm", "-machine", "microbit"],
    memory: Some([(0, 256 << 10), (0x2000_0000, 16 << 10)]),
};
/// Code for a Cortex-M0 on a board with more memory, whose Cortex-M3 runs it.
pub(crate) const LARGE_CORTEX_M0: Target = Target {
    name: "Cortex-M0 with 1 MB",
    emulator: &["qemu-system-arm", "-machine", "mps2-an385"],
    memory: Some([(0, 1 << 20), (0x2000_0000, 64 << 10)]),
    ..CORTEX_M0
};
/// The FE310.
pub(crate) const RV32: Target = Target {
    name: "RV32IMAC",
    compiler: "riscv64-unknown-elf-gcc",
    flags: &["-march=rv32imac", "-mabi=ilp32", "-std=c99", "-O2", "-nostdlib", "-ffreestanding"],
    emulator: &["qemu-system-riscv32", "-machine", "sifive_e", "-bios", "none"],
    memory: Some([(0x2040_0000, 4 << 20), (0x8000_0000, 16 << 10)]),
};
/// The CH32V003 class: no multiplier, 16 KB of flash, 2 KB of RAM. Of the compiler's libraries the nearest is that with atomics.
pub(crate) const RV32EC: Target = Target {
    name: "RV32EC",
    flags: &["-march=rv32eac", "-mabi=ilp32e", "-std=c99", "-O2", "-nostdlib", "-ffreestanding"],
    memory: Some([(0x2040_0000, 16 << 10), (0x8000_0000, 2 << 10)]),
    ..RV32
};
/// The chip of the Arduino Uno: 32 KB of flash, 2 KB of RAM.
pub(crate) const ATMEGA328P: Target = Target {
    name: "ATmega328P",
    compiler: "avr-gcc",
    flags: &["-mmcu=atmega328p", "-DF_CPU=16000000UL", "-std=c99", "-Os"],
    emulator: &["simavr", "-m", "atmega328p", "-f", "16000000"],
    memory: None,
};
/// A larger one: 128 KB, 16 KB.
pub(crate) const ATMEGA1284P: Target = Target {
    name: "ATmega1284P",
    flags: &["-mmcu=atmega1284p", "-DF_CPU=16000000UL", "-std=c99", "-Os"],
    emulator: &["simavr", "-m", "atmega1284p", "-f", "16000000"],
    ..ATMEGA328P
};

impl Target {
    /// The tools that are missing to compile for the target and to run the result.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        // Starting is enough: simavr fails on any question about itself.
        let starts = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
        let mut tools = [self.compiler].into_iter().chain(self.emulator.first().copied());
        tools.find(|tool| !starts(tool))
    }

    /// Compiles `source`, of this folder's C or elsewhere, for the model `name`, whose header lies in `folder`.
    ///
    /// # Errors
    /// The compiler's messages.
    pub(crate) fn compile(
        &self,
        source: &Path,
        folder: &Path,
        name: &str,
        more: &[&str],
    ) -> Result<PathBuf, String> {
        let capitals = name.to_uppercase();
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        let program = folder.join(format!("{name}-{stem}-{}", self.name.replace(' ', "-")));
        let mut compiler = Command::new(self.compiler);
        compiler.args(self.flags).args(WARNINGS).args(more);
        compiler.args(["-ffunction-sections", "-Wl,--gc-sections"]);
        compiler.arg(format!("-DHEADER=\"{name}.h\""));
        compiler.arg(format!("-Dmodel(name)={name}_##name")).arg(format!("-DMODEL(name)={capitals}_##name"));
        compiler.arg("-I").arg(folder).arg("-I").arg(project().join("tests/firmware/c"));
        if let Some([flash, ram]) = self.memory {
            let addresses = [("flash", flash), ("ram", ram)].map(|(name, (start, length))| {
                format!("-Wl,--defsym={name}={start},--defsym={name}_size={length}")
            });
            compiler.args(addresses).arg("-Wl,--no-warn-rwx-segments,--defsym=_start=0");
            compiler.arg("-T").arg(project().join("tests/firmware/c/chip.ld"));
        }
        compiler.arg(source).arg("-o").arg(&program);
        if self.memory.is_some() {
            // Products, where the chip has none.
            compiler.arg("-lgcc");
        }
        let said = compiler.output().map_err(|error| error.to_string())?;
        let error = || format!("{} for {}: {}", self.name, name, String::from_utf8_lossy(&said.stderr));
        if said.status.success() { Ok(program) } else { Err(error()) }
    }

    /// The output of `program`, in ten minutes at most.
    pub(crate) fn run(&self, program: &Path) -> String {
        let mut command = Command::new("timeout");
        command.arg("600").args(self.emulator).stdin(Stdio::null());
        if self.memory.is_some() {
            command.args(["-display", "none", "-monitor", "none", "-serial", "none"]);
            command.args(["-semihosting-config", "enable=on,target=native", "-kernel"]);
        }
        let output = command.arg(program).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{} on {}: {said}", program.display(), self.name);
        if self.compiler == ATMEGA328P.compiler { of_serial_port(&said) } else { said }
    }
}

/// The output that a program wrote to its serial port, from simavr's log. A line stands between a colour and a reset, and
/// ends in a full stop. Bytes beyond ASCII are in hexadecimal, as the program wrote them.
fn of_serial_port(said: &str) -> String {
    let mut bytes = Vec::new();
    for line in said.lines() {
        let line = line.replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
        let Some(line) = line.strip_suffix('.') else { continue };
        let mut pieces = line.split('\\');
        bytes.extend(pieces.next().unwrap_or_default().bytes());
        for piece in pieces {
            let (digits, rest) = piece.split_at(2);
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            bytes.extend(rest.bytes());
        }
        bytes.push(b'\n');
    }
    String::from_utf8(bytes).unwrap()
}
