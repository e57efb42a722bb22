"""The jail that the zygote enters once: its own mounts, no network, System V IPC of its own, Landlock, seccomp, few
capabilities.

Everything here is applied once, in the zygote: what costs milliseconds is done once, a child adds only what costs
microseconds.
"""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH102, PTH103, PTH114, PTH112, PTH115, PTH120, PTH101, PTH123, PTH211
from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, TypedDict

from . import landlock, seccomp, syscalls

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
STDIN_COPY = ".stdin"
"""Target of ``/dev/stdin``: there is no ``/proc`` to name the file itself, so programs that ask find a copy."""
_ROOTS = ("/0", "/1", "/2", "/3")
"""Where the zygote sees its children's roots: the same files in each, and a working directory of its own. As many as it
forks children at once: a program would wait for the end of one before it that is in its slot.
"""


class WorkSlot(NamedTuple):
    """Where a child works. Several let programs begin while the files of earlier ones are still being removed."""

    root: str
    """The child's root; empty where it keeps the zygote's."""
    work: str
    """Its working directory, as it is called below that root."""


class JailConfig(TypedDict):
    """Settings of a jail, by the parent; they travel as JSON."""

    namespaces: bool
    """Mount, network and IPC namespaces, and a process-id namespace a child."""
    user_namespace: bool
    """Enter a user namespace first: for callers that are not root."""
    gvisor: bool
    """We are inside gVisor already, whose kernel has made the root and knows no Landlock."""
    closed_library: bool
    """Packages lie in a directory closed to the programs' user ids, so programs keep the capability to read there.
    Landlock still names what they may open."""
    may_fork: bool
    """Programs may start processes, or be of another language: each child then gets a filter of its own."""
    readable: list[str]
    """Host paths that programs may read and execute: the interpreter's library and the shared libraries."""
    hidden: list[str]
    """Directories below readable ones of which programs see only what is readable in its own right. Not in gVisor, nor
    without namespaces."""
    root: str
    """An empty host directory: the new root is mounted there; without namespaces it is the working directory itself."""
    directory_mb: int
    """Size of the memory-backed working directory."""


class JailError(OSError):
    """One step of entering the jail failed; the message names the step."""


def enter(config: JailConfig) -> list[WorkSlot]:
    """Enter the jail for good; the slots in it.

    Raises:
        JailError: the host refuses a step.
    """
    slots = [WorkSlot("", config["root"])]
    if config["gvisor"]:
        step("private mounts", lambda: _finish_root(config))
    elif config["namespaces"]:
        if config["user_namespace"]:
            step("user namespace", _enter_user_namespace)
        step("namespaces (mount, network, ipc)", lambda: syscalls.unshare(_NAMESPACES))
        step("private mounts", lambda: _build_root(config))
        slots = [WorkSlot(root, "/tmp") for root in _ROOTS]
    os.chdir(slots[0].root or slots[0].work)
    step("no_new_privs", lambda: _ignore(syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)))
    if not config["gvisor"]:
        first = slots[0].root  # the files are the same in all
        readable = [first + path for path in (*config["readable"], *DEVICES)]
        writable = [f"{first}/dev/null", *(slot.root + slot.work for slot in slots)]
        step("Landlock", lambda: landlock.restrict(readable, writable))
    step("capabilities", lambda: _keep_few_capabilities(config))
    program = seccomp.common_filter() if has_common_filter(config) else seccomp.wide_filter()
    step("seccomp", lambda: syscalls.seccomp(program))
    return slots


def has_common_filter(config: JailConfig) -> bool:
    """Whether one filter serves the zygote and its children."""
    return config["namespaces"] and not config["may_fork"]


def kept_by_children(config: JailConfig) -> tuple[int, ...]:
    """Capabilities that children keep, beyond their change of user id."""
    return (syscalls.CAP_DAC_READ_SEARCH,) if config["closed_library"] else ()


_NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS


def step(name: str, action: Callable[[], None]) -> None:
    """Do one step of entering the jail.

    Raises:
        JailError: the host refuses it.
    """
    try:
        action()
    except OSError as error:
        raise JailError(f"{name}: {error.strerror or error}") from error


def _ignore(_: int) -> None:
    return None


