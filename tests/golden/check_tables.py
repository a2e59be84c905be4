"""Compares how akin, NumPy and pandas read odd tables: equal numbers, or a stated reason why not.

    cmake --build build/ci --target read_table && /usr/bin/python3 tests/golden/check_tables.py build/ci/bin/read_table

Writes 221 files into a temporary folder: .npy of every type, order and layout, .csv as programs and spreadsheets write them.
For each akin's numbers must be NumPy's or pandas's (which are told the separator and the decimal mark; akin is not), to
the last bit. Where they differ akin must have said why: in an error, or in a note that names what was left out. Prints
one line a kind; exit code 1 where a file was read otherwise in silence.
"""
import io
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
rng = np.random.default_rng(0)


def npy_files(folder):
    """(kind, path)"""
    types = ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]
    for t in types:
        for order in "<>":
            for layout in "CF":
                dtype = np.dtype(order + t) if t != "?" else np.dtype("?")
                a = np.asarray(rng.normal(0, 50, (5, 3)) if "u" not in t else rng.uniform(0, 100, (5, 3)), order=layout)
                path = folder / f"{t.strip('?') or 'b'}_{'le' if order == '<' else 'be'}_{layout}.npy"
                np.save(path, np.array(a, dtype=dtype, order=layout))
                yield "npy of " + dtype.name, path
    limits = {"f2": [65504, 6e-8, -0.0], "f4": [3.4e38, 1e-45, -0.0], "f8": [1.7e308, 5e-324, -0.0], "i8": [2**53, -(2**53), 0],
              "u8": [2**63 - 1, 0, 1], "u4": [2**32 - 1, 0, 1], "i1": [-128, 127, 0]}
    for t, values in limits.items():
        np.save(folder / f"limit_{t}.npy", np.array([values] * 2, dtype=t))
        yield "npy, largest and smallest numbers", folder / f"limit_{t}.npy"
    odd = {
        "complex": np.ones((3, 2), "c8"), "object": np.array([[1, "a"], [2, None]], object), "text": np.array([["1", "2"], ["3", "4"]]),
        "time": np.array([["2024-01-01", "2024-01-02"]], "M8[D]"), "longdouble": np.ones((2, 2), np.longdouble),
        "record": np.ones(3, [("a", "f4"), ("b", "f4")]), "bytes": np.array([[b"ab", b"c"]]), "void": np.zeros((2, 2), "V2"),
        "nan": np.array([[1, 2], [3, np.nan]]), "inf": np.array([[1, np.inf], [3, 4]], "f4"), "rank1": np.arange(4.0), "rank3": np.ones((2, 2, 2)),
        "scalar": np.float64(3), "empty": np.zeros((0, 4)), "no_columns": np.zeros((4, 0)), "one": np.array([[2.5]]),
        "counter": np.column_stack([np.arange(12), rng.normal(size=(12, 2))]), "slice": rng.normal(size=(6, 6))[::2, ::3],
        "beyond_i64": np.full((2, 2), 2**63, "u8"),
        "counter100": np.column_stack([np.arange(100, 112), rng.normal(size=(12, 2))]),
        "countdown": np.column_stack([np.arange(12, 0, -1), rng.normal(size=(12, 2))]),
        "times": np.column_stack([1.7e9 + 10 * np.arange(12), rng.normal(size=(12, 2))]),
        "axis": np.column_stack([np.linspace(0, 1, 12), rng.normal(size=(12, 2))]),
        "permuted": np.column_stack([rng.permutation(12), rng.normal(size=(12, 2))]),
    }
    for name, a in odd.items():
        np.save(folder / f"odd_{name}.npy", a, allow_pickle=True)
        yield "npy, odd: " + name, folder / f"odd_{name}.npy"
    for version in [(1, 0), (2, 0), (3, 0)]:
        with open(folder / f"version{version[0]}.npy", "wb") as f:
            np.lib.format.write_array(f, rng.normal(size=(3, 2)), version=version)
        yield "npy, format versions", folder / f"version{version[0]}.npy"
    with open(folder / "twice.npy", "wb") as f:
        np.save(f, np.ones((2, 2)))
        np.save(f, np.zeros((2, 2)))
    yield "npy, two arrays in a file", folder / "twice.npy"
    np.savez(folder / "several.npz", a=np.ones((2, 2)))
    (folder / "several.npz").rename(folder / "several.npy")
    yield "npz called npy", folder / "several.npy"


