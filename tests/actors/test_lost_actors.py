"""A generator that dies in the middle costs time, and nothing else."""

from __future__ import annotations

import gc
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError
from tiny_run import CLUSTER, Cycle, Step, learner_setup

from prl_ray.actors.engines import Engines
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Sampling
from prl_ray.actors.handles import ask, call, get, put
from prl_ray.actors.learner import Learner
from prl_ray.actors.rollout import Experience, gather
from prl_ray.actors.transports.object_store import Packed, Stored
from prl_ray.actors.waiting import wait_restarted
from prl_ray.actors.weights import SentWeights, Served
from prl_ray.config import SandboxConfig
from prl_ray.errors import ActorLostError, LearnerLostError
from prl_ray.evaluation_samples import sample_programs
from prl_ray.sampling import Collected, sample

SAMPLING = Sampling(samples=8, temperature=1.0, max_tokens=48, seed=21)


def gathered(cycle: Cycle, progress: object = lambda count: None) -> Experience:
    return gather(sample(cycle.fleet, cycle.problems, SAMPLING, 300, progress).rollout)  # type: ignore[arg-type]


def test_a_generator_killed_in_the_middle_is_asked_again_with_the_weights_it_served(cycle: Cycle, base: Path) -> None:
    """Ray restarts it with the weights that it started with: here those of step 0, not the ones it has to serve."""
    cycle.loop.push_weights()
    cycle.fleet.engines.load_folder(base, -9)
    before = gathered(cycle)
    lost = cycle.fleet.lost["generator"]
    seen: list[int] = []

    def kill_once(count: int) -> None:
        seen.append(count)
        if len(seen) == 1:
            ray.kill(cycle.fleet.generators[0], no_restart=False)

    after = gathered(cycle, kill_once)
    assert cycle.fleet.lost["generator"] == lost + 1
    assert sum(seen) == len(cycle.problems)
    assert len(after.batch) == 8 * len(cycle.problems)
    assert set(after.batch.weight_versions.tolist()) == {-9}
    assert after.batch.programs == before.batch.programs
    assert after.verdicts.status.tolist() == before.verdicts.status.tolist()
    cycle.loop.push_weights()


def test_one_that_dies_between_requests_serves_no_first_weights(cycle: Cycle, base: Path) -> None:
    cycle.fleet.engines.load_folder(base, -10)
    before = gathered(cycle)
    generator = cycle.fleet.generators[0]
    ray.kill(generator, no_restart=False)
    with pytest.raises(RayActorError):
        while True:
            ray.get(generator.ready.remote())
    wait_restarted([generator], lambda g: g.ready.remote(), "the restart", 300)
    lost = cycle.fleet.lost["generator"]
    after = gathered(cycle)
    assert cycle.fleet.lost["generator"] == lost + 1
    assert set(after.batch.weight_versions.tolist()) == {-10}
    assert after.batch.programs == before.batch.programs
    cycle.loop.push_weights()


