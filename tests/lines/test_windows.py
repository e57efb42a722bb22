"""Ends by decoding short windows: the same as by decoding every prefix, in linear time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.lines import token_ends
from prl_ray.lines.windows import common_prefix, ends_by_decoding

PIECES = ["", " ", "a", "bc", "##d", "\n", "    ", "é".encode()[:1], "é".encode()[1:], b"\xff"]


def joined(ids: Sequence[int]) -> str:
    """Byte-level: bytes that are no text become U+FFFD."""
    return b"".join(p if isinstance(p, bytes) else p.encode() for p in (PIECES[i] for i in ids)).decode(
        errors="replace"
    )


def stripped(ids: Sequence[int]) -> str:
    """As SentencePiece: a blank at the start of a text is dropped."""
    return joined(ids).removeprefix(" ")


def word_pieces(ids: Sequence[int]) -> str:
    """Words are joined by blanks, except before ``##``."""
    return " ".join(p if isinstance(p, str) else "?" for p in (PIECES[i] for i in ids)).replace(" ##", "").strip()


def reversed_text(ids: Sequence[int]) -> str:
    """Not local at all: a later token changes everything before it."""
    return "".join(p for p in (PIECES[i] for i in reversed(ids)) if isinstance(p, str))


def by_prefixes(decode: Callable[[list[int]], str], ids: list[int], text: str) -> list[int]:
    ends = [common_prefix(decode(ids[:n]), text) for n in range(1, len(ids))]
    return np.maximum.accumulate([*ends, len(text)]).tolist()


@pytest.mark.parametrize("decode", [joined, stripped, word_pieces, reversed_text])
@given(ids=st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=40))
def test_windows_find_what_prefixes_find(decode: Callable[[list[int]], str], ids: list[int]) -> None:
    text = decode(ids)
    ends = ends_by_decoding(decode, [], ids, text)
    assert ends[-1] == len(text) and len(ends) == len(ids) and (np.diff(ends) >= 0).all()
    expected = by_prefixes(decode, ids, text)
    if decode is not reversed_text:
        assert ends.tolist() == expected


@given(
    before=st.lists(st.integers(1, 6), min_size=1, max_size=9),
    ids=st.lists(st.integers(0, 6), min_size=1, max_size=30),
)
def test_a_prompt_in_front_changes_nothing(before: list[int], ids: list[int]) -> None:
    text = joined([*before, *ids])[len(joined(before)) :]
    assert ends_by_decoding(joined, before, ids, text).tolist() == by_prefixes(joined, ids, text)


class Slow:
    """A tokenizer whose spellings say nothing about its text; it counts what it decodes."""

    def __init__(self) -> None:
        self.calls = self.decoded = 0

    def decode(self, ids: list[int], *, skip_special_tokens: bool = False) -> str:
        self.calls, self.decoded = self.calls + 1, self.decoded + len(ids)
        return word_pieces(ids)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"piece {i}" for i in ids]


def test_the_cost_is_linear_in_the_length() -> None:
    counts = {}
    for length in (512, 2048):
        tokenizer = Slow()
        ids = np.random.default_rng(0).integers(2, 5, length).tolist()
        ends = token_ends(tokenizer, ids)
        assert ends.tolist() == by_prefixes(word_pieces, ids, word_pieces(ids))
        counts[length] = tokenizer.calls, tokenizer.decoded
        assert tokenizer.calls <= 2 * length + 2 and tokenizer.decoded <= 12 * length
    assert counts[2048][1] <= 4.1 * counts[512][1]
