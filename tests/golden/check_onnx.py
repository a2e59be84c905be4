"""Checks exported models with two programs that akin knows nothing of: the checker of Debian's python3-onnx, and PyTorch.

    /usr/bin/python3 tests/golden/check_onnx.py build/ci/bin/akin [MODEL.safetensors ...]

Without a model it trains one of each architecture for two steps on noise. Each is exported as it is and folded. The
checker looks at both files, with its inference of shapes; PyTorch computes both in float64 for noise images, and the
logits are compared with those of `akin features`, in parts of the largest one. Names, shapes and numbers of the
initialisers must be those of the safetensors file. Exit code 1 where a difference is above 1e-4.
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F

ARCHITECTURES = [  # options of `akin train`, side of the images, their channels
    ("resnet8 --width 8", 32, 3), ("resnet8 --width 8 --shortcut conv", 28, 1), ("resnet20", 32, 3),
    ("resnet18 --width 16", 33, 3), ("resnet50 --width 8", 64, 3), ("mobilenet_v1 --width 8", 64, 3),
    ("mobilenet_v2", 64, 3), ("mobilenet_v3_small", 64, 3), ("mobilenet_v3_large", 64, 3), ("googlenet", 64, 3),
    ("alexnet", 96, 3), ("squeezenet1_0", 63, 3), ("squeezenet1_1", 64, 3),
]
TOLERANCE = 1e-4


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8}
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            begin, end = (8 + size + o for o in t["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], kinds[t["dtype"]]).reshape(t["shape"])
    return tensors, header.get("__metadata__", {})


def write_noise(folder, count, height, width, channels):
    """An IDX data set of noise with two classes."""
    folder.mkdir()
    random = np.random.default_rng(1)
    for prefix in ("train", "t10k"):
        dims = (count, height, width) + ((3,) if channels == 3 else ())
        images = random.integers(0, 256, dims, np.uint8)
        head = struct.pack(">BBBB", 0, 0, 8, len(dims)) + struct.pack(f">{len(dims)}I", *dims)
        (folder / f"{prefix}-images-idx{len(dims)}-ubyte").write_bytes(head + images.tobytes())
        labels = (np.arange(count) % 2).astype(np.uint8)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, count) + labels.tobytes())
    return images.reshape(count, height, width, channels)


def padded(x, pads, value):
    return F.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=value)


def evaluate(model, image, dtype):
    as_torch = lambda t: torch.from_numpy(onnx.numpy_helper.to_array(t).copy())
    values = {t.name: as_torch(t) for t in model.graph.initializer}
    values = {n: t.to(dtype) if t.is_floating_point() else t for n, t in values.items()}
    values["image"] = image.to(dtype)
    for node in model.graph.node:
        a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
        i = [values[name] for name in node.input]
        pads = a.get("pads", [0, 0, 0, 0])
        if node.op_type == "Conv":
            y = F.conv2d(padded(i[0], pads, 0), i[1], i[2] if len(i) > 2 else None, a["strides"], groups=a["group"])
        elif node.op_type == "Gemm":
            y = F.linear(i[0], i[1], i[2] if len(i) > 2 else None)
        elif node.op_type == "BatchNormalization":
            y = F.batch_norm(i[0], i[3], i[4], i[1], i[2], eps=a["epsilon"])
        elif node.op_type == "MaxPool":
            y = F.max_pool2d(padded(i[0], pads, -torch.inf), a["kernel_shape"], a["strides"])
        elif node.op_type == "AveragePool":
            y = F.avg_pool2d(padded(i[0], pads, 0), a["kernel_shape"], a["strides"])
        elif node.op_type == "Slice":
            starts, ends, axes, steps = (v.tolist() for v in i[1:])
            y = i[0]
            for axis, s, e, step in zip(axes, starts, ends, steps):
                y = y[tuple([slice(None)] * axis + [slice(s, e, step)])]
        elif node.op_type == "Pad":
            p = i[1].tolist()
            y = F.pad(i[0], [p[k + 4 * end] for k in (3, 2, 1, 0) for end in (0, 1)])
        elif node.op_type == "Reshape":
            y = i[0].reshape([i[0].shape[k] if d == 0 else d for k, d in enumerate(i[1].tolist())])
        else:
            y = {
                "Sub": lambda: i[0] - i[1],
                "Div": lambda: i[0] / i[1],
                "Add": lambda: i[0] + i[1],
                "Mul": lambda: i[0] * i[1],
                "MatMul": lambda: i[0] @ i[1],
                "Relu": lambda: F.relu(i[0]),
                "Clip": lambda: i[0].clamp(i[1].item(), i[2].item()),
                "HardSigmoid": lambda: (a["alpha"] * i[0] + a["beta"]).clamp(0, 1),
                "GlobalAveragePool": lambda: i[0].mean((2, 3), keepdim=True),
                "Flatten": lambda: i[0].flatten(1),
                "Concat": lambda: torch.cat(i, a["axis"]),
                "Identity": lambda: i[0],
            }[node.op_type]()
        values[node.output[0]] = y
    return values["logits"]


def check(akin, model, work):
    run = lambda *args: subprocess.run([akin, *map(str, args), "--quiet"], check=True, stdout=subprocess.PIPE)
    info = json.loads(run("export", model, "--out", work / "plain", "--name", "m", "--force", "--json").stdout)
    channels, height, width = info["input"]
    data = work / f"noise{channels}x{height}x{width}x{model.stem}"
    images = write_noise(data, 4, height, width, channels)
    run("features", "--model", model, "--data", data, "--split", "test", "--out", work / "table.safetensors")
    wanted = read_safetensors(work / "table.safetensors")[0]["logits"]
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    errors = []
    for fold in (False, True):
        if fold:
            run("export", model, "--out", work / "folded", "--name", "m", "--force", "--fold", "--format", "onnx")
        graph = onnx.load(str(work / ("folded" if fold else "plain") / "m.onnx"))
        onnx.checker.check_model(graph, full_check=True)
        if not fold:
            tensors = {n: t for n, t in read_safetensors(work / "plain/m.safetensors")[0].items() if t.shape}
            stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
            for name, t in tensors.items():
                assert stored[name].size == t.size and (stored[name].ravel() == t.ravel()).all(), name
        with torch.no_grad():
            found = evaluate(graph, x, torch.float64).numpy()
        assert found.shape == wanted.shape
        errors.append(float(np.abs(found - wanted).max() / np.abs(wanted).max()))
    print(f"{model.stem:40s} {len(graph.graph.node):4d} nodes  as it is {errors[0]:.1e}  folded {errors[1]:.1e}")
    return max(errors) <= TOLERANCE


def main():
    akin, models = sys.argv[1], [pathlib.Path(m) for m in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        if not models:
            for options, side, channels in ARCHITECTURES:
                name = options.replace(" --", "-").replace(" ", "")
                data = work / f"train{side}x{channels}{name}"
                write_noise(data, 8, side, side, channels)
                subprocess.run([akin, "train", "--data", data, "--arch", *options.split(), "--epochs", "1", "--batch", "4",
                                "--lr", "0.001", "--out", work / name, "--quiet"], check=True, stdout=subprocess.DEVNULL)
                models.append((work / name / "model.safetensors").rename(work / f"{name}.safetensors"))
        good = [check(akin, m, work) for m in models]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
