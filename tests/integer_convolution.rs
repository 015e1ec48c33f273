//! The residual convolution in integers: against loops too plain to be wrong, and against the float network of the same
//! weights.
use common::integers::{
    Case, agrees, all_scores, any_alignment_and_no_change, every_order_and_pattern, shifted, texts,
    training_computes_integers,
};
use micro_diffusion::activation::Activation;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::Model;
use micro_diffusion::dtype::Dtype;
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::integer::{IntegerModel, Scales};
use micro_diffusion::integer_convolution::IntegerConvolution;
use micro_diffusion::precision::{Int4, Int8, Precision};

/// Steps of the residual stream in 1, as a power of two.
const STREAM: i64 = 10;

/// The scores at the masked positions of `text`, by plain loops over the letters. Also the number of times that the
/// stream was held at an end, and its largest initial number.
fn plain<const L: usize, const V: usize, const D: usize, const N: usize, const T: usize>(
    tensors: &[Vec<i64>],
    scales: &Scales,
    largest: i64,
    text: &[Option<u8>],
) -> (Vec<(usize, [i64; V])>, usize, i64) {
    let [embedding, weight, bias, output, output_bias] = tensors else { panic!("five tensors") };
    let a = i64::from(scales.activation);
    let [e, u, _, o, c, _] = scales.tensors.map(i64::from);
    // The nearest integer to x·2ⁿ, halves up.
    let nearest = |x: i64, n: i64| if n >= 0 { x << n } else { (x + (1 << (-n - 1))) >> -n };
    // E, P and Q, one behind the other; a mask has no row of E.
    let start = |l: usize, d: usize| {
        let token = text[l].map_or(0, |symbol| embedding[usize::from(symbol) * D + d]);
        let (position, from_end) = (V + l, V + L + text.len() - 1 - l);
        shifted(token + embedding[position * D + d] + embedding[from_end * D + d], STREAM - e)
    };
    let mut x: Vec<[i64; D]> = (0..text.len()).map(|l| std::array::from_fn(|d| start(l, d))).collect();
    let most = x.iter().flatten().map(|x| x.abs()).max().unwrap();
    let mut held = 0;
    for n in 0..N {
        let values: Vec<[i64; D]> =
            x.iter().map(|x| x.map(|x| nearest(x, a - STREAM).clamp(0, largest))).collect();
        for l in 0..text.len() {
            for d in 0..D {
                let mut sum = 0;
                // 0 outside the text.
                for j in (0..T).filter(|j| (T / 2..text.len() + T / 2).contains(&(l + j))) {
                    for i in 0..D {
                        sum += weight[((n * T + j) * D + i) * D + d] * values[l + j - T / 2][i];
                    }
                }
                let free = x[l][d] + bias[n * D + d] + nearest(sum, STREAM - u - a);
                x[l][d] = free.clamp(-32_768, 32_767);
                held += usize::from(x[l][d] != free);
            }
        }
    }
    let score = |l: usize, v: usize| {
        let value = |d: usize| nearest(x[l][d], a - STREAM).clamp(0, largest);
        let sum: i64 = (0..D).map(|d| value(d) * output[d * V + v]).sum();
        shifted(sum, 16 - a - o) + shifted(output_bias[v], 16 - c)
    };
    let masked = (0..text.len()).filter(|l| text[*l].is_none());
    (masked.map(|l| (l, std::array::from_fn(|v| score(l, v)))).collect(), held, most)
}

/// Compares with the plain loops over many texts, with one denoiser for all. Returns how often the stream was held at an
/// end, and its largest initial number.
fn agrees_with_plain_loops<
    P: Precision + 'static,
    const L: usize,
    const V: usize,
    const D: usize,
    const N: usize,
    const T: usize,
>(
    case: &Case,
) -> (usize, i64) {
    let (largest, mut all) = (i64::from(P::largest_value(T * D)), (0, 0));
    agrees::<IntegerConvolution<P, L, V, D, N, T>, L, V>(case, |tensors, text| {
        let (expected, held, most) = plain::<L, V, D, N, T>(tensors, &case.scales, largest, text);
        all = (all.0 + held, most.max(all.1));
        expected
    });
    all
}

