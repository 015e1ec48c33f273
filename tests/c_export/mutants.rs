//! Constants of the C, changed one at a time.

use std::fs;
use std::process::Command;

use micro_diffusion::config::{ConvolutionSmall, PerceptronSmall};
use micro_diffusion::precision::{Int4, Int8};
use micro_diffusion::rng::{Purpose, Stream, below};

use crate::c::CLANG;
use crate::scene::{Case, Scene, characters, random_model, told, tried};
use common::cross::project;

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
    const SHIFTS: [&str; 6] = ["<< ", ">> ", "_SHIFT ", "_LEFT ", "_RIGHT ", "turned(x1, "];
    let mut found = Vec::new();
    let (mut table, mut elsewhere) = (false, false);
    for (line, whole) in header.lines().enumerate() {
        let code = whole.split("//").next().unwrap();
        // Code that only an AVR compiles.
        elsewhere = (elsewhere || code.starts_with("#ifdef __AVR__"))
            && !code.starts_with("#else")
            && !code.starts_with("#endif");
        // A question to the compiler, of which nothing is left.
        let asks = code.starts_with("typedef");
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
        } else if !elsewhere && !asks {
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

/// Changes twenty constants of a header one at a time: a shift by one more, a mask without its highest bit, a table entry
/// with another highest bit. Each change must change the names or the parts.
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
    let told = told(100, 2);
    let more: Vec<&str> =
        told.iter().map(String::as_str).chain(["-DTEXTS=4000", "-O1", "-Wno-error"]).collect();
    let likeliest = [&more[..], &["-DTHOUSANDTHS=0"]].concat();
    // The output of each program; a program that fails or is stopped has none.
    let programs = [("names.c", &more), ("parts.c", &more), ("names.c", &likeliest)];
    let prints = |(name, more): (&str, &Vec<&str>)| -> Option<String> {
        let source = project().join("tests/firmware/c").join(name);
        let program = target.compile(&source, scene.path(), &scene.name, more).ok()?;
        let output = Command::new("timeout").arg("20").arg(program).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let right = programs.map(|program| prints(program).unwrap());
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
        if programs.iter().zip(&right).all(|(program, right)| prints(*program).as_ref() == Some(right)) {
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
    // Shifts that are at least 1.
    let int4 = random_model::<PerceptronSmall, Int4, 12, 26>(&alphabet, &evenly(12));
    mutants_are_caught(&Scene::of(&Case { name: "perceptron".to_owned(), bytes: int4 }), seed);
    let int8 = random_model::<ConvolutionSmall, Int8, 16, 26>(&alphabet, &evenly(16));
    mutants_are_caught(&Scene::of(&Case { name: "convolution".to_owned(), bytes: int8 }), seed + 1);
}
