"""The Linux system calls that Python 3.11 does not wrap, through ctypes; every failure is an ``OSError``.

The calls hold the GIL (``PyDLL``): the zygote has one thread, and a child that returns from ``clone`` must not have to
take a lock that its parent held.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_libc = ctypes.PyDLL(None, use_errno=True)

CLONE_CHILD_SETTID = 0x01000000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_TID_ADDRESS = 40
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 1, 2, 3, 5, 6, 7, 8
CAP_SYS_CHROOT, CAP_SYS_ADMIN = 18, 21
LAST_CAPABILITY = 40

_NR_CLONE, _NR_CLOSE_RANGE, _NR_PIVOT_ROOT, _NR_CAPGET, _NR_CAPSET, _NR_SECCOMP = 56, 436, 155, 125, 126, 317
_NR_PRCTL = 157
_NR_LANDLOCK_CREATE, _NR_LANDLOCK_ADD, _NR_LANDLOCK_RESTRICT = 444, 445, 446


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def _syscall(call: str, number: int, *arguments: object) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *arguments), call)


class PreparedCall:
    """A system call whose arguments exist already: each object that a child makes is a page that it may have to copy.

    Raises:
        OSError: from ``__call__``, when the kernel refuses.
    """

    def __init__(self, call: str, number: int, *arguments: int) -> None:
        self._call = call
        self._function = _libc.syscall
        self._arguments = [ctypes.c_long(number), *map(ctypes.c_ulong, arguments)]

    def __call__(self) -> int:
        """Make the call; the kernel's answer."""
        return _check(self._function(*self._arguments), self._call)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount {kind or source} on {target}")


def unmount(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    _syscall("pivot_root", _NR_PIVOT_ROOT, new.encode(), old.encode())


def unshare(flags: int) -> None:
    """unshare(2), which Python has only from 3.12."""
    _check(_libc.unshare(flags), "unshare")


def trim_heap() -> None:
    """malloc_trim(3), where the C library has it: free pages would be copied at every fork."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def copy_page_tables_at_fork(start: int, end: int, protection: int) -> None:
    """Have children inherit the page table of a mapping of a file, which is readable and not writable.

    Else the kernel leaves it out at a fork, and a child faults the pages in, sixteen at a time. It copies the tables of
    mappings that have a page of their own (``vma_needs_copy`` in ``mm/memory.c``): so one page is written to, with what
    it holds.

    Raises:
        OSError: the host lets nobody write there.
    """
    length = ctypes.c_size_t(end - start)
    place = ctypes.c_void_p(start)
    _check(_libc.mprotect(place, length, protection | PROT_WRITE), "mprotect")
    try:
        ctypes.memmove(start, ctypes.string_at(start, 1), 1)
    finally:
        _check(_libc.mprotect(place, length, protection), "mprotect")


def prctl(option: int, value: int = 0) -> int:
    """prctl(2) with one argument."""
    zero = ctypes.c_ulong(0)
    return _check(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def close_from(first: int) -> PreparedCall:
    """The call that closes every descriptor from ``first`` on."""
    return PreparedCall("close_range", _NR_CLOSE_RANGE, first, 0x7FFFFFFF, 0)


def die_with_parent(number: int) -> PreparedCall:
    """The call by which a process is sent the signal ``number`` when its parent ends."""
    return PreparedCall("prctl", _NR_PRCTL, PR_SET_PDEATHSIG, number, 0, 0, 0)


def thread_id_address() -> int:
    """Where the C library keeps this thread's id, or 0 where the kernel does not say."""
    address = ctypes.c_ulong(0)
    try:
        prctl(PR_GET_TID_ADDRESS, ctypes.addressof(address))
    except OSError:
        return 0
    return address.value


class Cloner:
    """clone(2) into new namespaces, prepared once: the call itself must be short.

    Not clone3, whose arguments a seccomp filter cannot read.

    Raises:
        OSError: from ``__call__``, when the kernel refuses.
    """

    def __init__(self, namespaces: int) -> None:
        self._pidfd = ctypes.c_int(-1)
        tid = thread_id_address()
        sigchld = 17
        flags = namespaces | CLONE_PIDFD | ((CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID) if tid else 0) | sigchld
        self._clone = PreparedCall("clone", _NR_CLONE, flags, 0, ctypes.addressof(self._pidfd), tid, 0)

    def __call__(self) -> tuple[int, int]:
        """(pid, pidfd) in the parent, (0, -1) in the child."""
        pid = self._clone()
        return (pid, self._pidfd.value) if pid else (0, -1)


def set_capabilities(*kept: int) -> None:
    """Make ``kept`` the effective and permitted capabilities; none are inheritable."""
    header = struct.pack("=II", 0x20080522, 0)
    mask = sum(1 << capability for capability in kept)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    _syscall("capset", _NR_CAPSET, header, struct.pack("=6I", low, low, 0, high, high, 0))


def permitted_capabilities() -> set[int]:
    """The capabilities that this process may have."""
    header = struct.pack("=II", 0x20080522, 0)
    found = ctypes.create_string_buffer(24)
    _syscall("capget", _NR_CAPGET, header, found)
    _, low, _, _, high, _ = struct.unpack("=6I", found.raw)
    return {number for number in range(64) if (high << 32 | low) >> number & 1}


def drop_bounding_set() -> None:
    """Empty the capability bounding set, so that no later exec can bring one back."""
    if CAP_SETPCAP in permitted_capabilities():  # else a container has bounded them, and no new privileges are to come
        for capability in range(LAST_CAPABILITY + 1):
            prctl(PR_CAPBSET_DROP, capability)


def seccomp(program: bytes) -> None:
    """Install a BPF filter, a sequence of 8-byte instructions, on this thread."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("=H6xQ", len(program) // 8, ctypes.addressof(instructions))
    set_mode_filter, allow_speculation = 1, 4
    try:
        _syscall("seccomp", _NR_SECCOMP, set_mode_filter, allow_speculation, header)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _syscall("seccomp", _NR_SECCOMP, set_mode_filter, 0, header)  # gVisor knows no such flag


def landlock_abi() -> int:
    """Landlock's ABI version.

    Raises:
        OSError: the kernel has no Landlock.
    """
    return _syscall("landlock", _NR_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)


def landlock_ruleset(attributes: bytes) -> int:
    """A descriptor of a new ruleset."""
    return _syscall("landlock_create_ruleset", _NR_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)


def landlock_allow_path(ruleset: int, access: int, path: str) -> None:
    """Allow ``access`` beneath ``path``."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _syscall("landlock_add_rule", _NR_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def landlock_restrict_self(ruleset: int) -> None:
    """Apply the ruleset to this thread and its descendants."""
    _syscall("landlock_restrict_self", _NR_LANDLOCK_RESTRICT, ruleset, 0)
