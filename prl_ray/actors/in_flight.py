"""Weights in flight: they come while an engine samples, which loads them between two of its steps.

Two threads of a ``Generator`` take part. The one of the concurrency group ``WEIGHTS`` brings the weights near, puts
them into the mailbox and waits. The one of all other calls is the only one that touches the engine: it looks into the
mailbox before every step, and where nothing is sampled a call of its own (``Generator.settle``) does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from prl_ray.actors.weights import SentWeights, Served

WEIGHTS = "weights"
"""Name of the concurrency group in which engines receive weights."""


@dataclass(frozen=True, slots=True)
class Mail:
    """Weights that wait to be loaded."""

    sent: SentWeights
    served: Future[Served] = field(default_factory=Future)

    def answer(self, load: Callable[[SentWeights], Served]) -> None:
        """Loads them, and gives the waiting thread the served version or the error."""
        try:
            served = load(self.sent)
        except Exception as error:
            self.served.set_exception(error)
        else:
            self.served.set_result(served)


class Mailbox:
    """Weights in the order in which they came. One thread puts, another takes."""

    def __init__(self) -> None:
        self._mails: SimpleQueue[Mail] = SimpleQueue()

    def put(self, sent: SentWeights) -> Future[Served]:
        """Puts weights in. The result comes when another thread has loaded them."""
        mail = Mail(sent)
        self._mails.put(mail)
        return mail.served

    def taken(self) -> Iterator[Mail]:
        """Takes out all entries, one after the other."""
        while True:
            try:
                mail = self._mails.get_nowait()
            except Empty:
                return
            yield mail
