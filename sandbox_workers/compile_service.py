"""Compiles programs in a jailed process of their own, which is started again when a program brings it down."""

from __future__ import annotations

import time

from . import plain, wire
from .inside.compiler import CODE
from .supervise import GRACE_S, Child
from .zygote_process import ZygoteProcess

TIMEOUT_S = 10.0
MAX_CODE_BYTES = 64 << 20
_TRIES = 2


class CompileFailure(Exception):  # noqa: N818 - the program's failure, not ours
    """The program does not compile: ``kind`` of error, ``line``, and the message."""

    def __init__(self, kind: str, line: int | None, message: str) -> None:
        super().__init__(message)
        self.kind, self.line = kind, line


class CompileService:
    """One jailed compiler of one zygote."""

    def __init__(self, zygote: ZygoteProcess) -> None:
        self._zygote = zygote
        self._child: Child | None = None

    def compile(self, program: str) -> bytes:
        """Marshalled code of the program, never to be read outside the jail.

        Raises:
            CompileFailure: the compiler refuses it, or came down over it twice.
            ZygoteLostError: the zygote is gone.
        """
        source = program.encode("utf-8", "surrogatepass")
        for _ in range(_TRIES):
            answer = self._ask(source)
            if answer is not None:
                break
            self._bury()
        else:
            raise CompileFailure("CompilerCrash", None, "the compiler came down over this program")
        if answer[:1] == CODE:
            return answer[1:]
        kind, line, message = plain.loads(answer[1:])
        raise CompileFailure(kind, line, message)

    def close(self) -> None:
        """End the compiler."""
        if self._child is not None:
            self._zygote.kill_quietly(self._child.number)
            self._child.close()
            self._child = None

    def _bury(self) -> None:
        """Have the zygote confirm the compiler's end: else it is the zygote that came down, and no fault of the
        program.
        """
        if self._child is not None:
            number = self._child.number
            self.close()
            self._zygote.await_end(number, GRACE_S)

    def _ask(self, source: bytes) -> bytes | None:
        """The answer; None if the compiler ended, or took too long."""
        if self._child is None:
            self._child = Child(self._zygote, "compile")
        channel = self._child.channel
        channel.settimeout(TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        frames = wire.FrameReader(MAX_CODE_BYTES)
        try:
            self._child.send(source)
            while time.monotonic() < deadline and (data := channel.recv(1 << 18)):
                for answer in frames.feed(data):
                    return answer
        except (TimeoutError, ConnectionResetError, ValueError):
            pass
        return None