type ConvolutionSmall = Convolution<16, 26, 26, 3, 5>;
type ConvolutionSmall8 = IntegerConvolution<Int8, 16, 26, 26, 3, 5>;
type ConvolutionSmall4 = IntegerConvolution<Int4, 16, 26, 26, 3, 5>;
type Small = Convolution<4, 6, 2, 2, 3>;
type Small8 = IntegerConvolution<Int8, 4, 6, 2, 2, 3>;
type Small4 = IntegerConvolution<Int4, 4, 6, 2, 2, 3>;

#[test]
fn scores_are_those_of_plain_loops() {
    fn check<
        P: Precision + 'static,
        const L: usize,
        const V: usize,
        const D: usize,
        const N: usize,
        const T: usize,
    >(
        activations: std::ops::Range<u8>,
    ) {
        for activation in activations {
            for seed in 1..4 {
                let case = Case::new::<Convolution<L, V, D, N, T>, IntegerConvolution<P, L, V, D, N, T>, L, V>(
                    seed, activation,
                );
                agrees_with_plain_loops::<P, L, V, D, N, T>(&case);
            }
        }
    }
    check::<Int4, 4, 6, 2, 2, 3>(2..5);
    check::<Int4, 7, 6, 4, 1, 1>(2..5);
    check::<Int4, 6, 4, 6, 4, 7>(2..5);
    check::<Int4, 16, 26, 26, 3, 5>(2..4);
    // An odd number of symbols, so that the last row of the embedding has a block to share with a row before it.
    check::<Int4, 5, 7, 4, 2, 3>(2..5);
    check::<Int4, 8, 255, 64, 1, 5>(2..3);
    check::<Int4, 6, 8, 108, 1, 5>(2..3);
    check::<Int8, 4, 6, 2, 2, 3>(4..7);
    check::<Int8, 7, 6, 4, 1, 1>(4..7);
    check::<Int8, 6, 4, 6, 4, 7>(4..7);
    check::<Int8, 16, 26, 26, 3, 5>(5..7);
    check::<Int8, 5, 7, 4, 2, 3>(4..7);
    check::<Int8, 8, 255, 64, 1, 5>(5..6);
    check::<Int8, 6, 8, 108, 1, 5>(5..6);
}

/// The float network of the rounded weights, as they are trained: the integers are exactly its numbers.
#[test]
fn integers_are_the_numbers_of_a_float_network() {
    fn check<I: IntegerModel<16, 26>>(case: &Case, largest: u8) {
        let weights = case.rounded::<I, 16, 26>();
        let floats = ConvolutionSmall::view(&weights[..]).unwrap();
        let step = f64::from(1 << case.scales.activation).recip();
        // To the nearest step, halves up.
        let value = |x: f64| (x / step + 0.5).floor().clamp(0.0, f64::from(largest)) * step;
        let mut memory = I::MEMORY;
        let mut denoiser = I::denoiser(I::view(&case.payload, &case.scales).unwrap(), &mut memory);
        for text in texts::<16, 26>(6) {
            let n = text.len();
            let start = |(l, symbol): (usize, &Option<u8>)| -> [f64; 26] {
                let token = symbol.map_or([0.0; 26], |symbol| floats.token[usize::from(symbol)]);
                let rows = [token, floats.position[l], floats.from_end[n - 1 - l]];
                std::array::from_fn(|d| rows.iter().map(|row| f64::from(row[d])).sum())
            };
            let mut x: Vec<[f64; 26]> = text.iter().enumerate().map(start).collect();
            for (weight, bias) in floats.weight.iter().zip(floats.bias) {
                let a: Vec<_> = x.iter().map(|x| x.map(value)).collect();
                let sum = |l: usize, d: usize| {
                    let taps = (0..5).filter_map(|j| Some((j, a.get((l + j).checked_sub(2)?)?)));
                    let product = |(j, a): (usize, &[f64; 26])| {
                        a.iter().zip(weight[j][d]).map(|(a, w)| a * f64::from(w)).sum::<f64>()
                    };
                    taps.map(product).sum::<f64>() + f64::from(bias[d])
                };
                let held = |x: f64| ((x * 1024.0 + 0.5).floor() / 1024.0).clamp(-32.0, 32.0 - 1.0 / 1024.0);
                let next = |l: usize| std::array::from_fn(|d| held(x[l][d] + sum(l, d)));
                x = (0..n).map(next).collect();
            }
            let scores = all_scores(&mut denoiser, &text);
            for (l, scores) in scores.iter().enumerate().filter(|(l, _)| text[*l].is_none()) {
                for (v, score) in scores.iter().enumerate() {
                    let products = x[l].iter().zip(floats.output[v]).map(|(x, w)| value(*x) * f64::from(w));
                    let logit = products.sum::<f64>() + f64::from(floats.output_bias[v]);
                    assert_eq!(f64::from(*score), logit * 65_536.0, "position {l} symbol {v} {text:?}");
                }
            }
        }
    }
    check::<ConvolutionSmall8>(
        &Case::new::<ConvolutionSmall, ConvolutionSmall8, 16, 26>(3, 6),
        Int8::largest_value(130),
    );
    check::<ConvolutionSmall4>(
        &Case::new::<ConvolutionSmall, ConvolutionSmall4, 16, 26>(3, 3),
        Int4::largest_value(130),
    );
}

