#!/usr/bin/env python3
"""What several cards or machines would gain, on paper: bytes and messages of a step as they are counted, steps of an H200 as
scripts/estimates.py has them, and the links' speeds as their makers give them. Nothing here is measured on a card.

    scripts/rank_estimates.py             prints the tables
    scripts/rank_estimates.py --write     writes them into docs/ranks.md between their marks
    scripts/rank_estimates.py --check     1 where docs/ranks.md has others"""

import pathlib
import sys

import estimates

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/ranks.md"
BEGIN, END = "<!-- rank estimates: begin -->", "<!-- rank estimates: end -->"
# Parameters and running statistics; and norms, by whose channels --sync-batchnorm exchanges. tests/test_ranks counts them too.
NUMBERS = {
    "resnet20": (271098, 19),
    "resnet50": (25610152, 53),
    "mobilenet_v1:8": (475544, 27),
}
NAMES = {"resnet20": "ResNet-20", "resnet50": "ResNet-50", "mobilenet_v1:8": "MobileNetV1 0.25"}
BATCH = {"resnet20": 1024, "resnet50": 256, "mobilenet_v1:8": 256}
# name, ranks, bytes a second that a rank sends while it receives as many, seconds until a message is there. A link gives 0.8 of
# what its maker writes. Between machines without RDMA everything passes through host memory at 50 GB/s, there and back.
LINKS = [
    ("8 cards, NVLink (450 GB/s each way)", 8, 0.8 * 450e9, 15e-6, None),
    ("4 machines, 200 Gbit/s", 4, 0.8 * 200e9 / 8, 10e-6, None),
    ("4 machines, 25 Gbit/s", 4, 0.8 * 25e9 / 8, 50e-6, 50e9),
]


def times():
    """Nanoseconds an element of some kernels, from the rows of estimates.py."""
    elements = 256 * 56 * 56 * 64
    rows = {what: time.all() / elements * 1e3 for what, _, time in estimates.other_rows()}
    norm = sum(rows[k] for k in ("its application with ReLU", "its first pass backward", "its second"))
    depthwise = rows["the same with statistics"] + rows["depthwise 3x3 over 51 M elements, forward or data"] + rows["its weights"]
    return norm, depthwise


def resnet50(batch):
    """Milliseconds: 4.09 G products an image (He et al. 2016) forward and twice that backward, as fast as the 3x3 of 128 channels;
    norms over 11.1 M results of convolutions an image."""
    flops, microseconds = next((2 * 256 * 28 * 28 * 128 * 1152, time.all()) for what, _, time in estimates.rows()
                               if what.startswith("3x3, 128 channels"))
    return 3 * 2 * 4.09e9 * batch / flops * microseconds / 1e3 + times()[0] * 11.1e6 * batch / 1e6


def mobilenet(batch, width=0.25):
    """Milliseconds: depthwise convolutions and norms as they are in the table, 1x1 convolutions as what they read and write."""
    norm, depthwise = times()
    side, channels = 112, int(32 * width)
    of_norms, of_depthwise, moved = side * side * channels, 0, 0
    for out, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        side //= stride
        inside, wide = side * side * channels, side * side * int(out * width)
        of_depthwise += inside
        of_norms += inside + wide
        moved += 3 * 2 * (inside + wide)  # bytes: three passes over both, in bf16
        channels = int(out * width)
    return (norm * of_norms + depthwise * of_depthwise) * batch / 1e6 + moved * batch / estimates.MEMORY * 1e3


def step_ms(net):
    if net == "resnet20":
        return sum(estimates.resnet20(BATCH[net]))
    return resnet50(BATCH[net]) if net == "resnet50" else mobilenet(BATCH[net])


def exchange_ms(numbers, ranks, speed, latency, staged):
    """The gradients' two exchanges, each of the same bytes, and the adding up of a rank's part: `ranks` arrays read, as many
    results read and written but one."""
    sent = 4 * numbers * (ranks - 1) / ranks
    seconds = 2 * (sent / speed + latency) + 4 * numbers / ranks * 3 * (ranks - 1) / estimates.MEMORY
    if staged:
        seconds += 4 * sent / staged
    return seconds * 1e3


def text():
    lines = [BEGIN, "", "A step, of one slice a rank:", "",
             "| network | numbers | 2 ranks: bytes that each sends | 4 | 8 | messages that each sends, 8 ranks | more with `--sync-batchnorm` |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for net, (numbers, norms) in NUMBERS.items():
        sent = [f"{2 * 4 * numbers * (n - 1) / n / 1e6:.1f} MB" for n in (2, 4, 8)]
        lines.append(f"| {NAMES[net]} | {numbers:,} | {' | '.join(sent)} | {2 * 7} | {2 * norms * 7} |")
    lines += ["", "Efficiency: of N times the images a second of one rank, each with the batch that is given. *Hidden*: were the "
              "exchange to go on during the backward pass, in buckets, all of it that fits into two thirds of the step. *Half*: the "
              "images a rank and step with which a step is exchange by half: with fewer it stops to pay.", "",
              "| network, images a rank, step | ranks | exchange | efficiency | hidden | half |",
              "|---|---|---:|---:|---:|---:|"]
    for net, (numbers, _) in NUMBERS.items():
        step = step_ms(net)
        for name, ranks, speed, latency, staged in LINKS:
            exchange = exchange_ms(numbers, ranks, speed, latency, staged)
            left = max(exchange - 2 / 3 * step, 2 * latency * 1e3)
            lines.append(f"| {NAMES[net]}, {BATCH[net]}, {step:.1f} ms | {name} | {exchange:.2f} ms | **{step / (step + exchange):.0%}** | "
                         f"{step / (step + left):.0%} | {exchange / step * BATCH[net]:.0f} |")
    return "\n".join([*lines, "", END])


if __name__ == "__main__":
    sys.exit(estimates.main(__doc__, PAGE, BEGIN, END, text))
