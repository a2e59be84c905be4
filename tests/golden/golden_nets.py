"""The nets of make_golden.py in PyTorch, with torchvision's parameter names; every kink reports how near it was."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Margin:
    """Smallest distance to a kink seen so far: float32 must take the same branch everywhere as float64 did."""

    def __init__(self):
        self.smallest = math.inf

    def relu(self, x):
        self.smallest = min(self.smallest, x.detach().abs().min().item())
        return torch.relu(x)

    def max_pool(self, x):
        with torch.no_grad():
            n, c, h, w = x.shape
            padded = F.pad(x, (1, 1, 1, 1), value=-math.inf)
            windows = F.unfold(padded, 3, stride=2).reshape(n, c, 9, -1)
            top = windows.topk(2, dim=2).values
            gap = (top[:, :, 0] - top[:, :, 1])[top[:, :, 0] > 0]  # all-zero windows pass no gradient anyway
            self.smallest = min(self.smallest, gap.min().item() if gap.numel() else 0.0)
        return F.max_pool2d(x, 3, 2, 1)


class Shortcut(nn.Module):
    """Option A of He et al. 2015: every second pixel, zero channels on both sides."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.pad, self.stride = (cout - cin) // 2, stride

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))


def projection(cin, cout, stride):
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, cin, planes, stride, option, margin):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or cin != planes:
            self.downsample = (Shortcut if option == "A" else projection)(cin, planes, stride)
        self.margin = margin

    def forward(self, x):
        y = self.bn2(self.conv2(self.margin.relu(self.bn1(self.conv1(x)))))
        return self.margin.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, cin, planes, stride, option, margin):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)  # v1.5: the stride is on the 3x3
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if stride != 1 or cin != 4 * planes:
            self.downsample = projection(cin, 4 * planes, stride)
        self.margin = margin

    def forward(self, x):
        relu = self.margin.relu
        y = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))
        y = self.bn3(self.conv3(y))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, stem, block, blocks, width, classes, option="B"):
        super().__init__()
        self.margin = Margin()
        self.stem = stem
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False) if stem == "imagenet" else nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        cin = width
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                layers.append(block(cin, width << stage, stride, option, self.margin))
                cin = (width << stage) * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.fc = nn.Linear(cin, classes)

    def forward(self, x):
        x = self.margin.relu(self.bn1(self.conv1(x)))
        if self.stem == "imagenet":
            x = self.margin.max_pool(x)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))
