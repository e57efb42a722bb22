"""PPO with line rewards: steps, validations, checkpoints and resuming."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prl_ray.actors.finite import skip_causes
from prl_ray.actors.generator import Sampling
from prl_ray.actors.handles import Handle, Ref, ask
from prl_ray.actors.learner import Learner
from prl_ray.actors.line_plan import LinePlan
from prl_ray.actors.rollout import Rollout
from prl_ray.actors.snapshot import SnapshotFile
from prl_ray.artifacts import Artifact
from prl_ray.checkpoints import Checkpoints
from prl_ray.errors import LearnerLostError, StorageError
from prl_ray.evaluation import mean_se
from prl_ray.evaluation_samples import sample_programs
from prl_ray.fingerprints import code_version
from prl_ray.inputs import RunInputs
from prl_ray.loop import Loop
from prl_ray.models.folders import lift
from prl_ray.problems.problem import Problem, need_python
from prl_ray.run_records import publish_records
from prl_ray.seeds import derive
from prl_ray.stages import prm, sft
from prl_ray.stages.context import RunContext
from prl_ray.stages.ppo_actors import StartModels, learner_setup, plan_of, start_actors
from prl_ray.tracking.problem_file import write_problems

name = "ppo"
CODE = (
    "prl_ray/actors",
    "prl_ray/credit",
    "prl_ray/evaluation.py",
    "prl_ray/evaluation_samples.py",
    "prl_ray/lines",
    "prl_ray/loop.py",
    "prl_ray/models",
    "prl_ray/ppo",
    "prl_ray/problems",
    "prl_ray/seeds.py",
    "prl_ray/rewards",
    "prl_ray/sampling.py",
    "prl_ray/stages/ppo.py",
    "prl_ray/stages/ppo_actors.py",
    "prl_ray/supervision",
    "prl_ray/trajectory.py",
    "sandbox_workers",
)


def artifact(inputs: RunInputs) -> Artifact:
    """The policy with the best validation score, or the last one without validation."""
    config = inputs.config
    kinds = plan_of(inputs).reward_models
    return Artifact.of(
        inputs.store,
        name,
        **(inputs.sources | inputs.plugins(config.problems, config.reward, config.algorithm)),
        **inputs.model_inputs,
        **inputs.engine_inputs,
        **inputs.unit_inputs,
        sft=sft.artifact(inputs),
        first=inputs.train_slices["ppo"][0].task_id,
        models=[prm.artifact(inputs, kind).key for kind in kinds],
        reward=config.reward,
        algorithm=config.algorithm,
        online_prm={key: value for key, value in vars(config.prm).items() if key.startswith("online")},
        loop=config.loop,
        sandbox=config.sandbox,
        code=code_version(CODE),
    )


def artifacts(inputs: RunInputs) -> list[Artifact]:
    """The one artifact of this stage."""
    return [artifact(inputs)]


def check(inputs: RunInputs) -> None:
    """Raises ``DataError`` where the run would execute single lines of another language than Python, compare programs
    with references that no problem has, or validate without problems."""
    _validation(inputs)
    algorithm, plan = inputs.config.algorithm, LinePlan.of(inputs.config)
    if plan.executed:
        need_python(inputs.train_slices["ppo"], f"algorithm.estimator={algorithm.estimator}")
    if plan.references:
        remedy = "take another locator (locator=surprise), or algorithm.estimator=rloo"
        inputs.need_references(f"locator={algorithm.locator}", remedy)


def _validation(inputs: RunInputs) -> list[Problem]:
    loop = inputs.config.loop
    return inputs.problems("validation", loop.validation_problems) if loop.validate_every else []


def run(context: RunContext) -> None:
    """Makes the ``ppo`` artifact."""
    loop = context.config.loop
    size = f"{loop.prompts_per_step} × {loop.samples_per_prompt} programs"
    detail = f"{loop.steps} steps of {size}, reward {context.config.reward.name}"
    context.produce(artifact(context.inputs), detail, lambda context, made: _Training(context, made).run())


class _Training:
    """The state of the running PPO stage."""

    def __init__(self, context: RunContext, made: Artifact) -> None:
        self.context, self.made = context, made
        self.config, self.fleet, inputs = context.config, context.fleet, context.inputs
        keep = self.config.loop.keep_checkpoints
        self.checkpoints = Checkpoints(inputs.folder / "checkpoints", keep, made.key, context.console.warn)
        self.problems = context.fitting(inputs.train_slices["ppo"])
        self.validation = context.fitting(_validation(inputs))
        self.limit = self.config.cluster.request_timeout_s
        self.models = StartModels.of(inputs)
        self.loop = self._new_loop()

    def run(self) -> None:
        """Runs the steps from the newest checkpoint to the end, then writes the artifact. If a learner rank is lost,
        the group is restarted and the run resumes from that checkpoint, at most ``cluster.learner_restarts`` times."""
        inputs = self.context.inputs
        start_actors(inputs, self.fleet, self.models, self.problems, self.validation)
        lost: LearnerLostError | None = None
        for left in reversed(range(1 + self.config.cluster.learner_restarts)):
            try:
                if lost is not None:
                    self.context.console.warn(f"a learner was lost ({lost}): its group starts anew")
                    self.fleet.restart_learners(learner_setup(inputs, self.models, self.problems[0]))
                self._steps()
                self._finish()
                return
            except LearnerLostError as error:
                if not left:
                    raise
                lost = error
                self.loop.close()  # the next group of learners must not meet a rollout of this one
            finally:
                self.loop.close(wait=False)

    def _steps(self) -> None:
        config, tracker = self.config, self.context.tracker
        found = self.checkpoints.newest()
        first = found[1]["step"] if found else 0
        if found:
            self.context.console.note(f"resumed from {found[0]}")
            self._all(lambda rank: ask(rank, Learner.restore, found[0].resolve()), "restore")
        write_problems(self.context.inputs.folder, self.problems)
        tracker.rewind("ppo", first - 1 if found else -2)  # row -1 is the validation before the first step
        self.loop = self._new_loop()
        self.loop.push_weights()
        if config.loop.validate_every and not first:
            self._validate(0)
        saving: dict[str, float] = {}
        snapshots = SnapshotFile(self.context.inputs.folder)
        for number in range(first, config.loop.steps):
            metrics, rollout = self.loop.step(number)
            if causes := skip_causes(metrics):
                self.context.console.warn(f"step {number} learnt nothing: {causes} had values that are not finite")
            metrics |= saving
            done = number + 1
            if config.loop.validate_every and (done % config.loop.validate_every == 0 or done == config.loop.steps):
                metrics |= self._validate(done)
            metrics["timing_s/write_samples"] = self._write_samples(rollout, number)
            if number % config.loop.samples_every == 0 or done == config.loop.steps:
                rows = tracker.samples(number)
                if number == first or done == config.loop.steps:
                    self.context.console.program(rows[0].task_id, rows[0].lines, rows[0].status)
            tracker.log(number, metrics)
            snapshots.update(self.fleet)
            self.context.console.step_line({"step": done, "steps": config.loop.steps, **metrics})
            # After the row: a run killed in between writes the row again; the other order would lose it. Its
            # seconds are in the next step's row, or in a separate row after the last step.
            saving = {}
            if done % config.loop.checkpoint_every == 0 or done == config.loop.steps:
                saving = {"timing_s/save_checkpoint": self._checkpoint(done)}
        if saving:
            tracker.log(config.loop.steps - 1, saving)

    def _new_loop(self) -> Loop:
        return Loop(self.config, self.fleet, self.problems, plan_of(self.context.inputs).needs_scorer)

    def _write_samples(self, rollout: Rollout, number: int) -> float:
        store = self.context.tracker.store
        written = self.fleet.on_learners(
            lambda rank: ask(rank, Learner.write_samples, rollout, number, store), "the samples to be written", ranks=1
        )
        return written[0]

    def _validate(self, done: int) -> dict[str, float]:
        """pass@1 on the validation problems, sampled as in PPO; saves the policy if it is the best so far."""
        start = time.monotonic()
        loop = self.config.loop
        longest = self.config.model.max_response_tokens
        sampling = Sampling(loop.validation_samples, loop.temperature, longest, derive(self.config.seed, "validation"))
        with self.context.console.progress("validate", len(self.validation)) as advance:
            rows = sample_programs(self.fleet, self.validation, sampling, self.limit, advance)
        values = rows.pass_at(1)
        mean, se = mean_se(values[~np.isnan(values)])
        best = mean > self.checkpoints.best_score()
        if best:
            self.checkpoints.write_best(done, mean, lambda folder: self._export(folder / "model"))
        self.context.console.note(
            f"validation pass@1 {mean:.3f} ± {se:.3f} after {done} steps{' (best)' if best else ''}"
        )
        key = f"val-core/{self.config.problems.name}/acc/mean@{loop.validation_samples}"
        metrics = {key: mean, f"{key}/se": se, "timing_s/testing": time.monotonic() - start}
        if done == 0:
            self.context.tracker.log(-1, metrics)
        return metrics

    def _checkpoint(self, done: int) -> float:
        start = time.monotonic()
        state = {
            "wandb_id": self.context.tracker.wandb_id,
            "best": self.checkpoints.best_score(),
        }
        try:  # before the checkpoint: a machine that goes on from it needs all earlier rows
            publish_records(self.context.inputs.folder)
        except StorageError as error:
            self.context.console.warn(f"the records stay on this machine for now: {error}")
        self.checkpoints.write(done, state, self._save)
        return time.monotonic() - start

    def _finish(self) -> None:
        steps = self.config.loop.steps
        if self.config.loop.validate_every and self.checkpoints.best_score() < 0:
            # resumed behind the last step, and the best policy is damaged or gone: this is the best one there is
            self._validate(steps)
        with self.made.write() as folder:
            if self.config.loop.validate_every:
                shutil.copytree(self.checkpoints.best / "model", folder, dirs_exist_ok=True)
                picked: dict[str, object] = json.loads((self.checkpoints.best / "state.json").read_text())
            else:
                self._export(folder / "model")
                lift(folder / "model")
                picked = {"step": steps}
            (folder / "picked.json").write_text(json.dumps(picked) + "\n")
        self.context.console.note(f"policy of step {picked['step']}: {self.made.folder}")
        self.fleet.stop([*self.fleet.learners, *self.fleet.scorers])
        self.fleet.learners, self.fleet.scorers = [], []

    def _export(self, folder: Path) -> None:
        self._all(lambda rank: ask(rank, Learner.export, folder.resolve()), "export")

    def _save(self, folder: Path) -> None:
        self._all(lambda rank: ask(rank, Learner.save, folder.resolve()), "save")

    def _all(self, call: Callable[[Handle[Learner]], Ref[None]], what: str) -> None:
        self.fleet.on_learners(call, f"the learners' {what}")
