//! Reading lists: encodings, dropped characters, columns, stdin, and lists that are gone or altered when their run is
//! resumed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

/// The options of a training run of a moment.
const SHORT: [&str; 9] =
    ["train", "--config", "perceptron-small", "--steps", "20", "--batch", "8", "--no-eval", "--no-pictures"];

struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(TempDir::new().unwrap());
        let names: String =
            include_str!("../data/names.txt").lines().take(200).map(|name| format!("{name}\n")).collect();
        scene.write("names.txt", names.as_bytes());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs with `input` on stdin.
    fn fed(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that refuses reads no further.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs and expects success; stderr.
    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        said(arguments, &self.run(arguments))
    }

    /// Runs and expects failure; stderr.
    #[track_caller]
    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    /// A short run on `list` into `run`, with `more` options; stderr.
    #[track_caller]
    fn train(&self, list: &str, more: &[&str]) -> String {
        self.good(&[&SHORT[..], &["--input", list, "--out", "run"], more].concat())
    }

    /// One step of the network that the list takes, with `options`; stderr.
    #[track_caller]
    fn step(&self, options: &[&str]) -> String {
        self.good(&[&["train", "--steps", "1", "--no-eval", "--no-pictures"], options].concat())
    }

    /// Runs a command of a shell in the folder, where the program is in the path; its output.
    #[track_caller]
    fn paste(&self, command: &str) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_micro-diffusion")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-ec", command])
            .current_dir(self.0.path())
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

#[track_caller]
fn said(arguments: &[&str], output: &Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts each part of `stderr`.
#[track_caller]
fn says(stderr: &str, parts: &[&str]) {
    for part in parts {
        assert!(stderr.contains(part), "should say “{part}”: {stderr}");
    }
}

/// Whether `program` can be run here.
fn available(program: &str) -> bool {
    Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok()
}

#[test]
fn what_cannot_be_seen_is_dropped_and_counted() {
    let scene = Scene::new();
    let list = "\u{feff}anna\nbob\n\u{feff}anna\ncarla\ndora\u{200b}\ndora\ne\u{ad}va\neva\n\u{200f}fina\nfina\n\u{202e}gina \u{200d}\n\u{3164}\n";
    scene.write("list.txt", list.as_bytes());
    let stderr = scene.train("list.txt", &[]);
    says(
        &stderr,
        &["7 lines to train on", "1 blank line", "4 repeated lines", "characters: abcdefgilnorv\n"],
    );
    says(
        &stderr,
        &["7 characters dropped that cannot be seen: U+00AD U+200B U+200D U+200F U+202E U+3164 U+FEFF"],
    );
    assert_eq!(scene.read("run/prepared_list.txt"), "anna\nbob\ncarla\ndora\neva\nfina\ngina\n");
}

#[test]
fn what_is_not_seen_but_shapes_its_neighbours_stays() {
    let scene = Scene::new();
    let kept = [
        "👩\u{200d}🚀",
        "❤\u{fe0f}\u{200d}🔥",
        "👍🏽",
        "1\u{fe0f}\u{20e3}",
        "🏴\u{e0067}\u{e0062}\u{e007f}",
        "می\u{200c}روم",
        "ക\u{d4d}\u{200d}",
        "葛\u{e0100}",
        "\u{1820}\u{180b}",
    ];
    let dropped = ["a\u{200d}b", "می\u{200c}", "👩\u{200d}", "a\u{fe0f}", "x\u{e0061}", "क\u{feff}ा"];
    scene.write("list.txt", kept.into_iter().chain(dropped).collect::<Vec<_>>().join("\n").as_bytes());
    let stderr = scene.step(&["--input", "list.txt", "--out", "run"]);
    let prepared = scene.read("run/prepared_list.txt");
    let lines: Vec<&str> = prepared.lines().collect();
    assert_eq!(lines[..kept.len()], kept);
    assert_eq!(lines[kept.len()..], ["ab", "می", "👩", "a", "x", "का"]);
    says(&stderr, &["6 characters dropped that cannot be seen"]);
    // Characters that stay show their code points in the alphabet.
    says(&stderr, &["U+200C U+200D U+FE0F"]);
    // Prepared once more, it is the same.
    scene.step(&["--input", "run/prepared_list.txt", "--out", "again"]);
    assert_eq!(scene.read("again/prepared_list.txt"), prepared);
}

#[test]
fn beside_open_letters_a_pattern_is_prepared_as_beside_letters() {
    let scene = Scene::new();
    let drawn = |pattern: &str| {
        let arguments = ["sample", "--model", "run", "--num", "5", "--pattern", pattern];
        let output = scene.run(&arguments);
        said(&arguments, &output);
        text(&output.stdout)
    };
    let all = |pattern: &str, is_met: &dyn Fn(&str) -> bool| {
        let names = drawn(pattern);
        assert!(names.lines().count() == 5 && names.lines().all(is_met), "{pattern}: {names}");
    };
    let list = |lines: &[&str], more: &[&str]| {
        scene.write("list.txt", lines.join("\n").as_bytes());
        scene.train("list.txt", more);
    };
    list(&["ΠΑΣΑΣ", "ΣΑΠΑ", "ΑΠΑΣ", "ΠΑΠΑΣ", "ΣΑΣΑΠ"], &["--lowercase"]);
    all("ΠΑΣ*", &|name| name.starts_with("πασ"));
    all("ΑΣ?", &|name| name.starts_with("ασ"));
    all("?ΑΣ", &|name| name.ends_with("ας"));
    all("*Σ", &|name| name.ends_with('ς'));
    assert_eq!(drawn("**ΑΣ"), drawn("*ας"));
    list(&["می\u{200c}روم", "نمی\u{200c}روم", "می\u{200c}خورم"], &[]);
    all("می\u{200c}*", &|name| name.starts_with("می\u{200c}"));
    all("?\u{200c}روم", &|name| name.ends_with("\u{200c}روم"));
    assert_eq!(drawn("می*\u{200c}\u{feff}"), drawn("می*"), "at an end it shapes nothing");
    list(&["👩\u{200d}🚀", "👩\u{200d}🔬", "1\u{fe0f}\u{20e3}", "2\u{fe0f}\u{20e3}"], &[]);
    all("👩\u{200d}?", &|name| name.starts_with("👩\u{200d}"));
    all("?\u{fe0f}\u{20e3}", &|name| name.ends_with("\u{fe0f}\u{20e3}"));
}

#[test]
fn blanks_of_any_kind_are_named() {
    let scene = Scene::new();
    scene.write("list.txt", "an na\nbo\u{a0}b\n".as_bytes());
    says(&scene.train("list.txt", &[]), &["6 characters: abno U+0020 U+00A0\n"]);
    let output = scene.run(&["inspect", "run"]);
    says(&text(&output.stdout), &["abno U+0020 U+00A0\n"]);
}

/// `text` in UTF-16, the bytes of each unit by `bytes`, after its mark.
fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
}

