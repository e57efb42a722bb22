"""The table of a step's samples: hand-made programs, every axis checked against values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from stored_samples import PROGRAM, each_character, learnt_columns, sample, table_of
from tokenizers import Tokenizer, decoders, models
from trajectories import any_batches, batch_of, verdicts_of

from prl_ray.lines import token_ends
from prl_ray.ppo.line_credit import UNKNOWN, LineCredit
from prl_ray.tracking.sample_schema import LEARNT_COLUMNS, SCHEMA, LearntColumn, SampleRow
from prl_ray.tracking.sample_table import LineFindings, SamplePart, step_table
from prl_ray.trajectory import STATUSES

LONG = "def f(x):\n    # done\n    y = [\n        x]\n    return y"


def decode(tokens):
    return f"prompt {list(tokens)}"


def test_character_spans_are_those_of_the_program():
    (row,) = table_of([sample(LONG)], ["passed"], scores=[0.5, 0.25, 0.75, 1.0]).to_pylist()
    spans = list(zip(row["line_starts"], row["line_ends"], strict=True))
    assert [LONG[a:b] for a, b in spans] == ["    # done", "    y = [\n        x]", "    return y", ""]
    last = [LONG[: row["token_ends"][t]].split("\n")[-1] for t in row["line_tokens"]]
    assert last == ["    # done", "        x]", "    return y", "    return y"]
    assert row["line_neutral"] == [True, False, False, False]
    assert row["line_score"] == [None, 0.25, 0.75, 1.0], "a neutral line has no score"
    assert "".join(map(chr, row["tokens"][:-1])) == LONG[9:] and row["token_ends"][-2:] == [len(LONG)] * 2
    assert row["prompt"] == "prompt [1]" and row["response_start"] == 9


def test_what_the_tests_answered_is_kept_a_test():
    reports = [("pf--", ((1, "[3, '<script>']"),), "IndexError: list index out of range"), ("", (), "")]
    rows = table_of([sample(), sample(group=1)], ["wrong_answer", "timeout"], reports=reports).to_pylist()
    assert rows[0]["tests"] == "pf--" and rows[0]["answers"] == [{"test": 1, "got": "[3, '<script>']"}]
    assert rows[0]["message"].startswith("IndexError") and rows[1]["tests"] == "----"


def test_line_verdicts_stop_at_the_first_wrong_line():
    batch = batch_of([sample(LONG), sample(LONG), sample(LONG)])
    found = LineFindings(np.array([2, 4, -1]), ("state", "passed", ""), np.arange(12))
    part = SamplePart(batch, verdicts_of(["wrong_answer", "passed", "timeout"]), findings=found)
    rows = step_table([part], each_character, decode).to_pylist()
    assert [row["line_verdict"] for row in rows] == [[None, 1, 0, None], [None, 1, 1, 1], [None] * 4]
    assert [row["wrong_line"] for row in rows] == [2, None, None]
    assert rows[0]["wrong_found_by"] == "state" and rows[0]["line_state"] == [0, 1, 2, 3]


def test_the_estimators_lines_are_kept():
    batch = batch_of([sample(LONG), sample(LONG), sample(LONG)])
    counted = np.array([False, True, True, True] * 3)
    lines = LineCredit(
        batch.line_offsets, batch.global_line_ends, counted, np.array([2, 4, UNKNOWN]), np.array([False, True, False])
    )
    lines = replace(lines, values=np.array([np.nan, 0.5, 1.0, np.nan] * 3))
    part = SamplePart(batch, verdicts_of(["wrong_answer", "passed", "timeout"]), compared=lines)
    rows = step_table([part], each_character, decode).to_pylist()
    assert [row["located_line"] for row in rows] == [2, 4, None]
    assert [row["line_compared"] for row in rows] == [[False, True, True, True]] * 3
    assert [row["line_value"] for row in rows] == [[None, 0.5, 1.0, None]] * 3
    (row,) = step_table([SamplePart(batch_of([sample()]), verdicts_of(["passed"]))], each_character, decode).to_pylist()
    assert row["located_line"] is None and row["line_compared"] is None and row["line_value"] is None


def test_filtered_samples_have_their_place_and_no_rewards():
    learnt = batch_of([sample(group=1), sample(group=3)])
    filtered = batch_of([sample(group=2), sample(group=2)])
    part = SamplePart(learnt, verdicts_of(["passed", "timeout"]), learnt=learnt_columns(learnt))
    other = SamplePart(filtered, verdicts_of(["timeout", "passed"]))
    table = step_table([part, other], each_character, decode)
    assert table.schema.names == SCHEMA.names
    assert table.column("prompt_id").to_pylist() == [1, 2, 2, 3]
    assert table.column("learnt").to_pylist() == [True, False, False, True]
    assert table.column("group_kind").to_pylist() == ["passing", "mixed", "mixed", "failing"]
    assert [row is None for row in table.column("reward").to_pylist()] == [False, True, True, False]


def test_rewards_add_up_for_each_sample_also_for_empty_ones():
    empty = replace(sample(""), tokens=[], line_ends=[], neutral=[], logprobs=[], finished=False)
    batch = batch_of([empty, sample(PROGRAM, group=1), empty])
    rewards = np.arange(len(batch.tokens), dtype=np.float32)
    part = SamplePart(batch, verdicts_of(["passed"] * 3), learnt=learnt_columns(batch, rewards))
    totals = step_table([part], each_character, decode).column("total_reward").to_pylist()
    assert totals == [0.0, 0.0, pytest.approx(rewards.sum())]


@given(any_batches())
def test_every_batch_becomes_a_table_and_keeps_its_numbers(batch):
    batch = replace(batch, programs=tuple("x" * 40 for _ in batch.programs))
    verdicts = verdicts_of([STATUSES[i % len(STATUSES)] for i in range(len(batch))])
    table = step_table([SamplePart(batch, verdicts, learnt=learnt_columns(batch))], each_character, decode)
    order = np.argsort(batch.prompt_ids, kind="stable")
    assert table.column("tokens").to_pylist() == [
        batch.tokens[batch.token_offsets[i] : batch.token_offsets[i + 1]].tolist() for i in order
    ]
    for name in ("line_starts", "line_ends", "line_tokens", "line_neutral", "line_score", "line_verdict"):
        assert [len(row) for row in table.column(name).to_pylist()] == np.diff(batch.line_offsets)[order].tolist()


def test_the_typed_row_has_the_columns_of_the_schema() -> None:
    assert set(get_type_hints(SampleRow)) == set(SCHEMA.names)
    assert get_args(LearntColumn) == tuple(LEARNT_COLUMNS)


def test_the_first_blank_of_a_response_is_the_responses() -> None:
    """A tokenizer of SentencePiece's kind drops the first blank of a text that it decodes alone."""
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "\u2581return": 1, "\u25811": 2}, unk_token="x"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    assert tokenizer.decode([1, 2]) == "return 1" and tokenizer.decode([0, 1, 2]) == "x return 1"
    made = replace(sample(" return 1", prefix=0, finished=False), tokens=[1, 2], line_ends=[1], logprobs=[-0.5, -0.5])
    batch = replace(batch_of([made]), prompt_tokens=np.zeros(1, np.int32), prompt_offsets=np.array([0, 1]))

    def ends(prompt: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
        return token_ends(tokenizer, tokens, behind=prompt)

    (row,) = step_table([SamplePart(batch, verdicts_of(["passed"]))], ends, decode).to_pylist()
    assert (row["program"], row["response_start"], row["token_ends"]) == (" return 1", 0, [7, 9])
