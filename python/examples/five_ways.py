#!/usr/bin/env python3
"""The same word count five ways (docs/python.md), each in an interpreter of its own, in turn, several times.

    five_ways.py [--rounds N] [--workers N] [--native native.so] FILE

native.so is tests/python/native.c: cc -O2 -shared -fPIC $(pkg-config --cflags tequio) native.c -o native.so. All results are
compared. Prints a table: the median, least and most seconds of the whole program, and of the processor.
"""

import argparse
import collections
import ctypes
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import time

MIB = 1 << 20


# ---- The ways ----


def pieces(path, size=MIB):
    """Where chunks of whole lines begin and end."""
    with open(path, "rb") as file:
        begin, total = 0, os.path.getsize(path)
        while begin < total:
            file.seek(min(begin + size, total))
            file.readline()
            yield begin, file.tell()
            begin = file.tell()


def count_piece(path, begin, end):
    with open(path, "rb") as file:
        file.seek(begin)
        return collections.Counter(file.read(end - begin).split())


def count_text(text):
    return collections.Counter(text.split())


def threads(path, workers):
    """What one writes first: a pool of threads, which share one lock."""
    from concurrent.futures import ThreadPoolExecutor

    total = collections.Counter()
    with ThreadPoolExecutor(workers) as executor:
        for part in executor.map(lambda piece: count_piece(path, *piece), pieces(path)):
            total.update(part)
    return sorted(total.items())


def processes(path, workers):
    """Interpreters beside this one, which hand it their dictionaries."""
    import functools

    import tequio

    total = collections.Counter()
    with tequio.Executor(processes=workers, callback=lambda *_: None) as executor:
        begins, ends = zip(*pieces(path))
        for part in executor.map(functools.partial(count_piece, path), begins, ends):
            total.update(part)
    return sorted(total.items())


def ranks(path, _workers):
    """Under mpirun: an interpreter a rank, chunks of text, sums in the library."""
    import tequio

    return tequio.map_reduce(tequio.files(path, encoding=None), count_text, "sum", lambda *_: None)


def native(path, workers, library):
    """A mapper in C on threads; the rows become Python's."""
    import tequio

    mapper = ctypes.CDLL(library).map_text
    return tequio.map_reduce(tequio.files(path, encoding=None), mapper, "sum", lambda *_: None, threads=workers)


def builtin(path, workers):
    """The job of the library."""
    import tequio

    return list(tequio.wordcount(tequio.files(path, encoding=None), lambda *_: None, threads=workers).items())


# ---- Measuring ----


def digest(rows):
    made = hashlib.sha256()
    for word, n in rows:
        made.update(b"%s\t%d\n" % (word, n))
    return made.hexdigest()[:16]


def run_one(options):
    way = globals()[options.way]
    rows = way(options.file, options.workers, *([options.native] if options.way == "native" else []))
    if rows:
        print(digest(rows))


def measure(options, way):
    command = [sys.executable, __file__, "--way", way, "--workers", str(options.workers), "--native", options.native or "",
               options.file]
    if way == "ranks":
        command = ["mpirun", "-n", str(options.workers), "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1", "--mca",
                   "btl", "self,vader,tcp"] + command
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--native")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("file")
    options = parser.parse_args()
    if options.way:
        return run_one(options)
    ways = ["threads", "processes", "ranks", "native", "builtin"]
    if not options.native:
        ways.remove("native")
    measured, found = {way: [] for way in ways}, set()
    for _ in range(options.rounds):
        for way in ways:
            seconds, cpu, result = measure(options, way)
            measured[way].append((seconds, cpu))
            found.add(result)
    if len(found) != 1:
        sys.exit(f"the results differ: {found}")
    print("| way | seconds | least | most | processor, s |\n|---|---|---|---|---|")
    for way in ways:
        seconds, cpu = zip(*measured[way])
        print(f"| {way} | {statistics.median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} | "
              f"{statistics.median(cpu):.1f} |")


if __name__ == "__main__":
    main()
