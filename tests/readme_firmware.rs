//! The firmware guide's program as a reader gets it. Its four files are pasted into an empty package, built, and run on
//! an emulated chip, where they print the desktop's names. The program also fits every board of the guide's table.
//!
//! Without QEMU or the chips' targets these tests say so and pass. `.ci/emulators` installs both. If the variable `CI` is
//! set, every test must run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::cross::{Compiler, output, project, run_build, skip};
use tempfile::TempDir;

const TARGET: &str = "thumbv6m-none-eabi";
/// The four files, in the order of the guide.
const FILES: [&str; 4] = ["src/main.rs", "Cargo.toml", ".cargo/config.toml", "memory.x"];

fn readme() -> String {
    fs::read_to_string(project().join("core/examples/firmware/README.md")).unwrap()
}

/// The blocks of code between the texts `from` and `to`.
fn blocks<'a>(readme: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    let part = readme.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let inside = part.split("\n```").skip(1).step_by(2);
    inside.map(|block| block.split_once('\n').unwrap().1).collect()
}

/// A package of the guide's files with the model `bytes`.
fn package(bytes: &[u8]) -> TempDir {
    let (folder, readme) = (TempDir::new().unwrap(), readme());
    let blocks = blocks(&readme, "## A firmware of your own", "## Your board");
    assert_eq!(blocks.len(), FILES.len());
    for (path, text) in FILES.iter().zip(blocks) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    fs::write(folder.path().join("src/names-int4.mdm"), bytes).unwrap();
    // The committed crate is tried, not the published one.
    let here = format!("{{ path = {:?} }}", project().canonicalize().unwrap().join("core"));
    let published = r#"{ git = "https://github.com/micro-diffusion/micro-diffusion-rs" }"#;
    replace(&folder.path().join("Cargo.toml"), published, &here);
    let lock = |more: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.arg("generate-lockfile").args(more).current_dir(folder.path());
        run_build(&mut cargo)
    };
    lock(&["--offline"]).or_else(|_| lock(&[])).unwrap();
    folder
}

/// Replaces `old` in the file at `path`, which has it, by `new`.
fn replace(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{} lacks {old}", path.display());
    fs::write(path, text.replace(old, new)).unwrap();
}

/// Builds the package in `folder` for `target`; the program.
fn build(compiler: Compiler, folder: &Path, target: &str) -> PathBuf {
    let out = project().join("target/readme-firmware");
    let mut cargo = compiler.build(target, "core");
    run_build(cargo.current_dir(folder).env("CARGO_TARGET_DIR", &out)).unwrap();
    out.join(target).join("release/names")
}

/// The compiler for `targets`; `None`, with the reason on stderr, where it is missing.
fn compiler(targets: &[&str]) -> Option<Compiler> {
    let found = Compiler::find(targets);
    if found.is_none() {
        skip(&format!("no compiler here knows {targets:?}; `.ci/emulators` installs one on Debian"));
    }
    found
}

