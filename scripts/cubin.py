"""Reads NVIDIA machine code of compute capability 7.0 to 9.0 out of cubins and object files: kernels, instructions, source
lines, loops. A library for sass.py.

An instruction is 128 bits: opcode 0-11, guard 12-15, registers 16-23, 24-31, 32-39 and 64-71, width of a memory access 73-75,
a second guard of branches 87-90. A branch goes to next + offset / 4 instructions, signed: offset is bits 34-63, from 9.0 on
with bits 16-23 below them."""

import bisect
import collections
import re
import struct

NAMES = {
    0x202: "MOV", 0x207: "SEL", 0x208: "FSEL", 0x209: "FMNMX", 0x20a: "FSETP", 0x20b: "FSETP", 0x20c: "ISETP",
    0x210: "IADD3", 0x211: "LEA", 0x212: "LOP3", 0x213: "IABS", 0x216: "PRMT", 0x217: "IMNMX", 0x219: "SHF", 0x21c: "PLOP3",
    0x220: "FMUL", 0x221: "FADD", 0x223: "FFMA", 0x224: "IMAD", 0x225: "IMAD.WIDE", 0x227: "IMAD.HI", 0x228: "DMUL",
    0x229: "DADD", 0x22a: "DSETP", 0x22b: "DFMA", 0x231: "HFMA2", 0x235: "HFMA2", 0x236: "VIADDMNMX", 0x23c: "HMMA",
    0x23e: "F2FP", 0x23f: "DMMA", 0x245: "I2FP", 0x246: "VIMNMX", 0x248: "VIADD", 0x282: "UMOV", 0x287: "USEL",
    0x28c: "UISETP", 0x290: "UIADD3", 0x291: "ULEA", 0x292: "ULOP3", 0x296: "UPRMT", 0x299: "USHF", 0x29c: "UPLOP3",
    0x2a4: "UIMAD", 0x2a5: "UIMAD.WIDE", 0x2bd: "UFLO", 0x2ca: "R2UR", 0x300: "FLO", 0x302: "F2F", 0x304: "F2F", 0x305: "F2I",
    0x306: "I2F", 0x308: "MUFU", 0x30a: "POPC", 0x310: "F2F.64", 0x311: "F2I.64", 0x312: "I2F.64", 0x348: "WARPSYNC",
    0x386: "STG", 0x387: "STL", 0x388: "STS", 0x389: "SHFL", 0x38c: "ATOMS", 0x3c2: "R2UR", 0x589: "SHFL", 0x803: "P2R",
    0x804: "R2P", 0x805: "CS2R", 0x806: "VOTE", 0x83b: "LDSM", 0x886: "VOTEU", 0x908: "FENCE", 0x918: "NOP", 0x919: "S2R",
    0x91a: "DEPBAR", 0x91b: "WARPSYNC.SET", 0x941: "BSYNC", 0x942: "BREAK", 0x943: "CALL", 0x944: "CALL", 0x945: "BSSY",
    0x947: "BRA", 0x948: "WARPSYNC", 0x949: "BRX", 0x94a: "JMP", 0x94d: "EXIT", 0x950: "RET", 0x980: "LD", 0x981: "LDG",
    0x983: "LDL", 0x984: "LDS", 0x985: "ST", 0x986: "STG", 0x987: "STL", 0x988: "STS", 0x989: "SHFL", 0x98c: "ATOMS",
    0x98e: "RED", 0x9a8: "ATOMG", 0x9af: "LDGDEPBAR", 0x9c3: "S2UR", 0x9f0: "HGMMA", 0xab9: "ULDC", 0xb1d: "BAR",
    0xb82: "LDC", 0xf89: "SHFL", 0xfae: "LDGSTS"}  # fmt: skip
WIDTHS = (1, 1, 2, 2, 4, 8, 16, 16)  # bytes of a memory access, by bits 73-75
TENSOR = ("HGMMA", "HMMA", "DMMA")  # products on tensor cores
PRODUCTS = (*TENSOR, "DFMA", "FFMA", "HFMA2")


