#!/usr/bin/env python3
"""A mapper of `tequio stream`: each word of its input, in lower case, with a 1."""
import re
import sys

for line in sys.stdin.buffer:
    for word in re.findall(rb"[a-z']+", line.lower()):
        sys.stdout.buffer.write(word + b"\t1\n")
