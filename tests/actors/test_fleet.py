"""Every wait ends: with the answer, with our own error, or with what was waited for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.handles import call
from prl_ray.actors.roles import here
from prl_ray.actors.waiting import wait
from prl_ray.config import ClusterConfig, SandboxConfig
from prl_ray.errors import ActorLostError, DataError, ModelError, ResourceError


class Worker:
    def __init__(self, error: Exception | None = None) -> None:
        if error is not None:
            raise error

    def ready(self) -> str:
        return "here"

    def sleep(self) -> None:
        time.sleep(60)

    def fail(self, error: Exception) -> None:
        raise error


def worker(error: Exception | None = None) -> Any:
    return ray.remote(num_cpus=0)(Worker).remote(error)


@pytest.fixture(scope="module")
def living(ray_here: None) -> Iterator[Any]:
    one = worker()
    yield one
    ray.kill(one)


def test_a_demand_that_does_not_fit_is_an_error_at_once(ray_here: None) -> None:
    start = time.monotonic()
    with pytest.raises(ResourceError, match=r"no room for \d+ learner"):
        Fleet(ClusterConfig(learners=99, learner_cpus=1), SandboxConfig(), "large").open()
    assert time.monotonic() - start < 10
    small = Fleet(ClusterConfig(), SandboxConfig(), "small")
    small.open()
    small.close()


def test_a_wait_that_is_too_long_says_for_what(ray_here: None) -> None:
    slow = worker()
    with pytest.raises(ActorLostError, match=r"waited 0\.5 s for the sleeper"):
        wait(slow.sleep.remote(), "the sleeper", 0.5)
    ray.kill(slow)


@pytest.mark.parametrize("error", [ModelError("wrong weights"), DataError("bad rows"), FileNotFoundError(2, "no", "x")])
def test_errors_a_user_can_act_on_come_through(living: Any, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error.args[-1])[:5]):
        wait(living.fail.remote(error), "it", 30)


def test_so_do_those_of_a_start(ray_here: None) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        wait(worker(ModelError("no such folder")).ready.remote(), "it", 30)


def test_another_error_of_a_start_is_named_without_its_traceback(ray_here: None) -> None:
    with pytest.raises(ActorLostError, match=r"the worker: the actor died: its start raised ModuleNotFoundError: no m"):
        wait(worker(ModuleNotFoundError("no m")).ready.remote(), "the worker", 30)


def test_a_bug_is_not_hidden(living: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        wait(living.fail.remote(ZeroDivisionError("oops")), "it", 30)


def test_an_actor_that_died_is_named(ray_here: None) -> None:
    dead = worker()
    wait(dead.ready.remote(), "it", 30)
    ray.kill(dead)  # takes effect a moment later: a short call could still be answered
    with pytest.raises(ActorLostError, match="the dead one: the actor died"):
        wait(dead.sleep.remote(), "the dead one", 30)


def test_a_fleet_that_started_nothing_closes(ray_here: None) -> None:
    Fleet(ClusterConfig(), SandboxConfig(), "none").close()


TERMINATED = """
import os, signal, time
from prl_ray import cli
from prl_ray.actors.joining import start_ray
from prl_ray.config import ClusterConfig

def main(_):
    start_ray(ClusterConfig())
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

cli.run("a run", "", main, [])
"""


def test_a_machine_that_is_taken_away_interrupts_a_run_as_a_user_would() -> None:
    done = subprocess.run([sys.executable, "-c", TERMINATED], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted; give the same command again to resume")


def test_closing_a_fleet_whose_pool_is_gone_raises_nothing(ray_here: None, caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(ClusterConfig(), SandboxConfig(), "gone", say=lambda line: None)
    pool = fleet.start_verifiers([])
    ray.kill(pool)
    with pytest.raises(RayActorError):  # the pool answers until the kill has reached it
        while True:
            ray.get(call(pool, here), timeout=60)
    fleet.close()
    assert fleet.pool is None and "the verifier pool did not stop by itself" in caplog.text


def test_an_isolation_that_cannot_be_had_ends_the_start_with_its_reason(ray_here: None) -> None:
    fleet = Fleet(ClusterConfig(isolation="ful"), SandboxConfig(), "isolation", say=lambda line: None)
    with pytest.raises(ResourceError, match=r"unknown isolation 'ful'; one of .*full"):
        fleet.start_verifiers([])
    fleet.close()
