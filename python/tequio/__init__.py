"""tequio: MapReduce over MPI, from Python.

    import tequio

    counts = tequio.map_reduce(tequio.files("*.txt"), lambda text: collections.Counter(text.split()), "sum",
                               callback=lambda tag, done, not_done: print(tag, done, not_done))

Alone a script is one process; under `mpirun -n N python3 script.py` it is N, each with an interpreter of its own. See
map_reduce, Executor, wordcount and run.
"""

import functools

from ._cluster import Cluster, abort, cluster, rank, size
from ._executor import Executor
from ._inputs import files, lines, words
from ._jobs import jobs, run
from ._library import VERSION as __version__, LibraryError
from ._mapreduce import map_reduce
from .errors import Cancelled, Error, RemoteError

__all__ = ["Cancelled", "Cluster", "Error", "Executor", "LibraryError", "RemoteError", "abort", "cluster", "files", "jobs", "lines",
           "map_reduce", "rank", "run", "size", "words"]


def __getattr__(name):
    """tequio.wordcount, and so on: run(name, ...) of each built-in job."""
    if name.startswith("_") or name not in jobs():
        raise AttributeError(f"module 'tequio' has no attribute {name!r}")
    job = functools.partial(run, name)
    job.__doc__ = f"{name}: {jobs()[name]}. The arguments are those of run, without the name."
    return job
