//! The networks as the heads of their files say them: f64, one number at a time, over the letters of a text and nothing else.

use micro_diffusion::activation::Activation;
use micro_diffusion::denoiser::{Architecture, Example, Shape};
use micro_diffusion::dropout::Dropout;
use micro_diffusion::product::width_of;

/// The activation of sums of hidden values, with the steps taken so far.
pub struct Hidden {
    activation: Activation,
    /// (x, y, slope) of every step that was taken, in the order of the pass.
    steps: Vec<[f64; 3]>,
    /// In a pass along the slopes: the steps still to come.
    next: Option<usize>,
}

impl Hidden {
    pub fn new(activation: Activation) -> Self {
        Self { activation, steps: Vec::new(), next: None }
    }

    /// Continues every step by its ramp from now on: y = y₀ + slope·(x − x₀), with x₀, y₀ and the slope of the passes so
    /// far. This is the function that the straight-through estimator differentiates.
    pub fn along_the_slopes(&mut self) {
        self.next = Some(0);
    }

    fn step(&mut self, x: f64, y: f64, slope: f64) -> f64 {
        let Some(next) = &mut self.next else {
            self.steps.push([x, y, slope]);
            return y;
        };
        let [x_then, y_then, slope] = self.steps[*next];
        *next += 1;
        y_then + slope * (x - x_then)
    }

    fn activated(&mut self, x: f64) -> f64 {
        match self.activation {
            Activation::Relu => x.max(0.0),
            Activation::Stepped(steps) => {
                let scale = f64::from(1_u32 << steps.exponent);
                let y = (x * scale + 0.5).floor().clamp(0.0, f64::from(steps.largest)) / scale;
                let inside = y > 0.0 && y < f64::from(steps.largest) / scale;
                self.step(x, y, f64::from(u8::from(inside)))
            }
        }
    }

    /// The value of x that a residual stream holds.
    fn held(&mut self, x: f64) -> f64 {
        match self.activation {
            Activation::Relu => x,
            Activation::Stepped(_) => {
                let y = ((x * 1024.0 + 0.5).floor()).clamp(-32_768.0, 32_767.0) / 1024.0;
                self.step(x, y, 1.0)
            }
        }
    }
}

/// One pass of one text.
struct Pass<'a, 'p> {
    hidden: &'a mut Hidden,
    place: Place,
    /// The parameters still to come.
    rest: &'p [f64],
    /// Σ of the hidden values that something reads.
    sum: f64,
}

impl<'p> Pass<'_, 'p> {
    fn take(&mut self, count: usize) -> &'p [f64] {
        let (head, tail) = self.rest.split_at(count);
        self.rest = tail;
        head
    }

    /// The factor of dropout for unit number `unit` of `units`, at `position`.
    fn kept(&self, layer: usize, units: usize, unit: usize, position: usize) -> f64 {
        let Place { dropout, width, first } = self.place;
        let Some(dropout) = dropout else { return 1.0 };
        let mut factors = vec![1.0_f64; units * width];
        dropout.forward(layer, &mut factors);
        factors[unit * width + first + position]
    }

    /// The hidden values of layer number `layer` at `position`, and their price if `something` reads them.
    fn activate(&mut self, layer: usize, position: usize, sums: &[f64], something: bool) -> Vec<f64> {
        let mut values = Vec::new();
        for (unit, sum) in sums.iter().enumerate() {
            let value = self.hidden.activated(*sum);
            self.sum += if something { value } else { 0.0 };
            values.push(value * self.kept(layer, sums.len(), unit, position));
        }
        values
    }
}

/// w·x + y for a row w of a matrix for each y.
fn affine(w: &[f64], x: &[f64], y: &[f64]) -> Vec<f64> {
    let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    y.iter().zip(w.chunks(x.len())).map(|(y, w)| y + dot(w)).collect()
}

/// x += Wᵀ·y, with a row of W for each y.
fn add_transposed(w: &[f64], y: &[f64], x: &mut [f64]) {
    for (y, w) in y.iter().zip(w.chunks(x.len())) {
        x.iter_mut().zip(w).for_each(|(x, w)| *x += w * y);
    }
}

fn rms_norm(gain: &[f64], x: &[f64]) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(gain).map(|(x, gain)| gain * x / (mean + 1e-5).sqrt()).collect()
}

fn gelu(x: f64) -> f64 {
    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
    x * (1.0 + u.tanh()) / 2.0
}

/// The logits of each letter of `text`, some of which are `scored`.
fn logits(
    shape: Shape,
    text: &[Option<u8>],
    scored: impl Fn(usize) -> bool,
    pass: &mut Pass<'_, '_>,
) -> Vec<Vec<f64>> {
    match shape.architecture {
        Architecture::Mlp | Architecture::Residual => perceptron(shape, text, pass),
        Architecture::Convolution => convolution(shape, text, scored, pass),
        Architecture::Transformer | Architecture::LocalTransformer => transformer(shape, text, pass),
    }
}

