"""Landlock: which files the jail may touch, once for the zygote and all its children (needs no privilege)."""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH112
from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from . import syscalls

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_SYM = 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE
)
FILE_ONLY = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV

_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # number of rights that the kernel knows; 16 from ABI 5 on
_TCP_BIND_CONNECT = 3
_SCOPE_ABSTRACT_SOCKET_AND_SIGNAL = 3


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Allow reading and executing beneath ``readable``, everything beneath ``writable``, and nothing else.

    Also refuses TCP (ABI 4) and signals and abstract sockets that leave the jail (ABI 6), where the kernel can.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    abi = syscalls.landlock_abi()
    handled = (1 << _FILE_RIGHTS_BY_ABI.get(abi, 16)) - 1
    network = _TCP_BIND_CONNECT if abi >= 4 else 0
    scoped = _SCOPE_ABSTRACT_SOCKET_AND_SIGNAL if abi >= 6 else 0
    attributes = struct.pack("=QQQ", handled, network, scoped)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = syscalls.landlock_ruleset(attributes)
    try:
        for paths, access in ((readable, READ), (writable, WRITE)):
            for path in filter(os.path.exists, paths):
                allowed = access if os.path.isdir(path) else access & FILE_ONLY
                syscalls.landlock_allow_path(ruleset, allowed & handled, path)
        syscalls.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)
