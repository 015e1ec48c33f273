//! Exports, read by others: NumPy, a C compiler and rustc compute the logits that the core computes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use micro_diffusion::activation::Activation;
use micro_diffusion::config::{
    ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual, Transformer,
    TransformerLocal,
};
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::file::ModelFile;
use micro_diffusion::integer::{IntegerModel, Quantisable};
use micro_diffusion::kernels::Plain;
use micro_diffusion::precision::{Int4, Int8};
use micro_diffusion::rng::{Purpose, Stream, below};
use tempfile::TempDir;

/// |ours − theirs| of a logit: what is promised, with sums of f32 on our side and half of 1/65536 nat, 0.8·10⁻⁵, of the
/// scores that the core gives out.
const LOGIT: f64 = 1e-5;

fn program(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_micro-diffusion"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn good(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    let explanation = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {explanation}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn bad(folder: &Path, arguments: &[&str], parts: &[&str]) {
    let output = program(folder, arguments);
    let explanation = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {explanation}");
    for part in parts {
        assert!(explanation.contains(part), "{arguments:?} should say “{part}”: {explanation}");
    }
}

/// Whether `program` can be run. Without it a test has nothing to compare with and says so; in continuous integration,
/// which has installed everything, that is a failure.
fn available(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = status.is_ok_and(|status| status.success());
    if !found {
        let line = format!("`{program} {}` does not run", arguments.join(" "));
        assert!(std::env::var_os("CI").is_none(), "{line}, and must in continuous integration");
        eprintln!("skipped: {line}");
    }
    found
}

/// A folder with a briefly trained model of configuration `config`, in `run`.
fn trained(config: &str) -> TempDir {
    trained_with(config, &[])
}

/// A folder with a run trained with `more` arguments.
fn trained_with(config: &str, more: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let names: String =
        include_str!("../data/names.txt").lines().take(300).map(|n| format!("{n}\n")).collect();
    fs::write(folder.path().join("names.txt"), names).unwrap();
    let train = ["train", "--config", config, "--steps", "10", "--batch", "16", "--input", "names.txt"];
    good(folder.path(), &[&train[..], &["--out", "run", "--no-eval", "--no-pictures"], more].concat());
    folder
}

/// A text of symbols, `None` where it is masked.
type Masked = Vec<Option<u8>>;

/// Texts of random symbols below `symbols`: of each length 1 … `L` one of which nothing is masked, two of which each position
/// is with probability ½, and one of masks alone.
fn texts<const L: usize>(symbols: u32) -> Vec<Masked> {
    let stream = Stream::new(3, Purpose::Noise);
    let text = |length: u32, row: u32| {
        let symbol = |position: u32| {
            let [symbol, mask] = stream.draw(4 * length + row, position);
            (below(mask, 2) >= row.div_ceil(2)).then_some(below(symbol, symbols) as u8)
        };
        (0..length).map(symbol).collect()
    };
    (1..=L as u32).flat_map(|length| (0..4).map(move |row| text(length, row))).collect()
}

/// The core's logits of each text, position by position.
fn logits<M: Model<L, V>, const L: usize, const V: usize>(file: &[u8], texts: &[Masked]) -> Vec<Vec<f64>> {
    let file = ModelFile::parse(file).unwrap();
    let mut memory = vec![0.0; M::MEMORY];
    let parameters = file.parameters::<M, L, V>().unwrap();
    let view = M::view(parameters).unwrap();
    let denoiser = M::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
    let scores = scores(denoiser, texts).into_iter();
    scores.map(|scores| scores.into_iter().map(|score| f64::from(score) / 65_536.0).collect()).collect()
}

/// The scores of `denoiser` for each text, position by position.
fn scores<D: Denoiser<L, V>, const L: usize, const V: usize>(
    mut denoiser: D,
    texts: &[Masked],
) -> Vec<Vec<Score>> {
    let mut all = Vec::new();
    for text in texts {
        denoiser.start(text.len());
        for (position, symbol) in text.iter().enumerate() {
            denoiser.set(position, *symbol);
        }
        denoiser.evaluate();
        let mut of_text = Vec::new();
        for position in 0..text.len() {
            let mut scores = [0; V];
            denoiser.scores(position, &mut scores);
            of_text.extend(scores);
        }
        all.push(of_text);
    }
    all
}

