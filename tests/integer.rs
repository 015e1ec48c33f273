//! Networks in integers: against loops too plain to be wrong, and against the float network of the same weights.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it fails"
)]

use common::integers::{
    Case, agrees, all_scores, any_alignment_and_no_change, every_order_and_pattern, parameters, shifted,
    texts, training_computes_integers,
};
use common::numbers;
use micro_diffusion::activation::Activation;
use micro_diffusion::categorical::Temperature;
use micro_diffusion::crc::crc32;
use micro_diffusion::denoiser::{Denoiser, Example, Model};
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{FileError, ModelFile, write};
use micro_diffusion::form::Form;
use micro_diffusion::integer::{IntegerModel, Scales};
use micro_diffusion::integer_mlp::IntegerMlp;
use micro_diffusion::integer_residual::IntegerResidual;
use micro_diffusion::integer_sums::{add_bit_by_bit, add_products};
use micro_diffusion::length::Lengths;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::precision::{Int4, Int8, PRICE, Precision};
use micro_diffusion::quantise::{best_exponent, grid, quantise, scales, trained_scales};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::stored::{Role, StoredTensor};
use micro_diffusion::text::{Alphabet, Text};

/// The first hidden layer by plain loops.
fn plain_hidden<const V: usize, const H: usize>(
    [input, lengths]: [&[i64]; 2],
    [a, e]: [i64; 2],
    largest: i64,
    symbols: &[Option<u8>],
) -> [i64; H] {
    std::array::from_fn(|h| {
        let mut sum = lengths[(symbols.len() - 1) * H + h];
        for (l, symbol) in symbols.iter().enumerate() {
            if let Some(symbol) = symbol {
                sum += input[(l * V + usize::from(*symbol)) * H + h];
            }
        }
        shifted(sum, a - e).clamp(0, largest)
    })
}

/// The scores of every letter by plain loops.
fn plain_scores<const V: usize, const H: usize>(
    [output, bias]: [&[i64]; 2],
    [a, u, c]: [i64; 3],
    values: [i64; H],
    letters: usize,
) -> Vec<(usize, [i64; V])> {
    let score = |l: usize, v: usize| {
        let sum: i64 = (0..H).map(|h| values[h] * output[(l * H + h) * V + v]).sum();
        shifted(sum, 16 - a - u) + shifted(bias[l * V + v], 16 - c)
    };
    (0..letters).map(|l| (l, std::array::from_fn(|v| score(l, v)))).collect()
}

fn agrees_with_plain_loops<P: Precision + 'static, const L: usize, const V: usize, const H: usize>(
    case: &Case,
) {
    let a = i64::from(case.scales.activation);
    let [e, _, u, c, ..] = case.scales.tensors.map(i64::from);
    let largest = i64::from(P::largest_value(H));
    agrees::<IntegerMlp<P, L, V, H>, L, V>(case, |tensors, text| {
        let [input, lengths, output, score_bias] = tensors else { panic!("four tensors") };
        let values = plain_hidden::<V, H>([input, lengths], [a, e], largest, text);
        plain_scores::<V, H>([output, score_bias], [a, u, c], values, text.len())
    });
}

fn residual_agrees_with_plain_loops<
    P: Precision + 'static,
    const L: usize,
    const V: usize,
    const H: usize,
>(
    case: &Case,
) {
    let a = i64::from(case.scales.activation);
    let [e, _, w, d, u, c] = case.scales.tensors.map(i64::from);
    assert_eq!(d, a + w);
    let largest = i64::from(P::largest_value(2 * H));
    agrees::<IntegerResidual<P, L, V, H>, L, V>(case, |tensors, text| {
        let [input, lengths, residual, residual_bias, output, score_bias] = tensors else {
            panic!("six tensors")
        };
        let first = plain_hidden::<V, H>([input, lengths], [a, e], largest, text);
        let second = |i: usize| {
            let sum: i64 = (0..H).map(|h| first[h] * residual[h * H + i]).sum();
            shifted(sum + residual_bias[i], -w).clamp(0, largest)
        };
        let values: [i64; H] = std::array::from_fn(|h| first[h] + second(h));
        plain_scores::<V, H>([output, score_bias], [a, u, c], values, text.len())
    });
}

