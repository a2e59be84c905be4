"""scripts/gpu_suite.sh with programs that stand in for akin_gpu, nvidia-smi and ncu: what it keeps, what it tells, when it ends.

    check_gpu_suite.py                    these
    check_gpu_suite.py build/ci/bin       a rehearsal of some steps with the akin_gpu there, in the emulator"""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUITE = os.path.join(ROOT, "scripts", "gpu_suite.sh")

AKIN_GPU = r"""#!/usr/bin/env bash
lines=
for ((i = 1; i <= $#; ++i)); do [[ ${!i} == --lines ]] && { j=$((i + 1)); lines=${!j}; }; done
case $1 in
  --version) echo 'akin_gpu abc "1"' ;;
  list) printf 'alpha\nbeta\nconv2d\n' ;;
  test)
    if [[ $3 == beta ]]; then echo "beta \"is\" \\ wrong"; exit 1; fi
    [[ $3 != alpha ]] || sleep "${ALPHA:-0}" ;;
  bench)
    if [[ $2 == --list ]]; then [[ "$*" != *--filter* || "$*" == *"--filter conv2d"* ]]; exit; fi
    [[ $2 != --once ]] || exit 0
    for n in 1 2; do
      [[ -z $lines ]] ||
        echo '{"kind": "kernel", "name": "k'$n'", "graph": true, "own_us": {"median": 2}, "libraries": "'"$*"'"}' >> "$lines"
    done
    [[ -z ${HANG-} ]] || { echo $$ > "$HANG"; exec sleep 300; } ;;
  *) ;;
esac
"""
NVIDIA_SMI = "#!/bin/sh\necho 'NVIDIA Toy, 1.2, 345 MHz, 3201 MHz, 1980 MHz, 3201 MHz, 30, 70 W'\n"
NCU = r"""#!/usr/bin/env bash
for ((i = 1; i <= $#; ++i)); do [[ ${!i} == --log-file ]] && { j=$((i + 1)); log=${!j}; }; done
printf '==PROF== connected\n"ID","Metric Name"\n"0","Duration"\n' > "$log"
[[ -z ${NO_COUNTERS-} ]] || { echo '==ERROR== ERR_NVGPUCTRPERM' > "$log"; exit 1; }
"""

failures = 0


def check(what, right, found=""):
    global failures
    if not right:
        failures += 1
        print(f"check_gpu_suite: {what}: {found}", file=sys.stderr)


def program(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755)


