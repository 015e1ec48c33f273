//! The Arduino library: what it holds, and what its sketch prints, on the Uno's chip too.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::c::{ATMEGA328P, ATMEGA1284P, CXX};
use crate::cross::{output, project, skip};
use crate::scene::{bad, good, shipped, tried};

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
    assert!(
        read("examples/Names/Names.ino").starts_with("// ") && read("LICENSE-MIT").starts_with("MIT License")
    );

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

#[test]
fn an_avr_is_told_that_a_model_is_too_large_for_it() {
    let Some(target) = tried(&[ATMEGA1284P]).pop() else { return };
    let scene = shipped("names-int4");
    let source = project().join("tests/firmware/c/calls.c");
    let error = target.compile(&source, scene.path(), &scene.name, &[]).unwrap_err();
    assert!(error.contains("the model has more constant data than an AVR can address"), "{error}");
}
