//! Statistics of drawn names beside the names that they should resemble.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use micro_diffusion::bound::{self, share};
use serde::Serialize;

use crate::engine::counting::{END, START};
use crate::engine::draw::Drawn;

/// The statistics of a set of names.
#[derive(Serialize)]
pub(crate) struct Statistics {
    /// Names drawn.
    pub(crate) sampled_names: usize,
    /// Different names / names.
    pub(crate) unique: f64,
    /// Names that are no training lines / names.
    pub(crate) novel: f64,
    /// Held-out lines among the novel names / novel names.
    pub(crate) hit_rate: f64,
    /// Jensen–Shannon divergence from the held-out lines, in bits: pairs of letters, triples, lengths.
    pub(crate) jsd2_bits: f64,
    pub(crate) jsd3_bits: f64,
    pub(crate) jsd_length_bits: f64,
    /// Mean letters of a name.
    pub(crate) mean_length: f64,
}

impl Statistics {
    /// Compares `drawn` with training and held-out lines.
    pub(crate) fn new(drawn: &[Drawn], training: &[String], held_out: &[String]) -> Self {
        let names: Vec<String> = drawn.iter().map(|drawn| drawn.text.clone()).collect();
        let names = &names;
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
        }
    }
}

/// The n-grams of a name between its two marks.
fn grams(name: &str, n: usize) -> Vec<Vec<char>> {
    let marked: Vec<char> = [START].into_iter().chain(name.chars()).chain([END]).collect();
    marked.windows(n).map(<[char]>::to_vec).collect()
}

/// Counts each feature over all names.
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

/// The [divergence](bound::divergence) of two sets of counts, in bits.
fn divergence<T: Hash + Eq + Ord>(p: &HashMap<T, usize>, q: &HashMap<T, usize>) -> f64 {
    // A fixed order makes rounding equal in every run.
    let mut features: Vec<&T> = p.keys().chain(q.keys()).collect();
    features.sort_unstable();
    features.dedup();
    let count = |counts: &HashMap<T, usize>, feature: &T| counts.get(feature).copied().unwrap_or(0);
    bound::divergence(features.into_iter().map(|feature| (count(p, feature), count(q, feature))))
}
