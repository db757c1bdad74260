"""The package on several ranks: mpirun -n N python3 ranks.py [mpi4py]. With mpi4py the script starts MPI itself."""

import collections
import ctypes
import os
import random
import sys
import tempfile

if sys.argv[1:] == ["mpi4py"]:
    from mpi4py import MPI

import tequio

NATIVE = os.environ.get("TEQUIO_TEST_NATIVE")


def check(found, wanted):
    """What rank 0 has is wanted, and the others have nothing."""
    wanted = wanted if tequio.rank() == 0 else type(wanted)()
    assert found == wanted, f"rank {tequio.rank()}: {found!r:.300}, not {wanted!r:.300}"


def bad_on_seven(i):
    if i == 7:
        raise LookupError("seven", 7)
    return i, 1


def test_items():
    n = 3000
    rows = [(k, list(range(k, n, 7))) for k in range(7)]
    for rest in ({}, {"chunk": 1}, {"processes": 2}):
        check(tequio.map_reduce(range(n), lambda i: (i % 7, i), **rest), rows)
    assert tequio.map_reduce(range(n), lambda i: (i % 7, i), everywhere=True) == rows
    # Only what rank 0 gives is the input.
    check(tequio.map_reduce([1, 2] if tequio.rank() == 0 else [], lambda i: ("sum", i), "sum"), [("sum", 3)])
    ranks = tequio.map_reduce(range(200), lambda i: (tequio.rank(), 1), "sum", chunk=1)
    check(sum(n for _, n in ranks), 200 if tequio.rank() == 0 else 0)


def test_files(folder):
    source, paths, counts = random.Random(3), [], collections.Counter()
    for i in range(3):
        words = source.choices(["ab", "é", "\udc80x", "ccc"], k=20000)
        counts.update(words)
        paths.append(os.path.join(folder, f"{i}.txt"))
        if tequio.rank() == 0:
            with open(paths[-1], "w", errors="surrogateescape") as file:
                file.write("\n".join(" ".join(words[at:at + 7]) for at in range(0, len(words), 7)))
    tequio.cluster().gather(None)
    told = []
    rows = tequio.map_reduce(tequio.files(paths), lambda text: collections.Counter(text.split()), "sum",
                             lambda *what: told.append(what))
    check(rows, sorted(counts.items()))
    assert bool(told) == (tequio.rank() == 0)
    check(tequio.wordcount(paths), dict(counts))
    if NATIVE:
        check(tequio.map_reduce(tequio.words(paths), ctypes.CDLL(NATIVE).map_word, "sum"), sorted(counts.items()))
    check(tequio.map_reduce(tequio.lines(paths, split=999), lambda line: (len(line), line)),
          tequio.map_reduce(tequio.lines(paths), lambda line: (len(line), line)))


def test_exceptions():
    for rest in ({}, {"processes": 1}):
        for mapper, reducer in ((bad_on_seven, "sum"), (lambda i: (i, 1), lambda k, v: bad_on_seven(k))):
            try:
                tequio.map_reduce(range(20), mapper, reducer, **rest)
            except LookupError as error:
                assert error.args == ("seven", 7)
                assert "bad_on_seven" in error.__cause__.traceback and "on rank" in error.__cause__.traceback
            else:
                raise AssertionError("it went well")
    for callback in (lambda *_: True, lambda *_: {}["x"]):
        try:
            tequio.map_reduce(iter(int, 1), lambda i: (i, 1), "sum", callback, interval=0.05)
        except (tequio.Cancelled, KeyError):
            pass
        else:
            raise AssertionError("it went well")
    check(tequio.map_reduce(range(20), lambda i: (0, 1), "sum"), [(0, 20)])


def test_rank_0_alone_fails():
    """The rows are made on rank 0; where all get them, all hear that they could not be."""
    try:
        tequio.map_reduce([1, "a"], lambda key: (key, 1), everywhere=True)
    except TypeError as error:
        assert "cannot be sorted" in str(error)
    else:
        raise AssertionError("it went well")


def test_gather():
    cluster = tequio.cluster()
    assert cluster.gather(cluster.rank * 2) == [2 * r for r in range(cluster.size)]
    assert cluster.broadcast("x" * 100000 if cluster.rank == 0 else None) == "x" * 100000


def test_own_communicator():
    comm = MPI.COMM_WORLD.Split(MPI.COMM_WORLD.Get_rank() % 2)
    with tequio.Cluster(comm) as cluster:
        assert (cluster.rank, cluster.size) == (comm.Get_rank(), comm.Get_size())
        rows = tequio.map_reduce(range(10), lambda i: (0, i), "sum", cluster=cluster)
        assert rows == ([(0, 45)] if cluster.rank == 0 else [])
    comm.Free()


def main():
    with tempfile.TemporaryDirectory() as mine:
        folder = tequio.cluster().broadcast(mine)
        test_items()
        test_files(folder)
        test_exceptions()
        test_rank_0_alone_fails()
        test_gather()
        tequio.cluster().gather(None)  # the folder goes
    if sys.argv[1:] == ["mpi4py"]:
        test_own_communicator()
    assert tequio.size() == int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1))
    if tequio.rank() == 0:
        print("ok")


main()
