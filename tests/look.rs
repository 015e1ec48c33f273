//! Everything that people look at: the animation, the pictures and the report, the manual, and the keys of the JSON.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_micro-diffusion")
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(run(folder, arguments).stdout).unwrap()
}

/// A folder with some names.
fn scene() -> TempDir {
    let folder = TempDir::new().unwrap();
    let names: String =
        include_str!("../data/names.txt").lines().take(400).map(|n| format!("{n}\n")).collect();
    fs::write(folder.path().join("names.txt"), names).unwrap();
    folder
}

/// A training run of a moment, with everything there is to look at.
const TRAIN: [&str; 9] =
    ["train", "--config", "perceptron-small", "--steps", "60", "--batch", "16", "--input", "names.txt"];

/// Runs `arguments` in a terminal of `columns` and 24 lines: what it writes there. `None` where no terminal can be made.
#[cfg(target_os = "linux")]
fn on_a_terminal(
    folder: &Path,
    columns: usize,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Option<String> {
    let line = format!("stty cols {columns} rows 24; exec {} {} 2>/dev/null", program(), arguments.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(folder).stdin(Stdio::null());
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(variables.iter().copied());
    let Ok(output) = command.output() else {
        assert!(std::env::var_os("CI").is_none(), "script(1) must be there in continuous integration");
        eprintln!("skipped: `script` does not run");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The lines that a terminal of `columns` columns shows after `text`. Knows the controls of the animation: up, clear
/// line, colours, the cursor's visibility. Panics where a line is too long, or at any other control.
#[cfg(target_os = "linux")]
fn screen(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut row) = (vec![String::new()], 0_usize);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\u{1b}' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (number, command) = (&rest[1..end], &rest[end..=end]);
                match command {
                    "A" => row -= number.parse::<usize>().unwrap(),
                    "K" => lines[row].clear(),
                    "m" | "h" | "l" => {}
                    other => panic!("unknown command {number}{other}"),
                }
                rest = &rest[end + 1..];
            }
            '\r' => {}
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(String::new());
                }
            }
            other => {
                lines[row].push(other);
                assert!(lines[row].chars().count() <= columns, "too long for {columns}: {}", lines[row]);
            }
        }
    }
    lines
}

