#!/usr/bin/python3
"""Training speed of akin against PyTorch, measured side by side in one interleaved run.

    python3 bench/peers/step_vs_torch.py --akin build/ci/bin/bench_step
    python3 bench/peers/step_vs_torch.py --akin build/ci/bin/bench_step --root build/root-trixie --net mobilenet_v1:8@64

All sides run the same full training step on the same nets: forward with batch normalisation in training mode, mean
cross-entropy, backward, SGD with momentum 0.9 and weight decay 5e-4; random images made beforehand and rotated. Each side
lives in a process of its own. One works for a second while the others sleep in a read, then they change places; which side
starts changes every round. A slow minute of the machine therefore hits all sides, and the ratio of one round means more than
any single number. Reported: median images/s of each side, and the median, the smallest and the largest of the ratios
akin/PyTorch over the rounds.

--root: another Debian (scripts/debian_root.sh) with python3-torch; its PyTorch is one more side, and so is akin where it was
built there (/root/akin/build/release/bin/bench_step).

PyTorch has no fixed best way to run such a small net, so each of them is first tried in several (eager, traced or compiled,
channels_last or contiguous; then SGD plain, foreach or fused), interleaved and for a short while each, and the fastest one is
compared: with f32 its f32, with bf16 its autocast. Ways that fail there are left out and told. Then each side is tried with
several ways for its idle OpenMP threads to wait (spin or sleep) and keeps its best one. What was chosen is printed, and
--choices FILE keeps it for later runs. No side can disturb the others: the longest spin tried ends after some
milliseconds.

--control compares PyTorch with a second one; the spread of its ratio around 1 is the noise of the machine.
"""

import argparse
import json
import os
import shutil
import statistics
import sys

import torch_side
from taking_turns import WAITING, Worker, WorkerError, fastest, positive, row, spread, take_turns, write_json, write_results

HERE = os.path.dirname(os.path.abspath(__file__))
NETS = [*torch_side.CIFAR, *torch_side.IMAGENET, *torch_side.MOBILE, "kd28"]


def inside(root, command):
    """The command, run in the other Debian."""
    return [os.path.join(HERE, "../../scripts/debian_root.sh"), "enter", root, "/root", *command]


def torch_command(args, root, net, mode):
    memory, execution, sgd, precision = mode.split()
    side = "/root/torch_side.py" if root else os.path.join(HERE, "torch_side.py")
    command = ["/usr/bin/python3" if root else sys.executable, side, "--net", net, "--width", str(args.width), "--batch",
               str(args.batch), "--threads", str(args.threads), "--memory", memory, "--execution", execution, "--sgd", sgd,
               "--device", args.device, "--precision", precision]  # fmt: skip
    return inside(root, command) if root else command


def akin_command(args, root, spec):
    net, width, side = torch_side.parse_net(spec)
    program = args.akin_there if root else args.akin
    word = ["step"] if os.path.basename(program) == "akin_gpu" else []
    command = [program, *word, "--net", net, "--width", str(width or args.width),
               "--side", str(side), "--batch", str(args.batch), "--worker", "--device", args.device,
               "--precision", args.akin_precision or args.precision]  # fmt: skip
    return inside(root, command) if root else command


def torch_modes(args, net):
    """The ways in which PyTorch may do the same, as "memory execution sgd precision"; on a CPU SGD has its turn later."""
    if args.device == "cpu":
        precision = {"f32": "f32", "bf16": "autocast"}[args.precision]
        memories = ("channels_last",) if net == "kd28" else ("channels_last", "contiguous")
        executions = ("eager", "compile") if net == "kd28" else ("eager", "traced", "compile")
        return [f"{memory} {execution} plain {precision}" for memory in memories for execution in executions]
    if net == "kd28":
        executions = ("eager", "graph") if args.no_compile else ("eager", "graph", "compile+graph")
        return [f"channels_last {execution} fused f32" for execution in executions]
    kinds = ("autocast", "pure") if args.precision == "bf16" else ("f32",)
    executions = torch_side.EXECUTIONS[:1] + torch_side.EXECUTIONS[2:] if args.all_modes else ("graph", "compile+graph")
    executions = [e for e in executions if not (args.no_compile and e.startswith("compile"))]
    return [f"channels_last {execution} fused {kind}" for kind in kinds for execution in executions]


