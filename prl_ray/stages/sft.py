"""Supervised fine-tuning: the policy learns the references."""

from __future__ import annotations

import shutil
from pathlib import Path

from prl_ray.actors.handles import ask
from prl_ray.actors.supervised import SupervisedTrainer
from prl_ray.actors.waiting import wait
from prl_ray.artifacts import Artifact
from prl_ray.examples import Example
from prl_ray.fingerprints import code_version
from prl_ray.inputs import RunInputs
from prl_ray.models.folders import lift
from prl_ray.problems import Problem
from prl_ray.stages.context import RunContext
from prl_ray.stages.supervised import Ranks, train
from prl_ray.supervision import canonical
from sandbox_workers.languages import PYTHON

name = "sft"
TRAINING_CODE = (
    "prl_ray/actors/engine.py",
    "prl_ray/actors/forward.py",
    "prl_ray/actors/learner_policy.py",
    "prl_ray/actors/supervised.py",
    "prl_ray/lines",
    "prl_ray/models",
    "prl_ray/ppo/collate.py",
    "prl_ray/ppo/logprobs.py",
    "prl_ray/ppo/packing.py",
    "prl_ray/problems",
    "prl_ray/seeds.py",
    "prl_ray/stages/sft.py",
    "prl_ray/stages/supervised.py",
    "prl_ray/trajectory.py",
)
"""Modules that supervised training depends on."""


def artifact(inputs: RunInputs) -> Artifact:
    """The policy that has learnt the references, a Hugging Face folder."""
    return Artifact.of(
        inputs.store,
        name,
        **inputs.sources,
        **inputs.model_inputs,
        sft=inputs.config.sft,
        code=code_version((*TRAINING_CODE, "prl_ray/supervision/canonical.py")),
    )


def artifacts(inputs: RunInputs) -> list[Artifact]:
    """The one artifact of this stage."""
    return [artifact(inputs)]


def check(inputs: RunInputs) -> None:
    """Raises ``DataError`` where there is nothing to learn."""
    if inputs.config.sft.problems:
        inputs.need_references("sft", "start from the model as it is with sft.problems=0")


def run(context: RunContext) -> None:
    """Makes the ``sft`` artifact."""
    context.produce(artifact(context.inputs), f"{len(context.inputs.train_slices['sft'])} references", _make)


def _make(context: RunContext, made: Artifact) -> None:
    examples = reference_examples(context.fitting(context.inputs.train_slices["sft"]))
    with made.write() as folder:
        if not examples:  # sft.problems=0
            shutil.copytree(context.inputs.base, folder, dirs_exist_ok=True)
            return

        def finish(ranks: Ranks) -> None:
            save_into(context, ranks, folder)

        train(context, "sft", context.config.sft, context.inputs.base, examples, finish)


def reference_examples(problems: list[Problem]) -> list[Example]:
    """The references of problems in canonical form."""
    return [Example(p, printed(p)) for p in problems]


def printed(problem: Problem) -> str:
    """A problem's first reference: in canonical form for Python, unchanged in other languages."""
    reference = problem.references[0]
    return canonical(reference, len(problem.code_prefix)) if problem.language == PYTHON else reference


def save_into(context: RunContext, ranks: Ranks, folder: Path, temperature: float = 1.0) -> None:
    """Rank 0 writes its model into ``folder``, which exists already and is empty."""
    aside = folder / "model"
    wait(
        [ask(r, SupervisedTrainer.save, aside, temperature) for r in ranks],
        "the trained model to be saved",
        context.config.cluster.request_timeout_s,
    )
    lift(aside)
