"""Starts a zygote: imports, arranges its children's shared pages, enters the jail, reports it, serves.

What children run is imported last, behind filled gaps: a child copies every page that it writes to, Python writes to
every object that it uses (their reference counts), and so these had better be close together.
"""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH123
from __future__ import annotations

import _signal  # without the enums of the public module: those belong to the children's code
import gc
import importlib
import json
import os
import sys
from _socket import socket  # the same
from functools import partial

from . import jail, syscalls
from .config import ZygoteConfig

_POOL_BYTES = 1 << 14
_POOL_HEADER = 48
_LARGEST_BLOCK, _BLOCK_STEP = 512, 16
"""CPython's allocator: pools of blocks of one size each."""
_MOST_FILLERS = 1 << 10
_fillers: list[bytes] = []
_LARGE_CODE = 1 << 20
"""Bytes of a code mapping that is worth it: the interpreter's and the C library's."""


def main(config: ZygoteConfig) -> None:
    """Serves requests until the control socket closes. The answer to a failed start is the step that failed."""
    _forget_the_parent()
    number = config["control"]
    if config["jail"]["gvisor"]:  # it came as standard input, which children keep
        number = os.dup(number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), config["control"])
    control = socket(fileno=number)
    try:
        sys.path[:] = [*_library_paths(), *config["paths"]]
        os.environ.pop("LD_BIND_NOW", None)  # for this interpreter only
        for name in config["preload"]:
            importlib.import_module(name)
        if "pytest" in config["preload"]:
            importlib.import_module(f"{__package__}.pytest_runs").load_parts()
        gc.collect()
        fill_gaps()
        from . import child, zygote

        child.warm_up()
        share_code()
        if config["first_uid"]:
            jail.step("group ids", partial(_leave_groups, config["first_uid"]))
        slots = jail.enter(config["jail"])
    except (jail.JailError, ImportError) as error:
        control.send(json.dumps({"failed": str(error)}).encode())
        return
    serving = zygote.Zygote(control, config, slots)
    gc.collect()
    gc.freeze()
    syscalls.trim_heap()
    ready = {"ready": os.getpid(), "address_space": child.address_space, "slots": len(slots)}
    control.send(json.dumps(ready).encode())
    serving.serve()


def _forget_the_parent() -> None:
    """Reset inherited state that programs shall not have: the mask of new files, ignored and blocked signals."""
    os.umask(0o022)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def _leave_groups(gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)


def _library_paths() -> list[str]:
    """The standard library's entries of the import path, with which an isolated interpreter starts."""
    return [path for path in sys.path if path.startswith(sys.base_prefix)]


def share_code() -> None:
    """Have children inherit how the interpreter's code is mapped, where the host allows it: it saves them 50 faults."""
    with open("/proc/self/maps") as file:
        mappings = [line.split() for line in file]
    for place, kind, *_ in mappings:
        start, end = (int(number, 16) for number in place.split("-"))
        if kind == "r-xp" and end - start >= _LARGE_CODE:
            try:
                syscalls.copy_page_tables_at_fork(start, end, syscalls.PROT_READ | syscalls.PROT_EXEC)
            except OSError:
                return


def fill_gaps() -> None:
    """Take free blocks of every size until a fresh pool begins; elsewhere than in CPython it only takes some memory."""
    overhead = sys.getsizeof(b"")
    for size in range(overhead // _BLOCK_STEP * _BLOCK_STEP + _BLOCK_STEP, _LARGEST_BLOCK + 1, _BLOCK_STEP):
        for _ in range(_MOST_FILLERS):
            _fillers.append(bytes(size - overhead))
            if id(_fillers[-1]) % _POOL_BYTES == _POOL_HEADER:
                break
