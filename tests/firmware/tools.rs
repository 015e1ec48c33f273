//! Compiling firmware, running it on emulated chips, and reading what the linker made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use common::cross::{Compiler, output, run_build};
pub(crate) use common::cross::{project, skip};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionKind};

/// An emulated chip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chip {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    qemu: &'static str,
    machine: &'static [&'static str],
    /// The first address of its memory, and the first after it.
    pub(crate) memory: (u64, u64),
    /// The clock of the chip it stands for.
    pub(crate) clock_mhz: u32,
}

pub(crate) const MICROBIT: Chip = Chip {
    name: "BBC micro:bit (nRF51822, Cortex-M0)",
    target: "thumbv6m-none-eabi",
    qemu: "qemu-system-arm",
    machine: &["-machine", "microbit"],
    memory: (0x2000_0000, 0x2000_4000),
    clock_mhz: 16,
};
pub(crate) const CORTEX_M3: Chip = Chip {
    name: "Cortex-M3",
    target: "thumbv7m-none-eabi",
    qemu: "qemu-system-arm",
    machine: &["-machine", "mps2-an385"],
    memory: (0x2000_0000, 0x2000_4000),
    clock_mhz: 72,
};
pub(crate) const CORTEX_M4F: Chip = Chip {
    name: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    qemu: "qemu-system-arm",
    machine: &["-machine", "mps2-an386"],
    memory: (0x2000_0000, 0x2000_4000),
    clock_mhz: 64,
};
pub(crate) const RISC_V: Chip = Chip {
    name: "RV32IMAC (FE310)",
    target: "riscv32imac-unknown-none-elf",
    qemu: "qemu-system-riscv32",
    machine: &["-machine", "sifive_e", "-bios", "none"],
    memory: (0x8000_0000, 0x8000_4000),
    clock_mhz: 16,
};

/// The CH32V003 class. The emulated chip is the FE310, which runs its instructions among others.
pub(crate) const TEN_CENT: Chip = Chip {
    name: "ten-cent class (CH32V003, RV32EC)",
    target: "riscv32emc-unknown-none-elf",
    memory: (0x8000_0000, 0x8000_0800),
    clock_mhz: 48,
    ..RISC_V
};

/// The folder of all builds of these tests.
fn target_folder() -> PathBuf {
    project().join("target/firmware")
}

/// The tools, found once; `None`, with the reason on stderr, where one is missing.
pub(crate) fn tools() -> Option<Tools> {
    static FOUND: OnceLock<Result<Compiler, String>> = OnceLock::new();
    match FOUND.get_or_init(find) {
        Ok(compiler) => Some(Tools { compiler: *compiler }),
        Err(missing) => {
            skip(&format!("{missing}; `.ci/emulators` installs it"));
            None
        }
    }
}

fn find() -> Result<Compiler, String> {
    for tool in ["qemu-system-arm", "qemu-system-riscv32", "gcc"] {
        if output(Command::new(tool).arg("--version")).is_none() {
            return Err(format!("{tool} is not installed"));
        }
    }
    let chips = [MICROBIT, CORTEX_M3, CORTEX_M4F, RISC_V].map(|chip| chip.target);
    Compiler::find(&chips).ok_or_else(|| "the compiler lacks the chips' targets".to_owned())
}

/// Proof that every tool is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tools {
    compiler: Compiler,
}

/// A program to build.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Program {
    /// The folder of its package, in the project.
    pub(crate) package: &'static str,
    pub(crate) binary: &'static str,
    /// Comma-separated.
    pub(crate) features: &'static str,
}

impl Program {
    /// A program of the checks.
    pub(crate) fn check(binary: &'static str) -> Self {
        Self { package: "tests/firmware", binary, features: "" }
    }
}

impl Tools {
    /// Whether the ten-cent chip's target can be compiled: it needs `core` from source, which rustup's targets are not.
    pub(crate) fn has_ten_cent(&self) -> bool {
        let has = self.compiler == Compiler::Debian;
        if !has {
            skip(&format!("{} needs the sources of `core`; `.ci/emulators` installs them", TEN_CENT.target));
        }
        has
    }

