"""Odd image files for check_images.py: every kind of PNG, JPEG and BMP that there is, and what breaks them.

Files are written by hand here where Pillow writes no such file. encode_* return bytes.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def drawn(height, width, channels=3, seed=0):
    """Smooth colours with a little noise, u8 [H, W, C]."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    wave = 127 + 90 * np.sin(0.11 * x + c + seed) * np.cos(0.09 * y - c)
    noise = np.random.default_rng(seed).uniform(-8, 8, wave.shape)
    return np.clip(wave + noise, 0, 255).astype(np.uint8)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# --- PNG ------------------------------------------------------------------------------------------------------------

ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a colour type


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(values, bits, filters):
    """Rows of [H, W, samples] as PNG stores them, each with the next of the filter types."""
    out, before = bytearray(), None
    step = max(1, values.shape[2] * bits // 8)
    for y, row in enumerate(values.reshape(values.shape[0], -1)):
        if bits == 16:
            line = row.astype(">u2").tobytes()
        elif bits == 8:
            line = row.astype(np.uint8).tobytes()
        else:
            line = np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)).tobytes()
        up = before if before is not None else bytes(len(line))
        left = bytes(step) + line[:-step] if len(line) > step else bytes(len(line))
        corner = (bytes(step) + up[:-step] if len(line) > step else bytes(len(line)))
        kind = filters[y % len(filters)]
        out.append(kind)
        for i, v in enumerate(line):
            a, b, c = left[i], up[i], corner[i]
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            out.append((v - [0, a, b, (a + b) // 2, paeth][kind]) & 255)
        before = line
    return bytes(out)


def encode_png(values, colour, bits, interlaced=False, before=(), after=(), filters=(0, 1, 2, 3, 4), parts=1):
    """values [H, W, samples] below 2^bits; `before` and `after` are chunks around the pixels, in `parts` chunks."""
    h, w, _ = values.shape
    if interlaced:
        cuts = [values[y::dy, x::dx] for y, x, dy, dx in ADAM7]
        raw = b"".join(packed_rows(c, bits, filters) for c in cuts if c.shape[0] and c.shape[1])
    else:
        raw = packed_rows(values, bits, filters)
    data = zlib.compress(raw)
    cut = -(-len(data) // parts)
    header = struct.pack(">IIBBBBB", w, h, bits, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before)
            + b"".join(chunk(b"IDAT", data[i:i + cut]) for i in range(0, len(data), cut))
            + b"".join(after) + chunk(b"IEND"))


def png_of(colour, bits, h=19, w=23, seed=0, **options):
    """A drawn picture of that kind; a palette of all 2^bits colours where it has one."""
    values = drawn(h, w, SAMPLES[colour], seed).astype(np.uint32)
    values = values * 257 + 131 * seed if bits == 16 else values >> (8 - bits)
    if colour == 3:
        table = np.random.default_rng(seed).integers(0, 256, 3 << bits, dtype=np.uint8)
        options["before"] = [chunk(b"PLTE", table.tobytes()), *options.get("before", ())]
    return encode_png(values & ((1 << bits) - 1), colour, bits, **options)


def animated(h=12, w=17):
    first, second = drawn(h, w, 3, 1), drawn(h, w, 3, 2)
    control = lambda n: chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, w, h, 0, 0, 1, 10, 0, 0))
    later = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(packed_rows(second.astype(int), 8, (0,))))
    return encode_png(first.astype(np.uint32), 2, 8, before=[chunk(b"acTL", struct.pack(">II", 2, 0)), control(0)],
                      after=[control(1), later])


# --- JPEG -----------------------------------------------------------------------------------------------------------

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def segments(jpeg):
    """{marker: [data, ...]} up to the first scan."""
    at, out = 2, {}
    while jpeg[at + 1] != 0xDA:
        n = struct.unpack(">H", jpeg[at + 2:at + 4])[0]
        out.setdefault(jpeg[at + 1], []).append(jpeg[at + 4:at + 2 + n])
        at += 2 + n
    return out


def standard_tables():
    """T.81's Huffman tables, as Pillow writes them: {class and number: (counts, values)}."""
    found = {}
    for data in segments(saved(Image.fromarray(drawn(16, 16)), "JPEG"))[0xC4]:
        while data:
            n = sum(data[1:17])
            found[data[0]] = (data[1:17], data[17:17 + n])
            data = data[17 + n:]
    return found


TABLES = standard_tables()


def codes_of(table):
    counts, values = TABLES[table]
    codes, code, at = {}, 0, 0
    for length, n in enumerate(counts, 1):
        for v in values[at:at + n]:
            codes[v] = format(code, f"0{length}b")
            code += 1
        at += n
        code <<= 1
    return codes


DC, AC = codes_of(0x00), codes_of(0x10)


def bits_of(v):
    n = int(abs(v)).bit_length()
    return "" if v == 0 else format(v if v > 0 else v + (1 << n) - 1, f"0{n}b")


def ac_bits(block):
    text, zeros = "", 0
    for v in block[1:]:
        if v == 0:
            zeros += 1
            continue
        while zeros > 15:
            text += AC[0xF0]
            zeros -= 16
        text += AC[zeros << 4 | int(abs(v)).bit_length()] + bits_of(v)
        zeros = 0
    return text + (AC[0] if zeros else "")


