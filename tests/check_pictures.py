"""Whether akin, the model card's own Python and the ONNX file give real pictures of mixed sizes the same class.

    /usr/bin/python3 tests/check_pictures.py build/ci/bin/akin [MODEL.safetensors FOLDER]

Draws pictures (shapes on shaded grounds, JPEG, PNG and BMP, 40 to 500 pixels a side, some turned by EXIF), trains a small
network on some and shows it the others: by `akin predict`, `akin eval`, `akin features`, and by the lines of the card that
`akin export` writes, run as they stand. Each must agree with `akin predict` on 99 % of the pictures. With MODEL, a ResNet
of 6n + 2 layers with conv shortcuts, and a data set's FOLDER it measures those instead. Uses Debian's python3-torch and
python3-pil, for the ONNX file also python3-onnxruntime or python3-onnx; without the first two it ends with 77.
"""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import textwrap
import types

try:
    import numpy as np
    import torch
    from PIL import Image, ImageDraw, ImageFilter
except ImportError as missing:
    print(f"SKIPPED: {missing}; apt-get install python3-torch python3-pil python3-numpy, so that the card's code can be run")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
from golden_nets import BasicBlock, ResNet  # noqa: E402

LEAST = 0.99
CLASSES = ("disc", "ring", "stripes", "cross")


def draw(kind, rng):
    """A picture of 40 to 500 pixels a side with one shape on a shaded ground, and a few soft spots."""
    w, h = rng.randint(40, 500), rng.randint(40, 500)
    if not 0.4 < w / h < 2.5:
        w = h = min(w, h)
    ground = np.array([rng.uniform(30, 225) for _ in range(3)])
    ink = (ground + 128 + np.array([rng.uniform(-30, 30) for _ in range(3)])) % 256
    ramp = np.linspace(-25, 25, w)[None, :, None] * rng.uniform(-1, 1) + np.linspace(-25, 25, h)[:, None, None] * rng.uniform(-1, 1)
    picture = Image.fromarray(np.clip(ground + ramp, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    side = min(w, h)
    for _ in range(5):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), side * rng.uniform(0.03, 0.08)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(c) for c in (0.8 * ground + 0.2 * ink)))
    picture = picture.filter(ImageFilter.GaussianBlur(side / 80))
    pen = ImageDraw.Draw(picture)
    r = side * rng.uniform(0.22, 0.38)
    x, y = w / 2 + side * rng.uniform(-0.08, 0.08), h / 2 + side * rng.uniform(-0.08, 0.08)
    ink, line = tuple(int(c) for c in ink), max(2, int(r * 0.3))
    if kind == "disc":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    elif kind == "ring":
        pen.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=line)
    elif kind == "stripes":
        for k in (-1, 0, 1):
            pen.line((x - r, y + 0.8 * k * r, x + r, y + 0.8 * k * r), fill=ink, width=line)
    else:
        pen.line((x - r, y - r, x + r, y + r), fill=ink, width=line)
        pen.line((x - r, y + r, x + r, y - r), fill=ink, width=line)
    return picture


