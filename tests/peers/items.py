"""Draws public items of the core, and error messages, for a reader who sees nothing else.

`python3 tests/peers/items.py --seed 1` prints 25 items: each with its docs and its signature, as the sources have them. With
`--messages` it prints 25 messages of errors, warnings and notes. There `‹path›` stands for a value, which the program fills in. Where the
program always prints the file's name first, the message begins with it. `--all` prints every item or message, numbered. Other seeds draw others. A reader notes, for each, whether it
was understood at once, and what was not.
"""

import argparse
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ITEM = re.compile(r"\s*pub (?:const |unsafe )?(?:fn|struct|enum|trait|type|const|static|mod) |\s*pub \w+:")
# In a trait and its kin nothing says `pub`.
INNER = re.compile(r"    (?:fn|type|const) \w+")
# What tells messages in Rust from other strings: comments, strings, characters, names and brackets.
TOKEN = re.compile(
    r"""//[^\n]*|r(?P<raw>#*)".*?"(?P=raw)|"(?P<text>(?:[^"\\]|\\.)*)"|'(?:[^'\\]|\\.[^']*)'|[A-Za-z_]\w*!?|[()\[\]{}]""", re.S
)
# Calls whose text is a message, and calls that only wrap one.
CALLS = {"Err", "anyhow!", "bail!", "context", "ensure!", "error", "map_err", "messages!", "note", "ok_or", "ok_or_else", "with_context"}
WRAPPERS = {"Some", "format!", "new", "push", "then", ""}
# Functions that return a message, or push it: their texts stand in no such call.
FUNCTIONS = {"about_arrays", "corpus", "lengths_of", "list", "named", "notice", "seen", "shortcoming", "warning", "without_room"}
# Messages of these functions go on behind a file's name and a colon.
NAMED = {"file_error", "unread"}
# Messages of these functions go on behind the message of the function `load` of the second file, which names their file.
CAUSES = {
    "safetensors.rs": ("model.rs", {"to_model", "alphabet_of", "lengths_of", "config_of"}),
    "checkpoint.rs": ("checkpoint.rs", {"read", "unreadable", "refuse_outdated", "scales", "damaged", "floats"}),
}
# What a hole says whose name is a letter, as in generic code.
LETTERS = {"L": "positions", "V": "symbols"}
# Messages of these files go on behind what the command line's parser says.
PARSED = {"cli.rs", "prefix.rs"}


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


def strings(source):
    """Each string of a Rust source with its place, its function, and whether it is a message."""
    calls, function, last, end = [], "", "", 0
    for token in TOKEN.finditer(source):
        text = token.group()
        if text in "([{":
            # `messages!` holds its texts in braces.
            adjacent = not source[end : token.start()].strip() and (text == "(" or last.endswith("!"))
            calls.append(last if adjacent else {"(": "a tuple", "[": "a list", "{": ""}[text])
        elif text in ")]}":
            calls.pop()
        elif token.group("text") is not None:
            inner = [call for call in calls if call not in WRAPPERS]
            made = not inner and calls[-1:] == ["format!"] and function in FUNCTIONS
            yield token, function, made or bool(inner) and inner[-1] in CALLS
        elif text[0] not in "/r'" or text.isidentifier():
            function = text if last == "fn" else function
            last, end = text, token.end()


def plain(text):
    """The text of a string in Rust."""
    return re.sub(r"\\\n\s*", "", text).replace('\\"', '"')


def arguments(source):
    """The arguments that follow a string in its call; in `messages!` without a comma, and up to a semicolon."""
    depth, found = 0, [""]
    for character in source:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0 or character == ";" and depth == 0:
            break
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [argument for argument in map(str.strip, found) if argument and not re.match(r"\w+ = |\.", argument)]


def named(value, constants):
    """What a Rust expression in a message gives, for a reader: a constant's text, or the name of a value."""
    if (constant := value.rpartition("::")[2]) in constants:
        return constants[constant]
    if noun := re.match(r'counted\(.*"([^"]+)"\)$', value, re.S):
        return f"‹number of {noun[1]}s›"
    if ".by(" in value or ".by_name(" in value:
        return " with: ‹command›"
    value = re.sub(r"^(?:list|name_of|quoted|shown)\((.*)\)$", r"\1", value, flags=re.S)
    value = re.sub(r"\.(?:display|name|join|to_string)\([^()]*\)$|.*\.len\(\)$", "", value)
    words = re.search(r"^&?(?:\w+(?:::|\.))*(\w+?)(?:_name)?(?:\([^()]*(?:\([^()]*\))*[^()]*\))?$", value)
    name = LETTERS.get(value) or words and len(words[1]) > 2 and words[1].replace("_", " ").lower()
    return f"‹{name or 'value'}›"


