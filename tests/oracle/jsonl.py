#!/usr/bin/env python3
"""Compares `tequio stats`, `top`, `distinct` and `join` with --jsonl with Python, on objects meant to be hard.

    jsonl.py --tequio PATH [--seed N] [--seconds S] [--case K] [--verbose] [--keep]

Case K of seed N is always the same input and the same runs on it, as in stats.py beside it. It shares no code with the project,
and needs Python's standard library alone (3.9 or later).
"""

import json
import os
import random
import shutil
import sys
import tempfile

import stats
from oracle import Failure, execute, first_difference, some_size, write_files
from stats import compress_some, draw_run, escaped, read_number, run_cases, some_keys, some_number, telling

JUNK = [b"x", b"{", b'{"key":1', b"[1]", b"7", b'"key"', b'{"key":"a","v":1}}', b'{"key":"a","v":1,}', b'{"key":"a","v":01}', b"nul",
        b'{"key":"\xff","v":1}', b'{"key":"\t","v":1}', b'{"key":"a","v":1} {}', b'{"key":"a","v":1} 1', b'{"key":"a" "v":1}', b"{}}",
        b'{"key":"a","v":.5}', b'{"key":"a","v":+1}', b'{"key":"a","v":1 tru', b"\xef\xbb\xbf{}", b"{'key':1}"]
OTHERS = [b"null", b"[]", b'[{"key":"no"},{"v":[9]}]', b'{"key":"no","v":5,"z":{"v":6}}', b'"key"', b'"\\"}{"', b"-1.5e-7", b"true"]

# ---- What is right -----------------------------------------------------------------------------------------------------


def refuse(word):
    raise ValueError(word)


def read_object(line):
    """The object in a line, whose numbers are bytes; None for a line of white space; ValueError."""
    text = line.decode("utf-8")
    if not text.strip(" \t\r"):
        return None
    found = json.loads(text, parse_int=str.encode, parse_float=str.encode, parse_constant=refuse)
    if not isinstance(found, dict):
        raise ValueError
    return found


def key_of(value):
    if isinstance(value, (list, dict)):
        raise ValueError
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def summarize(files, names, job):
    """The values of each key, and the bad lines as (file, offset)."""
    values, bad = {}, []
    for data, name in zip(files, names):
        offset = 0
        for line in data.split(b"\n"):
            try:
                found = read_object(line)
                if found is not None:
                    key, number = key_of(found["key"]), None
                    if job == "join":
                        number = line[:-1] if line.endswith(b"\r") else line
                        if not key:
                            raise ValueError
                    if job == "stats":
                        number = read_number(found["v"]) if isinstance(found["v"], bytes) else None
                        if number is None or not key:
                            raise ValueError
                    values.setdefault(key, []).append(number)
            except (ValueError, KeyError, UnicodeDecodeError):
                bad.append((name, offset))
            offset += len(line) + 1
    return values, bad


# ---- Inputs ------------------------------------------------------------------------------------------------------------


def put_string(rng, text):
    ascii_only = rng.random() < 0.3
    return json.dumps(text, ensure_ascii=ascii_only).replace("/", rng.choice(["/", "\\/"])).encode()


def put_number(rng, kind):
    """As JSON has it: no plus, no point at an end, no zeros in front."""
    while True:
        number = some_number(rng, kind)
        try:
            json.loads(number, parse_constant=refuse)
            return number
        except ValueError:
            pass


def put_object(rng, key, number):
    members = [(b"key", key), (b"v", number)]
    for name in (b"key2", b"", b"a b", b"k\xc3\xa9y"):
        if rng.random() < 0.2:
            members.append((name, rng.choice(OTHERS)))
    rng.shuffle(members)
    if rng.random() < 0.05:
        members.insert(0, (rng.choice([b"key", b"v"]), rng.choice(OTHERS)))
    space = rng.choice([b"", b"", b" ", b"\t"])
    inside = (b"," + space).join(space + b'"' + name + b'"' + space + b":" + value for name, value in members)
    return b"{" + inside + space + b"}"


def make_input(rng, size):
    keys = [put_string(rng, key.decode("utf-8", "replace")) for key in some_keys(rng, rng.choice([1, 3, 50, 1000]))]
    keys += rng.choice([[], [b"1", b"1.0", b"-0", b"true", b"false", b"null", b"1e2"]])
    kind, junk = rng.choice(["tenths", "whole", "mixed"]), rng.choice([0, 0, 0.01, 0.2])
    files = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        lines, total = [], 0
        while total < size:
            draw = rng.random()
            lines.append(rng.choice(JUNK) if draw < junk else rng.choice([b"", b" "]) if draw < junk + 0.01
                         else put_object(rng, rng.choice(keys + [b'""'] * (junk > 0)), put_number(rng, kind)))
            total += len(lines[-1]) + 1
        end = rng.choice([b"\n", b"\n", b"\r\n"])
        files.append(end.join(lines) + rng.choice([end, b""]))
    return files


