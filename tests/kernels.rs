//! The blocked kernels against naive twins that follow the documented order of each sum: the same bits.
use common::integers::all_scores;
use common::naive::logits_at_work;
use common::tolerance::{AT_WORK, ORACLE_SCORES, assert_close};
use common::{add_gradient, batch, distributions, numbers, shard};
use micro_diffusion::activation::Activation;
use micro_diffusion::attention::{Heads, attention_backward, attention_forward};
use micro_diffusion::bound::negative_log_probability;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Architecture, Denoiser, Example, Model, Shard};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::embedding::{Embedding, embed};
use micro_diffusion::kernels::Plain;
use micro_diffusion::linear::{
    LANES, linear_backward_input, linear_backward_weight, linear_forward, lookup_backward, lookup_forward,
    sum_lanes,
};
use micro_diffusion::mlp::{Mlp, look_up};
use micro_diffusion::normalisation::{rms_norm_backward, rms_norm_forward};
use micro_diffusion::product::{
    FEW, Store, TILE, add_bias, add_bias_backward, product, product_backward_weight, product_transposed,
    shift, transpose, transpose_blocks, width_of,
};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream, threefry2x32};
use micro_diffusion::rounding::{Grid, straight_through};
use micro_diffusion::softmax::{cross_entropy, softmax_forward};
use micro_diffusion::softmax_of_maps::cross_entropy_of_positions;
use micro_diffusion::steps::Steps;
use micro_diffusion::text::Text;
use micro_diffusion::transformer::Transformer;

