"""Step times of this project beside NumPy and PyTorch, on the same machine at the same time.

Run `python3 tests/peers/compare.py` from the repository with NumPy and PyTorch installed and the program built
(`cargo build --release`). The peers are written here, as someone would write them in those libraries: the reference's
kind of network in NumPy, and the same two-layer perceptron and transformer in PyTorch, which know the length of each name,
with embedding lookup, masked loss and fused Adam. Each round times every peer once, one after the other; the best of the rounds counts, as other work on
the machine only ever slows one down. Prints a table with the ratio to ours.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import torch

from ours import PROGRAM

ROUNDS = int(os.environ.get("ROUNDS", "20"))
BATCH, HIDDEN = 64, 256
# The letters, and what is no letter: a mask for our kind of network, the end of a name for the reference's.
LETTERS, NONE = 26, 26
NAMES = [name.strip() for number, name in enumerate(open("data/names.txt"), 1) if number % 10]


def encode(positions):
    """The names as rows of letters, and NONE past their ends."""
    names = [name for name in NAMES if len(name) <= positions]
    rows = [[ord(c) - 97 for c in name] + [NONE] * (positions - len(name)) for name in names]
    return np.array(rows)


def corrupt(generator, clean):
    """k masks among the n letters of each row, k uniform in 1 … n, and the weight n/k of each masked position."""
    is_letter = clean != NONE
    length = is_letter.sum(1)
    count = generator.integers(1, length + 1)
    rank = np.where(is_letter, generator.random(clean.shape), 1).argsort(1).argsort(1)
    masked = rank < count[:, None]
    return masked, masked * (length / count / len(clean))[:, None]


class Perceptron(torch.nn.Module):
    """Hidden layer from the length and embeddings of the shown letters, logits at the masked positions only."""

    def __init__(self, positions):
        super().__init__()
        # One row for each letter at each position and one for what is none.
        self.table = torch.nn.Embedding(positions * (LETTERS + 1), HIDDEN)
        self.bias = torch.nn.Embedding(positions + 1, HIDDEN)
        self.output = torch.nn.Parameter(torch.randn(positions, LETTERS, HIDDEN) / 16)
        self.output_bias = torch.nn.Parameter(torch.zeros(positions, LETTERS))
        self.offsets = torch.arange(positions) * (LETTERS + 1)

    def forward(self, noisy, is_letter):
        hidden = torch.relu(self.table(noisy + self.offsets).sum(1) + self.bias(is_letter.sum(1)))
        return torch.einsum("bh,lvh->blv", hidden, self.output) + self.output_bias


class Norm(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        return torch.nn.functional.rms_norm(x, x.shape[-1:], self.gain, 1e-5)


class Block(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.qkv = torch.nn.Linear(width, 3 * width, bias=False)
        self.out = torch.nn.Linear(width, width, bias=False)
        self.up = torch.nn.Linear(width, 4 * width, bias=False)
        self.down = torch.nn.Linear(4 * width, width, bias=False)

    def forward(self, x, is_letter):
        rows, positions, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(rows, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=is_letter[:, None, None])
        x = x + self.out(attended.transpose(1, 2).reshape(rows, positions, width))
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Transformer(torch.nn.Module):
    def __init__(self, positions, width=64, heads=4, blocks=4):
        super().__init__()
        self.token = torch.nn.Embedding(LETTERS + 1, width)
        self.position = torch.nn.Parameter(torch.randn(positions, width) / 50)
        self.from_end = torch.nn.Embedding(positions, width)
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.norm, self.head = Norm(width), torch.nn.Linear(width, LETTERS)
        self.places = torch.arange(positions)

    def forward(self, noisy, is_letter):
        from_end = (is_letter.sum(1, keepdim=True) - 1 - self.places).clamp(min=0)
        x = self.token(noisy) + self.position + self.from_end(from_end)
        for block in self.blocks:
            x = block(x, is_letter)
        return self.head(self.norm(x))


class TorchPeer:
    """Trains `model` as a PyTorch user would."""

    def __init__(self, model, positions, threads):
        self.model, self.threads, self.data = model, threads, torch.tensor(encode(positions))
        self.generator = np.random.default_rng(1)
        self.adam = torch.optim.AdamW(model.parameters(), lr=4e-3, fused=True)

    def step(self):
        clean = self.data[torch.from_numpy(self.generator.integers(0, len(self.data), BATCH))]
        masked, weights = map(torch.from_numpy, corrupt(self.generator, clean.numpy()))
        logits = self.model(torch.where(masked, NONE, clean), clean != NONE)
        loss = torch.nn.functional.cross_entropy(logits[masked], clean[masked], reduction="none")
        self.adam.zero_grad()
        (loss * weights[masked].float()).sum().backward()
        self.adam.step()

    def time(self, steps):
        torch.set_num_threads(self.threads)
        return timed(self.step, steps)


class NumpyPeer:
    """A two-layer perceptron over one-hot symbols with a mask symbol and a time input, all positions in the loss.

    The end of a name is a symbol, as in the reference.
    """

    def __init__(self, positions):
        self.positions, self.data, self.generator = positions, encode(positions), np.random.default_rng(1)
        inputs, outputs = positions * (LETTERS + 2) + 1, positions * (LETTERS + 2)
        scale = lambda rows, columns: self.generator.standard_normal((rows, columns)).astype(np.float32) / rows**0.5
        self.parameters = [scale(inputs, HIDDEN), np.zeros(HIDDEN, np.float32), scale(HIDDEN, outputs), np.zeros(outputs, np.float32)]
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self.parameters]
        self.count = 0

    def step(self):
        w1, b1, w2, b2 = self.parameters
        clean = self.data[self.generator.integers(0, len(self.data), BATCH)]
        share = self.generator.random()
        noisy = np.where(self.generator.random(clean.shape) < share, NONE + 1, clean)
        eye = np.eye(LETTERS + 2, dtype=np.float32)
        x = np.concatenate([eye[noisy].reshape(BATCH, -1), np.full((BATCH, 1), share, np.float32)], 1)
        h = np.maximum(x @ w1 + b1, 0)
        z = (h @ w2 + b2).reshape(BATCH, self.positions, -1)
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        d_z = ((p - eye[clean]) / (BATCH * self.positions)).reshape(BATCH, -1)
        d_h = (d_z @ w2.T) * (h > 0)
        gradients = [x.T @ d_h, d_h.sum(0), h.T @ d_z, d_z.sum(0)]
        self.count += 1
        for p, g, (m, v) in zip(self.parameters, gradients, self.moments):
            g = np.clip(g, -1, 1)
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= 5e-4 * (m / (1 - 0.9**self.count)) / (np.sqrt(v / (1 - 0.999**self.count)) + 1e-8)

    def time(self, steps):
        return timed(self.step, steps)


class Ours:
    def __init__(self, config, threads):
        self.command = [PROGRAM, "bench", "--config", config, "--threads", str(threads), "--batch", str(BATCH), "--json"]

    def time(self, _):
        return json.loads(subprocess.check_output(self.command))["step_ms"]


def timed(step, steps):
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps * 1e3


def main():
    groups = {
        "perceptron": [
            ("ours, 1 thread", Ours("perceptron", 1)),
            ("ours, 2 threads", Ours("perceptron", 2)),
            ("PyTorch, 1 thread", TorchPeer(Perceptron(12), 12, 1)),
            ("PyTorch, 2 threads", TorchPeer(Perceptron(12), 12, 2)),
            ("NumPy", NumpyPeer(12)),
        ],
        "transformer": [
            ("ours, 1 thread", Ours("transformer", 1)),
            ("ours, 2 threads", Ours("transformer", 2)),
            ("PyTorch, 1 thread", TorchPeer(Transformer(16), 16, 1)),
            ("PyTorch, 2 threads", TorchPeer(Transformer(16), 16, 2)),
        ],
    }
    for name in sys.argv[1:] or groups:
        best = {label: float("inf") for label, _ in groups[name]}
        for _ in range(ROUNDS):
            for label, peer in groups[name]:
                best[label] = min(best[label], peer.time(20))
        print(f"{name}, ms a step of {BATCH}, best of {ROUNDS} rounds")
        for label, ms in best.items():
            ours = best["ours, 1 thread" if "1 thread" in label else "ours, 2 threads"]
            print(f"  {label:<20} {ms:8.3f}   {ms / ours:5.2f} × ours")


main()
