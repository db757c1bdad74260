#!/usr/bin/env python3
"""Compares `tequio stats` with exact arithmetic in Python, on inputs meant to be hard.

    stats.py --tequio PATH [--seed N] [--seconds S] [--case K] [--verbose] [--keep]

Case K of seed N is always the same input and the same runs on it: other ranks, threads, split sizes, round bounds and
formats; some inputs are compressed. A failure prints the command line that repeats it alone. It shares no code with the project, and needs Python's
standard library alone (3.9 or later). How runs are started and compared it has from oracle.py beside it.

Lines are cut, and numbers read, by the rules that README.md and jobs/stats.c state; sums are fractions; mean and
deviation are rounded in integers.
"""

import argparse
import bz2
import contextlib
import fractions
import gzip
import json
import lzma
import math
import os
import random
import re
import shlex
import shutil
import sys
import tempfile
import time

from oracle import Failure, execute, first_difference, some_size, write_files

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHOWN = 24
DIGITS = 15

# ---- What is right -----------------------------------------------------------------------------------------------------

NUMBER = re.compile(rb"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?")


def read_number(field):
    """The number in a field, or None if it is none, or out of range."""
    match = NUMBER.fullmatch(field)
    if not match or not (match[2] or match[3]):
        return None
    digits = (match[2] + (match[3] or b"")).lstrip(b"0")
    exponent = (int(match[4]) if match[4] else 0) - len(match[3] or b"")
    stripped = digits.rstrip(b"0")
    exponent += len(digits) - len(stripped)
    if not stripped:
        return fractions.Fraction(0)
    if len(stripped) + exponent > 18 or len(stripped) > 18 or exponent < -18:
        return None
    value = int(stripped) * fractions.Fraction(10) ** exponent
    return -value if match[1] == b"-" else value


def cut(line, delimiter, csv):
    """The fields of a line, or None if it breaks the rules of quotation."""
    if not csv:
        return line.split(delimiter)
    fields, at = [], 0
    while True:
        if line[at : at + 1] == b'"':
            at, field = at + 1, bytearray()
            while line[at : at + 1] != b'"' or line[at : at + 2] == b'""':
                if at >= len(line):
                    return None
                field += line[at : at + 1]
                at += 2 if line[at : at + 2] == b'""' else 1
            at += 1
            if at < len(line) and line[at : at + 1] != delimiter:
                return None
        else:
            end = line.find(delimiter, at)
            field = line[at : end if end >= 0 else len(line)]
            if b'"' in field:
                return None
            at += len(field)
        fields.append(bytes(field))
        if at >= len(line):
            return fields
        at += 1


def lines_of(data):
    """Offset and bytes of each line, without LF and one CR."""
    offset = 0
    for line in data.split(b"\n")[: -1 if data.endswith(b"\n") or not data else None]:
        yield offset, line[:-1] if line.endswith(b"\r") else line
        offset += len(line) + 1


def column(name, header):
    if header is None:
        return int(name) - 1
    names = [field.decode("utf-8", "surrogateescape") for field in header]
    return names.index(name) if name in names else int(name) - 1


def summarize(files, names, shape):
    """The values of each key, and the bad lines as (file, offset)."""
    values, bad = {}, []
    for data, name in zip(files, names):
        header = None
        for number, (offset, line) in enumerate(lines_of(data)):
            if shape["header"] and number == 0:
                header = cut(line, shape["delimiter"], shape["csv"])
                continue
            if not line:
                continue
            fields = cut(line, shape["delimiter"], shape["csv"])
            key, value = column(shape["key"], header), column(shape["value"], header)
            if fields is None or max(key, value) >= len(fields) or not fields[key]:
                bad.append((name, offset))
                continue
            read = read_number(fields[value])
            if read is None:
                bad.append((name, offset))
            else:
                values.setdefault(fields[key], []).append(read)
    return values, sorted(bad, key=lambda place: (os.fsencode(place[0]), place[1]))


def exact(value):
    """A fraction whose denominator divides a power of ten, as text."""
    scaled, places = value, 0
    while scaled.denominator != 1:
        scaled, places = scaled * 10, places + 1
    return put(scaled.numerator, places)


