//! Properties that hold for all numbers, texts and patterns, each on inputs that proptest draws and shrinks.
//!
//! `PROPTEST_CASES` says how many of them; the default is few, so that the tests stay quick.
use std::collections::BTreeSet;

use common::tolerance::{ORACLE_SOFTMAX, PROPERTY_F64, SIGMAS, assert_close};
use common::{batch, loss_and_gradient, numbers, shard};
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Denoiser, Model, Score};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{FileError, ModelFile, write};
use micro_diffusion::form::Form;
use micro_diffusion::integer::{IntegerModel, MOST_TENSORS, Scales};
use micro_diffusion::integer_file::write_integers;
use micro_diffusion::integer_mlp::IntegerMlp;
use micro_diffusion::length::Lengths;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::pattern::{PatternError, shortest};
use micro_diffusion::precision::{Int4, Int8};
use micro_diffusion::quantise::grid;
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::schedule::{MaskCounts, linear_remaining};
use micro_diffusion::softmax::softmax_forward;
use micro_diffusion::stored::{Role, StoredTensor};
use micro_diffusion::text::{Alphabet, AlphabetError, EncodeError, Text};
use micro_diffusion::transformer::Transformer;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// As many cases as keep the tests quick, and no file of failures: a failure becomes a test of its own.
fn few() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").map_or(64, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Logits as networks give them, and now and then far beyond, or −∞.
fn logit() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -20.0..20.0, 1 => -600.0..600.0, 1 => Just(f64::NEG_INFINITY)]
}

/// A finite `f32`, any bits.
fn finite() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite())
}

/// Different characters, up to `most` of them, as an alphabet.
fn characters(most: usize) -> impl Strategy<Value = String> {
    btree_set(any::<char>(), 1..=most).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(few())]

    /// Whatever words a batch shares, each number of masks of texts of one length has its share of the rows, to within one.
    #[test]
    fn every_batch_is_stratified(words in any::<[u32; 2]>(), rows in 1..300_u32, length in 1..=12_usize) {
        let most = length as u32;
        let total: f64 = (1..=most).map(|k| f64::from(k).powf(-0.5)).sum();
        let counts = MaskCounts::<12>::new(rows);
        let drawn: Vec<u32> = (0..rows).map(|row| counts.count(words, row, length)).collect();
        for k in 1..=most {
            let found = drawn.iter().filter(|count| **count == k).count() as f64;
            let expected = f64::from(k).powf(-0.5) / total * f64::from(rows);
            prop_assert!((found - expected).abs() <= 1.0, "{} of {}: {}", found, expected, k);
        }
    }

    /// Probabilities lie in 0 … 1 and add up to 1. Adding c to every logit adds c to the logarithm of the sum and changes
    /// no probability.
    #[test]
    fn a_softmax_sums_to_one_and_does_not_see_a_shift(
        logits in vec(logit(), 1..40).prop_filter("one is finite", |z| z.iter().any(|z| z.is_finite())),
        shift in -50.0..50.0,
    ) {
        let (mut p, mut shifted) = (logits.clone(), logits.clone());
        shifted.iter_mut().for_each(|z| *z += shift);
        let (log_sum, log_sum_shifted) = (softmax_forward(&mut p), softmax_forward(&mut shifted));
        assert_close(p.iter().sum(), 1.0, PROPERTY_F64, "sum");
        assert_close(log_sum_shifted, log_sum + shift, PROPERTY_F64, "logarithm of the sum");
        for ((p, shifted), z) in p.iter().zip(&shifted).zip(&logits) {
            prop_assert!((0.0..=1.0).contains(p));
            assert_close(*shifted, *p, PROPERTY_F64, "a shifted probability");
            assert_close(*p, (z - log_sum).exp(), PROPERTY_F64, "e^(z − log sum)");
        }
        let mut single: Vec<f32> = logits.iter().map(|z| *z as f32).collect();
        softmax_forward(&mut single);
        assert_close(single.iter().map(|p| f64::from(*p)).sum(), 1.0, ORACLE_SOFTMAX, "sum in f32");
    }
}

