"""Interpreters beside this one: child processes, each with a lock (GIL) of its own. A thread of the library hands one a
request and waits for the answer, without the lock of this interpreter, so that all of them work at a time.

They are forked: what this process has, they have too, so functions need not be pickled.
"""

import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import warnings

from ._cluster import format_here

_DONE, _RAISED = b"\0", b"\1"
_ours = set()  # this process's ends of all pipes, which no child may keep open
_fork_lock = threading.Lock()


class Broken(RuntimeError):
    """A child ended in the middle of its work: killed, or by a crash."""


class Raised(Exception):
    """What a function of the user raised in a child: the exception, or None if it could not be pickled, and its traceback."""

    def __init__(self, exception, text):
        super().__init__(text)
        self.exception, self.text = exception, text


def portable(exception, text):
    """The exception and its traceback, as bytes; without the exception if it cannot be pickled and read again."""
    try:
        data = pickle.dumps((exception, text))
        pickle.loads(data)
        return data
    except Exception:  # whatever its __reduce__ does
        return pickle.dumps((None, text))


def _serve(connection, function):
    while True:
        try:
            request = connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer = _DONE + function(request)
        except BaseException as exception:
            answer = _RAISED + portable(exception, format_here(exception))
        connection.send_bytes(answer)


def _child(connection, function, initializer):
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
        for end in list(_ours):
            end.close()
        if initializer is not None:
            initializer()
        _serve(connection, function)
        sys.stdout.flush()
        sys.stderr.flush()
        code = 0
    finally:
        os._exit(code)  # no exit handlers: they are the parent's


class Children:
    """n processes that answer requests (bytes) by function (bytes to bytes), each after initializer, if there is one."""

    def __init__(self, n, function, initializer=None):
        self._free = queue.SimpleQueue()
        self._pids, self._ends = [], []
        sys.stdout.flush()
        sys.stderr.flush()
        for _ in range(n):
            self._fork(function, initializer)

    def _fork(self, function, initializer):
        ours, theirs = multiprocessing.Pipe()
        with _fork_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: see _child
            _ours.add(ours)
            pid = os.fork()
            if pid == 0:
                _child(theirs, function, initializer)
        theirs.close()
        self._pids.append(pid)
        self._ends.append(ours)
        self._free.put(ours)

    def call(self, *parts):
        """The answer to a request, from a child that is free. Any thread. Raises Raised or Broken."""
        end = self._free.get()
        try:
            end.send_bytes(b"".join(parts))
            answer = end.recv_bytes()
        except (EOFError, OSError):
            raise Broken("a process that worked for this one was killed, or crashed") from None
        finally:
            self._free.put(end)
        if answer[:1] == _RAISED:
            raise Raised(*pickle.loads(answer[1:]))
        return memoryview(answer)[1:]

    def kill(self):
        """End them in the middle of their work. Any thread."""
        for pid in self._pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def close(self):
        """Let them end, and wait for it."""
        for end in self._ends:
            with _fork_lock:
                _ours.discard(end)
            end.close()
        for pid in self._pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass
        self._pids = []
