"""All samples of a PPO step as one Arrow table, one row per sample. ``docs/samples.md`` describes the columns.

The token and line axes are ragged: each row holds a list. Flat columns of a batch become list columns without a copy;
only character positions are computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from prl_ray.lines import units
from prl_ray.ppo.line_credit import UNKNOWN, LineCredit, group_kinds
from prl_ray.tracking.sample_schema import ADDED, GROUP_KINDS, LEARNT_COLUMNS, SCHEMA
from prl_ray.trajectory import STATUSES, FloatArray, IntArray, Report, TrajectoryBatch, Verdicts


@dataclass(frozen=True, slots=True)
class LineFindings:
    """Line verdicts by execution, as plain columns. Axes: samples; lines (flat)."""

    wrong: IntArray
    """int ``[samples]``: as ``LineCredit.wrong``."""
    found_by: Sequence[str]
    """``[samples]``: how it was found; empty if it is not known."""
    states: IntArray
    """int64 ``[lines]``: as ``LineCredit.states``."""
    traces: Sequence[tuple[Sequence[str], Sequence[str]]] = ()
    """``[samples]``: text of the values after each line, and after each line of the reference; None if no sample was
    traced."""


@dataclass(frozen=True, slots=True)
class SamplePart:
    """Samples of one step with the same columns."""

    batch: TrajectoryBatch
    verdicts: Verdicts
    line_scores: FloatArray | None = None
    """float32 ``[lines]``."""
    findings: LineFindings | None = None
    learnt: Mapping[str, FloatArray] = field(default_factory=dict)
    """float32 ``[tokens]`` each, all of ``LEARNT_COLUMNS``, NaN for tokens without a value; empty for samples that the
    learner did not receive."""
    compared: LineCredit | None = None
    """The lines that the advantage estimator compared; None if it reads no lines."""


Ends = Callable[[Sequence[int], Sequence[int]], IntArray]
"""``prl_ray.lines.token_ends`` of the policy's tokenizer: (prompt tokens, response tokens) -> characters of the
response that are complete after each token. The prompt is needed because some tokenizers drop the leading blank of a
text on its own."""
Decode = Callable[[Sequence[int]], str]


def step_table(parts: Sequence[SamplePart], ends: Ends, decode: Decode) -> pa.Table:
    """The step's samples, those of one prompt together, prompts in the order of their numbers.

    Args:
        parts: The samples, grouped by their columns; each prompt is in one part.
        ends: Gives the characters complete after each token.
        decode: Gives the text of a prompt's tokens.
    """
    table = pa.concat_tables([_part_table(part, ends, decode) for part in parts if len(part.batch)])
    order = np.argsort(table.column("prompt_id").to_numpy(), kind="stable")
    return table.take(pa.array(order))


def _part_table(part: SamplePart, ends: Ends, decode: Decode) -> pa.Table:
    batch, verdicts, count = part.batch, part.verdicts, len(part.batch)
    kinds = group_kinds(verdicts.ok, batch.prompt_ids, verdicts.valid)
    reports = [None] * count if verdicts.reports is None else list(verdicts.reports)
    columns: dict[str, object] = {
        "task_id": list(batch.task_ids),
        "prompt_id": batch.prompt_ids,
        "group_kind": [GROUP_KINDS.get(kind) for kind in kinds.tolist()],
        "learnt": np.full(count, bool(part.learnt)),
        "prompt": _prompts(batch, decode),
        "program": [program.encode("utf-8", "replace").decode("utf-8") for program in batch.programs],
        "finished": batch.finished,
        "status": [STATUSES[int(code)] for code in verdicts.status],
        "passed": verdicts.passed,
        "total": verdicts.total,
        **_report_columns(reports, verdicts.total),
        "error_line": pa.array(verdicts.error_line, mask=verdicts.error_line < 0),
        **_token_columns(part, ends),
        **_line_columns(part),
    }
    return pa.table([_as(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def _as(column: object, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.Array):
        return column.cast(kind)
    return pa.array(column, type=kind)


def _prompts(batch: TrajectoryBatch, decode: Decode) -> list[str]:
    texts: dict[int, str] = {}
    for i, prompt in enumerate(batch.prompt_ids.tolist()):
        if prompt not in texts:
            texts[prompt] = decode(batch.prompt_tokens[batch.prompt_offsets[i] : batch.prompt_offsets[i + 1]].tolist())
    return [texts[prompt] for prompt in batch.prompt_ids.tolist()]


def _report_columns(reports: Sequence[Report | None], totals: IntArray) -> dict[str, object]:
    pairs = list(zip(reports, totals.tolist(), strict=True))
    return {
        "tests": [(r.tests if r else "").ljust(total, "-") for r, total in pairs],
        "answers": [[{"test": t, "got": got} for t, got in (r.answers if r else ())] for r, _ in pairs],
        "message": [r.message if r else "" for r, _ in pairs],
    }


def _token_columns(part: SamplePart, ends: Ends) -> dict[str, object]:
    batch = part.batch
    offsets = batch.token_offsets
    rewards = part.learnt.get("reward")
    totals = None if rewards is None else np.add.reduceat(np.append(rewards, 0.0), offsets[:-1])
    if totals is not None:
        totals = np.where(np.diff(offsets) > 0, totals, 0.0)
    character_ends, response_starts = _character_ends(batch, ends)
    absent = pa.nulls(len(batch), pa.list_(pa.float32()))
    return {
        "total_reward": pa.nulls(len(batch), pa.float32()) if totals is None else totals.astype(np.float32),
        "response_start": response_starts,
        "tokens": _ragged(batch.tokens, offsets),
        "token_ends": _ragged(character_ends, offsets),
        "logprob": _ragged(batch.logprobs, offsets),
        "weight_version": _ragged(batch.weight_versions, offsets),
        **{name: _ragged(_known(part.learnt[name]), offsets) if part.learnt else absent for name in LEARNT_COLUMNS},
    }


def _character_ends(batch: TrajectoryBatch, ends: Ends) -> tuple[IntArray, IntArray]:
    """int32 ``[tokens]``: characters of the program that are complete at each token (an end token adds none); int32
    ``[samples]``: start of the response."""
    found = np.zeros(len(batch.tokens), np.int32)
    response = np.zeros(len(batch), np.int32)
    for i, program in enumerate(batch.programs):
        start, stop = int(batch.token_offsets[i]), int(batch.token_offsets[i + 1])
        prompt = batch.prompt_tokens[batch.prompt_offsets[i] : batch.prompt_offsets[i + 1]]
        own = ends(prompt.tolist(), batch.tokens[start : stop - int(batch.finished[i])].tolist())
        response[i] = len(program) - (int(own[-1]) if len(own) else 0)
        found[start:stop] = len(program)
        found[start : start + len(own)] = own + response[i]
    return found, response


def _line_columns(part: SamplePart) -> dict[str, object]:
    batch, offsets = part.batch, part.batch.line_offsets
    starts, stops = _spans(batch)
    lines = part.findings
    found_by = lines.found_by if lines else [""] * len(batch)
    traces = lines.traces if lines and len(lines.traces) else [((), ())] * len(batch)
    wrong = np.full(len(batch), UNKNOWN) if lines is None else np.asarray(lines.wrong, np.int64)
    counts = np.diff(offsets)
    index = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], counts)
    at = np.repeat(wrong, counts)
    verdict = pa.array((index < at).astype(np.int8), mask=(at == UNKNOWN) | (index > at) | batch.line_neutral)
    states = np.full(len(index), UNKNOWN) if lines is None else lines.states
    scores = pa.nulls(len(index), pa.float32())
    if part.line_scores is not None:
        scores = pa.array(part.line_scores.astype(np.float32), mask=batch.line_neutral)
    return {
        "wrong_line": pa.array(wrong, mask=(wrong == UNKNOWN) | (wrong >= counts)),
        "wrong_found_by": [name or None for name in found_by],
        "line_starts": _ragged(starts, offsets),
        "line_ends": _ragged(stops, offsets),
        "line_tokens": _ragged(batch.line_ends, offsets),
        "line_neutral": _ragged(batch.line_neutral, offsets),
        "line_score": _ragged(scores, offsets),
        "line_verdict": _ragged(verdict, offsets),
        "line_state": _ragged(pa.array(states, mask=states == UNKNOWN), offsets),
        **_compared_columns(part),
        "line_trace": [list(own) for own, _ in traces],
        "reference_trace": [list(reference) for _, reference in traces],
    }


def _compared_columns(part: SamplePart) -> dict[str, object]:
    """The estimator's lines; nulls if it reads none."""
    lines = part.compared
    if lines is None:
        return dict.fromkeys(ADDED, pa.nulls(len(part.batch)))
    values, offsets = lines.values, part.batch.line_offsets
    return {
        "located_line": pa.array(lines.wrong, mask=lines.wrong == UNKNOWN),
        "line_compared": _ragged(lines.counted, offsets),
        "line_value": pa.nulls(len(part.batch))
        if values is None
        else _ragged(pa.array(values, mask=np.isnan(values)), offsets),
    }


