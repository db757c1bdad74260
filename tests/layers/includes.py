#!/usr/bin/env python3
"""Fails on an include that points up: common <- node <- mpi <- jobs, cli.

    includes.py TOP

A layer may include its own files and those of the layers below it. The command (jobs/, cli/) and the examples use the
public headers, <tequio/...>, and their own files. mpi.h is for mpi/ alone, and of the public headers only tequio/mpi.h
includes it.

And on a header that depends on what test builds of the library change: only the C files in which that stands are compiled
again for them (tequio_layer_changed of CMake).
"""

import os
import re
import sys

BELOW = {
    "common": {"common"},
    "node": {"common", "node"},
    "mpi": {"common", "node", "mpi"},
    "jobs": {"jobs"},
    "cli": {"cli", "jobs"},
    "examples": set(),
}
USES_PUBLIC_API = {"jobs", "cli", "examples"}
CHANGED = re.compile(r"\b(TQ_FAULTS|TQI_CHILDREN|TQI_PACKET)\b|common/fault\.h")
MAY_NAME_CHANGED = {"common/fault.h", "mpi/comm.h", "mpi/job.h"}  # where these have their defaults
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def public_headers(top):
    """Which layer each <tequio/...> header belongs to."""
    owner = {}
    for layer in ("common", "node", "mpi"):
        folder = os.path.join(top, layer, "include", "tequio")
        for name in os.listdir(folder):
            owner["tequio/" + name] = layer
    return owner


def sources(top, layer):
    for folder, _, names in os.walk(os.path.join(top, layer)):
        for name in names:
            if name.endswith((".c", ".h", ".inc")):
                yield os.path.join(folder, name)


def complaint(layer, path, included, owner, top):
    """Why this layer may not include that, or ""."""
    relative = os.path.relpath(path, top)
    if included == "mpi.h":
        if layer != "mpi":
            return "mpi.h belongs to mpi/ alone"
        if "/include/" in relative and not relative.endswith("tequio/mpi.h"):
            return "of the public headers only tequio/mpi.h includes mpi.h"
        return ""
    if included in owner:
        if layer not in USES_PUBLIC_API and owner[included] not in BELOW[layer]:
            return f"{included} belongs to {owner[included]}/, which is above"
        return ""
    if included.startswith("tequio/"):
        return "there is no such public header"
    first = included.split("/")[0]
    if "/" in included and first in BELOW and first not in BELOW[layer]:
        return f"{first}/ is not below {layer}/"
    if included.startswith("../"):
        return "includes are written from the top of the tree"
    return ""


def main():
    top = sys.argv[1]
    owner = public_headers(top)
    checked = wrong = 0
    for layer in BELOW:
        for path in sources(top, layer):
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if path.endswith(".h") and os.path.relpath(path, top) not in MAY_NAME_CHANGED and CHANGED.search(line):
                        wrong += 1
                        print(f"{os.path.relpath(path, top)}:{number}: a header may not depend on what test builds change")
                    match = INCLUDE.match(line)
                    why = match and complaint(layer, path, match.group(2), owner, top)
                    checked += bool(match)
                    if why:
                        wrong += 1
                        print(f"{os.path.relpath(path, top)}:{number}: {match.group(2)}: {why}")
    print(f"{checked} includes, {wrong} of them wrong")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
