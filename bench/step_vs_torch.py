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
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import tempfile
import time

import torch_side

# ------------------------------------------------------------------------------------------------------- the driver
WAITING = {
    "spin default": {},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
}


class WorkerError(Exception):
    pass


class Worker:
    """One side in its own process. It sleeps in a read unless run() is waiting for it."""

    def __init__(self, name, command, waiting, threads):
        self.name = name
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
        env.update(WAITING[waiting])
        env["OMP_NUM_THREADS"] = str(threads)
        self.errors = tempfile.TemporaryFile(mode="w+")
        try:
            self.process = subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1
            )
        except OSError as error:
            raise WorkerError(f"{name}: cannot start {command[0]}: {error.strerror}") from error

    def run(self, seconds, patience=120):
        """Lets the side work for `seconds`; returns images per second."""
        try:
            self.process.stdin.write(f"run {seconds}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail("ended before it was asked")
        ready, _, _ = select.select([self.process.stdout], [], [], seconds * 10 + patience)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self._fail("ended without an answer" if ready else "does not answer")
        try:
            answer = json.loads(line)
            images, elapsed = int(answer["images"]), float(answer["seconds"])
        except (ValueError, KeyError, TypeError):
            self._fail(f"answered {line.strip()[:120]!r} where a line with images and seconds was expected")
        if not (images > 0 and elapsed >= 0.99 * seconds):
            self._fail(f"answered with {images} images in {elapsed} s, asked for {seconds} s")
        return images / elapsed

    def _fail(self, what):
        self.close()
        self.errors.seek(0)
        tail = self.errors.read()[-800:].strip()
        raise WorkerError(f"{self.name}: the worker {what}" + (f"; its last words:\n{tail}" if tail else ""))

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.flush()
                self.process.wait(timeout=10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()


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
        modes = itertools.product(("channels_last", "contiguous"), ("eager", "traced"), ("foreach", "plain"), ("f32",))
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


def fastest(args, candidates):
    """candidates: {label: (name, command, waiting)}. Runs them in turn; returns the best label and all medians (images/s)."""
    workers = {}
    try:
        for label, (name, command, waiting) in candidates.items():
            workers[label] = Worker(name, command, waiting, args.threads)
            workers[label].run(0.3)  # warm-up
        rates = {label: [] for label in workers}
        for _ in range(args.calibration_rounds):
            for label, worker in workers.items():
                rates[label].append(worker.run(args.calibration_seconds))
    finally:
        for worker in workers.values():
            worker.close()
    medians = {label: statistics.median(values) for label, values in rates.items()}
    return max(medians, key=medians.get), medians


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

    sides, rates = {}, {side: [] for side in commands}
    try:
        for side, command in commands.items():
            sides[side] = Worker(side, command, waiting[side], args.threads)
            sides[side].run(1.0, patience=300)  # warm-up
        for r in range(args.rounds):
            order = list(sides) if r % 2 == 0 else list(sides)[::-1]
            for side in order:
                rates[side].append(sides[side].run(args.seconds))
            print(f"  {net} round {r + 1}/{args.rounds}: " + ", ".join(f"{s} {rates[s][-1]:.0f}" for s in sides)
                  + f"  ratio {rates[other][-1] / rates['torch'][-1]:.3f}", file=sys.stderr)  # fmt: skip
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
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": ratios},
    }


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            return next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def write_json(path, value):
    partial = path + ".part"
    with open(partial, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1)
        f.write("\n")
        f.flush()
        os.fsync(f.fileno())
    os.replace(partial, path)


def positive(kind):
    def parse(text):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} must be greater than 0")
        return value

    return parse


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
        where = f"{args.threads} threads" if args.device == "cpu" else f"{args.device}, {args.precision}"
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
