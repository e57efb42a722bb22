"""Finished chunks of labels on disk, so that an interrupted labelling run continues where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

from prl_ray.problems import Problem
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rows import LabelledProgram


class ChunkStore:
    """A folder with one file per finished chunk, named by a hash of its problems, config and teacher."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, problems: Sequence[Problem], config: LabelConfig, rule: str, teacher: Mapping[str, object]) -> Path:
        """The file of a chunk; ``rule`` distinguishes labels with and without differential inputs, ``teacher`` is
        ``Teachers.identity``."""
        facts = {
            "config": asdict(config),
            "rule": rule,
            "teacher": dict(teacher),
            "problems": [[p.task_id, p.prompt, p.code_prefix, p.references, p.tests.to_json()] for p in problems],
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.json"

    def read(self, path: Path) -> LabelReport | None:
        """The chunk's report, or None if it is not finished."""
        if not path.is_file():
            return None
        record: _ChunkRecord = json.loads(path.read_text(encoding="utf-8"))
        rows = [LabelledProgram(**{**row, "line_labels": tuple(row["line_labels"])}) for row in record["rows"]]
        table = {operator: Counter(counts) for operator, counts in record["table"].items()}
        problems = {task: Counter(counts) for task, counts in record["problems"].items()}
        notes, cost = Counter(record["notes"]), Counter(record["cost"])
        return LabelReport(rows, table, problems, notes, record["forced_failures"], cost)

    def write(self, path: Path, report: LabelReport) -> None:
        """Stores a chunk's report atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        record = {
            "rows": [asdict(row) for row in report.rows],
            "table": report.table,
            "problems": report.problems,
            "notes": report.notes,
            "forced_failures": report.forced_failures,
            "cost": report.cost,
        }
        aside.write_text(json.dumps(record), encoding="utf-8")
        aside.replace(path)


class _ChunkRecord(TypedDict):
    rows: list[dict[str, Any]]
    table: dict[str, dict[str, int]]
    problems: dict[str, dict[str, int]]
    notes: dict[str, int]
    forced_failures: int
    cost: dict[str, int]
