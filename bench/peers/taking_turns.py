"""Two sides of a comparison in two processes that take turns: one works while the other sleeps in a read.

A worker reads lines from stdin and answers on stdout:
    run <seconds>    -> {"images": n, "seconds": s}     whole pieces of work for at least that long
    about            -> {"oneDNN": "2.6.3", ...}        what is at work
    quit             -> ends
"""

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import tempfile
import time

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


def fastest(args, candidates, together=True, patience=120):
    """candidates: {label: (name, command, waiting)}. Runs them in turns, or one after the other where they would not fit
    beside each other. Returns the best label, all medians (images/s), and {label: its words} of those that failed."""
    workers, rates, failures = {}, {}, {}

    def start(label):
        try:
            name, command, waiting = candidates[label]
            workers[label] = Worker(name, command, waiting, args.threads)
            workers[label].run(0.3, patience)  # warm-up; compiles
            rates[label] = []
        except WorkerError as error:
            failures[label] = str(error).strip().splitlines()[-1]  # of a traceback: what went wrong, not where files lie
            print(f"  {label}: left out, it fails: {str(error).splitlines()[-1]}", file=sys.stderr)

    def measure(labels):
        for _ in range(args.calibration_rounds):
            for label in labels:
                rates[label].append(workers[label].run(args.calibration_seconds))

    try:
        for label in candidates:
            start(label)
            if not together and label in rates:
                measure([label])
                workers[label].close()
        if together:
            measure(list(rates))
    finally:
        for worker in workers.values():
            worker.close()
    if not rates:
        raise WorkerError(f"all ways failed; the last: {list(failures.values())[-1]}")
    medians = {label: statistics.median(values) for label, values in rates.items()}
    return max(medians, key=medians.get), medians, failures


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


def row(name, unit, rounds, higher_is_better=True):
    return {"name": name, "unit": unit, "better": "higher" if higher_is_better else "lower",
            "median": statistics.median(rounds), "rounds": rounds}  # fmt: skip


def write_results(path, args, program, versions, rows, load_before, **details):
    """A result file as bench/result_file.hpp has it: bench_compare reads it."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_json(path, {"kind": "akin benchmark", "program": program, "date": date, "processor": cpu_name(),
                      "processors": os.cpu_count(), "threads": args.threads, "versions": versions, "load_before": load_before,
                      "load_after": os.getloadavg()[0], "rows": rows, **details})  # fmt: skip


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
