//! Every backward pass against central differences of its forward pass, in f64, with sign.
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

use common::naive::{Hidden, loss_and_price, places};
use common::tolerance::{
    F64, GRADIENT_CHECK, GRADIENT_SEEN, GRADIENT_STEP, PROPERTY_F64, SHARES, SMOOTH_STEP, SOFT_LOSS,
    assert_close,
};
use common::{add_gradient, batch, distributions, loss_and_gradient, numbers, shard, vector};
use micro_diffusion::activation::Activation;
use micro_diffusion::attention::{Heads, attention_backward, attention_forward};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Architecture, Example, Model, Part, Shard};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::embedding::{Embedding, embed};
use micro_diffusion::gelu::{gelu_forward, gelu_forward_slope};
use micro_diffusion::integer::IntegerModel;
use micro_diffusion::integer_mlp::IntegerMlp;
use micro_diffusion::kernels::Plain;
use micro_diffusion::linear::{
    linear_backward_input, linear_backward_weight, linear_forward, lookup_backward, lookup_forward,
};
use micro_diffusion::mlp::{Mlp, look_up, row_of_length, scored_at, symbol_at};
use micro_diffusion::normalisation::{rms_norm_backward, rms_norm_forward};
use micro_diffusion::pack::{Pack, packs};
use micro_diffusion::precision::{Int4, PRICE};
use micro_diffusion::product::{
    Store, add_bias, add_bias_backward, product, product_backward_weight, product_transposed, shift,
    transpose, transpose_blocks,
};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::softmax::cross_entropy;
use micro_diffusion::softmax_of_maps::cross_entropy_of_positions;
use micro_diffusion::steps::Steps;
use micro_diffusion::text::Text;
use micro_diffusion::transformer::Transformer;

/// ∂f/∂x_i by central differences, for every i.
fn numeric(x: &[f64], f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    slopes(x, f, |difference| difference(GRADIENT_STEP) / (2.0 * GRADIENT_STEP))
}

/// [`numeric`] of the fourth order with a larger step, for a function that bends more and has no kink.
fn numeric_of_smooth(x: &[f64], f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    slopes(x, f, |difference| {
        (8.0 * difference(SMOOTH_STEP) - difference(2.0 * SMOOTH_STEP)) / (12.0 * SMOOTH_STEP)
    })
}

/// `slope` of the differences f(x + step) − f(x − step) along x_i, for every i.
fn slopes(
    x: &[f64],
    mut f: impl FnMut(&[f64]) -> f64,
    slope: impl Fn(&mut dyn FnMut(f64) -> f64) -> f64,
) -> Vec<f64> {
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|i| {
            let mut at = |value: f64| {
                moved[i] = value;
                f(&moved)
            };
            let slope = slope(&mut |step| at(x[i] + step) - at(x[i] - step));
            at(x[i]);
            slope
        })
        .collect()
}

