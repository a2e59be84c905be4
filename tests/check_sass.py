"""Whether scripts/sass.py reads machine code right: words made by hand, and two cubins of tests/sass/loop.cu, whose answers the
source and ptxas know. Every check is shown to fail on code, or with a reader, that is wrong in one place.

    python3 tests/check_sass.py"""

import contextlib
import io
import os
import pathlib
import struct
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import cubin  # noqa: E402
import sass  # noqa: E402

PT = 7  # the guard that is always true
SOURCE = (ROOT / "tests/sass/loop.cu").read_text().splitlines()


def word(op, guard=PT, wide=0):
    return op | guard << 12 | wide << 73 | PT << 87


def branch(offset, arch, guard=PT):
    """BRA over `offset` instructions, from the next one."""
    steps = 4 * offset
    if arch == "sm_80":
        return word(0x947, guard) | (steps & (1 << 30) - 1) << 34
    return word(0x947, guard) | (steps >> 8 & (1 << 30) - 1) << 34 | (steps & 255) << 16


HMMA, LDG16, LDG4, LDGSTS16, IADD3, BSSY, EXIT = (
    word(0x23C), word(0x981, wide=6), word(0x981, wide=4), word(0xFAE, wide=6), word(0x210), word(0x945), word(0x94D))  # fmt: skip


def by_hand(arch, code):
    return cubin.Kernel("by_hand", arch, "13.0", 1, code, [(0, "a.cu", 3), (4, "a.cu", 7), (9, "b.cuh", 9)])


def program(arch):
    """Two loops, one within the other, and part of the inner one behind both."""
    return [
        IADD3,
        IADD3,  # 1: the outer loop
        IADD3,  # 2: the inner loop
        LDG16,
        LDG4,
        LDGSTS16,
        BSSY,
        branch(5, arch, guard=0),  # 7: to 13, and from there back to 8
        HMMA,
        branch(-8, arch, guard=1),  # 9: to 2
        branch(-10, arch, guard=2),  # 10: to 1
        EXIT,
        branch(-1, arch),  # 12: to itself, unreachable
        HMMA,
        branch(-7, arch),  # 14: to 8
    ]


def hand_made(arch):
    kernel = by_hand(arch, program(arch))
    outer, inner = kernel.loops()
    assert (outer.head, outer.closing, outer.inner) == (1, [10], False), (outer.head, outer.closing)
    assert outer.body == [*range(1, 11), 13, 14], outer.body
    assert (inner.head, inner.closing, inner.inner) == (2, [9], True), (inner.head, inner.closing)
    assert inner.body == [*range(2, 10), 13, 14], inner.body
    assert kernel.main_loop().head == 2 and inner.products() == ("HMMA", 2), inner.products()
    assert inner.loads() == {16: 2, 4: 1} and inner.divergent() == 1, inner.loads()
    assert [kernel.line(i) for i in (0, 3, 4, 9)] == ["a.cu:3", "a.cu:3", "a.cu:7", "b.cuh:9"]


def compiled(arch, registers):
    """registers: of both kernels, as ptxas -v told."""
    kernels = {k.symbol: k for k in cubin.read_file(ROOT / f"tests/sass/loop.{arch}.cubin")}
    loop, straight = kernels["loop"], kernels["straight"]
    assert (loop.registers, straight.registers) == registers, (loop.registers, straight.registers)
    assert loop.arch == arch and loop.release == "13.0" and loop.local() == 0
    assert straight.main_loop() is None
    main = loop.main_loop()
    outer, middle, inner = loop.loops()
    assert set(inner.body) < set(middle.body) < set(outer.body) and middle.head == main.head and inner.inner
    for one, text in ((outer, "i < rounds"), (middle, "// main loop"), (inner, "k < a")):
        assert text in SOURCE[int(one.line().split(":")[1]) - 1], one.line()
    assert main.products() == ("HMMA", 3) and main.loads() == {16: 1, 4: 1} and main.divergent() == 1, main.names
    assert main.names["STG"] == inner.names["STG"] == 1 and inner.products() == ("", 0), main.names


def fails(check, *arguments):
    try:
        check(*arguments)
    except (AssertionError, cubin.BadFile, ValueError, IndexError, KeyError):
        return True
    return False


@contextlib.contextmanager
def planted(owner, **wrong):
    kept = {key: getattr(owner, key) for key in wrong}
    for key, value in wrong.items():
        setattr(owner, key, value)
    yield
    for key, value in kept.items():
        setattr(owner, key, value)


def everything():
    for arch in ("sm_80", "sm_90a"):
        hand_made(arch)
    compiled("sm_80", (22, 8))
    compiled("sm_90a", (22, 10))


