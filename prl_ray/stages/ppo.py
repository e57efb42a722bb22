"""PPO with line rewards: steps, validations, checkpoints, and going on from one."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from prl_ray.actors.fleet import wait
from prl_ray.actors.generator import Sampling
from prl_ray.actors.learner import LearnerSetup
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.artifacts import Artifact
from prl_ray.checkpoints import Checkpoints
from prl_ray.evaluation import mean_se, sample_programs
from prl_ray.loop import Loop
from prl_ray.models.encode import encode_program
from prl_ray.models.folders import lift
from prl_ray.models.policy import load_tokenizer
from prl_ray.recipe import Run
from prl_ray.supervision import canonical


def ppo(run: Run) -> None:
    """Makes the ``ppo`` artifact: the policy with the best validation score, or the last one without validation."""
    made = run.artifact("ppo")
    if made.exists:
        run.console.skipped("ppo", str(made.folder))
        return run.link(made)
    loop = run.config.loop
    size = f"{loop.prompts_per_step} × {loop.samples_per_prompt} programs"
    detail = f"{loop.steps} steps of {size}, reward {run.config.reward.name}"
    with run.console.stage("ppo", detail):
        _Training(run, made).run()
    return run.link(made)


VALIDATION_SEED = 15_485_863
"""Away from the seeds that PPO's own steps sample with."""


