"""The work slots of one zygote: which child is in which, and children that were forked before they have a job."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .inside.protocol import MAX_FORKS
from .supervise import GRACE_S, Child
from .zygote_process import ZygoteProcess

SPARES = 2
"""Children at least that wait for their program: one prepares itself while the other, ready already, is given one."""


class WorkSlots:
    """Makes children, each in a slot of which nothing is left of the program before. Not thread-safe."""

    def __init__(self, zygote: ZygoteProcess) -> None:
        self._zygote = zygote
        self._spares: deque[Child] = deque()
        self._ending: dict[int, int] = {}  # slot -> child that is ending there
        self._turn = 0

    def child(self, role: str, extra: Sequence[int] = ()) -> Child:
        """A child in a clear slot."""
        slot = self._next()
        self.clear(slot)
        return Child.fork(self._zygote, role, extra, slot)

    def spare(self, role: str) -> Child:
        """A child of the role that spares have: one of them, if there is any, in a slot that is clear now."""
        if not self._spares:
            return self.child(role)
        self.clear(self._spares[0].slot)
        return self._spares.popleft()

    def fill_spares(self, role: str) -> None:
        """Fork children for the next programs, several at once: after each, written pages of the zygote are copied."""
        if len(self._spares) < SPARES:
            self._spares += Child.fork_several(self._zygote, role, [self._next() for _ in range(MAX_FORKS)])

    def end_later(self, slot: int, number: int) -> None:
        """Note that a child was killed and has still to end: its slot is cleared when it is needed."""
        self._ending[slot] = number

    def clear(self, slot: int) -> None:
        """From here on nothing is left in this slot of the program before: neither its process nor its files."""
        if (number := self._ending.pop(slot, None)) is not None:
            self._zygote.await_end(number, GRACE_S)

    def close(self) -> None:
        """Let go of the spares."""
        while self._spares:
            self._spares.pop().close()

    def _next(self) -> int:
        self._turn = (self._turn + 1) % self._zygote.slots
        return self._turn
