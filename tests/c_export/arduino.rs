//! The Arduino library: what it holds, and what its sketch prints, on the Uno's chip too.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::c::{ATMEGA328P, ATMEGA1284P, CXX};
use crate::pasted;
use crate::scene::{bad, good, program, shipped, tried};
use common::cross::{output, project, skip};

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
    // Checks the rules of the library specification.
    for key in ["author", "maintainer", "sentence", "paragraph"] {
        assert!(!property(key).is_empty(), "{key}");
    }
    let fields = ["name", "version", "category", "architectures", "includes"].map(property);
    assert_eq!(fields, ["dream", "1.0.0", "Data Processing", "*", "dream_model.h"]);
    assert!(property("url").starts_with("https://"));
    // And PlatformIO's.
    let manifest: serde_json::Value = serde_json::from_str(&read("library.json")).unwrap();
    assert_eq!((&manifest["name"], &manifest["version"]), (&"dream".into(), &"1.0.0".into()));
    assert_eq!((&manifest["frameworks"], &manifest["platforms"]), (&"*".into(), &"*".into()));
    assert_eq!(
        (&manifest["headers"], &manifest["license"]),
        (&"dream_model.h".into(), &"MIT OR Apache-2.0".into())
    );
    assert!(manifest["description"].as_str().unwrap().contains("convolution-chip, int4"));
    let header =
        good(folder.path(), &["export", "--format", "c", "--model", &model, "--name", "dream", "--out", "-"]);
    assert_eq!(read("src/dream_model.h"), header);
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert_eq!(read(name), fs::read_to_string(project().join(name)).unwrap());
    }

    // Written again it is replaced, but for the sketch, and nothing else is.
    let again = ["export", "--format", "arduino", "--model", &model, "--out"];
    let sketch = library.join("examples/Names/Names.ino");
    fs::write(&sketch, "// mine").unwrap();
    fs::write(library.join("src/dream_model.h"), "old").unwrap();
    good(folder.path(), &[&again[..], &["Dream", "--name", "dream"]].concat());
    assert_eq!(read("examples/Names/Names.ino"), "// mine");
    assert_eq!(read("src/dream_model.h"), header);
    let of_others = "name=dream\nversion=2.1.0\nauthor=A. Stranger\n";
    let refused = |out: &str, name: &str| {
        let said = bad(folder.path(), &[&again[..], &[out, "--name", name]].concat());
        assert!(
            said.contains("was not made by an earlier export of this library") && said.contains("--out"),
            "{said}"
        );
    };
    refused("Dream", "other");
    assert!(!library.join("src/other_model.h").exists());
    fs::create_dir(folder.path().join("Strange")).unwrap();
    for properties in [of_others, "author=micro-diffusion\nname=Servo\n", "", "name=dream\n"] {
        fs::write(folder.path().join("Strange/library.properties"), properties).unwrap();
        refused("Strange", "dream");
        assert_eq!(fs::read_dir(folder.path().join("Strange")).unwrap().count(), 1);
    }
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/thesis.txt"), "mine").unwrap();
    let said = bad(folder.path(), &[&again[..], &["mine"]].concat());
    assert!(said.contains("mine exists and was not made by an earlier export of this library"), "{said}");
    let said = bad(folder.path(), &[&again[..], &["mine/thesis.txt"]].concat());
    assert!(said.contains("was not made by an earlier export"), "{said}");
    let said = bad(folder.path(), &[&again[..], &["-"]].concat());
    assert!(said.contains("--format arduino writes a folder"), "{said}");
}

