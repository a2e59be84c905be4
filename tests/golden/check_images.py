#!/usr/bin/env python3
"""The same image files read by akin, by Pillow (python3-pil) and, where it is there, by torchvision, by hand:

    /usr/bin/python3 tests/golden/check_images.py build/ci/bin/akin

Some 650 odd files are made (odd_pictures.py, other_kinds.py), each is read by `akin data pack` and by the other two, turned as its EXIF
data say (torchvision 0.14 leaves that to the reader), and the pixels are compared. Each case says what must come out: equal pixels, pixels within a few levels (JPEG:
decoders may round the inverse cosine transform and the colours each in their way), or a refusal with the reason. Prints
a line a kind and what is refused why; exit code 1 where anything comes out differently. --keep DIR leaves the files
there.
"""

import argparse
import collections
import io
import os
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

try:
    import torch
    import torchvision
except ImportError:
    torch = torchvision = None

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from other_kinds import SOURCES  # noqa: E402
from odd_pictures import (JFIF, adobe, animated, chunk, drawn, encode_bmp, encode_jpeg, encode_png,  # noqa: E402
                          planes_of, png_of, saved, segment)

EQUAL = 0
ROUNDING = 4  # of a JPEG's inverse transform, its colours and the sums of up to 16 samples between stored ones
# ROUNDING but in the last two columns: where colours are stored at half the width and full height, stb weighs the last
# two of them the wrong way round (stbi__resample_row_h_2); kept, for akin's pixels do not change.
LAST = "last"
SMOOTHED = 32  # libjpeg smooths the blocks of a progressive JPEG whose fine scans are not there
Case = collections.namedtuple("Case", "kind name data expected ending")


def exif(value, order="<", kind=3, prefix=b"Exif\0\0"):
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIHHHI", 42, 8, 1, 0x0112, kind, 1)
    entry = struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
    return prefix + head + entry + bytes(4)


