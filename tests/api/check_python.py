"""Whether the module akin says what the program akin says, and how it fails.

    AKIN_LIBRARY=build/ci/lib/libakin.so.1 PYTHONPATH=python /usr/bin/python3 tests/api/check_python.py build/ci/bin/akin

Draws small pictures, trains two models on them, and compares. Needs python3-numpy; without it, it ends with 77.
"""

import contextlib
import csv
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings
import zlib

try:
    import numpy as np
except ImportError as missing:
    print(f"SKIPPED: {missing}; apt-get install python3-numpy, so that the Python module can be tested")
    sys.exit(77)

import akin

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
CLASSES = ["high", "low", "middle"]


def write_png(file, picture):
    """uint8 [H, W, C], C = 1 or 3."""
    h, w, c = picture.shape
    raw = b"".join(b"\0" + row.tobytes() for row in picture)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0 if c == 1 else 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def draw(rng, label, side=12, upright=False):
    """Noise with a bright bar whose place tells the class: uint8 [side, side, 3]."""
    picture = rng.integers(20, 100, (side, side, 3), dtype=np.uint8)
    at = {"low": 1, "middle": 3, "high": 4}[label] * side // 6
    picture[at:at + side // 6] += 130
    return picture.swapaxes(0, 1) if upright else picture


def run(*arguments):
    done = subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"akin {arguments[0]}: {done.stderr}")
    return done.stdout


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        rng = np.random.default_rng(1)
        for name, upright in (("birds", False), ("bees", True)):
            for split, count in (("train", 30), ("test", 8)):
                for label in CLASSES:
                    where = cls.folder / name / split / label
                    where.mkdir(parents=True)
                    for i in range(count):
                        write_png(where / f"{i:02}.png", draw(rng, label, upright=upright))
            run("train", "--data", cls.folder / name, "--width", 4, "--epochs", 6, "--batch", 12, "--seed", 3, "--quiet",
                "--out", cls.folder / f"run_{name}")
            os.link(cls.folder / f"run_{name}/model.safetensors", cls.folder / f"{name}.safetensors")
        cls.file = cls.folder / "birds.safetensors"
        cls.pictures = cls.folder / "some"
        cls.pictures.mkdir()
        cls.arrays = [draw(rng, CLASSES[i % 3], side=12 + 6 * (i % 3)) for i in range(12)]
        cls.files = [cls.pictures / f"{i:02}.png" for i in range(12)]
        for file, array in zip(cls.files, cls.arrays):
            write_png(file, array)
        cls.model = akin.load(cls.file)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @contextlib.contextmanager
    def fails(self, kind, text):
        with self.assertRaises(kind) as caught:
            yield
        self.assertIs(type(caught.exception), kind)
        self.assertIn(text, str(caught.exception))


