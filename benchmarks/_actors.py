"""The real actors and the real loop for a measurement, without a recipe around them.

A measurement takes policy and reward model from a finished run folder (``runs/NAME/sft`` and ``prm``) where there is
one, since the lengths of programs, and with them all times, depend on what the policy has learnt. Without such a run
it takes the base model and a reward model with a random head: the same work a token, but longer programs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._results import ROOT
from prl_ray import cli
from prl_ray.actors.fleet import Fleet, start_ray
from prl_ray.actors.generator import GeneratorSetup
from prl_ray.actors.learner import LearnerSetup
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.config import Config
from prl_ray.loop import Loop
from prl_ray.problems import Problem
from prl_ray.recipe import Run

SCRATCH = ROOT / "runs" / "benchmarks"
"""Logs and parts of long measurements; never read by the recipe."""


@dataclass(frozen=True, slots=True)
class Models:
    """What a measurement runs on."""

    policy: Path
    prm: Path
    source: str
    """``run NAME`` or ``untrained``."""


@dataclass
class Bench:
    """A configured run with its problems, whose actors the measurement starts itself."""

    config: Config
    run: Run
    fleet: Fleet

    @property
    def dtype_name(self) -> str:
        """``bfloat16`` or ``float32``."""
        return str(self.run.dtype[0]).removeprefix("torch.")

    @property
    def problems(self) -> list[Problem]:
        """The problems that PPO samples from."""
        return self.run.train_slices["ppo"]

    def models(self, trained: bool = True) -> Models:
        """Policy and PRM of the finished run of this configuration, else untrained ones."""
        folder = ROOT / self.config.runs_dir / self.config.run_name
        if trained and (folder / "sft" / "config.json").is_file() and (folder / "prm" / "config.json").is_file():
            return Models((folder / "sft").resolve(), (folder / "prm").resolve(), f"run {folder.name}")
        return Models(self.run.base, untrained_prm(self.run.base), "untrained")

    def generator_setup(self, policy: Path) -> GeneratorSetup:
        """The engine as the recipe sets it up, on a policy of our choice."""
        model = self.config.model
        return GeneratorSetup(
            model=policy,
            dtype=self.dtype_name,
            max_model_len=model.max_prompt_tokens + model.max_response_tokens,
            seed=self.config.seed,
        )

    def start_loop(self, models: Models) -> Loop:
        """All four roles, started and serving the policy's weights."""
        config, dtype = self.config, self.run.dtype[0]
        algorithm = config.algorithm
        self.fleet.start_verifiers(self.problems)
        self.fleet.start_generators(self.generator_setup(models.policy))
        self.fleet.start_scorers(
            ScorerSetup(
                prm=models.prm,
                orm=None,
                trunk=None,
                features=algorithm.estimator == "gae",
                dtype=dtype,
                micro_batch_tokens=algorithm.micro_batch_tokens,
            )
        )
        self.fleet.start_learners(
            LearnerSetup(
                policy=models.policy,
                critic=None,
                algorithm=algorithm,
                reward=config.reward,
                temperature=config.loop.temperature,
                steps=config.loop.steps,
                dtype=dtype,
                seed=config.seed,
                probe_tokens=probe(models.policy, self.problems[0]),
            )
        )
        self.fleet.wait_ready()
        loop = Loop(config, self.fleet, self.problems, needs_scores=True)
        loop.push_weights()
        return loop


@contextmanager
def bench(overrides: Sequence[str]) -> Iterator[Bench]:
    """A configuration with Ray started and, at the end, all its actors ended and Ray with them."""
    import ray
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    config = cli.configure(overrides)
    fleet = Fleet(config.cluster, config.sandbox, f"bench-{os.getpid()}")
    start_ray(config.cluster)
    try:
        # console and tracker are the recipe's; nothing here prints or logs through them
        yield Bench(config, Run(config, None, None, fleet), fleet)  # type: ignore[arg-type]
    finally:
        fleet.close()
        ray.shutdown()


def untrained_prm(policy: Path) -> Path:
    """A reward model with a random head on the policy's trunk, made once."""
    import torch

    from prl_ray.models.policy import load_tokenizer, save_model
    from prl_ray.models.reward_model import init_reward_model

    folder = SCRATCH / "untrained" / f"prm-{policy.name}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_model(init_reward_model(policy, torch.float32), load_tokenizer(policy), folder)
    return folder


def probe(policy: Path, problem: Problem) -> tuple[int, ...]:
    """Tokens on which every weight push is checked."""
    from prl_ray.models.encode import encode_program
    from prl_ray.models.policy import load_tokenizer
    from prl_ray.supervision import canonical

    encoded = encode_program(load_tokenizer(policy), problem, canonical(problem.references[0]))
    return tuple([*encoded.prompt_tokens, *encoded.response_tokens][:128])


def timings(metrics: dict[str, float]) -> dict[str, float]:
    """The ``timing_s/`` metrics of a step, by phase."""
    return {k.removeprefix("timing_s/"): v for k, v in metrics.items() if k.startswith("timing_s/")}


def numbers(metrics: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    """The metrics ``names`` that are there."""
    return {name: float(metrics[name]) for name in names if name in metrics}