# ---- Runs --------------------------------------------------------------------------------------------------------------


def check_counts(run, job, result, values, bad):
    code, stdout, stderr = result
    if len(bad) > (run["skip"] or 0):
        if code != 3:
            raise Failure(f"{len(bad)} bad lines, but exit code {code}: {stderr[:300]!r}")
        return
    if code != 0:
        raise Failure(f"exit code {code}: {stderr.decode('utf-8', 'replace')}")
    stats.check_bad(run, stderr, bad)
    rows = sorted((key, len(found)) for key, found in values.items())
    if job == "top":
        rows.sort(key=lambda row: -row[1])
    got = stdout.split(b"\n")[:-1]
    if run["json"]:
        got = [json.loads(line) for line in got]
        wanted = [{"key": key.decode(), **({"count": n} if job == "top" else {})} for key, n in rows]
    elif job == "top":
        wanted = [escaped(key) + b"\t%d" % n for key, n in rows]
    else:
        got, wanted = stdout, b"".join(key + b"\n" for key, _ in rows)
    if wanted != got:
        raise Failure(first_difference(wanted, got) if isinstance(got, list) else f"other keys: {got[:200]!r}")


def check_join(run, result, sides, bad):
    code, stdout, stderr = result
    if len(bad) > (run["skip"] or 0):
        if code != 3:
            raise Failure(f"{len(bad)} bad lines, but exit code {code}: {stderr[:300]!r}")
        return
    if code != 0:
        raise Failure(f"exit code {code}: {stderr.decode('utf-8', 'replace')}")
    stats.check_bad(run, stderr, bad)
    left, right = sides
    wanted = [(key, b',"left":' + line + b',"right":' + other + b"}") for key, lines in sorted(left.items()) for line in lines
              for other in right.get(key, [b"null"] * run["left"])]
    got = stdout.split(b"\n")[:-1]
    if len(got) != len(wanted):
        raise Failure(f"{len(got)} rows, not {len(wanted)}")
    for line, (key, end) in zip(got, wanted):
        if not line.endswith(end) or json.loads(line[: -len(end)] + b"}") != {"key": key.decode()}:
            raise Failure(f"not {key!r} and {end[:200]!r}: {line[:300]!r}")


def run_join(arguments, rng, files, names):
    """A run of join, its command, and how to check it."""
    sides, bad = zip(*(summarize([data], [name], "join") for data, name in zip(files, sorted(names))))
    run = draw_run(rng, sum(map(len, files)), len(files), arguments.ranks, len(sum(bad, [])))
    run.update(way="files", left=rng.random() < 0.4)
    run["options"] = [option for option in run["options"] if option not in ("--sort", "none")]
    run["options"] += ["--left"] * run["left"] + rng.choice([[], ["--method", "partition"]])
    line = [arguments.tequio, "join", "--progress", "none", "--jsonl", "--key=key", *run["options"], *sorted(names)]
    return run, line, lambda result: check_join(run, result, sides, sum(bad, []))


def command(tequio, job, run, names):
    inputs = {"files": names, "folder": ["-r", "in"], "stdin": [], "pipe": ["-"]}[run["way"]]
    wanted = ["--key=key"] + ["--value=v"] * (job == "stats") + ["--top=1000000"] * (job == "top")
    return [tequio, job, "--progress", "none", "--jsonl", *wanted, *run["options"], *inputs]


def run_job(arguments, rng, files, names, job):
    values, bad = summarize(files, sorted(names), job)
    run = draw_run(rng, sum(map(len, files)), len(files), arguments.ranks, len(bad))
    run.pop("unsorted", None)
    run["options"] = [option for option in run["options"] if option not in ("--sort", "none")]
    line = command(arguments.tequio, job, run, names)
    if job == "stats":
        return run, line, lambda result: stats.check(run, *result, values, bad)
    return run, line, lambda result: check_counts(run, job, result, values, bad)


def run_case(arguments, seed, case):
    rng = random.Random(f"tequio jsonl {seed} {case}")
    files = make_input(rng, some_size(rng, 5, 60_000))
    folder = tempfile.mkdtemp(prefix=f"tequio-jsonl-{seed}-{case}-")
    try:
        names = write_files(folder, files, rng)
        if rng.random() < 0.2:
            compress_some(folder, rng)
        for _ in range(arguments.runs):
            job = rng.choice(["stats", "stats", "top", "distinct"])
            run, line, check = run_join(arguments, rng, files, names) if len(files) == 2 else \
                run_job(arguments, rng, files, names, job)
            with telling(arguments, seed, case, files, run, line):
                check(execute(line, run, names, folder, 120))
    finally:
        if arguments.keep:
            print(f"    the input is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run_cases("compare tequio with --jsonl with Python", run_case))
