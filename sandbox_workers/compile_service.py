"""Compiles programs in a jailed process of their own, which is started again when a program brings it down."""

from __future__ import annotations

import socket
import struct
import time

from . import plain, wire
from .inside.compiler import CODE
from .supervise import GRACE_S, Child
from .zygote_process import ZygoteProcess

LEAST_S = 1.0
"""A program may be compiled for as long as it may run, but at least this long: it says nothing of how it runs."""
LARGE_SOURCE = 1 << 18
"""Source after which the compiler is started anew: what it took for it would count as the next programs' memory."""
MAX_CODE_BYTES = 64 << 20
_TRIES = 2
_PIECE = 1 << 16
"""Bytes read at once: for larger blocks the C library asks the kernel for memory each time."""
_TIMEVAL = struct.Struct("ll")


class CompileFailure(Exception):  # noqa: N818 - the program's failure, not ours
    """The program does not compile: ``kind`` of error, ``line``, and the message."""

    def __init__(self, kind: str, line: int | None, message: str) -> None:
        super().__init__(message)
        self.kind, self.line = kind, line


class CompileTimeout(CompileFailure):
    """The program was not compiled in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__("CompileTimeout", None, f"not compiled within {seconds:g} s")


class CompileService:
    """One jailed compiler of one zygote."""

    def __init__(self, zygote: ZygoteProcess) -> None:
        self._zygote = zygote
        self._child: Child | None = None
        self._waits_s = 0.0

    def compile(self, program: str, wall_s: float) -> bytes:
        """Marshalled code of the program, never to be read outside the jail.

        Raises:
            CompileFailure: the compiler refuses it, or came down over it twice, or was not ready in time.
            ZygoteLostError: the zygote is gone.
        """
        source = program.encode("utf-8", "surrogatepass")
        seconds = max(wall_s, LEAST_S)
        for _ in range(_TRIES):
            try:
                answer = self._ask(source, seconds)
            except TimeoutError:
                self._reap()
                raise CompileTimeout(seconds) from None
            if answer is None or len(source) > LARGE_SOURCE:
                self._reap()
            if answer is not None:
                break
        else:
            raise CompileFailure("CompilerCrash", None, "the compiler came down over this program")
        if answer[:1] == CODE:
            return answer[1:]
        match plain.loads(answer[1:]):
            case [str(kind), (int() | None) as line, str(message)]:
                raise CompileFailure(kind, line, message)
        raise CompileFailure("CompilerCrash", None, "the compiler said what it never says")

    def close(self) -> None:
        """End the compiler."""
        if self._child is not None:
            self._zygote.kill_quietly(self._child.number)
            self._child.close()
            self._child = None

    def _reap(self) -> None:
        """Have the zygote confirm the compiler's end: else it is the zygote that came down, and no fault of the
        program.
        """
        if self._child is not None:
            number = self._child.number
            self.close()
            self._zygote.await_end(number, GRACE_S)

    def _ask(self, source: bytes, seconds: float) -> bytes | None:
        """The answer; None if the compiler ended.

        Raises:
            TimeoutError: it took too long.
        """
        if self._child is None:
            self._child = Child.fork(self._zygote, "compile")
            self._waits_s = 0.0
        channel = self._child.channel
        if seconds != self._waits_s:
            self._waits_s = seconds
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # the kernel's: Python's own cost a poll for each
                channel.setsockopt(socket.SOL_SOCKET, option, _timeval(seconds))
        deadline = time.monotonic() + seconds
        frames = wire.FrameReader(MAX_CODE_BYTES)
        try:
            self._child.send(source)
            while data := channel.recv(_PIECE):
                for answer in frames.feed(data):
                    return answer
                if time.monotonic() > deadline:
                    raise TimeoutError
        except BlockingIOError:
            raise TimeoutError from None
        except (ConnectionResetError, ValueError):
            pass
        return None


def _timeval(seconds: float) -> bytes:
    """Seconds as the kernel takes them for a socket's timeout, where zero would be none."""
    return _TIMEVAL.pack(int(seconds), max(1, int(seconds % 1 * 1e6)))
