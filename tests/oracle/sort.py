#!/usr/bin/env python3
"""Compares `tequio sort` with GNU sort (`LC_ALL=C sort -s`), and for records of one length with Python's sorted().

    sort.py --tequio PATH [--seed N] [--seconds S] [--case K]

Case K of seed N is always the same input and the same runs on it: other keys, ranks, threads, split sizes, budgets, from
files or from a pipe. A failure prints the command line that repeats it alone. It shares no code with the project, and needs
Python's standard library (3.9 or later) and GNU sort.
"""

import argparse
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time

# ---- Inputs ----------------------------------------------------------------------------------------------------------


def soup(rng, n):
    return [bytes(rng.choices(b"ab\x00\xff \t.-,01", k=rng.randint(0, 14))) for _ in range(n)]


def numbers(rng, n):
    """As people write them, and as they should not."""
    odd = [b"", b"-", b"-0", b"0", b"00", b"-.5", b".5", b"0.50", b"+1", b"1e3", b" 7", b"\t-7", b"1.", b"--1", b"0x10", b"-0.0"]
    out = []
    for _ in range(n):
        kind = rng.randrange(5)
        if kind == 0:
            out.append(rng.choice(odd))
        elif kind == 1:
            out.append(b"%d" % rng.randint(-20, 20))
        elif kind == 2:
            out.append(b"%.*f" % (rng.randrange(6), rng.uniform(-3, 3)))
        elif kind == 3:
            out.append(b"-" * rng.randrange(2) + bytes(rng.choices(b"0123456789", k=rng.choice([1, 18, 19, 20, 40, 130, 300]))))
        else:
            out.append(b"%d,%d\t%d %s" % (rng.randint(-9, 9), rng.randint(0, 99), rng.randint(-5, 5), rng.choice([b"x", b"", b"y z"])))
    return out


def fields(rng, n):
    parts = [b"", b"a", b"b", b"ab", b"10", b"9", b"-1", b"\x00", b"long" * 9]
    gaps = [b" ", b"  ", b"\t", b",", b" ,", b",,"]
    return [b"".join(rng.choice(parts) + rng.choice(gaps) for _ in range(rng.randrange(6))) + rng.choice(parts) for _ in range(n)]


def equal(rng, n):
    """Nine of ten are the same."""
    return [b"hot" if rng.random() < 0.9 else b"%d" % rng.randrange(1000) for _ in range(n)]


