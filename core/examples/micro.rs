//! Text diffusion in one file: learns a list of names and invents new ones, with Rust's standard library alone.
//!
//! ```sh
//! rustc --edition 2024 -O core/examples/micro.rs && ./micro
//! ```
//!
//! Diffusion destroys data little by little and learns the way back. Here the data are names, and a mask destroys a letter:
//!
//! ```text
//! forward   maria → mar_a → m_r_a → __r_a → __r__ → _____      masks one letter after the other, in random order
//! reverse   _____ → ____n → _e__n → je__n → jer_n → jerin      fills one mask after the other, in random order
//! ```
//!
//! Forward needs no learning. For reverse, a network predicts the letter behind each mask from the letters shown. The network
//! needs no clock: the number of masks says how noisy the text is.
//!
//! **The score.** The length n of a name x comes first, from a table. Then its letters are filled in, in a random order σ:
//!
//! ```text
//! −ln p(x | σ) = −ln p(n) − Σ_i ln p(x_σi | n, x_σ1 … x_σ(i−1))          what x costs in the order σ, in nats
//! −ln p(x)     ≤ the mean of −ln p(x | σ) over all orders σ              since p(x) is the mean of p(x | σ) (Jensen)
//! ```
//!
//! This bound (NELBO) is what training lowers, and what the program scores on names that were held out.
//!
//! **The loss** is n times one random term of the sum. In the term with k masks, the masks are at k random places, and each of
//! them may be the next to be filled. So training masks k random letters, k from 1 to n, and takes n times their mean −ln p.
//!
//! `minimal.rs` beside this file is the same idea with the crate, whose bits are the same on every machine.

// The crate's lints are for firmware; an essay may index.
#![allow(clippy::restriction, clippy::pedantic)]

use std::array::from_fn;

const L: usize = 12; // letters of the longest name
const V: usize = 26; // letters of the alphabet: a is 0, z is 25
const MASK: usize = V; // the symbol that hides a letter
const H: usize = 256; // hidden units
const STEPS: usize = 5000;
const BATCH: usize = 64; // names a step
const TEMPERATURE: f32 = 0.7; // 1 draws letters as often as predicted, less prefers likely ones

fn main() {
    let Ok(list) = std::fs::read_to_string("data/names.txt") else {
        eprintln!("data/names.txt cannot be read: run this in the project's folder");
        std::process::exit(1);
    };
    // Every tenth line is held out: it is scored and never trained on.
    let lines = || (1..).zip(list.lines().map(read)).filter(|(_, name)| name.len() <= L);
    let training: Vec<_> = lines().filter(|(number, _)| number % 10 != 0).map(|(_, name)| name).collect();
    let held_out: Vec<_> = lines().filter(|(number, _)| number % 10 == 0).map(|(_, name)| name).collect();
    println!("{} names to learn, {} held out, {} weights", training.len(), held_out.len(), ROWS * H);

    // p(n) = (names of n letters + 1/L) / (names + 1), so that no length is impossible.
    let count = |n| training.iter().filter(|name| name.len() == n).count() as f32;
    let lengths: [f32; L] = from_fn(|i| (count(i + 1) + 1.0 / L as f32) / (training.len() + 1) as f32);

    // A name on its way to noise.
    let rng = &mut Rng(1);
    let order = rng.order(9);
    let states: Vec<_> = (0..=9).map(|k| show(&mask(&read("josephine"), &order[..k]))).collect();
    println!("\nforward: {}\n", states.join(" → "));

    // Weights, their gradient, and Adam's averages of the gradient and of its square. The first layer's weights are random, so
    // that hidden units differ. The second's are 0, so that an untrained network finds all letters equally likely.
    let [mut w, mut g, mut m, mut v] = from_fn(|_| vec![[0.0; H]; ROWS]);
    w[..FIRST].as_flattened_mut().fill_with(|| 0.2 * (rng.uniform() - 0.5));
    println!("untrained: a held-out name costs {:.2} nats", bound(&w, &held_out, &lengths));
    for step in 1..=STEPS {
        // The gradient of the batch's mean loss, for which each name loses k letters.
        g.fill([0.0; H]);
        for _ in 0..BATCH {
            let name = &training[rng.below(training.len())];
            let k = 1 + rng.below(name.len());
            let noisy = mask(name, &rng.order(name.len())[..k]);
            backward(&w, &mut g, name, &noisy, name.len() as f32 / (k * BATCH) as f32);
        }
        adam(w.as_flattened_mut(), g.as_flattened(), m.as_flattened_mut(), v.as_flattened_mut(), step);
        if step % 1000 == 0 {
            println!("step {step}: a held-out name costs {:.2} nats", bound(&w, &held_out, &lengths));
        }
    }

    // Noise on its way to names.
    println!("\nreverse: {}\n", unmask(&w, &lengths, rng).join(" → "));
    println!("twenty names, * if in no line of the list:");
    for _ in 0..20 {
        let name = unmask(&w, &lengths, rng).pop().unwrap_or_default();
        println!("{name}{}", if list.lines().any(|line| line == name) { "" } else { " *" });
    }
}

// ---- The forward process ----

/// `text` with the letters at `places` masked.
fn mask(text: &[usize], places: &[usize]) -> Vec<usize> {
    text.iter().enumerate().map(|(l, x)| if places.contains(&l) { MASK } else { *x }).collect()
}

/// Symbols of letters.
fn read(text: &str) -> Vec<usize> {
    text.bytes().map(|x| usize::from(x - b'a')).collect()
}

/// Letters of symbols.
fn show(text: &[usize]) -> String {
    text.iter().map(|x| char::from(b"abcdefghijklmnopqrstuvwxyz_"[*x])).collect()
}

