#!/usr/bin/env python3
"""Trains akin's ResNet-8 in PyTorch from the very labels of an akin experiment: does akin train as well?

Usage: bench/peers/scratch_vs_torch.py DATA LABELS_JSON...
DATA: an IDX data set (colour, 32x32). LABELS_JSON: splits that akin wrote, labels/<target>/<budget>/seed<k>.json. The recipe is
configs/mini/scratch.toml's "h-shift": 1000 steps of 64, SGD 0.1, momentum 0.9, weight decay 5e-4 on weights, cosine, mirrored
left-right, moved by up to 4 pixels. Prints a line a split: its seed and the accuracy on the test images, in %.

Needs python3-torch. Example:
  bench/peers/scratch_vs_torch.py data/eurosat32 runs/scratch/labels/eurosat/100/seed*.json
"""
import gzip
import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

from torch_side import build_cifar

STEPS, BATCH, RATE, SHIFT = 1000, 64, 0.1, 4


def read_idx(path):
    with gzip.open(path) as file:
        data = file.read()
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def resnet8(classes):
    network = build_cifar(torch, 1, 16, 3, classes)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def augmented(images, rng):
    side = images.shape[1]
    out = np.zeros_like(images)
    for image, to in zip(images, out):
        framed = np.zeros((side + 2 * SHIFT, side + 2 * SHIFT, 3), np.uint8)
        framed[SHIFT:-SHIFT, SHIFT:-SHIFT] = image[:, ::-1] if rng.random() < 0.5 else image
        y, x = rng.integers(0, 2 * SHIFT + 1, 2)
        to[:] = framed[y:y + side, x:x + side]
    return out


def train(images, labels, classes, normal, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = resnet8(classes)
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": weights, "weight_decay": 5e-4}, {"params": others}], lr=RATE, momentum=0.9)
    order = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        while len(order) < BATCH:
            order += list(rng.permutation(len(images)))
        batch, order = np.array(order[:BATCH]), order[BATCH:]
        loss = F.cross_entropy(network(normal(augmented(images[batch], rng))), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def main():
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    data = sys.argv[1]
    images, labels = read_idx(f"{data}/train-images-idx4-ubyte.gz"), read_idx(f"{data}/train-labels-idx1-ubyte.gz")
    test, truth = read_idx(f"{data}/t10k-images-idx4-ubyte.gz"), read_idx(f"{data}/t10k-labels-idx1-ubyte.gz")
    mean, std = (f(images.reshape(-1, 3) / 255.0, axis=0) for f in (np.mean, np.std))

    def normal(x):
        return torch.from_numpy(((x / 255.0 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)

    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            split = json.load(file)
        picked = np.array(sorted(i for chosen in split["labelled"].values() for i in chosen))
        own = torch.from_numpy(labels[picked].astype(np.int64))
        network = train(images[picked], own, int(labels.max()) + 1, normal, split["seed"])
        with torch.no_grad():
            said = torch.cat([network(normal(test[i:i + 500])).argmax(1) for i in range(0, len(test), 500)])
        print(split["seed"], f"{100 * float((said.numpy() == truth).mean()):.2f}", flush=True)


if __name__ == "__main__":
    main()
