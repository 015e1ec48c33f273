"""Trains a perceptron anew, by NumPy alone, in double precision: python3 training.py RUN NAMES

RUN is the folder of a run of `micro-diffusion train --config perceptron` (or `perceptron-small`, with `--dropout 0 --keep last`) on
the file NAMES, whose lines are all different. Of RUN the script reads `settings.json` and the shapes in
`checkpoint.safetensors`; of NAMES the lines. All else it computes from the equations: initial weights, order of the
names, lengths, masks, loss, gradient, Adam.

Prints the loss of each step, to be compared with `loss.csv`, as `cargo test --test interchange numpy_trains` does. By
hand:

    cargo run --release -- train --steps 100 --out run --no-eval --no-pictures
    python3 tests/interchange/training.py run data/names.txt | paste -d, run/loss.csv -
"""

import json
import pathlib
import sys

import numpy as np

from logits import load

WEIGHTS, ORDER, NOISE = range(3)


def threefry(key, counter):
    """Threefry-2×32 with 20 rounds (Salmon et al. 2011); every word may be an array."""
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    word = lambda x: np.asarray(x, dtype=np.uint64) & 0xFFFFFFFF
    key = [word(k) for k in key]
    key.append(0x1BD11BDA ^ key[0] ^ key[1])
    x, y = (word(word(c) + k) for c, k in zip(counter, key))
    for number in range(20):
        turn = np.uint64(rotations[number % 8])
        x = word(x + y)
        y = word(y << turn | y >> (np.uint64(32) - turn)) ^ x
        if number % 4 == 3:
            injection = number // 4 + 1
            x = word(x + key[injection % 3])
            y = word(y + key[(injection + 1) % 3] + np.uint64(injection))
    return x, y


def stream(seed, purpose):
    return threefry((seed & 0xFFFFFFFF, seed >> 32), (purpose, 0))


def below(word, bound):
    """⌊word·bound/2³²⌋: uniform in 0 … bound − 1."""
    return word * np.asarray(bound, dtype=np.uint64) >> np.uint64(32)


