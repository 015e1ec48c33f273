//! Every input of the fuzzer's corpora, run once more: what was ever found stays found.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[path = "fuzz/targets.rs"]
pub mod targets;

/// Runs `target` on the corpus `name`; some of it must get all the way through.
fn replay(name: &str, target: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
    let inputs = fs::read_dir(folder).expect("a folder for each target");
    let through = inputs.filter(|entry| {
        let path = entry.as_ref().expect("a readable folder").path();
        let bytes = fs::read(&path).expect("a readable file");
        catch_unwind(|| target(&bytes)).unwrap_or_else(|_| panic!("{} made {name} panic", path.display()))
    });
    assert!(through.count() > 0, "no input of {name} gets all the way through");
}

#[test]
fn model_files() {
    replay("model_file", targets::model_file);
}

#[test]
fn patterns() {
    replay("pattern", targets::pattern);
}

#[test]
fn texts() {
    replay("text", targets::text);
}

#[test]
fn safetensors() {
    replay("safetensors", targets::safetensors);
}
