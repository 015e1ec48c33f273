"""Instructions of one training step and of one drawn name for every network: figures without noise, and a gate on them.

Run `python3 tests/peers/instructions.py [--renew] [NETWORK…]` from the repository with Valgrind installed and the program
built (`cargo build --release`). It prints the figures and fails if one exceeds 105 % of the committed table. `--renew`
writes the table instead. `.ci/desktop-cost` builds the program first.

Valgrind counts two runs on one thread, one longer than the other; start-up falls out of the difference. Valgrind knows
AVX2 and no AVX-512, so these are the kernels' AVX2 versions on every machine that has AVX2.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

from ours import PROGRAM, ROOT

TABLE = ROOT / "tests/golden/desktop.tsv"
BATCH = 64
# Steps and names of the shorter and the longer run. Start-up differs by half a million instructions from run to run, for
# hash tables are seeded anew: fifty steps make that one hundredth of the cheapest step.
STEPS = (3, 53)
# Both numbers of names are drawn in three chunks, of which each has a cost of its own.
NAMES = (200, 448)
# More than this share of the committed figure fails; less than the second share asks for a new table.
MOST_PERCENT, LEAST_PERCENT = 105, 95


# One instruction that writes or copies many bytes counts as many: the C library is to use plain ones.
PLAIN = {"GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000"}


def instructions(*arguments):
    """How many instructions the program executes with these arguments."""
    valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command = [*valgrind, PROGRAM, *map(str, arguments), "--threads", "1"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | PLAIN, capture_output=True, text=True)
    found = re.search(r"I +refs: +([\d,]+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr}")
    return int(found[1].replace(",", ""))


def networks():
    """The networks by the names that `--config` takes, as the program lists them."""
    said = subprocess.check_output([PROGRAM, "train", "--help"], text=True)
    return re.search(r"--config .*?\[possible values: (.*?)\]", said, re.S)[1].replace(",", " ").split()


def train(network, steps, folder):
    quiet = ["--no-eval", "--no-pictures", "--quiet"]
    return ["train", "--config", network, "--steps", steps, "--batch", BATCH, *quiet, "--out", folder]


def measured(network):
    """Instructions of a step and of a name."""
    with tempfile.TemporaryDirectory() as folder:
        short, long = (instructions(*train(network, steps, f"{folder}/{steps}")) for steps in STEPS)
        step = (long - short) // (STEPS[1] - STEPS[0])
        # Away from its run, a model knows no list that would be read first.
        model = ["--model", shutil.copy(f"{folder}/{STEPS[1]}/model.mdm", f"{folder}/lone.mdm"), "--seed", 1]
        short, long = (instructions("sample", "--num", names, *model) for names in NAMES)
        return step, (long - short) // (NAMES[1] - NAMES[0])


def version(*command):
    return " ".join(subprocess.check_output(command, cwd=ROOT, text=True).replace("-", " ").split()[:2])


def tools():
    """What the figures depend on besides the source."""
    return f"{version('rustc', '--version')}, {version('valgrind', '--version')}"


def read(text):
    """The tools that made a table, and its figures by network."""
    made_by, _, *rows = text.splitlines()
    rows = [row.split("\t") for row in rows]
    return made_by, {network: (int(step), int(name)) for network, step, name in rows}


def shown(made_by, figures):
    rows = [f"{network}\t{step}\t{name}\n" for network, (step, name) in figures.items()]
    return f"{made_by}\nnetwork\tstep\tname\n{''.join(rows)}"


def beyond(committed, figures):
    """What is above and what is below the bounds, one line a figure."""
    above, below = [], []
    for network, found in figures.items():
        for what, now, before in zip(("step", "name"), found, committed.get(network, (0, 0))):
            said = f"{network}: {now:,} instructions a {what}; the table says {before:,}"
            if 100 * now > MOST_PERCENT * before:
                above.append(said)
            elif 100 * now < LEAST_PERCENT * before:
                below.append(said)
    return above, below


def control():
    """Shows that the gate can fail: every figure alone, from a table that is 6 % too low, and not at 105 %."""
    figures = {"a": (1_060_000, 106_000), "b": (2_120_007, 84_001), "c": (106, 553_474_983)}
    at_limit = {network: tuple(-(-100 * figure // MOST_PERCENT) for figure in row) for network, row in figures.items()}
    assert beyond(at_limit, figures) == ([], []), "figures at 105 % must pass"
    for network, row in figures.items():
        for index in range(len(row)):
            low = list(at_limit[network])
            low[index] = row[index] * 100 // 106
            above, below = beyond(at_limit | {network: tuple(low)}, figures)
            assert len(above) == 1 and above[0].startswith(f"{network}: ") and not below, "6 % more must fail"
    assert len(beyond({}, figures)[0]) == 2 * len(figures), "a network that the table lacks must fail"
    assert read(shown("tools", figures)) == ("tools", figures), "a table must be read as it was written"


def main():
    control()
    renew = "--renew" in sys.argv[1:]
    wanted = [argument for argument in sys.argv[1:] if argument != "--renew"]
    if not shutil.which("valgrind"):
        print("NOT CHECKED: Valgrind is not installed (`.ci/tools` installs it), so no instruction was counted", file=sys.stderr)
        sys.exit("CI" in os.environ)
    chosen = wanted or networks()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        figures = dict(zip(chosen, pool.map(measured, chosen)))
    print(shown(tools(), figures), end="")
    if renew:
        committed = read(TABLE.read_text())[1] if wanted and TABLE.exists() else {}
        TABLE.write_text(shown(tools(), committed | figures))
        return
    made_by, committed = read(TABLE.read_text())
    above, below = beyond(committed, figures)
    if below:
        print(f"below {LEAST_PERCENT} % of the table; `.ci/desktop-cost --renew` keeps what was gained:", *below, sep="\n  ")
    if above:
        by = f"The table was made with {made_by}.\n" if made_by != tools() else ""
        above = "\n  ".join(above)
        sys.exit(f"above {MOST_PERCENT} % of the table:\n  {above}\n{by}If that is meant: `.ci/desktop-cost --renew`")


main()
