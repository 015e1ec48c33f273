"""Names drawn from models beside names drawn from counting's n-gram, at equal shares of different names.

Run `python3 tests/peers/samples.py [MODEL…]` from the repository with the program built (`cargo build --release`). A MODEL is
a model file or a run folder, by default `data/names.mdm`. Its names are drawn by `sample`, with --calibrate, --redraws and
--top-p if given here. Prints a table in Markdown for each: a row for each temperature of the n-gram, and below it the model at the
temperature whose names are as often different. That temperature and all figures of the row are interpolated over `unique`
between the temperatures that were drawn. Each figure is the mean over sets of 10,000 names.

- unique: different names / names.
- novel: names that are no training lines / names.
- hits: held-out names among the novel.
- letters, pairs, triples, lengths: Jensen–Shannon divergence from the held-out names, in bits; pairs and triples have marks of
  the start and the end.

The n-gram has the order that the program chose and must score as the program's does, and the figures of a set must be those
of `eval`.
"""

import argparse
import bisect
import collections
import functools
import json
import math
import pathlib
import re
import sys

from ours import AGREES, END, ROOT, START, Counting, program, split

COUNTED = (0.73, 0.8, 0.85, 0.9, 0.95, 1.0)
DRAWN = tuple(number / 20 for number in range(4, 21))
COLUMNS = ("unique", "novel", "hits", "letters", "pairs", "triples", "lengths")
# Where `eval --json` has the figures of a set; it has none of letters.
OURS = {"unique": "unique", "novel": "novel", "hits": "hit_rate"}
OURS |= {"pairs": "jsd2_bits", "triples": "jsd3_bits", "lengths": "jsd_length_bits"}


def divergence(one, other):
    """The Jensen–Shannon divergence of two sets of features, in bits."""
    one, other = collections.Counter(one), collections.Counter(other)
    bits = 0
    for feature in one | other:
        p, q = one[feature] / one.total(), other[feature] / other.total()
        bits += sum(share * math.log2(2 * share / (p + q)) / 2 for share in (p, q) if share)
    return bits


def grams(names, length):
    marked = [START + name + END for name in names]
    return (name[first : first + length] for name in marked for first in range(len(name) + 1 - length))


def figures(names, training, held_out):
    """The columns of a set of names."""
    novel = [name for name in names if name not in training]
    known = set(held_out)
    return {
        "unique": len(set(names)) / len(names),
        "novel": len(novel) / len(names),
        "hits": sum(name in known for name in novel) / max(1, len(novel)),
        "letters": divergence("".join(names), "".join(held_out)),
        "pairs": divergence(grams(names, 2), grams(held_out, 2)),
        "triples": divergence(grams(names, 3), grams(held_out, 3)),
        "lengths": divergence(map(len, names), map(len, held_out)),
    }


def mean(rows):
    return {column: sum(row[column] for row in rows) / len(rows) for column in rows[0]}


def at_unique(row, unique):
    """The row with this `unique`, between the rows of two temperatures in turn; none if DRAWN has no such two.

    `row` gives the row of a temperature; at a higher one names are more often different.
    """
    place = bisect.bisect_left(DRAWN, unique, key=lambda temperature: row(temperature)["unique"])
    if place in (0, len(DRAWN)):
        return None
    below, above = row(DRAWN[place - 1]), row(DRAWN[place])
    share = (unique - below["unique"]) / (above["unique"] - below["unique"])
    return {column: below[column] + share * (above[column] - below[column]) for column in below}