fn floats(seed: u64, count: usize) -> Vec<f32> {
    numbers(seed, count).into_iter().map(|x| x as f32).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Widths around those of the blocks: 4, 8, 16, and none.
const WIDTHS: [usize; 12] = [1, 3, 4, 7, 8, 12, 16, 18, 20, 24, 33, 64];

/// Lanes added by halves, in so many words.
fn halves(mut lanes: Vec<f32>) -> f32 {
    while lanes.len() > 1 {
        let half = lanes.len() / 2;
        lanes = (0..half).map(|i| lanes[i] + lanes[i + half]).collect();
    }
    lanes[0]
}

/// The documented dot product: element i to lane i mod 8.
fn naive_dot(w: &[f32], x: &[f32]) -> f32 {
    let mut lanes = vec![0.0; LANES];
    for i in 0..w.len() {
        lanes[i % LANES] += w[i] * x[i];
    }
    halves(lanes)
}

/// The dense kernels on `rows` of a batch, and what they leave of the others.
fn check_sizes(inputs: usize, outputs: usize, rows: &[usize]) {
    let batch = rows.iter().max().unwrap() + 2;
    let (weight, bias) = (floats(1, outputs * inputs), floats(2, outputs));
    let (x, d_y) = (floats(3, batch * inputs), floats(4, batch * outputs));
    let what = format!("{inputs}×{outputs}, {} of {batch} rows", rows.len());

    let mut y = floats(5, batch * outputs);
    let mut naive = y.clone();
    linear_forward(&weight, &bias, rows, &x, &mut y);
    for row in rows {
        for (v, weight) in weight.chunks(inputs).enumerate() {
            naive[row * outputs + v] = bias[v] + naive_dot(weight, &x[row * inputs..][..inputs]);
        }
    }
    assert_eq!(bits(&y), bits(&naive), "forward {what}");

    let mut d_x = floats(6, batch * inputs);
    let mut naive = d_x.clone();
    linear_backward_input(&weight, rows, &d_y, &mut d_x, inputs);
    for row in rows {
        for (v, i) in pairs(outputs, inputs) {
            naive[row * inputs + i] += d_y[row * outputs + v] * weight[v * inputs + i];
        }
    }
    assert_eq!(bits(&d_x), bits(&naive), "backward to the input {what}");

    let before = floats(7, outputs * inputs);
    let mut naive = before.clone();
    let mut d_bias = floats(8, outputs);
    let mut naive_bias = d_bias.clone();
    let reads: Vec<(usize, u8)> = rows.iter().map(|row| (*row, 0)).collect();
    lookup_backward(&reads, &d_y, &mut d_bias, outputs);
    for row in rows {
        for v in 0..outputs {
            naive_bias[v] += d_y[row * outputs + v];
        }
        for (v, i) in pairs(outputs, inputs) {
            naive[v * inputs + i] += d_y[row * outputs + v] * x[row * inputs + i];
        }
    }
    assert_eq!(bits(&d_bias), bits(&naive_bias), "backward to the bias {what}");
    for stride in [outputs, outputs + 1, 2 * outputs + 5] {
        let mut spaced = vec![f32::NAN; batch * stride];
        for (spaced, d_y) in spaced.chunks_mut(stride).zip(d_y.chunks(outputs)) {
            spaced[..outputs].copy_from_slice(d_y);
        }
        let mut d_weight = before.clone();
        linear_backward_weight(rows, &x, &spaced, stride, &mut d_weight, inputs);
        assert_eq!(bits(&d_weight), bits(&naive), "backward to the weight {what}, {stride} apart");
    }
}

#[test]
fn dense_kernels_follow_their_documented_order() {
    let few = [0, 1, 2, 4];
    check_sizes(1, 1, &few);
    check_sizes(7, 2, &few);
    check_sizes(8, 9, &few);
    check_sizes(17, 10, &few);
    check_sizes(18, 27, &few);
    check_sizes(64, 3, &few);
    check_sizes(65, 28, &few);
    check_sizes(100, 12, &few);
    check_sizes(256, 27, &few);
    // Every number of a record and of the memory is written if every position counts: no buffer is too large. Networks
    // whose records lie one behind the other fill each up to a multiple of 16.
    for outputs in 1..=40 {
        check_sizes(33, outputs, &few);
    }
    // More rows than are computed together, and twice as many.
    for count in [64, 65, 150] {
        let rows: Vec<usize> = (0..count).map(|row| 3 * row / 2).collect();
        check_sizes(33, 19, &rows);
        check_sizes(16, 9, &rows);
    }
}

#[test]
fn lookups_follow_their_documented_order() {
    const V: usize = 4;
    for width in [1, 19, 64, 130] {
        let table = |l: usize| floats(10 + l as u64, V * width);
        let tables = [0, 1, 2, 3, 4].map(table);
        let lengths = floats(90, 7 * width);
        // A masked position adds nothing, and neither does a symbol that is not in the table.
        let noisy = [Some(3), None, Some(0), Some(4), Some(1)];
        let in_order = tables.iter().map(Vec::as_slice);
        // Equal symbols in texts of five letters, of four and of one.
        let text = |length: usize| Text::new(&[1, 2, 3, 0, 1][..length]).unwrap();
        let batch = [5, 4, 1].map(|length| Example { clean: text(length), noisy, ..Example::EMPTY });
        let mut y = vec![f32::NAN; 3 * width];
        for (example, y) in shard(&batch, V).rows_mut(&mut y) {
            look_up::<_, _, _, 5>(Plain, &lengths, in_order.clone(), example.shown(), y);
        }
        let row = |l: usize, v: usize| &tables[l][v * width..][..width];
        for i in 0..width {
            let of_length = |length: usize| lengths[(length - 1) * width + i];
            let sums = [
                of_length(5) + row(0, 3)[i] + row(2, 0)[i] + row(4, 1)[i],
                of_length(4) + row(0, 3)[i] + row(2, 0)[i],
                of_length(1) + row(0, 3)[i],
            ];
            for (number, sum) in sums.into_iter().enumerate() {
                assert_eq!(y[number * width + i].to_bits(), sum.to_bits(), "{i} of {width}, text {number}");
            }
        }
        let (mut again, rows) = (lengths[4 * width..][..width].to_vec(), [row(0, 3), row(2, 0), row(4, 1)]);
        lookup_forward(&rows, &mut again);
        assert_eq!(bits(&again), bits(&y[..width]));

        // Rows of a batch in their order, some of one symbol, one of none that the table has.
        let (d_y, before) = (floats(91, 6 * width), floats(92, V * width));
        let shown = [(5, 2), (0, 1), (3, 2), (1, 4), (2, 2)];
        let (mut d_table, mut naive) = (before.clone(), before);
        lookup_backward(&shown, &d_y, &mut d_table, width);
        for (row, symbol) in shown.into_iter().filter(|(_, symbol)| usize::from(*symbol) < V) {
            for i in 0..width {
                naive[usize::from(symbol) * width + i] += d_y[row * width + i];
            }
        }
        assert_eq!(bits(&d_table), bits(&naive), "backward to a table of width {width}");
    }
}

#[test]
fn embeddings_follow_their_documented_order() {
    const V: usize = 4;
    for (positions, width, length, features) in [
        (1, 1, 1, 1),
        (5, 5, 5, 3),
        (18, 18, 18, 17),
        (16, 16, 16, 64),
        (5, 5, 2, 3),
        (12, 8, 5, 6),
        (20, 8, 8, 4),
        (32, 24, 17, 5),
    ] {
        let token = floats(1, V * features);
        let [position, from_end] = [2, 3].map(|seed| floats(seed, positions * features));
        let tables = Embedding { token: &token, position: &position, from_end: &from_end };
        // 4 is in no row of the table, and reads as MASK, which has none.
        let symbols: Vec<Option<u8>> = (0..length).map(|l| (l % 3 != 1).then_some((l % 5) as u8)).collect();
        let before = floats(7, features * width);
        let mut x = before.clone();
        // Skips the first column, if there is one to spare.
        let first = usize::from(length < width);
        embed(tables, &symbols, &mut x, width, first);
        for (d, column) in pairs(features, width) {
            let mut sum = before[d * width + column];
            if let Some(l) = column.checked_sub(first).filter(|l| *l < length) {
                sum = position[l * features + d] + from_end[(length - 1 - l) * features + d];
                if let Some(symbol) = symbols[l].map(usize::from).filter(|symbol| *symbol < V) {
                    sum += token[symbol * features + d];
                }
            }
            assert_eq!(x[d * width + column].to_bits(), f32::to_bits(sum), "feature {d} of {column}");
        }
    }
}

#[test]
fn a_rectified_zero_has_no_sign() {
    let mut x = [-0.0, f32::NAN, -1.0, 2.0];
    Activation::Relu.forward(&mut x);
    assert_eq!(x.map(f32::to_bits), [0.0, 0.0, 0.0, 2.0].map(f32::to_bits));
}

#[test]
fn lanes_are_added_by_halves() {
    let lanes: [f32; LANES] = floats(1, LANES).try_into().unwrap();
    assert_eq!(sum_lanes(lanes).to_bits(), halves(lanes.to_vec()).to_bits());
    // An order that matters: 1 + 2⁻²⁴ is 1, but two halves of it add first.
    let tiny = 2.0_f32.powi(-24);
    assert_eq!(sum_lanes([1.0, tiny, 0.0, 0.0, 0.0, tiny, 0.0, 0.0]), 1.0 + 2.0 * tiny);
    assert_eq!(sum_lanes([1.0, tiny, 0.0, tiny, 0.0, 0.0, 0.0, 0.0]), 1.0 + 2.0 * tiny);
}

#[test]
fn softmax_follows_its_documented_order() {
    for length in [1, 2, 7, 8, 9, 27, 96] {
        let x = floats(length as u64, length);
        let mut softmax = x.clone();
        softmax_forward(&mut softmax);
        let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut lanes = vec![0.0; LANES];
        let powers: Vec<f32> = x.iter().map(|x| micro_diffusion::math::exp(x - largest)).collect();
        for (i, power) in powers.iter().enumerate() {
            lanes[i % LANES] += power;
        }
        let scale = 1.0 / halves(lanes);
        for (p, power) in softmax.iter().zip(powers) {
            assert_eq!(p.to_bits(), (power * scale).to_bits(), "length {length}");
        }
    }
}

/// A column of logits at a time is each on its own.
#[test]
fn cross_entropies_of_positions_are_those_of_each() {
    const ROWS: usize = 7;
    for (outputs, symbols) in [(1, 1), (9, 9), (27, 20), (130, 130)] {
        let z = floats(outputs as u64, ROWS * outputs);
        let soft = distributions(3, ROWS, outputs, symbols);
        // Rows 5 and 3 have hard targets, 0 and 6 soft ones, and the others no weight.
        let mut targets = [(0, None, 0.0); ROWS];
        for row in [5, 0, 3, 6] {
            let soft = (row % 3 == 0 && row != 3).then_some(&soft[row * outputs..][..outputs]);
            targets[row] = ((row * 5 % symbols) as u8, soft, 0.5 + row as f32);
        }
        let (mut columns, mut losses) = (transposed(&z, outputs), [f32::NAN; ROWS]);
        cross_entropy_of_positions(&targets, symbols, &mut columns, &mut losses);
        let (mut naive, mut naive_losses) = (z.clone(), [0.0; ROWS]);
        for (row, z) in naive.chunks_mut(outputs).enumerate() {
            match targets[row] {
                (.., 0.0) => z.fill(0.0),
                target => naive_losses[row] = cross_entropy(z, symbols, target),
            }
        }
        let naive = transposed(&naive, outputs);
        assert_eq!((bits(&columns), bits(&losses)), (bits(&naive), bits(&naive_losses)), "{outputs} columns");
    }
}

/// The plain transpose of rows of `width`.
fn transposed(x: &[f32], width: usize) -> Vec<f32> {
    let features = x.len() / width;
    pairs(width, features).map(|(l, i)| x[i * width + l]).collect()
}

/// Σ a·b from 0, one term after the other.
fn ascending(terms: impl Iterator<Item = (f32, f32)>) -> f32 {
    terms.fold(0.0, |sum, (a, b)| sum + a * b)
}

/// The stored value of a sum, spelt out.
fn stored(store: Store, y: f32, sum: f32) -> f32 {
    match store {
        Store::Set => sum,
        Store::Add => y + sum,
        Store::Multiply => y * sum,
    }
}

fn check_products(inputs: usize, outputs: usize, width: usize) {
    let (w, x, d_y) = (floats(1, outputs * inputs), floats(2, inputs * width), floats(3, outputs * width));
    let what = format!("{outputs}×{inputs}×{width}");
    for store in [Store::Set, Store::Add, Store::Multiply] {
        let mut ours = floats(4, outputs * width);
        let mut naive = ours.clone();
        product(&w, &x, &mut ours, width, store);
        for (o, l) in pairs(outputs, width) {
            let sum = ascending((0..inputs).map(|i| (w[o * inputs + i], x[i * width + l])));
            naive[o * width + l] = stored(store, naive[o * width + l], sum);
        }
        assert_eq!(bits(&ours), bits(&naive), "product {what}, {store:?}");

        let mut ours = floats(5, inputs * width);
        let mut naive = ours.clone();
        product_transposed(&w, &d_y, &mut ours, width, store);
        for (i, l) in pairs(inputs, width) {
            let sum = ascending((0..outputs).map(|o| (w[o * inputs + i], d_y[o * width + l])));
            naive[i * width + l] = stored(store, naive[i * width + l], sum);
        }
        assert_eq!(bits(&ours), bits(&naive), "product with the transposed {what}, {store:?}");
    }

    let mut blocks = vec![f32::NAN; x.len()];
    transpose_blocks(&x, &mut blocks, width);
    let mut ours = floats(6, outputs * inputs);
    let mut naive = ours.clone();
    product_backward_weight(&(0..width).collect::<Vec<_>>(), &d_y, &blocks, &mut ours, width);
    for (o, i) in pairs(outputs, inputs) {
        naive[o * inputs + i] += ascending((0..width).map(|l| (d_y[o * width + l], x[i * width + l])));
    }
    assert_eq!(bits(&ours), bits(&naive), "backward to the weight {what}");
}

fn pairs(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

#[test]
fn products_follow_their_documented_order() {
    check_products(1, 1, 1);
    check_products(5, 7, 3);
    check_products(16, 16, 16);
    check_products(17, 13, 12);
    check_products(64, 64, 16);
    check_products(48, 27, 32);
    check_products(40, 8, 50);
    check_products(27, 6, 16);
    // Rows in tiles of six, of five and of one, some of each and none.
    check_products(16, 10, 16);
    check_products(20, 26, 16);
    check_products(22, 19, 16);
    check_products(29, 64, 4);
    for rows in 1..=40 {
        check_products(rows, 41 - rows, 17);
    }
    for width in WIDTHS {
        check_products(23, 11, width);
    }
}

fn check_positions(inputs: usize, outputs: usize, chosen: &[bool]) {
    let width = chosen.len();
    let (mut d_y, x) = (floats(1, outputs * width), floats(2, inputs * width));
    for (row, l) in pairs(outputs, width) {
        if !chosen[l] {
            // Zeros of both signs are ignored.
            d_y[row * width + l] = if row % 2 == 0 { 0.0 } else { -0.0 };
        }
    }
    let mut blocks = vec![f32::NAN; x.len()];
    transpose_blocks(&x, &mut blocks, width);
    let positions: Vec<usize> = (0..width).filter(|l| chosen[*l]).collect();
    let mut all = floats(3, outputs * inputs);
    let mut some = all.clone();
    product_backward_weight(&(0..width).collect::<Vec<_>>(), &d_y, &blocks, &mut all, width);
    product_backward_weight(&positions, &d_y, &blocks, &mut some, width);
    assert_eq!(bits(&some), bits(&all), "{outputs}×{inputs}×{width}");
}

#[test]
fn positions_of_gradient_0_may_be_left_out() {
    check_positions(27, 20, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(|l| l % 3 == 1));
    check_positions(17, 7, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(|l| l == 11));
    check_positions(16, 16, &[true; 16]);
    check_positions(5, 3, &[false; 4]);
    check_positions(11, 8, &[0, 1, 2, 3, 4, 5, 6, 7].map(|l| l < 5));
}

/// Whole registers of eight, and never more positions than a network has.
#[test]
fn a_width_is_the_next_multiple_of_eight_within_the_most() {
    for most in 1..=40 {
        for length in 0..=most {
            let eights = (0..).map(|count| 8 * count).find(|width| *width >= length).unwrap();
            assert_eq!(width_of(length, most), eights.min(most), "{length} of {most}");
        }
    }
}

#[test]
fn what_is_moved_lands_where_it_is_documented() {
    for (features, width) in [1, 3, 4, 5, 16, 17, 21, 40].into_iter().flat_map(|n| WIDTHS.map(|l| (n, l))) {
        let x = floats((100 * features + width) as u64, features * width);
        let mut y = vec![f32::NAN; x.len()];
        transpose(&x, &mut y, width);
        assert_eq!(y, transposed(&x, width), "transpose {features}×{width}");

        let mut y = vec![f32::NAN; x.len()];
        transpose_blocks(&x, &mut y, width);
        let (whole, few) = (features - features % TILE, features - features % FEW);
        for (i, l) in pairs(features, width) {
            // The first feature of the block, and how many it has.
            let (first, length) = match i {
                i if i < whole => (i - i % TILE, TILE),
                i if i < few => (i - (i - whole) % FEW, FEW),
                i => (i, 1),
            };
            let place = first * width + l * length + (i - first);
            assert_eq!(y[place], x[i * width + l], "feature {i} of {features} at {l} of {width}");
        }

        // Past the end of the text nothing is read: no NaN, whatever the width.
        let lengths = [width, width.div_ceil(2), 1].map(|length| vec![0; length]);
        // Texts of one column, two, three …
        let packed = (0..).flat_map(|text| vec![text; usize::from(text) + 1]).take(width).collect();
        for texts in lengths.into_iter().chain([packed]) {
            let length = texts.len();
            let mut x = x.clone();
            x.chunks_mut(width).for_each(|row| row[length..].fill(f32::NAN));
            for (radius, tap) in (0..=4).flat_map(|radius| (0..=2 * radius).map(move |tap| (radius, tap))) {
                let mut y = vec![f32::NAN; x.len()];
                shift(&x, (tap, radius), &mut y, width, &texts);
                for (i, l) in pairs(features, width) {
                    let same = |from: &usize| texts.get(l).is_some_and(|text| texts.get(*from) == Some(text));
                    let from = (l + tap).checked_sub(radius).filter(same);
                    let expected = from.map_or(0.0, |from| x[i * width + from]);
                    let place = i * width + l;
                    assert_eq!(y[place], expected, "shift {tap} of {radius}, {features}×{width} of {length}");
                }
            }
        }

        let bias = floats(1, features);
        let mut y = x.clone();
        add_bias(&bias, &mut y, width);
        let naive: Vec<f32> = pairs(features, width).map(|(i, l)| x[i * width + l] + bias[i]).collect();
        assert_eq!(bits(&y), bits(&naive), "bias {features}×{width}");
        let (mut d_bias, mut naive) = (bias.clone(), bias);
        add_bias_backward(&x, &mut d_bias, width);
        for (x, naive) in x.chunks(width).zip(&mut naive) {
            *naive += x.iter().fold(0.0, |sum, x| sum + x);
        }
        assert_eq!(bits(&d_bias), bits(&naive), "backward to the bias {features}×{width}");
    }
}

/// Weights on a grid, and the floats behind them, in f64 and in so many words.
#[test]
fn rounded_weights_take_the_floats_behind_them_along() {
    for (least, largest, exponent) in [(-8, 7, 3), (-128, 127, 6), (-32_767, 32_767, 16), (-8, 7, 0)] {
        let grid = Grid { least, largest, exponent };
        let step = f64::from(exponent).exp2().recip();
        // To the nearest, halves away from 0, and to the nearer end.
        let nearest = |w: f32| {
            let count = f64::from(w) / step;
            let whole = count.abs().floor();
            let away = if count.abs() - whole >= 0.5 { whole + 1.0 } else { whole };
            (away * count.signum()).clamp(f64::from(least), f64::from(largest))
        };
        let half = (step / 2.0) as f32;
        let edges = [0.0, -0.0, half, -half, 3.0 * half, -3.0 * half, 1e9, -1e9, 0.4 * half, -1.6 * half];
        for w in floats(1, 100).into_iter().chain(edges) {
            assert_eq!(f64::from(grid.integer(w)), nearest(w), "{w} of {grid:?}");
            assert_eq!(f64::from(grid.round(w)), nearest(w) * step, "{w} of {grid:?}");
        }
        for count in [0, 1, 7, 16, 33, 100] {
            let before = floats(2, count);
            // Rounded weights after a step lie on no grid.
            let moved: Vec<f32> =
                before.iter().zip(floats(3, count)).map(|(w, d)| grid.round(*w) + d / 4.0).collect();
            let (mut rounded, mut floats) = (moved.clone(), before.clone());
            straight_through(grid, &mut rounded, &mut floats);
            for i in 0..count {
                let float = before[i] + (moved[i] - (nearest(before[i]) * step) as f32);
                assert_eq!(floats[i].to_bits(), float.to_bits(), "float {i} of {grid:?}");
                assert_eq!(f64::from(rounded[i]), nearest(float) * step, "weight {i} of {grid:?}");
            }
        }
    }
}

/// Dropout as its definition says it, one value at a time, from the published generator.
fn dropped(x: &[f32], layer: usize, rate: u32, key: [u32; 2]) -> Vec<f32> {
    let byte = |i: usize| {
        let words = threefry2x32(key, [i as u32 / 8, layer as u32]);
        words[i % 8 / 4] >> (8 * (i % 4)) & 255
    };
    let scale = 256.0 / (256 - rate) as f32;
    x.iter().enumerate().map(|(i, x)| if byte(i) < rate { 0.0 } else { x * scale }).collect()
}

#[test]
fn dropout_follows_its_definition() {
    // The key of a stream is what its parent's block gives.
    let parent = Stream::new(3, Purpose::Dropout);
    let (stream, key) = (parent.child(5, 6), parent.draw(5, 6));
    for (length, layer, rate, whole) in
        [(300, 0, 0.1, 26), (129, 7, 0.5, 128), (8, 1, 1.0, 255), (5, 2, 0.003, 1), (1000, 3, 0.9, 230)]
    {
        let x = floats(length as u64, length);
        let mut y = x.clone();
        Dropout::new(rate, stream).forward(layer, &mut y);
        assert_eq!(y, dropped(&x, layer, whole, key), "{length} values of layer {layer} at {rate}");
        let (mut d, seen) = (x.clone(), y.clone());
        Dropout::new(rate, stream).backward(&mut d);
        let scale = 256.0 / (256 - whole) as f32;
        assert!(d.iter().zip(&x).all(|(d, x)| *d == x * scale) && y == seen);
    }
    for rate in [0.0, -1.0, f32::NAN, 0.001] {
        let (x, mut y) = (floats(1, 40), floats(1, 40));
        Dropout::new(rate, stream).forward(0, &mut y);
        Dropout::new(rate, stream).backward(&mut y);
        assert_eq!(y, x, "{rate} drops nothing");
    }
}

#[test]
fn dropout_keeps_the_mean_and_its_rate() {
    let (count, rate) = (200_000_usize, 26.0 / 256.0);
    let mut y = vec![1.0_f32; count];
    Dropout::new(0.1, Stream::new(1, Purpose::Dropout).child(0, 0)).forward(4, &mut y);
    let left_out = y.iter().filter(|y| **y == 0.0).count() as f64 / count as f64;
    let spread = (rate * (1.0 - rate) / count as f64).sqrt();
    assert!((left_out - rate).abs() < 4.0 * spread, "{left_out}");
    let mean = y.iter().copied().map(f64::from).sum::<f64>() / count as f64;
    assert!((mean - 1.0).abs() < 4.0 * spread / (1.0 - rate), "{mean}");
}

fn check_rms_norm(features: usize, width: usize) {
    let (gain, x, d_y) = (floats(1, features), floats(2, features * width), floats(3, features * width));
    let (mut y, mut d, mut d_gain) = (vec![f32::NAN; x.len()], d_y.clone(), vec![f32::NAN; features]);
    rms_norm_forward(&gain, &x, &mut y, width, f32::sqrt);
    rms_norm_backward(&gain, &x, &mut d, &mut d_gain, width, f32::sqrt);
    let [mut naive_y, mut naive_d, mut products] = [0, 1, 2].map(|_| vec![0.0; x.len()]);
    let share = 1.0 / features as f32;
    for l in 0..width {
        let at = |i: usize| i * width + l;
        let square = ascending((0..features).map(|i| (x[at(i)], x[at(i)])));
        let r = 1.0 / (square * share + 1e-5).sqrt();
        let mean = ascending((0..features).map(|i| (gain[i] * d_y[at(i)], r * x[at(i)]))) * share;
        for i in 0..features {
            naive_y[at(i)] = gain[i] * (r * x[at(i)]);
            naive_d[at(i)] = r * (gain[i] * d_y[at(i)] - r * x[at(i)] * mean);
            products[at(i)] = d_y[at(i)] * (r * x[at(i)]);
        }
    }
    assert_eq!(bits(&y), bits(&naive_y), "forward {features}×{width}");
    assert_eq!(bits(&d), bits(&naive_d), "backward {features}×{width}");
    for (d_gain, products) in d_gain.iter().zip(products.chunks(width)) {
        let mut lanes = vec![0.0; LANES];
        for (l, product) in products.iter().enumerate() {
            lanes[l % LANES] += product;
        }
        assert_eq!(d_gain.to_bits(), halves(lanes).to_bits(), "backward to the gain {features}×{width}");
    }
}

#[test]
fn normalisation_follows_its_documented_order() {
    check_rms_norm(1, 1);
    check_rms_norm(7, 3);
    check_rms_norm(64, 16);
    check_rms_norm(33, 35);
    for width in WIDTHS {
        check_rms_norm(6, width);
    }
}

fn check_attention(number: usize, features: usize, width: usize, texts: &[u8]) {
    let heads = Heads { features, positions: width };
    let length = number * features * width;
    let [query, key, value, d_y] = [1, 2, 3, 4].map(|seed| floats(seed, length));
    let (mut share, mut y) = (vec![f32::NAN; number * width * width], vec![f32::NAN; length]);
    attention_forward(heads, texts, [&query, &key, &value], &mut share, &mut y);
    let mut gradients = [query.clone(), key.clone(), value.clone()];
    let [d_query, d_key, d_value] = &mut gradients;
    let (mut used_up, mut d_share) = (d_y.clone(), vec![f32::NAN; width * width]);
    attention_backward(heads, [d_query, d_key, d_value], &mut share, &mut used_up, &mut d_share);

    let what = format!("{number} heads of {features}×{width}, texts {texts:?}");
    let scale = 1.0 / (features as f32).sqrt();
    let mut naive: [Vec<f32>; 4] = [0, 1, 2, 3].map(|_| vec![f32::NAN; length]);
    for head in 0..number {
        let at = |f: usize, l: usize| (head * features + f) * width + l;
        // For position j: its share of each letter i of its text, and the gradient of its score; else 0.
        let (mut p, mut d_s) = (vec![vec![0.0; width]; width], vec![vec![0.0; width]; width]);
        for (j, text) in texts.iter().enumerate() {
            let own: Vec<usize> = (0..texts.len()).filter(|i| texts[*i] == *text).collect();
            let score = |i| ascending((0..features).map(|f| (key[at(f, i)], query[at(f, j)]))) * scale;
            let scores: Vec<f32> = own.iter().copied().map(score).collect();
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f32> = scores.iter().map(|s| micro_diffusion::math::exp(s - largest)).collect();
            let inverse = 1.0 / powers.iter().fold(0.0, |sum, power| sum + power);
            let d_p = |i| ascending((0..features).map(|f| (value[at(f, i)], d_y[at(f, j)])));
            for (i, power) in own.iter().zip(powers) {
                p[*i][j] = power * inverse;
            }
            let mean = ascending(own.iter().map(|i| (p[*i][j], d_p(*i))));
            for i in own {
                d_s[i][j] = p[i][j] * (d_p(i) - mean);
            }
        }
        for (f, l) in pairs(features, width) {
            let over = |count: usize, term: &dyn Fn(usize) -> (f32, f32)| ascending((0..count).map(term));
            naive[0][at(f, l)] = over(width, &|i| (key[at(f, i)], d_s[i][l])) * scale;
            naive[1][at(f, l)] = over(width, &|j| (query[at(f, j)], d_s[l][j])) * scale;
            naive[2][at(f, l)] = over(width, &|j| (d_y[at(f, j)], p[l][j]));
            naive[3][at(f, l)] = over(width, &|i| (value[at(f, i)], p[i][l]));
        }
    }
    let [d_query, d_key, d_value] = &gradients;
    for (ours, naive) in [d_query, d_key, d_value, &y].into_iter().zip(&naive) {
        // Past the end a zero may have either sign, so numbers are compared and not bits.
        for (place, (ours, naive)) in ours.iter().zip(naive).enumerate() {
            let same =
                if place % width < texts.len() { ours.to_bits() == naive.to_bits() } else { ours == naive };
            assert!(same, "{what}, {place}: {ours} against {naive}");
        }
    }
}

/// Backward transposes squares of every width in place.
#[test]
fn attention_follows_its_documented_order() {
    check_attention(1, 1, 1, &[0; 1]);
    check_attention(1, 3, 5, &[0; 5]);
    check_attention(1, 16, 16, &[0; 16]);
    check_attention(1, 8, 35, &[0; 35]);
    for width in WIDTHS {
        check_attention(2, 5, width, &vec![0; width]);
        check_attention(2, 3, width, &vec![0; width.div_ceil(2)]);
        check_attention(1, 4, width, &[0]);
        // Texts of one column, two, three …
        let packed = (0..).flat_map(|text| vec![text; usize::from(text) + 1]).take(width);
        check_attention(2, 3, width, &packed.collect::<Vec<_>>());
    }
    for text in 1..=8 {
        check_attention(2, 6, 8, &vec![0; text]);
    }
    check_attention(1, 4, 16, &[0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2]);
}

/// Losses and gradient of a batch, computed as one shard or as several, of which each adds its share of the gradient.
fn run<M: Model<L, V>, const L: usize, const V: usize>(
    activation: Activation,
    batch: &[Example<L>],
    splits: &[usize],
    symbols: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(3, Purpose::Weights));
    let view = M::view(&parameters).unwrap();
    let (mut losses, mut gradient) = (vec![f32::NAN; batch.len()], vec![0.0; M::PARAMETERS]);
    let mut first = 0;
    for next in splits.iter().map(|split| M::boundary(batch, *split)).chain([batch.len()]) {
        let shard = Shard { activation, ..shard(&batch[first..next], symbols) };
        let mut records = vec![f32::NAN; (next - first) * M::RECORD];
        M::forward_backward(shard, view, &mut records, &mut losses[first..next]);
        add_gradient::<M, _, _, L, V>(shard, &records, &mut gradient);
        first = next;
    }
    (bits(&losses), bits(&gradient))
}

fn check_splits<M: Model<L, V>, const L: usize, const V: usize>(symbols: u8) {
    let stepped = Activation::Stepped(Steps { exponent: 3, largest: 17, price: 0.01 });
    for (rows, activation) in
        [0, 1, 3, 64, 65, 150].into_iter().flat_map(|rows| [(rows, Activation::Relu), (rows, stepped)])
    {
        let mut batch = batch::<L>(rows, symbols);
        // Every other one goes without some hidden values.
        for (row, example) in (0..).zip(&mut batch).step_by(2) {
            example.dropout = Some(Dropout::new(0.2, Stream::new(8, Purpose::Dropout).child(0, row)));
        }
        let symbols = usize::from(symbols);
        let whole = run::<M, L, V>(activation, &batch, &[], symbols);
        assert!(rows == 0 || whole.1.iter().any(|bits| *bits != 0));
        // Two and three unequal shards, an empty one, and one for each row.
        for splits in [
            vec![rows / 2],
            vec![rows / 5, rows * 4 / 5],
            vec![rows / 3, rows / 2, rows / 2],
            (0..rows).collect(),
        ] {
            let split = run::<M, L, V>(activation, &batch, &splits, symbols);
            assert_eq!(split, whole, "{rows} rows split at {splits:?}");
        }
    }
}

#[test]
fn a_split_batch_gives_the_same_bits() {
    check_splits::<Mlp<5, 6, 33>, 5, 6>(6);
    check_splits::<Mlp<3, 9, 16>, 3, 9>(7);
    check_splits::<Residual<5, 6, 32>, 5, 6>(6);
    check_splits::<Convolution<5, 6, 6, 2, 3>, 5, 6>(6);
    check_splits::<Transformer<5, 6, 6, 2, 3>, 5, 6>(6);
    check_splits::<Transformer<16, 9, 16, 1, 1>, 16, 9>(7);
    check_splits::<Convolution<12, 6, 5, 2, 3>, 12, 6>(6);
    check_splits::<Transformer<20, 6, 6, 1, 2>, 20, 6>(6);
    check_splits::<Transformer<20, 6, 6, 2, 2, 3>, 20, 6>(6);
}

/// Every number of a record and of the memory is written if every position counts: no buffer is too large. Networks whose
/// records lie one behind the other fill each up to a multiple of 16.
fn check_room<M: Model<L, V>, const L: usize, const V: usize>() {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(5, Purpose::Weights));
    let clean = Text::new(&[0; L]).unwrap();
    let example = Example { clean, weights: [1.0; L], ..Example::EMPTY };
    let (mut record, mut loss) = (vec![f32::NAN; M::RECORD], [f32::NAN]);
    let view = M::view(&parameters).unwrap();
    M::forward_backward(shard(&[example], V), view, &mut record, &mut loss);
    assert!(loss[0].is_finite());
    let unwritten = record.iter().rev().take_while(|x| x.is_nan()).count();
    let filled = match M::SHAPE.architecture {
        Architecture::Mlp | Architecture::Residual => unwritten == 0,
        Architecture::Transformer | Architecture::LocalTransformer | Architecture::Convolution => {
            record.len().is_multiple_of(16) && unwritten < 16
        }
    };
    assert!(filled, "{unwritten} of {}", record.len());
    assert!(record[..record.len() - unwritten].iter().all(|x| x.is_finite()));
    // Records of another length give wrong results, and no panic.
    for length in [0, M::RECORD / 2, M::RECORD - 1, M::RECORD + 1] {
        M::forward_backward(shard(&[example], V), view, &mut vec![0.0; length], &mut loss);
    }

    let (mut memory, mut scores) = (vec![f32::NAN; M::MEMORY], [0; V]);
    {
        let mut denoiser = M::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
        denoiser.start(L);
        denoiser.evaluate();
        (0..L).for_each(|position| denoiser.scores(position, &mut scores));
    }
    assert!(memory.iter().all(|x| x.is_finite()), "{} numbers of memory", memory.len());
    assert!(M::denoiser(Plain, Activation::Relu, view, &mut memory[1..]).is_none());
}

