"""A wait says which actors on which nodes have not answered, and goes on when they do."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from fragile import RIGHT, SLOW, SUITE, MakePool, stats, statuses
from tiny_run import Cycle, largest_difference, weights_of

from prl_ray.actors.handles import ask, call
from prl_ray.actors.learner import Learner
from prl_ray.actors.waiting import wait, wait_restarted


class Sleeper:
    """An actor that answers with its process."""

    def ready(self) -> str:
        """Answers."""
        return "ready"

    def pid(self) -> int:
        """Its process."""
        return os.getpid()


@contextmanager
def frozen(pid: int, seconds: float) -> Iterator[None]:
    """The process stands still, as one does whose machine swaps, and goes on after a while."""
    os.kill(pid, signal.SIGSTOP)
    thaw = threading.Timer(seconds, os.kill, (pid, signal.SIGCONT))
    thaw.start()
    try:
        yield
    finally:
        thaw.join()


@pytest.fixture
def sleepers(ray_here: None) -> Iterator[list[Any]]:
    made = [ray.remote(num_cpus=0)(Sleeper).remote() for _ in range(2)]
    yield made
    for actor in made:
        ray.kill(actor)


def test_a_frozen_actor_is_named_with_its_node_and_the_wait_goes_on(
    sleepers: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prl_ray.actors.waiting.SAY_AFTER_S", 0.5)
    pids = ray.get([actor.pid.remote() for actor in sleepers])
    with caplog.at_level(logging.WARNING, "prl_ray"), frozen(pids[1], 1.8):
        assert wait([actor.ready.remote() for actor in sleepers], "the step", 60) == ["ready", "ready"]
    first = caplog.messages[0]
    place = f"Sleeper on {socket.gethostname()} ({ray.util.get_node_ip_address()})"
    assert first.startswith(f"still waiting for the step: 1 of 2 came ({place} has not answered) after ")


def test_a_wait_for_a_restarted_actor_names_it_too(
    sleepers: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prl_ray.actors.waiting.SAY_AFTER_S", 0.5)
    pid = ray.get(sleepers[0].pid.remote())
    with caplog.at_level(logging.WARNING, "prl_ray"), frozen(pid, 1.5):
        wait_restarted(sleepers[:1], lambda actor: actor.ready.remote(), "an engine", 60)  # type: ignore[attr-defined]
    assert "still waiting for an engine (Sleeper on " in caplog.messages[0]


def test_a_frozen_verifier_is_named_and_its_programs_get_their_verdicts(
    make_pool: MakePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, file = make_pool(1), tmp_path / "pid"
    answer = pool.run.remote([(f"# tells {file}\n{SLOW}", SUITE), (RIGHT, SUITE)])
    while not file.exists() or not file.read_text().endswith("\n"):
        time.sleep(0.02)
    with frozen(int(file.read_text()), 2.5):
        assert ray.get(pool.slow.remote(), timeout=30) == ""
        time.sleep(1.5)
        said = ray.get(pool.slow.remote(1.0), timeout=30)
    assert said.startswith(f"Verifier on {socket.gethostname()} for ")
    assert statuses(ray.get(answer, timeout=60)) == ["passed", "passed"]
    assert stats(pool)["restarted"] == 0 and ray.get(pool.slow.remote(0.0), timeout=30) == ""


@pytest.mark.parametrize("role", ["Generator", "Scorer", "Learner"])
def test_a_step_in_which_an_actor_stands_still_names_it_and_is_the_same_step(
    role: str, cycle: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands still until the run has named it. By hand, on two hosts, for 60 s: docs/clusters.md."""
    monkeypatch.setattr("prl_ray.actors.waiting.SAY_AFTER_S", 0.5)
    fleet, (learner,) = cycle.fleet, cycle.fleet.learners
    lost = dict(fleet.lost)  # by other tests of the same actors
    stopped: Any = {"Generator": fleet.generators, "Scorer": fleet.scorers, "Learner": [learner]}[role][0]
    ray.get(ask(learner, Learner.save, tmp_path))
    undisturbed, _ = cycle.loop.step(1)
    learnt = weights_of(learner)
    back_to(cycle, tmp_path)
    pid, lost = ray.get(call(stopped, process_id)), fleet.lost.copy()
    named = f"({role} on {socket.gethostname()} ({ray.util.get_node_ip_address()}) has not answered)"
    os.kill(pid, signal.SIGSTOP)
    try:
        with caplog.at_level(logging.WARNING, "prl_ray"), ThreadPoolExecutor(1) as thread:
            step = thread.submit(cycle.loop.step, 1)
            deadline = time.monotonic() + 120
            while not any(named in said for said in caplog.messages) and time.monotonic() < deadline:
                time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
            disturbed, _ = step.result()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert any(named in said for said in caplog.messages), caplog.messages
    assert learning(disturbed) == learning(undisturbed)
    assert largest_difference(weights_of(learner), learnt) == 0.0
    assert fleet.lost == lost
    back_to(cycle, tmp_path)


def process_id(actor: object) -> int:
    return os.getpid()


def back_to(cycle: Cycle, saved: Path) -> None:
    ray.get(ask(cycle.fleet.learners[0], Learner.restore, saved))
    cycle.loop.push_weights()


def learning(metrics: dict[str, float]) -> dict[str, float]:
    """Without what the clock decides."""
    return {k: v for k, v in metrics.items() if not k.startswith(("timing_s/", "perf/"))}