def test_one_that_always_dies_ends_the_run(cycle: Cycle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prl_ray.sampling.ATTEMPTS", 1)
    killed: list[int] = []

    def kill(count: int) -> None:
        if not killed:
            killed.append(count)
            ray.kill(cycle.fleet.generators[0], no_restart=False)

    with pytest.raises(ActorLostError, match="died 1 times on the same prompts"):
        gathered(cycle, kill)
    assert cycle.loop.push_weights()["training/served_logprob_gap_max"] < 1e-3


def test_a_lost_generator_leaves_no_unhandled_error_behind(
    cycle: Cycle, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    killed: list[int] = []

    def kill(count: int) -> None:
        if not killed:
            killed.append(count)
            ray.kill(cycle.fleet.generators[0], no_restart=False)

    cycle.loop.push_weights()
    assert len(gathered(cycle, kill).batch) == 8 * len(cycle.problems)
    gc.collect()
    time.sleep(1.0)
    captured = capfd.readouterr()
    assert killed and "Unhandled error" not in captured.out + captured.err


def test_one_that_dies_before_the_samples_of_an_evaluation_are_gathered(
    cycle: Cycle, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle.fleet.engines.load_folder(base, -11)
    before = sample_programs(cycle.fleet, cycle.problems, SAMPLING, 300)

    def sample_and_kill(*args: Any, **kwargs: Any) -> Collected:
        collected = sample(*args, **kwargs)
        call(cycle.fleet.generators[0], lambda _: os._exit(1))  # in front of the next request
        return collected

    monkeypatch.setattr("prl_ray.evaluation_samples.sample", sample_and_kill)
    lost = cycle.fleet.lost["generator"]
    assert sample_programs(cycle.fleet, cycle.problems, SAMPLING, 300) == before
    assert cycle.fleet.lost["generator"] == lost + 1
    assert ray.get(call(cycle.fleet.generators[0], lambda generator: generator.version)) == -11
    cycle.loop.push_weights()


def of_all(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith(("timing_s/", "perf/"))}


def test_a_group_that_lost_a_rank_starts_anew_and_repeats_its_step(cycle: Cycle, step: Step, tmp_path: Path) -> None:
    fleet = Fleet(cycle.config.cluster, SandboxConfig(), "restarted", say=lambda line: None)
    setup = learner_setup(cycle.policy, cycle.problems, cycle.config)
    try:
        fleet.start_learners(setup)
        fleet.wait_ready()
        fleet.on_learners(lambda rank: ask(rank, Learner.save, tmp_path), "a checkpoint")
        before = fleet.on_learners(lambda rank: ask(rank, Learner.step, step.rollout, 0), "a step")[0]
        os.kill(ray.get(call(fleet.learners[0], lambda rank: os.getpid())), signal.SIGKILL)
        with pytest.raises(LearnerLostError, match="a step: the actor died: Learner on node"):
            fleet.on_learners(lambda rank: ask(rank, Learner.step, step.rollout, 1), "a step")
        fleet.restart_learners(setup)
        fleet.on_learners(lambda rank: ask(rank, Learner.restore, tmp_path), "the checkpoint")
        again = fleet.on_learners(lambda rank: ask(rank, Learner.step, step.rollout, 0), "a step")[0]
        assert of_all(again) == of_all(before)
        assert fleet.lost["learner"] == 1
    finally:
        fleet.close()


def test_an_error_of_the_engine_is_raised_and_no_lost_request(cycle: Cycle) -> None:
    cycle.loop.push_weights()
    lost = cycle.fleet.lost["generator"]
    endless = replace(cycle.problems[0], prompt="# Add one, then one more." * 200)
    with pytest.raises((RayTaskError, ValueError), match=r"(?i)length|long"):
        sample(cycle.fleet, [endless, *cycle.problems[:2]], SAMPLING, 60)
    assert cycle.fleet.lost["generator"] == lost
    assert len(gathered(cycle).batch) == 8 * len(cycle.problems), "the engine goes on"


class Sends:
    """In the place of a learner's rank 0."""

    def weights(self) -> SentWeights:
        return SentWeights(1, Stored((put(Packed({}, {})),), {}), (), np.zeros(0, np.float32))


class Loads:
    """In the place of an engine that Ray has restarted."""

    def load(self, sent: SentWeights) -> Served:
        assert isinstance(sent.ticket, Stored)
        for part in sent.ticket.parts:
            get(part)
        return Served(sent.version, 0.0, 0.0)


def test_weights_that_are_lost_with_the_learner_start_its_group_anew(ray_here: None) -> None:
    """A host that held rank 0 and an engine takes both along: the engine comes back first, and asks for the weights."""
    learner, engine, restarted = (ray.remote(num_cpus=0)(cls).remote() for cls in (Sends, Loads, Loads))
    engines = Engines(CLUSTER, [engine])
    sent = ray.get(learner.weights.remote())
    assert [served.version for served in engines.load_weights(sent)] == [1]
    ray.kill(learner)
    deadline = time.monotonic() + 60
    with pytest.raises(LearnerLostError, match="the weights that the engines serve were lost with it"):
        while time.monotonic() < deadline:  # what this node's store holds is freed a moment later
            engines.load_again([restarted])
            time.sleep(0.1)
    ray.kill(engine)
    ray.kill(restarted)
