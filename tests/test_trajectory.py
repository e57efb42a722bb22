import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trajectories import Sample, any_batches, batch_of, verdicts_of

from prl_ray.trajectory import STATUSES, TrajectoryBatch, Verdicts, take_ragged


def assert_same(a: TrajectoryBatch, b: TrajectoryBatch) -> None:
    for f in fields(TrajectoryBatch):
        left, right = getattr(a, f.name), getattr(b, f.name)
        if isinstance(left, tuple | str | None):
            assert left == right, f.name
        else:
            np.testing.assert_array_equal(left, right, err_msg=f.name)
            assert left.dtype == right.dtype, f.name


TWO = batch_of(
    [
        Sample(prompt=[1, 2], tokens=[10, 11, 12], line_ends=[0, 2], group=4, program="a"),
        Sample(prompt=[3], tokens=[20, 21], line_ends=[1], neutral=[True], group=5, program="b", finished=False),
    ]
)


def test_lines_and_blocks_do_not_join() -> None:
    blocks = replace(TWO, unit="block")
    assert TrajectoryBatch.concat([blocks, blocks]).unit == blocks.take([1]).unit == "block"
    assert TrajectoryBatch.concat([TWO, TWO]).unit == "line"
    with pytest.raises(ValueError, match="cannot join"):
        TrajectoryBatch.concat([TWO, blocks])


def test_take_reorders_every_column() -> None:
    taken = TWO.take([1, 0, 1])
    assert taken.programs == ("b", "a", "b")
    assert taken.prompt_ids.tolist() == [5, 4, 5]
    assert taken.finished.tolist() == [False, True, False]
    assert taken.tokens.tolist() == [20, 21, 10, 11, 12, 20, 21]
    assert taken.token_offsets.tolist() == [0, 2, 5, 7]
    assert taken.prompt_tokens.tolist() == [3, 1, 2, 3]
    assert taken.line_ends.tolist() == [1, 0, 2, 1]
    assert taken.line_neutral.tolist() == [True, False, False, True]


def test_global_line_ends_point_at_the_tokens_that_hold_line_ends() -> None:
    assert TWO.global_line_ends.tolist() == [0, 2, 4]
    assert TWO.tokens[TWO.global_line_ends].tolist() == [10, 12, 21]


def test_lengths_count_tokens() -> None:
    assert TWO.response_lengths.tolist() == [3, 2]
    assert TWO.total_lengths.tolist() == [5, 3]


def test_take_ragged_by_hand() -> None:
    flat, offsets = take_ragged(np.array([0, 2, 5, 5]), np.array([1, 2, 0]))
    assert flat.tolist() == [2, 3, 4, 0, 1]
    assert offsets.tolist() == [0, 3, 3, 5]


@given(st.lists(st.lists(st.integers()), min_size=1), st.data())
def test_take_ragged_is_a_list_of_lists_by_index(rows: list[list[int]], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    values = np.array([v for row in rows for v in row], dtype=object)
    offsets = np.cumsum([0, *map(len, rows)])
    flat, taken_offsets = take_ragged(offsets, np.array(index, dtype=np.int64))
    taken = [values[flat[a:b]].tolist() for a, b in itertools.pairwise(taken_offsets)]
    assert taken == [rows[i] for i in index]


@given(st.lists(any_batches(), min_size=1, max_size=4))
def test_concat_then_take_gives_the_parts_back(parts: list[TrajectoryBatch]) -> None:
    whole = TrajectoryBatch.concat(parts)
    assert len(whole) == sum(map(len, parts))
    start = 0
    for part in parts:
        assert_same(whole.take(range(start, start + len(part))), part)
        start += len(part)


@given(any_batches(), st.data())
def test_take_of_take_is_take(batch: TrajectoryBatch, data: st.DataObject) -> None:
    outer = data.draw(st.lists(st.integers(0, len(batch) - 1), min_size=1))
    inner = data.draw(st.lists(st.integers(0, len(outer) - 1)))
    assert_same(batch.take(outer).take(inner), batch.take([outer[i] for i in inner]))


@given(any_batches(), st.data())
def test_lines_stay_with_their_tokens(batch: TrajectoryBatch, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(batch) - 1)))
    taken = batch.take(rows)
    expected = [
        batch.tokens[batch.token_offsets[r] + end]
        for r in rows
        for end in batch.line_ends[batch.line_offsets[r] : batch.line_offsets[r + 1]]
    ]
    assert taken.tokens[taken.global_line_ends].tolist() == expected


@given(any_batches(), st.data())
def test_cut_keeps_the_first_tokens_and_the_lines_that_end_in_them(batch: TrajectoryBatch, data: st.DataObject) -> None:
    lengths = np.array([data.draw(st.integers(0, 14)) for _ in range(len(batch))])
    cut, index = batch.cut(lengths)
    for name in ("tokens", "logprobs", "weight_versions"):
        assert getattr(cut, name).tolist() == getattr(batch, name)[index].tolist()
    for i, length in enumerate(lengths):
        whole, part = batch.take([i]), cut.take([i])
        assert part.tokens.tolist() == whole.tokens[:length].tolist()
        assert part.prompt_tokens.tolist() == whole.prompt_tokens.tolist() and part.programs == whole.programs
        kept = whole.line_ends < length
        assert part.line_ends.tolist() == whole.line_ends[kept].tolist()
        assert part.line_neutral.tolist() == whole.line_neutral[kept].tolist()


def test_verdicts_tell_a_pass_from_a_failure_and_from_a_broken_sandbox() -> None:
    verdicts = verdicts_of(STATUSES)
    assert verdicts.ok.tolist() == [s == "passed" for s in STATUSES]
    assert verdicts.valid.tolist() == [s not in ("sandbox_error", "unsupported") for s in STATUSES]
    joined = Verdicts.concat([verdicts, verdicts_of(["passed"], [3])])
    assert joined.error_line.tolist() == [-1] * len(STATUSES) + [3]


def test_verdict_metrics_by_hand() -> None:
    unknown = verdicts_of(["sandbox_error"] * 3)
    metrics = Verdicts.concat([verdicts_of(["passed", "wrong_answer", "passed"]), unknown]).metrics()
    assert metrics["critic/score/mean"] == pytest.approx(2 / 3), "of those with a verdict"
    assert metrics["verify/passed"] == pytest.approx(2 / 6)
    assert metrics["verify/sandbox_error"] == pytest.approx(3 / 6)
    assert unknown.metrics()["critic/score/mean"] == 0
