"""A rollout that an actor never finishes does not hold up the end of the run."""

from __future__ import annotations

from threading import Event
from typing import cast

import pytest

from prl_ray import compose
from prl_ray.actors.fleet import Fleet
from prl_ray.errors import ActorLostError
from prl_ray.loop import Loop


def test_a_run_that_ends_leaves_its_rollout_to_the_end_of_the_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    started, killed = Event(), Event()

    def stuck(loop: Loop, number: int) -> None:
        started.set()
        assert killed.wait(60)
        raise ActorLostError("the actor died")

    monkeypatch.setattr(Loop, "_sample", stuck)
    loop = Loop(compose(["reward=outcome", "algorithm.estimator=rloo", "tracking=off"]), cast(Fleet, None), [], False)
    rollout = loop._sampler.submit(loop._sample, 0)
    assert started.wait(60)
    loop.close(wait=False)
    assert not rollout.done()
    killed.set()
    with pytest.raises(ActorLostError):
        rollout.result(60)
    loop.close()
