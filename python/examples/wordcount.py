"""The words of files, with progress, on one process or many:

    python3 wordcount.py FILE...      or    mpirun -n 4 python3 wordcount.py FILE...
"""

import collections
import sys

import tequio


def count(text):
    return collections.Counter(text.split())


def show(tag, done, not_done):
    print(f"{tag}: {done} done, {not_done} to go", file=sys.stderr)


if __name__ == "__main__":
    for word, n in tequio.map_reduce(tequio.files(sys.argv[1:]), count, "sum", show):  # rank 0 gets the rows
        print(f"{word}\t{n}")