#[test]
fn training_computes_the_integers_themselves() {
    training_computes_integers::<ConvolutionSmall, Int8, 16, 26>();
    training_computes_integers::<ConvolutionSmall, Int4, 16, 26>();
}

/// Every table at an end of its range, and biases at the ends of theirs: sums and stream reach their bounds, and hold.
#[test]
fn nothing_overflows_at_the_ends_of_every_range() {
    fn check<P: Precision + 'static>(scales: &Scales) {
        let (mut held, mut most) = (0, 0);
        for (embedding, weight, output, bias) in [
            (0, 0, 0, i16::MAX),
            (0xFF, 0xFF, 0xFF, i16::MAX),
            (0xFF, 0, 0, i16::MIN),
            (0xFF, 0, 0xFF, i16::MAX),
            (0, 0xFF, 0, i16::MIN),
        ] {
            let mut payload = Vec::new();
            let codes = [embedding, weight, 0, output, 0];
            for (tensor, byte) in IntegerConvolution::<P, 16, 26, 26, 3, 5>::TENSORS.iter().zip(codes) {
                if tensor.dtype == Dtype::Int16 {
                    payload.extend(std::iter::repeat_n(bias.to_le_bytes(), tensor.numbers()).flatten());
                } else {
                    payload.extend(std::iter::repeat_n(byte, tensor.bytes()));
                }
            }
            let case = Case { parameters: Vec::new(), scales: *scales, payload };
            let (times, start) = agrees_with_plain_loops::<P, 16, 26, 26, 3, 5>(&case);
            (held, most) = (held + times, most.max(start));
        }
        assert!(held > 1000, "{held}");
        assert_eq!(most, 3 << 13, "the stream begins at its bound, where a symbol is shown");
    }
    // The largest shifts that a file may ask for: embedding, weights, stream, output, its bias.
    check::<Int8>(&Scales { activation: 0, tensors: [4, 3, 10, 6, 1, 0] });
    check::<Int4>(&Scales { activation: 0, tensors: [0, 0, 10, 2, 1, 0] });
}

#[test]
fn scales_that_could_overflow_are_refused() {
    let case = Case::new::<ConvolutionSmall, ConvolutionSmall8, 16, 26>(4, 6);
    let with = |change: fn(&mut Scales)| case.taken_with::<ConvolutionSmall8, 16, 26>(change);
    assert!(with(|_| ()));
    assert!(with(|scales| scales.tensors[0] = 4));
    assert!(!with(|scales| scales.tensors[0] = 3), "three rows of up to 2¹⁴ each, beyond 16 bits together");
    assert!(with(|scales| scales.tensors[0] = 10));
    assert!(!with(|scales| scales.tensors[0] = 11), "an embedding finer than the stream");
    assert!(with(|scales| (scales.activation, scales.tensors[1], scales.tensors[3]) = (0, 3, 9)));
    assert!(!with(|scales| (scales.activation, scales.tensors[1], scales.tensors[3]) = (0, 2, 9)), "sums");
    assert!(
        !with(|scales| (scales.activation, scales.tensors[3]) = (11, 5)),
        "activations finer than the stream"
    );
    assert!(!with(|scales| scales.tensors[2] = 9), "a bias in another unit than the stream");
    assert!(!with(|scales| (scales.activation, scales.tensors[3]) = (5, 0)), "scores");
    assert!(!with(|scales| scales.tensors[3] = 11), "finer than a score");
    assert!(!with(|scales| scales.tensors[4] = 0), "score biases up to 2³¹");
    let taken = |payload: &[u8]| ConvolutionSmall8::view(payload, &case.scales).is_some();
    assert!(!taken(&case.payload[1..]));
    assert!(!taken(&[&case.payload[..], &[0]].concat()));
    // A score is a sum over the features of values that T·D = 130 or 64 of them share: 26·33·8 at most, and 64·68·8.
    let whole = |scales: &mut Scales| (scales.activation, scales.tensors[3]) = (0, 0);
    assert!(
        Case::new::<ConvolutionSmall, ConvolutionSmall4, 16, 26>(4, 3)
            .taken_with::<ConvolutionSmall4, 16, 26>(whole)
    );
    type Wide4 = IntegerConvolution<Int4, 16, 26, 64, 1, 1>;
    let wide = Case::new::<Convolution<16, 26, 64, 1, 1>, Wide4, 16, 26>(4, 3);
    assert!(wide.taken_with::<Wide4, 16, 26>(|scales| (scales.activation, scales.tensors[3]) = (0, 2)));
    assert!(!wide.taken_with::<Wide4, 16, 26>(whole), "scores above 2³⁰");
}

