#!/usr/bin/env python3
"""Run tequio's own code in a simulated cluster, and compare the time with what docs/scaling.md predicts.

Needs SimGrid's MPI (Debian: libsimgrid-dev). The sources are compiled by smpicc as they are, with shim.h in front.
"""
import argparse
import collections
import math
import os
import pathlib
import random
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# LogGP: seconds of latency, seconds a message costs its sender and its receiver, seconds a byte.
NETWORKS = {"fast": (1e-6, 0.5e-6, 0.1e-9), "slow": (25e-6, 5e-6, 8e-9)}
SPLITS, SPLIT_BYTES, SPLIT_US, SPREAD = 32, 4096, 1000, 20  # of a rank; the time one takes, and its spread in percent
KEYS, WORD = 320, 8  # different keys a rank adds, bytes of a word and the space behind it

# What the code does, and the simulated machine (shim.h: SLACK_NS).
REST = (60e-6 + 16e-6) / 2  # until a rank notices a message in a short wait: half of a sleep
CHILDREN = 64  # of a rank in the flat tree of mpi/comm.c
PARTS, PAGE = 4, 24  # of a rank at least; bytes of a header
RANGES = 9  # of a rank, when the result is ordered: mpi/order.c, ranges_per_rank
# Agreements, sums and so on, one after the other.
TREES = {"plan": 8, "reduce": 5, "order": 7, "write": 10}

WRAPPED = ("sum", "max", "sum_before", "agree", "broadcast")  # timed in libnbc.c


def build(folder):
    sources = [str(p) for d in ("common", "node", "mpi") for p in sorted((ROOT / d).glob("*.c"))]
    sources += [str(ROOT / "jobs/wordcount.c")] + [str(p) for p in sorted(HERE.glob("*.c"))]
    folders = [ROOT] + [ROOT / d / "include" for d in ("common", "node", "mpi")]
    subprocess.run(["smpicc", "-std=c17", "-O2", "-g", "-D_GNU_SOURCE", "-DSMPI_NO_OVERRIDE_MALLOC",
                    "-DTEQUIO_VERSION=\"simulated\"", *[f"-I{f}" for f in folders], "-include", str(HERE / "shim.h"),
                    *sources, *[f"-Wl,--wrap=tqi_comm_{name}" for name in WRAPPED], "-lpthread", "-lrt", "-o", str(folder / "driver")], check=True)


