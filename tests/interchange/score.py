"""−ln p over a file of names, by NumPy alone, in double precision: python3 score.py MODEL NAMES ORDERS SEED

MODEL is a safetensors file, or a model file of integers (.mdm), whose logits are then computed in integers.

Scores every tenth line of NAMES, whose lines are all different, by the definition: −ln p of a name's length, by the counts that the
model holds, and −ln p of its letters along each of ORDERS random orders, one letter at a time. The orders come from Threefry-2×32, written here anew from its paper, so that
they are those of `micro-diffusion eval --orders ORDERS --seed SEED`. Prints, for the mean over the orders (the bound) and for −ln of
the mean probability: the mean over the names, its standard error, and the error that comes of the orders.
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


def random_order(key, positions):
    """Fisher and Yates, from the last place down."""
    order = list(range(positions))
    for last in range(positions - 1, 0, -1):
        word, _ = threefry(key, (last, 0))
        place = word * (last + 1) >> 32
        order[last], order[place] = order[place], order[last]
    return order


def log_mean(nats):
    """−ln of the mean of e^−nats, over the last axis."""
    least = nats.min(-1, keepdims=True)
    return least[..., 0] - np.log(np.exp(least - nats).mean(-1))


def length_nats(counts):
    """−ln p(n) for n = 1 … L: each length has, besides its own texts, 1/L of one."""
    shares = np.array(counts, dtype=float) + 1 / len(counts)
    return -np.log(shares / shares.sum())


def main():
    tensors, metadata = load(sys.argv[1])
    alphabet, counts = metadata["alphabet"], [int(count) for count in metadata["lengths"].split()]
    positions = len(tensors["position" if "token" in tensors else "input"])
    assert len(counts) == positions
    lines = open(sys.argv[2], encoding="utf-8").read().split("\n")
    names = [line for line in lines[9::10] if len(line) <= positions]
    orders, seed = int(sys.argv[3]), int(sys.argv[4])
    purpose_score = 4
    stream = threefry((seed & 0xFFFFFFFF, seed >> 32), (purpose_score, 0))
    nats = np.zeros((len(names), orders))
    for index, name in enumerate(names):
        clean = [alphabet.index(letter) for letter in name]
        for number in range(orders):
            nats[index, number] = length_nats(counts)[len(name) - 1]
            shown = [-1] * len(name)
            for position in random_order(threefry(stream, (index, number)), len(name)):
                z = logits(tensors, metadata, shown)[position, : len(alphabet)]
                z = z - z.max()
                nats[index, number] += np.log(np.exp(z).sum()) - z[clean[position]]
                shown[position] = clean[position]
    without = np.stack([log_mean(np.delete(nats, number, 1)) for number in range(orders)], 1)
    jackknife = np.sqrt((orders - 1) * without.var(1))
    scores = [(nats.mean(1), nats.std(1, ddof=1) / np.sqrt(orders)), (log_mean(nats), jackknife)]
    for values, errors in scores:
        of_names = values.std(ddof=1) / np.sqrt(len(names))
        of_orders = np.sqrt((errors**2).sum()) / len(names)
        print(*(repr(float(result)) for result in (values.mean(), of_names, of_orders)))


main()
