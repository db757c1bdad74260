#!/usr/bin/env python3
"""histogram.py TEQUIO: the job histogram against fractions in Python, on random numbers and on those that lie on bounds."""
import os
import random
import subprocess
import sys
import tempfile
from fractions import Fraction

tequio = sys.argv[1]
chance = random.Random(11)


def shown(bound):
    """To 18 places, rounded down from the first bound on, as whole numbers divide."""
    units = abs(bound)
    text = f"{'-' if bound < 0 else ''}{units // 10**18}.{units % 10**18:018d}"
    return text.rstrip("0").rstrip(".")


def expected(values, a, b, bins):
    counts = [0] * (bins + 2)
    low, high = Fraction(a), Fraction(b)
    for value in map(Fraction, values):
        place = 0 if value < low else bins + 1 if value >= high else (value - low) * bins // (high - low) + 1
        counts[place] += 1
    first, width = int(low * 10**18), int((high - low) * 10**18)
    names = ["-inf"] + [shown(first + width * i // bins) for i in range(bins + 1)]
    return "".join(f"{name}\t{count}\n" for name, count in zip(names, counts))


def number():
    kind = chance.randrange(6)
    if kind == 0:
        return str(chance.randrange(-12, 12))
    if kind == 1:
        return f"{chance.randrange(-999, 999) / 100:.2f}"
    if kind == 2:
        return f"+{chance.randrange(9)}.{chance.randrange(10**16)}"
    if kind == 3:
        return f"-.{chance.randrange(10**5):05d}" if chance.random() < .5 else f"{chance.randrange(3)}."
    if kind == 4:
        return f"{'-' * chance.randrange(2)}{chance.randrange(10**25)}.5"
    return f"{chance.gauss(0, 4):.17f}"


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "values")
    for a, b, bins in (("-10", "10", 20), ("0", "1", 3), ("-0.3", "0.7", 7), ("-1.5", "9", 1), ("0", "0.1", 1000),
                       ("-999999999999999999", "999999999999999999", 1000)):
        values = [number() for _ in range(3000)]
        values += [a, b] + [str(i * 0.1)[:20] for i in range(9)]
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(f"x;{value}{chance.choice(['', ';rest', chr(13)])}\n" for value in values))
        right = expected(values, a, b, bins)
        job = ["histogram", "--quiet", "--value", "2", "--from", a, "--to", b, "--bins", str(bins), path]
        for options in ([], ["-n", "3"], ["-t", "0", "--split-size", "100"], ["--memory", "4M"]):
            got = subprocess.run([tequio, *options, *job], stdout=subprocess.PIPE, text=True, check=True).stdout
            if got != right:
                sys.exit(f"{options} {job}\n{got[:600]}\ninstead of\n{right[:600]}")
