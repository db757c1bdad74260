"""What a job reads: files, by chunks or lines or (for mappers in C) words; or any iterable of objects."""

import os

from . import _library as _c


class Files:
    """Files as an input: made by files, lines and words."""

    def __init__(self, per, paths, recursive, encoding, errors, split):
        if isinstance(paths, (str, bytes, os.PathLike)):
            paths = [paths]
        self.per = per  # "chunk", "line" or "word": what a mapper gets
        self.paths = [os.fsencode(path) for path in paths]
        self.recursive = recursive
        self.encoding, self.errors = encoding, errors
        self.split = split
        if not self.paths:
            raise ValueError("no file is given")

    @property
    def records(self):
        return _c.WORDS if self.per == "word" else _c.LINES

    def items(self, data):
        """What a mapper in Python gets of a chunk of whole lines, one call each."""
        text = data if self.encoding is None else data.decode(self.encoding, self.errors)
        if self.per == "chunk":
            return (text,)
        newline = b"\n" if self.encoding is None else "\n"
        lines = text.split(newline)
        if not lines[-1]:
            del lines[-1]
        return lines


def files(paths, *, recursive=False, encoding="utf-8", errors="surrogateescape", split=0):
    """Files, whose text a mapper gets in chunks of whole lines, about a MiB each: few calls, each worth its price.

    paths is one path or several; a path may be a pattern (*.txt), a folder (with recursive=True), a pipe, or "-" for the
    standard input of rank 0. encoding=None gives bytes. split is how many bytes of a file go to a rank at a time (0: chosen).
    """
    return Files("chunk", paths, recursive, encoding, errors, split)


def lines(paths, *, recursive=False, encoding="utf-8", errors="surrogateescape", split=0):
    """Files, of which a mapper gets one line a call, without its newline. The rest is as for files."""
    return Files("line", paths, recursive, encoding, errors, split)


def words(paths, *, recursive=False, encoding="utf-8", errors="surrogateescape", split=0):
    """Files, of which a mapper in C gets one word a call. (A mapper in Python is not called per word: a call of it costs some
    hundred times what a word does. Use files, and split the chunk.)"""
    return Files("word", paths, recursive, encoding, errors, split)