/// Where the built-in transformer has no integers, the command in the message exports those that come along.
#[test]
fn the_advice_for_the_built_in_transformer_works() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    for (options, written) in [
        ("--format int8", "names.int4.mdm"),
        ("--format int4 --out mine.mdm", "mine.mdm"),
        ("--format c --quantize int8 --name n --out n.h", "n.h"),
        ("--format arduino --quantize int4", "names_arduino/library.properties"),
        ("--format html --quantize int8", "names.html"),
        ("--format html", "names.html"),
    ] {
        let export = format!("export --model built-in {options}");
        let said = bad(path, &export.split(' ').collect::<Vec<_>>());
        assert!(!path.join(written).exists() && !said.contains("scaling"), "{said}");
        good(path, &pasted(&said));
        let made = path.join(written);
        assert!(made.exists(), "{said}");
        if written == "names.html" {
            fs::remove_file(made).unwrap();
        }
    }
    // Floats in C are arrays, and the note beside them has the command for C that draws.
    let arrays = ["export", "--format", "c", "--model", "built-in", "--out", "arrays.h"];
    let said = String::from_utf8(program(path, &arrays).stderr).unwrap();
    good(path, &pasted(&said));
    assert!(fs::read_to_string(path.join("arrays.h")).unwrap().contains("int8_t"), "{said}");
    // Integers that came along are refused before they are scaled.
    let said = bad(path, &["export", "--format", "int8", "--model", "built-in-int4"]);
    assert!(said.contains("the weights are integers (int4)") && !said.contains("scaling"), "{said}");
}

/// For floats the error holds a command that works. For a model too large for an AVR a note says so.
#[test]
fn an_arduino_library_says_what_it_needs() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::copy(project().join("data/names.mdm"), path.join("floats.mdm")).unwrap();
    let export = ["export", "--format", "arduino", "--out", "names", "--name", "n", "--model"];
    let said = bad(path, &[&export[..], &["built-in"]].concat());
    assert!(said.contains("floats only") && said.contains("--config convolution-medium"), "{said}");
    good(path, &pasted(&said));
    assert!(path.join("names/src/n_model.h").exists(), "{said}");
    fs::remove_dir_all(path.join("names")).unwrap();
    let said = bad(path, &[&export[..], &["floats.mdm"]].concat());
    let advice = pasted(&said);
    let said = program(path, &advice[..]);
    assert!(said.status.success() && path.join("names/src/n_model.h").exists());
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("too large for AVR chips, such as that of the Uno"), "{said}");
    let model = project().join("data/convolution-chip-int4.mdm");
    let small = ["export", "--format", "arduino", "--out", "small", "--model", model.to_str().unwrap()];
    let said = String::from_utf8(program(path, &small).stderr).unwrap();
    assert!(said.contains("wrote the library folder small") && !said.contains("AVR"), "{said}");

    // No rounding helps a transformer.
    fs::write(path.join("list.txt"), "anna\nbob\ncarla\n").unwrap();
    let train =
        ["train", "--config", "transformer", "--steps", "1", "--batch", "1", "--no-eval", "--no-pictures"];
    good(path, &[&train[..], &["--quiet", "--input", "list.txt", "--out", "t"]].concat());
    let said = bad(path, &["export", "--format", "arduino", "--model", "t", "--out", "x"]);
    assert!(said.contains("exists in floats only") && !said.contains("--quantize"), "{said}");
    let said = program(path, &["export", "--format", "c", "--model", "t", "--out", "x.h"]).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("exists in floats only") && !said.contains("--quantize"), "{said}");
}

/// A library called like a header of the system, on disks where capitals count and where they do not, hides none.
#[test]
fn no_header_of_a_library_hides_one_of_the_system() {
    let Some(target) = tried(&[CXX]).pop() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let model = project().join("data/convolution-chip-int4.mdm");
    for name in ["string", "math", "stdint", "arduino"] {
        let export = ["export", "--format", "arduino", "--model", model.to_str().unwrap(), "--out", name];
        good(path, &export);
        let headers: Vec<_> = fs::read_dir(path.join(name).join("src")).unwrap().flatten().collect();
        assert_eq!((headers.len(), headers[0].file_name()), (1, format!("{name}_model.h").into()));
        let source = path.join("both.cpp");
        let include = path.join(name).join("src");
        let text = format!(
            "#include <{name}_model.h>\n#include <string.h>\n#include <math.h>\n#include <stdio.h>\n\
             int main() {{ char text[{}_TEXT]; {name}_sample(1, 0, text, sizeof text);\n\
             printf(\"%d\", (int)(strlen(text) > 0) + (int)fabs(-1.0)); return 0; }}\n",
            name.to_uppercase()
        );
        fs::write(&source, text).unwrap();
        let program = target.compile(&source, path, name, &["-I", include.to_str().unwrap()]).unwrap();
        assert_eq!(target.run(&program), "2", "{name}");
    }
}

