//! The cost of models on chips: measurement, the committed table, and its copies in two READMEs.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::c::{CORTEX_M0, RV32, RV32EC, Target};
use crate::tools::{CORTEX_M3, CORTEX_M4F, Chip, Image, MICROBIT, Program, RISC_V, TEN_CENT, Tools, project};
use common::cross::{output, run_build};

/// The committed figures.
const TABLE: &str = "tests/golden/firmware.tsv";
/// The file that shows the whole table, and the lines between which it stands there.
const GUIDE: Place = Place(
    "core/examples/firmware/README.md",
    "<!-- firmware table -->\n",
    "<!-- end of the firmware table -->\n",
);
/// The file that shows a few rows, and the lines between which they stand there.
const README: Place =
    Place("README.md", "<!-- firmware summary -->\n", "<!-- end of the firmware summary -->\n");
/// The rows that the README shows.
const SUMMARY: [&str; 5] = [
    "BBC micro:bit (nRF51822, Cortex-M0), 163,128 parameters, int4",
    "Cortex-M4F, 163,128 parameters, f32",
    "RV32IMAC (FE310), 163,128 parameters, int4",
    "ten-cent class (CH32V003, RV32EC), 20,666 parameters, int4",
    "ten-cent class (CH32V003, RV32EC), 20,666 parameters, int4, in C",
];
/// Most growth over the committed figure, in percent of it.
const MOST_PERCENT: u64 = 105;

/// A model on a chip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    chip: Chip,
    /// The name of the model in the tables.
    model: &'static str,
    file: &'static str,
    /// The whole program, of which flash and memory are measured.
    program: Source,
    /// The program that draws with every sampler, of which instructions are counted.
    counted: Source,
}

/// The source of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Rust(Program),
    /// A file of `tests/firmware/c` and what it is told, with the C that `export` writes of the row's model.
    C(&'static str, Target, &'static [&'static str]),
}

const EXAMPLE: Program =
    Program { package: "core/examples/firmware", binary: "micro-diffusion-firmware", features: "" };
pub(crate) const TEN_CENT_EXAMPLE: Program =
    Program { package: "core/examples/ten-cent", binary: "micro-diffusion-ten-cent", features: "" };

/// The rows of the table.
pub(crate) fn rows() -> Vec<Row> {
    let check = |binary| Source::Rust(Program::check(binary));
    let int4 = |chip| Row {
        chip,
        model: "163,128 parameters, int4",
        file: "data/names-int4.mdm",
        program: Source::Rust(EXAMPLE),
        counted: check("int4"),
    };
    let int8 = |chip| Row {
        chip,
        model: "163,128 parameters, int8",
        file: "data/names-int8.mdm",
        program: Source::Rust(Program { features: "int8", ..EXAMPLE }),
        counted: check("int8"),
    };
    let float = |chip| Row {
        chip,
        model: "11,760 parameters, f32",
        file: "data/perceptron-small.mdm",
        program: Source::Rust(Program { binary: "float", ..EXAMPLE }),
        counted: check("float"),
    };
    let large = |chip| Row {
        chip,
        model: "163,128 parameters, f32",
        file: "data/names.mdm",
        program: Source::Rust(Program { binary: "float", features: "large", ..EXAMPLE }),
        counted: Source::Rust(Program { features: "large", ..Program::check("large") }),
    };
    let ten_cent = Row {
        chip: TEN_CENT,
        model: "20,666 parameters, int4",
        file: "data/convolution-chip-int4.mdm",
        program: Source::Rust(TEN_CENT_EXAMPLE),
        counted: Source::Rust(TEN_CENT_EXAMPLE),
    };
    let in_c = |row: Row, model, target, told| Row {
        model,
        program: Source::C("trace.c", target, &[]),
        counted: Source::C("names.c", target, told),
        ..row
    };
    let (int4_in_c, int8_in_c) = ("163,128 parameters, int4, in C", "163,128 parameters, int8, in C");
    vec![
        int4(MICROBIT),
        in_c(int4(MICROBIT), int4_in_c, CORTEX_M0, &WARM),
        int8(MICROBIT),
        in_c(int8(MICROBIT), int8_in_c, CORTEX_M0, &WARM),
        float(MICROBIT),
        int4(CORTEX_M3),
        int4(CORTEX_M4F),
        int8(CORTEX_M4F),
        float(CORTEX_M4F),
        large(CORTEX_M4F),
        int4(RISC_V),
        in_c(int4(RISC_V), int4_in_c, RV32, &WARM),
        int8(RISC_V),
        in_c(int8(RISC_V), int8_in_c, RV32, &WARM),
        ten_cent,
        in_c(ten_cent, "20,666 parameters, int4, in C", RV32EC, &NUMBERED),
    ]
}

/// The macros by which names.c draws the names of the checks in Rust, and those of the ten-cent example.
const WARM: [&str; 5] = ["-DORDERS=2", "-DNAMES=100", "-DSEED(i)=i", "-DNUMBER(i)=0", "-DTHOUSANDTHS=700"];
const NUMBERED: [&str; 4] = ["-DORDERS=2", "-DNAMES=20", "-DSEED(i)=1", "-DNUMBER(i)=i"];

/// The figures that are measured, by name: bytes, instructions, and cycles in the mean.
const FIGURES: [&str; 10] = [
    "flash",
    "static_memory",
    "stack",
    "start_up",
    "random_mean",
    "random_max",
    "random_cycles",
    "confidence_mean",
    "confidence_max",
    "confidence_cycles",
];

/// One measured row, in the order of [`FIGURES`]; 0 stands for what is not measured.
type Figures = [u64; FIGURES.len()];

/// Mean and maximum of the instructions, and the mean of the cycles.
fn summary(spans: &[(u64, u64)]) -> [u64; 3] {
    let count = spans.len().max(1) as u64;
    let instructions: u64 = spans.iter().map(|span| span.0).sum();
    let cycles: u64 = spans.iter().map(|span| span.1).sum();
    [instructions / count, spans.iter().map(|span| span.0).max().unwrap_or(0), cycles / count]
}

/// Differences between marks 0 and 1, 2 and 3, …
fn paired(marks: &[(u64, u64)]) -> Vec<(u64, u64)> {
    marks.chunks_exact(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1)).collect()
}

