//! A list of one's own, from its lines to names on an emulated chip that are those of the desktop.
//!
//! Without QEMU or the chip's target this test says so and passes, unless `CI` is set.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::cross::{Compiler, output, project, run_build, skip};

const TARGET: &str = "thumbv7em-none-eabihf";

/// Names with capitals and accents: 16 characters at most, more than 26 and fewer than 64 different ones.
fn list() -> String {
    let names = include_str!("../data/names.txt").lines().take(2000).enumerate();
    let accented = names.map(|(number, name)| match number % 4 {
        0 => name.replace('e', "é"),
        1 => name.replace('o', "ö"),
        2 => name.replace('n', "ñ"),
        _ => name.to_owned(),
    });
    let capital = |name: String| {
        let first: String = name.chars().take(1).flat_map(char::to_uppercase).collect();
        format!("{first}{}\n", name.chars().skip(1).collect::<String>())
    };
    accented.map(capital).collect()
}

/// Runs the program in `folder`: what it printed, and what it said.
fn run(folder: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    command.current_dir(folder).args(["--threads", "1"]).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_list_with_capitals_and_accents_gives_the_desktops_names_on_a_cortex_m4f() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list.txt"), list()).unwrap();
    let train = ["train", "--input", "list.txt", "--out", "run", "--steps", "60", "--batch", "32"];
    let (_, said) = run(folder.path(), &[&train[..], &["--no-eval", "--no-pictures"]].concat());
    assert!(said.contains("network     convolution-medium 16 × 64"), "{said}");
    run(folder.path(), &["export", "--model", "run", "--format", "int8"]);
    let model = folder.path().join("run/model.int8.mdm");
    let bytes = fs::metadata(&model).unwrap().len();
    assert!(said.contains(&format!("int8  {bytes} bytes of flash")), "{said}");
    let sample = ["sample", "--model", "run/model.int8.mdm", "--seed", "1", "--num", "5", "--trace"];
    // The example has a line for each state.
    let names = run(folder.path(), &sample).0.replace(" → ", "\n");
    assert!(names.chars().any(char::is_uppercase), "{names}");

    let Some(compiler) = Compiler::find(&[TARGET]) else {
        return skip(&format!("the compiler lacks {TARGET}; `.ci/emulators` installs one that has it"));
    };
    if output(Command::new("qemu-system-arm").arg("--version")).is_none() {
        return skip("qemu-system-arm is not installed; `.ci/emulators` installs it");
    }
    let mut cargo = compiler.build(TARGET, "core");
    cargo.current_dir(project().join("core/examples/firmware")).args(["--bin", "micro-diffusion-firmware"]);
    let target = project().join("target/firmware-own");
    cargo.args(["--features", "own"]).env("CARGO_TARGET_DIR", &target).env("MODEL", &model);
    run_build(&mut cargo).unwrap();
    let mut qemu = Command::new("timeout");
    qemu.args(["600", "qemu-system-arm", "-machine", "mps2-an386", "-display", "none", "-monitor", "none"]);
    qemu.args(["-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel"]);
    qemu.arg(target.join(TARGET).join("release/micro-diffusion-firmware")).stdin(Stdio::null());
    let output = qemu.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), names, "the chip and the desktop");
}