/// Losses belong to their examples, to the bit, in any order. The gradient is a sum over the examples in order, so
/// another order changes only its rounding.
fn check_permutation<M: Model<L, V>, const L: usize, const V: usize>(order: &[usize], seed: u64) {
    let rows = batch::<L>(order.len(), V as u8);
    let parameters = numbers(seed, M::PARAMETERS);
    let permuted: Vec<_> = order.iter().map(|row| rows[*row]).collect();
    let (losses, gradient) = loss_and_gradient::<M, L, V>(&parameters, shard(&rows, V));
    let (losses_permuted, gradient_permuted) = loss_and_gradient::<M, L, V>(&parameters, shard(&permuted, V));
    for (row, loss) in order.iter().zip(losses_permuted) {
        assert_eq!(loss.to_bits(), losses[*row].to_bits(), "loss of row {row}");
    }
    for (index, (a, b)) in gradient.iter().zip(gradient_permuted).enumerate() {
        assert_close(*a, b, PROPERTY_F64, &format!("gradient of parameter {index}"));
    }
    // An example by itself has an equal loss, and the gradients of single examples add up to that of the batch.
    let mut sum = vec![0.0; M::PARAMETERS];
    for (row, example) in rows.iter().enumerate() {
        let (loss, gradient) = loss_and_gradient::<M, L, V>(&parameters, shard(&[*example], V));
        assert_eq!(loss[0].to_bits(), losses[row].to_bits(), "loss of row {row} by itself");
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    for (a, b) in gradient.iter().zip(sum) {
        assert_close(*a, b, PROPERTY_F64, "the sum of the examples' gradients");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: few().cases / 8, ..few() })]

    #[test]
    fn the_order_of_a_batch_does_not_matter(order in Just((0..9).collect::<Vec<_>>()).prop_shuffle(), seed: u64) {
        check_permutation::<Mlp<3, 4, 5>, 3, 4>(&order, seed);
        check_permutation::<Residual<2, 5, 16>, 2, 5>(&order, seed);
        check_permutation::<Convolution<4, 5, 6, 2, 3>, 4, 5>(&order, seed);
        check_permutation::<Transformer<3, 4, 4, 2, 2>, 3, 4>(&order, seed);
    }
}

/// Positions and symbols of the sampler's world.
const L: usize = 6;
const V: usize = 7;

/// Any scores, extreme ones too, that depend on the whole text.
#[derive(Clone, Debug)]
struct Arbitrary {
    table: Vec<Score>,
    text: Vec<Option<u8>>,
    evaluated: Vec<Option<u8>>,
    evaluations: usize,
}

impl Denoiser<L, V> for Arbitrary {
    fn start(&mut self, length: usize) {
        self.text = vec![None; length];
    }

    fn set(&mut self, position: usize, symbol: Option<u8>) {
        self.text[position] = symbol;
    }

    fn evaluate(&mut self) {
        self.evaluated.clone_from(&self.text);
        self.evaluations += 1;
    }

    fn scores(&self, position: usize, out: &mut [Score; V]) {
        let code =
            self.evaluated.iter().fold(position, |code, s| code * 11 + s.map_or(0, |s| usize::from(s) + 1));
        *out = std::array::from_fn(|v| self.table[(code * V + v) % self.table.len()]);
    }
}

fn denoiser() -> impl Strategy<Value = Arbitrary> {
    let score =
        prop_oneof![6 => -400_000..400_000, 1 => any::<Score>(), 1 => select(vec![Score::MIN, Score::MAX])];
    vec(score, 1..200).prop_map(|table| Arbitrary { table, text: vec![], evaluated: vec![], evaluations: 0 })
}

