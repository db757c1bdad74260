"""map_reduce: the user's functions as a job of the library."""

import ctypes
import math
import operator
import pickle
import struct
import threading

from . import _codec
from . import _library as _c
from ._cluster import WAIT_S, abort, cluster as _cluster, exception_of, format_here
from ._inputs import Files
from ._processes import Broken, Children, Raised, portable
from ._program import PLACE, Program
from .errors import Error, RemoteError

_INDEX = struct.Struct("=Q")
_MAP, _REDUCE = b"m", b"r"
_MOST_ITEMS = 1024  # in one chunk
_PLAIN_KEYS = _codec.PLAIN | {float}


class _Stop(BaseException):
    """Raised in a thread that runs the user's function, when the job ends early."""


def _start_of(text):
    """A number of bytes that a C string has room for, with no % that a format would see: the format is %s."""
    return text.encode("utf-8", "replace")[:500]


class _Run:
    """One job on this rank, from its description to its rows. The main thread makes it and waits; the library's threads call
    what is named on_... ."""

    def __init__(self, cluster, callback, interval, limits):
        self.cluster = cluster
        self.callback = callback
        self.failure = None   # of the user's functions: the exception, and its traceback as text
        self.broken = None    # what the progress callback raised
        self.future = None
        self._lock = threading.Lock()
        self._busy = set()    # threads in the user's functions
        self._ending = False
        self.children = None
        self.keep = []        # what the library points to
        self.job = _c.Job(abi=_c.ABI, interval_s=interval, output=_c.OUTPUT_GATHER, **limits)
        if callback is not None:
            self.job.progress = self._function(_c.ProgressFn, self.on_progress)

    def _function(self, kind, function):
        made = kind(function)
        self.keep.append(made)
        return ctypes.cast(made, ctypes.c_void_p)

    def take_files(self, files):
        strings = [ctypes.c_char_p(path) for path in files.paths]
        paths = (ctypes.c_char_p * len(strings))(*files.paths)
        self.keep += [strings, paths]
        self.job.inputs = ctypes.cast(paths, ctypes.c_void_p)
        self.job.n_inputs = len(files.paths)
        self.job.recursive = files.recursive
        self.job.split_bytes = files.split
        self.job.records = files.records

    # ---- The user's functions, on threads of the library ----

    def _guarded(self, fail, function):
        """Run function; what it raises becomes the reason of the job's end, told by fail. Returns what the library wants."""
        me = threading.get_ident()
        try:
            try:
                with self._lock:
                    if self._ending:
                        return 1
                    self._busy.add(me)
                return function()
            finally:
                with self._lock:
                    self._busy.discard(me)
        except _Stop:
            return 1
        except Raised as raised:
            self._failed(raised.exception, raised.text)
        except BaseException as exception:
            self._failed(exception, format_here(exception))
        fail(_start_of(self.failure[1].splitlines()[-1]))
        return 1

    def _failed(self, exception, text):
        with self._lock:
            if self.failure is None and not (self._ending and isinstance(exception, Broken)):
                self.failure = exception, text
            elif self.failure is None:
                self.failure = exception, "cancelled"

    def on_progress(self, tag, done, not_done, _user):
        try:
            return bool(self.callback(tag.decode(), *self.count(tag, done, not_done)))
        except BaseException as exception:
            self.broken = exception
            return 1

    def count(self, _tag, done, not_done):
        return done, not_done

    # ---- The main thread ----

    def _interrupt(self):
        """The job is ending: so do the user's functions, as soon as Python or a signal can make them."""
        with self._lock:
            if self._ending:
                return
            self._ending = True
            for thread in self._busy:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Stop))
        if self.children is not None:
            self.children.kill()

    def _wait(self):
        error = _c.Error()
        while _c.lib.tq_future_wait(self.future, WAIT_S) == _c.E_TIMEOUT:
            if _c.lib.tq_job_error(self.future, ctypes.byref(error)) == _c.E_AGAIN and error.status != _c.OK:
                self._interrupt()

    def _cancel(self):
        """Ctrl-C, or something like it, in the main thread: end the job first. A second one ends the process."""
        _c.lib.tq_future_cancel(self.future)
        self._interrupt()
        try:
            self._wait()
        except KeyboardInterrupt:
            abort(130)

    def run(self):
        """Collective. Leaves the future for its rows; raises what ended the job."""
        submitted = []
        try:
            # extend calls it and keeps what it returns with no step of Python between, at which Ctrl-C might raise: a job that
            # nobody knew of could not be ended.
            submitted.extend(map(_c.lib.tq_submit, [self.cluster.handle], [ctypes.byref(self.job)]))
            self.future = submitted[0]
            if not self.future:
                raise MemoryError("no memory to submit a job")
            self._wait()
        except BaseException:
            if submitted and submitted[0]:
                self.future = submitted[0]
                self._cancel()
            raise
        error = _c.Error()
        _c.lib.tq_job_error(self.future, ctypes.byref(error))
        if error.status != _c.OK:
            self._raise(error)

    def _raise(self, error):
        if self.broken is not None:
            raise self.broken
        if error.status == _c.E_USER:
            self._raise_failure(error.rank)
        raise exception_of(error)

    def _raise_failure(self, rank):
        """What a function of the user raised, on whichever rank."""
        if self.cluster.size == 1:
            exception, text = self.failure or (None, "")
            if exception is not None and exception.__traceback__ is not None:
                raise exception
        else:
            mine = portable(*self.failure) if self.failure else None
            told = self.cluster.gather(mine)[rank]
            exception, text = pickle.loads(told) if told else (None, "")
            text = f"on rank {rank}:\n{text}" if text else ""
        if exception is None and not text:
            return
        if exception is None:
            exception = Error("a function raised what cannot be pickled", _c.E_USER, rank)
        try:
            exception._tequio_everywhere = self.cluster.size > 1
        except AttributeError:
            pass
        raise exception from RemoteError(text)

    def close(self):
        if self.future:
            _c.lib.tq_future_release(self.future)
            self.future = None
        if self.children is not None:
            self.children.close()


