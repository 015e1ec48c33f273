//! Training by default on lists of any size: which state is kept, how a run goes on, where it starts, which names are new.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const NAMES: &str = include_str!("../data/names.txt");

/// A folder for one test, with `names.txt`: so many names.
struct Scene(TempDir);

impl Scene {
    fn new(names: usize) -> Self {
        let scene = Self(TempDir::new().unwrap());
        scene.write(
            "names.txt",
            &NAMES.lines().take(names).map(|name| format!("{name}\n")).collect::<String>(),
        );
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn bytes(&self, run: &str) -> [Vec<u8>; 3] {
        ["model.mdm", "loss.csv", "checkpoint.safetensors"]
            .map(|file| fs::read(self.path(&format!("{run}/{file}"))).unwrap())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs `line` and expects exit code `code`; stdout and stderr.
    #[track_caller]
    fn run(&self, code: i32, line: &str) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{line}: {stderr}");
        (String::from_utf8(stdout).unwrap(), stderr)
    }

    fn settings(&self, run: &str) -> Value {
        serde_json::from_str(&self.read(&format!("{run}/settings.json"))).unwrap()
    }

    /// The learning rate of each step.
    fn rates(&self, run: &str) -> Vec<f64> {
        let rate = |line: &str| line.rsplit(',').next().unwrap().parse().unwrap();
        self.read(&format!("{run}/loss.csv")).lines().skip(1).map(rate).collect()
    }
}

/// A run of a moment.
const SHORT: &str = "train --input names.txt --config perceptron-small --batch 16 --no-eval --no-pictures";

#[test]
fn a_short_list_keeps_its_best_state_and_names_its_copies() {
    let scene = Scene::new(90);
    let train = "train --input names.txt --no-pictures --dropout 0 --weight-decay 0 --steps 1000";
    let (names, said) = scene.run(0, &format!("{train} --out best"));
    assert!(said.contains("8 of the lines to train on are kept to choose"), "{said}");
    assert!(
        said.contains("kept        the state after ") && said.contains(" of 1000 steps, the best by the 8"),
        "{said}"
    );
    let (learned, at_the_end) = scene.run(0, &format!("{train} --out last --keep last"));
    assert!(!at_the_end.contains("kept"), "{at_the_end}");
    let nll = |said: &str| {
        let (_, score) = said.split_once("−ln p ").unwrap();
        score.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(
        nll(&said) + 2.0 < nll(&at_the_end),
        "the last state knows its lines by heart: {said} {at_the_end}"
    );
    for (names, said) in [(&names, &said), (&learned, &at_the_end)] {
        let training: Vec<&str> = (1..)
            .zip(NAMES.lines().take(90))
            .filter(|(number, _)| number % 10 != 0)
            .map(|(_, name)| name)
            .collect();
        let copies: Vec<&str> = names.lines().filter(|name| training.contains(name)).collect();
        assert_eq!(names.lines().count(), 20);
        assert_eq!(said.contains("training line"), !copies.is_empty(), "{said}");
        // Each is named once, however often it was drawn.
        let mut seen = HashSet::new();
        let once: Vec<&str> = copies.iter().copied().filter(|name| seen.insert(*name)).collect();
        if !copies.is_empty() {
            assert!(said.contains(&format!("training    {}\n", once.join(", "))), "{said}");
        }
    }
    assert!(at_the_end.contains("training    "), "{at_the_end}");
}

#[test]
fn settings_follow_the_size_of_the_list_and_the_schedule_runs_to_its_end() {
    let scene = Scene::new(20_000);
    let mut found = Vec::new();
    for lines in [90, 1000, 5000, 20_000] {
        let list: String = NAMES.lines().take(lines).map(|name| format!("{name}\n")).collect();
        scene.write("list.txt", &list);
        scene.run(
            0,
            &format!("train --input list.txt --out {lines} --batch 4096 --steps 4 --no-eval --no-pictures"),
        );
        let settings = scene.settings(&lines.to_string());
        let number = |key: &str| settings[key].as_f64().unwrap();
        found.push((number("dropout"), number("weight_decay"), settings["keep"] == "best"));
        let rates = scene.rates(&lines.to_string());
        assert!(rates[3] < rates[1] / 20.0, "four steps rise and fall too: {rates:?}");
    }
    assert!(found.is_sorted_by(|one, other| one.0 >= other.0 && one.1 > other.1), "{found:?}");
    assert_eq!(found.iter().map(|(.., best)| *best).collect::<Vec<_>>(), [true, true, true, false]);
    let (_, said) = scene.run(0, "train --input names.txt --quantize int8 --steps 4 --no-eval --out rounded");
    assert!(said.contains("4 steps of 64, seed 1"), "no dropout that nobody asked for: {said}");
}

#[test]
fn a_finished_run_goes_on_past_its_end() {
    let scene = Scene::new(400);
    for (keep, quantize) in [("best", ""), ("last", ""), ("best", "--quantize int4")] {
        let train = format!("{SHORT} --keep {keep} {quantize} --steps 60");
        scene.run(0, &format!("{train} --out whole"));
        let first = scene.bytes("whole");
        let resume = "train --resume --no-eval --no-pictures --out whole";
        let (_, said) = scene.run(0, &format!("{resume} --steps 100 --threads 1"));
        assert!(
            said.contains("going on from step 60")
                && said.contains("trained     40 steps")
                && said.contains("100 in all"),
            "{said}"
        );
        let rates = scene.rates("whole");
        assert!(rates[59] < 1e-3 && rates[79] > 7e-3 && rates[99] < 1e-3, "up and down once more: {rates:?}");
        let longer = scene.bytes("whole");
        assert!(longer[1].starts_with(&first[1]), "what was trained stays");
        scene.run(0, &format!("{resume} --steps 100"));
        assert_eq!(scene.bytes("whole"), longer, "a finished run stays as it is");
        scene.run(1, &format!("{resume} --steps 60"));
        // Again, with other threads, and on once more.
        scene.run(0, &format!("{train} --out again"));
        scene.run(0, "train --resume --no-eval --no-pictures --out again --steps 100 --threads 3");
        assert_eq!(scene.bytes("again"), longer);
        scene.run(0, "train --resume --no-eval --no-pictures --out again --steps 110");
        assert_eq!(scene.settings("again")["ends"], serde_json::json!([60, 100]));
        scene.run(0, "inspect again/checkpoint.safetensors");
        for run in ["whole", "again"] {
            fs::remove_dir_all(scene.path(run)).unwrap();
        }
    }
}

#[test]
fn a_run_starts_from_a_trained_model() {
    let scene = Scene::new(2000);
    scene.run(0, &format!("{SHORT} --steps 400 --out first"));
    let few: String = NAMES.lines().skip(100).take(60).map(|name| format!("{name}\n")).collect();
    assert!(!few.contains('q'), "the model knows more letters");
    scene.write("few.txt", &few);
    let train = "train --input few.txt --batch 16 --no-eval --no-pictures --steps 5 --lr 1e-4 --dropout 0";
    let loss = |run: &str| {
        let table = scene.read(&format!("{run}/loss.csv"));
        table.lines().nth(1).unwrap().split(',').nth(1).unwrap().parse::<f64>().unwrap()
    };
    let (_, said) = scene.run(0, &format!("{train} --from first --out warm"));
    assert!(said.contains("network     perceptron-small") && said.contains("26 characters"), "{said}");
    scene.run(0, &format!("{train} --config perceptron-small --out cold"));
    assert!(loss("warm") + 2.0 < loss("cold"), "{} {}", loss("warm"), loss("cold"));
    let before = scene.bytes("warm");
    scene.run(0, "train --resume --no-eval --no-pictures --out warm");
    assert_eq!(scene.bytes("warm"), before, "it keeps the alphabet that its weights know");
    scene.run(0, "sample --model warm --novel --num 3");

    let (_, said) = scene.run(1, &format!("{train} --from first --config residual --out no"));
    assert!(
        said.contains("first/model.mdm is a perceptron-small") && said.contains("leave out --config"),
        "{said}"
    );
    scene.write("few.txt", "anna\nanné\nøre\n");
    let (_, said) = scene.run(1, &format!("{train} --from first --out no"));
    assert!(said.contains("does not know 2 characters of few.txt: “éø”"), "{said}");
    scene.run(0, &format!("{SHORT} --steps 5 --quantize int8 --out integers"));
    let (_, said) = scene.run(1, &format!("{SHORT} --steps 5 --from integers --out no"));
    assert!(said.contains("its weights are int8") && said.contains("without --quantize"), "{said}");
    assert!(!scene.path("no").exists(), "nothing is written");
}

#[test]
fn new_names_are_no_lines_of_the_list_and_unique_ones_no_repeats() {
    let scene = Scene::new(40);
    let list: HashSet<&str> = NAMES.lines().take(40).collect();
    scene
        .run(0, &format!("{SHORT} --steps 400 --keep last --lr 0.02 --dropout 0 --weight-decay 0 --out run"));
    let (plain, _) = scene.run(0, "sample --model run --num 300");
    assert!(plain.lines().any(|name| list.contains(name)), "a model that has copied: {plain}");
    let expected = |novel: bool, unique: bool| {
        let mut seen = HashSet::new();
        let kept =
            plain.lines().filter(|name| !(novel && list.contains(name)) && (!unique || seen.insert(*name)));
        kept.map(|name| format!("{name}\n")).collect::<String>()
    };
    for (options, expected) in [
        ("--novel", expected(true, false)),
        ("--unique", expected(false, true)),
        ("--novel --unique", expected(true, true)),
    ] {
        let count = expected.lines().count();
        for (threads, num) in [(1, count), (3, count), (1, count / 2)] {
            let line = format!("sample --model run {options} --num {num} --threads {threads}");
            let (found, _) = scene.run(0, &line);
            let expected: String = expected.split_inclusive('\n').take(num).collect();
            assert_eq!(found, expected, "{line}: as without, less what is left out");
        }
    }

    let (found, said) = scene.run(1, "sample --model run --pattern emma --unique --num 2");
    assert!(
        found == "emma\n" && said.contains("found 1 of 2 names: the next 5000 were all repeats"),
        "{said}"
    );
    let (found, said) = scene.run(1, "sample --model run --pattern james --novel --json");
    assert!(found.contains("\"names\":[]") && said.contains("found 0 of 20 names"), "{said}");

    fs::copy(scene.path("run/model.mdm"), scene.path("alone.mdm")).unwrap();
    let (found, said) = scene.run(1, "sample --model alone.mdm --novel");
    assert!(
        found.is_empty() && said.contains("does not say which list") && said.contains("--input"),
        "{said}"
    );
    let (found, _) = scene.run(0, "sample --model alone.mdm --novel --input names.txt");
    assert_eq!(found, scene.run(0, "sample --model run --novel").0);
    scene.write("names.txt", "anna\nbob\n");
    let (same, said) = scene.run(0, "sample --model run --novel");
    assert!(same == found && said.contains("names.txt has changed since"), "{said}");
    fs::remove_file(scene.path("run/prepared_list.txt")).unwrap();
    let (_, said) = scene.run(1, "sample --model run --novel");
    assert!(said.contains("names.txt has changed since") && said.contains("--input"), "{said}");
    let (found, _) = scene.run(0, "sample --model built-in --novel --unique --num 500");
    let names: HashSet<&str> = NAMES.lines().collect();
    assert!(found.lines().count() == 500 && found.lines().all(|name| !names.contains(name)));
}

/// The files of a run must not depend on whether someone reads its names.
#[test]
#[cfg(target_os = "linux")]
fn a_reader_who_leaves_takes_nothing_from_the_run_folder() {
    let scene = Scene::new(30);
    let train = "train --input names.txt --config perceptron-small --steps 20 --quiet --out";
    let (closed, reader) = (scene.path("closed"), Stdio::piped());
    let mut child = scene.command(&format!("{train} closed")).stdout(reader).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "a reader who leaves is no failure");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output =
        scene.command(&format!("{train} full")).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("cannot write to stdout"), "{said}");
    for run in [closed, scene.path("full")] {
        for file in ["report.html", "loss.svg", "names.svg", "unmasking.svg", "model.mdm"] {
            assert!(run.join(file).exists(), "{} of {}", file, run.display());
        }
    }
}

