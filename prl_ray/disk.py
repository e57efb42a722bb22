"""A failed write that a full disk explains, however the library that writes reports it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

ALMOST_FULL = 1 << 20
"""If fewer bytes are free, a failed write is reported as a full disk."""


def full_disk(place: Path, written: Path, error: BaseException, expected: int = 0) -> str:
    """Needed and free space as one phrase if the disk of the folder ``place`` is full; else empty.

    ``written`` is the folder that could be written in part, ``expected`` the size in bytes that it was to have, 0 if
    that is unknown. torch raises ``RuntimeError`` for a full disk, safetensors an error of its own, and errors of
    actors arrive without their number: so the free space counts too.
    """
    left, size = shutil.disk_usage(place).free, folder_size(written)
    no_space = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)
    if not (no_space or left < ALMOST_FULL or left + size < expected):
        return ""
    needed = f"about {expected / 1e6:.1f}" if expected > size else f"more than {size / 1e6:.1f}"
    return f": the disk is full; {needed} MB are needed and {(left + size) / 1e6:.1f} MB are free"


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def last_line(error: BaseException) -> str:
    """The last line of an error's message, or its class; the lines before may be the traceback of another process."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
