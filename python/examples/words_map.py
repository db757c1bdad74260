"""The words of some files, as one writes it with an executor: map over the files, then reduce.

    python3 words_map.py FILE...

With the standard library the first line would be `from concurrent.futures import ThreadPoolExecutor as Executor`, and there
would be no progress.
"""

import collections
import functools
import sys

from tequio import Executor


def count(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return collections.Counter(file.read().split())


def show(tag, done, not_done):
    print(f"{tag}: {done} done, {not_done} to go", file=sys.stderr)


if __name__ == "__main__":
    with Executor(processes=2, callback=show) as executor:
        total = functools.reduce(lambda a, b: a + b, executor.map(count, sys.argv[1:]), collections.Counter())
    for word, n in sorted(total.items()):
        print(f"{word}\t{n}")
