"""Labelled programs on disk: a folder with a Parquet file and a card, which ``datasets.load_dataset(folder)`` also
opens."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from prl_ray.errors import DataError
from prl_ray.lines import Unit, segment, units
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.operators import OPERATORS
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rows import UNLABELLED, LabelledProgram, in_units

FORMAT = 1
_PARQUET = Path("data") / "train-00000-of-00001.parquet"
_FACTS = "labels.json"
_SCHEMA = pa.schema(
    [
        ("task_id", pa.string()),
        ("prompt", pa.string()),
        ("code_prefix", pa.string()),
        ("program", pa.string()),
        ("line_labels", pa.list_(pa.int8())),
        ("passed", pa.bool_()),
        ("operator", pa.string()),
        ("changed_line", pa.int32()),
        ("killed_by", pa.int32()),
        ("status", pa.string()),
    ]
)


class Facts(TypedDict):
    """Facts stored with the labels: counts, tables, configuration and versions."""

    format: int
    totals: dict[str, int]
    config: dict[str, object]
    facts: dict[str, str | int | float]
    versions: dict[str, str]
    notes: dict[str, int]
    forced_failures: int
    cost: dict[str, int]
    operators: dict[str, dict[str, int]]
    problems: dict[str, dict[str, int]]


class StepwiseRow(TypedDict):
    """One row of TRL's stepwise-supervision format."""

    prompt: str
    completions: list[str]
    labels: list[bool]


def save_labels(
    folder: str | Path, report: LabelReport, config: LabelConfig | None = None, **facts: str | int | float
) -> Path:
    """Writes a report's rows, tables and card atomically.

    Args:
        folder: the target; replaced if it exists.
        report: the result of ``label_problems``.
        config: the configuration that produced it, for the card.
        facts: further entries of the card, such as the problem set.

    Returns:
        The folder.
    """
    folder = Path(folder)
    aside = folder.with_name(folder.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / _PARQUET).parent.mkdir(parents=True)
    columns = {f.name: [getattr(row, f.name) for row in report.rows] for f in fields(LabelledProgram)}
    pq.write_table(pa.table(columns, schema=_SCHEMA), aside / _PARQUET)
    record: Facts = {
        "format": FORMAT,
        "totals": report.totals,
        "config": asdict(config) if config else {},
        "facts": dict(facts),
        "versions": _versions(),
        "notes": dict(report.notes),
        "forced_failures": report.forced_failures,
        "cost": dict(report.cost),
        "operators": {name: dict(counts) for name, counts in sorted(report.table.items())},
        "problems": {name: dict(counts) for name, counts in report.problems.items()},
    }
    (aside / _FACTS).write_text(json.dumps(record, indent=1), encoding="utf-8")
    (aside / "README.md").write_text(_card(report, record), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
    return folder


def load_labels(folder: str | Path) -> list[LabelledProgram]:
    """The rows that ``save_labels`` wrote, in order.

    Raises:
        DataError: the folder holds no labels, or labels that do not fit their programs.
    """
    path = Path(folder) / _PARQUET
    if not path.is_file():
        raise DataError(f"no labelled programs in {folder}: {_PARQUET} is missing")
    table = pq.read_table(path)
    missing = set(_SCHEMA.names) - set(table.column_names)
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
    rows = []
    for record in table.select(_SCHEMA.names).to_pylist():
        row = LabelledProgram(**{**record, "line_labels": tuple(record["line_labels"])})
        if len(row.line_labels) != len(segment(row.program)) + 1:
            raise DataError(f"{path}: {row.task_id} ({row.operator}): labels and lines do not match; label again")
        rows.append(row)
    return rows


def load_facts(folder: str | Path) -> Facts:
    """The counts, tables, config and versions stored with the labels."""
    facts: Facts = json.loads((Path(folder) / _FACTS).read_text(encoding="utf-8"))
    return facts


def stepwise(rows: Sequence[LabelledProgram], end: str = "", unit: Unit = "line") -> list[StepwiseRow]:
    """Rows in TRL's stepwise-supervision format: ``prompt``, ``completions`` (one per unit), ``labels`` (bool).

    A program is truncated after its last label, because TRL has no unlabelled step. Neutral lines belong to the next
    unit.

    Args:
        rows: labelled programs, as on disk; those without a labelled unit are left out.
        end: text of the step for the end, such as the tokenizer's end-of-sequence token, used if the end has a label;
            empty leaves the end out.
        unit: whether steps are lines or blocks.
    """
    records: list[StepwiseRow] = []
    for row in (in_units(row, unit) for row in rows):
        completions: list[str] = []
        labels: list[bool] = []
        position = len(row.code_prefix)
        for line, label in zip(units(row.program, unit), row.line_labels, strict=False):
            if line.end <= len(row.code_prefix):
                continue
            if label == UNLABELLED:
                if not line.neutral:
                    break
                continue
            completions.append(row.program[position : line.end].strip("\n"))
            labels.append(bool(label))
            position = line.end
        else:
            if end and row.line_labels[-1] != UNLABELLED:
                completions.append(end)
                labels.append(bool(row.line_labels[-1]))
        if labels:
            records.append({"prompt": row.prompt + row.code_prefix, "completions": completions, "labels": labels})
    return records


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("prl_ray", "libcst", "pyarrow"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _card(report: LabelReport, record: Facts) -> str:
    def listed(values: Mapping[str, object]) -> str:
        return "\n".join(f"- {key}: {value}" for key, value in values.items()) or "- none"

    llm = f"\n## Language model\n\n{listed(record['cost'])}\n\n{report.llm_markdown()}\n" if report.llm_yield else ""
    used = [name for name in sorted(report.table) if name in OPERATORS]
    operators = "\n".join(f"- `{n}` ({OPERATORS[n].kind}): {OPERATORS[n].description}" for n in used)
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
tags:
- code
- process-supervision
---

# Labelled program lines

Programs with one label per line, found by executing variants of reference solutions. `line_labels` is aligned with the
program's statement lines plus one last entry for its end: 1 positive, 0 negative, -1 unlabelled. `changed_line` is the
first line that differs from the program the variant was made from (the same index there), `operator` says how,
`killed_by` is the first test that failed.

## Counts

{listed(record["totals"])}

## Made with

{listed({**record["facts"], **record["versions"]})}

Configuration:

{listed(record["config"])}

Left out:

{listed({key: value for key, value in record["notes"].items() if key != "problems"})}

## Operators

{report.markdown()}

{operators}
{llm}"""
