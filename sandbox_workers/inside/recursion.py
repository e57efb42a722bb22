"""The recursion limit: the program's own, and ours for values that are nested deeply."""

from __future__ import annotations

import sys

OWN_FRAMES = 12
"""Frames of ours below the program's first, added to the recursion limit so that the program has all of it."""
_DEEP = 6000
"""Frames for encoding and decoding: about 1,500 levels, and no more of the C stack than there is."""
_MOST = (1 << 31) - 1
_of_program = 0
"""The limit to restore."""
_get, _set = sys.getrecursionlimit, sys.setrecursionlimit


def hide_own_frames() -> None:
    """Add our frames to the limit, and let the program see its own limit only."""
    _set(_get() + OWN_FRAMES)
    sys.getrecursionlimit = getrecursionlimit
    sys.setrecursionlimit = setrecursionlimit


def getrecursionlimit() -> int:
    """Return the current value of the recursion limit."""
    limit = _get()
    return limit if limit == _MOST else limit - OWN_FRAMES


def setrecursionlimit(limit: int, /) -> None:
    """Set the maximum depth of the Python interpreter stack."""
    _set(min(limit + OWN_FRAMES, _MOST) if isinstance(limit, int) and 0 < limit <= _MOST else limit)


def allow_deep() -> None:
    """Let values be nested as deeply as programs nest them, until ``restore``."""
    global _of_program
    _of_program = _get()
    _set(max(_of_program, _DEEP))


def restore() -> None:
    """Give the program its limit back."""
    _set(_of_program)
