"""The labelled samples of earlier steps: what is kept and drawn, and that checkpoints hold it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.actors.replay import FILE, LabelledSamples, Replay
from prl_ray.actors.rollout import Experience
from prl_ray.actors.scoring import Scores
from prl_ray.credit.columns import FOUND_BY, LineVerdicts

SIZES = {0: 3, 1: 2, 2: 4}
"""Labelled samples of each step."""


def executed(step: int) -> LabelledSamples:
    """Samples of three lines, with tokens by step and sample; the second line is wrong. The last was not executed. Each
    step has the prompts 5 and 6."""
    count = SIZES[step]
    samples = [
        Sample([step, i % 2], [100 * step + 10 * i + k for k in range(3)], [0, 1, 2], group=5 + i % 2)
        for i in range(count + 1)
    ]
    batch = batch_of(samples)
    found = LineVerdicts.unknown(batch)
    found.wrong[:count], found.found_by[:count] = 1, FOUND_BY.index("state")
    verdicts = verdicts_of(["wrong_answer"] * len(batch))
    return LabelledSamples.of(Experience(batch, verdicts, Scores(None, None, None), lines=found))


def firsts(samples: LabelledSamples) -> list[int]:
    """The first token of each sample."""
    return [int(token) for token in samples.batch.tokens[samples.batch.token_offsets[:-1]]]


def test_labelled_samples_are_those_with_a_label() -> None:
    samples = executed(1)
    assert firsts(samples) == [100, 110]
    assert samples.labels.tolist() == [1, 0, -1] * 2
    assert samples.metrics() == {"prm/online_labels": 4, "prm/online_negative": 2}


def test_a_step_gets_as_many_earlier_samples_as_it_has() -> None:
    replay, steps = Replay(2), [executed(step) for step in SIZES]
    seen = []
    for number, own in enumerate(steps):
        mixed = replay.mixed(own, seed=number)
        replay.keep(own)
        seen.append(firsts(mixed))
        assert firsts(mixed)[: len(own.batch)] == firsts(own)
        assert mixed.labels.tolist() == [1, 0, -1] * len(mixed.batch)
    assert seen[0] == [0, 10, 20]
    assert len(seen[1]) == 4 and set(seen[1][2:]) < {0, 10, 20}
    assert len(seen[2]) == 8 and set(seen[2][4:]) < {0, 10, 20, 100, 110}
    later = firsts(replay.mixed(executed(2), seed=9))[4:]
    assert set(later) <= {100, 110, 200, 210, 220, 230}, "the oldest step is gone"
    assert firsts(replay.mixed(executed(2), seed=9))[4:] == later != firsts(replay.mixed(executed(2), seed=8))[4:]


def test_prompts_of_different_steps_have_different_numbers() -> None:
    replay = Replay(2)
    for step in (0, 1):
        replay.keep(executed(step))
    batch = replay.mixed(executed(2), seed=0).batch
    prompts = [tuple(tokens) for tokens in np.split(batch.prompt_tokens, batch.prompt_offsets[1:-1])]
    numbers = batch.prompt_ids.tolist()
    assert len(set(numbers)) == len(set(prompts)) == len(set(zip(numbers, prompts, strict=True))) > 4


def test_few_kept_samples_are_all_drawn_and_no_labels_draw_none() -> None:
    replay = Replay(1)
    replay.keep(executed(1))
    assert sorted(firsts(replay.mixed(executed(2), seed=0))[4:]) == [100, 110]
    assert firsts(replay.mixed(executed(2).take(np.arange(0)), seed=0)) == []


def test_without_replay_nothing_is_kept_or_written(tmp_path: Path) -> None:
    replay = Replay(0)
    replay.keep(executed(0))
    replay.save(tmp_path)
    replay.load(tmp_path)
    assert firsts(replay.mixed(executed(1), seed=0)) == [100, 110] and not list(tmp_path.iterdir())


def test_a_checkpoint_holds_the_kept_samples(tmp_path: Path) -> None:
    replay, again = Replay(3), Replay(3)
    first = executed(0)
    replay.keep(replace(first, batch=replace(first.batch, unit="line", extracted=np.array([True, False, True]))))
    replay.keep(executed(1))
    replay.save(tmp_path)
    again.keep(executed(2))
    again.load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    for seed in range(4):
        here, there = replay.mixed(executed(2), seed), again.mixed(executed(2), seed)
        assert firsts(here) == firsts(there)
        np.testing.assert_array_equal(here.labels, there.labels)
        np.testing.assert_array_equal(here.batch.extracted, there.batch.extracted)
        np.testing.assert_array_equal(here.batch.line_ends, there.batch.line_ends)
        np.testing.assert_array_equal(here.batch.logprobs, there.batch.logprobs)
