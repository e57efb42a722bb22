"""The prefix tree of one problem's samples of one step: where they diverge, and the reward of each branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from prl_ray.errors import DataError
from prl_ray.tracking.sample_schema import SampleRow
from prl_ray.view.history import short
from prl_ray.view.problems import rows_of
from prl_ray.view.runs import Run

_COLUMNS = ["program", "finished", "status", "advantage", "line_starts", "line_ends", "line_tokens", "line_neutral",
            "line_state", "line_score", "line_verdict"]  # fmt: skip
END = "<end>"
TREES = ("line", "state")
"""Criteria by which samples share a node."""


@dataclass
class Node:
    """Samples with equal lines up to this one."""

    text: str
    samples: list[int] = field(default_factory=list)
    passed: int = 0
    advantages: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    wrong: int = 0
    """Number of samples whose first wrong line this is."""
    children: dict[object, Node] = field(default_factory=dict)


def prefix_tree(run: Run, step: int, task: str, by: str = "line") -> dict[str, object]:
    """The tree. ``by`` is ``line`` (equal text) or ``state`` (equal values of all variables, if lines were traced).

    Raises:
        DataError: the step has no samples of the problem, they are thinned out, or ``by`` is something else.
    """
    if by not in TREES:
        raise DataError(f"samples go together by {' or by '.join(TREES)}, not by {by[:40]!r}")
    history = run.history
    history.refresh()
    root = Node("")
    traced = False
    for rows in rows_of(history, step, task):
        for i, row in enumerate(history.rows(step, _COLUMNS, rows)):
            traced |= any(state is not None for state in row["line_state"])
            _add(root, row, rows.start + i, by == "state")
    return {
        "run": run.name,
        "task": task,
        "step": step,
        "by": by,
        "traced": traced,
        "tree": _as_json(root, len(root.samples)),
    }


def _add(root: Node, row: SampleRow, number: int, by_state: bool) -> None:
    node = root
    passed = row["status"] == "passed"
    _visit(node, number, passed)
    ends = line_means(row["advantage"], row["line_tokens"]) if row["advantage"] is not None else None
    for i, (a, b) in enumerate(zip(row["line_starts"], row["line_ends"], strict=True)):
        if row["line_neutral"][i]:
            continue
        text = row["program"][a:b] if a < b else END
        state = row["line_state"][i]
        key = (state,) if by_state and state is not None else text
        node = node.children.setdefault(key, Node(text))
        _visit(node, number, passed)
        if ends is not None:
            node.advantages.append(ends[i])
        score = row["line_score"][i]
        if score is not None:
            node.scores.append(score)
        node.wrong += row["line_verdict"][i] == 0


def _visit(node: Node, number: int, passed: bool) -> None:
    node.samples.append(number)
    node.passed += passed


def line_means(values: Sequence[float], line_tokens: Sequence[int]) -> list[float]:
    """Mean over the tokens of each line: those after the previous line, up to its own last one."""
    starts = [0, *(token + 1 for token in line_tokens)]
    return [float(np.mean(values[min(a, b) : b + 1])) for a, b in zip(starts, line_tokens, strict=False)]


def _as_json(node: Node, of: int) -> dict[str, object]:
    """The node as JSON. A chain without a fork becomes one node of several lines, so that the tree shows where samples
    diverge."""
    lines, first = [node.text], node
    advantages, scores, wrong = list(node.advantages), list(node.scores), node.wrong
    while len(node.children) == 1 and len(next(iter(node.children.values())).samples) == len(node.samples):
        node = next(iter(node.children.values()))
        lines.append(node.text)
        advantages += node.advantages
        scores += node.scores
        wrong += node.wrong
    children = sorted(node.children.values(), key=lambda child: -len(child.samples))
    return {
        "lines": [line for line in lines if line],
        "count": len(first.samples),
        "share": short(len(first.samples) / max(of, 1)),
        "passed": first.passed,
        "advantage": short(float(np.mean(advantages))) if advantages else None,
        "score": short(float(np.mean(scores))) if scores else None,
        "wrong": wrong,
        "rows": first.samples[:40],
        "children": [_as_json(child, of) for child in children],
    }
