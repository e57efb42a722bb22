"""The columns of a step's stored samples, and one row as Python values. ``docs/samples.md`` describes them."""

from __future__ import annotations

from typing import Literal, TypedDict

import pyarrow as pa

from prl_ray.ppo.line_credit import FAILING, MIXED, PASSING

FORMAT = 1
GROUP_KINDS = {PASSING: "passing", MIXED: "mixed", FAILING: "failing"}
LearntColumn = Literal[
    "reward", "kl", "value", "return", "advantage", "old_logprob", "reference_logprob", "loss_weight"
]
LEARNT_COLUMNS: dict[LearntColumn, str] = {
    "reward": "reward of the shaping, without the KL penalty",
    "kl": "estimate of the KL to the reference policy",
    "value": "the critic's value before the token; 0 without a critic",
    "return": "target of the critic; `return - value` is the advantage before whitening",
    "advantage": "weight of the token in the policy's loss",
    "old_logprob": "log-probability by the learner's policy before the step",
    "reference_logprob": "log-probability by the reference policy",
    "loss_weight": "weight of the token's loss over the divisor of all tokens; 0 where it does not count",
}
"""Per-token columns of samples that the learner received; float32. Name -> meaning."""

_ANSWERS = pa.list_(pa.struct([("test", pa.int32()), ("got", pa.string())]))
SCHEMA = pa.schema(
    [
        ("task_id", pa.string()),
        ("prompt_id", pa.int64()),
        ("group_kind", pa.string()),
        ("learnt", pa.bool_()),
        ("prompt", pa.string()),
        ("program", pa.string()),
        ("response_start", pa.int32()),
        ("finished", pa.bool_()),
        ("status", pa.string()),
        ("passed", pa.int32()),
        ("total", pa.int32()),
        ("tests", pa.string()),
        ("answers", _ANSWERS),
        ("message", pa.string()),
        ("error_line", pa.int32()),
        ("wrong_line", pa.int32()),
        ("wrong_found_by", pa.string()),
        ("located_line", pa.int32()),
        ("total_reward", pa.float32()),
        ("tokens", pa.list_(pa.int32())),
        ("token_ends", pa.list_(pa.int32())),
        ("logprob", pa.list_(pa.float32())),
        ("weight_version", pa.list_(pa.int32())),
        *((name, pa.list_(pa.float32())) for name in LEARNT_COLUMNS),
        ("line_starts", pa.list_(pa.int32())),
        ("line_ends", pa.list_(pa.int32())),
        ("line_tokens", pa.list_(pa.int32())),
        ("line_neutral", pa.list_(pa.bool_())),
        ("line_score", pa.list_(pa.float32())),
        ("line_verdict", pa.list_(pa.int8())),
        ("line_state", pa.list_(pa.int64())),
        ("line_compared", pa.list_(pa.bool_())),
        ("line_value", pa.list_(pa.float64())),
        ("line_trace", pa.list_(pa.string())),
        ("reference_trace", pa.list_(pa.string())),
    ]
)
ADDED = frozenset({"located_line", "line_compared", "line_value"})
"""Columns that are missing in files of older runs; read as null."""


class TestAnswer(TypedDict):
    """The value that a program returned, or its output, for one test."""

    test: int
    got: str


_LearntRow = TypedDict(
    "_LearntRow",
    {
        "reward": list[float] | None,
        "kl": list[float] | None,
        "value": list[float] | None,
        "return": list[float] | None,
        "advantage": list[float] | None,
        "old_logprob": list[float] | None,
        "reference_logprob": list[float] | None,
        "loss_weight": list[float] | None,
    },
)


class SampleRow(_LearntRow):
    """One row of ``SCHEMA`` as Python values; a row read with fewer columns has only their keys."""

    task_id: str
    prompt_id: int
    group_kind: str | None
    learnt: bool
    prompt: str
    program: str
    response_start: int
    finished: bool
    status: str
    passed: int
    total: int
    tests: str
    answers: list[TestAnswer]
    message: str
    error_line: int | None
    wrong_line: int | None
    wrong_found_by: str | None
    located_line: int | None
    total_reward: float | None
    tokens: list[int]
    token_ends: list[int]
    logprob: list[float]
    weight_version: list[int]
    line_starts: list[int]
    line_ends: list[int]
    line_tokens: list[int]
    line_neutral: list[bool]
    line_score: list[float | None]
    line_verdict: list[int | None]
    line_state: list[int | None]
    line_compared: list[bool] | None
    line_value: list[float | None] | None
    line_trace: list[str]
    reference_trace: list[str]


def sample_rows(table: pa.Table) -> list[SampleRow]:
    """The rows of a table of samples, or of some of its columns."""
    rows: list[SampleRow] = table.to_pylist()
    return rows
