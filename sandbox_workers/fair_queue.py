"""A bounded queue that serves its clients in turn, whatever the number of requests that each of them has waiting."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FullError(Exception):
    """The queue is full, and this client has no less waiting than the others."""


class FairQueue(Generic[Item]):
    """At most ``size`` items wait. Thread-safe.

    ``get`` takes the oldest item of the client whose turn it is. Where the queue is full, a client that has more
    waiting than the one that comes loses its newest item to it. Invariant: no client in ``_waiting`` has an empty line.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()
        self._count = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._count

    @property
    def clients(self) -> int:
        """Clients that have something waiting."""
        return len(self._waiting)

    def put(self, client: str, item: Item) -> Item | None:
        """Add an item; the item of another client that had to make room for it, or None.

        Raises:
            FullError: there is no room, or the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise FullError
            lost = self._make_room(client) if self._count >= self.size else None
            self._waiting.setdefault(client, deque()).append(item)
            self._count += 1
            self._changed.notify()
            return lost

    def get(self) -> Item | None:
        """The next item; waits for one. None when the queue is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            client, line = next(iter(self._waiting.items()))
            item = line.popleft()
            self._count -= 1
            if line:
                self._waiting.move_to_end(client)  # its next one after the others'
            else:
                del self._waiting[client]
            return item

    def remove(self, client: str, item: Item) -> bool:
        """Take back an item that has not been taken by ``get``; whether it was still waiting."""
        with self._changed:
            line = self._waiting.get(client, deque())
            if item not in line:
                return False
            self._drop(client, item)
            return True

    def close(self) -> list[Item]:
        """Wake every caller of ``get``; returns the items that were still waiting."""
        with self._changed:
            self._closed = True
            left = [item for line in self._waiting.values() for item in line]
            self._waiting.clear()
            self._count = 0
            self._changed.notify_all()
            return left

    def _make_room(self, client: str) -> Item:
        longest = max(self._waiting, key=lambda name: len(self._waiting[name]))
        if len(self._waiting[longest]) <= len(self._waiting.get(client, ())) + 1:
            raise FullError
        item = self._waiting[longest][-1]
        self._drop(longest, item)
        return item

    def _drop(self, client: str, item: Item) -> None:
        self._waiting[client].remove(item)
        self._count -= 1
        if not self._waiting[client]:
            del self._waiting[client]
