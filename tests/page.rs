//! The page that `export --format html` writes. Its modules come from the sources, it draws the names of `sample`, it is
//! small, and a browser shows what a visitor expects.
//!
//! Without a tool these tests say so and pass. `.ci/emulators` installs the compiler and Node.js, `.ci/browser` the
//! browser and its driver. If the variable `CI` is set, every test must run.

#![allow(dead_code, reason = "not every test crosses")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::cross::{output, project, skip};
use serde_json::json;
use tempfile::TempDir;

/// The most bytes that a page may have.
const MOST_BYTES: u64 = 250_000;

/// Runs the program in `folder`: whether it succeeded, what it printed, and what it said.
fn run(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The stdout of the program.
fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let (success, stdout, stderr) = run(folder, arguments);
    assert!(success, "{arguments:?}: {stderr}");
    stdout
}

/// Whether Node.js is there.
fn has_node() -> bool {
    let has = output(Command::new("node").arg("--version")).is_some();
    if !has {
        skip("node is not installed; `.ci/emulators` installs it on Debian");
    }
    has
}

/// The committed modules are what `core/examples/page/build` makes of the sources, byte for byte.
#[test]
fn the_modules_are_built_from_the_sources() {
    let out = project().join("target/page/modules");
    fs::create_dir_all(&out).unwrap();
    let mut build = Command::new(project().join("core/examples/page/build"));
    build.arg(&out).env("CARGO_TARGET_DIR", project().join("target/page"));
    build.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    let built = build.output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    match built.status.code() {
        Some(0) => {}
        // Another compiler, or none.
        Some(3) => return skip(said.trim()),
        _ => panic!("{said}"),
    }
    let committed = project().join("host/src/files/page");
    let modules = |folder: &Path| {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut modules: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|name| name == "wasm")).collect();
        modules.sort();
        modules
    };
    let (fresh, committed) = (modules(&out), modules(&committed));
    assert_eq!(fresh.len(), 7);
    for (fresh, committed) in fresh.iter().zip(&committed) {
        assert_eq!(fresh.file_name(), committed.file_name());
        let same = fs::read(fresh).unwrap() == fs::read(committed).unwrap();
        assert!(same, "{} is stale; run core/examples/page/build and commit it", committed.display());
    }
    assert_eq!(fresh.len(), committed.len());
}

