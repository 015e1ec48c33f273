//! The lengths of drawn texts, and where the letters of a pattern stand, against enumeration.
//!
//! The oracle reads the exported weights of a perceptron and computes its distributions in plain loops of `f64`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use safetensors::SafeTensors;
use tempfile::TempDir;

/// Texts drawn for each comparison.
const TEXTS: usize = 8000;
/// The shipped perceptron.
const NAMES: [&str; 2] = ["--model", concat!(env!("CARGO_MANIFEST_DIR"), "/../data/names.mdm")];

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A text in which some positions are masked.
type Shown = Vec<Option<char>>;

/// A perceptron, and the lengths of its texts.
struct Oracle {
    alphabet: Vec<char>,
    /// p(n) for n = 1 … L.
    lengths: Vec<f64>,
    symbols: usize,
    width: usize,
    tensors: BTreeMap<String, Vec<f64>>,
}

impl Oracle {
    /// The model that `more` names, of which `folder` gets an export.
    fn of(folder: &Path, more: &[&str]) -> Self {
        stdout(folder, &[&["export", "--out", "oracle.safetensors"], more].concat());
        let bytes = fs::read(folder.join("oracle.safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let counts: Vec<f64> = metadata["lengths"].split(' ').map(|count| count.parse().unwrap()).collect();
        let (most, texts) = (counts.len() as f64, counts.iter().sum::<f64>());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let shape = file.tensor("input").unwrap().shape().to_vec();
        let floats = |bytes: &[u8]| -> Vec<f64> {
            bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        };
        Self {
            alphabet: metadata["alphabet"].chars().collect(),
            lengths: counts.iter().map(|count| (most * count + 1.0) / (most * texts + most)).collect(),
            symbols: shape[1],
            width: shape[2],
            tensors: file.iter().map(|(name, tensor)| (name.to_owned(), floats(tensor.data()))).collect(),
        }
    }

    fn symbol(&self, letter: char) -> usize {
        self.alphabet.iter().position(|character| *character == letter).unwrap()
    }

    /// p(`letter` at `position` | what is shown, its length).
    fn probability(&self, shown: &[Option<char>], position: usize, letter: char) -> f64 {
        let row = |name: &str, index: usize| &self.tensors[name][index * self.width..][..self.width];
        let mut hidden = row("length", shown.len() - 1).to_vec();
        for (place, letter) in
            shown.iter().enumerate().filter_map(|(place, letter)| Some((place, (*letter)?)))
        {
            let added = row("input", place * self.symbols + self.symbol(letter));
            hidden.iter_mut().zip(added).for_each(|(sum, value)| *sum += value);
        }
        let weight = |symbol: usize| {
            let index = position * self.symbols + symbol;
            let products = row("output", index).iter().zip(&hidden).map(|(u, h)| u * h.max(0.0));
            (self.tensors["output_bias"][index] + products.sum::<f64>()).exp()
        };
        weight(self.symbol(letter)) / (0..self.alphabet.len()).map(weight).sum::<f64>()
    }

    /// Every form of `pattern`, each once.
    fn forms(&self, pattern: &str) -> BTreeSet<Shown> {
        let mut forms = BTreeSet::new();
        self.grow(&mut Vec::new(), pattern, &mut forms);
        forms
    }

    fn grow(&self, form: &mut Shown, pattern: &str, forms: &mut BTreeSet<Shown>) {
        let Some(place) = pattern.chars().next() else {
            _ = (1..=self.lengths.len()).contains(&form.len()) && forms.insert(form.clone());
            return;
        };
        let rest = &pattern[place.len_utf8()..];
        if place == '*' {
            let length = form.len();
            while form.len() <= self.lengths.len() {
                self.grow(form, rest, forms);
                form.push(None);
            }
            form.truncate(length);
        } else {
            form.push(Some(place).filter(|place| *place != '?'));
            self.grow(form, rest, forms);
            form.pop();
        }
    }

    /// p(n)·Π p(letter | letters left of it, n) over the letters of `form`.
    fn weight(&self, form: &[Option<char>]) -> f64 {
        let mut shown = vec![None; form.len()];
        let mut weight = self.lengths[form.len() - 1];
        for (position, letter) in form.iter().enumerate().filter_map(|(l, letter)| Some((l, (*letter)?))) {
            weight *= self.probability(&shown, position, letter);
            shown[position] = Some(letter);
        }
        weight
    }

    /// The probability that the masked positions of `shown` become `text`, one after another in random order.
    fn completion(&self, shown: &[Option<char>], text: &[char]) -> f64 {
        let masked: Vec<usize> = (0..text.len()).filter(|position| shown[*position].is_none()).collect();
        if masked.is_empty() {
            return f64::from(shown.iter().zip(text).all(|(letter, of_text)| *letter == Some(*of_text)));
        }
        let next = |position: &usize| {
            let mut more = shown.to_vec();
            more[*position] = Some(text[*position]);
            self.probability(shown, *position, text[*position]) * self.completion(&more, text)
        };
        masked.iter().map(next).sum::<f64>() / masked.len() as f64
    }

    /// Every text of `length` letters.
    fn texts(&self, length: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        for _ in 0..length {
            let longer =
                |text: &String| self.alphabet.iter().map(move |c| format!("{text}{c}")).collect::<Vec<_>>();
            texts = texts.iter().flat_map(longer).collect();
        }
        texts
    }
}

/// The distance of χ² above its mean in standard deviations, for `counts` of kinds with probabilities `expected` up to a
/// factor. Kinds expected fewer than five times are counted as one.
#[track_caller]
fn deviation<K: Ord + std::fmt::Debug>(counts: &BTreeMap<K, usize>, expected: &BTreeMap<K, f64>) -> f64 {
    let texts = counts.values().sum::<usize>() as f64;
    let sum: f64 = expected.values().sum();
    for kind in counts.keys() {
        assert!(expected.contains_key(kind), "{kind:?} cannot be");
    }
    let (mut square, mut kinds, mut few) = (0.0, 0.0, (0.0, 0.0));
    let mut add = |count: f64, expected: f64| {
        square += (count - expected).powi(2) / expected;
        kinds += 1.0;
    };
    for (kind, probability) in expected {
        let (count, expected) =
            (counts.get(kind).map_or(0.0, |count| *count as f64), probability / sum * texts);
        if expected < 5.0 {
            few = (few.0 + count, few.1 + expected);
        } else {
            add(count, expected);
        }
    }
    if few.1 > 0.0 {
        add(few.0, few.1.max(1.0));
    }
    assert!(kinds > 1.0, "nothing to compare");
    (square - (kinds - 1.0)) / (2.0 * (kinds - 1.0)).sqrt()
}

/// Counts of each of `kinds`.
fn counted<K: Ord>(kinds: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

/// χ² this many standard deviations above its mean does not happen.
const NEVER: f64 = 5.0;

/// A trace begins with the text's form.
#[test]
fn the_letters_of_a_pattern_stand_where_they_are_likely() {
    let folder = TempDir::new().unwrap();
    let oracle = Oracle::of(folder.path(), &NAMES);
    let num = TEXTS.to_string();
    for (pattern, length, forms) in [
        ("*an*", None, 66),
        ("*an*", Some(6), 5),
        ("m*a", None, 11),
        ("*a", None, 12),
        ("a*b*c", None, 55),
        ("a*b*c", Some(9), 7),
        ("*a*", None, 78),
        // Six placements in a text of four letters, and three forms.
        ("*?*a*", None, 66),
        ("?n*?", None, 10),
    ] {
        let mut expected: BTreeMap<Shown, f64> =
            oracle.forms(pattern).into_iter().map(|form| (form.clone(), oracle.weight(&form))).collect();
        let sample = ["sample", "--trace", "--num", &num, "--pattern", pattern];
        let lengths = length.map(|length: usize| length.to_string());
        let length_option: Vec<&str> = lengths.iter().flat_map(|length| ["--length", length]).collect();
        if let Some(length) = length {
            expected.retain(|form, _| form.len() == length);
        }
        assert_eq!(expected.len(), forms, "{pattern}");
        let traces = stdout(folder.path(), &[&sample[..], &length_option, &NAMES].concat());
        let first = |line: &str| -> Shown {
            let state = line.split(" → ").next().unwrap();
            state.chars().map(|character| Some(character).filter(|character| *character != '_')).collect()
        };
        let counts = counted(traces.lines().map(first));
        let found = deviation(&counts, &expected);
        assert!(found.abs() < NEVER, "{pattern}: {found}");
        // The comparison tells what is nearly right from what is right.
        let uniform = expected.keys().map(|form| (form.clone(), 1.0)).collect();
        let by_length = expected.keys().map(|form| (form.clone(), oracle.lengths[form.len() - 1])).collect();
        let letters =
            expected.iter().map(|(form, p)| (form.clone(), p / oracle.lengths[form.len() - 1])).collect();
        for wrong in [Some(uniform), Some(by_length), Some(letters).filter(|_| length.is_none())] {
            let found = wrong.map_or(f64::INFINITY, |wrong| deviation(&counts, &wrong));
            assert!(found > 4.0 * NEVER, "{pattern}: {found}");
        }
    }
}

/// All texts of up to four letters are told apart; longer ones are one kind.
#[test]
fn texts_of_a_tiny_world_are_drawn_as_often_as_enumeration_says() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::write(path.join("tiny.txt"), "a\nb\nab\nba\naab\nbab\nbbb\nabab\nabba\nbaba\n").unwrap();
    let train = ["train", "--config", "perceptron-small", "--steps", "150", "--batch", "16", "--no-eval"];
    stdout(path, &[&train[..], &["--no-pictures", "--input", "tiny.txt", "--out", "run"]].concat());
    let oracle = Oracle::of(path, &["--model", "run"]);
    assert_eq!(oracle.alphabet, ['a', 'b']);
    let num = TEXTS.to_string();
    for pattern in ["*", "*ab*", "a*b", "*a*b*", "*b*b", "?*a*"] {
        let forms: Vec<(Shown, f64)> =
            oracle.forms(pattern).into_iter().map(|form| (form.clone(), oracle.weight(&form))).collect();
        let total: f64 = forms.iter().map(|(_, weight)| weight).sum();
        let mut expected = BTreeMap::new();
        for text in (1..=4).flat_map(|length| oracle.texts(length)) {
            let letters: Vec<char> = text.chars().collect();
            let fits = |form: &Shown| {
                form.len() == letters.len()
                    && form.iter().zip(&letters).all(|(of, is)| of.is_none_or(|of| of == *is))
            };
            let ways = forms.iter().filter(|(form, _)| fits(form));
            let probability: f64 =
                ways.map(|(form, weight)| weight * oracle.completion(form, &letters)).sum();
            if probability > 0.0 {
                expected.insert(text, probability / total);
            }
        }
        let rest = 1.0 - expected.values().sum::<f64>();
        expected.insert("longer".to_owned(), rest);
        let names = stdout(
            path,
            &["sample", "--model", "run", "--temperature", "1", "--num", &num, "--pattern", pattern],
        );
        let kind = |name: &str| if name.len() > 4 { "longer" } else { name }.to_owned();
        let counts = counted(names.lines().map(kind));
        let found = deviation(&counts, &expected);
        assert!(found.abs() < NEVER, "{pattern}: {found}");
        let texts = expected.len();
        let uniform = expected.into_keys().map(|text| (text, 1.0 / texts as f64)).collect();
        assert!(deviation(&counts, &uniform) > 4.0 * NEVER, "{pattern}");
    }
}

#[test]
fn lengths_are_drawn_by_how_many_training_texts_have_each() {
    let folder = TempDir::new().unwrap();
    let oracle = Oracle::of(folder.path(), &NAMES);
    let num = TEXTS.to_string();
    for sampler in ["random", "confidence"] {
        let steps = ["sample", "--num", &num, "--steps", "1", "--sampler", sampler];
        let counts = counted(
            stdout(folder.path(), &[&steps[..], &NAMES].concat()).lines().map(|name| name.chars().count()),
        );
        let expected = (1..).zip(oracle.lengths.iter().copied()).collect();
        let found = deviation(&counts, &expected);
        assert!(found.abs() < NEVER, "{sampler}: {found}");
        let shifted = (1..).zip(oracle.lengths.iter().copied().cycle().skip(1).take(12)).collect();
        assert!(deviation(&counts, &shifted) > 4.0 * NEVER);
    }
    for length in 1..=12 {
        let names =
            stdout(folder.path(), &[&["sample", "--length", &length.to_string()], &NAMES[..]].concat());
        assert!(names.lines().count() == 20 && names.lines().all(|name| name.len() == length), "{names}");
    }
}

/// A position past the end of a text would be a letter more.
#[test]
fn a_text_is_as_long_as_its_first_state() {
    let folder = TempDir::new().unwrap();
    for (steps, sampler, most) in [
        (None, "random", 0),
        (Some("30"), "random", 0),
        (Some("1"), "random", 1),
        (Some("3"), "confidence", 3),
    ] {
        let more: Vec<&str> = steps.iter().flat_map(|steps| ["--steps", steps]).collect();
        let sample = [&["sample", "--trace", "--num", "200", "--sampler", sampler], &more[..]].concat();
        for line in stdout(folder.path(), &sample).lines() {
            let states: Vec<&str> = line.split(" → ").collect();
            let length = states[0].len();
            assert_eq!(states[0], "_".repeat(length), "{line}");
            assert!(states.iter().all(|state| state.len() == length), "{line}");
            assert!(!states[states.len() - 1].contains('_'), "{line}");
            // One step for each letter, unless steps are fewer.
            let letters_of_a_step =
                |pair: &[&str]| pair[0].matches('_').count() - pair[1].matches('_').count();
            match most {
                0 => {
                    assert_eq!(states.len(), length + 1, "{line}");
                    assert!(states.windows(2).all(|pair| letters_of_a_step(pair) == 1), "{line}");
                }
                most => assert_eq!(states.len(), most.min(length) + 1, "{line}"),
            }
        }
    }
}

#[test]
fn a_pattern_of_too_many_placements_is_refused_with_the_way_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::write(path.join("own.txt"), "abcdefg\nhijklmn\n").unwrap();
    let train = ["train", "--config", "convolution-small", "--steps", "1", "--batch", "2", "--no-eval"];
    stdout(path, &[&train[..], &["--no-pictures", "--input", "own.txt", "--out", "run"]].concat());
    let sample = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micro-diffusion"));
        let sample = [&["sample", "--model", "run", "--num", "3"], more].concat();
        let output = command.args(sample).current_dir(path).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()))
    };
    // Ways with s letters, one between any two stars: Σ_n C(n, s) = C(17, s + 1) over n = s … 16.
    let (good, [out, said]) = sample(&["--pattern", "*a*b*c*"]);
    assert!(good && out.lines().count() == 3, "2380 ways: {said}");
    let pattern = "*a*b*c*d*";
    let (good, [out, said]) = sample(&["--pattern", pattern]);
    assert!(!good && out.is_empty());
    for part in [pattern, "6188 combinations", "4096", "--length", "use fewer stars"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (good, [out, _]) = sample(&["--pattern", pattern, "--length", "10"]);
    assert!(good && out.lines().count() == 3 && out.lines().all(|name| name.len() == 10), "{out}");
}
