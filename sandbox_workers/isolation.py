"""Levels of isolation: their parts on this host, and the start-up settings that follow."""

from __future__ import annotations

import os
import platform
import stat
import sys
import sysconfig
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from . import gvisor
from .errors import SandboxUnavailable
from .inside.jail import JailConfig
from .inside.syscall_numbers import MACHINE
from .inside.syscalls import CAP_DAC_READ_SEARCH, permitted_capabilities
from .packages import package_paths

LEVELS = {
    "gvisor": "as full, in an application kernel of its own (runsc) in place of Landlock; needs root; Python only",
    "full": "namespaces (mounts, network, IPC, process ids), Landlock, seccomp, limits; a user id a program for root",
    "unprivileged": "Landlock, seccomp, limits; a user id a program for root; programs may read the host's libraries",
}
DIRECTORY_MB = 64
_TIME_ZONES = "/usr/share/zoneinfo"
_FIRST_UID, _UIDS_A_WORKER, _WORKERS = 1_000_000_000, 1000, 100_000
_started = count()
_SHARED_LIBRARIES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
)


def check_level(level: str) -> None:
    """Refuse a level that does not exist.

    Raises:
        SandboxUnavailable: with the levels that do.
    """
    if level not in LEVELS:
        raise SandboxUnavailable(f"unknown isolation {level!r}; one of {', '.join(LEVELS)}")


def check_machine() -> None:
    """Refuse a processor or a system whose system calls are not known here.

    Raises:
        SandboxUnavailable: it is another one.
    """
    if (sys.platform, platform.machine()) != ("linux", MACHINE):
        raise SandboxUnavailable(f"programs can be jailed on Linux on {MACHINE} only, not on {platform.machine()}")


def jail_config(
    level: str, root: str, packages: Sequence[str], more_readable: Sequence[str], may_fork: bool
) -> JailConfig:
    """The jail of one level; ``root`` is an empty directory of the caller's.

    Raises:
        SandboxUnavailable: programs could not read their imports, and may not be given the right to.
    """
    readable = readable_paths(packages, more_readable)
    closed = closed_directory(readable) if level == "unprivileged" and os.geteuid() == 0 else ""
    if closed and CAP_DAC_READ_SEARCH not in permitted_capabilities():
        raise SandboxUnavailable(
            f"isolation 'unprivileged' gives programs user ids of their own, and {closed} is closed to those: they "
            "could import nothing from it. Install Python and the packages where every user may read them, start as "
            "another user than root, or give this container the capability DAC_READ_SEARCH"
        )
    return JailConfig(
        namespaces=level in ("full", "gvisor"),
        gvisor=level == "gvisor",
        user_namespace=os.geteuid() != 0,
        closed_library=bool(closed),
        may_fork=may_fork,
        readable=readable,
        hidden=hidden_paths(readable),
        root=gvisor.WORK if level == "gvisor" else root,
        directory_mb=DIRECTORY_MB,
    )


def readable_paths(packages: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    """Host paths that programs may read: the standard library, shared libraries, the packages asked for, and
    ``more``.
    """
    standard = {sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"], str(Path(os.__file__).parent)}
    own_library = sysconfig.get_config_var("LIBDIR") or ""
    shared = [path for path in _SHARED_LIBRARIES if Path(path).exists()]
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and not own_library.startswith("/usr"):
        shared.append(own_library)
    found = {*standard, *shared, *package_paths(packages), *filter(os.path.exists, more)}
    within = {path for path in found if any(str(parent) in found for parent in Path(path).parents)}
    return sorted(found - within | set(package_paths(packages)))


def closed_directory(paths: Sequence[str]) -> str:
    """The first directory on the way to what lies at these paths that other users than its own may not enter, or ''."""
    ways = (way for path in paths for way in (*reversed(Path(path).parents), Path(path)) if way.is_dir())
    return next((str(way) for way in ways if not way.stat().st_mode & stat.S_IXOTH), "")


def hidden_paths(readable: Sequence[str]) -> list[str]:
    """Directories below readable ones with whatever is installed on this host: a data set and its answers, perhaps."""
    patterns = [f"{place}{name}" for place in ("", "python3*/") for name in ("site-packages", "dist-packages")]
    return sorted({str(path) for root in readable for pattern in patterns for path in Path(root).glob(pattern)})


def first_uid() -> int:
    """First of the user ids of this worker's programs, which are group ids as well; 0 where we may not change ids."""
    if os.geteuid() != 0:
        return 0
    worker = os.getpid() * 7 + next(_started) * 31_337  # far from those of processes with neighbouring ids
    wanted = _FIRST_UID + _UIDS_A_WORKER * (worker % _WORKERS)
    ends = [_end_of_ids(Path(f"/proc/self/{kind}_map").read_text()) for kind in ("uid", "gid")]
    if wanted + _UIDS_A_WORKER <= min(ends):
        return wanted
    workers = min(ends) // _UIDS_A_WORKER - 1  # a container with ids of its own has fewer; the first thousand are its
    return _UIDS_A_WORKER * (1 + worker % workers) if workers > 0 else 0


def _end_of_ids(mapping: str) -> int:
    """The first id from 0 on that this user namespace does not have."""
    end = 0
    for first, _, length in sorted(tuple(map(int, line.split())) for line in mapping.splitlines()):
        if first > end:
            break
        end = max(end, first + length)
    return end


def interpreter() -> str:
    """The interpreter that runs programs: this one, so that code objects mean the same to both."""
    return sys.executable
