"""Problems × steps: pass rates as a heat map, and the page of one problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import DataError
from prl_ray.tracking.problem_file import ProblemText, read_problems
from prl_ray.tracking.sample_schema import SampleRow
from prl_ray.view.history import History, short
from prl_ray.view.runs import Run

COLUMNS, ROWS = 48, 60
SHOWN_STEPS = 6
"""Number of steps whose samples a problem's page lists."""
SORTS = ("hardest", "easiest", "improved", "worsened", "sampled", "name")
_LISTED = ["task_id", "status", "passed", "total", "tests", "total_reward", "learnt", "program", "finished",
           "weight_version", "line_score", "wrong_line"]  # fmt: skip


def problem_texts(run: Run, *folder: str) -> dict[str, ProblemText]:
    """The run's problems by task id: those of PPO, or those in a stage's ``folder``; empty if not written.

    Raises:
        DataError: the file is damaged.
    """
    path = run.file(*folder, "problems.jsonl")
    return _texts(path.parent, path.stat().st_mtime_ns) if path else {}


@lru_cache(maxsize=8)
def _texts(folder: Path, changed: int) -> dict[str, ProblemText]:
    return read_problems(folder)


def asked(text: ProblemText | None) -> str:
    """The problem's prompt in one line; empty if unknown."""
    if text is None:
        return ""
    lines = [line.strip("#\"' \t") for line in text.prompt.splitlines()]
    return next((line for line in lines if line), "")[:200]


