"""Pi by throwing darts: tasks by submit, results as they come, and how many are not done yet.

    python3 pi.py [TASKS [DARTS]]
"""

import random
import sys
from concurrent.futures import as_completed

from tequio import Executor


def throw(seed, darts):
    source = random.Random(seed)
    return sum(source.random()**2 + source.random()**2 < 1 for _ in range(darts))


def main(tasks=40, darts=50000):
    inside = 0
    with Executor(processes=2) as executor:
        for future in as_completed([executor.submit(throw, seed, darts) for seed in range(tasks)]):
            inside += future.result()
            done, not_done = executor.progress()
            print(f"{done} done, {not_done} to go", file=sys.stderr)
    print(f"{4 * inside / (tasks * darts):.6f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
