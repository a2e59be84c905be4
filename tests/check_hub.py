"""Whether a folder of `akin export --format hub` is what timm and PyTorch take, and gives akin's logits there.

    /usr/bin/python3 tests/check_hub.py build/ci/bin/akin [--only NAME]

For each network below: random weights are saved as .pth by torch, read by `akin import`, and exported. Then
  - the folder follows the format's rules (each with its source, see rules());
  - where timm has the network, its weights load strictly into timm itself, if that is installed, else into the same
    network written after timm's sources (timm_nets.py) or torchvision's, and give akin's logits;
  - else the README's code, run as it stands, loads them strictly and gives akin's logits; so does the code of the plain
    card, also for weights stored as f16 and int8.
Needs Debian's python3-torch and python3-pil, for torchvision's networks python3-torchvision; without the first it ends
with 77. Exit code 1 where something does not hold.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as missing:
    print(f"SKIPPED: {missing}; apt-get install python3-torch python3-pil python3-numpy, so that the cards' code can be run")
    sys.exit(77)

import check_pictures
import timm_nets

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
from check_onnx import write_noise  # noqa: E402

try:
    import torchvision
except ImportError:
    torchvision = None
try:
    import timm
except ImportError:
    timm = None

# options of akin, side of the images, their channels, timm's name, whether the plain card has torchvision's network
NETWORKS = [
    ("resnet8 --width 8 --shortcut A", 32, 3, None, False), ("resnet20 --width 8 --shortcut conv", 28, 1, None, False),
    ("resnet18 --width 8", 64, 3, None, False), ("resnet18 --stem small --width 8", 32, 3, None, False),
    ("resnet18", 64, 3, "resnet18", True), ("resnet50", 64, 1, "resnet50", False),
    ("mobilenet_v1 --width 8", 64, 3, None, False), ("mobilenet_v1", 64, 3, "mobilenetv1_100", False),
    ("mobilenet_v1 --width 40", 64, 3, "mobilenetv1_125", False), ("mobilenet_v2 --width 16", 64, 3, "mobilenetv2_050", True),
    ("mobilenet_v2 --width 24", 64, 1, "mobilenetv2_075", False), ("mobilenet_v2", 64, 3, "mobilenetv2_100", True),
    ("mobilenet_v2 --width 8", 64, 3, None, False), ("mobilenet_v3_small", 64, 3, "mobilenetv3_small_100", True),
    ("mobilenet_v3_large", 64, 3, "mobilenetv3_large_100", True), ("mobilenet_v3_small --width 8", 64, 3, None, False),
    ("googlenet", 64, 3, None, True), ("alexnet", 80, 1, None, False),
    ("squeezenet1_0", 64, 1, None, False), ("squeezenet1_1", 64, 3, None, True),
]
CLASSES = ["wren", "robin", "tit"]
# Two programs that sum in float in another order: some 1e-6 of the largest logit, more in deep networks at random.
TOLERANCE = 2e-4
failures = []


def expect(holds, what):
    if not holds:
        failures.append(what)
        print(f"  WRONG: {what}")


def random_weights(tensors, seed):
    """Weights of the size He et al. (2015) give, norms and statistics that are not those of a new network."""
    random = np.random.default_rng(seed)
    out = {}
    for name, t in tensors.items():
        if name.endswith("num_batches_tracked"):
            out[name] = torch.tensor(7)
            continue
        if t.ndim > 1:
            v = random.normal(0, np.sqrt(2 / max(1, t.size // t.shape[0])), t.shape)
        elif name.endswith("running_var"):
            v = random.uniform(0.3, 1.5, t.shape)
        elif name.endswith("weight"):
            v = random.uniform(0.5, 1.5, t.shape)
        else:
            v = random.uniform(-0.5, 0.5, t.shape)
        out[name] = torch.from_numpy(v.astype(np.float32))
    return out


def rules(folder, channels, side, timm_name):
    """What the readers of these files rely on."""
    expect(sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"],
           f"{folder.name}: files")
    config = json.loads((folder / "config.json").read_text())
    cfg = config["pretrained_cfg"]
    # timm/models/_hub.py, _parse_model_cfg: architecture, pretrained_cfg; num_classes and label_names beside them.
    expect(isinstance(config["architecture"], str) and config["num_classes"] == 3, "config.json: architecture, num_classes")
    expect(timm_name is None or config["architecture"] == timm_name, f"config.json: {config['architecture']} is {timm_name}")
    expect(config["label_names"] == CLASSES, "config.json: label_names")
    # _pretrained.py, PretrainedCfg: the fields that it knows.
    known = {"custom_load", "input_size", "fixed_input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std",
             "num_classes", "first_conv", "classifier"}
    expect(set(cfg) <= known, f"config.json: unknown fields {set(cfg) - known}")
    # _builder.py, _update_default_model_kwargs: in_chans is input_size[0], and there are three of them.
    expect(cfg["input_size"] == [channels, side, side] and cfg["num_classes"] == 3, "config.json: input_size")
    # data/transforms_factory.py: interpolation by name, crop_mode one of these, crop_pct a share; a mean a channel.
    expect(cfg["interpolation"] in ("bilinear", "bicubic") and cfg["crop_mode"] in ("center", "squash"), "config.json: crop_mode")
    expect(0 < cfg["crop_pct"] <= 1 and len(cfg["mean"]) == len(cfg["std"]) == channels, "config.json: mean, std")
    tensors, said = check_pictures.read_safetensors(folder / "model.safetensors")
    # transformers, modeling_utils.load_state_dict: metadata "format" is one of pt, tf, flax, mlx.
    expect(said.get("format") == "pt", "model.safetensors: format")
    if timm_name is not None:
        # _builder.py, load_pretrained: <first_conv>.weight and <classifier>.weight are adapted by these names.
        expect(tensors[cfg["first_conv"] + ".weight"].shape[1] == channels, "first_conv")
        expect(tensors[cfg["classifier"] + ".weight"].shape[0] == 3, "classifier")
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    # transformers, image_processing_convnext and _vit: these fields; image_processor_type finds the class.
    expect(processor.get("image_processor_type", "ConvNextImageProcessor" if channels == 1 else None) == "ConvNextImageProcessor",
           "preprocessor_config.json: image_processor_type")
    expect(processor["size"] == {"shortest_edge": side} and len(processor["image_mean"]) == channels, "preprocessor_config.json: size")
    # huggingface_hub, ModelCardData: YAML between --- lines at the very beginning of README.md.
    head = (folder / "README.md").read_text().split("---\n")
    expect(head[0] == "" and "pipeline_tag: image-classification\n" in head[1], "README.md: head")
    expect(f"library_name: {'timm' if timm_name else 'pytorch'}\n" in head[1] and "\nlicense:" not in head[1], "README.md: library")
    try:
        import yaml

        expect(yaml.safe_load(head[1])["tags"][0] == "image-classification", "README.md: tags")
    except ImportError:
        pass
    return tensors, cfg


def code_of(card, classes=frozenset(CLASSES)):
    """The card's PyTorch code, run in the folder of the card: the network, and what it prints of a picture."""
    code = check_pictures.code_blocks(card)["safetensors.torch"]
    said = []
    names = {"print": said.append}
    before = os.getcwd()
    os.chdir(card.parent)
    try:
        exec(compile(code, str(card), "exec"), names)  # noqa: S102
    finally:
        os.chdir(before)
    expect(said and said[0] in classes, f"{card}: its code says {said}")
    return names["network"]