#[test]
fn there_is_room_for_what_is_needed_and_for_nothing_else() {
    check_room::<Mlp<5, 6, 33>, 5, 6>();
    check_room::<Residual<5, 6, 32>, 5, 6>();
    check_room::<Convolution<16, 9, 16, 2, 3>, 16, 9>();
    check_room::<Convolution<5, 7, 12, 3, 5>, 5, 7>();
    check_room::<Transformer<5, 6, 6, 2, 3>, 5, 6>();
    check_room::<Transformer<16, 9, 16, 3, 2>, 16, 9>();
    check_room::<Transformer<16, 9, 16, 3, 2, 3>, 16, 9>();
}

/// The model at work gives training's scores of a text, from floats and from the bytes of a file. So do the equations.
/// One denoiser serves texts of all lengths.
fn check_inference<M: Model<L, V>, const L: usize, const V: usize>(symbols: usize) {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(4, Purpose::Weights));
    let bytes: Vec<[u8; 4]> = parameters.iter().map(|p| p.to_le_bytes()).collect();
    let exact: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
    let (mut memory, mut other) = (vec![f32::NAN; M::MEMORY], vec![f32::NAN; M::MEMORY]);
    let (view, stored) = (M::view(&parameters).unwrap(), M::view(&bytes).unwrap());
    let mut floats = M::denoiser(Plain, Activation::Relu, view, &mut memory).unwrap();
    let mut stored = M::denoiser(Plain, Activation::Relu, stored, &mut other).unwrap();
    let rows = L.max(7);
    let batch = batch::<L>(rows, symbols as u8);
    let (mut records, mut losses) = (vec![f32::NAN; rows * M::RECORD], vec![f32::NAN; rows]);
    M::forward_backward(shard(&batch, symbols), view, &mut records, &mut losses);
    for (example, loss) in batch.iter().zip(losses) {
        let scores = all_scores(&mut floats, example.shown());
        assert_eq!(scores, all_scores(&mut stored, example.shown()), "floats and bytes");
        let logits = logits_at_work(M::SHAPE, &exact, Activation::Relu, example.shown());
        let mut sum = 0.0;
        for (position, clean) in example.clean.symbols().iter().enumerate() {
            for (score, logit) in scores[position].iter().zip(&logits[position]) {
                assert_close(f64::from(*score) / 65_536.0, *logit, ORACLE_SCORES, "the equations");
            }
            sum += example.weights[position] * negative_log_probability(&scores[position], symbols, *clean);
        }
        assert_close(f64::from(sum), f64::from(loss), AT_WORK, "the loss at work against that of training");
    }
}

