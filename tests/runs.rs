//! Training by default on lists of any size: which state is kept, how a run goes on, where it starts, which names are new.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};
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
fn lines_of_few_letters_have_more_dropout() {
    let scene = Scene::new(20_000);
    let letters = || (b'a'..=b'z').map(char::from);
    // 400 lines each. A line of two letters has 3 masked forms, one of eight 255.
    let pairs =
        || letters().flat_map(|one| letters().map(move |two| format!("{one}{two}"))).step_by(26 * 26 / 400);
    let dropout = |name: &str, lines: String| {
        scene.write("list.txt", &lines);
        let train = "--config convolution-medium --steps 4 --no-eval --no-pictures";
        scene.run(0, &format!("train --input list.txt --out {name} {train}"));
        scene.settings(name)["dropout"].as_f64().unwrap()
    };
    let few = dropout("few", pairs().take(400).map(|pair| pair + "\n").collect());
    let many = dropout("many", pairs().take(400).map(|pair| pair.repeat(4) + "\n").collect());
    assert!(few == 0.6 && many <= 0.3, "{few} {many}");
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
    assert!(said.contains("start from  first/model.mdm: perceptron-small"), "{said}");
    scene.run(0, &format!("{train} --config perceptron-small --out cold"));
    assert!(loss("warm") + 2.0 < loss("cold"), "{} {}", loss("warm"), loss("cold"));
    let before = scene.bytes("warm");
    scene.run(0, "train --resume --no-eval --no-pictures --out warm");
    assert_eq!(scene.bytes("warm"), before, "it keeps the alphabet that its weights know");
    scene.run(0, "sample --model warm --novel --num 3");

    // A run in the folder of the model that it starts from moves that model aside.
    for (from, moved) in [("warm", "warm.1"), ("warm/model.mdm", "warm.2/model.mdm")] {
        scene.run(0, &format!("{train} --from {from} --out warm"));
        assert_eq!(scene.settings("warm")["from"], moved);
    }

    let (_, said) = scene.run(1, &format!("{train} --from first --config residual --out no"));
    assert!(
        said.contains("first/model.mdm is a perceptron-small") && said.contains("leave out --config"),
        "{said}"
    );
    let (_, said) = scene.run(1, &format!("{train} --from built-in --config residual --out no"));
    assert!(said.contains("error: the built-in model is a transformer-local, and --config asks"), "{said}");
    scene.write("few.txt", "anna\nanné\nøre\n");
    let (_, said) = scene.run(1, &format!("{train} --from first --out no"));
    assert!(said.contains("does not know “éø” in few.txt"), "{said}");
    scene.run(0, &format!("{SHORT} --steps 5 --quantize int8 --out integers"));
    let (_, said) = scene.run(1, &format!("{SHORT} --steps 5 --from integers --out no"));
    assert!(
        said.contains("the weights are integers (int8)") && said.contains("without --quantize"),
        "{said}"
    );
    assert!(!scene.path("no").exists(), "nothing is written");
}

/// Two teachers in the folder of `scene`, of different networks and rooms.
fn teachers(scene: &Scene) {
    scene.run(0, &format!("{SHORT} --steps 300 --out one"));
    let train = "train --input names.txt --config convolution-small --batch 16 --no-eval --no-pictures";
    scene.run(0, &format!("{train} --steps 40 --out two"));
}