/// Panics unless `output`, a line of numbers for each text, holds `ours`.
#[track_caller]
fn compare(ours: &[Vec<f64>], output: &str) {
    assert_eq!(output.lines().count(), ours.len());
    for (ours, line) in ours.iter().zip(output.lines()) {
        let theirs: Vec<f64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        assert_eq!(theirs.len(), ours.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours - theirs).abs() <= LOGIT, "{ours} against {theirs}");
        }
    }
}

/// A text as symbols, −1 for a mask.
fn line(text: &Masked) -> String {
    let numbers = text.iter().map(|symbol| symbol.map_or(-1, i32::from).to_string());
    numbers.collect::<Vec<_>>().join(" ")
}

/// The output of the script `name` about `texts`, for the model `file` of `folder`.
fn numpy(name: &str, folder: &Path, file: &str, texts: &[Masked]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interchange").join(name);
    let mut python = Command::new("python3");
    let python = python.arg(script).arg(file).current_dir(folder);
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = texts.iter().map(|text| line(text) + "\n").collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn numpy_agrees<M: Model<L, V>, const L: usize, const V: usize>(config: &str) {
    if !available("python3", &["-c", "import numpy"]) {
        return;
    }
    let folder = trained(config);
    let path = folder.path();
    good(path, &["export", "--model", "run"]);
    let texts = texts::<L>(V as u32);
    let ours = logits::<M, L, V>(&fs::read(path.join("run/model.mdm")).unwrap(), &texts);
    compare(&ours, &numpy("logits.py", path, "run/model.safetensors", &texts));

    let about = good(path, &["inspect", "run/model.safetensors"]);
    assert!(about.contains(config) && about.contains("alphabet"), "{about}");
    let names = good(path, &["sample", "--model", "run"]);
    assert_eq!(
        good(path, &["sample", "--model", "run/model.safetensors"]),
        names,
        "read back, it is the same"
    );
    good(path, &["export", "--model", "run/model.safetensors", "--format", "mdm", "--out", "back.mdm"]);
    assert_eq!(fs::read(path.join("back.mdm")).unwrap(), fs::read(path.join("run/model.mdm")).unwrap());
}

#[test]
fn numpy_computes_the_logits_of_the_perceptrons() {
    numpy_agrees::<Perceptron, 12, 26>("perceptron");
    numpy_agrees::<PerceptronSmall, 12, 26>("perceptron-small");
}

#[test]
fn numpy_computes_the_logits_of_the_residual_perceptron() {
    numpy_agrees::<Residual, 12, 26>("residual");
}

#[test]
fn numpy_computes_the_logits_of_the_convolution() {
    numpy_agrees::<ConvolutionSmall, 16, 26>("convolution-small");
}

#[test]
fn numpy_computes_the_logits_of_the_transformers() {
    numpy_agrees::<Transformer, 16, 26>("transformer");
    numpy_agrees::<TransformerLocal, 16, 26>("transformer-local");
    numpy_agrees::<ConvolutionMedium, 16, 26>("convolution-medium");
}

/// Every score of a masked position in integers, to the last bit.
fn numpy_computes_the_integers<I: IntegerModel<L, 26>, const L: usize>(folder: &Path, file: &str) {
    if !available("python3", &["-c", "import numpy"]) {
        return;
    }
    let texts = texts::<L>(26);
    let bytes = fs::read(folder.join(file)).unwrap();
    let mut memory = I::MEMORY;
    let view = ModelFile::parse(&bytes).unwrap().integers::<I, L, 26>().unwrap();
    let ours = scores(I::denoiser(view, &mut memory), &texts);
    let printed = numpy("integers.py", folder, file, &texts);
    assert_eq!(printed.lines().count(), ours.len());
    for ((text, ours), line) in texts.iter().zip(ours).zip(printed.lines()) {
        let theirs: Vec<Score> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let positions = ours.chunks(26).zip(theirs.chunks(26)).zip(text);
        let masked = positions.filter(|(_, symbol)| symbol.is_none());
        masked.for_each(|((ours, theirs), _)| assert_eq!(ours, theirs));
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn numpy_computes_the_scores_of_integers() {
    type Forms<M, P, const L: usize = 12> = <M as Quantisable<L, 26>>::Integers<P>;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    numpy_computes_the_integers::<Forms<Perceptron, Int8>, 12>(&data, "names-int8.mdm");
    numpy_computes_the_integers::<Forms<Perceptron, Int4>, 12>(&data, "names-int4.mdm");
    numpy_computes_the_integers::<Forms<ConvolutionChip, Int4, 16>, 16>(&data, "convolution-chip-int4.mdm");
    let folder = trained_with("convolution-small", &["--quantize", "int8"]);
    numpy_computes_the_integers::<Forms<ConvolutionSmall, Int8, 16>, 16>(folder.path(), "run/model.mdm");
    let folder = trained_with("residual", &["--quantize", "int8"]);
    numpy_computes_the_integers::<Forms<Residual, Int8>, 12>(folder.path(), "run/model.mdm");
    let folder = trained_with("residual", &["--quantize", "int4"]);
    numpy_computes_the_integers::<Forms<Residual, Int4>, 12>(folder.path(), "run/model.mdm");
}

/// Trains in PyTorch and comes back. Where there is no PyTorch, as in continuous integration, there is nothing to try.
#[test]
#[ignore = "half a minute; run by the slow script"]
fn pytorch_trains_and_comes_back() {
    let python = Command::new("python3").args(["-c", "import torch, safetensors"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no PyTorch with safetensors");
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("names.txt"), include_str!("../data/names.txt")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pytorch.py");
    let mut python = Command::new("python3");
    python.arg(script).args(["--input", "names.txt", "--steps", "100"]).current_dir(folder.path());
    let output = python.env("PROGRAM", env!("CARGO_BIN_EXE_micro-diffusion")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let number = |line: &str, before: &str| -> f64 {
        let rest = &line[line.find(before).unwrap() + before.len()..];
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap();
    let theirs = number(line("held out, by PyTorch"), "PyTorch:");
    let ours = number(line("NELBO"), "NELBO");
    // Both estimate the same bound from draws of their own.
    assert!((theirs - ours).abs() < 0.3 && theirs < 30.0, "{theirs} against {ours}");
    let names = good(folder.path(), &["sample", "--model", "pytorch.mdm"]);
    assert!(printed.ends_with(&names), "{printed}");
}

/// The output of a script of tests/peers about the model in `run` of a folder.
#[track_caller]
fn peer(folder: &Path, script: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers").join(script);
    let mut python = Command::new("python3");
    python.arg(script).args(["--input", "names.txt"]).args(arguments).current_dir(folder);
    let output = python.env("PROGRAM", env!("CARGO_BIN_EXE_micro-diffusion")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_left_to_right_transformer_is_scored_beside_the_program() {
    if !available("python3", &["-c", "import torch"]) {
        eprintln!("install PyTorch with: python3 -m pip install torch");
        return;
    }
    let folder = trained("perceptron-small");
    let brief = ["--model", "run", "--steps", "4", "--batch", "16", "--orders", "2", "--write", "curve.csv"];
    let printed = peer(folder.path(), "left_to_right.py", &brief);
    // Parameters, names, −ln p of a name and its error; the name of a row has no figure before them.
    let figures = |start: &str| -> Vec<f64> {
        let line = printed.lines().find(|line| line.starts_with(start)).unwrap();
        line[start.len()..]
            .replace([',', '±'], "")
            .split_whitespace()
            .map(|part| part.parse().unwrap())
            .collect()
    };
    let eval = ["eval", "--model", "run", "--input", "names.txt", "--num", "0", "--orders", "2", "--json"];
    let ours: serde_json::Value = serde_json::from_str(&good(folder.path(), &eval)).unwrap();
    let theirs = figures("left to right ");
    assert_eq!((theirs[0], theirs[1]), (202_331.0, 30.0), "{printed}");
    // After a moment it guesses among 27 symbols, or a little worse: 3.3 nats for each of seven.
    assert!(10.0 < theirs[2] && theirs[2] < 40.0, "{printed}");
    assert!((figures("run ")[2] - ours["nll_nats_per_name"].as_f64().unwrap()).abs() < 6e-4, "{printed}");
    let curve = fs::read_to_string(folder.path().join("curve.csv")).unwrap();
    assert_eq!(curve.lines().count(), 2 + 4, "settings, heading and a row for each step: {curve}");
}

#[test]
fn samples_stand_beside_those_of_the_ngram() {
    if !available("python3", &["--version"]) {
        return;
    }
    let folder = trained("perceptron-small");
    // The script itself compares its n-gram's score and its figures with those of `eval`.
    let printed = peer(folder.path(), "samples.py", &["run", "--num", "100", "--sets", "1"]);
    let rows = |start: &str| printed.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((rows("| n-gram | "), rows("| run | ")), (6, 6), "{printed}");
}

/// `eval` and NumPy score the same held-out names, in the same orders, alike: a model in floats, or in integers.
fn numpy_scores_alike(config: &str, integers: Option<&str>) {
    /// |ours − theirs|, in nats a name.
    const NATS: f64 = 1e-4;
    if !available("python3", &["-c", "import numpy"]) {
        return;
    }
    let folder =
        integers.map_or_else(|| trained(config), |dtype| trained_with(config, &["--quantize", dtype]));
    let path = folder.path();
    let model = if integers.is_some() { "run/model.mdm" } else { "run/model.safetensors" };
    if integers.is_none() {
        good(path, &["export", "--model", "run"]);
    }
    let eval = ["eval", "--model", "run", "--input", "names.txt", "--num", "0", "--json"];
    let json = good(path, &[&eval[..], &["--orders", "3", "--seed", "5000000007"]].concat());
    let ours: serde_json::Value = serde_json::from_str(&json).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interchange/score.py");
    let mut python = Command::new("python3");
    python.arg(script).args([model, "names.txt", "3", "5000000007"]).current_dir(path);
    let output = python.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut theirs = printed.split_whitespace().map(|number| number.parse::<f64>().unwrap());
    for score in ["nelbo", "nll"] {
        for part in ["nats_per_name", "stderr_nats", "order_stderr_nats"] {
            let (ours, theirs) = (ours[format!("{score}_{part}")].as_f64().unwrap(), theirs.next().unwrap());
            assert!((ours - theirs).abs() <= NATS, "{score}, {part}: {ours} against {theirs}");
        }
    }
    assert_eq!((theirs.next(), output.status.success()), (None, true));
}

#[test]
fn numpy_scores_every_kind_of_network_alike() {
    for config in ["perceptron", "perceptron-small", "convolution-small", "residual", "transformer"] {
        numpy_scores_alike(config, None);
    }
    for (config, integers) in [("perceptron", "int8"), ("perceptron-small", "int4"), ("residual", "int4")] {
        numpy_scores_alike(config, Some(integers));
    }
}

/// NumPy trains from the equations alone and has the losses of `loss.csv`: over several epochs, and past the warm-up.
#[test]
fn numpy_trains_to_the_same_losses() {
    /// |ours/theirs − 1|: f32 against f64 is some 2·10⁻⁷ in a step, and differences grow over the steps, to 6·10⁻⁶ here.
    const SHARE: f64 = 1e-5;
    if !available("python3", &["-c", "import numpy"]) {
        return;
    }
    for (config, seed) in [("perceptron", "1"), ("perceptron-small", "5000000007")] {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        let names: Vec<&str> = include_str!("../data/names.txt").lines().take(300).collect();
        fs::write(path.join("names.txt"), names.join("\n")).unwrap();
        let plain = ["--keep", "last", "--dropout", "0"];
        let train = ["train", "--config", config, "--seed", seed, "--steps", "240", "--batch", "32"];
        let rest = ["--input", "names.txt", "--out", "run", "--no-eval", "--no-pictures"];
        good(path, &[&train[..], &plain, &rest].concat());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interchange/training.py");
        let mut python = Command::new("python3");
        let output = python.arg(script).args(["run", "names.txt"]).current_dir(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let csv = fs::read_to_string(path.join("run/loss.csv")).unwrap();
        assert_eq!((csv.lines().count(), printed.lines().count()), (241, 240));
        for (ours, theirs) in csv.lines().skip(1).zip(printed.lines()) {
            let (step, loss) = ours.split_once(',').unwrap();
            let ours: f64 = loss.split(',').next().unwrap().parse().unwrap();
            let theirs: f64 = theirs.parse().unwrap();
            assert!((ours / theirs - 1.0).abs() <= SHARE, "{config}, step {step}: {ours} against {theirs}");
        }
    }
}

/// The smallest model as source code in `format`, compiled with `main` beside it and run.
fn compiled_agrees(format: &str, header: &str, main: (&str, &str), compiler: &[&str]) {
    if !available(compiler[0], &["--version"]) {
        return;
    }
    let folder = trained("perceptron-small");
    let path = folder.path();
    good(path, &["export", "--model", "run", "--format", format, "--out", header]);
    let texts = texts::<12>(26);
    let ours = logits::<PerceptronSmall, 12, 26>(&fs::read(path.join("run/model.mdm")).unwrap(), &texts);
    fs::write(path.join(main.0), main.1).unwrap();
    let output = Command::new(compiler[0]).args(&compiler[1..]).current_dir(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Each text after its length.
    let arguments = texts.iter().flat_map(|text| {
        let symbols = text.iter().map(|symbol| symbol.map_or(-1, i32::from).to_string());
        std::iter::once(text.len().to_string()).chain(symbols)
    });
    let output = Command::new(path.join("main")).args(arguments).output().unwrap();
    compare(&ours, &String::from_utf8(output.stdout).unwrap());
}

// Nine tenths of the 300 lines are for training.
const C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include "model.h"

int main(int count, char **words) {
    for (int first = 1; first < count; first += 1 + atoi(words[first])) {
        int length = atoi(words[first]);
        double hidden[MODEL_UNITS];
        for (int h = 0; h < MODEL_UNITS; h++) {
            hidden[h] = model_length[length - 1][h];
            for (int l = 0; l < length; l++) {
                int symbol = atoi(words[first + 1 + l]);
                if (symbol >= 0) hidden[h] += model_input[l][symbol][h];
            }
            if (hidden[h] < 0) hidden[h] = 0;
        }
        for (int l = 0; l < length; l++)
            for (int v = 0; v < MODEL_SYMBOLS; v++) {
                double logit = model_output_bias[l][v];
                for (int h = 0; h < MODEL_UNITS; h++) logit += model_output[l][v][h] * hidden[h];
                printf("%.9f ", logit);
            }
        printf("\n");
    }
    uint32_t texts = 0;
    for (int n = 0; n < MODEL_POSITIONS; n++) texts += model_lengths[n];
    return model_alphabet[0] == 'a' && model_alphabet[25] == 'z' && texts == 270 ? 0 : 1;
}
"#;

#[test]
fn a_c_program_computes_the_logits() {
    let warnings = ["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "main.c", "-o", "main"];
    compiled_agrees("c", "model.h", ("main.c", C), &warnings);
}

const RUST: &str = r#"
#![deny(warnings)]
#[allow(dead_code)]
mod model;
use model::*;

fn main() {
    assert_eq!(ALPHABET, "abcdefghijklmnopqrstuvwxyz");
    assert_eq!(LENGTHS.iter().sum::<u32>(), 270);
    let mut words = std::env::args().skip(1).map(|word| word.parse::<i32>().unwrap());
    while let Some(length) = words.next() {
        let length = length as usize;
        let text: Vec<i32> = words.by_ref().take(length).collect();
        let mut hidden = LENGTH[length - 1].map(f64::from);
        for (h, sum) in hidden.iter_mut().enumerate() {
            for (table, symbol) in INPUT.iter().zip(&text) {
                if *symbol >= 0 {
                    *sum += f64::from(table[*symbol as usize][h]);
                }
            }
            *sum = sum.max(0.0);
        }
        for (rows, biases) in OUTPUT.iter().zip(OUTPUT_BIAS).take(length) {
            for (row, bias) in rows.iter().zip(biases) {
                let products = row.iter().zip(hidden).map(|(w, h)| f64::from(*w) * h);
                print!("{:.9} ", f64::from(bias) + products.sum::<f64>());
            }
        }
        println!();
    }
}
"#;

#[test]
fn a_rust_program_computes_the_logits() {
    compiled_agrees(
        "rust",
        "model.rs",
        ("main.rs", RUST),
        &["rustc", "--edition", "2024", "main.rs", "-o", "main"],
    );
}

#[test]
fn export_writes_where_it_is_told_and_overwrites_nothing_by_halves() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    good(path, &["export"]);
    assert!(path.join("names.safetensors").exists(), "the built-in model goes to the current folder");
    let header = good(path, &["export", "--format", "c", "--out", "-"]);
    assert!(header.starts_with("// ") && header.ends_with("#endif\n"));
    bad(path, &["export", "--out", "nowhere/names.safetensors"], &["nowhere/names.safetensors"]);
    let first = fs::read(path.join("names.safetensors")).unwrap();
    bad(path, &["export", "--out", "/dev/full"], &["/dev/full", "no regular file, but a folder or a device"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("again.safetensors", path.join("link.safetensors")).unwrap();
        fs::write(path.join("again.safetensors"), "old").unwrap();
        good(path, &["export", "--out", "link.safetensors"]);
        assert!(path.join("link.safetensors").is_symlink(), "a link stays, and leads to the new file");
    }
    bad(
        path,
        &["export", "--model", "names.safetensors"],
        &["names.safetensors", "the model itself", "--out"],
    );
    for _ in 0..8 {
        good(path, &["export", "--out", "again.safetensors"]);
        assert!(fs::read(path.join("again.safetensors")).unwrap() == first, "the same bytes each time");
    }
    bad(path, &["export", "--model", "missing.safetensors"], &["missing.safetensors"]);
}

#[test]
fn tensors_that_are_no_model_are_refused_by_name() {
    let folder = trained("perceptron-small");
    let path = folder.path();
    bad(path, &["sample", "--model", "run/checkpoint.safetensors"], &["checkpoint of a run", "--resume"]);
    good(path, &["export", "--model", "run", "--out", "model.safetensors"]);
    let bytes = fs::read(path.join("model.safetensors")).unwrap();
    let write = |name: &str, from: &[u8], to: &[u8]| {
        let place = bytes.windows(from.len()).position(|window| window == from).unwrap();
        let mut changed = bytes.clone();
        changed[place..place + from.len()].copy_from_slice(to);
        fs::write(path.join(name), changed).unwrap();
    };
    write("renamed.safetensors", b"\"length\"", b"\"1ength\"");
    write("voiceless.safetensors", b"\"alphabet\"", b"\"alphabot\"");
    write("lengthless.safetensors", b"\"lengths\"", b"\"length5\"");
    write("uncounted.safetensors", b"\"lengths\":\"0", b"\"lengths\":\"o");
    write("repeated.safetensors", b"abcdef", b"aacdef");
    write("heads.safetensors", br#""heads":"0""#, br#""heads":"4""#);
    write("backwards.safetensors", "abcdef".as_bytes(), "\u{202e}def".as_bytes());
    let number = bytes.len() - 4;
    let mut infinite = bytes.clone();
    infinite[number..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(path.join("infinite.safetensors"), infinite).unwrap();
    fs::write(path.join("cut.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    fs::write(path.join("text.safetensors"), "names\n").unwrap();
    bad(
        path,
        &["inspect", "backwards.safetensors"],
        &["backwards.safetensors", "the control character U+202E", "make your terminal carry out commands"],
    );
    let cases: [(&str, &[&str]); 9] = [
        ("heads.safetensors", &["says “heads” = 4", "fit perceptron-small, which has 0"]),
        (
            "renamed.safetensors",
            &["1ength 12 × 18", "perceptron-small 12 × 26: input 12 × 26 × 18, length 12 × 18"],
        ),
        ("voiceless.safetensors", &["its metadata has no “alphabet”", "save_file"]),
        ("lengthless.safetensors", &["its metadata needs “lengths”, 12 numbers", "range(1, 12 + 1)"]),
        ("uncounted.safetensors", &["it has “o ", "how many 2, and so on up to 12"]),
        ("repeated.safetensors", &["must have each character once: “aacdef", "has “a” twice"]),
        ("infinite.safetensors", &["output_bias", "infinite or not a number"]),
        ("cut.safetensors", &["incomplete, damaged or not", "copy it again"]),
        ("text.safetensors", &["not in the safetensors format"]),
    ];
    for (name, parts) in cases {
        bad(path, &["sample", "--model", name], &[&[name, "cannot be used as a model"], parts].concat());
    }
}
