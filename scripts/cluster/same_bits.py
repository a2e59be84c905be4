#!/usr/bin/env python3
"""Whether training has the same bits on one rank and several: a table in Markdown, for docs/ranks.md.

Each row trains a small network with four slices on one, two and four ranks of this machine, and compares the SHA-256 of
the model and of the log; the last rows must differ from the first.

Exit code: 0 as it should be, 1 some bits are others, 2 wrong use.
"""
import argparse
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

from rank_failures import write_images

FILES = ("model.safetensors", "log.jsonl")
SIM = {"device": "sim", "batch": 64, "epochs": 1}
ROWS = [
    ("cpu, f32, SGD", {}),
    ("cpu, f32, AdamW", {"optimizer": "adamw"}),
    ("cpu, f32, batches of 30, cut unevenly", {"batch": 30}),
    ("cpu, bf16", {"precision": "bf16"}),
    ("sim, f32", SIM),
    ("sim, bf16", {**SIM, "precision": "bf16"}),
]


def digest(folder):
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in FILES)).hexdigest()[:12]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--akin", default="build/release/bin/akin", help="the program (default: %(default)s)")
    options = parser.parse_args()
    environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        write_images(work / "data")

        def run(ranks, more, slices=4, flags=()):
            """The digest of a run, or None and why there is none."""
            out = work / "out"
            settings = {"data": work / "data", "width": 4, "batch": 32, "epochs": 2, "threads": 1, "slices": slices, "out": out, **more}
            words = [str(word) for name, value in settings.items() for word in ("--" + name, value)]
            launcher = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none"] if ranks > 1 else []
            done = subprocess.run([*launcher, options.akin, "train", *words, "--force", *flags], env=environment, capture_output=True,
                                  text=True)
            if done.returncode != 0:
                return None, (done.stderr.strip().splitlines() or ["failed"])[-1]
            return digest(out), ""

        good = True
        print("| run | 1 rank, `--slices 4` | 2 ranks, `--slices 4` | 4 ranks |\n|---|---|---|---|")
        for name, more in ROWS:
            found = [run(ranks, more) for ranks in (1, 2, 4)]
            if found[0][0] is None and "--precision bf16" in found[0][1]:
                print(f"| {name} | not on this processor | | |")
                continue
            good = good and found[0][0] is not None and len({d for d, _ in found}) == 1
            print(f"| {name} | {' | '.join(d or why for d, why in found)} |", flush=True)
        first = run(1, {})[0]
        others = {"2 slices": run(1, {}, 2)[0], "1 slice": run(1, {}, 1)[0]}
        twice = [run(4, {}, flags=["--sync-batchnorm"])[0] for _ in range(2)]
        print(f"| cpu, f32, SGD, `--sync-batchnorm`, twice | | | {twice[0]}, {twice[1]} |")
        for name, other in others.items():
            print(f"| cpu, f32, SGD with {name}: another run | {other} | | |")
        distinct = {first, twice[0], *others.values()}
        good = good and twice[0] == twice[1] and len(distinct) == 4 and None not in distinct
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
