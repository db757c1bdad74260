#!/usr/bin/python3
"""Time tequio's word count beside what else counts words on this machine.

    compare.py TEXT [--tequio PATH] [--runs N] [--only NAME,NAME] [--work FOLDER]

The commands run in turn, all of them once a round: the first round warms up and is not counted, and of N further rounds the
median is shown with the smallest and the largest, so that a machine that gets slower hits all of them; and the median of
the processor time, user and system. Every command's result is compared with tequio's. What is not installed is left out,
and the table says so.
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
Peer = collections.namedtuple("Peer", "name command needs words")

# {text}: the input. {out}: where the table goes. words: how to count the lines of the table, None if the command prints it.
AWK = r"""{{ for (i = 1; i <= NF; i++) n[$i]++ }} END {{ for (w in n) print w "\t" n[w] }}"""


def peers(tequio, work):
    mpirun = "mpirun -n 2 --oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader,tcp"
    mrmpi = os.path.join(work, "mrmpi_wordcount")
    yardstick = os.path.join(work, "yardstick")
    by_hand = [Peer(f"yardstick, {threads} thread{'s' if threads > 1 else ''}, {table}",
                    f"{yardstick} -t {threads} --table {table} -o {{out}} {{text}} > /dev/null", yardstick, "lines")
               for threads in (1, 2) for table in ("shared", "partitioned")]
    return [
        Peer("tequio, 1 thread", f"{tequio} --quiet -t 1 wordcount -o {{out}} {{text}}", tequio, "sorted"),
        Peer("tequio, 1 thread, --sort none", f"{tequio} --quiet -t 1 wordcount --sort none -o {{out}} {{text}}", tequio,
             "lines"),
        Peer("tequio, 2 threads", f"{tequio} --quiet -t 2 wordcount -o {{out}} {{text}}", tequio, "sorted"),
        Peer("tequio, 2 threads, --sort none", f"{tequio} --quiet -t 2 wordcount --sort none -o {{out}} {{text}}", tequio,
             "lines"),
        Peer("tequio, 2 ranks", f"{tequio} -n 2 -t 1 --quiet wordcount -o {{out}} {{text}}", tequio, "sorted"),
        *by_hand,
        Peer("tr | sort | uniq -c", "tr -s '[:space:]' '\\n' < {text} | sort --parallel=2 -S 2G | uniq -c > {out}", "sort",
             None),
        Peer("mawk", f"mawk '{AWK}' {{text}} > {{out}}", "mawk", "lines"),
        Peer("gawk", f"gawk -b '{AWK}' {{text}} > {{out}}", "gawk", "lines"),
        Peer("MR-MPI, 2 ranks", f"{mpirun} {mrmpi} {{text}} > {{out}}", mrmpi, None),
    ]


def build_mrmpi(work):
    target = os.path.join(work, "mrmpi_wordcount")
    if shutil.which("mpicxx") and os.path.exists("/usr/include/mrmpi") and not os.path.exists(target):
        subprocess.run(["mpicxx", "-O3", "-I/usr/include/mrmpi", os.path.join(HERE, "mrmpi_wordcount.cpp"),
                        "-lMapReduceMPI", "-o", target], check=True)


def build_yardstick(work):
    """Built anew each time, for it takes a second; not at all where the compiler or the processor is not up to it."""
    target = os.path.join(work, "yardstick")
    if os.path.exists(target):
        os.remove(target)
    compiler = shutil.which("cc")
    if compiler:
        built = subprocess.run([compiler, "-O3", "-march=native", "-pthread", "-o", target, os.path.join(HERE, "yardstick.c")],
                               stderr=subprocess.DEVNULL)
        if built.returncode != 0:
            print("compare.py: yardstick.c does not compile here (it needs AVX-512 VBMI2): left out", file=sys.stderr)


def table_digest(path, order):
    """The table as one number: sorted by line if the command did not sort it."""
    if order == "sorted":
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]
    result = subprocess.run(f"LC_ALL=C sort -t '\t' -k1,1 {path} | sha256sum", shell=True, check=True,
                            capture_output=True, text=True)
    return result.stdout[:16]


def run_once(peer, text, out):
    environment = dict(os.environ, LC_ALL="C")
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    begin = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(peer.command.format(text=text, out=out), shell=True, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begin, cpu


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--tequio", default=os.path.join(HERE, "..", "build", "tequio"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--work", default="/tmp")
    options = parser.parse_args()
    build_mrmpi(options.work)
    build_yardstick(options.work)
    out = os.path.join(options.work, "compare.out")
    chosen = [p for p in peers(options.tequio, options.work)
              if not options.only or any(name in p.name for name in options.only.split(","))]
    times = collections.defaultdict(list)
    cpu_times = collections.defaultdict(list)
    digests = {}
    for turn in range(options.runs + 1):
        for peer in chosen:
            if not shutil.which(peer.needs):
                continue
            seconds, cpu = run_once(peer, options.text, out)
            if turn > 0:
                times[peer.name].append(seconds)
                cpu_times[peer.name].append(cpu)
            elif peer.words:
                digests[peer.name] = table_digest(out, peer.words)
            print(f"\rround {turn}: {peer.name}: {seconds:.2f} s".ljust(70), end="", file=sys.stderr)
    print(file=sys.stderr)
    print("| | median s | min | max | CPU s | table |\n|---|---|---|---|---|---|")
    for peer in chosen:
        taken = times[peer.name]
        shown = f"{statistics.median(taken):.2f} | {min(taken):.2f} | {max(taken):.2f}" if taken else "not installed | |"
        cpu = f"{statistics.median(cpu_times[peer.name]):.2f}" if taken else ""
        print(f"| {peer.name} | {shown} | {cpu} | {digests.get(peer.name, '-')} |")


main()