#[test]
fn utf_16_with_its_mark_is_read() {
    let scene = Scene::new();
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        scene.write("list.txt", &utf16("Zoë\r\nanna\r\n𝒷ob\r\n", bytes));
        says(&scene.train("list.txt", &[]), &["3 lines to train on", "characters: Zabnoë𝒷"]);
        let mut cut = utf16("anna\n", bytes);
        cut.pop();
        scene.write("list.txt", &cut);
        says(&scene.bad(&["train", "--input", "list.txt"]), &["UTF-16", "cut"]);
    }
    let output = scene.fed(&["score", "-"], &utf16("emma\n", u16::to_le_bytes));
    assert_eq!(output.stdout, scene.run(&["score", "emma"]).stdout);
}

/// Each encoding is named, and the command that is advised makes the list what it was.
#[test]
#[cfg(unix)]
fn what_is_not_utf_8_is_named_with_a_command_that_helps() {
    let scene = Scene::new();
    if !available("iconv") {
        return;
    }
    let cases = [
        ("WINDOWS-1252", "O’Tamu\nD’Kelo\nanna\nŒvar\n", "windows-1252"),
        ("WINDOWS-1252", "Müller\nRenée\nanna\n", "windows-1252"),
        ("WINDOWS-1250", "Jiří\nŠtěpán\nŽofie\nTomáš\n", "windows-1250"),
        ("WINDOWS-1251", "Анна\nБорис\nЮлия\n", "windows-1251"),
        ("CP932", "田中\n鈴木\n佐藤\n", "CP932"),
        ("GB18030", "王伟\n李娜\n张敏\n刘洋\n", "GB18030"),
        ("UTF-16LE", "anna\nbob\n", "UTF-16LE"),
        ("UTF-32", "anna\nbob\n", "UTF-32"),
    ];
    for (encoding, list, name) in cases {
        scene.write("it's a list.utf-8", list.as_bytes());
        scene.paste(&format!("iconv -f UTF-8 -t {encoding} < 'it'\\''s a list.utf-8' > \"it's a list\""));
        let stderr = scene.bad(&["train", "--input", "it's a list", "--steps", "1"]);
        says(&stderr, &[name]);
        let (_, command) = stderr.trim_end().split_once(" with: ").unwrap();
        scene.paste(command);
        assert_eq!(scene.read("it's a list.txt"), list, "{encoding}");
    }
    // Lists that the wrong advice would have made.
    for (encoding, list) in [("WINDOWS-1252", "O’Tamu\nŒvar\n"), ("UTF-16", "anna\nbob\n")] {
        scene.write("list", list.as_bytes());
        scene.paste(&format!("iconv -f UTF-8 -t {encoding} < list | iconv -f LATIN1 -t UTF-8 > wrong"));
        let stderr = scene.bad(&["train", "--input", "wrong"]);
        let (_, command) = stderr.trim_end().split_once(" with: ").unwrap();
        scene.paste(command);
        assert_eq!(scene.read("wrong.txt"), list, "{encoding}: {stderr}");
    }
    // One line that is not, among others that are.
    scene.write("mixed", "Zoë\nRené\nJos\u{e9}\n".as_bytes());
    let mut bytes = fs::read(scene.path("mixed")).unwrap();
    bytes.extend(b"Mar\xEDa\n");
    scene.write("mixed", &bytes);
    let stderr = scene.bad(&["train", "--input", "mixed"]);
    says(&stderr, &["line 4", "3 other lines"]);
    // The command reports dropped bytes by its exit code.
    scene.paste(&format!("{} || true", stderr.trim_end().split_once(" with: ").unwrap().1));
    says(&scene.read("mixed.txt"), &["Zoë\nRené\nJosé\nMara\n"]);
}

