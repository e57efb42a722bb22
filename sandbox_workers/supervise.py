"""Watches the children of one run: drains their output, reads their reports, ends them in time."""

from __future__ import annotations

import _socket
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from . import plain, usage, wire
from .inside import reports
from .inside.protocol import Ended
from .limits import Limits
from .resident import ResidentWatch
from .zygote_process import ZygoteLostError, ZygoteProcess

GRACE_S = 2.0
"""How long a zygote may take to report the end of a child that it was asked to kill."""
WIRE_MOST_S = 60.0
"""Longest time between a judge and a program that is not charged."""
LATE_LOOKS = 16
"""Reads of the pipes before a program counts as late: the delay may be ours, not the program's."""
_PIECE = 1 << 16

Cause = Literal["", "timeout", "output", "memory", "deep", "forged", "stopped"]
"""Why we ended a run: limits, values nested too deeply to be read, a channel that holds something else than reports, or
nothing left to learn.
"""


class Child:
    """The parent's ends of one child: its channel, and pipes from its standard output and error."""

    def __init__(self, slot: int) -> None:
        """Ends of a child that has still to be forked."""
        self.slot = slot
        self.number = -1
        self.channel, theirs = _socket.socketpair()  # without the Python code of the public module
        self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        self._theirs = (theirs.detach(), out, err)

    @classmethod
    def fork(
        cls, zygote: ZygoteProcess, role: str, extra: Sequence[int] = (), slot: int = 0, user: int | None = None
    ) -> Child:
        """A child of this role; ``extra``: further descriptors for it, ``user``: number of the child whose user id it
        shall have as well.
        """
        (child,) = cls._forked(zygote, role, [cls(slot)], extra, user)
        return child

    @classmethod
    def fork_several(cls, zygote: ZygoteProcess, role: str, slots: Sequence[int]) -> list[Child]:
        """A child in each of these slots."""
        return cls._forked(zygote, role, [cls(slot) for slot in slots], (), None)

    @classmethod
    def _forked(
        cls, zygote: ZygoteProcess, role: str, children: list[Child], extra: Sequence[int], user: int | None
    ) -> list[Child]:
        descriptors = [descriptor for child in children for descriptor in (*child._theirs, *extra)]
        try:
            numbers = zygote.fork(role, descriptors, [child.slot for child in children], user)
        except BaseException:
            for child in children:
                child.close()
            raise
        finally:
            for child in children:
                for descriptor in child._theirs:
                    os.close(descriptor)
        for child, number in zip(children, numbers, strict=True):
            child.number = number
        return children

    def send(self, body: bytes) -> None:
        """Send one frame; a child that is gone, or does not read in time, is noticed by its end, not here."""
        try:
            self.channel.sendall(wire.frame(body))
        except (BrokenPipeError, ConnectionResetError, TimeoutError, BlockingIOError):
            return

    def close(self) -> None:
        """Close our ends; the channel may have been given away and closed before."""
        self.channel.close()
        os.close(self.stdout)
        os.close(self.stderr)