def csv_files(folder):
    """(kind, path, arguments of pandas.read_csv)"""
    number = 0

    def write(text, kind, encoding="utf-8", **arguments):
        nonlocal number
        number += 1
        path = folder / f"t{number:03}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return kind, path, {"encoding": encoding, **arguments}

    x = pd.DataFrame(rng.normal(0, 100, (12, 3)), columns=["a", "b", "c"])
    for sep in [",", ";", "\t", "|", " "]:
        for header in [True, False]:
            for decimal in [".", ","]:
                if decimal == sep:
                    continue
                for end in ["\n", "\r\n", "\r"]:
                    text = x.to_csv(sep=sep, header=header, decimal=decimal, index=False, lineterminator=end)
                    yield write(text, f"csv, separator {sep!r}, decimal {decimal}", sep=sep, decimal=decimal,
                                header=0 if header else None)
    for encoding in ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]:
        yield write(x.to_csv(index=False), "csv, encodings", encoding)
    for quoting in [1, 2]:
        yield write(x.to_csv(index=False, quoting=quoting), "csv, quotes")
    for form in ["%.18e", "%g", "%+.3f", "%12.4f", "%a"]:
        buffer = io.StringIO()
        if form == "%a":
            buffer.write("\n".join(" ".join(float(v).hex() for v in row) for row in x.values))
        else:
            np.savetxt(buffer, x.values, fmt=form)
        yield write(buffer.getvalue(), "csv, numpy.savetxt", sep=r"\s+", header=None)
    buffer = io.StringIO()
    np.savetxt(buffer, x.values, delimiter=",", header="a,b,c")
    yield write(buffer.getvalue(), "csv, numpy.savetxt with a header", header=None, comment="#")
    yield write(x.to_csv(), "csv, index column")
    yield write(x.to_csv(index_label="index"), "csv, index column")
    yield write(x.set_index(pd.Index(range(1, 13))).to_csv(), "csv, index column")
    yield write(x.reset_index().to_csv(), "csv, index column")
    yield write(x.to_csv().replace(",a", "Unnamed: 0,a", 1), "csv, index column")
    yield write(x.assign(nr=range(12)).to_csv(index=False), "csv, a column that counts")
    yield write(pd.DataFrame(x.values).to_csv(index=False), "csv, columns without names", header=0)
    wide = pd.DataFrame(rng.normal(size=(4, 6)))
    yield write(wide.to_csv(index=False), "csv, columns without names", header=0)
    yield write(wide.to_csv(), "csv, columns without names")
    yield write(x.to_csv(index=False).replace("\n", ",\n"), "csv, separator at the end of lines", usecols=[0, 1, 2])
    yield write(x.to_csv(index=False, header=False).replace("\n", ",\n"), "csv, separator at the end of lines", header=None, usecols=[0, 1, 2])
    yield write("sep=;\n" + x.to_csv(sep=";", index=False), "csv, sep=", sep=";", skiprows=1)
    yield write(x.to_csv(index=False) + "\n\n\n", "csv, empty lines at the end")
    yield write(x.to_csv(index=False) + ",,\n,,\n", "csv, empty rows at the end", nrows=12)
    yield write(x.to_csv(index=False).replace("\n", "\n\n"), "csv, empty lines between")
    yield write("# made by someone\n" + x.to_csv(index=False), "csv, comments", comment="#")
    yield write(x.assign(d=x.a > 0).to_csv(index=False), "csv, TRUE and FALSE")
    yield write(x.assign(d=(x.a > 0).map({True: "TRUE", False: "FALSE"})).to_csv(index=False), "csv, TRUE and FALSE")
    yield write(x.assign(d=5.0).to_csv(index=False), "csv, constant column")
    yield write(x.assign(d="").to_csv(index=False), "csv, empty column")
    yield write(x.assign(label=list("abc") * 4).to_csv(index=False), "csv, labels")
    yield write(x.assign(target=[0, 1] * 6).to_csv(index=False), "csv, labels")
    yield write(x.assign(file=[f"i/{k}.png" for k in range(12)]).to_csv(index=False), "csv, file names")
    yield write(x.set_index(pd.Index([f"i/{k}.png" for k in range(12)])).to_csv(), "csv, file names")
    yield write(x.assign(ImageId=[f"i/{k}.png" for k in range(12)]).to_csv(index=False), "csv, file names")
    yield write(x.assign(photo=[f"i/{k}.png" for k in range(12)]).to_csv(index=False), "csv, file names")
    yield write(x.assign(file=[f"i/{k // 2}.png" for k in range(12)]).to_csv(index=False), "csv, a file name twice")
    yield write(x.assign(split="train").to_csv(index=False), "csv, column of text")
    for count in [5, 500]:
        yield write(x.to_csv(index=False).replace("\n", "," * count + "\n"), "csv, many empty columns")
    big = pd.DataFrame(rng.integers(1000, 10**9, (12, 2)), columns=["a", "b"])
    yield write(big.applymap("{:,}".format).to_csv(index=False), "csv, thousands", thousands=",")
    yield write(big.applymap(lambda v: f"{v:,}".replace(",", ".") + ",5").to_csv(index=False, sep=";"),
                "csv, thousands", thousands=".", decimal=",", sep=";")
    yield write(big.to_csv(index=False), "csv, whole numbers")
    some = pd.DataFrame(rng.integers(1, 10**5, (12, 2)), columns=["a", "b"])
    some.iloc[0] = [976, 14792]
    for sep in [";", "\t", "|"]:
        yield write(some.applymap(lambda v: f"{v:,}".replace(",", ".")).to_csv(index=False, sep=sep), "csv, thousands with points",
                    thousands=".", sep=sep)
        yield write(x.abs().add(1).round(3).to_csv(index=False, sep=sep, float_format="%.3f"), "csv, three decimals", sep=sep)
    for value in ["", "NA", "nan", "inf", "-inf", "null", "?", "2024-01-05", "12:30", "abc", "5%", "1e400", "#DIV/0!", "1 234", "0x1F", "1d5"]:
        rows = x.to_csv(index=False).splitlines()
        rows[5] = rows[5].rsplit(",", 1)[0] + "," + value
        yield write("\n".join(rows) + "\n", f"csv, a cell {value!r}")
    for value in ["1e-400", "4.9e-324", "1.7976931348623157e308", "+5", ".5", "5.", "-0", "1E5", "1e+05", "00012", "0.1e1"]:
        rows = x.to_csv(index=False).splitlines()
        rows[5] = rows[5].rsplit(",", 1)[0] + "," + value
        yield write("\n".join(rows) + "\n", f"csv, forms of numbers", float_precision="round_trip")
    rows = x.to_csv(index=False).splitlines()
    yield write("\n".join(rows + rows) + "\n", "csv, names of columns once more")
    yield write("\n".join(rows[:4] + [rows[4] + ",7"] + rows[5:]) + "\n", "csv, a cell too many", on_bad_lines="error")
    yield write("\n".join(rows[:4] + [rows[4].rsplit(",", 1)[0]] + rows[5:]) + "\n", "csv, a cell too few")
    yield write(b"PK\x03\x04[Content_Types].xml xl/workbook.xml", "xlsx called csv")
    yield write(b"", "empty file")


