#!/usr/bin/env python3
"""Runs cases of the command line: a script, and what it must print.

    run.py [--build FOLDER] [--slow TIMES] [--rewrite] CASE...

A case is a folder with

    cmd              a shell script, run with sh in an empty folder of its own
    stdout           its standard output, byte for byte                          (no file: it must be empty)
    stdout.pattern   or, where that varies, patterns as below
    stderr.pattern   one regular expression a line, each for a whole line of its standard error; a line "..." stands for any
                     number of lines                                             (no file: it must be empty)
    exit             its exit code                                               (no file: 0; 77 in reality: skipped)

The script finds the commands tequio, tequio-faults and those of tests/cli/bin on its PATH, the case's own folder in $CASE,
the top of the tree in $TOP, and in $SLOW how many times longer than usual everything may take (1; more under sanitizers). Lines "# labels: ..." in it give the CTest test more labels; mpi takes the lock for MPI.

--rewrite writes what was printed into the case instead of comparing; a stderr.pattern or stdout.pattern that fits is left as
it is. Look at the diff before you commit it.

Python's standard library alone, 3.9 or later.
"""

import argparse
import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77


def read(case, name):
    """The bytes of a file of the case, or None."""
    try:
        with open(os.path.join(case, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(case, name, data, default):
    """Write a file of the case, or remove it where it would say what no file says."""
    path = os.path.join(case, name)
    if data != default:
        with open(path, "wb") as file:
            file.write(data)
    elif os.path.exists(path):
        os.remove(path)


def fits(pattern, text):
    """Whether text, bytes, is what the patterns say. Returns "" or the first thing that does not fit."""
    lines = text.decode("utf-8", "surrogateescape").splitlines()
    patterns = pattern.decode("utf-8").splitlines()

    # reachable: the indices of lines up to which the patterns so far can have matched.
    reachable = {0}
    for number, one in enumerate(patterns, 1):
        if one == "...":
            after = set(range(min(reachable), len(lines) + 1))
        else:
            after = {i + 1 for i in reachable if i < len(lines) and re.fullmatch(one, lines[i])}
        if not after:
            return f"pattern {number} fits nothing: {one}"
        reachable = after
    return "" if len(lines) in reachable else f"line not expected: {lines[max(reachable)]}"


def run_case(case, build, slow):
    """Run cmd in a folder of its own, with a process group of its own, and give (exit code, stdout, stderr)."""
    folder = tempfile.mkdtemp(prefix="tequio-cli-")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TEQUIO_", "OMPI_", "SLURM_", "PMIX_"))}
    environment.update(
        PATH=os.pathsep.join([build, os.path.join(TOP, "tests", "cli", "bin"), environment.get("PATH", "")]),
        CASE=os.path.abspath(case), TOP=TOP, BUILD=build, LC_ALL="C", TERM="dumb", SLOW=str(slow), TMPDIR=folder, COLUMNS="80")
    environment.pop("NO_COLOR", None)

    work = os.path.join(folder, "work")
    os.mkdir(work)
    # Into files, not pipes: what the script leaves running in the background would hold a pipe open.
    with open(os.path.join(folder, "stdout"), "w+b") as stdout, open(os.path.join(folder, "stderr"), "w+b") as stderr:
        process = subprocess.Popen(["sh", os.path.join(os.path.abspath(case), "cmd")], cwd=work, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
        code = process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        stdout.seek(0)
        stderr.seek(0)
        printed = stdout.read(), stderr.read()
    shutil.rmtree(folder, ignore_errors=True)
    return code, *printed


def compare(case, code, stdout, stderr):
    """What differs, as lines."""
    found = []
    expected = int(read(case, "exit") or b"0")
    if code != expected:
        found.append(f"exit code {code}, not {expected}")

    pattern = read(case, "stdout.pattern")
    if pattern is not None:
        why = fits(pattern, stdout)
        if why:
            found += [f"stdout: {why}", "stdout was:", *show(stdout)]
    else:
        wanted = read(case, "stdout") or b""
        if stdout != wanted:
            found.append("stdout differs:")
            found += difflib.unified_diff(show(wanted), show(stdout), "expected", "printed", lineterm="")

    why = fits(read(case, "stderr.pattern") or b"", stderr)
    if why:
        found += [f"stderr: {why}", "stderr was:", *show(stderr)]
    return found


def show(data, most=200):
    """Bytes as lines for people."""
    lines = [repr(line)[2:-1] for line in data.split(b"\n")]
    return lines[:most] + ([f"... and {len(lines) - most} lines"] if len(lines) > most else [])


def rewrite(case, code, stdout, stderr):
    write(case, "exit", b"%d\n" % code, b"0\n")
    if read(case, "stdout.pattern") is None:
        write(case, "stdout", stdout, b"")
    for name, text in (("stdout.pattern", stdout), ("stderr.pattern", stderr)):
        pattern = read(case, name)
        if (pattern is not None or name == "stderr.pattern") and fits(pattern or b"", text):
            lines = text.decode("utf-8", "backslashreplace").splitlines()
            write(case, name, "".join(re.escape(line).replace("\\ ", " ") + "\n" for line in lines).encode(), b"")


def main():
    parser = argparse.ArgumentParser(description="run cases of the command line")
    parser.add_argument("--build", default=os.path.join(TOP, "build"), help="where the commands are")
    parser.add_argument("--slow", type=int, default=1, help="so many times longer than usual may things take")
    parser.add_argument("--rewrite", action="store_true", help="write the expectations instead of comparing")
    parser.add_argument("cases", nargs="+", metavar="CASE")
    arguments = parser.parse_args()

    failed = skipped = 0
    for case in arguments.cases:
        name = os.path.basename(os.path.normpath(case))
        code, stdout, stderr = run_case(case, os.path.abspath(arguments.build), arguments.slow)
        if code == SKIPPED:
            skipped += 1
            print(f"{name}: skipped: {stderr.decode('utf-8', 'replace').strip()}")
        elif arguments.rewrite:
            rewrite(case, code, stdout, stderr)
            print(f"{name}: written")
        else:
            found = compare(case, code, stdout, stderr)
            failed += bool(found)
            print(f"{name}: {'FAILED' if found else 'ok'}")
            for line in found:
                print("    " + line)
    if failed:
        print(f"{failed} of {len(arguments.cases)} failed")
        return 1
    return SKIPPED if skipped == len(arguments.cases) else 0


if __name__ == "__main__":
    sys.exit(main())
