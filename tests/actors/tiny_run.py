"""Settings and examples that the actors' tests share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from prl_ray.actors.engine import EngineSettings
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.learner import LearnerSetup
from prl_ray.actors.rollout import Rollout
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.supervised import SupervisedSetup
from prl_ray.actors.transports.object_store import Packed
from prl_ray.actors.waiting import wait
from prl_ray.actors.weights import SentWeights
from prl_ray.config import (
    AlgorithmConfig,
    ClusterConfig,
    Config,
    LoopConfig,
    ModelConfig,
    RewardConfig,
    SandboxConfig,
)
from prl_ray.examples import Example, Task
from prl_ray.lines import segment
from prl_ray.loop import Loop
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import Form
from prl_ray.problems.problem import Problem
from prl_ray.supervision import canonical


@dataclass
class Trained:
    """What came of a supervised stage."""

    folder: Path
    plan: dict[str, int]
    metrics: list[dict[str, float]]
    predictions: Any = None


@dataclass
class Cycle:
    """One of each actor, and the loop over them."""

    config: Config
    fleet: Fleet
    loop: Loop
    problems: list[Problem]
    policy: Path
    prm: Path


@dataclass
class Step:
    """The first PPO step."""

    metrics: dict[str, float]
    rollout: Rollout


POLICY_EPOCHS = 150
"""One step each. Enough that some samples pass, whatever the seed."""
CLUSTER = ClusterConfig(verifiers=2, threads=1, start_timeout_s=300, request_timeout_s=300)


def config_for(dtype: str) -> Config:
    return Config(
        name="tests",
        seed=7,
        cluster=CLUSTER,
        model=ModelConfig(name="tiny", dtype=dtype, max_prompt_tokens=256, max_response_tokens=64),
        loop=LoopConfig(steps=4, prompts_per_step=4, samples_per_prompt=3, filter_groups=False),
        reward=RewardConfig(name="process_mean"),
        algorithm=AlgorithmConfig(
            name="ppo",
            estimator="gae",
            learning_rate=1e-4,
            warmup_steps=0,
            decay_to=1.0,
            minibatches=2,
            critic_warmup=0,
            micro_batch_tokens=512,
            kl_coef=0.05,
        ),
    )


def generator_setup(model: Path, config: Config) -> GeneratorSetup:
    length = config.model.max_prompt_tokens + config.model.max_response_tokens
    return GeneratorSetup(model, config.model.dtype, length, max_num_seqs=16, seed=config.seed)


def learner_setup(policy: Path, problems: Sequence[Problem], config: Config) -> LearnerSetup:
    encoded = encode_program(load_tokenizer(policy), problems[0], canonical(problems[0].references[0]))
    return LearnerSetup(
        policy=policy,
        critic=None,
        algorithm=config.algorithm,
        reward=config.reward,
        temperature=config.loop.temperature,
        steps=config.loop.steps,
        dtype=torch.float32,
        seed=config.seed,
        probe_tokens=(*encoded.prompt_tokens, *encoded.response_tokens),
    )


def reference_examples(problems: Sequence[Problem]) -> list[Example]:
    return [Example(p, canonical(p.references[0])) for p in problems]


def labelled_examples(problems: Sequence[Problem]) -> list[Example]:
    """Each reference with all lines right, and with its last line wrong and nothing known of the end."""
    rows = []
    for problem in problems:
        program = canonical(problem.references[0])
        lines = segment(program)
        rows.append(Example(problem, program, (1,) * (len(lines) + 1), passed=True))
        last = lines[-1]
        indent = program[last.start : last.end][: -len(program[last.start : last.end].lstrip())]
        broken = program[: last.start] + indent + "return None" + program[last.end :]
        rows.append(Example(problem, broken, (*(1,) * (len(lines) - 1), 0, -1), passed=False))
    return rows


def supervised_setup(
    task: Task, start_from: Path, *, epochs: int, learning_rate: float, form: Form = "head"
) -> SupervisedSetup:
    return SupervisedSetup(
        task=task,
        start_from=start_from,
        engine=EngineSettings(learning_rate=learning_rate),
        epochs=epochs,
        batch_size=6,
        warmup_share=0.1,
        micro_batch_tokens=512,
        form=form,
        seed=5,
    )


def trained(
    task: Task,
    start_from: Path,
    examples: Sequence[Example],
    folder: Path,
    *,
    epochs: int,
    learning_rate: float,
    ranks: int = 1,
    form: Form = "head",
) -> tuple[dict[str, int], list[dict[str, float]], Any]:
    """Runs a supervised stage's actors into ``folder``: plan, metrics a step, predictions on the same examples."""
    cluster = ClusterConfig(learners=ranks, threads=1)
    fleet = Fleet(cluster, SandboxConfig(), "supervised", say=lambda line: None)
    setup = supervised_setup(task, start_from, epochs=epochs, learning_rate=learning_rate, form=form)
    actors = fleet.start_trainer(setup, examples)
    plan = wait([a.steps.remote() for a in actors], "the trainer", 240)[0]
    metrics = [wait([a.step.remote(i) for a in actors], "a step", 60)[0] for i in range(plan["steps"])]
    wait([a.save.remote(folder) for a in actors], "saving", 60)
    predictions = None if task == "sft" else wait(actors[0].predict.remote(examples), "predictions", 60)
    fleet.close()
    return plan, metrics, predictions


def sent_by(learner: Any) -> SentWeights:
    sent: SentWeights = wait(learner.weights.remote(), "weights", 60)
    return sent


def weights_of(learner: Any) -> Packed:
    """The weights in float32, which are so small that they travel in one part."""
    packed: Packed
    (packed,) = ray.get(list(sent_by(learner).ticket.parts))
    return packed


def largest_difference(one: Packed, other: Packed) -> float:
    assert one.arrays.keys() == other.arrays.keys()
    return max(
        float(np.abs(a.astype(np.float64) - other.arrays[name].astype(np.float64)).max())
        for name, a in one.arrays.items()
    )
