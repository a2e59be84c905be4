#!/usr/bin/python3
"""Makes the golden files beside this script with PyTorch in float64; README.md says what each holds.

    /usr/bin/python3 tests/golden/make_golden.py            write the files
    /usr/bin/python3 tests/golden/make_golden.py --check    compare the committed files with a fresh computation

Needs python3-torch and python3-numpy (made with Debian bookworm's: torch 1.13.1, numpy 1.24.2).
"""

import json
import math
import pathlib
import struct
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F

from golden_nets import BasicBlock, Bottleneck, ResNet

HERE = pathlib.Path(__file__).resolve().parent
EARLY = ("grad.conv1", "grad.bn1", "grad.layer1.0", "grad.layer2.0", "grad.fc")
KINK_MARGIN = 1e-5  # no ReLU input and no pair of max-pool candidates may be closer than this to a change of branch


# ------------------------------------------------------------------------------------------------------- safetensors
def write_safetensors(path, tensors, metadata):
    names = {np.dtype(np.float64): "F64", np.dtype(np.float32): "F32", np.dtype(np.float16): "F16", np.dtype(np.int64): "I64"}
    header, body = {"__metadata__": metadata}, b""
    # Largest items first keeps every tensor aligned to its item size.
    for name, value in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        data = value.astype(value.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": names[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def read_safetensors(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__", None)
    dtypes = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}
    body = raw[8 + size :]
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], dtypes[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }


def exact(tensor):
    """Rounds to float16, the type in which weights and images are stored: the file then holds them exactly."""
    return tensor.half().double()


def randomise(model, generator, residual_scale):
    """Random values everywhere, also where a fresh net has zeros and ones.

    residual_scale is the mean scale of the last norm of a block: a deep net with a handful of pixels in its last norms is
    chaotic at 1 (float32 rounding grows to several percent in three steps), and well conditioned at 0.25.
    """

    def normal(tensor, scale, mean=0.0):
        return exact(mean + scale * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))

    last = "bn3.weight" if any(name.endswith("bn3.weight") for name in model.state_dict()) else "bn2.weight"

    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(3)
            elif name.endswith("running_var"):
                tensor.copy_(exact(0.5 + torch.rand(tensor.shape, generator=generator, dtype=torch.float64)))
            elif tensor.dim() >= 2:
                fan_in = tensor[0].numel()
                tensor.copy_(normal(tensor, math.sqrt((2.0 if tensor.dim() == 4 else 1.0) / fan_in)))
            elif name.endswith("weight"):
                mean = residual_scale if name.startswith("layer") and name.endswith(last) else 1.0
                tensor.copy_(normal(tensor, 0.2 * mean, mean))
            else:
                tensor.copy_(normal(tensor, 0.2))


def digest(tensors):
    """[P,3]: sum, sum of squares and sum of v[i]*cos(0.7 i + 0.3) of every tensor, names in byte order, values in file order."""
    rows = []
    for name in sorted(tensors):
        v = tensors[name].detach().numpy().ravel()
        rows.append([v.sum(), (v * v).sum(), (v * np.cos(0.7 * np.arange(v.size) + 0.3)).sum()])
    return np.array(rows)


def parameters_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def net_case(make, seed, batch, hw, classes, full, lr=0.05, residual_scale=1.0):
    """All references of one net; another seed is taken when a ReLU or a max-pool window comes too close to its kink.

    `full` says which tensors are stored whole; the digests cover all of them, and keep the files small.
    """
    while True:
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        out, margin = {}, math.inf
        model = make().double()
        randomise(model, generator, residual_scale)
        x = exact(torch.randn(batch, 3, hw, hw, generator=generator, dtype=torch.float64))
        target = torch.randint(0, classes, (batch,), generator=generator)
        start = {name: value.clone() for name, value in model.state_dict().items()}

        model.eval()
        out["logits_eval"] = model(x).detach().numpy()
        model.train()
        logits = model(x)
        loss = F.cross_entropy(logits, target)
        loss.backward()
        out["logits_train"] = logits.detach().numpy()
        out["loss_train"] = np.array([loss.item()])
        gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
        out["digest.grad"] = digest(gradients)
        for name, value in gradients.items():
            if full("grad." + name):
                out["grad." + name] = value.numpy().astype(np.float32)
        buffers = {name: value.clone() for name, value in model.named_buffers()}
        assert all(v == 4 for n, v in buffers.items() if n.endswith("num_batches_tracked"))
        running = {name: value for name, value in buffers.items() if value.dim()}
        out["digest.train"] = digest(running)
        for name, value in running.items():
            if full("train." + name):
                out["train." + name] = value.numpy()
        margin = min(margin, model.margin.smallest)

        for kind in ("sgd", "nesterov"):
            model.load_state_dict(start)
            model.margin.smallest = math.inf
            optimizer = torch.optim.SGD(
                model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=kind == "nesterov"
            )
            losses = []
            model.train()
            for _ in range(3):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), target)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            out[f"loss_{kind}"] = np.array(losses)
            out[f"digest.{kind}"] = digest(parameters_of(model))
            for name, value in parameters_of(model).items():
                if full(f"{kind}.{name}"):
                    out[f"{kind}.{name}"] = value.numpy().astype(np.float32)
            model.eval()
            out[f"logits_eval_{kind}"] = model(x).detach().numpy()
            margin = min(margin, model.margin.smallest)
        if margin >= KINK_MARGIN:
            break
        seed += 1000

    for name, value in start.items():
        value = value.numpy()
        out["state." + name] = value if value.dtype == np.int64 else value.astype(np.float16)
    out["input"] = np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy()).astype(np.float16)
    out["target"] = target.numpy()
    out["lr"] = np.array([lr])
    assert all(np.isfinite(value).all() for value in out.values())
    return out, {"seed": str(seed), "kink_margin": f"{margin:.2e}"}