def mutants():
    """Readers that are wrong in one place; none may pass."""
    target, guarded, number, successors = cubin.target, cubin.guarded, cubin.number, cubin.successors
    yield "branches one too far", cubin, {"target": lambda *a: target(*a) + 1}
    yield "branches of 8.0 read as of 9.0", cubin, {"target": lambda w, i, _: target(w, i, "sm_90a")}
    yield "branches of 9.0 read as of 8.0", cubin, {"target": lambda w, i, _: target(w, i, "sm_80")}
    yield "guards of branches not seen", cubin, {"guarded": lambda _: False}
    yield "all is guarded", cubin, {"guarded": lambda w: guarded(w) or True, "successors": lambda c, i, a: [*successors(c, i, a), i]}
    yield "widths one off", cubin, {"width": lambda w: cubin.WIDTHS[w >> 72 & 7]}
    yield "numbers without sign", cubin, {"number": lambda d, i, signed=False: number(d, i)}
    yield "no names of loads", cubin, {"NAMES": {op: n for op, n in cubin.NAMES.items() if n != "LDG"}}
    yield "HMMA under another number", cubin, {"NAMES": {**cubin.NAMES, 0x23C: "IMAD", 0x224: "HMMA"}}
    yield "all loops counted as inner", cubin.Kernel, {"main_loop": lambda k: k.loops()[0]}


def told(*arguments):
    """What sass.py prints and returns."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), planted(sys, argv=["sass.py", *map(str, arguments)]):
        try:
            status = sass.main()
        except SystemExit as e:
            status = e.code
    return status, out.getvalue()


def command(folder):
    """The table, its page and the comparison."""
    mine, old = ROOT / "tests/sass/loop.sm_90a.cubin", folder / "old.cubin"
    os.environ["PATH"] += os.pathsep + "/usr/bin"
    with planted(sass, TABLE=str(folder / "sass.csv"), PAGE=str(folder / "sass.md")):
        assert told("--write", mine)[0] == 0
        assert told("--check", mine)[0] == 0
        table = (folder / "sass.csv").read_text()
        row = next(line for line in table.splitlines() if line.startswith("loop,loop,"))
        assert ",3,HMMA," in row and ",1x16 1x4,1" in row and "| 3 HMMA |" in (folder / "sass.md").read_text(), row

        def check(text):
            (folder / "sass.csv").write_text(text)
            return told("--check", mine)

        wider, registers = row.replace("1x16 1x4", "2x16"), row.replace("loop,22,", "loop,21,")
        for wrong, verdict in ((wider, "worse"), (registers, "worse"), (row.replace("loop,22,", "loop,23,"), "better"),
                               (row.replace("1x16 1x4,1", "1x16 1x4,0"), "worse"), (row.replace("loop,loop", "loop,gone"), "new"),
                               (row.replace("1x16 1x4", "1x16 2x4"), "better")):  # fmt: skip
            assert wrong != row
            status, text = check(table.replace(row, wrong))
            assert status == 1 and f"{verdict}: loop.cu: loop" in text, (wrong, status, text)
        assert check(table.replace("nvcc 13.0", "nvcc 12.9"))[0] == 77
        assert told("--check", ROOT / "tests/sass/loop.sm_80.cubin")[0] == 77

        # One word of the loop is another one.
        (folder / "sass.csv").write_text(table)
        data = bytearray(mine.read_bytes())
        hmma = struct.pack("<H", word(0x23C) & 0xFFFF)
        at = next(i for i in range(0, len(data) - 16, 16) if data[i : i + 2] == hmma)
        data[at : at + 2] = struct.pack("<H", word(0x918) & 0xFFFF)
        (folder / "loop.cubin").write_bytes(data)
        status, text = told("--check", folder / "loop.cubin")
        assert status == 1 and "worse: loop.cu: loop: products 3 -> 2, each" in text, text

        old.write_bytes(mine.read_bytes()[:3000])
        for arguments, words in (((folder / "none.o",), "none.o: No such file"), ((__file__,), "no machine code of CUDA in it"),
                                 ((old,), "cut short"), ((mine, "--arch", "sm_70"), "no kernel for sm_70, but for sm_90a"),
                                 ((folder / "empty",), "No such file")):  # fmt: skip
            status, text = told(*arguments)
            assert words in f"{status}" and "\n" not in f"{status}", (arguments, status)
        (folder / "empty").mkdir()
        assert "no .cu.o or .cubin below it" in told(folder / "empty")[0]
        (folder / "sass.csv").write_text("kernel,registers\n")
        assert "expected '# sm_90a, nvcc 13.0'" in told("--check", mine)[0]


def committed():
    """The page is the one that the committed table gives."""
    arch, release, rows = sass.read_table(sass.TABLE)
    assert "".join(sass.page(arch, release, rows.values())) == pathlib.Path(sass.PAGE).read_text(encoding="utf-8"), (
        "docs/sass.md is not what kernels/sass.csv gives: scripts/sass.py --write build/ci")


def main():
    everything()
    for what, owner, wrong in mutants():
        with planted(owner, **wrong):
            assert fails(everything), f"not noticed: {what}"
    with tempfile.TemporaryDirectory() as folder:
        command(pathlib.Path(folder))
    committed()
    print("machine code is read as it should be")


if __name__ == "__main__":
    main()
