"""The bound over a file of names, by NumPy alone, in double precision: python3 score.py MODEL NAMES DRAWS SEED

MODEL is a safetensors file, or a model file of integers (.mdm), whose logits are then computed in integers.

Scores every tenth line of NAMES, whose lines are all different, by the definition: the sum over k of (1/k)·Σ −ln p over
k masked positions, the mean of DRAWS sets of positions for each k. The masks come from Threefry-2×32, written here anew
from its paper, so that they are those of `micro-diffusion eval --draws DRAWS --seed SEED`. Prints the mean over the
names, its standard error, and each k's mean.
"""

import sys

import numpy as np

if sys.argv[1].endswith(".mdm"):
    from integers import load, logits
else:
    from logits import load, logits


def threefry(key, counter):
    """Threefry-2×32 with 20 rounds (Salmon et al. 2011)."""
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    keys = (*key, 0x1BD11BDA ^ key[0] ^ key[1])
    x, y = ((c + k) & 0xFFFFFFFF for c, k in zip(counter, key))
    for number in range(20):
        turn = rotations[number % 8]
        x = (x + y) & 0xFFFFFFFF
        y = ((y << turn | y >> (32 - turn)) & 0xFFFFFFFF) ^ x
        if number % 4 == 3:
            injection = number // 4 + 1
            x = (x + keys[injection % 3]) & 0xFFFFFFFF
            y = (y + keys[(injection + 1) % 3] + injection) & 0xFFFFFFFF
    return x, y


def masks(key, positions, count):
    """Which positions are masked: Knuth's selection sampling, one word for each position."""
    masked = np.zeros(positions, dtype=bool)
    for position in range(positions):
        word, _ = threefry(key, (position, 0))
        masked[position] = word * (positions - position) >> 32 < count - masked.sum()
    return masked


def main():
    tensors, metadata = load(sys.argv[1])
    alphabet, positions = metadata["alphabet"], len(tensors["position" if "token" in tensors else "input"])
    lines = open(sys.argv[2], encoding="utf-8").read().split("\n")
    names = [line for line in lines[9::10] if len(line) <= positions]
    draws, seed = int(sys.argv[3]), int(sys.argv[4])
    purpose_score = 4
    stream = threefry((seed & 0xFFFFFFFF, seed >> 32), (purpose_score, 0))
    terms = np.zeros((len(names), positions))
    for index, name in enumerate(names):
        clean = np.array([alphabet.index(letter) + 1 for letter in name] + [0] * (positions - len(name)))
        for draw in range(draws):
            for count in range(1, positions + 1):
                masked = masks(threefry(threefry(stream, (index, draw)), (count, 0)), positions, count)
                z = logits(tensors, metadata, np.where(masked, -1, clean))[masked, : len(alphabet) + 1]
                z = z - z.max(1, keepdims=True)
                loss = np.log(np.exp(z).sum(1)) - z[np.arange(count), clean[masked]]
                terms[index, count - 1] += loss.sum() / count / draws
    bounds = terms.sum(1)
    results = bounds.mean(), bounds.std(ddof=1) / np.sqrt(len(names)), *terms.mean(0)
    print(*(repr(float(result)) for result in results))


main()