#[test]
fn the_residual_perceptron_s_scores_are_those_of_plain_loops() {
    fn check<P: Precision + 'static, const L: usize, const V: usize, const H: usize>(exponents: [u8; 2]) {
        for seed in 1..4 {
            for activation in exponents {
                residual_agrees_with_plain_loops::<P, L, V, H>(&Case::new::<
                    Residual<L, V, H>,
                    IntegerResidual<P, L, V, H>,
                    L,
                    V,
                >(seed, activation));
            }
        }
    }
    check::<Int4, 3, 4, 16>([2, 3]);
    check::<Int4, 4, 5, 32>([2, 3]);
    check::<Int4, 12, 26, 256>([1, 2]);
    check::<Int8, 3, 5, 16>([4, 5]);
    check::<Int8, 12, 26, 256>([5, 6]);
}

#[test]
fn scores_are_those_of_plain_loops() {
    for seed in 1..4 {
        for activation in 2..4 {
            agrees_with_plain_loops::<Int4, 3, 4, 2>(&Case::new::<
                Mlp<3, 4, 2>,
                IntegerMlp<Int4, 3, 4, 2>,
                3,
                4,
            >(seed, activation));
            agrees_with_plain_loops::<Int4, 4, 5, 6>(&Case::new::<
                Mlp<4, 5, 6>,
                IntegerMlp<Int4, 4, 5, 6>,
                4,
                5,
            >(seed, activation));
            agrees_with_plain_loops::<Int4, 3, 6, 10>(&Case::new::<
                Mlp<3, 6, 10>,
                IntegerMlp<Int4, 3, 6, 10>,
                3,
                6,
            >(seed, activation));
            agrees_with_plain_loops::<Int4, 2, 2, 4>(&Case::new::<
                Mlp<2, 2, 4>,
                IntegerMlp<Int4, 2, 2, 4>,
                2,
                2,
            >(seed, activation));
            agrees_with_plain_loops::<Int4, 12, 26, 256>(&Case::new::<
                Mlp<12, 26, 256>,
                IntegerMlp<Int4, 12, 26, 256>,
                12,
                26,
            >(seed, activation));
        }
        for activation in 4..6 {
            agrees_with_plain_loops::<Int8, 3, 4, 2>(&Case::new::<
                Mlp<3, 4, 2>,
                IntegerMlp<Int8, 3, 4, 2>,
                3,
                4,
            >(seed, activation));
            agrees_with_plain_loops::<Int8, 4, 5, 6>(&Case::new::<
                Mlp<4, 5, 6>,
                IntegerMlp<Int8, 4, 5, 6>,
                4,
                5,
            >(seed, activation));
            agrees_with_plain_loops::<Int8, 12, 26, 256>(&Case::new::<
                Mlp<12, 26, 256>,
                IntegerMlp<Int8, 12, 26, 256>,
                12,
                26,
            >(seed, activation));
        }
    }
}

type Small = Mlp<3, 4, 2>;
type Small8 = IntegerMlp<Int8, 3, 4, 2>;
type Small4 = IntegerMlp<Int4, 3, 4, 2>;
type Perceptron = Mlp<12, 26, 256>;
type Perceptron8 = IntegerMlp<Int8, 12, 26, 256>;
type Perceptron4 = IntegerMlp<Int4, 12, 26, 256>;
type ResidualFloats = Residual<12, 26, 256>;
type Residual8 = IntegerResidual<Int8, 12, 26, 256>;
type Residual4 = IntegerResidual<Int4, 12, 26, 256>;