#[test]
#[cfg(unix)]
fn a_control_character_is_refused_with_a_command_that_helps() {
    let scene = Scene::new();
    for (list, what, made) in [
        ("anna\rbob\r", "carriage return", "anna\nbob\n"),
        ("anna\nb\tob\n", "a tab", "anna\nb ob\n"),
        ("anna\nb\u{1b}ob\n", "U+001B", "anna\nbob\n"),
        ("anna\nb\u{85}ob€\n", "U+0085", "anna\nbob€\n"),
    ] {
        scene.write("list", list.as_bytes());
        let stderr = scene.bad(&["train", "--input", "list"]);
        says(&stderr, &[what]);
        scene.paste(stderr.trim_end().split_once(" with: ").unwrap().1);
        assert_eq!(scene.read("list.txt"), made, "{stderr}");
    }
}

/// Only what a command has is advised.
#[test]
fn a_table_is_said_to_have_columns_where_they_can_be_taken() {
    let scene = Scene::new();
    let rows: String = scene.read("names.txt").lines().map(|name| format!("1\t{name}\n")).collect();
    scene.write("table.tsv", rows.as_bytes());
    let output = scene.fed(&["score", "-"], rows.as_bytes());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("expand -t 1") && !stderr.contains("--column"), "{stderr}");
    let output = scene.fed(&["score", "-"], b"PK\x03\x04..[Content_Types].xml\xff\0");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("office document") && !stderr.contains("--column"), "{stderr}");
    for verb in ["sample", "sweep", "eval"] {
        let command = [verb, "--model", "built-in", "--input", "table.tsv", "--num", "2"];
        says(&scene.bad(&command), &["table.tsv: the list looks like a table", "--column 1"]);
        scene.good(&[&command[..], &["--column", "2"]].concat());
    }
    // The measurements of `bench` are of the built-in names, whatever is in the folder.
    fs::create_dir(scene.path("data")).unwrap();
    fs::copy(scene.path("table.tsv"), scene.path("data/names.txt")).unwrap();
    scene.good(&["bench", "--config", "perceptron-small", "--batch", "1"]);
}

#[test]
#[cfg(unix)]
fn compressed_lists_are_named_with_a_command_that_helps() {
    let scene = Scene::new();
    let names = scene.read("names.txt");
    for (program, pack, name) in [
        ("gzip", "gzip -c names.txt", "gzip"),
        ("bzip2", "bzip2 -c names.txt", "bzip2"),
        ("xz", "xz -c names.txt", "xz"),
        ("zstd", "zstd -qc names.txt", "zstd"),
        ("zip", "zip -q - names.txt", "zip"),
    ] {
        if !available(program) {
            continue;
        }
        scene.paste(&format!("{pack} > 'my list'"));
        let stderr = scene.bad(&["train", "--input", "my list"]);
        says(&stderr, &["my list is", name]);
        scene.paste(stderr.trim_end().split_once(" with: ").unwrap().1);
        assert_eq!(scene.read("my list.txt"), names, "{program}");
        if program == "gzip" {
            let output = scene.fed(&["train", "--input", "-"], &fs::read(scene.path("my list")).unwrap());
            says(&text(&output.stderr), &["stdin is compressed by gzip", "piping it through: gzip -dc"]);
        }
    }
    for (bytes, name) in [
        (&b"PK\x03\x04..[Content_Types].xml\xff\0"[..], "office document"),
        (b"%PDF-1.7\n\xff", "PDF"),
        (b"\x89PNG\r\n", "picture"),
        (b"anna\0bob\n", "U+0000"),
    ] {
        scene.write("list", bytes);
        says(&scene.bad(&["train", "--input", "list"]), &[name]);
    }
}