/// The stdout of the program.
fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the guide's package with `model` prints the names of `sample` on the emulated micro:bit. Each of `changes`
/// replaces the first of its texts in the program.
fn check(model: &Path, changes: &[(&str, &str)]) {
    let Some(compiler) = compiler(&[TARGET]) else { return };
    if output(Command::new("qemu-system-arm").arg("--version")).is_none() {
        return skip("qemu-system-arm is not installed; `.ci/emulators` installs it on Debian");
    }
    let folder = package(&fs::read(model).unwrap());
    for (old, new) in changes {
        replace(&folder.path().join(FILES[0]), old, new);
    }
    let program = build(compiler, folder.path(), TARGET);
    // The line of `.cargo/config.toml` that runs it.
    let config = fs::read_to_string(folder.path().join(FILES[2])).unwrap();
    let runner = config.split_once("\nrunner = \"").unwrap().1.split_once('"').unwrap().0;
    let run = format!("timeout 600 {runner} {}", program.display());
    let run = Command::new("sh").args(["-c", &run]).stdin(Stdio::null()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let printed = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
    let names: Vec<&str> = printed.lines().filter_map(|line| line.split(' ').next_back()).collect();
    let expected = stdout(folder.path(), &["sample", "--model", "src/names-int4.mdm"]);
    assert_eq!(names, expected.lines().collect::<Vec<_>>());
    assert!(printed.contains('_'), "states are shown: {printed}");
}

/// Trains the network `config` on `list` in `folder`, for `steps` steps.
fn train(folder: &Path, list: &[String], config: &str, steps: &str) -> PathBuf {
    fs::write(folder.join("list.txt"), list.join("\n")).unwrap();
    let train = ["train", "--input", "list.txt", "--config", config, "--quantize", "int4", "--steps", steps];
    stdout(folder, &[&train[..], &["--no-eval", "--no-pictures", "--quiet", "--out", config]].concat());
    folder.join(config).join("model.mdm")
}

/// One after the other: all are built at one place.
#[test]
fn the_readmes_firmware_prints_the_desktops_names() {
    check(&project().join("data/names-int4.mdm"), &[]);

    // Eight letters, where the network has room for 26.
    let folder = TempDir::new().unwrap();
    let letter = |number: usize| char::from(b"abeglmor"[number % 8]);
    let name = |number: usize| {
        (0..3 + number % 6).map(move |place| letter(number / 3 * 5 + place * (number % 7 + 1)))
    };
    let list: Vec<String> = (0..400).map(|number| name(number).collect()).collect();
    check(&train(folder.path(), &list, "perceptron", "300"), &[]);

    // Another network in another room, whose texts of 24 letters have 72 bytes.
    let letter = |number: usize| char::from_u32(u32::from('一') + number as u32 % 60).unwrap();
    let line = |number: usize| (0..24).map(|place| letter(number * 7 + place * (number % 5 + 1))).collect();
    let list: Vec<String> = (0..100).map(line).collect();
    check(
        &train(folder.path(), &list, "convolution-small", "2"),
        &[
            (
                "Integers<Perceptron, Int4, POSITIONS, 26>",
                "Integers<ConvolutionSmall<24, 64>, Int4, POSITIONS, 64>",
            ),
            ("const POSITIONS: usize = 12;", "const POSITIONS: usize = 24;"),
            ("Sampler::<POSITIONS, 26>", "Sampler::<POSITIONS, 64>"),
        ],
    );
}

/// The boards of the guide's table: its cells.
fn boards(readme: &str) -> Vec<Vec<&str>> {
    let table = readme.split_once("\n| board | chip |").unwrap().1.split_once("\n\n").unwrap().0;
    table.lines().skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// `0x08000000, 128K` as the linker takes it.
fn region(name: &str, cell: &str) -> Option<String> {
    let (origin, length) = cell.split_once(", ")?;
    Some(format!("{name} : ORIGIN = {origin}, LENGTH = {length}\n"))
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn the_readmes_firmware_fits_every_board_of_its_table() {
    let readme = readme();
    let boards = boards(&readme);
    assert_eq!(boards.len(), 7);
    let target = |board: &[&str]| board[2].trim_matches('`').to_owned();
    let arm: Vec<_> = boards.iter().filter(|board| target(board).starts_with("thumb")).collect();
    assert_eq!(arm.len(), 4);
    let targets: Vec<String> = arm.iter().map(|board| target(board)).collect();
    let Some(compiler) = compiler(&targets.iter().map(String::as_str).collect::<Vec<_>>()) else { return };
    let model = fs::read(project().join("data/names-int4.mdm")).unwrap();
    for board in arm {
        let folder = package(&model);
        let memory = [region("FLASH", board[3]).unwrap(), region("RAM", board[4]).unwrap()].concat();
        fs::write(folder.path().join("memory.x"), format!("MEMORY {{\n{memory}}}\n")).unwrap();
        replace(&folder.path().join(".cargo/config.toml"), TARGET, &target(board));
        build(compiler, folder.path(), &target(board));
    }
    // The example has two of the maps as files.
    for (name, memory) in [("Longan Nano", "gd32vf103cb.x"), ("Nucleo-F103RB", "stm32f103rb.x")] {
        let board = boards.iter().find(|board| board[0] == name).unwrap();
        let example = project().join("core/examples/firmware");
        let memory = format!("memory/{memory}");
        let text = fs::read_to_string(example.join(&memory)).unwrap().replace("   : ", " : ");
        let regions = [region("FLASH", board[3]), region("RAM", board[4])];
        assert!(
            regions.iter().flatten().all(|region| text.contains(region)),
            "{name}: {regions:?} in {text}"
        );
        let mut cargo = compiler.build(&target(board), "core");
        cargo.args(["--bin", "micro-diffusion-firmware"]).current_dir(example).env("MEMORY", memory);
        run_build(cargo.env("CARGO_TARGET_DIR", project().join("target/readme-firmware"))).unwrap();
    }
}