#[test]
fn training_and_inference_agree() {
    check_inference::<Mlp<5, 6, 33>, 5, 6>(6);
    check_inference::<Residual<5, 6, 32>, 5, 6>(5);
    check_inference::<Convolution<5, 6, 6, 2, 3>, 5, 6>(6);
    check_inference::<Transformer<5, 6, 6, 2, 3>, 5, 6>(6);
    check_inference::<Transformer<32, 9, 16, 2, 2>, 32, 9>(7);
    check_inference::<Transformer<32, 9, 16, 2, 2, 3>, 32, 9>(7);
    check_inference::<Transformer<5, 6, 6, 2, 3, 3>, 5, 6>(6);
    check_inference::<Convolution<20, 6, 8, 2, 5>, 20, 6>(6);
    check_inference::<Transformer<12, 6, 8, 2, 2>, 12, 6>(6);
}

/// The batch with something else past the end of every text: symbols, strangers among them, and weights.
fn with_litter<const L: usize>(batch: &[Example<L>]) -> Vec<Example<L>> {
    let litter = |example: &Example<L>| {
        let mut example = *example;
        for l in example.length()..L {
            example.noisy[l] = Some(if l % 3 == 0 { 255 } else { (l % 2) as u8 });
            example.weights[l] = 0.5 + l as f32;
        }
        example
    };
    batch.iter().map(litter).collect()
}

