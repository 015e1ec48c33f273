//! The parts of the C against the core.

use micro_diffusion::categorical::power_of_two;
use micro_diffusion::config::{ConvolutionChip, ConvolutionSmall, Perceptron, PerceptronSmall, Residual};
use micro_diffusion::denoiser::{Denoiser, Model};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::ModelFile;
use micro_diffusion::halves::scale_in_halves;
use micro_diffusion::integer::{IntegerModel, Quantisable};
use micro_diffusion::precision::{Int4, Int8, Precision};
use micro_diffusion::rng::{below, threefry2x32};

use crate::c::{CLANG, GCC};
use crate::scene::{Case, Scene, characters, lengths, random_model, tried};

/// FNV-1a over words, as parts.c has it.
struct Hash(u32);

impl Hash {
    const NEW: Self = Self(0x811C_9DC5);

    fn add(&mut self, word: u32) {
        let add = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        self.0 = word.to_le_bytes().into_iter().fold(self.0, add);
    }
}

/// The output of parts.c for a model `I`, computed by the core.
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
