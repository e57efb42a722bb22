"""``samples/`` of a run folder: one Parquet file per step, and one summary line per step that is kept when the file is
removed.

Invariant: ``summary.jsonl`` has one line for each step whose samples were written, in ascending order of steps; each
step has a file or was thinned out.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Required, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prl_ray.errors import DataError
from prl_ray.tracking.metrics_file import replace_text
from prl_ray.tracking.named_lines import locator_counts
from prl_ray.tracking.sample_schema import ADDED, FORMAT, SCHEMA

SUMMARY = "summary.jsonl"
ROW_GROUP = 128
"""Samples per row group, which are read together."""
_WORDS = [f.name for f in SCHEMA if f.type == pa.string() and f.name != "program"]
_WORDS += [f"{f.name}.list.element" for f in SCHEMA if f.type == pa.list_(pa.string())]
_FLOATS = [f"{f.name}.list.element" for f in SCHEMA if f.type == pa.list_(pa.float32())]


class SummaryRow(TypedDict, total=False):
    """One line of ``summary.jsonl``; a line of an older version may lack the counts."""

    step: Required[int]
    samples: int
    prompts: Required[list[tuple[str, int, int]]]
    """Problem, samples and passes of each prompt, in the order of the step's file."""
    verdicts: dict[str, int]
    groups: dict[str, int]
    gradient: dict[str, float]
    locators: dict[str, dict[str, int]]


