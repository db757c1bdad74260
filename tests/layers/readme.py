#!/usr/bin/env python3
"""Fails where the README and the tree have come apart.

    readme.py TOP

The example in the README is examples/wordcount.c, letter for letter, and under 40 lines; the table of exit codes has the
codes of common/include/tequio/status.h below those that never end a run; every file that the README or CONTRIBUTING links
to is there.
"""

import os
import re
import sys


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def example_agrees(top, readme):
    example = read(top, "examples", "wordcount.c")
    blocks = re.findall(r"^```c\n(.*?)^```$", readme, re.M | re.S)
    if example not in blocks:
        return "the README does not show examples/wordcount.c as it is"
    if example.count("\n") >= 40:
        return "examples/wordcount.c is not under 40 lines"
    return ""


def exit_codes_agree(top, readme):
    header = read(top, "common", "include", "tequio", "status.h").split("never end a run")[0]
    codes = {int(n) for n in re.findall(r"^ *TQ_(?:OK|E_\w+) = (\d+)", header, re.M)}
    table = {int(n) for n in re.findall(r"^\| (\d+) \|", readme, re.M)}
    return "" if codes == table else f"exit codes: the header has {sorted(codes)}, the README {sorted(table)}"


def links_lead_somewhere(top, name):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(top, name)):
        if not os.path.exists(os.path.join(top, target)):
            return f"{name} links to {target}, which is not there"
    return ""


def main():
    top = sys.argv[1]
    readme = read(top, "README.md")
    complaints = [example_agrees(top, readme), exit_codes_agree(top, readme),
                  links_lead_somewhere(top, "README.md"), links_lead_somewhere(top, "CONTRIBUTING.md")]
    complaints = [complaint for complaint in complaints if complaint]
    print("\n".join(complaints) or "README and tree agree")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
