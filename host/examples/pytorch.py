"""Trains a model in PyTorch and brings it back, to sample, score or flash it here.

From the repository, with PyTorch and safetensors installed and the program built (`cargo build --release`):

    python3 host/examples/pytorch.py

The network is the `perceptron` configuration, the perceptron of core/src/mlp.rs. Whatever trains it, what counts is that the
file holds tensors of the names and shapes that `micro-diffusion inspect` lists, the alphabet, and how long the names are.
"""

import argparse
import os
import subprocess

import torch
from safetensors.torch import save_file

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
POSITIONS, SYMBOLS, HIDDEN = 12, 26, 256  # symbol 0 is a


class Perceptron(torch.nn.Module):
    def __init__(self):
        super().__init__()
        table = lambda fan_in: (torch.rand(POSITIONS, SYMBOLS, HIDDEN) * 2 - 1) * (3 / fan_in) ** 0.5
        self.input = torch.nn.Parameter(table(POSITIONS * SYMBOLS))
        self.length = torch.nn.Parameter(torch.zeros(POSITIONS, HIDDEN))
        self.output = torch.nn.Parameter(table(HIDDEN))
        self.output_bias = torch.nn.Parameter(torch.zeros(POSITIONS, SYMBOLS))

    def forward(self, clean, masked, lengths):
        """Logits of every position: one that is masked, or past the end, adds nothing to the hidden layer."""
        rows = torch.nn.functional.embedding(clean + torch.arange(POSITIONS) * SYMBOLS, self.input.flatten(0, 1))
        shown = (~masked & inside(lengths)).unsqueeze(-1)
        hidden = torch.relu(self.length[lengths - 1] + (rows * shown).sum(1))
        return torch.einsum("lvh,bh->blv", self.output, hidden) + self.output_bias


def inside(lengths):
    """Which positions are the name's own."""
    return torch.arange(POSITIONS) < lengths.unsqueeze(1)


def read_names(path):
    """Symbols and lengths of the names that are not too long: every tenth line is held out, the others are for training."""
    training, held_out = [], []
    for number, name in enumerate(open(path, encoding="utf-8"), 1):
        symbols = [ALPHABET.index(letter) for letter in name.strip()]
        if 0 < len(symbols) <= POSITIONS:
            side = held_out if number % 10 == 0 else training
            # Whatever stands past the end is not looked at.
            side.append((symbols + [0] * (POSITIONS - len(symbols)), len(symbols)))
    return [tuple(torch.tensor(part) for part in zip(*side)) for side in (training, held_out)]


def loss_of(network, clean, lengths):
    """The bound on -ln p(name | n): k of the n positions masked, k uniform in 1 ... n, their cross-entropy times n/k."""
    n = lengths.unsqueeze(1)
    count = (torch.rand(n.shape) * n).long() + 1
    # Positions past the end come last in the order, so that none of them is among the first k.
    masked = (torch.rand(clean.shape) + ~inside(lengths)).argsort(1).argsort(1) < count
    logits = network(clean, masked, lengths)
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), clean, reduction="none")
    return (nats * masked * n / count).sum(1).mean()


def count_lengths(lengths):
    """How many names have 1, 2, ... letters."""
    return torch.bincount(lengths, minlength=POSITIONS + 1)[1:]


def length_nats(counts, lengths):
    """-ln p(n): each length has, besides its own names, 1/L of one."""
    shares = counts + 1 / POSITIONS
    return -(shares / shares.sum()).log()[lengths - 1]


def train(names, steps, batch=256, peak=4e-3):
    network = Perceptron()
    optimiser = torch.optim.Adam(network.parameters(), lr=peak)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(1, steps + 1):
        rows = torch.randint(len(names[0]), (batch,))
        loss = loss_of(network, *(part[rows] for part in names))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % max(1, steps // 10) == 0:
            print(f"step {step:>6} of {steps}  loss {loss.item():.2f} nats a name of given length", flush=True)
    return network


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--input", default="data/names.txt")
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--out", default="pytorch.safetensors")
    options.add_argument("--program", default=os.environ.get("PROGRAM", "target/release/micro-diffusion"))
    options = options.parse_args()
    torch.manual_seed(1)

    training, held_out = read_names(options.input)
    network = train(training, options.steps)
    with torch.no_grad():
        counts = count_lengths(training[1])
        nats = sum(loss_of(network, *held_out).item() for _ in range(10)) / 10
        nats += length_nats(counts, held_out[1]).mean().item()
    print(f"held out, by PyTorch: {nats:.2f} nats a name (ten mask draws for each)")
    tensors = {name: parameter.detach().contiguous() for name, parameter in network.named_parameters()}
    lengths = " ".join(str(count) for count in counts.tolist())
    save_file(tensors, options.out, metadata={"alphabet": ALPHABET, "lengths": lengths})

    # And back: the file is a model here, and becomes the one that firmware reads in place.
    flash = os.path.splitext(options.out)[0] + ".mdm"
    for arguments in (
        ["inspect", options.out],
        ["eval", "--model", options.out, "--input", options.input, "--num", "0"],
        ["export", "--model", options.out, "--format", "mdm", "--out", flash],
        ["sample", "--model", flash],
    ):
        print("$ micro-diffusion", *arguments, flush=True)
        subprocess.run([options.program, *arguments], check=True)


if __name__ == "__main__":
    main()
