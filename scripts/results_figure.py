#!/usr/bin/env python3
"""Draws an experiment's results.csv: a row a target, a mark a variant, the mean over seeds with its spread, as one SVG.

Usage: scripts/results_figure.py RESULTS_CSV OUT_SVG --budget NAME [--title TEXT] VARIANT[=LABEL]...
Example: scripts/results_figure.py runs/paper/results.csv docs/figures/paper.svg --budget five transfer weighted \\
             probe-taught "probe-cv=its teacher"
Exit code: 0 drawn, 2 wrong use, 1 a variant or budget is not there.
"""
import argparse
import csv
import html
import statistics
import sys
from collections import defaultdict

COLOURS = ["#8a8f98", "#3b7dd8", "#d9480f", "#1b1f24", "#2f9e44", "#9c36b5"]
ROW, LEFT, WIDTH, TOP = 34, 130, 560, 84


def read(path, budget):
    """{target: {variant: [accuracy in %, one a seed]}}, targets in the order of the file."""
    found = defaultdict(lambda: defaultdict(list))
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["budget"] == budget and row["test_last"]:
                found[row["target"]][row["variant"]].append(100 * float(row["test_last"]))
    return found


def mark(x, y, colour, hollow, spread, scale):
    text = ""
    if spread > 0:
        text += f'<line x1="{x - spread * scale:.1f}" x2="{x + spread * scale:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2" opacity="0.45"/>'
    fill = "#ffffff" if hollow else colour
    return text + f'<circle cx="{x:.1f}" cy="{y}" r="5.5" fill="{fill}" stroke="{colour}" stroke-width="2"/>'


def draw(rows, variants, title):
    low = 10 * int(min(m for _, marks in rows for m, _ in marks.values()) // 10)
    high = min(100, 10 * int(max(m for _, marks in rows for m, _ in marks.values()) // 10 + 1))
    scale = WIDTH / (high - low)
    height = TOP + ROW * len(rows) + 44
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{height}" '
           'font-family="system-ui, sans-serif" font-size="13">',
           f'<title>{html.escape(title)}</title>', '<rect width="100%" height="100%" fill="#ffffff"/>',
           f'<text x="16" y="26" font-size="16" font-weight="600" fill="#1b1f24">{html.escape(title)}</text>']
    x = 16
    for (name, label), colour, last in zip(variants, COLOURS, [v is variants[-1] for v in variants]):
        out.append(mark(x + 6, 50, colour, last, 0, 1))
        out.append(f'<text x="{x + 18}" y="54" fill="#1b1f24">{html.escape(label)}</text>')
        x += 40 + 7.2 * len(label)
    for tick in range(low, high + 1, 10):
        at = LEFT + (tick - low) * scale
        out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 14}" y2="{height - 34}" stroke="#e3e6ea"/>')
        out.append(f'<text x="{at:.1f}" y="{height - 14}" text-anchor="middle" fill="#5c636b">{tick} %</text>')
    for i, (target, marks) in enumerate(rows):
        y = TOP + ROW * i
        bold = ' font-weight="600"' if i == len(rows) - 1 else ""
        out.append(f'<text x="{LEFT - 14}" y="{y + 5}" text-anchor="end" fill="#1b1f24"{bold}>{html.escape(target)}</text>')
        means = [LEFT + (m - low) * scale for m, _ in marks.values()]
        out.append(f'<line x1="{min(means):.1f}" x2="{max(means):.1f}" y1="{y}" y2="{y}" stroke="#c9ced6" stroke-width="1"/>')
        for (name, _), colour, last in zip(variants, COLOURS, [v is variants[-1] for v in variants]):
            if name in marks:
                mean, spread = marks[name]
                out.append(mark(LEFT + (mean - low) * scale, y, colour, last, spread, scale))
    return "\n".join(out + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("out")
    parser.add_argument("--budget", required=True)
    parser.add_argument("--title", default="Test accuracy")
    parser.add_argument("variants", nargs="+", metavar="VARIANT[=LABEL]")
    options = parser.parse_args()
    variants = [(v.partition("=")[0], v.partition("=")[2] or v) for v in options.variants]
    if len(variants) > len(COLOURS):
        parser.error(f"{len(variants)} variants: at most {len(COLOURS)} can be told apart")
    found = read(options.results, options.budget)
    rows = []
    for target, by_variant in found.items():
        marks = {n: (statistics.mean(by_variant[n]), statistics.stdev(by_variant[n]) if len(by_variant[n]) > 1 else 0.0)
                 for n, _ in variants if by_variant.get(n)}
        if len(marks) < len(variants):
            missing = ", ".join(n for n, _ in variants if n not in marks)
            sys.exit(f"{options.results}: target {target}, budget {options.budget} has no result of {missing}")
        rows.append((target, marks))
    if not rows:
        sys.exit(f"{options.results}: has no result of budget {options.budget}")
    rows.sort(key=lambda r: -r[1][variants[-1][0]][0])
    rows.append(("mean", {n: (statistics.mean(m[n][0] for _, m in rows), 0.0) for n, _ in variants}))
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(draw(rows, variants, options.title))


if __name__ == "__main__":
    main()
