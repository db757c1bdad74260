#!/usr/bin/python3
"""What tequio uses of the memory that it was given, and what that costs in time.

    memory.py TEXT [--tequio PATH] [--memory SIZE,SIZE] [--runs N] [--work FOLDER]

Counts the words of TEXT (one with many different words: see zipf.c) without a bound, then with each --memory, in turn, in one process
with two threads and on two ranks of one thread, sorted by key and not at all. The peak is the largest resident set of any rank,
from the operating system; it may be the bound and 64 MiB at most. All results are compared.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ALLOWED = 64 << 20  # beside the budget: the program, MPI, what is not counted
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_of(text):
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def digest_of(path):
    """A hash of the table that does not depend on the order of its lines."""
    command = f"LC_ALL=C sort -S 1G {path} | sha256sum"
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout[:64]


def run_once(options, ranks, order, memory):
    out, stats = os.path.join(options.work, "memory.out"), os.path.join(options.work, "memory.json")
    command = [options.tequio, "--quiet"] + (["-n", str(ranks), "-t", "1"] if ranks > 1 else ["-t", "2"])
    command += ["wordcount", "--sort", order, "--stats", stats, "-o", out] + (["--memory", memory] if memory else [])
    environment = dict(os.environ)
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    begin = time.monotonic()
    subprocess.run(command + [options.text], check=True, env=environment)
    seconds = time.monotonic() - begin
    with open(stats, encoding="utf-8") as file:
        ranks_stats = json.load(file)["ranks"]
    peak = max(rank["peak_memory_bytes"] for rank in ranks_stats)
    spilled = sum(rank["spilled_bytes"] for rank in ranks_stats)
    return seconds, sum(rank["cpu_s"] for rank in ranks_stats), peak, spilled, out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--tequio", default=os.path.join(HERE, "..", "build", "tequio"))
    parser.add_argument("--memory", default="256M,64M")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", default="/tmp")
    options = parser.parse_args()
    cases = [(ranks, order, memory) for ranks in (1, 2) for order in ("none", "key")
             for memory in [None] + options.memory.split(",")]
    seen, digests = collections.defaultdict(list), {}
    for turn in range(options.runs + 1):
        for case in cases:
            *figures, out = run_once(options, *case)
            if turn > 0:
                seen[case].append(figures)
            else:
                digests[case] = digest_of(out)
            print(f"\rround {turn}: {case}: {figures[0]:.1f} s".ljust(70), end="", file=sys.stderr)
    print(file=sys.stderr)
    print("| | memory | median s | cpu s | peak MiB | allowed MiB | spilled MiB |\n|---|---|---|---|---|---|---|")
    for ranks, order, memory in cases:
        taken = seen[ranks, order, memory]
        seconds, cpu = (statistics.median(run[i] for run in taken) for i in (0, 1))
        peak, spilled = (max(run[i] for run in taken) / (1 << 20) for i in (2, 3))
        allowed = f"{(size_of(memory) + ALLOWED) / (1 << 20):.0f}" if memory else "-"
        name = f"{'2 ranks' if ranks > 1 else '1 process, 2 threads'}, --sort {order}"
        print(f"| {name} | {memory or '-'} | {seconds:.2f} | {cpu:.2f} | {peak:.0f} | {allowed} | {spilled:.0f} |")
    print(f"\nresults: {'all the same' if len(set(digests.values())) == 1 else 'DIFFERENT: ' + str(digests)}")


main()
