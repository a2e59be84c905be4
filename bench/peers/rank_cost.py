#!/usr/bin/python3
"""What teachers and similarity cost as images and sources grow: akin rank on random images, as a result file and a figure.

    python3 bench/peers/rank_cost.py --akin build/ci/bin/akin --json cost.json --svg docs/figures/rank_cost.svg

Each point is one run of `akin rank --metric logme --replicates 0`: all sources (ResNet-8 of width 8, each of its own start)
look at all images (28x28 grey), and LogME is measured on all of them. Counted are the seconds of processor time of the whole
command on one thread, reading included, which a busy machine disturbs less than the clock. PARC is not linear by its
definition: it compares pairs of images, of which --probe takes 500 images' at most.
"""

import argparse
import os
import resource
import struct
import subprocess
import sys
import tempfile

from taking_turns import positive, row, write_results

IMAGES = (3750, 7500, 15000, 30000, 60000)
SOURCES = (1, 3, 7, 14, 28)
CLASSES, SIDE = 10, 28
WIDTH, HEIGHT, LEFT, TOP = 560, 300, 70, 64
COLOURS = ["#8a8f98", "#3b7dd8", "#d9480f", "#2f9e44", "#1b1f24"]


def write_idx(folder, split, images):
    import numpy as np

    pixels = np.random.default_rng(images).integers(0, 256, (images, SIDE, SIDE), dtype=np.uint8)
    labels = (np.arange(images) % CLASSES).astype(np.uint8)
    for name, array in ((f"{split}-images-idx3-ubyte", pixels), (f"{split}-labels-idx1-ubyte", labels)):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def run(command):
    """Processor seconds of the command, one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"rank_cost: {' '.join(command[:2])} failed: {done.stderr.strip()[-400:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(args, folder):
    """{(sources, images): [seconds of each round]}"""
    target, small = os.path.join(folder, "target"), os.path.join(folder, "small")
    for place, sizes in ((target, (max(args.images) + 100, 100)), (small, (160, 100))):
        os.mkdir(place)
        write_idx(place, "train", sizes[0])
        write_idx(place, "t10k", sizes[1])
    models = []
    for i in range(max(args.sources)):
        out = os.path.join(folder, f"source{i}")
        run([args.akin, "train", "--data", small, "--arch", "resnet8", "--width", "8", "--epochs", "1", "--batch", "32",
             "--seed", str(i), "--out", out])  # fmt: skip
        models.append(os.path.join(out, "model.safetensors"))
    seconds = {(s, n): [] for s in args.sources for n in args.images}
    for r in range(args.rounds):
        for s, n in seconds if r % 2 == 0 else list(seconds)[::-1]:
            seconds[s, n].append(run([args.akin, "rank", "--target", target, "--labels-per-class", str(n // CLASSES), "--probe",
                                      str(n), "--metric", "logme", "--replicates", "0", "--sources", *models[:s]]))  # fmt: skip
            print(f"  round {r + 1}: {s} sources, {n} images: {seconds[s, n][-1]:.2f} s", file=sys.stderr)
    return seconds


def draw(args, seconds):
    """A line a number of sources, over images; the least of the rounds."""
    most = max(min(v) for v in seconds.values())
    step = next(c for k in range(-1, 6) for c in (10**k, 2 * 10**k, 5 * 10**k) if most / c <= 6)
    top = step * (int(most / step) + 1)
    x = lambda n: LEFT + WIDTH * n / max(args.images)  # noqa: E731
    y = lambda t: TOP + HEIGHT * (1 - t / top)  # noqa: E731
    title = "akin rank on one thread: seconds by images, for several numbers of sources"
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 110}" height="{TOP + HEIGHT + 56}" '
           'font-family="system-ui, sans-serif" font-size="13">', f"<title>{title}</title>",
           '<rect width="100%" height="100%" fill="#ffffff"/>',
           f'<text x="16" y="26" font-size="16" font-weight="600" fill="#1b1f24">{title}</text>']  # fmt: skip
    for k in range(int(top / step) + 1):
        out.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(k * step):.1f}" y2="{y(k * step):.1f}" stroke="#e3e6ea"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(k * step) + 4:.1f}" text-anchor="end" fill="#5c636b">{k * step:g} s</text>')
    for n in args.images:
        out.append(f'<text x="{x(n):.1f}" y="{TOP + HEIGHT + 22}" text-anchor="middle" fill="#5c636b">{n // 1000}k</text>')
    out.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 44}" text-anchor="middle" fill="#1b1f24">images</text>')
    for s, colour in zip(args.sources, COLOURS):
        at = [(x(n), y(min(seconds[s, n]))) for n in args.images]
        out.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in at)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>' for a, b in at]
        out.append(f'<text x="{at[-1][0] + 12:.1f}" y="{at[-1][1] + 4:.1f}" fill="{colour}">{s} source{"s" if s > 1 else ""}</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--akin", required=True, metavar="PATH", help="the akin binary")
    parser.add_argument("--images", type=positive(int), nargs="+", default=IMAGES)
    parser.add_argument("--sources", type=positive(int), nargs="+", default=SOURCES)
    parser.add_argument("--rounds", type=positive(int), default=3)
    parser.add_argument("--json", metavar="FILE", help="write all numbers to this file")
    parser.add_argument("--svg", metavar="FILE", help="draw them")
    args = parser.parse_args()
    args.threads, load_before = 1, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(args, folder)
    for (s, n), rounds in seconds.items():
        print(f"{s} sources, {n} images: {min(rounds):.2f} s, {1e6 * min(rounds) / s / n:.1f} us a source and image")
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as f:
            f.write(draw(args, seconds))
    if args.json:
        rows = [row(f"rank logme {s} sources {n} images", "s", rounds, False) for (s, n), rounds in seconds.items()]
        write_results(args.json, args, "rank_cost", {}, rows, load_before)


if __name__ == "__main__":
    main()
