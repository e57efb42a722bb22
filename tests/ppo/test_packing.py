import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.ppo.packing import minibatches, plan, schedule, shard

lengths_ = st.lists(st.integers(0, 300), max_size=60)


def flat(batches: list[np.ndarray]) -> list[int]:
    return sorted(int(i) for b in batches for i in b)


def test_plan_by_hand() -> None:
    batches = plan([5, 9, 2, 3, 4], budget=10)
    assert [b.tolist() for b in batches] == [[1], [0, 4], [3, 2]]
    assert plan([], 10) == []
    assert [b.tolist() for b in plan([5, 9, 2, 3, 4], budget=10, packed=True)] == [[1], [0, 4], [3, 2]]
    assert [b.tolist() for b in plan([5, 9, 2, 3, 4], budget=14, packed=True)] == [[1, 0], [4, 3, 2]]


@given(lengths_, st.integers(1, 1000))
def test_packed_plans_count_tokens_without_padding(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget, packed=True)
    assert flat(batches) == list(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[i] for i in batch) <= budget for batch in batches)
    assert len(batches) <= len(plan(lengths, budget))
    for one, after in itertools.pairwise(batches):
        assert sum(lengths[i] for i in one) + lengths[after[0]] > budget, "a sample more would have fitted"


@given(lengths_, st.integers(1, 1000))
def test_plan_keeps_within_the_budget_and_loses_nothing(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    assert flat(batches) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
    assert [b.tolist() for b in plan(np.array(lengths), budget)] == [b.tolist() for b in batches]


@given(lengths_, st.integers(1, 8))
def test_shards_are_balanced(lengths: list[int], ranks: int) -> None:
    shards = shard(lengths, ranks)
    assert len(shards) == ranks
    assert flat(shards) == list(range(len(lengths)))
    loads = [sum(lengths[i] for i in rows) for rows in shards]
    # Before the lighter rank got its last sample it was the lightest: no gap is wider than one sample.
    assert max(loads) - min(loads) <= max(lengths, default=0)
    if len(lengths) >= ranks:
        assert min(len(rows) for rows in shards) > 0


@given(lengths_, st.integers(1, 6), st.integers(1, 1000))
def test_every_rank_runs_equally_many_micro_batches(lengths: list[int], ranks: int, budget: int) -> None:
    steps = schedule(lengths, ranks, budget)
    assert len({len(rank) for rank in steps}) == 1
    assert flat([batch for rank in steps for batch in rank]) == list(range(len(lengths)))
    for rank, rows in zip(steps, shard(lengths, ranks), strict=True):
        assert flat(rank) == rows.tolist()
        for batch in rank:
            assert len(batch) <= 1 or len(batch) * max(lengths[i] for i in batch) <= budget
        # Empty ones come last, and only where every sample already runs alone.
        sizes = [len(b) for b in rank]
        assert 0 not in sizes or max(sizes) <= 1
        assert sizes == [s for s in sizes if s] + [0] * sizes.count(0)


def test_a_rank_with_fewer_micro_batches_splits_before_it_idles() -> None:
    # LPT deals 8 to rank 0 and four 2s to rank 1; with a budget of 8 the latter fit in one micro-batch.
    assert [[b.tolist() for b in rank] for rank in schedule([8, 2, 2, 2, 2], 2, 8)] == [[[0]], [[1, 2, 3, 4]]]
    steps = schedule([6, 6, 6, 2, 2, 2, 6], 2, 6)
    assert {len(rank) for rank in steps} == {3}
    assert [[b.tolist() for b in rank] for rank in schedule([3], 2, 8)] == [[[0]], [[]]]


@given(st.integers(0, 200), st.integers(1, 50), st.integers(0, 2**32))
def test_minibatches_are_a_seeded_partition(samples: int, size: int, seed: int) -> None:
    batches = minibatches(samples, size, seed)
    assert flat(batches) == list(range(samples))
    assert all(len(b) == size for b in batches[:-1])
    assert [b.tolist() for b in minibatches(samples, size, seed)] == [b.tolist() for b in batches]


def test_minibatches_differ_by_seed_and_need_a_size() -> None:
    assert minibatches(50, 10, 2)[0].tolist() != minibatches(50, 10, 3)[0].tolist()
    with pytest.raises(ValueError, match="at least one"):
        minibatches(5, 0, 0)
