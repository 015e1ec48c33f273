"""A left-to-right transformer in PyTorch, trained on our split of the names, and its exact score beside the program's.

Run `python3 tests/peers/left_to_right.py --model MODEL…` from the repository with PyTorch installed and the program built
(`cargo build --release`). A MODEL is a model file or a run folder, by default `data/names.mdm`. The peer trains on the lines
that the program trains on: every tenth of `data/names.txt` is held out. Beside each MODEL stands the peer's score on the same
held-out lines, those of at most as many letters as MODEL has positions. The peer's −ln p is exact; the program's, by 64
orders, is an upper bound.

The network is GPT-2's (Radford et al. 2019) in the size of makemore's transformer: 4 blocks, 4 heads, width 64. A name
x_1 … x_n and its end x_(n+1) have the probability

    p(x) = Π_i p(x_i | x_0 … x_(i−1)),  x_0 the start, which is written with the symbol of the end
    h = E[x] + P
    h += O·attention(N·norm(h)),  h += D·gelu(U·norm(h)),  in each block
    attention: softmax(q·k/√16)·v in each head, over the positions up to its own
    p(x_i | x_0 … x_(i−1)) = softmax(W·norm(h_(i−1)) + b)

Dropout is where GPT-2 has it: on E[x] + P, on the weights of attention, and on what a block adds to h. The optimiser is
AdamW with a linear warm-up and cosine decay to a hundredth; gradients are clipped to norm 1. The average of the weights is
scored, as the program does.

`--development` trains on nine tenths of the training lines and scores the others along the way: settings are chosen there.
Without it the held-out lines are scored once, after the last step. `--write FILE` keeps settings, scores and curve.
"""

import argparse
import itertools
import json
import math
import pathlib
import re
import sys
import time

try:
    import torch
    from torch.nn import functional
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
except ImportError:
    sys.exit("there is no PyTorch here; install it with: python3 -m pip install torch")

from ours import ROOT, program, split

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
# The end of a name is the last symbol, and stands for the start too. Targets past the end are NOTHING.
END, NOTHING = len(ALPHABET), -100
# Rows of the curve, and of the development scores.
ROWS, LOOKS = 50, 10


def encode(names):
    """Inputs and targets, a row for each name: its letters after the start, and before the end."""
    texts = [[ALPHABET.index(letter) for letter in name] for name in names]
    longest = max(map(len, texts))
    inputs = [[END, *text, *[END] * (longest - len(text))] for text in texts]
    targets = [[*text, END, *[NOTHING] * (longest - len(text))] for text in texts]
    return torch.tensor(inputs), torch.tensor(targets)


def part(data, rows):
    """Some rows, as wide as the longest of their names with its end needs."""
    inputs, targets = data[0][rows], data[1][rows]
    width = int((targets != NOTHING).sum(1).max())
    return inputs[:, :width], targets[:, :width]


class Block(torch.nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.qkv = torch.nn.Linear(width, 3 * width, bias=False)
        self.out = torch.nn.Linear(width, width, bias=False)
        self.up = torch.nn.Linear(width, 4 * width, bias=False)
        self.down = torch.nn.Linear(4 * width, width, bias=False)

    def drop(self, x):
        return functional.dropout(x, self.dropout, self.training)

    def forward(self, x, is_text):
        """Rows of `x` are the places of the texts, one after another; attention alone has a grid, filled with 0."""
        rows, positions, width = *is_text.shape, x.shape[1]
        qkv = x.new_zeros(rows, positions, 3 * width)
        qkv[is_text] = self.qkv(self.norm1(x))
        q, k, v = qkv.view(rows, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)
        later = torch.ones(positions, positions, dtype=torch.bool).triu(1)
        weights = self.drop(scores.masked_fill(later, -math.inf).softmax(-1))
        attended = (weights @ v).transpose(1, 2).reshape(rows, positions, width)
        x = x + self.drop(self.out(attended[is_text]))
        return x + self.drop(self.down(functional.gelu(self.up(self.norm2(x)))))


class LeftToRight(torch.nn.Module):
    """−ln p of each symbol of the texts, ends too, one text after another."""

    def __init__(self, positions, dropout, width=64, heads=4, blocks=4):
        super().__init__()
        self.dropout = dropout
        self.token = torch.nn.Embedding(END + 1, width)
        self.position = torch.nn.Embedding(positions + 1, width)
        self.blocks = torch.nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm, self.head = torch.nn.LayerNorm(width), torch.nn.Linear(width, END + 1)
        # By fan-in: GPT-2's 0.02 is small for a width of 64, and was behind on the development split.
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                table = name in ("token.weight", "position.weight")
                torch.nn.init.normal_(parameter, std=0.3 if table else parameter.shape[1] ** -0.5)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, inputs, targets):
        is_text = targets != NOTHING
        x = self.token(inputs) + self.position.weight[: inputs.shape[1]]
        x = functional.dropout(x[is_text], self.dropout, self.training)
        for block in self.blocks:
            x = block(x, is_text)
        return functional.cross_entropy(self.head(self.norm(x)), targets[is_text], reduction="none")


