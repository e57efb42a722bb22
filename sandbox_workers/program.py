"""A worker's job: a compiled program with the needs that its text shows, and its input."""

from __future__ import annotations

import fcntl
import os
import re
from typing import NamedTuple

_READS_ITSELF = re.compile(r"__file__|\b(?:inspect|linecache|traceback|argv|runpy|importlib|program)\b")
_LISTS_FILES = re.compile(r"\b(?:listdir|scandir|glob|walk|iterdir|exists|isfile|stat)\b")
"""Names in programs that look for their own file; a script finds it too where it lists its directory."""
_NAMES_SIGNALS = re.compile(r"\b(?:signal|kill|killpg|alarm|setitimer)\b")
_WORDS = tuple(
    word for mark in (_READS_ITSELF, _LISTS_FILES, _NAMES_SIGNALS) for word in re.findall(r"[a-z_]{4,}", mark.pattern)
)
"""Words without which none of these marks occurs: to look for plain words takes a tenth of the time."""
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class Program(NamedTuple):
    """A compiled program, and its needs by its text."""

    code: bytes
    """Marshalled, never to be read outside the jail."""
    prelude: bytes
    """Marshalled code that runs before it, or nothing."""
    source: bytes
    reads_itself: bool
    lists_files: bool
    names_signals: bool

    @classmethod
    def of(cls, text: str, code: bytes, prelude: bytes) -> Program:
        """The program of this text, which was compiled to this code."""
        source = text.encode("utf-8", "surrogateescape")
        if not any(map(text.__contains__, _WORDS)):  # as for nearly every program
            return cls(code, prelude, source, False, False, False)
        reads, lists, names = (bool(mark.search(text)) for mark in (_READS_ITSELF, _LISTS_FILES, _NAMES_SIGNALS))
        return cls(code, prelude, source, reads, lists, names)


def sealed_file(data: bytes) -> int:
    """A descriptor of a sealed file in memory that holds ``data``."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor
