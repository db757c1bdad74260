#!/usr/bin/env python3
"""What more ranks cost on the same cores: CPU time and memory of the same count by 2, 16 and 64 ranks of one thread.

usage: bench/ranks.py FILE [--ranks 2,16,64] [--runs 3] [--tequio PATH]      a table of runs
       bench/ranks.py --idle SECONDS [--ranks 2,16,64] [--tequio PATH]       ranks that wait for a stream

See bench/README.md for the method.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def run(tequio, ranks, path, stats):
    """One count. Returns the CPU seconds of all its processes, and what rank by rank stands in --stats."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [tequio, "-n", str(ranks), "-t", "1", "--quiet", "--stats", stats, "wordcount", path]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(stats, encoding="utf-8") as file:
        return cpu, json.load(file)["ranks"]


def measure(tequio, counts, path, runs, folder):
    """All numbers of ranks in turn, so that a machine that becomes slower slows all of them."""
    tiny, stats = os.path.join(folder, "tiny"), os.path.join(folder, "stats")
    with open(tiny, "w", encoding="utf-8") as file:
        file.write("a few words\n")
    rows = {n: {"start": [], "job": [], "net": [], "least": [], "most": [], "least_tiny": []} for n in counts}
    for _ in range(runs):
        for n in counts:
            start, idle = run(tequio, n, tiny, stats)
            cpu, ranks = run(tequio, n, path, stats)
            memory = [rank["peak_memory_bytes"] / 2**20 for rank in ranks]
            rows[n]["start"].append(start)
            rows[n]["net"].append(cpu - start)
            rows[n]["job"].append(sum(rank["cpu_s"] for rank in ranks))
            rows[n]["least"].append(min(memory))
            rows[n]["most"].append(max(memory))
            rows[n]["least_tiny"].append(min(rank["peak_memory_bytes"] / 2**20 for rank in idle))
    return {n: {name: statistics.median(values) for name, values in row.items()} for n, row in rows.items()}


def print_table(rows):
    first = next(iter(rows.values()))
    print("| ranks | start CPU s | net CPU s | x | job CPU s | x | MiB a rank, tiny input | MiB a rank |")
    print("|---|---|---|---|---|---|---|---|")
    for n, row in rows.items():
        print(f"| {n} | {row['start']:.2f} | {row['net']:.2f} | {row['net'] / first['net']:.2f} | {row['job']:.2f} | "
              f"{row['job'] / first['job']:.2f} | {row['least_tiny']:.1f} | {row['least']:.1f}-{row['most']:.1f} |")


def children(pid):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
            yield from (int(child) for child in file.read().split())


def find_ranks(launcher, program):
    """Process ids below the launcher that run the program too, with their ranks."""
    found, left = {}, [launcher]
    while left:
        pid = left.pop()
        try:
            left += children(pid)
            if pid != launcher and os.readlink(f"/proc/{pid}/exe") == program:
                with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
                    for setting in file.read().split("\0"):
                        if setting.startswith("OMPI_COMM_WORLD_RANK="):
                            found[pid] = int(setting.partition("=")[2])
        except OSError:
            continue
    return found


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(tequio, ranks, seconds):
    """The share of a core that each rank uses while all wait for a stream that says nothing."""
    program = os.path.realpath(tequio)
    reader, writer = os.pipe()
    command = [tequio, "-n", str(ranks), "-t", "1", "--quiet", "wordcount"]
    with subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL) as launcher:
        os.close(reader)
        os.write(writer, b"a few words\n")
        while len(found := find_ranks(launcher.pid, program)) < ranks:
            time.sleep(0.2)
        time.sleep(2 + ranks / 16)  # MPI_Init goes on for a while after the last rank was started
        before, begin = {pid: cpu_of(pid) for pid in found}, time.monotonic()
        time.sleep(seconds)
        after, end = {pid: cpu_of(pid) for pid in found}, time.monotonic()
        os.close(writer)
    return {found[pid]: 100 * (after[pid] - before[pid]) / (end - begin) for pid in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--ranks", default="2,16,64")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tequio", default="build/tequio")
    parser.add_argument("--idle", type=float, metavar="SECONDS")
    options = parser.parse_args()
    counts = [int(n) for n in options.ranks.split(",")]
    if options.idle:
        print("| ranks | rank 0, % of a core | others: mean | most | all ranks |")
        print("|---|---|---|---|---|")
        for n in counts:
            use = idle(options.tequio, n, options.idle)
            others = [share for rank, share in use.items() if rank != 0]
            print(f"| {n} | {use[0]:.2f} | {statistics.mean(others):.2f} | {max(others):.2f} | {sum(use.values()):.1f} |")
        return 0
    if not options.file:
        parser.error("a file, or --idle")
    with tempfile.TemporaryDirectory() as folder:
        print_table(measure(options.tequio, counts, options.file, options.runs, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