/// Losses and gradient of `batch` in bits, from records that are full of `before`.
fn trained<M: Model<L, V>, const L: usize, const V: usize>(
    parameters: &[f32],
    activation: Activation,
    batch: &[Example<L>],
    before: f32,
) -> (Vec<u32>, Vec<u32>) {
    let (mut losses, mut gradient) = (vec![before; batch.len()], vec![0.0; M::PARAMETERS]);
    let mut records = vec![before; batch.len() * M::RECORD];
    let view = M::view(parameters).unwrap();
    let batch = Shard { activation, ..shard(batch, V) };
    M::forward_backward(batch, view, &mut records, &mut losses);
    add_gradient::<M, _, _, L, V>(batch, &records, &mut gradient);
    assert!(losses.iter().chain(&gradient).all(|number| number.is_finite()), "{:?}", M::SHAPE);
    (bits(&losses), bits(&gradient))
}

const STEPS: Activation = Activation::Stepped(Steps { exponent: 3, largest: 17, price: 0.01 });

/// Neither training nor a model at work reads what an example or the records hold past a text's end.
fn check_litter<M: Model<L, V>, const L: usize, const V: usize>() {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(6, Purpose::Weights));
    let plain = batch::<L>(L + 3, V as u8);
    let mut dropout = plain.clone();
    for (row, example) in (0..).zip(&mut dropout) {
        example.dropout = Some(Dropout::new(0.3, Stream::new(7, Purpose::Dropout).child(0, row)));
    }
    for (batch, activation) in
        [&plain, &dropout].into_iter().flat_map(|b| [(b, Activation::Relu), (b, STEPS)])
    {
        let expected = trained::<M, L, V>(&parameters, activation, batch, 0.0);
        assert!(expected.1.iter().any(|bits| *bits != 0));
        for before in [f32::NAN, f32::INFINITY, -3.0] {
            let found = trained::<M, L, V>(&parameters, activation, batch, before);
            assert!(found == expected, "{:?} {activation:?}, records of {before}", M::SHAPE);
            let found = trained::<M, L, V>(&parameters, activation, &with_litter(batch), before);
            assert!(found == expected, "{:?} {activation:?}, litter, records of {before}", M::SHAPE);
        }
    }
    for activation in [Activation::Relu, STEPS] {
        let (mut memory, mut littered) = (vec![0.0; M::MEMORY], vec![f32::NAN; M::MEMORY]);
        let view = M::view(&parameters).unwrap();
        let mut clean = M::denoiser(Plain, activation, view, &mut memory).unwrap();
        let mut littered = M::denoiser(Plain, activation, view, &mut littered).unwrap();
        for (example, litter) in plain.iter().zip(with_litter(&plain)) {
            let expected = all_scores(&mut clean, example.shown());
            littered.start(example.length());
            litter.noisy.iter().enumerate().for_each(|(l, symbol)| littered.set(l, *symbol));
            littered.set(L, Some(0));
            littered.evaluate();
            for (position, expected) in expected.iter().enumerate() {
                let mut scores = [7; V];
                littered.scores(position, &mut scores);
                assert_eq!(scores, *expected, "{:?} {position} of {}", M::SHAPE, example.length());
            }
            // A letter drawn anew: hidden again, and set.
            let mut shown = example.shown().to_vec();
            for place in 0..example.length() {
                for symbol in [None, Some(1)] {
                    shown[place] = symbol;
                    littered.set(place, symbol);
                    littered.evaluate();
                    let expected = all_scores(&mut clean, &shown);
                    for masked in (0..shown.len()).filter(|l| shown[*l].is_none()) {
                        let mut scores = [7; V];
                        littered.scores(masked, &mut scores);
                        assert_eq!(scores, expected[masked], "{:?} {masked}, {place} anew", M::SHAPE);
                    }
                }
            }
        }
    }
}

