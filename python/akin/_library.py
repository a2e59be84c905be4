"""libakin.so as ctypes sees it: where it is, its structs, and its errors as exceptions. The names are those of akin.h."""

import ctypes
import numbers
import os
import pathlib
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint, c_uint64, c_uint8, c_void_p
from typing import Any, List, Optional, Sequence, Union

import numpy as np

ABI_VERSION = 1
OK, FAILED, USAGE, STOPPED, PARTLY = range(5)

PathLike = Union[str, bytes, "os.PathLike[str]"]


class Error(Exception):
    """What akin could not do, and why: bad input, a broken file, a full disk."""


class Usage(Error):
    """Asked for what does not exist, or contradicts itself."""


class Stopped(Error):
    """A run that its progress function stopped; the same call with resume=True goes on."""


class LoadOptions(Structure):
    _fields_ = [("device", c_char_p), ("threads", c_int32), ("height", c_int32), ("width", c_int32),
                ("sources", POINTER(c_char_p)), ("source_count", c_size_t)]


class Pictures(Structure):
    _fields_ = [("pixels", c_void_p), ("count", c_int64), ("height", c_int64), ("width", c_int64), ("channels", c_int64)]


class Matrix(Structure):
    _fields_ = [("data", c_void_p), ("type", c_int32), ("rows", c_int64), ("columns", c_int64)]


class Table(Structure):
    _fields_ = [("name", c_char_p), ("features", Matrix), ("logits", Matrix), ("probabilities", Matrix), ("layers", c_int32)]


class RankOptions(Structure):
    _fields_ = [("metric", c_char_p), ("mapping", c_char_p), ("power", c_double), ("replicates", c_int32), ("classes", c_int32),
                ("probe", c_int64), ("seed", c_uint64), ("reference", Matrix), ("threads", c_int32)]


LINE = ctypes.CFUNCTYPE(None, c_void_p, c_char_p)
PROGRESS = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_int64, c_int64, c_char_p)


class RunHooks(Structure):
    _fields_ = [("line", LINE), ("progress", PROGRESS), ("user", c_void_p)]


_floats, _model, _files = c_void_p, c_void_p, POINTER(c_char_p)
_FUNCTIONS = {
    "akin_abi_version": (c_int, []),
    "akin_version": (c_char_p, []),
    "akin_last_error": (c_char_p, []),
    "akin_load": (c_int, [c_char_p, POINTER(LoadOptions), POINTER(c_void_p)]),
    "akin_model_free": (None, [_model]),
    "akin_model_classes": (c_int64, [_model]),
    "akin_model_features": (c_int64, [_model]),
    "akin_model_height": (c_int64, [_model]),
    "akin_model_width": (c_int64, [_model]),
    "akin_model_channels": (c_int64, [_model]),
    "akin_model_class_name": (c_char_p, [_model, c_int64]),
    "akin_predict": (c_int, [_model, POINTER(Pictures), _floats]),
    "akin_predict_files": (c_int, [_model, _files, c_size_t, _floats]),
    "akin_features": (c_int, [_model, POINTER(Pictures), _floats, _floats]),
    "akin_features_files": (c_int, [_model, _files, c_size_t, _floats, _floats]),
    "akin_rank_defaults": (None, [POINTER(RankOptions)]),
    "akin_rank_tables": (c_int, [POINTER(Table), c_size_t, c_void_p, c_int64, POINTER(RankOptions), POINTER(c_void_p)]),
    "akin_ranking_free": (None, [c_void_p]),
    "akin_ranking_json": (c_char_p, [c_void_p]),
    "akin_text_free": (None, [c_void_p]),
    "akin_distill": (c_int, [c_char_p, c_uint, POINTER(RunHooks), POINTER(c_void_p)]),
    "akin_fit": (c_int, [c_char_p, c_uint, POINTER(RunHooks), POINTER(c_void_p)]),
}


def _candidates() -> List[str]:
    """Files and names to try, in this order; the one that AKIN_LIBRARY names alone where it is set."""
    named = os.environ.get("AKIN_LIBRARY")
    if named:
        return [named]
    name = f"libakin.so.{ABI_VERSION}"
    here = pathlib.Path(__file__).resolve().parent
    beside = [here / name]
    for above in here.parents:  # <prefix>/lib/python3/dist-packages/akin
        if above.name in ("lib", "lib64"):
            beside += [above / name, *sorted(above.glob(f"*-linux-gnu*/{name}"))]
    return [str(file) for file in beside if file.exists()] + [name]


def _open() -> ctypes.CDLL:
    reasons = []
    for candidate in _candidates():
        try:
            library = ctypes.CDLL(candidate)
            break
        except OSError as error:
            reasons.append(str(error))
    else:
        raise ImportError("libakin.so cannot be loaded: " + "; ".join(reasons) +
                          ". Set AKIN_LIBRARY to the file, or install it (docs/library.md)")
    try:
        found = library.akin_abi_version()
    except AttributeError:
        raise ImportError(f"{candidate} is not akin's library: it has no akin_abi_version") from None
    if found != ABI_VERSION:
        raise ImportError(f"{candidate} has ABI version {found}, this module needs {ABI_VERSION}: "
                          "install the library and the module of one release of akin, or set AKIN_LIBRARY to the right file")
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


lib = _open()


def version() -> str:
    """Version of the library, such as "0.1.0"."""
    return lib.akin_version().decode()


def text(raw: Optional[bytes]) -> str:
    return (raw or b"").decode("utf-8", "replace")


def check(code: int) -> None:
    """Raises what a code stands for, with the text of the thread's last error."""
    if code != OK:
        raise {USAGE: Usage, STOPPED: Stopped}.get(code, Error)(text(lib.akin_last_error()))


def paths(files: Sequence[PathLike], what: str = "files") -> "ctypes.Array[c_char_p]":
    return (c_char_p * len(files))(*[path(file, what) for file in files])


def path(file: PathLike, what: str = "file") -> bytes:
    if not is_path(file):
        raise Usage(f"{what}: expected the name of a file, found {type(file).__name__}")
    return without_zero(os.fsencode(file), f"{what} {file!r}")


def is_path(value: Any) -> bool:
    return isinstance(value, (str, bytes, os.PathLike))


def name(value: Any, what: str) -> bytes:
    if not isinstance(value, str):
        raise Usage(f"{what}: expected a text, found {type(value).__name__}")
    try:
        return without_zero(value.encode(), what)
    except UnicodeEncodeError:
        raise Usage(f"{what}: holds what is no Unicode character") from None


def without_zero(raw: bytes, what: str) -> bytes:
    if b"\0" in raw:
        raise Usage(f"{what}: holds a zero byte")
    return raw


def array(value: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise Usage(f"{what}: cannot be an array: {error}") from None


def whole(value: Any, what: str, most: int = 2**31 - 1) -> int:
    """A whole number from 0; what C would wrap around is refused."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and 0 <= value <= most:
        return int(value)
    raise Usage(f"{what}: expected a whole number from 0 to {most}, found {value!r}")


def real(value: Any, what: str) -> float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    raise Usage(f"{what}: expected a number, found {value!r}")