def lines_of(out):
    with open(os.path.join(out, "results.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def items_of(out):
    return {(line["step"], line["item"]): line["result"] for line in lines_of(out) if line["kind"] == "item"}


def text_of(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def counted():
    """The comparisons that the suite has ncu look at."""
    return re.findall(r"'([a-z0-9]+: [^']+)'", text_of(SUITE).split("counted=(")[1].split(")\n")[0])


class Suite:
    """A folder with the programs that stand in."""

    def __init__(self, folder):
        self.folder, self.bin, self.count = folder, os.path.join(folder, "bin"), 0
        os.mkdir(self.bin)
        program(os.path.join(self.bin, "akin_gpu"), AKIN_GPU)
        program(os.path.join(self.bin, "nvidia-smi"), NVIDIA_SMI)
        program(os.path.join(self.bin, "ncu"), NCU)

    def start(self, *words, **environment):
        """(process, folder of its results)"""
        self.count += 1
        out = os.path.join(self.folder, f"out{self.count}")
        env = dict(os.environ, PATH=self.bin + ":" + os.environ["PATH"], **environment)
        return subprocess.Popen([SUITE, "--binaries", self.bin, "--out", out, *words], env=env, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True), out  # fmt: skip

    def run(self, *words, **environment):
        """(exit code, its words, folder)"""
        process, out = self.start(*words, **environment)
        said = process.communicate(timeout=120)[0]
        return process.returncode, said, out


def check_use(suite):
    code, said, _ = suite.run("--help")
    check("--help", code == 0 and "--steps LIST" in said, said)
    for words, wanted in ((["--steps", "0"], 'no step "0"; there are hello tests'), (["--steps", "2,build"], 'no step "build"'),
                          (["--limit", "soon"], "--limit soon: seconds"), (["--device", "tpu"], "cuda or sim"),
                          (["--filter"], "--filter needs a value"), (["--quick"], 'no option "--quick"'),
                          (["--jobs", "0"], "--jobs 0: a whole number")):  # fmt: skip
        code, said, out = suite.run(*words)
        check(words, code == 2 and wanted in said and said.count("\n") == 1 and not os.path.exists(out), said)
    code, said, _ = suite.run("--binaries", os.path.join(suite.folder, "nowhere"))
    check("no akin_gpu", code == 1 and "nowhere/akin_gpu: not there" in said and said.count("\n") == 1, said)
    program(os.path.join(suite.bin, "nvidia-smi"), "#!/bin/sh\nexit 9\n")
    code, said, _ = suite.run("--steps", "tests")
    check("no card", code == 1 and "no NVIDIA card answers here" in said and said.count("\n") == 1, said)
    program(os.path.join(suite.bin, "nvidia-smi"), NVIDIA_SMI)


def check_steps(suite):
    code, said, out = suite.run("--steps", "2,kernels")
    wanted = {("tests", "alpha"): "passed", ("tests", "beta"): "failed", ("tests", "conv2d"): "passed", ("kernels", "kernels"): "passed"}
    check("a failure stops nothing", code == 1 and items_of(out) == wanted, said)
    check("its words", 'beta "is" \\ wrong' in text_of(out, "failures.txt"), os.listdir(out))
    with tarfile.open(os.path.join(out, "logs.tar.gz")) as kept:
        check("its log alone is kept", [n for n in kept.getnames() if n.endswith(".log")] == ["logs/tests-beta.log"], kept.getnames())
    page = text_of(out, "README.md")
    check("the page", "# NVIDIA Toy, " in page and "| k2 | 2 |" in page and "tests: beta: failed" in page, page)
    check("the card's state, before each step and at the end", len([1 for x in lines_of(out) if x["kind"] == "card"]) == 3)

    code, said, out = suite.run("--steps", "tests,training,pytorch,4", "--filter", "conv2d")
    items = items_of(out)
    check("--filter", code == 0 and items[("tests", "conv2d")] == "passed" and ("tests", "beta") not in items, said)
    check("--filter, nothing of a step", items[("training", "all")] == "skipped", items)
    kernels = [x for x in lines_of(out) if x["kind"] == "kernel"]
    check("--filter reaches bench", len(kernels) == 2 and "--filter conv2d --no-vendor" in kernels[0]["libraries"], kernels)

    code, said, again = suite.run("--steps", "tests", "--filter", "beta", "--out", out)
    check("a second run adds to the first", ("kernels", "kernels") in items_of(out) and items_of(out)[("tests", "beta")] == "failed", again)
    code, said, _ = suite.run("--steps", "tests", "--filter", "alpha", "--out", out)
    check("an earlier failure is not this run's", code == 0, said)

    code, said, out = suite.run("--steps", "6")
    names = re.findall(r'^"([^"]+)","0","Duration"$', text_of(out, "counters.csv"), re.MULTILINE)
    check("counters", code == 0 and names == counted(), said)
    code, said, out = suite.run("--steps", "6", NO_COUNTERS="1")
    check("no right to counters", items_of(out).get(("counters", "all others")) == "skipped" and len(items_of(out)) == 2, said)


def check_ends(suite):
    code, said, out = suite.run("--steps", "tests,kernels", "--limit", "8", "--jobs", "1", ALPHA="60")
    items = items_of(out)
    check("--limit", code == 1 and items[("tests", "alpha")] == "failed" and items[("tests", "conv2d")] == "not run" and
          items[("kernels", "all")] == "not run", said)  # fmt: skip

    for words, environment in ((["--steps", "4,2"], {}), (["--steps", "tests", "--jobs", "2"], {"ALPHA": "200"})):
        hang = os.path.join(suite.folder, "hang")
        process, out = suite.start(*words, HANG=hang, **environment)
        wait_for = (lambda: os.path.exists(hang)) if not environment else (lambda: ("tests", "conv2d") in items_of(out))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.1)
            if os.path.exists(os.path.join(out, "results.jsonl")) and wait_for():
                break
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
        items, page = items_of(out), text_of(out, "README.md")
        check("SIGTERM", process.returncode == 1 and "It was cut off." in page, said)
        if environment:
            check("SIGTERM among several", items[("tests", "alpha")] == "not run" and items[("tests", "conv2d")] == "passed", items)
        else:
            check("SIGTERM keeps the lines", "| k2 | 2 |" in page and items == {("kernels", "kernels"): "not run"}, items)
            check("SIGTERM ends the program", not os.path.exists(f"/proc/{text_of(hang).strip()}"))


def check_real(binaries):
    gpu = os.path.join(binaries, "akin_gpu")
    listed = subprocess.run([gpu, "bench", "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    check("twelve for ncu", len(counted()) == 12, counted())
    for name in counted():
        check(f"ncu: {name}", len([x for x in listed if name in x]) == 1, listed)
    for words, wanted in ((["test", "--file", "nothing"], "--file nothing: no such file of tests"), (["tests"], 'no word "tests"'),
                          (["list", "all"], "list all: not understood"), (["bench", "--list", "--filter", "x y"], "--filter x y: nothing")):  # fmt: skip
        done = subprocess.run([gpu, *words], capture_output=True, text=True, check=False)
        check(words, done.returncode == 2 and wanted in done.stderr and done.stderr.count("\n") == 1, done)
    with tempfile.TemporaryDirectory() as out:
        for words in (["--steps", "hello,3,training,6"], ["--steps", "tests", "--filter", "concat"]):
            done = subprocess.run([SUITE, "--device", "sim", "--binaries", binaries, "--out", out, "--limit", "500", *words],
                                  env=dict(os.environ, OMP_NUM_THREADS="1"), capture_output=True, text=True, check=False)  # fmt: skip
            check(words, done.returncode == 0, done.stderr + (text_of(out, "failures.txt") if done.returncode else ""))
        check("rehearsal", items_of(out)[("tests", "concat")] == "passed", items_of(out))
        kinds = [line["kind"] for line in lines_of(out)]
        check("rehearsal, lines", kinds.count("constant") == 23 and kinds.count("losses") == 2 and kinds.count("step") == 2, kinds)
        values = {line["value"] for line in lines_of(out) if line["kind"] == "constant"}
        check("the emulator's times are no constants", values == {None}, values)
        check("the page says so", "A rehearsal" in text_of(out, "README.md"))


def main():
    if len(sys.argv) == 2:
        check_real(os.path.abspath(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            suite = Suite(folder)
            check_use(suite)
            check_steps(suite)
            check_ends(suite)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
