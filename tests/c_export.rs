//! The C that `export` writes draws the names that `sample` prints: on this machine, and on emulated chips.
//!
//! Where a compiler or an emulator is missing these tests say so and pass, unless `CI` is set. `.ci/emulators` installs all.
//!
//! Every network is made here from random numbers, so that no sum is as tame as in a trained one and nothing has to be trained.

#[allow(dead_code, reason = "this compiles no Rust for chips")]
#[path = "common/cross.rs"]
mod cross;
#[path = "firmware/c.rs"]
mod c;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use c::{ATMEGA328P, ATMEGA1284P, CLANG, CORTEX_M0, CXX, GCC, LARGE_CORTEX_M0, RV32, RV32EC, Target};
use cross::{output, project, skip};
use micro_diffusion::categorical::{power_of_two, scale_in_halves};
use micro_diffusion::config::{
    Convolution, ConvolutionChip, ConvolutionMedium, ConvolutionSmall, Perceptron, PerceptronSmall, Residual,
};
use micro_diffusion::denoiser::{Denoiser, Model};
use micro_diffusion::file::{ModelFile, write_integers};
use micro_diffusion::integer::{Int4, Int8, IntegerModel, Precision, Quantisable};
use micro_diffusion::length::Lengths;
use micro_diffusion::quantise;
use micro_diffusion::rng::{Purpose, Stream, below, symmetric, threefry2x32};
use micro_diffusion::tensor::Dtype;
use micro_diffusion::text::Alphabet;
use tempfile::TempDir;

