//! Checks the prose of the project: links lead somewhere, messages hold no Debug form, comments are plain.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Most words of a sentence in a comment.
const WORDS: usize = 25;
/// Beginnings of a comment that stands on another one, or paraphrases a term.
const WEAK: [&str; 10] = ["The same", "It", "They", "That", "Those", "These", "What", "Of", "How", "Where"];
/// Phrases that hang one clause on another, or stand for a plainer word.
const HEAVY: [&str; 4] = ["but for", "of which", "the more so", "whoever"];
/// Messages with a Debug form: a string in Rust source that `export` writes.
const DEBUG_FORMS: [&str; 1] = ["pub const ALPHABET: &str = {:?};"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The files below `folder` with the extension `extension`, with their texts. Built and hidden folders are skipped.
fn files(folder: &Path, extension: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "runs" {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The lines of a Markdown text outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The anchors of a Markdown text.
fn anchors(text: &str) -> Vec<String> {
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Each link of the Markdown file at `path` that leads nowhere.
fn dead_links(path: &Path, text: &str) -> Vec<String> {
    let mut dead = Vec::new();
    for line in prose(text) {
        for (_, rest) in line.match_indices("](").map(|(place, mark)| line.split_at(place + mark.len())) {
            let Some((target, _)) = rest.split_once(')') else { continue };
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            // Links of the crate's front page are rustdoc's, which checks them.
            if target.contains("://") || file.contains("::") || path.ends_with("core/README.md") {
                continue;
            }
            let led = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
            let leads = led.exists()
                && (anchor.is_empty()
                    || fs::read_to_string(&led)
                        .is_ok_and(|text| anchors(&text).iter().any(|found| found == anchor)));
            if !leads {
                dead.push(format!("{}: {target}", path.display()));
            }
        }
    }
    dead
}

#[test]
fn every_link_leads_somewhere() {
    let root = root();
    let texts = files(&root, "md");
    assert!(texts.len() > 6, "{:?}", texts.keys());
    let links: usize = texts.values().map(|text| text.matches("](").count()).sum();
    assert!(links > 60, "links are found: {links}");
    let dead: Vec<String> = texts.iter().flat_map(|(path, text)| dead_links(path, text)).collect();
    assert!(dead.is_empty(), "{dead:#?}");

    let wrong = "# A title, first\n[a](#a-title-first) [b](#a-title) [c](README.md) [d](READYOU.md)";
    let dead =
        dead_links(&root.join("data/README.md"), &wrong.replace("#a-title-first", "README.md#namestxt"));
    assert_eq!(dead.len(), 2, "{dead:?}");
}

/// Lines of `text` that may show a user the Debug form of a value.
fn debug_forms(text: &str) -> Vec<&str> {
    let shown = |line: &&str| line.contains(":?}") || line.contains(":#?}");
    text.lines()
        .filter(shown)
        .filter(|line| !DEBUG_FORMS.iter().any(|allowed| line.contains(allowed)))
        .collect()
}

#[test]
fn messages_hold_no_debug_form() {
    let sources = files(&root().join("host/src"), "rs");
    let found: Vec<_> = sources
        .iter()
        .flat_map(|(path, text)| debug_forms(text).into_iter().map(move |line| (path, line)))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(debug_forms("bail!(\"no text: {error:?}\")\nbail!(\"no text: {error}\")").len(), 1);
}

/// The paragraphs of the comments of `text`, each with the number of its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut last, mut in_code) = (Vec::<(usize, String)>::new(), 0, false);
    for (number, line) in (1..).zip(text.lines()) {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let comment = comment.trim_start_matches(['/', '!']).trim_start();
        let fence = comment.starts_with("```");
        in_code ^= fence;
        if comment.is_empty() || fence || in_code || comment.starts_with(['|', '#']) {
            continue;
        }
        match found.last_mut().filter(|_| last + 1 == number && !comment.starts_with("- ")) {
            Some((_, paragraph)) => *paragraph += &format!(" {comment}"),
            None => found.push((number, comment.to_owned())),
        }
        last = number;
    }
    found
}

/// Faults in the comments of `text`.
fn not_plain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, paragraph) in paragraphs(text) {
        let begins = |weak: &&&str| {
            paragraph.strip_prefix(**weak).is_some_and(|rest| rest.starts_with([' ', '.', ',']))
        };
        if let Some(weak) = WEAK.iter().find(begins) {
            wrong.push(format!("{number}: begins “{weak}”: {paragraph}"));
        }
        for sentence in paragraph.split_inclusive(['.', ';', ':']).flat_map(|part| part.split(". ")) {
            let words =
                sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
            if words > WORDS {
                wrong.push(format!("{number}: {words} words: {sentence}"));
            }
            if sentence.matches(" which ").count() > 1 {
                wrong.push(format!("{number}: which … which: {sentence}"));
            }
            if let Some(heavy) = HEAVY.iter().find(|heavy| sentence.contains(*heavy)) {
                wrong.push(format!("{number}: “{heavy}”: {sentence}"));
            }
        }
    }
    wrong
}

/// Faults in the comments of the Rust files below `folder`, which hold more than `least` paragraphs.
fn faults(folder: &str, least: usize) -> String {
    let sources = files(&root().join(folder), "rs");
    let comments: usize = sources.values().map(|text| paragraphs(text).len()).sum();
    assert!(comments > least, "comments of {folder} are found: {comments}");
    let wrong = sources.iter().flat_map(|(path, text)| {
        not_plain(text).into_iter().map(move |wrong| format!("{}:{wrong}", path.display()))
    });
    wrong.collect::<Vec<_>>().join("\n")
}

#[test]
fn comments_are_plain() {
    assert_eq!(faults("host/src", 1000), "");
    assert_eq!(faults("core/src", 700), "");
    assert_eq!(faults("core/examples", 30), "");

    assert_eq!(not_plain("/// The same, in bits.\n\n//! Where it was.\n\n// Rows of a table.").len(), 2);
    assert_eq!(not_plain("// Rows, which a table has, which is flat.\n// All but for one.").len(), 2);
    assert_eq!(not_plain("// Rows, which a table has. A table, which is flat.").len(), 0);
    let long = format!("/// One{}", " more".repeat(WORDS));
    assert_eq!(not_plain(&long).len(), 1);
    assert_eq!(not_plain(&long.replacen(" more", " more.\n/// Then", 1)).len(), 0);
}
