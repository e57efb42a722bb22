"""Generators that come and go between steps: what is asked for, what fits, and that samples stay the same."""

from __future__ import annotations

import time

import pytest
import ray
from tiny_run import Cycle

from prl_ray.actors.elastic import Published, forget, publish, published, wish
from prl_ray.actors.generator import Sampling
from prl_ray.actors.placement import Demand
from prl_ray.actors.rollout import gather
from prl_ray.errors import ResourceError
from prl_ray.sampling import sample

pytestmark = pytest.mark.slow
START_S = 300.0


def test_a_run_that_is_not_there_and_room_that_is_not_there_are_refused(ray_here: None) -> None:
    with pytest.raises(ResourceError, match="no run 'nobody' with generators"):
        wish("nobody", 2)
    publish("somebody", Demand("generator", 2, 1.0, 0.0))
    assert published("somebody") == Published(Demand("generator", 2, 1.0, 0.0))
    with pytest.raises(ResourceError, match=r"no room for \d+ generator"):
        wish("somebody", 99)
    assert wish("somebody", 99, later=True) == 2
    assert wish("somebody", 1) == 2, "fewer always fit"
    publish("somebody", Demand("generator", 2, 1.0, 0.0), "nccl")
    for count in (1, 3):
        with pytest.raises(ResourceError, match=rf"generators={count}: cluster.weights=nccl settles .* at 2\."):
            wish("somebody", count, later=True)
    assert wish("somebody", 2) == 2, "the number that it has changes nothing"
    forget("somebody")
    assert published("somebody") is None


def test_a_generator_joins_with_the_weights_of_the_others_and_leaves_again(cycle: Cycle) -> None:
    fleet, run = cycle.fleet, cycle.fleet.run_name
    cycle.loop.push_weights()
    fleet.adjust_generators()
    sampling = Sampling(samples=4, temperature=1.0, max_tokens=32, seed=11)

    def sampled() -> dict[int, list[str]]:
        batch = gather(sample(fleet, cycle.problems, sampling, 300).rollout).batch
        programs: dict[int, list[str]] = {}
        for prompt, program in zip(batch.prompt_ids.tolist(), batch.programs, strict=True):
            programs.setdefault(prompt, []).append(program)
        return programs

    alone = sampled()
    free = ray.available_resources()["CPU"]
    assert wish(run, 2) == 1
    deadline = time.monotonic() + START_S
    while len(fleet.generators) < 2:
        assert time.monotonic() < deadline
        fleet.adjust_generators()
        time.sleep(0.5)
    assert published(run) == Published(Demand("generator", 2, fleet.cluster.generator_cpus, 0.0))
    assert sampled() == alone, "each prompt has its own seed, and both serve the same weights"
    assert wish(run, 1) == 2
    fleet.adjust_generators()
    assert len(fleet.generators) == 1 and sampled() == alone
    while ray.available_resources()["CPU"] < free:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert cycle.loop.push_weights()["training/served_logprob_gap_max"] < 1e-3
