"""Figures of line scores on labelled programs, each with an interval over problems: ``[value, low, high]``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

import numpy as np

from benchmarks._lines import END, Floats, Ints, Lines
from prl_ray.examples import label_weights
from prl_ray.supervision import NEGATIVE, POSITIVE
from prl_ray.supervision.calibration import auroc, calibration_error
from prl_ray.supervision.operators import OPERATORS
from prl_ray.supervision.quality import average_precision, blamed_lines, over_problems

THETA = 0.5
POSITIONS = {"0": (0, 0), "1": (1, 1), "2": (2, 2), "3-4": (3, 4), "5+": (5, 10**9), "end": (END, END)}


def figures(lines: Lines, scores: Mapping[str, Floats]) -> dict[str, Any]:
    """The PRM's quality compared with that of all other scores."""
    return {
        "problems": len(set(lines.problem[lines.known].tolist())),
        "programs": len(lines.rows),
        "labels": len(lines.known),
        "positive_share": float(np.mean(lines.labels[lines.known])),
        "scores": {name: ranking(lines, values) for name, values in scores.items()},
        "prm_over": {name: advantage(lines, scores["prm"], values) for name, values in scores.items() if name != "prm"},
        **probability(lines, scores["prm"]),
        "operators": by_operator(lines, scores["prm"]),
        "positions": by_position(lines, scores["prm"]),
        "formatting": formatting(lines, scores["prm"]),
    }


def ranking(lines: Lines, scores: Floats) -> dict[str, Any]:
    """Figures that any score has: AUROC of right above wrong lines, average precision of finding wrong ones, and how
    often a failing program's lowest line is its first wrong one."""
    return {
        "auroc": label_auroc(lines, scores, lines.known),
        "average_precision": interval(
            lines.problem[lines.known],
            lambda at: average_precision(-scores[lines.known][at], lines.labels[lines.known][at] == NEGATIVE),
        ),
        "first_error_lowest": first_error(lines, scores, -math.inf),
    }


def advantage(lines: Lines, prm: Floats, other: Floats) -> list[float | None]:
    """Difference of the AUROCs of two scores of the same lines, paired over problems."""
    a, b, labels = prm[lines.known], other[lines.known], lines.labels[lines.known]
    return interval(lines.problem[lines.known], lambda at: auroc(a[at], labels[at]) - auroc(b[at], labels[at]))


def probability(lines: Lines, p: Floats) -> dict[str, Any]:
    """Figures of calibrated probabilities. The calibration error weighs both classes alike, as training does."""
    known, problem = lines.known, lines.problem
    labels = lines.labels[known]

    def balanced_error(at: Ints) -> float:
        return calibration_error(p[known][at], labels[at], weights=label_weights(labels[at], balance=True))

    right = np.flatnonzero([row.passed for row in lines.rows])
    low = blamed_lines(p, ~lines.batch.line_neutral, lines.offsets, THETA)
    accepted = np.array([p[start + max(b, 0)] >= THETA for start, b in zip(lines.offsets[:-1], low, strict=True)])
    return {
        "ece": interval(problem[known], balanced_error),
        "first_error": first_error(lines, p, THETA),
        "right_programs_accepted": interval(
            lines.batch.prompt_ids[right], lambda at: float(accepted[right][at].mean())
        ),
    }


def first_error(lines: Lines, scores: Floats, theta: float) -> list[float | None]:
    """How often the line that the scores blame (see ``blamed_lines``) is the first wrong one of a failing program."""
    return program_mean(lines, first_error_hits(lines, scores, theta))


def program_mean(lines: Lines, values: Floats) -> list[float | None]:
    """Mean of one value per program with a known first wrong line."""
    return interval(lines.batch.prompt_ids[wrong_places(lines)[0]], lambda at: float(values[at].mean()))


def first_error_hits(lines: Lines, scores: Floats, theta: float) -> Floats:
    """For each program with a known first wrong line whether that is the blamed one: 1 or 0."""
    programs, places = wrong_places(lines)
    blamed = blamed_lines(scores, ~lines.batch.line_neutral, lines.offsets, theta)[programs]
    return (blamed == places).astype(np.float64)