/// A of 7·64 values in four bits is 9, which is 2¼ in quarters.
#[test]
fn the_largest_value_is_2_to_4_in_the_steps_that_are_trained_for() {
    assert_eq!(IntegerConvolution::<Int4, 4, 6, 64, 1, 7>::steps().exponent, 2);
    assert_eq!(
        ConvolutionSmall4::steps().exponent,
        3,
        "33 would be 2 to 4 in sixteenths, which is too fine for four bits"
    );
    assert_eq!(ConvolutionSmall8::steps().exponent, 6, "255 in sixty-fourths");
}

/// No file can hold them, but scales are made by hand too.
#[test]
fn exponents_above_those_of_a_file_are_refused() {
    let case = Case::new::<ConvolutionSmall, ConvolutionSmall8, 16, 26>(4, 6);
    let weights = |exponent| move |scales: &mut Scales| scales.tensors[1] = exponent;
    assert!(case.taken_with::<ConvolutionSmall8, 16, 26>(weights(16)));
    for exponent in [17, 32, 255] {
        assert!(!case.taken_with::<ConvolutionSmall8, 16, 26>(weights(exponent)), "{exponent}");
    }
}

#[test]
fn a_file_of_integers_is_read_at_any_alignment_and_no_change_of_it_is() {
    any_alignment_and_no_change::<Small, Small8, 4, 6>(6, "xyzé");
    any_alignment_and_no_change::<Small, Small4, 4, 6>(3, "xyzé");
    let bytes = Case::new::<Small, Small8, 4, 6>(1, 6).file::<Small8, 4, 6>("xyzé");
    let file = ModelFile::parse(&bytes).unwrap();
    assert_eq!(file.integers::<Small4, 4, 6>().unwrap_err(), FileError::Dtype(Dtype::Int8));
    let deeper = file.integers::<IntegerConvolution<Int8, 4, 6, 2, 3, 3>, 4, 6>().unwrap_err();
    assert_eq!(deeper, FileError::Shape(Small::SHAPE));
}

#[test]
fn the_stream_holds_the_nearest_step_within_16_bits() {
    let steps = Activation::Stepped(ConvolutionSmall4::steps());
    let step = 1.0 / 1024.0;
    let mut x = [0.0, 0.49 * step, 0.5 * step, -0.5 * step, -0.51 * step, 7.3 * step, 40.0, -40.0];
    steps.hold(&mut x);
    assert_eq!(x, [0.0, 0.0, step, 0.0, -step, 7.0 * step, 32.0 - step, -32.0]);
    // The values that are multiplied are as fine and as large as five taps of 26 allow.
    let mut y = [0.3, 9.0];
    steps.forward(&mut y);
    assert_eq!(y, [0.25, f64::from(Int4::largest_value(130)) / 8.0]);
}

#[test]
fn every_order_and_pattern_runs_on_integers_and_gives_the_same_texts_for_ever() {
    let found = [
        every_order_and_pattern::<ConvolutionSmall, ConvolutionSmall8, 16>(6),
        every_order_and_pattern::<ConvolutionSmall, ConvolutionSmall4, 16>(3),
    ];
    let checksums = found.each_ref().map(|(checksum, _)| *checksum);
    assert_eq!(checksums, [0x8a03_3fbd, 0x9c3d_4826], "\n{found:#?}");
}
