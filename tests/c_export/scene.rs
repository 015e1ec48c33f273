//! Networks made of random numbers, and what `export` and `sample` make of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use micro_diffusion::config::{
    Convolution, ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual,
};
use micro_diffusion::denoiser::Model;
use micro_diffusion::integer::{IntegerModel, Quantisable};
use micro_diffusion::integer_file::write_integers;
use micro_diffusion::length::Lengths;
use micro_diffusion::precision::{Int4, Int8, Precision};
use micro_diffusion::quantise;
use micro_diffusion::rng::{Purpose, Stream, symmetric};
use micro_diffusion::text::Alphabet;
use tempfile::TempDir;

use crate::c::{GCC, Target};
use common::cross::{project, skip};

/// Runs the program in `folder`.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    command
        .args(["--threads", "1"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The stdout of the program in `folder`.
#[track_caller]
pub(crate) fn good(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The stderr of the program in `folder`, where it fails.
#[track_caller]
pub(crate) fn bad(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The `targets` that can be tried; names the others.
pub(crate) fn tried(targets: &[Target]) -> Vec<Target> {
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
pub(crate) fn characters(count: usize) -> String {
    let all = ('a'..='z').chain('A'..='Z').chain('α'..='ω').chain('а'..='я').chain('一'..);
    all.take(count).collect()
}

/// Training texts of each length, three to seven letters, so that a long text is rare.
pub(crate) fn lengths(positions: usize) -> Vec<[u8; 4]> {
    (1..=positions)
        .map(|n| if (3..=7).contains(&n) { (200 + 7 * n as u32).to_le_bytes() } else { [0; 4] })
        .collect()
}

/// The file of an untrained network `M` with weights of precision `P`, every number of it random, for texts of `alphabet`.
pub(crate) fn random_model<M, P, const L: usize, const V: usize>(
    alphabet: &str,
    lengths: &[[u8; 4]],
) -> Vec<u8>
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
    let scales =
        quantise::scales(tensors, &parameters, <M::Integers<P> as IntegerModel<L, V>>::steps().exponent);
    let mut payload = vec![0; <M::Integers<P> as IntegerModel<L, V>>::BYTES];
    quantise::quantise(tensors, &parameters, &scales, &mut payload);
    let mut bytes = Vec::new();
    let written: Result<(), ()> = write_integers(
        &<M::Integers<P> as IntegerModel<L, V>>::SHAPE,
        tensors,
        Alphabet::new(alphabet).unwrap(),
        Lengths::new(lengths).unwrap(),
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
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// A network in both number formats.
macro_rules! cases {
    ($($name:literal: $network:ty, [$positions:literal, $symbols:literal], $letters:literal;)*) => {
        [$(
            (concat!($name, "_int8"), random_model::<$network, Int8, $positions, $symbols>(&characters($letters), &lengths($positions))),
            (concat!($name, "_int4"), random_model::<$network, Int4, $positions, $symbols>(&characters($letters), &lengths($positions))),
        )*]
    };
}

/// Each of `cases`.
pub(crate) fn of(cases: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Vec<Case> {
    cases.into_iter().map(|(name, bytes)| Case { name: name.to_owned(), bytes }).collect()
}

/// The networks that have one room.
pub(crate) fn fixed() -> Vec<Case> {
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
pub(crate) fn small_convolutions() -> Vec<Case> {
    of(cases! {
        "small_16_26": ConvolutionSmall<16, 26>, [16, 26], 25;
        "small_16_64": ConvolutionSmall<16, 64>, [16, 64], 41;
        "small_24_64": ConvolutionSmall<24, 64>, [24, 64], 64;
        "small_32_128": ConvolutionSmall<32, 128>, [32, 128], 99;
        "small_8_255": ConvolutionSmall<8, 255>, [8, 255], 255;
        "small_64_255": ConvolutionSmall<64, 255>, [64, 255], 130;
    })
}

pub(crate) fn large_convolutions() -> Vec<Case> {
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

/// The step between seeds, which changes both halves of a seed.
pub(crate) const STRIDE: u64 = (1 << 32) + 1;

/// The macros by which names.c draws names of this many seeds.
pub(crate) fn told(seeds: u32, orders: usize) -> [String; 4] {
    let seed = format!("-DSEED(i)=(i * {STRIDE}u)");
    [format!("-DNAMES={seeds}"), format!("-DORDERS={orders}"), seed, "-DNUMBER(i)=0".to_owned()]
}

/// A folder with the model and the header of a network.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) name: String,
}

impl Scene {
    pub(crate) fn of(case: &Case) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(format!("{}.mdm", case.name)), &case.bytes).unwrap();
        let scene = Self { folder, name: case.name.clone() };
        good(scene.path(), &["export", "--format", "c", "--model", &scene.model()]);
        scene
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn model(&self) -> String {
        format!("{}.mdm", self.name)
    }

    /// MODEL_RAM, on this machine.
    pub(crate) fn ram(&self) -> usize {
        let source = self.path().join("ram.c");
        fs::write(&source, "#include <stdio.h>\n#include HEADER\nint main(void) { printf(\"%d\", (int)MODEL(RAM)); return 0; }\n").unwrap();
        GCC.run(&GCC.compile(&source, self.path(), &self.name, &[]).unwrap()).parse().unwrap()
    }

    pub(crate) fn header(&self) -> String {
        fs::read_to_string(self.path().join(format!("{}.h", self.name))).unwrap()
    }

    /// The output of `sample` for `seeds` seeds in random order, and in confidence order if `orders` is 2.
    pub(crate) fn names(&self, seeds: u32, orders: usize) -> String {
        let mut names = String::new();
        for order in ["random", "confidence"].into_iter().take(orders) {
            for seed in 0..seeds {
                let seed = (u64::from(seed) * STRIDE).to_string();
                let sample = ["sample", "--model", &self.model(), "--num", "1", "--seed", &seed];
                names += &good(self.path(), &[&sample[..], &["--sampler", order]].concat());
            }
        }
        names
    }

    /// The output of the C program `source`, compiled for `target`.
    pub(crate) fn c(&self, source: &str, target: Target, more: &[&str]) -> String {
        let source = project().join("tests/firmware/c").join(source);
        let program = target.compile(&source, self.path(), &self.name, more);
        target.run(&program.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Panics unless the C prints the names of `seeds` seeds in `orders` orders on every target.
    pub(crate) fn compare(&self, targets: &[Target], seeds: u32, orders: usize) {
        if targets.is_empty() {
            return;
        }
        let ours = self.names(seeds, orders);
        let distinct: BTreeSet<&str> = ours.lines().collect();
        assert!(distinct.len() > 5 || self.name.starts_with("one_letter"), "{}: {ours}", self.name);
        let more = told(seeds, orders);
        for target in targets {
            let theirs = self.c("names.c", *target, &more.each_ref().map(String::as_str));
            assert_eq!(theirs, ours, "{} on {}", self.name, target.name);
        }
    }
}

/// Networks of each kind, in both number formats: those that are quickly compiled.
pub(crate) fn some() -> Vec<Case> {
    of(cases! {
        "small": PerceptronSmall, [12, 26], 26;
        "residual": Residual, [12, 26], 20;
        "convolution": ConvolutionSmall<16, 26>, [16, 26], 25;
        "wide_room": ConvolutionSmall<8, 255>, [8, 255], 255;
    })
}

/// A shipped model.
pub(crate) fn shipped(name: &str) -> Scene {
    let bytes = fs::read(project().join(format!("data/{name}.mdm"))).unwrap();
    Scene::of(&Case { name: name.replace('-', "_"), bytes })
}
