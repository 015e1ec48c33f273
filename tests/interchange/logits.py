"""What an exported model computes, by NumPy alone, in double precision: python3 logits.py MODEL.safetensors < TEXTS

Each line of TEXTS is a text as symbols with spaces between, -1 for a masked position; it is as long as the line. Prints the logits of each text on
a line, position by position. The file is read by hand to show how little there is to it: eight bytes with the length of
the header, the header as JSON, and the numbers.
"""

import json
import sys

import numpy as np


def load(path):
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", name
        start, end = entry["data_offsets"]
        numbers = np.frombuffer(body[start:end], dtype="<f4")
        tensors[name] = numbers.reshape(entry["shape"]).astype(np.float64)
    return tensors, metadata


def perceptron(t, symbols):
    """The bias of the length and the shown symbols' rows, ReLU, in the residual kind a second layer beside it, the output layer."""
    length = len(symbols)
    shown = [t["input"][l, s] for l, s in enumerate(symbols) if s >= 0]
    hidden = np.maximum(t["length"][length - 1] + sum(shown), 0)
    if "residual" in t:
        hidden = hidden + np.maximum(t["residual"] @ hidden + t["residual_bias"], 0)
    return t["output"][:length] @ hidden + t["output_bias"][:length]


def embedding(t, symbols):
    """Counts the positions from the start and from the end; a masked one has nothing else."""
    length = len(symbols)
    token = np.vstack([t["token"], np.zeros_like(t["token"][:1])])
    return token[np.array(symbols)] + t["position"][:length] + t["from_end"][:length][::-1]


def rms_norm(x, gain):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * gain


def gelu(x):
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def attention(query, key, value, heads):
    positions, width = query.shape
    split = lambda x: x.reshape(positions, heads, width // heads).transpose(1, 0, 2)
    scores = split(query) @ split(key).transpose(0, 2, 1) / np.sqrt(width // heads)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return (shares @ split(value)).transpose(1, 0, 2).reshape(positions, width)


def convolution(t, symbols):
    """Layers of an odd number of taps, each added to what went in, with ReLU before each and before the output layer."""
    x = embedding(t, symbols)
    for weight, bias in zip(t["weight"], t["bias"]):
        reach = len(weight) // 2
        a = np.pad(np.maximum(x, 0), ((reach, reach), (0, 0)))
        x = x + bias + sum(a[tap : tap + len(x)] @ w.T for tap, w in enumerate(weight))
    return np.maximum(x, 0) @ t["output"].T + t["output_bias"]


def transformer(t, symbols, heads):
    x = embedding(t, symbols)
    width = x.shape[1]
    for block in range(len(t["up"])):
        n = rms_norm(x, t["attention_gain"][block])
        query, key, value = (n @ w.T for w in t["query_key_value"][block])
        x = x + attention(query, key, value, heads) @ t["attention_output"][block]
        n = rms_norm(x, t["mlp_gain"][block])
        # Of three taps each group of hidden units has a matrix for the letter before, one for the letter and one for that behind.
        up, down = t["up"][block], t["down"][block].reshape(-1, width)
        taps = up.size // down.size
        padded = np.pad(n, ((taps // 2, taps // 2), (0, 0)))
        seen = np.hstack([padded[tap : tap + len(n)] for tap in range(taps)])
        up = up.reshape(-1, taps, width, width).transpose(0, 2, 1, 3).reshape(-1, taps * width)
        x = x + gelu(seen @ up.T) @ down
    return rms_norm(x, t["final_gain"]) @ t["output"].T


def logits(tensors, metadata, symbols):
    if "weight" in tensors:
        return convolution(tensors, symbols)
    if "token" in tensors:
        return transformer(tensors, symbols, int(metadata["heads"]))
    return perceptron(tensors, symbols)


if __name__ == "__main__":
    tensors, metadata = load(sys.argv[1])
    for line in sys.stdin:
        symbols = [int(word) for word in line.split()]
        print(*(repr(float(number)) for number in logits(tensors, metadata, symbols).ravel()))
