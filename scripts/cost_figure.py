#!/usr/bin/env python3
"""Draws what an experiment's variants reach against what they cost to run: the mean over its targets against multiply-adds,
a mark a label budget, as one SVG. A variant whose network differs by target has a range of costs.

Usage: scripts/cost_figure.py RESULTS_CSV OUT_SVG --budgets NAME=LABEL... [--title TEXT] --variants NAME=COST[-COST]=LABEL...
Example: scripts/cost_figure.py runs/paper/results.csv docs/figures/cost.svg --budgets "five=5 labels a class" \\
             --variants transfer=3.3e6=transfer finetune=3.3e6-3.01e8=FineTune
Exit code: 0 drawn, 2 wrong use, 1 a variant or budget is not there.
"""
import argparse
import html
import math
import statistics
import sys

from results_figure import COLOURS, read

LEFT, WIDTH, TOP, HEIGHT = 70, 420, 66, 330


def ticks(low, high):
    return [10.0 ** e for e in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def short(value):
    return f"{value / 1e9:g} G" if value >= 1e9 else f"{value / 1e6:g} M"


def mean_over_targets(results, budget, variant):
    found = read(results, budget)
    if not found or any(not by_variant.get(variant) for by_variant in found.values()):
        sys.exit(f"{results}: budget {budget} has not all results of {variant}")
    return statistics.mean(statistics.mean(by_variant[variant]) for by_variant in found.values())


def draw(points, budgets, title):
    """points: [(label, low, high, [accuracy of each budget])]."""
    least, most = min(p[1] for p in points) / 1.6, max(p[2] for p in points) * 1.6
    low = 10 * math.floor(min(min(p[3]) for p in points) / 10)
    high = 10 * math.ceil(max(max(p[3]) for p in points) / 10)
    x = lambda cost: LEFT + WIDTH * math.log(cost / least) / math.log(most / least)
    y = lambda share: TOP + HEIGHT * (high - share) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 250}" height="{TOP + HEIGHT + 56}" '
           'font-family="system-ui, sans-serif" font-size="13">',
           f'<title>{html.escape(title)}</title>', '<rect width="100%" height="100%" fill="#ffffff"/>',
           f'<text x="16" y="26" font-size="16" font-weight="600" fill="#1b1f24">{html.escape(title)}</text>']
    for share in range(low, high + 1, 10):
        out.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#e3e6ea"/>'
                   f'<text x="{LEFT - 10}" y="{y(share) + 4:.1f}" text-anchor="end" fill="#5c636b">{share} %</text>')
    for cost in ticks(least, most):
        out.append(f'<text x="{x(cost):.1f}" y="{TOP + HEIGHT + 22}" text-anchor="middle" fill="#5c636b">{short(cost)}</text>')
    out.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 44}" text-anchor="middle" fill="#5c636b">'
               'multiply-adds a picture</text>')
    for i, label in enumerate(budgets):
        fill = "#1b1f24" if i + 1 == len(budgets) else "#ffffff"
        out.append(f'<circle cx="{22 + 170 * i}" cy="46" r="5.5" fill="{fill}" stroke="#1b1f24" stroke-width="2"/>'
                   f'<text x="{34 + 170 * i}" y="50" fill="#1b1f24">{html.escape(label)}</text>')
    taken = []
    for (label, cheap, dear, shares), colour in zip(points, COLOURS):
        middle = x(math.sqrt(cheap * dear))
        out.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{y(min(shares)):.1f}" y2="{y(max(shares)):.1f}" '
                   f'stroke="{colour}" stroke-width="1.5"/>')
        for i, share in enumerate(shares):
            if dear > cheap:
                out.append(f'<line x1="{x(cheap):.1f}" x2="{x(dear):.1f}" y1="{y(share):.1f}" y2="{y(share):.1f}" '
                           f'stroke="{colour}" stroke-width="2" opacity="0.45"/>')
            fill = colour if i + 1 == len(shares) else "#ffffff"
            out.append(f'<circle cx="{middle:.1f}" cy="{y(share):.1f}" r="5.5" fill="{fill}" stroke="{colour}" stroke-width="2"/>')
        at = y(shares[-1]) + 4
        while any(abs(at - other) < 15 and abs(middle - where) < 120 for other, where in taken):
            at += 4
        taken.append((at, middle))
        out.append(f'<text x="{max(middle, x(dear)) + 12:.1f}" y="{at:.1f}" fill="{colour}">{html.escape(label)}</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("out")
    parser.add_argument("--budgets", nargs="+", required=True, metavar="NAME=LABEL")
    parser.add_argument("--title", default="Accuracy against cost")
    parser.add_argument("--variants", nargs="+", required=True, metavar="NAME=COST[-COST]=LABEL")
    options = parser.parse_args()
    budgets = [b.partition("=") for b in options.budgets]
    points = []
    for text in options.variants:
        name, cost, label = text.split("=", 2)
        low, _, high = cost.partition("-")
        points.append((label, float(low), float(high or low),
                       [mean_over_targets(options.results, b[0], name) for b in budgets]))
    if len(points) > len(COLOURS):
        parser.error(f"{len(points)} variants: at most {len(COLOURS)} can be told apart")
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(draw(points, [b[2] or b[0] for b in budgets], options.title))


if __name__ == "__main__":
    main()
