"""Every sample has a random stream of its own, however the work is dealt out; any 64-bit seed works."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.actors.generator import Generator, Sampling
from prl_ray.config.data import TeacherConfig
from prl_ray.config.run import Config
from prl_ray.problems import Problem
from prl_ray.seeds import CHAT_BITS, MAX_SEED, NUMPY_BITS, derive, numpy_stream
from prl_ray.trajectory import TrajectoryBatch

SEEDS = st.integers(0, MAX_SEED)
pytestmark = pytest.mark.slow


def drawn(engine: Generator, problems: list[Problem], numbers: list[int], sampling: Sampling) -> TrajectoryBatch:
    parts = sorted(engine.generate(problems, numbers, sampling), key=lambda part: int(part.prompt_ids[0]))
    return TrajectoryBatch.concat(parts)


def tokens_of(batch: TrajectoryBatch) -> list[tuple[int, ...]]:
    offsets = batch.token_offsets
    return [tuple(batch.tokens[a:b].tolist()) for a, b in itertools.pairwise(offsets)]


@given(SEEDS, st.integers(0, 10**6))
def test_no_two_samples_of_a_default_step_share_a_stream(seed: int, step: int) -> None:
    """Before: base + prompt number + sample number, 27 streams for 24 × 4 samples."""
    sampling = Sampling(4, 1.0, 8, derive(seed, "rollout", step))
    streams = {sampling.stream(prompt, sample) for prompt in range(24) for sample in range(4)}
    following = Sampling(4, 1.0, 8, derive(seed, "rollout", step + 1))
    streams |= {following.stream(prompt, sample) for prompt in range(24) for sample in range(4)}
    assert len(streams) == 2 * 24 * 4


@given(SEEDS, st.sampled_from([NUMPY_BITS, CHAT_BITS, 63]))
def test_every_library_takes_what_is_derived_from_any_seed(seed: int, bits: int) -> None:
    found = derive(seed, "anything", "a/b", 3, bits=bits)
    assert 0 <= found < 2**bits
    torch.Generator().manual_seed(found)
    random.Random(found)
    np.random.default_rng(found)
    if bits <= NUMPY_BITS:
        np.random.RandomState(found)


def test_places_of_other_shapes_are_other_streams() -> None:
    """NumPy's own sequences take ``[1]`` and ``[1, 0]``, or ``[2**32]`` and ``[0, 1]``, for the same entropy."""
    places = [(1,), (1, 0), (0, 1), (2**32,), ("1",), ("1", 0), ("10",), ()]
    assert len({derive(seed, purpose, *p) for seed in (0, 1) for purpose in ("a", "b") for p in places}) == 32
    assert numpy_stream(1, "a").integers(2**62) != numpy_stream(1, "a", 0).integers(2**62)
    assert derive(7, "rollout", 3) == 1513114883442520792, "the same on every machine"


def test_a_teachers_seed_is_not_added_to_the_runs() -> None:
    """Before: the variants of run 1 with the teacher's seed 1 were those of run 2."""
    seeds = {TeacherConfig(seed=own).label_config(run).seed for run in (1, 2, MAX_SEED) for own in (0, 1, 2)}
    assert len(seeds) == 9 and {1, 2, MAX_SEED} <= seeds


def test_the_largest_seed_is_accepted_and_one_more_is_not() -> None:
    from prl_ray import compose
    from prl_ray.errors import ConfigError

    config = compose(["+cluster=local", f"seed={MAX_SEED}"])
    assert isinstance(config, Config) and config.seed == MAX_SEED
    with pytest.raises(ConfigError, match="seed"):
        compose(["+cluster=local", f"seed={MAX_SEED + 1}"])


def test_one_problem_under_four_numbers_gives_sixteen_programs(engine: Generator, problems: list[Problem]) -> None:
    sampling = Sampling(samples=4, temperature=1.0, max_tokens=24, seed=derive(2**64 - 1, "rollout", 0))
    batch = drawn(engine, problems[:1] * 4, [0, 1, 2, 3], sampling)
    assert batch.prompt_ids.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    # only samples that run on tell streams apart: a first token may be equal by chance
    long = [tokens for tokens in tokens_of(batch) if len(tokens) > 3]
    assert len(long) >= 8 and len(set(long)) == len(long)


def test_samples_do_not_depend_on_how_the_work_is_dealt_out(engine: Generator, problems: list[Problem]) -> None:
    sampling = Sampling(samples=3, temperature=1.0, max_tokens=24, seed=17)
    whole = drawn(engine, problems[:4], [0, 1, 2, 3], sampling)
    halves = [drawn(engine, problems[i:4:2], [i, i + 2], sampling) for i in (0, 1)]
    dealt = sorted([part.take(range(i, i + 3)) for part in halves for i in (0, 3)], key=lambda p: p.prompt_ids[0])
    assert tokens_of(TrajectoryBatch.concat(dealt)) == tokens_of(whole)
    assert not engine.llm.llm_engine.has_unfinished_requests()
