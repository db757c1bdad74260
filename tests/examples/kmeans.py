#!/usr/bin/env python3
"""kmeans.py PROGRAM RUN: examples/kmeans.c, alone and under mpirun, against the same rounds in Python's integers."""
import os
import random
import subprocess
import sys
import tempfile

program, run = sys.argv[1:]
UNIT, K, ROUNDS = 1000000, 6, 7


def divide(total, n):
    return total // n if total >= 0 else -(-total // n)


def expected(points):
    centers = points[:K]
    for _ in range(ROUNDS):
        groups = [[] for _ in centers]
        for x, y in points:
            nearest = min(range(K), key=lambda i: ((x - centers[i][0]) ** 2 + (y - centers[i][1]) ** 2, i))
            groups[nearest].append((x, y))
        centers = [(divide(sum(x for x, _ in g), len(g)), divide(sum(y for _, y in g), len(g))) if g else old
                   for g, old in zip(groups, centers)]
    return "".join(f"{x / UNIT:.6f} {y / UNIT:.6f}\n" for x, y in centers)


def output_of(command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


chance = random.Random(5)
points = [(int(chance.gauss(cx, 20) * 1000), int(chance.gauss(cy, 20) * 1000))
          for cx, cy in [chance.choice([(-200, 100), (0, -150), (300, 20), (10, 10)]) for _ in range(4000)]]
points[1] = points[0]  # a center that never has a point
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "points")
    with open(path, "w", encoding="ascii") as file:
        file.write("".join(f"{x / 1000:.3f} {y / 1000:.3f}\n" for x, y in points))
    right = expected([(x * 1000, y * 1000) for x, y in points])
    for command in ([program], ["sh", run, "3", program]):
        got = output_of(command + [str(K), str(ROUNDS), path])
        if got != right:
            sys.exit(f"{command}:\n{got}\ninstead of\n{right}")
    with open(path, "a", encoding="ascii") as file:
        file.write("1 2 3\n")
    wrong = subprocess.run([program, "2", "1", path], capture_output=True, text=True, check=False)
    if wrong.returncode != 6 or "this line is no point" not in wrong.stderr:
        sys.exit(f"a bad line: {wrong.returncode} {wrong.stderr}")
