#!/usr/bin/env python3
"""Compares two folders of scripts/golden_runs.sh, or lists the digests of one. A file becomes a table of places (a key,
a cell, a line) and what stands there, without what may differ between two equal runs: that, and nothing else, is in the
tables of the next lines."""

import csv
import hashlib
import html
import json
import os
import re
import shlex
import signal
import struct
import sys

# Files that hold no result: what is said on the way, caches, digests of settings.
SKIPPED = re.compile(r"(^|/)(cache|checkpoints)/|(^|/)\.made$|\.log$|\.recipe$|^SUMS")
# Keys of JSON and columns of CSV: times, the program, digests of settings (and of files that hold such digests).
MASKED = {"seconds", "seconds_left", "images_per_second", "ms_per_image", "time", "commit", "made_by", "fingerprint", "model_sha256",
          "sha256", "settings", "config"}  # `config` is config.toml once more
# Of a cell or a student's record, whose other keys may change, these figures alone, wherever in the file they stand.
RECORDS = [(re.compile(r"/cells/.*\.json$"), {"test_last", "test_best", "val_last", "val_best", "best_step", "error",
                                              "top_source", "top_weight", "labelled", "unlabelled"}),
           (re.compile(r"/students/[^/]*\.json$"), {"curve"})]
SECONDS = r"\d+ h \d\d min|\d+ min \d\d s|\d+(?:\.\d+)? s\b"
COMMAND = re.compile(r"<pre>(akin [^<]*)</pre>")
TEXT_MASKS = [
    (re.compile(rf" +(?:{SECONDS})(?: +(?:[\d.]+[kM]?|–))?$", re.M), " <time>"),  # last columns of a table of results
    (re.compile(rf"\((?:{SECONDS})\)"), "<time>"),
    (re.compile(rf'<td class="num">(?:{SECONDS})(?:<span class="under">[^<]*images/s</span>)?'), "<time>"),
    (re.compile(r"(<dt>(?:Started|Took|Version)</dt><dd>)[^<]*"), r"\1<masked>"),
    (re.compile(r"<summary>Configuration in effect</summary><pre>.*?</pre>", re.S), "<config>"),
    (re.compile(r"^- Run: .*, akin .*$|^\| Exported by \|.*$", re.M), "<run>"),  # model cards
    (re.compile(r"^### Settings\n.*?(?=^## )", re.M | re.S), "<settings>\n"),
    (re.compile(r'"settings":"[0-9a-f]*"'), "<settings>"),
    (re.compile(r"^(?:model_)?sha256: .*$", re.M), "<digest>"),
    (re.compile(r"\.md  \d+ bytes$", re.M), ".md <size>"),  # a model card holds masked texts
    (re.compile(r" {2,}|─+"), " "),  # the widths of columns follow the times
]


def sha(data):
    return hashlib.sha256(data).hexdigest()


def by_option(command):
    """A command of akin's with its options in one order, each followed by its values: to name them in another changes
    no run."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    options = [[]]
    for word in words:
        if word.startswith("--"):
            options.append([])
        options[-1].append(word)
    return " ".join(shlex.join(option) for option in [options[0], *sorted(options[1:])])


def leaves(value, path=""):
    """Places of a JSON value in its own order; masked keys are there, but not what they hold."""
    if isinstance(value, dict):
        card = str(value.get("file", "")).endswith(".md")  # a model card holds masked texts
        for key, item in value.items():
            if key in MASKED or (card and key == "bytes"):
                yield f"{path}.{key}", "<masked>"
            elif key == "command" and isinstance(item, str):
                yield f"{path}.{key}", by_option(item)
            else:
                yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        yield f"{path}.length", str(len(value))
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}[{i}]")
    else:
        yield path, json.dumps(value)


def figures(value, wanted):
    """The wanted keys of a record; one that is empty is as good as none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for key, item in items:
        if key in wanted:
            yield from (leaf for leaf in leaves(item, key) if leaf[1] not in ("null", '""'))
        elif key not in MASKED:
            yield from figures(item, wanted)


