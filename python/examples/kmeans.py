"""k-means of points on a plane, by chunks: each step is a map_reduce whose result all ranks get.

    python3 kmeans.py [POINTS]        or    mpirun -n 4 python3 kmeans.py [POINTS]

A chunk of points is one item: the mapper adds up the points of each cluster in it, so that what travels is k sums a chunk.
"""

import random
import sys

import tequio

K, STEPS, CHUNK = 3, 8, 500


def points_of(chunk):
    """Chunk number chunk: made where it is mapped, so that only its number travels."""
    source = random.Random(chunk)
    return [(source.gauss(4 * (i % K), 1), source.gauss((i % K)**2, 1)) for i in range(CHUNK)]


def assign(centers):
    def mapper(chunk):
        sums = {}
        for x, y in points_of(chunk):
            nearest = min(range(K), key=lambda k: (x - centers[k][0])**2 + (y - centers[k][1])**2)
            sum_x, sum_y, n = sums.get(nearest, (0.0, 0.0, 0))
            sums[nearest] = sum_x + x, sum_y + y, n + 1
        return sums

    return mapper


def center(cluster, sums):
    n = sum(part[2] for part in sums)
    return cluster, (sum(part[0] for part in sums) / n, sum(part[1] for part in sums) / n)


def main(n_points=20000):
    centers = [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]
    for _ in range(STEPS):
        centers = [at for _, at in tequio.map_reduce(range(n_points // CHUNK), assign(centers), center, everywhere=True)]
    if tequio.rank() == 0:
        for x, y in centers:
            print(f"{x:.9f} {y:.9f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
