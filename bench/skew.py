#!/usr/bin/env python3
"""What uneven work costs: the time beside that of the same bytes evenly spread, and what work divided by speed allows.

    skew.py TEXT [--build FOLDER] [--runs 5] [--ranks 2] [--work FOLDER] [--only NAME,NAME]

even          the words of TEXT, counted by ranks of one thread
hot key       the same bytes, 9 of 10 words are one
large file    the same bytes, one file as large as a hundred others together
slow rank     the words of TEXT, one rank takes ten times as long for each piece that it maps
many values   the words of TEXT, not combined: each of them travels and is reduced
hot values    the same bytes, not combined, 9 of 10 words are one

All run in turn, the first round does not count, and medians are compared. Times are those of the job, without the start
of MPI. See bench/README.md for what is allowed.
"""
import argparse
import collections
import json
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
LAUNCHER = ["--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1", "--mca", "btl", "self,vader,tcp"]
SMALL_FILES = 100


def make_hot(text, path):
    """As many bytes as TEXT has, and one word nine times behind each of its."""
    size = os.path.getsize(text)
    if os.path.exists(path) and os.path.getsize(path) == size:
        return
    left = size
    with open(text, "rb") as source, open(path, "wb") as target:
        while left > 0:
            block = re.sub(rb"\s+", b" hotkey" * 9 + b"\n", source.read(1 << 20))[:left]
            target.write(block)
            left -= len(block)


def make_files(text, folder, sizes):
    """TEXT cut into files of these sizes."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, f"{i:03}") for i in range(len(sizes))]
    if not all(os.path.exists(path) and os.path.getsize(path) == size for path, size in zip(paths, sizes)):
        with open(text, "rb") as source:
            for path, size in zip(paths, sizes):
                with open(path, "wb") as target:
                    target.write(source.read(size))
    return paths


def cut_evenly(total, n):
    return [total * (i + 1) // n - total * i // n for i in range(n)]


def compile_driver(build, work):
    target = os.path.join(work, "skew")
    includes = [f"-I{os.path.join(TOP, layer, 'include')}" for layer in ("common", "node", "mpi")]
    libraries = [f"-L{build}", "-ltequio", f"-Wl,-rpath,{os.path.abspath(build)}"]
    source = os.path.join(HERE, "skew.c")
    subprocess.run(["cc", "-std=c17", "-O2", *includes, source, "-o", target, *libraries], check=True)
    return target


class Bench:
    def __init__(self, options):
        self.options = options
        self.stats = os.path.join(options.work, "skew.json")
        self.environment = dict(os.environ)
        if os.getuid() == 0:
            self.environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")

    def count(self, program, paths, fault=None):
        """The command's word count: seconds of the job and its phases, and which part the last rank mapped."""
        environment = dict(self.environment, **({"TEQUIO_FAULT": fault} if fault else {}))
        command = [os.path.join(self.options.build, program), "-n", str(self.options.ranks), "-t", "1", "--quiet"]
        subprocess.run([*command, "--stats", self.stats, "wordcount", *paths], check=True, stdout=subprocess.DEVNULL,
                       env=environment)
        with open(self.stats, encoding="utf-8") as file:
            stats = json.load(file)
        figures = {phase["tag"]: phase["seconds"] for phase in stats["phases"]}
        mapped = [rank["bytes"] for rank in stats["phases"][0]["ranks"]]
        return {"seconds": stats["totals"]["seconds"], "share": mapped[-1] / sum(mapped), **figures}

    def values(self, driver, paths):
        run = subprocess.run(["mpirun", "-n", str(self.options.ranks), *LAUNCHER, driver, *paths], check=True,
                             text=True, stdout=subprocess.PIPE, env=self.environment)
        return json.loads(run.stdout)


def cases_of(options):
    bench, work, text, size = Bench(options), options.work, options.text, os.path.getsize(options.text)
    hot = os.path.join(work, "skew.hot")
    make_hot(text, hot)
    same = make_files(text, os.path.join(work, "skew.same"), cut_evenly(size, SMALL_FILES + 1))
    large = make_files(text, os.path.join(work, "skew.large"), cut_evenly(size // 2, SMALL_FILES) + [size - size // 2])
    driver = compile_driver(options.build, work)
    slow = f"slow-rank-10x@{options.ranks - 1}"
    return {"even": lambda: bench.count("tequio", [text]),
            "hot key": lambda: bench.count("tequio", [hot]),
            "even files": lambda: bench.count("tequio", same),
            "large file": lambda: bench.count("tequio", large),
            "equal ranks": lambda: bench.count("tequio-faults", [text]),
            "slow rank": lambda: bench.count("tequio-faults", [text], slow),
            "many values": lambda: bench.values(driver, [text]),
            "hot values": lambda: bench.values(driver, [hot])}


def allowed_of(middle, ranks):
    """What each case may take: as long as its even counterpart. A rank that is slower maps less: all ranks together
    have the speed of ranks - 0.9, and only mapping is slowed."""
    allowed = {}
    for name, basis in (("hot key", "even"), ("large file", "even files"), ("hot values", "many values")):
        if name in middle and basis in middle:
            allowed[name] = middle[basis]["seconds"]
    if "slow rank" in middle and "equal ranks" in middle:
        equal = middle["equal ranks"]
        allowed["slow rank"] = equal["seconds"] + (ranks / (ranks - 0.9) - 1) * equal["map"]
    return allowed


def print_table(taken, ranks):
    middle = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
              for name, runs in taken.items()}
    allowed = allowed_of(middle, ranks)
    print("| | seconds | least | most | map | reduce | write | the work allows | ratio | |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, row in middle.items():
        seconds = [run["seconds"] for run in taken[name]]
        ratio = f"{allowed[name]:.2f} | {row['seconds'] / allowed[name]:.2f}" if name in allowed else "|"
        note = (f"{100 * row['share']:.0f} % mapped by the last rank" if "share" in row
                else f"load {row['load_max_over_mean']:.2f} x the mean")
        print(f"| {name} | {row['seconds']:.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {row['map']:.2f} | "
              f"{row['reduce']:.2f} | {row['write']:.2f} | {ratio} | {note} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--work", default="/tmp")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else None
    cases = {name: run for name, run in cases_of(options).items() if not wanted or name in wanted}
    taken = collections.defaultdict(list)
    for turn in range(options.runs + 1):
        for name, run in cases.items():
            figures = run()
            print(f"\rround {turn}: {name}: {figures['seconds']:.2f} s".ljust(60), end="", file=sys.stderr)
            if turn > 0:
                taken[name].append(figures)
    print(file=sys.stderr)
    print_table(taken, options.ranks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