class _Training:
    """The PPO stage while it runs."""

    def __init__(self, run: Run, made: Artifact) -> None:
        self.config, self.fleet = run.config, run.fleet
        self.owner, self.made = run, made
        self.checkpoints = Checkpoints(run.folder / "checkpoints", self.config.loop.keep_checkpoints, made.key)
        self.problems = run.sampled_from(run.train_slices["ppo"])
        self.validation = run.sampled_from(run.problems("validation", self.config.loop.validation_problems))
        self.limit = self.config.cluster.request_timeout_s

    def run(self) -> None:
        """Steps from the newest checkpoint to the end, then the artifact."""
        config, tracker = self.config, self.owner.tracker
        found = self.checkpoints.newest()
        first = int(found[1]["step"]) if found else 0
        self._start_actors()
        if found:
            self.owner.console.note(f"going on from {found[0]}")
            self._all("restore", found[0].resolve())
        tracker.rewind("ppo", first - 1 if found else -2)  # row -1 is the validation before the first step
        self.loop = Loop(config, self.fleet, self.problems, bool(self._needs_scorer))
        self.loop.push_weights()
        if config.loop.validate_every and not first:
            self._validate(0)
        saving: dict[str, float] = {}
        for number in range(first, config.loop.steps):
            metrics, rollout = self.loop.step(number)
            metrics |= saving
            done = number + 1
            if config.loop.validate_every and (done % config.loop.validate_every == 0 or done == config.loop.steps):
                metrics |= self._validate(done)
            if number % config.loop.samples_every == 0 or done == config.loop.steps:
                rows = wait(self.fleet.learners[0].samples.remote(rollout, number, 8), "sampled programs", self.limit)
                tracker.samples(number, rows)
                if number == first or done == config.loop.steps:
                    self.owner.console.program(rows[0].task_id, rows[0].lines, rows[0].status)
            tracker.log(number, metrics)
            self.owner.console.step_line({"step": done, "steps": config.loop.steps, **metrics})
            # After the row: a run killed in between writes the row again, where the other order would lose it. The time
            # that it takes is in the next step's row.
            saving = {}
            if done % config.loop.checkpoint_every == 0 or done == config.loop.steps:
                saving = {"timing_s/save_checkpoint": self._checkpoint(done)}
        self._finish()

    @property
    def _needs_scorer(self) -> list[str]:
        features = self.config.algorithm.estimator == "gae" and self.config.algorithm.critic == "head"
        return [*self.owner.reward_models, *(["features"] if features else [])]

    def _start_actors(self) -> None:
        run, config = self.owner, self.config
        algorithm = config.algorithm
        gae = algorithm.estimator == "gae"
        prm = run.artifact("prm").need() if "prm" in run.reward_models else None
        orm = run.artifact("orm").need() if "orm" in run.reward_models else None
        sft = run.artifact("sft").need()
        self.fleet.start_verifiers([*self.problems, *self.validation])
        self.fleet.start_generators(run.generator_setup())
        if self._needs_scorer:
            self.fleet.start_scorers(
                ScorerSetup(
                    prm=prm.resolve() if prm else None,
                    orm=orm.resolve() if orm else None,
                    trunk=sft.resolve()
                    if gae and algorithm.critic == "head" and algorithm.critic_init == "sft"
                    else None,
                    features=gae and algorithm.critic == "head",
                    dtype=run.dtype[0],
                    micro_batch_tokens=algorithm.micro_batch_tokens,
                )
            )
        trunk = (prm if algorithm.critic_init == "prm" else sft) if gae and algorithm.critic == "full" else None
        self.fleet.start_learners(
            LearnerSetup(
                policy=sft.resolve(),
                critic=trunk.resolve() if trunk else None,
                algorithm=algorithm,
                reward=config.reward,
                temperature=config.loop.temperature,
                steps=config.loop.steps,
                dtype=run.dtype[0],
                seed=config.seed,
                probe_tokens=_probe(sft, self.problems),
            )
        )
        self.fleet.wait_ready()

    def _validate(self, done: int) -> dict[str, float]:
        """pass@1 on the validation problems, sampled as PPO samples; keeps the policy where it is the best so far."""
        start = time.monotonic()
        loop = self.config.loop
        longest = self.config.model.max_response_tokens
        sampling = Sampling(loop.validation_samples, loop.temperature, longest, self.config.seed + VALIDATION_SEED)
        with self.owner.console.progress("validate", len(self.validation)) as advance:
            rows = sample_programs(self.fleet, self.validation, sampling, self.limit, advance)
        values = rows.pass_at(1)
        mean, se = mean_se(values[~np.isnan(values)])
        best = mean > self.checkpoints.best_score()
        if best:
            self.checkpoints.write_best(done, mean, lambda folder: self._export(folder / "model"))
        self.owner.console.note(
            f"validation pass@1 {mean:.3f} ± {se:.3f} after {done} steps{' (best)' if best else ''}"
        )
        key = f"val-core/{self.config.problems.name}/acc/mean@{loop.validation_samples}"
        metrics = {key: mean, f"{key}/se": se, "timing_s/testing": time.monotonic() - start}
        if done == 0:
            self.owner.tracker.log(-1, metrics)
        return metrics

    def _checkpoint(self, done: int) -> float:
        start = time.monotonic()
        state = {"wandb_id": self.owner.tracker.wandb_id, "best": self.checkpoints.best_score()}
        self.checkpoints.write(done, state, lambda folder: self._all("save", folder.resolve()))
        return time.monotonic() - start

    def _finish(self) -> None:
        with self.made.made() as folder:
            if self.config.loop.validate_every:
                shutil.copytree(self.checkpoints.best / "model", folder, dirs_exist_ok=True)
                picked: dict[str, Any] = json.loads((self.checkpoints.best / "state.json").read_text())
            else:
                self._export(folder / "model")
                lift(folder / "model")
                picked = {"step": self.config.loop.steps}
            (folder / "picked.json").write_text(json.dumps(picked) + "\n")
        self.owner.console.note(f"policy of step {picked['step']}: {self.made.folder}")
        self.fleet.stop([*self.fleet.learners, *self.fleet.scorers])
        self.fleet.learners, self.fleet.scorers = [], []

    def _export(self, folder: Path) -> None:
        self._all("export", folder.resolve())

    def _all(self, method: str, *args: Any) -> None:
        calls = [getattr(learner, method).remote(*args) for learner in self.fleet.learners]
        wait(calls, f"the learners' {method}", self.limit)


def _probe(policy: Path, problems: list[Any]) -> tuple[int, ...]:
    """Tokens of one prompt and its reference, on which every weight push is checked."""
    encoded = encode_program(
        load_tokenizer(policy), problems[0], canonical(problems[0].references[0], len(problems[0].code_prefix))
    )
    return tuple([*encoded.prompt_tokens, *encoded.response_tokens][:128])