fn perceptron(shape: Shape, text: &[Option<u8>], pass: &mut Pass<'_, '_>) -> Vec<Vec<f64>> {
    let Shape { positions, symbols, width, .. } = shape;
    let (input, lengths) = (pass.take(positions * symbols * width), pass.take(positions * width));
    let mut sums = lengths[(text.len() - 1) * width..][..width].to_vec();
    for (l, symbol) in text.iter().enumerate() {
        if let Some(symbol) = symbol.map(usize::from).filter(|symbol| *symbol < symbols) {
            let row = &input[(l * symbols + symbol) * width..][..width];
            sums.iter_mut().zip(row).for_each(|(sum, row)| *sum += row);
        }
    }
    let mut values = pass.activate(0, 0, &sums, true);
    if shape.architecture == Architecture::Residual {
        let (weight, bias) = (pass.take(width * width), pass.take(width));
        let second = pass.activate(1, 0, &affine(weight, &values, bias), true);
        values.iter_mut().zip(second).for_each(|(value, second)| *value += second);
    }
    let (output, bias) = (pass.take(positions * symbols * width), pass.take(positions * symbols));
    let layers = output.chunks(symbols * width).zip(bias.chunks(symbols)).take(text.len());
    layers.map(|(output, bias)| affine(output, &values, bias)).collect()
}

/// P[l] + Q[n − 1 − l] + E[x_l] of each letter l.
fn features(shape: Shape, text: &[Option<u8>], pass: &mut Pass<'_, '_>) -> Vec<Vec<f64>> {
    let Shape { positions, symbols, width, .. } = shape;
    let [token, position, from_end] = [symbols, positions, positions].map(|rows| pass.take(rows * width));
    let start = |l: usize, d: usize| {
        let symbol = text[l].map(usize::from).filter(|symbol| *symbol < symbols);
        let token = symbol.map_or(0.0, |symbol| token[symbol * width + d]);
        position[l * width + d] + from_end[(text.len() - 1 - l) * width + d] + token
    };
    (0..text.len()).map(|l| (0..width).map(|d| start(l, d)).collect()).collect()
}

fn convolution(
    shape: Shape,
    text: &[Option<u8>],
    scored: impl Fn(usize) -> bool,
    pass: &mut Pass<'_, '_>,
) -> Vec<Vec<f64>> {
    let Shape { symbols, width, blocks: layers, heads: taps, .. } = shape;
    let mut x = features(shape, text, pass);
    let (weights, biases) = (pass.take(layers * taps * width * width), pass.take(layers * width));
    for layer in 0..layers {
        let a: Vec<_> = x.iter().enumerate().map(|(l, x)| pass.activate(layer, l, x, true)).collect();
        for (l, x) in x.iter_mut().enumerate() {
            let mut sums = biases[layer * width..][..width].to_vec();
            for (tap, weight) in weights.chunks(width * width).skip(layer * taps).take(taps).enumerate() {
                if let Some(a) = (l + tap).checked_sub(taps / 2).and_then(|from| a.get(from)) {
                    sums = affine(weight, a, &sums);
                }
            }
            for (x, sum) in x.iter_mut().zip(sums) {
                *x = pass.hidden.held(*x + sum);
            }
        }
    }
    let (output, bias) = (pass.take(symbols * width), pass.take(symbols));
    let last = |(l, x): (usize, &Vec<f64>)| affine(output, &pass.activate(layers, l, x, scored(l)), bias);
    x.iter().enumerate().map(last).collect()
}

fn transformer(shape: Shape, text: &[Option<u8>], pass: &mut Pass<'_, '_>) -> Vec<Vec<f64>> {
    let Shape { symbols, width, blocks, .. } = shape;
    let (taps, groups) = if shape.architecture == Architecture::Transformer { (1, 4) } else { (3, 2) };
    let mut x = features(shape, text, pass);
    let square = width * width;
    let mut tables = |size: usize| pass.take(blocks * size).chunks(size).collect::<Vec<_>>();
    let (attention_gain, maps, attention_output) = (tables(width), tables(3 * square), tables(square));
    let (mlp_gain, up, down) = (tables(width), tables(groups * taps * square), tables(groups * square));
    let (gain, output) = (pass.take(width), pass.take(symbols * width));
    for block in 0..blocks {
        let normed: Vec<_> = x.iter().map(|x| rms_norm(attention_gain[block], x)).collect();
        let mixed = attention(shape, maps[block], &normed);
        for (l, (x, mut mixed)) in x.iter_mut().zip(mixed).enumerate() {
            for (unit, mixed) in mixed.iter_mut().enumerate() {
                *mixed *= pass.kept(2 * block, width, unit, l);
            }
            add_transposed(attention_output[block], &mixed, x);
        }
        let normed: Vec<_> = x.iter().map(|x| rms_norm(mlp_gain[block], x)).collect();
        for (l, x) in x.iter_mut().enumerate() {
            let mut hidden = vec![0.0; groups * width];
            for (number, weight) in up[block].chunks(square).enumerate() {
                let (group, tap) = (number / taps, number % taps);
                if let Some(n) = (l + tap).checked_sub(taps / 2).and_then(|from| normed.get(from)) {
                    let group = &mut hidden[group * width..][..width];
                    group.copy_from_slice(&affine(weight, n, group));
                }
            }
            for (unit, value) in hidden.iter_mut().enumerate() {
                *value = gelu(*value) * pass.kept(2 * block + 1, groups * width, unit, l);
            }
            add_transposed(down[block], &hidden, x);
        }
    }
    x.iter().map(|x| affine(output, &rms_norm(gain, x), &vec![0.0; symbols])).collect()
}