/// The float network of the rounded weights: the integers are exactly its numbers.
#[test]
fn integers_are_the_numbers_of_a_float_network() {
    fn check<I: IntegerModel<12, 26>>(case: &Case, largest: u8) {
        let weights = case.rounded::<I, 12, 26>();
        let floats = Perceptron::view(&weights[..]).unwrap();
        let step = f64::from(1 << case.scales.activation).recip();
        let mut memory = I::MEMORY;
        let mut denoiser = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut memory);
        for text in texts::<12, 26>(6) {
            let scores = all_scores(&mut denoiser, &text);
            let value = |h: usize| {
                let rows =
                    text.iter().enumerate().filter_map(|(l, symbol)| Some((l, usize::from((*symbol)?))));
                let sum: f64 = rows.map(|(l, v)| f64::from(floats.input[l][v][h])).sum();
                let sum = sum + f64::from(floats.length[text.len() - 1][h]);
                // Rounded to the nearest step, halves up, within 0 … A steps.
                (sum / step + 0.5).floor().clamp(0.0, f64::from(largest)) * step
            };
            let values: [f64; 256] = std::array::from_fn(value);
            for (l, scores) in scores.iter().enumerate() {
                for (v, score) in scores.iter().enumerate() {
                    let row = floats.output[l][v].map(f64::from);
                    let sum: f64 = values.iter().zip(row).map(|(value, weight)| value * weight).sum();
                    let logit = sum + f64::from(floats.output_bias[l][v]);
                    assert_eq!(f64::from(*score), logit * 65_536.0, "position {l} symbol {v} {text:?}");
                }
            }
        }
    }
    check::<Perceptron8>(&Case::new::<Perceptron, Perceptron8, 12, 26>(3, 5), Int8::largest_value(256));
    check::<Perceptron4>(&Case::new::<Perceptron, Perceptron4, 12, 26>(3, 3), Int4::largest_value(256));
}

#[test]
fn the_incremental_first_layer_equals_the_sum_from_scratch() {
    fn check<I: IntegerModel<12, 26>>(case: &Case) {
        let mut memory = I::MEMORY;
        let mut denoiser = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut memory);
        let stream = Stream::new(8, Purpose::Noise);
        // A denoiser that has not started a text has all positions, masked.
        let mut text = vec![None; 12];
        let mut lengths = [false; 13];
        for change in 0..400 {
            // One position is set, masked or replaced; now and then a text of another length begins.
            let [place, symbol] = stream.draw(change, 0);
            if change % 13 == 12 {
                text = vec![None; 1 + (place % 12) as usize];
                denoiser.start(text.len());
            }
            let (place, symbol) = (place as usize % text.len(), symbol % 12);
            text[place] = (symbol > 2).then_some(symbol as u8 * 2);
            denoiser.set(place, text[place]);
            // Outside the text there is nothing to set.
            denoiser.set(text.len(), Some(3));
            denoiser.evaluate();
            let mut fresh = I::MEMORY;
            let view = I::view(&case.payload, &case.scales).unwrap();
            let scratch = all_scores(&mut I::denoiser(view, &mut fresh), &text);
            let mut scores = [7; 26];
            for (position, expected) in scratch.iter().enumerate() {
                denoiser.scores(position, &mut scores);
                assert_eq!(scores, *expected, "change {change}, position {position}");
            }
            lengths[text.len()] = true;
        }
        assert!(lengths[1..].iter().filter(|seen| **seen).count() > 9, "texts of many lengths");
    }
    check::<Perceptron8>(&Case::new::<Perceptron, Perceptron8, 12, 26>(4, 5));
    check::<Perceptron4>(&Case::new::<Perceptron, Perceptron4, 12, 26>(4, 2));
    check::<Residual4>(&Case::new::<ResidualFloats, Residual4, 12, 26>(4, 2));
}

/// A number that is no symbol of the network has no row, and counts as a mask.
#[test]
fn what_is_no_symbol_is_a_mask() {
    fn check<M: Model<12, 26>, I: IntegerModel<12, 26>>() {
        let case = Case::new::<M, I, 12, 26>(6, I::steps().exponent);
        let mut memory = I::MEMORY;
        let mut denoiser = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut memory);
        for text in texts::<12, 26>(6) {
            let masked = all_scores(&mut denoiser, &text);
            for stranger in [26, 27, 255] {
                let strange: Vec<_> = text.iter().map(|symbol| symbol.or(Some(stranger))).collect();
                assert_eq!(all_scores(&mut denoiser, &strange), masked, "{stranger}");
            }
        }
    }
    check::<Perceptron, Perceptron8>();
    check::<Perceptron, Perceptron4>();
    check::<ResidualFloats, Residual8>();
}

