#!/usr/bin/env python3
"""tequio grep beside ripgrep and GNU grep, on one file.

    grep.py FILE [--tequio PATH] [--runs N] [--threads N]

A rare string, a common word, an expression with an alternation and a class, and the same in either case: each command N times in
turn, so that all of them meet the same noise; the table has medians, least and most. What they print must be the same bytes, and
goes to a file: GNU grep stops at the first match when its standard output is /dev/null. ripgrep searches one file with one thread,
tequio with --threads of them; the seconds of the processors are printed beside those of the clock.

Needs rg (ripgrep) and GNU grep. FILE should be in the page cache; bench/corpus.py makes one.
"""

import argparse
import filecmp
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

PATTERNS = [("rare string", "Pentecost"), ("common word", " the "), ("alternation, class", "(kernel|socket|postgres)[0-9_]+ [a-z]+"),
            ("class alone", "[0-9]{4}-[0-9]{2}-[0-9]{2}"), ("either case", "(?i)pentecost")]


def commands(options, pattern):
    return {
        "tequio": [options.tequio, "-q", "-t", str(options.threads), "grep", pattern, options.file],
        "ripgrep": ["rg", "--no-config", "--text", pattern, options.file],
        "GNU grep -P": ["grep", "-aP", pattern, options.file],
    }


def measure(command, output):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with open(output, "wb") as file:
        status = subprocess.run(command, stdout=file, env={**os.environ, "LC_ALL": "C.UTF-8"}).returncode
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status not in (0, 1):
        sys.exit(f"{command[0]} ended with {status}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description="measure tequio grep beside others")
    parser.add_argument("file")
    parser.add_argument("--tequio", default="build/tequio")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print("| what | command | median s | least | most | processors, s | rows agree |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="tequio-bench-") as folder:
        for name, pattern in PATTERNS:
            all_commands = commands(options, pattern)
            taken = {who: [] for who in all_commands}
            outputs = {who: os.path.join(folder, who) for who in all_commands}
            for _ in range(options.runs):
                for who, command in all_commands.items():
                    taken[who].append(measure(command, outputs[who]))
            for who, runs in taken.items():
                seconds = [run[0] for run in runs]
                same = filecmp.cmp(outputs[who], outputs["ripgrep"], shallow=False)
                print(f"| {name} | {who} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | "
                      f"{statistics.median(run[1] for run in runs):.2f} | {'yes' if same else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
