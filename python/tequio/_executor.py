"""Executor: the shape of concurrent.futures.Executor, on the library's pool (tequio/executor.h)."""

import atexit
import concurrent.futures
import ctypes
import functools
import itertools
import os
import threading

from . import _codec
from . import _library as _c
from ._processes import Broken, Children, Raised
from .errors import RemoteError

_MANY = 1 << 20  # tasks that may wait before submit does
_alive = set()  # all whose threads may call Python: none of them may be collected


def _answer(request):
    """In a child."""
    function, args, kwargs = _codec.loads(request)
    return _codec.dumps(function(*args, **kwargs))


def _call_each(function, rows):
    return [function(*row) for row in rows]


class Executor(concurrent.futures.Executor):
    """Runs calls behind the caller's back. Its futures are those of concurrent.futures: wait and as_completed take them.

    max_workers  threads of this interpreter; None: as many as there are cores. Of functions in Python one runs at a time, so
                 threads pay for calls that wait, or that release the lock as numpy does.
    processes    so many interpreters instead, forked from this one now: what they are given, and what they return, is
                 pickled; a function that was defined before need not be importable in another process, but must have a
                 name at its module's top level.
    callback     callback(tag, done, not_done) every interval seconds while there is something to do, and when all is done, on
                 a thread of its own. What is true cancels what has not started.
    initializer  called with initargs in each process, or once on each thread, before its first call.

    Under mpirun an executor belongs to its rank, and knows nothing of the others: map_reduce works on all of them.
    """

    def __init__(self, max_workers=None, *, processes=None, callback=None, tag="tasks", interval=0.5, initializer=None,
                 initargs=()):
        if max_workers is not None and processes is not None:
            raise ValueError("give max_workers (threads) or processes, not both")
        given = processes if processes is not None else max_workers
        workers = given if given is not None else len(os.sched_getaffinity(0))
        if not isinstance(workers, int) or not 1 <= workers <= 1024:
            raise ValueError(f"an executor has 1 to 1024 workers, not {workers!r:.60}")
        self._processes = processes
        self._initializer = functools.partial(initializer, *initargs) if initializer is not None else None
        self._initialized = set()  # threads, by the system's number
        self._children = None
        if processes:
            self._children = Children(workers, _answer, self._initializer)
        self._items, self._numbers = {}, itertools.count(1)
        self._lock = threading.Lock()
        self._submitted = self._final = 0
        self._closed = False
        self._trampoline = _c.TaskFn(self._run)  # the library calls it until the pool is destroyed
        self._handle = ctypes.c_void_p()
        options = _c.ExecutorOptions(max_workers=workers, queue_capacity=_MANY)
        status = _c.lib.tq_executor_create(ctypes.byref(options), ctypes.byref(self._handle))
        if status != _c.OK:
            raise RuntimeError(f"cannot start {workers} threads: {_c.lib.tq_status_name(status).decode()}")
        self._reporter = _Reporter(self, callback, tag, interval) if callback is not None else None
        _alive.add(self)

    # ---- Submitting ----

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit a call after shutdown")
            number = next(self._numbers)
            self._items[number] = future, fn, args, kwargs
            self._submitted += 1
        future.add_done_callback(self._count)
        # It may have to wait for room, and those who make room need our lock: so not under it.
        status = _c.lib.tq_executor_submit(self._handle, ctypes.cast(self._trampoline, ctypes.c_void_p), number, None)
        if status != _c.OK:
            self._items.pop(number, None)
            future.cancel()
            raise RuntimeError(f"cannot submit a call: {_c.lib.tq_status_name(status).decode()}")
        if self._reporter is not None:
            self._reporter.wake()
        return future

    def map(self, fn, *iterables, timeout=None, chunksize=1):
        """As concurrent.futures has it. chunksize calls are one task: with processes, short calls want to be many."""
        if chunksize < 1:
            raise ValueError("chunksize is at least 1")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        rows = zip(*iterables)
        chunks = iter(lambda: list(itertools.islice(rows, chunksize)), [])
        return itertools.chain.from_iterable(super().map(functools.partial(_call_each, fn), chunks, timeout=timeout))

    # ---- On threads of the library ----

    def _run(self, number, _worker):
        item = self._items.pop(number, None)
        if item is None:
            return 0
        future, fn, args, kwargs = item
        if not future.set_running_or_notify_cancel():
            return 0
        try:
            result = self._call(fn, args, kwargs)
        except Raised as raised:
            exception = raised.exception or RuntimeError("a call raised what cannot be pickled")
            exception.__cause__ = RemoteError(raised.text)
            future.set_exception(exception)
        except Broken as broken:
            future.set_exception(concurrent.futures.BrokenExecutor(str(broken)))
        except BaseException as exception:
            future.set_exception(exception)
        else:
            future.set_result(result)
        return 0

    def _call(self, fn, args, kwargs):
        if self._children is not None:
            return _codec.loads(self._children.call(_codec.dumps((fn, args, kwargs))))
        if self._initializer is not None and not self._is_initialized():
            self._initializer()
        return fn(*args, **kwargs)

    def _is_initialized(self):
        """Whether this thread is. (The state that Python keeps of a foreign thread ends with each call, so thread locals
        do not last: the thread's own number does.)"""
        me = threading.get_native_id()
        with self._lock:
            known = me in self._initialized
            self._initialized.add(me)
        return known

    # ---- Progress ----

    def _count(self, _future):
        with self._lock:
            self._final += 1
            is_over = self._final == self._submitted
        if is_over and self._reporter is not None:
            self._reporter.wake()

    def progress(self):
        """(done, not_done): how many calls are final, and how many are not."""
        with self._lock:
            return self._final, self._submitted - self._final

    def _cancel_pending(self):
        for item in list(self._items.values()):
            item[0].cancel()

    # ---- The end ----

    def shutdown(self, wait=True, *, cancel_futures=False):
        with self._lock:
            self._closed = True
        if cancel_futures:
            self._cancel_pending()
        if wait:
            self._destroy()
        elif self._handle is not None:
            _c.lib.tq_executor_shutdown(self._handle, False)

    def _destroy(self):
        with self._lock:
            self._closed = True
            handle, self._handle = self._handle, None
        if handle is None:
            return
        _c.lib.tq_executor_destroy(handle)  # when all calls have returned
        if self._children is not None:
            self._children.close()
        if self._reporter is not None:
            self._reporter.close()
        _alive.discard(self)