/// Every table at an end of its range, and biases at the ends of theirs: the sums reach their bounds, and hold.
#[test]
fn nothing_overflows_at_the_ends_of_every_range() {
    fn check<I: IntegerModel<12, 26>>(scales: Scales, agrees: fn(&Case)) {
        for (table, output, bias) in
            [(0, 0, 1), (0xFF, 0xFF, 1), (0xFF, 0, 1), (0, 0xFF, -1), (0xFF, 0xFF, -1)]
        {
            let mut payload = Vec::new();
            for tensor in I::TENSORS {
                let limit = if tensor.role == Role::HiddenBias { (1 << 14) - 1 } else { i16::MAX };
                if tensor.dtype == Dtype::Int16 {
                    let bytes: [u8; 2] = i16::to_le_bytes(bias * limit);
                    payload.extend(std::iter::repeat_n(bytes, tensor.numbers()).flatten());
                } else {
                    let byte = if tensor.role == Role::Lookup { table } else { output };
                    payload.extend(std::iter::repeat_n(byte, tensor.bytes()));
                }
            }
            agrees(&Case { parameters: Vec::new(), scales, payload });
        }
    }
    // The largest shifts that a file may ask for.
    let scales = |activation, tensors| Scales { activation, tensors };
    check::<Perceptron8>(scales(5, [5, 5, 4, 1, 0, 0]), agrees_with_plain_loops::<Int8, 12, 26, 256>);
    check::<Perceptron4>(scales(1, [1, 1, 1, 1, 0, 0]), agrees_with_plain_loops::<Int4, 12, 26, 256>);
    let residual = residual_agrees_with_plain_loops::<Int8, 12, 26, 256>;
    check::<Residual8>(scales(5, [5, 5, 0, 5, 5, 1]), residual);
    check::<Residual8>(scales(5, [5, 5, 11, 16, 5, 1]), residual);
    let residual = residual_agrees_with_plain_loops::<Int4, 12, 26, 256>;
    check::<Residual4>(scales(1, [1, 1, 0, 1, 1, 1]), residual);
}

#[test]
fn scales_and_biases_that_could_overflow_are_refused() {
    let case = Case::new::<Perceptron, Perceptron8, 12, 26>(4, 5);
    let with = |change: fn(&mut Scales)| case.taken_with::<Perceptron8, 12, 26>(change);
    assert!(with(|_| ()));
    assert!(!with(|scales| scales.activation = 16), "activations finer than sums");
    assert!(!with(|scales| scales.tensors[1] += 1), "a bias in another unit");
    assert!(!with(|scales| scales.tensors[2] = 0), "scores up to 2³⁴");
    assert!(!with(|scales| scales.tensors[2] = 12), "finer than a score");
    assert!(!with(|scales| scales.tensors[3] = 0), "score biases up to 2³¹");
    let taken = |payload: &[u8]| Perceptron8::view(payload, &case.scales).is_some();
    // The first of the shortest texts, and the last of the longest.
    for place in [0, 2 * (12 * 256 - 1)] {
        let (mut payload, bias) = (case.payload.clone(), Perceptron8::TENSORS[0].bytes() + place);
        for (value, fits) in [((1 << 14) - 1, true), (1 << 14, false), (-(1 << 14), false)] {
            payload[bias..bias + 2].copy_from_slice(&i16::to_le_bytes(value));
            assert_eq!(taken(&payload), fits, "a hidden bias of {value}");
        }
    }
    assert!(!taken(&[&case.payload[..], &[0]].concat()));
    assert!(!taken(&case.payload[1..]));
    let case = Case::new::<ResidualFloats, Residual8, 12, 26>(4, 5);
    let with = |change: fn(&mut Scales)| case.taken_with::<Residual8, 12, 26>(change);
    assert!(with(|_| ()));
    assert!(!with(|scales| scales.tensors[3] += 1), "a second bias in another unit");
    assert!(!with(|scales| scales.tensors[2] += 1), "a second table in another unit than its bias");
    assert!(!with(|scales| scales.tensors[4] = 1), "scores up to 2³⁴");
}

