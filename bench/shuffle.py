#!/usr/bin/env python3
"""Shuffles that no int can count: gigabytes of pages and billions of records between ranks, checked to the last record.

    shuffle.py [--build FOLDER] [--work FOLDER] [--ranks 2] [--memory 4096] [--only bytes,records,rounds]

bytes     values of 100 bytes: more than 4 GiB go from rank to rank, and more than 2 GiB to each of two
records   more than 2^31 records with small numbers
rounds    as bytes, but in rounds of 128 MiB instead of 8

bench/shuffle.c makes the records on the fly and says what it checks. WORK needs up to 20 GB for what is spilled.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
# name: records, bytes of a value (0: a number), MiB of a round (0: the default)
CASES = {"bytes": (90_000_000, 100, 0), "records": (2_200_000_000, 0, 0), "rounds": (90_000_000, 100, 128)}


def compile_driver(build, work):
    target = os.path.join(work, "shuffle")
    includes = [f"-I{os.path.join(TOP, layer, 'include')}" for layer in ("common", "node", "mpi")]
    libraries = [f"-L{build}", "-ltequio", f"-Wl,-rpath,{os.path.abspath(build)}"]
    source = os.path.join(HERE, "shuffle.c")
    command = ["mpicc", "-std=c17", "-D_GNU_SOURCE", "-O2", *includes, source, "-o", target, *libraries]
    subprocess.run(command, check=True)
    return target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--work", default="/tmp")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--memory", type=int, default=4096, metavar="MIB", help="of a rank")
    parser.add_argument("--only", default=",".join(CASES))
    options = parser.parse_args()
    program = compile_driver(options.build, options.work)
    environment = dict(os.environ)
    if os.getuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launcher = ["mpirun", "-n", str(options.ranks), "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1",
                "--mca", "btl", "self,vader,tcp"]
    print("| | records | GiB of pages | GiB sent | most by a rank | rounds | map and shuffle s | MB/s of pages | "
          "reduce s | spilled GiB | peak GiB | result |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    wrong = False
    for name in options.only.split(","):
        records, value_bytes, round_mib = CASES[name]
        run = subprocess.run([*launcher, program, options.work, str(records), str(value_bytes), str(options.memory),
                              str(round_mib)], stdout=subprocess.PIPE, env=environment, text=True, check=False)
        wrong |= run.returncode != 0
        if not run.stdout:
            print(f"| {name} | failed |")
            continue
        f = json.loads(run.stdout)
        gib = {key: value / 2**30 for key, value in f.items()}
        print(f"| {name} | {f['records']:,} | {gib['page_bytes']:.2f} | {gib['sent_bytes']:.2f} | "
              f"{gib['most_sent_by_a_rank']:.2f} | {f['rounds']} | {f['map_and_shuffle_s']:.1f} | "
              f"{f['page_bytes'] / f['map_and_shuffle_s'] / 1e6:.0f} | {f['reduce_s']:.1f} | "
              f"{gib['spilled_bytes']:.2f} | {gib['peak_bytes']:.2f} | "
              f"{'right' if run.returncode == 0 else 'WRONG'} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