/// The lines that the sketch must print, by `sample`.
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

/// The README's figures of the sketch and of a name on the Uno; none may grow by more than 5 %.
const SKETCH_FLASH: usize = 17_528;
const SKETCH_MEMORY: usize = 1_461;
const MEAN_SECONDS: f64 = 0.137;
const MOST_SECONDS: f64 = 0.224;

/// The sketch with Arduino's own core on the Uno's emulated chip prints the right names. It stays within the flash that
/// the bootloader leaves of 32 KB, and leaves memory for the stack.
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
    let mut core_objects = Vec::new();
    for source in ["main.cpp", "HardwareSerial.cpp", "HardwareSerial0.cpp", "Print.cpp"] {
        core_objects.push(compile("avr-g++", &Path::new(&core).join(source), "-std=gnu++11"));
    }
    for source in ["wiring.c", "hooks.c"] {
        core_objects.push(compile("avr-gcc", &Path::new(&core).join(source), "-std=gnu11"));
    }
    let link = |name: &str, text: &str| {
        let sketch = folder.path().join(format!("{name}.cpp"));
        fs::write(&sketch, format!("#include <Arduino.h>\n{text}")).unwrap();
        let object = compile("avr-g++", &sketch, "-std=gnu++11");
        let elf = folder.path().join(format!("{name}.elf"));
        let mut linker = Command::new("avr-g++");
        linker.args(flags).args(options).arg("-Wl,--gc-sections");
        let said = linker.arg(object).args(&core_objects).arg("-o").arg(&elf).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        elf
    };
    let text = fs::read_to_string(library.join("examples/Names/Names.ino")).unwrap();
    let elf = link("Names", &text);
    let sizes = output(Command::new("avr-size").arg(&elf)).unwrap();
    let fields: Vec<usize> =
        sizes.lines().last().unwrap().split_whitespace().map_while(|field| field.parse().ok()).collect();
    let (flash, memory) = (fields[0] + fields[1], fields[1] + fields[2]);
    println!("Arduino Uno: {flash} bytes of flash, {memory} bytes of variables");
    assert!(flash * 100 <= SKETCH_FLASH * 105 && memory * 100 <= SKETCH_MEMORY * 105, "{sizes}");

    // The emulator ends where the chip sleeps for ever.
    let ending = text.replace("delay(1000);", "if (number == 6) { Serial.flush(); cli(); sleep_mode(); }");
    let printed = target.run(&link("Ending", &format!("#include <avr/sleep.h>\n{ending}")));
    let lines = printed.lines().map(|line| line.trim_end_matches([' ', '.']).to_owned() + "\n");
    let names: String = lines.collect();
    assert_eq!(names, dreams(&model, "6"));
}

/// Prints the cost of a name on the Uno's chip, optimised for size as by Arduino, without Arduino's core: for the README.
#[test]
fn a_name_takes_an_atmega328p_a_seventh_of_a_second() {
    let Some(target) = tried(&[ATMEGA328P]).pop() else { return };
    let scene = shipped("convolution-chip-int4");
    let printed = scene.c("avr_cost.c", target, &["-DNAMES=20"]);
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
    let (mean, most) = (seconds(sum) / times.len() as f64, seconds(most));
    println!("ATmega328P: {mean:.3} s a name in the mean, {most:.3} s at most, {stack} bytes of memory");
    assert!(mean <= 1.05 * MEAN_SECONDS && most <= 1.05 * MOST_SECONDS && *stack <= 1600, "{printed}");
}

#[test]
fn an_avr_is_told_that_a_model_is_too_large_for_it() {
    let Some(target) = tried(&[ATMEGA1284P]).pop() else { return };
    let scene = shipped("names-int4");
    let source = project().join("tests/firmware/c/calls.c");
    let error = target.compile(&source, scene.path(), &scene.name, &[]).unwrap_err();
    assert!(error.contains("the model has more constant data than an AVR can address"), "{error}");
}
