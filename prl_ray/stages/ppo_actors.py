"""The actors of PPO and the models that they start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prl_ray.actors.critic_plan import CriticPlan
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.learner import LearnerSetup
from prl_ray.actors.online_prm import OnlinePrmSetup
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.actors.weights import TransportSetup
from prl_ray.inputs import RunInputs
from prl_ray.models.encode import encode_program, render_prompt
from prl_ray.models.policy import load_tokenizer
from prl_ray.problems import Problem
from prl_ray.seeds import derive
from prl_ray.stages import prm, sft
from prl_ray.stages.context import generator_setup

PROBE_TOKENS = 128
"""Length of the text on which every weight push is checked."""


@dataclass(frozen=True, slots=True)
class StartModels:
    """Folders of the models that PPO starts from. The reward models are None if this configuration needs none."""

    policy: Path
    prm: Path | None
    orm: Path | None

    @classmethod
    def of(cls, inputs: RunInputs) -> Self:
        """The artifacts of the earlier stages. Raises ``DataError`` for one that does not exist yet."""
        kinds = plan_of(inputs).reward_models
        folders = {kind: prm.artifact(inputs, kind).need().resolve() for kind in kinds}
        return cls(sft.artifact(inputs).need().resolve(), folders.get("prm"), folders.get("orm"))

    def folder(self, stage: str | None) -> Path | None:
        """The folder of ``sft`` or ``prm``; None for None."""
        return {"sft": self.policy, "prm": self.prm, None: None}[stage]


def plan_of(inputs: RunInputs) -> CriticPlan:
    """The plan of a run's critic, and of the reward models that PPO loads."""
    return CriticPlan.of(inputs.config)


def start_actors(
    inputs: RunInputs, fleet: Fleet, models: StartModels, problems: Sequence[Problem], more: Sequence[Problem] = ()
) -> None:
    """Starts verifiers, generators, scorers and learners, and waits for them.

    The verifiers get the tests of ``problems``, which PPO samples from, and of ``more``.
    """
    fleet.start_verifiers([*problems, *more])
    fleet.start_generators(generator_setup(inputs))
    if plan_of(inputs).needs_scorer:
        fleet.start_scorers(scorer_setup(inputs, models))
    fleet.start_learners(learner_setup(inputs, models, problems[0]))
    fleet.wait_ready()


def scorer_setup(inputs: RunInputs, models: StartModels) -> ScorerSetup:
    """The setup of this run's scorers."""
    plan = plan_of(inputs)
    return ScorerSetup(
        prm=models.prm,
        orm=models.orm,
        trunk=models.folder(plan.scorer_trunk),
        features=plan.features,
        dtype=inputs.dtype,
        micro_batch_tokens=inputs.config.algorithm.micro_batch_tokens,
    )


def learner_setup(inputs: RunInputs, models: StartModels, probe: Problem) -> LearnerSetup:
    """The setup of this run's learner ranks. Weight pushes are checked on ``probe`` and its reference."""
    config = inputs.config
    return LearnerSetup(
        policy=models.policy,
        critic=models.folder(plan_of(inputs).full_trunk),
        algorithm=config.algorithm,
        reward=config.reward,
        temperature=config.loop.temperature,
        steps=config.loop.steps,
        dtype=inputs.dtype,
        seed=derive(config.seed, "ppo"),
        probe_tokens=probe_tokens(models.policy, probe),
        transport=TransportSetup.of(config.cluster, inputs.folder),
        model=config.model,
        frees_gpu=config.cluster.generator_sleep > 0,
        prm=OnlinePrmSetup.of(config, models.prm, inputs.dtype),
    )


def probe_tokens(policy: Path, problem: Problem) -> tuple[int, ...]:
    """Tokens of one prompt and its reference, if it has one, at most ``PROBE_TOKENS``."""
    tokenizer = load_tokenizer(policy)
    if not problem.references:
        return tuple(render_prompt(tokenizer, problem)[:PROBE_TOKENS])
    encoded = encode_program(tokenizer, problem, sft.printed(problem))
    return tuple([*encoded.prompt_tokens, *encoded.response_tokens][:PROBE_TOKENS])
