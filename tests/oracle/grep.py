#!/usr/bin/env python3
"""Compares `tequio grep` with GNU grep -P, on inputs and patterns meant to be hard.

    grep.py --tequio PATH [--seed N] [--seconds S] [--case K] [--ranks N] [--keep]

Case K of seed N is always the same files, patterns and options: empty lines, no newline at the end, CR LF, lines longer than
a split, NUL and bytes that are not UTF-8, and patterns that would match across lines if they could; as one process and on
ranks, with other threads, splits and budgets, from files and from the standard input. A failure prints the command line that
repeats it alone. Skipped (77) where grep has no -P. Python's standard library alone, 3.9 or later.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

BITS = [b"a", b"b", b"c", b"ab", b"abc", b"the", b" ", b" ", b"x1", b"A", b"B", b".", b",", b"\t", b"_", b"word", b"sk"]
NASTY = [b"\r\n", b"\n\n\n", b"\x00", b"\xff", "\u00e9".encode(), "\u00c9".encode(), b"\xc3", b"\x80", b"\xe2\x80", b"\v"]
PATTERNS = [
    "a", "ab", "abc", "the", "zzz", "a.b", "a.*b", "^a", "b$", "^$", "^", "[^a]b", "[^a]*b", r"\sb", r"\s+", r"a\s*b", r"\W", r"\W+b",
    r"\D1", r"\d", "(a|b)c", "ab|bc|the", "(the|word) [a-c]", "[abc]+x", r"(a|b)\1", r"(?<!a)b", r"a(?=\s)", r"a(?!\s*b)",
    r"\bab\b", "a[^b]*+$", "(?i)AB", "a{2,}", "x?1", r"[[:space:]]b", r"a[\s,]b", r"\.", ".", "..", "[A-Z]", "abcabc",
    r"[\x00-\x20]b", "", "(?s)a.b", r"a\nb", "a||b", r"(?<=\s)a", ".{20}", "s", "k", "[sk]a", r"a\x0ab", r"(ab)?c\b",
]
FIXED = ["a", "ab", "abc", "the", "a.b", "word", "", "b c", ".", "zzz", "_", "sk", "AB", "\\", "abca"]


def make_file(rng):
    size = rng.choice([0, 1, 5, 50, 500, 3000])
    nasty = rng.choice([0, 0, 0.02, 0.2])
    newlines = rng.choice([0.001, 0.05, 0.2, 0.5])
    out = []
    for _ in range(rng.randint(0, size)):
        draw = rng.random()
        out.append(b"\n" if draw < newlines else rng.choice(NASTY) if draw < newlines + nasty else rng.choice(BITS))
    if rng.random() < 0.5:
        out.append(b"\n")
    return b"".join(out)


class Case:
    """Files, patterns and options, drawn from one generator."""

    def __init__(self, seed, number, folder):
        rng = self.rng = random.Random(f"{seed}/{number}")
        self.folder = folder
        self.files = []
        for i in range(rng.choice([1, 1, 1, 2, 4])):
            name = rng.choice(["f", "z", "B"]) + str(i)
            with open(os.path.join(folder, name), "wb") as file:
                file.write(make_file(rng))
            self.files.append(name)
        rng.shuffle(self.files)
        self.fixed = rng.random() < 0.3
        self.patterns = rng.choices(FIXED if self.fixed else PATTERNS, k=rng.choice([1, 1, 3]) if self.fixed else 1)
        self.utf = rng.random() < 0.5
        self.options = set()
        for option, chance in (("i", 0.25), ("v", 0.2), ("w", 0.15), ("x", 0.1), ("b", 0.2), ("line", 0.3)):
            if rng.random() < chance:
                self.options.add(option)
        kind = rng.choice(["", "", "", "only", "count", "files"])
        if kind and not (kind == "only" and "v" in self.options):
            self.options.add(kind)
        # What \w and \s are beside ASCII, and how an empty match is a word, GNU grep and PCRE2 answer in other ways.
        if self.utf and any(c in p for p in self.patterns for c in ("\\w", "\\W", "\\s", "\\b", "\\D", "[[:")):
            self.utf = False
        # GNU grep does not begin a line with bytes that are no UTF-8.
        if self.utf and ("w" in self.options or "^" in self.patterns):
            self.utf = False
        if "only" in self.options and (self.fixed or "w" in self.options):
            self.options.discard("only")
        # Where it sees that no line can be selected, GNU grep does not count them.
        if "count" in self.options and "v" in self.options and "" in self.patterns and not self.options & {"w", "x"}:
            self.options.discard("count")

    def expected(self, stdin):
        names = {"i": "-i", "v": "-v", "w": "-w", "x": "-x", "b": "-b", "line": "-n", "only": "-o", "count": "-c", "files": "-l"}
        command = ["grep", "-a", "-F" if self.fixed else "-P", "--color=never"]
        command += [names[o] for o in sorted(self.options)]
        command += [a for p in self.patterns for a in ("-e", p)] + ["--"] + ([] if stdin else self.files)
        done = self.run(command, stdin, {"LC_ALL": "C.UTF-8" if self.utf else "C"})
        lines = done.stdout
        if "count" in self.options and len(self.files) > 1 and not stdin:  # empty files have no lines to count
            empty = [f for f in self.files if os.path.getsize(os.path.join(self.folder, f)) == 0]
            lines = b"".join(l for l in lines.splitlines(True) if l not in [f"{f}:0\n".encode() for f in empty])
        if "count" in self.options and lines == b"0\n" and not self.size(stdin):
            lines = b""
        return done.returncode, lines

    def size(self, stdin):
        return os.path.getsize(os.path.join(self.folder, stdin or self.files[0]))

    def run(self, command, stdin, environment):
        self.last = command
        file = open(os.path.join(self.folder, stdin), "rb") if stdin else subprocess.DEVNULL
        try:
            return subprocess.run(command, cwd=self.folder, stdin=file, capture_output=True, timeout=300,
                                  env={**os.environ, **environment})
        finally:
            if stdin:
                file.close()

    def arguments(self):
        names = {"i": "-i", "v": "-v", "w": "-w", "x": "-x", "b": "-b", "line": "--line-number", "only": "--only-matching",
                 "count": "--count", "files": "--files"}
        return ([names[o] for o in sorted(self.options)] + (["-F"] if self.fixed else []) + ([] if self.utf else ["--bytes"]))

    def compare(self, tequio, ranks, run):
        rng = self.rng
        stdin = self.files[0] if len(self.files) == 1 and rng.random() < 0.3 else None
        status, lines = self.expected(stdin)
        command = [tequio, "-q"] + (["-n", str(ranks)] if ranks > 1 else []) + ["grep"] + self.arguments()
        command += ["-t", str(rng.choice([0, 1, 2, 3])), "--split-size", str(rng.choice([1, 7, 100, 4096, 1 << 20]))]
        command += rng.choice([[], [], ["--memory", "16M"]])
        command += [f"--regexp={p}" for p in self.patterns] + ["--"] + ([] if stdin else self.files)
        done = self.run(command, stdin, {})
        if status == 2:
            return None  # GNU grep gave up
        if (done.returncode, done.stdout) != (status, lines):
            return f"run {run}: exit code {done.returncode}, not {status}\n{shlex.join(command)}" \
                   f"{' <' + stdin if stdin else ''}\n{done.stderr.decode()}{difference(done.stdout, lines)}"
        return self.compare_json(tequio, stdin, lines)

    def compare_json(self, tequio, stdin, lines):
        """The lines once more, as JSON."""
        if self.options & {"count", "files", "b", "line"} or len(self.files) > 1 or self.rng.random() < 0.5:
            return None
        command = [tequio, "-q", "--format=json", "grep"] + self.arguments() + [f"--regexp={p}" for p in self.patterns]
        done = self.run(command + ["--"] + ([] if stdin else self.files), stdin, {})
        texts = [json.loads(line)["text"].encode("utf-8", "surrogateescape") + b"\n" for line in done.stdout.splitlines()]
        return None if b"".join(texts) == lines else f"{shlex.join(command)}\n{difference(b''.join(texts), lines)}"


def difference(got, wanted):
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return f"at byte {at}: {got[max(0, at - 20):at + 40]!r}\n  instead of {wanted[max(0, at - 20):at + 40]!r}"


def main():
    parser = argparse.ArgumentParser(description="compare tequio grep with GNU grep -P")
    parser.add_argument("--tequio", required=True)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--case", type=int)
    parser.add_argument("--ranks", type=int, default=3, help="of every tenth case")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if subprocess.run(["grep", "-P", "a"], input=b"a\n", capture_output=True).returncode != 0:
        print("grep has no -P here")
        return 77
    tequio = os.path.abspath(options.tequio)
    began, number = time.monotonic(), options.case or 0
    while options.case is not None or time.monotonic() - began < options.seconds:
        folder = tempfile.mkdtemp(prefix="tequio-grep-")
        case = Case(options.seed, number, folder)
        for run in range(3):
            wrong = case.compare(tequio, options.ranks if number % 10 == 9 and run == 0 else 1, run)
            if wrong:
                print(f"{sys.argv[0]} --tequio {options.tequio} --seed {options.seed} --case {number} --keep\n{wrong}\nin {folder}")
                if not options.keep:
                    shutil.rmtree(folder)
                return 1
        shutil.rmtree(folder)
        number += 1
        if options.case is not None:
            break
    print(f"seed {options.seed}: {number} cases agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