/// No file can hold them, but scales are made by hand too.
#[test]
fn exponents_above_those_of_a_file_are_refused() {
    let case = Case::new::<Perceptron, Perceptron8, 12, 26>(4, 5);
    let residual = Case::new::<ResidualFloats, Residual8, 12, 26>(4, 5);
    let table = |exponent| move |scales: &mut Scales| scales.tensors[..2].fill(exponent);
    let second = |exponent: u8| {
        move |scales: &mut Scales| {
            (scales.tensors[2], scales.tensors[3]) = (exponent - scales.activation, exponent);
        }
    };
    assert!(case.taken_with::<Perceptron8, 12, 26>(table(16)));
    assert!(residual.taken_with::<Residual8, 12, 26>(table(16)));
    assert!(residual.taken_with::<Residual8, 12, 26>(second(16)));
    for exponent in [17, 32, 255] {
        assert!(!case.taken_with::<Perceptron8, 12, 26>(table(exponent)), "{exponent}");
        assert!(!residual.taken_with::<Residual8, 12, 26>(table(exponent)), "{exponent}");
        assert!(!residual.taken_with::<Residual8, 12, 26>(second(exponent)), "{exponent}");
    }
}

#[test]
fn sums_bit_by_bit_are_sums_of_products() {
    fn check<P: Precision>(largest: u32) {
        let stream = Stream::new(2, Purpose::Noise);
        let table: Vec<u8> = (0..50 * 27).map(|place| stream.draw(place, 0)[0] as u8).collect();
        let value = |number: usize| stream.draw(number as u32, 99)[1] % (largest + 1);
        let block = |number: usize| &table.as_chunks::<27>().0[number >> P::ROW_SHIFT];
        let rows = (0..50).map(|number| (block(number), number, value(number)));
        let (mut products, mut bits) = ([0; 27], [0; 27]);
        let values = add_products::<P, 27>(rows.clone(), &mut products);
        assert_eq!(add_bit_by_bit::<P, 27>(rows, &mut bits), values);
        P::arrange(&mut products);
        P::arrange(&mut bits);
        assert_eq!(products, bits);
        assert!(products.iter().any(|sum| *sum != 0));
    }
    check::<Int8>(255);
    check::<Int4>(u32::from(Int4::largest_value(50)));
}

#[test]
fn lanes_never_spill() {
    for units in 1..=256 {
        assert!(usize::from(Int4::largest_value(units)) * 15 * units < 1 << 16, "{units}");
    }
    assert_eq!((Int4::largest_value(256), Int4::largest_value(17), Int8::largest_value(256)), (17, 255, 255));
}

const TABLE: StoredTensor =
    StoredTensor { name: "table", dimensions: &[2, 3], dtype: Dtype::Int4, role: Role::Lookup };

#[test]
fn rounding_is_to_the_nearest_that_the_type_holds() {
    let integer = |weight: f32| grid(&TABLE, 2).integer(weight);
    assert_eq!([0.0, 0.12, 0.13, -0.12, -0.13, 1.0].map(integer), [0, 0, 1, 0, -1, 4]);
    assert_eq!([9.0, -9.0, f32::MAX, f32::MIN, 1.75, -2.0].map(integer), [7, -8, 7, -8, 7, -8]);
    let bytes = StoredTensor { dtype: Dtype::Int8, ..TABLE };
    assert_eq!([90.0, -90.0].map(|weight| grid(&bytes, 2).integer(weight)), [127, -128]);
    for (role, limit) in [(Role::HiddenBias, (1 << 14) - 1), (Role::ScoreBias, (1 << 15) - 1)] {
        let bias = StoredTensor { dtype: Dtype::Int16, role, ..TABLE };
        assert_eq!([9e9, -9e9].map(|weight| grid(&bias, 2).integer(weight)), [limit, -limit]);
    }
    for code in -8..8 {
        let weight = code as f32 / 4.0;
        assert_eq!(grid(&TABLE, 2).round(weight), weight, "what is stored is stored again");
    }
}