def png_cases():
    for colour, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for bits in depths:
            for interlaced in (False, True):
                for h, w in ((19, 23), (1, 1), (5, 3), (8, 33)):
                    yield "PNG: type, depth, interlacing", f"{colour}_{bits}_{interlaced}_{h}x{w}", png_of(
                        colour, bits, h, w, seed=h, interlaced=interlaced), EQUAL
            trns = {0: struct.pack(">H", 1), 2: struct.pack(">HHH", 1, 1, 1), 3: bytes([0, 128])}.get(colour)
            if trns:
                for interlaced in (False, True):
                    yield "PNG: tRNS", f"{colour}_{bits}_{interlaced}", png_of(
                        colour, bits, interlaced=interlaced, before=[chunk(b"tRNS", trns)]), EQUAL
    for filters in ((0,), (1,), (2,), (3,), (4,)):
        yield "PNG: filters and parts", f"filter{filters[0]}", png_of(2, 8, filters=filters), EQUAL
    for parts in (2, 7, 500):
        yield "PNG: filters and parts", f"parts{parts}", png_of(2, 8, parts=parts), EQUAL
    for name, kind, data in (("gamma", b"gAMA", struct.pack(">I", 100000)),
                             ("chroma", b"cHRM", struct.pack(">8I", *range(1, 9))),
                             ("profile", b"iCCP", b"x\0\0" + zlib.compress(bytes(128))), ("srgb", b"sRGB", b"\0"),
                             ("density", b"pHYs", struct.pack(">IIB", 2835, 1000, 1)),
                             ("text", b"tEXt", b"Title\0picture"),
                             ("background", b"bKGD", bytes(6)), ("bits", b"sBIT", bytes([5, 6, 5])),
                             ("unknown", b"maDe", b"anything"), ("time", b"tIME", bytes([7, 230, 1, 1, 1, 1, 1]))):
        yield "PNG: other chunks", name, png_of(2, 8, before=[chunk(kind, data)]), EQUAL
    yield "PNG: animation, the first picture", "apng", animated(), EQUAL
    for value in range(1, 9):
        for order in "<>":
            for where in ("before", "after"):
                yield "PNG: eXIf", f"{value}{order}{where}", png_of(
                    2, 8, **{where: [chunk(b"eXIf", exif(value, order, prefix=b""))]}), EQUAL
    good = png_of(2, 8)
    for at in (20, 45, 200, len(good) - 15):
        flipped = good[:at] + bytes([good[at] ^ 16]) + good[at + 1:]
        yield "PNG: damage", f"flipped{at}", flipped, "wrong check sum|image ends too early"
    for n in (9, 40, 300, len(good) - 12, len(good) - 1):
        yield "PNG: damage", f"cut{n}", good[:n], "image ends too early"
    yield "PNG: damage", "tail", good + b"anything" * 9, EQUAL
    small, taller = encode_png(drawn(9, 9).astype(np.uint32), 2, 8), struct.pack(">IIBBBBB", 9, 20, 8, 2, 0, 0, 0)
    yield "PNG: damage", "rows missing", small[:8] + chunk(b"IHDR", taller) + small[33:], "image is damaged"
    short = [chunk(b"PLTE", bytes(range(9)))]
    inside = np.minimum(drawn(9, 9, 1) >> 5, 2).astype(np.uint32)
    for bits in (2, 4, 8):
        yield "PNG: short palette", f"inside{bits}", encode_png(inside, 3, bits, before=short), EQUAL
        beyond = encode_png(inside + (inside == 2), 3, bits, before=short)
        yield "PNG: short palette", f"beyond{bits}", beyond, "not in the palette"
    yield "PNG: other kinds", "apple", small[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + small[8:], "Apple's own kind"
    yield "PNG: other kinds", "critical chunk", png_of(2, 8, before=[chunk(b"NEWs", b"x")]), "cannot be read|not known"


def jpeg_cases():
    samplings = {"444": [(1, 1)] * 3, "422": [(2, 1), (1, 1), (1, 1)], "420": [(2, 2), (1, 1), (1, 1)],
                 "440": [(1, 2), (1, 1), (1, 1)],
                 "411": [(4, 1), (1, 1), (1, 1)], "410": [(4, 2), (1, 1), (1, 1)], "441": [(1, 4), (1, 1), (1, 1)],
                 "422 in twos": [(2, 2), (1, 2), (1, 2)], "chroma full": [(1, 1), (2, 2), (2, 2)],
                 "uneven": [(2, 2), (2, 1), (1, 2)]}
    halved = ("422", "422 in twos", "uneven")
    for h, w, seed in ((37, 45, 0), (16, 16, 1), (9, 1, 2), (3, 70, 3)):
        planes = planes_of(drawn(h, w, 3, seed))
        for name, sampling in samplings.items():
            for how in ({}, {"restart": 1}, {"restart": 3}, {"progressive": True}, {"progressive": True, "restart": 2},
                        {"interleaved": False}):
                if (h, w) != (37, 45) and how not in ({}, {"progressive": True}):
                    continue
                data = encode_jpeg(planes, sampling, marks=[JFIF], **how)
                expected = LAST if name in halved or w == 1 else ROUNDING
                yield "JPEG: sampling, scans, restarts", f"{name} {h}x{w} {how}", data, expected
    image = Image.fromarray(drawn(41, 50))
    for quality in (20, 75, 95, 100):
        for sub in (0, 1, 2):
            for progressive in (False, True):
                data = saved(image, "JPEG", quality=quality, subsampling=sub, progressive=progressive, optimize=True)
                expected = LAST if sub == 1 else ROUNDING
                yield "JPEG: as Pillow writes it", f"{quality}_{sub}_{progressive}", data, expected
                if sub == 0:
                    yield "JPEG: as Pillow writes it", f"grey{quality}_{progressive}", saved(
                        image.convert("L"), "JPEG", quality=quality, progressive=progressive), ROUNDING
    rgb, ycc = planes_of(drawn(21, 30), ycc=False), planes_of(drawn(21, 30))
    one = [(1, 1)]
    for marks, name in (([], "no mark"), ([adobe(1)], "adobe"), ([JFIF, adobe(0)], "both, rgb in adobe's")):
        yield "JPEG: colours", f"ycc, {name}", encode_jpeg(ycc, one * 3, marks=marks), ROUNDING
    yield "JPEG: colours", "rgb, adobe", encode_jpeg(rgb, one * 3, marks=[adobe(0)]), ROUNDING
    yield "JPEG: colours", "rgb, names", encode_jpeg(rgb, one * 3, ids=[82, 71, 66]), ROUNDING
    both = encode_jpeg(rgb, one * 3, ids=[82, 71, 66], marks=[JFIF])
    yield "JPEG: colours", "rgb, names and JFIF", both, "both RGB and YCbCr"
    yield "JPEG: colours", "grey of 2x2", encode_jpeg(ycc[:1], [(2, 2)]), ROUNDING
    inks = [255 - p for p in rgb] + [np.full_like(rgb[0], 40)]
    for name, planes, mark in (("cmyk", [255 - p for p in inks], adobe(0)), ("ycck", [*ycc, inks[3]], adobe(2))):
        yield "JPEG: inks", name, encode_jpeg(planes, one * 4, marks=[mark]), ROUNDING
    yield "JPEG: inks", "of Pillow", saved(image.convert("CMYK"), "JPEG", quality=95), ROUNDING
    yield "JPEG: inks", "without a mark", encode_jpeg(inks, one * 4), "without Adobe's mark"
    yield "JPEG: inks", "contradiction", encode_jpeg(inks, one * 4, marks=[adobe(1)]), "Adobe's mark calls three"
    plain = encode_jpeg(ycc, [(2, 2), (1, 1), (1, 1)], marks=[JFIF])
    for value in range(1, 9):
        for order in "<>":
            for kind in (3, 4):
                data = plain[:2] + segment(0xE1, exif(value, order, kind)) + plain[2:]
                yield "JPEG: EXIF orientation", f"{value}{order}{kind}", data, ROUNDING
    for name, data in (("unknown", exif(0)), ("nine", exif(9)), ("empty", b"Exif\0\0"),
                       ("nonsense", b"Exif\0\0nonsense" * 3),
                       ("cut", exif(6)[:20]), ("xmp", b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")):
        yield "JPEG: EXIF broken or silent", name, plain[:2] + segment(0xE1, data) + plain[2:], ROUNDING
    video = np.random.default_rng(3).integers(0, 256, 300000, dtype=np.uint8).tobytes()
    for name, tail in (("film", video), ("second picture", plain), ("text", b"trailer" * 9),
                       ("end marks", b"\xFF\xD9" * 3)):
        yield "JPEG: more behind its end", name, plain + tail, ROUNDING
    for name, mark in (("thumbnail", segment(0xE1, exif(1) + plain)),
                       ("comment", segment(0xFE, b"\xFF\xC4\xFF\xD9" * 9)),
                       ("profile", segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(200))),
                       ("density", segment(0xE0, b"JFIF\0\1\1\1\0\x48\0\x60\0\0")),
                       ("fill bytes", b"\xFF" * 5 + segment(0xFE, b"x")),
                       ("multi picture", segment(0xE2, b"MPF\0" + bytes(60)))):
        yield "JPEG: other segments", name, plain[:2] + mark + plain[2:], ROUNDING
    for name, at, value, why in (("12 bits", 0, 12, "of 12 bits a sample"), ("lossless", -3, 0xC3, "lossless"),
                                 ("extended", -3, 0xC1, ROUNDING),
                                 ("hierarchical", -3, 0xC5, "hierarchical"), ("arithmetic", -3, 0xC9, "arithmetic"),
                                 ("arithmetic progressive", -3, 0xCA, "arithmetic"), ("JPEG-LS", -3, 0xF7, "JPEG-LS")):
        where = plain.index(b"\xFF\xC0") + 4 + at
        yield "JPEG: other kinds", name, plain[:where] + bytes([value]) + plain[where + 1:], why
    yield "JPEG: other kinds", "thirds", encode_jpeg(ycc, [(3, 1), (1, 1), (1, 1)]), ROUNDING
    thirds = bytearray(encode_jpeg(ycc, [(3, 1), (1, 1), (1, 1)]))
    thirds[thirds.index(b"\xFF\xC0") + 14] = 0x21
    yield "JPEG: other kinds", "two of three", bytes(thirds), "sizes in no whole ratio"
    yield "JPEG: other kinds", "no height yet", encode_jpeg(ycc, one * 3, size=(0, 30)), "does not say its size"
    for name, options, why in (("no Huffman tables", {"leave_out": ["dht"]}, "Motion-JPEG"),
                               ("no quantisation", {"leave_out": ["dqt"]}, "quantisation tables are missing"),
                               ("a scan missing", {"interleaved": False, "leave_out": ["scan1"]},
                                "data of one of its components"),
                               ("details missing", {"progressive": True, "leave_out": ["scan2"]}, SMOOTHED)):
        yield "JPEG: damage", name, encode_jpeg(ycc, [(2, 2), (1, 1), (1, 1)], marks=[JFIF], **options), why
    marked = encode_jpeg(planes_of(drawn(37, 45)), one * 3, restart=2)
    at = marked.index(b"\xFF\xD3")
    yield "JPEG: damage", "a restart mark lost", marked[:at] + marked[at + 2:], "restart mark"
    yield "JPEG: damage", "restart marks of another order", marked[:at + 1] + b"\xD6" + marked[at + 2:], "restart mark"
    yield "JPEG: damage", "part cut out", marked[:at] + marked[marked.index(b"\xFF\xD7"):], "restart mark"
    for n in (2, 20, 200, 700, len(plain) - 2):
        yield "JPEG: damage", f"cut{n}", plain[:n], "truncated|begins like none"


def bmp_cases():
    for bits in (1, 4, 8, 24, 32):
        for header in (12, 40, 108, 124):
            if header == 12 and bits == 32:
                continue
            for top_down in (False, True):
                if header != 12 or not top_down:
                    yield "BMP: depth, header, direction", f"{bits}_{header}_{top_down}", encode_bmp(
                        bits, header=header, top_down=top_down), EQUAL
    for w in (1, 2, 3, 4, 5, 31, 33):
        for bits in (1, 4, 8, 24):
            yield "BMP: widths", f"{bits}_{w}", encode_bmp(bits, w=w, seed=w), EQUAL
    yield "BMP: few colours", "inside", encode_bmp(8, colours=7), EQUAL
    beyond = encode_bmp(8, colours=7, pixels=np.full((13, 15), 9, np.uint8))
    yield "BMP: few colours", "beyond", beyond, "in a palette of 7"
    yield "BMP: 16 bits", "555", encode_bmp(16), 1
    yield "BMP: 16 bits", "565", encode_bmp(16, masks=(0xF800, 0x7E0, 0x1F, 0)), 1
    yield "BMP: packed", "rle8", encode_bmp(8, packing=1), "RLE"
    good = encode_bmp(24)
    for n in (20, 54, 300, len(good) - 1):
        yield "BMP: damage", f"cut{n}", good[:n], "truncated|cannot be read|begins like none"


def other_cases():
    image = Image.fromarray(drawn(20, 24))
    for kind in ("PPM", "JPEG2000", "TGA", "ICO", "PCX"):
        try:
            yield "called .jpg, but another format", kind, saved(image, kind), "not a PNG, JPEG"
        except (KeyError, OSError):
            pass
    for name, data in (("empty", b""), ("text", b"BMW is no picture, though it begins with BM"),
                       ("page", b"<!DOCTYPE html><html>"),
                       ("pointer", b"version https://git-lfs.github.com/spec/v1\n"), ("drawing", b"<svg xmlns='x'/>")):
        yield "called .jpg, but no picture", name, data, "not a PNG, JPEG"


def cases():
    for ending, source in SOURCES:
        for kind, name, data, expected in source():
            yield Case(kind, name, data, expected, ending)
    for source, ending in ((png_cases, "png"), (jpeg_cases, "jpg"), (bmp_cases, "bmp"), (other_cases, "jpg")):
        for kind, name, data, expected in source():
            yield Case(kind, name, data, expected, ending)


def by_pillow(data):
    """u8 [H, W, channels] upright, or the text of an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
            image.load()
            if image.format != "TIFF":  # those it turns by itself
                image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):
                return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)[..., None]
            if image.mode in ("1", "LA"):
                image = image.convert("L")
            if image.mode not in ("L", "RGB"):
                image = image.convert("RGB")
        pixels = np.asarray(image)
        return pixels[..., None] if pixels.ndim == 2 else pixels
    except Exception as e:  # noqa: BLE001  whatever it says is its answer
        return f"{type(e).__name__}: {e}"


def orientation_of(data):
    try:
        return Image.open(io.BytesIO(data)).getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001
        return 1


def by_torchvision(data):
    """As by_pillow."""
    try:
        bytes_ = torch.frombuffer(bytearray(data or b" "), dtype=torch.uint8)
        pixels = torchvision.io.decode_image(bytes_, torchvision.io.ImageReadMode.RGB).permute(1, 2, 0).numpy()
    except Exception as e:  # noqa: BLE001
        return f"{type(e).__name__}: {str(e).splitlines()[0]}"
    value = orientation_of(data)
    if value in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if value in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if value in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def by_akin(program, data, ending, folder):
    for name in ("a", "b"):
        os.makedirs(f"{folder}/in/train/{name}")
        with open(f"{folder}/in/train/{name}/x.{ending}", "wb") as f:
            f.write(data)
    command = [program, "data", "pack", f"{folder}/in", "--out", f"{folder}/out"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
    for rank in (3, 4):
        path = f"{folder}/out/train-images-idx{rank}-ubyte"
        if os.path.exists(path):
            with open(path, "rb") as f:
                raw = f.read()
            shape = struct.unpack(f">{rank}I", raw[4:4 + 4 * rank])
            return np.frombuffer(raw[4 + 4 * rank:], np.uint8).reshape(*shape[:3], -1)[0]
    return "no file was written"


def judge(case, ours, theirs, peer):
    """(outcome, detail, as expected)"""
    wants_refusal = isinstance(case.expected, str) and case.expected != LAST
    if isinstance(ours, str):
        known = wants_refusal and any(part in ours for part in case.expected.split("|"))
        who = "both refuse" if isinstance(theirs, str) else "akin alone refuses"
        return who, ours.split("/x.")[-1], known
    if isinstance(case.expected, np.ndarray):  # the truth is known
        off = int(np.abs(ours.astype(int) - case.expected).max()) if ours.shape[:2] == case.expected.shape[:2] else 999
        return ("equal" if off == 0 else "close"), off, off == 0
    if isinstance(theirs, str):
        return f"{peer} alone refuses", theirs, not wants_refusal
    if ours.shape[:2] != theirs.shape[:2]:
        return "another size", f"{ours.shape} {theirs.shape}", False
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    off = int(difference.max())
    if isinstance(case.expected, str) and case.expected == LAST:
        off = int(difference[:, :-2].max(initial=0))
        return "but the last columns" if difference[:, -2:].max() > ROUNDING else "close", off, off <= ROUNDING
    return ("equal" if off == 0 else "close"), off, not wants_refusal and off <= case.expected


def show(peer, table):
    outcomes = ["equal", "close", "but the last columns", "both refuse", "akin alone refuses", f"{peer} alone refuses"]
    heads = ["files", "equal", "close", "but last", "both no", "akin no", "peer no", "most"]
    print(f"{'against ' + peer:36}" + "".join(f"{h:>10}" for h in heads))
    counted = [collections.Counter({k: v for k, v in row.items() if k != "off"}) for row in table.values()]
    for kind, row in [*table.items(), ("all", sum(counted, collections.Counter()))]:
        counts = [row[o] for o in outcomes]
        off = max(r["off"] for r in table.values()) if kind == "all" else row["off"]
        print(f"{kind:36}" + "".join(f"{n:10}" for n in (sum(row[k] for k in row if k != "off"), *counts, off)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("akin")
    arguments.add_argument("--keep", metavar="DIR")
    options = arguments.parse_args()
    peers = {"Pillow": by_pillow}
    if torchvision is not None:
        peers["torchvision"] = by_torchvision
    tables, reasons, wrong = {peer: {} for peer in peers}, collections.Counter(), []
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or temporary
        for n, case in enumerate(cases()):
            ours = by_akin(os.path.abspath(options.akin), case.data, case.ending, f"{root}/{n:03}")
            for peer, read in peers.items():
                if peer == "torchvision" and case.ending in ("bmp", "webp", "tif", "gif"):
                    continue  # it reads none
                outcome, detail, good = judge(case, ours, read(case.data), peer)
                row = tables[peer].setdefault(case.kind, collections.Counter())
                row[outcome] += 1
                if isinstance(detail, int):
                    row["off"] = max(row["off"], detail)
                else:
                    reasons[f"{outcome}: {case.kind}: {detail}"] += 1
                if not good:
                    wrong.append(f"{n:03} {case.kind}, {case.name}: {outcome} ({detail}), expected {type(case.expected).__name__ if isinstance(case.expected, np.ndarray) else case.expected}")
    for peer, table in tables.items():
        show(peer, table)
    print("but last: close but for the last two columns (see LAST); no: refused by; most: levels between, those apart")
    for reason, count in sorted(reasons.items()):
        if not reason.startswith("both"):
            print(f"  {count} x {reason}")
    for line in wrong:
        print("NOT AS EXPECTED:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