def prefixes(host, constants):
    """What the program prints before the messages of a function, from the sources: (file, function) to text.

    Fails where a function or the message around is no longer there.
    """
    source = {path.name: path.read_text() for path in host}
    found = {}
    for name in NAMED:
        files = [file for file, text in source.items() if f"fn {name}(" in text]
        assert len(files) == 1, f"{name}: one function of this name, not {files}"
        found[files[0], name] = "‹path›: "
    for file, (outer, functions) in CAUSES.items():
        path = next(path for path in host if path.name == outer)
        around = [text for _, text in messages(path, constants, {}) if re.search(r"cannot be used[^:]*: ‹error›$", text)]
        assert len(around) == 1, f"{outer}: one message around the causes in {file}, not {around}"
        for function in functions:
            assert f"fn {function}(" in source[file], f"{file} has no function {function}"
            found[file, function] = around[0].removesuffix("‹error›")
    return found


def messages(path, constants, before):
    """Each message in a source file, on one line, behind the text that `before` has for its function."""
    source = path.read_text()
    for token, function, said in strings(source):
        if not said:
            continue
        values = arguments(source[token.end() :])
        following = iter(values)

        def shown(hole):
            name = hole[1].partition(":")[0]
            if name == "hint" and hole.end() == len(hole.string):
                return ""  # A further advice, mostly empty.
            return named(values[int(name)] if name.isdigit() else name or next(following), constants)

        message = plain(token.group("text")).replace("{{", "\0").replace("}}", "\1")
        message = re.sub(r"\{([^{}]*)\}", shown, message)
        message = message.replace("\0", "{").replace("\1", "}")
        # What only joins others has no words of its own.
        if len(re.findall(r"[^\W\d_]{2,}", re.sub("‹[^›]*›", "", message))) > 1:
            yield path, "invalid value ‹value› for ‹option›: " * (path.name in PARSED) + before.get((path.name, function), "") + message


def constants_of(paths):
    """The texts and numbers of constants, which messages quote."""
    workspace = (ROOT / "Cargo.toml").read_text()
    repository, version = (re.search(rf'^{key} = "(.*)"', workspace, re.M)[1] for key in ("repository", "version"))
    constants = {'env!("CARGO_PKG_VERSION")': version}
    text = r'"(?:[^"\\]|\\.)*"'
    for path in paths:
        source = path.read_text()
        for name, value in re.findall(rf"const ([A-Z_0-9]+): &str =\s*((?:concat!\(\s*|{text}|env!\({text}\)|[,\s])+)\)?;", source):
            value = value.replace('env!("CARGO_PKG_REPOSITORY")', f'"{repository}"').replace('env!("CARGO_PKG_VERSION")', f'"{version}"')
            constants[name] = "".join(plain(piece[1:-1]) for piece in re.findall(text, value))
        numbers = re.findall(r"const ([A-Z_]+): \w+ = ([\d_]+);", source)
        constants.update((name, number.replace("_", "")) for name, number in numbers)
    return constants


def drawn(found, seed, count):
    return random.Random(seed).sample(found, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=25)
    parser.add_argument("--messages", action="store_true")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    core, host = (sorted((ROOT / part / "src").rglob("*.rs")) for part in ("core", "host"))
    if options.messages:
        constants = constants_of(core + host)
        # A text in two places is one message.
        before = prefixes(host, constants)
        # Nor is one drawn alone that stands before its causes, since each of those is drawn behind it.
        alone = lambda text: not text.endswith("‹error›") or text.removesuffix("‹error›") not in before.values()
        found = {text: path for path in core + host for path, text in messages(path, constants, before) if alone(text)}
        found = [(path, text) for text, path in found.items()]
        for number, (_, message) in enumerate(found if options.all else drawn(found, options.seed, options.count), 1):
            print(f"{number}. {message}\n")
        return
    found = [item for path in core for item in items(path)]
    for number, (place, docs, signature) in enumerate(found if options.all else drawn(found, options.seed, options.count), 1):
        print(f"{number}. {place}\n", *docs, "", signature, "\n", sep="\n")


main()
