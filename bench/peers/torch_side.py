"""The PyTorch side of step_vs_torch.py: networks, losses and one whole training step, in a process of its own.

It is started by step_vs_torch.py and takes orders from standard input: "run SECONDS" is answered by a line of JSON with
the images and the seconds they took, "about" by the versions. Runs by itself in another Debian (scripts/debian_root.sh).
"""

import argparse
import itertools
import json
import re
import sys
import time

CIFAR = {"resnet8": 1, "resnet14": 2, "resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9}
MOBILE = ("mobilenet_v1",)
IMAGENET = {"resnet18": (False, (2, 2, 2, 2)), "resnet34": (False, (3, 4, 6, 3)), "resnet50": (True, (3, 4, 6, 3))}
INPUT_BATCHES = 8  # rotated, so that no side can keep its only input in the cache
KD_CLASSES, KD_SOURCES = 1000, 28
EXECUTIONS = ("eager", "traced", "graph", "compile", "compile+graph")
PRECISIONS = ("f32", "tf32", "autocast", "pure")


def input_of(net):
    """(side, channels, classes) of a network's images."""
    if net == "resnet8":
        return 28, 1, 10
    return (224, 3, 1000) if net in IMAGENET else (32, 3, 10)


def parse_net(text):
    """"mobilenet_v1:8@64" -> (name, width of the first layer, side of the images); 0: the net's own."""
    name, _, side = text.partition("@")
    name, _, width = name.partition(":")
    return name, int(width or 0), int(side or 0)


def build_cifar(torch, blocks, width, channels, classes):
    """CIFAR-style ResNet: 3x3 stem, three stages of basic blocks, option-A shortcuts, global average, linear."""
    nn = torch.nn
    functional = torch.nn.functional

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(cout)
            self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(cout)
            self.stride = stride
            self.pad = (cout - cin) // 2

        def forward(self, x):
            y = torch.relu_(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))  # batch norm's backward does not need its output: add and clip in place
            if self.stride != 1:
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
            return torch.relu_(y.add_(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            stages, cin = [], width
            for stage in range(3):
                cout = width << stage
                layers = []
                for i in range(blocks):
                    layers.append(Block(cin, cout, 2 if stage > 0 and i == 0 else 1))
                    cin = cout
                stages.append(nn.Sequential(*layers))
            self.layer1, self.layer2, self.layer3 = stages
            self.fc = nn.Linear(cin, classes)

        def forward(self, x):
            x = torch.relu_(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.fc(x.mean((2, 3)))

    return Net()


def build_imagenet(torch, bottleneck, blocks, width, channels, classes):
    """ImageNet-style ResNet as torchvision has it: 7x7 stem, max pooling, 1x1 shortcuts, stride in the 3x3."""
    nn = torch.nn

    def conv_bn(cin, cout, window, stride, relu):
        layers = [nn.Conv2d(cin, cout, window, stride, window // 2, bias=False), nn.BatchNorm2d(cout)]
        return layers + [nn.ReLU(inplace=True)] if relu else layers

    class Block(nn.Module):
        def __init__(self, cin, mid, stride):
            super().__init__()
            cout = 4 * mid if bottleneck else mid
            if bottleneck:
                parts = conv_bn(cin, mid, 1, 1, True) + conv_bn(mid, mid, 3, stride, True) + conv_bn(mid, cout, 1, 1, False)
            else:
                parts = conv_bn(cin, mid, 3, stride, True) + conv_bn(mid, mid, 3, 1, False)
            self.body = nn.Sequential(*parts)
            self.down = nn.Sequential(*conv_bn(cin, cout, 1, stride, False)) if stride != 1 or cin != cout else None

        def forward(self, x):
            y = self.body(x)
            return torch.relu_(y.add_(x if self.down is None else self.down(x)))

    layers = conv_bn(channels, width, 7, 2, True) + [nn.MaxPool2d(3, 2, 1)]
    cin = width
    for stage, count in enumerate(blocks):
        for i in range(count):
            layers.append(Block(cin, width << stage, 2 if stage > 0 and i == 0 else 1))
            cin = (width << stage) * (4 if bottleneck else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, classes))


def build_mobilenet_v1(torch, width, channels, classes):
    """Depthwise and pointwise convolutions in turn, stride 2 in the first; batch norm and ReLU6 behind each."""
    nn = torch.nn

    def scaled(c):
        down = max(8, int(c * width / 32 + 4) // 8 * 8)
        return down + 8 if down < 0.9 * c * width / 32 else down

    def conv(cin, cout, window, stride, groups=1):
        return [nn.Conv2d(cin, cout, window, stride, window // 2, groups=groups, bias=False), nn.BatchNorm2d(cout),
                nn.ReLU6(inplace=True)]  # fmt: skip

    layers, cin = conv(channels, width, 3, 2), width
    for out, count, first in ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)):
        for i in range(count):
            layers += conv(cin, cin, 3, 1 if i else first, cin) + conv(cin, scaled(out), 1, 1)
            cin = scaled(out)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, classes))


class NetworkStep:
    """Forward, cross-entropy, backward, SGD with momentum and weight decay."""

    def __init__(self, torch, args, device):
        net, width, wanted = parse_net(args.net)
        side, channels, classes = input_of(net)
        side, width = wanted or side, width or args.width
        self.torch, self.precision, self.device = torch, args.precision, device
        if net in IMAGENET:
            model = build_imagenet(torch, *IMAGENET[net], width or 64, channels, classes)
        elif net in MOBILE:
            model = build_mobilenet_v1(torch, width or 32, channels, classes)
        else:
            model = build_cifar(torch, CIFAR[net], width or 16, channels, classes)
        fmt = torch.channels_last if args.memory == "channels_last" else torch.contiguous_format
        dtype = torch.bfloat16 if args.precision == "pure" else torch.float32
        model = model.to(device=device, dtype=dtype, memory_format=fmt).train()
        self.inputs = []
        for _ in range(INPUT_BATCHES):
            x = torch.empty((args.batch, channels, side, side), memory_format=fmt).normal_()
            low = args.precision == "pure" or (args.precision == "autocast" and device == "cuda")  # as akin's batches are
            x = x.to(device=device, dtype=torch.bfloat16 if low else dtype)
            self.inputs.append((x.to(memory_format=fmt), torch.randint(0, classes, (args.batch,)).to(device)))
        kind = {"fused": True} if args.sgd == "fused" else {"foreach": args.sgd == "foreach"}
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4, **kind)
        self.forward = model
        if args.execution == "traced":
            with torch.autocast(device, torch.bfloat16, enabled=self.precision == "autocast", cache_enabled=False):
                self.forward = torch.jit.trace(model, self.inputs[0][0], check_trace=False)
        if "compile" in args.execution:
            self.forward = torch.compile(model)

    def __call__(self, batch):
        x, target = batch
        self.optimizer.zero_grad(set_to_none=True)
        with self.torch.autocast(self.device, self.torch.bfloat16, enabled=self.precision == "autocast"):
            logits = self.forward(x)
        loss = self.torch.nn.functional.cross_entropy(logits.float(), target)
        loss.backward()
        self.optimizer.step()
        return loss


class LossStep:
    """The net kd28: cross-entropy, and distillation from 28 sources one after the other; values and gradients."""

    def __init__(self, torch, args, device):
        functional = torch.nn.functional
        self.own = torch.randn(args.batch, KD_CLASSES, device=device, requires_grad=True)
        self.heads = torch.randn(args.batch, KD_SOURCES * KD_CLASSES, device=device, requires_grad=True)
        self.inputs = [(torch.randn(args.batch, KD_SOURCES * KD_CLASSES).to(device),
                        torch.randint(0, KD_CLASSES, (args.batch,)).to(device)) for _ in range(INPUT_BATCHES)]  # fmt: skip

        def loss_of(own, heads, teacher, target):
            loss = functional.cross_entropy(own, target)
            for student, shown in zip(heads.split(KD_CLASSES, 1), teacher.split(KD_CLASSES, 1)):
                loss = loss + functional.cross_entropy(student, functional.softmax(shown, 1)) / KD_SOURCES
            return loss

        self.loss_of = torch.compile(loss_of) if "compile" in args.execution else loss_of

    def __call__(self, batch):
        self.own.grad = self.heads.grad = None
        loss = self.loss_of(self.own, self.heads, *batch)
        loss.backward()
        return loss


def captured(torch, step, inputs):
    """The step as one CUDA graph; a batch is copied to where the graph reads it."""
    static = tuple(t.clone() for t in inputs[0])  # keeps the memory format
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(4):
            step(static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(static)

    def replay(batch):
        for to, value in zip(static, batch):
            to.copy_(value)
        graph.replay()
        return loss

    return replay


def worker(args):
    """Trains on orders from standard input until told to quit."""
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.autograd.set_detect_anomaly(False)
    cuda = args.device == "cuda"
    if cuda:
        if not torch.cuda.is_available():
            raise SystemExit("torch worker: PyTorch sees no CUDA card")
        allow = args.precision != "f32"
        torch.backends.cuda.matmul.allow_tf32 = allow
        torch.backends.cudnn.allow_tf32 = allow
        torch.backends.cudnn.benchmark = True
    work = (LossStep if args.net == "kd28" else NetworkStep)(torch, args, args.device)
    step = captured(torch, work, work.inputs) if "graph" in args.execution else work
    rotation = itertools.cycle(work.inputs)
    for _ in range(5):
        loss = step(next(rotation))
    if not bool(torch.isfinite(loss)):
        raise SystemExit("torch worker: the loss is not finite")
    for line in sys.stdin:
        words = line.split()
        if not words or words[0] == "quit":
            return
        if words[0] == "about":
            onednn = re.search(r"MKL-DNN v([0-9.]+)", torch.__config__.show())
            print(json.dumps({"PyTorch": torch.__version__, "oneDNN": onednn.group(1) if onednn else "none"}), flush=True)
            continue
        seconds, ahead = float(words[1]), []
        images, start = 0, time.perf_counter()
        while True:
            step(next(rotation))
            images += args.batch
            if cuda:  # a few steps ahead of the card, not more
                ahead.append(torch.cuda.Event())
                ahead[-1].record()
                if len(ahead) == 8:
                    ahead.pop(0).synchronize()
            if time.perf_counter() - start >= seconds:
                break
        if cuda:
            torch.cuda.synchronize()
        print(json.dumps({"images": images, "seconds": time.perf_counter() - start}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", required=True)
    for name in ("width", "batch", "threads"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--precision", choices=PRECISIONS, required=True)
    parser.add_argument("--memory", choices=("channels_last", "contiguous"), required=True)
    parser.add_argument("--execution", choices=EXECUTIONS, required=True)
    parser.add_argument("--sgd", choices=("plain", "foreach", "fused"), required=True)
    worker(parser.parse_args())


if __name__ == "__main__":
    main()
