"""Verdicts by content, for callers that meet the same program again and again; off unless a size is given."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable

from .verdict import Status, Verdict

REPEATABLE = frozenset(
    {Status.PASSED, Status.WRONG_ANSWER, Status.RUNTIME_ERROR, Status.COMPILE_ERROR, Status.FORBIDDEN}
)
"""Statuses that are kept: limits depend on the machine's load, and failures of the sandbox are not the program's."""


class VerdictCache:
    """The ``size`` verdicts used last. Invariant: never more entries than ``size``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._verdicts: OrderedDict[Hashable, Verdict] = OrderedDict()
        self.hits = 0

    def key(self, program: str, *conditions: Hashable) -> Hashable:
        """The inputs of a verdict: the program's content, and its suite, limits, language and options."""
        if not self._size:
            return None
        return hashlib.sha256(program.encode("utf-8", "surrogatepass")).digest(), *conditions

    def get(self, key: Hashable) -> Verdict | None:
        """The verdict, if it is kept."""
        verdict = self._verdicts.get(key) if self._size else None
        if verdict is not None:
            self.hits += 1
            self._verdicts.move_to_end(key)
        return verdict

    def put(self, key: Hashable, verdict: Verdict) -> None:
        """Keep a verdict that would be the same again."""
        if self._size and verdict.status in REPEATABLE:
            self._verdicts[key] = verdict
            self._verdicts.move_to_end(key)
            while len(self._verdicts) > self._size:
                self._verdicts.popitem(last=False)
