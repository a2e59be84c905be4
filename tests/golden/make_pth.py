"""weights.pth: what torch.save writes of small tensors of every way to lie in memory. Run with Debian's python3-torch."""

import pathlib
from collections import OrderedDict

import torch
from torch import nn

shared = torch.arange(6, dtype=torch.float32).reshape(3, 2).t()
conv, bn = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
with torch.no_grad():
    conv.weight.copy_(torch.arange(18.0).reshape(2, 1, 3, 3))
    conv.bias.zero_()
state = nn.Sequential(OrderedDict(conv=conv, bn=bn)).state_dict()
state["fc.weight"] = state["tied.weight"] = shared
state["half"], state["brain"] = (torch.tensor([0.5, -1.5], dtype=t) for t in (torch.float16, torch.bfloat16))
torch.save({"state_dict": state, "epoch": 3, "best": 0.5, "steps": [1, None, True]},
           str(pathlib.Path(__file__).parent / "weights.pth"))