/// The modules' sources hold no unsafe code: only the attribute that gives an export its name.
#[test]
fn the_modules_hold_no_unsafe_code() {
    let folder = project().join("core/examples/page/src");
    let library = fs::read_to_string(folder.join("lib.rs")).unwrap();
    let files = ["lib.rs", "forms.rs", "trace.rs"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
    let words: Vec<&str> =
        files.iter().flat_map(|text| text.match_indices("unsafe").map(|(at, _)| &text[at..])).collect();
    let named = words.iter().filter(|text| text.starts_with("unsafe(no_mangle)]")).count();
    assert_eq!((named, words.len()), (11, 12), "eleven exports, and the lint");
    assert!(library.contains("#![forbid(unsafe_code)]"));
    for room in fs::read_dir(folder.join("bin")).unwrap() {
        assert!(!fs::read_to_string(room.unwrap().path()).unwrap().contains("unsafe"));
    }
}

/// A list of texts of up to `longest` characters of `kinds`.
fn list(longest: usize, kinds: usize) -> String {
    let first = u32::from(if kinds <= 26 { 'a' } else { '一' });
    let character = |index: usize| char::from_u32(first + (index % kinds) as u32).unwrap();
    let line = |number: usize| {
        let length = if number == 0 { longest } else { 2 + number * 7 % (longest - 1) };
        (0..length).map(|place| character(number * number * 31 + place * (number + 3))).collect::<String>()
    };
    (0..kinds.max(60)).map(line).collect::<Vec<_>>().join("\n")
}

/// Each network in each room, and in a format.
fn networks() -> Vec<(&'static str, usize, usize)> {
    let one_room = [
        ("perceptron", 12, 26),
        ("perceptron-small", 12, 26),
        ("residual", 12, 26),
        ("convolution-chip", 16, 26),
    ];
    let rooms = [(16, 26), (16, 64), (24, 64), (32, 128), (8, 255), (64, 255)];
    let convolutions = ["convolution-small", "convolution-medium", "convolution"];
    let all = convolutions.iter().flat_map(|name| rooms.map(|(longest, kinds)| (*name, longest, kinds)));
    one_room.into_iter().chain(all).collect()
}

/// The names that the module of `page` draws, as lines.
fn drawn(page: &Path, arguments: &[&str]) -> String {
    let mut node = Command::new("node");
    node.arg(project().join("tests/page/names.mjs")).arg(page).args(arguments);
    let output = node.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every network in every room and format: `sample` and the page draw the same bytes, in every order, under patterns too. A page
/// is small or refused.
#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_page_draws_the_names_of_sample() {
    if !has_node() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut refused = Vec::new();
    for (network, longest, kinds) in networks() {
        fs::write(folder.path().join("list.txt"), list(longest, kinds)).unwrap();
        for format in ["int8", "int4"] {
            let title = format!("{network} {longest} × {kinds} {format}");
            let train =
                ["train", "--input", "list.txt", "--config", network, "--quantize", format, "--steps", "2"];
            let quick =
                ["--batch", "4", "--keep", "last", "--no-eval", "--no-pictures", "--quiet", "--out", "run"];
            stdout(folder.path(), &[&train[..], &quick].concat());
            let page = folder.path().join("page.html");
            let (written, _, said) =
                run(folder.path(), &["export", "--format", "html", "--model", "run", "--out", "page.html"]);
            if !written {
                assert!(
                    said.contains(
                        "more than the 250000 that a page may have; 4-bit weights take half the bytes"
                    ),
                    "{title}: {said}"
                );
                refused.push(title);
                continue;
            }
            assert!(fs::metadata(&page).unwrap().len() <= MOST_BYTES, "{title}");
            let given = if kinds <= 26 { "c" } else { "七" };
            for (order, temperature, seed, pattern) in [
                ("random", "0.68", "1", None),
                ("confidence", "1.1", "18446744073709551615", None),
                ("random", "0.9", "7", None),
                ("random", "0", "3", Some(format!("?{given}?"))),
                ("random", "0.8", "4", Some(format!("{given}*"))),
                ("confidence", "1", "5", Some(format!("*{given}?*"))),
            ] {
                let mut options =
                    vec!["--num", "7", "--sampler", order, "--temperature", temperature, "--seed", seed];
                let mut arguments = vec![order, temperature, seed, "7"];
                if let Some(pattern) = &pattern {
                    options.extend(["--pattern", pattern]);
                    arguments.push(pattern);
                }
                let expected = stdout(folder.path(), &[&["sample", "--model", "run"], &options[..]].concat());
                assert_eq!(drawn(&page, &arguments), expected, "{title}: {options:?}");
            }
        }
    }
    let large = ["residual 12 × 26 int8", "convolution 16 × 26 int8"];
    assert!(large.iter().all(|title| refused.iter().any(|other| other == title)), "{refused:?}");
    assert!(refused.iter().all(|title| title.ends_with("int8")), "{refused:?}");
}

#[test]
fn the_built_in_page_draws_the_names_of_sample() {
    if !has_node() {
        return;
    }
    let folder = TempDir::new().unwrap();
    stdout(folder.path(), &["export", "--format", "html"]);
    let page = folder.path().join("names.html");
    assert!(fs::metadata(&page).unwrap().len() <= MOST_BYTES);
    for (order, temperature, seed, pattern) in [
        ("random", "0.68", "1", "*"),
        ("confidence", "0.68", "1", "*"),
        ("random", "1.3", "9007199254740993", "*"),
        ("random", "0.68", "2", "m?r?a"),
        ("confidence", "0.9", "3", "*an*"),
        ("random", "0.5", "4", "?*?*?*?*?*?"),
        ("random", "0.68", "1", "****"),
    ] {
        let options =
            ["--sampler", order, "--temperature", temperature, "--seed", seed, "--pattern", pattern];
        let sample = ["sample", "--model", "built-in-int4", "--num", "100"];
        let expected = stdout(folder.path(), &[&sample[..], &options].concat());
        assert_eq!(drawn(&page, &[order, temperature, seed, "100", pattern]), expected, "{options:?}");
    }
}

/// A model file without a run knows no list, and says so; floats are refused with the commands that work.
#[test]
fn a_page_says_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let copy =
        |from: &str, to: &str| fs::copy(project().join("data").join(from), folder.path().join(to)).unwrap();
    copy("convolution-chip-int4.mdm", "chip.mdm");
    let export = |more: &[&str]| run(folder.path(), &[&["export", "--format", "html"], more].concat());
    let (success, _, said) = export(&["--model", "chip.mdm"]);
    assert!(
        success && said.contains("copies      are not marked: chip.mdm does not say which list"),
        "{said}"
    );
    let page = fs::read_to_string(folder.path().join("chip.html")).unwrap();
    assert!(page.contains(r#""hashes":0,"#));
    copy("names.txt", "names.txt");
    let (success, _, said) = export(&["--model", "chip.mdm", "--input", "names.txt"]);
    assert!(success && said.contains("lines of names.txt are marked, and one new name in 1024"), "{said}");

    let (success, _, said) = export(&["--model", "built-in"]);
    assert!(!success && said.contains("floats only") && said.contains("--model built-in-int4"), "{said}");
    let (success, _, said) = export(&["--model", "built-in", "--out", "built-in.html"]);
    let (_, command) =
        said.trim().split_once("comes with this program can be exported by: micro-diffusion ").unwrap();
    assert!(!success && command.ends_with("--out built-in.html"), "{said}");
    let (success, _, said) = run(folder.path(), &command.split(' ').collect::<Vec<_>>());
    assert!(success && said.contains("lines of the built-in names are marked"), "{said}");
    copy("names.mdm", "floats.mdm");
    let (success, _, said) = export(&["--model", "floats.mdm", "--input", "names.txt"]);
    let (_, command) = said.trim().split_once("round them with: micro-diffusion ").unwrap();
    assert!(
        !success && said.contains("a page draws from integers, and the weights of this model are floats"),
        "{said}"
    );
    let (success, _, said) = run(folder.path(), &command.split(' ').collect::<Vec<_>>());
    assert!(success && said.contains("lines of names.txt are marked"), "{command}: {said}");
    let rounded = folder.path().join("floats.html");
    assert!(fs::metadata(&rounded).unwrap().len() <= MOST_BYTES);
    let integers = ["export", "--model", "floats.mdm", "--format", "int8", "--out", "names.int8.mdm"];
    stdout(folder.path(), &[&integers[..], &["--input", "names.txt"]].concat());
    if has_node() {
        let expected = stdout(folder.path(), &["sample", "--model", "names.int8.mdm", "--num", "5"]);
        assert_eq!(drawn(&rounded, &["random", "0.68", "1", "5"]), expected);
    }
    assert!(fs::read_to_string(&rounded).unwrap().contains(r#""source":null,"#));
    let (success, _, said) = export(&["--quantize", "int8"]);
    assert!(!success && said.contains("name a model of floats with --model"), "{said}");
    let (success, _, said) = run(folder.path(), &["export", "--format", "mdm", "--quantize", "int8"]);
    assert!(!success && said.contains("it rounds for --format c, arduino and html only"), "{said}");

    copy("names-int8.mdm", "the same.mdm");
    let (success, _, said) = export(&["--model", "the same.mdm", "--input", "names.txt"]);
    assert!(success && said.contains("are marked"), "{said}");

    fs::write(folder.path().join("list.txt"), list(12, 26)).unwrap();
    let train = ["train", "--input", "list.txt", "--config", "transformer", "--steps", "1", "--batch", "2"];
    stdout(folder.path(), &[&train[..], &["--no-eval", "--no-pictures", "--quiet", "--out", "run"]].concat());
    let (success, _, said) = export(&["--model", "run"]);
    assert!(!success && said.contains("the transformer exists in floats only"), "{said}");
}

/// The name of a file does not become a part of the page.
#[test]
fn a_path_is_text_in_the_page() {
    let folder = TempDir::new().unwrap();
    let name = "<\u{2f}script>&{{model}}.mdm".replace('/', "∕");
    fs::copy(project().join("data/names-int4.mdm"), folder.path().join(&name)).unwrap();
    stdout(folder.path(), &["export", "--format", "html", "--model", &name, "--out", "page.html"]);
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(!page.contains(&name) && page.contains(r"\u003c∕script>&{{model}}.mdm"));
    // Whoever has the page need not know where its maker keeps things.
    let secret = folder.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::copy(project().join("data/names-int4.mdm"), secret.join("model.mdm")).unwrap();
    stdout(folder.path(), &["export", "--format", "html", "--model", "secret", "--out", "page.html"]);
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(!page.contains("secret") && page.contains(r#""source":"model.mdm""#));
}

/// A headless browser of this machine.
fn browser() -> Option<&'static str> {
    let names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find(|name| output(Command::new(name).arg("--version")).is_some())
}

/// The arguments of a test in a browser: the browser, the modules that drive it, and the folder for pictures. `None` if
/// one is missing.
fn stage() -> Option<serde_json::Map<String, serde_json::Value>> {
    let modules = project().join("target/browser/node_modules/");
    let how = "`.ci/browser` installs it";
    let Some(browser) = browser() else {
        skip(&format!("no Chromium is installed; {how}"));
        return None;
    };
    if !has_node() || !modules.join("playwright-core").exists() || !modules.join("axe-core").exists() {
        skip(&format!("playwright-core or axe-core is not in target/browser; {how}"));
        return None;
    }
    let pictures = project().join("target/page");
    fs::create_dir_all(&pictures).unwrap();
    json!({ "browser": which(browser), "modules": modules, "pictures": pictures }).as_object().cloned()
}

/// Runs `script` of this folder on `cases`.
fn play(script: &str, folder: &Path, cases: serde_json::Map<String, serde_json::Value>) {
    let file = folder.join("cases.json");
    fs::write(&file, serde_json::Value::Object(cases).to_string()).unwrap();
    let script = project().join("tests/page").join(script);
    let run = Command::new("node").arg(script).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    eprint!("{}", String::from_utf8_lossy(&run.stdout));
}

/// In headless Chromium; `tests/page/report.mjs` says what is checked.
#[test]
fn a_report_is_for_every_reader() {
    let Some(mut cases) = stage() else { return };
    let folder = TempDir::new().unwrap();
    let names = fs::read_to_string(project().join("data/names.txt")).unwrap();
    let sentence = |number: usize| {
        let words = ["the", "small", "river", "sings", "under", "a", "quiet", "mountain", "every", "morning"];
        (0..9).map(|place| words[(number * (place + 3) + place) % 10]).collect::<Vec<_>>().join(" ")
    };
    let lists = [
        ("latin", names.lines().take(300).collect::<Vec<_>>().join("\n"), "perceptron-small"),
        (
            "hebrew",
            "אברהם\nיצחק\nיעקב\nשרה\nרבקה\nרחל\nלאה\nדוד\nשלמה\nמשה\nאהרון\n".to_owned(),
            "convolution-small",
        ),
        (
            "arabic",
            "مريم\nليلى\nسلمى\nكريم\nمحمد\nفاطمة\nأحمد\nعلي\nحسن\nخالد\nيوسف\n".to_owned(),
            "convolution-small",
        ),
        (
            "chinese",
            "王伟\n李娜\n张敏\n刘洋\n陈静\n杨帆\n赵磊\n黄丽\n周杰\n吴芳\n徐明\n".to_owned(),
            "convolution-small",
        ),
        ("long", (0..40).map(sentence).collect::<Vec<_>>().join("\n"), "convolution-small"),
    ];
    for (name, list, network) in &lists {
        let file = format!("{name}.txt");
        fs::write(folder.path().join(&file), list).unwrap();
        let train =
            ["train", "--input", &file, "--config", network, "--steps", "40", "--batch", "8", "--quiet"];
        stdout(folder.path(), &[&train[..], &["--out", name]].concat());
    }
    let runs = lists.map(|(name, ..)| folder.path().join(name));
    cases.insert("runs".to_owned(), json!(runs));
    play("report.mjs", folder.path(), cases);
}

/// In headless Chromium, from disk and offline; `tests/page/browser.mjs` says what is checked.
#[test]
fn a_visitor_sees_names_emerge() {
    let Some(mut cases) = stage() else { return };
    let folder = TempDir::new().unwrap();
    stdout(folder.path(), &["export", "--format", "html"]);
    let page = folder.path().join("names.html");
    assert!(fs::metadata(&page).unwrap().len() <= MOST_BYTES);
    let options = |link: &[(&str, &str)]| {
        let option = |(key, value): &(&str, &str)| {
            [format!("--{}", if *key == "order" { "sampler" } else { key }), (*value).to_owned()]
        };
        let options: Vec<String> = link.iter().flat_map(option).collect();
        let sample = ["sample", "--model", "built-in-int4"].map(str::to_owned);
        let all = [&sample[..], &options].concat();
        stdout(folder.path(), &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let names = |link: &[(&str, &str)]| {
        let expected = options(link);
        let link: serde_json::Map<_, _> =
            link.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        json!({ "link": link, "expected": expected.lines().collect::<Vec<_>>() })
    };
    let list = fs::read_to_string(project().join("data/names.txt")).unwrap();
    let training: Vec<&str> =
        (1..).zip(list.lines()).filter(|(number, _)| number % 10 != 0).map(|(_, line)| line).collect();
    let visits = json!({
        "page": page,
        "training": training,
        "names": [
            names(&[]),
            names(&[("order", "confidence"), ("seed", "12")]),
            names(&[("temperature", "1.25"), ("seed", "18446744073709551615")]),
            names(&[("pattern", "*an*"), ("temperature", "0")]),
            names(&[("pattern", "m?r?a"), ("order", "confidence"), ("temperature", "0.9")]),
        ],
    });
    cases.extend(visits.as_object().cloned().unwrap());
    play("browser.mjs", folder.path(), cases);
}

/// The path of the program `name`.
fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists()).unwrap()
}
