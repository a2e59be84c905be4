"""akin from Python: trained models on pictures, similarity of tasks, and the runs of `akin fit` and `akin distill`.

    import akin
    student = akin.load("runs/birds/student.safetensors")
    p = student.predict(["robin.jpg", "wren.jpg"])             # [2, classes]
    print([student.classes[i] for i in p.argmax(axis=1)])

    for row in akin.rank_tables({"resnet": a, "mobilenet": b}, labels, metric="parc"):
        print(row.source, row.value, row.low, row.high)

A thin layer over libakin.so (akin.h says the same for C): numpy arrays in and out, every error an akin.Error. The results
are those of the command line to the bit. The library is taken from the file that the environment variable AKIN_LIBRARY
names, else from beside this module or the prefix that it is installed below, else from where the system looks.

Threads: all may be called from any thread, and lets other threads of Python run meanwhile. Calls with one model wait for
each other; give each thread a model of its own where they shall run side by side. A process that was forked while no call
was running may go on using its models.
"""

from ._library import Error, Usage, Stopped, version
from ._model import Model, load
from ._rank import Ranking, Row, rank_tables
from ._run import distill, fit

__all__ = ["Error", "Model", "Ranking", "Row", "Stopped", "Usage", "distill", "fit", "load", "rank_tables", "version"]
__version__ = version()