#[test]
fn a_taught_run_has_the_same_bytes_on_any_number_of_threads_and_after_a_kill() {
    let scene = Scene::new(400);
    teachers(&scene);
    let check = |train: &str, steps: u32| {
        let train = format!("{train} --no-eval --no-pictures --teacher one,two --steps {steps}");
        scene.run(0, &format!("{train} --threads 1 --out whole"));
        let whole = scene.bytes("whole");
        scene.run(0, &format!("{train} --threads 3 --out threads"));
        assert_eq!(scene.bytes("threads"), whole, "{train}");

        let (out, checkpoint) =
            (format!("{train} --out killed"), scene.path("killed/checkpoint.safetensors"));
        let mut child = scene.command(&format!("{out} --quiet --save-every 5")).spawn().unwrap();
        let steps_done = || {
            let (report, _) = scene.run(0, "inspect --json killed/checkpoint.safetensors");
            serde_json::from_str::<Value>(&report).unwrap()["steps_done"].as_u64().unwrap()
        };
        while !checkpoint.exists() || steps_done() == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, said) = scene.run(0, "train --resume --no-eval --no-pictures --threads 2 --out killed");
        assert!(said.contains("teacher     one/model.mdm") && said.contains("going on from step"), "{said}");
        assert_eq!(scene.bytes("killed"), whole, "{train}");
        for run in ["whole", "threads", "killed"] {
            fs::remove_dir_all(scene.path(run)).unwrap();
        }
    };
    // The perceptron has a step of its own.
    check("train --input names.txt --config perceptron-small --batch 16", 400);
    check("train --input names.txt --config perceptron-small --batch 16 --quantize int4", 60);
    check("train --input names.txt --config residual --batch 16", 60);
    check("train --input names.txt --config convolution-small --batch 16 --dropout 0.2 --averaging 0.5", 60);
}

#[test]
fn the_weight_of_teachers_goes_from_nothing_to_all() {
    let scene = Scene::new(400);
    teachers(&scene);
    let model = |options: &str| {
        scene.run(0, &format!("{SHORT} --steps 40 --out run {options}"));
        let [model, losses, _] = scene.bytes("run");
        (model, losses)
    };
    let alone = model("");
    assert!(model("--teacher one --teacher-weight 0") == alone, "a teacher without weight changes nothing");
    let taught = model("--teacher one");
    assert_eq!(scene.settings("run")["teacher_weight"], 0.9);
    assert!(taught != alone);
    assert!(model("--teacher one --teacher-weight 0.9") == taught);
    assert!(model("--teacher one,one") == taught, "twice the same is the same: halves add up exactly");
    assert!(model("--teacher one --teacher one/model.mdm") == taught);
    for other in ["--teacher one,two", "--teacher two", "--teacher one --teacher-weight 1"] {
        assert!(model(other) != taught, "{other}");
    }
    // Integers teach as well.
    scene.run(0, "export --model one --input names.txt --format int8 --out one-int8.mdm");
    assert!(model("--teacher one-int8.mdm") != taught);
}

/// A student of a teacher that has seen all lines knows of those that were held from it.
#[test]
fn a_student_learns_what_its_teacher_knows() {
    let scene = Scene::new(400);
    let train = format!("{SHORT} --steps 1000");
    let nats = |options: &str| {
        scene.run(0, &format!("{train} --out run {options}"));
        let (report, _) = scene.run(0, "eval --model run --json --num 0 --orders 8");
        serde_json::from_str::<Value>(&report).unwrap()["nelbo_nats_per_name"].as_f64().unwrap()
    };
    let [alone, half, taught] =
        ["", "--teacher built-in --teacher-weight 0.5", "--teacher built-in"].map(nats);
    println!("{alone} alone, {half} with half from a teacher, {taught} with most from it");
    assert!(taught + 0.3 < alone && half + 0.2 < alone, "{alone} {half} {taught}");
}