#[test]
fn a_list_from_stdin_is_kept_for_the_next_time() {
    let scene = Scene::new();
    let names = scene.read("names.txt");
    for (number, stdin) in ["-", "/dev/stdin"].into_iter().enumerate() {
        if number > 0 && !cfg!(unix) {
            continue;
        }
        let arguments = [&SHORT[..], &["--input", stdin]].concat();
        says(&said(&arguments, &scene.fed(&arguments, names.as_bytes())), &["data        stdin: 180 lines"]);
        assert_eq!(scene.read("runs/stdin/prepared_list.txt"), names);
        let note = "trained on stdin; its copy in the run folder, runs/stdin/prepared_list.txt, is taken";
        says(&scene.good(&["eval", "--model", "runs/stdin", "--num", "0", "--orders", "1"]), &[note]);
        says(&scene.good(&["export", "--model", "runs/stdin", "--format", "int8"]), &[note]);
        says(
            &scene.good(&["train", "--out", "runs/stdin", "--resume", "--no-eval", "--no-pictures"]),
            &[note],
        );
        // Given once more, it is read once more.
        let resume =
            ["train", "--out", "runs/stdin", "--resume", "--input", stdin, "--no-eval", "--no-pictures"];
        said(&resume, &scene.fed(&resume, names.as_bytes()));
        let output = scene.fed(&resume, b"anna\nbob\n");
        says(&text(&output.stderr), &["the training lines or the alphabet differ"]);
        fs::remove_file(scene.path("runs/stdin/prepared_list.txt")).unwrap();
        says(&scene.bad(&["eval", "--model", "runs/stdin"]), &["trained on stdin", "name it with --input"]);
        fs::remove_dir_all(scene.path("runs")).unwrap();
    }
    let scored =
        |input: &str| scene.fed(&["eval", "--num", "0", "--orders", "1", "--input", input], names.as_bytes());
    assert_eq!(
        text(&scored("-").stdout).replace("stdin", "names.txt"),
        text(&scored("names.txt").stdout),
        "eval reads stdin too"
    );
}

#[test]
fn a_stream_is_a_list_for_whoever_reads_it_again() {
    let scene = Scene::new();
    scene.train("names.txt", &[]);
    let page = ["export", "--model", "run", "--format", "html", "--quantize", "int8", "--out"];
    scene.good(&[&page[..], &["file.html", "--input", "names.txt"]].concat());
    let from_stdin = [&page[..], &["stdin.html", "--input", "-"]].concat();
    said(&from_stdin, &scene.fed(&from_stdin, scene.read("names.txt").as_bytes()));
    assert_eq!(scene.read("stdin.html"), scene.read("file.html"));
    if available("bash") {
        scene.paste(&format!(
            "micro-diffusion {} pipe.html --input <(cat names.txt) && cmp pipe.html file.html",
            page.join(" ")
        ));
    }
}

/// A later process would wait for a pipe without end, or get other lines.
#[test]
fn a_pipe_is_read_by_the_run_alone() {
    let scene = Scene::new();
    if !available("bash") {
        return;
    }
    scene.paste(&format!("micro-diffusion {} --input <(cat names.txt) --out run", SHORT.join(" ")));
    assert!(scene.read("run/settings.json").contains("\"input\": \"-\""));
    let eval = ["eval", "--model", "run", "--num", "0", "--orders", "1"];
    says(
        &scene.good(&eval),
        &["trained on stdin; its copy in the run folder, run/prepared_list.txt, is taken"],
    );
    // A pipe where the list was.
    scene.train("names.txt", &[]);
    scene.paste("mv names.txt kept.txt && mkfifo names.txt");
    for arguments in [
        &eval[..],
        &["sample", "--novel", "--model", "run"],
        &["train", "--out", "run", "--resume", "--no-eval", "--no-pictures"],
    ] {
        says(&scene.good(arguments), &["names.txt, which is no longer a file; its copy"]);
    }
}

