#!/usr/bin/env python3
"""check_progress.py FILE: JSON lines of progress. Says for each phase whether its reports are in order: the fields are there, a
total never shrinks, and the last report has nothing left to do."""
import json
import sys

reports = {}
with open(sys.argv[1], encoding="utf-8") as file:
    for number, line in enumerate(file, 1):
        try:
            report = json.loads(line)
        except ValueError:
            print(f"line {number} is not JSON: {line!r}")
            continue
        missing = {"tag", "done", "not_done", "bytes", "seconds"} - set(report)
        if missing:
            print(f"line {number} lacks {sorted(missing)}: {line!r}")
        else:
            reports.setdefault(report["tag"], []).append(report)

for tag in list(reports) if set(reports) - {"map", "shuffle", "reduce", "write"} else ("map", "shuffle", "reduce", "write"):
    phase = reports.get(tag, [])
    totals = [one["done"] + one["not_done"] for one in phase]
    if not phase:
        print(tag, "has no report")
    elif phase[-1]["not_done"] != 0:
        print(tag, "ends with", phase[-1])
    elif totals != sorted(totals):
        print(tag, "has a total that shrinks:", totals)
    elif [one["done"] for one in phase] != sorted(one["done"] for one in phase):
        print(tag, "goes backwards")
    else:
        print(tag, "ok")