# ------------------------------------------------------------------------------------------------ losses, optimisers
def kd_multi_case():
    generator = torch.Generator().manual_seed(11)
    classes, batch = [2, 5, 7], 6
    alpha = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    total = sum(classes)
    teacher = 2 * torch.randn(batch, total, generator=generator, dtype=torch.float64)
    student = 2 * torch.randn(batch, total, generator=generator, dtype=torch.float64)
    teacher[1] *= 30  # saturated rows: exp must not overflow and 0 * log 0 must not appear
    student[2] *= 30
    out = {
        "teacher_logits": teacher.numpy(),
        "student_logits": student.numpy(),
        "classes": np.array(classes),
        "alpha": alpha.numpy(),
        "temperature": np.array([1.0, 2.5]),
    }
    for index, temperature in enumerate((1.0, 2.5)):
        z = student.clone().requires_grad_()
        losses, offset = [], 0
        for c in classes:
            p = torch.softmax(teacher[:, offset : offset + c] / temperature, 1)
            log_q = torch.log_softmax(z[:, offset : offset + c] / temperature, 1)
            losses.append(-(temperature**2) * (p * log_q).sum(1).mean())
            offset += c
        losses = torch.stack(losses)
        loss = (alpha * losses).sum()
        loss.backward()
        out[f"t{index}.source_loss"] = losses.detach().numpy()
        out[f"t{index}.loss"] = np.array([loss.item()])
        out[f"t{index}.dstudent"] = z.grad.numpy()
    return out


def fixmatch_case():
    generator = torch.Generator().manual_seed(12)
    labelled = torch.randn(5, 6, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.tensor([0, 5, 3, 3, 1])
    weak = torch.randn(9, 6, generator=generator, dtype=torch.float64)
    for row, column in ((0, 2), (3, 5), (4, 0), (8, 1)):
        weak[row, column] += 7.0
    weak[5] = torch.tensor([0.0, 0.0, math.log(5 * 0.951 / 0.049), 0.0, 0.0, 0.0])  # max probability .951: just in
    weak[6] = torch.tensor([0.0, math.log(5 * 0.949 / 0.051), 0.0, 0.0, 0.0, 0.0])  # .949: just out
    weak.requires_grad_()
    strong = torch.randn(9, 6, generator=generator, dtype=torch.float64).requires_grad_()
    threshold, weight = 0.95, 1.5
    confidence, pseudo = torch.softmax(weak.detach(), 1).max(1)
    mask = (confidence >= threshold).double()
    supervised = F.cross_entropy(labelled, target)
    unsupervised = (F.cross_entropy(strong, pseudo, reduction="none") * mask).mean()
    loss = supervised + weight * unsupervised
    loss.backward()
    assert mask.sum() == 5 and weak.grad is None
    return {
        "labelled_logits": labelled.detach().numpy(),
        "target": target.numpy(),
        "weak_logits": weak.detach().numpy(),
        "strong_logits": strong.detach().numpy(),
        "threshold": np.array([threshold]),
        "unlabelled_weight": np.array([weight]),
        "pseudo_label": pseudo.numpy(),
        "mask": mask.numpy(),
        "supervised_loss": np.array([supervised.item()]),
        "unsupervised_loss": np.array([unsupervised.item()]),
        "loss": np.array([loss.item()]),
        "dlabelled": labelled.grad.numpy(),
        "dstrong": strong.grad.numpy(),
    }


def optim_case():
    generator = torch.Generator().manual_seed(13)
    start = torch.randn(37, generator=generator, dtype=torch.float64)
    gradients = torch.randn(3, 37, generator=generator, dtype=torch.float64)
    gradients[:, 5] = 0  # AdamW then divides 0 by eps
    gradients[1, 7] = 1e-9
    out = {"start": start.numpy(), "gradients": gradients.numpy()}
    makers = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=5e-4),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4),
        "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True),
        "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    }
    for name, make in makers.items():
        p = start.clone().requires_grad_()
        optimizer = make([p])
        trail = []
        for g in gradients:
            p.grad = g.clone()
            optimizer.step()
            trail.append(p.detach().clone())
        out[name] = torch.stack(trail).numpy()
    return out


