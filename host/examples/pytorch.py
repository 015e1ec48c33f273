"""Trains a model in PyTorch and brings it back, to sample, score or flash it here.

From the repository, with PyTorch and safetensors installed and the program built (`cargo build --release`):

    python3 host/examples/pytorch.py

The network is the `perceptron` configuration, the perceptron of core/src/mlp.rs. Whatever trains it, what counts is that the
file holds tensors of the names and shapes that `micro-diffusion inspect` lists, and the alphabet.
"""

import argparse
import os
import subprocess

import torch
from safetensors.torch import save_file

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
POSITIONS, SYMBOLS, HIDDEN = 12, 27, 256  # symbol 0 is PAD, 1 to 26 are the letters


class Perceptron(torch.nn.Module):
    def __init__(self):
        super().__init__()
        table = lambda fan_in: (torch.rand(POSITIONS, SYMBOLS, HIDDEN) * 2 - 1) * (3 / fan_in) ** 0.5
        self.input = torch.nn.Parameter(table(POSITIONS * SYMBOLS))
        self.hidden_bias = torch.nn.Parameter(torch.zeros(HIDDEN))
        self.output = torch.nn.Parameter(table(HIDDEN))
        self.output_bias = torch.nn.Parameter(torch.zeros(POSITIONS, SYMBOLS))

    def forward(self, clean, masked):
        """Logits of every position: a masked position adds nothing to the hidden layer."""
        rows = torch.nn.functional.embedding(clean + torch.arange(POSITIONS) * SYMBOLS, self.input.flatten(0, 1))
        shown = (~masked).unsqueeze(-1)
        hidden = torch.relu(self.hidden_bias + (rows * shown).sum(1))
        return torch.einsum("lvh,bh->blv", self.output, hidden) + self.output_bias


def read_names(path):
    """As symbols, without those that are too long: every tenth line is held out, the others are for training."""
    training, held_out = [], []
    for number, name in enumerate(open(path, encoding="utf-8"), 1):
        symbols = [ALPHABET.index(letter) + 1 for letter in name.strip()]
        if len(symbols) <= POSITIONS:
            side = held_out if number % 10 == 0 else training
            side.append(symbols + [0] * (POSITIONS - len(symbols)))
    return torch.tensor(training), torch.tensor(held_out)


def loss_of(network, clean):
    """The bound on -ln p(name): k of the positions masked, k uniform, their cross-entropy times L/k."""
    count = torch.randint(1, POSITIONS + 1, (len(clean), 1))
    masked = torch.rand(clean.shape).argsort(1).argsort(1) < count
    nats = torch.nn.functional.cross_entropy(network(clean, masked).transpose(1, 2), clean, reduction="none")
    return (nats * masked * POSITIONS / count).sum(1).mean()


def train(names, steps, batch=256, peak=4e-3):
    network = Perceptron()
    optimiser = torch.optim.Adam(network.parameters(), lr=peak)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(1, steps + 1):
        loss = loss_of(network, names[torch.randint(len(names), (batch,))])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % max(1, steps // 10) == 0:
            print(f"step {step:>6} of {steps}  loss {loss.item():.2f} nats a name", flush=True)
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
        nats = sum(loss_of(network, held_out).item() for _ in range(10)) / 10
    print(f"held out, by PyTorch: {nats:.2f} nats a name (ten mask draws for each)")
    tensors = {name: parameter.detach().contiguous() for name, parameter in network.named_parameters()}
    save_file(tensors, options.out, metadata={"alphabet": ALPHABET})

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