class Models(Base):
    def test_what_a_model_is(self):
        self.assertEqual(self.model.classes, CLASSES)
        self.assertEqual(self.model.input, (12, 12, 3))
        self.assertGreater(self.model.feature_size, 3)
        self.assertIn("birds.safetensors: 3 classes, input 12x12x3", repr(self.model))

    def test_predict_says_what_the_program_says(self):
        p = self.model.predict(self.files)
        self.assertEqual((p.dtype, p.shape), (np.float32, (12, 3)))
        told = [json.loads(line) for line in run("predict", self.file, *self.files, "--jsonl", "--top", 3, "--quiet").splitlines()]
        wanted = np.array([[next(g["probability"] for g in t["top"] if g["class"] == c) for c in CLASSES] for t in told], np.float32)
        self.assertEqual(wanted.tobytes(), p.tobytes())
        self.assertGreater(len(set(p.argmax(axis=1))), 1)
        self.assertEqual(self.model.predict(str(self.files[0])).shape, (1, 3))
        self.assertEqual(self.model.predict([]).shape, (0, 3))
        same = [i for i in range(12) if i % 3 == 1]  # of one size: a call of files and one of an array
        array = np.stack([self.arrays[i] for i in same])
        self.assertEqual(self.model.predict([self.files[i] for i in same]).tobytes(), self.model.predict(array).tobytes())
        np.testing.assert_allclose(self.model.predict(self.arrays), p, rtol=1e-5)
        turned = np.ascontiguousarray(array[:, ::-1])[:, ::-1]  # not dense
        self.assertEqual(self.model.predict(turned).tobytes(), self.model.predict(array).tobytes())
        grey = array[..., 0]
        self.assertEqual(self.model.predict(grey).tobytes(), self.model.predict(np.repeat(grey[..., None], 3, 3)).tobytes())
        self.assertEqual(akin.load(self.file, size=(20, 16), threads=1).input, (20, 16, 3))
        self.assertEqual(self.model.predict(f for f in self.files).tobytes(), p.tobytes())
        self.assertEqual(self.model.predict(iter(self.arrays)).tobytes(), self.model.predict(self.arrays).tobytes())
        self.assertEqual(self.model.predict(os.fsencode(self.files[0])).tobytes(), self.model.predict(self.files[0]).tobytes())
        for one in (array[2], grey[2], grey[2][..., None]):
            self.assertEqual(self.model.predict(one).tobytes(), self.model.predict([one]).tobytes())
            self.assertEqual(self.model.features(one).logits.shape, (1, 3))

    def test_features_say_what_the_program_says(self):
        run("features", "--model", self.file, "--data", self.pictures, "--out", self.folder / "table", "--quiet")
        out = self.model.features(self.files)
        for name in ("features", "logits"):
            wanted = np.load(self.folder / "table" / f"{name}.npy")
            self.assertEqual(wanted.tobytes(), getattr(out, name).tobytes())
        self.assertEqual(out.features.shape, (12, self.model.feature_size))
        features, logits = self.model.features(self.arrays)
        np.testing.assert_allclose(features, out.features, rtol=1e-4, atol=1e-6)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), self.model.predict(self.arrays), rtol=1e-4, atol=1e-6)

    def test_errors(self):
        with self.fails(akin.Error, "none.safetensors"):
            akin.load(self.folder / "none.safetensors")
        with self.fails(akin.Usage, "abacus"):
            akin.load(self.file, device="abacus")
        with self.fails(akin.Usage, "zero byte"):
            akin.load("a\0b")
        with self.fails(akin.Usage, "found float64 [2, 5, 5, 3]"):
            self.model.predict(np.zeros((2, 5, 5, 3)))
        with self.fails(akin.Usage, "found uint8 [2, 5, 5, 4]"):
            self.model.features(np.zeros((2, 5, 5, 4), np.uint8))
        for file, options, text in ((None, {}, "file: expected the name of a file, found NoneType"), (self.file, {"size": "12x12"}, "size"),
                                    (self.file, {"size": (2**32 + 8, 8)}, "size: expected a whole number"),
                                    (self.file, {"threads": -1}, "threads"), (self.file, {"threads": 2**32}, "threads"),
                                    (self.file, {"device": None}, "device"), (self.file, {"sources": "a"}, "sources: expected a list")):
            with self.fails(akin.Usage, text):
                akin.load(file, **options)
        for pictures in (None, 3, [None], [[[1, 2], [3]]], np.zeros((1, 2, 5, 5, 3), np.uint8)):
            with self.fails(akin.Usage, "pictures: "):
                self.model.predict(pictures)
        with self.fails(akin.Usage, "one list"):
            self.model.predict([self.files[0], self.arrays[0]])
        gone = [self.files[0], self.folder / "gone.png", self.files[1]]
        with self.fails(akin.Error, "gone.png"):
            self.model.predict(gone)
        with self.assertWarnsRegex(UserWarning, "gone.png"):
            p = self.model.predict(gone, skip_unreadable=True)
        self.assertTrue(np.isnan(p[1]).all() and not np.isnan(p[[0, 2]]).any())

    def test_threads(self):
        """Calls of several threads with one model and with one each; other threads of Python run meanwhile."""
        wanted, wrong = self.model.predict(self.files).tobytes(), []

        def work(own):
            model = akin.load(self.file, threads=2) if own else self.model
            for _ in range(20):
                if model.predict(self.files).tobytes() != wanted:
                    wrong.append(own)

        threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_memory(self):
        def resident():
            return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

        def growth():
            before = resident()
            for _ in range(30):
                akin.load(self.file).predict(self.arrays)
                akin.rank_tables({"x": table}, [0, 1] * 3, replicates=0)
            return resident() - before

        table = np.random.default_rng(3).normal(size=(6, 4))
        growth()
        # What is kept grows each time, a heap that is laid out anew once.
        self.assertLess(min(growth() for _ in range(4)), 10 * self.file.stat().st_size)