#[test]
fn a_list_that_moved_is_taken_from_the_run_and_one_that_changed_is_not_taken_for_it() {
    let scene = Scene::new();
    let names = scene.read("names.txt");
    scene.write("list.txt", names.as_bytes());
    scene.train("list.txt", &[]);
    let settings = scene.read("run/settings.json");
    let eval = |more: &[&str]| {
        let output =
            scene.run(&[&["eval", "--model", "run", "--num", "0", "--orders", "1", "--json"], more].concat());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (report["nelbo_nats_per_name"].clone(), text(&output.stderr))
    };
    let resume = ["train", "--out", "run", "--resume", "--no-eval", "--no-pictures"];
    let (score, stderr) = eval(&[]);
    assert!(score.is_number() && !stderr.contains("note"), "{stderr}");

    // One line put first makes every tenth line another.
    let changed = format!("newcomer\n{names}");
    scene.write("list.txt", changed.as_bytes());
    let (again, stderr) = eval(&[]);
    assert_eq!(again, score, "the lines that were held out");
    says(&stderr, &["list.txt has changed since", "prepared_list.txt, is taken", "--input"]);
    assert!(!stderr.contains("as its run was"), "{stderr}");
    let (seen, stderr) = eval(&["--input", "list.txt"]);
    assert!(seen != score, "as it is now");
    says(&stderr, &["the model was trained on 20 of the 20 held-out lines"]);
    says(&scene.good(&["export", "--model", "run", "--format", "int8"]), &["list.txt has changed since"]);
    let stderr = scene.bad(&resume);
    says(&stderr, &["list.txt has changed", "with it the training lines or the alphabet"]);
    scene.good(&[&resume[..], &["--input", "run/prepared_list.txt"]].concat());
    assert_eq!(scene.read("run/settings.json"), settings, "the list is where it was");

    // A held-out line changed alone: the run goes on, and is scored on the lines that it held out.
    let other = names.replace(&format!("{}\n", names.lines().nth(9).unwrap()), "newcomer\n");
    assert!(other.contains("\nnewcomer\n"));
    scene.write("list.txt", other.as_bytes());
    let (again, stderr) = eval(&[]);
    assert_eq!(again, score, "the lines that were held out");
    says(&stderr, &["list.txt has other held-out lines", "prepared_list.txt, is taken"]);
    says(&scene.good(&resume), &["list.txt has other held-out lines"]);
    assert_eq!(scene.read("run/prepared_list.txt"), names);

    // The other split of the right list holds lines that were trained on.
    scene.write("list.txt", names.as_bytes());
    says(&eval(&["--development"]).1, &["18 of the 18 held-out lines"]);

    // Without a copy, as runs of before have none.
    fs::remove_file(scene.path("run/prepared_list.txt")).unwrap();
    assert_eq!(eval(&[]).0, score);
    scene.write("list.txt", changed.as_bytes());
    let (none, stderr) = eval(&[]);
    assert!(none.is_null());
    says(&stderr, &["list.txt has changed since", "name it with --input"]);
    let (score, stderr) = eval(&["--input", "list.txt"]);
    assert!(score.is_number());
    says(&stderr, &["has changed since", "held out now may have been trained on"]);
    says(&scene.bad(&resume), &["list.txt has changed", "another --out"]);
}

#[test]
fn a_table_is_noticed_and_one_column_taken() {
    let scene = Scene::new();
    let names = scene.read("names.txt");
    let table = |separator: &str| -> String {
        let rows = names.lines().enumerate();
        let rows = rows.map(|(number, name)| format!("{number}{separator}{name}{separator}\"x, y\"\n"));
        format!("id{separator}Name{separator}note\n{}", rows.collect::<String>())
    };
    for (separator, name) in [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "bar")] {
        scene.write("table.csv", table(separator).as_bytes());
        let output = scene.run(&[&SHORT[..], &["--input", "table.csv", "--out", "plain"]].concat());
        let noticed =
            format!("a table of 3 columns with a {name} between, whose first row is: id, Name, note");
        says(&text(&output.stderr), &[&noticed, "--column 1"]);
        scene.train("table.csv", &["--column", "Name"]);
        assert_eq!(scene.read("run/prepared_list.txt"), names);
        scene.train("table.csv", &["--column", "2", "--lowercase"]);
        assert_eq!(scene.read("run/prepared_list.txt"), format!("name\n{names}"));
        // The run knows how its list was taken.
        scene.good(&["train", "--out", "run", "--resume", "--no-eval", "--no-pictures"]);
        let stderr = scene.good(&["eval", "--model", "run", "--num", "0", "--orders", "1"]);
        says(&stderr, &["scored on   table.csv, as its run was"]);
        says(
            &scene.bad(&["train", "--input", "table.csv", "--column", "Nam"]),
            &["no column “Nam”", "id, Name, note"],
        );
        says(
            &scene.bad(&["train", "--input", "table.csv", "--column", "4"]),
            &["no column 4", "a number from 1 to 3"],
        );
    }
    // Cells may hold separators, quotes and line ends; rows may be short.
    scene.write("table.csv", b"id,name\n1,\"Smith, \"\"Jo\"\"\"\n2,\"two\nlines\"\n3\n4,\n");
    let stderr = scene.train("table.csv", &["--column", "name"]);
    says(&stderr, &["2 blank lines"]);
    assert_eq!(scene.read("run/prepared_list.txt"), "Smith, \"Jo\"\ntwo lines\n");
    // Names are no table, whatever some of them hold.
    scene.write("list.txt", b"anna, b\nbob\ncarla\ndora\n");
    assert!(!scene.train("list.txt", &[]).contains("table"));
    // The command that trains anew says how the list was taken.
    let settings = scene.train("table.csv", &["--column", "name", "--lowercase"]);
    assert!(!settings.contains("table of"), "{settings}");
    let settings: serde_json::Value = serde_json::from_str(&scene.read("run/settings.json")).unwrap();
    assert_eq!((&settings["column"], &settings["lowercase"]), (&"name".into(), &true.into()));
}

