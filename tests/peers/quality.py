"""How long it takes to the score of the Python original, as whole processes, side by side.

Run `python3 tests/peers/quality.py [CLONE]` from the repository with NumPy installed and the program built (`cargo build
--release`). CLONE is a clone of https://github.com/Siwoo4985/Micro-Diffusion; without one it is cloned first. Its minimal
script trains its 5,000 steps, which score 16.05 nats a name on held-out names, and draws one name; ours trains for as many
steps as it needs for no more than that, 700, which were chosen on the development split. The two take turns; the best of
the rounds counts, as other work on the machine only ever slows one down.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from ours import PROGRAM

ROUNDS = int(os.environ.get("ROUNDS", "3"))
ORIGINAL = "https://github.com/Siwoo4985/Micro-Diffusion"
# By `train --development --steps N`: 16.05 after 600, 15.93 after 700.
STEPS = 700


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    with tempfile.TemporaryDirectory() as folder:
        clone = sys.argv[1] if len(sys.argv) > 1 else os.path.join(folder, "original")
        if not os.path.isdir(clone):
            subprocess.run(["git", "clone", "--quiet", "--depth", "1", ORIGINAL, clone], check=True)
        out = os.path.join(folder, "run")
        script = os.path.join(clone, "train_minimal.py")
        theirs = [sys.executable, script, "--quiet", "--samples", "1"]
        ours = [PROGRAM, "train", "--steps", str(STEPS), "--no-eval", "--no-pictures", "--out", out]
        best = [float("inf"), float("inf")]
        for _ in range(ROUNDS):
            best = [min(time, seconds(command)) for time, command in zip(best, (ours, theirs))]
        score = json.loads(subprocess.check_output([PROGRAM, "eval", "--model", out, "--json"]))
    print(f"ours, {STEPS} steps    {best[0]:7.3f} s, {score['nelbo_nats_per_name']:.3f} nats a name held out")
    print(f"the original         {best[1]:7.3f} s, {best[1] / best[0]:.1f} × ours")


main()
