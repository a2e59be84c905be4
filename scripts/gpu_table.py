#!/usr/bin/env python3
"""Makes README.md with tables, and failures.txt with the last words of what failed, of the folder that gpu_suite.sh filled:
    scripts/gpu_table.py bench/results/<card>-<date>
Of what was measured twice the later one counts. Called by gpu_suite.sh."""

import argparse
import json
import os
import re
import sys


def write(path, text):
    partial = path + ".part"
    with open(partial, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(partial, path)


def read_lines(path):
    """The objects of a file of JSON lines; a line that was cut off is left out."""
    found = []
    with open(path, encoding="utf-8", errors="replace") as f:
        for text in f:
            try:
                value = json.loads(text)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
    return found


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def latest(lines, kind, *key):
    """Those of a kind, in the order in which their keys were first seen, each as it was last."""
    found = {}
    for one in lines:
        if one.get("kind") == kind:
            found[tuple(one.get(k) for k in key)] = one
    return list(found.values())


def number(value):
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def table(head, rows):
    if not rows:
        return []
    columns = head.split("|")
    marks = ["---:" if c.startswith(">") else "---" for c in columns]
    body = [[c.lstrip(">") for c in columns], marks, *rows]
    return ["| " + " | ".join(row) + " |" for row in body] + [""]


def section(title, text, rows):
    return [f"## {title}", "", *([text, ""] if text else []), *rows] if rows else []


def kernel_row(k):
    if "error" in k:
        return [k["name"], "failed: " + k["error"].splitlines()[0], "", "", "", "", ""]
    ratio, goal = "", ""
    if "ratio" in k:
        ratio = "{median:.3f} [{low:.3f} .. {high:.3f}]".format(**k["ratio"])
    if "goal" in k:
        wanted = f"{k['goal']['ratio']:.2f}" if "ratio" in k["goal"] else f"{k['goal']['ms']} ms"
        goal = f"{wanted}: {'met' if k['goal']['met'] else 'missed'}"
    return [k["name"], number(k["own_us"]["median"]), number(k["tflops"]) if "tflops" in k else "",
            number(k["gb_per_s"]) if "gb_per_s" in k else "", k.get("yardstick", ""), ratio, goal]  # fmt: skip


def constant_row(c):
    if "error" in c:
        return [c["name"], "failed", "", c["error"].splitlines()[0]]
    per_second = f"; {number(c['per_second'] * 1e-12)} T/s at {number(c['mhz'])} MHz" if "per_second" in c else ""
    return [c["name"], "" if c["value"] is None else number(c["value"]), c["unit"], c["how"] + per_second]


def torch_row(s):
    ratio = s["ratio"]
    return [s["net"], str(s["batch"]), f"{s['median'][s['own']]:.0f}", f"{s['median'][s['other']]:.0f}", s["modes"][s["other"]],
            f"{ratio['median']:.2f} [{ratio['min']:.2f} .. {ratio['max']:.2f}]"]  # fmt: skip


def page(lines):
    begins, ends = latest(lines, "begin", "date"), [one for one in lines if one.get("kind") == "end"]
    begin = begins[-1] if begins else {}
    states = [one for one in lines if one.get("kind") == "card" and one.get("state")]
    items = latest(lines, "item", "step", "item")
    out = [f"# {begin.get('card', 'unknown')}, {begin.get('date', '')[:10]}", ""]
    if begin.get("device") == "sim":
        out += ["A rehearsal in the emulator: of its times none means anything.", ""]
    cut = "" if ends and not ends[-1].get("cut") else " It was cut off."
    seconds = f", {ends[-1]['seconds']} s in all" if ends else ""
    out += [f"{begin.get('commit', '')}{seconds}; written by scripts/gpu_suite.sh.{cut}", ""]
    if states:
        shown = dict.fromkeys((states[0]["state"], states[-1]["state"]))
        out += [f"The card before and after ({states[0]['fields']}): " + "; ".join(shown) + ".", ""]
    kinds = ("passed", "failed", "not run", "skipped")
    out += table("step|>passed|>failed|>not run|>skipped", [
        [step, *(str(sum(i["step"] == step and i["result"] == kind for i in items)) for kind in kinds)]
        for step in dict.fromkeys(i["step"] for i in items)])  # fmt: skip
    out += section("Not passed", "", [f"- {i['step']}: {i['item']}: {i['result']} ({i['detail']})"
                                      for i in items if i["result"] != "passed"] )  # fmt: skip
    if out[-1]:
        out.append("")
    out += section("Constants", "", table("what|>value|unit|how", [constant_row(c) for c in latest(lines, "constant", "name")]))
    kernels = latest(lines, "kernel", "name", "yardstick")
    good = {k["name"] for k in kernels if "error" not in k}
    last = {k["name"]: k for k in lines if k.get("kind") == "kernel"}  # what failed has no yardstick
    kernels = [k for k in kernels if "error" not in k or k["name"] not in good or "error" in last[k["name"]]]
    libraries = [k["libraries"].splitlines()[0] for k in kernels if k.get("libraries")]
    out += section("Kernels", f"Against {libraries[-1] if libraries else 'no library'}, and device copies. Above 1: akin is faster.",
                   table("kernel|>us|>TFLOP/s|>GB/s|yardstick|ratio, median [range]|goal", [kernel_row(k) for k in kernels]))  # fmt: skip
    out += section("Losses", "Of the first steps, beside the CPU's in f32; the largest relative difference.",
                   table("net|>first|>last|>difference|>allowed", [
                       [x["name"], number(x["losses"][0]), number(x["losses"][-1]), f"{x['difference']:.2g}", f"{x['most']:g}"]
                       for x in latest(lines, "losses", "name")]))  # fmt: skip
    out += section("Training steps", "", table("net|way|>images/s|>ms a step, each measurement", [
        [s["name"], s["way"], f"{s['images_per_second']:.0f}", " ".join(number(ms) for ms in s["ms"])]
        for s in latest(lines, "step", "name", "way")]))  # fmt: skip
    out += section("Training steps against PyTorch", "", table(
        "net|>batch|>akin img/s|>PyTorch img/s|its fastest way|ratio, median [range]",
        [torch_row(s) for s in latest(lines, "torch", "net", "batch", "compile")]))  # fmt: skip
    return "\n".join(out).rstrip() + "\n", [i for i in items if i["result"] in ("failed", "not run")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="with results.jsonl")
    folder = parser.parse_args().folder
    try:
        lines = read_lines(os.path.join(folder, "results.jsonl"))
    except OSError as error:
        sys.exit(f"gpu_table.py: {error.filename}: {error.strerror}; expected what gpu_suite.sh writes")
    text, bad = page(lines)
    write(os.path.join(folder, "README.md"), text)
    words = ""
    for i in bad:
        log = f"{i['step']}-{re.sub('[^a-zA-Z0-9_.-]', '_', i['item'])}.log"
        words += f"=== {i['step']}: {i['item']} ({i['detail']})\n{read_text(os.path.join(folder, 'logs', log))[-6000:]}\n"
    failures = os.path.join(folder, "failures.txt")
    if words:
        write(failures, words)
    elif os.path.exists(failures):
        os.remove(failures)


if __name__ == "__main__":
    main()
