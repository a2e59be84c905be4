#!/usr/bin/env python3
"""How long akin takes to end when one of two ranks is killed, stopped or cut off, and whether anything is lost.

Each try trains a small network on two ranks, does that to one of them (0 and 1 in turn) after its first checkpoint,
waits until every process is gone, counts half-written files (left), goes on with --resume in one process and counts
them again (then): the bytes must be those of a run that nothing happened to. `cut` starts the ranks by netns.sh, which
needs root; SIGKILL and SIGSTOP go to ranks under plain mpirun.

Exit code: 0 as it should be, 1 something was lost or no message named the rank, 2 wrong use.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
MARK = "AKIN_FAILURE_TRY"
FILES = ("model.safetensors", "log.jsonl")


def write_images(folder):
    """Bars that lie or stand, with noise, in the files that MNIST has."""
    chance = random.Random(1)
    folder.mkdir()
    for split, count in (("train", 256), ("t10k", 32)):
        images, labels = bytearray(), bytearray()
        for i in range(count):
            stands, place = i % 2, chance.randrange(12)
            labels.append(stands)
            for y in range(12):
                for x in range(12):
                    images.append(min(255, chance.randrange(60) + (195 if (x if stands else y) == place else 0)))
        (folder / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 0x803, count, 12, 12) + images)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, count) + labels)


def processes(mark):
    """Of a try, with their environment: {pid: bytes}."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"{MARK}={mark}".encode() in environment.split(b"\0"):
                found[int(entry.name)] = environment
    return found


def name_of(process):
    try:
        return pathlib.Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def rank_process(mark, rank):
    wanted = f"OMPI_COMM_WORLD_RANK={rank}".encode()
    for process, environment in processes(mark).items():
        if wanted in environment.split(b"\0") and name_of(process) == "akin":
            return process
    raise SystemExit(f"rank_failures.py: no process of rank {rank}")


class Try:
    def __init__(self, options, mode, number, work):
        self.options, self.mode, self.rank = options, mode, number % 2
        self.out = work / f"{mode}{number}"
        self.told, self.lines = None, []

    def train(self):
        return [self.options.akin, "train", "--data", self.options.data, "--width", "4", "--batch", "32", "--epochs",
                self.options.epochs, "--slices", "2", "--checkpoint-every", "5", "--threads", "1", "--out", self.out]

    def start(self):
        self.mark = uuid.uuid4().hex
        environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                           OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **{MARK: self.mark})
        if self.mode == "cut":
            launcher = [HERE / "netns.sh", "--linger", "5", "--delay", self.options.delay, "--loss", self.options.loss]
        else:
            launcher = ["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none"]
        command = launcher + self.train() + ["--rank-timeout", str(self.options.rank_timeout)]
        self.job = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                    stdin=subprocess.DEVNULL, text=True, env=environment)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.job.stderr:
            line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", line).strip()
            self.lines.append(line)
            # mpirun is on host 0: what it passes on is what rank 0 says, whichever host is cut off.
            names = f"rank {1 if self.mode == 'cut' else self.rank}" in line
            if self.told is None and self.begun and names and ("akin: " in line or "exited on signal" in line):
                self.told, self.message = time.monotonic() - self.begun, line

    def run(self):
        self.begun, self.message = None, ""
        self.start()
        try:
            self.watch()
        finally:
            if self.job.poll() is None:  # netns.sh removes its hosts
                self.job.terminate()
                self.job.wait()

    def watch(self):
        checkpoint = self.out / "checkpoint.safetensors"
        deadline = time.monotonic() + 120
        while not checkpoint.exists():
            if self.job.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("rank_failures.py: no checkpoint\n" + "\n".join(self.lines))
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.5))
        victim = rank_process(self.mark, self.rank)
        self.begun = time.monotonic()
        if self.mode == "cut":
            subprocess.run(["ip", "-n", f"akin{self.rank}", "link", "set", "eth0", "down"], check=True)
        else:
            os.kill(victim, signal.SIGKILL if self.mode == "dead" else signal.SIGSTOP)
        self.akin_ended = self.until(lambda p: name_of(p) == "akin")
        self.all_ended = self.until(lambda p: name_of(p) not in ("netns.sh", "python3", "ip", "sleep"))
        self.job.wait()
        self.reader.join()
        self.finished = (self.out / FILES[0]).exists()
        self.left = self.half_written()
        subprocess.run([str(c) for c in self.train()] + ["--resume"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS="1"))
        self.same = all((self.out / f).read_bytes() == (self.options.whole / f).read_bytes() for f in FILES)
        self.left_then = self.half_written()
        self.good = self.same and not self.left_then and not self.finished and bool(self.message)

    def half_written(self):
        """Of a writer that was killed there may be one, of a name that nobody reads, until akin writes there again."""
        return len(list(self.out.rglob("*.tmp")))

    def until(self, counts):
        """Seconds until no process of the try that counts is there; not for ever."""
        while any(counts(p) for p in processes(self.mark)):
            if time.monotonic() - self.begun > 150:
                return float("inf")
            time.sleep(0.02)
        return time.monotonic() - self.begun


def spread(values):
    return f"{min(values):.1f} / {statistics.median(values):.1f} / {max(values):.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--akin", default="akin", help="the program (akin of PATH)")
    parser.add_argument("--modes", default="dead,stopped,cut", help="some of dead, stopped, cut")
    parser.add_argument("--tries", type=int, default=10, help="of each (10)")
    parser.add_argument("--rank-timeout", type=float, default=2, help="akin's (2)")
    parser.add_argument("--delay", default="0", help="milliseconds, for cut (0)")
    parser.add_argument("--loss", default="0", help="per cent, for cut (0)")
    parser.add_argument("--epochs", type=int, default=150, help="of a run: long enough to be caught at work (150)")
    options = parser.parse_args()
    modes = options.modes.split(",")
    if not set(modes) <= {"dead", "stopped", "cut"} or options.tries < 1:
        parser.error("--modes are dead, stopped and cut, --tries a number from 1")
    options.akin = shutil.which(options.akin)
    if options.akin is None or shutil.which("mpirun") is None:
        parser.error("akin (--akin FILE) or mpirun is not there")
    options.akin = os.path.abspath(options.akin)
    if "cut" in modes and os.geteuid() != 0:
        parser.error("cut needs root")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        options.data, options.whole = work / "data", work / "whole0"
        write_images(options.data)
        subprocess.run([str(c) for c in Try(options, "whole", 0, work).train()], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, OMP_NUM_THREADS="1"))
        for mode in modes:
            print(f"\n{mode}\n{'try':>3} {'rank':>4} {'told s':>7} {'akin gone s':>11} {'all gone s':>10} {'left':>5} "
                  f"{'then':>5} {'resumed':>8}  message", flush=True)
            tries = []
            for number in range(options.tries):
                t = Try(options, mode, number, work)
                t.run()
                tries.append(t)
                good = good and t.good
                told = "-" if t.told is None else f"{t.told:.1f}"
                print(f"{number + 1:>3} {t.rank:>4} {told:>7} {t.akin_ended:>11.1f} {t.all_ended:>10.1f} "
                      f"{t.left:>5} {t.left_then:>5} {'early' if t.finished else 'same' if t.same else 'OTHER':>8}  "
                      f"{t.message or t.lines[-3:]}", flush=True)
            print(f"min / median / max: told {spread([t.told for t in tries if t.told is not None] or [0])}, akin gone "
                  f"{spread([t.akin_ended for t in tries])}, all gone {spread([t.all_ended for t in tries])} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