/// The models that come along have seen every line but those held out for the record.
#[test]
fn a_built_in_model_that_knows_the_held_out_lines_is_warned_of() {
    let scene = Scene::new(400);
    let warning = "the model was trained on 36 of the 36 held-out lines";
    let train = "train --input names.txt --batch 2 --steps 1 --no-eval --no-pictures --out run";
    let eval = "eval --input names.txt --num 0 --orders 1 --model built-in";
    for line in [
        &format!("{train} --teacher built-in"),
        &format!("{train} --teacher built-in-int4"),
        &format!("{train} --from built-in"),
        eval,
    ] {
        let (_, said) = scene.run(0, &format!("{line} --development"));
        assert!(said.contains(warning), "{line}: {said}");
        assert!(!said.contains("the the") && !said.contains("teacher the"), "{line}: {said}");
        let score = if line == eval { "this score" } else { "the run's held-out score" };
        assert!(said.contains(&format!(", so {score} is not that of new lines")), "{line}: {said}");
        if line != eval {
            // The run keeps the warning for whoever scores it, or starts from it.
            let (_, resumed) = scene.run(0, "train --out run --resume --steps 2 --no-eval --no-pictures");
            assert!(resumed.contains(warning), "{line}: {resumed}");
            let of_run = "eval --num 0 --orders 1 --model run";
            let onward = format!("{train} --development --from run").replace("--out run", "--out onward");
            for line in [of_run, &format!("{of_run} --input names.txt"), &onward] {
                let (_, said) = scene.run(0, line);
                assert!(said.contains(warning), "{line}: {said}");
            }
        }
        let (_, said) = scene.run(0, line);
        assert!(!said.contains("the model was trained on"), "{line}: {said}");
    }
    let (_, said) = scene.run(0, "eval --num 0 --orders 1 --model run");
    assert!(!said.contains("the model was trained on"), "{said}");
}

