"""The ranks of this run. Alone a script has one; under mpirun (or srun) as many as were started, and every rank runs the same
script. The cluster is opened when it is first needed, and closed when Python ends.
"""

import atexit
import ctypes
import os
import sys
import threading
import traceback

from . import _codec
from . import _library as _c
from .errors import Cancelled, Error

WAIT_S = 0.05  # between looks for signals, which Python handles on the main thread between two calls


def text_of(error):
    room = ctypes.create_string_buffer(2048)
    _c.lib.tq_error_text(ctypes.byref(error), room, len(room))
    return room.value.decode("utf-8", "replace")


def exception_of(error):
    kind = Cancelled if error.status == _c.E_CANCELLED else Error
    exception = kind(text_of(error), error.status, error.rank)
    exception._tequio_everywhere = True  # all ranks raise it: one says so
    return exception


class Cluster:
    """The ranks: of comm, a communicator of mpi4py, or of the whole run. Collective, like close."""

    def __init__(self, comm=None, threads=-1):
        options, error, handle = _c.ClusterOptions(threads=threads), _c.Error(), ctypes.c_void_p()
        if comm is None:
            comm = _world_of_mpi4py()
        if comm is None:
            _c.lib.tq_cluster_open(ctypes.byref(options), ctypes.byref(handle), ctypes.byref(error))
        else:
            _open_on(comm, options, handle, error)
        if not handle:
            raise exception_of(error)
        self._handle = handle
        self._lock = threading.RLock()  # a job and the messages that belong to it are not to be mixed with another's
        self.rank = _c.lib.tq_cluster_rank(handle)
        self.size = _c.lib.tq_cluster_size(handle)

    @property
    def handle(self):
        if self._handle is None:
            raise Error("this cluster is closed", _c.E_USAGE)
        return self._handle

    @property
    def threads(self):
        """Worker threads of this rank."""
        return _c.lib.tq_cluster_threads(self.handle)

    @threads.setter
    def threads(self, n):
        if _c.lib.tq_cluster_set_threads(self.handle, n) != _c.OK:
            raise ValueError(f"a rank has 1 to 1024 threads, not {n}")

    def close(self):
        if self._handle is not None:
            handle, self._handle = self._handle, None
            _c.lib.tq_cluster_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def gather(self, value, everywhere=True):
        """A list of what each rank gave, on all ranks, or on rank 0 and None elsewhere. Collective. Pickled."""
        if self.size == 1:
            return [value]
        mine = _codec.dumps(value)
        data = ctypes.c_char_p(mine)
        future = _c.lib.tq_submit_gather(self.handle, _c.Slice(data=ctypes.cast(data, ctypes.c_void_p), size=len(mine)),
                                         everywhere)
        try:
            wait(future)
            rows = [value for _, values in _codec.read_rows(future, _c.BYTES) for value in values]
        finally:
            _c.lib.tq_future_release(future)
        return [_codec.loads(row) for row in rows] if everywhere or self.rank == 0 else None

    def broadcast(self, value):
        """What rank 0 gave, on all ranks. Collective."""
        return self.gather(value if self.rank == 0 else None)[0]


def wait(future):
    """Until a job of the library is done, well or not. Raises what ended it."""
    if not future:
        raise MemoryError("no memory to submit a job")
    while _c.lib.tq_future_wait(future, WAIT_S) == _c.E_TIMEOUT:
        pass
    if _c.lib.tq_future_status(future) != _c.OK:
        error = _c.Error()
        _c.lib.tq_job_error(future, ctypes.byref(error))
        raise exception_of(error)


# ---- MPI ----


def _world_of_mpi4py():
    """COMM_WORLD of mpi4py, if the script uses it: then MPI is its to start and to end."""
    module = sys.modules.get("mpi4py.MPI")
    if module is None or not module.Is_initialized() or module.Is_finalized() or module.COMM_WORLD.Get_size() == 1:
        return None
    return module.COMM_WORLD


def _open_on(comm, options, handle, error):
    from mpi4py import MPI

    # An MPI_Comm is a pointer in Open MPI and an int in MPICH.
    kind = ctypes.c_int if MPI._sizeof(MPI.Comm) == ctypes.sizeof(ctypes.c_int) else ctypes.c_void_p
    function = _c.lib.tq_cluster_open_on
    function.argtypes = kind, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
    function(kind(MPI._handleof(comm)), ctypes.byref(options), ctypes.byref(handle), ctypes.byref(error))


# ---- The one of this run ----

_lock = threading.Lock()
_default = None


def cluster():
    """The cluster of this run, opened when it is first asked for. Collective then."""
    global _default
    with _lock:
        if _default is None or _default._handle is None:
            _default = Cluster()
            if _default.size > 1:
                _end_all_on_exceptions()
        return _default


def rank():
    """The number of this rank: 0 alone. Collective when the cluster is not open yet."""
    return cluster().rank


def size():
    """How many ranks there are: 1 alone."""
    return cluster().size


@atexit.register
def _close():
    if _default is not None:
        _default.close()


def abort(code=1):
    """End this rank at once, and with it all others, which may be waiting for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    module = sys.modules.get("mpi4py.MPI")
    if module is not None and module.Is_initialized() and not module.Is_finalized():
        module.COMM_WORLD.Abort(code)
    os._exit(code)  # a rank that goes without MPI_Finalize ends the run: the launcher sees to that


def _end_all_on_exceptions():
    """A script that ends by an exception on one rank would leave the others waiting for it."""
    usual = sys.excepthook

    def hook(kind, exception, where):
        everywhere = getattr(exception, "_tequio_everywhere", False)
        if everywhere and _default.rank != 0:
            return  # rank 0 says it, and all end
        if not everywhere:
            print(f"tequio: rank {_default.rank} ends all by an exception:", file=sys.stderr)
        usual(kind, exception, where)
        if not everywhere:
            abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook


def format_here(exception):
    """The traceback of an exception, without the frames of this package that called the user's function."""
    tb = exception.__traceback__
    while tb is not None and tb.tb_next is not None and os.path.dirname(tb.tb_frame.f_code.co_filename) == _FOLDER:
        tb = tb.tb_next
    return "".join(traceback.format_exception(type(exception), exception, tb)).rstrip("\n")


_FOLDER = os.path.dirname(os.path.abspath(__file__))
