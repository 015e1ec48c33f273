"""What the scripts here share: the program, its split of a list, and its n-gram (host/src/engine/counting.rs)."""

import bisect
import itertools
import math
import os
import pathlib
import random
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/micro-diffusion"
PROGRAM = os.environ.get("PROGRAM", str(BUILT))
START, END = "\2", "\3"
# Start marks before a line; the program tries n-grams of up to this order.
ORDERS_TRIED = 8
# How far counting here may be from the program's, in nats.
AGREES = 1e-3


def program(*arguments, stdin=None):
    """What the program prints with these arguments and this input; an error with its message where it fails."""
    try:
        run = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"{PROGRAM} is not there; build it with: cargo build --release") from None
    if run.returncode != 0:
        raise RuntimeError(f"{arguments[0]}: {run.stderr.strip().splitlines()[-1] if run.stderr.strip() else 'failed'}")
    return run.stdout


def split(lines, alphabet, positions):
    """Training and held-out lines, without those that a model of `alphabet` and `positions` cannot read."""
    alphabet = set(alphabet)
    fits = lambda line: len(line) <= positions and alphabet.issuperset(line)
    sides = ((line for number, line in enumerate(lines, 1) if (number % 10 == 0) == held_out) for held_out in (False, True))
    return [list(filter(fits, side)) for side in sides]


class Counting:
    """A Witten–Bell interpolated n-gram of one order."""

    def __init__(self, lines, alphabet, order):
        self.symbols, self.order = [*alphabet, END], order
        self.followers, self.distributions = {}, {}
        for line in lines:
            text = self.marked(line)
            for place in range(ORDERS_TRIED, len(text)):
                for first in range(place + 1 - order, place + 1):
                    seen = self.followers.setdefault(text[first:place], {})
                    seen[text[place]] = seen.get(text[place], 0) + 1
        self.totals = {history: sum(seen.values()) for history, seen in self.followers.items()}

    def marked(self, line):
        return START * ORDERS_TRIED + line + END

    def probability(self, history, character):
        probability = 1 / len(self.symbols)
        for first in range(len(history), -1, -1):
            seen = self.followers.get(history[first:])
            if seen is None:
                break
            probability = (seen.get(character, 0) + len(seen) * probability) / (self.totals[history[first:]] + len(seen))
        return probability

    def nats(self, line):
        text = self.marked(line)
        places = range(ORDERS_TRIED, len(text))
        return -sum(math.log(self.probability(text[place + 1 - self.order : place], text[place])) for place in places)

    def distribution(self, history):
        """The probability of every symbol after a history."""
        if history not in self.distributions:
            seen = self.followers.get(history)
            if history == "":
                shorter = [1 / len(self.symbols)] * len(self.symbols)
            else:
                shorter = self.distribution(history[1:])
            if seen:
                total = self.totals[history] + len(seen)
                shorter = [(seen.get(symbol, 0) + len(seen) * p) / total for symbol, p in zip(self.symbols, shorter)]
            self.distributions[history] = shorter
        return self.distributions[history]

    def names(self, count, temperature, longest, seed):
        """Names drawn at a temperature, cut at `longest`, none empty; each has its own random numbers, at any temperature."""
        sums, names = {}, []
        for number in range(count):
            generator, text = random.Random(f"{seed} {number}"), START * ORDERS_TRIED
            while len(text) - ORDERS_TRIED < longest:
                history = text[len(text) + 1 - self.order :]
                if history not in sums:
                    most = max(self.distribution(history))
                    weights = ((p / most) ** (1 / temperature) for p in self.distribution(history))
                    sums[history] = list(itertools.accumulate(weights))
                drawn = bisect.bisect_right(sums[history], generator.random() * sums[history][-1])
                symbol = self.symbols[min(drawn, len(self.symbols) - 1)]
                if symbol != END:
                    text += symbol
                elif len(text) > ORDERS_TRIED:
                    break
            names.append(text[ORDERS_TRIED:])
        return names