def _spans(batch: TrajectoryBatch) -> tuple[IntArray, IntArray]:
    """int32 ``[lines]`` each: first character (indentation included) and one past the last, in the program.

    The end of a finished program is an empty span after its last character.
    """
    counts = np.diff(batch.line_offsets).tolist()
    spans = np.concatenate([np.zeros((0, 2), np.int32), *(_own_spans(batch, i, n) for i, n in enumerate(counts))])
    return spans[:, 0].astype(np.int32), spans[:, 1].astype(np.int32)


def _own_spans(batch: TrajectoryBatch, sample: int, count: int) -> IntArray:
    """int32 ``[count, 2]``: the spans of one sample."""
    program = batch.programs[sample]
    ended = int(batch.finished[sample]) if count else 0
    found = units(program, batch.unit)
    if not batch.finished[sample] and program.endswith("\ufffd"):
        found = found[:-1]  # truncated inside a character: the line has no last token, so it is not in the batch
    found = found[max(0, len(found) - (count - ended)) :]
    spans = [(_indented(program, line.start), line.end) for line in found]
    missing = [(len(program), len(program))] * (count - len(spans))
    return np.array([*spans, *missing], np.int32).reshape(-1, 2)


def _indented(program: str, start: int) -> int:
    begin = program.rfind("\n", 0, start) + 1
    return begin if not program[begin:start].strip() else start


def _known(column: FloatArray) -> pa.Array:
    """The column with nulls for NaN."""
    return pa.array(np.asarray(column, np.float32), mask=np.isnan(column))


def _ragged(values: object, offsets: IntArray) -> pa.Array:
    flat = values if isinstance(values, pa.Array) else pa.array(np.ascontiguousarray(values))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), flat)
