#!/usr/bin/env python3
"""Compares `tequio wordcount` with a word count in Python, on inputs meant to be hard.

    oracle.py --tequio PATH [--seed N] [--seconds S] [--case K] [--long] [--verbose] [--keep]

Case K of seed N is always the same input and the same runs on it: other ranks, threads, split sizes, round bounds, orders
and formats. A failure prints the command line that repeats it alone. It shares no code with the project, and needs Python's
standard library alone (3.9 or later).

What the words are is Python's bytes.split(): it cuts at the six white-space bytes of ASCII, as the contract says.
"""

import argparse
import collections
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SPACES = b" \t\n\v\f\r"
LOOKALIKES = b"\x00\x08\x0e\x1b\x1c\x1d\x1e\x1f\x7f\x80\x85\x9f\xa0\xff"
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ---- Inputs: each gives a list of files' contents. size is about how many bytes in all. -------------------------------


def random_bytes(rng, size):
    return [rng.randbytes(size)]


def nul_soup(rng, size):
    alphabet = b"\x00\x00\x00ab " + LOOKALIKES + SPACES
    return [bytes(rng.choices(alphabet, k=size // 2)), bytes(rng.choices(b"\x00 ", k=size // 8))]


def lookalikes(rng, size):
    alphabet = LOOKALIKES + SPACES + b"ax"
    return [bytes(rng.choices(alphabet, k=size // 2))]


def broken_utf8(rng, size):
    good = ["caf\u00e9", "\u00fcber", "\u4e2d\u6587", "\U0001f600", "na\u00efve", "e\u0301", "\u2003", "\u00a0", "\ufeff"]
    pieces = [word.encode() for word in good]
    pieces += [piece[:-1] for piece in pieces] + [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80"]
    return [b"".join(rng.choice(pieces) + rng.choice([b"", b" ", b"\r\n", b"\n"]) for _ in range(size // 5))]


def crlf_lines(rng, size):
    words = vocabulary(rng, 200)
    lines = [b" ".join(rng.choices(words, k=rng.randint(0, 9))) for _ in range(size // 40)]
    return [b"\r\n".join(lines), b"\r".join(lines[:20]), b"\n\r".join(lines[:20]) + b"\r\n"]


def one_hot_key(rng, size):
    """One key is nine of ten words."""
    words = vocabulary(rng, 1000)
    return [b" ".join(b"hot" if rng.random() < 0.9 else rng.choice(words) for _ in range(size // 4))]


def one_word(rng, size):
    word = rng.choice([b"a", b"ab", b"abcdefgh", b"abcdefghi", b"x" * 16, b"y" * 17])
    return [(word + rng.choice([b" ", b"\n", b"  "])) * (size // (len(word) + 1))]


def all_distinct(rng, size):
    numbers = list(range(size // 9))
    rng.shuffle(numbers)
    return [b"\n".join(b"k%07d" % n for n in numbers)]


def distinct_long(rng, size):
    return [b" ".join(b"key-that-does-not-fit-a-slot-%d-%d" % (n, n * 7919 % 104729) for n in range(size // 40))]


def lengths(rng, size):
    """Lengths around every power of two and word size, many alike in all but one byte, some in a NUL at their end alone."""
    words = set()
    for length in (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000):
        base = bytearray(rng.choices(b"ab\x00\xff", k=length))
        for _ in range(6):
            words.add(bytes(base))
            base[rng.choice([0, length - 1, rng.randrange(length)])] = rng.choice(b"abc\x00\xff\x80")
        words.add(bytes(base).rstrip(b"\x00") + b"\x00")
        words.add(b"\x00" * length)
    words = list(words)
    out, total = [], 0
    while total < size:
        word = rng.choice(words)
        out.append(word + (b" " if rng.random() < 0.8 else bytes(rng.choices(SPACES, k=rng.randint(1, 9)))))
        total += len(out[-1])
    return [b"".join(out)]


def long_words(rng, size):
    """100 KB, and now and then 3 MB, between short ones and twice."""
    biggest = 3_000_000 if rng.random() < 0.3 else 100_000
    word = bytes(rng.choices(b"abcdefgh\x00\xff", k=1000)) * (biggest // 1000)
    parts = [b"short", word, b"short", word[:-1], word, word + b"!", word[: biggest // 3]]
    rng.shuffle(parts)
    return [b" ".join(parts), word, b"\n" + word + b"\n"]


def white_space_runs(rng, size):
    out = []
    for _ in range(rng.randint(2, 12)):
        out.append(bytes(rng.choices(SPACES, k=rng.choice([1, 63, 64, 65, 4095, 4096, 4097, 70000]))))
        out.append(rng.choice([b"w", b"word", b"x" * 64, b"x" * 4096]))
    return [b"".join(out), b" " * 10000, b"\n"]


def boundaries(rng, size):
    """Words that end and begin at, before and behind the places where blocks are likely to be cut."""
    files = []
    for block in (64, 512, 4096, 65536, 1 << 20):
        for shift in (-1, 0, 1):
            data = bytearray(b"abcdefg " * (block // 4))
            at = block + shift
            data[at - 1 : at + 1] = rng.choice([b"  ", b"x ", b" x", b"xx"])
            files.append(bytes(data[: at + rng.choice([0, 1, 5, block // 2])]))
    return rng.sample(files, 6)


def tiny_files(rng, size):
    words = vocabulary(rng, 30)
    count = rng.choice([50, 400, 400, 2500])
    return [b" ".join(rng.choices(words, k=rng.randint(0, 3))) for _ in range(count)]


def empty_files(rng, size):
    return [b""] * rng.randint(1, 20) + ([b"word"] if rng.random() < 0.5 else []) + [b""]


def natural(rng, size):
    with open(os.path.join(TOP, "examples", "kjv.txt"), "rb") as file:
        text = file.read()
    start = rng.randrange(max(1, len(text) - size))
    return [text[start : start + size], text[:1000], text[start : start + size // 3]]


INPUTS = [random_bytes, nul_soup, lookalikes, broken_utf8, crlf_lines, one_hot_key, one_word, all_distinct, distinct_long,
          lengths, long_words, white_space_runs, boundaries, tiny_files, empty_files, natural]


def vocabulary(rng, count):
    return [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz'-", k=rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 40])))
            for _ in range(count)]


class Failure(Exception):
    """Something is not right: the text says what."""


# ---- What is right -----------------------------------------------------------------------------------------------------


def count_words(files):
    counts = collections.Counter()
    for data in files:
        counts.update(data.split())
    return counts


def as_text(rows):
    return b"".join(b"%b\t%d\n" % row for row in rows)


def as_rows(text):
    """Rows of JSON lines, as Python reads them."""
    rows = []
    for line in text.split(b"\n")[:-1]:
        try:
            row = json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise Failure(f"not JSON: {line[:200]!r}: {error}") from None
        if list(row) != ["word", "count"]:
            raise Failure(f"not an object of word and count: {line[:200]!r}")
        rows.append((row["word"].encode("utf-8", "surrogateescape"), row["count"]))
    return rows


# ---- Runs --------------------------------------------------------------------------------------------------------------


def some_size(rng, least, most):
    """Evenly over the magnitudes."""
    return int(round(least * (max(most, least) / least) ** rng.random()))


def draw_run(rng, total, files, most_ranks):
    """Options of a run, and what it is to print: order and format."""
    run = {"options": [], "sort": "key", "top": 0, "json": False, "way": "files", "output": False, "memory": 0}
    options = run["options"]
    ranks = rng.choice([0, 0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 6, 7])
    if ranks:
        options += ["-n", str(min(ranks, most_ranks))]
    options += ["-t", str(rng.choice([0, 1, 1, 2, 3]))]
    if rng.random() < 0.8:
        # Not more than about 100,000 splits, or each takes longer than what is in it.
        options += ["--split-size", str(some_size(rng, max(1, total // 100_000), 2 * total + 2))]
    if rng.random() < 0.7:
        options += ["--round-bytes", str(some_size(rng, max(100, total // 2000), 1 << 20))]
    if rng.random() < 0.15:
        run["memory"] = rng.choice([24, 32, 48, 64])
        options += ["--memory", f"{run['memory']}M", "--tmpdir", "spill"]
    if rng.random() < 0.2:
        run["top"] = rng.choice([1, 2, 10, 1000])
        options += ["--top", str(run["top"])]
    elif rng.random() < 0.3:
        run["sort"] = "none"
        options += ["--sort", "none"]
    if rng.random() < 0.2:
        run["json"] = True
        options += ["--format", "json"]
    if rng.random() < 0.2:
        run["output"] = True
        options += ["-o", "output.txt"]
    run["way"] = rng.choice(["files", "files", "folder", "pattern"] + (["stdin", "pipe"] if files == 1 else []))
    return run


def command(tequio, run, names):
    inputs = {"files": names, "folder": ["-r", "in"], "pattern": ["in/*"], "stdin": [], "pipe": ["-"]}[run["way"]]
    return [tequio, "wordcount", "--quiet", *run["options"], *inputs]


def execute(arguments, run, names, folder, limit_s):
    """Run it, and give back (exit code, result, stderr). A hang is a failure."""
    stdin = subprocess.DEVNULL
    if run["way"] == "stdin":
        stdin = open(os.path.join(folder, names[0]), "rb")
    elif run["way"] == "pipe":
        feeder = subprocess.Popen(["cat", os.path.join(folder, names[0])], stdout=subprocess.PIPE)
        stdin = feeder.stdout
    process = subprocess.Popen(arguments, cwd=folder, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        stdout, stderr = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        raise Failure(f"not done after {limit_s} s") from None
    finally:
        if run["way"] in ("stdin", "pipe"):
            stdin.close()
        if run["way"] == "pipe":
            feeder.wait()
    if run["output"] and process.returncode == 0:
        if stdout:
            raise Failure(f"printed something beside -o: {stdout[:200]!r}")
        path = os.path.join(folder, "output.txt")
        with open(path, "rb") as file:
            stdout = file.read()
        os.remove(path)
    return process.returncode, stdout, stderr


def first_difference(wanted, got):
    for number, (a, b) in enumerate(zip(wanted, got), 1):
        if a != b:
            return f"row {number} is {str(b)[:200]}, not {str(a)[:200]}"
    return f"{len(got)} rows, not {len(wanted)}; the first that only one has: " + str(
        (wanted[len(got) :] or got[len(wanted) :] or ["none"])[0])[:200]


def check(run, code, stdout, stderr, counts, unsorted):
    """Raise Failure unless this is right. unsorted: the rows of --sort none of an earlier run on this input, or empty."""
    if code == 5 and 0 < run["memory"] < 48:
        return False  # it may say that it needs more
    if code != 0:
        raise Failure(f"exit code {code}: {stderr.decode('utf-8', 'replace')}")
    if stderr:
        raise Failure(f"not quiet: {stderr.decode('utf-8', 'replace')}")

    if run["json"]:
        rows = as_rows(stdout)
    elif run["sort"] == "none" or run["top"]:
        rows = [(word, int(count)) for word, _, count in (line.rpartition(b"\t") for line in stdout.split(b"\n")[:-1])]
    else:
        rows = None

    if run["top"]:
        wanted = sorted(counts.items(), key=lambda row: (-row[1], row[0]))[: run["top"]]
    else:
        wanted = sorted(counts.items())
    if run["sort"] == "none":
        if not unsorted:
            unsorted.extend(rows)
        elif unsorted != rows:
            raise Failure("--sort none printed another order: " + first_difference(unsorted, rows))
        rows = sorted(rows)
    if rows is None:
        if stdout == as_text(wanted):
            return True
        rows = stdout.split(b"\n")
        wanted = as_text(wanted).split(b"\n")
    if rows != wanted:
        raise Failure(first_difference(wanted, rows))
    return True


def write_files(folder, files, rng):
    os.makedirs(os.path.join(folder, "in"))
    os.makedirs(os.path.join(folder, "spill"))
    names = []
    for number, data in enumerate(files):
        name = os.path.join("in", f"{number}")
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        names.append(name)
    rng.shuffle(names)
    return names


def run_case(arguments, seed, case):
    """Make the input of a case, and run it in several ways. Returns how many runs were refused for lack of memory."""
    rng = random.Random(f"tequio {seed} {case}")
    make = INPUTS[case % len(INPUTS)]
    size = some_size(rng, 20, 20_000_000 if arguments.long else 600_000)
    files = make(rng, size)
    if len(files) < 4 and rng.random() < 0.4:
        files = files[:1]  # so that it can be stdin
    counts = count_words(files)
    unsorted = []
    refused = 0
    folder = tempfile.mkdtemp(prefix=f"tequio-oracle-{seed}-{case}-")
    try:
        names = write_files(folder, files, rng)
        for _ in range(arguments.runs):
            run = draw_run(rng, sum(map(len, files)), len(files), arguments.ranks)
            line = command(arguments.tequio, run, names)
            start = time.monotonic()
            try:
                code, stdout, stderr = execute(line, run, names, folder, 900 if arguments.long else 120)
                refused += not check(run, code, stdout, stderr, counts, unsorted)
                if os.listdir(os.path.join(folder, "spill")):
                    raise Failure("files were left in --tmpdir")
                if arguments.verbose:
                    print(f"{time.monotonic() - start:6.2f} s  {make.__name__}: {shlex.join(line)[:300]}", flush=True)
            except Failure as failure:
                shown = shlex.join(line)
                print(f"FAILED: seed {seed}, case {case} ({make.__name__}, {sum(map(len, files))} bytes in "
                      f"{len(files)} files, {run['way']})\n    {shown[:2000]}\n    {failure}")
                print(f"    to repeat: {sys.argv[0]} --tequio {arguments.tequio} --seed {seed} --case {case}"
                      f" --runs {arguments.runs} --ranks {arguments.ranks}{' --long' if arguments.long else ''} --keep")
                raise
    finally:
        if arguments.keep:
            print(f"    the input is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return refused


def main():
    parser = argparse.ArgumentParser(description="compare tequio wordcount with Python")
    parser.add_argument("--tequio", default=os.path.join(TOP, "build", "tequio"), help="the command to test")
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--seconds", type=float, default=40, help="how long (each kind of input is tried at least once)")
    parser.add_argument("--case", type=int, help="this case alone")
    parser.add_argument("--runs", type=int, default=3, help="of each case")
    parser.add_argument("--ranks", type=int, default=7, help="at most so many")
    parser.add_argument("--long", action="store_true", help="inputs up to 20 MB")
    parser.add_argument("--verbose", action="store_true", help="show each run and how long it took")
    parser.add_argument("--keep", action="store_true", help="leave the input there")
    arguments = parser.parse_args()
    arguments.tequio = os.path.abspath(arguments.tequio)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**9)

    start = time.monotonic()
    case = refused = failed = 0
    if arguments.case is not None:
        cases = [arguments.case]
    else:
        print(f"seed {seed}", flush=True)
        cases = iter(range(10**9))
    for case in cases:
        if arguments.case is None and case >= len(INPUTS) and time.monotonic() - start > arguments.seconds:
            case -= 1
            break
        try:
            refused += run_case(arguments, seed, case)
        except Failure:
            failed += 1
            if failed == 3:
                break
    print(f"{failed} failed of {1 if arguments.case is not None else case + 1} cases of {arguments.runs} runs in "
          f"{time.monotonic() - start:.0f} s" + (f"; {refused} runs wanted more memory" if refused else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