def torch_way(args, root, net):
    """(fastest mode, {mode: images/s}, {mode: why it failed})"""

    def tried(modes):
        commands = {mode: ("PyTorch", torch_command(args, root, net, mode), "spin 10000") for mode in modes}
        # On a card two at once may not have room.
        return fastest(args, commands, together=args.device == "cpu", patience=300)

    best, rates, failures = tried(torch_modes(args, net))
    if args.device == "cpu" and net != "kd28":
        memory, execution, _, precision = best.split()
        best, more, failed = tried([f"{memory} {execution} {sgd} {precision}" for sgd in ("plain", "foreach", "fused")])
        rates, failures = {**rates, **more}, {**failures, **failed}
    return best, rates, failures


def kept_choices(args):
    """What runs chose so far: {"net, precision, threads": {side: {"mode", "waiting"}}}."""
    if not args.choices or not os.path.exists(args.choices):
        return {}
    with open(args.choices, encoding="utf-8") as f:
        return json.load(f)


def keep_choice(args, key, side, choice):
    if args.choices:
        kept = kept_choices(args)
        kept.setdefault(key, {})[side] = choice
        write_json(args.choices, kept)


def compare(args, net):
    """The whole comparison on one net. Returns a dictionary for the table and the JSON file."""
    key = f"{net}, {args.precision}, {args.threads} threads"
    before = kept_choices(args).get(key, {})
    places = {"akin": ("akin", ""), "PyTorch": ("torch", "")}
    if args.control:
        places = {"PyTorch": ("torch", ""), "PyTorch again": ("torch", "")}
    if args.root:
        places["PyTorch there"] = ("torch", args.root)
        if os.path.exists(args.root + args.akin_there):
            places["akin there"] = ("akin", args.root)
    choices, commands = {}, {}
    for side, (kind, root) in places.items():
        choices[side] = dict(before.get(side, {}))
        if kind == "torch" and "mode" not in choices[side]:
            mode, rates, failures = torch_way(args, root, net)
            choices[side].update(mode=mode, mode_rates=rates, mode_failures=failures)
            keep_choice(args, key, side, choices[side])
        commands[side] = akin_command(args, root, net) if kind == "akin" else torch_command(args, root, net, choices[side]["mode"])
        if "waiting" not in choices[side]:
            choices[side]["waiting"], rates = "sleep", {}
            if args.device == "cpu":
                ways = {waiting: (side, commands[side], waiting) for waiting in WAITING}
                choices[side]["waiting"], rates, _ = fastest(args, ways, patience=300)
            choices[side]["waiting_rates"] = rates
            keep_choice(args, key, side, choices[side])
        print(f"  {net} {side}: {choices[side].get('mode', '')} {choices[side]['waiting']}", file=sys.stderr)

    def tell(r, rates):
        print(f"  {net} round {r + 1}/{args.rounds}: " + ", ".join(f"{s} {rates[s][-1]:.0f}" for s in workers), file=sys.stderr)

    workers = {}
    try:
        for side, command in commands.items():
            workers[side] = Worker(side, command, choices[side]["waiting"], args.threads)
            workers[side].run(1.0, patience=300)  # warm-up
        about = {side: worker.ask("about") for side, worker in workers.items()}
        rates = take_turns(workers, args.rounds, args.seconds, tell)
    finally:
        for worker in workers.values():
            worker.close()
    names = {side: name_of(args, places[side][0], side, about[side], choices[side]) for side in places}
    own = [s for s in places if places[s][0] == "akin"] or ["PyTorch again"]
    ratios = {f"{names[a]} / {names[b]}": [x / y for x, y in zip(rates[a], rates[b])]
              for a in own for b in places if b not in own}  # fmt: skip
    first = next(iter(ratios))
    return {
        "net": net, "choices": choices, "versions": {names[s]: about[s] for s in places},
        "rates": {names[s]: rates[s] for s in places}, "ratios": {name: spread(r) for name, r in ratios.items()},
        # The first pair, for tables of one: scripts/gpu_table.py.
        "own": first.split(" / ")[0], "other": first.split(" / ")[1], "ratio": spread(ratios[first]),
        "median": {names[s]: statistics.median(rates[s]) for s in places},
        "modes": {names[s]: choices[s].get("mode", "") for s in places},
    }  # fmt: skip