/// The output of the heads of `shape` for each letter, from W_q, W_k and W_v in `maps`.
fn attention(shape: Shape, maps: &[f64], normed: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Shape { width, heads, .. } = shape;
    let map = |number: usize| -> Vec<Vec<f64>> {
        let weight = &maps[number * width * width..][..width * width];
        normed.iter().map(|n| affine(weight, n, &vec![0.0; width])).collect()
    };
    let ([query, key, value], features) = ([0, 1, 2].map(map), width / heads);
    let mixed = |query: &Vec<f64>| {
        let of_head = |head: usize| {
            let own = head * features..(head + 1) * features;
            let score = |key: &Vec<f64>| own.clone().map(|f| key[f] * query[f]).sum::<f64>();
            let powers: Vec<f64> =
                key.iter().map(|key| (score(key) / (features as f64).sqrt()).exp()).collect();
            let total: f64 = powers.iter().sum();
            let (value, share) = (&value, move |i: usize| powers[i] / total);
            own.map(move |f| value.iter().enumerate().map(|(i, value)| value[f] * share(i)).sum())
        };
        (0..heads).flat_map(of_head).collect()
    };
    query.iter().map(mixed).collect()
}

/// The logits of each letter of `text` by the network of `shape`, at work.
pub fn logits_at_work(
    shape: Shape,
    parameters: &[f64],
    activation: Activation,
    text: &[Option<u8>],
) -> Vec<Vec<f64>> {
    let hidden = &mut Hidden::new(activation);
    let place = Place { dropout: None, width: 1, first: 0 };
    let mut pass = Pass { hidden, place, rest: parameters, sum: 0.0 };
    let logits = logits(shape, text, |_| true, &mut pass);
    assert!(pass.rest.is_empty(), "the parameters are all read");
    logits
}

/// The place of an example's hidden values for dropout.
#[derive(Clone, Copy)]
pub struct Place {
    dropout: Option<Dropout>,
    /// Positions of a map.
    width: usize,
    /// The place of the example's first position.
    first: usize,
}

/// The places of the examples of a batch for dropout. A perceptron's example has a row of its own. Other networks pack
/// texts behind each other into a map, as many as fit 16 positions, and all go by the first text's dropout.
pub fn places<const L: usize>(shape: Shape, batch: &[Example<L>]) -> Vec<Place> {
    if matches!(shape.architecture, Architecture::Mlp | Architecture::Residual) {
        return batch.iter().map(|e| Place { dropout: e.dropout, width: 1, first: 0 }).collect();
    }
    let mut packs: Vec<Vec<&Example<L>>> = Vec::new();
    let sum = |pack: &[&Example<L>]| pack.iter().map(|example| example.length()).sum::<usize>();
    for example in batch {
        match packs.last_mut() {
            Some(pack) if sum(pack) + example.length() <= L.min(16) => pack.push(example),
            _ => packs.push(vec![example]),
        }
    }
    let mut places = Vec::new();
    for pack in packs {
        let (dropout, width) = (pack[0].dropout, width_of(sum(&pack), L));
        places.extend((0..pack.len()).map(|count| Place { dropout, width, first: sum(&pack[..count]) }));
    }
    places
}

/// The loss of `example`, which is at `place`, and what its hidden values cost besides.
pub fn loss_and_price<const L: usize>(
    shape: Shape,
    parameters: &[f64],
    (example, place): (&Example<L>, Place),
    symbols: usize,
    hidden: &mut Hidden,
) -> [f64; 2] {
    let clean = example.clean.symbols();
    let price = match hidden.activation {
        Activation::Relu => 0.0,
        Activation::Stepped(steps) => steps.price,
    };
    let mut pass = Pass { hidden, place, rest: parameters, sum: 0.0 };
    let scored = |l: usize| example.weights[l] != 0.0;
    let logits = logits(shape, &example.noisy[..clean.len()], scored, &mut pass);
    assert!(pass.rest.is_empty(), "the parameters are all read");
    let mut loss = 0.0;
    for (l, z) in logits.iter().enumerate() {
        let total: f64 = z[..symbols].iter().map(|z| z.exp()).sum();
        loss += f64::from(example.weights[l]) * (total.ln() - z[usize::from(clean[l])]);
    }
    // The mean weight of the letters times 2·k/(n + 1), k of them being scored.
    let weights = &example.weights[..clean.len()];
    let (n, sum) = (clean.len() as f64, weights.iter().copied().map(f64::from).sum::<f64>());
    let scored = weights.iter().filter(|weight| **weight != 0.0).count() as f64;
    [loss, price * pass.sum * (sum / n) * 2.0 * scored / (n + 1.0)]
}