/// Runs the program in `folder`.
fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    command
        .args(["--threads", "1"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
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
    (1..=positions)
        .map(|n| if (3..=7).contains(&n) { (200 + 7 * n as u32).to_le_bytes() } else { [0; 4] })
        .collect()
}

/// The file of an untrained network `M` with weights of precision `P`, every number of it random, for texts of `alphabet`.
fn random_model<M, P, const L: usize, const V: usize>(alphabet: &str, lengths: &[[u8; 4]]) -> Vec<u8>
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
    let written: Result<(), ()> = write_integers::<M::Integers<P>, L, V, ()>(
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
struct Case {
    name: String,
    bytes: Vec<u8>,
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

/// From one seed to the next: both halves of a seed are other ones.
const STRIDE: u64 = (1 << 32) + 1;

/// What names.c is told to draw the names of so many seeds.
fn told(seeds: u32, orders: usize) -> [String; 4] {
    let seed = format!("-DSEED(i)=(i * {STRIDE}u)");
    [format!("-DNAMES={seeds}"), format!("-DORDERS={orders}"), seed, "-DNUMBER(i)=0".to_owned()]
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

    /// MODEL_RAM, on this machine.
    fn ram(&self) -> usize {
        let source = self.path().join("ram.c");
        fs::write(&source, "#include <stdio.h>\n#include HEADER\nint main(void) { printf(\"%d\", (int)MODEL(RAM)); return 0; }\n").unwrap();
        GCC.run(&GCC.compile(&source, self.path(), &self.name, &[]).unwrap()).parse().unwrap()
    }

    fn header(&self) -> String {
        fs::read_to_string(self.path().join(format!("{}.h", self.name))).unwrap()
    }

    /// What `sample` prints for `seeds` seeds in random order, and by confidence if `orders` is 2.
    fn names(&self, seeds: u32, orders: usize) -> String {
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
        let more = told(seeds, orders);
        for target in targets {
            let theirs = self.c("names.c", *target, &more.each_ref().map(String::as_str));
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

/// The compilers, and the chips on which `case` is tried: where flash or memory does not do, one that has more.
fn everywhere(case: &Case) -> Vec<Target> {
    let large = case.bytes.len() > 240 << 10 || case.name.starts_with("wide_64");
    let chip = if large { LARGE_CORTEX_M0 } else { CORTEX_M0 };
    tried(&[GCC, CLANG, CXX, chip, RV32])
}

/// Each of `cases` draws 100 names in each order, with every compiler and on every chip.
fn draw_everywhere(cases: Vec<Case>) {
    for case in cases {
        Scene::of(&case).compare(&everywhere(&case), 100, 2);
    }
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_network_of_one_room_in_c_draws_100_names_in_each_order_everywhere() {
    draw_everywhere(fixed());
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_small_convolution_in_c_draws_100_names_in_each_order_everywhere() {
    draw_everywhere(small_convolutions());
}

#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_large_convolution_in_c_draws_100_names_in_each_order_everywhere() {
    draw_everywhere(large_convolutions());
}

/// A shipped model.
fn shipped(name: &str) -> Scene {
    let bytes = fs::read(project().join(format!("data/{name}.mdm"))).unwrap();
    Scene::of(&Case { name: name.replace('-', "_"), bytes })
}

#[test]
fn c_draws_the_same_names_on_a_microbit() {
    shipped("names-int4").compare(&tried(&[CORTEX_M0]), 20, 2);
}

/// On chips of 2 KB of memory, of which one cannot multiply and the other is the Arduino Uno's.
#[test]
fn c_draws_the_same_names_on_a_ten_cent_chip_and_on_an_atmega328p() {
    shipped("convolution-chip-int4").compare(&tried(&[RV32EC, ATMEGA328P]), 10, 1);
}

/// Networks of at most 24 KB: in random order, since that is what an AVR has time for.
#[test]
#[ignore = "takes minutes; run by the slow script"]
fn every_small_network_in_c_draws_10_names_on_an_avr() {
    let cases = [fixed(), small_convolutions()].into_iter().flatten();
    for case in cases.filter(|case| case.bytes.len() <= 24 << 10) {
        let scene = Scene::of(&case);
        let small = scene.ram() <= UNO_RAM;
        scene.compare(&tried(&[if small { ATMEGA328P } else { ATMEGA1284P }]), 10, 1);
    }
}

/// What a model may work in on an ATmega328P, which has 2 KB, besides its own stack and that of the program.
const UNO_RAM: usize = 1700;

/// FNV-1a over words, as parts.c has it.
struct Hash(u32);

impl Hash {
    const NEW: Self = Self(0x811C_9DC5);

    fn add(&mut self, word: u32) {
        let add = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        self.0 = word.to_le_bytes().into_iter().fold(self.0, add);
    }
}

/// What parts.c prints, by the core, for a model `I`.
fn parts<I: IntegerModel<L, V>, const L: usize, const V: usize>(bytes: &[u8], texts: u32) -> String {
    let draw = |a: u32, b: u32| threefry2x32([1, 2], [a, b]);
    let (mut random, mut uniform, mut weights, mut all) = (Hash::NEW, Hash::NEW, Hash::NEW, Hash::NEW);
    for i in 0..1000_u32 {
        draw(i, i * i).into_iter().for_each(|word| random.add(word));
    }
    for i in 0..20_000_u32 {
        let [word, bound] = draw(i, 0);
        uniform.add(below(word, bound));
        uniform.add(below(word, bound >> (i & 31)));
        let [distance, sharpness] = draw(i, 1);
        weights.add(power_of_two(scale_in_halves(distance >> (i & 31), sharpness >> (i >> 5 & 31))));
    }
    let file = ModelFile::parse(bytes).unwrap();
    let letters = file.alphabet().symbols();
    let (largest, mut sums) = (u32::from(I::steps().largest), vec![0; letters]);
    for row in 0..65_535 / (15 * largest) {
        let byte = |place: usize| draw(row, place as u32)[0] & 0xFF;
        for (v, sum) in sums.iter_mut().enumerate() {
            let code = if I::DTYPE == Dtype::Int4 { byte(v / 2) >> (4 * (v % 2)) & 15 } else { byte(v) };
            *sum += code * largest;
        }
    }
    let mut products = Hash::NEW;
    sums.into_iter().for_each(|sum| products.add(sum));
    let mut memory = I::MEMORY;
    let mut denoiser = I::denoiser(file.integers::<I, L, V>().unwrap(), &mut memory);
    for text in 0..texts {
        let length = 1 + text as usize % L;
        denoiser.start(length);
        let mut masked = Vec::new();
        for position in 0..length {
            let [mask, word] = draw(text, position as u32);
            if mask % 2 == 0 || (position + 1 == length && masked.is_empty()) {
                masked.push(position);
            } else {
                denoiser.set(position, Some(below(word, letters as u32) as u8));
            }
        }
        denoiser.evaluate();
        // All of them, and then the last alone.
        for position in masked.iter().chain(masked.last()) {
            let mut scores = [0; V];
            denoiser.scores(*position, &mut scores);
            scores[..letters].iter().for_each(|score| all.add(score.cast_unsigned()));
        }
    }
    let lines = [
        ("random", random),
        ("below", uniform),
        ("weight", weights),
        ("products", products),
        ("scores", all),
    ];
    lines.iter().map(|(part, hash)| format!("{part} {:08x}\n", hash.0)).collect()
}

/// Every score of 200 texts, to the last bit.
fn parts_agree<M, P, const L: usize, const V: usize>(name: &str, letters: usize)
where
    M: Model<L, V> + Quantisable<L, V>,
    P: Precision + 'static,
{
    let bytes = random_model::<M, P, L, V>(&characters(letters), &lengths(L));
    let ours = parts::<M::Integers<P>, L, V>(&bytes, 200);
    let scene = Scene::of(&Case { name: name.to_owned(), bytes });
    for target in tried(&[GCC, CLANG]) {
        assert_eq!(scene.c("parts.c", target, &["-DTEXTS=200"]), ours, "{name} by {}", target.name);
    }
}

#[test]
fn c_computes_the_scores_of_the_core() {
    parts_agree::<Perceptron, Int4, 12, 26>("perceptron", 26);
    parts_agree::<PerceptronSmall, Int8, 12, 26>("perceptron_small", 23);
    parts_agree::<Residual, Int4, 12, 26>("residual_int4", 26);
    parts_agree::<Residual, Int8, 12, 26>("residual_int8", 9);
    parts_agree::<ConvolutionChip, Int4, 16, 26>("chip", 26);
    parts_agree::<ConvolutionSmall<32, 128>, Int8, 32, 128>("convolution", 77);
    parts_agree::<ConvolutionSmall<8, 255>, Int4, 8, 255>("odd_rows", 255);
}

/// Temperatures in thousandths, and as `--temperature` takes them.
const TEMPERATURES: [(&str, &str); 6] =
    [("0", "0"), ("1", "0.001"), ("300", "0.3"), ("680", "0.68"), ("1000", "1"), ("2500", "2.5")];

#[test]
fn settings_in_c_are_those_of_sample() {
    let alphabet = "abcdefghijklmnoprstu?*\\éя一";
    let bytes = random_model::<ConvolutionSmall, Int8, 16, 26>(alphabet, &lengths(16));
    let scene = Scene::of(&Case { name: "signs".to_owned(), bytes });
    let Some(target) = tried(&[GCC]).pop() else { return };
    let source = project().join("tests/firmware/c/settings.c");
    let program = target.compile(&source, scene.path(), &scene.name, &[]).unwrap();
    let model = scene.model();
    let sample = ["sample", "--model", &model, "--seed", "5000000007", "--num", "100"];
    assert_eq!(target.run(&program), good(scene.path(), &sample), "by default");
    let c = |order: &str, temperature: &str, length: &str, pattern: &str| {
        let words = [order, temperature, length, pattern, "12345678901", "30"];
        let output = Command::new(&program).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let given = [
        ("0", "-"),
        ("1", "-"),
        ("5", "-"),
        ("16", "-"),
        ("0", "m?r?a"),
        ("5", "m?r?a"),
        ("0", "?"),
        ("0", "anna"),
        ("0", "é??я一???"),
        ("0", r"\??\*a\\?"),
        ("0", "????????????????"),
    ];
    for (length, pattern) in given {
        for order in ["random", "confidence"] {
            for (milli, temperature) in TEMPERATURES {
                let mut sample = vec!["sample", "--model", &model, "--seed", "12345678901", "--num", "30"];
                sample.extend(["--sampler", order, "--temperature", temperature]);
                if length != "0" {
                    sample.extend(["--length", length]);
                }
                if pattern != "-" {
                    sample.extend(["--pattern", pattern]);
                }
                let ours = good(scene.path(), &sample);
                assert_eq!(c(order, milli, length, pattern), ours, "{sample:?}");
            }
        }
    }
    let refused = [
        ("17", "-"),
        ("4", "m?r?a"),
        ("0", "*"),
        ("0", "a*"),
        ("0", "Q?"),
        ("0", ""),
        ("0", "a\\"),
        ("0", "?????????????????"),
        ("0", "\u{e9}\u{301}"),
    ];
    for (length, pattern) in refused {
        assert_eq!(c("random", "680", length, pattern), "refused\n".repeat(30), "{length} {pattern:?}");
    }
}

#[test]
fn c_shows_every_state() {
    for case in some() {
        let scene = Scene::of(&case);
        let sample = ["sample", "--trace", "--seed", "1", "--num", "5", "--model", &scene.model()];
        // `sample` writes a wide mask in two columns.
        let ours = good(scene.path(), &sample).replace(" → ", "\n").replace(' ', "");
        for target in tried(&[GCC]) {
            assert_eq!(scene.c("trace.c", target, &[]), ours, "{}", scene.name);
        }
    }
}

#[test]
fn two_models_live_in_one_program_and_one_name_for_two_is_an_error() {
    let Some(target) = tried(&[GCC]).pop() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    for (name, alphabet) in [("latin", "abcdef"), ("greek", "αβγδεζη")] {
        let bytes = random_model::<PerceptronSmall, Int4, 12, 26>(alphabet, &lengths(12));
        fs::write(path.join(format!("{name}.mdm")), bytes).unwrap();
        good(
            path,
            &["export", "--format", "c", "--model", &format!("{name}.mdm"), "--out", &format!("{name}.h")],
        );
    }
    let source = path.join("both.c");
    let both = "#include <stdio.h>\n#include \"latin.h\"\n#include \"greek.h\"\n#include \"latin.h\"\n\
        int main(void) { char text[GREEK_TEXT]; latin_sample(1, 0, text, sizeof text); puts(text);\n\
        greek_sample(1, 0, text, sizeof text); puts(text); return 0; }\n";
    fs::write(&source, both).unwrap();
    let program = target.compile(&source, path, "both", &[]).unwrap();
    let name = |model: &str| good(path, &["sample", "--model", model, "--seed", "1", "--num", "1"]);
    assert_eq!(target.run(&program), name("latin.mdm") + &name("greek.mdm"));

    let export = ["export", "--format", "c", "--model", "greek.mdm", "--out", "greek.h"];
    good(path, &[&export[..], &["--name", "latin"]].concat());
    let error = target.compile(&source, path, "both", &[]).unwrap_err();
    assert!(error.contains("two models are called latin: export one of them with another --name"), "{error}");

    // Two models of floats, as arrays.
    for (name, seed) in [("one", "1"), ("other-1", "2")] {
        let list = path.join(format!("{name}.txt"));
        fs::write(list, format!("anna{seed}\nbob\ncarla\n")).unwrap();
        let train = [
            "train",
            "--config",
            "perceptron-small",
            "--steps",
            "1",
            "--no-eval",
            "--no-pictures",
            "--quiet",
        ];
        good(path, &[&train[..], &["--input", &format!("{name}.txt"), "--out", name]].concat());
        good(path, &["export", "--format", "c", "--model", name, "--out", &format!("{name}.h")]);
    }
    // A name that holds the word of the templates.
    let export = ["export", "--format", "c", "--model", "greek.mdm", "--name", "A_model_MODEL_b", "--out"];
    good(path, &[&export[..], &["a_model_model_b.h"]].concat());
    let source = project().join("tests/firmware/c/trace.c");
    let program = target.compile(&source, path, "a_model_model_b", &[]).unwrap();
    let trace = good(path, &["sample", "--model", "greek.mdm", "--seed", "1", "--num", "5", "--trace"]);
    assert_eq!(target.run(&program), trace.replace(" → ", "\n"));
    let arrays = "#include <stdio.h>\n#include \"one.h\"\n#include \"other-1.h\"\n\
        int main(void) { return one_input[0][0][0] < other_1_input[0][0][0] ? ONE_WIDTH : OTHER_1_WIDTH; }\n";
    fs::write(path.join("arrays.c"), arrays).unwrap();
    target
        .compile(
            &path.join("arrays.c"),
            path,
            "arrays",
            &["-Wno-unused-const-variable", "-Wno-unused-variable"],
        )
        .unwrap();
}

#[test]
fn names_of_c_are_taken_from_files_and_checked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let bytes = random_model::<PerceptronSmall, Int4, 12, 26>("abcdef", &lengths(12));
    fs::write(path.join("2 Städte.v1.mdm"), bytes).unwrap();
    let header = good(path, &["export", "--format", "c", "--model", "2 Städte.v1.mdm", "--out", "-"]);
    assert!(
        header.contains("static inline size_t model_2_st__dte_v1_sample(uint64_t seed")
            || header.contains("static inline size_t model_2_st_dte_v1_sample(uint64_t seed"),
        "{}",
        &header[..200]
    );
    let export = ["export", "--format", "c", "--model", "2 Städte.v1.mdm", "--out", "-"];
    let header = good(path, &[&export[..], &["--name", "Cities"]].concat());
    assert!(header.contains("cities_sample(uint64_t seed") && header.contains("#define CITIES_H 0x"));
    let output = program(path, &[&export[..], &["--name", "1st"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a letter from a to z"));
    let said = bad(path, &["export", "--format", "mdm", "--name", "x", "--out", "x.mdm"]);
    assert!(said.contains("--format c and arduino"), "{said}");
    let said = bad(path, &["export", "--format", "int8", "--quantize", "int8", "--out", "x.mdm"]);
    assert!(said.contains("--format int8 or int4"), "{said}");
}

#[test]
fn c_calls_nothing_and_keeps_nothing() {
    let tools = [(GCC, "nm"), (CORTEX_M0, "arm-none-eabi-nm"), (RV32, "riscv64-unknown-elf-nm")];
    for case in some() {
        let scene = Scene::of(&case);
        let header = scene.header();
        let code: String =
            header.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
        let included: Vec<&str> = code.lines().filter(|line| line.starts_with("#include")).collect();
        let headers =
            ["avr/pgmspace", "stdbool", "stddef", "stdint"].map(|name| format!("#include <{name}.h>"));
        assert_eq!(
            included.iter().collect::<BTreeSet<_>>(),
            headers.iter().map(String::as_str).collect::<Vec<_>>().iter().collect()
        );
        assert!(!code.contains("float") && !code.contains("double"), "{}", scene.name);
        for (target, nm) in tools.into_iter().filter(|(target, _)| !tried(&[*target]).is_empty()) {
            let source = project().join("tests/firmware/c/calls.c");
            let more = ["-c", "-fno-sanitize=all", "-fno-stack-protector"];
            let object = target.compile(&source, scene.path(), &scene.name, &more).unwrap();
            let symbols = output(Command::new(nm).arg(&object)).unwrap();
            for line in symbols.lines() {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [.., kind, symbol] = fields[..] else { panic!("{line}") };
                // Code and constants, and of what is undefined the compiler's own.
                let own = ["memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"].contains(&symbol);
                assert!(
                    "tTrR".contains(kind) || kind == "U" && own,
                    "{} on {}: {line}",
                    scene.name,
                    target.name
                );
            }
        }
    }
}

/// A constant in the code of a header, or an entry of a table: where it stands, its digits, and what takes its place.
#[derive(Clone, Debug)]
struct Mutant {
    line: usize,
    column: usize,
    digits: usize,
    kind: &'static str,
    value: u32,
}

/// The number that `text` begins with, its length, and its value.
fn number(text: &str) -> Option<(usize, u32)> {
    let hexadecimal = text.strip_prefix("0x");
    let rest = hexadecimal.unwrap_or(text);
    let digits = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    let value = u32::from_str_radix(&rest[..digits], if hexadecimal.is_some() { 16 } else { 10 }).ok()?;
    Some((digits + text.len() - rest.len(), value))
}

/// Every shift, mask and table entry of `header` that this machine compiles.
fn constants(header: &str) -> Vec<Mutant> {
    const SHIFTS: [&str; 7] =
        ["<< ", ">> ", "_SHIFT ", "_LEFT ", "_RIGHT ", "turned(x1, ", "(uint32_t)1 << "];
    let mut found = Vec::new();
    let (mut table, mut elsewhere) = (false, false);
    for (line, whole) in header.lines().enumerate() {
        let code = whole.split("//").next().unwrap();
        // What only an AVR compiles.
        elsewhere = (elsewhere || code.starts_with("#ifdef __AVR__"))
            && !code.starts_with("#else")
            && !code.starts_with("#endif");
        let is_macro = code.starts_with("#define");
        let mut add = |kind, column: usize| {
            if let Some((digits, value)) = number(&code[column..]) {
                found.push(Mutant { line, column, digits, kind, value });
            }
        };
        if table {
            let starts =
                code.char_indices().filter(|(at, c)| c.is_ascii_digit() && code[..*at].ends_with(' '));
            starts.for_each(|(at, _)| add("entry", at));
        } else if !elsewhere {
            for mark in SHIFTS.into_iter().filter(|mark| is_macro == mark.starts_with('_')) {
                code.match_indices(mark).for_each(|(at, _)| add("shift", at + mark.len()));
            }
            if !is_macro {
                code.match_indices("& ").for_each(|(at, _)| add("mask", at + 2));
            }
        }
        table = (table || code.ends_with("MODEL_FLASH = {") || code.contains("_FLASH = {"))
            && !code.starts_with('}');
    }
    found
}

/// Twenty constants of a header changed one at a time: a shift by one more, a mask without its highest bit, a table entry with another
/// highest bit. No change leaves both the names and the parts as they were.
fn mutants_are_caught(scene: &Scene, seed: u64) {
    let Some(target) = tried(&[CLANG]).pop() else { return };
    let header = scene.header();
    let file = scene.path().join(format!("{}.h", scene.name));
    let all = constants(&header);
    let of = |kind| all.iter().filter(move |mutant| mutant.kind == kind).cloned().collect::<Vec<_>>();
    let (shifts, masks, entries) = (of("shift"), of("mask"), of("entry"));
    assert!(
        shifts.len() > 20 && masks.len() > 5 && entries.len() > 1000,
        "{} {} {}",
        shifts.len(),
        masks.len(),
        entries.len()
    );
    let draws = || -> Result<String, String> {
        let source = |name: &str| project().join("tests/firmware/c").join(name);
        let told = told(100, 2);
        let more: Vec<&str> =
            told.iter().map(String::as_str).chain(["-DTEXTS=4000", "-O1", "-Wno-error"]).collect();
        let mut drawn = String::new();
        let likeliest = [&more[..], &["-DTHOUSANDTHS=0"]].concat();
        for (name, more) in [("names.c", &more), ("names.c", &likeliest), ("parts.c", &more)] {
            let program = target.compile(&source(name), scene.path(), &scene.name, more)?;
            let output =
                Command::new("timeout").arg("20").arg(program).output().map_err(|error| error.to_string())?;
            drawn += &String::from_utf8_lossy(&output.stdout);
        }
        Ok(drawn)
    };
    let right = draws().unwrap();
    let stream = Stream::new(seed, Purpose::Noise);
    let mut survivors = Vec::new();
    for index in 0..20 {
        let pool = [&shifts, &masks, &entries][index as usize % 3];
        let mutant = &pool[below(stream.draw(index, 0)[0], pool.len() as u32) as usize];
        let Mutant { line, column, digits, kind, value } = *mutant;
        let text = header.lines().nth(line).unwrap();
        let highest = 1_u32 << 31 >> value.leading_zeros().min(31);
        let changed = match kind {
            "shift" => value + 1,
            "mask" => value & !highest,
            // A weight's code has 4 or 8 bits, two of 4 a byte.
            _ if value < 256 => value ^ 0x88,
            _ => value ^ highest >> 1,
        };
        let with = format!("{}{changed}{}", &text[..column], &text[column + digits..]);
        let lines = header.lines().enumerate();
        let mutated: Vec<&str> = lines.map(|(at, text)| if at == line { &with[..] } else { text }).collect();
        fs::write(&file, mutated.join("\n") + "\n").unwrap();
        if draws().is_ok_and(|drawn| drawn == right) {
            survivors.push(format!(
                "line {}: {value} → {changed} in {}",
                line + 1,
                &text[..text.len().min(150)]
            ));
        }
    }
    fs::write(&file, header).unwrap();
    assert!(survivors.is_empty(), "{}: {survivors:#?}", scene.name);
}

/// As many texts of each length, so that every row of every table counts.
fn evenly(positions: usize) -> Vec<[u8; 4]> {
    vec![50_u32.to_le_bytes(); positions]
}

#[test]
#[ignore = "half a minute; run by the slow script"]
fn every_changed_constant_of_the_c_changes_what_it_draws() {
    let (alphabet, seed) = (characters(26), 20);
    // Where shifts are at least 1.
    let int4 = random_model::<PerceptronSmall, Int4, 12, 26>(&alphabet, &evenly(12));
    mutants_are_caught(&Scene::of(&Case { name: "perceptron".to_owned(), bytes: int4 }), seed);
    let int8 = random_model::<ConvolutionSmall, Int8, 16, 26>(&alphabet, &evenly(16));
    mutants_are_caught(&Scene::of(&Case { name: "convolution".to_owned(), bytes: int8 }), seed + 1);
}

/// The library of the shipped convolution for chips, called dream, in a folder.
fn arduino_library() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let model = project().join("data/convolution-chip-int4.mdm");
    let model = fs::canonicalize(model).unwrap().to_str().unwrap().to_owned();
    good(
        folder.path(),
        &["export", "--format", "arduino", "--model", &model, "--name", "dream", "--out", "Dream"],
    );
    (folder, model)
}

#[test]
fn an_arduino_library_is_complete() {
    let (folder, model) = arduino_library();
    let library = folder.path().join("Dream");
    let read = |path: &str| fs::read_to_string(library.join(path)).unwrap();
    let properties = read("library.properties");
    let property =
        |key: &str| properties.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).unwrap();
    // What the library specification asks for.
    for key in ["author", "maintainer", "sentence", "paragraph"] {
        assert!(!property(key).is_empty(), "{key}");
    }
    let fields = ["name", "version", "category", "architectures", "includes"].map(property);
    assert_eq!(fields, ["dream", "1.0.0", "Data Processing", "*", "dream.h"]);
    assert!(property("url").starts_with("https://"));
    // And PlatformIO's.
    let manifest: serde_json::Value = serde_json::from_str(&read("library.json")).unwrap();
    assert_eq!((&manifest["name"], &manifest["version"]), (&"dream".into(), &"1.0.0".into()));
    assert_eq!((&manifest["frameworks"], &manifest["platforms"]), (&"*".into(), &"*".into()));
    assert_eq!(
        (&manifest["headers"], &manifest["license"]),
        (&"dream.h".into(), &"MIT OR Apache-2.0".into())
    );
    assert!(manifest["description"].as_str().unwrap().contains("convolution-chip, int4"));
    let header =
        good(folder.path(), &["export", "--format", "c", "--model", &model, "--name", "dream", "--out", "-"]);
    assert_eq!(read("src/dream.h"), header);
    assert!(read("examples/Names/Names.ino").starts_with("// "));

    // Written again it is replaced, but nothing else is.
    let again = ["export", "--format", "arduino", "--model", &model, "--out"];
    good(folder.path(), &[&again[..], &["Dream", "--name", "dream"]].concat());
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/thesis.txt"), "mine").unwrap();
    let said = bad(folder.path(), &[&again[..], &["mine"]].concat());
    assert!(said.contains("mine is there and is no library folder"), "{said}");
    let said = bad(folder.path(), &[&again[..], &["mine/thesis.txt"]].concat());
    assert!(said.contains("is no library folder"), "{said}");
    let said = bad(folder.path(), &[&again[..], &["-"]].concat());
    assert!(said.contains("a library is a folder"), "{said}");
    let said =
        bad(folder.path(), &["export", "--format", "arduino", "--model", "built-in", "--out", "names"]);
    assert!(said.contains("add --quantize int8"), "{said}");
}

/// What the sketch prints, by `sample`.
fn dreams(model: &str, num: &str) -> String {
    let sample = ["sample", "--model", model, "--seed", "1", "--trace", "--num", num];
    good(project(), &sample).replace(" → ", " ")
}

#[test]
fn the_arduino_sketch_prints_the_names_of_sample() {
    let Some(target) = tried(&[CXX]).pop() else { return };
    let (folder, model) = arduino_library();
    let library = folder.path().join("Dream");
    let sketch = fs::read_to_string(library.join("examples/Names/Names.ino")).unwrap();
    let source = folder.path().join("sketch.cpp");
    let main = "int main() { setup(); for (int i = 0; i < 6; i++) loop(); return 0; }";
    fs::write(&source, format!("#include <Arduino.h>\n{sketch}\n{main}\n")).unwrap();
    let [header, stub] = [library.join("src"), project().join("tests/firmware/c/arduino")];
    let more = ["-I", header.to_str().unwrap(), "-I", stub.to_str().unwrap()];
    let program = target.compile(&source, folder.path(), "sketch", &more).unwrap();
    let printed = target.run(&program);
    let lines: String = printed.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    assert_eq!(lines, dreams(&model, "6"));
}

/// The core of Arduino for AVR, as Debian has it.
const ARDUINO: &str = "/usr/share/arduino/hardware/arduino/avr";

/// The sketch with Arduino's own core on the Uno's chip, emulated: its names, within what the bootloader leaves of 32 KB of flash, and
/// with memory left for the stack.
#[test]
fn an_arduino_uno_dreams_up_names() {
    let Some(target) = tried(&[ATMEGA328P]).pop() else { return };
    if !Path::new(ARDUINO).exists() {
        return skip("arduino-core-avr is not installed; `.ci/emulators` installs it");
    }
    let (folder, model) = arduino_library();
    let library = folder.path().join("Dream");
    let core = format!("{ARDUINO}/cores/arduino");
    let flags = [
        "-mmcu=atmega328p",
        "-DF_CPU=16000000L",
        "-DARDUINO=10819",
        "-DARDUINO_AVR_UNO",
        "-DARDUINO_ARCH_AVR",
    ];
    let options = ["-Os", "-w", "-ffunction-sections", "-fdata-sections", "-flto", "-fno-exceptions"];
    let include = [
        format!("-I{core}"),
        format!("-I{ARDUINO}/variants/standard"),
        format!("-I{}", library.join("src").display()),
    ];
    let compile = |compiler: &str, source: &Path, standard: &str| {
        let object = folder.path().join(source.file_name().unwrap()).with_added_extension("o");
        let mut command = Command::new(compiler);
        command
            .args(flags)
            .args(options)
            .arg(standard)
            .args(&include)
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(&object);
        let said = command.output().unwrap();
        assert!(said.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&said.stderr));
        object
    };
    let sketch = folder.path().join("Names.cpp");
    let text = fs::read_to_string(library.join("examples/Names/Names.ino")).unwrap();
    // The emulator ends where the chip sleeps for ever.
    let text = text.replace("delay(1000);", "if (number == 6) { Serial.flush(); cli(); sleep_mode(); }");
    fs::write(&sketch, format!("#include <Arduino.h>\n#include <avr/sleep.h>\n{text}")).unwrap();
    let mut objects = vec![compile("avr-g++", &sketch, "-std=gnu++11")];
    for source in ["main.cpp", "HardwareSerial.cpp", "HardwareSerial0.cpp", "Print.cpp"] {
        objects.push(compile("avr-g++", &Path::new(&core).join(source), "-std=gnu++11"));
    }
    for source in ["wiring.c", "hooks.c"] {
        objects.push(compile("avr-gcc", &Path::new(&core).join(source), "-std=gnu11"));
    }
    let elf = folder.path().join("Names.elf");
    let mut linker = Command::new("avr-g++");
    let said = linker
        .args(flags)
        .args(options)
        .arg("-Wl,--gc-sections")
        .args(objects)
        .arg("-o")
        .arg(&elf)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let sizes = output(Command::new("avr-size").arg(&elf)).unwrap();
    let fields: Vec<usize> =
        sizes.lines().last().unwrap().split_whitespace().map_while(|field| field.parse().ok()).collect();
    let (flash, memory) = (fields[0] + fields[1], fields[1] + fields[2]);
    println!("Arduino Uno: {flash} bytes of flash, {memory} bytes of variables");
    assert!(flash <= 20_000 && memory <= 1_550, "{sizes}");

    let printed = target.run(&elf);
    let lines = printed.lines().map(|line| line.trim_end_matches([' ', '.']).to_owned() + "\n");
    let names: String = lines.collect();
    assert_eq!(names, dreams(&model, "6"));
}

/// What a name costs the Uno's chip, without Arduino's core: printed, for the README.
#[test]
fn a_name_takes_an_atmega328p_a_few_tenths_of_a_second() {
    let Some(target) = tried(&[ATMEGA328P]).pop() else { return };
    let scene = shipped("convolution-chip-int4");
    let printed = scene.c("avr_cost.c", target, &["-DNAMES=20", "-O2"]);
    let lines: Vec<(&str, u64)> = printed
        .lines()
        .map(|line| line.split_once(' ').unwrap_or(("stack", line)))
        .map(|(name, number)| (name, number.parse().unwrap()))
        .collect();
    let ((_, stack), times) = lines.split_last().unwrap();
    // In units of 1024 cycles at 16 MHz.
    let seconds = |units: u64| units as f64 * 1024.0 / 16e6;
    let sum: u64 = times.iter().map(|(_, time)| time).sum();
    let most = times.iter().map(|(_, time)| *time).max().unwrap();
    println!(
        "ATmega328P: {:.2} s a name in the mean, {:.2} s at most, {stack} bytes of memory",
        seconds(sum / times.len() as u64),
        seconds(most)
    );
    assert!(seconds(most) < 0.5 && *stack <= 1600, "{printed}");
}

/// The README's program, as it is printed, with the header that the command before it makes.
#[test]
fn the_readmes_c_program_prints_the_names_of_sample() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let part = readme.split("## From C and Arduino\n").nth(1).unwrap();
    let command = part.lines().find_map(|line| line.strip_prefix("cargo run --release -- export ")).unwrap();
    let program = part.split("<!-- c program -->\n```c\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = TempDir::new().unwrap();
    let model = fs::canonicalize(project().join("data/names-int4.mdm")).unwrap().to_str().unwrap().to_owned();
    let command = command.replace("data/names-int4.mdm", &model);
    good(folder.path(), &["export"].into_iter().chain(command.split(' ')).collect::<Vec<_>>());
    let source = folder.path().join("main.c");
    fs::write(&source, program).unwrap();
    let ours = good(folder.path(), &["sample", "--model", &model, "--seed", "1", "--num", "5"]);
    for target in tried(&[GCC, CLANG]) {
        let program = target.compile(&source, folder.path(), "names", &[]).unwrap();
        assert_eq!(target.run(&program), ours);
    }
}

#[test]
fn an_avr_is_told_that_a_model_is_too_large_for_it() {
    let Some(target) = tried(&[ATMEGA1284P]).pop() else { return };
    let scene = shipped("names-int4");
    let source = project().join("tests/firmware/c/calls.c");
    let error = target.compile(&source, scene.path(), &scene.name, &[]).unwrap_err();
    assert!(error.contains("the model has more constant data than an AVR can address"), "{error}");
}