def nats(model, data, rows=512):
    """−ln p of each name with its end."""
    model.eval()
    scores = torch.zeros(data[1].shape, dtype=torch.float64)
    with torch.no_grad():
        for few in torch.arange(len(data[0])).split(rows):
            inputs, targets = part(data, few)
            grid = torch.zeros(targets.shape, dtype=torch.float64)
            grid[targets != NOTHING] = model(inputs, targets).double()
            scores[few, : grid.shape[1]] = grid
    model.train()
    return scores.sum(1)


def summary(scores, names):
    """Mean, its standard error over the names, and nats a character, the end being one."""
    mean, error = scores.mean().item(), scores.std().item() / math.sqrt(len(names))
    return mean, error, mean * len(names) / sum(len(name) + 1 for name in names)


def rate(step, options):
    """The learning rate of a step: linear warm-up, and cosine decay to a hundredth."""
    warm = min(1, (step + 1) / options.warm_up)
    return options.lr * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * step / options.steps)) / 2)


def trained(names, options, look):
    """The average of a trained model's weights as a model, and the curve: steps, mean loss since the row before, rate.

    `look` is given the steps done and the average of the weights, now and then.
    """
    model = LeftToRight(options.positions, options.dropout)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(options.averaging))
    # As usual, matrices decay; gains and biases do not.
    matrices = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in model.parameters() if parameter.dim() != 2]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0}]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=options.weight_decay, fused=True)
    data, order, curve, losses = encode(names), iter(()), [], []
    for step in range(options.steps):
        few = next(order, None)
        if few is None:
            # Each name once in an epoch; those that do not fill a batch are left out of this one.
            shuffled = torch.randperm(len(names)).split(min(options.batch, len(names)))
            order = iter([rows for rows in shuffled if len(rows) == len(shuffled[0])])
            few = next(order)
        each = model(*part(data, few))
        adam.zero_grad()
        each.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        for group in adam.param_groups:
            group["lr"] = rate(step, options)
        adam.step()
        average.update_parameters(model)
        losses.append(each.sum().item() / len(few))
        if (step + 1) * ROWS // options.steps > step * ROWS // options.steps:
            curve.append((step + 1, sum(losses) / len(losses), rate(step, options)))
            losses = []
        if (step + 1) * LOOKS // options.steps > step * LOOKS // options.steps:
            look(step + 1, average.module, curve)
    return average.module, curve


def scored(model, options):
    """A model's positions, and how the program scores it."""
    inspected = json.loads(program("inspect", "--json", "--model", model))
    positions = int(re.search(r"(\d+) positions", inspected["shape"])[1])
    how = ["--input", options.input, "--development=false", "--num", 0]
    how += ["--orders", options.orders, "--threads", options.threads]
    return positions, json.loads(program("eval", "--json", "--model", model, *how))