#[test]
fn what_lies_past_the_end_of_a_text_does_not_matter() {
    check_litter::<Mlp<5, 6, 33>, 5, 6>();
    check_litter::<Mlp<12, 6, 9>, 12, 6>();
    check_litter::<Residual<12, 6, 32>, 12, 6>();
    check_litter::<Convolution<5, 6, 6, 2, 3>, 5, 6>();
    check_litter::<Convolution<12, 6, 5, 2, 3>, 12, 6>();
    check_litter::<Convolution<20, 6, 16, 3, 5>, 20, 6>();
    check_litter::<Transformer<5, 6, 6, 2, 3>, 5, 6>();
    check_litter::<Transformer<16, 6, 16, 2, 2>, 16, 6>();
    check_litter::<Transformer<20, 6, 6, 2, 3>, 20, 6>();
    check_litter::<Transformer<20, 6, 6, 2, 3, 3>, 20, 6>();
}

/// An example without a text counts nothing and changes nothing.
#[test]
fn no_text_counts_nothing() {
    fn check<M: Model<L, V>, const L: usize, const V: usize>() {
        let mut parameters = vec![0.0; M::PARAMETERS];
        M::initialise(&mut parameters, Stream::new(6, Purpose::Weights));
        let mut batch = batch::<L>(4, V as u8);
        let (losses, gradient) = trained::<M, L, V>(&parameters, STEPS, &batch, f32::NAN);
        batch.insert(2, Example::EMPTY);
        let (mut with, same) = trained::<M, L, V>(&parameters, STEPS, &batch, f32::NAN);
        assert_eq!(with.remove(2), 0.0_f32.to_bits(), "{:?}", M::SHAPE);
        assert!(with == losses && same == gradient, "{:?}", M::SHAPE);
    }
    check::<Mlp<5, 6, 33>, 5, 6>();
    check::<Residual<5, 6, 32>, 5, 6>();
    check::<Convolution<5, 6, 6, 2, 3>, 5, 6>();
    check::<Transformer<5, 6, 6, 2, 3>, 5, 6>();
}

