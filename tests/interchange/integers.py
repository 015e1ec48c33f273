"""What a model file of integers computes, by NumPy alone, in 64-bit integers: python3 integers.py MODEL.mdm < TEXTS

Each line of TEXTS is a text as symbols with spaces between, -1 for a masked position; it is as long as the line. Prints the scores of each text on a
line, position by position, in 1/65536 nat. The file is read by hand, from the table in the documentation of its format.
"""

import sys
import zlib

import numpy as np

from logits import embedding

MLP, RESIDUAL, CONVOLUTION = 1, 2, 4
INT8, INT4, INT16 = 2, 3, 4


def unpack(data, dimensions, dtype):
    """Weights less the code of 0, and biases, in the order of the dimensions."""
    if dtype == INT16:
        return np.frombuffer(data, dtype="<i2").astype(np.int64).reshape(dimensions)
    codes = np.frombuffer(data, dtype=np.uint8).astype(np.int64)
    if dtype == INT8:
        return codes.reshape(dimensions) - 128
    assert dtype == INT4, dtype
    nibbles = np.stack([codes & 15, codes >> 4], -1).ravel()
    row = dimensions[-1]
    if row % 2 == 1:
        # Two rows, and between them the byte with the last of each.
        pairs = nibbles.reshape(-1, 2 * row)
        nibbles = np.concatenate([pairs[:, :row], pairs[:, row + 1 :], pairs[:, row : row + 1]], 1)
    return nibbles.reshape(dimensions) - 8


def load(path):
    data = open(path, "rb").read()
    assert data[:6] == b"mdm\x1a\x02\x00" and zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
    field = lambda start, length=2: int.from_bytes(data[start : start + length], "little")
    kind, layout, positions, symbols, width, count = data[8], data[9], field(10), field(12), field(14), data[20]
    assert kind in (MLP, RESIDUAL, CONVOLUTION) and layout == 2, "a perceptron or convolution in integers"
    alphabet = data[24 : 24 + field(22)].decode()
    counts = [field(24 + field(22) + 4 * index, 4) for index in range(positions)]
    table, payload = 24 + field(22) + 4 * positions, data[field(6) : -4]
    names = ["input", "length", "output", "output_bias"]
    if kind == RESIDUAL:
        names[2:2] = ["residual", "residual_bias"]
    if kind == CONVOLUTION:
        names = ["embedding", "weight", "bias", "output", "output_bias"]
    assert count == len(names)
    tensors, exponents, start = {}, {"activation": data[21]}, 0
    for number, name in enumerate(names):
        entry = table + 28 * number
        dtype, dimensions = data[entry + 1], [field(entry + 4 + 4 * d, 4) for d in range(data[entry + 2])]
        assert (data[entry], field(entry + 20, 4)) == (number, start)
        end = start + int(np.prod(dimensions)) * {INT8: 8, INT4: 4, INT16: 16}[dtype] // 8
        tensors[name] = unpack(payload[start:end], dimensions, dtype)
        scale = np.frombuffer(data[entry + 24 : entry + 28], dtype="<f4")[0]
        exponents[name] = int(-np.log2(scale))
        assert 2.0 ** -exponents[name] == scale
        start = end
        if number == 0:
            units = width * {MLP: 1, RESIDUAL: 2, CONVOLUTION: field(18)}[kind]
            exponents["largest"] = 255 if dtype == INT8 else min(255, 65535 // 15 // units)
    assert start == len(payload)
    if kind == CONVOLUTION:
        ends = [symbols, symbols + positions]
        tensors["token"], tensors["position"], tensors["from_end"] = np.split(tensors.pop("embedding"), ends)
    return {**tensors, "exponents": exponents}, {"alphabet": alphabet, "lengths": " ".join(map(str, counts))}


def convolution(t, symbols):
    """The same with a residual stream of 16 bits in units of 1/1024; each layer over all positions."""
    e, length = t["exponents"], len(symbols)
    # x·2ⁿ to the nearest integer, halves up.
    scale = lambda x, n: x << n if n >= 0 else x + (1 << -n - 1) >> -n
    value = lambda x: np.clip(scale(x, e["activation"] - 10), 0, e["largest"])
    x = embedding(t, symbols) << 10 - e["embedding"]
    for weight, bias in zip(t["weight"], t["bias"]):
        padded = np.pad(value(x), ((len(weight) // 2, len(weight) // 2), (0, 0)))
        products = sum(padded[j : j + length] @ tap for j, tap in enumerate(weight))
        x = np.clip(x + bias + scale(products, 10 - e["weight"] - e["activation"]), -(2**15), 2**15 - 1)
    z = value(x) @ t["output"]
    return (z << 16 - e["activation"] - e["output"]) + (t["output_bias"] << 16 - e["output_bias"])


def scores(t, symbols):
    """Sums, divisions by powers of two rounded down, and hidden values held at the largest; nothing else."""
    length = len(symbols)
    if "token" in t:
        return convolution(t, symbols)
    e = t["exponents"]
    value = lambda sums, shift: np.clip(sums >> shift, 0, e["largest"])
    shown = [t["input"][l, s] for l, s in enumerate(symbols) if s >= 0]
    hidden = value(t["length"][length - 1] + sum(shown), e["input"] - e["activation"])
    if "residual" in t:
        hidden = hidden + value(hidden @ t["residual"] + t["residual_bias"], e["residual"])
    z = (t["output"][:length] * hidden[:, None]).sum(1)
    return (z << 16 - e["activation"] - e["output"]) + (t["output_bias"][:length] << 16 - e["output_bias"])


def logits(tensors, metadata, symbols):
    return scores(tensors, symbols) / 65536


if __name__ == "__main__":
    tensors, _ = load(sys.argv[1])
    for line in sys.stdin:
        print(*scores(tensors, [int(word) for word in line.split()]).ravel())
