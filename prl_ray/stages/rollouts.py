"""What the SFT policy writes, with a label a line: reward models learn from its own errors, not only from mutations."""

from __future__ import annotations

from prl_ray.actors.generator import Sampling
from prl_ray.artifacts import Artifact
from prl_ray.evaluation import sample_programs
from prl_ray.problems import Problem
from prl_ray.recipe import Run
from prl_ray.stages.label import call_on, verify_on
from prl_ray.supervision import LabelledProgram, LabelReport, label_rollouts, load_labels, save_labels

PROBLEMS_AT_ONCE = 16
SERVED_VERSION = -1
"""Of the SFT policy in the engines: below every version that PPO pushes."""


def labelled_rollouts(run: Run) -> list[LabelledProgram]:
    """The rows of the ``rollouts`` artifact, which is made if it is not there: samples on the first ``prm.rollouts``
    problems of the label stage, so that no problem becomes known to the reward models that was not before."""
    made = run.artifact("rollouts")
    if made.exists:
        run.console.skipped("rollouts", str(made.folder))
    else:
        problems = run.sampled_from(run.train_slices["label"][: run.config.prm.rollouts])
        detail = f"{len(problems)} problems, {run.config.prm.rollout_samples} samples of the sft policy each"
        with run.console.stage("rollouts", detail):
            _make(run, problems, made)
    run.link(made)
    return load_labels(made.folder / "labels")


def _make(run: Run, problems: list[Problem], made: Artifact) -> None:
    config, seed = run.config, run.config.seed
    pool = run.fleet.start_verifiers(problems)
    run.fleet.start_generators(run.generator_setup())
    run.fleet.wait_ready()
    run.fleet.serve("load_folder", run.artifact("sft").need().resolve(), SERVED_VERSION)
    sampling = Sampling(
        config.prm.rollout_samples, config.loop.temperature, config.model.max_response_tokens, seed + 104_729
    )
    with run.console.progress("sample", len(problems)) as advance:
        sampled = sample_programs(run.fleet, problems, sampling, config.cluster.request_timeout_s, advance)
    report = LabelReport()
    with run.console.progress("label", len(problems)) as advance, made.made() as folder:
        for start in range(0, len(problems), PROBLEMS_AT_ONCE):
            part = slice(start, start + PROBLEMS_AT_ONCE)
            written = [
                (problem, program)
                for problem, programs in zip(problems[part], sampled.programs[part], strict=True)
                for program in programs
            ]
            differential = config.teacher.differential_inputs
            report.merge(label_rollouts(written, verify_on(pool), call_on(pool), differential=differential, seed=seed))
            advance(len(problems[part]))
        save_labels(folder / "labels", report, problems=config.problems.name, policy=run.artifact("sft").key)
    run.tracker.rewind("rollouts")
    run.tracker.log(0, report.totals, stage="rollouts")
    run.console.note(", ".join(f"{name} {count}" for name, count in report.totals.items()))
