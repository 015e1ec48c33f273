//! Compiling programs for other targets than this machine, with rustup's targets or with Debian's compiler, which has the
//! sources of `core` and `alloc` instead.

use std::path::Path;
use std::process::Command;

/// Set to anything by continuous integration: then nothing may be left out.
const REQUIRED: &str = "CI";

/// The folder of this project.
pub fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Says why a check is left out.
///
/// # Panics
/// The variable `CI` is set.
pub fn skip(reason: &str) {
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, but {reason}");
    eprintln!("SKIPPED: {reason}");
}

/// The stdout of `command`; `None` if it cannot run or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a build; the error is what the compiler and the linker said.
pub fn run_build(cargo: &mut Command) -> Result<(), String> {
    let output = cargo.output().map_err(|error| error.to_string())?;
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A compiler for other targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compiler {
    /// The one that compiles this test, with rustup's targets.
    Rustup,
    /// Debian's, which has the sources of `core` instead.
    Debian,
}

impl Compiler {
    /// A compiler for every target of `targets`.
    pub fn find(targets: &[&str]) -> Option<Self> {
        if Path::new("/usr/bin/rustc").exists()
            && Path::new("/usr/lib/rustlib/src/rust/library/core").exists()
            && output(Command::new("ld.lld").arg("--version")).is_some()
        {
            return Some(Self::Debian);
        }
        let list = output(Command::new("rustup").args(["target", "list", "--installed"])).unwrap_or_default();
        let installed = |target: &&str| list.lines().any(|line| line == *target);
        targets.iter().all(installed).then_some(Self::Rustup)
    }

    /// Cargo's `build` for `target`; Debian's compiler also builds the `libraries`, such as `core`.
    pub fn build(self, target: &str, libraries: &str) -> Command {
        let mut cargo = match self {
            Self::Rustup => Command::new("cargo"),
            Self::Debian => {
                let mut cargo = Command::new("/usr/bin/cargo");
                cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                // The linker of Rust's own targets is not in Debian.
                let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
                cargo.env(variable, if target.starts_with("wasm") { "wasm-ld" } else { "ld.lld" });
                cargo.env_remove("RUSTFLAGS").env_remove("RUSTUP_TOOLCHAIN");
                cargo.arg(format!("-Zbuild-std={libraries}"));
                cargo
            }
        };
        cargo.args(["build", "--release", "--locked", "--quiet", "--target", target]);
        cargo
    }
}