def put(number, places):
    """number x 10^-places, without zeros at the end of a fraction."""
    digits = str(abs(number)).rjust(places + 1, "0")
    whole, behind = (digits[:-places], digits[-places:].rstrip("0")) if places > 0 else (digits + "0" * -places, "")
    return ("-" if number < 0 else "") + whole + ("." + behind if behind else "")


def rounded(square, negative=False):
    """The root of a fraction with DIGITS digits, half to even."""
    if square == 0:
        return "0"
    places = DIGITS + 60
    while True:  # floor(root x 10^places) has just so many digits
        scaled = square * fractions.Fraction(100) ** places
        floor = math.isqrt(scaled.numerator // scaled.denominator)
        if floor < 10**DIGITS:
            break
        places -= max(1, len(str(floor)) - DIGITS)
    half = fractions.Fraction(2 * floor + 1, 2) ** 2
    floor += scaled > half or (scaled == half and floor % 2)
    return put(-floor if negative else floor, places)


def columns_of(numbers):
    count, total = len(numbers), sum(numbers)
    squares = sum(number * number for number in numbers)
    mean = total / count
    return [str(count), exact(total), exact(min(numbers)), rounded(mean * mean, mean < 0), exact(max(numbers)),
            rounded(squares / count - mean * mean)]


def escaped(key):
    return key.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")


# ---- Inputs ------------------------------------------------------------------------------------------------------------


def some_number(rng, kind):
    if kind == "tenths":
        return b"%d.%d" % (rng.randint(-99, 99), rng.randint(0, 9))
    if kind == "whole":
        return b"%d" % rng.choice([rng.randint(-9, 9), rng.randint(-(10**9), 10**9), rng.randint(-(10**18), 10**18)])
    if kind == "close":
        return b"%d" % (999999999999999990 + rng.randint(0, 9))
    digits = bytes(rng.choices(b"0123456789", k=rng.randint(1, rng.choice([3, 8, 9, 17, 18, 20]))))
    at = rng.randint(0, len(digits))
    number = rng.choice([b"", b"", b"-", b"+"]) + digits[:at] + rng.choice([b".", b".", b""]) + digits[at:]
    if rng.random() < 0.1:
        number += rng.choice([b"e", b"E"]) + b"%+d" % rng.choice([0, 1, -1, 5, -17, 18, rng.randint(-40, 40)])
    return number


def some_junk(rng):
    return rng.choice([b"", b"x", b"-", b".", b"1e", b"nan", b" 1", b"1 ", b"1..2", b"0x1", b"\xff", b"1e9999999999",
                       b"--1"])


def some_keys(rng, count):
    alphabet = rng.choice([b"abc", b"abc\x00\xc3\xa9 -", bytes(range(1, 256))])
    keys = set()
    while len(keys) < count:
        length = rng.choice([1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 60, 300])
        key = bytes(byte for byte in rng.choices(alphabet, k=length) if byte not in b"\r\n")
        keys.add(key + (b"k" if len(key) < 1 else b""))
        if rng.random() < 0.2:
            keys.add(key + b"\x00")
    return list(keys)


def put_field(rng, field, shape):
    """A field as text has it, or None where it cannot be written."""
    needs = shape["delimiter"] in field or (shape["csv"] and b'"' in field)
    if not shape["csv"]:
        return None if needs else field
    if needs or rng.random() < 0.2:
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field


def make_input(rng, size):
    """(files, shape): texts, and what the options are to say of them."""
    shape = {"csv": rng.random() < 0.4, "header": rng.random() < 0.4,
             "delimiter": rng.choice([b";", b",", b"\t", b"|", b" "]) if rng.random() < 0.7 else None}
    shape["given"] = shape["delimiter"]
    shape["delimiter"] = shape["delimiter"] or (b"," if shape["csv"] else b";")
    columns = rng.choice([1, 2, 2, 2, 3, 5, 30])
    key, value = rng.randrange(columns), rng.randrange(columns)
    keys = some_keys(rng, rng.choice([1, 3, 40, 1000, 5000]))
    kinds = rng.choice([["tenths"], ["whole"], ["close"], ["any"], ["tenths", "whole", "any"]])
    junk = rng.choice([0, 0, 0, 0.01, 0.3])
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    names = [b"name %d" % number for number in range(columns)]
    if shape["csv"]:
        names[key] = b'the "key"' if key != value else names[key]
    fields_of_names = [put_field(rng, name, shape) for name in names]
    if None in fields_of_names:
        shape["header"] = False
    header = shape["delimiter"].join(fields_of_names) if shape["header"] else None
    named = shape["header"] and rng.random() < 0.7
    shape["key"] = names[key].decode() if named else str(key + 1)
    shape["value"] = names[value].decode() if named else str(value + 1)

    def make_line():
        roll = rng.random()
        if roll < junk / 4:
            return rng.choice([b"", b"\r", b"x", b'"', b'a"b', shape["delimiter"] * columns,
                               b'"a"b' + shape["delimiter"] + b"1"])
        fields = [rng.choice([b"", b"x", b"12"]) for _ in range(columns)]
        fields[key] = rng.choice(keys)
        fields[value] = some_number(rng, rng.choice(kinds)) if roll >= junk / 2 else some_junk(rng)
        written = [put_field(rng, field, shape) for field in fields]
        written = [field if field is not None else b"y" for field in written]
        if roll < junk:
            written = written[: rng.randint(1, columns)]
        return shape["delimiter"].join(written)

    files = []
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        made, total = [header] if header is not None else [], 0
        while total < size:
            made.append(make_line())
            total += len(made[-1]) + 1
        files.append(end.join(made) + rng.choice([end, end, b""]))
    if rng.random() < 0.2:
        files.append(b"")
    return files, shape


def compress_some(folder, rng):
    """Some of the files in folder/in become what some program made of them."""
    for base, _, names in os.walk(os.path.join(folder, "in")):
        for name in sorted(names):
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                data = file.read()
            how = rng.choice([None, gzip.compress, bz2.compress, lzma.compress])
            if how is not None:
                half = rng.randint(0, len(data))
                with open(path, "wb") as file:
                    file.write(how(data) if rng.random() < 0.5 else how(data[:half]) + how(data[half:]))


# ---- Runs --------------------------------------------------------------------------------------------------------------


def draw_run(rng, total, files, most_ranks, bad):
    run = {"options": [], "json": False, "way": "files", "output": False, "skip": None}
    options = run["options"]
    ranks = rng.choice([0, 0, 0, 0, 1, 2, 3, 4])
    if ranks:
        options += ["-n", str(min(ranks, most_ranks))]
    options += ["-t", str(rng.choice([0, 1, 2, 3]))]
    if rng.random() < 0.8:
        options += ["--split-size", str(some_size(rng, max(1, total // 50_000), 2 * total + 2))]
    if rng.random() < 0.5:
        options += ["--round-bytes", str(some_size(rng, max(100, total // 2000), 1 << 20))]
    if rng.random() < 0.2:
        options += ["--sort", "none"]
        run["unsorted"] = True
    if rng.random() < 0.3:
        run["json"] = True
        options += ["--format", "json"]
    if rng.random() < 0.2:
        run["output"] = True
        options += ["-o", "output.txt"]
    if bad or rng.random() < 0.2:
        run["skip"] = max(0, bad + rng.choice([-1, 0, 0, 0, 1, 100]))
        options += ["--skip-bad", str(run["skip"])]
    run["way"] = rng.choice(["files", "files", "folder"] + (["stdin", "pipe"] if files == 1 else []))
    return run


def command(tequio, run, shape, names):
    inputs = {"files": names, "folder": ["-r", "in"], "stdin": [], "pipe": ["-"]}[run["way"]]
    line = [tequio, "stats", "--progress", "none", "--key=" + shape["key"], "--value=" + shape["value"], *run["options"]]
    if shape["given"]:
        line.append("--delimiter=" + shape["given"].decode())
    return line + ["--csv"] * shape["csv"] + ["--header"] * shape["header"] + inputs


def check_bad(run, stderr, bad):
    lines = stderr.decode("utf-8", "surrogateescape").split("\n")[:-1]
    if not bad:
        if lines:
            raise Failure(f"it says {lines[0]}")
        return
    if not lines or not lines[0].startswith(f"tequio: {len(bad)} bad record"):
        raise Failure(f"{len(bad)} bad lines, but it says: {lines[:1]}")
    wanted = [f"{'-' if run['way'] in ('stdin', 'pipe') else name}:{offset}" for name, offset in bad[:SHOWN]]
    got = [re.match(r"(.*?:\d+): .", line).group(1) if re.match(r"(.*?:\d+): .", line) else line for line in lines[1:]]
    if got != wanted:
        raise Failure("bad lines: " + first_difference(wanted, got))


def check(run, code, stdout, stderr, values, bad):
    if len(bad) > (run["skip"] or 0):
        if code != 3 or not re.search(rb" at byte \d+: ", stderr):
            raise Failure(f"{len(bad)} bad lines, but exit code {code}: {stderr[:300]!r}")
        return
    if code != 0:
        raise Failure(f"exit code {code}: {stderr.decode('utf-8', 'replace')}")
    check_bad(run, stderr, bad)
    wanted = [(key, *columns_of(numbers)) for key, numbers in sorted(values.items())]
    got = []
    for line in stdout.split(b"\n")[:-1]:
        if run["json"]:
            row = json.loads(line.decode("utf-8"), parse_float=str, parse_int=str)
            if list(row) != ["key", "count", "sum", "min", "mean", "max", "stddev"]:
                raise Failure(f"not an object with these names: {line[:200]!r}")
            got.append((row["key"].encode("utf-8", "surrogateescape"), *list(row.values())[1:]))
        else:
            fields = line.split(b"\t")
            got.append((fields[0], *(field.decode() for field in fields[1:])))
    if not run["json"]:
        wanted = [(escaped(row[0]), *row[1:]) for row in wanted]
    if run.get("unsorted"):
        wanted, got = sorted(wanted), sorted(got)
    if wanted != got:
        raise Failure(first_difference(wanted, got))


def run_case(arguments, seed, case):
    rng = random.Random(f"tequio stats {seed} {case}")
    size = some_size(rng, 5, 60_000)
    files, shape = make_input(rng, size)
    folder = tempfile.mkdtemp(prefix=f"tequio-stats-{seed}-{case}-")
    try:
        names = [os.path.join("in", f"{number}") for number in range(len(files))]
        values, bad = summarize(files, names, shape)
        write_files(folder, files, rng)
        if rng.random() < 0.3:
            compress_some(folder, rng)
        for _ in range(arguments.runs):
            run = draw_run(rng, sum(map(len, files)), len(files), arguments.ranks, len(bad))
            line = command(arguments.tequio, run, shape, names)
            with telling(arguments, seed, case, files, run, line):
                code, stdout, stderr = execute(line, run, names, folder, 120)
                check(run, code, stdout, stderr, values, bad)
    finally:
        if arguments.keep:
            print(f"    the input is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def telling(arguments, seed, case, files, run, line):
    """Around a run and its check: says how long it took, if wanted, or what failed and how to repeat it."""
    start = time.monotonic()
    try:
        yield
        if arguments.verbose:
            print(f"{time.monotonic() - start:6.2f} s  {shlex.join(line)[:300]}", flush=True)
    except Failure as failure:
        print(f"FAILED: seed {seed}, case {case} ({' and '.join(str(len(data)) for data in files)} bytes, {run['way']})\n"
              f"    {shlex.join(line)[:2000]}\n    {failure}")
        print(f"    to repeat: {sys.argv[0]} --tequio {arguments.tequio} --seed {seed} --case {case}"
              f" --runs {arguments.runs} --ranks {arguments.ranks} --keep")
        raise


def run_cases(description, run_case):
    """Read the options, and call run_case(arguments, seed, case) until the time is over or three have failed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tequio", default=os.path.join(TOP, "build", "tequio"), help="the command to test")
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--seconds", type=float, default=40, help="how long")
    parser.add_argument("--case", type=int, help="this case alone")
    parser.add_argument("--runs", type=int, default=3, help="of each case")
    parser.add_argument("--ranks", type=int, default=4, help="at most so many")
    parser.add_argument("--verbose", action="store_true", help="show each run and how long it took")
    parser.add_argument("--keep", action="store_true", help="leave the input there")
    arguments = parser.parse_args()
    arguments.tequio = os.path.abspath(arguments.tequio)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**9)

    start = time.monotonic()
    case = failed = 0
    if arguments.case is None:
        print(f"seed {seed}", flush=True)
    while failed < 3 and (case == 0 or time.monotonic() - start < arguments.seconds):
        try:
            run_case(arguments, seed, case if arguments.case is None else arguments.case)
        except Failure:
            failed += 1
        case += 1
        if arguments.case is not None:
            break
    print(f"{failed} failed of {case} cases of {arguments.runs} runs in {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_cases("compare tequio stats with Python", run_case))
