//! Training and drawing give the same bits on aarch64 and on wasm32 as on this machine.
//!
//! `tests/targets` is one program for all three. In it core's own loops train every kind of network for a few steps, and
//! models in every number format draw texts. Each line of its output holds hashes of all bits. The chips have tests of
//! their own in firmware.rs, and the instruction sets of x86-64 in widths.rs.
//!
//! Without a compiler, QEMU or Node.js this test says so and passes. `.ci/emulators` installs them. If the variable `CI`
//! is set, a missing tool is a failure.

// The core's lints are for firmware.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use common::cross::{Compiler, output, project, run_build, skip};

/// A target, how its program is run, and the program's file name.
struct Target {
    name: &'static str,
    runner: &'static [&'static str],
    file: &'static str,
}

const AARCH64: Target =
    Target { name: "aarch64-unknown-none", runner: &["qemu-aarch64"], file: "targets-checks" };
const WASM32: Target =
    Target { name: "wasm32-unknown-unknown", runner: &["node", "run.mjs"], file: "targets-checks.wasm" };

/// Lines of hashes of trained weights: as many as networks are trained.
const TRAINED: usize = 8;
/// Lines of drawn texts: five of each of three samplers, of every network, of three in two sizes of integers, of five files.
const DRAWN: usize = 5 * 3 * (TRAINED + 3 * 2 + 5);

fn folder() -> PathBuf {
    project().join("tests/targets")
}

fn target_folder() -> PathBuf {
    project().join("target/targets")
}

/// The output of the program on this machine, in a build with the arguments `profile`.
fn on_the_desktop(profile: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder()).args(["run", "--locked", "--quiet"]).args(profile);
    output(cargo.env("CARGO_TARGET_DIR", target_folder())).expect("the checks run on the desktop")
}

impl Target {
    /// The output of the program there; `None`, with the reason on stderr, if a tool is missing.
    fn run(&self) -> Option<String> {
        let how = "`.ci/emulators` installs it on Debian";
        let Some(compiler) = Compiler::find(&[self.name]) else {
            skip(&format!("no compiler here knows {}; {how}, `rustup target add` elsewhere", self.name));
            return None;
        };
        let (tool, arguments) = self.runner.split_first()?;
        if output(Command::new(tool).arg("--version")).is_none() {
            skip(&format!("{tool} is not installed, so {} was not tried; {how}", self.name));
            return None;
        }
        let mut cargo = compiler.build(self.name, "core,alloc");
        run_build(cargo.current_dir(folder()).env("CARGO_TARGET_DIR", target_folder())).unwrap();
        let program = target_folder().join(self.name).join("release").join(self.file);
        let arguments = arguments.iter().map(OsStr::new).chain([program.as_os_str()]);
        let printed = output(Command::new(tool).args(arguments).current_dir(folder()));
        Some(printed.unwrap_or_else(|| panic!("the checks fail on {}", self.name)))
    }

    fn check(&self) {
        let Some(printed) = self.run() else { return };
        same(&on_the_desktop(&["--release"]), &printed, self.name);
    }
}

/// Asserts that two runs print the same lines, and as many as there are checks.
fn same(expected: &str, printed: &str, place: &str) {
    for (expected, printed) in expected.lines().zip(printed.lines()) {
        assert_eq!(printed, expected, "{place} differs from the desktop");
    }
    assert_eq!(printed.lines().count(), TRAINED + DRAWN, "lines on {place}");
    assert_eq!(expected.lines().count(), TRAINED + DRAWN, "lines on the desktop");
}

#[test]
fn aarch64_gives_the_desktops_bits() {
    AARCH64.check();
}

#[test]
fn wasm32_gives_the_desktops_bits() {
    WASM32.check();
}

#[test]
fn a_build_without_optimisation_gives_the_desktops_bits() {
    same(&on_the_desktop(&["--release"]), &on_the_desktop(&[]), "the development build");
}

/// The control: one bit of one line is enough.
#[test]
#[should_panic(expected = "elsewhere differs from the desktop")]
fn another_bit_is_told() {
    same(
        "a: 22b7c29b6d0ad113\nb: 4fffaf45b6a35792\n",
        "a: 22b7c29b6d0ad113\nb: 4fffaf45b6a35793\n",
        "elsewhere",
    );
}