#[test]
fn the_exponent_has_the_least_squared_error() {
    for seed in 0..20 {
        let weights: Vec<f32> =
            numbers(seed, 6).iter().map(|x| (*x * f64::from(1 + seed as u32)) as f32).collect();
        let error = |exponent: u8| -> f64 {
            let square = |weight: &f32| {
                (f64::from(*weight) - f64::from(grid(&TABLE, exponent).round(*weight))).powi(2)
            };
            weights.iter().map(square).sum()
        };
        let best = best_exponent(&TABLE, &weights);
        assert!((0..=16).all(|exponent| error(exponent) >= error(best)), "{weights:?}");
    }
    assert_eq!(best_exponent(&TABLE, &[1.0, -0.5]), 1, "of equals the coarser");
    assert_eq!(best_exponent(&TABLE, &[0.0; 3]), 0);
}

/// Four bits that are trained on multiply hidden values in steps no coarser than theirs, even where coarser ones fit better.
#[test]
fn products_in_four_bits_are_trained_in_steps_as_fine_as_hidden_values() {
    fn check<M: Model<12, 26>, I: IntegerModel<12, 26>>() -> [Scales; 2] {
        let weights: Vec<f32> = parameters::<M, 12, 26>(1).into_iter().map(|weight| 4.0 * weight).collect();
        let activation = I::steps().exponent;
        [scales(I::TENSORS, &weights, activation), trained_scales(I::TENSORS, &weights, activation)]
    }
    let [mut best, trained] = check::<Perceptron, Perceptron4>();
    assert_eq!((best.tensors[2], trained.tensors[2]), (1, 3));
    best.tensors[2] = 3;
    assert_eq!(trained, best, "and nothing else");
    let [best, trained] = check::<ResidualFloats, Residual4>();
    // The second layer, its bias in the unit of its sums, and the output.
    assert_eq!((&best.tensors[2..5], &trained.tensors[2..5]), (&[1, 3, 1][..], &[2, 4, 2][..]));
    let [best, trained] = check::<Perceptron, Perceptron8>();
    assert_eq!(best, trained, "eight bits are fine enough");
}

#[test]
fn a_product_table_changes_its_last_two_dimensions() {
    // Trained as [2][3], stored as [3][2] with rows of one byte each.
    let tensor = StoredTensor { dimensions: &[3, 2], role: Role::Product, ..TABLE };
    let trained = [0.0, 1.0, 2.0, -1.0, -2.0, -3.0];
    let mut payload = [0; 3];
    quantise(&[tensor], &trained, &Scales::default(), &mut payload);
    assert_eq!(payload, [0x78, 0x69, 0x5A]);
    // Rows of three weights: between two rows, one byte with the last of each.
    quantise(&[TABLE], &trained, &Scales::default(), &mut payload);
    assert_eq!(payload, [0x98, 0x5A, 0x67]);
}

#[test]
fn a_file_of_integers_is_read_at_any_alignment_and_no_change_of_it_is() {
    any_alignment_and_no_change::<Small, Small8, 3, 4>(5, "xyé");
    any_alignment_and_no_change::<Small, Small4, 3, 4>(2, "xyé");
}

/// The small file with each byte of `changes` at its place and a checksum that matches.
fn forged_at(changes: &[(usize, u8)]) -> Result<(), FileError> {
    let mut bytes = Case::new::<Small, Small4, 3, 4>(1, 2).file::<Small4, 3, 4>("xyé");
    changes.iter().for_each(|(place, byte)| bytes[*place] = *byte);
    let body = bytes.len() - 4;
    let checksum = crc32(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&checksum);
    ModelFile::parse(&bytes)?.integers::<Small4, 3, 4>().map(|_| ())
}

fn forged(place: usize, byte: u8) -> Result<(), FileError> {
    forged_at(&[(place, byte)])
}

