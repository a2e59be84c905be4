#!/usr/bin/env python3
"""What the machine code of the CUDA kernels asks of the card, counted without one: registers, instructions of the main loop,
products on tensor cores, widths of loads.

    scripts/sass.py [PATH ...]              prints the table for object files, cubins, or folders of them (build/ci)
    scripts/sass.py --check build/ci        compares with kernels/sass.csv: 1 if anything differs, 77 if made by another nvcc
    scripts/sass.py --write build/ci        writes kernels/sass.csv and docs/sass.md
    scripts/sass.py --loops gemm FILE       every loop of kernels whose name holds "gemm", with its line and its instructions
    scripts/sass.py --listing gemm FILE     the instructions of their main loops, one a line, with source lines"""

import argparse
import collections
import csv
import os
import re
import signal
import subprocess
import sys

import cubin

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE, PAGE = os.path.join(ROOT, "kernels", "sass.csv"), os.path.join(ROOT, "docs", "sass.md")
COLUMNS = ("stem", "kernel", "registers", "local", "loop", "instructions", "products", "kind", "each", "loads", "divergent")
# More of these is worse. Instructions count by the work that they do, for larger tiles have longer loops.
COUNTS = ("registers", "local", "each", "divergent")

INTRO = """# What the machine code says

Counted in the machine code of compute capability {arch}, made by nvcc {release}; no card was asked. `scripts/sass.py` writes this
page and [kernels/sass.csv](../kernels/sass.csv), and a build with CUDA checks itself against that table (`sass_table` in ctest):
a kernel that got worse fails, and one that got better is committed with

    scripts/sass.py --write build/ci

The *loop* of a kernel is the innermost one that does its work, found as a branch back to an instruction that every way into it
passes; named is the file of its last line. *Instructions* are those of one round, all branches counted once; *products* those
that multiply: HMMA on tensor cores (a warp's 16 x 8 x 16), elsewhere FFMA or DFMA where they are a quarter of the loop.
*Each* is instructions for each product; where multiplying is not the work, for each 16 bytes loaded; where nothing is loaded,
for each round. What a round holds besides its products moves operands and works out addresses, in the same slots: of an H100's
2048 bf16 products a cycle and multiprocessor each of its four schedulers keeps 512 going with one HMMA in four cycles, and in
each cycle it starts one instruction. So more than four instructions for each HMMA cost time, and fewer leave room for waiting.

*Loads* are those from global memory in a round, how many of how many bytes each: 16 is the widest. *Divergent* counts places in
the loop where threads of a warp may part. *Local* counts loads and stores of memory that stands in for registers. How many
warps fit on a multiprocessor follows from *registers*: 65,536 for all threads.

`scripts/sass.py --loops gemm build/ci` lists all loops with their lines and what they consist of.

"""


def fail(text):
    sys.exit(f"sass.py: {text}")


def files_of(paths):
    found = []
    for path in paths:
        if os.path.isdir(path):
            below = [os.path.join(at, f) for at, _, names in os.walk(path) for f in names]
            below = [f for f in below if f.endswith((".cubin", ".cu.o")) and "kernels_sim" not in f]
            if not below:
                fail(f"{path}: no .cu.o or .cubin below it; expected a build with CUDA (AKIN_CUDA=ON)")
            below = [f for f in below if f.endswith(".cubin") or "kernels_cuda" in f]
            if not below:
                fail(f"{path}: holds kernels of the emulator alone; expected a build with CUDA (AKIN_CUDA=ON)")
            found += sorted(below)
        else:
            found.append(path)
    return found


