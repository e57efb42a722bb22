"""The other side of a comparison: a child process that works only on request.

The child prints one line ``RESULT {json}`` when it is ready and one for each question; everything else that it prints
comes from its libraries. Parent and child never work at the same time: each waits for the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

MARK = "RESULT "


class Side:
    """A child process that answers questions with figures. ``ready`` holds its first answer, after its start."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as noise:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                env={"OMP_NUM_THREADS": str(os.cpu_count() or 1), **os.environ, **(env or {})},
            )
        self.ready = self._answer()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a question and waits for its figures."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(dict(question)) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the child."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line[len(MARK) :])
                return answer
        code = self._process.wait()
        tail = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"the other side ended with exit code {code}; the end of {self._log}:\n{tail}")


def send(figures: Mapping[str, Any]) -> None:
    """In the child: one answer."""
    print(MARK + json.dumps(dict(figures)), flush=True)


def receive() -> dict[str, Any] | None:
    """In the child: the next question; None when there are no more."""
    line = sys.stdin.readline()
    return json.loads(line) if line.strip() else None


def alternate(
    repeats: int, ours: Callable[[int], dict[str, Any]], theirs: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Runs both sides ``repeats`` times, alternating which goes first, so that a slowing machine favours neither."""
    rows = []
    for number in range(repeats):
        sides = {"ours": ours, "theirs": theirs}
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        row = {name: sides[name](number) for name in order}
        print(f"  repeat {number + 1} of {repeats}: " + ", ".join(f"{k} {v['seconds']:.2f} s" for k, v in row.items()))
        rows.append({"ours": row["ours"], "theirs": row["theirs"], "first": order[0]})
    return rows


def tokens_per_second(row: Mapping[str, Any]) -> float:
    """Of one side's figures ``tokens`` and ``seconds``."""
    return float(row["tokens"]) / float(row["seconds"])