#[cfg(target_os = "linux")]
#[test]
fn the_animation_ends_with_the_names_at_every_width() {
    let folder = scene();
    let plain = stdout(folder.path(), &["sample"]);
    for columns in [80, 40, 15, 12, 5] {
        let Some(text) = on_a_terminal(folder.path(), columns, &[], &["sample", "--watch"]) else { return };
        let lines = screen(&text, columns);
        // Whole, over several lines where there is no room, with the marks of those that are lines of the list.
        let words = lines.iter().flat_map(|line| line.split_whitespace());
        let shown: String = words.filter(|word| !["†", "‡"].contains(word)).collect();
        assert_eq!(shown, plain.lines().collect::<String>(), "{columns} columns");
        assert!(columns < 40 || text.contains("step 3 of ") && text.contains("_ masked"), "{text}");
        assert!(text.matches("_").count() > 12 * 11 / 2, "masks are shown on the way");
        // Whatever their lengths, masks and names stand in the same columns from the first state to the last.
        let up = |place: &usize| {
            text[*place..]
                .strip_prefix("\u{1b}[")
                .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('A'))
        };
        let first_state = text.match_indices('\u{1b}').map(|(place, _)| place).find(up).unwrap();
        let first = screen(&text[..first_state], columns);
        let starts = |line: &String| {
            let begins =
                |(place, pair): (usize, &[char])| (pair[0] == ' ' && pair[1] != ' ').then_some(place);
            let line: Vec<char> = format!(" {line}").chars().collect();
            line.windows(2).enumerate().filter_map(begins).collect::<Vec<_>>()
        };
        if columns == 80 {
            assert!(first[0].contains('_') && !first[0].contains(char::is_alphabetic), "{first:?}");
            let unmarked: Vec<String> =
                lines.iter().map(|line| line.replace(" †", "  ").replace(" ‡", "  ")).collect();
            // The last line counts the steps, and is gone in the end.
            let rows = unmarked.len() - 1;
            assert_eq!(
                first[..rows].iter().map(starts).collect::<Vec<_>>(),
                unmarked[..rows].iter().map(starts).collect::<Vec<_>>()
            );
        }
        assert_eq!(
            text.matches("\u{1b}[?25l").count(),
            text.matches("\u{1b}[?25h").count(),
            "the cursor is back"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_animation_ends_at_once_when_interrupted() {
    let folder = scene();
    // Hundreds of seconds of names.
    let line = format!(
        "stty cols 80 rows 24; timeout --foreground --preserve-status -s INT 1 {} sample --watch --num 9000 2>/dev/null; \
         echo status $?",
        program()
    );
    let mut command = Command::new("timeout");
    command
        .args(["60", "script", "-qec", &line, "/dev/null"])
        .current_dir(folder.path())
        .stdin(Stdio::null());
    let Ok(output) = command.env("TERM", "xterm-256color").output() else {
        assert!(std::env::var_os("CI").is_none(), "script(1) must be there in continuous integration");
        eprintln!("skipped: `script` does not run");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.trim_end().ends_with("status 130"), "{text}");
    let (hidden, shown) = (text.rfind("\u{1b}[?25l"), text.rfind("\u{1b}[?25h"));
    assert!(hidden.is_some() && hidden < shown, "the cursor is back");
}

#[cfg(target_os = "linux")]
#[test]
fn the_animation_has_no_colour_where_none_is_wanted() {
    let folder = scene();
    let arguments = ["sample", "--watch", "--num", "3"];
    let Some(coloured) = on_a_terminal(folder.path(), 80, &[], &arguments) else { return };
    assert!(coloured.contains("\u{1b}[32m") && coloured.contains("\u{1b}[38;5;"), "{coloured:?}");
    let plain = on_a_terminal(folder.path(), 80, &[("NO_COLOR", "1")], &arguments).unwrap();
    let is_colour =
        |part: &str| part.split_once('m').is_some_and(|(n, _)| n.chars().all(|c| "0123456789;".contains(c)));
    assert!(!plain.split("\u{1b}[").skip(1).any(is_colour), "{plain:?}");
    assert_eq!(screen(&plain, 80), screen(&coloured, 80));
    let dumb = on_a_terminal(folder.path(), 80, &[("TERM", "dumb")], &arguments).unwrap();
    assert!(!dumb.contains('\u{1b}') && dumb.lines().count() == 3, "{dumb:?}");
}

#[test]
fn watching_off_a_terminal_prints_the_names() {
    let folder = scene();
    assert_eq!(stdout(folder.path(), &["sample", "--watch"]), stdout(folder.path(), &["sample"]));
}

#[test]
fn a_run_leaves_pictures_and_a_report_that_needs_no_network() {
    let folder = scene();
    let path = folder.path();
    run(path, &[&TRAIN[..], &["--out", "run", "--quiet"]].concat());
    let read = |name: &str| fs::read_to_string(path.join("run").join(name)).unwrap();
    let (curves, unmasking, report) = (read("loss.svg"), read("unmasking.svg"), read("report.html"));
    for label in ["training steps", "nats a name", "training loss", "held-out estimate", "NELBO of record"] {
        assert!(curves.contains(label), "{label}");
    }
    let drawn = stdout(path, &["sample", "--model", "run"]);
    let list = fs::read_to_string(path.join("names.txt")).unwrap();
    let is_new = |name: &&str| list.lines().all(|line| line != *name);
    let hero = unmasking.split(['“', '”']).nth(1).unwrap();
    assert!(drawn.lines().filter(is_new).any(|name| name == hero), "the hero is new: {hero}");
    let letters = hero.len();
    let of_cells = |class: &str| unmasking.matches(class).count();
    assert_eq!(of_cells("class=\"faint\""), letters * (letters + 1) / 2, "n masks, then n − 1, …");
    assert_eq!(of_cells("class=\"letter"), letters * (letters + 1) / 2, "a letter, then two, …");
    assert_eq!(of_cells("y=\"64\""), letters, "a column for each letter of {hero}");
    assert!(unmasking.contains("It is new"), "the picture says so");
    let names = read("names.svg");
    let longest = drawn.lines().map(str::len).max().unwrap();
    assert_eq!(
        names.matches("@keyframes letter").count(),
        longest + 1,
        "a moment for each step and the start"
    );
    let all = drawn.lines().map(str::len).sum::<usize>();
    for (kind, count) in
        [("animation-name:mask0", 0), ("animation-name:letter", all), ("animation-name:mask", all)]
    {
        assert_eq!(names.matches(kind).count(), count, "nothing past a name's end: {kind}");
    }
    for (name, text) in [("unmasking", &unmasking), ("names", &names)] {
        assert!(!text.contains('·'), "{name}: there is no sign for what is past the end");
    }
    for part in
        ["<svg", "held-out", "confidence", "learning rate", "counting letters", "an untrained network"]
    {
        assert!(report.contains(part), "{part}");
    }
    assert!(!report.contains("null"), "a setting that there is not is not shown");
    let namespace = "http://www.w3.org/2000/svg";
    for (name, text) in [("curves", &curves), ("unmasking", &unmasking), ("report", &report)] {
        let rest = text.replace(namespace, "");
        for link in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!rest.contains(link), "{name} asks for something: {link}");
        }
    }
    for picture in [&curves, &unmasking] {
        let opened = picture.matches("<text").count();
        assert!(opened > 0 && opened == picture.matches("</text>").count());
    }
}

