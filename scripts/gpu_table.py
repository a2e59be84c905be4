#!/usr/bin/env python3
"""Writes what gpu_suite.sh found into a folder: results.json, README.md with tables, failures.txt with the words of
what failed. Called by gpu_suite.sh."""

import argparse
import csv
import glob
import json
import os
import re
import sys
import time


def write(path, text):
    partial = path + ".part"
    with open(partial, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(partial, path)


def read_json(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def log_name(part, item):
    return f"{part}-{re.sub('[^a-zA-Z0-9_.-]', '_', item)}.log"


def number(value):
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def kernel_rows(kernels):
    yield "| kernel | us | TFLOP/s | GB/s | yardstick | ratio, median [range] | goal |"
    yield "|---|---:|---:|---:|---|---|---|"
    for k in kernels["results"]:
        if "error" in k:
            yield f"| {k['name']} | failed: {k['error'].splitlines()[0]} | | | | | |"
            continue
        ratio, goal = "", ""
        if "ratio" in k:
            ratio = "{median:.3f} [{low:.3f} .. {high:.3f}]".format(**k["ratio"])
        if "goal" in k:
            wanted = f"{k['goal']['ratio']:.2f}" if "ratio" in k["goal"] else f"{k['goal']['ms']} ms"
            goal = f"{wanted}: {'met' if k['goal']['met'] else 'missed'}"
        yield (f"| {k['name']} | {number(k['own_us']['median'])} | {number(k['tflops']) if 'tflops' in k else ''} | "
               f"{number(k['gb_per_s']) if 'gb_per_s' in k else ''} | {k.get('yardstick', '')} | {ratio} | {goal} |")  # fmt: skip


def step_rows(steps):
    yield "| net | batch | akin img/s | PyTorch img/s | its fastest way | ratio, median [range] |"
    yield "|---|---:|---:|---:|---|---|"
    for s in steps:
        for r in s["results"]:
            ratio = r["ratio"]
            yield (f"| {r['net']} | {s['batch']} | {r['median'][r['own']]:.0f} | {r['median'][r['other']]:.0f} | "
                   f"{r['modes'][r['other']]} | {ratio['median']:.2f} [{ratio['min']:.2f} .. {ratio['max']:.2f}] |")  # fmt: skip


def own_step_rows(logs, status):
    yield "| net and way | images/s, each measurement |"
    yield "|---|---|"
    for part, item, result, *_ in status:
        if part != "step" or result != "passed" or item.endswith("PyTorch"):
            continue
        rates = re.findall(r": (\d+) images/s", read_text(os.path.join(logs, log_name(part, item))))
        yield f"| {item.strip()} | {' '.join(rates)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("logs", "out", "commit", "card", "driver", "clocks", "seconds"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    with open(os.path.join(args.logs, "status.tsv"), encoding="utf-8") as f:
        status = [row for row in csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
    kernels = read_json(os.path.join(args.logs, "kernels.json"))
    steps = [s for s in map(read_json, sorted(glob.glob(os.path.join(args.logs, "step-*.json")))) if s]
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    fields = ("part", "item", "result", "seconds", "detail")
    write(os.path.join(args.out, "results.json"), json.dumps({
        "card": args.card, "driver": args.driver, "clocks sm, memory, largest sm, memory": args.clocks, "commit": args.commit,
        "date": date, "seconds": int(args.seconds), "items": [dict(zip(fields, row)) for row in status],
        "kernels": kernels, "steps": steps}, indent=1) + "\n")  # fmt: skip

    lines = [f"# {args.card}, {date[:10]}", "", f"Commit {args.commit}; driver {args.driver}; clocks (SM, memory, their "
             f"maxima) {args.clocks}; {args.seconds} s in all. Written by scripts/gpu_suite.sh.", ""]  # fmt: skip
    lines += ["| part | passed | failed | not run | skipped |", "|---|---:|---:|---:|---:|"]
    for part in dict.fromkeys(row[0] for row in status):
        count = [sum(row[0] == part and row[2] == kind for row in status) for kind in ("passed", "failed", "not run", "skipped")]
        lines.append(f"| {part} | {' | '.join(map(str, count))} |")
    bad = [row for row in status if row[2] in ("failed", "not run")]
    if bad:
        lines += ["", "## Not passed", ""] + [f"- {part}: {item}: {result} ({detail})" for part, item, result, _, detail in bad]
    if kernels:
        lines += ["", "## Kernels", "", f"Against {(kernels['libraries'] or 'no library').splitlines()[0]}, and device copies. Above 1: akin is faster.", ""]
        lines += kernel_rows(kernels)
    own = list(own_step_rows(args.logs, status))
    if len(own) > 2:
        lines += ["", "## Training steps", ""] + own
    if steps:
        lines += ["", "## Training steps against PyTorch", ""] + list(step_rows(steps))
    write(os.path.join(args.out, "README.md"), "\n".join(lines) + "\n")

    words = [f"=== {row[0]}: {row[1]} ({row[4]})\n{read_text(os.path.join(args.logs, log_name(row[0], row[1])))[-6000:]}\n" for row in bad]
    if words:
        write(os.path.join(args.out, "failures.txt"), "\n".join(words))
    elif os.path.exists(os.path.join(args.out, "failures.txt")):
        os.remove(os.path.join(args.out, "failures.txt"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
