#!/usr/bin/python3
"""Time `tequio stats` beside the hand-written aggregation of brc_yardstick.c, on rows that brc.c made.

    brc.py ROWS [ROWS...] [--tequio PATH] [--runs N] [--only NAME,NAME] [--work FOLDER]

The commands run in turn, all of them once a round and file: the first round warms up and is not counted, and of N further
rounds the median is shown with the smallest and the largest, so that a machine that gets slower hits all of them; and the
median and the least of the processor time, user and system. The last column is a hash of count, sum, min and max of all stations. What is
not installed, or does not compile here, is left out, and the table says so.
"""
import argparse
import collections
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
Peer = collections.namedtuple("Peer", "name command needs")

# {rows}: the input. {out}: where the table goes. mawk adds in floating point: it prints so many digits as are right.
AWK = r"""{{ if (!($1 in n) || $2 < a[$1]) a[$1] = $2; if (!($1 in n) || $2 > z[$1]) z[$1] = $2; n[$1]++; s[$1] += $2 }}
END {{ for (k in n) printf "%s\t%d\t%.10g\t%.10g\t%.10g\n", k, n[k], s[k], a[k], z[k] }}"""


def peers(tequio, work):
    yardstick = os.path.join(work, "brc_yardstick")
    stats = "stats --key 1 --value 2 -o {out} {rows}"
    return [
        Peer("tequio, 1 thread", f"{tequio} --quiet -t 1 {stats}", tequio),
        Peer("tequio, 2 threads", f"{tequio} --quiet -t 2 {stats}", tequio),
        Peer("tequio, 2 ranks", f"{tequio} --quiet -n 2 -t 1 {stats}", tequio),
        Peer("yardstick, 1 thread", f"{yardstick} -t 1 -o {{out}} {{rows}} > /dev/null", yardstick),
        Peer("yardstick, 2 threads", f"{yardstick} -t 2 -o {{out}} {{rows}} > /dev/null", yardstick),
        Peer("mawk", f"mawk -F ';' '{AWK}' {{rows}} | LC_ALL=C sort -t '\t' -k 1,1 > {{out}}", "mawk"),
    ]


def build_yardstick(work):
    """Built anew each time, for it takes a second; not at all where the compiler or the processor is not up to it."""
    target = os.path.join(work, "brc_yardstick")
    if os.path.exists(target):
        os.remove(target)
    compiler = shutil.which("cc")
    if compiler:
        built = subprocess.run([compiler, "-O3", "-march=native", "-pthread", "-o", target,
                                os.path.join(HERE, "brc_yardstick.c")], stderr=subprocess.DEVNULL)
        if built.returncode != 0:
            print("brc.py: brc_yardstick.c does not compile here (it needs AVX-512 VBMI2): left out", file=sys.stderr)


def run_once(peer, rows, out):
    environment = dict(os.environ, LC_ALL="C")
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    begin = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(peer.command.format(rows=rows, out=out), shell=True, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, cpu


def digest(path):
    """Of station, count, sum, min and max; tequio has the mean in front of max, and the deviation behind."""
    made = hashlib.sha256()
    with open(path, "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(b"\t")
            made.update(b"\t".join(fields if len(fields) == 5 else fields[:4] + fields[5:6]) + b"\n")
    return made.hexdigest()[:12]


def measure(chosen, rows, runs, out):
    times, cpu_times, digests = collections.defaultdict(list), collections.defaultdict(list), {}
    for turn in range(runs + 1):
        for peer in chosen:
            if not shutil.which(peer.needs):
                continue
            seconds, cpu = run_once(peer, rows, out)
            if turn > 0:
                times[peer.name].append(seconds)
                cpu_times[peer.name].append(cpu)
            digests[peer.name] = digest(out)
            print(f"\rround {turn}: {peer.name}: {seconds:.2f} s".ljust(70), end="", file=sys.stderr)
    print(file=sys.stderr)
    return times, cpu_times, digests


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="+")
    parser.add_argument("--tequio", default=os.path.join(HERE, "..", "build", "tequio"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--work", default="/tmp")
    options = parser.parse_args()
    build_yardstick(options.work)
    out = os.path.join(options.work, "brc.out")
    chosen = [p for p in peers(options.tequio, options.work)
              if not options.only or any(name in p.name for name in options.only.split(","))]
    for rows in options.rows:
        times, cpu_times, digests = measure(chosen, rows, options.runs, out)
        print(f"\n{os.path.basename(rows)}, {os.path.getsize(rows)} bytes\n")
        print("| | median s | min | max | CPU s | least | table |\n|---|---|---|---|---|---|---|")
        for peer in chosen:
            taken = times[peer.name]
            shown = "not installed | |"
            if taken:
                shown = f"{statistics.median(taken):.2f} | {min(taken):.2f} | {max(taken):.2f}"
            cpu = f"{statistics.median(cpu_times[peer.name]):.2f} | {min(cpu_times[peer.name]):.2f}" if taken else "|"
            print(f"| {peer.name} | {shown} | {cpu} | {digests.get(peer.name, '-')} |")


main()
