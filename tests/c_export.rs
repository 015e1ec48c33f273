//! The C that `export` writes draws the names that `sample` prints: on this machine, and on emulated chips.
//!
//! Without a compiler or an emulator these tests say so and pass, unless `CI` is set. `.ci/emulators` installs all.
//!
//! Every network has random weights: its sums are wilder than a trained one's, and no time goes into training.

#[allow(dead_code, reason = "this compiles no Rust for chips")]
#[path = "firmware/c.rs"]
mod c;
#[path = "c_export/scene.rs"]
mod scene;
#[path = "c_export/parts.rs"]
mod parts;
#[path = "c_export/mutants.rs"]
mod mutants;
#[path = "c_export/arduino.rs"]
mod arduino;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use c::{ATMEGA328P, ATMEGA1284P, CLANG, CORTEX_M0, CXX, GCC, LARGE_CORTEX_M0, RV32, RV32EC, Target};
use common::cross::{output, project};
use micro_diffusion::config::{ConvolutionSmall, PerceptronSmall, Transformer};
use micro_diffusion::denoiser::Model;
use micro_diffusion::precision::{Int4, Int8};
use scene::{
    Case, Scene, bad, fixed, good, large_convolutions, lengths, program, random_model, shipped,
    small_convolutions, some, tried,
};
use tempfile::TempDir;

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
    let mut cases: Vec<Case> = [fixed(), small_convolutions()].into_iter().flatten().collect();
    cases.retain(|case| case.bytes.len() <= 24 << 10);
    assert!(cases.len() > 12, "{}", cases.len());
    for case in cases {
        let scene = Scene::of(&case);
        let small = scene.ram() <= UNO_RAM;
        scene.compare(&tried(&[if small { ATMEGA328P } else { ATMEGA1284P }]), 10, 1);
    }
}

/// Most bytes of a model's memory on an ATmega328P, which has 2 KB, besides the stacks of model and program.
const UNO_RAM: usize = 1700;

/// Temperatures in thousandths, and as `--temperature` takes them, to both ends: the last two draw evenly.
const TEMPERATURES: [(&str, &str); 9] = [
    ("0", "0"),
    ("1", "0.001"),
    ("300", "0.3"),
    ("680", "0.68"),
    ("1000", "1"),
    ("2500", "2.5"),
    ("94548462", "94548.462"),
    ("94548463", "94548.463"),
    ("4294967295", "4294967.295"),
];

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
    // Thousandths are whole.
    let fraction = scene.path().join("fraction.c");
    fs::write(&fraction, "#include HEADER\nint main(void) { return (int)MODEL(TEMPERATURE)(0.68); }\n")
        .unwrap();
    let error = target.compile(&fraction, scene.path(), &scene.name, &["-w"]).unwrap_err();
    assert!(error.contains("invalid operands"), "{error}");
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