/// A set of symbols for each of up to `L` positions, none of them empty.
fn sets() -> impl Strategy<Value = Vec<SymbolSet>> {
    let symbols = subsequence((0..V as u8).collect::<Vec<_>>(), 1..=V);
    vec(symbols.prop_map(|symbols| symbols.into_iter().fold(SymbolSet::EMPTY, SymbolSet::with)), 1..=L)
}

fn settings() -> impl Strategy<Value = Settings> {
    let order = select(vec![Order::Random, Order::Confidence]);
    let temperature = prop_oneof![Just(0), 1..5000_u32].prop_map(Temperature::from_milli);
    let top_k = prop_oneof![Just(256), 0..9_u16];
    let top_p = prop_oneof![Just(65_536), 0..70_000_u32];
    (order, temperature, top_k, top_p).prop_map(|(order, temperature, top_k, top_p)| Settings {
        order,
        temperature,
        top_k,
        top_p,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: few().cases * 8, ..few() })]

    /// Shown symbols stay at every step. Only allowed symbols are drawn, and no mask is left. A text does not depend on
    /// earlier output of the denoiser.
    #[test]
    fn texts_keep_what_is_given_and_draw_what_is_allowed(
        denoiser in denoiser(),
        sets in sets(),
        settings in settings(),
        length in 1..=L,
        other in 1..=L,
        steps in 1..10_usize,
        seed: u64,
        index in 0..1000_u32,
    ) {
        let draw = |denoiser: &mut Arbitrary, length, index| {
            let stream = Stream::new(seed, Purpose::Sample).child(index, 0);
            let mut sampler = Sampler::<L, V>::new(length, &sets, settings, stream).unwrap();
            let given = sampler.symbols().to_vec();
            assert_eq!(given.len(), length);
            let masked = sampler.masked();
            denoiser.evaluations = 0;
            for step in 1..=steps {
                let before = sampler.symbols().to_vec();
                sampler.step(denoiser, linear_remaining(masked, step, steps));
                let stays = |l: usize| before[l].is_none() || before[l] == sampler.symbols()[l];
                assert!((0..length).all(stays), "shown symbols stay");
            }
            assert_eq!(sampler.masked(), 0);
            assert!(denoiser.evaluations <= steps);
            for (position, symbol) in sampler.symbols().iter().enumerate() {
                let set = sets.get(position).or(sets.last()).unwrap();
                assert!(set.contains(symbol.unwrap()) && usize::from(symbol.unwrap()) < V);
            }
            (sampler.symbols().to_vec(), sampler.confidence().to_vec())
        };
        let alone = draw(&mut denoiser.clone(), length, index);
        let mut used = denoiser;
        draw(&mut used, other, index + 1);
        prop_assert_eq!(draw(&mut used, length, index), alone, "after another text");
    }

    /// If only the likeliest symbol can be drawn, a temperature does what temperature 0 does.
    #[test]
    fn the_likeliest_alone_is_what_temperature_0_draws(
        denoiser in denoiser(),
        sets in sets(),
        (top_k, top_p) in select(vec![(1, 65_536), (256, 1)]),
        length in 1..=L,
        seed: u64,
    ) {
        let text = |settings| {
            let stream = Stream::new(seed, Purpose::Sample);
            let mut sampler = Sampler::<L, V>::new(length, &sets, settings, stream).unwrap();
            sampler.run(&mut denoiser.clone(), L);
            sampler.symbols().to_vec()
        };
        let settings = Settings { top_k, top_p, ..Settings::new(Order::Random, Temperature::ONE) };
        prop_assert_eq!(text(settings), text(Settings::new(Order::Random, Temperature::GREEDY)));
    }

    /// A set holds what was put in.
    #[test]
    fn a_set_of_symbols_is_a_set(first in 0..300_usize, added in vec(any::<u8>(), 0..20), limit in 0..300_usize) {
        let mut set = SymbolSet::first(first);
        let mut members: BTreeSet<u8> = (0..=u8::MAX).filter(|symbol| usize::from(*symbol) < first).collect();
        for symbol in added {
            (set, _) = (set.with(symbol), members.insert(symbol));
        }
        prop_assert!((0..=u8::MAX).all(|symbol| set.contains(symbol) == members.contains(&symbol)));
        let below: Vec<u8> = members.into_iter().filter(|symbol| usize::from(*symbol) < limit).collect();
        prop_assert_eq!(set.iter_below(limit).collect::<Vec<_>>(), below);
    }

    /// Whatever the characters, a text of them comes back from its symbols, and any other string is refused for what is
    /// wrong with it first.
    #[test]
    fn texts_come_back_from_their_symbols(
        characters in characters(255),
        places in vec(any::<prop::sample::Index>(), 0..20),
        other in any::<String>(),
    ) {
        let alphabet = Alphabet::new(&characters).unwrap();
        prop_assert_eq!(alphabet.symbols(), characters.chars().count());
        let all: Vec<char> = characters.chars().collect();
        let text: String = places.iter().map(|place| all[place.index(all.len())]).collect();
        for text in [text, other] {
            let letters: Vec<char> = text.chars().collect();
            let unknown = letters.iter().position(|letter| !all.contains(letter));
            let expected = match unknown {
                Some(place) if place <= 12 => Err(EncodeError::UnknownCharacter(letters[place])),
                _ if letters.len() > 12 => Err(EncodeError::TooLong(12)),
                _ if letters.is_empty() => Err(EncodeError::Empty),
                _ => Ok(()),
            };
            let encoded = alphabet.encode::<12>(&text);
            prop_assert_eq!(encoded.map(|_| ()), expected);
            let Ok(encoded) = encoded else { continue };
            let places = letters.iter().map(|letter| all.iter().position(|c| c == letter).unwrap() as u8);
            prop_assert_eq!(encoded.symbols(), places.collect::<Vec<_>>());
            prop_assert_eq!(Text::new(encoded.symbols()), Some(encoded));
            let shown: Vec<Option<u8>> = encoded.symbols().iter().copied().map(Some).collect();
            let back = alphabet.decode::<48>(&shown, '_');
            prop_assert_eq!(back.as_str(), text);
        }
    }

    #[test]
    fn a_string_is_an_alphabet_if_it_repeats_nothing(characters in vec(any::<char>(), 0..8), twice: bool) {
        let mut characters = characters;
        if twice && let Some(first) = characters.first() {
            characters.push(*first);
        }
        let repeated = (0..characters.len()).find(|i| characters[i + 1..].contains(&characters[*i]));
        let expected = match repeated {
            _ if characters.is_empty() => Err(AlphabetError::Empty),
            Some(first) => Err(AlphabetError::Repeated(characters[first])),
            None => Ok(characters.len()),
        };
        let text = String::from_iter(&characters);
        prop_assert_eq!(Alphabet::new(&text).map(|alphabet| alphabet.symbols()), expected);
    }

    /// Any string is a pattern or is refused; what is said of its length agrees.
    #[test]
    fn no_string_upsets_the_pattern(
        characters in characters(20),
        pattern in prop_oneof![any::<String>(), "[abc?*\\\\]{0,9}"],
        placement in vec(0..4_usize, 0..4),
    ) {
        let characters: String = "abc".chars().chain(characters.chars().filter(|c| !"abc".contains(*c))).collect();
        let alphabet = Alphabet::new(&characters).unwrap();
        match (shortest(&pattern, alphabet), Form::<L>::of(&pattern, &placement, alphabet)) {
            (Err(error), found) => prop_assert_eq!(found, Err(error)),
            (Ok((shortest, stars)), found) => {
                let needed = shortest + placement.iter().take(stars).sum::<usize>();
                match found {
                    Ok(form) => {
                        prop_assert_eq!(form.length, needed);
                        prop_assert!((1..=L).contains(&needed));
                        let known = |given: &u8| usize::from(*given) < alphabet.symbols();
                        prop_assert!(form.given.iter().flatten().all(known));
                        prop_assert!(form.given[needed..].iter().all(Option::is_none));
                        prop_assert!(form.given.iter().flatten().count() <= shortest);
                    }
                    Err(PatternError::TooLong { needed: said }) => prop_assert!(said == needed && needed > L),
                    Err(error) => {
                        prop_assert_eq!((error, needed), (PatternError::Length { shortest: 1 }, 0));
                    }
                }
            }
        }
    }

    /// A pattern written from what each position may hold, some runs of any letters as stars, is read as just that.
    #[test]
    fn a_pattern_is_read_as_it_was_written(
        characters in characters(20),
        places in vec(prop::option::of(any::<prop::sample::Index>()), 1..=L),
        stars in vec(any::<bool>(), L + 1),
    ) {
        let alphabet = Alphabet::new(&characters).unwrap();
        let all: Vec<char> = characters.chars().collect();
        let mut given: [Option<u8>; L] = [None; L];
        for (slot, place) in given.iter_mut().zip(&places) {
            *slot = place.map(|place| place.index(all.len()) as u8);
        }
        // Each run of any letters, an empty one too, is a star where `stars` says so.
        let (mut pattern, mut placement, mut run) = (String::new(), vec![], 0);
        for (position, star) in stars.iter().enumerate().take(places.len() + 1) {
            match given.get(position).copied().flatten().filter(|_| position < places.len()) {
                None if position < places.len() => run += 1,
                letter => {
                    if *star {
                        pattern.push('*');
                        placement.push(run);
                    } else {
                        pattern.extend(std::iter::repeat_n('?', run));
                    }
                    run = 0;
                    pattern.extend(letter.iter().flat_map(|letter| ['\\', all[usize::from(*letter)]]));
                }
            }
        }
        let form = Form::<L>::of(&pattern, &placement, alphabet);
        prop_assert_eq!(form, Ok(Form { length: places.len(), given }), "{} {:?}", pattern, placement);
        let fewest = places.len() - placement.iter().sum::<usize>();
        prop_assert_eq!(shortest(&pattern, alphabet), Ok((fewest, placement.len())));
        let set = |given: Option<u8>| given.map_or(SymbolSet::first(all.len()), |symbol| SymbolSet::EMPTY.with(symbol));
        prop_assert_eq!(form.unwrap().allowed(all.len()), given.map(set));
    }

    /// Inside what its type stores, a weight moves by half a step at most; outside, to the nearest end.
    #[test]
    fn rounding_moves_a_weight_by_half_a_step_at_most(
        weight in prop_oneof![-3.0..3.0_f32, finite()],
        exponent in 0..=16_u8,
        dtype in select(vec![Dtype::Int4, Dtype::Int8, Dtype::Int16]),
    ) {
        let role = if dtype == Dtype::Int16 { Role::ScoreBias } else { Role::Lookup };
        let tensor = StoredTensor { name: "one", dimensions: &[1], dtype, role };
        let (least, largest) = match dtype {
            Dtype::Int4 => (-8, 7),
            Dtype::Int8 => (-128, 127),
            _ => (-i32::from(i16::MAX), i32::from(i16::MAX)),
        };
        let step = f64::from(exponent).exp2().recip();
        let (low, high) = (f64::from(least) * step, f64::from(largest) * step);
        let nearest = f64::from(weight).clamp(low, high);
        let grid = grid(&tensor, exponent);
        let integer = grid.integer(weight);
        prop_assert!((least..=largest).contains(&integer));
        prop_assert_eq!(f64::from(grid.round(weight)), f64::from(integer) * step);
        prop_assert!((f64::from(integer) * step - nearest).abs() <= step / 2.0);
    }
}

