#!/usr/bin/env python3
"""Times that an H200 would need, worked out from the machine code that kernels/sass.csv counts: estimates, none is measured.

    scripts/estimates.py                  prints the table
    scripts/estimates.py --write          writes it into docs/sass.md between its marks
    scripts/estimates.py --check          1 where docs/sass.md has another one

A kernel takes the longest of three times: its instructions, started at 2.2 a cycle by each multiprocessor of four schedulers;
what it fetches, at the second-level cache's 5.5 TB/s; and what it reads and writes at least, at memory's 4.3 TB/s. So worked
out, +-40 %."""

import argparse
import csv
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MULTIPROCESSORS, CLOCK, PER_CYCLE = 132, 1.755e9, 2.2
L2, MEMORY = 5.5e12, 4.3e12
BEGIN, END = "<!-- estimates: begin -->", "<!-- estimates: end -->"


def load():
    with open(ROOT / "kernels/sass.csv", encoding="utf-8") as f:
        return list(csv.DictReader(line for line in f if not line.startswith("#")))


class Table:
    def __init__(self):
        self.rows = load()

    def loop(self, stem, *parts):
        """Instructions and products of a round of the main loop of the one kernel whose name has all parts."""
        found = [r for r in self.rows if r["stem"] == stem and all(p in r["kernel"] for p in parts)]
        if len(found) != 1:
            sys.exit(f"estimates.py: {stem} with {parts}: {len(found)} kernels in kernels/sass.csv, expected one")
        return int(found[0]["instructions"]), int(found[0]["products"])


def issue(instructions):
    """Microseconds to start so many instructions of warps on all multiprocessors."""
    return instructions / (MULTIPROCESSORS * PER_CYCLE * CLOCK) * 1e6


def bandwidth(data, rate):
    return data / rate * 1e6


