"""Two sides of a comparison in two processes that take turns: one works while the other sleeps in a read.

A worker reads lines from stdin and answers on stdout:
    run <seconds>    -> {"images": n, "seconds": s}     whole pieces of work for at least that long
    quit             -> ends
"""

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import tempfile

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

    def ask(self, order, patience=120):
        """Sends a line; returns the JSON object that answers it."""
        try:
            self.process.stdin.write(order + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail("ended before it was asked")
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self._fail("ended without an answer" if ready else "does not answer")
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):
            self._fail(f"answered {line.strip()[:120]!r} where a line of JSON was expected")

    def run(self, seconds, patience=120):
        """Lets the side work for `seconds`; returns images per second. What it said stays in `answer`."""
        self.answer = self.ask(f"run {seconds}", seconds * 10 + patience)
        try:
            images, elapsed = int(self.answer["images"]), float(self.answer["seconds"])
        except (ValueError, KeyError, TypeError):
            self._fail(f"answered {str(self.answer)[:120]!r} where images and seconds were expected")
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


def take_turns(sides, rounds, seconds, each_round=lambda r, rates: None):
    """sides: {name: Worker}; who starts changes every round. Returns {name: [images per second of every round]}."""
    rates = {name: [] for name in sides}
    for r in range(rounds):
        for name in list(sides) if r % 2 == 0 else list(sides)[::-1]:
            rates[name].append(sides[name].run(seconds))
        each_round(r, rates)
    return rates


def spread(ratios):
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": ratios}


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
