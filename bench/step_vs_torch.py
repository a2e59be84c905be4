#!/usr/bin/python3
"""Training speed of akin against libtorch, measured side by side in one interleaved run.

    python3 bench/step_vs_torch.py --akin build/ci/bin/bench_step

Both sides run the same full training step on the same nets: forward with batch normalisation in training mode, mean
cross-entropy, backward, SGD with momentum 0.9 and weight decay 5e-4; f32, random images made beforehand and rotated.
The two sides live in two processes. One works for a couple of seconds while the other sleeps in a read, then they
change places; which side starts changes every round. A slow minute of the machine therefore hits both sides, and the
ratio of one round means more than any single number. Reported: median images/s of either side, and the median, the
smallest and the largest of the ratios akin/torch over the rounds.

A worker reads lines from stdin and answers on stdout:
    run <seconds>    -> {"images": n, "seconds": s}     whole steps for at least that long
    quit             -> ends
akin's worker is `bench_step --net resnet8 --width 16 --batch 128 --worker`.

torch has no fixed best way to run such a small net, so its worker is first tried in several modes (eager or traced,
channels_last or contiguous, SGD plain or foreach), interleaved and for a short while each, and the fastest one is compared.
Then each side is tried with several ways for its idle OpenMP threads to wait (spin or sleep) and keeps its best one.
What was chosen is printed. Neither side can disturb the other: the longest spin tried ends after some milliseconds.

--control compares torch with a second torch; the spread of its ratio around 1 is the noise of the machine.
Needs python3-torch (Debian bookworm: torch 1.13.1 with oneDNN 2.6).
"""

import argparse
import itertools
import os
import statistics
import sys
import time

import torch_side
from taking_turns import WAITING, Worker, WorkerError, cpu_name, fastest, positive, spread, take_turns, write_json


def torch_command(args, net, mode):
    memory, execution, sgd, precision = mode
    return [sys.executable, os.path.abspath(__file__), "--torch-worker", "--net", net, "--width", str(args.width),
            "--batch", str(args.batch), "--threads", str(args.threads), "--memory", memory, "--execution", execution,
            "--sgd", sgd, "--device", args.device, "--torch-precision", precision]  # fmt: skip


def akin_command(args, net):
    command = [args.akin, "--net", net, "--width", str(args.width), "--batch", str(args.batch), "--worker"]
    return command + ["--device", args.device, "--precision", args.precision]


def torch_modes(args, net):
    """The ways in which PyTorch may do the same; the fastest is compared with. {label: (memory, execution, sgd, precision)}"""
    if args.device == "cpu":
        kinds = ("f32", "autocast") if args.precision == "bf16" and net != "kd28" else ("f32",)
        modes = itertools.product(("channels_last", "contiguous"), ("eager", "traced"), ("foreach", "plain"), kinds)
    elif net == "kd28":
        modes = [("channels_last", execution, "fused", "f32") for execution in ("eager", "graph", "compile+graph")]
    else:
        kinds = ("autocast", "pure") if args.precision == "bf16" else ("f32",)
        executions = torch_side.EXECUTIONS[:1] + torch_side.EXECUTIONS[2:] if args.all_modes else ("graph", "compile+graph")
        modes = [("channels_last", execution, "fused", kind) for kind in kinds for execution in executions]
    return {" ".join(mode): mode for mode in modes}


def fastest_on_card(args, net):
    """Each way in turn, in a process of its own: two at once may not fit on the card. Ways that fail are left out."""
    rates, failures = {}, {}
    for label, mode in torch_modes(args, net).items():
        worker = Worker("torch", torch_command(args, net, mode), "sleep", args.threads)
        try:
            worker.run(0.2, patience=300)  # compiles
            rates[label] = statistics.median(worker.run(args.calibration_seconds) for _ in range(args.calibration_rounds))
            print(f"  {net} torch {label}: {rates[label]:.0f}", file=sys.stderr)
        except WorkerError as error:
            failures[label] = str(error)
            print(f"  {net} torch {label}: failed, left out: {error}", file=sys.stderr)
        finally:
            worker.close()
    if not rates:
        raise WorkerError(f"{net}: PyTorch works in none of its ways; the last: {list(failures.values())[-1]}")
    return max(rates, key=rates.get), rates, failures


