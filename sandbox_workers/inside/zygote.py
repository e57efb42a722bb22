"""The zygote: a warm interpreter with one thread, inside its jail, that forks one child per request and reaps it.

It never sees a program, a test or an expected value: those travel on each child's own channel, which the zygote only
hands on. Invariant: children started = children reported ended + children alive.
"""

from __future__ import annotations

import os
import select
import signal
import struct
from _socket import CMSG_SPACE, socket  # without the enums of the public module

from . import child, protocol, sweep, syscalls
from .config import ZygoteConfig
from .jail import WorkSlot, has_common_filter, kept_by_children, kept_in_work

MAX_DESCRIPTORS = 5 * protocol.MAX_FORKS
_DESCRIPTOR = struct.Struct("i")
_ATTACHED_BYTES = CMSG_SPACE(MAX_DESCRIPTORS * _DESCRIPTOR.size)


class Zygote:
    """Answers ``protocol.Fork`` and ``protocol.Kill`` until the control socket closes."""

    def __init__(self, control: socket, config: ZygoteConfig, slots: list[WorkSlot]) -> None:
        self._control = control
        self._first_uid = config["first_uid"]
        self._kept = kept_in_work(config["jail"]["readable"]) if config["jail"]["namespaces"] else frozenset[str]()
        filtered, kept = has_common_filter(config["jail"]), kept_by_children(config["jail"])
        self._places = [child.Place(slot, filtered, kept) for slot in slots]
        self._clone = syscalls.Cloner(syscalls.CLONE_NEWPID if config["jail"]["namespaces"] else 0)
        self._children: dict[int, tuple[int, int, WorkSlot]] = {}  # request number -> (pid, pidfd, slot)
        self._outlived = () if config["jail"]["namespaces"] else child.STARTERS  # roles of which something may stay
        self._users: dict[int, int] = {}  # request number -> user id, of children in such a role
        self._by_pidfd: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._ends = -1
        if config["jail"]["gvisor"]:  # whose kernel has no descriptors for processes
            self._ends = _signalled_ends()
            self._poll.register(self._ends, select.POLLIN)

    def serve(self) -> None:
        """Serve requests until the control socket closes."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._by_pidfd:
                    self._reap(self._by_pidfd[descriptor])
                elif descriptor == self._ends:
                    self._reap_all()
                elif not self._answer():
                    return

    def _answer(self) -> bool:
        data, attached, _, _ = self._control.recvmsg(protocol.MAX_REQUEST, _ATTACHED_BYTES)
        if not data:
            return False
        request = protocol.unpack_request(data)
        if isinstance(request, list):
            self._fork_all(request, [*memoryview(attached[0][2]).cast("i")] if attached else [])
        elif request.number in self._children:
            os.kill(self._children[request.number][0], signal.SIGKILL)
        return True

    def _fork_all(self, requests: list[protocol.Fork], descriptors: list[int]) -> None:
        """Start children, with nothing between the forks: a page that is written to is copied again after each."""
        each = len(descriptors) // len(requests)
        started: list[tuple[int, int]] = []
        pid = -1
        try:
            for request in requests:
                pid, pidfd = self._clone()
                if pid == 0:
                    first = len(started) * each
                    self._become_child(request, descriptors[first : first + each])
                started.append((pid, pidfd))
        finally:
            if pid <= 0:  # whatever went wrong, a child must never go on as the zygote
                os._exit(child.BROKEN)
        for descriptor in descriptors:
            os.close(descriptor)
        for request, (pid, pidfd) in zip(requests, started, strict=True):
            self._note_start(request, pid, pidfd)

    def _become_child(self, request: protocol.Fork, descriptors: list[int]) -> None:
        if self._ends >= 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        child.run(request.role, descriptors, self._uid(request), self._places[request.slot])

    def _uid(self, request: protocol.Fork) -> int:
        user = request.number if self._outlived else request.user  # else its program's end would end a judge
        return self._first_uid + user % child.UIDS if self._first_uid else 0

    def _note_start(self, request: protocol.Fork, pid: int, pidfd: int) -> None:
        self._children[request.number] = (pid, pidfd, self._places[request.slot].slot)
        if request.role in self._outlived:
            self._users[request.number] = self._uid(request)
        if pidfd >= 0:
            self._by_pidfd[pidfd] = request.number
            self._poll.register(pidfd, select.POLLIN)

    def _reap_all(self) -> None:
        """Look at every child: signals do not say how many ended."""
        os.read(self._ends, 4096)
        for number in list(self._children):
            self._reap(number, os.WNOHANG)

    def _reap(self, number: int, options: int = 0) -> None:
        pid, pidfd, slot = self._children[number]
        ended, status, usage = os.wait4(pid, options)
        if not ended:
            return
        del self._children[number]
        if self._users:
            _end_all_of(self._users.pop(number, 0))
        if pidfd >= 0:
            del self._by_pidfd[pidfd]
            self._poll.unregister(pidfd)
            os.close(pidfd)
        sweep.empty(slot.root + slot.work, self._kept)
        cpu_s, peak_bytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        self._control.send(protocol.pack_ended(protocol.Ended(number, status, cpu_s, peak_bytes)))


def _end_all_of(uid: int) -> None:
    """End every process of a program's user that outlived the one that we started."""
    status = int(signal.SIGKILL)
    while uid and os.WIFSIGNALED(status):  # by one of them
        pid = os.fork()
        if not pid:
            try:
                os.setresuid(uid, uid, uid)
                if os.getresuid() == (uid, uid, uid):  # kill(-1) must not reach other users
                    os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)


def _signalled_ends() -> int:
    """A descriptor that is readable when a child ended."""
    ends, told = os.pipe()
    os.set_blocking(told, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    return ends
