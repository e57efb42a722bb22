"""Lets a program open its standard streams by the names that they have elsewhere: there is no ``/proc`` in the jail."""

from __future__ import annotations

import builtins
import io
import os
import re
from os import PathLike
from typing import Any

from .native import copy_stdin

_STREAMS = {"stdout": 1, "stderr": 2}
_NAMES = re.compile(r"/dev/(?P<stream>stdout|stderr)|(?:/dev/fd|/proc/self/fd)/(?P<number>[0-9]{1,4})")
_STDIN = "/dev/stdin"
Path = str | bytes | int | PathLike[str] | PathLike[bytes]


def open_by_name() -> None:
    """Have ``open`` know the names; standard input under its name is a copy, to be read from its start."""
    copy_stdin()
    open_file, open_descriptor = io.open, os.open

    def open_instead(file: Path, *arguments: Any, **named: Any) -> object:
        return open_file(_meant(file), *arguments, **named)

    def open_descriptor_instead(path: Path, flags: int, *arguments: Any, **named: Any) -> int:
        meant = _meant(path)
        return meant if isinstance(meant, int) else open_descriptor(meant, flags, *arguments, **named)

    builtins.open = io.open = open_instead  # type: ignore[assignment]
    os.open = open_descriptor_instead


def _meant(file: Path) -> Path:
    """A descriptor of its own for a stream's name; anything else as it is."""
    name = os.fspath(file) if isinstance(file, (str, PathLike)) else ""
    found = _NAMES.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return file
    number = int(found["number"] or _STREAMS[found["stream"]])
    return os.dup(number) if number else _STDIN