/// The folder with the header that `export` writes of the model `file`, and what it calls the model.
fn header(file: &str) -> (PathBuf, String) {
    let folder = project().join("target/firmware/c");
    std::fs::create_dir_all(&folder).unwrap();
    let name = Path::new(file).file_stem().unwrap().to_string_lossy().replace('-', "_");
    let out = folder.join(format!("{name}.h"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(project()).args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "micro-diffusion-cli",
        "--",
    ]);
    cargo.args(["export", "--format", "c", "--model", file, "--out"]).arg(out);
    run_build(&mut cargo).unwrap();
    (folder, name)
}

impl Row {
    /// Builds `source` for the row's chip.
    fn build(&self, tools: Tools, source: Source) -> PathBuf {
        match source {
            Source::Rust(program) => tools.build(program, self.chip.target).unwrap(),
            Source::C(file, target, told) => {
                let (folder, name) = header(self.file);
                target.compile(&project().join("tests/firmware/c").join(file), &folder, &name, told).unwrap()
            }
        }
    }

    fn name(&self) -> String {
        format!("{}, {}", self.chip.name, self.model)
    }

    /// `cycles` at the chip's clock.
    fn seconds(&self, cycles: u64) -> f64 {
        cycles as f64 / (f64::from(self.chip.clock_mhz) * 1e6)
    }

    /// Measures everything anew.
    pub(crate) fn measure(&self, tools: Tools) -> Figures {
        let program = self.build(tools, self.program);
        let image = Image::read(&program);
        let stack = tools.count(self.chip, &program, None).stack;
        let counted = self.build(tools, self.counted);
        let (start_up, random, confidence) = if self.program == self.counted {
            // A span lasts from one name shown to the next; to show a name costs a few hundred instructions.
            let show = Image::read(&counted).symbols_with(&["4show"]).first().map(|name| (*name).to_owned());
            let marks = tools.count(self.chip, &counted, show.as_deref()).marks;
            let spans: Vec<_> =
                marks.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1)).collect();
            // The ten-cent program checks nothing when it starts: the build did.
            (0, summary(&spans), [0; 3])
        } else if let Source::C(..) = self.counted {
            let spans = paired(&tools.count(self.chip, &counted, Some("mark")).marks);
            // Nor does this: `export` did.
            let mut orders = spans.chunks_exact(spans.len() / 2).map(summary);
            (0, orders.next().unwrap(), orders.next().unwrap())
        } else {
            let spans = paired(&tools.count(self.chip, &counted, Some("mark")).marks);
            let (validation, names) = spans.split_first().unwrap();
            // The samplers one after the other, the random order first and confidence second.
            let mut samplers = names.chunks_exact(names.len() / 5).map(summary);
            (validation.0, samplers.next().unwrap(), samplers.next().unwrap())
        };
        let [r, s, c] = [random, [image.flash, image.static_memory, stack], confidence];
        [s[0], s[1], s[2], start_up, r[0], r[1], r[2], c[0], c[1], c[2]]
    }
}

/// The versions of the compilers that make the programs; one that is missing has none.
pub(crate) fn compilers(tools: Tools) -> String {
    let version = |target: Target| {
        let version = output(Command::new(target.compiler).arg("-dumpversion")).unwrap_or_default();
        format!("{} {}", target.compiler, version.trim())
    };
    [tools.compiler_version(), version(CORTEX_M0), version(RV32)].join(", ")
}

/// The committed table: the compilers' versions, and for each row its name, the model's score and the figures.
pub(crate) struct Table {
    pub(crate) compiler: String,
    rows: Vec<(String, String, Figures)>,
}

impl Table {
    pub(crate) fn committed() -> Self {
        let text = std::fs::read_to_string(project().join(TABLE)).unwrap();
        let mut lines = text.lines();
        let compiler = lines.next().unwrap().to_owned();
        let rows = lines.skip(1).map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let figures = std::array::from_fn(|index| fields[index + 2].parse().unwrap());
            (fields[0].to_owned(), fields[1].to_owned(), figures)
        });
        Self { compiler, rows: rows.collect() }
    }

    /// Measures all of it, and the models' scores by the command line at `program`.
    pub(crate) fn measured(tools: Tools, program: &OsStr) -> Self {
        let rows =
            rows().iter().map(|row| (row.name(), score(program, row.file), row.measure(tools))).collect();
        Self { compiler: compilers(tools), rows }
    }

    /// Writes the table, and shows it in both READMEs.
    pub(crate) fn write(&self) {
        let mut text = format!("{}\nrow\tnll\t{}\n", self.compiler, FIGURES.join("\t"));
        for (name, score, figures) in &self.rows {
            let figures: Vec<String> = figures.iter().map(u64::to_string).collect();
            let _ = writeln!(text, "{name}\t{score}\t{}", figures.join("\t"));
        }
        std::fs::write(project().join(TABLE), text).unwrap();
        for (place, shown) in self.places() {
            let text = place.read();
            let (before, _, after) = place.split(&text);
            std::fs::write(project().join(place.0), format!("{before}{shown}{after}")).unwrap();
        }
    }

    /// The figures of `row` that exceed the committed table.
    pub(crate) fn excess(&self, row: &Row, figures: &Figures) -> Vec<String> {
        let Some((_, _, committed)) = self.rows.iter().find(|(name, _, _)| *name == row.name()) else {
            return vec![format!("{}: not in the table", row.name())];
        };
        let pairs = FIGURES.iter().zip(committed).zip(figures);
        pairs
            .filter(|((_, committed), measured)| **measured * 100 > **committed * MOST_PERCENT)
            .map(|((name, committed), measured)| format!("{}: {name} {committed} → {measured}", row.name()))
            .collect()
    }

    /// The places that show the table, each with the rows and columns that it shows.
    pub(crate) fn places(&self) -> [(Place, String); 2] {
        [(GUIDE, self.shown()), (README, self.summary())]
    }

    /// The rows of [`SUMMARY`].
    fn summary(&self) -> String {
        let mut text = String::from(
            "| chip | model | −ln p | flash | RAM | a name, modelled |\n|---|---|---|---|---|---|\n",
        );
        for name in SUMMARY {
            let (row, (_, score, figures)) =
                rows().into_iter().zip(&self.rows).find(|(row, _)| row.name() == name).unwrap();
            let [flash, memory, stack, _, _, _, cycles, ..] = *figures;
            let _ = writeln!(
                text,
                "| {}, {} MHz | {} | {score} | {} | {} | {:.3} s |",
                row.chip.name,
                row.chip.clock_mhz,
                row.model,
                thousands(flash),
                thousands(memory + stack),
                row.seconds(cycles),
            );
        }
        text
    }

    /// The whole table.
    fn shown(&self) -> String {
        let mut text = String::from(
            "| chip | model | −ln p | flash | RAM: static + stack | instructions a name: random order, mean (max) \
             | confidence, mean (max) | seconds, modelled: random, confidence | start-up |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for ((_, score, figures), row) in self.rows.iter().zip(rows()) {
            let [flash, memory, stack, start_up, mean, max, cycles, c_mean, c_max, c_cycles] = *figures;
            let seconds = |cycles: u64| match cycles {
                0 => "–".to_owned(),
                cycles => format!("{:.3}", row.seconds(cycles)),
            };
            let instructions = |mean: u64, max: u64| match mean {
                0 => "–".to_owned(),
                mean => format!("{} ({})", millions(mean), millions(max)),
            };
            let start_up = if start_up == 0 { "–".to_owned() } else { millions(start_up) };
            let _ = writeln!(
                text,
                "| {}, {} MHz | {} | {score} | {} | {memory} + {} | {} | {} | {}, {} | {start_up} |",
                row.chip.name,
                row.chip.clock_mhz,
                row.model,
                thousands(flash),
                thousands(stack),
                instructions(mean, max),
                instructions(c_mean, c_max),
                seconds(cycles),
                seconds(c_cycles),
            );
        }
        text
    }
}

