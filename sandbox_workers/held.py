"""Directories that a process holds, told from those that a killed process left behind.

Their names have the process id of their owner. Another container may share the file system and not the process ids:
there the owner seems dead. So the owner also holds a lock, which ends with it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def hold(directory: Path) -> int:
    """Hold a directory until the descriptor that this returns is closed."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system without locks: only the process id tells
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def left_behind(directory: Path) -> bool:
    """Whether the process in the name ``PREFIX-PID-…`` is not there, and no process of another container holds it."""
    if Path(f"/proc/{directory.name.split('-')[1]}").exists():
        return False
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
