"""The pool gives every program a verdict, whatever happens to its workers, and none of that becomes a reward."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from fragile import RAISES, RIGHT, SLOW, SUITE, WRONG, FragilePool, MakePool, run, stats, statuses
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.actors.line_plan import LineRequest
from prl_ray.actors.verifier import VerifierSetup, as_columns
from prl_ray.actors.verifier_pool import DEATHS_TO_FORBID
from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.problems import Problem
from prl_ray.rewards.groups import GroupFilter
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.trajectory import STATUSES, Verdicts
from sandbox_workers import Status, TestSuite, Verdict


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_verdicts_come_in_order_with_all_tests_counted(make_pool: MakePool) -> None:
    pool = make_pool(1)
    verdicts = run(pool, RIGHT, WRONG, RAISES, "def f(x)\n")
    assert statuses(verdicts) == ["passed", "wrong_answer", "runtime_error", "compile_error"]
    assert [(v.passed, v.total) for v in verdicts] == [(2, 2), (1, 2), (0, 2), (0, 2)]
    found = stats(pool)
    assert found["submitted"] == found["answered"] == 4
    assert found["waiting"] == found["retried"] == found["restarted"] == found["forbidden"] == 0


def test_a_chunk_is_verified_by_the_tests_of_its_problems(make_pool: MakePool) -> None:
    pool = make_pool(1)
    suites = ray.put({"task/0": SUITE, "task/1": TestSuite(tests=("assert f(1) == 0",))})
    chunk = batch_of(
        [
            Sample(tokens=[1, 2, 3], line_ends=[0, 1, 2], program=RIGHT, group=0),
            Sample(tokens=[1, 2, 3], line_ends=[0, 1, 2], program=RIGHT, group=1),
            Sample(tokens=[1, 2, 3, 4], line_ends=[0, 1, 2, 3], program=RAISES, group=0),
        ]
    )
    columns = ray.get(pool.verify.remote([ray.put(chunk)], [suites]), timeout=60)
    assert [STATUSES[s] for s in columns.status] == ["passed", "wrong_answer", "runtime_error"]
    assert columns.total.tolist() == [2, 1, 2]
    assert columns.error_line[2] == 2, "`return x / 0` is the third of its lines"


def test_error_lines_are_on_the_samples_own_line_axis() -> None:
    program = "import math\ndef f(x):\n\n    y = (x +\n         1)\n    # why\n    return y\n"
    # lines: import, def, y (two physical lines), comment, return, and the end of a finished sample
    batch = batch_of([Sample(tokens=range(6), line_ends=range(6), program=program)])
    prefixed = batch_of(
        [Sample(tokens=range(4), line_ends=range(4), program=program)]
    )  # the first two lines were given
    cut = batch_of([Sample(tokens=range(3), line_ends=range(3), program=program, finished=False)])

    def at(batch: Any, line: int | None) -> int:
        return int(as_columns(batch, [Verdict(Status.RUNTIME_ERROR, line=line)]).error_line[0])

    assert [at(batch, line) for line in (1, 2, 3, 4, 5, 6, 7, None)] == [0, 1, -1, 2, 2, 3, 4, -1]
    assert [at(prefixed, line) for line in (1, 2, 4, 5, 7)] == [-1, -1, 0, 0, 2]
    assert [at(cut, line) for line in (1, 4, 7)] == [-1, 0, 2]


def test_a_verifier_killed_in_the_middle_loses_nothing(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(2)
    file = tmp_path / "pid"
    chunks = [[f"# tells once {file}\n" + SLOW, WRONG], [SLOW, RAISES], [RIGHT]]
    refs = [pool.run.remote([(p, SUITE) for p in chunk]) for chunk in chunks]
    while not pids(file):
        time.sleep(0.02)
    os.kill(pids(file)[0], signal.SIGKILL)
    found = [statuses(v) for v in ray.get(refs, timeout=60)]
    assert found == [["passed", "wrong_answer"], ["passed", "runtime_error"], ["passed"]]
    counted = stats(pool)
    assert counted["restarted"] == 1 and counted["wanted"] == 2
    assert counted["submitted"] == counted["answered"] == 5 and counted["forbidden"] == 0


def test_a_program_that_takes_its_verifier_down_three_times_is_forbidden(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(2)
    file = tmp_path / "pids"
    verdicts = run(pool, RIGHT, f"# dies {file}\n" + RIGHT, WRONG)
    assert statuses(verdicts) == ["passed", "forbidden", "wrong_answer"]
    assert str(DEATHS_TO_FORBID) in verdicts[1].message and verdicts[1].total == 2
    # once with its neighbours, then alone: a different worker each time
    assert len(pids(file)) == len(set(pids(file))) == 1 + DEATHS_TO_FORBID
    counted = stats(pool)
    assert counted["forbidden"] == 1 and counted["restarted"] == 4 and counted["wanted"] == 2
    assert statuses(run(pool, RIGHT)) == ["passed"]


def test_one_death_is_an_accident(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(1)
    assert statuses(run(pool, f"# dies once {tmp_path / 'pids'}\n" + RIGHT)) == ["passed"]
    assert stats(pool)["restarted"] == 1 and stats(pool)["forbidden"] == 0


def test_a_broken_sandbox_is_asked_again(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(1)
    verdicts = run(pool, RIGHT, f"# breaks once {tmp_path / 'a'}\n" + WRONG)
    assert statuses(verdicts) == ["passed", "wrong_answer"]
    assert stats(pool)["retried"] == 1


def test_verdicts_tell_the_driver_of_the_samples_what_it_counts() -> None:
    samples = [
        Sample(tokens=range(4), line_ends=[3], program=RIGHT),
        Sample(tokens=range(2), line_ends=[1], program=RIGHT, finished=False),
        Sample(tokens=[], line_ends=[], program="", finished=False),
    ]
    columns = as_columns(batch_of(samples), [Verdict(Status.PASSED, 2, 2)] * 3)
    assert columns.tokens.tolist() == [4, 2, 0] and columns.finished.tolist() == [True, False, False]
    both = Verdicts.concat([columns, columns.take([2, 0])])
    assert both.tokens.tolist() == [4, 2, 0, 0, 4] and both.finished.tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("name", SHAPINGS)
def test_a_sandbox_error_never_becomes_a_reward(name: str) -> None:
    batch = batch_of(
        [
            Sample(tokens=range(4), line_ends=[1, 3], program=RIGHT),
            Sample(tokens=range(4), line_ends=[1, 3], program=RIGHT),
        ]
    )
    columns = as_columns(batch, [Verdict(Status.SANDBOX_ERROR, passed=1, total=2), Verdict(Status.PASSED, 2, 2)])
    assert columns.valid.tolist() == [False, True]
    lines, whole = np.full(4, 0.9, np.float32), np.full(2, 0.9, np.float32)
    inputs = RewardInputs(batch, columns, lines, whole)
    rewards = SHAPINGS[name](inputs)
    assert not rewards[:4].any()
    counted = SHAPINGS[name].counted(inputs)
    assert not counted[:4].any() and counted[4:].any()


def test_a_sandbox_that_stays_broken_is_said_so(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(1, attempts=3)
    file = tmp_path / "a"
    assert statuses(run(pool, f"# breaks {file}\n" + RIGHT)) == ["sandbox_error"]
    assert len(pids(file)) == 3
    assert stats(pool)["forbidden"] == 0


def test_a_pool_that_dies_is_restarted_and_answers_what_it_was_asked(ray_here: None) -> None:
    actor = ray.remote(num_cpus=0, max_concurrency=1000, max_restarts=-1, max_task_retries=-1)(FragilePool)
    pool = actor.remote(VerifierSetup(), 2, 0.25)
    ray.get(pool.ready.remote(), timeout=60)
    refs = [pool.run.remote([(program, SUITE)]) for program in (SLOW, WRONG, SLOW, RAISES, SLOW)]
    os.kill(ray.get(pool.__ray_call__.remote(lambda pool: os.getpid())), signal.SIGKILL)
    found = [statuses(v)[0] for v in ray.get(refs, timeout=120)]
    assert found == ["passed", "wrong_answer", "passed", "runtime_error", "passed"]
    report = ray.get(pool.report.remote(), timeout=60)
    assert report.restored and report.counts.submitted == report.counts.answered
    ray.get(pool.resize.remote(1), timeout=60)
    assert not ray.get(pool.report.remote(), timeout=60).restored
    ray.kill(pool)


def test_calls_give_values_or_none_where_the_worker_dies(make_pool: MakePool) -> None:
    pool = make_pool(1)
    results = ray.get(pool.call.remote(RIGHT, "f", [(1,), ("a",)]), timeout=60)
    assert (results[0].ok, results[0].value) == (True, 2)
    assert (results[1].ok, results[1].error) == (False, "TypeError")


def test_lines_of_failing_samples_are_located_in_the_workers(make_pool: MakePool, tmp_path: Path) -> None:
    """A wrong line, a passing program, one that takes its worker down, one whose verdict the sandbox owes."""
    prefix = "def f(x):\n"
    reference = prefix + "    x = x + 2\n    x = x * 3\n    return x"
    suite = TestSuite(tests=("assert f(1) == 9", "assert f(-1) == 3"), entry_point="f")
    problem = Problem("t", "p", "f", suite, (reference,), "train", code_prefix=prefix)
    wrong = reference.replace("x * 3", "x * 4")
    batch = batch_of(
        [
            Sample(tokens=range(8), line_ends=range(4), program=program)
            for program in (wrong, reference, f"# dies {tmp_path / 'pids'}\n" + wrong, wrong)
        ]
    )
    verdicts = verdicts_of(["wrong_answer", "passed", "wrong_answer", "sandbox_error"])
    pool = make_pool(1)
    request = LineRequest([ray.put({"task/0": problem})], frozenset([0]), GroupFilter())
    refs = [ray.put(batch)], [ray.put(verdicts)]
    found: LineVerdicts = ray.get(pool.locate.remote(*refs, request), timeout=120)
    assert found.wrong.tolist() == [1, 4, UNKNOWN, UNKNOWN]
    assert [FOUND_BY[code] for code in found.found_by] == ["state", "passed", "", ""]
    assert found.states[0] == found.states[4] != found.states[1]
    assert statuses(run(pool, RIGHT)) == ["passed"]  # a new worker has taken the place of the one that died


def test_lines_are_executed_where_the_step_learns_from_them() -> None:
    """Of the step's share of prompts, those that the filter of groups keeps."""
    batch = batch_of([Sample(tokens=range(4), line_ends=range(2), program=RIGHT, group=3) for _ in range(2)])
    mixed, failing = verdicts_of(["passed", "wrong_answer"]), verdicts_of(["wrong_answer", "timeout"])
    request = LineRequest([], frozenset([3]), GroupFilter())
    assert request.asks_for(batch, mixed) and not request.asks_for(batch, failing)
    assert not replace(request, prompts=frozenset([4])).asks_for(batch, mixed)
    assert replace(request, filter=GroupFilter(failing=True)).asks_for(batch, failing)
    assert replace(request, filter=GroupFilter(on=False)).asks_for(batch, verdicts_of(["passed", "passed"]))
