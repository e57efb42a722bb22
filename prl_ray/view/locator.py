"""How well line scores find the first wrong line, and the samples in which scores and tests disagree."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypedDict

from prl_ray.errors import DataError
from prl_ray.tracking.named_lines import line_surprise
from prl_ray.tracking.sample_schema import SampleRow
from prl_ray.view.history import History, short
from prl_ray.view.runs import Run
from sandbox_workers.verdict import UNDECIDED

LOW, HIGH = 0.4, 0.6
"""Lines with a lower score are called low."""
STEPS, MOST = 4, 120
KINDS = ("low line in a pass", "no low line in a failure", "wrong place")
SORTS = ("size", "surprise", "step")
_COLUMNS = ["task_id", "status", "program", "line_starts", "line_ends", "line_score", "line_tokens", "line_neutral",
            "logprob", "wrong_line", "error_line"]  # fmt: skip


class Disagreement(TypedDict):
    """A sample in which scores and tests disagree."""

    kind: str
    step: int
    row: int
    task: str
    status: str
    line: int
    text: str
    score: float | None
    wrong: int | None
    by: str | None
    size: float | None
    logprob: float | None


_KEPT: dict[tuple[str, int, int], list[Disagreement]] = {}
_KEPT_LOCK = threading.Lock()


def locator(run: Run, sort: str = "size", kind: str = "") -> dict[str, object]:
    """The data of the page.

    Args:
        run: The run.
        sort: ``size`` (the error of the score), ``surprise`` (the sampler's least likely token of the line) or
            ``step``.
        kind: One of ``KINDS``; empty for all.

    Raises:
        DataError: there is no such order or kind.
    """
    if sort not in SORTS or (kind and kind not in KINDS):
        raise DataError(f"orders are {', '.join(SORTS)}; kinds are {', '.join(KINDS)}")
    history = run.history
    history.refresh()
    steps = history.steps()[-STEPS:]
    queue: list[Disagreement] = []
    unread: list[str] = []
    for step in steps:
        try:
            queue += [row for row in _step(run, step) if not kind or row["kind"] == kind]
        except DataError as error:  # a damaged file does not hide the other steps
            unread.append(str(error))
    keys: dict[str, Callable[[Disagreement], float]] = {
        "size": lambda r: -(r["size"] or 0.0),
        "surprise": lambda r: r["logprob"] or 0.0,
        "step": lambda r: -r["step"],
    }
    queue.sort(key=keys[sort])
    return {
        "run": run.name,
        "quality": _quality(history),
        "curves": [
            {"label": name, "x": history.points(name)[0], "y": history.points(name)[1]}
            for name in [*history.names("prm/"), *history.names("locator/")]
        ],
        "queue": queue[:MOST],
        "count": len(queue),
        "steps": steps,
        "unread": unread,
        "low": LOW,
        "high": HIGH,
    }


def _quality(history: History) -> list[dict[str, object]]:
    """Hit rates over binned steps, for first wrong lines that execution found and for lines of tracebacks."""
    found: list[dict[str, object]] = []
    for kind in ("executed", "traceback"):
        counts: list[dict[str, int]] = [step.locators.get(kind, {}) for step in history.samples]
        if not any(counts):
            continue
        size = max(1, -(-len(counts) // 40))
        rows = [_rates(history.samples[i].step, counts[i : i + size]) for i in range(0, len(counts), size)]
        found.append({"kind": kind, "rows": [row for row in rows if row], "all": _rates(0, counts)})
    return found


def _rates(step: int, counts: list[dict[str, int]]) -> dict[str, object] | None:
    total: dict[str, int] = {}
    for one in counts:
        for key, value in one.items():
            total[key] = total.get(key, 0) + value
    known = total.get("known", 0)
    if not known:
        return None
    place = max((value, key) for key, value in total.items() if key.startswith("at_"))

    def rate(name: str) -> float | None:
        asked = total.get(f"{name}_asked", 0)
        return short(total.get(name, 0) / asked) if asked else None

    return {
        "step": step,
        "known": known,
        "prm": rate("prm"),
        "surprise": rate("surprise"),
        "place": short(place[0] / known),
        "at": int(place[1].removeprefix("at_")),
    }


def _step(run: Run, step: int) -> list[Disagreement]:
    """The disagreements of one step; cached, since a step's file never changes except by replacement."""
    path = run.history.store.path(step)
    key = (str(path), step, path.stat().st_mtime_ns if path.exists() else 0)
    with _KEPT_LOCK:
        if key in _KEPT:
            return _KEPT[key]
    rows = run.history.rows(step, _COLUMNS)
    found = [found for i, row in enumerate(rows) for found in [_disagreement(row, step, i)] if found]
    with _KEPT_LOCK:
        while len(_KEPT) > 32:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[key] = found
    return found


def _disagreement(row: SampleRow, step: int, number: int) -> Disagreement | None:
    scored = {i: score for i, score in enumerate(row["line_score"]) if score is not None}
    if not scored or row["status"] in UNDECIDED:
        return None
    lowest = min(scored, key=lambda i: scored[i])
    wrong = row["wrong_line"] if row["wrong_line"] is not None else row["error_line"]
    if row["status"] == "passed":
        kind, size = KINDS[0], 1 - scored[lowest]
        rings = scored[lowest] < LOW
    elif scored[lowest] > HIGH:
        kind, size, rings = KINDS[1], scored[lowest], True
    else:
        kind, size = KINDS[2], (0.0 if wrong is None else scored.get(wrong, 0.0)) - scored[lowest]
        rings = wrong is not None and wrong != lowest
    if not rings:
        return None
    line = row["program"][row["line_starts"][lowest] : row["line_ends"][lowest]]
    return {
        "kind": kind,
        "step": step,
        "row": number,
        "task": row["task_id"],
        "status": row["status"],
        "line": lowest,
        "text": line or "<end>",
        "score": short(scored[lowest]),
        "wrong": wrong,
        "by": "execution" if row["wrong_line"] is not None else "traceback" if wrong is not None else None,
        "size": short(size),
        "logprob": short(line_surprise(row["logprob"], row["line_tokens"])[lowest]),
    }
