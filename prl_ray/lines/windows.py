"""The token that completes each character, for tokenizers that are known only by their decoding.

Decoding every prefix takes quadratic time. Most decoders are local: what a token adds to the text depends on a few
tokens before it. So a short window is decoded with and without each token, and the added text is compared with the
whole text. If the two disagree, the window is widened, at worst to the whole prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 4
"""Tokens before the new ones, in the first window."""


def ends_by_decoding(
    decode: Callable[[list[int]], str], before: Sequence[int], tokens: Sequence[int], text: str
) -> NDArray[np.int64]:
    """Characters of ``text`` that are complete after each of ``tokens``. ``[tokens]``, non-decreasing.

    ``text`` is the text that the tokens add after ``before``. A character is complete at the first token after which
    decoding gives the same character as the whole text.
    """
    ids = [*before, *tokens]
    read, width, done = len(before), WIDTH, 0
    ends = []
    for n in range(len(before) + 1, len(ids) + 1):
        while True:
            start = max(0, read - width)
            head, window = decode(ids[start:read]) if read > start else "", decode(ids[start:n])
            added = window[len(head) :]
            agrees = window.startswith(head) and text.startswith(added, done)
            if agrees or start == 0 or added.endswith("\ufffd"):
                break
            width *= 2
        ends.append(done + common_prefix(added, text[done : done + len(added)]))
        if agrees and not added.endswith("\ufffd"):
            read, done = n, ends[-1]
    return np.maximum.accumulate(np.array([*ends[:-1], len(text)], np.int64))


def common_prefix(a: str, b: str) -> int:
    """Length of the common prefix."""
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    return next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
