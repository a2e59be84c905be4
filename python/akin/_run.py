"""Runs: akin.distill and akin.fit."""

import ctypes
import json
import os
import pathlib
import signal
import threading
import warnings
from typing import Any, Callable, Dict, List, Optional, Union

from . import _library
from ._library import lib

#: Called with (what, done, total, unit); True stops the run after the step at hand.
Progress = Callable[[str, int, int, str], Optional[bool]]


def distill(settings: Union[str, pathlib.Path] = "", *, resume: bool = False, force: bool = False, progress: Optional[Progress] = None,
            line: Optional[Callable[[str], None]] = None, **options: Any) -> Dict[str, Any]:
    """Trains students of a target from a bank of sources: what `akin distill` does.

    settings: text of a file as --config takes it (TOML), or a pathlib.Path to one; options: its options by name, _ for -:
        akin.distill(target="birds", sources=["a.safetensors"], labels_per_class=5, steps=500, out="runs/birds")
    resume: go on with a stopped run; force: start anew in a folder that holds one
    progress: is told how far it is; line: gets each line that the command prints on stderr but warnings
    Returns the JSON object that --json prints: "folder" (where student.safetensors and report.html are), "methods" with
    their figures, "delivered", "verdict" and more. Raises akin.Stopped where progress returned True; an exception of
    progress or line, KeyboardInterrupt among them, stops the run likewise and comes out.
    """
    return _run(lib.akin_distill, settings, resume, force, progress, line, options)


def fit(data: "_library.PathLike" = "", settings: Union[str, pathlib.Path] = "", *, resume: bool = False, force: bool = False,
        progress: Optional[Progress] = None, line: Optional[Callable[[str], None]] = None, **options: Any) -> Dict[str, Any]:
    """From a folder of pictures to the best small model: what `akin fit` does.

        outcome = akin.fit("birds", bank="bank", out="runs/birds")
        student = akin.load(outcome["folder"] + "/student.safetensors")

    data: the folder; all else is as in distill
    """
    if data:
        options["data"] = data
    return _run(lib.akin_fit, settings, resume, force, progress, line, options)


def _run(function, settings: Union[str, pathlib.Path], resume: bool, force: bool, progress: Optional[Progress],
         line: Optional[Callable[[str], None]], options: Dict[str, Any]) -> Dict[str, Any]:
    thrown: List[BaseException] = []  # nothing may be raised into C: it is kept, and stops the run

    def on_line(_user: Any, raw: bytes) -> None:
        try:
            said = _library.text(raw)
            if said.startswith("warning: "):
                warnings.warn(said[len("warning: "):], stacklevel=4)
            elif line is not None:
                line(said)
        except BaseException as error:
            thrown.append(error)

    def on_progress(_user: Any, label: bytes, done: int, total: int, unit: bytes) -> int:
        try:
            if thrown or (progress is not None and progress(_library.text(label), done, total, _library.text(unit))):
                return 1
        except BaseException as error:
            thrown.append(error)
        return 1 if thrown else 0

    if isinstance(settings, pathlib.Path):
        try:
            settings = settings.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise _library.Error(f"{settings}: cannot be read: {error}") from None
    if not isinstance(settings, str):
        raise _library.Usage(f"settings: expected a text of TOML or a pathlib.Path to one, found {type(settings).__name__}")
    if isinstance(options.get("size"), (list, tuple)):  # (height, width), as akin.load takes it
        options["size"] = "x".join(str(n) for n in options["size"])
    text = settings + "".join(f"\n{key.replace('_', '-')} = {_toml(value, key)}" for key, value in options.items()) + "\n"
    raw = _library.name(text, "settings")
    hooks = _library.RunHooks(_library.LINE(on_line), _library.PROGRESS(on_progress), None)
    outcome = ctypes.c_void_p()
    flags = (1 if resume else 0) | (2 if force else 0)
    # A KeyboardInterrupt would be raised at the first line of a callback, where nothing can catch it.
    before = signal.getsignal(signal.SIGINT)
    caught = threading.current_thread() is threading.main_thread() and before is signal.default_int_handler
    if caught:
        signal.signal(signal.SIGINT, lambda *_: thrown.append(KeyboardInterrupt()))
    try:
        code = function(raw, flags, ctypes.byref(hooks), ctypes.byref(outcome))
        said = ctypes.string_at(outcome) if outcome else b"{}"
    finally:
        lib.akin_text_free(outcome)
        if caught:
            signal.signal(signal.SIGINT, before)
    if thrown:
        raise thrown[0]
    _library.check(code)
    return json.loads(said)


def _toml(value: Any, key: str) -> str:
    """A value of TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, bytes, os.PathLike)):
        return json.dumps(os.fsdecode(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item, key) for item in value) + "]"
    try:  # a number of numpy's
        return repr(value.item())
    except AttributeError:
        raise _library.Usage(f"{key}: {type(value).__name__} cannot stand in settings; give a text, a number, a bool or a list") from None
