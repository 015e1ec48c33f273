//! `core/examples/micro.rs` keeps what its head promises: `rustc` builds it alone, it learns in seconds, and it invents names.
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::cross::project;

/// Lines of code at most, without blank lines and comments: the file is short enough to paste into a chat.
const LINES: usize = 143;
/// The score of counting letter triples, in nats a name, rounded up.
const TRIGRAMS: f64 = 15.9;
/// The scores are printed with two decimals: half a unit of the last, and as much again for sums in f32.
const ROUNDING: f64 = 0.01;

fn source() -> String {
    fs::read_to_string(project().join("core/examples/micro.rs")).unwrap()
}

/// Builds the file in a folder that has nothing else, and without any crate or warning.
fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("micro");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("micro.rs"), source()).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let built = rustc.current_dir(&folder).args(["--edition", "2024", "-O", "micro.rs"]).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && said.is_empty(), "{said}");
    folder.join("micro")
}

fn run(program: &Path, folder: &Path) -> Output {
    Command::new(program).current_dir(folder).output().unwrap()
}

/// The number of nats in the line that begins with `start`.
fn nats(printed: &str, start: &str) -> f64 {
    let line = printed.lines().rfind(|line| line.starts_with(start)).unwrap();
    line.split(' ').rev().nth(1).unwrap().parse().unwrap()
}

/// The states behind `start`. Each masks or fills one place of the state before it.
fn states<'a>(printed: &'a str, start: &str) -> Vec<&'a str> {
    let states: Vec<&str> =
        printed.lines().find_map(|line| line.strip_prefix(start)).unwrap().split(" → ").collect();
    for pair in states.windows(2) {
        let changes = pair[0].bytes().zip(pair[1].bytes()).filter(|(before, after)| before != after);
        let changes: Vec<_> = changes.collect();
        assert!(changes.len() == 1 && (changes[0].0 == b'_') != (changes[0].1 == b'_'), "{pair:?}");
    }
    states
}

/// The score of a network that finds all letters equally likely: −ln p(n) + n·ln 26 in the mean over the held-out names.
fn uniform(list: &str) -> f64 {
    let short = |name: &str| name.len() <= 12;
    let (mut counts, mut held_out) = ([0.0_f64; 13], Vec::new());
    for (index, name) in list.lines().enumerate().filter(|(_, name)| short(name)) {
        if index % 10 == 9 { held_out.push(name.len()) } else { counts[name.len()] += 1.0 }
    }
    let all: f64 = counts.iter().sum();
    let cost = |n: &usize| *n as f64 * 26_f64.ln() - ((12.0 * counts[*n] + 1.0) / (12.0 * all + 12.0)).ln();
    held_out.iter().map(cost).sum::<f64>() / held_out.len() as f64
}

#[test]
fn one_file_learns_and_invents_names() {
    let program = build();
    let output = run(&program, project());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{printed}");
    let list = fs::read_to_string(project().join("data/names.txt")).unwrap();

    let untrained = nats(&printed, "untrained");
    assert!(
        (untrained - uniform(&list)).abs() < ROUNDING,
        "{untrained}, and it should be {}",
        uniform(&list)
    );
    let score = nats(&printed, "step");
    assert!(score <= TRIGRAMS, "{score}");

    let forward = states(&printed, "forward: ");
    assert_eq!((forward[0], forward[9]), ("josephine", "_________"));
    let reverse = states(&printed, "reverse: ");
    assert!(reverse[0].bytes().all(|letter| letter == b'_') && reverse.len() == reverse[0].len() + 1);
    let name = reverse.last().unwrap();
    assert!(name.bytes().all(|letter| letter.is_ascii_lowercase()), "{name}");

    let known: HashSet<&str> = list.lines().collect();
    let (_, names) = printed.split_once("list:\n").unwrap();
    assert_eq!(names.lines().count(), 20);
    for line in names.lines() {
        let name = line.strip_suffix(" *").unwrap_or(line);
        assert!((1..=12).contains(&name.len()) && name.bytes().all(|letter| letter.is_ascii_lowercase()));
        assert_eq!(line.ends_with(" *"), !known.contains(name), "{line}");
    }

    let elsewhere = run(&program, program.parent().unwrap());
    let said = String::from_utf8(elsewhere.stderr).unwrap();
    assert!(elsewhere.status.code() == Some(1) && said.contains("data/names.txt"), "{said}");
}

#[test]
fn one_file_is_short() {
    let source = source();
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let count = lines.count();
    assert!(count <= LINES, "{count} lines of code");
}