    /// The compiler's version, by which the committed figures were made.
    pub(crate) fn compiler_version(&self) -> String {
        let mut rustc = match self.compiler {
            Compiler::Rustup => Command::new("rustc"),
            Compiler::Debian => Command::new("/usr/bin/rustc"),
        };
        let version = output(rustc.arg("--version")).unwrap_or_default();
        version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Builds `program` for `target`; the error is what the compiler and the linker said.
    pub(crate) fn build(&self, program: Program, target: &str) -> Result<PathBuf, String> {
        self.build_with(program, target, &[])
    }

    /// Builds with more arguments for cargo.
    pub(crate) fn build_with(
        &self,
        program: Program,
        target: &str,
        arguments: &[&str],
    ) -> Result<PathBuf, String> {
        // One at a time: the next build may replace the file.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _one = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut cargo = self.compiler.build(target, "core");
        cargo.current_dir(project().join(program.package));
        cargo.args(["--bin", program.binary, "--features", program.features]).args(arguments);
        cargo.env("CARGO_TARGET_DIR", target_folder());
        run_build(&mut cargo)?;
        let built = target_folder().join(target).join("release").join(program.binary);
        let kept = target_folder().join(format!("{target}-{}-{}", program.binary, program.features));
        std::fs::copy(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
        Ok(kept)
    }

    /// Runs `elf` on `chip` with `arguments` added: its exit code, and what it printed.
    pub(crate) fn run(&self, chip: Chip, elf: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let mut qemu = Command::new(chip.qemu);
        qemu.args(chip.machine).args(["-display", "none", "-monitor", "none", "-serial", "none"]);
        qemu.args(["-semihosting-config", "enable=on,target=native"]).args(arguments);
        qemu.arg("-kernel").arg(elf).stdin(Stdio::null());
        limited(qemu)
    }

    /// Runs `elf` on `chip` and counts, with a note of each entry of the function whose symbol is `mark`.
    pub(crate) fn count(&self, chip: Chip, elf: &Path, mark: Option<&str>) -> Counts {
        static PLUGIN: OnceLock<PathBuf> = OnceLock::new();
        let plugin = PLUGIN.get_or_init(|| {
            let library = target_folder().join("count.so");
            let mut gcc = Command::new("gcc");
            gcc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library);
            gcc.arg(project().join("tests/firmware/count.c"));
            assert!(gcc.status().unwrap().success(), "the instruction counter does not compile");
            library
        });
        let image = Image::read(elf);
        let (low, high) = (chip.memory.0 + image.static_memory, chip.memory.1);
        let out = elf.with_extension("count");
        let mark =
            mark.map_or(String::new(), |name| format!(",mark={:#x}", image.symbol(name).unwrap() & !1));
        let option = format!("{},out={}{mark},low={low:#x},high={high:#x}", plugin.display(), out.display());
        let (code, printed) = self.run(chip, elf, &["-plugin", &option]);
        assert_eq!(code, Some(0), "{}: {printed}", elf.display());
        Counts::read(&std::fs::read_to_string(out).unwrap(), high)
    }
}

/// Builds the checks for this machine, with or without optimisation; the folder of the programs.
pub(crate) fn build_for_desktop(profile: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project().join("tests/firmware"));
    cargo.args(["build", "--locked", "--quiet", "--profile", profile]);
    cargo.env("CARGO_TARGET_DIR", target_folder());
    run_build(&mut cargo).unwrap();
    target_folder().join(if profile == "dev" { "debug" } else { profile })
}

/// Runs `command` for ten minutes at most: its exit code, and what it printed.
pub(crate) fn limited(command: Command) -> (Option<i32>, String) {
    let mut limited = Command::new("timeout");
    limited.arg("600").arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    let output = limited.output().unwrap();
    // QEMU prints what the program says on stderr, a program of the desktop on stdout.
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Results of the instruction counter.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Instructions and cycles until each entry of the marked function.
    pub(crate) marks: Vec<(u64, u64)>,
    /// Deepest stack, in bytes.
    pub(crate) stack: u64,
}

impl Counts {
    fn read(text: &str, high: u64) -> Self {
        let (mut marks, mut stack) = (Vec::new(), None);
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let field = |index: usize| fields[index].parse::<u64>().unwrap();
            match fields[0] {
                "mark" => marks.push((field(1), field(2))),
                _ => stack = Some(high - field(3)),
            }
        }
        Self { marks, stack: stack.unwrap() }
    }
}

/// A linked program.
#[derive(Debug)]
pub(crate) struct Image {
    /// Bytes of flash: all that is loaded.
    pub(crate) flash: u64,
    /// Bytes of memory that variables take for the whole run.
    pub(crate) static_memory: u64,
    /// The symbols and their addresses.
    pub(crate) symbols: Vec<(String, u64)>,
    /// The code.
    pub(crate) code: Vec<u8>,
}

impl Image {
    pub(crate) fn read(elf: &Path) -> Self {
        let bytes = std::fs::read(elf).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let variables = |kind| matches!(kind, SectionKind::Data | SectionKind::UninitializedData);
        let reserved = |name: &str| name.starts_with(".stack") || name.starts_with(".heap");
        let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
        Self {
            flash: file.segments().map(|segment| segment.file_range().1).sum(),
            static_memory: file
                .sections()
                .filter(|section| variables(section.kind()) && !section.name().is_ok_and(reserved))
                .map(|section| section.size())
                .sum(),
            symbols: file
                .symbols()
                .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))
                .collect(),
            code: code.flat_map(|section| section.data().unwrap().to_vec()).collect(),
        }
    }

    /// The address of a symbol.
    pub(crate) fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|(symbol, _)| symbol == name).map(|(_, address)| *address)
    }

    /// The symbols whose names contain one of `parts`.
    pub(crate) fn symbols_with(&self, parts: &[&str]) -> Vec<&str> {
        let names = self.symbols.iter().map(|(name, _)| name.as_str());
        names.filter(|name| parts.iter().any(|part| name.contains(part))).collect()
    }
}
