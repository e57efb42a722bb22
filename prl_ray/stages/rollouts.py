"""Samples of the SFT policy, labelled: reward models also learn from the policy's own errors, not only from
mutations."""

from __future__ import annotations

from itertools import chain

from prl_ray.actors.generator import Sampling
from prl_ray.artifacts import Artifact
from prl_ray.evaluation_samples import sample_programs
from prl_ray.fingerprints import code_version
from prl_ray.inputs import RunInputs
from prl_ray.seeds import derive
from prl_ray.stages import label, sft
from prl_ray.stages.context import RunContext
from prl_ray.supervision import LabelReport, label_rollouts, save_labels

name = "rollouts"
CODE = (
    *label.CODE,
    "prl_ray/actors/generator.py",
    "prl_ray/actors/requests.py",
    "prl_ray/actors/sampling_engine.py",
    "prl_ray/credit",
    "prl_ray/evaluation.py",
    "prl_ray/evaluation_samples.py",
    "prl_ray/models",
    "prl_ray/sampling.py",
    "prl_ray/stages/rollouts.py",
    "prl_ray/trajectory.py",
)
PROBLEMS_AT_ONCE = 16
SERVED_VERSION = -1
"""Weight version of the SFT policy in the engines: below every version that PPO pushes."""


def artifact(inputs: RunInputs) -> Artifact:
    """Labelled samples on the first ``prm.rollouts`` problems of the label stage."""
    config = inputs.config
    return Artifact.of(
        inputs.store,
        name,
        **inputs.model_inputs,
        **inputs.engine_inputs,
        labels=label.artifact(inputs),
        sft=sft.artifact(inputs),
        problems=config.prm.rollouts,
        samples=config.prm.rollout_samples,
        temperature=config.loop.temperature,
        seed=config.seed,
        code=code_version(CODE),
    )


def run(context: RunContext) -> None:
    """Makes the ``rollouts`` artifact, on problems of the label stage: the reward models learn from these only."""
    settings = context.config.prm
    detail = f"{settings.rollouts} problems, {settings.rollout_samples} samples of the sft policy each"
    context.produce(artifact(context.inputs), detail, _make)


def _make(context: RunContext, made: Artifact) -> None:
    problems = context.fitting(context.inputs.train_slices["label"][: context.config.prm.rollouts])
    config, seed = context.config, context.config.seed
    pool = context.fleet.start_verifiers(problems)
    context.fleet.start_generators(context.generator_setup())
    context.fleet.wait_ready()
    context.fleet.engines.load_folder(sft.artifact(context.inputs).need().resolve(), SERVED_VERSION)
    sampling = Sampling(
        config.prm.rollout_samples,
        config.loop.temperature,
        config.model.max_response_tokens,
        derive(seed, "labelled rollouts"),
    )
    with context.console.progress("sample", len(problems)) as advance:
        sampled = sample_programs(context.fleet, problems, sampling, config.cluster.request_timeout_s, advance)
    report = LabelReport()
    with context.console.progress("label", len(problems)) as advance, made.write() as folder:
        for start in range(0, len(problems), PROBLEMS_AT_ONCE):
            part = slice(start, start + PROBLEMS_AT_ONCE)
            written = [
                (problem, program)
                for problem, programs in zip(problems[part], sampled.programs[part], strict=True)
                for program in programs
            ]
            finished = list(chain.from_iterable(sampled.finished[part]))
            differential = config.teacher.differential_inputs
            report.merge(
                label_rollouts(
                    written,
                    label.verify_on(pool),
                    label.locate_on(pool),
                    label.call_on(pool),
                    differential=differential,
                    seed=seed,
                    finished=finished,
                )
            )
            advance(len(problems[part]))
        save_labels(folder / "labels", report, problems=config.problems.name, policy=sft.artifact(context.inputs).key)
    context.tracker.rewind("rollouts")
    context.tracker.log(0, report.totals, stage="rollouts")
    context.console.note(", ".join(f"{name} {count}" for name, count in report.totals.items()))