def write_platform(folder, name, ranks, shared):
    latency, _, per_byte = NETWORKS[name]
    # LogGP as it stands: the sender pays for the bytes, messages do not disturb each other on the way. Shared: the
    # links of the hosts have a bandwidth, and messages share it.
    policy, bandwidth = ("SPLITDUPLEX", 1 / per_byte) if shared else ("FATPIPE", 1e12)
    path = folder / f"{name}{'-shared' if shared else ''}-{ranks}.xml"
    path.write_text(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="c" prefix="n" suffix="" radical="0-{ranks - 1}" speed="1Gf" bw="{bandwidth:.0f}Bps"
           lat="{latency / 2 * 1e9:.0f}ns" sharing_policy="{policy}"/>
</platform>
""")
    hosts = folder / f"hosts-{ranks}"
    hosts.write_text("".join(f"n{r}\n" for r in range(ranks)))
    return path, hosts


def write_input(folder, ranks):
    path = folder / f"input-{ranks}"
    if not path.exists():
        pick = random.Random(ranks)
        words = (f"w{pick.randrange(KEYS * ranks):06d}" for _ in range(ranks * SPLITS * SPLIT_BYTES // WORD))
        path.write_text(" ".join(words) + "\n")
    return path


def simulate(folder, name, ranks, arguments):
    _, o, per_byte = NETWORKS[name]
    platform, hosts = write_platform(folder, name, ranks, arguments.shared)
    output = folder / f"output-{name}-{ranks}"
    sender = f"0:{o}:{0 if arguments.shared else per_byte}"
    command = ["smpirun", "-no-privatize", "-np", str(ranks), "-platform", str(platform), "-hostfile", str(hosts),
               "--log=root.thres:warning", "--cfg=smpi/simulate-computation:no", "--cfg=smpi/grow-injected-times:no",
               "--cfg=smpi/test:0", "--cfg=smpi/iprobe:0", "--cfg=smpi/async-small-thresh:65536",
               f"--cfg=smpi/os:{sender}", f"--cfg=smpi/ois:{sender}", f"--cfg=smpi/or:0:{o}:0",
               "--cfg=smpi/bw-factor:0:1", "--cfg=smpi/lat-factor:0:1", "--cfg=network/crosstraffic:no",
               "--cfg=maxmin/concurrency-limit:1", str(folder / "driver"), str(write_input(folder, ranks)), str(output),
               str(SPLIT_BYTES), str(SPLIT_US), str(SPREAD), arguments.order]
    # A session of its own: smpirun leaves its child behind when it is ended.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        text, _ = process.communicate(timeout=arguments.limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    (folder / f"log-{name}-{ranks}").write_text(text)
    return parse(text), output


def parse(text):
    """Lines of names and numbers; those of a kind of message as a dictionary of their own."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "kind":
            found[words[1]] = {k: float(v) for k, v in zip(words[2::2], words[3::2])}
        else:
            found.update({k: float(v) for k, v in zip(words[::2], words[1::2])})
    return found


def check(folder, ranks, output, order):
    """The simulated ranks computed for real: the table must be right."""
    lines = output.read_text().splitlines()
    counts = collections.Counter(write_input(folder, ranks).read_text().split())
    if dict(line.split("\t") for line in lines) != {w: str(n) for w, n in counts.items()}:
        sys.exit(f"{output}: the counts are wrong")
    if order == "key" and lines != sorted(lines):
        sys.exit(f"{output}: the rows are not in order")


def shares(splits, ranks):
    """How many shares rank 0 hands out on demand (mpi/schedule.c)."""
    left, n = splits - min(splits, ranks * -(-splits // (8 * ranks))), 0
    while left:
        left -= -(-left // (2 * ranks))
        n += 1
    return n


def predict(name, ranks, order):
    latency, o, per_byte = NETWORKS[name]
    hop = latency + o + REST
    levels, reached = 1, CHILDREN + 1
    while reached < ranks:
        levels, reached = levels + 1, reached * CHILDREN + 1
    inner = min(CHILDREN, math.ceil(max(0, ranks - 1 - CHILDREN) / CHILDREN))  # children of rank 0 with their own
    tree = 2 * ((min(CHILDREN, ranks - 1) + inner) * o + levels * hop)
    # A statement of each and a decision to each; the rest in which a rank hears it is as long as the wait before.
    decision = 1.5 * 2 * ((ranks - 1) * o + hop)
    words = SPLITS * SPLIT_BYTES // WORD
    keys = KEYS * ranks * (1 - math.exp(-words / (KEYS * ranks)))  # different ones of a rank
    pages = PARTS * ranks * (1 - math.exp(-keys / (PARTS * ranks)))
    page_bytes = keys * (WORD + 1) + PAGE * pages
    split = SPLIT_US * 1e-6
    everybody = (ranks - 1) * 2 * o + hop
    counts = {"map": everybody + split, "order": everybody + decision / 3}  # who waited for the last split rests as long
    data = everybody + page_bytes * per_byte
    linear = (ranks - 1) * o + hop
    texts = 1 + (RANGES if order != "none" else PARTS)  # of a rank, with the end
    last_requests = ranks * 2 * 2 * o  # for a share, and for the answer that there is none
    ordering = TREES["order"] * tree + 2 * decision + counts["order"] + everybody + 3 * linear
    rounds = ["map"] if order == "none" else ["map", "order"]
    phases = {
        "map_s": (SPLITS + 0.5) * split + last_requests + decision + counts["map"] + data,
        "reduce_s": TREES["reduce"] * tree + decision,
        "write_s": TREES["write"] * tree + decision + texts * (ranks - 1) * o + (ordering if order != "none" else 0),
    }
    return {
        "total_s": sum(phases.values()) + TREES["plan"] * tree, **phases,
        "tree_s": tree, "counts_s": sum(counts[r] for r in rounds) / len(rounds), "data_s": data,
        "requests": (shares(SPLITS * ranks, ranks) + ranks) * (ranks - 1) / ranks,
        "flushed": keys * ranks, "shuffle_bytes": page_bytes * ranks,
    }


def mean(found, kind):
    return found[kind]["waited_s"] / found[kind]["calls"]


def show(name, ranks, found, order):
    told = predict(name, ranks, order)
    seen = {**found, **{f"{kind}_s": mean(found, kind) for kind in ("tree", "counts", "data")},
            "total_s": found["seconds"], "requests": found["request"]["messages"]}
    print(f"{name} {ranks}: {found['seconds'] * 1e3:.1f} ms, {found['rounds']:.0f} rounds, "
          f"{found['tree']['calls']:.0f} trees, the longest {found['tree']['longest_s'] * 1e3:.2f} ms")
    for what, value in told.items():
        scale, unit = (1e3, " ms") if what.endswith("_s") else (1, "")
        digits = 2 if unit else 0
        print(f"    {what:14} predicted {value * scale:14.{digits}f}{unit}  "
              f"simulated {seen[what] * scale:14.{digits}f}{unit}")
    for kind in ("up", "down", "statement", "decision", "bcast", "gather", "gatherv", "scatter", "counts", "data",
                 "request", "share", "progress", "text", "farewell"):
        if kind not in found:
            continue
        late = (f"  noticed after {found[kind]['late_s'] / found[kind]['noticed'] * 1e3:.3f} ms, "
                f"at most {found[kind]['latest_s'] * 1e3:.3f}") if found[kind]["noticed"] else ""
        print(f"    {kind:14} messages {found[kind]['messages']:10.0f}  bytes {found[kind]['bytes']:12.0f}{late}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", default="16,64,256", help="numbers of ranks (%(default)s)")
    parser.add_argument("--networks", default="fast,slow", help="fast: 1 us, 10 GB/s; slow: 25 us, 1 Gbit/s")
    parser.add_argument("--order", default="key", choices=("key", "value", "none"))
    parser.add_argument("--limit", type=float, default=1200, help="seconds a simulation may take (%(default)s)")
    parser.add_argument("--shared", action="store_true", help="messages share the bandwidth of links (takes longer)")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/tequio-smpi"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    build(arguments.folder)
    for name in arguments.networks.split(","):
        for ranks in map(int, arguments.ranks.split(",")):
            result = simulate(arguments.folder, name, ranks, arguments)
            if not result:
                print(f"{name} {ranks}: not in {arguments.limit:.0f} s")
                continue
            check(arguments.folder, ranks, result[1], arguments.order)
            show(name, ranks, result[0], arguments.order)


main()
