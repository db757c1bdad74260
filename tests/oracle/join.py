#!/usr/bin/env python3
"""Compares `tequio join` with a join in Python, on inputs meant to be hard.

    join.py --tequio PATH [--seed N] [--seconds S] [--case K] [--verbose] [--keep]

Case K of seed N is always the same input and the same runs on it: other ranks, threads, split sizes, round bounds, memory,
methods and formats, files that are compressed, one of them from a pipe. A failure prints the command line that repeats it
alone. It shares no code with the project, and needs Python's standard library alone (3.9 or later). Rules of columns are
those of stats.py beside it.
"""

import json
import os
import random
import re
import shutil
import sys
import tempfile

from oracle import Failure, execute, first_difference, some_size
from stats import SHOWN, column, compress_some, cut, lines_of, put_field, run_cases, some_keys, telling


# ---- What is right -----------------------------------------------------------------------------------------------------


def raw_fields(line, delimiter, csv):
    """The fields of a good line as they are written."""
    if not csv:
        return line.split(delimiter)
    fields, field, quoted = [], bytearray(), False
    for byte in (line[i : i + 1] for i in range(len(line))):
        quoted ^= byte == b'"'
        if byte == delimiter and not quoted:
            fields.append(bytes(field))
            field = bytearray()
        else:
            field += byte
    return fields + [bytes(field)]


def read_side(data, name, key, shape):
    """(lines by key, most columns but the key, bad lines): a line is the raw and the cut fields beside the key."""
    by_key, width, bad, header = {}, 0, [], None
    for number, (offset, line) in enumerate(lines_of(data)):
        fields = cut(line, shape["delimiter"], shape["csv"])
        if shape["header"] and number == 0:
            header, width = fields, len(fields) - 1
            continue
        if not line:
            continue
        at = column(key, header)
        if fields is None or at >= len(fields) or not fields[at]:
            bad.append((name, offset))
            continue
        raw = raw_fields(line, shape["delimiter"], shape["csv"])
        by_key.setdefault(fields[at], []).append((raw[:at] + raw[at + 1 :], fields[:at] + fields[at + 1 :]))
        width = max(width, len(fields) - 1)
    return by_key, width, bad


def key_field(key, shape):
    if shape["csv"] and (b'"' in key or shape["delimiter"] in key):
        return b'"' + key.replace(b'"', b'""') + b'"'
    return key


def joined(left, right, width, shape):
    """Rows: (key, columns of the line, left and right in JSON)."""
    for key, lines in sorted(left.items()):
        for raw, fields in lines:
            for other_raw, other in right.get(key, []):
                yield key, [key_field(key, shape), *raw, *other_raw], fields, other
            if key not in right and shape["left"]:
                yield key, [key_field(key, shape), *raw] + [b""] * width, fields, None


# ---- Inputs ------------------------------------------------------------------------------------------------------------


def make_side(rng, shape, keys, size, width, key, name):
    junk = rng.choice([0, 0, 0, 0.01, 0.2])
    delimiter = shape["delimiter"]
    names = [name if number == key else b"name %d" % number for number in range(width)]
    made = [delimiter.join(names).replace(b" ", b"_")] if shape["header"] else []
    total = 0
    while total < size:
        fields = [rng.choice([b"", b"x", b"12", b"a b", b'q"q', b"\xff\x00\t"]) for _ in range(width)]
        fields[key] = rng.choice(keys)
        written = [put_field(rng, field, shape) for field in fields]
        written = [field if field is not None else b"y" for field in written]
        if rng.random() < junk:
            written = rng.choice([written[: rng.randint(0, width)], [b'"a'], [b'a"b'], [b""] * width, [b"\r"]])
        elif rng.random() < 0.05:
            written += [b"more", b""]
        made.append(delimiter.join(written))
        total += len(made[-1]) + 1
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    return end.join(made) + (rng.choice([end, end, b""]) if made else b"")


