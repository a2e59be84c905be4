"""WebP, TIFF and GIF files of every kind, for check_images.py, and the few of them that tests/test_io_kinds.cpp reads:

    /usr/bin/python3 tests/golden/other_kinds.py            writes tests/golden/pictures: each file, and beside it as
                                                            <file>.png what Pillow makes of it, turned upright; and
                                                            below refused/ files that akin does not take

Where Pillow 9.4 reads a kind wrongly (16 bits that begin with white, or in planes) a case has the picture itself instead
of how near to Pillow's it must come. encode_tiff writes by hand what Pillow does not: tiles, planes, 16 bits of RGB, both byte orders.
"""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from odd_pictures import drawn, saved

EQUAL, ROUNDING = 0, 4


def encode_tiff(values, photometric, bits=8, order="<", tile=None, planes=False, rows=5, packing=1, extra=None,
                orientation=None, big=False, sample_format=None, palette=None, subfile=None, more=()):
    """values [H, W, samples] below 2^bits; packing 1 (none), 8 (zlib) or 32773 (PackBits, literal runs)."""
    h, w, samples = values.shape
    parts = [values[..., s:s + 1] for s in range(samples)] if planes else [values]
    blocks = []
    for part in parts:
        if tile:
            padded = np.pad(part, ((0, -h % tile[0]), (0, -w % tile[1]), (0, 0)))
            cuts = [padded[y:y + tile[0], x:x + tile[1]] for y in range(0, h, tile[0]) for x in range(0, w, tile[1])]
        else:
            cuts = [part[y:y + rows] for y in range(0, h, rows)]
        for cut in cuts:
            lines = cut.reshape(cut.shape[0], -1)
            if bits == 16:
                raw = lines.astype(order + "u2").tobytes()
            elif bits == 8:
                raw = lines.astype(np.uint8).tobytes()
            else:
                spread = ((lines[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
                raw = np.packbits(spread.reshape(len(lines), -1), axis=1).tobytes()
            if packing == 8:
                raw = zlib.compress(raw)
            elif packing == 32773:
                raw = b"".join(bytes([len(raw[i:i + 128]) - 1]) + raw[i:i + 128] for i in range(0, len(raw), 128))
            blocks.append(raw)
    entries = [(256, 4, [w]), (257, 4, [h]), (258, 3, [bits] * samples), (259, 3, [packing]), (262, 3, [photometric]),
               (277, 3, [samples]), (284, 3, [2 if planes else 1])]
    place = [324, 325] if tile else [273, 279]
    entries += [(322, 3, [tile[1]]), (323, 3, [tile[0]])] if tile else [(278, 3, [rows])]
    entries += [(338, 3, [extra])] if extra is not None else []
    entries += [(274, 3, [orientation])] if orientation else []
    entries += [(339, 3, [sample_format] * samples)] if sample_format else []
    entries += [(320, 3, palette)] if palette is not None else []
    entries += [(254, 4, [subfile])] if subfile else []
    entries += list(more)
    entries += [(place[0], 4, [0] * len(blocks)), (place[1], 4, [len(b) for b in blocks])]
    entries.sort()
    count, pointer, head = ("Q", "Q", 16) if big else ("H", "I", 8)
    slot = 8 if big else 4
    size = struct.calcsize("<" + count) + len(entries) * (12 + (8 if big else 0)) + slot
    at = head + size
    extras, table = b"", b""
    for tag, kind, numbers in entries:
        code = {1: "B", 3: "H", 4: "I"}[kind]
        if tag == place[0]:  # strips or tiles follow all tables
            lengths = [len(n) * {1: 1, 3: 2, 4: 4}[k] for _, k, n in entries]
            tables = sum(n + n % 2 for n in lengths if n > slot)
            start, numbers = at + tables, []
            for b in blocks:
                numbers.append(start)
                start += len(b) + len(b) % 2
        data = struct.pack(order + code * len(numbers), *numbers)
        if len(data) <= slot:
            field = data + bytes(slot - len(data))
        else:
            field = struct.pack(order + pointer, at + len(extras))
            extras += data + bytes(len(data) % 2)
        table += struct.pack(order + "HH" + pointer, tag, kind, len(numbers)) + field
    mark = b"II" if order == "<" else b"MM"
    begin = struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    out = mark + begin + struct.pack(order + count, len(entries)) + table + bytes(slot) + extras
    return out + b"".join(b + bytes(len(b) % 2) for b in blocks)


def exif_bytes(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def webp_cases():
    rgb, rgba = Image.fromarray(drawn(13, 22)), Image.fromarray(drawn(13, 22, 4))
    for h, w in ((1, 1), (3, 5), (17, 40)):
        yield "WebP: lossless", f"{h}x{w}", saved(Image.fromarray(drawn(h, w)), "WEBP", lossless=True), EQUAL
        yield "WebP: lossy", f"{h}x{w}", saved(Image.fromarray(drawn(h, w)), "WEBP", quality=70), EQUAL
    yield "WebP: alpha", "lossless", saved(rgba, "WEBP", lossless=True, exact=True), EQUAL
    yield "WebP: alpha", "lossy", saved(rgba, "WEBP", quality=80), EQUAL
    for value in range(1, 9):
        yield "WebP: orientation", str(value), saved(rgb, "WEBP", lossless=True, exif=exif_bytes(value)), EQUAL
    frames = [Image.fromarray(drawn(12, 17, 3, seed)) for seed in range(3)]
    yield "WebP: animation", "rgb", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:],
                                          lossless=True), EQUAL
    good = saved(rgb, "WEBP", lossless=True)
    for n in (9, 14, 30, len(good) // 2, len(good) - 2):
        yield "WebP: damage", f"cut{n}", good[:n], "truncated|damaged|begins like none"


def tiff_cases():
    rgb, grey, rgba, ink = (drawn(19, 37, c, c).astype(int) for c in (3, 1, 4, 4))
    for packing in (1, 8, 32773):
        for order in "<>":
            for tile in (None, (16, 16)):
                for planes in (False, True):
                    name = f"{packing}_{'le' if order == '<' else 'be'}_{'tiles' if tile else 'strips'}_{planes}"
                    yield "TIFF: layout, 8 bits", name, encode_tiff(rgb, 2, 8, order, tile, planes,
                                                                    packing=packing), EQUAL
    for order in "<>":
        for photometric in (0, 1):
            for bits in (1, 2, 4, 8, 16):
                values = grey * 257 & 0xFFFF if bits == 16 else grey >> (8 - bits)
                shown = values >> 8 if bits == 16 else values * (255 // ((1 << bits) - 1))
                yield "TIFF: grey", f"{bits}_{photometric}_{order == '<'}", encode_tiff(
                    values, photometric, bits, order), shown if photometric else 255 - shown
    for bits in (1, 2, 4, 8):
        table = np.random.default_rng(bits).integers(0, 65536, 3 << bits).tolist()
        yield "TIFF: palette", str(bits), encode_tiff(grey >> (8 - bits), 3, bits, palette=table), EQUAL
    for tile in (None, (32, 16)):
        for planes in (False, True):
            yield "TIFF: 16 bits of RGB", f"{tile is not None}_{planes}", encode_tiff(
                rgb * 257, 2, 16, tile=tile, planes=planes), rgb
    for extra in (0, 1, 2):
        yield "TIFF: alpha", str(extra), encode_tiff(rgba, 2, 8, extra=extra), EQUAL
    yield "TIFF: BigTIFF", "rgb", encode_tiff(rgb, 2, 8, big=True), EQUAL
    yield "TIFF: inks", "cmyk", encode_tiff(ink, 5, 8), 1
    for value in range(1, 9):
        yield "TIFF: orientation", str(value), encode_tiff(rgb, 2, 8, orientation=value), EQUAL
        yield "TIFF: orientation", f"ycc{value}", saved(
            Image.fromarray(drawn(16, 32)), "TIFF", compression="jpeg", tiffinfo={274: value}), ROUNDING
    image = Image.fromarray(drawn(19, 37))
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for mode in ("L", "RGB", "P", "1", "CMYK"):
            yield "TIFF: written by Pillow", f"{packing}_{mode}", saved(image.convert(mode), "TIFF",
                                                                       compression=packing), 1
    yield "TIFF: written by Pillow", "group4", saved(image.convert("1"), "TIFF", compression="group4"), EQUAL
    yield "TIFF: written by Pillow", "jpeg", saved(image, "TIFF", compression="jpeg"), ROUNDING
    yield "TIFF: pages", "2", saved(image, "TIFF", save_all=True, append_images=[Image.fromarray(drawn(9, 9))]), EQUAL
    yield "TIFF: other kinds", "float", encode_tiff(rgb[..., :1], 1, 16, sample_format=3), "cannot be read"
    yield "TIFF: other kinds", "signed", encode_tiff(rgb[..., :1], 1, 8, sample_format=2), "with a sign"
    yield "TIFF: other kinds", "cfa", encode_tiff(rgb[..., :1], 32803, 16), "raw camera data"
    yield "TIFF: other kinds", "dng", encode_tiff(rgb, 2, 8, more=[(50706, 1, [1, 4, 0, 0])]), "raw camera data"
    yield "TIFF: other kinds", "tile", encode_tiff(rgb[:4, :4], 2, 8, tile=(2048, 2048), packing=8), "in tiles of"
    yield "TIFF: other kinds", "thumbnail", encode_tiff(rgb, 2, 8, subfile=1), "raw camera data"
    yield "TIFF: other kinds", "lab", saved(image.convert("LAB"), "TIFF"), "colours of kind 8"
    good = encode_tiff(rgb, 2, 8)
    for n in (6, 100, len(good) // 2, len(good) - 9):
        yield "TIFF: damage", f"cut{n}", good[:n], "truncated|damaged|begins like none|no image file|0x0 pixels"
    packed = encode_tiff(rgb, 2, 8, packing=8, rows=19)
    yield "TIFF: damage", "zlib", packed.replace(b"\x78\x9c", b"\xff\xff"), "damaged"


def encode_gif(indices, palette, screen=None, at=(0, 0), transparent=None, local=False, tail=b";", size=None):
    """One picture without compression: a clear code before each run of indices that fits into 9-bit codes."""
    h, w = indices.shape
    sh, sw = screen or (h, w)
    bits = max(1, int(len(palette) - 1).bit_length())
    table = palette.tobytes() + bytes(3 * ((1 << bits) - len(palette)))
    out = b"GIF89a" + struct.pack("<HHBBB", sw, sh, 0 if local else 0x80 | bits - 1, 0, 0) + (b"" if local else table)
    if transparent is not None:
        out += b"!\xF9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    out += b"," + struct.pack("<HHHHB", at[1], at[0], w, h, 0x80 | bits - 1 if local else 0) + (table if local else b"")
    size = size or max(2, bits)
    codes = []
    for i, v in enumerate(indices.reshape(-1)):
        if i % ((1 << size) - 2) == 0:
            codes.append(1 << size)
        codes.append(int(v))
    codes.append((1 << size) + 1)
    bitstream = sum(c << (i * (size + 1)) for i, c in enumerate(codes))
    data = bitstream.to_bytes((len(codes) * (size + 1) + 7) // 8, "little")
    out += bytes([size]) + b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
    return out + b"\0" + tail


def gif_cases():
    rng = np.random.default_rng(3)
    palette = rng.integers(0, 256, (11, 3), dtype=np.uint8)
    indices = rng.integers(0, 11, (13, 22))
    yield "GIF: palette", "global", encode_gif(indices, palette), EQUAL
    yield "GIF: palette", "local", encode_gif(indices, palette, local=True), EQUAL
    yield "GIF: palette", "two", encode_gif(indices % 2, palette[:2]), EQUAL
    yield "GIF: palette", "grey", encode_gif(indices, palette[:, :1].repeat(3, 1)), EQUAL
    yield "GIF: canvas", "offset", encode_gif(indices, palette, (20, 30), (4, 5)), EQUAL
    yield "GIF: canvas", "transparent", encode_gif(indices, palette, (20, 30), (4, 5), transparent=7), EQUAL
    yield "GIF: canvas", "beyond", encode_gif(indices, palette, (5, 6), (2, 3)), EQUAL
    image = Image.fromarray(drawn(19, 37))
    for interlace in (0, 1):
        yield "GIF: written by Pillow", f"interlace{interlace}", saved(image.convert("P"), "GIF",
                                                                      interlace=interlace), EQUAL
    yield "GIF: written by Pillow", "grey", saved(image.convert("L"), "GIF"), EQUAL
    frames = [Image.fromarray(drawn(12, 17, 3, seed)).convert("P") for seed in range(3)]
    yield "GIF: animation", "3", saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), EQUAL
    yield "GIF: damage", "beyond palette", encode_gif(np.full((4, 4), 14), palette[:8], size=4), "in a palette of"
    good = encode_gif(indices, palette)
    for n in (8, 20, len(good) // 2, len(good) - 12):
        yield "GIF: damage", f"cut{n}", good[:n], "truncated|damaged|begins like none"


def by_pillow(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    if image.format != "TIFF":  # those it turns by itself
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


KEPT = {"webp": ("lossless_3x5", "lossy_17x40", "alpha_lossless", "orientation_6", "animation_rgb"),
        "tif": ("layout, 8 bits_8_be_tiles_False", "layout, 8 bits_1_le_strips_True", "grey_1_0_True", "grey_16_1_False",
                "palette_4", "alpha_2", "inks_cmyk", "orientation_8", "orientation_ycc5", "pages_2", "BigTIFF_rgb"),
        "gif": ("palette_global", "palette_grey", "canvas_transparent", "written by Pillow_interlace1", "animation_3")}
REFUSED = ("other kinds_float", "other kinds_signed", "other kinds_cfa", "other kinds_dng", "other kinds_thumbnail",
           "other kinds_tile", "damage_zlib", "damage_beyond palette")
SOURCES = (("webp", webp_cases), ("tif", tiff_cases), ("gif", gif_cases))


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
    os.makedirs(folder + "/refused", exist_ok=True)
    for ending, source in SOURCES:
        for kind, name, data, _ in source():
            full = f"{kind.split(': ')[1]}_{name}"
            plain = full.replace(" ", "_").replace(",", "")
            if full in REFUSED:
                with open(f"{folder}/refused/{plain}.{ending}", "wb") as f:
                    f.write(data)
            if full in KEPT[ending]:
                path = f"{folder}/{plain}.{ending}"
                with open(path, "wb") as f:
                    f.write(data)
                by_pillow(data).save(path + ".png", optimize=True)


if __name__ == "__main__":
    main()
