"""Instructions of one training step: a figure without noise, for comparing one version with the next.

Run `python3 tests/peers/instructions.py [CONFIG]` from the repository with Valgrind installed and the program built (`cargo
build --release`). Callgrind counts two runs on one thread, one longer than the other; the difference is the steps between.
Valgrind knows AVX2 and no AVX-512, so these are the kernels' AVX2 versions.
"""

import os
import re
import subprocess
import sys
import tempfile

PROGRAM = os.environ.get("PROGRAM", "target/release/micro-diffusion")
SHORT, LONG = 10, 30


def instructions(config, steps):
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind"]
        train = [PROGRAM, "train", "--config", config, "--steps", str(steps), "--threads", "1"]
        rest = ["--no-eval", "--no-pictures", "--quiet", "--out", f"{folder}/run"]
        run = subprocess.run(valgrind + train + rest, check=True, stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr)[1])


def main():
    config = sys.argv[1] if len(sys.argv) > 1 else "perceptron"
    step = (instructions(config, LONG) - instructions(config, SHORT)) / (LONG - SHORT)
    print(f"{config}: {step / 1e6:.3f} million instructions a step")


main()