/// A place for rows in a file of text: the file, and the lines before and after the rows.
#[derive(Clone, Copy)]
pub(crate) struct Place(&'static str, &'static str, &'static str);

impl Place {
    pub(crate) fn read(self) -> String {
        std::fs::read_to_string(project().join(self.0)).unwrap()
    }

    /// The text of the file before the rows, the rows, and the text after them.
    pub(crate) fn split(self, text: &str) -> (&str, &str, &str) {
        let Self(file, first, last) = self;
        let start = text.find(first).expect(file) + first.len();
        let end = text.find(last).expect(file);
        (&text[..start], &text[start..end], &text[end..])
    }
}

fn millions(count: u64) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    match digits.len() {
        4.. => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
        _ => digits,
    }
}

/// The held-out −ln p of a model in nats a name, by the command line at `program`.
fn score(program: &OsStr, file: &str) -> String {
    let output = Command::new(program)
        .args(["eval", "--json", "--num", "0", "--model", file])
        .current_dir(project())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = text.split("\"nll_nats_per_name\":").nth(1).expect("eval reports the score");
    let number = after.split([',', '}']).next().unwrap().trim();
    format!("{:.2}", number.parse::<f64>().unwrap())
}

/// The control of the gate: every figure of every row passes at 105 % of the committed one, and fails above it by name.
#[test]
fn more_than_105_percent_of_any_figure_is_an_excess() {
    let table = Table::committed();
    for (row, (name, _, committed)) in rows().iter().zip(&table.rows) {
        let at_105_percent = committed.map(|figure| figure * 105 / 100);
        assert_eq!(table.excess(row, committed), [""; 0]);
        assert_eq!(table.excess(row, &at_105_percent), [""; 0]);
        for (index, figure) in FIGURES.iter().enumerate() {
            let mut measured = at_105_percent;
            measured[index] += 1;
            let excess = table.excess(row, &measured);
            assert_eq!(excess.len(), 1, "{name}: {figure}");
            assert!(excess[0].starts_with(&format!("{name}: {figure} ")), "{excess:?}");
        }
    }
    let unknown = Row { model: "another", ..rows()[0] };
    assert_eq!(table.excess(&unknown, &[0; FIGURES.len()]).len(), 1, "a row that the table lacks");
}

/// Flash, memory and instructions of C are at most 105 % of Rust's, on equal chips for equal models. On a micro:bit the
/// model in four bits has 96 KB of flash and 2 KB of memory.
#[test]
fn c_takes_no_more_than_rust() {
    let table = Table::committed();
    let figures = |name: &str| table.rows.iter().find(|(row, ..)| row == name).map(|(.., figures)| *figures);
    let mut compared = 0;
    for (name, _, in_c) in &table.rows {
        let Some(in_rust) = name.strip_suffix(", in C").and_then(figures) else { continue };
        for ((figure, in_c), in_rust) in FIGURES.iter().zip(in_c).zip(in_rust).filter(|(_, rust)| *rust > 0) {
            assert!(in_c * 100 <= in_rust * MOST_PERCENT, "{name}: {figure} {in_c} against {in_rust}");
        }
        compared += 1;
    }
    assert_eq!(compared, 5);
    let [flash, memory, stack, ..] =
        figures(&format!("{}, 163,128 parameters, int4, in C", MICROBIT.name)).unwrap();
    assert!(flash <= 96 * 1024 && memory + stack <= 2048, "{flash} {memory} {stack}");
}