#[test]
fn a_column_is_named_as_it_is_seen() {
    let scene = Scene::new();
    let table = |head: &str, note: &str| -> String {
        let rows = scene.read("names.txt").lines().map(|name| format!("{name},{note}\n")).collect::<String>();
        format!("{head}\n{rows}")
    };
    // A letter with a mark of its own in the file, and one character on the command line.
    scene.write("table.csv", table("Pre\u{301}nom\u{200b},b", "1").as_bytes());
    scene.train("table.csv", &["--column", "Prénom"]);
    assert_eq!(scene.read("run/prepared_list.txt"), scene.read("names.txt"));
    scene.write("table.csv", table("name,name", "1").as_bytes());
    let stderr = scene.bad(&["train", "--input", "table.csv", "--column", "name"]);
    says(&stderr, &["has 2 columns called “name”", "--column 1, and remove the first row"]);
    // A cell may hold tabs too; what it may not hold is in a line of the file.
    scene.write("table.csv", table("id,note", "two\twords").as_bytes());
    scene.train("table.csv", &["--column", "note"]);
    assert_eq!(scene.read("run/prepared_list.txt"), "two words\n");
    scene.write("table.csv", b"id,note\n1,\"a\nb\"\n2,c\x01d\n3,e\n");
    says(&scene.bad(&["train", "--input", "table.csv", "--column", "note"]), &["line 4 contains a control"]);
    // Lines are counted alike whatever ends them, blank ones too.
    scene.write("table.csv", b"id,note\r\n1,a\r\n\r\n2,c\x01d\r\n");
    says(&scene.bad(&["train", "--input", "table.csv", "--column", "note"]), &["line 4 contains a control"]);
    // A number stays a way out where several columns have it as their name.
    scene.write("table.csv", b"1,1\nanna,x\n");
    scene.train("table.csv", &["--column", "1"]);
    assert_eq!(scene.read("run/prepared_list.txt"), "1\nanna\n");
    scene.write("table.csv", b"name\nanna\n");
    let stderr = scene.bad(&["train", "--input", "table.csv", "--column", "2"]);
    says(&stderr, &["has no column 2; give --column the number 1, or one of the names"]);
    // Printed commands name any column.
    scene.write("table.csv", table("-my name,b", "1").as_bytes());
    scene.train("table.csv", &["--column=-my name"]);
    let export =
        ["export", "--format", "html", "--model", "run", "--input", "table.csv", "--column=-my name"];
    let stderr = scene.bad(&export);
    scene.paste(stderr.trim_end().split_once("round them with: ").unwrap().1);
    assert!(scene.path("run/model.html").exists());
    // Rows of many cells are not printed whole.
    let row = |number: usize| format!("emma{number}{}\n", ",emma".repeat(299));
    let rows: String = (0..20).map(row).collect();
    let wide = format!("{}\n{rows}", ["column"; 300].join(","));
    scene.write("table.csv", wide.as_bytes());
    let stderr = scene.bad(&["train", "--input", "table.csv"]);
    says(
        &stderr,
        &["more than 64 characters, the most", "here 21 lines", "a table of 300 columns", "--column 1"],
    );
    assert!(stderr.len() < 600, "{stderr}");
}

#[test]
fn lower_case_is_the_model_s_for_every_text() {
    let scene = Scene::new();
    let capitals = scene.read("names.txt").to_uppercase();
    scene.write("list.txt", capitals.as_bytes());
    scene.train("list.txt", &["--lowercase"]);
    assert_eq!(scene.read("run/prepared_list.txt"), scene.read("names.txt"));
    let stdout = |arguments: &[&str]| {
        let output = scene.run(arguments);
        said(arguments, &output);
        text(&output.stdout)
    };
    assert_eq!(stdout(&["score", "--model", "run", "EMMA"]), stdout(&["score", "--model", "run", "emma"]));
    let pattern = |pattern| stdout(&["sample", "--model", "run", "--pattern", pattern]);
    assert_eq!(pattern("A?N*"), pattern("a?n*"));
    let eval = |list| stdout(&["eval", "--model", "run", "--num", "0", "--orders", "1", "--input", list]);
    assert_eq!(eval("list.txt").replace("list.txt", "names.txt"), eval("names.txt"));
    // Final sigma and dotted İ stay what they are when prepared again.
    scene.write("list.txt", "ΟΔΥΣΣΕΥΣ\nİZMİR\n".as_bytes());
    scene.step(&["--input", "list.txt", "--lowercase", "--out", "run"]);
    assert_eq!(scene.read("run/prepared_list.txt"), "οδυσσευς\ni\u{307}zmi\u{307}r\n");
}

