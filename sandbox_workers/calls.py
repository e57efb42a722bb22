"""Calls of a program's functions without tests, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from types import CodeType

from . import decoding, plain
from .cost import Json
from .inside import protocol, reports
from .limits import Limits
from .outcome import Tally, verdict
from .verdict import CallResult, Verdict
from .worker import Worker


class Calls:
    """Calls to make in one process, one after the other, and their results so far."""

    def __init__(self, calls: Sequence[CodeType | protocol.NamedCall], setup: CodeType | None = None) -> None:
        # copies: a list that one call changes is not the argument of another one
        self._tests = protocol.pack(protocol.ValueTests(setup, [[deepcopy(call)] for call in calls]))
        self._count = len(calls)
        self._results: list[CallResult | None] = []

    def run(self, program: str, limits: Limits, worker: Worker) -> Verdict:
        """Make the calls after the program; ``passed`` if each of them reported."""
        self._results = [None] * self._count
        run = worker.run(worker.compile(program, limits.wall_s), "values", self._tests, limits, False, self._take)
        tally = Tally(1)
        if None not in self._results:
            tally.succeed(0)
        return verdict(tally, run.cause, run.record, limits, run.wall_s)

    def results(self, outcome: Verdict) -> list[CallResult]:
        """The result of each call; the run's own error where it did not report."""
        missing = CallResult(False, error=outcome.error or outcome.status.value)
        return [result or missing for result in self._results or [None] * self._count]

    def _take(self, report: reports.Report) -> bool:
        match report:
            case reports.Value(index, [tree]):
                self._results[index] = _returned(tree)
            case reports.Raised(index, kind) if index < 0:
                self._results[:] = [CallResult(False, error=kind)] * self._count
            case reports.Raised(index, kind):
                self._results[index] = CallResult(False, error=kind)
        return isinstance(report, reports.Done)


def _returned(tree: Json) -> CallResult:
    try:
        return CallResult(True, decoding.decode(tree))
    except plain.NotPlainError:
        return CallResult(False, error=plain.NOT_PLAIN)
