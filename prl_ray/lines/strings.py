"""The end of a Python string literal, f-strings and t-strings with nested quotes included, on any Python version."""

from __future__ import annotations

import re
import sys

STRING_START = r"(?:\b(?P<prefix>(?i:[rbuft]|br|rb|fr|rf|tr|rt)))?(?P<quote>'''|\"\"\"|'|\")"
"""Pattern of a literal's prefix and opening quote."""

_MAX_NESTING = 150  # CPython's limit for nested f-strings
_FIELDS_SPAN_LINES = sys.version_info >= (3, 12)  # PEP 701: in a single-quoted f-string a field may hold a newline

_ESCAPE = r"\\(?:\r\n|[^{}])?"
_PLAIN = {
    quote: re.compile(
        rf"[^{quote[0]}\\]*+(?:(?:\\[\s\S]|{quote[0]}(?!{quote[0] * 2}))[^{quote[0]}\\]*+)*+{quote}"
        if len(quote) == 3
        else rf"[^{quote}\\\r\n]*+(?:\\(?:\r\n|[\s\S])[^{quote}\\\r\n]*+)*+{quote}"
    )
    for quote in ("'", '"', "'''", '"""')
}
_LITERAL = {
    quote: re.compile(rf"{quote}|{_ESCAPE}|\{{\{{|\{{" + (r"|[\r\n]" if len(quote) == 1 else "")) for quote in _PLAIN
}
_SPEC = {quote: re.compile(rf"{quote}|{_ESCAPE}|\{{|\}}" + (r"|[\r\n]" if len(quote) == 1 else "")) for quote in _PLAIN}
_FIELD = re.compile(rf"(?P<comment>#[^\r\n]*)|{STRING_START}|(?P<mark>[(\[{{)\]}}:\r\n])")


def string_end(text: str, start: re.Match[str], nesting: int = 0) -> int:
    """One past the closing quote of the literal that ``start`` opens; -1 if it never closes.

    ``start`` is a match of ``STRING_START``; ``nesting`` counts the replacement fields around it.
    """
    prefix, quote = start["prefix"] or "", start["quote"]
    if {"f", "t"} & set(prefix.lower()):
        return _formatted_end(text, start.end(), quote, nesting)
    end = _PLAIN[quote].match(text, start.end())
    return end.end() if end else -1


def _formatted_end(text: str, position: int, quote: str, nesting: int) -> int:
    while found := _LITERAL[quote].search(text, position):
        mark, position = found.group(), found.end()
        if mark == quote:
            return position
        if mark == "{":
            position = _field_end(text, position, quote, nesting + 1)
        elif mark in "\r\n":
            return -1
        if position < 0:
            return -1
    return -1


def _field_end(text: str, position: int, quote: str, nesting: int) -> int:
    """One past the ``}`` that closes the replacement field whose ``{`` ends at ``position``."""
    depth = 0
    while nesting <= _MAX_NESTING and (found := _FIELD.search(text, position)):
        mark, position = found["mark"], found.end()
        if found["quote"]:
            position = string_end(text, found, nesting)
        elif mark is None:  # a comment
            continue
        elif mark in "([{":
            depth += 1
        elif mark == ":" and depth == 0:
            return _spec_end(text, position, quote, nesting)
        elif mark == "}" and depth == 0:
            return position
        elif mark in ")]}":
            depth -= 1
        elif mark in "\r\n" and len(quote) == 1 and not _FIELDS_SPAN_LINES:
            return -1
        if position < 0 or depth < 0:
            return -1
    return -1


def _spec_end(text: str, position: int, quote: str, nesting: int) -> int:
    """The same for a format specification, from after its ``:``; it may contain fields."""
    while found := _SPEC[quote].search(text, position):
        mark, position = found.group(), found.end()
        if mark == "}":
            return position
        if mark == "{":
            position = _field_end(text, position, quote, nesting + 1)
        elif mark == quote or mark in "\r\n":
            return -1
        if position < 0:
            return -1
    return -1