def tensors(data):
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    for key, value in header.pop("__metadata__", {}).items():
        if value.startswith("{"):
            yield from leaves(json.loads(value), f"metadata {key}")
        else:
            yield f"metadata {key}", "<masked>" if key in MASKED else value
    yield "order of tensors", " ".join(header)
    for name, t in header.items():
        begin, end = t["data_offsets"]
        yield f"tensor {name}", f"{t['dtype']} {t['shape']} {begin} {sha(data[8 + size + begin:8 + size + end])}"


def cells(text):
    rows = list(csv.reader(text.splitlines()))
    for n, row in enumerate(rows[1:], 2):
        for c, cell in enumerate(row):
            name = rows[0][c] if c < len(rows[0]) else f"column {c + 1}"
            yield f"line {n}, {name}", "<masked>" if name in MASKED else cell
    yield "header", ",".join(rows[0]) if rows else ""


def settings(text):
    for line in text.splitlines():
        if not line.startswith("#"):  # the program's version
            yield line.split("=", 1)[0], line


def lines(text):
    text = COMMAND.sub(lambda found: "<pre>" + by_option(html.unescape(found[1])) + "</pre>", text)
    for pattern, mask in TEXT_MASKS:
        text = pattern.sub(mask, text)
    return ((f"line {n}", line) for n, line in enumerate(text.splitlines(), 1))


def places(root, name):
    with open(os.path.join(root, name), "rb") as f:
        data = f.read()
    try:
        if name.endswith(".safetensors"):
            return dict(tensors(data))
        text = data.decode("utf-8")
        if name.endswith(".json"):
            value = json.loads(text)
            wanted = next((keys for pattern, keys in RECORDS if pattern.search("/" + name)), None)
            return dict(figures(value, wanted) if wanted else leaves(value))
        if name.endswith(".csv"):
            return dict(cells(text))
        return dict(settings(text) if name.endswith("config.toml") else lines(text))
    except (ValueError, KeyError, struct.error):  # images, ONNX; or damaged, which its bytes tell as well
        return {"size": str(len(data)), "bytes": sha(data)}


def files(root, part):
    found = []
    for folder, _, names in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return {name for name in found if not SKIPPED.search(name) and (not part or name.split("/")[0] == part)}


def excerpt(a, b):
    """Both texts from shortly before they part."""
    at = len(os.path.commonprefix([a, b]))
    at = max(0, at - 30) if max(len(a), len(b)) > 100 else 0
    return " and ".join(("..." if at else "") + text[at:at + 100] for text in (a, b))


def differences(a, b, name):
    one, other = places(a, name), places(b, name)
    for place in [*one, *(p for p in other if p not in one)]:
        if place not in other:
            yield True, f"{place}: only in {a}: {one[place][:100]}"
        elif place not in one:
            # A setting more, at its default, changes no run.
            yield not name.endswith("config.toml"), f"{place}: only in {b}: {other[place][:100]}"
        elif one[place] != other[place]:
            yield True, f"{place}: {excerpt(one[place], other[place])}"


def compare(a, b, part, shown=8):
    there, here = files(a, part), files(b, part)
    if not there | here:
        print(f"golden_compare.py: {a} and {b} hold nothing to compare", file=sys.stderr)
        return 1
    bad = 0
    for name in sorted(there | here):
        if name not in there or name not in here:
            print(f"{name}: only in {a if name in there else b}")
            bad += 1
            continue
        found = list(differences(a, b, name))
        bad += any(is_bad for is_bad, _ in found)
        for is_bad, text in found[:shown]:
            print(f"{name}: {'' if is_bad else 'note: '}{text}")
        if len(found) > shown:
            print(f"{name}: and {len(found) - shown} places more")
    print(f"{len(there | here)} files, {bad} differ" if bad else f"{len(there)} files, no difference")
    return 1 if bad else 0


def digests(root):
    for name in sorted(files(root, "")):
        text = "\n".join(f"{place}\t{value}" for place, value in places(root, name).items())
        print(f"{sha(text.encode('utf-8', 'surrogateescape'))}  {name}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    if len(sys.argv) == 3 and sys.argv[1] == "list":
        sys.exit(digests(sys.argv[2]))
    if len(sys.argv) == 5 and sys.argv[1] == "compare":
        sys.exit(compare(*sys.argv[2:]))
    print("Usage: golden_compare.py list FOLDER | compare A B PART; scripts/golden_runs.sh --help says more",
          file=sys.stderr)
    sys.exit(2)