#[test]
fn teachers_are_kept_with_a_run_and_known_again() {
    let scene = Scene::new(400);
    teachers(&scene);
    let (_, said) = scene.run(0, &format!("{SHORT} --steps 5 --teacher one,two/model.mdm --out run"));
    assert!(
        said.contains("teacher     one/model.mdm: perceptron-small 12 × 26")
            && said.contains("teacher     two/model.mdm: convolution-small 16 × 26")
            && said.contains("weight 0.9; the rest is the letter that was masked")
            && said.contains("loss (with teachers) "),
        "{said}"
    );
    let settings = scene.settings("run");
    let hash = |run: &str| {
        let bytes = fs::read(scene.path(&format!("{run}/model.mdm"))).unwrap();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let expected = serde_json::json!([
        {"path": "one", "sha256": hash("one")},
        {"path": "two/model.mdm", "sha256": hash("two")},
    ]);
    assert_eq!(settings["teachers"], expected);
    let (report, _) = scene.run(0, "inspect run/checkpoint.safetensors");
    assert!(report.contains(&hash("one")) && report.contains("two/model.mdm"), "{report}");
    scene.run(0, "train --resume --out run --steps 6 --no-eval");
    let page = scene.read("run/report.html");
    assert!(page.contains("teachers") && page.contains("one, two"), "the report names them");

    let resume = "train --resume --no-eval --no-pictures --out run --steps 8";
    let (_, said) = scene.run(1, &format!("{resume} --teacher-weight 0.5"));
    assert!(said.contains("--teacher-weight is 0.5, and was 0.9"), "{said}");
    let (_, said) = scene.run(1, &format!("{resume} --teacher two,one"));
    assert!(said.contains("the teachers are not the models that it began with"), "{said}");
    scene.run(0, &format!("{SHORT} --steps 5 --out untaught"));
    let (_, said) = scene.run(1, "train --resume --no-eval --out untaught --teacher one");
    assert!(said.contains("it began without a teacher; give the same settings"), "{said}");
    let (_, said) = scene.run(1, "train --resume --no-eval --out untaught --teacher-weight 0.5");
    assert!(said.contains("needs teachers, and the run began without one"), "{said}");

    fs::rename(scene.path("one"), scene.path("moved")).unwrap();
    let (_, said) = scene.run(1, resume);
    assert!(
        said.contains("the run's teacher one cannot be used") && said.contains("anew with --teacher"),
        "{said}"
    );
    scene.run(0, &format!("{resume} --teacher moved,two"));
    assert_eq!(scene.settings("run")["teachers"][0]["path"], "moved");
    fs::copy(scene.path("two/model.mdm"), scene.path("moved/model.mdm")).unwrap();
    fs::remove_file(scene.path("moved/settings.json")).unwrap();
    let (_, said) = scene.run(1, "train --resume --no-eval --no-pictures --out run --steps 9");
    assert!(said.contains("the teachers are not the models that it began with"), "{said}");
}

/// Keys of a checkpoint that most lack are documented too.
#[test]
fn json_of_a_taught_run_has_the_documented_keys() {
    let scene = Scene::new(400);
    scene.run(0, &format!("{SHORT} --steps 2 --out one"));
    scene.run(0, &format!("{SHORT} --steps 2 --from one --teacher one --out run"));
    scene.run(0, "train --resume --no-eval --no-pictures --out run --steps 3");
    let (json, _) = scene.run(0, "inspect --json run/checkpoint.safetensors");
    let report: Value = serde_json::from_str(&json).unwrap();
    let keys = report.as_object().unwrap().keys().cloned();
    let rows = report["teachers"][0].as_object().unwrap().keys().map(|key| format!("teachers[].{key}"));
    let keys: HashSet<String> = keys.chain(rows).collect();
    assert!(["teachers", "teacher_weight", "from", "ends"].iter().all(|key| keys.contains(*key)), "{json}");
    let guide = include_str!("../host/README.md");
    for key in keys {
        assert!(guide.contains(&format!("`{key}`")), "host/README.md does not name {key}");
    }
}

#[test]
fn teachers_that_cannot_teach_are_refused() {
    let scene = Scene::new(400);
    teachers(&scene);
    scene.write("letters.txt", "anna\nhanna\nnana\nhana\n");
    scene.run(0, "train --input letters.txt --steps 2 --no-eval --no-pictures --out letters");
    scene.write("none.mdm", "no model");
    for (teacher, said) in [
        (
            "letters",
            ["letters/model.mdm cannot be the teacher", "its characters are “ahn”", "trained on these lines"],
        ),
        ("missing", ["cannot read the model missing", "", ""]),
        ("one,none.mdm", ["none.mdm", "neither a .mdm file", ""]),
        ("no/model.mdm", ["lies in the run folder", "another --out", ""]),
    ] {
        if teacher.starts_with("no/") {
            fs::rename(scene.path("two"), scene.path("no")).unwrap();
        }
        let (_, error) = scene.run(1, &format!("{SHORT} --steps 2 --out no --teacher {teacher}"));
        assert!(said.iter().all(|said| error.contains(said)), "{teacher}: {error}");
        assert!(!scene.path("no/settings.json").exists() || teacher.starts_with("no/"), "nothing is written");
    }
    // The start has more characters than the lines, and the teacher has just theirs.
    let train = "train --input letters.txt --steps 2 --no-eval --no-pictures --out no-room";
    let (_, error) = scene.run(1, &format!("{train} --from one --teacher letters"));
    assert!(
        error.contains("must be those of the model of --from, “abc") && error.contains("leave out --from"),
        "{error}"
    );
    // A line of 13 letters, which a student of 16 positions has room for.
    scene.write("long.txt", &format!("{}christopherrr\n", scene.read("names.txt")));
    let train = "train --config convolution-small --steps 2 --no-eval --no-pictures --out no-room";
    let (_, error) = scene.run(1, &format!("{train} --input long.txt --teacher one"));
    assert!(
        error.contains("at most 12 characters, and “christopherrr” has 13")
            && error.contains("take another teacher"),
        "{error}"
    );
    let (_, error) = scene.run(1, &format!("{SHORT} --steps 2 --out no-room --teacher-weight 0.5"));
    assert!(error.contains("name them with --teacher"), "{error}");
    for weight in ["-0.1", "1.1", "nan", "much"] {
        let (_, error) = scene.run(2, &format!("{SHORT} --teacher one --teacher-weight {weight}"));
        assert!(error.contains("must be a number from 0 to 1") || error.contains("not a number"), "{error}");
    }
    assert!(!scene.path("no-room").exists(), "nothing is written");
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
        found == "emma\n"
            && said.contains("found 1 of 2 names: the last 5000 tries were all repeats")
            && said.trim_end().ends_with("; ask for fewer with --num, or give a wider pattern than “emma”"),
        "{said}"
    );
    let (_, said) = scene.run(1, "sample --model run --length 1 --unique --num 99");
    assert!(said.trim_end().ends_with("or leave out --length 1"), "{said}");
    let (found, said) = scene.run(1, "sample --model run --pattern james --novel --json");
    assert!(found.contains("\"names\":[]") && said.contains("found 0 of 20 names"), "{said}");
    assert!(said.trim_end().ends_with("; give a wider pattern than “james”"), "{said}");

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

#[test]
fn a_table_without_the_column_of_the_run_is_refused() {
    let scene = Scene::new(0);
    let rows: String = NAMES.lines().take(40).map(|name| format!("1,{name}\n")).collect();
    scene.write("table.csv", &format!("id,Name\n{rows}"));
    let train = "train --config perceptron-small --batch 4 --no-eval --no-pictures --steps 2 --out run";
    scene.run(0, &format!("{train} --input table.csv --column Name --lowercase"));
    scene.write("foreign.csv", "first,last\nanna,smith\nbea,jones\n");
    for verb in ["sample", "sweep", "eval"] {
        let (_, said) = scene.run(1, &format!("{verb} --model run --input foreign.csv"));
        let parts = [
            "did, with --column Name --lowercase",
            "foreign.csv has no column “Name”; give --column a number",
        ];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

/// Whether a name was trained on does not depend on the list that is named, or on its order.
#[test]
fn what_was_trained_on_is_known_in_any_order_and_in_a_table() {
    let scene = Scene::new(40);
    let mut rows: Vec<String> =
        NAMES.lines().take(40).map(|name| format!("1,{}\n", name.to_uppercase())).collect();
    let table = |rows: &[String]| format!("id,Name\n{}", rows.concat());
    scene.write("table.csv", &table(&rows));
    rows.reverse();
    scene.write("reversed.csv", &table(&rows));
    let reversed: String = rows.iter().map(|row| row[2..].to_lowercase()).collect();
    scene.write("reversed.txt", &reversed);
    let train = "train --config perceptron-small --batch 16 --no-eval --no-pictures --steps 400 --keep last --lr 0.02 --dropout 0";
    scene.run(0, &format!("{train} --weight-decay 0 --input table.csv --column Name --lowercase --out run"));
    let novelty = |line: &str| {
        let (json, said) = scene.run(0, &format!("sample {line} --json --num 200"));
        let novelty = serde_json::from_str::<Value>(&json).unwrap()["novelty"].clone();
        (novelty, scene.run(0, &format!("sweep {line} --num 5")).0, said)
    };
    let (expected, table, _) = novelty("--model run");
    let texts = expected.to_string();
    assert!(texts.contains("training line") && texts.contains("new"), "{texts}");
    fs::rename(scene.path("table.csv"), scene.path("moved.csv")).unwrap();
    // The last is no table, and so has no column.
    let lists = "moved.csv, reversed.csv, run/prepared_list.txt, reversed.txt --column 1, reversed.txt";
    for list in lists.split(", ") {
        let (found, marked, said) = novelty(&format!("--model run --input {list}"));
        assert!(found == expected && marked == table && !said.contains("note"), "{list}: {said}");
    }
    assert_eq!(
        scene.run(0, "sample --model run --novel --input moved.csv").0,
        scene.run(0, "sample --model run --novel").0
    );
    let score =
        |list: &str| scene.run(0, &format!("eval --model run --num 0 --orders 2 {list}")).0.replace(list, "");
    assert_eq!(
        score("--input moved.csv").replace("moved.csv", ""),
        score("").replace("run/prepared_list.txt", "")
    );

    // Copies on a page are the lines that were trained on.
    let page = "export --format html --quantize int8 --model run --out page.html --input";
    let (_, said) = scene.run(0, &format!("{page} reversed.csv"));
    assert!(said.contains("copies      of 36 lines of reversed.csv are marked"), "{said}");
    scene.write(
        "other.csv",
        &format!("Name\n{}\n", NAMES.lines().skip(40).take(40).collect::<Vec<_>>().join("\n")),
    );
    let (_, said) = scene.run(0, &format!("{page} other.csv"));
    assert!(
        said.contains("not marked: other.csv has no line that the model is known to be trained on"),
        "{said}"
    );

    // A file by itself takes the options, and says that a list looks like a table.
    fs::copy(scene.path("run/model.mdm"), scene.path("alone.mdm")).unwrap();
    let alone = novelty("--model alone.mdm --input moved.csv --column Name --lowercase");
    assert!(alone.0 == expected && alone.1 == table);
    for verb in ["sample", "sweep", "eval", "export --quantize int8 --format html", "export --format int8"] {
        let (_, said) = scene.run(1, &format!("{verb} --model alone.mdm --input moved.csv"));
        assert!(said.contains("moved.csv: the model knows the characters of none of these lines"), "{said}");
        assert!(said.contains("looks like a table of 2 columns") && said.contains("--column 1"), "{said}");
    }

    // Without the run's copy, nothing tells what was trained on in another order.
    fs::remove_file(scene.path("run/prepared_list.txt")).unwrap();
    assert!(novelty("--model run --input moved.csv").0 == expected);
    for verb in ["sample", "sweep"] {
        let (_, said) = scene.run(0, &format!("{verb} --model run --input reversed.csv"));
        assert!(said.contains("reversed.csv is another list than the run was trained on"), "{said}");
    }
    let reversed: String = NAMES.lines().rev().map(|name| format!("{name}\n")).collect();
    scene.write("reversed.txt", &reversed);
    let built_in = |list: &str| novelty(&format!("--model built-in{list}"));
    assert_eq!(built_in(" --input reversed.txt").0, built_in("").0);
}

#[test]
fn a_list_without_a_line_tells_nothing() {
    let scene = Scene::new(40);
    scene.run(0, &format!("{SHORT} --steps 2 --out run"));
    scene.write("empty.txt", "");
    scene.write("blank.txt", " \n\n");
    for list in ["empty.txt", "blank.txt"] {
        for model in ["run", "run/model.mdm", "built-in"] {
            for verb in ["sample --novel", "sample --num 2", "sweep", "eval", "export --format int4"] {
                let (found, said) = scene.run(1, &format!("{verb} --model {model} --input {list}"));
                let native = model == "built-in" && verb.starts_with("export");
                assert!(
                    native || said.contains(&format!("{list} has no line; put one example")),
                    "{verb}: {said}"
                );
                assert!(found.is_empty(), "{found}");
            }
        }
    }
    scene.write("upper.txt", "ANNA\nBOB\n");
    let (_, said) = scene.run(1, "sample --model run --novel --input upper.txt");
    assert!(
        said.contains("upper.txt: the model knows the characters of none") && said.contains("--lowercase"),
        "{said}"
    );
    assert!(
        scene.run(0, "sample --model run --novel --input upper.txt --lowercase --num 2").0.lines().count()
            == 2
    );
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
    assert!(said.contains("the weights are integers (int8)") && !said.contains("made by export"), "{said}");
}

/// Lines of 499 stems with 12 endings each, which a list remembers and a small network does not.
fn stems() -> String {
    let mut state = 5_u64;
    let mut below = |count: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % count
    };
    let mut letter = |place: u64| {
        let letters: &[u8] = if place.is_multiple_of(2) { b"bcdfghklmnprstvz" } else { b"aeiou" };
        char::from(letters[below(letters.len() as u64) as usize])
    };
    let stems: Vec<String> = (0..499).map(|number| (0..6 + number % 3).map(&mut letter).collect()).collect();
    let endings = ["", "s", "ed", "ing", "er", "ly", "ness", "able", "ful", "less", "ish", "ers"];
    let mut lines: Vec<String> = Vec::new();
    // Ending after ending. 499 is no multiple of 10, so that every tenth line takes other stems of each ending.
    for ending in endings {
        lines.extend(stems.iter().map(|stem| format!("{stem}{ending}\n")));
    }
    lines.concat()
}

/// −ln p of the model in `run`, and what else was said.
fn nats_by(scene: &Scene, run: &str) -> (f64, String) {
    let (json, said) =
        scene.run(0, &format!("eval --input stems.txt --num 0 --orders 2 --lines 60 --json --model {run}"));
    let json: Value = serde_json::from_str(&json).unwrap();
    (json["nll_nats_per_name"].as_f64().unwrap(), said)
}

#[test]
fn letters_are_looked_up_where_counting_beats_the_network() {
    let scene = Scene::new(0);
    scene.write("stems.txt", &stems());
    let train =
        "train --input stems.txt --config perceptron-small --steps 1000 --batch 16 --no-eval --no-pictures";
    let (_, said) = scene.run(0, &format!("{train} --out run"));
    assert!(
        said.contains("retrieval   on, with the weight 6: −ln p of ")
            && said.contains(" by the network alone, and "),
        "{said}"
    );
    fs::copy(scene.path("run/model.mdm"), scene.path("alone.mdm")).unwrap();
    let ((with, said), (alone, silent)) = (nats_by(&scene, "run"), nats_by(&scene, "alone.mdm"));
    assert!(with + 3.0 < alone, "{with} with retrieval, {alone} without");
    assert!(said.contains("retrieval   letters are looked up in the training lines too"), "{said}");
    assert!(!silent.contains("retrieval"), "{silent}");
    // Neither asked for nor tried: said no, or a trial of few steps.
    for not in ["--retrieval off", "--steps 999"] {
        let train = train.replace("--steps 1000", if not.contains("steps") { "" } else { "--steps 1000" });
        let (_, said) = scene.run(0, &format!("{train} {not} --out not"));
        assert!(!said.contains("retrieval"), "{not}: {said}");
        assert!(!scene.path("not/retrieval.json").exists(), "{not}");
    }
    // As many lines, which a network predicts much better than counting does; and too few lines.
    scene.write("names.txt", &NAMES.lines().take(6_000).map(|name| format!("{name}\n")).collect::<String>());
    scene.write("few.txt", &stems().lines().take(5_000).map(|line| format!("{line}\n")).collect::<String>());
    for (list, network) in [
        ("names.txt", "perceptron --batch 64 --steps 4000"),
        ("few.txt", "perceptron-small --batch 16 --steps 1000"),
    ] {
        let train =
            train.replace("stems.txt", list).replace("perceptron-small --steps 1000 --batch 16", network);
        let (_, said) = scene.run(0, &format!("{train} --out {list}.run"));
        assert!(!said.contains("retrieval"), "{list}: {said}");
    }
    // A run that goes on keeps its finished model's retrieval until it has another model, which decides anew.
    let names = || scene.run(0, "sample --model run --num 30").0;
    let before = names();
    let mut child = scene
        .command("train --out run --resume --steps 400000 --no-eval --no-pictures")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scene.settings("run")["steps"], 400_000);
    assert_eq!(names(), before, "a killed run leaves the finished model as it was");
    let decision = || fs::read_to_string(scene.path("run/retrieval.json"));
    let first = decision().unwrap();
    fs::remove_dir_all(scene.path("run")).unwrap();
    scene.run(0, &format!("{train} --out run"));
    assert_eq!(decision().unwrap(), first, "the run again");
    scene.run(0, "train --out run --resume --steps 1010 --no-eval --no-pictures");
    assert_ne!(decision().unwrap(), first, "another model decides anew");
    scene.run(0, "train --out run --resume --steps 1010 --no-eval --no-pictures --retrieval off");
    assert!(decision().is_err(), "asked not to");
    scene.run(0, &format!("{train} --retrieval on --out run"));
    assert!(!scene.path("run.1/retrieval.json").exists() && decision().is_ok());
    scene.run(0, &format!("{train} --retrieval off --out run"));
    assert!(scene.path("run.2/retrieval.json").exists() && decision().is_err(), "moved aside with its run");
}

#[test]
fn a_run_with_retrieval_needs_its_list_and_says_so() {
    let scene = Scene::new(90);
    let (_, said) = scene.run(0, &format!("{SHORT} --steps 50 --retrieval on --out run"));
    assert!(said.contains("retrieval   on: letters will be looked up in the training lines too\n"), "{said}");
    assert!(!said.contains("with the weight"), "{said}");
    let decision = fs::read_to_string(scene.path("run/retrieval.json")).unwrap();
    assert!(decision.contains("\"weight\": 16"), "too few lines to choose one: {decision}");
    let (names, said) = scene.run(0, "sample --model run --num 40");
    assert!(said.contains("retrieval   letters are looked up"), "{said}");
    assert_eq!(scene.run(0, "sample --model run --num 40 --threads 1").0, names, "on any number of threads");
    fs::copy(scene.path("run/model.mdm"), scene.path("alone.mdm")).unwrap();
    let (alone, _) = scene.run(0, "sample --model alone.mdm --num 40");
    assert_ne!(names, alone, "the list is read");
    let (inspected, _) = scene.run(0, "inspect run --json");
    assert!(inspected.contains("\"retrieval\":true"), "{inspected}");
    for json in ["sample --num 1 --json", "eval --num 0 --lines 9 --orders 1 --json", "score anna --json"] {
        assert!(scene.run(0, &format!("{json} --model run")).0.contains("\"retrieval\":true"), "{json}");
        assert!(
            scene.run(0, &format!("{json} --model built-in")).0.contains("\"retrieval\":false"),
            "{json}"
        );
    }
    // An export in the run folder is the network alone, wherever it lies.
    let (_, said) = scene.run(0, "export --model run --format int8 --out run/int8.mdm");
    assert!(said.contains("the export is the network alone"), "{said}");
    scene.run(0, "export --model run --format safetensors");
    for name in ["int8.mdm", "model.safetensors"] {
        fs::copy(scene.path(&format!("run/{name}")), scene.path(name)).unwrap();
        let drawn = |model: &str| scene.run(0, &format!("sample --model {model}")).0;
        assert_eq!(drawn(&format!("run/{name}")), drawn(name), "{name}");
    }
    // A run that goes on keeps what was asked for.
    scene.run(0, "train --out run --resume --steps 60 --no-eval --no-pictures");
    assert_eq!(scene.settings("run")["retrieval"], "on");
    assert!(scene.run(0, "sample --model run").1.contains("retrieval   letters are looked up"));

    // Without the copy of the list, the list itself will do; without both, the network alone.
    let copy = scene.path("run/prepared_list.txt");
    fs::remove_file(&copy).unwrap();
    let (names, _) = scene.run(0, "sample --model run --num 40");
    fs::remove_file(scene.path("names.txt")).unwrap();
    for verb in ["sample --num 5", "eval --num 0 --lines 9", "score anna", "sweep --num 2"] {
        let (_, error) = scene.run(1, &format!("{verb} --model run"));
        assert!(
            error.contains(
                "needs its training lines, but names.txt and their copy, run/prepared_list.txt, are both gone"
            ),
            "{error}"
        );
        assert!(
            error.contains("after: mv run/retrieval.json run/retrieval.json.old")
                && !error.contains("--input"),
            "{error}"
        );
    }
    fs::rename(scene.path("run/retrieval.json"), scene.path("kept.json")).unwrap();
    let (alone, said) = scene.run(0, "sample --model run --num 40");
    assert!(!said.contains("looked up"), "{said}");
    assert_ne!(alone, names);
    // A decision that cannot be read is no decision against retrieval.
    for damaged in ["", "{\"model_sha256\": \"\", \"weight\": 7}"] {
        scene.write("run/retrieval.json", damaged);
        let (_, error) = scene.run(1, "sample --model run --num 5");
        assert!(error.contains("mv run/retrieval.json run/retrieval.json.old"), "{error}");
    }
    fs::rename(scene.path("kept.json"), scene.path("run/retrieval.json")).unwrap();
    scene.write("names.txt", &NAMES.lines().take(90).map(|name| format!("{name}\n")).collect::<String>());
    assert_eq!(scene.run(0, "sample --model run --num 40").0, names);
}