class Rankings(Base):
    def test_rank_tables_says_what_the_program_says(self):
        rng = np.random.default_rng(2)
        names = np.array(["wren", "robin", "owl"])[np.arange(60) % 3]
        good = rng.normal(size=(60, 5)) + 3 * np.eye(3)[np.arange(60) % 3] @ rng.normal(size=(3, 5))
        bad = rng.normal(size=(60, 4)).astype(np.float32)
        logits = {"good": good[:, :3], "bad": bad[:, :2]}
        for name, table in (("good", good), ("bad", bad)):
            np.save(self.folder / f"{name}.npy", table)
            np.save(self.folder / f"{name}_logits.npy", logits[name])
        (self.folder / "y.txt").write_text("\n".join(names) + "\n")
        files = [self.folder / f"{name}.npy" for name in ("bad", "good")]
        for metric in ("parc", "leep", "cka"):
            told = json.loads(run("rank", "--tables", *files, "--logits", self.folder / "bad_logits.npy",
                                  self.folder / "good_logits.npy", "--label-file", self.folder / "y.txt", "--metric", metric,
                                  "--seed", 4, "--replicates", 50, "--json", "--quiet"))["metrics"][0]
            tables = {"bad": {"features": bad, "logits": logits["bad"]}, "good": {"features": good, "logits": logits["good"]}}
            ranking = akin.rank_tables(tables, names, metric=metric, seed=4, replicates=50)
            self.assertEqual([row.source for row in ranking], ["good", "bad"])
            for row, wanted in zip(ranking, told["sources"]):
                for field, value in row._asdict().items():
                    self.assertEqual(value, wanted[field], field)
            self.assertEqual((ranking.metric, ranking.mapping, ranking.ranking_tau, ranking.unsure),
                             (metric, told["mapping"], told["ranking_tau"], told["unsure"]))
        three = akin.rank_tables({"bad": bad, "good": good}, names)
        self.assertGreater(three[0].low, three[1].high)

    def test_errors(self):
        x, y = np.eye(6), [0, 1] * 3
        with self.fails(akin.Usage, "park"):
            akin.rank_tables({"x": x}, y, metric="park")
        with self.fails(akin.Error, "table 'y': 5 rows"):
            akin.rank_tables({"x": x, "y": np.eye(5)}, y)
        with self.fails(akin.Error, "row 2"):
            akin.rank_tables({"x": x}, [0, 1, -1] * 2)
        with self.fails(akin.Usage, "found object"):
            akin.rank_tables({"x": np.array([[None]])}, [0])
        with self.fails(akin.Usage, "'depth'"):
            akin.rank_tables({"x": {"features": x, "depth": x}}, y)
        for tables, labels, options, text in (({1: x}, y, {}, "tables: a name"), ({"x": [[1], [2, 3]]}, y, {}, "'x': features"),
                                              ({"x": x}, [[0], [1, 2]], {}, "labels"), ({"x": x}, y, {"seed": -1}, "seed"),
                                              ({"x": x}, y, {"seed": 2**64}, "seed"), ({"x": x}, y, {"replicates": 2**32}, "replicates"),
                                              ({"x": x}, y, {"power": "a"}, "power"), ({"x": x}, y, {"metric": 3}, "metric"),
                                              ({"x": x}, y, {"layers": {"x": -1}}, "layers of 'x'")):
            with self.fails(akin.Usage, text):
                akin.rank_tables(tables, labels, **options)
        with self.fails(akin.Usage, "found float64"):
            akin.rank_tables({"x": x}, [0.5] * 6)
        with self.fails(akin.Error, "no source could be ranked by leep"):
            akin.rank_tables({"x": x}, y, metric="leep")
        with self.fails(akin.Usage, "expected a dict"):
            akin.rank_tables([x], y)
        undefined = akin.rank_tables({"x": x, "y": {"features": x, "logits": x}}, y, metric="leep")
        self.assertIsNone(undefined[0].undefined)
        self.assertTrue(np.isnan(undefined[1].value) and undefined[1].undefined)


