"""Line ↔ token alignment: the characters that each token completes, and the token that holds each line's last
character."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prl_ray.lines.segment import Line
from prl_ray.lines.windows import ends_by_decoding

_BYTE = re.compile("<0x[0-9A-Fa-f]{2}>")


class Tokenizer(Protocol):
    """The common interface of tokenizers of ``transformers`` and ``tokenizers``. The spelling of an id comes from
    ``convert_ids_to_tokens`` or ``id_to_token``."""

    def decode(self, ids: list[int], *, skip_special_tokens: bool = ...) -> str:
        """The text of ids."""
        ...


def text_behind(
    tokenizer: Tokenizer, prompt: Sequence[int], tokens: Sequence[int], *, skip_special_tokens: bool = False
) -> str:
    """The text that ``tokens`` add to the text of ``prompt``. An empty prompt gives ``tokenizer.decode(tokens)``.

    Some tokenizers (SentencePiece style) drop a leading blank of every text that they decode, so a response is decoded
    differently after its prompt than alone. When such a tokenizer decodes bytes that are not UTF-8, it replaces whole
    runs of them, newlines and bytes of the prompt included; here only the ill-formed bytes become U+FFFD.

    Raises ``ValueError`` if the prompt's own text depends on the tokens that follow.
    """
    before = [int(t) for t in prompt]
    text: str = tokenizer.decode([*before, *map(int, tokens)], skip_special_tokens=skip_special_tokens)
    if not before:
        return text
    head = tokenizer.decode(before, skip_special_tokens=skip_special_tokens)
    if "\ufffd" in text[len(head) - 1 :] or not text.startswith(head):
        spellings = _spellings(tokenizer, tokens)
        if any(spelling and _BYTE.fullmatch(spelling) for spelling in spellings):
            return b"".join(map(_marked_piece, spellings)).decode("utf-8", "replace")
    if not text.startswith(head):
        raise ValueError("the tokenizer decodes a prompt differently if text follows it")
    return text[len(head) :]


def token_ends(
    tokenizer: Tokenizer, tokens: Sequence[int], *, behind: Sequence[int] = (), skip_special_tokens: bool = False
) -> NDArray[np.int64]:
    """Characters of ``text_behind(tokenizer, behind, tokens)`` that are complete after each token, int64 ``[tokens]``,
    non-decreasing.

    ``tokenizer`` is one of ``transformers`` or ``tokenizers``. A character that is split over several tokens is
    complete at the token that holds its last byte. With ``skip_special_tokens`` the text is decoded without special
    tokens, which then complete nothing. For byte-level BPE and SentencePiece style the ends come from the tokens'
    spellings; other tokenizers decode a short window at each token.

    As in decoding, each maximal ill-formed run of bytes is one U+FFFD, complete at its last byte.
    """
    ids = [int(t) for t in tokens]
    if not ids:
        return np.zeros(0, np.int64)
    text = text_behind(tokenizer, behind, ids, skip_special_tokens=skip_special_tokens)
    before = [int(t) for t in behind]
    for pieces in _pieces(tokenizer, ids):
        joined = b"".join(pieces).decode("utf-8", "replace")
        if joined == text:
            return _complete_characters(pieces)
        if joined == " " + text and pieces[0].startswith(b" "):  # the blank that is dropped at the start of a text
            return _complete_characters([pieces[0][1:], *pieces[1:]])
    return ends_by_decoding(partial(tokenizer.decode, skip_special_tokens=skip_special_tokens), before, ids, text)


def line_end_tokens(
    ends: NDArray[np.integer], lines: Sequence[Line], offset: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Token that holds the last character of each line of a program ``prefix + response``.

    Args:
        ends: ``token_ends`` of the response, ``[tokens]``.
        lines: ``segment`` of the whole program.
        offset: length of the prefix, in characters. Lines that end inside it do not belong to the response.

    Returns:
        (``int32 [kept]`` index of the token, in line order, non-decreasing; ``bool [lines]`` which lines were kept).
        Short lines may share a token.

    Raises:
        ValueError: a line ends after the last token, so ``ends`` and ``lines`` are not of the same text.
    """
    line_ends = np.array([line.end for line in lines], np.int64) - offset
    keep = line_ends > 0
    kept = line_ends[keep]
    complete = int(ends[-1]) if len(ends) else 0
    if len(kept) and kept[-1] > complete:
        raise ValueError(
            f"a line ends at character {kept[-1]} of the response, whose tokens hold {complete} characters: "
            "the program is not prefix + text_behind(tokenizer, prompt, tokens)"
        )
    return np.searchsorted(ends, kept, side="left").astype(np.int32), keep


@cache
def _byte_of() -> dict[str, int]:
    """The byte for each character of a byte-level BPE token (the alphabet of GPT-2: printable bytes stand for
    themselves, the others for the characters from U+0100 on)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}


def _pieces(tokenizer: Tokenizer, ids: list[int]) -> Iterator[list[bytes]]:
    """Candidates for each token's bytes, from its spelling; the caller checks them against the text."""
    spellings = _spellings(tokenizer, ids)
    known = [spelling for spelling in spellings if spelling is not None]
    if len(known) < len(spellings):  # an id without a spelling
        return
    alphabet = _byte_of()
    with suppress(KeyError):  # a character that byte-level BPE does not spell with
        yield [bytes(alphabet[c] for c in spelling) for spelling in known]
    yield [_marked_piece(spelling) for spelling in known]


def _spellings(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[str | None]:
    ids = [int(t) for t in tokens]
    convert = getattr(tokenizer, "convert_ids_to_tokens", None)
    if convert is not None:
        return list(convert(ids))
    spell: Callable[[int], str | None] = getattr(tokenizer, "id_to_token")  # noqa: B009  # of `tokenizers` only
    return [spell(i) for i in ids]


def _marked_piece(spelling: str | None) -> bytes:
    """A SentencePiece-style token: a byte spelt ``<0x0A>``, or text with U+2581 for blanks."""
    if spelling is None:  # an id of a padded head, beyond the vocabulary
        return b""
    if _BYTE.fullmatch(spelling):
        return bytes([int(spelling[3:5], 16)])
    return spelling.replace("\u2581", " ").encode("utf-8", "surrogatepass")


def _complete_characters(pieces: list[bytes]) -> NDArray[np.int64]:
    data = b"".join(pieces)
    character_ends = _character_ends(data)
    byte_ends = np.cumsum([len(piece) for piece in pieces])
    return np.searchsorted(character_ends, byte_ends, side="right").astype(np.int64)


def _character_ends(data: bytes) -> NDArray[np.int64]:
    """Byte index one past each character of ``data.decode("utf-8", "replace")``."""
    is_end = np.zeros(len(data), bool)
    position = 0
    while position < len(data):
        good, bad = _first_ill_formed(data[position:])
        starts = np.frombuffer(data, np.uint8, good, position) & 0xC0 != 0x80
        is_end[position : position + good] = np.append(starts[1:], True)[:good]
        position += bad
        is_end[position - 1] = True
    return np.flatnonzero(is_end) + 1


def _first_ill_formed(data: bytes) -> tuple[int, int]:
    """Start and end of the first run of bytes that is not UTF-8; the length, twice, if there is none."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start, error.end
    return len(data), len(data)