#[test]
fn text_in_pictures_is_text() {
    let folder = scene();
    let lines: String = ('a'..='l').map(|letter| format!("<{letter}&\">\n")).collect();
    fs::write(folder.path().join("names.txt"), lines).unwrap();
    run(folder.path(), &[&TRAIN[..], &["--out", "run"]].concat());
    let report = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(report.contains("&lt;") && report.contains("&amp;") && !report.contains("&\">"));
}

/// The candidates beside a step are those of the draw. The likeliest has the probability in the picture, and the drawn
/// letters make the name.
#[test]
fn a_step_shows_what_it_chose_from() {
    let folder = scene();
    let path = folder.path();
    run(path, &[&TRAIN[..], &["--out", "run", "--quiet"]].concat());
    let read = |name: &str| fs::read_to_string(path.join("run").join(name)).unwrap();
    let (report, picture) = (read("report.html"), read("unmasking.svg"));
    let share = |text: &str| text.split(['"', ';']).next().unwrap().parse::<f64>().unwrap();
    let shares = |list: &str| -> Vec<f64> { list.split("--share:").skip(1).map(share).collect() };
    let steps: Vec<&str> = report
        .split("<ul class=\"candidates\">")
        .skip(1)
        .map(|rest| rest.split_once("</ul>").unwrap().0)
        .collect();
    // The cell before the frame of a letter that was just drawn.
    let cells: Vec<f64> = picture
        .split("warm-line fresh")
        .map(|before| before.rsplit_once("fill-opacity=\"").map_or(0.0, |(_, rest)| share(rest)))
        .collect();
    let hero = picture.split(['“', '”']).nth(1).unwrap();
    assert_eq!(steps.len(), hero.chars().count());
    for (step, cell) in steps.iter().zip(&cells) {
        let shares = shares(step);
        assert!(shares.len() >= 3 && shares.windows(2).all(|pair| pair[0] >= pair[1]), "{shares:?}");
        assert!((0.1 + 0.9 * shares[0] - cell).abs() < 0.006, "{shares:?} and {cell}");
    }
    let drawn = |step: &&str| {
        let (_, rest) = step.split_once("class=\"drawn\"").unwrap();
        rest.split_once("<bdi>").unwrap().1.chars().next().unwrap()
    };
    let sorted = |letters: &mut dyn Iterator<Item = char>| {
        letters.collect::<std::collections::BinaryHeap<_>>().into_sorted_vec()
    };
    assert_eq!(sorted(&mut steps.iter().map(drawn)), sorted(&mut hero.chars()));
}