class Runs(Base):
    def options(self, name, **more):
        return dict(target=self.folder / "birds", labels_per_class=4, methods="scratch,nearest", steps=20, batch=8,
                    unlabelled_batch=8, student_width=4, replicates=20, threads=1, sources=[self.folder / "bees.safetensors"],
                    out=self.folder / name, **more)

    def run_quietly(self, *arguments, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return akin.distill(*arguments, **options)

    def test_distill(self):
        told, lines = [], []
        outcome = self.run_quietly(progress=lambda *a: told.append(a), line=lines.append, **self.options("whole"))
        self.assertEqual(outcome["folder"], str(self.folder / "whole"))
        self.assertEqual([m["name"] for m in outcome["methods"]], ["Scratch", "DistillNearest"])
        self.assertTrue(any(unit == "steps" and done == total == 20 for _, done, total, unit in told))
        self.assertTrue(lines)
        student = (self.folder / "whole/student.safetensors").read_bytes()
        self.assertEqual(akin.load(self.folder / "whole/student.safetensors").classes, CLASSES)
        with self.fails(akin.Stopped, "stopped on request"):
            self.run_quietly(progress=lambda what, done, total, unit: unit == "steps" and done == 5, **self.options("stopped"))
        self.run_quietly(resume=True, **self.options("stopped"))
        self.assertEqual((self.folder / "stopped/student.safetensors").read_bytes(), student)
        # The run's own settings, as a file, with one of them changed.
        text = (self.folder / "whole/config.toml").read_text().replace(str(self.folder / "whole"), str(self.folder / "again"))
        (self.folder / "again.toml").write_text(text)
        self.run_quietly(self.folder / "again.toml")
        self.assertEqual((self.folder / "again/student.safetensors").read_bytes(), student)
        self.run_quietly(text, force=True)

    def test_exceptions_and_interrupts_come_out(self):
        def broken(*_):
            raise ZeroDivisionError("mine")

        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            self.run_quietly(progress=broken, **self.options("broken"))
        with self.assertRaises(ZeroDivisionError):
            self.run_quietly(line=broken, **self.options("broken2"))
        with self.assertRaises(KeyboardInterrupt):
            self.run_quietly(progress=lambda what, done, total, unit: os.kill(os.getpid(), signal.SIGINT) if done == 3 else None,
                             **self.options("interrupted"))
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
        self.run_quietly(resume=True, **self.options("interrupted"))

    def test_fit_and_errors(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = akin.fit(self.folder / "birds", sources=[self.folder / "bees.safetensors"], size=(12, 12), steps=6, threads=1,
                               out=self.folder / "fit")
        self.assertTrue((pathlib.Path(outcome["folder"]) / "report.html").exists())
        with self.fails(akin.Usage, "unknown or unusable setting 'colour'"):
            akin.distill(colour="red")
        with self.fails(akin.Usage, "settings: expected a text"):
            akin.distill(3)
        with self.fails(akin.Error, "none.toml"):
            akin.distill(pathlib.Path("none.toml"))
        with self.fails(akin.Usage, "dict cannot stand in settings"):
            akin.distill(steps={})
        with self.fails(akin.Error, "nowhere"):
            akin.fit("nowhere")


class Loading(Base):
    def python(self, code, **environment):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment})

    def test_a_library_that_is_none_or_of_another_version_is_refused(self):
        self.assertIn("AKIN_LIBRARY", self.python("import akin", AKIN_LIBRARY="/nowhere/libakin.so.1").stderr)
        self.assertIn("is not akin's library", self.python("import akin", AKIN_LIBRARY="libm.so.6").stderr)
        source = pathlib.Path(akin.__file__).parent
        other = self.folder / "module/akin"
        other.mkdir(parents=True)
        for file in source.glob("*.py"):
            (other / file.name).write_text(file.read_text().replace("ABI_VERSION = 1\n", "ABI_VERSION = 99\n"))
        self.assertIn("has ABI version 1, this module needs 99", self.python("import akin", PYTHONPATH=str(other.parent)).stderr)

    def test_forked_processes_go_on(self):
        code = f"""
import akin, multiprocessing, numpy as np
m = akin.load({str(self.file)!r}, threads=2)
x = np.arange(40 * 30 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 30, 30, 3)
p = m.predict(x)
def work(): assert m.predict(x).tobytes() == p.tobytes()
children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
for c in children: c.start()
for c in children: c.join(60)
print([c.exitcode for c in children])
"""
        done = self.python(code)
        self.assertEqual((done.stdout, done.stderr), ("[0, 0, 0]\n", ""))

    def test_example(self):
        done = subprocess.run([sys.executable, EXAMPLES / "nearest_model.py", self.folder / "birds/test", self.file,
                               self.folder / "bees.safetensors"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = list(csv.reader(done.stdout.splitlines(), delimiter=" ", skipinitialspace=True))
        self.assertEqual(rows[0][:5], ["24", "pictures", "of", "3", "classes,"])
        self.assertEqual([row[0] for row in rows[1:3]], ["birds", "bees"])
        failed = subprocess.run([sys.executable, EXAMPLES / "nearest_model.py", self.folder], capture_output=True, text=True)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("needs pictures", failed.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