def apart(network, x, wanted):
    with torch.no_grad():
        found = network.eval()(x).numpy()
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def check(akin, work, options, side, channels, timm_name, torchvisions):
    def run(*args):
        done = subprocess.run([akin, *map(str, args), "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"akin {' '.join(map(str, args))}: {done.stderr.decode()}")

    name = f"{options.replace(' --', '-').replace(' ', '')}x{channels}"
    data, run_folder, net = work / f"d{name}", work / f"r{name}", work / f"{name}.safetensors"
    images = write_noise(data, 6, side, side, channels)
    run("train", "--data", data, "--arch", *options.split(), "--epochs", 1, "--batch", 3, "--lr", 0.001, "--out", run_folder)
    shapes = check_pictures.read_safetensors(run_folder / "model.safetensors")[0]
    shapes = {n: np.zeros((3, *t.shape[1:])) if t.shape[:1] == (2,) else t for n, t in shapes.items()}  # a head of three classes
    torch.save({"state_dict": random_weights(shapes, 1)}, str(work / "random.pth"))
    (work / "names.txt").write_text("\n".join(CLASSES) + "\n")
    mean, std = ("0.485,0.456,0.406", "0.229,0.224,0.225") if channels == 3 else ("0.4", "0.3")
    run("import", work / "random.pth", "--arch", *options.split(), "--mean", mean, "--std", std, "--size", f"{side}x{side}",
        "--class-names", work / "names.txt", "--out", net, "--force")
    run("export", net, "--format", "hub,safetensors", "--out", work / "out", "--name", name, "--force")
    run("features", "--model", net, "--data", data, "--split", "test", "--out", work / "table.safetensors", "--force")
    wanted = check_pictures.read_safetensors(work / "table.safetensors")[0]["logits"]
    as_tensor = lambda text: torch.tensor([float(v) for v in text.split(",")])[:, None, None]
    x = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255 - as_tensor(mean)) / as_tensor(std)
    check_pictures.draw("disc", check_pictures.random.Random(1)).save(work / "out" / "picture.jpg")
    hub = work / "out" / f"{name}-hub"
    tensors, cfg = rules(hub, channels, side, timm_name)
    found = {}
    if timm_name is None:
        (hub / "picture.jpg").write_bytes((work / "out/picture.jpg").read_bytes())
        if not torchvisions or torchvision is not None:
            found["README"] = apart(code_of(hub / "README.md"), x, wanted)
    else:
        if timm is not None:
            network = timm.create_model(f"local-dir:{hub}", pretrained=True)
        else:
            network = timm_nets.make(timm_name, 3, channels)
            network.load_state_dict({n: torch.from_numpy(t) for n, t in tensors.items()}, strict=True)
        found["timm" if timm is not None else "as timm"] = apart(network, x, wanted)
    if not torchvisions or torchvision is not None:
        found["card"] = apart(code_of(work / f"out/{name}.md"), x, wanted)
    for kind in ("f16", "int8"):
        run("export", net, "--format", "safetensors", "--weights", kind, "--out", work / kind, "--name", name, "--force")
        if torchvisions and torchvision is None:
            continue
        (work / kind / "picture.jpg").write_bytes((work / "out/picture.jpg").read_bytes())
        run("features", "--model", work / kind / f"{name}.safetensors", "--data", data, "--split", "test", "--out", work / "t.safetensors", "--force")
        stored = check_pictures.read_safetensors(work / "t.safetensors")[0]["logits"]
        found[kind] = apart(code_of(work / kind / f"{name}.md"), x, stored)
        change = float(np.abs(stored - wanted).max() / np.abs(wanted).max())
        expect(change > 0, f"{name}: {kind} changes no logit")  # by how much says little of a random network
    print(f"{name:36s} " + "  ".join(f"{what} {error:.1e}" for what, error in found.items()), flush=True)
    expect(found and all(e <= TOLERANCE for e in found.values()), f"{name}: {found}")


def with_second_head(path, out, share):
    """A model file of akin's as a probe-taught student is: with a second head, which the logits are mixed with."""
    tensors, said = check_pictures.read_safetensors(path)
    model = json.loads(said["model"])
    random = np.random.default_rng(9)
    tensors["taught_head.weight"] = random.normal(0, 0.3, tensors["fc.weight"].shape).astype(np.float32)
    tensors["taught_head.bias"] = random.normal(0, 0.3, tensors["fc.bias"].shape).astype(np.float32)
    header = {"__metadata__": {"format": said["format"], "model": json.dumps({**model, "taught_share": share})}}
    data, kinds = b"", {"float32": "F32", "int64": "I64"}
    for name, t in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        header[name] = {"dtype": kinds[str(t.dtype)], "shape": t.shape, "data_offsets": [len(data), len(data) + t.nbytes]}
        data += t.tobytes()
    text = json.dumps(header).encode()
    out.write_bytes(len(text).to_bytes(8, "little") + text + data)


def check_changed(akin, work):
    """Folders of networks that are timm's until they get a second head, or lose their norms."""
    run = lambda *args: subprocess.run([akin, *map(str, args), "--quiet"], check=True, stdout=subprocess.PIPE)
    data, side = work / "changed", 64
    images = write_noise(data, 6, side, side, 3)
    run("train", "--data", data, "--arch", "resnet18", "--epochs", 1, "--batch", 3, "--lr", 0.001, "--out", work / "own")
    with_second_head(work / "own/model.safetensors", work / "two.safetensors", 0.7)
    for model, options in ((work / "two.safetensors", []), (work / "own/model.safetensors", ["--fold"]), (work / "two.safetensors", ["--fold"])):
        run("export", model, "--format", "hub", *options, "--out", work / "changed-out", "--name", "x", "--force")
        run("features", "--model", model, "--data", data, "--split", "test", "--out", work / "t.safetensors", "--force")
        info = json.loads(check_pictures.read_safetensors(model)[1]["model"])
        x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255
        x = (x - torch.tensor(info["mean"])[:, None, None]) / torch.tensor(info["std"])[:, None, None]
        hub = work / "changed-out/x-hub"
        check_pictures.draw("disc", check_pictures.random.Random(1)).save(hub / "picture.jpg")
        wanted = check_pictures.read_safetensors(work / "t.safetensors")[0]["logits"]
        error = apart(code_of(hub / "README.md", {"0", "1"}), x, wanted)
        what = f"{model.stem} {' '.join(options)}"
        print(f"{what:36s} README {error:.1e}")
        expect(error <= TOLERANCE and "library_name: pytorch" in (hub / "README.md").read_text(), what)


def main():
    akin, only = sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else ""
    check_pictures.stand_in_for_safetensors()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, torchvision {torchvision and torchvision.__version__}, timm {timm and timm.__version__}")
    if torchvision is None:
        print("NOT CHECKED: what needs torchvision (python3-torchvision)")
    networks = [n for n in NETWORKS if only in n[0]]
    with tempfile.TemporaryDirectory() as folder:
        for options, side, channels, timm_name, torchvisions in networks:
            if torchvision is None and timm_name is not None and timm_name.startswith("resnet"):
                continue
            check(akin, pathlib.Path(folder), options, side, channels, timm_name, torchvisions)
        if torchvision is not None and not only:
            check_changed(akin, pathlib.Path(folder))
    print(f"{len(networks)} networks, {len(failures)} failures")
    sys.exit(1 if failures or not networks else 0)


if __name__ == "__main__":
    main()
