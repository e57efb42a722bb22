"""Scored programs as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from prl_ray.score.program import ScoredProgram
from prl_ray.score.views import source_rows, summary
from prl_ray.tracking.samples import END

STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }
.problem { white-space: pre-wrap; }
table { border-collapse: collapse; font-family: ui-monospace, monospace; font-size: 0.9em; }
td { padding: 0.1em 0.7em; vertical-align: top; }
td.number, td.score { text-align: right; opacity: 0.75; }
td.code { white-space: pre; width: 100%; tab-size: 4; }
tr.neutral { opacity: 0.55; }
"""


def page(programs: Sequence[ScoredProgram], prompt: str) -> str:
    """The page: the problem, then each program with the score of each line as number and background colour."""
    model = escape(programs[0].model) if programs else ""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Line scores</title>',
        f"<style>{STYLE}</style></head><body>",
        f'<h1>Line scores</h1>\n<p class="problem">{escape(prompt)}</p>',
        *(_section(program) for program in programs),
        "<p>Each score is the probability that its line is right if all lines before it are; red is low, green is "
        f"high, grey lines are not scored. Model: {model}</p>\n</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(program: ScoredProgram) -> str:
    rows = []
    for number, line, text in source_rows(program):
        first = line is not None and line.line == number
        rows.append(_row(str(number), line.score if line is not None else None, text, first))
    rows.append(_row("", program.end_score, END, True))
    head = f"<h2>{escape(program.file)}</h2>\n<p>{escape(summary(program))}</p>"
    return f"{head}\n<table>\n" + "\n".join(rows) + "\n</table>"


def _row(number: str, score: float | None, text: str, first: bool) -> str:
    shown = f"{score:.2f}" if first and score is not None else ""
    look = ' class="neutral"' if score is None else f' style="background: {_colour(score)}"'
    cells = f'<td class="number">{number}</td><td class="score">{shown}</td><td class="code">{escape(text)}</td>'
    return f"<tr{look}>{cells}</tr>"


def _colour(score: float) -> str:
    """From red (0) to green (1), light enough for text in either colour scheme."""
    return f"hsl({round(120 * score)} 80% 50% / 0.25)"
