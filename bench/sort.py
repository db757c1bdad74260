#!/usr/bin/env python3
"""Times `tequio sort` against a hand-written sort of the same records and against GNU sort.

    sort.py --tequio PATH [--records N] [--folder DIR] [--runs 5]

1. 100-byte records with binary keys of 10 bytes: bench/sort_yardstick.c, `tequio sort --record-bytes 100 --key 1-10`.
2. The same with printable keys, so that each is a line: tequio, and `sort -s -k 1.1,1.10`.
3. Lines, with a budget of a quarter of their bytes: tequio --memory, and sort -S.
4. Records of which 90 % or all have one key, with the same budget: tequio.

All on 2 threads, in turn, the medians of some runs with the least and the most, seconds and peak memory. Every output of
tequio is compared with another's (1. with the yardstick's, 2. and 3. with GNU sort's). Python 3.9 and a C compiler.
"""

import argparse
import filecmp
import os
import resource
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
THREADS = 2


def compile_c(name, folder):
    path = os.path.join(folder, name)
    subprocess.run([os.environ.get("CC", "cc"), "-O3", "-o", path, os.path.join(HERE, name + ".c"), "-pthread"], check=True)
    return path


def run(command, output):
    """Seconds and MiB of a command."""
    if os.path.exists(output):
        os.unlink(output)
    begin = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    if status != 0:
        raise SystemExit("%s: status %d" % (command, status))
    return seconds, usage.ru_maxrss / 1024


def compare(title, commands, runs):
    """commands: name, command, its output. The first output is what the others must be."""
    taken = {name: [] for name, _, _ in commands}
    for _ in range(runs):
        for name, command, output in commands:
            taken[name].append(run(command, output))
    for name, _, output in commands[1:]:
        if not filecmp.cmp(commands[0][2], output, shallow=False):
            raise SystemExit("%s: the output of %s is another" % (title, name))
    print(title)
    for name, _, _ in commands:
        seconds = [one[0] for one in taken[name]]
        print("  %-28s %6.2f s  (%.2f .. %.2f)  %4.0f MiB" % (name, statistics.median(seconds), min(seconds), max(seconds),
                                                              max(one[1] for one in taken[name])), flush=True)


def make(generator, records, kind, path):
    with open(path, "wb") as file:
        subprocess.run([generator, str(records)] + kind, stdout=file, check=True)
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tequio", required=True)
    parser.add_argument("--records", type=int, default=2000000)
    parser.add_argument("--folder")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.chdir(folder)
        os.environ["TMPDIR"] = folder
        generator, yardstick = compile_c("gensort", folder), compile_c("sort_yardstick", folder)
        budget = "%dK" % (options.records * 100 // 4096)
        tequio = [options.tequio, "--quiet", "--threads", str(THREADS), "sort"]
        fixed = tequio + ["--record-bytes", "100", "--key", "1-10"]
        gnu = ["sort", "-s", "--parallel=%d" % THREADS]
        binary = make(generator, options.records, [], "binary")
        compare("binary keys", [("hand-written", [yardstick, str(THREADS), binary, "out1"], "out1"),
                                ("tequio", fixed + ["-o", "out2", binary], "out2")], options.runs)
        os.unlink(binary)
        text = make(generator, options.records, ["text"], "text")
        compare("printable keys", [("GNU sort", gnu + ["-k", "1.1,1.10", "-o", "out1", text], "out1"),
                                   ("tequio", fixed + ["-o", "out2", text], "out2")], options.runs)
        compare("lines, budget " + budget, [("GNU sort", gnu + ["-S", budget, "-o", "out1", text], "out1"),
                                            ("tequio", tequio + ["--memory", budget, "-o", "out2", text], "out2")],
                options.runs)
        os.unlink(text)
        for percent in ("90", "100"):
            skewed = make(generator, options.records, ["equal", percent], "skewed")
            compare("%s %% have one key, budget %s" % (percent, budget),
                    [("tequio", fixed + ["--memory", budget, "-o", "out1", skewed], "out1")], options.runs)


main()
