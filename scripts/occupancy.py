#!/usr/bin/env python3
"""Whether a block of every CUDA kernel fits a multiprocessor: scripts/occupancy.py [--table] FOLDER|OBJECT...

Reads what ptxas said of each kernel (<object>.ptxas, see cmake/nvcc_gate.sh; all of them below a folder) and its launch
bound from the machine code in the object. A kernel without __launch_bounds__ may be started with 1024 threads, the most
there are. --table prints how many blocks of a kernel a multiprocessor holds. Shared memory given at launch is checked by
the emulator. Exit code: 0 all fit, 1 one does not or nothing was found, 2 wrong use."""

import glob
import os
import re
import struct
import sys

MOST_THREADS, STATIC_SHARED = 1024, 48 << 10  # of a block
REGISTERS, WARPS, BLOCKS = 64 << 10, 64, 32  # of a multiprocessor, compute capability 8.0 and 9.0
SHARED = {80: 164 << 10, 90: 228 << 10}  # the same; a block takes 1 KiB besides its own
MAX_THREADS = 0x0504  # attribute of a kernel: EIATTR_MAX_THREADS, with a length


def bounds(path):
    """(kernel, 90) -> threads of its launch bound, of all machine code in an object file."""
    with open(path, "rb") as f:
        data = f.read()
    found = {}
    for start in (m.start() for m in re.finditer(b"\x7fELF\x02\x01", data)):
        elf = data[start:]
        if struct.unpack_from("<H", elf, 18)[0] != 190:  # EM_CUDA
            continue
        arch = struct.unpack_from("<I", elf, 48)[0] >> 8 & 255
        table, (size, count, names) = struct.unpack_from("<Q", elf, 40)[0], struct.unpack_from("<HHH", elf, 58)
        sections = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
        for name_at, _, _, _, at, length in sections:
            name_at += sections[names][4]
            name = elf[name_at : elf.index(0, name_at)].decode()
            if not name.startswith(".nv.info."):
                continue
            key, end = (name.removeprefix(".nv.info."), arch), at + length
            found[key] = MOST_THREADS
            while at < end:
                kind, value = struct.unpack_from("<HH", elf, at)
                if kind == MAX_THREADS:
                    x, y, z = struct.unpack_from("<III", elf, at + 4)
                    found[key] = x * y * z
                at += 4 + (value if kind & 255 == 4 else 0)  # 4: `value` is a length
    return found


def usage(path):
    """(kernel, 90) -> (registers of a thread, static shared memory of a block)."""
    found, key = {}, None
    with open(path, encoding="utf-8") as f:
        for line in f:
            if m := re.search(r"entry function '(\S+)' for 'sm_(\d+)", line):
                key = m[1], int(m[2])
            elif m := re.search(r"Used (\d+) registers(?:.* (\d+) bytes smem)?", line):
                found[key] = int(m[1]), int(m[2] or 0)
    return found


def resident(threads, registers, shared, arch):
    """Blocks that a multiprocessor holds at once. Registers are given out to warps in units of 256."""
    warps = (threads + 31) // 32
    by_registers = REGISTERS // (-(-registers * 32 // 256) * 256) // warps
    return min(BLOCKS, WARPS // warps, by_registers, SHARED.get(arch, max(SHARED.values())) // (shared + 1024))


def main(arguments):
    table = arguments[:1] == ["--table"]
    places = arguments[table:]
    if not places or places[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if places else 2
    objects = [o for p in places for o in (glob.glob(f"{p}/**/*.cu.o", recursive=True) if os.path.isdir(p) else [p])]
    kernels, bad = 0, 0
    for path in sorted(o for o in objects if os.path.exists(o + ".ptxas")):
        bound = bounds(path)
        for (kernel, arch), (registers, shared) in usage(path + ".ptxas").items():
            kernels += 1
            if (kernel, arch) not in bound:
                print(f"{path}: {kernel}: ptxas made it for sm_{arch}, the object holds no such code; build it again")
                bad += 1
                continue
            threads = bound[kernel, arch]
            blocks = resident(threads, registers, shared, arch)
            if table:
                print(f"{blocks:2} blocks of {threads:4} threads, {registers:3} registers, {shared:5} B  sm_{arch}  {kernel}")
            if blocks == 0 or shared > STATIC_SHARED:
                print(f"{path}: {kernel} on sm_{arch}: no block of {threads} threads with {registers} registers and {shared} "
                      f"bytes of shared memory fits; give it __launch_bounds__, or smaller ones")  # fmt: skip
                bad += 1
    if kernels == 0:
        print(f"occupancy.py: no *.cu.o with a *.ptxas beside it in {', '.join(places)}; build with CUDA first (AKIN_CUDA=ON)")
        return 1
    print(f"{kernels} kernels, {bad} do not fit")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
