"""The labelled data set of a run: each row with its origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prl_ray.lines import segment
from prl_ray.tracking.problem_file import TestText
from prl_ray.view.problems import problem_texts
from prl_ray.view.runs import Run

if TYPE_CHECKING:
    from prl_ray.supervision.rows import LabelledProgram

ROWS = 25
REFERENCE = "reference"
SAYS = {
    "reference": "a reference solution: every line is right",
    "truncation": "a truncated reference: its end is wrong",
    "rollout": "a sample of the policy, labelled by execution",
}
PLACES = (("label", "labels"), ("labels",))


def labels(run: Run, page: int = 0, operator: str = "", search: str = "") -> dict[str, object]:
    """A page of labelled programs.

    Args:
        run: The run.
        page: From 0.
        operator: Only rows of this operator; empty for all.
        search: Part of a task id.
    """
    path = next((found for place in PLACES if (found := run.file(*place))), None)
    if path is None:
        return {"run": run.name, "rows": [], "count": 0, "page": 0, "pages": 0, "operators": []}
    rows = _load(path, path.stat().st_mtime_ns)
    counts = Counter(row.operator for row in rows)
    chosen = [row for row in rows if operator in ("", row.operator) and search.lower() in row.task_id.lower()]
    first = {row.task_id: i for i, row in reversed([*enumerate(rows)])}
    chosen.sort(key=lambda row: first[row.task_id])  # a reference, then its variants
    pages = max(1, -(-len(chosen) // ROWS))
    page = min(max(page, 0), pages - 1)
    references = {row.task_id: row.program for row in rows if row.operator == REFERENCE}
    texts = problem_texts(run) | problem_texts(run, "label")
    tests = {task: text.tests for task, text in texts.items()}
    return {
        "run": run.name,
        "rows": [_row(row, references, tests) for row in chosen[page * ROWS : (page + 1) * ROWS]],
        "count": len(chosen),
        "page": page,
        "pages": pages,
        "operators": [{"name": n, "rows": c, "says": _says(n)} for n, c in counts.most_common()],
    }


@lru_cache(maxsize=4)
def _load(path: Path, changed: int) -> tuple[LabelledProgram, ...]:
    from prl_ray.supervision import load_labels  # imported late: libcst takes a second to load

    return tuple(load_labels(path))


def _says(operator: str) -> str:
    from prl_ray.supervision.operators import OPERATORS

    parts = [(name, OPERATORS.get(name)) for name in operator.split("+")]
    says = [f"{found.kind}: {found.description}" if found else SAYS.get(name, "") for name, found in parts]
    return "; then ".join(text.rstrip(".").replace("``", "") for text in says if text)


def _row(
    row: LabelledProgram, references: dict[str, str], tests: Mapping[str, Sequence[TestText]]
) -> dict[str, object]:
    lines = segment(row.program)
    texts = [row.program[row.program.rfind("\n", 0, line.start) + 1 : line.end] for line in lines]
    reference = references.get(row.task_id, "")
    changed = row.changed_line
    before = segment(reference)
    original = None
    if row.operator != REFERENCE and 0 <= changed < len(before):
        start = reference.rfind("\n", 0, before[changed].start) + 1
        original = reference[start : before[changed].end]
    own = tests.get(row.task_id, ())
    killed = row.killed_by
    return {
        "task": row.task_id,
        "prompt": row.prompt,
        "operator": row.operator,
        "says": _says(row.operator),
        "status": row.status,
        "passed": row.passed,
        "lines": [{"text": t, "label": label} for t, label in zip(texts, row.line_labels, strict=False)],
        "end": row.line_labels[-1],
        "changed": changed if changed >= 0 else None,
        "original": original,
        "killed_by": killed if killed >= 0 else None,
        "test": own[killed].given if 0 <= killed < len(own) else None,
    }
