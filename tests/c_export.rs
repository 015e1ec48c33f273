//! The C that `export` writes draws the names that `sample` prints: on this machine, and on emulated chips.
//!
//! Where a compiler or an emulator is missing these tests say so and pass, unless `CI` is set. `.ci/emulators` installs all.
//!
//! Every network is made here from random numbers, so that no sum is as tame as in a trained one and nothing has to be trained.

#[path = "common/cross.rs"]
mod cross;
#[path = "firmware/c.rs"]
mod c;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use c::{ATMEGA328P, ATMEGA1284P, CLANG, CORTEX_M0, CXX, GCC, LARGE_CORTEX_M0, RV32, Target, WARNINGS};
use cross::{output, project, skip};
use micro_diffusion::config::{
    Convolution, ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual,
};
use micro_diffusion::denoiser::Model;
use micro_diffusion::file::write_integers;
use micro_diffusion::integer::{Int4, Int8, IntegerModel, Precision, Quantisable};
use micro_diffusion::length::Lengths;
use micro_diffusion::quantise;
use micro_diffusion::rng::{Purpose, Stream, below, symmetric};
use micro_diffusion::text::Alphabet;
use tempfile::TempDir;

/// Runs the program in `folder`.
fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    command.args(["--threads", "1"]).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// What the program prints in `folder`.
#[track_caller]
fn good(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the program says in `folder`, where it fails.
#[track_caller]
fn bad(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Those of `targets` that can be tried; says so of the others.
fn tried(targets: &[Target]) -> Vec<Target> {
    let here = |target: &&Target| match target.missing() {
        Some(tool) => {
            skip(&format!("{tool} is not installed, for {}; `.ci/emulators` installs it", target.name));
            false
        }
        None => true,
    };
    targets.iter().filter(here).copied().collect()
}

/// Characters of one, two and three bytes, as many as the largest alphabet has.
fn characters(count: usize) -> String {
    let all = ('a'..='z').chain('A'..='Z').chain('α'..='ω').chain('а'..='я').chain('一'..);
    all.take(count).collect()
}

/// How many training texts have each length: three to seven letters, so that a long one is rare.
fn lengths(positions: usize) -> Vec<[u8; 4]> {
    (1..=positions).map(|n| if (3..=7).contains(&n) { (200 + 7 * n as u32).to_le_bytes() } else { [0; 4] }).collect()
}

/// The file of an untrained network `M` with weights of precision `P`, every number of it random, for texts of `letters` characters.
fn random_model<M, P, const L: usize, const V: usize>(letters: usize) -> Vec<u8>
where
    M: Model<L, V> + Quantisable<L, V>,
    P: Precision + 'static,
{
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(7, Purpose::Weights));
    let noise = Stream::new(8, Purpose::Noise);
    for (index, parameter) in (0..).zip(&mut parameters) {
        // Biases begin with 0.
        *parameter = 1.6 * *parameter + 0.15 * symmetric(noise.draw(index, 0)[0]);
    }
    let tensors = <M::Integers<P> as IntegerModel<L, V>>::TENSORS;
    let scales = quantise::scales(tensors, &parameters, <M::Integers<P> as IntegerModel<L, V>>::steps().exponent);
    let mut payload = vec![0; <M::Integers<P> as IntegerModel<L, V>>::BYTES];
    quantise::quantise(tensors, &parameters, &scales, &mut payload);
    let (alphabet, lengths, mut bytes) = (characters(letters), lengths(L), Vec::new());
    let written: Result<(), ()> = write_integers::<M::Integers<P>, L, V, ()>(
        Alphabet::new(&alphabet).unwrap(),
        Lengths::new(&lengths).unwrap(),
        &scales,
        &payload,
        |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        },
    );
    written.unwrap();
    bytes
}

/// A network to be exported: its name in C, and its file.
struct Case {
    name: String,
    bytes: Vec<u8>,
}

/// A network in both number formats.
macro_rules! cases {
    ($($name:literal: $network:ty, [$positions:literal, $symbols:literal], $letters:literal;)*) => {
        [$(
            (concat!($name, "_int8"), random_model::<$network, Int8, $positions, $symbols>($letters)),
            (concat!($name, "_int4"), random_model::<$network, Int4, $positions, $symbols>($letters)),
        )*]
    };
}

