#!/usr/bin/env python3
"""driver.py PROGRAM RUN: examples/driver.c, alone and under mpirun: words against Python's count, and what it tells."""
import collections
import os
import random
import subprocess
import sys
import tempfile

program, run = sys.argv[1:]
chance = random.Random(8)
words = [f"w{int(50 * chance.random() ** 2)}" for _ in range(20000)]
top = sorted(collections.Counter(words).items(), key=lambda pair: (-pair[1], pair[0]))[:5]
right = "".join(f"{n} {word}\n" for word, n in top)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "words")
    with open(path, "w", encoding="ascii") as file:
        file.write(" ".join(words) + "\n")
    for command in ([program], ["sh", run, "3", program]):
        done = subprocess.run(command + [path], capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stdout != right:
            sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\ninstead of\n{right}")
        for said in ("ticks: begun, for", "words: queued", "ticks: cancelled", "words: write: 5 done, 0 to go"):
            if said not in done.stderr:
                sys.exit(f"{command} did not say '{said}':\n{done.stderr}")
    wrong = subprocess.run([program, os.path.join(folder, "none")], capture_output=True, text=True, check=False)
    if wrong.returncode != 3 or "words: " not in wrong.stderr:
        sys.exit(f"a file that is not there: {wrong.returncode} {wrong.stderr}")