// ---- The network: two layers, whose weights are rows of H numbers ----

type Row = [f32; H];
const FIRST: usize = L * (V + 1); // rows w_l,x of the first layer: at each place l, one for each letter or MASK x
const ROWS: usize = FIRST + L * V; // and rows u_l,v of the second: at each place l, one for each letter v

/// h = max(0, a),   a = Σ_l w_l,x
fn hidden(w: &[Row], text: &[usize]) -> Row {
    let mut a = [0.0; H];
    text.iter().enumerate().for_each(|(l, x)| add(&mut a, 1.0, &w[l * (V + 1) + x]));
    a.map(|a| a.max(0.0))
}

/// p_v = exp(z_v) / Σ exp(z),   z_v = u_l,v · h
fn predict(w: &[Row], h: &Row, l: usize) -> [f32; V] {
    let z: [f32; V] = from_fn(|v| dot(&w[FIRST + l * V + v], h));
    let max = z.into_iter().fold(f32::MIN, f32::max);
    let e = z.map(|z| (z - max).exp());
    let sum: f32 = e.iter().sum();
    e.map(|e| e / sum)
}

/// a · b, in eight sums side by side, which the compiler keeps in vector registers.
fn dot(a: &Row, b: &Row) -> f32 {
    let sums: [f32; 8] = from_fn(|lane| (lane..H).step_by(8).map(|i| a[i] * b[i]).sum());
    sums.iter().sum()
}

/// to ← to + factor · from
fn add(to: &mut Row, factor: f32, from: &Row) {
    (0..H).for_each(|i| to[i] += factor * from[i]);
}

// ---- Training ----

/// Adds to g the gradient of weight · Σ_masked −ln p(x_l), by the chain rule, from the network's end to its start.
fn backward(w: &[Row], g: &mut [Row], name: &[usize], noisy: &[usize], weight: f32) {
    let h = hidden(w, noisy);
    let mut d_h = [0.0; H];
    for l in (0..name.len()).filter(|l| noisy[*l] == MASK) {
        let p = predict(w, &h, l);
        for v in 0..V {
            // p_v = exp(z_v) / Σ exp(z):  ∂(−ln p_x)/∂z_v = p_v − (1 if v = x else 0)
            // z_v = u_l,v · h:            ∂z_v/∂h = u_l,v   ∂z_v/∂u_l,v = h
            let d_z = weight * (p[v] - f32::from(v == name[l]));
            add(&mut d_h, d_z, &w[FIRST + l * V + v]);
            add(&mut g[FIRST + l * V + v], d_z, &h);
        }
    }
    // h = max(0, a):   ∂h/∂a = 1 if a > 0 else 0
    // a = Σ_l w_l,x:   ∂a/∂w_l,x = 1
    let d_a = from_fn(|i| if h[i] > 0.0 { d_h[i] } else { 0.0 });
    noisy.iter().enumerate().for_each(|(l, x)| add(&mut g[l * (V + 1) + x], 1.0, &d_a));
}

/// m ← β₁·m + (1 − β₁)·g,   v ← β₂·v + (1 − β₂)·g²,   w ← w − rate · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)
///
/// in step t, for each weight, with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8. The rate falls to 0.
fn adam(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], step: usize) {
    let rate = 5e-3 * (1.0 - step as f32 / STEPS as f32);
    // m and v begin at 0. After t steps gradients make up this share of them.
    let [m_share, v_share] = [0.9_f32, 0.999].map(|beta| 1.0 - beta.powi(step as i32));
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        *w -= rate * (*m / m_share) / ((*v / v_share).sqrt() + 1e-8);
    }
}

/// The mean of −ln p(x | σ) over the names x, each in four random orders σ.
fn bound(w: &[Row], names: &[Vec<usize>], lengths: &[f32]) -> f64 {
    let rng = &mut Rng(2); // the same orders each time
    let mut sum = 0.0;
    for name in names.iter().flat_map(|name| [name; 4]) {
        sum -= f64::from(lengths[name.len() - 1].ln());
        let order = rng.order(name.len());
        for (i, &l) in order.iter().enumerate() {
            let h = hidden(w, &mask(name, &order[i..]));
            sum -= f64::from(predict(w, &h, l)[name[l]].ln());
        }
    }
    sum / (4 * names.len()) as f64
}

// ---- The reverse process ----

/// The states of a new name, from masks alone to letters alone.
fn unmask(w: &[Row], lengths: &[f32], rng: &mut Rng) -> Vec<String> {
    let mut text = vec![MASK; 1 + rng.choose(lengths)];
    let mut states = vec![show(&text)];
    for l in rng.order(text.len()) {
        let p = predict(w, &hidden(w, &text), l).map(|p| p.powf(1.0 / TEMPERATURE));
        text[l] = rng.choose(&p);
        states.push(show(&text));
    }
    states
}

// ---- Chance ----

/// A linear congruential generator (Knuth's MMIX). Only the upper bits are used, since the lower ones repeat early.
struct Rng(u64);

impl Rng {
    /// Uniform in 0 ≤ u < 1.
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    /// A uniform integer in 0 … n − 1.
    fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f32) as usize
    }

    /// 0 … n − 1 in random order.
    fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).for_each(|i| order.swap(i, self.below(i + 1)));
        order
    }

    /// An index, drawn in proportion to its weight.
    fn choose(&mut self, weights: &[f32]) -> usize {
        let point = self.uniform() * weights.iter().sum::<f32>();
        (1..weights.len()).take_while(|i| weights[..*i].iter().sum::<f32>() <= point).count()
    }
}
