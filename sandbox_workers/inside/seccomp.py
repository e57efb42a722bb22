"""Seccomp filters: lists of the jail's system calls. Refused calls fail with ``EPERM``: the program sees a
``PermissionError`` at the line that asked.

Usually one filter serves the zygote and all its children (``common_filter``), because installing one costs a child a
quarter of a millisecond. That is safe because what the zygote alone needs is refused to children by the kernel itself:
they have no capabilities, and in their process-id namespace there is no other process to signal. If a program may
start processes or other programs, or has no such namespace, children get a second filter on top of a wider one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import cache

from .syscall_numbers import ARCHITECTURE, NUMBERS

_FILES = """
    read write open close stat fstat lstat lseek pread64 pwrite64 readv writev access pipe dup dup2 sendfile flock
    fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink symlink
    readlink chmod fchmod umask utime statfs fstatfs getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
    getdents64 fadvise64 readahead utimes openat mkdirat mknodat newfstatat unlinkat renameat linkat symlinkat
    readlinkat fchmodat faccessat utimensat fallocate dup3 pipe2 preadv pwritev renameat2 copy_file_range preadv2
    pwritev2 statx close_range faccessat2 sync_file_range
"""
_MEMORY = """
    mmap mprotect munmap brk mremap msync mincore madvise mlock munlock membarrier pkey_mprotect pkey_alloc pkey_free
"""
_TIME = """
    nanosleep getitimer alarm setitimer gettimeofday times time timer_create timer_settime timer_gettime
    timer_getoverrun timer_delete clock_gettime clock_getres clock_nanosleep timerfd_create timerfd_settime
    timerfd_gettime
"""
_SIGNALS = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack
    pause kill tgkill rt_tgsigqueueinfo signalfd signalfd4 restart_syscall
"""
_WAITING = """
    poll select epoll_create epoll_wait epoll_ctl pselect6 ppoll epoll_pwait epoll_create1 epoll_pwait2 eventfd eventfd2
    futex futex_waitv set_robust_list get_robust_list rseq
"""
_PROCESS = """
    sched_yield getpid exit wait4 uname getrlimit getrusage sysinfo getuid getgid geteuid getegid getppid getpgrp
    getpgid getsid getgroups getresuid getresgid getpriority setrlimit prlimit64 gettid exit_group waitid
    sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
    set_tid_address arch_prctl getcpu getrandom capget
"""
_SOCKET_PAIRS = """
    socketpair sendto recvfrom sendmsg recvmsg shutdown getsockname getpeername setsockopt getsockopt sendmmsg recvmmsg
"""
_BECOMING_A_CHILD = "chroot setsid setgroups setresuid setresgid capset"
_ALWAYS = " ".join((_FILES, _MEMORY, _TIME, _SIGNALS, _WAITING, _PROCESS, _SOCKET_PAIRS, _BECOMING_A_CHILD))

_NEW_PROCESS = "fork vfork"
_NEW_PROGRAM = "execve execveat"
_SIGNAL_SENDERS = "kill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"
_SETTERS = "prlimit64 sched_setaffinity"
"""Calls that change another process of the same user."""

_CLONE_THREAD, _CLONE_NEWPID = 0x00010000, 0x20000000
_NAMESPACES = 0x7E020080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_PRCTL_ALLOWED = (
    3,
    15,
    16,
    21,
    38,
    39,
    0x53564D41,
)  # dumpable?, set and get name, seccomp?, no_new_privs, memory names
_FCNTL_REFUSED = (8, 10, 15, 1024, 1026)  # whom to signal (SETOWN, SETOWN_EX), by what, leases, news of directories
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # terminal?, size, waiting, non-blocking, cloexec

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_X32 = 0x40000000

_Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, value."""


def common_filter() -> bytes:
    """The one filter of a zygote and its children: no processes but those of the zygote, no programs."""
    clone = _when("clone", _clone_rule(_CLONE_NEWPID))
    return _allow(_numbers(_ALWAYS), [*_prctl_rule(), *_ioctl_rule(), *_fcntl_rule(), *clone])


def wide_filter() -> bytes:
    """The filter of a zygote whose children are each given a ``child_filter``."""
    return _allow(_numbers(f"{_ALWAYS} {_NEW_PROCESS} {_NEW_PROGRAM} clone prctl ioctl fcntl seccomp"), [])


@cache  # building one takes as long as forking a child: the zygote warms the common ones
def child_filter(own_pid: int, *, may_fork: bool, may_exec: bool) -> bytes:
    """The filter of a child: the wide one without privileges, new processes, programs, and signals to others."""
    denied = _numbers(f"{_BECOMING_A_CHILD} seccomp")
    if not may_fork:
        denied |= _numbers(_NEW_PROCESS)
    if not may_exec:
        denied |= _numbers(_NEW_PROGRAM)
    body = [*_ranges(denied, _ERRNO | _EPERM), *_prctl_rule(), *_ioctl_rule(), *_fcntl_rule()]
    body += _when("clone", _clone_without_namespaces() if may_fork else _clone_rule(0))
    if not may_fork:
        for sender in _SIGNAL_SENDERS.split():
            body += _when(sender, _argument_in(_FIRST_ARGUMENT, (own_pid,)))
        for setter in _SETTERS.split():
            body += _when(setter, _argument_in(_FIRST_ARGUMENT, (0, own_pid)))
    return _assemble([*_prologue(), *body, _op(_RETURN, _ALLOW)])


def _numbers(names: str) -> set[int]:
    return {NUMBERS[name] for name in names.split()}


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> _Instruction:
    return (code, if_true, if_false, value)


_ALLOWED, _REFUSED = _op(_RETURN, _ALLOW), _op(_RETURN, _ERRNO | _EPERM)


def _assemble(instructions: Iterable[_Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _allow(allowed: set[int], rules: Sequence[_Instruction]) -> bytes:
    """A filter of the allowed calls; clone3, whose arguments no filter can read, is said to be missing."""
    rules = [*rules, *_when("clone3", [_op(_RETURN, _ERRNO | _ENOSYS)])]
    return _assemble([*_prologue(), *_ranges(allowed, _ALLOW), *rules, _REFUSED])


def _prologue() -> list[_Instruction]:
    """Kill callers through another architecture's entry, whose numbers mean something else; then load the number."""
    return [
        _op(_LOAD, _ARCH),
        _op(_JUMP_EQUAL, ARCHITECTURE, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
        _op(_JUMP_GREATER_EQUAL, _X32, 0, 1),
        _op(_RETURN, _KILL),
    ]


def _ranges(numbers: set[int], action: int) -> list[_Instruction]:
    """``action`` for each run of neighbouring numbers."""
    body: list[_Instruction] = []
    for first in sorted(number for number in numbers if number - 1 not in numbers):
        end = first
        while end in numbers:
            end += 1
        body += [
            _op(_JUMP_GREATER_EQUAL, first, 0, 2),
            _op(_JUMP_GREATER_EQUAL, end, 1, 0),
            _op(_RETURN, action),
        ]
    return body


def _when(name: str, rule: Sequence[_Instruction]) -> list[_Instruction]:
    """``rule``, which must return, for the system call ``name``."""
    return [_op(_JUMP_EQUAL, NUMBERS[name], 0, len(rule)), *rule]


def _argument_in(offset: int, allowed: Sequence[int]) -> list[_Instruction]:
    checks = [_op(_JUMP_EQUAL, value, len(allowed) - index, 0) for index, value in enumerate(allowed)]
    return [_op(_LOAD, offset), *checks, _REFUSED, _ALLOWED]


def _prctl_rule() -> list[_Instruction]:
    """Harmless options; the signal at the parent's death only as every child is given it anyway."""
    death = [_op(_LOAD, _SECOND_ARGUMENT), _op(_JUMP_EQUAL, _SIGKILL, 0, 1), _ALLOWED, _REFUSED]
    options = [_op(_LOAD, _FIRST_ARGUMENT), _op(_JUMP_EQUAL, _PR_SET_PDEATHSIG, 0, len(death)), *death]
    return _when("prctl", [*options, *_argument_in(_FIRST_ARGUMENT, _PRCTL_ALLOWED)])


def _fcntl_rule() -> list[_Instruction]:
    refused = [
        _op(_JUMP_EQUAL, command, len(_FCNTL_REFUSED) - place, 0) for place, command in enumerate(_FCNTL_REFUSED)
    ]
    return _when("fcntl", [_op(_LOAD, _SECOND_ARGUMENT), *refused, _ALLOWED, _REFUSED])


def _ioctl_rule() -> list[_Instruction]:
    return _when("ioctl", _argument_in(_SECOND_ARGUMENT, _IOCTL_ALLOWED))


def _clone_rule(also_allowed: int) -> list[_Instruction]:
    """Threads, and by ``CLONE_NEWPID`` children of the zygote, for which the kernel asks a capability."""
    flags = [_op(_LOAD, _FIRST_ARGUMENT), _op(_JUMP_BITS, _NAMESPACES & ~also_allowed, 1, 0)]
    return [*flags, _op(_JUMP_BITS, _CLONE_THREAD | also_allowed, 1, 0), _REFUSED, _ALLOWED]


def _clone_without_namespaces() -> list[_Instruction]:
    return [_op(_LOAD, _FIRST_ARGUMENT), _op(_JUMP_BITS, _NAMESPACES, 0, 1), _REFUSED, _ALLOWED]