/// The parameters of a network of `N` for texts of up to `LONG`, from those of an `M` for up to `SHORT`. Parameters of
/// positions or lengths that no short text has are NaN.
fn lengthened<
    M: Model<SHORT, V>,
    N: Model<LONG, V>,
    const SHORT: usize,
    const LONG: usize,
    const V: usize,
>(
    parameters: &[f32],
) -> Vec<f32> {
    let (mut rest, mut long) = (parameters, Vec::new());
    for (short, tensor) in M::TENSORS.iter().zip(N::TENSORS) {
        long.extend_from_slice(rest.split_off(..short.numbers()).unwrap());
        long.extend(std::iter::repeat_n(f32::NAN, tensor.numbers() - short.numbers()));
    }
    assert!(rest.is_empty());
    long
}

/// A text gives the same bits in a network for longer texts, in training and at work.
fn check_lengths<
    M: Model<SHORT, V>,
    N: Model<LONG, V>,
    const SHORT: usize,
    const LONG: usize,
    const V: usize,
>() {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(6, Purpose::Weights));
    let long = lengthened::<M, N, SHORT, LONG, V>(&parameters);
    let batch = batch::<SHORT>(SHORT + 3, V as u8);
    let lengthen = |example: &Example<SHORT>| {
        let of = |l: usize| l < example.length();
        Example {
            clean: Text::new(example.clean.symbols()).unwrap(),
            noisy: std::array::from_fn(|l| if of(l) { example.noisy[l] } else { None }),
            weights: std::array::from_fn(|l| if of(l) { example.weights[l] } else { 0.0 }),
            dropout: None,
        }
    };
    let lengthened_batch: Vec<Example<LONG>> = batch.iter().map(lengthen).collect();
    for activation in [Activation::Relu, STEPS] {
        let (losses, _) = trained::<M, SHORT, V>(&parameters, activation, &batch, f32::NAN);
        let (same, _) = trained::<N, LONG, V>(&long, activation, &lengthened_batch, f32::NAN);
        assert_eq!(losses, same, "{:?} {activation:?}", M::SHAPE);
        // One by one, since a pack of the longer network has room for more texts.
        for (example, lengthened) in batch.iter().zip(&lengthened_batch) {
            let (example, lengthened) = (std::slice::from_ref(example), std::slice::from_ref(lengthened));
            let (_, gradient) = trained::<M, SHORT, V>(&parameters, activation, example, f32::NAN);
            let (_, found) = trained::<N, LONG, V>(&long, activation, lengthened, f32::NAN);
            let (mut gradient, mut found) = (&gradient[..], &found[..]);
            for (short, tensor) in M::TENSORS.iter().zip(N::TENSORS) {
                let expected = gradient.split_off(..short.numbers()).unwrap();
                let (shared, added) = found.split_off(..tensor.numbers()).unwrap().split_at(short.numbers());
                assert!(shared == expected, "{} of {:?} {activation:?}", tensor.name, M::SHAPE);
                let unused = added.iter().all(|bits| *bits == 0);
                assert!(unused, "{} of {:?}, no text's rows", tensor.name, M::SHAPE);
            }
        }
        let (mut memory, mut other) = (vec![f32::NAN; M::MEMORY], vec![f32::NAN; N::MEMORY]);
        let view = M::view(&parameters).unwrap();
        let mut short = M::denoiser(Plain, activation, view, &mut memory).unwrap();
        let mut long = N::denoiser(Plain, activation, N::view(&long).unwrap(), &mut other).unwrap();
        for example in &batch {
            let expected = all_scores(&mut short, example.shown());
            assert_eq!(all_scores(&mut long, example.shown()), expected, "{:?}", M::SHAPE);
        }
    }
}

#[test]
fn a_text_is_computed_alike_whatever_a_network_has_room_for() {
    check_lengths::<Mlp<5, 6, 33>, Mlp<12, 6, 33>, 5, 12, 6>();
    check_lengths::<Residual<5, 6, 32>, Residual<12, 6, 32>, 5, 12, 6>();
    check_lengths::<Convolution<5, 6, 6, 2, 3>, Convolution<12, 6, 6, 2, 3>, 5, 12, 6>();
    check_lengths::<Convolution<12, 6, 16, 2, 5>, Convolution<20, 6, 16, 2, 5>, 12, 20, 6>();
    check_lengths::<Transformer<5, 6, 6, 2, 3>, Transformer<16, 6, 6, 2, 3>, 5, 16, 6>();
    check_lengths::<Transformer<5, 6, 6, 2, 3, 3>, Transformer<16, 6, 6, 2, 3, 3>, 5, 16, 6>();
    check_lengths::<Transformer<12, 6, 16, 2, 2>, Transformer<20, 6, 16, 2, 2>, 12, 20, 6>();
}