#[test]
fn forged_integers_are_refused_each_for_its_reason() {
    // The alphabet, and the counts of three lengths.
    let table = 24 + "xyé".len() + 4 * 3;
    let (scale, entry) = (24, 28);
    assert_eq!(forged(10, 3), Ok(()), "the forger itself changes nothing");
    assert_eq!(forged(9, 1), Err(FileError::Header("layout")), "activations among floats");
    assert_eq!(forged(21, 17), Err(FileError::Header("layout")));
    assert_eq!(forged(21, 16), Err(FileError::Scale));
    for (place, byte) in
        [(1, 1), (1, 5), (2, 0), (2, 5), (3, 1), (scale, 1), (scale + 3, 0x40), (scale + 3, 0)]
    {
        let found = forged(table + place, byte);
        let refused = matches!(found, Err(FileError::Header("tensor table") | FileError::Length { .. }));
        assert!(refused, "entry byte {place} as {byte}: {found:?}");
    }
    assert!(matches!(forged(table + 1, 2), Err(FileError::Length { .. })), "bytes instead of halves");
    let [first, second] = [table + 4, table + 8];
    let turned = forged_at(&[(first, 4), (second, 3)]);
    assert_eq!(turned, Err(FileError::Shape(Small::SHAPE)), "as many numbers in another order");
    // A bias in another unit than its table.
    assert_eq!(forged(table + entry + scale + 3, 0x3C), Err(FileError::Scale));
}

#[test]
fn floats_and_integers_are_not_mistaken_for_each_other() {
    let case = Case::new::<Small, Small8, 3, 4>(1, 5);
    let bytes = case.file::<Small8, 3, 4>("xyé");
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!(file.parameters::<Small, 3, 4>().unwrap_err(), FileError::Dtype(Dtype::Int8));
    assert_eq!(file.integers::<Small4, 3, 4>().unwrap_err(), FileError::Dtype(Dtype::Int8));
    let wider = file.integers::<IntegerMlp<Int8, 3, 4, 4>, 3, 4>().unwrap_err();
    assert_eq!(wider, FileError::Shape(Small::SHAPE));
    let mut floats = Vec::new();
    let sink = |piece: &[u8]| -> Result<(), ()> {
        floats.extend_from_slice(piece);
        Ok(())
    };
    let (alphabet, lengths) = (Alphabet::new("xyé").unwrap(), Lengths::new(&[[1; 4]; 3]).unwrap());
    write(&Small::SHAPE, Small::TENSORS, alphabet, lengths, &case.parameters, sink).unwrap();
    let file = ModelFile::parse(&floats).unwrap();
    assert_eq!(file.integers::<Small8, 3, 4>().unwrap_err(), FileError::Dtype(Dtype::F32));
}

#[test]
fn every_order_and_pattern_runs_on_integers_and_gives_the_same_texts_for_ever() {
    let found = [
        every_order_and_pattern::<Perceptron, Perceptron8, 12>(5),
        every_order_and_pattern::<Perceptron, Perceptron4, 12>(3),
        every_order_and_pattern::<ResidualFloats, Residual8, 12>(5),
        every_order_and_pattern::<ResidualFloats, Residual4, 12>(2),
    ];
    let checksums = found.each_ref().map(|(checksum, _)| *checksum);
    assert_eq!(checksums, [0x2fa6_0264, 0x106d_5012, 0x2cb5_fa06, 0x82c3_c3c9], "\n{found:#?}");
}

#[test]
fn training_computes_the_integers_themselves() {
    training_computes_integers::<Perceptron, Int8, 12, 26>();
    training_computes_integers::<Perceptron, Int4, 12, 26>();
    training_computes_integers::<ResidualFloats, Int8, 12, 26>();
    training_computes_integers::<ResidualFloats, Int4, 12, 26>();
}

#[test]
fn a_hidden_value_counts_for_the_positions_that_read_it() {
    let of = |letters: usize, weights| {
        let clean = Text::new(&[0; 4][..letters]).unwrap();
        Example { clean, weights, ..Example::<4>::EMPTY }.hidden_weight::<f64>()
    };
    let count = |weights| of(4, weights);
    assert_eq!(count([0.0; 4]), 0.0);
    assert_eq!(count([0.0, 0.5, 0.0, 0.0]), 0.5 / 4.0 * 2.0 / 5.0);
    assert_eq!(count([0.5, 0.25, 0.25, 0.0]), 1.0 / 4.0 * 6.0 / 5.0);
    // Two letters: values past them count nothing.
    assert_eq!(of(2, [0.5, 0.0, 0.0, 0.0]), 0.5 / 2.0 * 2.0 / 3.0);
    assert_eq!(of(2, [0.5, 0.25, 7.0, 1.0]), 0.75 / 2.0 * 4.0 / 3.0);
    // The bound's weights, for k masked positions of n, n/k each: 1, on the average over k.
    for n in 1..=4 {
        let bound = |k: usize| std::array::from_fn(|l| if l < k { n as f32 / k as f32 } else { 0.0 });
        let mean: f64 = (1..=n).map(|k| of(n, bound(k))).sum::<f64>() / n as f64;
        assert!((mean - 1.0).abs() < 1e-6, "{mean} of {n}");
    }
}