/// The names in a report's list, each with its sign, if it has one.
fn listed(report: &str) -> Vec<(String, String)> {
    let (_, list) = report.split_once("<ul class=\"names\">").unwrap();
    let (list, _) = list.split_once("</ul>").unwrap();
    let name = |item: &str| {
        let (letters, rest) = item.split_once("</bdi>").unwrap();
        let text = letters.split('<').map(|part| part.split_once('>').unwrap().1).collect();
        let sign = rest.split_once('\u{a0}').map_or("", |(_, sign)| sign.split('<').next().unwrap());
        (text, sign.to_owned())
    };
    list.split("<li><bdi>").skip(1).map(|item| name(&format!(">{item}"))).collect()
}

/// A short list is learned by heart: what is no new name is marked wherever names are listed, and the way there is kept.
#[test]
fn names_that_are_lines_of_the_list_are_marked() {
    let folder = scene();
    let path = folder.path();
    let short: String = (0..30)
        .map(|n| ["ada", "bea", "ida"][n % 3].to_owned() + &"nl"[n % 2..][..1].repeat(n / 6) + "\n")
        .collect();
    fs::write(path.join("names.txt"), &short).unwrap();
    let more = ["--keep", "last", "--steps", "300", "--out", "run", "--quiet"];
    let train = ["train", "--config", "perceptron-small", "--batch", "16", "--input", "names.txt"];
    run(path, &[&train[..], &more].concat());
    let read = |name: &str| fs::read_to_string(path.join("run").join(name)).unwrap();
    let prepared = read("prepared_list.txt");
    let lines: Vec<&str> = prepared.lines().collect();
    let sign = |name: &str| match lines.iter().position(|line| *line == name) {
        Some(index) if index % 10 == 9 => "‡",
        Some(_) => "†",
        None => "",
    };
    let report = read("report.html");
    let drawn = stdout(path, &["sample", "--model", "run"]);
    let expected: Vec<(String, String)> =
        drawn.lines().map(|name| (name.to_owned(), sign(name).to_owned())).collect();
    assert_eq!(listed(&report), expected);
    let copies = expected.iter().filter(|(_, sign)| sign == "†").count();
    assert!(copies > 1 && copies < 20, "{copies} copies");
    assert!(read("names.svg").contains(&format!("{copies} training lines †")), "the legend counts them");
    // Names of fixed numbers, from the first step to the last.
    let previews = read("previews.tsv");
    let rows: Vec<Vec<&str>> = previews.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        rows[0],
        ["step", "name 1", "name 2", "name 3", "name 4", "name 5", "name 6", "name 7", "name 8"]
    );
    assert_eq!((rows[1][0], rows.last().unwrap()[0]), ("0", "300"));
    assert_eq!(rows.last().unwrap()[1..], drawn.lines().take(8).collect::<Vec<_>>());
    for name in &rows[1][1..] {
        assert!(report.contains(&format!("<bdi>{name}</bdi>")), "{name}");
    }
}

