#!/usr/bin/env python3
"""pagerank.py PROGRAM RUN: examples/pagerank.c, alone and under mpirun, against the same by the textbook, in floating point,
where what nodes without links have is shared among all."""
import os
import random
import subprocess
import sys
import tempfile

program, run = sys.argv[1:]
ROUNDS, NODES = 120, 400


def expected(links):
    names = sorted({name for link in links for name in link})
    targets = {name: [] for name in names}
    for source, target in links:
        targets[source].append(target)
    rank = {name: 1 / len(names) for name in names}
    for _ in range(ROUNDS):
        lost = sum(rank[name] for name in names if not targets[name])
        new = {name: (0.15 + 0.85 * lost) / len(names) for name in names}
        for name in names:
            for target in targets[name]:
                new[target] += 0.85 * rank[name] / len(targets[name])
        rank = new
    return rank


def output_of(command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


chance = random.Random(6)
nodes = [f"n{i}" if i % 7 else f"a node with a name of {i:0>30} bytes".replace(" ", "_") for i in range(NODES)]
links = [(chance.choice(nodes[:300]), nodes[int(NODES * chance.random() ** 3)]) for _ in range(3000)]
links += [(nodes[5], nodes[5]), (nodes[1], nodes[2]), (nodes[1], nodes[2])]  # itself, and one twice
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "links")
    with open(path, "w", encoding="ascii") as file:
        file.write("".join(f"{source} \t{target}\n" for source, target in links))
    right = expected(links)
    outputs = [output_of(command + [str(ROUNDS), "0", path]) for command in ([program], ["sh", run, "3", program])]
    if outputs[0] != outputs[1]:
        sys.exit("on three ranks it is not the same as on one")
    got = {name: float(rank) for rank, name in (line.split(" ") for line in outputs[0].splitlines())}
    if got.keys() != right.keys():
        sys.exit(f"{len(got)} nodes, not {len(right)}")
    for name, rank in right.items():
        if abs(got[name] - rank) > 3e-8:
            sys.exit(f"{name}: {got[name]}, not {rank}")
    if list(got.values()) != sorted(got.values(), reverse=True):
        sys.exit("nodes are not in the order of their ranks")
    top = output_of([program, str(ROUNDS), "3", path])
    if top != "".join(outputs[0].splitlines(True)[:3]):
        sys.exit(f"the first three:\n{top}")
    with open(path, "a", encoding="ascii") as file:
        file.write("one two three\n")
    wrong = subprocess.run([program, "2", "1", path], capture_output=True, text=True, check=False)
    if wrong.returncode != 6 or "this line is no link" not in wrong.stderr:
        sys.exit(f"a bad line: {wrong.returncode} {wrong.stderr}")
