"""Console output of a run: a live view in a terminal, plain lines in a file.

In a terminal, long work has a progress bar, which is removed when the work is done; elsewhere it prints plain lines at
intervals. All other text is equal in both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from prl_ray.tracking.progress import Advance, Bars, duration, plain_progress
from prl_ray.tracking.samples import ScoredLine
from prl_ray.tracking.step_lines import StepLines

WIDTH = 120
"""Columns if the width is unknown (a file, a pipe)."""
HEADER = 72
"""Width of the rule in a stage's header."""


class Console:
    """Prints the progress of a run. All text is literal: no markup, no highlighting.

    Args:
        file: Output; standard output by default.
        terminal: Whether ``file`` is a terminal; detected by default.
        plain_interval_s: Without a terminal, minimum seconds between two progress lines.
    """

    def __init__(
        self, file: IO[str] | None = None, *, terminal: bool | None = None, plain_interval_s: float = 10.0
    ) -> None:
        file = file or sys.stdout
        if hasattr(file, "reconfigure"):
            file.reconfigure(errors="replace")  # A program's text must not stop the run if the locale is not UTF-8.
        plain = partial(RichConsole, file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._rich: RichConsole = plain(force_terminal=terminal)
        if not self._rich.is_terminal:
            self._rich = plain(force_terminal=False, width=WIDTH)
        self._ascii = self._rich.options.ascii_only
        self._plain_interval_s = plain_interval_s
        self._bars = Bars(self._rich)
        self._steps = StepLines()
        self._warned: set[str] = set()

    @property
    def is_terminal(self) -> bool:
        """Whether there is a live view."""
        return bool(self._rich.is_terminal)

    def banner(self, title: str, facts: Mapping[str, object]) -> None:
        """The header of a run, one fact per line: folder, model, dtype with its reason, devices."""
        self._print(Text(title, style="bold"))
        width = max((len(name) for name in facts), default=0)
        for name, value in facts.items():
            self._print(Text.assemble(("  " + name.ljust(width + 2), "dim"), str(value)))

    @contextmanager
    def stage(self, name: str, detail: str = "") -> Iterator[None]:
        """Prints a header before a stage, and its duration after it."""
        rule = f"── {name} ── {detail} " if detail else f"── {name} "
        self._print(Text("\n" + rule + "─" * max(3, HEADER - len(rule)), style="bold cyan"))
        self._steps = StepLines()
        start = time.monotonic()
        try:
            yield
        except BaseException as error:
            how = "interrupted" if isinstance(error, KeyboardInterrupt) else f"failed ({type(error).__name__})"
            self._print(Text(f"{name} {how} after {duration(time.monotonic() - start)}", style="bold red"))
            raise
        self._print(Text(f"{name} done in {duration(time.monotonic() - start)}", style="dim"))

    def skipped(self, name: str, why: str) -> None:
        """One line for a stage that is skipped."""
        self._print(Text(f"\n── {name} ── skipped: {why}", style="dim cyan"))

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """Long work: ``with console.progress("labelling", 400) as advance: advance(1, "12 killed")``.

        ``advance(n=1, note="")`` reports n more items; ``total`` is None if unknown. May be nested, and called from any
        thread.
        """
        if self.is_terminal:
            with self._bars.task(label, total) as advance:
                yield advance
        else:
            with plain_progress(self._plain, label, total, self._plain_interval_s) as advance:
                yield advance

    def step_line(self, metrics: Mapping[str, float | None]) -> None:
        """One aligned line for one PPO step; see :data:`prl_ray.tracking.step_lines.COLUMNS` for the metrics."""
        heading, line = self._steps.add(metrics)
        if heading:
            self._print(Text(heading, style="dim"))
        self._print(Text(line))

    def note(self, text: str) -> None:
        """One line of text."""
        self._print(Text(text))

    def text(self, line: Text) -> None:
        """One styled line."""
        self._print(line)

    def warn(self, text: str) -> None:
        """A warning; each text is printed only once."""
        if text not in self._warned:
            self._warned.add(text)
            self._print(Text(f"warning: {text}", style="yellow"))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; the first column is left-aligned, the others right. Floats show three digits."""
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
        for index, column in enumerate(columns):
            table.add_column(Text(column), justify="right" if index else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(f"{v:.3f}" if isinstance(v, float) else str(v)) for v in row))
        self._print(table)

    def program(self, task_id: str, lines: Sequence[ScoredLine], status: str = "") -> None:
        """A program with the score and the reward of each line before it; red is a low score, green a high one."""
        self._print(Text(f"{task_id}  {status}".rstrip(), style="bold"))
        self._print(Text(f"  {'score':>5} {'reward':>7}", style="dim"))
        for line in lines:
            score = "" if line.score is None else f"{line.score:.2f}"
            reward = "" if line.reward is None else f"{line.reward:+.3f}"
            numbers = f"  {score:>5} {reward:>7} │ "
            first, *rest = line.text.split("\n")
            self._print(Text.assemble((numbers, score_style(line.score)), first))
            for more in rest:
                self._print(Text(" " * (len(numbers) - 2) + "│ " + more))

    def _plain(self, text: str) -> None:
        self._print(Text(text))

    def _print(self, what: Text | Table) -> None:
        if self._ascii and isinstance(what, Text):
            what = what.copy()
            what.plain = what.plain.replace("─", "-").replace("│", "|")  # of equal length, so the styles stay in place
        self._rich.print(what)


def score_style(score: float | None) -> str:
    """Rich's style for a line's score in [0, 1]; grey for a line without one."""
    if score is None:
        return "dim"
    return "red" if score < 0.35 else "yellow" if score < 0.65 else "green"
