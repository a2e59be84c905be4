#!/usr/bin/env python3
"""What published transfer accuracies say about the choice of a source, and whether akin's similarities agree with them.

Reads controlled.csv of the PARC benchmark (Bolya, Mittapalli, Hoffman, NeurIPS 2021): fine-tuned test accuracies of four
architectures, each trained on one of eight data sets, on seven targets. With --similarities, an experiment's sources.csv,
also prints Spearman's rank correlation between akin's similarity of a source and the published accuracy from the data set
that it stands for, mean over architectures. Writes Markdown to stdout. Standard library only.

  scripts/published_accuracies.py data/parc_oracles/controlled.csv --similarities configs/mini/results/mini_sources.csv
"""

import argparse
import collections
import csv
import statistics
import sys

# Names of the mini experiment and the benchmark's: cub20 is a part of CUB-200, dogs and tinyimagenet parts of ImageNet.
SAME = {"cub20": "cub200", "dogs": "stanford_dogs", "tinyimagenet": "imagenet", "oxford_pets": "oxford_pets",
        "caltech101": "caltech101", "cifar10": "cifar10"}


def ranks(values):
    """Ranks from 1, ties averaged."""
    order = sorted(values)
    return [order.index(v) + (order.count(v) + 1) / 2 for v in values]


def spearman(a, b):
    """Pearson's correlation of the ranks; None where one side is constant."""
    x, y = ranks(a), ranks(b)
    mx, my = statistics.fmean(x), statistics.fmean(y)
    sx, sy = sum((v - mx) ** 2 for v in x), sum((v - my) ** 2 for v in y)
    return sum((v - mx) * (w - my) for v, w in zip(x, y)) / (sx * sy) ** 0.5 if sx > 0 and sy > 0 else None


def row(cells):
    print("| " + " | ".join(cells) + " |")


def choices(table):
    """A row a target: the best model, and what simpler rules of choice would have got."""
    row(["target", "best model", "best on ImageNet", "any model (mean)", "best architecture, any set (mean)"])
    row(["---", "---", "---:", "---:", "---:"])
    gaps = collections.defaultdict(list)
    for target, models in sorted(table.items()):
        (arch, source), best = max(models.items(), key=lambda m: m[1])
        imagenet = max(v for (_, s), v in models.items() if s == "imagenet")
        mean = statistics.fmean(models.values())
        of_arch = statistics.fmean(v for (a, _), v in models.items() if a == arch)
        row([target, f"{best:.1f} ({arch}, {source})", f"{imagenet:.1f}", f"{mean:.1f}", f"{of_arch:.1f}"])
        for key, value in (("imagenet", imagenet), ("mean", mean), ("arch", of_arch)):
            gaps[key].append(best - value)
    row(["**lost against the best, mean**", "", *(f"{statistics.fmean(gaps[k]):.1f}" for k in ("imagenet", "mean", "arch"))])


def one_architecture(table):
    """How far ImageNet is from the best source where the architecture is given."""
    wins, losses = 0, []
    for models in table.values():
        for arch in sorted({a for a, _ in models}):
            of = {s: v for (a, s), v in models.items() if a == arch}
            best = max(of.values())
            wins += of["imagenet"] == best
            losses.append(best - of["imagenet"])
    print(f"\nWith the architecture given, ImageNet is the best source in {wins} of {len(losses)} cases; always taking it "
          f"loses {statistics.fmean(losses):.2f} points on average and {max(losses):.1f} at most.")


def agreement(table, file):
    with open(file, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    if not rows:
        sys.exit(f"{file}: holds no source; give the sources.csv of an experiment that has run")
    fixed = {"target", "budget", "seed", "source", "student_test_last", "student_test_best", "undefined"}
    metrics = [k for k in rows[0] if k not in fixed]
    found = {m: collections.defaultdict(list) for m in metrics}
    for target, budget, seed in sorted({(r["target"], r["budget"], r["seed"]) for r in rows}):
        published = table.get(SAME.get(target, ""), {})
        group = [r for r in rows if (r["target"], r["budget"], r["seed"]) == (target, budget, seed)]
        known = {}
        for r in group:
            of = [v for (_, s), v in published.items() if s == SAME.get(r["source"])]
            if of:
                known[r["source"]] = statistics.fmean(of)
        for m in metrics:
            pairs = [(float(r[m]), known[r["source"]]) for r in group if r["source"] in known and r[m]]
            if len(pairs) >= 3 and (rho := spearman(*zip(*pairs))) is not None:
                found[m][target].append(rho)
    targets = sorted({t for of in found.values() for t in of})
    if not targets:
        sys.exit(f"{file}: no target has three sources that the published table knows ({', '.join(SAME)})")
    print()
    row(["Spearman", *targets, "mean"])
    row(["---", *["---:"] * (len(targets) + 1)])
    for m in metrics:
        means = [statistics.fmean(found[m][t]) if found[m][t] else None for t in targets]
        seen = [v for v in means if v is not None]
        row([m, *("" if v is None else f"{v:.2f}" for v in means), f"{statistics.fmean(seen):.2f}" if seen else ""])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file", help="controlled.csv: Architecture,Source Dataset,Target Dataset,Oracle")
    p.add_argument("--similarities", metavar="FILE", help="sources.csv of an experiment")
    args = p.parse_args()
    table = collections.defaultdict(dict)
    with open(args.file, newline="", encoding="utf-8") as f:
        reader = csv.DictReader(f)
        wanted = {"Architecture", "Source Dataset", "Target Dataset", "Oracle"}
        if not wanted <= set(reader.fieldnames or []):
            sys.exit(f"{args.file}: expected the columns {', '.join(sorted(wanted))}, found {reader.fieldnames}")
        for r in reader:
            table[r["Target Dataset"]][r["Architecture"], r["Source Dataset"]] = float(r["Oracle"])
    choices(table)
    one_architecture(table)
    if args.similarities:
        agreement(table, args.similarities)


if __name__ == "__main__":
    main()
