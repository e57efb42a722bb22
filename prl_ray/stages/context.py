"""The interface of a stage of the recipe, and the context in which it runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.weights import TransportSetup
from prl_ray.artifacts import Artifact
from prl_ray.config import Config
from prl_ray.inputs import RunInputs
from prl_ray.problems import Problem
from prl_ray.tracking import Console, Tracker


@dataclass(frozen=True, slots=True)
class RunContext:
    """The context of a stage: its inputs, console, tracker and actors."""

    inputs: RunInputs
    console: Console
    tracker: Tracker
    fleet: Fleet

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return self.inputs.config

    def fitting(self, problems: list[Problem]) -> list[Problem]:
        """The problems whose prompts fit the engine's limit; a warning reports how many are left out.

        Raises ``DataError`` if none is left.
        """
        fitting = self.inputs.fitting(problems)
        if left_out := len(problems) - len(fitting):
            self.console.warn(
                f"{left_out} of {len(problems)} problems are left out: their prompts have more than "
                f"model.max_prompt_tokens={self.config.model.max_prompt_tokens} tokens"
            )
        return fitting

    def produce(self, artifact: Artifact, detail: str, make: Callable[[RunContext, Artifact], None]) -> None:
        """Calls ``make`` unless the artifact exists, prints the reason, and links the artifact in the run folder."""
        if artifact.exists:
            self.console.skipped(artifact.stage, str(artifact.need()))
        else:
            with self.console.stage(artifact.stage, detail):
                self.console.note(artifact.reason())
                make(self, artifact)
        self.link(artifact)

    def link(self, artifact: Artifact) -> None:
        """Links an artifact in the run folder under the name of its stage."""
        folder = self.inputs.folder
        place = folder / artifact.stage
        target = os.path.relpath(artifact.folder, folder)
        if place.is_symlink() and place.readlink() != Path(target):
            place.unlink()
        if not place.is_symlink():
            place.symlink_to(target)

    def generator_setup(self) -> GeneratorSetup:
        """The engines of this run; they start with the base model's weights and load other weights later."""
        return generator_setup(self.inputs)


def generator_setup(inputs: RunInputs) -> GeneratorSetup:
    """The setup of a run's engines, on its base model."""
    model = inputs.config.model
    return GeneratorSetup(
        model=inputs.base,
        dtype=inputs.dtype_choice.name,
        max_model_len=model.max_prompt_tokens + model.max_response_tokens,
        seed=inputs.config.seed,
        unit=inputs.config.unit,
        transport=TransportSetup.of(inputs.config.cluster, inputs.folder),
        tensor_parallel=inputs.config.cluster.generator_tensor_parallel,
        pipeline_parallel=inputs.config.cluster.generator_pipeline_parallel,
        sleep=inputs.config.cluster.generator_sleep,
        memory=inputs.config.cluster.generator_memory,
        in_flight=inputs.config.loop.in_flight,
        extract=inputs.config.problems.extract,  # type: ignore[arg-type]  # one of its choices after validation
    )


class Stage(Protocol):
    """One stage of the recipe: a module of ``prl_ray.stages`` with these names."""

    name: str
    """Its name in ``stages=[…]``."""

    def artifacts(self, inputs: RunInputs) -> list[Artifact]:
        """The artifacts that the stage makes under this configuration. Starts nothing."""

    def check(self, inputs: RunInputs) -> None:
        """Raises a ``PrlRayError`` where the stage would fail for its inputs. Starts nothing."""

    def run(self, context: RunContext) -> Mapping[str, object] | None:
        """Makes the artifacts that do not exist yet; returns figures for the caller of the recipe, if any."""