def peer(path, arguments):
    """The numbers of NumPy or pandas, or their error."""
    try:
        if path.suffix == ".npy":
            a = np.load(path)
            if not isinstance(a, np.ndarray) or a.dtype.kind not in "fiub":
                return f"no numbers ({getattr(a, 'dtype', type(a).__name__)})"
            return a.astype("f8")
        arguments = {"float_precision": "round_trip", **arguments}
        return pd.read_csv(path, **arguments)
    except Exception as e:
        return f"{type(e).__name__}: {e}".splitlines()[0]


def judge(read, expected):
    """equal; or the reason that akin gives; None where it gives none."""
    if "error" in read:
        return "refused: " + read["error"].split(": ", 1)[1]
    got = np.array(read["values"]).reshape(read["shape"])
    if isinstance(expected, np.ndarray):
        return "equal" if got.shape == expected.shape and np.array_equal(got, expected) else None
    said = "; ".join(note.split(": ", 1)[1] for note in read["notes"])
    if isinstance(expected, str):
        return "read, said: " + said if said else None
    keep, left = [], []
    for column in expected.columns:
        values = expected[column]
        if values.dtype == object and list(map(str, values)) in (read["labels"], read["names"]):
            left.append(column)
        elif list(map(str, values)) == read["labels"]:
            left.append(column)
        elif values.dtype == object:
            keep.append(values.map({"TRUE": 1.0, "FALSE": 0.0}))
        else:
            keep.append(values.astype("f8"))
    numbers = np.column_stack(keep)
    if got.shape == numbers.shape and np.array_equal(got, numbers):
        return "equal" + (f" ({', '.join(map(str, left))}: labels or names)" if left else "")
    # What akin left out, and said so, are columns that count, are empty or name the rows.
    if said and got.shape[0] == numbers.shape[0]:
        columns = [tuple(c) for c in numbers.T]
        if all(tuple(c) in columns for c in got.T):
            return "left out: " + said
    return None


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [(kind, path, {}) for kind, path in npy_files(folder)] + list(csv_files(folder))
        run = subprocess.run([program] + [str(path) for _, path, _ in files], capture_output=True, text=True, check=True)
        results = [json.loads(line) for line in run.stdout.splitlines()]
        counts, silent, lines = Counter(), [], {}
        for (kind, path, arguments), read in zip(files, results):
            verdict = judge(read, peer(path, arguments))
            if verdict is None:
                silent.append((kind, path.read_bytes()[:200], str(read)[:200], str(peer(path, arguments))[:200]))
                continue
            counts[verdict.split(":")[0].split(" ")[0]] += 1
            lines.setdefault((kind, verdict[:150].replace(str(folder), "")), []).append(path.name)
        for (kind, verdict), names in lines.items():
            print(f"{len(names):3}  {kind:45} {verdict}")
        print(f"{len(files)} files: {dict(counts)}, read otherwise in silence: {len(silent)}")
        for item in silent:
            print("SILENT", *item, sep="\n  ")
        return 1 if silent or len(files) < 200 else 0


if __name__ == "__main__":
    sys.exit(main())