def compared(model, options):
    """Pairs of rows: the n-gram's at each temperature, and the model's that is as often different."""
    inspected = json.loads(program("inspect", "--json", "--model", model))
    positions = int(re.search(r"(\d+) positions", inspected["shape"])[1])
    training, held_out = split(options.input.read_text().split(), inspected["alphabet"], positions)
    known, seeds = set(training), range(1, options.sets + 1)

    ways = ["--threads", options.threads, "--top-p", options.top_p, "--redraws", options.redraws]
    ways += ["--calibrate"] * options.calibrate

    @functools.cache
    def names(temperature):
        """The names of each set. Each has a seed of its own; with calibration, which takes long, sets are parts of one draw."""
        sample = ("sample", "--json", "--model", model, "--temperature", temperature, *ways)
        if options.calibrate:
            drawn = program(*sample, "--input", options.input, "--num", options.num * options.sets, "--seed", 1)
            drawn = json.loads(drawn)["names"]
            return [drawn[first : first + options.num] for first in range(0, len(drawn), options.num)]
        return [json.loads(program(*sample, "--num", options.num, "--seed", seed))["names"] for seed in seeds]

    def drawn(temperature, seed):
        return figures(names(temperature)[seed - 1], known, held_out)

    scored = ("eval", "--json", "--model", model, "--input", options.input, "--development=false", "--orders", 1)
    drawing = ("--temperature", 1, "--seed", 1, "--num", options.num, *ways)
    ours = json.loads(program(*scored, *drawing))
    theirs = drawn(1, 1)
    for column, name in OURS.items():
        if abs(theirs[column] - ours[name]) > 1e-9:
            sys.exit(f"{model}: {column} is {theirs[column]} here, and {ours[name]} by the program")
    counting = Counting(training, inspected["alphabet"], ours["counting_order"])
    nats = sum(map(counting.nats, held_out)) / len(held_out)
    if abs(nats - ours["counting_nats_per_name"]) > AGREES:
        sys.exit(f"counting scores {nats} nats a name here, and {ours['counting_nats_per_name']} by the program")
    print(f"{model}: counting by {counting.order}-grams, {nats:.3f} nats a name here and by the program", file=sys.stderr)

    def row(temperature, figures_of):
        return {"temperature": temperature} | mean([figures_of(temperature, seed) for seed in seeds])

    # Names of the n-gram may be longer than the model's, but not endless.
    counted = lambda heat, seed: figures(counting.names(options.num, heat, 2 * positions, seed), known, held_out)
    at = functools.cache(lambda temperature: row(temperature, drawn))
    ngrams = [row(temperature, counted) for temperature in COUNTED]
    return [(ngram, at_unique(at, ngram["unique"])) for ngram in ngrams]


def verdict(gram, model):
    """Whether the model has more hits and triples that are no further off, to the digits of the table."""
    better = round(model["hits"], 3) > round(gram["hits"], 3), round(model["triples"], 3) <= round(gram["triples"], 3)
    return {(True, True): "better", (True, False): "more hits, triples further off"}.get(better, "no more hits")


def markdown(model, pairs):
    lines = [["drawn from", "temperature", *COLUMNS, ""], ["---"] * (len(COLUMNS) + 3)]
    for gram, row in pairs:
        shown = lambda name, row, said: [name, f"{row['temperature']:.2f}", *(f"{row[c]:.3f}" for c in COLUMNS), said]
        lines.append(shown("n-gram", gram, ""))
        lines.append(shown(model, row, verdict(gram, row)) if row else [model, *["–"] * len(COLUMNS), "–", "no such temperature"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def control():
    """Shows that the figures are what they are called."""
    assert divergence("ab", "ab") == 0 and math.isclose(divergence("a", "b"), 1)
    # p ¾, q ¼ of a: by hand.
    assert math.isclose(divergence("aaab", "abbb"), 0.75 * math.log2(1.5) + 0.25 * math.log2(0.5))
    assert list(grams(["ab"], 3)) == [START + "ab", "ab" + END]
    row = figures(["x", "x", "y", "z"], {"x"}, ["y", "w"])
    assert (row["unique"], row["novel"], row["hits"]) == (0.75, 0.5, 0.5)
    row = lambda temperature: {"unique": temperature / 2, "hits": 1 - temperature**2}
    assert math.isclose(at_unique(row, 0.2625)["hits"], 1 - (0.5**2 + 0.55**2) / 2)
    assert at_unique(row, 0.1) is None and at_unique(row, 0.6) is None
    gram = {"hits": 0.04, "triples": 0.07}
    assert verdict(gram, {"hits": 0.05, "triples": 0.07}) == "better"
    assert verdict(gram, {"hits": 0.05, "triples": 0.08}) != "better" != verdict(gram, {"hits": 0.04, "triples": 0.01})


def main():
    control()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", default=["data/names.mdm"])
    add("--num", type=int, default=10_000, help="names in a set")
    add("--sets", type=int, default=3, help="sets of names")
    add("--input", type=pathlib.Path, default=ROOT / "data/names.txt", help="the list that the models were trained on")
    add("--threads", type=int, default=1)
    add("--top-p", type=float, default=1.0, help="as the program's --top-p")
    add("--redraws", type=int, default=0, help="as the program's --redraws")
    add("--calibrate", action="store_true", help="as the program's --calibrate")
    options = parser.parse_args()
    try:
        for model in options.models:
            print(markdown(model, compared(model, options)))
    except RuntimeError as error:
        sys.exit(str(error))


main()
