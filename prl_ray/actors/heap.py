"""Memory that a process has freed goes back to the system.

glibc keeps freed blocks of up to 32 MB in its heap. Micro-batches of ever other lengths leave holes there that the next
ones do not fit, and with small blocks above them the heap never shrinks: the resident memory of a learner without a GPU
grows over a run, though most of it is free.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def releasing(method: Callable[P, T]) -> Callable[P, T]:
    """Gives free memory back after each call of a function, such as a training step."""

    @wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        finally:
            release_free_memory()

    return called


def release_free_memory() -> bool:
    """Gives the free pages of the heap back, which takes milliseconds. False where the C library cannot."""
    trim = _malloc_trim()
    if trim is None:
        return False
    trim(0)
    return True


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's function; other C libraries have none."""
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