def prefixes(rng, n):
    """Long, and alike up to their ends."""
    head = b"p" * rng.choice([7, 8, 9, 64, 200, 1500])
    return [head[: rng.choice([len(head), len(head), rng.randrange(len(head) + 1)])] + bytes(rng.choices(b"\x00ab", k=rng.randrange(12)))
            for _ in range(max(1, n * 20 // (20 + len(head))))]


def ordered(rng, n):
    return [b"%09d %d" % (i // 3, rng.randrange(5)) for i in range(n)]


def few(rng, n):
    return [bytes(rng.choices(b"ab", k=rng.choice([0, 1, 70000, 300000]))) for _ in range(rng.randrange(6))]


KINDS = [soup, numbers, fields, equal, prefixes, ordered, few]

# ---- Cases -----------------------------------------------------------------------------------------------------------


def key_of_lines(rng):
    first = rng.randint(1, 4)
    last = rng.choice(["", ",%d" % rng.randint(first, 5)])
    return "%d%s%s" % (first, last, rng.choice(["", "", "n", "r", "nr"]))


def case_of_lines(rng):
    lines = rng.choice(KINDS)(rng, rng.choice([1, 30, 3000, 20000]))
    data = b"\n".join(lines) + rng.choice([b"", b"\n"])
    options, same = [], ["sort", "-s"]
    if rng.random() < 0.4:
        delimiter = rng.choice([",", ".", "a", " "])
        options += ["--delimiter", delimiter]
        same += ["-t", delimiter]
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        key = key_of_lines(rng)
        options += ["--key", key]
        same += ["-k", key]
    for option, letter in (("--numeric", "-n"), ("--reverse", "-r"), ("--unique", "-u")):
        if rng.random() < 0.3:
            options.append(option)
            same.append(letter)
    return data, options, lambda path: subprocess.run(same + [path], env={**os.environ, "LC_ALL": "C"}, check=True, stdout=subprocess.PIPE).stdout


def case_of_records(rng):
    size = rng.choice([1, 2, 7, 16, 100, 5000])
    n = rng.choice([0, 1, 50, 200000 // (size + 20)])
    letters = rng.choice([b"ab", bytes(range(256))])
    records = [bytes(rng.choices(letters, k=size)) for _ in range(n)]
    keys = []
    for _ in range(rng.choice([0, 1, 1, 2])):
        first = rng.randint(1, size)
        last = rng.choice([None, rng.randint(first, size)])
        keys.append((first - 1, last if last else size, "%d-%s" % (first, last if last else "")))
    options = ["--record-bytes", str(size)]
    for key in keys:
        options += ["--key", key[2]]
    reverse, unique = rng.random() < 0.3, rng.random() < 0.3
    options += ["--reverse"] * reverse + ["--unique"] * unique
    turn = bytes(255 - b for b in range(256))

    def key_of(record):
        key = b"".join(record[a:b] for a, b, _ in keys) if keys else record
        return key.translate(turn) if reverse else key

    def expected(path):
        out, seen = [], set()
        for record in sorted(records, key=key_of):
            if not unique or key_of(record) not in seen:
                out.append(record)
            seen.add(key_of(record))
        return b"".join(out)

    return b"".join(records), options, expected


def runs(rng, count):
    """Options of the command, and whether its input comes through a pipe."""
    for _ in range(count):
        options = ["--threads", str(rng.choice([0, 1, 2, 3]))]
        if rng.random() < 0.3:
            options += ["--ranks", str(rng.choice([2, 3]))]
        if rng.random() < 0.5:
            options += ["--split-size", rng.choice(["1", "1000", "4k", "100k"])] if rng.random() < 0.8 else []
        if rng.random() < 0.4:
            options += ["--memory", rng.choice(["3M", "8M"])]
        if rng.random() < 0.2:
            options += ["--round-bytes", rng.choice(["500", "20k"])]
        yield options, rng.random() < 0.25


def run_case(tequio, seed, number, count):
    rng = random.Random("%d %d" % (seed, number))
    data, options, expected = rng.choice([case_of_lines, case_of_lines, case_of_records])(rng)
    with tempfile.TemporaryDirectory(prefix="tequio-sort-") as folder:
        path = os.path.join(folder, "input")
        with open(path, "wb") as file:
            file.write(data)
        wanted = expected(path)
        for more, piped in runs(rng, count):
            if len(data) > 100000 and "1" in more[2:]: # as many splits as bytes
                more = more[:2]
            command = [tequio, "--quiet"] + more + ["sort"] + options + ([] if piped else [path])
            done = subprocess.run(command, input=data if piped else b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=250)
            if done.returncode != 0 or done.stdout != wanted:
                print("case %d: %s%s" % (number, shlex.join(command), " <input" if piped else ""))
                print("exit code %d, %d bytes, not %d" % (done.returncode, len(done.stdout), len(wanted)))
                print(done.stderr.decode(errors="replace"))
                print("again: %s --tequio %s --seed %d --case %d" % (sys.argv[0], tequio, seed, number))
                return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tequio", required=True)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--case", type=int)
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    seed = options.seed if options.seed is not None else int(time.time())
    if options.case is not None:
        return 0 if run_case(options.tequio, seed, options.case, options.runs) else 1
    end, number = time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        if not run_case(options.tequio, seed, number, options.runs):
            return 1
        number += 1
    print("seed %d: %d cases agree" % (seed, number))
    return 0


sys.exit(main())
