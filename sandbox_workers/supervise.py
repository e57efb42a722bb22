"""Watches the children of one run: drains what they print, reads what they report, ends them in time."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from . import plain, wire
from .zygote_process import Ended, ZygoteLostError, ZygoteProcess

GRACE_S = 2.0
"""How long a zygote may take to report the end of a child that it was asked to kill."""
_PIECE = 1 << 16

Cause = Literal["", "timeout", "output", "forged", "stopped"]
"""Why we ended a run: limits, a channel that holds something else than messages, or nothing left to learn."""


class Child:
    """The parent's ends of one child: its channel, and pipes from its standard output and error."""

    def __init__(self, zygote: ZygoteProcess, role: str, extra: Sequence[int] = ()) -> None:
        self.channel, theirs = socket.socketpair()
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        try:
            self.number = zygote.fork(role, (theirs.fileno(), out, err, *extra))
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()
            os.close(out)
            os.close(err)

    def send(self, body: bytes) -> None:
        """Send one frame; a child that is gone, or does not read in time, is noticed by its end, not here."""
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            self.channel.sendall(wire.frame(body))

    def close(self) -> None:
        """Close our ends; the channel may have been given away and closed before."""
        self.channel.close()
        os.close(self.stdout)
        os.close(self.stderr)


@dataclass(slots=True)
class Record:
    """What was seen of one child."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    messages: int = 0
    ended: Ended | None = None


Handler = Callable[[list[Any]], bool]
"""Takes one message of a child; returns whether the run can be stopped."""


class Supervision:
    """One run of one or more children, the first of which is the program's."""

    def __init__(self, zygote: ZygoteProcess, wall_s: float, output_bytes: int) -> None:
        self._zygote = zygote
        self._output_left = output_bytes
        self._output_limit = output_bytes
        self._started = time.monotonic()
        self._deadline = self._started + wall_s
        self._poll = select.poll()
        self._poll.register(zygote.fileno(), select.POLLIN)
        self._sources: dict[int, Callable[[], bool]] = {}
        self._records: dict[int, Record] = {}
        self.cause: Cause = ""
        self.wall_s = 0.0

    def watch(self, child: Child, handler: Handler | None) -> Record:
        """Drain this child's output; give its messages to ``handler``, or leave its channel to somebody else."""
        record = self._records[child.number] = Record(ended=self._zygote.early_ends.pop(child.number, None))
        self._add(child.stdout, lambda: self._read_output(child.stdout, record.stdout))
        self._add(child.stderr, lambda: self._read_output(child.stderr, record.stderr))
        if handler is not None:
            frames, known = wire.FrameReader(self._output_limit), handler
            self._add(
                child.channel.fileno(), lambda: self._read_messages(child.channel.fileno(), frames, known, record)
            )
        return record

    def run(self) -> None:
        """Until every child has ended and everything that it sent has been read.

        Raises:
            ZygoteLostError: the zygote died or does not answer.
        """
        while self._sources or any(record.ended is None for record in self._records.values()):
            left = self._deadline - time.monotonic()
            if left <= 0:
                if self.cause:
                    raise ZygoteLostError(f"the zygote did not end a child within {GRACE_S} s")
                self._stop("timeout")
                continue
            for descriptor, _ in self._poll.poll(left * 1000 + 1):
                if descriptor == self._zygote.fileno():
                    self._note_end(self._zygote.read_ended())
                elif descriptor in self._sources and not self._sources[descriptor]():
                    del self._sources[descriptor]
                    self._poll.unregister(descriptor)
        self.wall_s = time.monotonic() - self._started

    def _add(self, descriptor: int, read: Callable[[], bool]) -> None:
        self._sources[descriptor] = read
        self._poll.register(descriptor, select.POLLIN)

    def _note_end(self, ended: Ended) -> None:
        if ended.number in self._records:
            self._records[ended.number].ended = ended
        else:
            self._zygote.early_ends[ended.number] = ended

    def _stop(self, cause: Cause) -> None:
        """Kill every child that has not ended; the first cause counts."""
        if self.cause:
            return
        self.cause = cause
        self._deadline = time.monotonic() + GRACE_S
        for number, record in self._records.items():
            if record.ended is None:
                self._zygote.kill(number)

    def _read_output(self, descriptor: int, kept: bytearray) -> bool:
        """Read a piece; whether there is more to come."""
        data = os.read(descriptor, _PIECE)
        self._count(len(data))
        if self.cause != "output":
            kept += data
        return bool(data)

    def _read_messages(self, descriptor: int, frames: wire.FrameReader, handler: Handler, record: Record) -> bool:
        try:
            data = os.read(descriptor, _PIECE)
        except ConnectionResetError:  # the child left something unread
            return False
        self._count(len(data))
        if self.cause == "":
            try:
                for body in frames.feed(data):
                    record.messages += 1
                    if handler(plain.loads(body)):
                        self._stop("stopped")
                        break
            except wire.FrameTooLongError:
                self._stop("output")
            except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
                self._stop("forged")
        return bool(data)

    def _count(self, length: int) -> None:
        self._output_left -= length
        if self._output_left < 0:
            self._stop("output")
