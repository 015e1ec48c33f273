"""Draws public items of the core, and error messages, for a reader who sees nothing else.

`python3 tests/peers/items.py --seed 1` prints 25 items: each with its docs and its signature, as the sources have them. With
`--messages` it prints 25 messages of errors and warnings, where `…` stands for a value. Other seeds draw others. A reader notes, for each,
whether it was understood at once, and what was not.
"""

import argparse
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ITEM = re.compile(r"\s*pub (?:const |unsafe )?(?:fn|struct|enum|trait|type|const|static|mod) |\s*pub \w+:")
# In a trait and its kin nothing says `pub`.
INNER = re.compile(r"    (?:fn|type|const) \w+")
MESSAGE = re.compile(r'(?:bail!|ensure!|anyhow!|context|note|write!)\((?:[^";]*,)?\s*(?:\|\| ?)?(?:format!\()?"((?:[^"\\]|\\.){20,})"')


def items(path):
    """Each documented public item of a source file: its path, docs and signature."""
    lines, docs, owner = path.read_text().split("\n"), [], ""
    for number, line in enumerate(lines):
        text = line.strip()
        if re.match(r"(pub )?(impl|trait|struct|enum)\b", line) and not line.endswith(";"):
            owner = line
        elif line.startswith("}"):
            owner = ""
        if text.startswith("///"):
            docs.append(text.removeprefix("///").removeprefix(" "))
        elif text.startswith("#["):
            continue
        elif docs and (ITEM.match(line) or "trait" in owner and INNER.match(line)):
            signature = ""
            for more in lines[number:]:
                signature += more + "\n"
                if more.rstrip().endswith(("{", ";", ",", "}")) and signature.count("(") == signature.count(")"):
                    break
            yield f"{path.stem}.rs, {owner.rstrip(' {') or 'at the top'}", docs, signature.rstrip(" {\n")
            docs = []
        else:
            docs = []


def messages(path):
    """Each message in a source file, on one line."""
    if path.name in ("c_sampler.rs", "source_code.rs", "svg.rs"):
        # These write C, Rust and pictures.
        return
    for message in MESSAGE.findall(path.read_text()):
        message = re.sub(r"\\\n\s*", "", message).replace('\\"', '"')
        message = re.sub(r"\{[^{}]*\}", "…", message)
        if " " in message:
            yield path.relative_to(ROOT), message


def drawn(found, seed, count):
    return random.Random(seed).sample(found, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("--messages", action="store_true")
    options = parser.parse_args()
    core, host = (sorted((ROOT / part / "src").rglob("*.rs")) for part in ("core", "host"))
    if options.messages:
        found = [message for path in core + host for message in messages(path)]
        for number, (_, message) in enumerate(drawn(found, options.seed, options.count), 1):
            print(f"{number}. {message}\n")
        return
    found = [item for path in core for item in items(path)]
    for number, (place, docs, signature) in enumerate(drawn(found, options.seed, options.count), 1):
        print(f"{number}. {place}\n", *docs, "", signature, "\n", sep="\n")


main()
