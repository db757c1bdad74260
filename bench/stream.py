#!/usr/bin/python3
"""Time `tequio stream` beside the same commands under GNU parallel.

    stream.py TEXT [--tequio PATH] [--runs N] [--work FOLDER]

In turn, N rounds (5) after one that warms up: the mappers alone, their output thrown away; what they write in the order of the input;
the same sorted; all of a word count. Shown are the median, the least and the most seconds, and the median of the processor time of all
processes. Results that should be the same are compared.
"""
import argparse
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
AWK = r"""mawk '{ for (i = 1; i <= NF; i++) print $i "\t1" }'"""
COUNT = r"""mawk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print w "\t" n[w] }'"""
PYTHON = """python3 -c '
import sys
for line in sys.stdin.buffer:
    for word in line.split():
        sys.stdout.buffer.write(word + b"\\t1\\n")'"""
SORT = "sort --parallel=2 -S 2G"
SUM = f"mawk -f {TOP}/examples/stream/reduce.awk"


def commands(tequio, text, out):
    """Name, command, and what its result is: in one language those of one kind are the same."""
    parallel = f"parallel --pipepart -j2 --block 12M -a {text}"
    for name, mapper in (("mawk", AWK), ("mawk that counts", COUNT), ("python", PYTHON)):
        quoted = "'" + mapper.replace("'", "'\\''") + "'"
        stream = f"{tequio} --quiet -t 2 stream --map {quoted}"
        silent = "'" + (mapper + " > /dev/null").replace("'", "'\\''") + "'"
        yield f"{name}: mappers alone, parallel", f"{parallel} {silent}", None
        yield f"{name}: mappers alone, tequio", f"{tequio} --quiet -t 2 stream --map {silent} {text}", None
        if mapper != COUNT:  # its lines depend on how the text is cut
            yield f"{name}: lines in order, parallel", f"{parallel} -k {quoted} > {out}", "lines"
            yield f"{name}: lines in order, tequio", f"{stream} --sort none -o {out} {text}", "lines"
            yield f"{name}: sorted lines, parallel", f"{parallel} {quoted} | {SORT} > {out}", "sorted"
            yield f"{name}: sorted lines, tequio", f"{stream} -o {out} {text}", "sorted"
        yield f"{name}: word count, parallel, sort", f"{parallel} {quoted} | {SORT} | {SUM} > {out}", "count"
        yield f"{name}: word count, tequio", f"{stream} --reduce '{SUM}' -o {out} {text}", "count"


def measure(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    subprocess.run(command, shell=True, check=True)
    seconds = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def digest(path, kind):
    """Of the rows, in one order where sort and tequio do not agree about lines whose keys begin alike."""
    with open(path, "rb") as file:
        return hashlib.sha256(b"".join(file if kind == "lines" else sorted(file))).hexdigest()[:12]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--tequio", default=os.path.join(TOP, "build", "tequio"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", default=None)
    options = parser.parse_args()
    if not shutil.which("parallel") or not shutil.which("mawk"):
        sys.exit("stream.py needs parallel and mawk")
    os.environ["LC_ALL"] = "C"
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        out = os.path.join(work, "out")
        todo = list(commands(options.tequio, options.text, out))
        times = {name: [] for name, _, _ in todo}
        digests = {}
        for i in range(options.runs + 1):
            for name, command, kind in todo:
                times[name].append(measure(command))
                if kind:
                    made = digest(out, kind)
                    language = name.split(":")[0].split()[0]  # each has an idea of its own of what white space is
                    if digests.setdefault((language, kind), made) != made:
                        sys.exit(f"{name}: another result than those before it")
    print("| | median s | min | max | CPU s |\n|---|---|---|---|---|")
    for name, all_runs in times.items():
        seconds, cpu = zip(*all_runs[1:])
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} | "
              f"{statistics.median(cpu):.2f} |")


if __name__ == "__main__":
    main()