class SampleStore:
    """The samples of one run. One process writes; any number of processes may read at the same time.

    Args:
        folder: ``RUN/samples``; created by the first write.
        keep: Number of step files to keep. 0 keeps all.
    """

    def __init__(self, folder: Path, keep: int = 0) -> None:
        self.folder, self.keep = Path(folder), keep
        self._last: int | None = None
        """The last step of ``summary.jsonl``, as far as this process knows."""

    def path(self, step: int) -> Path:
        """``samples/step_000010.parquet``."""
        return self.folder / f"step_{step:06d}.parquet"

    def steps(self) -> list[int]:
        """Steps with stored samples, ascending."""
        found = (re.fullmatch(r"step_(\d+)\.parquet", path.name) for path in self.folder.glob("step_*.parquet"))
        return sorted(int(match[1]) for match in found if match)

    def write(self, step: int, table: pa.Table) -> Path:
        """Writes or replaces the samples of a step atomically, then thins out old steps."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path, aside = self.path(step), self.folder / f"step_{step:06d}.part"
        facts = {b"prl_ray.samples": json.dumps({"format": FORMAT, "step": step, "time": time.time()}).encode()}
        pq.write_table(
            table.replace_schema_metadata(facts),
            aside,
            compression="zstd",
            compression_level=1,
            use_dictionary=_WORDS,
            use_byte_stream_split=_FLOATS,
            row_group_size=ROW_GROUP,
            write_statistics=False,
        )
        aside.replace(path)
        self._summarise(step, table)
        self._thin()
        return path

    def read(self, step: int, columns: Sequence[str] | None = None, rows: slice | None = None) -> pa.Table:
        """The samples of a step, or some of its rows; reads only the needed parts of the file.

        Raises:
            DataError: the step has no file, or a file that this version cannot read.
        """
        path = self.path(step)
        try:
            # opened here: Arrow accepts only UTF-8 paths, and treats some as URLs
            with path.open("rb") as source, pq.ParquetFile(source) as file:
                check_format(file, path)
                there = set(file.schema_arrow.names)
                wanted = columns or SCHEMA.names
                absent = [name for name in wanted if name not in there | ADDED]
                if absent:
                    raise DataError(f"{path} has no column {', '.join(absent)}: another version of prl_ray wrote it")
                table = _read(file, [name for name in wanted if name in there], rows)
                for name in [name for name in wanted if name not in there]:
                    table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
                return table
        except FileNotFoundError as error:
            raise DataError(f"{self.folder} has no samples of step {step}; it may be thinned out") from error
        except (pa.ArrowException, OSError) as error:  # Arrow raises OSError if pages of the file are damaged
            raise DataError(f"{path}: not readable as samples ({error})") from error

    def summaries(self) -> list[SummaryRow]:
        """The lines of ``summary.jsonl``: the summary of every step, thinned out or not."""
        return list(read_summaries(self.folder / SUMMARY))

    def rewind(self, step: int) -> None:
        """Removes the steps after ``step``."""
        for late in self.steps():
            if late > step:
                self.path(late).unlink()
        path = self.folder / SUMMARY
        if path.exists():
            replace_text(path, _lines(row for row in self.summaries() if row["step"] <= step))
        self._last = None

    def _summarise(self, step: int, table: pa.Table) -> None:
        path = self.folder / SUMMARY
        line = summary_of(step, table)
        if self._last is not None and self._last < step:
            with path.open("a", encoding="utf-8") as file:
                file.write(_lines([line]))
        else:  # the first write of this process: removes an incomplete line of a killed writer, and repeated steps
            replace_text(path, _lines([*(row for row in self.summaries() if row["step"] < step), line]))
        self._last = step

    def _thin(self) -> None:
        """Deletes files until ``keep`` are left: those of the older half that are closest to the one before."""
        steps = self.steps()
        while self.keep and len(steps) > self.keep:
            older = range(1, max(2, len(steps) // 2))
            doomed = min(older, key=lambda i: steps[i + 1] - steps[i - 1]) if len(steps) > 2 else 0
            self.path(steps.pop(doomed)).unlink()


def _read(file: pq.ParquetFile, columns: list[str], rows: slice | None) -> pa.Table:
    """The columns of the given rows; only row groups that contain them are read."""
    if rows is None:
        return file.read(columns=columns)
    groups = range(rows.start // ROW_GROUP, min(-(-rows.stop // ROW_GROUP), file.num_row_groups))
    table = file.read_row_groups(list(groups), columns=columns)
    return table.slice(rows.start % ROW_GROUP, rows.stop - rows.start)


def check_format(file: pq.ParquetFile, path: Path) -> None:
    """Raises ``DataError`` if a file was written by a version with another format."""
    facts = (file.schema_arrow.metadata or {}).get(b"prl_ray.samples", b"{}")
    try:
        version = dict(json.loads(facts)).get("format")
    except (ValueError, TypeError):
        version = None
    if version != FORMAT:
        raise DataError(f"{path}: samples of another version of prl_ray; this one reads format {FORMAT}")


def read_summaries(path: Path) -> list[SummaryRow]:
    """The complete lines of a ``summary.jsonl``. Raises ``DataError`` if one is not JSON."""
    if not path.exists():
        return []
    text = path.read_bytes()
    try:
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
    except ValueError as error:
        raise DataError(f"{path}: not a summary of samples ({error})") from error


def summary_of(step: int, table: pa.Table) -> SummaryRow:
    """The summary of a step: problem, samples and passes of each prompt, in the order of the rows; verdicts; groups;
    the advantages' share by kind of group; hits of each locator."""
    prompt = table.column("prompt_id").to_numpy()
    ok = np.array(table.column("status").to_pylist()) == "passed"
    starts = np.flatnonzero(np.append(True, np.diff(prompt) != 0)[: len(prompt)])
    tasks = table.column("task_id").take(starts).to_pylist()
    counts = np.diff(np.append(starts, len(prompt))).tolist()
    passes = np.add.reduceat(ok.astype(np.int64), starts).tolist() if len(starts) else []
    return {
        "step": step,
        "samples": len(table),
        "prompts": list(zip(tasks, counts, passes, strict=True)),
        "verdicts": _counts(table.column("status")),
        "groups": _counts(table.column("group_kind").take(starts)),
        "gradient": _gradient(table),
        "locators": locator_counts(table),
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {str(item["values"]): int(item["counts"]) for item in pc.value_counts(column).to_pylist()}


def _gradient(table: pa.Table) -> dict[str, float]:
    """Share of each kind of group in the sum of absolute advantages; empty without advantages."""
    kinds = table.column("group_kind").to_pylist()
    sizes: dict[str, float] = {}
    for kind, chunk in zip(kinds, table.column("advantage"), strict=True):
        if chunk.is_valid:
            sizes[kind] = sizes.get(kind, 0.0) + float(np.abs(chunk.values.to_numpy(zero_copy_only=False)).sum())
    total = sum(sizes.values())
    return {str(kind): size / total for kind, size in sizes.items()} if total else {}


def _lines(rows: Iterable[SummaryRow]) -> str:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
