"""Resources used by a child, as the kernel tells the process that watches it."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence

_STATUS_BYTES = 1 << 12
_CPU_OF_PROCESS = 2
"""Kind of the clock whose number the kernel forms of it and of a process id (``clock_getcpuclockid(3)``)."""
_SENDER = struct.Struct("iII")
SENDER_BYTES = socket.CMSG_SPACE(_SENDER.size)
"""Room for who has sent a message."""


def sender(attached: Sequence[tuple[int, int, bytes]]) -> int:
    """The process that sent a message, as the kernel says; 0 where it does not."""
    for _, kind, data in attached:
        if kind == socket.SCM_CREDENTIALS:
            return int(_SENDER.unpack(data)[0])
    return 0


def usage(pid: int, parent: int) -> tuple[float, int]:
    """CPU seconds and peak resident bytes of a living process.

    Raises:
        OSError, ValueError: it cannot be seen, has ended, or is not a child of ``parent``.
    """
    descriptor = os.open(f"/proc/{pid}/status", os.O_RDONLY)
    try:
        status = os.read(descriptor, _STATUS_BYTES)
    finally:
        os.close(descriptor)
    if _status_field(status, b"PPid:") != parent:
        raise ValueError(f"process {pid} is another one's")
    return time.clock_gettime(~pid << 3 | _CPU_OF_PROCESS), _status_field(status, b"VmHWM:") << 10


def _status_field(status: bytes, name: bytes) -> int:
    start = status.index(name) + len(name)
    return int(status[start : status.index(b"\n", start)].split()[0])
