"""A scored program as JSON and as text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from rich.text import Text

from prl_ray.score.program import ScoredProgram, SourceLine
from prl_ray.tracking.console import score_style
from prl_ray.tracking.samples import END

DIGITS = 6
"""Digits of a score in JSON: the precision of float32."""


def as_json(program: ScoredProgram) -> dict[str, object]:
    """The object that ``--json`` prints. ``start`` and ``end`` count characters of the text with ``\\n`` line ends;
    ``mean`` and ``min`` include the end."""
    found: dict[str, object] = {
        "file": program.file,
        "lines": [asdict(line) | {"score": _rounded(line.score)} for line in program.lines],
        "end_score": _rounded(program.end_score),
        "mean": _rounded(program.mean),
        "min": _rounded(program.min),
        "first_error": program.first_error,
        "model": program.model,
    }
    return found if program.orm_score is None else found | {"orm_score": _rounded(program.orm_score)}


def summary(program: ScoredProgram) -> str:
    """One line about the whole program."""
    words = f"mean {program.mean:.2f}, min {program.min:.2f}, end {program.end_score:.2f}"
    if program.orm_score is not None:
        words += f", whole program (ORM) {program.orm_score:.2f}"
    if program.first_error is not None:
        words += f"; line {program.first_error} is the first below {program.theta:g}"
    return words


def source_rows(program: ScoredProgram) -> Iterator[tuple[int, SourceLine | None, str]]:
    """``(physical line number, the statement line it belongs to, source text)``; None for blank lines."""
    starting = {line.line: line for line in program.lines}
    current: SourceLine | None = None
    position = 0
    for number, text in enumerate(program.program.split("\n") if program.program else [], 1):
        current = starting.get(number, current)
        yield number, current if current and position < current.end else None, text
        position += len(text) + 1


def terminal_lines(program: ScoredProgram) -> Iterator[Text]:
    """Number, score and source of each line; a statement's score is at its first line."""
    yield Text(program.file, style="bold")
    for number, line, text in source_rows(program):
        first = line is not None and line.line == number
        score = line.score if line is not None else None
        yield _row(str(number), score if first else None, text, score_style(score))
    yield _row("", program.end_score, END, score_style(program.end_score))
    yield Text(summary(program))


def _row(number: str, score: float | None, text: str, style: str) -> Text:
    shown = "" if score is None else f"{score:.2f}"
    return Text.assemble((f"{number:>5}  ", "dim"), (f"{shown:>4}", style), (" │ ", "dim"), (_printable(text), style))


def _printable(text: str) -> str:
    """Replaces control characters, which would affect the terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, DIGITS)
