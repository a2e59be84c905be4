"""Whether akin reads what torch.save writes: `akin import` of weights saved in many ways, against the numbers themselves.

    /usr/bin/python3 tests/check_pth.py build/ci/bin/akin

Needs Debian's python3-torch; without it it ends with 77. Exit code 1 where something does not hold.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
from collections import OrderedDict

try:
    import numpy as np
    import torch
except ImportError as missing:
    print(f"SKIPPED: {missing}; apt-get install python3-torch, so that there are files of its own")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
import check_pictures  # noqa: E402
from golden_nets import BasicBlock, ResNet  # noqa: E402

failures = 0


def expect(holds, what):
    global failures
    failures += not holds
    print(("  ok     " if holds else "  WRONG  ") + what)


def main():
    akin = sys.argv[1]
    torch.manual_seed(1)
    network = ResNet("conv", BasicBlock, [1, 1, 1], 4, 5)
    state = network.state_dict()
    for name, t in state.items():
        if t.is_floating_point():
            t.copy_(torch.rand(t.shape) + 0.5 if name.endswith("running_var") else torch.randn(t.shape) / 4)

    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)

        def imported(content, **options):
            torch.save(content, str(work / "w.pth"), **options)
            return subprocess.run([akin, "import", str(work / "w.pth"), "--arch", "resnet8", "--shortcut", "conv", "--out",
                                   str(work / "m.safetensors"), "--force"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def reads(what, content, tolerance=0.0, **options):
            done = imported(content, **options)
            if done.returncode != 0:
                return expect(False, f"{what}: {done.stderr.strip()}")
            got = check_pictures.read_safetensors(work / "m.safetensors")[0]
            worst = max(float(np.abs(got[n].astype(np.float64) - t.double().numpy()).max()) for n, t in state.items())
            expect(set(got) == set(state) and worst <= tolerance, f"{what}: differs by {worst:.1e}")

        def refuses(what, content, *words, **options):
            done = imported(content, **options)
            expect(done.returncode == 1 and all(w in done.stderr for w in words), f"{what}: {done.stderr.strip()}")

        turned = OrderedDict((n, t.transpose(0, -1).contiguous().transpose(0, -1) if t.dim() > 1 else t) for n, t in state.items())
        together = torch.cat([t.flatten() for t in state.values() if t.is_floating_point()])
        shared, at = OrderedDict(), 0
        for n, t in state.items():
            shared[n] = together[at : at + t.numel()].view(t.shape) if t.is_floating_point() else t
            at += t.numel() if t.is_floating_point() else 0
        reads("state_dict()", state)
        reads("{'state_dict': ...} of a checkpoint", {"epoch": 3, "state_dict": state, "best": 0.5, "optimizer": {"state": {0: {"m": torch.ones(3)}}}})
        reads("{'model': ...}", {"model": state, "args": {"lr": 0.1, "name": "x"}})
        reads("a plain dict", dict(state))
        reads("parameters that require gradients", OrderedDict((n, torch.nn.Parameter(t) if t.is_floating_point() else t) for n, t in state.items()))
        reads("module. before each name (DataParallel)", torch.nn.DataParallel(network).state_dict())
        reads("half", OrderedDict((n, t.half() if t.is_floating_point() else t) for n, t in state.items()), 2e-3)
        reads("bfloat16", OrderedDict((n, t.bfloat16() if t.is_floating_point() else t) for n, t in state.items()), 2e-2)
        reads("double", OrderedDict((n, t.double() if t.is_floating_point() else t) for n, t in state.items()))
        reads("tensors that are not contiguous", turned)
        reads("tensors that share one storage", shared)
        reads("protocol 4", state, pickle_protocol=4)
        refuses("a whole model", network, "golden_nets.ResNet", "runs no code")
        refuses("arguments of a program", {"state_dict": state, "args": argparse.Namespace(lr=1)}, "argparse.Namespace", "torch.save")
        refuses("a file of the old kind", state, "before 1.6", "python3 -c", _use_new_zipfile_serialization=False)
        refuses("a tensor alone", torch.ones(3), "one tensor")
        # The line that the message of an old file gives makes a file that akin reads.
        old = imported(state, _use_new_zipfile_serialization=False)
        line = old.stderr[old.stderr.index("python3 -c '") :].strip()
        line = line[: line.index("'", len("python3 -c '")) + 1].replace("python3", sys.executable, 1)
        subprocess.run(line, shell=True, check=True, cwd=work)
        done = subprocess.run([akin, "import", str(work / "weights.pth"), "--arch", "resnet8", "--shortcut", "conv", "--out",
                               str(work / "n.safetensors")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        expect(done.returncode == 0, f"the line that converts an old file: {line} {done.stderr.strip()}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