#[test]
fn texts_of_the_command_line_are_prepared_as_lines_are() {
    let scene = Scene::new();
    scene.write("list.txt", "r\u{e9}ne\nzo\u{eb}\nanna\nbob\n".as_bytes());
    scene.train("list.txt", &[]);
    let stdout = |arguments: &[&str]| text(&scene.run(arguments).stdout);
    let sample = |pattern| stdout(&["sample", "--model", "run", "--num", "3", "--pattern", pattern]);
    assert_eq!(sample(" re\u{301}\u{200b}n? \u{feff}"), sample("r\u{e9}n?"));
    assert!(sample("r\u{e9}n?").starts_with("r\u{e9}n"));
    let score = |name| stdout(&["score", "--model", "run", name]);
    assert_eq!(score("zo\u{ad}e\u{308}"), score("zo\u{eb}"));
    assert_eq!(stdout(&["noise", " re\u{301}ne\u{200b}"]), stdout(&["noise", "r\u{e9}ne"]));
    for arguments in
        [&["noise", "\u{200b}"][..], &["score", " \u{feff}"], &["sample", "--pattern", "\u{200b}"]]
    {
        says(&scene.bad(arguments), &["empty", "for example: micro-diffusion"]);
    }
    for arguments in [&["noise", "a\tb"][..], &["score", "a\u{1b}b"], &["sample", "--pattern", "a\nb"]] {
        says(&scene.bad(arguments), &["must not contain", "(U+00"]);
    }
    for folder in [".", ".."] {
        says(&scene.bad(&["train", "--input", folder]), &["is a folder", "give a text file"]);
    }
    says(&scene.bad(&["score", "ann\u{200d}a\u{a0}b"]), &["U+00A0"]);
}