class Compressed(Exception):
    """Machine code that nvcc compressed."""


class BadFile(Exception):
    """What is wrong with a file, in one line."""


def name(word):
    op = word & 0xFFF
    # Bits 9-11 say where the second operand comes from; instructions of arithmetic have one number in bits 0-8.
    return NAMES.get(op) or NAMES.get(op & 0x1FF | 0x200, hex(op))


def width(word):
    return WIDTHS[word >> 73 & 7]


def target(word, at, arch):
    offset, bits = word >> 34 & (1 << 30) - 1, 30
    if int(re.sub(r"\D", "", arch)) >= 90:
        offset, bits = offset << 8 | word >> 16 & 255, 38
    return at + 1 + (offset - (offset >> bits - 1 << bits)) // 4


def guarded(word):
    """Whether an instruction may be skipped by a thread, or by all of a warp."""
    return word >> 12 & 15 != 7 or (word & 0xFFF == 0x947 and (word >> 87 & 15 != 7 or word >> 32 & 3 != 0))


def successors(code, at, arch):
    """Where control may go from an instruction. Where BRA.DIV leads, a warp whose threads have parted does one by one what
    they should do together: no part of the loop as it is meant to run."""
    op = name(code[at])
    after = [at + 1] if at + 1 < len(code) else []
    if op == "BRA":
        if code[at] >> 32 & 3 == 2:
            return after
        return [target(code[at], at, arch)] + (after if guarded(code[at]) else [])
    if op in ("EXIT", "RET", "BRX", "JMP"):
        return after if guarded(code[at]) else []
    return after


class Loop:
    """A natural loop: the instruction that starts it, the branches that close it, all that it consists of."""

    def __init__(self, kernel, head, closing, body):
        self.kernel, self.head, self.closing, self.body = kernel, head, sorted(closing), sorted(body)
        self.names = collections.Counter(name(kernel.code[i]) for i in self.body)
        self.inner = False  # holds no other loop

    def products(self):
        """What the loop multiplies with and how often a round, where that is its work: on tensor cores, or a quarter of it."""
        much = lambda p: self.names[p] >= (1 if p in TENSOR else len(self.body) / 4)  # noqa: E731
        return next(((p, self.names[p]) for p in PRODUCTS if much(p)), ("", 0))

    def loads(self):
        """Loads from global memory: bytes each -> how many."""
        wide = (width(self.kernel.code[i]) for i in self.body if name(self.kernel.code[i]) in ("LDG", "LDGSTS", "LD"))
        return dict(sorted(collections.Counter(wide).items(), reverse=True))

    def divergent(self):
        """Branches on which the threads of a warp may part: for each the compiler marks where they meet again."""
        return self.names["BSSY"]

    def line(self):
        return self.kernel.line(self.closing[-1])