def wrong_places(lines: Lines) -> tuple[Ints, Ints]:
    """The programs with a known first wrong line, and its place among their lines."""
    wrong = np.flatnonzero(lines.labels == NEGATIVE)
    programs, first = np.unique(lines.program[wrong], return_index=True)
    return programs, wrong[first] - lines.offsets[programs]


def by_operator(lines: Lines, p: Floats) -> dict[str, dict[str, Any]]:
    """For each operator the lines that it changed: for mutations how well they are told from all right lines and the
    share below ``THETA``; for refactorings (right lines) the share below it."""
    names = np.array([row.operator.rsplit("+", 1)[-1] for row in lines.rows])
    changed = lines.index == np.array([row.changed_line for row in lines.rows])[lines.program]
    right = np.flatnonzero(lines.labels == POSITIVE)
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(set(names) - {"reference", "rollout"}):
        kind = OPERATORS[name].kind if name in OPERATORS else "mutation"
        label = POSITIVE if kind == "refactoring" else NEGATIVE
        mine = np.flatnonzero(changed & (names[lines.program] == name) & (lines.labels == label))
        if len(mine):
            found[name] = {"kind": kind, "lines": len(mine), "below_theta": float((p[mine] < THETA).mean())}
            if label == NEGATIVE:
                found[name]["auroc"] = label_auroc(lines, p, np.concatenate([right, mine]))
    return found


def by_position(lines: Lines, p: Floats) -> dict[str, dict[str, Any]]:
    """AUROC among the lines at one place."""
    found = {}
    for name, (first, last) in POSITIONS.items():
        mine = lines.known[(lines.position[lines.known] >= first) & (lines.position[lines.known] <= last)]
        if len(mine):
            share = float(np.mean(lines.labels[mine]))
            found[name] = {"labels": len(mine), "positive_share": share, "auroc": label_auroc(lines, p, mine)}
    return found


def formatting(lines: Lines, p: Floats) -> dict[str, Any]:
    """Lines that a refactoring changed, compared with the reference's lines at the same index. Both are right, so a
    model that separates them reads style and not meaning."""
    refactored, original = refactored_pairs(lines)
    if not len(refactored):
        return {"pairs": 0}
    problem = lines.problem[refactored]

    def told_apart(at: Ints) -> float:
        both = np.concatenate([p[original][at], p[refactored][at]])
        return auroc(both, np.repeat([1.0, 0.0], len(at)))

    return {
        "pairs": len(refactored),
        "difference": interval(problem, lambda at: float((p[original][at] - p[refactored][at]).mean())),
        "auroc": interval(problem, told_apart),
    }


def refactored_pairs(lines: Lines) -> tuple[Ints, Ints]:
    """Indices of right lines that a refactoring changed, and of the reference's lines in their place."""
    places = {}
    for at, program in enumerate(lines.program):
        row = lines.rows[program]
        if row.operator == "reference":
            places[row.task_id, int(lines.index[at])] = at
    pairs = []
    for at in np.flatnonzero(lines.labels == POSITIVE):
        row = lines.rows[lines.program[at]]
        kind = OPERATORS[row.operator].kind if row.operator in OPERATORS else ""
        place = places.get((row.task_id, int(lines.index[at])))
        if kind == "refactoring" and row.changed_line == lines.index[at] and place is not None:
            pairs.append((at, place))
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def label_auroc(lines: Lines, scores: Floats, chosen: Ints) -> list[float | None]:
    """AUROC of right above wrong among the chosen lines."""
    s, labels = scores[chosen], lines.labels[chosen]
    return interval(lines.problem[chosen], lambda at: auroc(s[at], labels[at]))


def interval(problems: Ints, statistic: Callable[[Ints], float]) -> list[float | None]:
    """``[value, low, high]`` over problems; None if it cannot be computed."""
    if not len(problems):
        return [None, None, None]
    return [None if math.isnan(x) else x for x in astuple(over_problems(problems, statistic))]
