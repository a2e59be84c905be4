"""Models on pictures: akin.load, Model.predict, Model.features."""

import ctypes
import os
import warnings
import weakref
from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _library
from ._library import PathLike, lib

Images = Union[PathLike, Iterable[PathLike], np.ndarray, Iterable[np.ndarray]]


class Outputs(NamedTuple):
    """What a network says of N pictures."""

    features: np.ndarray  #: float32 [N, D], what its head works on
    logits: np.ndarray  #: float32 [N, classes], before the softmax


def load(file: PathLike, *, sources: Sequence[PathLike] = (), size: Optional[Tuple[int, int]] = None, device: str = "auto",
         threads: int = 0) -> "Model":
    """Opens a model: a student, a trained or imported network, or a probe with the models that it reads.

    file: what akin wrote (student.safetensors of a run's folder)
    sources: of a probe or head, the files of the models whose features it reads
    size: (height, width) that pictures are brought to, instead of what the file says
    device: "auto" (cuda where a card answers, else cpu), "cpu", "cuda" or "sim"
    threads: of calls with this model; 0: OMP_NUM_THREADS, or the processors at hand
    Raises akin.Error where a file is missing, damaged or no model.
    """
    if _library.is_path(sources):
        raise _library.Usage("sources: expected a list of files")
    names = _library.paths(list(sources), "sources")
    if size is not None and (isinstance(size, (str, bytes)) or np.shape(size) != (2,)):
        raise _library.Usage(f"size: expected (height, width), found {size!r}")
    height, width = [_library.whole(n, "size") for n in size] if size is not None else (0, 0)
    options = _library.LoadOptions(_library.name(device, "device"), _library.whole(threads, "threads"), height, width, names, len(names))
    handle = ctypes.c_void_p()
    _library.check(lib.akin_load(_library.path(file), ctypes.byref(options), ctypes.byref(handle)))
    return Model(handle, os.fsdecode(file))


class Model:
    """A model that akin.load opened. Its memory is freed with the object.

    file: its name, as it was given
    classes: names of the classes; numbers where the file has none
    feature_size: D, the length of a feature vector; 0 for a probe, which has none
    input: (height, width, channels) of the network's input; height and width 0 where the file does not say
    """

    def __init__(self, handle: ctypes.c_void_p, file: str) -> None:
        self._handle = handle
        self._free = weakref.finalize(self, lib.akin_model_free, handle)
        self.file = file
        self.classes: List[str] = [_library.text(lib.akin_model_class_name(handle, i)) for i in range(lib.akin_model_classes(handle))]
        self.feature_size: int = lib.akin_model_features(handle)
        self.input: Tuple[int, int, int] = (lib.akin_model_height(handle), lib.akin_model_width(handle), lib.akin_model_channels(handle))

    def __repr__(self) -> str:
        return f"<akin.Model {self.file}: {len(self.classes)} classes, input {'x'.join(map(str, self.input))}>"

    def predict(self, pictures: Images, *, skip_unreadable: bool = False) -> np.ndarray:
        """Probabilities of the classes, float32 [N, classes]; a row sums to 1. What `akin predict` says.

        pictures: files or uint8 arrays, one or many (a list, or what else can be gone through once). An array is one
            picture [H, W, C] or [H, W], or in one piece [N, H, W, C] or [N, H, W]; C = 1 grey or 3 RGB, so that three
            axes of which the last has 1 or 3 are one picture. Each is brought to the network's input as its file says.
        skip_unreadable: files that cannot be read become rows of NaN, with a warning; else they are an akin.Error
        """
        files, arrays = _given(pictures)
        if arrays:
            return np.concatenate([self._run(lib.akin_predict, p, [len(self.classes)])[0] for p in arrays])
        out = np.empty((len(files), len(self.classes)), np.float32)
        code = lib.akin_predict_files(self._handle, _library.paths(files), len(files), out.ctypes.data)
        if code == _library.PARTLY and skip_unreadable:
            warnings.warn(_library.text(lib.akin_last_error()), stacklevel=2)
        else:
            _library.check(code)
        return out

    def features(self, pictures: Images) -> Outputs:
        """Features float32 [N, D] and logits float32 [N, classes]: what `akin features --match-channels` writes.

        pictures: as of predict; a file that cannot be read is an akin.Error, and so is a probe, which has no features
        """
        sizes = [self.feature_size, len(self.classes)]
        files, arrays = _given(pictures)
        if arrays:
            parts = [self._run(lib.akin_features, p, sizes) for p in arrays]
            return Outputs(*(np.concatenate(part) for part in zip(*parts)))
        out = [np.empty((len(files), n), np.float32) for n in sizes]
        _library.check(lib.akin_features_files(self._handle, _library.paths(files), len(files), *(a.ctypes.data for a in out)))
        return Outputs(*out)

    def _run(self, function, pictures: np.ndarray, sizes: Sequence[int]) -> List[np.ndarray]:
        out = [np.empty((len(pictures), n), np.float32) for n in sizes]
        given = _library.Pictures(pictures.ctypes.data, *pictures.shape)
        _library.check(function(self._handle, ctypes.byref(given), *(a.ctypes.data for a in out)))
        return out


def _given(pictures: Images) -> Tuple[List[PathLike], List[np.ndarray]]:
    """The names of files, or else arrays [N, H, W, C] that are dense: of a list one for each run of equal sizes."""
    if _library.is_path(pictures):
        return [pictures], []  # type: ignore[list-item]
    if isinstance(pictures, np.ndarray):
        several = pictures.ndim == 4 or (pictures.ndim == 3 and pictures.shape[-1] not in (1, 3))
        return [], [_dense(pictures, "[N, H, W, C], [N, H, W], [H, W, C] or [H, W]", several)]
    try:
        given: List[Any] = list(pictures)
    except TypeError:
        raise _library.Usage(f"pictures: expected files or uint8 arrays, found {type(pictures).__name__}") from None
    names = [_library.is_path(p) for p in given]
    if all(names):
        return given, []
    if any(names):
        raise _library.Usage("pictures: files and arrays in one list; give two lists")
    runs: List[List[np.ndarray]] = []
    for picture in given:
        one = _dense(_library.array(picture, "pictures"), "[H, W, C] or [H, W]", False)[0]
        if runs and runs[-1][0].shape == one.shape:
            runs[-1].append(one)
        else:
            runs.append([one])
    return [], [np.stack(run) for run in runs]


def _dense(array: np.ndarray, wanted: str, several: bool) -> np.ndarray:
    """[N, H, W, C] of `several` pictures, or of one."""
    found = f"{array.dtype} {list(array.shape)}"
    if not several:
        array = array[np.newaxis]
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise _library.Usage(f"pictures: expected uint8 {wanted} with C = 1 (grey) or 3 (RGB), found {found}")
    return np.ascontiguousarray(array)
