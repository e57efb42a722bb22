"""The real actors and the real loop for a measurement, without a recipe around them.

A measurement takes policy and reward model from a finished run folder (``runs/NAME/sft`` and ``prm``) if there is one,
since the lengths of programs, and with them all times, depend on what the policy has learned. Without such a run it
takes the base model and a reward model with a random head: the same work per token, but longer programs.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks._results import ROOT
from prl_ray import compose
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.placement import ROLES
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.config import Config
from prl_ray.inputs import RunInputs
from prl_ray.loop import Loop
from prl_ray.models.quiet import set_library_environment
from prl_ray.problems import Problem
from prl_ray.stages.context import generator_setup
from prl_ray.stages.ppo_actors import StartModels, plan_of, start_actors

SCRATCH = ROOT / "runs" / "benchmarks"
"""Logs and parts of long measurements; never read by the recipe."""


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a measurement."""

    policy: Path
    prm: Path | None
    """None if the configuration needs no reward model."""
    source: str
    """``run NAME`` or ``untrained``."""


@dataclass
class Bench:
    """A configured run with its problems, whose actors the measurement starts itself."""

    inputs: RunInputs
    fleet: Fleet

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return self.inputs.config

    @property
    def dtype_name(self) -> str:
        """``bfloat16`` or ``float32``."""
        return self.inputs.dtype_choice.name

    @property
    def problems(self) -> list[Problem]:
        """The problems that PPO samples from."""
        return self.inputs.train_slices["ppo"]

    def models(self, trained: bool = True) -> Models:
        """Policy and PRM of the finished run of this configuration, else untrained ones."""
        folder, scored = self.inputs.folder, plan_of(self.inputs).needs_scorer
        if trained and (folder / "sft" / "config.json").is_file() and (folder / "prm" / "config.json").is_file():
            return Models((folder / "sft").resolve(), (folder / "prm").resolve(), f"run {folder.name}")
        return Models(self.inputs.base, untrained_prm(self.inputs.base) if scored else None, "untrained")

    def generator_setup(self, policy: Path) -> GeneratorSetup:
        """The engine of the recipe, for a given policy."""
        return replace(generator_setup(self.inputs), model=policy)

    def start_loop(self, models: Models) -> Loop:
        """All four roles, started and serving the policy's weights."""
        start_actors(self.inputs, self.fleet, StartModels(models.policy, models.prm, None), self.problems)
        loop = Loop(self.config, self.fleet, self.problems, plan_of(self.inputs).needs_scorer)
        loop.push_weights()
        return loop


ALL_ROLES = "reward=process_mean"
"""Line rewards: the steps that are measured have a scorer and a critic."""


@contextmanager
def bench(overrides: Sequence[str], roles: Collection[str] = ROLES) -> Iterator[Bench]:
    """A configuration with Ray started and room for actors of ``roles``; at the end all actors are ended and Ray with
    them."""
    import ray

    set_library_environment()
    config = compose([ALL_ROLES, *overrides])
    fleet = Fleet(config.cluster, config.sandbox, f"bench-{os.getpid()}", plugins=config.plugins)
    fleet.open(roles)
    try:
        yield Bench(RunInputs(config), fleet)
    finally:
        fleet.close()
        ray.shutdown()


def untrained_prm(policy: Path) -> Path:
    """A reward model with a random head on the policy's trunk, made once."""
    import torch

    from prl_ray.models.policy import load_tokenizer
    from prl_ray.models.reward_model import init_reward_model
    from prl_ray.models.saving import save_model

    folder = SCRATCH / "untrained" / f"prm-{policy.name}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_model(init_reward_model(policy, torch.float32), load_tokenizer(policy), folder)
    return folder


def timings(metrics: dict[str, float]) -> dict[str, float]:
    """The ``timing_s/`` metrics of a step, by phase."""
    return {k.removeprefix("timing_s/"): v for k, v in metrics.items() if k.startswith("timing_s/")}


def numbers(metrics: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    """The metrics ``names`` that are there."""
    return {name: float(metrics[name]) for name in names if name in metrics}
