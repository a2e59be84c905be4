#!/usr/bin/env python3
"""Writes small labelled image sets as IDX files below a folder, the same on every machine: blobs whose places a class
decides, shifted, scaled and noisy. Called by golden_runs.sh."""

import os
import struct
import sys


class Numbers:
    """Knuth's 64-bit congruential generator: whole numbers that no library changes."""

    def __init__(self, seed):
        self.state = seed * 2654435761 + 1

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def light_of(side, channels, blobs, dy, dx):
    """How much of the blobs, moved by dy and dx, shines on each pixel and channel."""
    lights = []
    for y in range(side):
        for x in range(side):
            far = [(12 * (y - dy) // side - by) ** 2 + (12 * (x - dx) // side - bx) ** 2 for by, bx, _ in blobs]
            for c in range(channels):
                lights.append(sum(50 - 7 * f for f, (_, _, colour) in zip(far, blobs) if f < 7 and colour != c))
    return lights


def write(folder, split, count, classes, side, channels, numbers, blobs):
    labels, lights, images = [i % classes for i in range(count)], {}, bytearray()
    for label in labels:
        where, loud = (label, numbers.below(3) - 1, numbers.below(3) - 1), 2 + numbers.below(3)
        if where not in lights:
            lights[where] = light_of(side, channels, blobs[label], *where[1:])
        images += bytes(min(255, numbers.below(50) + loud * light) for light in lights[where])
    shape = [count, side, side] + ([channels] if channels > 1 else [])
    with open(os.path.join(folder, f"{split}-images-idx{len(shape)}-ubyte"), "wb") as f:
        f.write(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + images)
    if split != "unlabeled":
        with open(os.path.join(folder, f"{split}-labels-idx1-ubyte"), "wb") as f:
            f.write(struct.pack(">HBBI", 0, 8, 1, count) + bytes(labels))


# Folder, seed, classes, side, channels, and images to train, to test and unlabelled.
SETS = [("target", 1, 4, 12, 1, 120, 60, 0), ("other", 2, 4, 12, 1, 120, 60, 0), ("letters", 3, 5, 12, 1, 120, 60, 0),
        ("symbols", 4, 3, 12, 1, 120, 60, 0), ("colour", 5, 3, 16, 3, 60, 60, 60), ("tiny", 6, 2, 8, 1, 24, 8, 0),
        ("mnist", 7, 10, 28, 1, 1100, 100, 0), ("fashion", 8, 10, 28, 1, 700, 50, 0)]

for name, seed, classes, side, channels, *counts in SETS:
    place = os.path.join(sys.argv[1], name)
    os.makedirs(place)
    draw = Numbers(seed)
    shapes = [[(draw.below(12), draw.below(12), draw.below(6)) for _ in range(4)] for _ in range(classes)]
    for part, n in zip(("train", "t10k", "unlabeled"), counts):
        if n:
            write(place, part, n, classes, side, channels, draw, shapes)