def heat_map(run: Run, sort: str = "hardest", page: int = 0, search: str = "") -> dict[str, object]:
    """Pass rates of a page of problems over binned steps.

    Args:
        run: The run.
        sort: One of ``SORTS``.
        page: From 0.
        search: Part of a task id or of the prompt.

    Raises:
        DataError: there is no such order.
    """
    if sort not in SORTS:
        raise DataError(f"there is no order {sort!r}; known: {', '.join(SORTS)}")
    history = run.history
    history.refresh()
    if not history.problem_ids:
        return {"run": run.name, "rows": [], "steps": [], "count": 0, "page": 0, "pages": 0}
    texts = problem_texts(run)
    samples, passed, starts = _binned(history)
    wanted = search.lower()
    chosen = [
        i
        for i, name in enumerate(history.problem_ids)
        if wanted in name.lower() or wanted in asked(texts.get(name)).lower()
    ]
    order = sorted(chosen, key=_key(sort, history, samples, passed))
    pages = max(1, -(-len(order) // ROWS))
    page = min(max(page, 0), pages - 1)
    rows: list[dict[str, object]] = []
    for number in order[page * ROWS : (page + 1) * ROWS]:
        task = history.problem_ids[number]
        rows.append({"task": task, "asks": asked(texts.get(task)), **_rates(samples[number], passed[number])})
    return {
        "run": run.name,
        "rows": rows,
        "all": _rates(samples[chosen].sum(0), passed[chosen].sum(0)),
        "steps": starts,
        "last": history.samples[-1].step,
        "count": len(order),
        "page": page,
        "pages": pages,
    }


def _rates(samples: NDArray[np.int64], passed: NDArray[np.int64]) -> dict[str, object]:
    """Pass rates by bin and overall; None without samples."""
    total = int(samples.sum())
    return {
        "rates": [short(p / n) if n else None for n, p in zip(samples.tolist(), passed.tolist(), strict=True)],
        "samples": total,
        "rate": short(float(passed.sum()) / total) if total else None,
    }


def _binned(history: History) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Samples and passes, int64 ``[problems, bins]``, and the first step of each bin."""
    count = len(history.samples)
    edges = np.unique(np.linspace(0, count, min(COLUMNS, count) + 1).astype(int))
    bins, size = len(edges) - 1, len(history.problem_ids)
    of_step = np.searchsorted(edges, np.arange(count), side="right") - 1
    prompts = [len(step.tasks) for step in history.samples]
    cells = np.concatenate([step.tasks for step in history.samples]) * bins + np.repeat(of_step, prompts)
    samples = np.bincount(cells, np.concatenate([s.samples for s in history.samples]), size * bins)
    passed = np.bincount(cells, np.concatenate([s.passed for s in history.samples]), size * bins)
    starts = [history.samples[edge].step for edge in edges[:-1]]
    return samples.reshape(size, bins).astype(np.int64), passed.reshape(size, bins).astype(np.int64), starts


def _key(
    sort: str, history: History, samples: NDArray[np.int64], passed: NDArray[np.int64]
) -> Callable[[int], tuple[float, str]]:
    rate = passed.sum(1) / np.maximum(samples.sum(1), 1)
    half = samples.shape[1] // 2
    change = _rate(passed[:, half:], samples[:, half:]) - _rate(passed[:, :half], samples[:, :half])
    change = np.where(np.isnan(change), 0.0, change)
    names = history.problem_ids
    return {
        "hardest": lambda i: (rate[i], names[i]),
        "easiest": lambda i: (-rate[i], names[i]),
        "improved": lambda i: (-change[i], names[i]),
        "worsened": lambda i: (change[i], names[i]),
        "sampled": lambda i: (float(-samples[i].sum()), names[i]),
        "name": lambda i: (0.0, names[i]),
    }[sort]


def _rate(passed: NDArray[np.int64], samples: NDArray[np.int64]) -> NDArray[np.float64]:
    total = samples.sum(1)
    return np.where(total > 0, passed.sum(1) / np.maximum(total, 1), np.nan)


def problem(run: Run, task: str) -> dict[str, object]:
    """One problem: its prompt, and its samples in the newest stored steps.

    Raises:
        DataError: the run has not sampled it.
    """
    history = run.history
    history.refresh()
    number = history.number(task)
    if number is None:
        raise DataError(f"the run {run.name} has no samples of a problem {task!r}")
    text = problem_texts(run).get(task)
    stored = set(history.steps())
    curve: list[dict[str, object]] = []
    steps: list[dict[str, object]] = []
    for entry in reversed(history.samples):
        at = np.flatnonzero(entry.tasks == number)
        if not len(at):
            continue
        n, passes = int(entry.samples[at].sum()), int(entry.passed[at].sum())
        here = entry.step in stored
        curve.append({"step": entry.step, "samples": n, "passed": passes, "stored": here})
        if here and len(steps) < SHOWN_STEPS:
            steps.append({"step": entry.step, **_samples_or_why(run, entry.step, task)})
    return {
        "run": run.name,
        "task": task,
        "text": asdict(text) if text else None,
        "curve": curve[::-1],
        "steps": steps,
    }


def _samples_or_why(run: Run, step: int, task: str) -> dict[str, object]:
    try:
        return {"samples": samples_of(run, step, task)}
    except DataError as error:  # one damaged file does not hide the other steps
        return {"samples": [], "error": str(error)}


def rows_of(history: History, step: int, task: str) -> list[slice]:
    """Rows of a problem's samples in a step's file. Raises ``DataError`` if the step has none."""
    number = history.number(task)
    entry = history.entry(step)
    at = [] if entry is None or number is None else np.flatnonzero(entry.tasks == number).tolist()
    if entry is None or not at:
        raise DataError(f"step {step} has no samples of {task!r}")
    ends = np.cumsum(entry.samples).tolist()
    return [slice(ends[i] - int(entry.samples[i]), ends[i]) for i in at]


def samples_of(run: Run, step: int, task: str) -> list[dict[str, object]]:
    """A problem's samples of one step, as list entries."""
    found = []
    for rows in rows_of(run.history, step, task):
        found += [listed(row, rows.start + i) for i, row in enumerate(run.history.rows(step, _LISTED, rows))]
    return found


def listed(row: SampleRow, number: int) -> dict[str, object]:
    """A sample as a list entry."""
    scores = [score for score in row["line_score"] if score is not None]
    return {
        "row": number,
        "task": row["task_id"],
        "status": row["status"],
        "tests": row["tests"],
        "passed": row["passed"],
        "total": row["total"],
        "reward": short(row["total_reward"]),
        "learnt": row["learnt"],
        "version": _versions(row["weight_version"]),
        "lowest": short(min(scores)) if scores else None,
        "finished": row["finished"],
        "program": row["program"][:2000],
    }


def _versions(of_tokens: Sequence[int]) -> int | str | None:
    """The weight version that sampled all tokens; the first and the last where there are several."""
    versions = sorted(set(of_tokens))
    return f"{versions[0]}–{versions[-1]}" if len(versions) > 1 else next(iter(versions), None)


def step_list(run: Run, step: int | None = None, page: int = 0) -> dict[str, object]:
    """One page of the samples of a step, by default the newest."""
    history = run.history
    history.refresh()
    if step is None:
        step = max(history.steps(), default=0)
    entry = history.entry(step)
    count = int(entry.samples.sum()) if entry else 0
    start = min(max(page, 0) * ROWS, max(count - 1, 0))
    rows = []
    if count:
        found = history.rows(step, _LISTED, slice(start, min(start + ROWS, count)))
        rows = [listed(row, start + i) for i, row in enumerate(found)]
    return {
        "run": run.name,
        "step": step,
        "steps": history.steps(),
        "rows": rows,
        "count": count,
        "page": start // ROWS,
        "pages": max(1, -(-count // ROWS)),
    }