/// Compares element by element.
#[track_caller]
fn assert_gradient(analytic: &[f64], numeric: &[f64], what: &str) {
    assert_eq!(analytic.len(), numeric.len(), "{what}");
    assert!(
        numeric.iter().any(|slope| slope.abs() > GRADIENT_SEEN),
        "{what}: a check that sees only zeros cannot fail"
    );
    for (i, (a, n)) in analytic.iter().zip(numeric).enumerate() {
        assert_close(*a, *n, GRADIENT_CHECK, &format!("{what}[{i}]"));
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Checks the dense layer under the loss Σ c_ev·y_ev over `rows` of a batch.
fn check_linear(inputs: usize, outputs: usize, rows: &[usize]) {
    let batch = rows.iter().max().unwrap() + 1;
    let (weight, bias) = (numbers(1, outputs * inputs), numbers(2, outputs));
    let (x, c) = (numbers(3, batch * inputs), numbers(4, batch * outputs));
    let loss = |weight: &[f64], bias: &[f64], x: &[f64]| {
        let mut y = vec![0.0; batch * outputs];
        linear_forward(weight, bias, rows, x, &mut y);
        dot(&y, &c)
    };
    let mut d_x = vec![0.0; x.len()];
    linear_backward_input(&weight, rows, &c, &mut d_x, inputs);
    assert_gradient(&d_x, &numeric(&x, |x| loss(&weight, &bias, x)), "linear_backward_input");

    let slopes = numeric(&weight, |weight| loss(weight, &bias, &x));
    for stride in [outputs, outputs + 3] {
        // Numbers between the rows are not read.
        let mut spaced = vec![f64::NAN; batch * stride];
        for (spaced, c) in spaced.chunks_mut(stride).zip(c.chunks(outputs)) {
            spaced[..outputs].copy_from_slice(c);
        }
        let mut d_weight = vec![0.0; weight.len()];
        linear_backward_weight(rows, &x, &spaced, stride, &mut d_weight, inputs);
        assert_gradient(&d_weight, &slopes, &format!("linear_backward_weight, rows {stride} apart"));
    }

    let mut d_bias = vec![0.0; outputs];
    let reads: Vec<(usize, u8)> = rows.iter().map(|row| (*row, 0)).collect();
    lookup_backward(&reads, &c, &mut d_bias, outputs);
    assert_gradient(&d_bias, &numeric(&bias, |bias| loss(&weight, bias, &x)), "lookup_backward of a bias");
}

#[test]
fn linear() {
    check_linear(1, 3, &[0]);
    check_linear(7, 3, &[0, 1, 2]);
    check_linear(16, 9, &[1, 3]);
    check_linear(37, 11, &[2]);
    check_linear(130, 5, &[0, 2]);
    // More rows than are computed together.
    let odd: Vec<usize> = (1..140).step_by(2).collect();
    check_linear(17, 10, &odd);
}

#[test]
fn lookup() {
    const H: usize = 5;
    const V: usize = 3;
    let batch = [[Some(2), Some(0)], [None, Some(1)], [Some(0), None], [Some(2), Some(1)]];
    let (tables, c) = (numbers(1, 2 * V * H), numbers(4, batch.len() * H));
    let slopes = numeric(&tables, |tables| {
        let mut y = numbers(3, batch.len() * H);
        for (symbols, y) in batch.iter().zip(y.chunks_mut(H)) {
            let row = |(l, symbol): (usize, &Option<usize>)| Some(&tables[(l * V + (*symbol)?) * H..][..H]);
            lookup_forward(&symbols.iter().enumerate().filter_map(row).collect::<Vec<_>>(), y);
        }
        dot(&y, &c)
    });
    let mut d_tables = vec![0.0; tables.len()];
    for (l, d_table) in d_tables.chunks_mut(V * H).enumerate() {
        let shown = |(row, symbols): (usize, &[Option<usize>; 2])| Some((row, symbols[l]? as u8));
        let shown: Vec<(usize, u8)> = batch.iter().enumerate().filter_map(shown).collect();
        lookup_backward(&shown, &c, d_table, H);
    }
    assert_gradient(&d_tables, &slopes, "lookup_backward");
}

/// A batch of more rows than are computed together, every other one with dropout.
fn many<const L: usize>(rows: usize, symbols: u8) -> Vec<Example<L>> {
    let mut batch = batch::<L>(rows, symbols);
    for (row, example) in (0..).zip(&mut batch).step_by(2) {
        example.dropout = Some(Dropout::new(0.25, Stream::new(1, Purpose::Dropout).child(0, row)));
    }
    batch
}

#[test]
fn mlp_activation() {
    const H: usize = 20;
    let batch = many::<2>(3, 3);
    let batch = shard(&batch, 3);
    let (x, c) = (numbers(1, 3 * H), numbers(2, 3 * H));
    let activated = |x: &[f64]| {
        let mut y = x.to_vec();
        batch.activate(0, &mut y);
        y
    };
    let mut d_x = c.clone();
    batch.activate_backward(&activated(&x), &mut d_x);
    assert_gradient(&d_x, &numeric(&x, |x| dot(&activated(x), &c)), "activate_backward");
}

/// The pieces of the perceptron, as threads compute them: a table, a layer of weights and one of biases for each position. The
/// texts are of all lengths, and each begins with the row of its own.
#[test]
fn mlp_pieces() {
    check_mlp_pieces(&[]);
    check_mlp_pieces(&distributions(1, ROWS * 3, 4, 4));
}

/// Examples of the pieces, more than are computed together.
const ROWS: usize = 70;

/// Checks the pieces with the answers `soft`, or hard ones where there are none.
fn check_mlp_pieces(soft: &[f64]) {
    const H: usize = 18;
    const L: usize = 3;
    const V: usize = 4;
    let batch = many::<L>(ROWS, V as u8);
    let batch = Shard { soft, ..shard(&batch, V) };
    let parameters = [L * V * H, L * H, L * V * H, L * V].map(|count| numbers(count as u64, count));
    let look = |[tables, lengths, ..]: [&[f64]; 4]| {
        let mut hidden = vec![f64::NAN; ROWS * H];
        for (example, hidden) in batch.rows_mut(&mut hidden) {
            let (mut tables, shown) = (tables.chunks(V * H), example.shown());
            look_up::<_, _, _, L>(Plain, lengths, tables.by_ref().take(1), shown, hidden);
            // The second piece has no lengths: it adds to what the first left.
            look_up::<_, _, _, L>(Plain, &[], tables, &shown[1..], hidden);
        }
        batch.activate(0, &mut hidden);
        hidden
    };
    // The gradient of the logits and the losses, over what is there before.
    let score = |[.., weights, biases]: [&[f64]; 4], hidden: &[f64], before: f64| {
        let (mut d_logits, mut losses) = (vec![before; L * ROWS * V], vec![before; ROWS]);
        for (position, d_logits) in d_logits.chunks_mut(ROWS * V).enumerate() {
            let (weight, bias) = (&weights[position * V * H..][..V * H], &biases[position * V..][..V]);
            batch.output_forward(position, weight, bias, hidden, d_logits, &mut losses);
        }
        (d_logits, losses)
    };
    let loss = |views: [&[f64]; 4], hidden: &[f64]| score(views, hidden, 0.0).1.iter().sum::<f64>();
    let views = parameters.each_ref().map(|numbers| &numbers[..]);
    let hidden = look(views);
    let (d_logits, losses) = score(views, &hidden, 9.0);
    // Rows of other examples stay as they are, and losses are added to what is there.
    for (number, d_logits) in d_logits.chunks(V).enumerate() {
        let (position, example) = (number / ROWS, &batch.examples[number % ROWS]);
        let kept = if example.is_scored(position) { 0 } else { V };
        assert_eq!(d_logits.iter().filter(|d| **d == 9.0).count(), kept, "position {position}");
    }
    for (example, (loss, alone)) in batch.examples.iter().zip(losses.iter().zip(score(views, &hidden, 0.0).1))
    {
        assert_close(*loss, 9.0 + alone, F64 * 16.0, "losses are added to");
        assert!(alone == 0.0 || (0..L).any(|position| example.is_scored(position)), "nothing is scored");
    }
    let at = |position: usize| &d_logits[position * ROWS * V..][..ROWS * V];
    let mut d_hidden = vec![0.0; ROWS * H];
    for position in 0..L {
        let weight = &parameters[2][position * V * H..][..V * H];
        batch.output_backward(position, weight, at(position), &mut d_hidden);
    }
    assert_gradient(&d_hidden, &numeric(&hidden, |hidden| loss(views, hidden)), "output_backward");
    batch.activate_backward(&hidden, &mut d_hidden);

    let mut gradients = parameters.each_ref().map(|numbers| vec![0.0; numbers.len()]);
    let [d_tables, d_lengths, d_weights, d_biases] = &mut gradients;
    batch.rows_gradient(row_of_length, &d_hidden, d_lengths);
    for position in 0..L {
        let d_table = &mut d_tables[position * V * H..][..V * H];
        batch.rows_gradient(symbol_at(position), &d_hidden, d_table);
        let d_weight = &mut d_weights[position * V * H..][..V * H];
        batch.output_weight_gradient(position, &hidden, at(position), d_weight);
        let d_bias = &mut d_biases[position * V..][..V];
        batch.rows_gradient(scored_at(position), at(position), d_bias);
    }
    let names = ["of tables", "of lengths", "output_weight_gradient", "of biases"];
    for (index, name) in names.into_iter().enumerate() {
        let slopes = numeric(&parameters[index], |moved| {
            let mut views = views;
            views[index] = moved;
            loss(views, &look(views))
        });
        assert_gradient(&gradients[index], &slopes, name);
    }
}

#[test]
fn relu() {
    let (x, c): ([f64; 20], [f64; 20]) = (vector(1), vector(2));
    let slopes = numeric(&x, |x| {
        let mut y = x.to_vec();
        Activation::Relu.forward(&mut y);
        dot(&y, &c)
    });
    let (mut y, mut d) = (x, c);
    Activation::Relu.forward(&mut y);
    Activation::Relu.backward(&y, &mut d, &[0.7]);
    assert_gradient(&d, &slopes, "Activation::backward");
    let mut edges = [0.0, -0.0, f64::NAN, f64::NEG_INFINITY];
    Activation::Relu.forward(&mut edges);
    assert_eq!(edges.map(f64::to_bits), [0; 4], "the derivative at 0 is 0, and nothing else survives");
}

#[test]
fn dropout() {
    let (x, c): ([f64; 200], [f64; 200]) = (vector(1), vector(2));
    let dropout = Dropout::new(0.3, Stream::new(1, Purpose::Dropout).child(0, 0));
    let forward = |x: &[f64]| {
        let mut y = x.to_vec();
        Activation::Relu.forward(&mut y);
        dropout.forward(1, &mut y);
        y
    };
    let mut d = c;
    Activation::Relu.backward(&forward(&x), &mut d, &[]);
    dropout.backward(&mut d);
    assert_gradient(&d, &numeric(&x, |x| dot(&forward(x), &c)), "dropout after max(0, x)");
    // Alone it is its own transpose.
    let alone = |x: &[f64]| {
        let mut y = x.to_vec();
        dropout.forward(1, &mut y);
        y
    };
    assert_gradient(&alone(&c), &numeric(&x, |x| dot(&alone(x), &c)), "dropout alone");
}

/// Steps have the slope of the ramp that they stand for, and each value above 0 its price.
fn check_steps<const UNITS: usize>(price: f64) {
    let steps = Activation::Stepped(IntegerMlp::<Int4, 2, 3, UNITS>::steps());
    let mut largest = [1e9];
    steps.forward(&mut largest);
    let [largest] = largest;
    // None within half a step, 1/16, of where the ramp bends.
    let x = [-2.0, -0.3, 0.2, 0.9, 1.7, largest - 0.2, largest + 0.2, largest + 3.0];
    let c: [f64; 8] = vector(2);
    // One weight for all, and one for each column of two and of eight.
    for weights in [&[0.7][..], &[0.7, 0.2], &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]] {
        let slopes = numeric(&x, |x| {
            let ramp: Vec<f64> = x.iter().map(|x| x.clamp(0.0, largest)).collect();
            dot(&ramp, &c) + price * ramp.iter().zip(weights.iter().cycle()).map(|(y, w)| y * w).sum::<f64>()
        });
        let (mut y, mut d) = (x, c);
        steps.forward(&mut y);
        steps.backward(&y, &mut d, weights);
        assert_gradient(&d, &slopes, "Activation::backward in steps");
    }
}

#[test]
fn steps() {
    check_steps::<2>(0.0);
    check_steps::<256>(PRICE);
}

/// Behind GELU lies a product, which multiplies the gradient by the slopes that forward left.
#[test]
fn gelu() {
    const I: usize = 20;
    const O: usize = 7;
    let x: [f64; I] = vector::<I>(1).map(|x| 3.0 * x);
    let (w, c): (Vec<f64>, [f64; O]) = (numbers(3, O * I), vector(2));
    let activated = |x: &[f64]| {
        let mut y = x.to_vec();
        gelu_forward(&mut y);
        y
    };
    let slopes = numeric(&x, |x| {
        let mut z = [f64::NAN; O];
        product(&w, &activated(x), &mut z, 1, Store::Set);
        dot(&z, &c)
    });
    let (mut y, mut d) = (x, [0.0; I]);
    gelu_forward_slope(&mut y, &mut d);
    assert_eq!(y[..], activated(&x), "with and without the slope");
    product_transposed(&w, &c, &mut d, 1, Store::Multiply);
    assert_gradient(&d, &slopes, "GELU before a product");

    // The weights as a transposed product, whose backward pass is the product.
    let (x, c) = (x[..O].to_vec(), numbers(4, I));
    let slopes = numeric(&x, |x| {
        let mut z = [f64::NAN; I];
        product_transposed(&w, &activated(x), &mut z, 1, Store::Set);
        dot(&z, &c)
    });
    let (mut y, mut d) = (x, [0.0; O]);
    gelu_forward_slope(&mut y, &mut d);
    product(&w, &c, &mut d, 1, Store::Multiply);
    assert_gradient(&d, &slopes, "GELU before a transposed product");
    let (mut edges, mut slope) = ([0.0, -0.0, -1e3, 1e3], [0.0; 4]);
    gelu_forward_slope(&mut edges, &mut slope);
    assert_eq!((edges, slope), ([0.0, 0.0, 0.0, 1e3], [0.5, 0.5, 0.0, 1.0]));
}

/// Checks both products with an `outputs` × `inputs` matrix at `width` positions under the loss Σ c_il·y_il.
fn check_products(inputs: usize, outputs: usize, width: usize) {
    let w = numbers(1, outputs * inputs);
    let (x, c) = (numbers(2, inputs * width), numbers(3, outputs * width));
    let positions: Vec<usize> = (0..width).collect();
    let mut blocks = vec![f64::NAN; x.len()];
    transpose_blocks(&x, &mut blocks, width);
    let forward = |w: &[f64], x: &[f64]| {
        let mut y = vec![f64::NAN; outputs * width];
        product(w, x, &mut y, width, Store::Set);
        dot(&y, &c)
    };
    let mut d_x = vec![0.0; x.len()];
    product_transposed(&w, &c, &mut d_x, width, Store::Add);
    assert_gradient(&d_x, &numeric(&x, |x| forward(&w, x)), "product_transposed");
    let mut d_w = vec![0.0; w.len()];
    product_backward_weight(&positions, &c, &blocks, &mut d_w, width);
    assert_gradient(&d_w, &numeric(&w, |w| forward(w, &x)), "product_backward_weight");

    // The transposed product leads from c back to x's shape, so x now weighs its outputs.
    let forward = |w: &[f64]| {
        let mut y = vec![f64::NAN; inputs * width];
        product_transposed(w, &c, &mut y, width, Store::Set);
        dot(&y, &x)
    };
    let mut d_w = vec![0.0; w.len()];
    product_backward_weight(&positions, &c, &blocks, &mut d_w, width);
    assert_gradient(&d_w, &numeric(&w, forward), "product_backward_weight of the transposed product");
}

#[test]
fn products() {
    check_products(1, 1, 1);
    check_products(3, 7, 5);
    check_products(16, 9, 16);
    check_products(21, 6, 19);
    // Tiles of eight lanes, alone and behind one of sixteen, with some over and with none.
    check_products(5, 12, 8);
    check_products(9, 7, 12);
    check_products(4, 6, 24);
    check_products(3, 5, 27);
}

fn check_bias(features: usize, width: usize) {
    let (bias, x, c) = (numbers(1, features), numbers(2, features * width), numbers(3, features * width));
    let slopes = numeric(&bias, |bias| {
        let mut y = x.clone();
        add_bias(bias, &mut y, width);
        dot(&y, &c)
    });
    let mut d_bias = vec![0.0; features];
    add_bias_backward(&c, &mut d_bias, width);
    assert_gradient(&d_bias, &slopes, "add_bias_backward");
}

#[test]
fn biases() {
    check_bias(1, 1);
    check_bias(7, 3);
    check_bias(3, 18);
}

/// The texts that the columns of a map belong to: of `lengths`, side by side.
fn side_by_side(lengths: &[usize]) -> Vec<u8> {
    (0..).zip(lengths).flat_map(|(text, length)| vec![text; *length]).collect()
}

/// A shift by r − j takes back a shift by j − r. Nothing moves from text to text. Numbers past the end of the last text
/// are neither read nor moved.
#[test]
fn shifts() {
    let cases: [(usize, &[usize], usize); 9] = [
        (1, &[1], 1),
        (5, &[5], 2),
        (8, &[5], 2),
        (18, &[18], 3),
        (2, &[2], 3),
        (16, &[9], 4),
        (8, &[1], 2),
        (16, &[4, 1, 6, 3], 2),
        (8, &[3, 5], 3),
    ];
    for (width, lengths, radius) in cases {
        let (texts, longest) = (side_by_side(lengths), lengths.iter().copied().max().unwrap());
        let (x, c) = (numbers(1, 3 * width), numbers(2, 3 * width));
        for tap in 0..=2 * radius {
            let shifted = |x: &[f64], tap: usize| {
                let mut y = vec![f64::NAN; x.len()];
                shift(x, (tap, radius), &mut y, width, &texts);
                y
            };
            if tap.abs_diff(radius) < longest {
                let slopes = numeric(&x, |x| dot(&shifted(x, tap), &c));
                assert_gradient(&shifted(&c, 2 * radius - tap), &slopes, "shift");
                let outside = slopes.chunks(width).flat_map(|row| &row[texts.len()..]);
                assert!(outside.into_iter().all(|slope| *slope == 0.0), "past the end nothing is read");
            } else {
                assert!(shifted(&x, tap).iter().all(|y| *y == 0.0), "all is shifted out");
            }
        }
    }
}

/// Checks the gradients of the rows of symbols and of positions from both ends under the loss Σ c_dl·x_dl. The tables are
/// for `positions`, and `width` positions are computed. Symbols are shown twice, and not at all.
fn check_embedding(features: usize, symbols: &[Option<u8>], positions: usize, width: usize) {
    let outputs = 5;
    let counts = [outputs, positions, positions].map(|rows| rows * features);
    let tables = [1, 2, 3].map(|seed| numbers(seed, counts[seed as usize - 1]));
    let c = numbers(9, features * width);
    let loss = |[token, position, from_end]: [&[f64]; 3]| {
        let mut x = vec![0.0; features * width];
        embed(Embedding { token, position, from_end }, symbols, &mut x, width, 0);
        dot(&x, &c)
    };
    // Positions are outermost, which gives the gradient of their rows from the start.
    let mut d = vec![f64::NAN; c.len()];
    transpose(&c, &mut d, width);
    let mut gradients = counts.map(|count| vec![0.0; count]);
    let [d_token, d_position, d_from_end] = &mut gradients;
    let length = symbols.len() as u8;
    let shown: Vec<(usize, u8)> =
        symbols.iter().enumerate().filter_map(|(l, symbol)| Some((l, (*symbol)?))).collect();
    lookup_backward(&shown, &d, d_token, features);
    let positions: Vec<(usize, u8)> = (0..).zip(0..length).collect();
    lookup_backward(&positions, &d, d_position, features);
    let from_end: Vec<(usize, u8)> = (0..).zip((0..length).rev()).collect();
    lookup_backward(&from_end, &d, d_from_end, features);
    let views = tables.each_ref().map(|table| &table[..]);
    for (index, gradient) in gradients.into_iter().enumerate() {
        let slopes = numeric(&tables[index], |moved| {
            let mut views = views;
            views[index] = moved;
            loss(views)
        });
        assert_gradient(&gradient, &slopes, &format!("lookup_backward, table {index}"));
    }
}

/// The rows of symbols and of positions from both ends, each from every text of a pack.
#[test]
fn packs_of_texts() {
    const D: usize = 3;
    const L: usize = 9;
    let texts = [&[Some(1), None][..], &[Some(0)], &[Some(1), Some(3), None, Some(1)]];
    let batch = texts.map(|symbols| {
        let mut example = Example::<L>::EMPTY;
        example.clean = Text::new(&vec![0; symbols.len()]).unwrap();
        example.noisy[..symbols.len()].copy_from_slice(symbols);
        example
    });
    let pack: Pack<f64, Plain, L> = packs(shard(&batch, 5)).next().unwrap();
    assert_eq!(pack.examples().len(), 3);
    let tables = [(1, 4 * D), (2, L * D), (3, L * D)].map(|(seed, length)| numbers(seed, length));
    let c = numbers(9, D * pack.width());
    let loss = |[token, position, from_end]: [&[f64]; 3]| {
        let mut x = vec![f64::NAN; c.len()];
        pack.embed(Embedding { token, position, from_end }, &mut x);
        dot(&x, &c)
    };
    let mut d = vec![f64::NAN; c.len()];
    transpose(&c, &mut d, pack.width());
    let views = tables.each_ref().map(|table| &table[..]);
    for (tensor, table) in tables.iter().enumerate() {
        let mut gradient = vec![0.0; table.len()];
        // A part of E is one row, and P and Q are whole.
        let part = if tensor == 0 { D } else { table.len() };
        for (index, out) in gradient.chunks_mut(part).enumerate() {
            pack.embed_backward(Part { tensor, index }, &d, out, D);
        }
        let slopes = numeric(table, |moved| {
            let mut views = views;
            views[tensor] = moved;
            loss(views)
        });
        assert_gradient(&gradient, &slopes, "Pack::embed_backward");
    }
}

#[test]
fn embedding() {
    check_embedding(3, &[Some(1), None, Some(4), Some(1), None], 5, 5);
    check_embedding(3, &[Some(1), None, Some(4), Some(1), None], 12, 8);
    check_embedding(4, &[Some(2)], 20, 8);
    let text: Vec<Option<u8>> = (0..18).map(|l| (l % 5 != 0).then_some(l % 3)).collect();
    check_embedding(17, &text, 18, 18);
    check_embedding(17, &text, 32, 24);
}

fn check_rms_norm(features: usize, width: usize) {
    let gain = numbers(1, features);
    let (x, c) = (numbers(2, features * width), numbers(3, features * width));
    let loss = |gain: &[f64], x: &[f64]| {
        let mut y = vec![f64::NAN; x.len()];
        rms_norm_forward(gain, x, &mut y, width, f64::sqrt);
        dot(&y, &c)
    };
    let (mut d, mut d_gain) = (c.clone(), vec![f64::NAN; features]);
    rms_norm_backward(&gain, &x, &mut d, &mut d_gain, width, f64::sqrt);
    assert_gradient(&d, &numeric(&x, |x| loss(&gain, x)), "rms_norm_backward");
    assert_gradient(&d_gain, &numeric(&gain, |gain| loss(gain, &x)), "rms_norm_backward, the gain");
}

#[test]
fn rms_norm() {
    check_rms_norm(3, 2);
    check_rms_norm(5, 16);
    check_rms_norm(8, 19);
    check_rms_norm(6, 8);
    check_rms_norm(4, 12);
    check_rms_norm(2, 64);
    let mut y = [f64::NAN; 6];
    rms_norm_forward(&[1.0; 3], &[0.0; 6], &mut y, 2, f64::sqrt);
    assert_eq!(y, [0.0; 6], "zeros stay zeros");
}

/// Checks attention within texts of `lengths`, side by side in `width` positions, under the loss Σ c_fj·y_fj: nothing reads
/// what lies past the end.
fn check_attention(number: usize, features: usize, width: usize, lengths: &[usize]) {
    let (heads, texts) = (Heads { features, positions: width }, side_by_side(lengths));
    let length = number * features * width;
    let mut inputs: Vec<f64> = numbers(1, 3 * length).into_iter().map(|x| 2.0 * x).collect();
    let c = numbers(4, length);
    let forward = |inputs: &[f64]| {
        let [query, key, value] = [0, 1, 2].map(|map| &inputs[map * length..][..length]);
        let (mut share, mut y) = (vec![f64::NAN; number * width * width], vec![f64::NAN; length]);
        attention_forward(heads, &texts, [query, key, value], &mut share, &mut y);
        (share, y)
    };
    let slopes = numeric(&inputs, |inputs| dot(&forward(inputs).1, &c));
    let past =
        |map: usize| slopes[map * length..][..length].chunks(width).flat_map(|row| &row[texts.len()..]);
    assert!(
        past(0).chain(past(1)).chain(past(2)).all(|slope| *slope == 0.0),
        "what lies past the end is not read"
    );
    let (mut share, _) = forward(&inputs);
    for head in share.chunks(width * width) {
        for j in 0..width {
            let share = |i: &usize| head[i * width + j];
            let (own, others): (Vec<_>, Vec<_>) =
                (0..width).partition(|i| texts.get(j).is_some_and(|text| texts.get(*i) == Some(text)));
            let total = if j < texts.len() { 1.0 } else { 0.0 };
            assert_close(own.iter().map(share).sum::<f64>(), total, SHARES, "the shares of a position");
            assert!(others.iter().all(|i| share(i) == 0.0), "no share goes to another text");
        }
    }
    let mut rest = &mut inputs[..];
    let maps = [0, 1, 2].map(|_| rest.split_off_mut(..length).unwrap());
    attention_backward(heads, maps, &mut share, &mut c.clone(), &mut vec![f64::NAN; width * width]);
    assert_gradient(&inputs, &slopes, "attention_backward");
}

#[test]
fn attention() {
    check_attention(1, 2, 3, &[3]);
    check_attention(1, 5, 16, &[16]);
    check_attention(1, 7, 18, &[18]);
    check_attention(3, 4, 17, &[17]);
    check_attention(2, 3, 8, &[5]);
    check_attention(1, 4, 16, &[9]);
    check_attention(2, 2, 12, &[11]);
    // A text of one letter attends to nothing else, so only its value has slopes.
    check_attention(1, 3, 8, &[1]);
    check_attention(2, 3, 16, &[5, 1, 7]);
    check_attention(1, 4, 8, &[3, 5]);
}

#[test]
fn cross_entropy_with_and_without_excluded_symbols() {
    let z: [f64; 19] = vector(1);
    for symbols in [19, 16, 7, 1] {
        let soft = distributions(2, 1, 19, symbols);
        for answer in [None, Some(&soft[..])] {
            let target = (0, answer, 1.7);
            let loss = |z: &[f64]| cross_entropy(&mut <[f64; 19]>::try_from(z).unwrap(), symbols, target);
            let slopes = numeric(&z, loss);
            let mut d_z = z;
            cross_entropy(&mut d_z, symbols, target);
            assert!(d_z[symbols..].iter().all(|d| *d == 0.0), "symbols past the alphabet get no gradient");
            if symbols > 1 {
                assert_gradient(&d_z, &slopes, "cross_entropy");
            } else {
                assert_close(loss(&z), 0.0, F64, "one symbol is certain");
            }
        }
    }
}

#[test]
fn cross_entropy_of_all_positions() {
    const V: usize = 11;
    const ROWS: usize = 5;
    for symbols in [V, 9] {
        let soft = distributions(2, 1, V, symbols);
        // Positions 1 and 3 do not count, position 2 has a soft target, and the text ends before the map.
        let mut targets = [(7, None, 0.0); ROWS + 3];
        for row in [0, 2, 4] {
            let soft = (row == 2).then_some(&soft[..]);
            targets[row] = ((2 * row) as u8, soft, 0.25 + row as f64);
        }
        for width in [ROWS, ROWS + 3] {
            let columns = numbers(8, V * width);
            let loss = |z: &mut [f64]| {
                let mut losses = vec![f64::NAN; width];
                cross_entropy_of_positions(&targets[..width], symbols, z, &mut losses);
                losses.iter().sum::<f64>()
            };
            let mut d_columns = columns.clone();
            let sum = loss(&mut d_columns);
            let slopes = numeric(&columns, |z| loss(&mut z.to_vec()));
            assert_gradient(&d_columns, &slopes, "cross_entropy_of_positions");
            let mut alone = 0.0;
            for (position, target) in targets.into_iter().enumerate().take(width) {
                let mut column: Vec<f64> = (0..V).map(|v| columns[v * width + position]).collect();
                alone += cross_entropy(&mut column, symbols, target);
                for v in 0..V {
                    assert_eq!(d_columns[v * width + position], column[v], "0 where the weight is");
                }
            }
            assert_close(sum, alone, F64 * 16.0, "both ways");
        }
    }
}

/// Checks every parameter of model `M` for texts of all lengths.
fn check_model<M: Model<L, V>, const L: usize, const V: usize>(symbols: u8, name: &str) {
    let examples = batch::<L>(L.max(5), symbols);
    let lengths = |length| examples.iter().any(|example| example.length() == length);
    assert!((1..=L).all(lengths), "texts of all lengths");
    check_batch::<M, L, V>(examples, symbols, name);
}

/// Checks every parameter of model `M`, from parameters large enough that no gradient is negligible, with all hidden values and
/// with dropout.
fn check_batch<M: Model<L, V>, const L: usize, const V: usize>(
    examples: Vec<Example<L>>,
    symbols: u8,
    name: &str,
) {
    check_examples::<M, L, V>(&examples, symbols, name);
    let dropout = |row| Some(Dropout::new(0.3, Stream::new(2, Purpose::Dropout).child(0, row)));
    let with = |(row, example)| Example { dropout: dropout(row), ..example };
    let examples: Vec<_> = (0..).zip(examples).map(with).collect();
    check_examples::<M, L, V>(&examples, symbols, &format!("{name} with dropout"));
}

fn check_examples<M: Model<L, V>, const L: usize, const V: usize>(
    examples: &[Example<L>],
    symbols: u8,
    name: &str,
) {
    let parameters = numbers(5, M::PARAMETERS);
    let symbols = usize::from(symbols);
    let (losses, gradient) = loss_and_gradient::<M, L, V>(&parameters, shard(examples, symbols));
    for ((example, place), loss) in examples.iter().zip(places(M::SHAPE, examples)).zip(losses) {
        let hidden = &mut Hidden::new(Activation::Relu);
        let [naive, _] = loss_and_price(M::SHAPE, &parameters, (example, place), symbols, hidden);
        assert_close(loss, naive, PROPERTY_F64, &format!("{name}, the loss of {} letters", example.length()));
    }
    let mut records = vec![f64::NAN; examples.len() * M::RECORD];
    let loss = |parameters: &[f64]| -> f64 {
        let mut losses = vec![f64::NAN; examples.len()];
        let view = M::view(parameters).unwrap();
        M::forward_backward(shard(examples, symbols), view, &mut records, &mut losses);
        losses.iter().sum()
    };
    let slopes = match M::SHAPE.architecture {
        Architecture::Transformer | Architecture::LocalTransformer => numeric_of_smooth(&parameters, loss),
        _ => numeric(&parameters, loss),
    };
    assert_tensors::<M, L, V>(&gradient, &slopes, name);
}

/// Compares gradient and slopes tensor by tensor.
fn assert_tensors<M: Model<L, V>, const L: usize, const V: usize>(
    gradient: &[f64],
    slopes: &[f64],
    name: &str,
) {
    let (mut gradient, mut slopes) = (gradient, slopes);
    for tensor in M::TENSORS {
        let parts = [&mut gradient, &mut slopes].map(|flat| flat.split_off(..tensor.numbers()).unwrap());
        assert_gradient(parts[0], parts[1], &format!("{name}, {}", tensor.name));
    }
    assert!(gradient.is_empty() && slopes.is_empty(), "{name}: the tensors are the whole");
}

/// Checks every parameter of a model whose hidden values are in steps, each with its price. The slopes are those of its
/// equations with every step continued by its ramp.
fn check_steps_of_model<M: Model<L, V>, const L: usize, const V: usize>(symbols: u8, name: &str) {
    let activation = Activation::Stepped(Steps { exponent: 3, largest: 70, price: 0.05 });
    let examples = batch::<L>(L.max(5), symbols);
    let (parameters, symbols) = (numbers(5, M::PARAMETERS), usize::from(symbols));
    let (mut records, mut losses) =
        (vec![f64::NAN; examples.len() * M::RECORD], vec![f64::NAN; examples.len()]);
    let view = M::view(&parameters[..]).unwrap();
    let batch = Shard { activation, ..shard(&examples, symbols) };
    M::forward_backward(batch, view, &mut records, &mut losses);
    let mut gradient = vec![0.0; M::PARAMETERS];
    add_gradient::<M, _, _, L, V>(batch, &records, &mut gradient);
    let mut hidden: Vec<Hidden> = examples.iter().map(|_| Hidden::new(activation)).collect();
    let placed = || examples.iter().zip(places(M::SHAPE, &examples));
    for (((example, place), hidden), loss) in placed().zip(&mut hidden).zip(losses) {
        let [naive, _] = loss_and_price(M::SHAPE, &parameters, (example, place), symbols, hidden);
        assert_close(loss, naive, PROPERTY_F64, &format!("{name}, the loss of {} letters", example.length()));
    }
    let slopes = numeric(&parameters, |parameters| {
        placed()
            .zip(&mut hidden)
            .map(|(placed, hidden)| {
                hidden.along_the_slopes();
                loss_and_price(M::SHAPE, parameters, placed, symbols, hidden).iter().sum::<f64>()
            })
            .sum()
    });
    assert_tensors::<M, L, V>(&gradient, &slopes, &format!("{name} in steps"));
}

/// Checks every parameter of model `M` whose answers are soft, and its losses: they are linear in the answers, so for one
/// distribution at all positions each is the mean, by that, of the losses of every symbol at all positions.
fn check_soft<M: Model<L, V>, const L: usize, const V: usize>(symbols: usize, name: &str) {
    let examples = batch::<L>(L.max(5), symbols as u8);
    let parameters = numbers(5, M::PARAMETERS);
    let one = distributions(3, 1, V, symbols);
    let soft = one.repeat(examples.len() * L);
    let taught =
        loss_and_gradient::<M, L, V>(&parameters, Shard { soft: &soft, ..shard(&examples, symbols) }).0;
    let mut means = vec![0.0; examples.len()];
    for (symbol, share) in (0..).zip(&one[..symbols]) {
        let all = |example: &Example<L>| Text::new(&vec![symbol; example.length()]).unwrap();
        let rows: Vec<_> = examples.iter().map(|row| Example { clean: all(row), ..*row }).collect();
        let hard = loss_and_gradient::<M, L, V>(&parameters, shard(&rows, symbols)).0;
        means.iter_mut().zip(hard).for_each(|(mean, loss)| *mean += share * loss);
    }
    for (taught, mean) in taught.iter().zip(means) {
        assert_close(*taught, mean, SOFT_LOSS, &format!("{name}, a soft loss"));
    }

    let soft = distributions(4, examples.len() * L, V, symbols);
    let batch = Shard { soft: &soft, ..shard(&examples, symbols) };
    let (_, gradient) = loss_and_gradient::<M, L, V>(&parameters, batch);
    let loss = |parameters: &[f64]| -> f64 { loss_and_gradient::<M, L, V>(parameters, batch).0.iter().sum() };
    let slopes = match M::SHAPE.architecture {
        Architecture::Transformer | Architecture::LocalTransformer => numeric_of_smooth(&parameters, loss),
        _ => numeric(&parameters, loss),
    };
    assert_tensors::<M, L, V>(&gradient, &slopes, &format!("{name} with soft targets"));
}

#[test]
fn soft_answers() {
    check_soft::<Mlp<4, 7, 17>, 4, 7>(5, "Mlp<4, 7, 17> with 5 symbols");
    check_soft::<Residual<2, 7, 16>, 2, 7>(5, "Residual<2, 7, 16> with 5 symbols");
    check_soft::<Convolution<5, 4, 3, 2, 3>, 5, 4>(4, "Convolution<5, 4, 3, 2, 3>");
    // Several texts in a pack.
    check_soft::<Convolution<20, 3, 3, 2, 3>, 20, 3>(3, "Convolution<20, 3, 3, 2, 3>");
    check_soft::<Transformer<5, 7, 6, 1, 2>, 5, 7>(5, "Transformer<5, 7, 6, 1, 2> with 5 symbols");
    check_soft::<Transformer<5, 4, 4, 1, 2, 3>, 5, 4>(4, "Transformer<5, 4, 4, 1, 2, 3>");
}

#[test]
fn mlp() {
    check_model::<Mlp<3, 4, 5>, 3, 4>(4, "Mlp<3, 4, 5>");
    check_model::<Mlp<4, 7, 17>, 4, 7>(5, "Mlp<4, 7, 17> with 5 symbols");
    check_model::<Mlp<12, 3, 6>, 12, 3>(3, "Mlp<12, 3, 6>");
    check_steps_of_model::<Mlp<5, 4, 7>, 5, 4>(4, "Mlp<5, 4, 7>");
}

#[test]
fn residual() {
    check_model::<Residual<3, 4, 16>, 3, 4>(4, "Residual<3, 4, 16>");
    check_model::<Residual<2, 7, 16>, 2, 7>(5, "Residual<2, 7, 16> with 5 symbols");
    check_model::<Residual<12, 2, 16>, 12, 2>(2, "Residual<12, 2, 16>");
    check_steps_of_model::<Residual<5, 3, 16>, 5, 3>(3, "Residual<5, 3, 16>");
}

#[test]
fn convolution() {
    check_model::<Convolution<4, 5, 6, 2, 3>, 4, 5>(5, "Convolution<4, 5, 6, 2, 3>");
    check_model::<Convolution<16, 3, 16, 1, 5>, 16, 3>(3, "Convolution<16, 3, 16, 1, 5>");
    check_model::<Convolution<2, 7, 3, 3, 7>, 2, 7>(5, "Convolution<2, 7, 3, 3, 7> with 5 symbols");
    check_model::<Convolution<5, 4, 3, 2, 3>, 5, 4>(4, "Convolution<5, 4, 3, 2, 3>");
    check_model::<Convolution<12, 3, 4, 2, 5>, 12, 3>(3, "Convolution<12, 3, 4, 2, 5>");
    check_model::<Convolution<20, 3, 3, 2, 3>, 20, 3>(3, "Convolution<20, 3, 3, 2, 3>");
    check_steps_of_model::<Convolution<12, 3, 3, 2, 3>, 12, 3>(3, "Convolution<12, 3, 3, 2, 3>");
}

#[test]
fn transformer() {
    check_model::<Transformer<3, 4, 4, 2, 2>, 3, 4>(4, "Transformer<3, 4, 4, 2, 2>");
    check_model::<Transformer<2, 3, 2, 4, 1>, 2, 3>(3, "Transformer<2, 3, 2, 4, 1>");
    check_model::<Transformer<5, 7, 6, 1, 2>, 5, 7>(5, "Transformer<5, 7, 6, 1, 2> with 5 symbols");
    // Large, so only some lengths.
    check_batch::<Transformer<16, 3, 16, 1, 1>, 16, 3>(batch(3, 3), 3, "Transformer<16, 3, 16, 1, 1>");
    check_model::<Transformer<16, 3, 4, 1, 1>, 16, 3>(3, "Transformer<16, 3, 4, 1, 1>");
    check_model::<Transformer<12, 3, 4, 2, 2>, 12, 3>(3, "Transformer<12, 3, 4, 2, 2>");
    check_model::<Transformer<20, 3, 3, 1, 1>, 20, 3>(3, "Transformer<20, 3, 3, 1, 1>");
    // Three taps.
    check_model::<Transformer<3, 4, 4, 2, 2, 3>, 3, 4>(4, "Transformer<3, 4, 4, 2, 2, 3>");
    check_model::<Transformer<5, 7, 6, 1, 2, 3>, 5, 7>(5, "Transformer<5, 7, 6, 1, 2, 3> with 5 symbols");
    check_model::<Transformer<20, 3, 3, 2, 1, 3>, 20, 3>(3, "Transformer<20, 3, 3, 2, 1, 3>");
}