def dct_blocks(plane, step):
    """Quantised coefficients in zigzag order, [rows, columns, 64], of a plane whose sides are multiples of 8."""
    k = np.arange(8)
    m = np.sqrt(np.where(k == 0, 1, 2) / 8)[:, None] * np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / 16)
    blocks = plane.reshape(plane.shape[0] // 8, 8, plane.shape[1] // 8, 8).transpose(0, 2, 1, 3) - 128.0
    return np.rint(m @ blocks @ m.T / step).astype(int).reshape(*blocks.shape[:2], 64)[..., ZIGZAG]


def encode_jpeg(planes, sampling, ids=None, restart=0, progressive=False, interleaved=True, marks=(), step=3,
                leave_out=(), size=None):
    """planes: list of u8 [H, W] at full size; sampling: (h, v) of each. `marks` are segments behind the first mark."""
    height, width = planes[0].shape
    ids = ids or list(range(1, len(planes) + 1))
    hmax, vmax = max(h for h, _ in sampling), max(v for _, v in sampling)
    blocks, own = [], []
    for plane, (h, v) in zip(planes, sampling):
        rows, columns = -(-height // (8 * vmax)) * 8 * vmax, -(-width // (8 * hmax)) * 8 * hmax
        full = np.pad(plane, ((0, rows - height), (0, columns - width)), "edge").astype(float)
        small = full.reshape(rows * v // vmax, vmax // v, columns * h // hmax, hmax // h).mean((1, 3))
        blocks.append(dct_blocks(small, step))
        own.append((-(-(-(-height * v // vmax)) // 8), -(-(-(-width * h // hmax)) // 8)))

    def units(which):
        """Lists of (component, row, column), one list an MCU."""
        if len(which) == 1:
            c = which[0]
            return [[(c, y, x)] for y in range(own[c][0]) for x in range(own[c][1])]
        return [[(c, y * sampling[c][1] + j, x * sampling[c][0] + i) for c in which
                 for j in range(sampling[c][1]) for i in range(sampling[c][0])]
                for y in range(-(-height // (8 * vmax))) for x in range(-(-width // (8 * hmax)))]

    def scan(which, first, last):
        out = segment(0xDA, bytes([len(which)]) + b"".join(bytes([ids[c], 0]) for c in which) + bytes([first, last, 0]))
        text, before, data, mark = "", dict.fromkeys(which, 0), b"", 0

        def flush():
            padded = text + "1" * (-len(text) % 8)
            return int("1" + padded, 2).to_bytes(len(padded) // 8 + 1, "big")[1:].replace(b"\xFF", b"\xFF\0")

        for n, unit in enumerate(units(which)):
            if restart and n and n % restart == 0:
                data += flush() + bytes([0xFF, 0xD0 + mark % 8])
                text, before, mark = "", dict.fromkeys(which, 0), mark + 1
            for c, y, x in unit:
                block = blocks[c][y, x]
                if first == 0:
                    d = block[0] - before[c]
                    before[c] = block[0]
                    text += DC[int(abs(d)).bit_length()] + bits_of(d)
                if last > 0:
                    text += ac_bits(block)
        return out + data + flush()

    every = list(range(len(planes)))
    if progressive:
        scans = [scan(every, 0, 0)] + [scan([c], 1, 63) for c in every]
    else:
        scans = [scan(every, 0, 63)] if interleaved else [scan([c], 0, 63) for c in every]
    frame = struct.pack(">BHHB", 8, *(size or (height, width)), len(planes)) + b"".join(
        bytes([i, h << 4 | v, 0]) for i, (h, v) in zip(ids, sampling))
    head = {"dqt": segment(0xDB, b"\0" + bytes([step] * 64)), "sof": segment(0xC2 if progressive else 0xC0, frame),
            "dht": b"".join(segment(0xC4, bytes([t]) + TABLES[t][0] + TABLES[t][1]) for t in (0x00, 0x10)),
            "dri": segment(0xDD, struct.pack(">H", restart)) if restart else b""}
    return (b"\xFF\xD8" + b"".join(marks) + b"".join(v for k, v in head.items() if k not in leave_out)
            + b"".join(s for i, s in enumerate(scans) if f"scan{i}" not in leave_out) + b"\xFF\xD9")


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform):
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def planes_of(rgb, ycc=True):
    image = Image.fromarray(rgb)
    return [np.asarray(p) for p in (image.convert("YCbCr") if ycc else image).split()]


# --- BMP ------------------------------------------------------------------------------------------------------------

def encode_bmp(bits, h=13, w=15, header=40, top_down=False, masks=None, colours=None, packing=0, pixels=None, seed=0):
    data = drawn(h, w, 4, seed)
    if bits <= 8:
        index = (data[..., 0] >> (8 - bits)).astype(np.uint8) % (colours or 1 << bits) if pixels is None else pixels
        spread = ((index[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8).reshape(h, -1)
        rows = [np.packbits(r).tobytes() for r in spread]
    elif bits == 16:
        rows = [r.tobytes() for r in (data[..., 0].astype(np.uint32) * 257 & 0x7FFF).astype("<u2")]
    else:
        rows = [r.tobytes() for r in np.ascontiguousarray(data[..., :bits // 8])]
    body = b"".join(r + bytes(-len(r) % 4) for r in (rows if top_down else rows[::-1]))
    n = (colours or 1 << bits) if bits <= 8 else 0
    table = np.random.default_rng(seed).integers(0, 256, (n, 4), dtype=np.uint8)
    if header == 12:
        head, table = struct.pack("<IHHHH", 12, w, h, 1, bits), table[:, :3]
    else:
        head = struct.pack("<IiiHHIIiiII", header, w, -h if top_down else h, 1, bits, packing or (3 if masks else 0),
                           len(body), 2835, 2835, colours or 0, 0)
        mask = struct.pack("<IIII", *masks) if masks else bytes(16)
        head += mask[:12] if header == 40 and masks else b"" if header == 40 else mask + bytes(header - 56)
    start = 14 + len(head) + table.size
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + table.tobytes() + body