def name_of(args, kind, side, about, choice):
    """As the rows call a side: what it is, its version and its number format."""
    again = " again" if side.endswith("again") else ""
    if kind == "akin":
        return f"akin {args.akin_precision or args.precision} (oneDNN {about.get('oneDNN', 'none').removeprefix('oneDNN ')})"
    return f"PyTorch {about['PyTorch'].split('+')[0]} {choice['mode'].split()[-1]}{again}"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--akin", metavar="PATH", help="akin's bench_step, or akin_gpu, which has it as a word")
    parser.add_argument("--root", metavar="DIR", type=os.path.abspath, default="", help="another Debian, with its own PyTorch")
    parser.add_argument("--akin-there", default="/root/akin/build/release/bin/bench_step", help="akin's binary in --root")
    parser.add_argument("--control", action="store_true", help="compare PyTorch with itself: the noise of the machine")
    parser.add_argument("--net", action="append", metavar="NET[:WIDTH][@SIDE]",
                        help=f"of {', '.join(NETS)}; more than once for several; default: resnet8 and resnet20")
    parser.add_argument("--width", type=int, default=0, help="channels of the first stage where a net says none; 0: its own")
    parser.add_argument("--batch", type=positive(int), default=128)
    parser.add_argument("--threads", type=positive(int), default=2)
    parser.add_argument("--rounds", type=positive(int), default=12)
    parser.add_argument("--seconds", type=positive(float), default=1.0, help="of one side in one round")
    parser.add_argument("--calibration-rounds", type=positive(int), default=4)
    parser.add_argument("--calibration-seconds", type=positive(float), default=0.5)
    parser.add_argument("--choices", metavar="FILE", help="keep what was chosen in this file, and take it from there")
    parser.add_argument("--json", metavar="FILE", help="write all numbers to this file")
    parser.add_argument("--lines", metavar="FILE", help="add each net's numbers to this file as a line of JSON, when they are known")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="PyTorch in bf16: autocast (and all bf16 on a card)")
    parser.add_argument("--akin-precision", choices=("f32", "bf16"), help="akin's, where it is another")
    parser.add_argument("--all-modes", action="store_true", help="on a card: also PyTorch without graph")
    parser.add_argument("--no-compile", action="store_true", help="on a card: without torch.compile, which takes minutes")
    args = parser.parse_args()
    if bool(args.akin) == args.control:
        parser.error("give either --akin PATH (of bench_step) or --control")
    args.net = args.net or ["resnet8", "resnet20"]
    for net in args.net:
        if torch_side.parse_net(net)[0] not in NETS:
            parser.error(f"--net {net}: no such net; known are {', '.join(NETS)}")
    return args


def main():
    args = parse_arguments()
    load_before = os.getloadavg()[0]
    if args.device == "cpu" and load_before > 0.5:
        print(f"step_vs_torch: the machine is busy (load {load_before:.1f}); expect a wide spread", file=sys.stderr)
    rows, results = [], []
    try:
        if args.root:
            shutil.copy(os.path.join(HERE, "torch_side.py"), args.root + "/root/torch_side.py")
        for net in args.net:
            result = compare(args, net)
            results.append(result)
            if args.lines:
                with open(args.lines, "a", encoding="utf-8") as f:
                    f.write(json.dumps({"kind": "torch", "batch": args.batch, "compile": not args.no_compile, **result}) + "\n")
            for side, rates in result["rates"].items():
                rows.append(row(f"{net} batch {args.batch}: {side}", "images/s", rates))
                print(f"{net} batch {args.batch}, {args.threads} threads: {side}: {statistics.median(rates):.0f} images/s "
                      f"[{min(rates):.0f} .. {max(rates):.0f}] {result['modes'][side]}")  # fmt: skip
            for name, r in result["ratios"].items():
                rows.append(row(f"{net} batch {args.batch}: {name}", "times", r["rounds"]))
                print(f"{net}: {name}: {r['median']:.2f} [{r['min']:.2f} .. {r['max']:.2f}] over {args.rounds} rounds", flush=True)
    except (WorkerError, OSError) as error:
        print(f"step_vs_torch: {error}", file=sys.stderr)
        return 1
    if args.json:
        settings = {k: getattr(args, k) for k in ("device", "precision", "akin_precision", "width", "batch", "seconds")}
        write_results(args.json, args, "step_vs_torch", results[0]["versions"], rows, load_before, results=results, **settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