/// A line that only chose a state of the run was not trained on, and is no copy, whoever is asked.
#[test]
fn a_line_that_chose_a_state_is_no_training_line() {
    let folder = scene();
    let path = folder.path();
    // Nine lines of “b” are trained on, one of “a” is held out; of the others, every tenth chooses, and is of “c”.
    let kind = |index: usize| match (index % 10 == 9, (index - index / 10) % 10 == 9) {
        (true, _) => 'a',
        (_, true) => 'c',
        _ => 'b',
    };
    // The other letters make each line another.
    let rest =
        |n: usize| [n / 20, n % 20].map(|digit| char::from(b'a' + digit as u8)).iter().collect::<String>();
    let lines: Vec<String> = (0..200).map(|n| format!("{}{}", kind(n), rest(n))).collect();
    fs::write(path.join("kinds.txt"), lines.join("\n")).unwrap();
    let train =
        ["train", "--config", "perceptron-small", "--input", "kinds.txt", "--out", "kinds", "--keep", "best"];
    run(path, &[&train[..], &["--steps", "100", "--quiet", "--no-eval", "--no-pictures"]].concat());
    let json = stdout(path, &["sample", "--model", "kinds", "--num", "3000", "--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let all = |key: &str| report[key].as_array().unwrap().clone();
    let mut seen = BTreeSet::new();
    for (name, novelty) in all("names").iter().zip(all("novelty")) {
        let name = name.as_str().unwrap();
        let expected = match (lines.iter().any(|line| line == name), name.chars().next()) {
            (false, _) => "new",
            (true, Some('b')) => "training line",
            _ => "held-out line",
        };
        assert_eq!(novelty, expected, "{name}");
        seen.insert(name.chars().next().filter(|_| expected != "new"));
    }
    assert!([Some('b'), Some('c')].iter().all(|kind| seen.contains(kind)), "{seen:?}");
}

/// The x of each single letter of a picture of names, in reading order.
fn places(picture: &str) -> Vec<(f64, String)> {
    let letters = picture.split("<text class=\"moves ink\"").skip(1);
    let place = |text: &str| {
        let x = text.split_once(" x=\"").unwrap().1.split('"').next().unwrap().parse().unwrap();
        let letter = text.split_once('>').unwrap().1.split('<').next().unwrap();
        (x, letter.to_owned())
    };
    letters.map(place).collect()
}

#[test]
fn names_are_drawn_as_their_script_is_read() {
    let folder = scene();
    let path = folder.path();
    let draw = |list: &str| {
        fs::write(path.join("names.txt"), list).unwrap();
        let train = ["train", "--input", "names.txt", "--steps", "60", "--batch", "8", "--keep", "last"];
        run(path, &[&train[..], &["--no-eval", "--quiet", "--out", "run"]].concat());
        let read = |name: &str| fs::read_to_string(path.join("run").join(name)).unwrap();
        let first = stdout(path, &["sample", "--model", "run", "--num", "1"]).trim().to_owned();
        (read("names.svg"), read("unmasking.svg"), first)
    };
    // Hebrew from right to left.
    let (names, unmasking, first) = draw("אבגד\nדגבא\nאבאב\nגדגד\n");
    let letters = &places(&names)[..first.chars().count()];
    assert_eq!(letters.iter().map(|(_, letter)| letter.as_str()).collect::<String>(), first);
    assert!(letters.windows(2).all(|pair| pair[0].0 > pair[1].0), "{letters:?}");
    let column = |number: &str| {
        let (before, _) = unmasking.split_once(&format!(">{number}</text>")).unwrap();
        before.rsplit_once(" x=\"").unwrap().1.split('"').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(column("1") > column("2"), "the first position is on the right");
    // Arabic letters join, which they do in one text only.
    let (names, _, first) = draw("مريم\nليلى\nسلمى\nكريم\n");
    let (_, text) = names.split_once("direction=\"rtl\"").unwrap();
    let (text, _) = text.split_once("</text>").unwrap();
    let joined: String =
        text.split('<').map(|part| part.split_once('>').map_or("", |(_, text)| text)).collect();
    assert!(joined.starts_with(&first) && places(&names).is_empty(), "{joined}: {first}");
    // A mark stands with its letter.
    let (names, _, first) = draw("x\u{323}e\nq\u{300}a\nx\u{323}a\nq\u{300}e\n");
    let letters: Vec<String> = places(&names).into_iter().map(|(_, letter)| letter).collect();
    assert!(letters.concat().replace('◌', "").starts_with(&first), "{letters:?}: {first}");
    assert!(letters.iter().all(|letter| !letter.starts_with(['\u{323}', '\u{300}'])), "{letters:?}");
}

#[test]
fn looking_changes_nothing_and_not_looking_leaves_nothing() {
    let folder = scene();
    let path = folder.path();
    run(path, &[&TRAIN[..], &["--out", "seen"]].concat());
    run(path, &[&TRAIN[..], &["--out", "unseen", "--no-eval", "--no-pictures"]].concat());
    for file in ["model.mdm", "loss.csv", "checkpoint.safetensors"] {
        let read = |run: &str| fs::read(path.join(run).join(file)).unwrap();
        assert_eq!(read("seen"), read("unseen"), "{file}");
    }
    for file in ["held_out.csv", "previews.tsv", "loss.svg", "unmasking.svg", "names.svg", "report.html"] {
        assert!(path.join("seen").join(file).exists(), "{file}");
        assert!(!path.join("unseen").join(file).exists(), "{file}");
    }
    let curve = fs::read_to_string(path.join("seen/held_out.csv")).unwrap();
    let nats = |line: &str| line.split(',').nth(1).unwrap().parse::<f64>().unwrap();
    assert!(
        curve.starts_with("step,held_out_nats_per_name,error_over_orders\n0,")
            && curve.lines().last().unwrap().starts_with("60,")
    );
    let (first, last) = (nats(curve.lines().nth(1).unwrap()), nats(curve.lines().last().unwrap()));
    // Before the first step every letter is about as likely as any other, and lengths are as frequent as they are.
    let names = fs::read_to_string(path.join("names.txt")).unwrap();
    let (training, held_out): (Vec<_>, Vec<_>) =
        (1_usize..).zip(names.lines()).partition(|(n, _)| n % 10 != 0);
    let characters = names.chars().filter(char::is_ascii_lowercase).collect::<BTreeSet<_>>().len() as f64;
    let nats = |(_, name): &(usize, &str)| {
        let count = training.iter().filter(|(_, other)| other.len() == name.len()).count() as f64;
        name.len() as f64 * characters.ln() - ((count + 1.0 / 12.0) / (training.len() as f64 + 1.0)).ln()
    };
    let expected = held_out.iter().map(nats).sum::<f64>() / held_out.len() as f64;
    assert!((first - expected).abs() < 0.2 && last < first, "{expected} expected: {curve}");
}

#[cfg(unix)]
#[test]
fn the_curve_of_a_killed_run_goes_on() {
    let folder = scene();
    let path = folder.path();
    let train = [
        "train",
        "--config",
        "perceptron-small",
        "--steps",
        "400",
        "--batch",
        "16",
        "--input",
        "names.txt",
        "--quiet",
    ];
    let train = [&train[..], &["--save-every", "50", "--out"]].concat();
    run(path, &[&train[..], &["whole"]].concat());
    let mut child = Command::new(program());
    let child = child.args([&train[..], &["killed"]].concat()).current_dir(path).stdout(Stdio::null());
    let mut child = child.spawn().unwrap();
    while !path.join("killed/held_out.csv").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!path.join("killed/model.mdm").exists(), "killed before its end");
    run(path, &["train", "--out", "killed", "--resume", "--quiet"]);
    for file in ["held_out.csv", "previews.tsv", "loss.svg", "unmasking.svg", "report.html", "model.mdm"] {
        let read = |run: &str| fs::read(path.join(run).join(file)).unwrap();
        assert!(read("killed") == read("whole"), "{file}");
    }
}

/// The curve's last estimate and the score of record are of equal lines. They differ as their errors over orders tell: by
/// at most two in the root mean square over three seeds.
#[test]
fn the_curve_ends_at_the_score() {
    let folder = scene();
    let path = folder.path();
    let apart = |seed: &str| {
        let train = ["--seed", seed, "--keep", "last", "--out", seed, "--quiet"];
        run(path, &[&TRAIN[..], &train].concat());
        let eval = ["eval", "--json", "--model", seed, "--seed", seed, "--input", "names.txt", "--num", "0"];
        let eval = [&eval[..], &["--orders", "64"]].concat();
        let record: Value = serde_json::from_str(&stdout(path, &eval)).unwrap();
        let number = |key: &str| record[key].as_f64().unwrap();
        let (score, error) = (number("nelbo_nats_per_name"), number("nelbo_order_stderr_nats"));
        let read = |name: &str| fs::read_to_string(path.join(seed).join(name)).unwrap();
        let curve = read("held_out.csv");
        let last: Vec<f64> =
            curve.lines().last().unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
        assert!(read("loss.svg").contains(&format!("{score:.3} ± {error:.3}")), "the picture has the score");
        assert!(last[2] < 0.05, "40 names: {curve}");
        (score - last[1]) / last[2].hypot(error)
    };
    let apart = ["1", "2", "3"].map(apart);
    let square = apart.iter().map(|errors| errors * errors).sum::<f64>() / 3.0;
    assert!(square.sqrt() <= 2.0, "{apart:?} joint errors");
}

/// A run of an earlier version kept no errors with its curve, and no names: it goes on.
#[test]
fn a_curve_without_errors_goes_on() {
    let folder = scene();
    let path = folder.path();
    run(path, &[&TRAIN[..], &["--out", "run", "--quiet"]].concat());
    let table = path.join("run/held_out.csv");
    fs::write(&table, "step,held_out_nats_per_name\n0,20.5\n60,19.5\n").unwrap();
    fs::remove_file(path.join("run/previews.tsv")).unwrap();
    run(path, &["train", "--out", "run", "--resume", "--steps", "90", "--quiet"]);
    let curve = fs::read_to_string(table).unwrap();
    assert!(
        curve.contains("\n0,20.5,\n60,19.5,\n") && curve.lines().last().unwrap().starts_with("90,"),
        "{curve}"
    );
}

#[test]
fn completions_and_manual_pages_cover_every_verb() {
    let folder = scene();
    let path = folder.path();
    let help = stdout(path, &["--help"]);
    let verbs = [
        "train",
        "sample",
        "eval",
        "score",
        "noise",
        "sweep",
        "bench",
        "inspect",
        "export",
        "completions",
        "man",
    ];
    let manual = stdout(path, &["man"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(path, &["completions", shell]);
        for verb in verbs {
            assert!(script.contains(verb) && script.contains("temperature"), "{shell} {verb}");
        }
    }
    for verb in verbs {
        assert!(help.contains(verb) && manual.contains(verb), "{verb}");
        let page = stdout(path, &["man", verb]);
        assert!(
            page.contains(".SH NAME") && page.contains(&format!("micro\\-diffusion\\-{verb}")),
            "{verb}: {page}"
        );
    }
    let unknown = Command::new(program()).args(["man", "nothing"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

/// The keys of `report`, those of rows in its lists as `list[].key`.
fn keys(report: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (key, value) in report.as_object().unwrap() {
        keys.insert(key.clone());
        for row in value.as_array().into_iter().flatten().filter_map(Value::as_object) {
            keys.extend(row.keys().map(|inner| format!("{key}[].{inner}")));
        }
    }
    keys
}

/// The table of keys in `host/README.md` is complete and true.
#[test]
fn json_has_the_documented_keys() {
    let folder = scene();
    let path = folder.path();
    run(path, &[&TRAIN[..], &["--out", "run", "--quiet"]].concat());
    let readme = include_str!("../host/README.md");
    let cases: [(&str, &[&str]); 6] = [
        ("sample", &["sample", "--json", "--num", "2"]),
        (
            "eval",
            &[
                "eval",
                "--json",
                "--num",
                "20",
                "--orders",
                "2",
                "--input",
                "names.txt",
                "--model",
                "run",
                "--exact",
            ],
        ),
        ("score", &["score", "--json", "--orders", "2", "emma", "ava"]),
        ("inspect, a model", &["inspect", "--json"]),
        ("inspect, a checkpoint", &["inspect", "--json", "run/checkpoint.safetensors"]),
        ("bench", &["bench", "--json", "--config", "perceptron-small"]),
    ];
    for (verb, arguments) in cases {
        let json = stdout(path, arguments);
        assert_eq!(json.lines().count(), 1, "{json}");
        let found = keys(&serde_json::from_str(&json).unwrap());
        let row = readme.lines().find(|line| line.starts_with(&format!("| `--json` of {verb} |")));
        let row =
            row.unwrap_or_else(|| panic!("host/README.md has no row of keys for {verb}; it has {found:?}"));
        let documented: BTreeSet<String> = row.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        assert_eq!(found, documented, "{verb}");
    }
}