def _enter_user_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _finish_root(config: JailConfig) -> None:
    for path in ("/proc", "/sys"):
        syscalls.unmount(path, syscalls.MNT_DETACH)
    with os.scandir("/dev") as entries:
        for entry in entries:
            if entry.path not in DEVICES and not entry.is_symlink():
                os.chmod(entry.path, 0)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("work", config["root"], "tmpfs", flags, f"size={config['directory_mb']}m,mode=1777")


def _build_root(config: JailConfig) -> None:
    root = config["root"]
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    quiet = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("jail", root, "tmpfs", quiet, "size=1m,mode=755")
    first, *others = (root + name for name in _ROOTS)
    hidden = config["hidden"]
    packages = [path for path in config["readable"] if any(path.startswith(f"{other}/") for other in hidden)]
    for path in (*config["readable"], *filter(os.path.exists, DEVICES)):
        if path not in packages:
            _bind(path, first)
    for path in hidden:
        syscalls.mount("hidden", first + path, "tmpfs", quiet, "size=64k,mode=755")
    for path in packages:
        _bind(path, first)
    for path in hidden:
        syscalls.mount("", first + path, "", syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | quiet)
    os.makedirs(f"{first}/tmp", exist_ok=True)
    os.symlink(f"/tmp/{STDIN_COPY}", f"{first}/dev/stdin")
    os.symlink("/tmp", f"{first}/dev/shm")  # where the C library keeps named semaphores: each program has its own
    for other in others:
        os.mkdir(other)
        syscalls.mount(first, other, "", syscalls.MS_BIND | syscalls.MS_REC)
    size = f"size={config['directory_mb']}m,nr_inodes=4096,mode=1777"
    for slot in (first, *others):
        syscalls.mount("work", f"{slot}/tmp", "tmpfs", quiet, size)
        _bind_below_work(config["readable"], slot, quiet)
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.unmount(".", syscalls.MNT_DETACH)
    os.chdir("/")
    for path in ("/", *_ROOTS[1:]):
        syscalls.mount("", path, "", syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | quiet)


def kept_in_work(readable: list[str]) -> frozenset[str]:
    """Names in the working directory that are not a program's: readable paths of the host lie below them."""
    return frozenset(path.split("/")[2] for path in readable if path.startswith("/tmp/"))


def _bind_below_work(readable: list[str], slot: str, flags: int) -> None:
    """Show the readable parts of the host's ``/tmp``, perhaps an environment, in the programs' own, read-only."""
    for name in kept_in_work(readable):
        place = f"/tmp/{name}"
        if place in readable:
            _bind(place, slot)
            continue
        os.mkdir(slot + place)
        syscalls.mount("packages", slot + place, "tmpfs", flags, "size=1m,mode=755")
        for path in readable:
            if path.startswith(f"{place}/"):
                _bind(path, slot)
        syscalls.mount("", slot + place, "", syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | flags)


def _bind(path: str, root: str) -> None:
    """Show ``path`` read-only at the same place under ``root``; a symbolic link is repeated, not followed."""
    target = root + path
    os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, 0o755, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    syscalls.mount(path, target, "", syscalls.MS_BIND | syscalls.MS_REC)
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_NOSUID | _locked_flags(path)
    if not path.startswith("/dev/"):
        flags |= syscalls.MS_RDONLY | syscalls.MS_NODEV
    syscalls.mount("", target, "", flags)


def _locked_flags(path: str) -> int:
    """Flags that a user namespace may not take off a mount that it inherited."""
    kept = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    return os.statvfs(path).f_flag & kept


def _keep_few_capabilities(config: JailConfig) -> None:
    """Keep what starting, ending and sweeping up after children takes; nothing at all where there is no privilege."""
    if os.geteuid() != 0:
        return
    kept = {
        syscalls.CAP_SETUID,
        syscalls.CAP_SETGID,
        syscalls.CAP_KILL,
        syscalls.CAP_DAC_OVERRIDE,
        syscalls.CAP_FOWNER,
    }
    if config["closed_library"]:
        kept.update(kept_by_children(config))
        syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)  # a child changes its user id, and then drops the others
    if config["namespaces"]:
        kept |= {syscalls.CAP_SYS_ADMIN, syscalls.CAP_SYS_CHROOT}
    if not config["gvisor"]:  # whose bundle gives no ambient ones and bounds the rest
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
        syscalls.drop_bounding_set()
    syscalls.set_capabilities(*(kept & syscalls.permitted_capabilities()))
