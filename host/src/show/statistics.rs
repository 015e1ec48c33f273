//! What a set of drawn names is like, beside the names they should resemble.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde::Serialize;

use crate::engine::draw::Drawn;

/// Marks put around a name before its n-grams are counted. Neither occurs in a line of text.
const START: char = '\u{2}';
const END: char = '\u{3}';

/// The statistics of a set of names.
#[derive(Serialize)]
pub(crate) struct Statistics {
    /// Names drawn.
    pub(crate) sampled_names: usize,
    /// Different names / names.
    pub(crate) unique: f64,
    /// Names that are no training lines / names.
    pub(crate) novel: f64,
    /// Held-out lines among the names that are no training lines.
    pub(crate) hit_rate: f64,
    /// Jensen–Shannon divergence from the held-out lines, in bits: pairs of letters, triples, lengths.
    pub(crate) jsd2_bits: f64,
    pub(crate) jsd3_bits: f64,
    pub(crate) jsd_length_bits: f64,
    /// Mean letters of a name.
    pub(crate) mean_length: f64,
    /// Names with a letter after their first PAD, where the text is cut.
    pub(crate) letters_after_pad: f64,
}

impl Statistics {
    /// Compares `drawn` with the lines of the data.
    pub(crate) fn new(drawn: &[Drawn], training: &[String], held_out: &[String]) -> Self {
        let names: Vec<String> = drawn.iter().map(|drawn| drawn.text.clone()).collect();
        let names = &names;
        let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        let training: HashSet<&String> = training.iter().collect();
        let targets: HashSet<&String> = held_out.iter().collect();
        let novel: Vec<&String> = names.iter().filter(|name| !training.contains(name)).collect();
        let hits = novel.iter().filter(|name| targets.contains(**name)).count();
        let length = |name: &String| [name.chars().count()];
        Self {
            sampled_names: names.len(),
            unique: share(names.iter().collect::<HashSet<_>>().len(), names.len()),
            novel: share(novel.len(), names.len()),
            hit_rate: share(hits, novel.len()),
            jsd2_bits: divergence(
                &count(names, |name| grams(name, 2)),
                &count(held_out, |name| grams(name, 2)),
            ),
            jsd3_bits: divergence(
                &count(names, |name| grams(name, 3)),
                &count(held_out, |name| grams(name, 3)),
            ),
            jsd_length_bits: divergence(&count(names, length), &count(held_out, length)),
            mean_length: share(names.iter().map(|name| name.chars().count()).sum(), names.len()),
            letters_after_pad: share(
                drawn.iter().filter(|drawn| drawn.letters_after_pad).count(),
                drawn.len(),
            ),
        }
    }
}

/// The n-grams of a name between its two marks.
fn grams(name: &str, n: usize) -> Vec<Vec<char>> {
    let marked: Vec<char> = [START].into_iter().chain(name.chars()).chain([END]).collect();
    marked.windows(n).map(<[char]>::to_vec).collect()
}

/// How often each feature occurs over all names.
fn count<T: Hash + Eq + Ord, I: IntoIterator<Item = T>>(
    names: &[String],
    features: impl Fn(&String) -> I,
) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    for feature in names.iter().flat_map(features) {
        *counts.entry(feature).or_default() += 1;
    }
    counts
}

/// The Jensen–Shannon divergence ½·Σ p·log₂(p/m) + ½·Σ q·log₂(q/m), m = (p + q)/2, of two sets of counts, in bits.
///
/// Source: J. Lin, "Divergence Measures Based on the Shannon Entropy", 1991.
fn divergence<T: Hash + Eq + Ord>(p: &HashMap<T, usize>, q: &HashMap<T, usize>) -> f64 {
    let total = |counts: &HashMap<T, usize>| counts.values().sum::<usize>().max(1) as f64;
    let (total_p, total_q) = (total(p), total(q));
    // In a fixed order, so that rounding is the same in every run.
    let mut features: Vec<&T> = p.keys().chain(q.keys()).collect();
    features.sort_unstable();
    features.dedup();
    let term = |x: f64, m: f64| if x > 0.0 { x * (x / m).log2() } else { 0.0 };
    let terms = features.into_iter().map(|feature| {
        let x = p.get(feature).map_or(0.0, |count| *count as f64) / total_p;
        let y = q.get(feature).map_or(0.0, |count| *count as f64) / total_q;
        (term(x, (x + y) / 2.0) + term(y, (x + y) / 2.0)) / 2.0
    });
    terms.sum()
}
