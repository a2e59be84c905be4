#!/usr/bin/env python3
"""Weights from torchvision to akin and back, by hand:

    /usr/bin/python3 tests/golden/check_torchvision.py build/ci/bin/akin

For each network: a state_dict with random statistics is saved, `akin import` makes a model file of it, `akin eval` compares
logits for u8 images, and PyTorch loads the model file with strict=True and must find every tensor bit for bit.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from torchvision_nets import CASES, build, start  # noqa: E402
import struct  # noqa: E402

TYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "U8": np.uint8}
NAMES = {np.dtype(v): k for k, v in TYPES.items()}


def write(path, tensors):
    header, blobs, at = {}, [], 0
    for name, a in tensors.items():
        a = np.ascontiguousarray(a) if a.ndim else a
        header[name] = {"dtype": NAMES[a.dtype], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        blobs.append(a.tobytes())
        at += a.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    return {n: np.frombuffer(data[h["data_offsets"][0] : h["data_offsets"][1]], TYPES[h["dtype"]]).reshape(h["shape"]) for n, h in header.items()}


akin = sys.argv[1]
with tempfile.TemporaryDirectory() as folder:
    for name, (side, batch, classes) in CASES.items():
        model = build(name, classes)
        start(model)
        model = model.float().eval()
        state = {k: v.numpy() for k, v in model.state_dict().items()}
        images = np.random.default_rng(7).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        x = torch.from_numpy(((images / 255.0 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2).contiguous()
        with torch.no_grad():
            logits = model(x).numpy()
        theirs, ours, reference = (os.path.join(folder, f) for f in ("theirs.safetensors", "ours.safetensors", "reference.safetensors"))
        write(theirs, state)
        write(reference, {"images": images, "logits": logits})
        command = [akin, "import", theirs, "--arch", name, "--mean", ".485,.456,.406", "--std", ".229,.224,.225", "--out", ours, "--force"]
        subprocess.run(command, check=True, capture_output=True)
        command = [akin, "eval", "--model", ours, "--reference", reference, "--reference-images", "images", "--reference-logits", "logits", "--tolerance", str(1e-4 * max(1, np.abs(logits).max())), "--json"]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        back = read(ours)
        assert all(np.array_equal(back[k], v) for k, v in state.items()) and len(back) == len(state)
        build(name, classes).load_state_dict({k: torch.from_numpy(v.copy()) for k, v in back.items()}, strict=True)
        print(f"{name}: {len(state)} tensors both ways, logits differ by {json.loads(run.stdout)['largest_difference']:.1e} of {np.abs(logits).max():.2g}")