#[test]
fn steps_round_to_the_nearest_and_have_the_slope_of_their_ramp() {
    // 17 steps of 1/8.
    let steps = Activation::Stepped(IntegerMlp::<Int4, 12, 26, 256>::steps());
    let x = [-1.0, 0.0, 0.062, 0.0625, 0.18, 0.19, 2.06, 2.07, 9.0];
    let mut y = x;
    steps.forward(&mut y);
    assert_eq!(y, [0.0, 0.0, 0.0, 0.125, 0.125, 0.25, 2.0, 2.125, 2.125]);
    let mut d = [-3.0; 9];
    steps.backward(&y, &mut d, &[2.0]);
    let price = -3.0 + 2.0 * PRICE;
    assert_eq!(d, [0.0, 0.0, 0.0, price, price, price, price, 0.0, 0.0]);
    let exponents = [
        IntegerMlp::<Int4, 12, 26, 256>::steps().exponent,
        IntegerMlp::<Int4, 12, 26, 18>::steps().exponent,
        IntegerMlp::<Int8, 12, 26, 256>::steps().exponent,
    ];
    assert_eq!(exponents, [3, 3, 6]);
    // A network of 64 units can spare some, one of fewer cannot.
    let (mut spared, mut kept) = ([0.0], [0.0]);
    Activation::Stepped(IntegerMlp::<Int8, 12, 26, 64>::steps()).backward(&[1.0], &mut spared, &[2.0]);
    Activation::Stepped(IntegerMlp::<Int8, 12, 26, 63>::steps()).backward(&[1.0], &mut kept, &[2.0]);
    assert_eq!((spared, kept), ([2.0 * PRICE], [0.0]));
    // Two layers that are added up: 8 steps of 1/4 each.
    let mut y = [0.9, 5.0];
    Activation::Stepped(Residual4::steps()).forward(&mut y);
    assert_eq!((y, Residual4::steps().exponent), ([1.0, 2.0], 2));
}

/// Both shipped models write names: nearly all have a vowel, which one random text in five lacks.
#[test]
fn the_shipped_integers_open_and_write_names() {
    fn names<I: IntegerModel<12, 26>>(bytes: &[u8]) -> usize {
        let file = ModelFile::parse(bytes).unwrap();
        let mut memory = I::MEMORY;
        let mut denoiser = I::denoiser(file.integers::<I, 12, 26>().unwrap(), &mut memory);
        let vowel = |symbol: &Option<u8>| {
            let character = symbol.and_then(|symbol| file.alphabet().character(symbol));
            character.is_some_and(|character| "aeiouy".contains(character))
        };
        let good = |index: &u32| {
            let settings = Settings::new(Order::Random, Temperature::from_milli(700));
            let stream = Stream::new(1, Purpose::Sample).child(*index, 0);
            let length = file.lengths().draw(stream);
            let form = Form::<12>::of("*", &[length], file.alphabet()).unwrap();
            let allowed = form.allowed(file.alphabet().symbols());
            let mut sampler = Sampler::<12, 26>::new(length, &allowed, settings, stream).unwrap();
            sampler.run(&mut denoiser, 12);
            sampler.symbols().len() == length && sampler.symbols().iter().any(vowel)
        };
        (0..100).filter(good).count()
    }
    let eight = names::<Perceptron8>(include_bytes!("../data/names-int8.mdm"));
    let four = names::<Perceptron4>(include_bytes!("../data/names-int4.mdm"));
    assert!(eight >= 95 && four >= 95, "{eight} and {four} of 100");
}