/// The bytes of a writer of model files.
fn written(write: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), ()>) -> Result<(), ()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    bytes
}

/// Texts of each of four lengths: few or many, with an L·C + L that fits 32 bits.
fn counts() -> impl Strategy<Value = Vec<[u8; 4]>> {
    vec(prop_oneof![0..9_u32, 0..1_u32 << 27].prop_map(u32::to_le_bytes), 4)
}

fn check_floats<M: Model<L, V>, const L: usize, const V: usize>(
    weights: &[f32],
    alphabet: Alphabet,
    counts: &[[u8; 4]],
) {
    let (weights, lengths) = (&weights[..M::PARAMETERS], Lengths::new(&counts[..L]).unwrap());
    let bytes = written(|sink| write(&M::SHAPE, M::TENSORS, alphabet, lengths, weights, sink));
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!((file.shape(), file.dtype()), (M::SHAPE, Dtype::F32));
    assert_eq!((file.alphabet(), file.lengths()), (alphabet, lengths));
    let read = file.parameters::<M, L, V>().unwrap();
    assert!(read.iter().zip(weights).all(|(read, weight)| *read == weight.to_le_bytes()));
}

fn check_integers<I: IntegerModel<L, V>, const L: usize, const V: usize>(
    payload: &[u8],
    scales: Scales,
    alphabet: Alphabet,
    counts: &[[u8; 4]],
) {
    let (payload, lengths) = (&payload[..I::BYTES], Lengths::new(&counts[..L]).unwrap());
    let bytes =
        written(|sink| write_integers(&I::SHAPE, I::TENSORS, alphabet, lengths, &scales, payload, sink));
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!((file.shape(), file.dtype(), file.alphabet()), (I::SHAPE, I::DTYPE, alphabet));
    assert_eq!((file.payload(), file.lengths()), (payload, lengths));
    let mut kept = scales;
    kept.tensors[I::TENSORS.len()..].fill(0);
    assert_eq!(file.scales(), kept);
    // Scales are refused if the arithmetic cannot bear them, and only then.
    let refused = I::view(payload, &scales).is_none();
    assert_eq!(file.integers::<I, L, V>().is_err(), refused);
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn a_model_file_keeps_any_weights_and_any_alphabet(
        weights in vec(finite(), 1000),
        characters in characters(3),
        counts in counts(),
        not_finite in select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
        place in 0..Mlp::<3, 4, 2>::PARAMETERS,
    ) {
        let alphabet = Alphabet::new(&characters).unwrap();
        check_floats::<Mlp<3, 4, 2>, 3, 4>(&weights, alphabet, &counts);
        check_floats::<Residual<2, 5, 16>, 2, 5>(&weights, alphabet, &counts);
        check_floats::<Convolution<4, 5, 6, 2, 3>, 4, 5>(&weights, alphabet, &counts);
        check_floats::<Transformer<3, 4, 4, 2, 2>, 3, 4>(&weights, alphabet, &counts);
        type Small = Mlp<3, 4, 2>;
        let mut weights = weights;
        weights[place] = not_finite;
        let weights = &weights[..Small::PARAMETERS];
        let lengths = Lengths::new(&counts[..3]).unwrap();
        let bytes = written(|sink| write(&Small::SHAPE, Small::TENSORS, alphabet, lengths, weights, sink));
        prop_assert_eq!(ModelFile::parse(&bytes).unwrap_err(), FileError::NotFinite(place));
    }

    #[test]
    fn a_model_file_keeps_any_integers_and_scales(
        payload in vec(any::<u8>(), 200),
        activation in 0..=16_u8,
        tensors in prop::array::uniform::<_, MOST_TENSORS>(0..=16_u8),
        characters in characters(3),
        counts in counts(),
    ) {
        let alphabet = Alphabet::new(&characters).unwrap();
        let scales = Scales { activation, tensors };
        check_integers::<IntegerMlp<Int8, 3, 4, 2>, 3, 4>(&payload, scales, alphabet, &counts);
        check_integers::<IntegerMlp<Int4, 3, 4, 2>, 3, 4>(&payload, scales, alphabet, &counts);
        check_integers::<IntegerMlp<Int4, 3, 5, 2>, 3, 5>(&payload, scales, alphabet, &counts);
    }
}