def write_pictures(folder, per_class, seed):
    rng = random.Random(seed)
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for i in range(per_class):
            picture = draw(kind, rng)
            if i % 10 == 9:
                picture = picture.convert("L")
            if i % 7 == 6:
                picture.save(folder / kind / f"{kind}{i}.png")
            elif i % 11 == 10:
                picture.save(folder / kind / f"{kind}{i}.bmp")
            else:
                exif = Image.Exif()
                if i % 5 == 4:
                    exif[0x0112] = rng.randint(1, 8)
                picture.save(folder / kind / f"{kind}{i}.jpg", quality=rng.randint(75, 95), exif=exif)


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": np.float32, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "F16": np.float16}
    said = header.pop("__metadata__", {})
    tensors = {}
    for name, t in header.items():
        begin, end = (8 + size + o for o in t["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], kinds[t["dtype"]]).reshape(t["shape"]).copy()
    return tensors, said


def stand_in_for_safetensors():
    """The three calls of the card; Debian 12 has no python3-safetensors."""
    package, torch_part = types.ModuleType("safetensors"), types.ModuleType("safetensors.torch")
    torch_part.load_file = lambda path: {n: torch.from_numpy(t) for n, t in read_safetensors(path)[0].items()}

    class Opened:
        def __init__(self, path, framework):
            self.said = read_safetensors(path)[1]

        __enter__, __exit__ = lambda self: self, lambda self, *rest: None

        def metadata(self):
            return self.said

    package.torch, package.safe_open = torch_part, Opened
    sys.modules.update({"safetensors": package, "safetensors.torch": torch_part})


def stand_in_for_onnxruntime():
    """False where nothing reads ONNX. Without onnxruntime itself PyTorch computes the graph, node by node."""
    try:
        import onnxruntime  # noqa: F401

        return True
    except ImportError:
        pass
    try:
        import onnx
        from check_onnx import evaluate
    except ImportError:
        return False

    class Session:
        def __init__(self, path):
            self.model = onnx.load(path)

        def run(self, names, inputs):
            with torch.no_grad():
                return [evaluate(self.model, torch.from_numpy(np.array(inputs["image"])), torch.float32).numpy()]

        def get_modelmeta(self):
            return types.SimpleNamespace(custom_metadata_map={p.key: p.value for p in self.model.metadata_props})

    sys.modules["onnxruntime"] = types.SimpleNamespace(InferenceSession=Session)
    return True


def code_blocks(card):
    """Indented blocks of Python, by what they import."""
    blocks, lines = {}, []
    for line in card.read_text().splitlines() + [""]:
        if line.startswith("    ") or (lines and not line):
            lines.append(line)
            continue
        text = textwrap.dedent("\n".join(lines))
        for what in ("onnxruntime", "safetensors.torch"):
            if "import json" in text and what in text:
                blocks[what] = text
        lines = []
    return blocks


def answers_of(code, files, folder, network):
    """The classes that the card's lines print, run once for each picture."""
    said = []
    for file in files:
        lines = code.replace("picture.jpg", str(file)).replace('("m.', f'("{folder}/m.')
        exec(lines, {"network": network, "print": said.append})  # noqa: S102
    return said


def main():
    akin = sys.argv[1]

    def run(*args):
        done = subprocess.run([akin, *map(str, args), "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"akin {' '.join(map(str, args))}: {done.stderr.decode()}")
        return done.stdout

    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        if len(sys.argv) > 3:
            model, data = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
        else:
            data = work / "data"
            write_pictures(data / "train", 60, 1)
            write_pictures(data / "test", 60, 2)
            run("train", "--data", data, "--size", "32x32", "--channels", "3", "--arch", "resnet8", "--width", 8, "--shortcut", "conv",
                "--epochs", 15, "--batch", 24, "--lr", 0.05, "--out", work / "run")
            model = work / "run/model.safetensors"
        predicted = [json.loads(line) for line in run("predict", model, data / "test", "--jsonl").splitlines()]
        files = [p["file"] for p in predicted]
        wanted = [p["class"] for p in predicted]
        wrong = sum(pathlib.Path(f).relative_to(data / "test").parts[0] != c for f, c in zip(files, wanted))
        print(f"{len(files)} pictures, {len({Image.open(f).size for f in files})} sizes; akin predict: {wrong} wrong")

        run("export", model, "--out", work / "export", "--name", "m")
        info = json.loads(read_safetensors(model)[1]["model"])
        table = work / "table.safetensors"
        run("features", "--model", model, "--data", data, "--split", "test", "--out", table)
        tensors = read_safetensors(table)[0]
        names = tensors["names"].tobytes().decode().rstrip("\0").split("\0")
        of_table = {str(data / n): info["class_names"][k] for n, k in zip(names, tensors["logits"].argmax(1))}
        others = {"akin features": [of_table.get(f) for f in files]}

        stand_in_for_safetensors()
        blocks = code_blocks(work / "export/m.md")
        network = ResNet("cifar", BasicBlock, [(int(info["architecture"].removeprefix("resnet")) - 2) // 6] * 3, info["width"],
                         info["classes"])
        others["card, PyTorch"] = answers_of(blocks["safetensors.torch"], files, work / "export", network)
        if stand_in_for_onnxruntime():
            others["card, ONNX"] = answers_of(blocks["onnxruntime"], files, work / "export", None)
        else:
            print("NOT CHECKED: the ONNX file, for neither python3-onnxruntime nor python3-onnx is there")

        evaluated = json.loads(run("eval", "--model", model, "--data", data, "--json"))["wrong"]
        print(f"akin eval: {evaluated} wrong")
        good = evaluated == wrong
        for name, classes in others.items():
            share = sum(a == b for a, b in zip(classes, wanted)) / len(wanted)
            print(f"{name}: {100 * share:.1f} % the same class as akin predict")
            good = good and len(classes) == len(wanted) and share >= LEAST
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
