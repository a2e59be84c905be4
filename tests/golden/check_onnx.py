"""Checks exported models with programs that akin knows nothing of: the checker of Debian's python3-onnx, PyTorch, and
onnxruntime where it is there.

    /usr/bin/python3 tests/golden/check_onnx.py build/ci/bin/akin [--quick] [MODEL.safetensors ...]

Without a model it trains one of each architecture (with --quick: of three) for two steps on noise. Each is exported as
it is, folded, and with weights as f16 and int8. The checker looks at all files, with its inference of shapes; PyTorch
computes them in float64 for noise images, and so does onnxruntime in float32, of Python or of node (npm's onnxruntime-node,
NODE_PATH says where), or else the reference evaluator of onnx 1.13 and newer. The logits are compared with those of `akin
features` for the model or, of f16 and int8, for the safetensors file of the same export, in parts of the largest one.
Names, shapes and numbers of the plain file's initialisers must be those of the safetensors file. Exit code 1 where a
difference is above 1e-4; 77, which ctest takes for skipped, without python3-onnx or python3-torch.
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnx.numpy_helper
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    if __name__ != "__main__":
        raise
    print(f"SKIPPED: {missing}; apt-get install python3-onnx python3-torch python3-numpy")
    sys.exit(77)

ARCHITECTURES = [  # options of `akin train`, side of the images, their channels
    ("resnet8 --width 8", 32, 3), ("resnet8 --width 8 --shortcut conv", 28, 1), ("resnet20", 32, 3),
    ("resnet18 --width 16", 33, 3), ("resnet50 --width 8", 64, 3), ("mobilenet_v1 --width 8", 64, 3),
    ("mobilenet_v2", 64, 3), ("mobilenet_v3_small", 64, 3), ("mobilenet_v3_large", 64, 3), ("googlenet", 64, 3),
    ("alexnet", 96, 3), ("squeezenet1_0", 63, 3), ("squeezenet1_1", 64, 3),
]
QUICK = ["resnet8 --width 8", "mobilenet_v3_small", "squeezenet1_1"]
TOLERANCE = 1e-4
EXPORTS = [[], ["--fold"], ["--weights", "f16"], ["--weights", "int8"], ["--fold", "--weights", "int8"]]


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "F16": np.float16}
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


def dequantized(w, scale, zero, axis):
    assert axis == 0
    rows = [-1] + [1] * (w.dim() - 1)
    return (w - zero.reshape(rows)) * scale.reshape(rows)


def other_reader():
    """A name, and a function (model file, images float32) -> logits; None where nobody else reads ONNX here."""
    try:
        import onnxruntime

        run = lambda file, x: onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(["logits"], {"image": x})[0]
        return f"onnxruntime {onnxruntime.__version__}", run
    except ImportError:
        pass
    package = pathlib.Path(os.environ.get("NODE_PATH", "")) / "onnxruntime-node/package.json"
    if shutil.which("node") and package.is_file():

        def by_node(file, x):
            with tempfile.TemporaryDirectory() as folder:
                given, made = pathlib.Path(folder) / "in", pathlib.Path(folder) / "out"
                given.write_bytes(x.astype("<f4").tobytes())
                script = pathlib.Path(__file__).parent / "run_onnx.mjs"
                subprocess.run(["node", script, file, given, made, *map(str, x.shape)], check=True)
                return np.frombuffer(made.read_bytes(), "<f4").reshape(len(x), -1)

        return f"onnxruntime-node {json.loads(package.read_text())['version']}", by_node
    try:
        import onnx.reference

        return f"onnx.reference {onnx.__version__}", lambda file, x: onnx.reference.ReferenceEvaluator(str(file)).run(None, {"image": x})[0]
    except ImportError:
        return None, None


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
                "Cast": lambda: i[0].to(dtype),
                "DequantizeLinear": lambda: dequantized(i[0].to(dtype), i[1], i[2].to(dtype), a["axis"]),
                "LogSoftmax": lambda: F.log_softmax(i[0], a["axis"]),
                "Max": lambda: torch.maximum(i[0], i[1]),
                "Exp": lambda: i[0].exp(),
                "Log": lambda: i[0].log(),
            }[node.op_type]()
        values[node.output[0]] = y
    return values["logits"]


def check(akin, model, work, other):
    run = lambda *args: subprocess.run([akin, *map(str, args), "--quiet"], check=True, stdout=subprocess.PIPE)
    data, worst = None, 0.0
    for options in EXPORTS:
        stored = "--weights" in options
        both = [] if "--fold" in options and not stored else ["--format", "safetensors,onnx"]
        name = "-".join(o.strip("-") for o in options if o != "--weights") or "plain"
        out = work / name
        try:
            info = json.loads(run("export", model, *(both or ["--format", "onnx"]), *options, "--out", out, "--name", "m", "--force",
                                  "--json").stdout)
        except subprocess.CalledProcessError:
            if name != "fold-int8":  # some layers have no place in a list of layers
                raise
            continue
        if data is None:
            channels, height, width = info["input"]
            data = work / f"noise{channels}x{height}x{width}x{model.stem}"
            images = write_noise(data, 4, height, width, channels)
            x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        reference = out / "m.safetensors" if stored else model
        run("features", "--model", reference, "--data", data, "--split", "test", "--out", work / "table.safetensors", "--force")
        wanted = read_safetensors(work / "table.safetensors")[0]["logits"]
        graph = onnx.load(str(out / "m.onnx"))
        onnx.checker.check_model(graph, full_check=True)
        if not options:
            tensors = {n: t for n, t in read_safetensors(out / "m.safetensors")[0].items() if t.shape}
            initial = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
            for tensor, t in tensors.items():
                assert initial[tensor].size == t.size and (initial[tensor].ravel() == t.ravel()).all(), tensor
            full = wanted
        with torch.no_grad():
            found = [evaluate(graph, x, torch.float64).numpy()]
        if other is not None:
            found.append(other(out / "m.onnx", x.numpy().astype(np.float32)))
        assert all(f.shape == wanted.shape for f in found)
        errors = [float(np.abs(f - wanted).max() / np.abs(wanted).max()) for f in found]
        kept = float(np.abs(wanted - full).max() / np.abs(full).max())
        size = (out / "m.onnx").stat().st_size
        print(f"{model.stem:32s} {name:10s} {len(graph.graph.node):4d} nodes {size / 1e6:8.3f} MB  "
              + "  ".join(f"{e:.1e}" for e in errors) + (f"  from f32 {kept:.1e}" if stored else ""), flush=True)
        worst = max(worst, *errors)
    return worst <= TOLERANCE


def main():
    akin, quick = sys.argv[1], "--quick" in sys.argv
    models = [pathlib.Path(m) for m in sys.argv[2:] if m != "--quick"]
    reader, other = other_reader()
    print(f"columns: PyTorch {torch.__version__} in float64" + (f", {reader}" if reader else "; no other reader of ONNX is here"))
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        if not models:
            for options, side, channels in (a for a in ARCHITECTURES if not quick or a[0] in QUICK):
                name = options.replace(" --", "-").replace(" ", "")
                data = work / f"train{side}x{channels}{name}"
                write_noise(data, 8, side, side, channels)
                subprocess.run([akin, "train", "--data", data, "--arch", *options.split(), "--epochs", "1", "--batch", "4",
                                "--lr", "0.001", "--out", work / name, "--quiet"], check=True, stdout=subprocess.DEVNULL)
                models.append((work / name / "model.safetensors").rename(work / f"{name}.safetensors"))
        good = [check(akin, m, work, other) for m in models]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
