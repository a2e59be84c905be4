#!/usr/bin/env python3
"""Reference values of torchvision's networks in float64, for tests/test_torchvision.cpp.

    /usr/bin/python3 tests/golden/torchvision_nets.py          writes torchvision_nets.safetensors
    /usr/bin/python3 tests/golden/torchvision_nets.py --check  computes again and compares

Made with Debian bookworm's python3-torchvision 0.14.1 and python3-torch 1.13.1. Weights and images come from a hash of
name and position that the test computes too, so the file holds results only.
"""

import hashlib
import json
import os
import struct
import sys

import numpy as np
import torch
import torchvision.models as tv

# Side, batch, classes: small enough for a quick test, large enough for every layer.
CASES = {
    "resnet18": (33, 2, 7),
    "resnet50": (33, 2, 7),
    "mobilenet_v2": (33, 2, 7),
    "mobilenet_v3_small": (64, 4, 7),
    "mobilenet_v3_large": (64, 4, 7),
    "googlenet": (48, 4, 7),
    "alexnet": (64, 2, 7),
    "squeezenet1_0": (33, 2, 7),
    "squeezenet1_1": (33, 2, 7),
}

# Where float32 takes another branch of a ReLU than float64, a gradient differs by a hundredth, in PyTorch as in akin; which
# images do that depends on the processor. So each network sees three batches, and one of them must pass unharmed.
BATCHES = ("input1", "input3", "input5")


def uniform(name, count):
    """Numbers in [-1, 1): a 32-bit hash of (name, position)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    for _ in range(2):
        x ^= x >> 16
        x = (x * 0x45D9F3B) & 0xFFFFFFFF
    x ^= x >> 16
    return x.astype(np.float64) / 2.0**31 - 1


def start(model):
    """Every tensor in float32 precision, so that both sides start from the same numbers."""
    state = {}
    for name, t in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3)
            continue
        u = uniform(name, t.numel()).reshape(tuple(t.shape))
        if t.dim() >= 2:
            u *= (3.0 / (t[0].numel())) ** 0.5 * 1.4142135623730951
        elif name.endswith("running_var"):
            u = 1 + 0.5 * u
        elif name.endswith("running_mean"):
            u *= 0.2
        elif name.endswith("weight"):
            u = 1 + 0.25 * u
        else:
            u *= 0.1
        state[name] = torch.from_numpy(u.astype(np.float32).astype(np.float64))
    model.load_state_dict(state)


def digest(v):
    v = v.detach().numpy().astype(np.float64).ravel()
    i = np.arange(v.size)
    return [v.sum(), (v * v).sum(), (v * np.cos(0.7 * i + 0.3)).sum()]


def build(name, classes):
    options = {"num_classes": classes, "weights": None}
    if name == "googlenet":
        options |= {"aux_logits": False, "transform_input": False, "init_weights": False}
    model = getattr(tv, name)(**options).double()
    for m in model.modules():
        if isinstance(m, torch.nn.Dropout):
            m.p = 0.0  # akin's networks have none
    return model


def own_error(name, classes, images, target, gradients):
    """How far the gradients of PyTorch's float32 are from those of its float64: the largest over all parameters."""
    model = build(name, classes)
    start(model)
    model.float().train()
    torch.nn.functional.cross_entropy(model(images.float()), target).backward()
    largest = max(g.norm().item() for _, g in gradients)
    single = dict(model.named_parameters())
    return max((single[n].grad.double() - g).norm().item() / (g.norm().item() + 1e-3 * largest) for n, g in gradients)


def values():
    torch.set_num_threads(1)
    out = {}
    for name, (side, batch, classes) in CASES.items():
        target = torch.arange(batch) % classes
        for which in BATCHES:
            model = build(name, classes)
            start(model)
            key = f"{name}.{which}."
            x = uniform(which, batch * side * side * 3).astype(np.float32).astype(np.float64).reshape(batch, side, side, 3)
            images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
            model.eval()
            with torch.no_grad():
                out[key + "logits_eval"] = model(images).numpy()
            model.train()
            logits = model(images)
            loss = torch.nn.functional.cross_entropy(logits, target)
            loss.backward()
            out[key + "logits_train"] = logits.detach().numpy()
            out[key + "loss"] = np.array([loss.item()])
            gradients = sorted((n, p.grad) for n, p in model.named_parameters())
            out[key + "digest.grad"] = np.array([digest(g) for _, g in gradients])
            out[key + "own"] = np.array([own_error(name, classes, images, target, gradients)])
            running = sorted((n, b) for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var")))
            if running:
                out[key + "digest.train"] = np.array([digest(b) for _, b in running])
            print(key, "loss", loss.item(), "own", out[key + "own"])
        lines = "".join(f"{n} {list(t.shape)}\n" for n, t in sorted(model.state_dict().items()))
        out[name + ".state_dict"] = np.frombuffer(hashlib.sha256(lines.encode()).digest(), dtype=np.uint8)
    return out


def write(path, tensors):
    header, blobs, at = {}, [], 0
    for name in sorted(tensors):
        a = np.ascontiguousarray(tensors[name])
        header[name] = {"dtype": "U8" if a.dtype == np.uint8 else "F64", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        blobs.append(a.tobytes())
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read(path):
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        data = f.read()
    return {n: np.frombuffer(data[h["data_offsets"][0] : h["data_offsets"][1]], np.uint8 if h["dtype"] == "U8" else np.float64).reshape(h["shape"]) for n, h in header.items()}


if __name__ == "__main__":
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torchvision_nets.safetensors")
    found = values()
    if "--check" in sys.argv:
        for n, a in read(path).items():
            assert np.allclose(a, found[n], rtol=1e-9, atol=1e-12), n
        print("same")
    else:
        write(path, found)
        print(os.path.getsize(path), "bytes")