def texts(path, positions):
    """The training lines as symbols, how many each has, and how many symbols there are; past its end a line has 0s."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").split()
    lines = [(number, line) for number, line in enumerate(lines, 1) if len(line) <= positions]
    alphabet = sorted(set("".join(line for _, line in lines)))
    training = [line for number, line in lines if number % 10 != 0]
    encode = lambda line: [alphabet.index(letter) for letter in line] + [0] * (positions - len(line))
    lengths = np.array([len(line) for line in training])
    return np.array([encode(line) for line in training]), lengths, len(alphabet)


def length_nats(lengths, positions):
    """The mean −ln p(n) of the texts, p(n) = (L·c_n + 1)/(L·C + L) where c_n of C texts have n symbols."""
    counts = np.bincount(lengths, minlength=positions + 1)[1:]
    shares = (positions * counts + 1) / (positions * len(lengths) + positions)
    return -np.log(shares[lengths - 1]).mean()


def order(seed, epoch, count):
    """Fisher and Yates, from the last place down."""
    words, _ = threefry(threefry(stream(seed, ORDER), (epoch, 0)), (np.arange(count), 0))
    order = np.arange(count)
    for last in range(count - 1, 0, -1):
        place = int(below(words[last], last + 1))
        order[[last, place]] = order[[place, last]]
    return order


def stride(rows):
    """About 0.618 of the rows, and without a common divisor with their number."""
    return next(step for step in range(max(rows * 618 // 1000, 1), 0, -1) if np.gcd(step, rows) == 1)


def count_and_weight(length, row, rows, words):
    """How many of `length` positions to mask, k with probability p_k ∝ 1/√k, and 1/(k·p_k)."""
    shares = 1 / np.sqrt(np.arange(1, length + 1))
    shares /= shares.sum()
    word, rotation = int(words[0]), int(below(words[1], rows))
    quantile = ((row * stride(rows) + rotation) % rows + word / 2**32) / rows
    count = min(np.searchsorted(np.cumsum(shares), quantile, side="right") + 1, length)
    return count, 1 / (count * shares[count - 1])


def masked(words, length, count):
    """Selection sampling (Knuth, algorithm S): `count` of the first `length` positions, by one word for each."""
    mask = np.zeros(len(words), dtype=bool)
    for position in range(length):
        mask[position] = below(words[position], length - position) < count - mask.sum()
    return mask


def batch(seed, step, lengths, positions):
    """Which positions of each row are masked, and what each of them weighs."""
    rows = len(lengths)
    noise = stream(seed, NOISE)
    shared = threefry(threefry(noise, (step, 0xFFFFFFFF)), (0, 0))
    keys = threefry(noise, (step, np.arange(rows)[:, None]))
    words, _ = threefry(keys, (np.arange(positions)[None], 0))
    masks, weights = np.zeros((rows, positions), dtype=bool), np.zeros((rows, positions))
    for row, length in enumerate(lengths):
        count, weight = count_and_weight(length, row, rows, shared)
        masks[row] = masked(words[row], length, count)
        weights[row, masks[row]] = weight / rows
    return masks, weights


def initial(seed, shapes):
    """Uniform in ±√(3/fan-in): of the first table L·V, of the output H; biases 0."""
    positions, symbols, width = shapes["input"]
    fan_ins = {"input": positions * symbols, "length": 0, "output": width, "output_bias": 0}
    parameters = {}
    for number, (name, fan_in) in enumerate(fan_ins.items()):
        parameters[name] = np.zeros(shapes[name])
        if fan_in > 0:
            key = threefry(stream(seed, WEIGHTS), (number, 0))
            words, _ = threefry(key, (np.arange(parameters[name].size), 0))
            uniform = (words >> np.uint64(8)) / 2**23 - 1
            parameters[name] = (np.sqrt(3 / fan_in) * uniform).reshape(shapes[name])
    return parameters


def loss_and_gradient(p, clean, lengths, masks, weights, symbols):
    """h = max(0, b_n + Σ_l E_l,x_l) over the shown l of n, z_l = c_l + U_l·h; the loss Σ weight·−ln p, and its gradient."""
    positions = clean.shape[1]
    inside = np.arange(positions) < lengths[:, None]
    of_row, of_position = np.nonzero(inside & ~masks)
    shown = clean[of_row, of_position]
    sums = p["length"][lengths - 1]
    np.add.at(sums, of_row, p["input"][of_position, shown])
    hidden = np.maximum(sums, 0)
    z = np.einsum("lvh,bh->blv", p["output"], hidden) + p["output_bias"]
    z[..., symbols:] = -np.inf
    z -= z.max(-1, keepdims=True)
    shares = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    at = (*np.indices(clean.shape), clean)
    loss = -(weights * np.log(shares[at])).sum()
    d_z = shares
    d_z[at] -= 1
    d_z *= weights[..., None]
    d_sums = np.einsum("blv,lvh->bh", d_z, p["output"]) * (sums > 0)
    d_input = np.zeros_like(p["input"])
    np.add.at(d_input, (of_position, shown), d_sums[of_row])
    d_length = np.zeros_like(p["length"])
    np.add.at(d_length, lengths - 1, d_sums)
    gradient = {
        "input": d_input,
        "length": d_length,
        "output": np.einsum("blv,bh->lvh", d_z, hidden),
        "output_bias": d_z.sum(0),
    }
    return loss, gradient


def learning_rate(step, settings):
    """Rises over the warm-up, then falls in a line to a share of its peak."""
    peak, floor = settings["learning_rate"], settings["final_rate"]
    warm_up = min(settings["warm_up"], settings["steps"] // 2)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(settings["steps"] - warm_up - 1, 1)
    return peak * (1 + (floor - 1) * min(done, 1))


def main():
    run = pathlib.Path(sys.argv[1])
    settings = json.loads((run / "settings.json").read_text())
    assert settings["dropout"] == 0 and settings["quantize"] is None and not settings["development"]
    assert settings["keep"] == "last" and "from" not in settings
    checkpoint, _ = load(run / "checkpoint.safetensors")
    weights = {name: tensor for name, tensor in checkpoint.items() if name.startswith("weights.")}
    shapes = {name.removeprefix("weights."): tensor.shape for name, tensor in weights.items()}
    assert set(shapes) == {"input", "length", "output", "output_bias"}, "not a perceptron"
    seed, rows = settings["seed"], settings["batch"]
    positions = shapes["input"][0]
    clean, lengths, symbols = texts(sys.argv[2], positions)
    parameters, constant = initial(seed, shapes), length_nats(lengths, positions)
    m, v = ({name: np.zeros_like(tensor) for name, tensor in parameters.items()} for _ in range(2))
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    epoch, permutation = None, None
    for step in range(settings["steps"]):
        chosen = []
        for number in range(step * rows, (step + 1) * rows):
            if epoch != number // len(clean):
                epoch = number // len(clean)
                permutation = order(seed, epoch, len(clean))
            chosen.append(permutation[number % len(clean)])
        masks, weights = batch(seed, step, lengths[chosen], positions)
        loss, gradient = loss_and_gradient(parameters, clean[chosen], lengths[chosen], masks, weights, symbols)
        print(repr(float(loss + constant)))
        rate = learning_rate(step, settings)
        for name, w in parameters.items():
            g = gradient[name]
            m[name] = beta_1 * m[name] + (1 - beta_1) * g
            v[name] = beta_2 * v[name] + (1 - beta_2) * g**2
            mean, square = m[name] / (1 - beta_1 ** (step + 1)), v[name] / (1 - beta_2 ** (step + 1))
            w -= rate * (mean / (np.sqrt(square) + epsilon) + settings["weight_decay"] * w)


main()