class Kernel:
    def __init__(self, symbol, arch, release, registers, code, rows):
        self.symbol, self.arch, self.release, self.registers, self.code = symbol, arch, release, registers, code
        self.rows = sorted(rows)  # (instruction, file, line)

    def local(self):
        """Loads and stores of local memory: what registers had no room for, or arrays that are indexed."""
        return sum(name(word) in ("LDL", "STL") for word in self.code)

    def line(self, at):
        """'file:line' of the source, '' where the file holds none (-lineinfo)."""
        i = bisect.bisect(self.rows, (at, "￿", 0)) - 1
        return f"{self.rows[i][1]}:{self.rows[i][2]}" if i >= 0 else ""

    def loops(self):
        code = self.code
        for i, word in enumerate(code):
            if name(word) == "BRA" and not 0 <= (to := target(word, i, self.arch)) < len(code):
                raise BadFile(f"{self.symbol}: the branch at instruction {i} goes to {to}, expected 0 to {len(code) - 1}")
        after = [successors(code, i, self.arch) for i in range(len(code))]
        starts = sorted({0} | {s for i, to in enumerate(after) if to != [i + 1] for s in [*to, i + 1] if s < len(code)})
        block = {s: b for b, s in enumerate(starts)}
        ends = [*starts[1:], len(code)]
        next_of = [[block[s] for s in after[end - 1]] for end in ends]
        before = [[] for _ in starts]
        for b, to in enumerate(next_of):
            for s in to:
                before[s].append(b)
        dominators = self._dominators(next_of, before)
        bodies, closing = {}, {}
        for b, to in enumerate(next_of):
            for head in to:
                if dominators[b] is None or not dominators[b] >> head & 1:
                    continue
                body, open_ = bodies.setdefault(head, {head}), [b]
                while open_:
                    one = open_.pop()
                    if one not in body and dominators[one] is not None:
                        body.add(one)
                        open_ += before[one]
                closing.setdefault(head, []).append(ends[b] - 1)
        found = []
        for head, body in sorted(bodies.items()):
            loop = Loop(self, starts[head], closing[head], [i for b in body for i in range(starts[b], ends[b])])
            loop.inner = not any(other in body for other in bodies if other != head)
            found.append(loop)
        return found

    @staticmethod
    def _dominators(next_of, before):
        """For each block the set of blocks, as bits, that every way to it passes; None: no way leads to it."""
        order, seen, open_ = [], {0}, [(0, iter(next_of[0]))]
        while open_:
            b, rest = open_[-1]
            s = next((s for s in rest if s not in seen), None)
            if s is None:
                order.append(b)
                open_.pop()
            else:
                seen.add(s)
                open_.append((s, iter(next_of[s])))
        order.reverse()
        out = [None] * len(next_of)
        out[0], changed = 1, True
        while changed:
            changed = False
            for b in order[1:]:
                common = -1
                for p in before[b]:
                    if out[p] is not None:
                        common &= out[p]
                if out[b] != common | 1 << b:
                    out[b], changed = common | 1 << b, True
        return out

    def main_loop(self):
        """The innermost loop that works on tensor cores, else of the innermost loops one that loads, the one with most
        products, the longest; None: there is no loop."""
        loops = self.loops()
        tensor = [loop for loop in loops if loop.products()[0] in TENSOR]
        if tensor:
            loops = [loop for loop in tensor if not any(set(other.body) < set(loop.body) for other in tensor)]
        else:
            loops = [loop for loop in loops if loop.inner]
        return max(loops, key=lambda l: (bool(l.loads()), l.products()[1], len(l.body)), default=None)


def text_at(data, at):
    return data[at : data.index(b"\0", at)].decode("utf-8", "replace")


def read_elf(data):
    """The kernels of one ELF image of machine 190 (CUDA)."""
    (table,), (size, count, strings) = struct.unpack_from("<Q", data, 0x28), struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    sections = []
    for h in heads:
        body = b"" if h[1] == 8 else data[h[4] : h[4] + h[5]]
        if h[1] != 8 and len(body) != h[5]:
            raise BadFile("cut short: a section ends beyond the file")
        sections.append((text_at(data, heads[strings][4] + h[0]), body))
    by_name = dict(sections)
    note = by_name.get(".note.nv.tkinfo", b"")
    arch, release = re.search(rb"-arch (sm_\w+)", note), re.search(rb"release ([\d.]+)", note)
    if not arch or not release:
        raise BadFile("no note of its architecture and compiler, expected one of nvcc 12 or newer (.note.nv.tkinfo)")
    symbols = [struct.unpack_from("<IBBHQQ", by_name[".symtab"], i)[3] for i in range(0, len(by_name[".symtab"]), 24)]
    registers, rows = registers_by_section(by_name.get(".nv.info", b""), symbols), collections.defaultdict(list)
    if ".debug_line" in by_name:
        moved = {}
        for label, form in ((".rel.debug_line", "<QQ"), (".rela.debug_line", "<QQq")):
            for at, info, *_ in struct.iter_unpack(form, by_name.get(label, b"")):
                moved[at] = symbols[info >> 32]
        read_lines(by_name[".debug_line"], moved, rows)
    for i, (label, body) in enumerate(sections):
        if label.startswith(".text."):
            code = [low | high << 64 for low, high in struct.iter_unpack("<QQ", body)]
            yield Kernel(label[6:], arch[1].decode(), release[1].decode(), registers.get(i, 0), code, rows[i])


