"""timm's MobileNets as its sources describe them, for machines without timm: the same strings, rules and names.

Sources in huggingface/pytorch-image-models: timm/models/efficientnet.py (_gen_mobilenet_v1, _gen_mobilenet_v2),
mobilenetv3.py (_gen_mobilenet_v3), _efficientnet_builder.py (decode_arch_def, round_channels), _efficientnet_blocks.py
(DepthwiseSeparableConv, InvertedResidual, SqueezeExcite). Batch norms have PyTorch's eps, as there.
"""

import re

import torch
from torch import nn
from torch.nn import functional as F

V1 = [["dsa_r1_k3_s1_c64"], ["dsa_r2_k3_s2_c128"], ["dsa_r2_k3_s2_c256"], ["dsa_r6_k3_s2_c512"], ["dsa_r2_k3_s2_c1024"]]
V2 = [["ds_r1_k3_s1_c16"], ["ir_r2_k3_s2_e6_c24"], ["ir_r3_k3_s2_e6_c32"], ["ir_r4_k3_s2_e6_c64"], ["ir_r3_k3_s1_e6_c96"],
      ["ir_r3_k3_s2_e6_c160"], ["ir_r1_k3_s1_e6_c320"]]
V3_LARGE = [["ds_r1_k3_s1_e1_c16_nre"], ["ir_r1_k3_s2_e4_c24_nre", "ir_r1_k3_s1_e3_c24_nre"], ["ir_r3_k5_s2_e3_c40_se0.25_nre"],
            ["ir_r1_k3_s2_e6_c80", "ir_r1_k3_s1_e2.5_c80", "ir_r2_k3_s1_e2.3_c80"], ["ir_r2_k3_s1_e6_c112_se0.25"],
            ["ir_r3_k5_s2_e6_c160_se0.25"], ["cn_r1_k1_s1_c960"]]
V3_SMALL = [["ds_r1_k3_s2_e1_c16_se0.25_nre"], ["ir_r1_k3_s2_e4.5_c24_nre", "ir_r1_k3_s1_e3.67_c24_nre"],
            ["ir_r1_k5_s2_e4_c40_se0.25", "ir_r2_k5_s1_e6_c40_se0.25"], ["ir_r2_k5_s1_e3_c48_se0.25"],
            ["ir_r3_k5_s2_e6_c96_se0.25"], ["cn_r1_k1_s1_c576"]]


def round_channels(channels, multiplier=1.0):
    channels *= multiplier
    new = max(8, int(channels + 4) // 8 * 8)
    return new + 8 if new < 0.9 * channels else new


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.conv_expand(F.relu(self.conv_reduce(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """cn: a convolution; ds, dsa: depthwise and 1x1 (dsa with activation and without skip); ir: inverted residual."""

    def __init__(self, kind, cin, cout, kernel, stride, expansion, squeeze, act):
        super().__init__()
        self.kind, self.act = kind, act
        self.skip = kind in ("ds", "ir") and stride == 1 and cin == cout
        middle = round_channels(cin * expansion) if kind == "ir" else cin
        if kind == "cn":
            self.conv, self.bn1 = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout)
            return
        if kind == "ir":
            self.conv_pw, self.bn1 = nn.Conv2d(cin, middle, 1, bias=False), nn.BatchNorm2d(middle)
        depthwise = nn.Conv2d(middle, middle, kernel, stride, kernel // 2, groups=middle, bias=False)
        self.conv_dw = depthwise
        setattr(self, "bn2" if kind == "ir" else "bn1", nn.BatchNorm2d(middle))
        if squeeze:
            self.se = SqueezeExcite(middle, round_channels(middle * squeeze))
        setattr(self, "conv_pwl" if kind == "ir" else "conv_pw", nn.Conv2d(middle, cout, 1, bias=False))
        setattr(self, "bn3" if kind == "ir" else "bn2", nn.BatchNorm2d(cout))

    def forward(self, x):
        squeeze = self.se if hasattr(self, "se") else lambda y: y
        if self.kind == "cn":
            return self.act(self.bn1(self.conv(x)))
        if self.kind == "ir":
            y = self.act(self.bn1(self.conv_pw(x)))
            y = self.bn3(self.conv_pwl(squeeze(self.act(self.bn2(self.conv_dw(y))))))
        else:
            y = self.bn2(self.conv_pw(squeeze(self.act(self.bn1(self.conv_dw(x))))))
            y = self.act(y) if self.kind == "dsa" else y
        return x + y if self.skip else y


class MobileNet(nn.Module):
    def __init__(self, stages, stem, multiplier, act, head, classes, channels):
        """head: "none" (V1), "conv" (V2, before the mean) or "mean" (V3, behind it)."""
        super().__init__()
        self.act, self.head = act, head
        cin = round_channels(stem, multiplier)
        self.conv_stem, self.bn1 = nn.Conv2d(channels, cin, 3, 2, 1, bias=False), nn.BatchNorm2d(cin)
        self.blocks = nn.Sequential()
        for strings in stages:
            stage = nn.Sequential()
            for text in strings:
                kind, *options = text.split("_")
                o = {m[1]: float(m[2]) for m in (re.match(r"(r|k|s|e|c|se)([\d.]+)$", part) for part in options) if m}
                own = F.relu if "nre" in options else act
                for i in range(int(o["r"])):
                    cout = round_channels(o["c"], multiplier)
                    stage.append(Block(kind, cin, cout, int(o["k"]), int(o["s"]) if i == 0 else 1, o.get("e", 1), o.get("se", 0), own))
                    cin = cout
            self.blocks.append(stage)
        if head == "conv":
            wide = max(1280, round_channels(1280, multiplier))
            self.conv_head, self.bn2 = nn.Conv2d(cin, wide, 1, bias=False), nn.BatchNorm2d(wide)
            cin = wide
        elif head == "mean":
            wide = 1280 if cin == 960 else 1024
            self.conv_head, cin = nn.Conv2d(cin, wide, 1), wide
        self.classifier = nn.Linear(cin, classes)

    def forward(self, x):
        x = self.blocks(self.act(self.bn1(self.conv_stem(x))))
        if self.head == "conv":
            x = self.act(self.bn2(self.conv_head(x)))
        x = x.mean((2, 3), keepdim=True)
        if self.head == "mean":
            x = self.act(self.conv_head(x))
        return self.classifier(x.flatten(1))


def make(name, classes, channels):
    """What timm.create_model(name, num_classes=classes, in_chans=channels) makes; None for other names."""
    family, _, percent = name.rpartition("_")
    if family == "mobilenetv1":
        return MobileNet(V1, 32, int(percent) / 100, F.relu6, "none", classes, channels)
    if family == "mobilenetv2":
        return MobileNet(V2, 32, int(percent) / 100, F.relu6, "conv", classes, channels)
    if name in ("mobilenetv3_small_100", "mobilenetv3_large_100"):
        return MobileNet(V3_SMALL if "small" in name else V3_LARGE, 16, 1.0, F.hardswish, "mean", classes, channels)
    if name.startswith("resnet"):  # timm's resnet.py has torchvision's names
        import torchvision

        net = getattr(torchvision.models, name)(num_classes=classes)
        if channels != 3:
            net.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        return net
    return None
