"""The package on one rank."""

import collections
import concurrent.futures
import ctypes
import decimal
import functools
import importlib.util
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import tequio
from tequio import _codec

NATIVE = os.environ.get("TEQUIO_TEST_NATIVE")
PLUGIN = os.environ.get("TEQUIO_TEST_PLUGIN")


def sequential(inputs, mapper, reducer):
    """What map_reduce should return, in three lines."""
    groups = collections.defaultdict(list)
    for key, value in itertools.chain.from_iterable(mapper(item) for item in inputs):
        groups[key].append(value)
    return sorted(reducer((key, values)) for key, values in groups.items())


class TextFiles:
    """Some files of words, with more words than fit one chunk."""

    def __init__(self, n=3, words=30000):
        self.folder = tempfile.TemporaryDirectory()
        source = random.Random(7)
        vocabulary = ["".join(source.choices("abcdeé\u20ac\udc80", k=source.randint(1, 4))) for _ in range(900)]
        self.paths, self.counts = [], collections.Counter()
        for i in range(n):
            chosen = source.choices(vocabulary, k=words)
            self.counts.update(chosen)
            lines = (" ".join(chosen[at:at + 9]) for at in range(0, words, 9))
            self.paths.append(os.path.join(self.folder.name, f"{i}.txt"))
            with open(self.paths[-1], "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write("\n".join(lines))


def count(text):
    return collections.Counter(text.split())


class MapReduce(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.texts = TextFiles()

    def test_shapes_of_mappers(self):
        wanted = [(0, [0, 3, 6]), (1, [1, 4]), (2, [2, 5])]
        for mapper in (lambda n: (n % 3, n), lambda n: [(n % 3, n)], lambda n: {n % 3: n}, lambda n: {n % 3: n}.items(),
                       lambda n: iter([(n % 3, n)]), lambda n: [[n % 3, n]]):
            self.assertEqual(tequio.map_reduce(range(7), mapper), wanted)

        def generator(n):
            yield n % 3, n

        self.assertEqual(tequio.map_reduce(iter(range(7)), generator), wanted)
        self.assertEqual(tequio.map_reduce(range(7), lambda n: None if n > 0 else (n, n)), [(0, [0])])
        self.assertEqual(tequio.map_reduce([], lambda n: (n, n)), [])

    def test_shapes_of_reducers(self):
        def run(reducer):
            return tequio.map_reduce(range(10), lambda n: (n % 2, n), reducer)

        self.assertEqual(run(lambda pair: (pair[0], sum(pair[1]))), [(0, 20), (1, 25)])
        self.assertEqual(run(lambda key, values: (key, sum(values))), [(0, 20), (1, 25)])
        self.assertEqual(run(lambda key, values: (-key, max(values))), [(-1, 9), (0, 8)])
        self.assertEqual(run(lambda key, values: None if key else ("even", values)), [("even", [0, 2, 4, 6, 8])])
        self.assertEqual(run("sum"), [(0, 20), (1, 25)])
        self.assertEqual(run("min"), [(0, 0), (1, 1)])
        self.assertEqual(run("max"), [(0, 8), (1, 9)])

    def test_keys(self):
        keys = ["", "a", "é", "\udc80", b"", b"a", 0, -1, 2**80, 1.5, float("inf"), True, None, (1, "a"), (1, ("b", 2.5)),
                frozenset("xyz"), decimal.Decimal("1.5"), collections.namedtuple("Point", "x y")]
        keys.remove(keys[-1])
        rows = tequio.map_reduce(keys * 3, lambda key: (key, 1), "sum", sort=False)
        self.assertEqual(sorted(map(repr, rows)), sorted(repr((key, 3)) for key in keys))
        self.assertEqual([type(key) for key, _ in sorted(rows, key=repr)],
                         [type(key) for key in sorted(keys, key=lambda k: repr((k, 3)))])

    def test_keys_of_several_types(self):
        rows = tequio.map_reduce([1, 1.0, True, -0.0, 0.0], lambda key: (key, 1), "sum")
        self.assertEqual([(type(key), n) for key, n in sorted(rows, key=repr)], [(float, 2), (int, 1), (float, 1), (bool, 1)])
        with self.assertRaisesRegex(TypeError, "sort=False"):
            tequio.map_reduce([1, "a"], lambda key: (key, 1), "sum")

    def test_equal_keys_that_are_pickled_differently(self):
        keys = [decimal.Decimal("1.0"), decimal.Decimal("1.00")]
        with self.assertRaisesRegex(ValueError, "not pickled alike"):
            tequio.map_reduce(keys, lambda key: (key, 1))
        a, b = "x" * 40, "x" * 39 + "x"
        self.assertEqual(tequio.map_reduce([(a, a), (a, b), (b, a)], lambda key: (key, 1), "sum", chunk=1), [((a, a), 3)])

    def test_order_of_values(self):
        n = 600
        for rest in ({}, {"chunk": 1}, {"chunk": 7}, {"processes": 2}, {"threads": 3}):
            rows = tequio.map_reduce(range(n), lambda i: (i % 5, i), **rest)
            self.assertEqual(rows, [(k, list(range(k, n, 5))) for k in range(5)])

    def test_many_groups(self):
        n = 60000
        rows = tequio.map_reduce(range(n), lambda i: [(str(i % 20011), i)], lambda k, v: (k, sum(v)))
        self.assertEqual(rows, sequential(range(n), lambda i: [(str(i % 20011), i)], lambda kv: (kv[0], sum(kv[1]))))

    def test_files(self):
        wanted = sorted(self.texts.counts.items())
        for rest in ({}, {"processes": 2}, {"threads": 2}):
            for split in (0, 5000):
                files = tequio.files(self.texts.paths, split=split)
                self.assertEqual(tequio.map_reduce(files, count, "sum", **rest), wanted)
        self.assertEqual(tequio.map_reduce(tequio.lines(self.texts.paths), lambda line: ((w, 1) for w in line.split()),
                                           lambda k, v: (k, sum(v))), wanted)
        rows = tequio.map_reduce(tequio.files(self.texts.folder.name, recursive=True, encoding=None), count, "sum")
        self.assertEqual(rows, sorted((k.encode("utf-8", "surrogateescape"), n) for k, n in wanted))

    def test_lines(self):
        path = os.path.join(self.texts.folder.name, "lines")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write("a\n\nb\x0bc\u2028d\r\nlast")
        rows = tequio.map_reduce(tequio.lines(path), lambda line: (line, 1), "sum")
        os.remove(path)
        self.assertEqual(rows, [("", 1), ("a", 1), ("b\x0bc\u2028d\r", 1), ("last", 1)])

    def test_values_in_the_order_of_files(self):
        results = []
        for rest in ({"split": 0}, {"split": 700}):
            results.append(tequio.map_reduce(tequio.lines(self.texts.paths, **rest), lambda line: (line[:1], line), threads=3))
        self.assertEqual(*results)
        lines = []
        for path in self.texts.paths:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines += [line.rstrip("\n") for line in file]
        self.assertEqual(results[0], sequential(lines, lambda line: [(line[:1], line)], lambda pair: pair))

    def test_little_memory(self):
        rows = tequio.map_reduce(range(40000), lambda i: (i % 4001, "x" * 50), lambda k, v: (k, len(v)), memory=8 << 20)
        self.assertEqual(rows, [(k, len(range(k, 40000, 4001))) for k in range(4001)])

    def test_progress(self):
        told = []
        tequio.map_reduce(range(100), lambda i: (time.sleep(0.005), 1), "sum", lambda *what: told.append(what), interval=0.05,
                          chunk=3)
        maps = [what for what in told if what[0] == "map"]
        self.assertGreater(len(maps), 2)
        self.assertTrue(all(done + not_done == 100 for _, done, not_done in maps), maps)
        self.assertEqual(maps[-1], ("map", 100, 0))
        self.assertEqual(told[-1], ("write", 1, 0))

    def test_callback_cancels(self):
        begin = time.monotonic()
        with self.assertRaises(tequio.Cancelled):
            tequio.map_reduce(itertools.count(), lambda i: time.sleep(0.01), callback=lambda *_: True, interval=0.05)
        with self.assertRaises(tequio.Cancelled):
            tequio.map_reduce([1], lambda i: [0 for _ in itertools.count()], callback=lambda *_: True, interval=0.05)
        with self.assertRaises(tequio.Cancelled):
            tequio.map_reduce([1], lambda i: time.sleep(60), callback=lambda *_: True, interval=0.05, processes=1)
        self.assertLess(time.monotonic() - begin, 30)
        with self.assertRaises(KeyError):
            tequio.map_reduce(range(9), lambda i: (i, time.sleep(0.02)), callback=lambda *_: {}["x"], interval=0.05)
        self.assertEqual(tequio.map_reduce([1], lambda i: (i, i), "sum"), [(1, 1)])

    def test_exceptions(self):
        def inputs():
            yield 1
            raise LookupError("no more")

        def bad(*_):
            return 1 // 0

        for rest in ({}, {"processes": 2}):
            with self.assertRaises(ZeroDivisionError) as caught:
                tequio.map_reduce(range(9), bad, **rest)
            if rest:
                self.assertIn("in bad", caught.exception.__cause__.traceback)
            with self.assertRaises(ZeroDivisionError):
                tequio.map_reduce(range(9), lambda i: (i, i), bad, **rest)
            with self.assertRaisesRegex(LookupError, "no more"):
                tequio.map_reduce(inputs(), lambda i: (i, i), **rest)
        for mapper, wrong in ((lambda i: "ab", "a mapper returns"), (lambda i: [1], "a mapper returns"),
                              (lambda i: (1, "x"), "integers")):
            with self.assertRaisesRegex(TypeError, wrong):
                tequio.map_reduce([1], mapper, "sum")
        with self.assertRaisesRegex(TypeError, "a reducer returns"):
            tequio.map_reduce([1], lambda i: (i, i), lambda k, v: 5)
        with self.assertRaises(OverflowError):
            tequio.map_reduce([1], lambda i: (i, 2**70), "sum")
        with self.assertRaisesRegex(tequio.Error, "nowhere") as caught:
            tequio.map_reduce(tequio.files("/nowhere/x"), count)
        self.assertEqual(caught.exception.status, 3)

    def test_a_child_that_dies(self):
        with self.assertRaisesRegex(RuntimeError, "killed, or crashed"):
            tequio.map_reduce(range(9), lambda i: os.kill(os.getpid(), signal.SIGKILL), processes=2)

    def test_wrong_arguments(self):
        for error, arguments, rest in ((TypeError, ([1], 5), {}), (ValueError, ([1], count, "avg"), {}),
                                       (TypeError, ("a.txt", count), {}), (TypeError, (tequio.words("x"), count), {}),
                                       (ValueError, ([1], count), {"processes": 0}), (ValueError, ([1], count), {"chunk": -1}),
                                       (ValueError, ([1], count), {"processes": 1, "threads": 1})):
            with self.assertRaises(error):
                tequio.map_reduce(*arguments, **rest)

    @unittest.skipUnless(NATIVE, "TEQUIO_TEST_NATIVE is not set")
    def test_functions_in_c(self):
        lib = ctypes.CDLL(NATIVE)
        wanted = sorted(self.texts.counts.items())
        self.assertEqual(tequio.map_reduce(tequio.words(self.texts.paths), lib.map_word, "sum"), wanted)
        self.assertEqual(tequio.map_reduce(tequio.files(self.texts.paths), lib.map_text, "sum", threads=3), wanted)
        user = ctypes.c_int64(5)
        rows = tequio.map_reduce(tequio.words(self.texts.paths), lib.map_word, "sum", user=ctypes.pointer(user))
        self.assertEqual(rows, [(word, 5 * n) for word, n in wanted])
        rows = tequio.map_reduce(tequio.words(self.texts.paths), lib.map_word, lib.largest)
        self.assertEqual(rows, [(word, 1) for word, _ in wanted])
        rows = tequio.map_reduce(tequio.words(self.texts.paths), lib.map_word, None)
        self.assertEqual([(word, len(ones)) for word, ones in rows], wanted)

        class Cfunc:  # what numba makes looks like this
            address = ctypes.cast(lib.map_word, ctypes.c_void_p).value

            def ctypes(self):
                """numba has a ctypes function here."""

        self.assertEqual(tequio.map_reduce(tequio.words(self.texts.paths), Cfunc(), "sum"), wanted)

    def test_codec(self):
        keys = [b"", b"a", b"bc" * 9]
        for values in ([b"xyz", b"", b"q"], _codec.array("q", [1, -2, 3])):
            block = _codec.block_of(_codec.pack(keys, values))
            self.assertEqual(block.n, 3)
            self.assertEqual(ctypes.string_at(block.keys, 19), b"".join(keys))


class Jobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.texts = TextFiles()

    def test_wordcount(self):
        self.assertIn("wordcount", tequio.jobs())
        self.assertEqual(tequio.wordcount(self.texts.paths), self.texts.counts)
        self.assertEqual(list(tequio.wordcount(self.texts.paths)), sorted(self.texts.counts, key=os.fsencode))
        top = tequio.wordcount(self.texts.paths, top=3)
        self.assertEqual(sorted(top.values(), reverse=True), sorted(self.texts.counts.values(), reverse=True)[:3])
        told = []
        self.assertEqual(sum(tequio.wordcount(self.texts.paths, lambda *what: told.append(what)).values()), 90000)
        self.assertEqual(told[-1][0], "write")

    def test_options(self):
        path = os.path.join(self.texts.folder.name, "case")
        with open(path, "w") as file:
            file.write("One one, TWO\n")
        self.assertEqual(tequio.wordcount(path, words="alpha", ignore_case=True), {"one": 2, "two": 1})
        self.assertEqual(tequio.wordcount(tequio.files(path, encoding=None)), {b"One": 1, b"one,": 1, b"TWO": 1})
        os.remove(path)
        with self.assertRaisesRegex(TypeError, "it has: ignore_case, words"):
            tequio.wordcount(self.texts.paths, wrds="alpha")
        with self.assertRaisesRegex(ValueError, "one of space, alpha"):
            tequio.wordcount(self.texts.paths, words="beta")
        with self.assertRaisesRegex(ValueError, "there is no job 'nothing'"):
            tequio.run("nothing", self.texts.paths)
        with self.assertRaises(AttributeError):
            tequio.nothing

    def test_stats(self):
        path = os.path.join(self.texts.folder.name, "table")
        with open(path, "w") as file:
            file.write("when,city,degrees\n1,Oslo,-1.5\n2,Rome,20\n3,Oslo,2\n")
        self.assertEqual(tequio.run("stats", path, header=True, csv=True, key="city", value="degrees"),
                         [{"key": "Oslo", "count": 2, "sum": 0.5, "min": -1.5, "mean": 0.25, "max": 2, "stddev": 1.75},
                          {"key": "Rome", "count": 1, "sum": 20, "min": 20, "mean": 20, "max": 20, "stddev": 0}])
        os.remove(path)

    @unittest.skipUnless(PLUGIN, "TEQUIO_TEST_PLUGIN is not set")
    def test_plugin(self):
        counts = tequio.run(PLUGIN, self.texts.paths, least=9)
        wanted = collections.Counter()
        for word, n in self.texts.counts.items():
            data = word.encode("utf-8", "surrogateescape")
            if 9 <= len(data) <= 64:
                wanted[word] += n
        self.assertEqual(counts, wanted)
        with self.assertRaisesRegex(TypeError, "it has: least, skip"):
            tequio.run(PLUGIN, self.texts.paths, most=3)

    def test_numpy(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not here")
        words, counts = tequio.wordcount(self.texts.paths, as_numpy=True)
        self.assertEqual(counts.dtype, numpy.int64)
        self.assertEqual(dict(zip(words, counts)), self.texts.counts)


def throw(seed, darts):
    source = random.Random(seed)
    return sum(source.random()**2 + source.random()**2 < 1 for _ in range(darts))


def fail(text):
    raise ValueError(text)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


_note = []


class Executor(unittest.TestCase):
    KINDS = ({"max_workers": 2}, {"processes": 2})

    def test_submit_and_wait(self):
        wanted = [throw(seed, 300) for seed in range(30)]
        for kind in self.KINDS:
            with tequio.Executor(**kind) as executor:
                futures = [executor.submit(throw, seed, darts=300) for seed in range(30)]
                done = set(concurrent.futures.as_completed(futures, timeout=60))
                self.assertEqual(done, set(futures))
                self.assertEqual([future.result() for future in futures], wanted)
                self.assertEqual(executor.progress(), (30, 0))
                self.assertFalse(concurrent.futures.wait(futures).not_done)
                self.assertEqual(list(executor.map(throw, range(30), [300] * 30)), wanted)
                self.assertEqual(list(executor.map(throw, range(30), [300] * 30, chunksize=7)), wanted)
            with self.assertRaises(RuntimeError):
                executor.submit(throw, 1, 1)

    def test_exceptions(self):
        for kind in self.KINDS:
            with tequio.Executor(**kind) as executor:
                future = executor.submit(fail, "so")
                with self.assertRaisesRegex(ValueError, "so"):
                    future.result(60)
                if "processes" in kind:
                    self.assertIn("in fail", future.exception().__cause__.traceback)
                self.assertEqual(executor.submit(int, "5").result(60), 5)

    def test_a_child_that_dies(self):
        with tequio.Executor(processes=1) as executor:
            with self.assertRaises(concurrent.futures.BrokenExecutor):
                executor.submit(die).result(60)

    def test_cancel(self):
        started, gate = threading.Event(), threading.Event()
        with tequio.Executor(1) as executor:
            first = executor.submit(lambda: started.set() or gate.wait(60))
            started.wait(60)
            later = [executor.submit(int) for _ in range(5)]
            self.assertTrue(later[1].cancel())
            executor.shutdown(wait=False, cancel_futures=True)
            gate.set()
        self.assertTrue(first.result())
        self.assertTrue(all(future.cancelled() for future in later))

    def test_more_tasks_than_the_queue_holds_of_the_library(self):
        with tequio.Executor(2) as executor:
            self.assertEqual(sum(executor.map(int, range(3000))), sum(range(3000)))

    def test_submit_from_a_task(self):
        with tequio.Executor(2) as executor:
            inner = executor.submit(lambda: executor.submit(pow, 2, 5)).result(60)
            self.assertEqual(inner.result(60), 32)

    def test_progress(self):
        for kind in self.KINDS:
            told = []
            with tequio.Executor(**kind, callback=lambda *what: told.append(what), tag="naps", interval=0.05) as executor:
                list(executor.map(time.sleep, [0.02] * 30))
            self.assertEqual(told[-1], ("naps", 30, 0))
            self.assertGreater(len(told), 2)
            self.assertTrue(all(done + not_done == 30 for _, done, not_done in told[1:]), told)

    def test_callback_cancels(self):
        with tequio.Executor(1, callback=lambda tag, done, not_done: done > 2, interval=0.02) as executor:
            futures = [executor.submit(time.sleep, 0.02) for _ in range(100)]
        self.assertTrue(futures[-1].cancelled())
        self.assertTrue(futures[0].done())

    def test_initializer(self):
        with tequio.Executor(2, initializer=_note.append, initargs=("here",)) as executor:
            list(executor.map(time.sleep, [0.05] * 4))
            self.assertEqual(_note, ["here"] * 2)
        with tequio.Executor(processes=1, initializer=_note.append, initargs=("there",)) as executor:
            self.assertEqual(executor.submit(_last_note).result(60), "there")
        self.assertEqual(_note, ["here"] * 2)

    def test_processes_are_several(self):
        with tequio.Executor(processes=3) as executor:
            pids = set(executor.map(_slow_pid, range(12)))
        self.assertEqual(len(pids), 3)
        self.assertNotIn(os.getpid(), pids)

    def test_wrong(self):
        for arguments, rest in (((0,), {}), ((2000,), {}), ((1,), {"processes": 1}), ((), {"processes": -1})):
            with self.assertRaises(ValueError):
                tequio.Executor(*arguments, **rest)


def _last_note():
    return _note[-1]


def _slow_pid(_):
    time.sleep(0.05)
    return os.getpid()


class Interpreter(unittest.TestCase):
    """What takes an interpreter of its own."""

    def run_python(self, code, **rest):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **rest)

    def test_library_is_not_there(self):
        for place in ("/nowhere/libtequio.so", "/nowhere"):
            ended = self.run_python("import tequio", env=dict(os.environ, TEQUIO_LIBRARY=place))
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn("libtequio.so was not found", ended.stderr)

    def test_library_is_another(self):
        ended = self.run_python("import tequio", env=dict(os.environ, TEQUIO_LIBRARY="libm.so.6"))
        self.assertIn("is older than this package", ended.stderr)

    def test_an_executor_is_left_open(self):
        ended = self.run_python("import os, tequio; e = tequio.Executor(2)\n"
                                "f = [e.submit(os.write, 1, b'%d ' % i) for i in range(3)]; del e")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(sorted(ended.stdout.split()), ["0", "1", "2"])

    def interrupt(self, code):
        program = subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
        self.assertIn("KeyboardInterrupt", said)
        self.assertNotEqual(program.returncode, 0)

    def test_ctrl_c(self):
        for rest in ("", ", processes=2"):
            self.interrupt("import tequio, itertools, time\n"
                           "def forever(i):\n    print(i)\n    while True: time.sleep(0.01)\n"
                           f"tequio.map_reduce(itertools.count(), forever{rest})")
        self.interrupt("import tequio, itertools\n"
                       "print('go')\n"
                       "tequio.map_reduce(itertools.count(), lambda i: (i % 3, 1), 'sum')")

    def test_ctrl_c_while_submitting(self):
        # The thread has the interpreter whenever the main thread has not: so it sees it in tq_submit, and interrupts it there.
        code = ("import itertools, os, signal, sys, threading, tequio\n"
                "tequio.size()\n"
                "sys.setswitchinterval(0.05)\n"
                "main = threading.get_ident()\n"
                "def interrupt():\n"
                "    while sys._current_frames()[main].f_code.co_name not in ('run', '_wait'): pass\n"
                "    sys.setswitchinterval(0.005)\n"
                "    os.kill(os.getpid(), signal.SIGINT)\n"
                "threading.Thread(target=interrupt, daemon=True).start()\n"
                "tequio.map_reduce(itertools.count(), lambda i: (i % 3, 1), 'sum')\n")
        for _ in range(4):
            ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
            self.assertIn("KeyboardInterrupt", ended.stderr)
            self.assertNotEqual(ended.returncode, 0)


class Scripts(unittest.TestCase):
    """Scripts as people write them for concurrent.futures, and what these print."""

    @classmethod
    def setUpClass(cls):
        cls.texts = TextFiles(2, 5000)
        cls.examples = os.environ["TEQUIO_TEST_EXAMPLES"]

    def run_script(self, name, *arguments, replace=()):
        with open(os.path.join(self.examples, name), encoding="utf-8") as file:
            code = file.read()
        for old, new in replace:
            self.assertIn(old, code)
            code = code.replace(old, new)
        path = os.path.join(self.texts.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(code)
        environment = dict(os.environ, PYTHONIOENCODING="utf-8:surrogateescape")
        ended = subprocess.run([sys.executable, path, *arguments], capture_output=True, timeout=60, env=environment)
        os.remove(path)
        self.assertEqual(ended.returncode, 0, ended.stderr.decode(errors="replace"))
        return ended.stdout.decode("utf-8", "surrogateescape"), ended.stderr.decode()

    def table(self):
        return "".join(f"{word}\t{n}\n" for word, n in sorted(self.texts.counts.items()))

    THREADS = [("from tequio import Executor", "from concurrent.futures import ThreadPoolExecutor as Executor")]

    def test_words_map(self):
        usual, _ = self.run_script("words_map.py", *self.texts.paths,
                                   replace=self.THREADS + [("processes=2, callback=show", "2")])
        ours, said = self.run_script("words_map.py", *self.texts.paths)
        self.assertEqual(ours, usual)
        self.assertEqual(ours, self.table())
        self.assertIn("tasks: 2 done, 0 to go", said)
        self.assertEqual(functools.reduce(lambda a, b: a + b, [1, 2]), 3)

    def test_pi(self):
        usual, _ = self.run_script("pi.py", "20", "2000", replace=self.THREADS + [
            ("processes=2", "2"), ("executor.progress()", "0, 0")])
        ours, said = self.run_script("pi.py", "20", "2000")
        self.assertEqual(ours, usual)
        self.assertIn("20 done, 0 to go", said)

    def test_wordcount(self):
        ours, said = self.run_script("wordcount.py", *self.texts.paths)
        self.assertEqual(ours, self.table())
        self.assertIn("write: ", said)

    @unittest.skipUnless(importlib.util.find_spec("numba"), "there is no numba")
    def test_numba(self):
        ours, said = self.run_script("numba_words.py", *self.texts.paths)
        self.assertEqual(ours, self.table())

    def test_kmeans(self):
        ours, _ = self.run_script("kmeans.py", "3000")
        chunks, _ = self.run_script("kmeans.py", "3000", replace=[("everywhere=True", "everywhere=True, chunk=1, threads=2")])
        self.assertEqual(ours, chunks)
        self.assertEqual(len(ours.splitlines()), 3)


if __name__ == "__main__":
    unittest.main()