def demangled(symbols):
    try:
        done = subprocess.run(["c++filt", "-p"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as e:
        fail(f"c++filt: {e}; expected binutils, which comes with g++")
    plain = re.sub(r"\(anonymous namespace\)::|akin::|_GLOBAL__N__\w+::", "", done.stdout)
    return [re.sub(r"^void ", "", line) for line in plain.splitlines()]


def kernels_of(paths, arch):
    """(stem, name, kernel) for `arch`, in the order of stems and names, each once; and the architectures that there are."""
    found, others = {}, set()
    for path in files_of(paths):
        stem = os.path.basename(path).split(".")[0]
        kernels = cubin.read_file(path)
        for kernel, label in zip(kernels, demangled([k.symbol for k in kernels])):
            if kernel.arch == arch:
                found[stem, label] = kernel
            others.add(kernel.arch)
    return [(*key, kernel) for key, kernel in sorted(found.items())], others


def row_of(stem, label, kernel):
    row = dict.fromkeys(COLUMNS, "")
    row |= {"stem": stem, "kernel": label, "registers": kernel.registers, "local": kernel.local(), "divergent": 0}
    if loop := kernel.main_loop():
        kind, products = loop.products()
        work = products or sum(size * count for size, count in loop.loads().items()) / 16 or 1
        row |= {"loop": loop.line().split(":")[0], "instructions": len(loop.body), "products": products, "kind": kind,
                "each": f"{len(loop.body) / work:.2f}", "divergent": loop.divergent(),
                "loads": " ".join(f"{count}x{size}" for size, count in loop.loads().items())}  # fmt: skip
    return {column: str(value) for column, value in row.items()}


def read_table(path):
    """(arch, release, rows by stem and kernel)"""
    try:
        with open(path, encoding="utf-8", newline="") as f:
            head = re.fullmatch(r"# (sm_\w+), nvcc ([\d.]+)\s*", f.readline())
            rows = list(csv.DictReader(f))
    except OSError as e:
        fail(f"{path}: {e.strerror}; expected the table that --write makes")
    if not head or not rows or tuple(rows[0]) != COLUMNS:
        fail(f"{path}: expected '# sm_90a, nvcc 13.0' and the columns {','.join(COLUMNS)}")
    return head[1], head[2], {(r["stem"], r["kernel"]): r for r in rows}


def mean_load(row):
    pairs = [tuple(map(int, part.split("x"))) for part in row["loads"].split()]
    return sum(c * size for c, size in pairs) / sum(c for c, _ in pairs) if pairs else 0


def differences(old, new):
    """(verdict, what) for every kernel that is not as the table says."""
    for key in sorted(old.keys() | new.keys()):
        where = f"{key[0]}.cu: {key[1]}"
        if key not in new:
            yield "gone", where
        elif key not in old:
            yield "new", where
        elif old[key] != new[key]:
            a, b = old[key], new[key]
            worse = [c for c in COUNTS if float(b[c] or 0) > float(a[c] or 0)] + ["loads"] * (mean_load(b) < mean_load(a))
            better = any(float(b[c] or 0) < float(a[c] or 0) for c in COUNTS) or mean_load(b) > mean_load(a)
            changed = ", ".join(f"{c} {a[c] or '-'} -> {b[c] or '-'}" for c in COLUMNS if a[c] != b[c])
            yield "worse" if worse else "better" if better else "changed", f"{where}: {changed}"


def check(found, release, rows):
    arch, expected, old = read_table(TABLE)
    if release != expected:
        print(f"sass.py: nvcc {release}, but {TABLE} is of nvcc {expected}: not compared", file=sys.stderr)
        return 77
    verdicts = collections.Counter()
    for verdict, what in differences(old, rows):
        print(f"{verdict}: {what}")
        verdicts[verdict] += 1
    if verdicts:
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        advice = "make it as good again, or say why in the commit of" if verdicts["worse"] else "commit"
        print(f"sass.py: {told}, beside {len(found)} kernels in all; {advice} what `scripts/sass.py --write` makes ({arch})")
        return 1
    print(f"{len(found)} kernels as {os.path.relpath(TABLE, ROOT)} says")
    return 0


def page(arch, release, rows):
    yield INTRO.format(arch=arch, release=release)
    yield "| stem | kernel | registers | local | loop | instructions | products | each | loads | divergent |\n"
    yield "|---|---|---:|---:|---|---:|---:|---:|---|---:|\n"
    for r in rows:
        products = f"{r['products']} {r['kind']}" if r["kind"] else ""
        yield (f"| {r['stem']} | `{r['kernel']}` | {r['registers']} | {r['local']} | {r['loop']} | {r['instructions']} | "
               f"{products} | {r['each']} | {r['loads']} | {r['divergent']} |\n")  # fmt: skip


def save(path, text):
    with open(path + ".part", "w", encoding="utf-8", newline="") as f:
        f.write(text)
    os.replace(path + ".part", path)


def write(arch, release, rows):
    if os.path.exists(TABLE):
        for verdict, what in differences(read_table(TABLE)[2], rows):
            print(f"{verdict}: {what}")
    lines = [f"# {arch}, nvcc {release}\n"]
    writer = csv.DictWriter(type("Lines", (), {"write": lambda _, s: lines.append(s)})(), COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    save(TABLE, "".join(lines))
    save(PAGE, "".join(page(arch, release, rows.values())))
    print(f"{os.path.relpath(TABLE, ROOT)} and {os.path.relpath(PAGE, ROOT)}: {len(rows)} kernels")


def show_loops(found, listing):
    for stem, label, kernel in found:
        print(f"{stem}.cu: {label}: {kernel.registers} registers, {len(kernel.code)} instructions")
        for loop in [kernel.main_loop()] if listing and kernel.main_loop() else kernel.loops():
            what = " ".join(f"{n}:{c}" for n, c in loop.names.most_common())
            print(f"  {loop.line()}: {loop.head} to {loop.closing[-1]}, {len(loop.body)}{' inner' if loop.inner else ''}: {what}")
            for i in loop.body if listing else ():
                word = kernel.code[i]
                guard = f"@{'!' if word >> 15 & 1 else ''}P{word >> 12 & 7}" if word >> 12 & 15 != 7 else ""
                wide = f".{8 * cubin.width(word)}" if cubin.name(word) in ("LDG", "STG", "LDS", "STS", "LDGSTS") else ""
                fields = [word >> 16 & 255, word >> 24 & 255, word >> 32 & 255, word >> 64 & 255]
                print(f"  {i:5} {guard:4} {cubin.name(word) + wide:14} {' '.join(f'{f:3}' for f in fields)}  {kernel.line(i)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=[os.path.join(ROOT, "build", "ci")], metavar="PATH",
                        help="object files of nvcc, cubins, or folders with them below (default: build/ci)")  # fmt: skip
    parser.add_argument("--arch", default="sm_90a", help="which of the architectures in a file (default: sm_90a)")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--check", action="store_true", help="compare with kernels/sass.csv")
    one.add_argument("--write", action="store_true", help="write kernels/sass.csv and docs/sass.md")
    one.add_argument("--loops", metavar="NAME", help="list the loops of kernels whose file or name holds NAME")
    one.add_argument("--listing", metavar="NAME", help="list the main loops of such kernels, instruction by instruction")
    args = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        found, others = kernels_of(args.paths, args.arch)
        if not found:
            text = f"{', '.join(args.paths)}: no kernel for {args.arch}, but for {', '.join(sorted(others))}"
            if not args.check:
                fail(f"{text}; --arch says which is meant")
            print(f"sass.py: {text}: not compared", file=sys.stderr)
            return 77
        wanted = args.loops if args.listing is None else args.listing
        if wanted is not None:
            chosen = [f for f in found if wanted in f"{f[0]}.cu: {f[1]}"]
            if not chosen:
                fail(f"{', '.join(args.paths)}: no kernel for {args.arch} whose file or name holds '{wanted}'")
            show_loops(chosen, args.listing is not None)
            return 0
        rows = {(stem, label): row_of(stem, label, kernel) for stem, label, kernel in found}
    except cubin.Compressed as e:
        if not args.check:
            fail(e)
        print(f"sass.py: {e}: not compared", file=sys.stderr)
        return 77
    except cubin.BadFile as e:
        fail(e)
    releases = sorted({kernel.release for _, _, kernel in found})
    if len(releases) != 1:
        fail(f"{', '.join(args.paths)}: made by nvcc {' and '.join(releases)}, expected one; build anew")
    if args.check:
        return check(found, releases[0], rows)
    if args.write:
        write(args.arch, releases[0], rows)
        return 0
    print("\n".join("\t".join(r.values()) for r in ({c: c for c in COLUMNS}, *rows.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
