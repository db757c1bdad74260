#!/usr/bin/env python3
"""highs.py PROGRAM RUN: examples/highs.c, alone and under mpirun, against the same in Python."""
import os
import random
import subprocess
import sys
import tempfile

program, run = sys.argv[1:]
chance = random.Random(6)
stations = ["Oslo", "Os", "Lima", "Zürich"]
readings = [(chance.choice(stations), f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T{chance.randint(0, 23):02}",
             f"{chance.gauss(12, 15):.{chance.randint(0, 2)}f}") for _ in range(5000)]


def expected():
    times = {}
    for station, time, degrees in readings:
        times.setdefault((station.encode(), time.encode()), []).append(degrees)
    lines, highest = [], {}
    for (station, time), values in sorted(times.items()):
        most = max(map(float, values))
        if most > highest.get(station, float("-inf")):
            highest[station] = most
            text = min((value for value in values if float(value) == most), key=str.encode)  # of "7" and "7.0" the first as bytes
            lines.append(b"\t".join((station, time, text.encode())))
    return b"".join(line + b"\n" for line in lines)


with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in ("a", "b")]
    for number, path in enumerate(paths):
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(" ".join(reading) + "\n" for reading in readings[number::2]))
    for command in ([program], ["sh", run, "3", program]):
        got = subprocess.run(command + paths, stdout=subprocess.PIPE, check=True).stdout
        if got != expected():
            sys.exit(f"{command}:\n{got.decode()}\ninstead of\n{expected().decode()}")
    with open(paths[0], "a", encoding="utf-8") as file:
        file.write("Oslo 2024 warm\n")
    wrong = subprocess.run([program] + paths, capture_output=True, text=True, check=False)
    if wrong.returncode != 6 or "not STATION TIME DEGREES" not in wrong.stderr:
        sys.exit(f"a bad line: {wrong.returncode} {wrong.stderr}")