/// Each of `cases`.
fn of(cases: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Vec<Case> {
    cases.into_iter().map(|(name, bytes)| Case { name: name.to_owned(), bytes }).collect()
}

/// The networks that have one room.
fn fixed() -> Vec<Case> {
    of(cases! {
        "perceptron": Perceptron, [12, 26], 26;
        "perceptron_small": PerceptronSmall, [12, 26], 26;
        "residual": Residual, [12, 26], 26;
        "chip": ConvolutionChip, [16, 26], 26;
        // Few letters in a large room: rows and columns are left out.
        "eight_letters": Perceptron, [12, 26], 8;
        "one_letter": PerceptronSmall, [12, 26], 1;
    })
}

/// The convolutions in each of their rooms.
fn small_convolutions() -> Vec<Case> {
    of(cases! {
        "small_16_26": ConvolutionSmall<16, 26>, [16, 26], 25;
        "small_16_64": ConvolutionSmall<16, 64>, [16, 64], 41;
        "small_24_64": ConvolutionSmall<24, 64>, [24, 64], 64;
        "small_32_128": ConvolutionSmall<32, 128>, [32, 128], 99;
        "small_8_255": ConvolutionSmall<8, 255>, [8, 255], 255;
        "small_64_255": ConvolutionSmall<64, 255>, [64, 255], 130;
    })
}

fn large_convolutions() -> Vec<Case> {
    of(cases! {
        "medium_16_26": ConvolutionMedium<16, 26>, [16, 26], 26;
        "medium_16_64": ConvolutionMedium<16, 64>, [16, 64], 53;
        "medium_24_64": ConvolutionMedium<24, 64>, [24, 64], 30;
        "medium_32_128": ConvolutionMedium<32, 128>, [32, 128], 128;
        "medium_8_255": ConvolutionMedium<8, 255>, [8, 255], 254;
        "medium_64_255": ConvolutionMedium<64, 255>, [64, 255], 255;
        "wide_16_26": Convolution<16, 26>, [16, 26], 26;
        "wide_16_64": Convolution<16, 64>, [16, 64], 64;
        "wide_24_64": Convolution<24, 64>, [24, 64], 47;
        "wide_32_128": Convolution<32, 128>, [32, 128], 100;
        "wide_8_255": Convolution<8, 255>, [8, 255], 255;
        "wide_64_255": Convolution<64, 255>, [64, 255], 200;
    })
}

/// A folder with the model and the header of a network.
struct Scene {
    folder: TempDir,
    name: String,
}

impl Scene {
    fn of(case: &Case) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(format!("{}.mdm", case.name)), &case.bytes).unwrap();
        let scene = Self { folder, name: case.name.clone() };
        good(scene.path(), &["export", "--format", "c", "--model", &scene.model()]);
        scene
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn model(&self) -> String {
        format!("{}.mdm", self.name)
    }

    fn header(&self) -> String {
        fs::read_to_string(self.path().join(format!("{}.h", self.name))).unwrap()
    }

    /// What `sample` prints for the seeds 0 … `seeds` − 1 in random order, and by confidence if `orders` is 2.
    fn names(&self, seeds: u32, orders: usize) -> String {
        let mut names = String::new();
        for order in ["random", "confidence"].into_iter().take(orders) {
            for seed in 0..seeds {
                let seed = seed.to_string();
                let sample = ["sample", "--model", &self.model(), "--num", "1", "--seed", &seed];
                names += &good(self.path(), &[&sample[..], &["--sampler", order]].concat());
            }
        }
        names
    }

    /// What the C program `source` prints, compiled for `target`.
    fn c(&self, source: &str, target: Target, more: &[&str]) -> String {
        let source = project().join("tests/firmware/c").join(source);
        let program = target.compile(&source, self.path(), &self.name, more);
        target.run(&program.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Panics unless the C prints the names of `seeds` seeds in `orders` orders on every target.
    fn compare(&self, targets: &[Target], seeds: u32, orders: usize) {
        if targets.is_empty() {
            return;
        }
        let ours = self.names(seeds, orders);
        let distinct: BTreeSet<&str> = ours.lines().collect();
        assert!(distinct.len() > 5 || self.name.starts_with("one_letter"), "{}: {ours}", self.name);
        let more = [format!("-DSEEDS={seeds}"), format!("-DORDERS={orders}")];
        for target in targets {
            let theirs = self.c("names.c", *target, &[&more[0], &more[1]]);
            assert_eq!(theirs, ours, "{} on {}", self.name, target.name);
        }
    }
}

/// Networks of each kind, in both number formats: those that are quickly compiled.
fn some() -> Vec<Case> {
    of(cases! {
        "small": PerceptronSmall, [12, 26], 26;
        "residual": Residual, [12, 26], 20;
        "convolution": ConvolutionSmall<16, 26>, [16, 26], 25;
        "wide_room": ConvolutionSmall<8, 255>, [8, 255], 255;
    })
}

#[test]
fn c_draws_the_names_that_sample_prints() {
    for case in some() {
        Scene::of(&case).compare(&tried(&[GCC, CLANG, CXX]), 20, 2);
    }
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_network_in_c_draws_100_names_in_each_order() {
    let targets = tried(&[GCC, CLANG, CXX]);
    for case in [fixed(), small_convolutions(), large_convolutions()].into_iter().flatten() {
        Scene::of(&case).compare(&targets, 100, 2);
    }
}

/// The chips on which `scene` is tried: where flash or memory does not do, one that has more.
fn chips(case: &Case) -> Vec<Target> {
    let large = case.bytes.len() > 240 << 10 || case.name.starts_with("wide_64");
    tried(&[if large { LARGE_CORTEX_M0 } else { CORTEX_M0 }, RV32])
}

#[test]
fn c_draws_the_same_names_on_a_microbit() {
    for name in ["names-int4", "convolution-chip-int4"] {
        let bytes = fs::read(project().join(format!("data/{name}.mdm"))).unwrap();
        let scene = Scene::of(&Case { name: name.replace('-', "_"), bytes });
        scene.compare(&tried(&[CORTEX_M0]), 20, 2);
    }
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_network_in_c_draws_100_names_in_each_order_on_a_cortex_m0_and_on_rv32() {
    for case in [fixed(), small_convolutions(), large_convolutions()].into_iter().flatten() {
        Scene::of(&case).compare(&chips(&case), 100, 2);
    }
}

/// Networks of at most 24 KB: in random order, since that is what an AVR has time for.
#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_small_network_in_c_draws_10_names_on_an_avr() {
    let cases = [fixed(), small_convolutions()].into_iter().flatten();
    for case in cases.filter(|case| case.bytes.len() <= 24 << 10) {
        // What the network works in, and 400 bytes for the rest.
        let scene = Scene::of(&case);
        let target = if case.name.contains("_64") && !case.name.contains("16_64") || case.name.contains("_128") || case.name.contains("255") { ATMEGA1284P } else { ATMEGA328P };
        scene.compare(&tried(&[target]), 10, 1);
    }
}