def schedule_case():
    base, steps, warmup = 0.1, 40, 5
    scheduler_of = torch.optim.lr_scheduler

    def rates(make):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
        schedule = make(optimizer)
        values = []
        for _ in range(steps):
            values.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return np.array(values)

    # warm-up: base * (t+1) / W for t < W; then base/2 * (1 + cos(pi (t-W) / (N-W))); t = 0 is the first step
    def warm(optimizer, after):
        ramp = scheduler_of.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1)
        return scheduler_of.SequentialLR(optimizer, [ramp, after], [warmup])

    t = np.arange(steps)
    ramp = base * (t + 1) / warmup
    cosine = base / 2 * (1 + np.cos(np.pi * (t - warmup) / (steps - warmup)))
    out = {
        "cosine": rates(lambda o: scheduler_of.CosineAnnealingLR(o, steps)),
        "cosine_warmup": rates(lambda o: warm(o, scheduler_of.CosineAnnealingLR(o, steps - warmup))),
        "step": rates(lambda o: scheduler_of.MultiStepLR(o, [20, 30], 0.1)),
        "base": np.array([base]),
        "steps": np.array([steps]),
        "warmup": np.array([warmup]),
        "milestones": np.array([20, 30]),
        "gamma": np.array([0.1]),
    }
    assert np.allclose(out["cosine_warmup"], np.where(t < warmup, ramp, cosine), rtol=1e-12, atol=0)
    assert np.allclose(out["cosine"], base / 2 * (1 + np.cos(np.pi * t / steps)), rtol=1e-12, atol=0)
    return out


# -------------------------------------------------------------------------------------------------------------- main
def build_all():
    resnet8 = [1, 1, 1]
    cases = {
        "resnet8_option_a": net_case(
            lambda: ResNet("cifar", BasicBlock, resnet8, 4, 7, "A"), 1, 5, 12, 7, lambda name: not name.startswith("nesterov")
        ),
        "resnet8_projection": net_case(
            lambda: ResNet("cifar", BasicBlock, resnet8, 4, 7), 2, 5, 12, 7, lambda name: name.startswith(EARLY)
        ),
        "resnet18": net_case(
            lambda: ResNet("imagenet", BasicBlock, [2, 2, 2, 2], 2, 7), 3, 2, 33, 7, lambda name: name.startswith(EARLY)
        ),
        "resnet50": net_case(
            lambda: ResNet("imagenet", Bottleneck, [3, 4, 6, 3], 2, 7), 4, 2, 33, 7, lambda name: name.startswith(EARLY), 0.01, 0.25
        ),
    }
    losses = {
        "kd_multi": (kd_multi_case(), {}),
        "fixmatch": (fixmatch_case(), {}),
        "optim": (optim_case(), {}),
        "schedule": (schedule_case(), {}),
    }
    return {**cases, **losses}


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        raise SystemExit(__doc__)
    warnings.filterwarnings("ignore", message="The epoch parameter")  # torch's own SequentialLR trips over it
    torch.set_num_threads(1)
    failed = False
    for name, (tensors, metadata) in build_all().items():
        path = HERE / f"{name}.safetensors"
        if sys.argv[1:] == ["--check"]:
            stored = read_safetensors(path)
            worst = 0.0
            if stored.keys() != tensors.keys():
                raise SystemExit(f"{path.name}: other tensors than expected: {sorted(stored.keys() ^ tensors.keys())}")
            for key, value in tensors.items():
                if stored[key].shape != value.shape:
                    raise SystemExit(f"{path.name}: {key}: shape {stored[key].shape}, expected {value.shape}")
                scale = max(1.0, float(np.abs(value).max()))
                worst = max(worst, float(np.abs(stored[key].astype(np.float64) - value).max()) / scale)
            good = worst <= 1e-6  # one float32 rounding
            failed |= not good
            print(f"{path.name}: largest difference {worst:.1e} {'ok' if good else 'WRONG'}")
        else:
            write_safetensors(path, tensors, {"made_by": "make_golden.py", "torch": torch.__version__, **metadata})
            print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes {metadata}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
