"""State of the process that tests set, carried to the program's process for the time of each call.

Tests in a process of their own may replace standard output by a ``StringIO`` (``redirect_stdout``), give standard input
in one, seed ``random``, set the environment and the working directory. The program runs each call under the same state.
Back come the text that it wrote and how far it read: a string for the tests' own ``StringIO`` and a position in it.
What cannot be carried exactly (streams of other kinds, a program that changes directory or environment itself) is
``NotCarriedError``: tests and program then share a process.
"""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH109
from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from . import protocol, reports

STDOUT, STDIN, SEED, ENVIRONMENT, DIRECTORY = "stdout", "stdin", "seed", "environment", "directory"
Seen = TypeVar("Seen")


class NotCarriedError(Exception):
    """Tests set, or the program changed, what has to be the same for both. ``by_program``: the program did."""

    def __init__(self, what: str, *, by_program: bool) -> None:
        super().__init__(what)
        self.by_program = by_program


class TestsState:
    """The tests' side. ``kinds``: the kinds of state that the text of the tests sets."""

    def __init__(self, kinds: list[str]) -> None:
        self._kinds = frozenset(kinds)
        self._streams = sys.stdout, sys.stdin
        self._seen: dict[str, object] = {ENVIRONMENT: dict(os.environ), DIRECTORY: os.getcwd()}

    def carry(self) -> protocol.Carry:
        """State for the program's process to set before a call.

        Raises:
            NotCarriedError: a stream is replaced by something else than a ``StringIO``, or the directory is gone.
        """
        given = _text(sys.stdin, self._streams[1], STDIN)
        stdin = None if given is None else (given.getvalue(), given.tell())
        captures = _text(sys.stdout, self._streams[0], STDOUT) is not None
        seed = self._changed(SEED, _random_state) if SEED in self._kinds else None
        environment = self._changed(ENVIRONMENT, lambda: dict(os.environ)) if ENVIRONMENT in self._kinds else None
        directory = self._changed(DIRECTORY, os.getcwd) if DIRECTORY in self._kinds else None
        return protocol.Carry(captures, stdin, seed, environment, directory)

    def _changed(self, kind: str, look: Callable[[], Seen]) -> Seen | None:
        try:
            now = look()
        except OSError:
            raise NotCarriedError(f"a lost {kind}", by_program=False) from None
        if now == self._seen.get(kind):
            return None
        self._seen[kind] = now
        return now

    def take(self, left: reports.Left) -> None:
        """Show the tests the program's output, and how much it read.

        Raises:
            NotCarriedError: the program changed what tests would see in one process.
            ValueError: an answer that only a forger gives.
        """
        if left.changed:
            raise NotCarriedError(f"a program that sets {left.changed[:50]}", by_program=True)
        if SEED in self._kinds and "random" in sys.modules:
            sys.modules["random"].seed()  # tests that seed again, by the same number perhaps, show by another state
            self._seen[SEED] = _random_state()
        if left.written:
            sys.stdout.write(left.written)
        given = _text(sys.stdin, self._streams[1], STDIN)
        if given is not None:
            if not 0 <= left.read_to <= len(given.getvalue()):
                raise ValueError("a position outside of standard input")
            given.seek(left.read_to)


def _text(stream: object, original: object, name: str) -> io.StringIO | None:
    """The text by which tests have replaced a stream, if they have."""
    if stream is original:
        return None
    if type(stream) is not io.StringIO or stream.closed:
        raise NotCarriedError(f"a replaced {name}", by_program=False)
    return stream


def _random_state() -> protocol.RandomState | None:
    """The state of the generator that tests seed."""
    module = sys.modules.get("random")
    return None if module is None else tuple(module.getstate())


class ProgramState:
    """The program's side: sets the carried state for one call, and reports the state after it."""

    def __init__(self, carry: protocol.Carry) -> None:
        """Set it.

        Raises:
            OSError: the directory cannot be entered.
        """
        self._before = sys.stdout, sys.stdin
        if carry.environment is not None:
            os.environ.clear()
            os.environ.update(carry.environment)
        if carry.directory is not None:
            os.chdir(carry.directory)
        if carry.seed is not None:
            importlib.import_module("random").setstate(carry.seed)
        self._written = io.StringIO() if carry.captures else None
        self._given: io.StringIO | None = None
        if carry.stdin is not None:
            text, position = carry.stdin
            self._given = io.StringIO(text)
            self._given.seek(position)
        sys.stdout, sys.stdin = self._written or sys.stdout, self._given or sys.stdin
        self._streams = sys.stdout, sys.stdin
        self._shown = _shown()

    def leave(self) -> reports.Left:
        """Put the streams back. Returns the call's changes of the state."""
        changed, written, read_to = "", "", 0
        if sys.stdout is not self._streams[0] or sys.stdin is not self._streams[1]:
            changed = "a stream"
        elif _shown() != self._shown:
            changed = "the environment or the directory"
        try:
            written = self._written.getvalue() if self._written is not None else ""
            read_to = self._given.tell() if self._given is not None else 0
        except ValueError:
            changed = "a stream that it closes"
        sys.stdout, sys.stdin = self._before
        return reports.Left(written, read_to, changed)


def _shown() -> tuple[dict[str, str], str]:
    return dict(os.environ), os.getcwd()