class _Reporter:
    """Calls back while there is something to do, on a thread of its own."""

    def __init__(self, executor, callback, tag, interval):
        self._executor, self._callback, self._tag, self._interval = executor, callback, tag, interval
        self._changed = threading.Condition()
        self._closing = False
        self._told = 0  # done, at the last report of an end
        self._thread = threading.Thread(target=self._main, name="tequio-progress", daemon=True)
        self._thread.start()

    def wake(self):
        with self._changed:
            self._changed.notify()

    def close(self):
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _is_idle(self):
        done, not_done = self._executor.progress()
        return not_done == 0 and done == self._told

    def _main(self):
        while True:
            with self._changed:
                while self._is_idle() and not self._closing:
                    self._changed.wait()
                if self._is_idle():
                    return
                if self._executor.progress()[1]:
                    self._wait()
            self._report()

    def _wait(self):
        """For the interval, or until all is done."""
        self._changed.wait_for(lambda: self._executor.progress()[1] == 0 or self._closing, self._interval)

    def _report(self):
        done, not_done = self._executor.progress()
        if not_done == 0:
            self._told = done
        if self._callback(self._tag, done, not_done):
            self._executor._cancel_pending()


@atexit.register
def _close_all():
    """Threads of the library must not call Python when it is gone."""
    for executor in list(_alive):
        executor._destroy()