/// Initial numbers of a tensor.
enum Start {
    /// All are this.
    At(f32),
    /// Uniform, with variance 1/fan-in.
    FanIn(u32),
}

/// The first parameters of a network: each tensor as `starts` says, and none like another.
fn check_starts<M: Model<L, V>, const L: usize, const V: usize>(starts: &[Start]) {
    let mut parameters = vec![f32::NAN; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(8, Purpose::Weights));
    let (mut rest, mut firsts) = (&parameters[..], BTreeSet::new());
    assert_eq!(starts.len(), M::TENSORS.len());
    for (tensor, start) in M::TENSORS.iter().zip(starts) {
        let (numbers, tail) = rest.split_at(tensor.numbers());
        rest = tail;
        match start {
            Start::At(value) => assert!(numbers.iter().all(|x| x == value), "{} is {value}", tensor.name),
            Start::FanIn(fan_in) => {
                let (count, limit) = (numbers.len() as f64, (3.0 / f64::from(*fan_in)).sqrt());
                let largest = numbers.iter().map(|x| f64::from(x.abs())).fold(0.0, f64::max);
                // All of them in the inner part, but for one chance in e¹⁰.
                assert!(
                    largest <= limit * (1.0 + f64::from(f32::EPSILON))
                        && largest > limit * (1.0 - 10.0 / count),
                    "{} reaches {largest} of {limit}",
                    tensor.name
                );
                let (mean, square) = numbers
                    .iter()
                    .map(|x| f64::from(*x))
                    .fold((0.0, 0.0), |(m, s), x| (m + x / count, s + x * x / count));
                // The fourth moment of a uniform variable is 9/5 of its squared variance.
                let (variance, deviation) = (1.0 / f64::from(*fan_in), (0.8 / count).sqrt());
                assert!(mean.abs() <= SIGMAS * (variance / count).sqrt(), "{}: mean {mean}", tensor.name);
                assert!((square / variance - 1.0).abs() <= SIGMAS * deviation, "{}: {square}", tensor.name);
                assert!(
                    firsts.insert((numbers[0] / limit as f32 * 1e5) as i32),
                    "{} is another's",
                    tensor.name
                );
            }
        }
    }
    assert!(rest.is_empty());
}

