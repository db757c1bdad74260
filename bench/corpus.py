#!/usr/bin/python3
"""Make natural text for benchmarks: what Debian's documentation packages hold, in blocks of 4 KiB, shuffled.

    corpus.py OUTPUT [MIB] [FOLDER]

FOLDER (default /usr/share) is searched for text, plain or gzip'ed; MIB is the size of OUTPUT (default 1024). The blocks are shuffled
with a fixed seed and repeated until the size is reached, so the same packages give the same file.
"""
import gzip
import os
import random
import sys

BLOCK = 4096


def read_text(path):
    """The bytes of a file, or b'' if they are no text."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, ValueError):
        return b""
    return b"" if b"\0" in data[:BLOCK] else data


def collect(folder):
    blocks = []
    for where, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(where, name)
            if not os.path.islink(path):
                data = read_text(path)
                blocks += [data[i:i + BLOCK] for i in range(0, len(data), BLOCK)]
    return blocks


def main():
    output = sys.argv[1]
    size = int(sys.argv[2]) << 20 if len(sys.argv) > 2 else 1 << 30
    blocks = collect(sys.argv[3] if len(sys.argv) > 3 else "/usr/share")
    if not blocks:
        sys.exit("corpus.py: no text found")
    shuffle = random.Random(7).shuffle
    written = 0
    with open(output, "wb") as file:
        while written < size:
            shuffle(blocks)
            for block in blocks:
                file.write(block[:size - written])
                written += min(len(block), size - written)
    print(f"{output}: {written} bytes, {len(blocks)} different blocks")


main()
