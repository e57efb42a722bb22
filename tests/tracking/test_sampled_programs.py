import numpy as np
import pytest
from stored_samples import sample, table_of

from prl_ray.tracking import ScoredLine, sampled_programs
from prl_ray.tracking.samples import spread


def test_lines_carry_their_scores_and_the_rewards_up_to_their_end():
    program = "def f(x):\n    y = [\n        x]\n    # done\n    return y"
    own = sample(program)
    rewards = np.zeros(len(own.tokens), np.float32)
    rewards[[0, own.line_ends[0], own.line_ends[2], -1]] = [0.5, 1.0, -0.5, 2.0]
    one = sampled_programs(table_of([own], ["passed"], scores=[0.9, 0.5, 0.25, 0.75], rewards=rewards))[0]
    assert one.lines == (
        ScoredLine("def f(x):"),
        ScoredLine("    y = [\n        x]", pytest.approx(0.9), 1.5),
        ScoredLine("    # done", None, 0.0),
        ScoredLine("    return y", 0.25, -0.5),
        ScoredLine("<end>", 0.75, 2.0),
    )
    assert (one.task_id, one.status, one.passed, one.total, one.reward) == ("task/0", "passed", 4, 4, 3.0)
    assert one.program == program


def test_without_a_prm_there_are_no_scores_and_an_empty_program_has_its_end():
    rows = sampled_programs(table_of([sample(""), sample("a = 1", 0, 1)], ["wrong_answer", "passed"]))
    assert rows[0].lines == (ScoredLine("<end>", None, 0.0),)
    assert rows[1].lines == (ScoredLine("a = 1", None, 0.0), ScoredLine("<end>", None, 0.0))


def test_a_program_cut_inside_a_character_is_shown_too():
    own = sample("a = 1\nb = '\ufffd", 0, finished=False)
    cut = type(own)(**{**own.__dict__, "line_ends": own.line_ends[:1], "neutral": [False]})
    (row,) = sampled_programs(table_of([cut], ["compile_error"]))
    assert [line.text for line in row.lines] == ["a = 1"]


def test_rows_are_spread_evenly():
    assert spread(9, 3) == [0, 4, 8] and spread(2, 8) == [0, 1] and spread(0, 8) == []