@dataclass(slots=True)
class Record:
    """Observations of one child."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    messages: int = 0
    ended: Ended | None = None


Handler = Callable[[reports.Report], bool]
"""Takes one report of a child; returns whether the run can be stopped."""


class Supervision:
    """One run of one or more children, the first of which is the program's.

    ``pending_exit``: the child whose last message ended the run, killed but not yet reaped; None in a run that saw all
    its children's ends. Its use of CPU and memory is read before it is killed, so that nothing waits for its end.
    """

    def __init__(self, zygote: ZygoteProcess, limits: Limits, memory: ResidentWatch | None = None) -> None:
        self._zygote = zygote
        self._memory = memory
        self._may_reap_later = zygote.shows_children and limits.processes == 1  # else others may have used more
        self._output_left = self._output_limit = limits.output_kb << 10
        self._started = time.monotonic()
        self._deadline = self._started + limits.wall_s
        self._poll = select.poll()
        self._poll.register(zygote.fileno(), select.POLLIN)
        self._sources: dict[int, Callable[[], bool]] = {}
        self._records: dict[int, Record] = {}
        self.cause: Cause = ""
        self.wall_s = 0.0
        self.extended_s = 0.0
        """Seconds that calls between a judge and a program took, which are not charged."""
        self.pending_exit: int | None = None

    def watch(self, child: Child, handler: Handler | None) -> Record:
        """Drain this child's output; give its messages to ``handler``, or leave its channel to somebody else."""
        record = self._records[child.number] = Record(ended=self._zygote.early_ends.pop(child.number, None))
        self._add(child.stdout, lambda: self._read_output(child.stdout, record.stdout))
        self._add(child.stderr, lambda: self._read_output(child.stderr, record.stderr))
        if handler is not None:
            frames, known = wire.FrameReader(self._output_limit), handler
            self._add(child.channel.fileno(), lambda: self._read_messages(child, frames, known, record))
        return record

    def run(self) -> None:
        """Until every child has ended and everything that it sent has been read, or there is nothing left to learn.

        Raises:
            ZygoteLostError: the zygote died or does not answer.
        """
        late = 0
        while self.pending_exit is None and (self._sources or any(r.ended is None for r in self._records.values())):
            left = self._deadline - time.monotonic()
            if left <= 0:
                if self.cause:
                    raise ZygoteLostError(f"the zygote did not end a child within {GRACE_S} s")
                if late < LATE_LOOKS and self._read_what_is_there(0):
                    late += 1
                else:
                    self._stop("timeout")
                continue
            if self._memory is not None and self.cause == "":
                left = min(left, self._memory.wait_s())
            self._read_what_is_there(left * 1000 + 1)
            if self._memory is not None and self.cause == "" and self._memory.is_over():
                self._stop("memory")
        if self.pending_exit is not None:  # its last output
            self._read_what_is_there(0)
        self.wall_s = time.monotonic() - self._started

    @property
    def counts_memory(self) -> bool:
        """Whether the program's resident size is its limit."""
        return self._memory is not None

    def extend(self, seconds: float) -> None:
        """Let the run take longer."""
        seconds = min(seconds, WIRE_MOST_S - self.extended_s)
        if self.cause == "" and seconds > 0:
            self.extended_s += seconds
            self._deadline += seconds

    @property
    def left_s(self) -> float:
        """Seconds until the program is late; 0 from then on."""
        return max(0.0, self._deadline - time.monotonic())

    def _read_what_is_there(self, timeout_ms: float) -> bool:
        """Whether there was anything."""
        ready = self._poll.poll(timeout_ms)
        for descriptor, _ in ready:
            if descriptor == self._zygote.fileno():
                self._note_end(self._zygote.read_ended())
            elif descriptor in self._sources and not self._sources[descriptor]():
                del self._sources[descriptor]
                self._poll.unregister(descriptor)
        return bool(ready)

    def _add(self, descriptor: int, read: Callable[[], bool]) -> None:
        self._sources[descriptor] = read
        self._poll.register(descriptor, select.POLLIN)

    def _note_end(self, ended: Ended) -> None:
        if ended.number in self._records and ended.number != self.pending_exit:
            self._records[ended.number].ended = ended
        else:
            self._zygote.early_ends[ended.number] = ended

    def _stop(self, cause: Cause) -> None:
        """Kill every child that has not ended; the first cause counts."""
        if self.cause and (self.cause, cause) != ("stopped", "output"):  # its output may be read last
            return
        self.cause = cause
        self._deadline = time.monotonic() + GRACE_S
        for number, record in self._records.items():
            if record.ended is None:
                self._zygote.kill(number)

    def _reap_later(self, child: Child, sender: int, record: Record) -> None:
        """Note the use of a child whose last message this was, and kill it, if it can be seen and is the only one.

        The number of a process may mean another one later: what is killed is the one that is open, a child of ours.
        """
        if not self._may_reap_later or len(self._records) > 1 or record.ended is not None:
            return
        try:
            process = os.pidfd_open(sender)
        except OSError:
            return
        try:
            used = usage.usage(sender, self._zygote.pid)
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except (OSError, ValueError):
            return
        finally:
            os.close(process)
        self.pending_exit = child.number
        record.ended = Ended(child.number, 0, *used)

    def _read_output(self, descriptor: int, kept: bytearray) -> bool:
        """Read a piece; whether there is more to come."""
        data = os.read(descriptor, _PIECE)
        self._count(len(data))
        if self.cause != "output":
            kept += data
        return bool(data)

    def _read_messages(self, child: Child, frames: wire.FrameReader, handler: Handler, record: Record) -> bool:
        try:
            data, attached, _, _ = child.channel.recvmsg(_PIECE, usage.SENDER_BYTES, socket.MSG_DONTWAIT)
        except ConnectionResetError:  # the child left something unread
            return False
        except BlockingIOError:  # what made it readable is gone: an out-of-band byte, which no frame has
            return True
        self._count(len(data))
        if self.cause == "":
            try:
                for body in frames.feed(data):
                    record.messages += 1
                    if handler(reports.read(body)):
                        self._reap_later(child, usage.sender(attached), record)
                        self._stop("stopped")
                        break
            except wire.FrameTooLongError:
                self._stop("output")
            except plain.TooDeepError:
                self._stop("deep")
            except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
                self._stop("forged")
        return bool(data)

    def _count(self, length: int) -> None:
        self._output_left -= length
        if self._output_left < 0:
            self._stop("output")
