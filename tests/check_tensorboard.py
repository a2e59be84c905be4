"""Whether the event files of `akin train --tensorboard` and `akin distill --tensorboard` are what TensorBoard reads.

    python3 tests/check_tensorboard.py build/ci/bin/akin

A reader of its own, from the published formats alone: TFRecord with masked CRC-32C, bit by bit, and the fields of Event.
What it reads must be what log.jsonl and report.json say. Python's own library is enough.
"""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283 and crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert masked(data[at : at + 8]) == check, f"length at {at}"
        body = data[at + 12 : at + 12 + length]
        assert len(body) == length and masked(body) == struct.unpack_from("<I", data, at + 12 + length)[0], f"record at {at}"
        yield body
        at += 16 + length


def fields(message):
    """(number, value) of a protocol buffer: varints as int, the others as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        yield tag >> 3, message[at : at + size]
        at += size


def scalars(file):
    """(tag, step) -> (value, time) of an event file."""
    out = {}
    for i, record in enumerate(records(file.read_bytes())):
        event = dict(fields(record))
        time = struct.unpack("<d", event[1])[0]
        if i == 0:
            assert event[3] == b"brain.Event:2", event
            continue
        for number, value in fields(event[5]):
            assert number == 1
            parts = dict(fields(value))
            key = parts[1].decode(), event.get(2, 0)
            assert key not in out, key
            out[key] = struct.unpack("<f", parts[2])[0], time
    return out


def write_pictures(folder, count, generator):
    """Grey 12 x 12 pictures of two classes, light above or below, as binary PGM inside BMP: what akin reads without help."""
    for split, n in (("train", count), ("test", count)):
        for label in (0, 1):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(n):
                rows = []
                for y in range(12):
                    light = 180 if (y < 6) == (label == 0) else 60
                    rows.append(b"".join(bytes([min(255, max(0, light + generator.randrange(-40, 40)))] * 3) for _ in range(12)))
                body = b"".join(rows)
                header = b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 12, 12, 1, 24, 0, len(body), 2835, 2835, 0, 0)
                (place / f"{i}.bmp").write_bytes(header + body)


def close(a, b):
    return abs(a - b) <= 1e-6 * max(1, abs(a), abs(b))


def main():
    akin = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        home = pathlib.Path(name)
        write_pictures(home / "data", 24, random.Random(0))

        def run(*arguments):
            done = subprocess.run([akin, *arguments, "--quiet"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

        run("train", "--data", str(home / "data"), "--arch", "resnet8", "--width", "4", "--epochs", "4", "--batch", "8",
            "--out", str(home / "source"), "--tensorboard")
        points = [json.loads(line) for line in (home / "source/log.jsonl").read_text().splitlines()]
        found = scalars(home / "source/tensorboard/train/events.out.tfevents.akin")
        assert len(points) > 1 and all(close(found["loss/train", p["step"]][0], p["loss"]) for p in points)
        assert ("accuracy/test", points[-1]["step"]) in found
        times = [found["loss/train", p["step"]][1] for p in points]
        assert times == sorted(times) and times[-1] - times[0] < 600

        out = home / "run"
        run("distill", "--target", str(home / "data"), "--labels-per-class", "6", "--validation", "8", "--student", "resnet8",
            "--student-width", "4", "--steps", "30", "--batch", "8", "--unlabelled-batch", "8", "--methods", "scratch,equal", "--seeds", "0,1",
            "--sources", str(home / "source/model.safetensors"), "--out", str(out), "--tensorboard")
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        report = json.loads((out / "report.json").read_text())
        seen = 0
        for method in report["methods"]:
            key = {"Scratch": "scratch", "DistillEqual": "equal"}[method["name"]]
            for seed in method["seeds"]:
                found = scalars(out / f"tensorboard/{key}-seed{seed['seed']}/events.out.tfevents.akin")
                own = [p for p in log if p["method"] == key and p["seed"] == seed["seed"]]
                expected = {("loss/train", p["step"]): p["loss"] for p in own}
                expected |= {("accuracy/validation", p["step"]): p["validation"] for p in own if p["validation"] is not None}
                expected["accuracy/test", own[-1]["step"]] = seed["test_accuracy"]
                assert found.keys() == expected.keys(), (sorted(found), sorted(expected))
                assert all(close(found[k][0], expected[k]) for k in expected)
                seen += len(found)
        assert seen > 20, seen
        assert not (home / "run2/tensorboard").exists()
    # The reader finds what is wrong.
    good = bytearray(struct.pack("<Q", 1)) + struct.pack("<I", masked(struct.pack("<Q", 1))) + b"a" + struct.pack("<I", masked(b"a"))
    assert list(records(bytes(good))) == [b"a"]
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 4
        try:
            list(records(bytes(bad)))
        except (AssertionError, struct.error):
            continue
        raise SystemExit(f"a changed byte {place} was not noticed")
    print(f"{seen} scalars of four students, and those of a source, are as the logs say")


main()