#[test]
fn columns_are_those_of_the_screen() {
    use unicode_width::UnicodeWidthStr;
    let scene = Scene::new();
    let stdout = |arguments: &[&str]| text(&scene.run(arguments).stdout);
    for name in ["日本語", "नोंगे", "añb"] {
        let levels = stdout(&["noise", name]);
        let widths: Vec<usize> = levels.lines().map(|line| line.width()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{levels}");
    }
    let list: String = ('あ'..='と').map(|one| format!("{one}と\n{one}\n")).collect();
    scene.write("list.txt", list.as_bytes());
    scene.step(&["--input", "list.txt", "--out", "run"]);
    let table = stdout(&["sweep", "--model", "run", "--num", "6"]);
    let mut lines = table.lines();
    let heading = lines.next().unwrap();
    let place = heading.find("T = 1.5").unwrap();
    // The legend follows after an empty line.
    for line in lines.take_while(|line| !line.is_empty()) {
        let mut column = 0;
        let starts: Vec<usize> = line
            .chars()
            .map(|character| {
                column += character.to_string().width();
                column - character.to_string().width()
            })
            .collect();
        assert!(starts.contains(&place), "a name begins at column {place}: {table}");
    }
}

/// Half-precision numbers are read as the floats that they are.
#[test]
fn tensors_of_16_bits_are_models() {
    let scene = Scene::new();
    scene.train("names.txt", &[]);
    scene.good(&["export", "--model", "run", "--out", "f32.safetensors"]);
    let bytes = fs::read(scene.path("f32.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    // Eight bits of fraction fit both forms, and so do powers of two from −14 up.
    let rounded = |value: f32| {
        if value.abs() < 2_f32.powi(-14) { 0.0 } else { f32::from_bits(value.to_bits() & 0xFFFF_0000) }
    };
    let half = |value: f32| {
        let bits = value.to_bits();
        let sign = (bits >> 16 & 0x8000) as u16;
        if value == 0.0 { sign } else { sign | ((bits >> 13 & 0x3_FFFF) - (112 << 10)) as u16 }
    };
    type Form<'a> = (&'a str, Dtype, &'a dyn Fn(f32) -> Vec<u8>);
    let forms: [Form; 3] = [
        ("f32", Dtype::F32, &|value| value.to_le_bytes().to_vec()),
        ("f16", Dtype::F16, &|value| half(value).to_le_bytes().to_vec()),
        ("bf16", Dtype::BF16, &|value| ((value.to_bits() >> 16) as u16).to_le_bytes().to_vec()),
    ];
    let mut models = Vec::new();
    for (name, dtype, form) in forms {
        let data: BTreeMap<String, (Vec<usize>, Vec<u8>)> = file
            .iter()
            .map(|(name, tensor)| {
                let values =
                    tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
                (
                    name.to_owned(),
                    (tensor.shape().to_vec(), values.flat_map(|value| form(rounded(value))).collect()),
                )
            })
            .collect();
        let views = data
            .iter()
            .map(|(name, (shape, bytes))| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
        scene.write("x.safetensors", &safetensors::serialize(views, metadata.clone()).unwrap());
        scene.good(&["export", "--format", "mdm", "--model", "x.safetensors", "--out", "x.mdm"]);
        let sample = scene.run(&["sample", "--model", "x.safetensors"]).stdout;
        assert!(!sample.is_empty(), "{name}");
        models.push((fs::read(scene.path("x.mdm")).unwrap(), sample));
    }
    assert!(models[1] == models[0] && models[2] == models[0], "the floats that they are");
}

/// Commands that messages print run when pasted, whatever the names of files are.
#[test]
#[cfg(unix)]
fn commands_that_are_printed_run_when_pasted() {
    let scene = Scene::new();
    for name in [
        "it's my run",
        "-run",
        "a\\b $HOME `x` \"q\"",
        "tab\there",
        "zero\u{200b}width",
        "no\u{a0}break",
        "名\u{3000}前",
        "~x;&|*",
    ] {
        let folder = scene.path(name);
        fs::create_dir(&folder).unwrap();
        let list = folder.join("a 'list'.txt");
        fs::copy(scene.path("names.txt"), &list).unwrap();
        let arguments =
            [&SHORT[..], &["--input", list.to_str().unwrap(), "--out", folder.to_str().unwrap()]].concat();
        scene.good(&arguments);
        fs::remove_file(folder.join("model.mdm")).unwrap();
        // Relative, as it is typed, so that a name may begin with a sign.
        let stderr = scene.bad(&["sample", &format!("--model={name}")]);
        let (_, command) = stderr.trim_end().split_once("go on with: ").unwrap_or_else(|| panic!("{stderr}"));
        scene.paste(command);
        assert!(folder.join("model.mdm").exists(), "{command}");

        let packed = scene.path(name).join("packed");
        scene.write("packed", b"");
        fs::write(&packed, b"anna\nJos\xE9\nMar\xEDa\n").unwrap();
        let stderr = scene.bad(&["train", "--input", packed.to_str().unwrap()]);
        scene.paste(stderr.trim_end().split_once(" with: ").unwrap().1);
        assert_eq!(fs::read_to_string(packed.with_file_name("packed.txt")).unwrap(), "anna\nJosé\nMaría\n");
    }
}

/// Off a terminal too, long work says how far it is.
#[test]
fn long_work_is_not_silent() {
    let scene = Scene::new();
    let train =
        ["train", "--config", "transformer", "--steps", "1", "--batch", "1", "--no-eval", "--no-pictures"];
    scene.good(&[&train[..], &["--input", "names.txt", "--out", "run"]].concat());
    says_on_the_way(&scene, &["eval", "--model", "run", "--orders", "10000", "--threads", "1"], "scoring: ");
    // So do a run that scores long lines for its curve, and whoever draws many.
    let list: String = (0..5000).map(|number| format!("{number}{}\n", "bcdefghijklmn".repeat(4))).collect();
    scene.write("list.txt", list.as_bytes());
    scene.good(&[&train[..], &["--input", "list.txt", "--out", "long"]].concat());
    let run = ["train", "--config", "transformer", "--input", "list.txt", "--batch", "1", "--threads", "1"];
    says_on_the_way(&scene, &run, "scoring: ");
    says_on_the_way(&scene, &["sample", "--model", "long", "--num", "1000000", "--json"], "drawing: ");
    says_on_the_way(&scene, &["sample", "--model", "long", "--num", "1000000"], "drawing: ");
    let score = ["score", "--model", "long", "--orders", "1", "--threads", "1"];
    let texts: Vec<&str> = list.lines().cycle().take(10_000).collect();
    says_on_the_way(&scene, &[&score[..], &texts].concat(), "scoring letters: ");
}

/// Runs until a line on the way begins with `work`.
#[track_caller]
fn says_on_the_way(scene: &Scene, arguments: &[&str], work: &str) {
    let mut child = scene.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        use std::io::BufRead;
        for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let start = Instant::now();
    let mut found = false;
    while !found && start.elapsed() < Duration::from_secs(60) {
        found = lines.recv_timeout(Duration::from_secs(1)).is_ok_and(|line| line.starts_with(work));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    assert!(found, "{arguments:?}: a line on the way");
}