#[test]
fn counting_stands_beside_the_model() {
    let scene = Scene::new(1000);
    let (_, said) = scene.run(0, "train --input names.txt --config perceptron-small --steps 50 --out run");
    let (json, _) = scene.run(0, "eval --model run --json --num 0 --orders 1");
    let json: Value = serde_json::from_str(&json).unwrap();
    let (nats, order) = (json["counting_nats_per_name"].as_f64().unwrap(), &json["counting_order"]);
    assert!(
        said.contains(&format!("counting    −ln p {nats:.3}, by n-grams of {order} characters")),
        "{said}"
    );
    let page = scene.read("run/report.html");
    let row = format!("counting letters<span>by n-grams of {order} characters</span>");
    let (_, cells) = page.split_once(&row).unwrap();
    let (cells, _) = cells.split_once("</tr>").unwrap();
    assert!(cells.contains(&format!(">{nats:.2}<")), "{cells}");
}

#[test]
fn messages_about_few_lines_and_integers_are_true() {
    let scene = Scene::new(1);
    scene.write("names.txt", "ab\nac\nad\nae\naf\nag\nah\nai\naj\nfartoolongaline\ncd\nef\n");
    let train = "train --input names.txt --config perceptron --batch 16 --steps 20 --no-pictures";
    let (_, said) = scene.run(0, &format!("{train} --out run"));
    assert!(said.contains("there are fewer than ten, or those were dropped"), "{said}");
    let (_, said) = scene.run(0, "export --model run --format int8 --out run.mdm");
    assert!(said.contains("no held-out lines to score") && scene.path("run.mdm").exists(), "{said}");
    let (_, said) = scene.run(1, "export --model run.mdm --format rust --out run.rs");
    assert!(said.contains("its weights are int8") && !said.contains("made by export"), "{said}");
}
