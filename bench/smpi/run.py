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
SPLITS, SPLIT_BYTES, SPLIT_US, SPREAD = 32, 4096, 4000, 20  # of a rank; the time one takes, and its spread in percent
KEYS = 960  # different ones that a rank adds: enough for a sample to have some for each range
WORD = 8  # bytes, with the space behind it

# What the code does, and the simulated machine.
SHARE_PART, SPLIT_WORK = 16, 1 + SPLIT_BYTES / (16 << 10)  # mpi/schedule.h; node/inputs.c
SLACK, FIRST_REST, LONGEST_REST = 60e-6, 20e-6, 4e-3  # shim.h: SLACK_NS; mpi/comm.c
CHILDREN = 64  # of a rank in the flat tree
PARTS, PAGE = 4, 24  # of a rank at least; bytes of a header
RANGES, MOST_RANGES, SAMPLED = 8, 4096, 16  # mpi/order.c: of a worker, of all; node/order.c: of a sampled row, one in

WRAPPED = ("tqi_comm_sum", "tqi_comm_max", "tqi_comm_sum_before", "tqi_comm_agree", "tqi_comm_broadcast",
           "tqi_job_run", "tqi_map_start", "tqi_reduce_start", "tqi_reduce_step", "tqi_write_start",
           "tqi_pulse_finish", "tqi_bells_sleep")  # by meter.c


def build(folder):
    sources = [str(p) for d in ("common", "node", "mpi") for p in sorted((ROOT / d).glob("*.c"))]
    sources += [str(p) for p in sorted(HERE.glob("*.c"))]
    folders = [ROOT] + [ROOT / d / "include" for d in ("common", "node", "mpi")]
    subprocess.run(["smpicc", "-std=c17", "-O2", "-g", "-D_GNU_SOURCE", "-DSMPI_NO_OVERRIDE_MALLOC",
                    "-DTEQUIO_VERSION=\"simulated\"", *[f"-I{f}" for f in folders], "-include", str(HERE / "shim.h"),
                    *sources, *[f"-Wl,--wrap={name}" for name in WRAPPED], "-lpthread", "-lrt", "-o", str(folder / "driver")],
                   check=True)


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
    path = folder / f"input-{ranks}-{KEYS}"
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
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
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
    """Sizes of the shares that rank 0 hands out on demand, after the first of each rank (mpi/schedule.c)."""
    left, sizes = splits, []
    while left:
        work = int(left * SPLIT_WORK / SHARE_PART / ranks)
        sizes.append(min(left, max(1, math.ceil(work / SPLIT_WORK))))
        left -= sizes[-1] * (ranks if len(sizes) == 1 else 1)
    return sizes[1:]


def noticed(wait):
    """How long a message lies there, on average, that comes after a wait: half of a sleep (mpi/comm.c)."""
    rest, waited = FIRST_REST, 0
    while waited + rest + SLACK < wait:
        waited += rest + SLACK
        rest = min(rest * 9 / 8, LONGEST_REST)
    return (rest + SLACK) / 2