#[test]
fn weights_begin_with_the_variance_of_their_fan_in() {
    use Start::{At, FanIn};
    let zero = || At(0.0);
    check_starts::<Mlp<12, 26, 64>, 12, 26>(&[FanIn(12 * 26), zero(), FanIn(64), zero()]);
    let starts = [FanIn(12 * 26), zero(), FanIn(64), zero(), FanIn(64), zero()];
    check_starts::<Residual<12, 26, 64>, 12, 26>(&starts);
    let starts = [FanIn(4), FanIn(50), FanIn(50), FanIn(3 * 40), zero(), FanIn(4 * 40), zero()];
    check_starts::<Convolution<12, 26, 40, 2, 3>, 12, 26>(&starts);
    // Each of the six sums of three blocks that add to the stream has its share of the variance: 2·3 times the fan-in.
    let [token, to_stream] = [FanIn(4), FanIn(6 * 40)];
    let (gain, wide) = (At(1.0), FanIn(6 * 4 * 40));
    let starts = [
        token,
        FanIn(24),
        FanIn(24),
        At(1.0),
        FanIn(40),
        to_stream,
        At(1.0),
        FanIn(40),
        wide,
        gain,
        FanIn(40),
    ];
    check_starts::<Transformer<12, 26, 40, 3, 2>, 12, 26>(&starts);
}