/// The arguments of the command in what was `said`, as a shell would read them where nothing is quoted.
pub(crate) fn pasted(said: &str) -> Vec<&str> {
    let line = said.lines().find_map(|line| line.split_once("micro-diffusion export ")).unwrap().1;
    ["export"].into_iter().chain(line.split_whitespace()).collect()
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
    let both = target.compile(&source, path, "both", &[]).unwrap();
    let name = |model: &str| good(path, &["sample", "--model", model, "--seed", "1", "--num", "1"]);
    assert_eq!(target.run(&both), name("latin.mdm") + &name("greek.mdm"));

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
    let said = program(path, &["export", "--format", "c", "--model", "one", "--out", "one.h"]).stderr;
    let said = String::from_utf8(said).unwrap();
    let advice = pasted(&said);
    assert!(advice.join(" ").contains("--format c") && advice.join(" ").contains("--out one.h"), "{said}");
    good(path, &advice[..]);
    assert!(fs::read_to_string(path.join("one.h")).unwrap().contains(" one_sample("));
    good(path, &["export", "--format", "c", "--model", "one", "--out", "one.h"]);
    // A name that holds the word of the templates.
    let export = ["export", "--format", "c", "--model", "greek.mdm", "--name", "A_model_MODEL_b", "--out"];
    good(path, &[&export[..], &["a_model_model_b.h"]].concat());
    let source = project().join("tests/firmware/c/trace.c");
    let program = target.compile(&source, path, "a_model_model_b", &[]).unwrap();
    let trace = good(path, &["sample", "--model", "greek.mdm", "--seed", "1", "--num", "5", "--trace"]);
    assert_eq!(target.run(&program), trace.replace(" → ", "\n"));
    let arrays = "#include <stdio.h>\n#include \"one.h\"\n#include \"other-1.h\"\n\
        int main(void) { return one_input[0][0][0] < other_1_input[0][0][0] ? ONE_UNITS : OTHER_1_UNITS; }\n";
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

/// Everything that `header` calls by the word `name` before it.
fn endings(header: &str, name: &str) -> BTreeSet<String> {
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let lower = words.map(str::to_ascii_lowercase);
    lower.filter_map(|word| Some(word.strip_prefix(name)?.strip_prefix('_')?.to_owned())).collect()
}

/// Headers called x and x_output would both have an `x_output_bias`.
#[test]
fn no_two_names_of_models_make_one_name_of_c() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let mut all = BTreeSet::new();
    for case in some() {
        all.append(&mut endings(&Scene::of(&case).header(), &case.name));
    }
    all.extend(<Transformer as Model<16, 26>>::TENSORS.iter().map(|tensor| tensor.name.to_owned()));
    fs::write(path.join("a.mdm"), random_model::<PerceptronSmall, Int4, 12, 26>("abcdef", &lengths(12)))
        .unwrap();
    let export = ["export", "--format", "c", "--model", "a.mdm", "--out"];
    let mut refused = BTreeSet::new();
    for whole in &all {
        for (at, _) in whole.match_indices('_').filter(|(at, _)| all.contains(&whole[at + 1..])) {
            refused.insert(&whole[..at]);
        }
    }
    assert!(refused.contains("output") && refused.contains("attention"), "{refused:?}");
    for word in refused {
        let name = format!("x_{word}");
        let output = program(path, &[&export[..], &["-", "--name", &name]].concat());
        assert_eq!(output.status.code(), Some(2), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("take {name}_model")), "{said}");
        // A file's name does not have to know.
        let header = format!("{name}.h");
        good(path, &[&export[..], &[&header]].concat());
        let header = fs::read_to_string(path.join(header)).unwrap();
        assert!(header.contains(&format!(" {name}_model_sample(")), "{name}");
    }
    // Nor is there a name of the system's in one like them.
    let Some(target) = tried(&[GCC]).pop() else { return };
    let names = good(path, &["sample", "--model", "a.mdm", "--seed", "1", "--num", "5", "--trace"]);
    for name in ["int8", "int16", "uint32", "int", "size"] {
        good(path, &[&export[..], &[&format!("{name}.h")]].concat());
        let source = project().join("tests/firmware/c/trace.c");
        let system = ["-D_GNU_SOURCE", "-include", "limits.h", "-include", "stdint.h"];
        let program = target.compile(&source, path, name, &system).unwrap();
        assert_eq!(target.run(&program), names.replace(" → ", "\n"), "{name}");
    }
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
    assert!(String::from_utf8_lossy(&output.stderr).contains("a letter of a to z"));
    let said = bad(path, &["export", "--format", "mdm", "--name", "x", "--out", "x.mdm"]);
    assert!(said.contains("--format c or arduino"), "{said}");
    let said = bad(path, &["export", "--format", "int8", "--quantize", "int8", "--out", "x.mdm"]);
    assert!(said.contains("--format int8 or int4"), "{said}");
}

/// The compilers' own arithmetic, for chips that have no multiplier or one of bytes: products, and a shift of 64 bits.
const ARITHMETIC: [&str; 4] = ["__lshrdi3", "__mulsi3", "__muluhisi3", "__umulhisi3"];

#[test]
fn c_calls_nothing_and_keeps_nothing() {
    let riscv = "riscv64-unknown-elf-nm";
    let tools = [
        (GCC, "nm"),
        (CORTEX_M0, "arm-none-eabi-nm"),
        (RV32, riscv),
        (RV32EC, riscv),
        (ATMEGA328P, "avr-nm"),
    ];
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
            if target == ATMEGA328P && header.contains("an AVR can address") {
                continue;
            }
            let source = project().join("tests/firmware/c/calls.c");
            let more = ["-c", "-fno-sanitize=all", "-fno-stack-protector"];
            let object = target.compile(&source, scene.path(), &scene.name, &more).unwrap();
            let symbols = output(Command::new(nm).arg(&object)).unwrap();
            for line in symbols.lines() {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [.., kind, symbol] = fields[..] else { panic!("{line}") };
                // Code and constants, and of what is undefined the compiler's own: where a chip lacks them, its products and shifts too.
                let simple = target == RV32EC || target == ATMEGA328P;
                let own = ["memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"].contains(&symbol)
                    || simple && ARITHMETIC.contains(&symbol);
                // Registers by their addresses.
                let register = kind == "a" && target == ATMEGA328P;
                assert!(
                    "tTrR".contains(kind) || register || kind == "U" && own,
                    "{} on {}: {line}",
                    scene.name,
                    target.name
                );
            }
        }
    }
}

/// The README's program, as it is printed, with the header that the command before it makes.
#[test]
fn the_readmes_c_program_prints_the_names_of_sample() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let part = readme.split("## In your C or Arduino program\n").nth(1).unwrap();
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
