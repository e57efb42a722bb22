from dataclasses import replace

import numpy as np
import pytest

from prl_ray.tracking import ScoredLine, sampled_programs
from prl_ray.trajectory import STATUSES, TrajectoryBatch, Verdicts


def batch_of(programs, finished, tokens, ends, neutral):
    """``tokens[i]`` tokens and scored lines ending at ``ends[i]`` for each program."""
    n = len(programs)
    return TrajectoryBatch(
        task_ids=tuple(f"t{i}" for i in range(n)),
        prompt_ids=np.arange(n),
        programs=tuple(programs),
        finished=np.array(finished),
        prompt_tokens=np.zeros(n, np.int32),
        prompt_offsets=np.arange(n + 1),
        tokens=np.zeros(sum(tokens), np.int32),
        token_offsets=np.cumsum([0, *tokens]),
        logprobs=np.zeros(sum(tokens), np.float32),
        weight_versions=np.zeros(sum(tokens), np.int32),
        line_ends=np.array([e for own in ends for e in own], np.int32),
        line_offsets=np.cumsum([0, *map(len, ends)]),
        line_neutral=np.array([x for own in neutral for x in own]),
    )


def verdicts_of(*names):
    n = len(names)
    codes = np.array([STATUSES.index(name) for name in names], np.uint8)
    return Verdicts(codes, np.ones(n, np.int32), np.full(n, 3, np.int32), np.full(n, -1, np.int32))


def test_lines_carry_their_scores_and_the_rewards_up_to_their_end():
    # Sample 0: the header is the given prefix; lines end at tokens 1, 3 and 4 (the end). Sample 1 was cut off.
    batch = batch_of(
        ["def f(x):\n    y = [\n        x]\n    # done\n    return y", "def g():\n    pass"],
        [True, False],
        [6, 2],
        [[1, 2, 4, 5], [1]],
        [[False, True, False, False], [True]],
    )
    rewards = np.array([0.5, 1.0, 0.0, -0.25, -0.25, 2.0, 0.125, 0.125], np.float32)
    scores = np.array([0.9, 0.5, 0.25, 0.75, 0.5], np.float32)
    one, two = sampled_programs(batch, verdicts_of("passed", "timeout"), scores, rewards, prompts={"t0": "Do f."})
    assert one.lines == (
        ScoredLine("def f(x):"),
        ScoredLine("    y = [\n        x]", pytest.approx(0.9), 1.5),
        ScoredLine("    # done", None, 0.0),
        ScoredLine("    return y", 0.25, -0.5),
        ScoredLine("<end>", 0.75, 2.0),
    )
    assert (one.task_id, one.status, one.passed, one.total, one.reward, one.prompt) == (
        "t0",
        "passed",
        1,
        3,
        3.0,
        "Do f.",
    )
    assert two.lines == (ScoredLine("def g():"), ScoredLine("    pass", None, 0.25))
    assert one.program == batch.programs[0]


def test_without_a_prm_there_are_no_scores_and_samples_can_be_chosen():
    batch = batch_of(["a = 1", "b = 2"], [True, True], [2, 2], [[0, 1], [0, 1]], [[False, False]] * 2)
    rows = sampled_programs(batch, verdicts_of("passed", "passed"), None, np.ones(4, np.float32), samples=[1])
    assert [row.lines for row in rows] == [(ScoredLine("b = 2", None, 1.0), ScoredLine("<end>", None, 1.0))]


def test_a_program_cut_inside_a_character_or_empty_is_shown_too():
    batch = batch_of(["a = 1\nb = '\ufffd", ""], [False, True], [3, 1], [[1], [0]], [[False], [False]])
    one, two = sampled_programs(batch, verdicts_of("compile_error", "wrong_answer"), None, np.zeros(4, np.float32))
    assert [line.text for line in one.lines] == ["a = 1"]
    assert [line.text for line in two.lines] == ["<end>"]


def test_blocks_are_shown_whole():
    program = "def f(x):\n    y = x\n    if y:\n        y = 1\n    return y"
    batch = replace(batch_of([program], [True], [6], [[1, 3, 4, 5]], [[False] * 4]), unit="block")
    (shown,) = sampled_programs(batch, verdicts_of("passed"), None, np.ones(6, np.float32))
    assert shown.lines == (
        ScoredLine("def f(x):\n    y = x", None, 2.0),
        ScoredLine("    if y:\n        y = 1", None, 2.0),
        ScoredLine("    return y", None, 1.0),
        ScoredLine("<end>", None, 1.0),
    )