# ---- Functions in Python ----


class _PythonRun(_Run):
    """With a mapper in Python: a chunk of input a call, some groups a call."""

    def __init__(self, cluster, inputs, mapper, reducer, processes, chunk, **rest):
        super().__init__(cluster, **rest)
        self.here = cluster.size == 1 and not processes  # the items need not travel
        self.items = self.batches = self.batch = None
        self.n_items = self.each = None
        if isinstance(inputs, Files):
            read = inputs.items
            self.take_files(inputs)
        else:
            read = self._read_here if self.here else _codec.loads
            self._feed(inputs, chunk, processes)
        self.program = Program(mapper, reducer, read)
        job = self.job
        job.map_chunk = self._function(_c.MapFn, self.on_map)
        job.value_type = self.program.value_type
        if self.program.sums:
            job.combine = _c.COMBINE[reducer]
        else:
            job.reduce_keys = self._function(_c.ReduceKeysFn, self.on_reduce)
            job.result_type = _c.BYTES
        if processes:
            self.children = Children(processes, self._answer)

    # ---- Items as input ----

    def _feed(self, inputs, chunk, processes):
        workers = self.cluster.size * (processes or 1)
        self.job.feed = self._function(_c.FeedFn, self.on_feed)
        if self.cluster.rank != 0:
            return
        self.items, self.batches, self.fed = iter(inputs), {}, 0
        try:
            self.n_items = len(inputs)
        except TypeError:
            pass
        if chunk is None and self.n_items is not None:
            chunk = max(1, min(_MOST_ITEMS, self.n_items // (16 * workers)))
        self.each = lambda: chunk or max(1, min(_MOST_ITEMS, self.fed // (16 * workers)))
        if self.n_items:
            self.chunk = chunk
            self.job.feed_chunks = math.ceil(self.n_items / chunk)

    def count(self, tag, done, not_done):
        """Of the map phase the items, if it is known how many there are: a chunk may be several."""
        if tag != b"map" or not self.n_items:
            return done, not_done
        done = min(self.n_items, done * self.chunk)
        return done, self.n_items - done

    def on_feed(self, chunk, why, size, _user):
        def give():
            batch = []
            for item in self.items:
                batch.append(item)
                if len(batch) >= self.each():
                    break
            if not batch:
                return 0
            self.fed += len(batch)
            if self.here:
                self.batches[self.fed] = batch
                self.batch = _INDEX.pack(self.fed)
            else:
                self.batch = _codec.dumps(batch)
            chunk.contents.data = ctypes.cast(ctypes.c_char_p(self.batch), ctypes.c_void_p)
            chunk.contents.size = len(self.batch)
            return 0

        return self._guarded(lambda text: ctypes.memmove(why, text + b"\0", min(len(text) + 1, size)), give)

    def _read_here(self, data):
        return self.batches.pop(_INDEX.unpack(data)[0])

    # ---- Mapping and reducing ----

    def _answer(self, request):
        """In a child."""
        if request[:1] == _MAP:
            return self.program.map(request[1 + PLACE.size:], request[1:1 + PLACE.size])
        return self.program.reduce(request[1:])

    def on_map(self, record, emitter, _user):
        def run():
            chunk = record.contents
            place = PLACE.pack(chunk.file_number, chunk.offset)
            data = ctypes.string_at(chunk.data, chunk.size)
            made = self.children.call(_MAP, place, data) if self.children else self.program.map(data, place)
            return _c.lib.tq_emit_block(emitter, _codec.block_of(made))

        return self._guarded(lambda text: _c.lib.tq_emit_fail(emitter, b"%s", text), run)

    def on_reduce(self, keys, out, _user):
        def run():
            groups = _c.Groups()
            status = _c.lib.tq_keys_next_groups(keys, groups)
            while status == _c.OK and groups.n:
                data = _codec.pack_groups(groups)
                made = self.children.call(_REDUCE, data) if self.children else self.program.reduce(data)
                status = _c.lib.tq_write_block(out, _codec.block_of(made)) or _c.lib.tq_keys_next_groups(keys, groups)
            return status

        return self._guarded(lambda text: _c.lib.tq_reduce_fail(out, b"%s", text), run)

    # ---- Rows ----

    def rows(self, sort):
        rows, pickled = [], {}
        for keys, values in _codec.read_rows(self.future, self.program.value_type):
            new = list(map(_codec.decode_key, keys))
            if self.program.sums:
                rows += zip(new, values)
                own = new
            else:
                rows += [(key, _codec.loads(value[1:])) for key, value in zip(new, values)]
                own = [key for key, value in zip(new, values) if value[0]]
            if not set(map(type, own)) <= _PLAIN_KEYS:
                _check_distinct(own, pickled)
        return _sorted(rows) if sort else rows


def _check_distinct(keys, seen):
    """Keys that are equal, and came as different groups, were pickled differently: to be silent would be wrong."""
    for key in keys:
        if type(key) not in _PLAIN_KEYS and seen.setdefault(key, key) is not key:
            raise ValueError(f"the keys {seen[key]!r:.60} and {key!r:.60} are equal but are not pickled alike, so their values "
                             f"did not come together: use keys of one form, such as str, int or tuples of these")


def _sorted(rows):
    try:
        rows.sort(key=operator.itemgetter(0))
    except TypeError as error:
        raise TypeError(f"the keys cannot be sorted ({error}): use sort=False") from None
    return rows


# ---- Functions in C ----


def address_of(function):
    """The address of a function in C: a ctypes function, or what numba's cfunc makes. None for anything else."""
    if isinstance(function, ctypes._CFuncPtr):
        return ctypes.cast(function, ctypes.c_void_p).value
    address = getattr(function, "address", None)
    return address if isinstance(address, int) and callable(getattr(function, "ctypes", None)) else None


class _NativeRun(_Run):
    """With a mapper in C: 64-bit integers, no interpreter."""

    def __init__(self, cluster, inputs, mapper, reducer, user, **rest):
        super().__init__(cluster, **rest)
        if not isinstance(inputs, Files):
            raise TypeError("a mapper in C reads tequio.files, lines or words")
        self.take_files(inputs)
        self.inputs = inputs
        self.keep += [mapper, reducer, user]
        job = self.job
        setattr(job, "map_chunk" if inputs.per == "chunk" else "map", address_of(mapper))
        job.user = ctypes.cast(user, ctypes.c_void_p) if user is not None else None
        job.progress_user = 1  # not looked at: never the user's pointer
        self.grouped = reducer is None
        if isinstance(reducer, str):
            job.combine = _c.COMBINE[reducer]
        elif reducer is not None:
            job.reduce, job.result_type = address_of(reducer), _c.I64
            if not job.reduce:
                raise TypeError("with a mapper in C, the reducer is 'sum', 'min', 'max', None, or a function in C")

    def rows(self, sort):
        rows = []
        encoding = self.inputs.encoding
        for keys, values in _codec.read_rows(self.future, _c.I64):
            if encoding is not None:
                keys = [key.decode(encoding, self.inputs.errors) for key in keys]
            rows += zip(keys, values)
        if sort:
            _sorted(rows)
        return _grouped(rows) if self.grouped else rows


def _grouped(rows):
    groups = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return list(groups.items())


# ---- The function ----


def map_reduce(inputs, mapper, reducer=None, callback=None, *, processes=None, threads=None, chunk=None, sort=True,
               everywhere=False, interval=0.5, memory=0, tmpdir=None, spill=0, user=None, cluster=None):
    """Map each item, bring equal keys together, reduce each key. Returns a list of (key, result), sorted by key.

    inputs    an iterable of objects, or tequio.files(...), lines(...). Under mpirun that of rank 0 counts.
    mapper    mapper(item) -> (key, value), or an iterable of such pairs (a generator, a list, a dict), or None. Or a function
              in C: a ctypes function pointer, or numba's cfunc.
    reducer   reducer((key, values)) -> (key, result), or None for no row; values is a list, in the order of the input.
              reducer(key, values) will do as well. "sum", "min", "max" of integers are done by the library. None: the list.
    callback  callback(tag, done, not_done), twice a second (interval) on rank 0, on another thread: tag is "map", "shuffle",
              "reduce", "write". What is true cancels the job (tequio.Cancelled).
    processes so many interpreters for this rank, forked. None: the functions run in this one.
    threads   of this rank. 1 for functions in Python, which run one at a time anyway; more pays if they wait, or release the
              lock as numpy does. All for functions in C.
    chunk     how many items go to a worker at a time. None: by how many there are.
    sort      False leaves the rows in an order of the library's, the same for any number of ranks.
    everywhere all ranks get the result; otherwise rank 0 does, and the others an empty list.
    memory, tmpdir, spill   bytes of this rank, where to put what does not fit, and the most that may go there.

    Under mpirun every rank calls it, with the same arguments, as any collective. What mapper or reducer raises on one rank is
    raised on all of them, with the traceback of that rank as its cause.
    """
    cluster = cluster or _cluster()
    native = address_of(mapper) is not None
    _check(inputs, mapper, reducer, processes, threads, chunk, native)
    rest = {"callback": callback, "interval": interval,
            "limits": {"memory_bytes": memory, "spill_bytes": spill, "tmpdir": str(tmpdir).encode() if tmpdir else None}}
    if threads is None:
        threads = processes or (None if native else 1)
    with cluster._lock, _threads(cluster, threads):
        if native:
            run = _NativeRun(cluster, inputs, mapper, reducer, user, **rest)
        else:
            run = _PythonRun(cluster, inputs, mapper, reducer, processes, chunk, **rest)
        try:
            run.run()
            return for_all(cluster, everywhere, lambda: run.rows(sort))
        finally:
            run.close()


def for_all(cluster, everywhere, make):
    """What make returns, on this rank, or, everywhere, what it returns or raises on rank 0."""
    if not everywhere or cluster.size == 1:
        return make()
    made = None
    if cluster.rank == 0:
        try:
            made = make(), None
        except Exception as exception:
            made = None, exception
    rows, exception = cluster.broadcast(made)
    if exception is not None:
        raise exception
    return rows


def _check(inputs, mapper, reducer, processes, threads, chunk, native):
    if not native and not callable(mapper):
        raise TypeError(f"mapper is a function, not {mapper!r:.60}")
    if isinstance(reducer, str) and reducer not in _c.COMBINE:
        raise ValueError(f"reducer is 'sum', 'min', 'max', or a function, not {reducer!r:.60}")
    if reducer is not None and not isinstance(reducer, str) and not callable(reducer):
        raise TypeError(f"reducer is a function, or 'sum', 'min' or 'max', not {reducer!r:.60}")
    if isinstance(inputs, Files) and inputs.per == "word" and not native:
        raise TypeError("words are for mappers in C: with a mapper in Python use tequio.files, and split the chunk")
    if isinstance(inputs, (str, bytes)):
        raise TypeError("inputs is an iterable of items; for a file use tequio.files(path)")
    if native and processes:
        raise ValueError("a mapper in C runs on threads: it needs no processes")
    if processes and threads:
        raise ValueError("give processes or threads, not both")
    for name, number in (("processes", processes), ("threads", threads), ("chunk", chunk)):
        if number is not None and not (isinstance(number, int) and number >= 1):
            raise ValueError(f"{name} is a number of at least 1, not {number!r:.60}")


class _threads:
    """The cluster with another number of workers on this rank, for a while."""

    def __init__(self, cluster, threads):
        self.cluster, self.threads = cluster, threads

    def __enter__(self):
        self.before = self.cluster.threads
        if self.threads:
            self.cluster.threads = self.threads

    def __exit__(self, *unused):
        if self.threads and self.cluster._handle is not None:
            self.cluster.threads = self.before