class Model:
    """docs/scaling.md in numbers: what follows from the protocol, in seconds."""

    def __init__(self, name, ranks):
        self.latency, self.o, self.per_byte = NETWORKS[name]
        self.ranks, self.others = ranks, ranks - 1
        self.children = min(CHILDREN, self.others)
        self.inner = min(CHILDREN, -(-max(0, self.others - CHILDREN) // CHILDREN))  # of them with children
        self.levels, reached = 1, CHILDREN + 1
        while reached < ranks:
            self.levels, reached = self.levels + 1, reached * CHILDREN + 1

    def hop(self, wait=0.0):
        return self.latency + self.o + noticed(wait)

    def half_tree(self, wait=0.0):
        """Up, or down."""
        return (self.children + self.inner) * self.o + self.levels * self.hop(wait)

    def tree(self):
        return 2 * self.half_tree()

    def scatter(self, size):
        busy = self.others * (self.o + size * self.per_byte)
        return busy + self.hop(busy)

    def gather(self, size=0):
        """The senders pay for the bytes, all at the same time: docs/scaling.md says what that leaves out."""
        busy = self.others * self.o + size * self.per_byte
        return busy + self.hop(busy)

    def everybody(self, messages, size=0):
        busy = messages * 2 * self.o + size * self.per_byte
        return busy + self.hop(busy)

    def binomial(self, size):
        return math.ceil(math.log2(self.ranks)) * (self.hop() + self.o + size * self.per_byte)

    def answer(self, count):
        """Until rank 0, which looks between two of its own splits, has answered somebody who maps count splits meanwhile."""
        split, asking = SPLIT_US * 1e-6, 2 * self.o * self.ranks
        in_a_cycle = 1 / (count - asking / split) if count > asking / split else 1
        asked = min(1, in_a_cycle) * asking
        cycle = split + asked
        return min(cycle, cycle / 2 + 0.75 * asked) + 2 * self.latency

    def mapping(self):
        """All splits, the answers that ranks waited for, and half a split that the last rank is behind."""
        split = SPLIT_US * 1e-6
        sizes = shares(SPLITS * self.ranks, self.ranks)
        idle = sum(max(0, self.answer(count) - count * split) for count in sizes) / self.ranks
        return (SPLITS + 0.5) * split + idle + max(0, self.answer(1) - split)


def predict(name, ranks, order):
    model = Model(name, ranks)
    words = SPLITS * SPLIT_BYTES // WORD
    keys = KEYS * ranks * (1 - math.exp(-words / (KEYS * ranks)))  # different ones of a rank
    pages = PARTS * ranks * (1 - math.exp(-keys / (PARTS * ranks)))
    page_bytes = keys * (WORD + 1) + PAGE * pages
    ranges = min(RANGES * ranks, MOST_RANGES) // ranks + 1
    row_peers = model.others * (1 - math.exp(-KEYS / ranks))  # ranks that get rows from one, in order
    row_pages = ranges * ranks * (1 - math.exp(-KEYS / (ranges * ranks)))
    row_bytes = KEYS * (WORD + 1) + PAGE * row_pages
    samples = KEYS / PARTS / SAMPLED * (WORD + 1) + PAGE
    splitters = ranges * ranks * (WORD + 1)
    tree = decision = model.tree()
    # Rank 0 begins a round when it decides on it, and waits until all know of it; of the first, those that were waiting
    # for somebody's last split.
    counts = model.half_tree() + model.everybody(model.others)
    last = SPLIT_US * 1e-6
    data = model.everybody(model.others, page_bytes)
    row_data = model.everybody(row_peers, row_bytes)
    phases = {
        "plan": 7 * tree + model.scatter(16),
        "map": 2 * tree + model.mapping() + 2 * model.half_tree(last) + model.everybody(model.others) + data + decision,
        "ranges": 9 * tree + decision + model.gather(4) + model.gather(samples) + model.binomial(splitters),
        "reduce": 5 * tree + model.half_tree() + counts + row_data + decision,
        "write": 10 * tree + decision + model.gather(),
        "end": 2 * tree + 2 * model.gather(4) + model.gather(250),
    }
    rounds = (data, row_data)
    if order == "none":
        phases |= {"ranges": 3 * tree, "reduce": 4 * tree + decision}
        rounds = (data,)
    requests = (len(shares(SPLITS * ranks, ranks)) + ranks) * model.others / ranks
    return {"total": sum(phases.values()), **phases, "tree": tree, "counts": counts,
            "data": sum(rounds) / len(rounds)}, {
        "requests": requests, "flushed": keys * ranks, "shuffle_bytes": page_bytes * ranks}


def mean(found, kind):
    return found[kind]["waited_s"] / found[kind]["calls"]


def show(name, ranks, found, order):
    """Prints what is known of a run; returns its line of the table."""
    times, numbers = predict(name, ranks, order)
    seen = {**found, **found["phases"], **{kind: mean(found, kind) for kind in ("tree", "counts", "data")},
            "requests": found["request"]["messages"]}
    print(f"{name} {ranks}: {found['rounds']:.0f} rounds, {found['tree']['calls']:.0f} trees, the longest "
          f"{found['tree']['longest_s'] * 1e3:.2f} ms")
    for what, value in times.items():
        print(f"    {what:14} predicted {value * 1e3:10.2f} ms  simulated {seen[what] * 1e3:10.2f} ms")
    for what, value in numbers.items():
        print(f"    {what:14} predicted {value:13.0f}  simulated {seen[what]:13.0f}")
    for kind in ("up", "down", "statement", "decision", "bcast", "gather", "gatherv", "scatter", "counts", "data",
                 "request", "share", "progress", "text", "farewell"):
        if kind not in found:
            continue
        late = (f"  noticed after {found[kind]['late_s'] / found[kind]['noticed'] * 1e3:.3f} ms, "
                f"at most {found[kind]['latest_s'] * 1e3:.3f}") if found[kind]["noticed"] else ""
        print(f"    {kind:14} messages {found[kind]['messages']:10.0f}  bytes {found[kind]['bytes']:12.0f}{late}")
    sys.stdout.flush()
    digits = {what: 1 if value > 2e-3 else 2 for what, value in times.items()}
    return [f"{name} {ranks}"] + [f"{value * 1e3:.{digits[what]}f} / {seen[what] * 1e3:.{digits[what]}f}"
                                  for what, value in times.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", default="16,64,256,1024", help="numbers of ranks (%(default)s)")
    parser.add_argument("--networks", default="fast,slow", help="fast: 1 us, 10 GB/s; slow: 25 us, 1 Gbit/s")
    parser.add_argument("--order", default="key", choices=("key", "value", "none"))
    parser.add_argument("--limit", type=float, default=7200, help="seconds a simulation may take (%(default)s)")
    parser.add_argument("--shared", action="store_true", help="messages share the bandwidth of links (takes longer)")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/tequio-smpi"))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # through what ends the simulation
    arguments.folder.mkdir(parents=True, exist_ok=True)
    build(arguments.folder)
    lines = [["", *predict("fast", 16, arguments.order)[0]], ["---"] * 11]
    for name in arguments.networks.split(","):
        for ranks in map(int, arguments.ranks.split(",")):
            result = simulate(arguments.folder, name, ranks, arguments)
            if not result:
                print(f"{name} {ranks}: not in {arguments.limit:.0f} s")
                continue
            check(arguments.folder, ranks, result[1], arguments.order)
            lines.append(show(name, ranks, result[0], arguments.order))
    print("\npredicted / simulated, ms")
    for line in lines:
        print("| " + " | ".join(line) + " |")


main()