def control():
    """Shows that scores are exact and that no position sees what comes after it."""
    torch.manual_seed(1)
    model, names = LeftToRight(4, 0.5), ["ab", "abcd", "z"]
    inputs, targets = encode(names)
    assert inputs[0].tolist() == [END, 0, 1, END, END] and targets[0].tolist() == [0, 1, END, NOTHING, NOTHING]
    assert torch.allclose(nats(model, encode(names)), torch.cat([nats(model, encode([name])) for name in names]))
    model.eval()
    with torch.no_grad():
        each = [model(*encode([name])) for name in ("ab", "abcd")]
        assert torch.allclose(each[0][:2], each[1][:2]), "a and b are scored before what follows"
        # No name, the names of one letter, and what begins with two: their probabilities add up to 1.
        pairs = [one + other for one in ALPHABET for other in ALPHABET]
        begun = model(*encode(pairs)).view(len(pairs), 3)[:, :2].sum(1)
        whole = torch.cat([nats(model, encode(["", *ALPHABET])), begun]).neg().exp().sum().item()
        assert abs(whole - 1) < 1e-5, whole


def main():
    control()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add, path = parser.add_argument, pathlib.Path
    add("--model", nargs="+", default=["data/names.mdm"], help="the program's models")
    add("--steps", type=int, default=10_000)
    add("--batch", type=int, default=64)
    add("--dropout", type=float, default=0.2)
    add("--lr", type=float, default=6e-3)
    add("--warm-up", type=int, default=200)
    add("--weight-decay", type=float, default=0.1)
    add("--averaging", type=float, default=0.999)
    add("--positions", type=int, default=16, help="longest name that the peer reads")
    add("--seed", type=int, default=1)
    add("--threads", type=int, default=1)
    add("--orders", type=int, default=64, help="orders of the program's score")
    add("--input", type=path, default=ROOT / "data/names.txt", help="another list of names in a to z")
    add("--development", action="store_true", help="score every tenth training line, and train on the others")
    add("--write", type=path, metavar="FILE", help="keep settings, scores and curve here")
    options = parser.parse_args()
    training, held_out = split(options.input.read_text().split(), ALPHABET, options.positions)
    if options.development:
        training, held_out = split(training, ALPHABET, options.positions)
    try:
        # None in development, whose lines the program's models were trained on. Before the long part, as this may fail.
        models = {} if options.development else {model: scored(model, options) for model in options.model}
    except RuntimeError as error:
        sys.exit(str(error))
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    data, start = encode(held_out), time.perf_counter()

    def look(step, model, curve):
        line = f"{step:6} steps, {time.perf_counter() - start:5.0f} s, training {curve[-1][1]:.3f}"
        if options.development:
            line += f", development {summary(nats(model, data), held_out)[0]:.3f}"
        print(line, file=sys.stderr, flush=True)

    model, curve = trained(training, options, look)
    seconds, scores = time.perf_counter() - start, nats(model, data)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    mean, error, character = summary(scores, held_out)
    if options.write:
        kept = ("steps", "batch", "dropout", "lr", "warm_up", "weight_decay", "averaging", "positions", "seed", "development")
        settings = {name: getattr(options, name) for name in kept} | {"parameters": parameters, "torch": torch.__version__}
        settings |= {"nll_nats_per_name": mean, "nll_stderr_nats": error, "seconds": round(seconds)}
        rows = "".join(f"{step},{loss:.4f},{rate:.6g}\n" for step, loss, rate in curve)
        options.write.write_text(f"# {json.dumps(settings)}\nstep,mean_loss_nats_per_name,learning_rate\n{rows}")

    print(f"{'model':<32} {'parameters':>10} {'names':>6} {'−ln p a name':>16} {'a character':>12}")

    def row(name, size, count, mean, error, character):
        print(f"{name:<32} {size:>10,} {count:>6,} {f'{mean:.3f} ± {error:.3f}':>16} {character:>12.3f}")

    row("left to right", parameters, len(held_out), mean, error, character)
    for name, (positions, ours) in models.items():
        fits = [len(text) <= positions for text in held_out]
        names = list(itertools.compress(held_out, fits))
        if len(names) != ours["held_out_names"]:
            sys.exit(f"{name}: the program scores {ours['held_out_names']} names, and the peer {len(names)}")
        if len(names) < len(held_out):
            some = summary(scores[torch.tensor(fits)], names)
            row(f"left to right, to {positions} letters", parameters, len(names), *some)
        how = ours["nll_nats_per_name"], ours["nll_stderr_nats"], ours["nll_nats_per_character"]
        row(name, ours["parameters"], len(names), *how)


main()