def direct(table, kernel, n, side, c, k, stride=1, beside=0):
    """conv2d_direct: a round makes `tile` positions of a block of 8 warps; its loader, counted once in the round, runs several
    times. `beside`: further tensors of the size of the result that are read."""
    stem, name = kernel
    instructions, _ = table.loop(stem, name)
    out = side // stride
    tile = 256 if 64 in (c, k) or stride == 2 else 512
    chunks = max(c // 8, 1)
    # Rows of a tile of so many columns, read by as many threads as they have chunks.
    columns, rows = {32: (34, 18), 16: (18, 36), 8: (10, tile // 64 * 10)}[out]
    columns, rows = (columns * stride, rows * stride) if stride > 1 else (columns, rows)
    rounds = -(-rows // max(1, 256 // (columns * chunks)))
    warps = n * out * out / tile * 8
    read, written = n * side * side * c * 2, n * out * out * k * 2
    fetched = read * (rows * columns) / (tile * stride * stride) + written
    least = read + written * (1 + beside)
    return max(issue(warps * (instructions + 13 * rounds)), bandwidth(fetched, L2), bandwidth(least, MEMORY)), bandwidth(
        least, MEMORY)


def weight(table, n, side, c, k):
    """conv2d_direct_weight: its loop goes over 16 positions of a tile for each warp, or 32; half as much again around it."""
    instructions, products = table.loop("conv2d_direct_weight", f"DirectWeight<{max(c, 8)}, {k}, 1>")
    parts = max(1, k // 32) * max(1, c // 16)
    positions = 16 * products / (9 * (2 if k >= 32 else 1) * (2 if c >= 16 else 1))
    warps = n * side * side / positions * min(parts, 8)
    read = n * side * side * (c + k) * 2
    blocks = MULTIPROCESSORS * (1 if k >= 32 else 2)
    sums = blocks * 9 * c * k * 4
    fetched = read * 1.4 + 2 * sums
    return max(issue(1.5 * warps * instructions), bandwidth(fetched, L2), bandwidth(read, MEMORY)), bandwidth(read, MEMORY)


def product(table, stem, parts, m, n, k, tile, memory):
    """A tiled product: steps of 32 of the reduction by warps that make 64 x 64, 64 x 32 or as said."""
    instructions, _ = table.loop(stem, *parts)
    warp_tiles = -(-m // tile[0]) * -(-n // tile[1]) * (tile[0] * tile[1] / (tile[2] * tile[3]))
    steps = -(-k // 32)
    fetched = -(-m // tile[0]) * -(-n // tile[1]) * (tile[0] + tile[1]) * k * 2
    return max(issue(warp_tiles * steps * instructions), bandwidth(fetched, L2), bandwidth(memory, MEMORY)), bandwidth(
        memory, MEMORY)


def rows():
    t = Table()
    plain, moments, norm_x, norm_y = "(Way)0", "(Way)2", "(Way)3", "(Way)4"

    def fwd(c, k, way=moments, stride=1):
        return ("conv2d_direct", f"Direct<{max(c, 8)}, {k}, {stride}, {way}>")

    def data(c, k, way=norm_x):
        return ("conv2d_direct_data", f"Direct<{k}, {c}, 1, {way}>")

    n = 1024
    # What, before (gpu-review's estimate of the kernels before), now, floor.
    yield "3x3, 16 channels, 32x32, batch 1024: forward, with statistics", 124, *direct(t, fwd(16, 16), n, 32, 16, 16)
    yield "its data gradient, masked and summed for the norm", 131, *direct(t, data(16, 16), n, 32, 16, 16, beside=1)
    yield "its weight gradient", 174, *weight(t, n, 32, 16, 16)
    yield "32 channels, 16x16: forward", 43, *direct(t, fwd(32, 32), n, 16, 32, 32)
    yield "its data gradient", 46, *direct(t, data(32, 32), n, 16, 32, 32, beside=1)
    yield "its weight gradient", 65, *weight(t, n, 16, 32, 32)
    yield "64 channels, 8x8: forward", 33, *direct(t, fwd(64, 64), n, 8, 64, 64)
    yield "its data gradient", 35, *direct(t, data(64, 64), n, 8, 64, 64, beside=1)
    yield "its weight gradient", 54, *weight(t, n, 8, 64, 64)
    yield "stem, 3 to 16 channels, 32x32: forward", 150, *direct(t, fwd(3, 16), n, 32, 3, 16)
    yield "its weight gradient", 150, *weight(t, n, 32, 3, 16)
    m = 4096
    yield "gemm bf16, 4096^3", 350, *product(
        t, "gemm", ("Tile<128, 128, 2, 2>", "Matrix<bf16, true, true>, Matrix<bf16, true, true>"), m, m, m,
        (128, 128, 64, 64), 3 * m * m * 2)
    pixels = 256 * 28 * 28
    yield "3x3, 128 channels, 28x28, batch 256: forward", 160, *product(
        t, "conv2d", ("Tile<128, 128, 2, 2>", "Pixels<bf16, true>, Matrix"), pixels, 128, 1152, (128, 128, 64, 64),
        2 * pixels * 128 * 2)
    yield "its data gradient", 200, *product(
        t, "conv2d", ("Tile<128, 128, 2, 2>", "Pixels<bf16, true>, ReversedTaps"), pixels, 128, 1152, (128, 128, 64, 64),
        2 * pixels * 128 * 2)


def text():
    lines = [
        BEGIN, "",
        "| kernel | before, us | now, us | least, us |",
        "|---|---:|---:|---:|",
    ]
    lines += [f"| {what} | {before:.0f} | {now:.0f} | {floor:.0f} |" for what, before, now, floor in rows()]
    return "\n".join([*lines, "", END])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--write", action="store_true")
    way.add_argument("--check", action="store_true")
    options = parser.parse_args()
    page = ROOT / "docs/sass.md"
    if not (options.write or options.check):
        print(text())
        return 0
    old = page.read_text(encoding="utf-8")
    if BEGIN not in old or END not in old:
        sys.exit(f"estimates.py: {page} has no marks {BEGIN} and {END}")
    new = old[: old.index(BEGIN)] + text() + old[old.index(END) + len(END) :]
    if options.check:
        if new != old:
            print("docs/sass.md has other estimates than kernels/sass.csv gives; scripts/estimates.py --write", file=sys.stderr)
        return int(new != old)
    page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