def registers_by_section(info, symbols):
    out, at = {}, 0
    while at + 4 <= len(info):
        form, kind, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form == 4:
            if kind == 0x2F:  # registers of a function
                symbol, count = struct.unpack_from("<II", info, at)
                out[symbols[symbol]] = count
            at += size
    return out


def read_lines(data, moved, rows):
    """DWARF 2's line programs: rows[section] += (instruction, file, line). moved: where an address stands -> its section."""
    start = 0
    while start + 15 <= len(data):
        length, version, header = struct.unpack_from("<IHI", data, start)
        if version > 4:
            raise BadFile(f"line table of DWARF {version}, expected 2 to 4")
        at = start + 10 + (version == 4)
        step, _, base, span, first = struct.unpack_from("<BBbBB", data, at)
        operands = data[at + 5 : at + 4 + first]
        at += 4 + first
        while data[at]:
            at = data.index(b"\0", at) + 1
        at, files = at + 1, [""]
        while data[at]:
            files.append(text_at(data, at))
            at = data.index(b"\0", at) + 1
            for _ in range(3):
                at = number(data, at)[1]
        run_lines(data, start + 10 + header, start + 4 + length, (step, base, span, first, operands, files), moved, rows)
        start += 4 + length


def number(data, at, signed=False):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value - (1 << shift) if signed and byte & 64 else value, at


def run_lines(data, at, end, head, moved, rows):
    step, base, span, first, operands, files = head
    section, address, file, line = None, 0, 1, 1
    while at < end:
        op, at = data[at], at + 1
        if op >= first:
            address += (op - first) // span * step
            line += base + (op - first) % span
            rows[section].append((address // 16, files[file], line))
        elif op == 0:
            size, at = number(data, at)
            if data[at] == 2:
                section, address = moved.get(at + 1), struct.unpack_from("<Q", data, at + 1)[0]
            elif data[at] == 1:
                section, address, file, line = None, 0, 1, 1
            at += size
        elif op == 1:
            rows[section].append((address // 16, files[file], line))
        elif op == 2:
            more, at = number(data, at)
            address += more * step
        elif op == 3:
            more, at = number(data, at, signed=True)
            line += more
        elif op == 4:
            file, at = number(data, at)
        elif op == 8:
            address += (255 - first) // span * step
        elif op == 9:
            address, at = address + struct.unpack_from("<H", data, at)[0], at + 2
        else:
            for _ in range(operands[op - 1]):
                at = number(data, at)[1]


def read_file(path):
    """The kernels in a cubin, or in an object file that nvcc wrote."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as e:
        raise BadFile(f"{path}: {e.strerror}") from None
    magic = b"\x50\xed\x55\xba"  # of a fat binary
    starts = [m.start() for m in re.finditer(b"\x7fELF\x02\x01", data) if data[m.start() + 18 : m.start() + 20] == b"\xbe\x00"]
    if not starts and magic in data:
        raise Compressed(f"{path}: its machine code is compressed; expected a build without --compress-mode (preset ci)")
    if not starts:
        raise BadFile(f"{path}: no machine code of CUDA in it; expected a cubin, or an object file of nvcc -lineinfo")
    try:
        return [kernel for start in starts for kernel in read_elf(data[start:])]
    except BadFile as e:
        raise BadFile(f"{path}: {e}") from None
    except (struct.error, IndexError, KeyError, ValueError) as e:
        raise BadFile(f"{path}: damaged or cut short, expected a whole cubin ({type(e).__name__}: {e})") from None