def make_input(rng, size):
    shape = {"csv": rng.random() < 0.4, "header": rng.random() < 0.4, "left": rng.random() < 0.4,
             "given": rng.choice([b";", b",", b"\t", b"|"]) if rng.random() < 0.7 else None}
    shape["delimiter"] = shape["given"] or (b"," if shape["csv"] else b";")
    keys = some_keys(rng, rng.choice([2, 10, 200, 3000]))
    sizes = rng.choice([(size, size), (size, max(1, size // 20)), (max(1, size // 20), size), (size, 0), (0, size)])
    few = rng.randint(1, len(keys))
    pools = [keys, keys[:few]] if rng.random() < 0.5 else [keys[few // 2 :], keys[:few]]
    files = []
    for number, (name, pool) in enumerate(zip((b"id", rng.choice([b"id", b"other"])), pools)):
        width = rng.choice([1, 1, 2, 3, 7])
        key = rng.randrange(width)
        # The product stays small enough for Python.
        most = sizes[number] if len(keys) > 100 else min(sizes[number], 4000)
        files.append(make_side(rng, shape, pool, most, width, key, name))
        shape["key", number] = name.decode() if shape["header"] and rng.random() < 0.7 else str(key + 1)
    return files, shape


# ---- Runs --------------------------------------------------------------------------------------------------------------


def draw_run(rng, total, shape, most_ranks, bad):
    run = {"options": [], "json": rng.random() < 0.3, "output": rng.random() < 0.2, "skip": None,
           "way": rng.choice(["files"] * 3 + ["stdin", "pipe"]), "piped": rng.randrange(2)}
    options = run["options"]
    ranks = rng.choice([0, 0, 0, 0, 1, 2, 3, 4])
    if ranks:
        options += ["-n", str(min(ranks, most_ranks))]
    options += ["-t", str(rng.choice([0, 1, 2, 3]))]
    if rng.random() < 0.8:
        options += ["--split-size", str(some_size(rng, max(1, total // 50_000), 2 * total + 2))]
    if rng.random() < 0.5:
        options += ["--round-bytes", str(some_size(rng, max(100, total // 2000), 1 << 20))]
    if rng.random() < 0.3:
        options += ["--memory", rng.choice(["128M", "200M"])]
    methods = ["auto", "partition"]
    if not shape["left"] and not (run["way"] != "files" and run["piped"] == 1):
        methods += ["broadcast"] * 2
    options += ["--method", rng.choice(methods)] if rng.random() < 0.8 else []
    options += ["--format", "json"] * run["json"] + ["-o", "output.txt"] * run["output"]
    if bad or rng.random() < 0.2:
        run["skip"] = max(0, bad + rng.choice([-1, 0, 0, 0, 1, 100]))
        options += ["--skip-bad", str(run["skip"])]
    return run


def inputs_of(run, names):
    return ["-" if run["way"] != "files" and number == run["piped"] else name for number, name in enumerate(names)]


def command(tequio, run, shape, names):
    line = [tequio, "join", "--progress", "none", "--key=" + shape["key", 0], *run["options"]]
    if shape["key", 0] != shape["key", 1]:
        line.append("--key-right=" + shape["key", 1])
    if shape["given"]:
        line.append("--delimiter=" + shape["given"].decode())
    return line + ["--csv"] * shape["csv"] + ["--header"] * shape["header"] + ["--left"] * shape["left"] + inputs_of(run, names)


def check_bad(run, stderr, bad, names):
    lines = stderr.decode("utf-8", "surrogateescape").split("\n")[:-1]
    shown = dict(zip(names, inputs_of(run, names)))
    wanted = sorted(((shown[name], offset) for name, offset in bad), key=lambda place: (os.fsencode(place[0]), place[1]))
    if bad and (not lines or not lines[0].startswith(f"tequio: {len(bad)} bad record")):
        raise Failure(f"{len(bad)} bad lines, but it says: {lines[:1]}")
    got = [re.sub(r"(.*?:\d+): .*", r"\1", line) for line in lines[1:]]
    if (not bad and lines) or got != [f"{name}:{offset}" for name, offset in wanted[:SHOWN]]:
        raise Failure(f"bad lines: {lines[:3]}")


def text_of(field):
    return field.decode("utf-8", "surrogateescape")


def check(run, result, sides, shape, names):
    code, stdout, stderr = result
    bad = sides[0][2] + sides[1][2]
    if len(bad) > (run["skip"] or 0):
        if code != 3 or not re.search(rb" at byte \d+: ", stderr):
            raise Failure(f"{len(bad)} bad lines, but exit code {code}: {stderr[:300]!r}")
        return
    if code != 0:
        raise Failure(f"exit code {code}: {stderr.decode('utf-8', 'replace')}")
    check_bad(run, stderr, bad, names)
    rows = joined(sides[0][0], sides[1][0], sides[1][1], shape)
    got = stdout.split(b"\n")[:-1]
    if run["json"]:
        wanted = [{"key": text_of(key), "left": [text_of(field) for field in left],
                   "right": None if right is None else [text_of(field) for field in right]}
                  for key, _, left, right in rows]
        got = [json.loads(line.decode("utf-8")) for line in got]
    else:
        wanted = [shape["delimiter"].join(columns) for _, columns, _, _ in rows]
    if wanted != got:
        raise Failure(first_difference(wanted, got))


def run_case(arguments, seed, case):
    rng = random.Random(f"tequio join {seed} {case}")
    size = some_size(rng, 5, 30_000)
    files, shape = make_input(rng, size)
    folder = tempfile.mkdtemp(prefix=f"tequio-join-{seed}-{case}-")
    names = [os.path.join("in", "left"), os.path.join("in", "right")]
    try:
        for inside in ("in", "spill"):
            os.makedirs(os.path.join(folder, inside))
        for name, data in zip(names, files):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        if shape["header"] and any(cut(data.split(b"\n")[0], shape["delimiter"], shape["csv"]) is None for data in files):
            return
        sides = [read_side(data, name, shape["key", number], shape)
                 for number, (data, name) in enumerate(zip(files, names))]
        if rng.random() < 0.3:
            compress_some(folder, rng)
        for _ in range(arguments.runs):
            run = draw_run(rng, sum(map(len, files)), shape, arguments.ranks, len(sides[0][2]) + len(sides[1][2]))
            line = command(arguments.tequio, run, shape, names)
            with telling(arguments, seed, case, files, run, line):
                result = execute(line, run, names[run["piped"] :], folder, 120)
                check(run, result, sides, shape, names)
    finally:
        if arguments.keep:
            print(f"    the input is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run_cases("compare tequio join with Python", run_case))
