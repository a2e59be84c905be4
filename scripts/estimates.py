#!/usr/bin/env python3
"""Times that an H200 would need, worked out from the machine code that kernels/sass.csv counts: estimates, none is measured.

    scripts/estimates.py                  prints the table
    scripts/estimates.py --write          writes it into docs/estimates.md between its marks
    scripts/estimates.py --check          1 where docs/estimates.md has another one

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


class Time:
    """Microseconds by what limits a kernel; it takes the longest."""

    def __init__(self, instructions, fetched, least):
        self.issue = instructions / (MULTIPROCESSORS * PER_CYCLE * CLOCK) * 1e6
        self.cache, self.memory = fetched / L2 * 1e6, least / MEMORY * 1e6

    def all(self):
        return max(self.issue, self.cache, self.memory)


def direct(table, kernel, n, side, c, k, stride=1, beside=0):
    """conv2d_direct: a round makes a tile of 512 or 256 positions of a block of 8 warps; its loader, counted once in the round,
    runs several times, 13 instructions each. `beside`: tensors of the size of the result that are read besides."""
    instructions, _ = table.loop(*kernel)
    out = side // stride
    tile = 256 if 64 in (c, k) or stride == 2 else 512
    chunks = max(c // 8, 1)
    columns, rows = {56: (10, 30), 32: (34, 18), 16: (18, 18 * tile // 256), 8: (10, tile // 64 * 10)}[out]
    if out == 56:
        tile = 8 * 28  # of 256 places
    if stride == 2:
        columns, rows = {16: (33, 33), 8: (17, 17 * tile // 64)}[out]
    rounds = -(-rows // max(1, 256 // (columns * chunks)))
    tiles = n * out * out / tile
    read, written = n * side * side * c * 2, n * out * out * k * 2
    least = read + written * (1 + beside)
    return Time(tiles * 8 * (instructions + 13 * rounds), tiles * rows * columns * c * 2 + written * (1 + beside), least)


def weight(table, n, side, c, k, stride=1):
    """conv2d_direct_weight: a round of its inner loop goes over 16 positions of a tile for each of its products' tiles; what is
    around it is taken as half as much again. Each block leaves its sums, which are added up."""
    instructions, products = table.loop("conv2d_direct_weight", f"DirectWeight<{max(c, 8)}, {k}, {stride}>")
    each = 9 * (2 if k >= 32 else 1) * (2 if c >= 16 else 1)  # products that 16 positions take
    parts = max(1, k // 32) * max(1, c // 16)
    out = side // stride
    rounds = n * out * out / (16 * products / each) * parts
    read = n * (side * side * c + out * out * k) * 2
    sums = MULTIPROCESSORS * (1 if k >= 32 else 2) * 9 * c * k * 4
    return Time(1.5 * rounds * instructions, read * 1.3 + 2 * sums, read)


def product(instructions, m, n, k, tile, warp, least):
    """A tiled product whose warps take so many instructions for 32 of the reduction."""
    tiles = -(-m // tile[0]) * -(-n // tile[1])
    warps = tiles * tile[0] * tile[1] / (warp[0] * warp[1])
    return Time(warps * -(-k // 32) * instructions, tiles * (tile[0] + tile[1]) * k * 2, least)


def forward(c, k, stride=1):
    return ("conv2d_direct", f"Direct<{max(c, 8)}, {k}, {stride}, (Way)2>")


def data(c, k, way=3):
    return ("conv2d_direct_data", f"Direct<{k}, {c}, 1, (Way){way}>")


def rows():
    """What, microseconds before, Time now. Before: the kernels that fetched each pixel nine times, by the same arithmetic."""
    t, n = Table(), 1024
    yield "3x3, 16 channels, 32x32, batch 1024: forward, with statistics", 124, direct(t, forward(16, 16), n, 32, 16, 16)
    yield "its data gradient, masked and summed for the norm", 131, direct(t, data(16, 16), n, 32, 16, 16, beside=1)
    yield "its weight gradient", 174, weight(t, n, 32, 16, 16)
    yield "32 channels, 16x16: forward", 43, direct(t, forward(32, 32), n, 16, 32, 32)
    yield "its data gradient", 46, direct(t, data(32, 32), n, 16, 32, 32, beside=1)
    yield "its weight gradient", 65, weight(t, n, 16, 32, 32)
    yield "64 channels, 8x8: forward", 33, direct(t, forward(64, 64), n, 8, 64, 64)
    yield "its data gradient", 35, direct(t, data(64, 64), n, 8, 64, 64, beside=1)
    yield "its weight gradient", 54, weight(t, n, 8, 64, 64)
    yield "stem, 3 to 16 channels, 32x32: forward", 150, direct(t, forward(3, 16), n, 32, 3, 16)
    yield "its weight gradient", 150, weight(t, n, 32, 3, 16)
    yield "3x3, 64 channels, 56x56, batch 256: forward, with statistics", 250, direct(t, forward(64, 64), 256, 56, 64, 64)
    big, small = (128, 128), (64, 64)
    m, pixels = 4096, 256 * 28 * 28
    now, _ = t.loop("gemm", "Tile<128, 128, 2, 2>, Matrix<bf16, true, true>, Matrix<bf16, true, true>")
    gemm = (m, m, m, big)
    yield "gemm bf16, 4096^3", product(157, *gemm, (32, 64), 6 * m * m).all(), product(now, *gemm, small, 6 * m * m)
    conv = (pixels, 128, 1152, big)
    now, _ = t.loop("conv2d", "Tile<128, 128, 2, 2>, Pixels<bf16, true>, Matrix")
    yield "3x3, 128 channels, 28x28, batch 256: forward", product(159, *conv, (32, 64), 4 * pixels * 128).all(), product(
        now, *conv, small, 4 * pixels * 128)
    now, _ = t.loop("conv2d", "Tile<128, 128, 2, 2>, Pixels<bf16, true>, ReversedTaps")
    yield "its data gradient", product(207, *conv, (32, 64), 4 * pixels * 128).all(), product(
        now, *conv, small, 4 * pixels * 128)


def other_rows():
    """Kernels that move bytes, over n elements of bf16; before: with the instructions that they took."""
    t, n = Table(), 256 * 56 * 56 * 64

    def walk(stem, name, each, passes, old):
        """A round makes `each` elements a thread; `passes` tensors are read or written."""
        instructions, _ = t.loop(stem, name)
        least = 2 * n * passes
        return Time(n / each / 32 * old, least, least).all(), Time(n / each / 32 * instructions, least, least)

    yield "batch norm over 51 M elements, statistics", *walk("batchnorm", "statistics<bf16, 8>", 32, 1, 166)
    yield "its application with ReLU", *walk("batchnorm", "apply_forward<bf16, 8, (Activation)1, false>", 32, 2, 240)
    yield "its first pass backward", *walk("batchnorm", "reduce_gradient<bf16, 8, (Mask)1, (Activation)1>", 16, 2, 299)
    yield "its second", *walk("batchnorm", "apply_backward<bf16, 8, (Mask)1, (Activation)1>", 16, 3, 363)
    patch = "patch_kernel<bf16, 8, Patch<ForwardSide<3, 1>, 2, 4>, "
    yield "depthwise 3x3 over 51 M elements, forward or data", *walk("depthwise", patch + "false", 64, 2, 64 * 43)
    yield "the same with statistics", *walk("depthwise", patch + "true", 64, 2, 64 * 43)
    yield "its weights", *walk("depthwise_weight", "weight_kernel<bf16, 4, Patch<ForwardSide<3, 1>, 2, 4>", 32, 2, 32 * 69)


def resnet20(n=1024):
    """Milliseconds of a training step by parts, without gaps between kernels: convolutions; norms; the rest as a guess."""
    t = Table()
    conv = direct(t, forward(3, 16), n, 32, 3, 16).all() + weight(t, n, 32, 3, 16).all()
    for c, side, layers in ((16, 32, 6), (32, 16, 5), (64, 8, 5)):
        conv += layers * (
            direct(t, forward(c, c), n, side, c, c).all()
            + direct(t, data(c, c), n, side, c, c, beside=1).all()
            + weight(t, n, side, c, c).all())
    for c, side in ((16, 32), (32, 16)):  # between the stages; the data gradient as much as the forward pass
        conv += 2 * direct(t, forward(c, 2 * c, 2), n, side, c, 2 * c, 2).all() + weight(t, n, side, c, 2 * c, 2).all()
    tensors = 7 * n * 32 * 32 * 16 + 6 * n * 16 * 16 * 32 + 6 * n * 8 * 8 * 64  # elements, of all norms' inputs
    # Forward: in, out and half of the time a shortcut. Backward: two read, one written. The reductions that are left: 3 of 19.
    norm = 2 * tensors * (2.5 + 3 + 2 * 3 / 19) / MEMORY * 1e6
    return conv / 1e3, norm / 1e3, 0.2


def text():
    lines = [
        BEGIN, "",
        "| kernel | before, us | now | its instructions | cache | memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for what, before, now in [*rows(), *other_rows()]:
        lines.append(
            f"| {what} | {before:.0f} | **{now.all():.0f}** | {now.issue:.0f} | {now.cache:.0f} | {now.memory:.0f} |")
    conv, norm, rest = resnet20()
    whole = conv + norm + rest
    lines += ["", f"A training step of ResNet-20 at batch 1024, in the same way: convolutions {conv:.1f} ms, norms {norm:.1f}, the rest "
              f"{rest:.1f}, together **{whole:.1f} ms or {1024 / whole:.0f} thousand images/s**; before 5.7 ms or 180."]  # fmt: skip
    return "\n".join([*lines, "", END])


def main(about, page, begin, end, text):
    """Prints the text, writes it into a page between its marks, or says whether it stands there; for rank_estimates.py too."""
    program = pathlib.Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--write", action="store_true")
    way.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not (options.write or options.check):
        print(text())
        return 0
    old = page.read_text(encoding="utf-8")
    if begin not in old or end not in old:
        sys.exit(f"{program}: {page} has no marks {begin} and {end}")
    new = old[: old.index(begin)] + text() + old[old.index(end) + len(end) :]
    if options.check:
        if new != old:
            print(f"{page.name} has other estimates than come out today; scripts/{program} --write", file=sys.stderr)
        return int(new != old)
    page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(__doc__, ROOT / "docs/estimates.md", BEGIN, END, text))
