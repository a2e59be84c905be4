"""Similarity of tasks from tables of features: akin.rank_tables."""

import ctypes
import json
import math
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

import numpy as np

from . import _library
from ._library import lib

Table = Union[np.ndarray, Mapping[str, np.ndarray]]


class Row(NamedTuple):
    """One source. A number that was not measured is NaN."""

    source: str
    value: float  #: of the metric; the larger, the more similar
    low: float  #: bootstrap interval of 95 %
    high: float
    chance: float  #: the metric with shuffled labels, mean
    chance_high: float  #: and 95 % quantile
    p_value: float  #: how often shuffled labels reach the value
    best_share: float  #: share of bootstrap draws in which this source is the nearest
    mapped: float  #: the value, mapped to what weights are made of
    weight: float  #: in DistillWeighted
    undefined: Optional[str]  #: why there is no value; None where there is one


class Ranking(List[Row]):
    """Rows, the most similar source first.

    metric: what was measured ("auto" chooses); metric_why: why that, or None
    mapping: of similarity to weight
    ranking_tau: how alike two bootstrap draws rank the sources (Kendall's tau): 1 the same, 0 by chance
    unsure: why the first place is not sure, or None
    notes: lines for people
    """

    metric: str
    metric_why: Optional[str]
    mapping: str
    ranking_tau: float
    unsure: Optional[str]
    notes: List[str]


def rank_tables(tables: Mapping[str, Table], labels: Union[np.ndarray, Sequence], *, metric: str = "parc", mapping: str = "",
                power: Optional[float] = None, replicates: Optional[int] = None, classes: int = 0, probe: Optional[int] = None,
                seed: int = 0, reference: Optional[np.ndarray] = None, layers: Optional[Mapping[str, int]] = None,
                threads: int = 0) -> Ranking:
    """How similar each source's task is to the target's: what `akin rank --tables` says.

    tables: a source's name -> its features [N, D] on the N labelled pictures, or a mapping with "features" [N, D] and,
        for leep and nce, "logits" or "probabilities" [N, Z] of its own classes
    labels: [N] of the target, whole numbers from 0 or names
    metric: parc, cka, leep, ... (`akin rank --help`), or "auto"
    mapping, power: how similarity becomes weight; default: the metric's own, and 12
    replicates: bootstrap draws and label shuffles, default 200; 0: values only
    classes: of the target; 0: as many as the labels show
    probe: labelled rows that are measured on at most, evenly over the classes; default 500
    seed: of draws and shuffles
    reference: features [N, D] of a model trained on the target, for rsa and dds
    layers: a source's name -> its weight layers, for plasticity
    threads: 0: OMP_NUM_THREADS, or the processors at hand
    Raises akin.Error on NaN, on numbers of rows that differ, and where no source could be ranked.
    """
    if not isinstance(tables, Mapping):
        raise _library.Usage("tables: expected a dict of names and features [N, D]")
    kept: List[np.ndarray] = []  # what pointers lead to
    given = (_library.Table * len(tables))()
    for entry, (name, table) in zip(given, tables.items()):
        parts: Dict[str, np.ndarray] = dict(table) if isinstance(table, Mapping) else {"features": table}
        unknown = set(parts) - {"features", "logits", "probabilities"}
        if unknown:
            raise _library.Usage(f"table {name!r}: has {sorted(unknown)[0]!r}; features, logits and probabilities are known")
        entry.name = _library.name(name, "tables: a name")
        for part, values in parts.items():
            setattr(entry, part, _matrix(values, f"table {name!r}: {part}", kept))
        entry.layers = _library.whole((layers or {}).get(name, 0), f"layers of {name!r}")
    numbers = _numbers(labels)
    options = _library.RankOptions()
    lib.akin_rank_defaults(ctypes.byref(options))
    options.metric, options.mapping = _library.name(metric, "metric"), _library.name(mapping, "mapping") or None
    options.classes, options.threads = _library.whole(classes, "classes"), _library.whole(threads, "threads")
    options.seed = _library.whole(seed, "seed", 2**64 - 1)
    if power is not None:
        options.power = _library.real(power, "power")
    if replicates is not None:
        options.replicates = _library.whole(replicates, "replicates")
    if probe is not None:
        options.probe = _library.whole(probe, "probe", 2**63 - 1)
    if reference is not None:
        options.reference = _matrix(reference, "reference", kept)
    handle = ctypes.c_void_p()
    _library.check(lib.akin_rank_tables(given, len(given), numbers.ctypes.data, len(numbers), ctypes.byref(options), ctypes.byref(handle)))
    try:
        said = json.loads(lib.akin_ranking_json(handle))
    finally:
        lib.akin_ranking_free(handle)
    ranking = Ranking(Row(*(_value(row, field) for field in Row._fields)) for row in said["sources"])
    ranking.metric, ranking.metric_why, ranking.mapping = said["metric"], said["metric_why"], said["mapping"]
    ranking.ranking_tau = math.nan if said["ranking_tau"] is None else said["ranking_tau"]
    ranking.unsure, ranking.notes = said["unsure"], said["notes"]
    return ranking


def _value(row: Dict, field: str):
    value = row[field]
    return math.nan if value is None and field != "undefined" else value


def _matrix(values: np.ndarray, what: str, kept: List[np.ndarray]) -> _library.Matrix:
    array = _library.array(values, what)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise _library.Usage(f"{what}: expected numbers [N, D], found {array.dtype} {list(array.shape)}")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    dense = np.ascontiguousarray(array, np.float32 if single else np.float64)
    kept.append(dense)
    return _library.Matrix(dense.ctypes.data, 0 if single else 1, *dense.shape)


def _numbers(labels: Union[np.ndarray, Sequence]) -> np.ndarray:
    """int32 [N]; names are numbered in the order of their bytes, as `akin rank` does."""
    array = _library.array(labels, "labels")
    if array.ndim != 1:
        raise _library.Usage(f"labels: expected one a row, [N], found {list(array.shape)}")
    if array.dtype.kind in "US":
        return np.unique(np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array, return_inverse=True)[1].astype(np.int32)
    if array.dtype.kind not in "iub" or (array.size and (array.min() < -(2**31) or array.max() >= 2**31)):
        raise _library.Usage(f"labels: expected whole numbers from 0 or names, found {array.dtype}")
    return np.ascontiguousarray(array, np.int32)