def compare(args, net):
    """The whole comparison on one net. Returns a dictionary for the table and the JSON file."""
    if not args.control:  # a side that cannot run at all should say so before the calibration
        probe = Worker("akin", akin_command(args, net), "sleep", args.threads)
        try:
            probe.run(0.1)
        finally:
            probe.close()
    modes, failures = torch_modes(args, net), {}
    if args.device == "cuda":
        best_mode, mode_rates, failures = fastest_on_card(args, net)
    else:
        best_mode, mode_rates = fastest(
            args, {label: ("torch", torch_command(args, net, mode), "spin 10000") for label, mode in modes.items()}
        )
    commands = {"torch": torch_command(args, net, modes[best_mode])}
    other = "torch again" if args.control else "akin"
    commands[other] = commands["torch"] if args.control else akin_command(args, net)
    waiting, waiting_rates = {}, {}
    for side, command in commands.items():
        waiting[side], waiting_rates[side] = "sleep", {}
        if args.device == "cpu":
            waiting[side], waiting_rates[side] = fastest(args, {label: (side, command, label) for label in WAITING})

    def tell(r, rates):
        print(f"  {net} round {r + 1}/{args.rounds}: " + ", ".join(f"{s} {rates[s][-1]:.0f}" for s in sides)
              + f"  ratio {rates[other][-1] / rates['torch'][-1]:.3f}", file=sys.stderr)  # fmt: skip

    sides = {}
    try:
        for side, command in commands.items():
            sides[side] = Worker(side, command, waiting[side], args.threads)
            sides[side].run(1.0, patience=300)  # warm-up
        rates = take_turns(sides, args.rounds, args.seconds, tell)
    finally:
        for worker in sides.values():
            worker.close()
    ratios = [a / b for a, b in zip(rates[other], rates["torch"])]
    return {
        "net": net,
        "side": other,
        "torch_mode": best_mode,
        "torch_mode_rates": mode_rates,
        "torch_mode_failures": failures,
        "waiting": waiting,
        "waiting_rates": waiting_rates,
        "rates": rates,
        "median": {side: statistics.median(values) for side, values in rates.items()},
        "ratio": spread(ratios),
    }


NETS = [*torch_side.CIFAR, *torch_side.IMAGENET, "kd28"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--akin", metavar="PATH", help="akin's bench_step binary")
    parser.add_argument("--control", action="store_true", help="compare torch with torch: the noise of the machine")
    parser.add_argument("--net", choices=NETS, action="append",
                        help="more than once for several; default: resnet8 and resnet20")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage; 0: the family's own")
    parser.add_argument("--batch", type=positive(int), default=128)
    parser.add_argument("--threads", type=positive(int), default=2)
    parser.add_argument("--rounds", type=positive(int), default=12)
    parser.add_argument("--seconds", type=positive(float), default=2.0, help="of one side in one round")
    parser.add_argument("--calibration-rounds", type=positive(int), default=4)
    parser.add_argument("--calibration-seconds", type=positive(float), default=0.5)
    parser.add_argument("--json", metavar="FILE", help="write all numbers to this file")
    parser.add_argument("--torch-worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="akin's; torch: autocast and all bf16")
    parser.add_argument("--all-modes", action="store_true", help="on a card: also torch without graph")
    parser.add_argument("--torch-precision", dest="torch_precision", choices=torch_side.PRECISIONS, default="f32",
                        help=argparse.SUPPRESS)  # fmt: skip
    parser.add_argument("--memory", default="channels_last", help=argparse.SUPPRESS)
    parser.add_argument("--execution", default="eager", help=argparse.SUPPRESS)
    parser.add_argument("--sgd", default="foreach", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.torch_worker and bool(args.akin) == args.control:
        parser.error("give either --akin PATH (of bench_step) or --control")
    return args


def main():
    args = parse_arguments()
    if args.torch_worker:
        args.net, args.precision = args.net[0], args.torch_precision
        torch_side.worker(args)
        return 0
    load_before = os.getloadavg()
    if args.device == "cpu" and load_before[0] > 0.5:
        print(f"step_vs_torch: the machine is busy (load {load_before[0]:.1f}); expect a wide spread", file=sys.stderr)
    try:
        results = [compare(args, net) for net in args.net or ["resnet8", "resnet20"]]
    except WorkerError as error:
        print(f"step_vs_torch: {error}", file=sys.stderr)
        return 1
    for r in results:
        (size, channels, _), side = torch_side.input_of(r["net"]), r["side"]
        where = f"{args.threads} threads" if args.device == "cpu" else args.device
        where += f", {args.precision}"
        what = r["net"] if r["net"] == "kd28" else f"{r['net']} w{args.width} {size}x{size}x{channels}"
        print(f"{what}, batch {args.batch}, {where}: "
              f"{side} {r['median'][side]:.0f} img/s ({r['waiting'][side]}), "
              f"torch {r['median']['torch']:.0f} img/s ({r['torch_mode']}, {r['waiting']['torch']}), "
              f"ratio {r['ratio']['median']:.2f} [{r['ratio']['min']:.2f} .. {r['ratio']['max']:.2f}] over {args.rounds} rounds")  # fmt: skip
    if args.json:
        write_json(args.json, {
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpu": cpu_name(), "cpus": os.cpu_count(),
            "device": args.device, "precision": args.precision, "load_before": load_before, "load_after": os.getloadavg(), "width": args.width, "batch": args.batch,
            "threads": args.threads, "seconds": args.seconds, "results": results})  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
