#!/usr/bin/python3
"""Writes the small files that tests/test_io_*.cpp read: made by numpy, struct and zlib alone, independent of akin.

Run in this folder: python3 make_io_golden.py
Check files written by akin: python3 make_io_golden.py --check FILE.safetensors|FILE.npy|FILE.png ...
"""
import json
import struct
import sys
import zlib

import numpy as np


def safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, (dtype, array) in tensors.items():
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def png(path, pixels):
    h, w, c = pixels.shape
    rows = b"".join(b"\0" + pixels[y].tobytes() for y in range(h))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, {1: 0, 3: 2, 4: 6}[c], 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make():
    f = (np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5) / 4
    bf16 = (np.array([1.0, -2.5, 3.140625], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    safetensors("golden.safetensors", {
        "conv1.weight": ("F32", f), "half": ("F16", np.array([0.1, -65504, 6e-8, np.inf], np.float16)),
        "brain": ("BF16", bf16), "double": ("F64", np.array([np.pi, -1e300])), "bytes": ("U8", np.arange(5, dtype=np.uint8)),
        "small": ("I8", np.array([-128, 127], np.int8)), "int": ("I32", np.array([[-7], [2**31 - 1]], np.int32)),
        "bn1.num_batches_tracked": ("I64", np.array(-2**62, np.int64)), "flag": ("BOOL", np.array([True, False])),
        "empty": ("F32", np.zeros((0, 4), np.float32))}, {"format": "pt", "caf\u00e9": "\u03b1\u03b2"})
    np.save("golden_f4.npy", f)
    np.save("golden_f8_fortran.npy", np.asfortranarray(np.arange(24, dtype=np.float64).reshape(2, 3, 4)))
    for dtype in ("u1", "i4", "i8", "b1"):
        np.save(f"golden_{dtype}.npy", np.array([0, 1, 1, 0, 1]).astype(dtype))
    np.save("golden_scalar.npy", np.array(2.5, np.float64))
    for version in ((2, 0), (3, 0)):
        with open(f"golden_v{version[0]}.npy", "wb") as out:
            np.lib.format.write_array(out, f, version=version)
    y, x = np.mgrid[0:5, 0:7]
    png("golden_rgb.png", np.stack([x * 36, y * 50, (x + y) * 20], -1).astype(np.uint8))
    png("golden_grey.png", (x * 30 + y).astype(np.uint8)[..., None])


def check(path):
    if path.endswith(".npy"):
        print(path, np.load(path))
    elif path.endswith(".safetensors"):
        raw = open(path, "rb").read()
        n = struct.unpack("<Q", raw[:8])[0]
        header = json.loads(raw[8:8 + n])
        kinds = {"F32": "<f4", "F64": "<f8", "U8": "u1", "I32": "<i4", "I64": "<i8"}
        for name, e in header.items():
            if name != "__metadata__" and e["dtype"] in kinds:
                a, b = e["data_offsets"]
                print(name, np.frombuffer(raw[8 + n + a:8 + n + b], kinds[e["dtype"]]).reshape(e["shape"]))
    else:
        raw, at, body = open(path, "rb").read(), 8, b""
        while at < len(raw):
            n, kind = struct.unpack(">I4s", raw[at:at + 8])
            assert struct.unpack(">I", raw[at + 8 + n:at + 12 + n])[0] == zlib.crc32(raw[at + 4:at + 8 + n]), kind
            body += raw[at + 8:at + 8 + n] if kind == b"IDAT" else b""
            at += 12 + n
        print(path, len(zlib.decompress(body)), "bytes of rows")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        for p in sys.argv[2:]:
            check(p)
    else:
        make()
