#!/usr/bin/env python3
"""check_stats.py STATS RANKS INPUT OUTPUT: the document that --stats writes has what it must, and its account is right."""
import json
import os
import sys

stats_path, ranks, input_path, output_path = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
with open(stats_path, encoding="utf-8") as file:
    stats = json.load(file)
with open(input_path, "rb") as file:
    words = file.read().split()


def numbers(value, name):
    """Every number under a key of that name, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name and isinstance(inner, (int, float)):
                yield inner
            else:
                yield from numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, name)


text = json.dumps(stats)
wrong = []
for name in ("account", "seconds", "bytes", "records", "version"):
    if f'{name}' not in text:
        wrong.append(f"nothing is called {name}")
for phase in ("map", "shuffle", "reduce", "write"):
    if f'"{phase}"' not in text:
        wrong.append(f"no phase {phase}")
account = stats.get("account", {})
for stage in ("emitted", "shuffled", "reduced"):
    found = account.get(stage, {})
    if found.get("weight") != len(words):
        wrong.append(f"account: {stage}: weight {found.get('weight')}, but there are {len(words)} words")
if account.get("emitted", {}).get("records") != len(words):
    wrong.append("account: emitted: not as many records as words")
if account.get("reduced", {}).get("records") != len(set(words)):
    wrong.append("account: reduced: not as many records as different words")
if len({str(account.get(stage, {}).get("check")) for stage in ("emitted", "shuffled", "reduced")}) != 1:
    wrong.append("account: the checksums differ")
per_rank = next((v for k, v in stats.items() if k in ("ranks", "rank") and isinstance(v, list)), [])
if len(per_rank) != ranks:
    wrong.append(f"{len(per_rank)} ranks, not {ranks}")
if os.path.getsize(input_path) not in list(numbers(stats, "input_bytes")):
    wrong.append("input_bytes is not the size of the input")
if os.path.getsize(output_path) not in list(numbers(stats, "output_bytes")):
    wrong.append("output_bytes is not the size of the output")
print("\n".join(wrong) or "ok")
